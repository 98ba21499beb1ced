//! Small writers of every format.

use std::io::{Cursor, Write as _};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use jiff::civil::{Date, date};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use seatkeeper_domain::import::Cell;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{COLUMNS, Line};

/// What stands above the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Title {
    None,
    Plain,
    /// One word of it is bold.
    Rich,
}

/// Days from 30 December 1899, as workbooks count from March 1900 on.
fn serial_number(day: Date) -> f64 {
    f64::from((day - date(1899, 12, 30)).get_days())
}

pub(crate) fn xlsx(lines: &[Line], title: Title) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let (bold, plain) = (Format::new().set_bold(), Format::new());
    let day = Format::new().set_num_format("dd/mm/yyyy");
    match title {
        Title::None => {}
        Title::Plain => {
            sheet.write_string(0, 0, "Our people").unwrap();
        }
        Title::Rich => {
            let runs = [(&plain, "Our "), (&bold, "people")];
            sheet.write_rich_string(0, 0, &runs).unwrap();
        }
    }
    let header = u32::from(title != Title::None);
    for (column, (heading, _)) in (0..).zip(COLUMNS) {
        sheet.write_string(header, column, heading).unwrap();
    }
    for (row, line) in (header + 1..).zip(lines) {
        for (column, cell) in (0..).zip(line) {
            match cell {
                Cell::Blank => sheet.write_blank(row, column, &bold).unwrap(),
                Cell::Text(text) => sheet.write_string(row, column, text).unwrap(),
                Cell::Number(number) => {
                    sheet.write_number(row, column, number.parse::<f64>().unwrap()).unwrap()
                }
                Cell::Date(date) => {
                    let date = ExcelDateTime::from_serial_datetime(serial_number(*date)).unwrap();
                    sheet.write_datetime_with_format(row, column, &date, &day).unwrap()
                }
                Cell::Bool(value) => sheet.write_boolean(row, column, *value).unwrap(),
                Cell::Error => {
                    let formula = Formula::new("=NA()").set_result("#N/A");
                    sheet.write_formula(row, column, formula).unwrap()
                }
            };
        }
    }
    workbook.save_to_buffer().unwrap()
}

pub(crate) fn ods(lines: &[Line]) -> Vec<u8> {
    let heading = |(heading, _): &(&str, _)| ods_cell(&Cell::Text((*heading).to_owned()));
    let header: String = COLUMNS.iter().map(heading).collect();
    let mut rows = vec![header];
    rows.extend(lines.iter().map(|line| line.iter().map(ods_cell).collect()));
    let rows = rows.join("</table:table-row><table:table-row>");
    let content = format!(
        r#"<office:document-content><office:body><office:spreadsheet><table:table table:name="T"><table:table-row>{rows}</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"#
    );
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let kind = "application/vnd.oasis.opendocument.spreadsheet";
    for (name, content) in [("mimetype", kind), ("content.xml", &content)] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn ods_cell(cell: &Cell) -> String {
    let head =
        |kind: &str, more: &str| format!(r#"<table:table-cell office:value-type="{kind}"{more}/>"#);
    match cell {
        Cell::Blank => "<table:table-cell/>".to_owned(),
        Cell::Text(text) => {
            let paragraphs = escaped(text).replace('\n', "</text:p><text:p>");
            let paragraphs = paragraphs.replace('\t', "<text:tab/>");
            format!(
                r#"<table:table-cell office:value-type="string"><text:p>{paragraphs}</text:p></table:table-cell>"#
            )
        }
        Cell::Number(number) => head("float", &format!(r#" office:value="{number}""#)),
        Cell::Date(day) => head("date", &format!(r#" office:date-value="{day}""#)),
        Cell::Bool(value) => head("boolean", &format!(r#" office:boolean-value="{value}""#)),
        Cell::Error => head("string", r#" calcext:value-type="error""#),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Separated text, every field in quotes; the separator declared in an Excel line if wanted.
pub(crate) fn csv(lines: &[Line], separator: char, is_declared: bool) -> String {
    let mut text = if is_declared { format!("sep={separator}\r\n") } else { String::new() };
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    let separator = separator.to_string();
    let header: Vec<_> = COLUMNS.iter().map(|(heading, _)| quoted(heading)).collect();
    text.push_str(&header.join(&separator));
    for line in lines {
        let fields: Vec<_> =
            line.iter().map(|cell| quoted(&cell.as_text().unwrap_or_default())).collect();
        text.push_str("\r\n");
        text.push_str(&fields.join(&separator));
    }
    text
}

pub(crate) fn encoded(text: &str, encoding: &'static Encoding, marked: bool) -> Vec<u8> {
    let text = if marked { format!("\u{feff}{text}") } else { text.to_owned() };
    let units = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect();
    if encoding == UTF_16LE {
        units(u16::to_le_bytes)
    } else if encoding == UTF_16BE {
        units(u16::to_be_bytes)
    } else if encoding == WINDOWS_1252 {
        let (bytes, _, has_gaps) = encoding.encode(&text);
        assert!(!has_gaps, "a text that the encoding can say");
        bytes.into_owned()
    } else {
        text.into_bytes()
    }
}

/// A BIFF8 workbook ([MS-XLS]) in a compound file ([MS-CFB]).
pub(crate) fn xls(lines: &[Line]) -> Vec<u8> {
    let begin = |kind: u16| record(0x0809, &[&0x0600_u16.to_le_bytes(), &kind.to_le_bytes()]);
    let end = record(0x000a, &[]);
    let format = |id: u16| record(0x00e0, &[&[0; 2], &id.to_le_bytes(), &[0; 16]]);
    let formats = [format(0), format(14)].concat();
    let bound = |at: usize| {
        let at = u32::try_from(at).unwrap().to_le_bytes();
        record(0x0085, &[&at, &[0, 0], b"\x01\0S"])
    };
    let globals = |at: usize| [begin(5), formats.clone(), bound(at), end.clone()].concat();
    let mut sheet = begin(0x10);
    for (column, (heading, _)) in (0..).zip(COLUMNS) {
        sheet.extend(xls_cell(0, column, &Cell::Text(heading.to_owned())));
    }
    for (row, line) in (1..).zip(lines) {
        for (column, cell) in (0..).zip(line) {
            sheet.extend(xls_cell(row, column, cell));
        }
    }
    sheet.extend(&end);
    compound_file(&[globals(globals(0).len()), sheet].concat())
}

fn record(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
    let data = parts.concat();
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), &data].concat()
}

fn xls_cell(row: u16, column: u16, cell: &Cell) -> Vec<u8> {
    let record = |kind: u16, format: u16, value: &[u8]| {
        let head = [row, column, format].map(u16::to_le_bytes).concat();
        record(kind, &[&head, value])
    };
    match cell {
        Cell::Blank => record(0x0201, 0, &[]),
        Cell::Text(text) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let length = u16::try_from(units.len()).unwrap().to_le_bytes();
            let text: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            record(0x0204, 0, &[&length[..], &[1], &text].concat())
        }
        Cell::Number(number) => record(0x0203, 0, &number.parse::<f64>().unwrap().to_le_bytes()),
        Cell::Date(day) => record(0x0203, 1, &serial_number(*day).to_le_bytes()),
        Cell::Bool(value) => record(0x0205, 0, &[u8::from(*value), 0]),
        Cell::Error => record(0x0205, 0, &[42, 1]),
    }
}

const SECTOR: usize = 512;
const END_OF_CHAIN: u32 = 0xffff_fffe;
const FAT_SECTOR: u32 = 0xffff_fffd;
const FREE: u32 = 0xffff_ffff;

/// A file with one stream, `Workbook`: sectors of the directory, the table of sectors, the stream.
fn compound_file(stream: &[u8]) -> Vec<u8> {
    // Shorter streams would live in another table.
    let mut stream = stream.to_vec();
    stream.resize(stream.len().max(4096).next_multiple_of(SECTOR), 0);
    let of_stream = u32::try_from(stream.len() / SECTOR).unwrap();
    // The table lists the directory's sector, its own and the stream's.
    let mut of_table = 1;
    while (1 + of_table + of_stream) as usize > of_table as usize * (SECTOR / 4) {
        of_table += 1;
    }
    let first = 1 + of_table;
    let mut table = vec![END_OF_CHAIN];
    table.extend((0..of_table).map(|_| FAT_SECTOR));
    table.extend((first + 1..first + of_stream).chain([END_OF_CHAIN]));
    table.resize(of_table as usize * (SECTOR / 4), FREE);

    let mut head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    head.extend([0; 16]);
    for half in [0x3e_u16, 3, 0xfffe, 9, 6, 0, 0, 0] {
        head.extend(half.to_le_bytes());
    }
    for word in [0, of_table, 0, 0, 4096, END_OF_CHAIN, 0, END_OF_CHAIN, 0] {
        head.extend(word.to_le_bytes());
    }
    let list = (1..=of_table).chain(std::iter::repeat(FREE)).take(109);
    head.extend(list.flat_map(u32::to_le_bytes));

    let length = u32::try_from(stream.len()).unwrap();
    let mut directory = entry("Root Entry", 5, 1, END_OF_CHAIN, 0);
    directory.extend(entry("Workbook", 2, FREE, first, length));
    directory.resize(SECTOR, 0);
    let table = table.into_iter().flat_map(u32::to_le_bytes).collect();
    [head, directory, table, stream].concat()
}

fn entry(name: &str, kind: u8, child: u32, start: u32, length: u32) -> Vec<u8> {
    let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let name_length = u16::try_from(entry.len() + 2).unwrap();
    entry.resize(64, 0);
    entry.extend(name_length.to_le_bytes());
    entry.extend([kind, 1]);
    for word in [FREE, FREE, child] {
        entry.extend(word.to_le_bytes());
    }
    entry.extend([0; 36]);
    entry.extend(start.to_le_bytes());
    entry.extend(length.to_le_bytes());
    entry.extend([0; 4]);
    entry
}
