//! Excel 5.0 to 2003 workbooks: BIFF records in a compound file ([MS-XLS], [MS-CFB]).
//!
//! [MS-XLS]: https://learn.microsoft.com/openspecs/office_file_formats/ms-xls
//! [MS-CFB]: https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb

mod biff;
mod cfb;
mod globals;
mod sheet;
mod sst;

use crate::reject::Rejection;
use crate::source::{SheetDetails, Source};
use crate::table::Table;
pub(crate) use cfb::CompoundFile;
use globals::Globals;

/// An old workbook whose globals are read.
pub(crate) struct OldWorkbook {
    stream: Vec<u8>,
    globals: Globals,
}

impl OldWorkbook {
    pub(crate) fn open(file: &CompoundFile<'_>) -> Result<Self, Rejection> {
        let name = if file.has("Workbook") { "Workbook" } else { "Book" };
        Self::of_stream(file.stream(name)?)
    }

    fn of_stream(stream: Vec<u8>) -> Result<Self, Rejection> {
        let globals = Globals::read(&stream)?;
        Ok(Self { stream, globals })
    }
}

impl Source for OldWorkbook {
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection> {
        for (at, name) in &self.globals.sheets {
            sheet::read(&self.stream, *at, &self.globals, table)?;
            if table.is_found() {
                return Ok(SheetDetails::of_sheet(name));
            }
        }
        Ok(SheetDetails::default())
    }
}

#[cfg(test)]
mod tests {
    use seatkeeper_domain::import::{Cell, Field, RawRow};

    use super::biff::kind;
    use super::*;
    use crate::reject::RejectCode;

    const BIFF8: u16 = 0x0600;
    const BIFF5: u16 = 0x0500;

    /// A record: kind and content.
    fn record(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
        let data = parts.concat();
        let length = u16::try_from(data.len()).unwrap();
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), &data].concat()
    }

    /// A cell's record: place, format and value.
    fn cell(kind: u16, row: u16, column: u16, format: u16, value: &[u8]) -> Vec<u8> {
        let head = [row.to_le_bytes(), column.to_le_bytes(), format.to_le_bytes()].concat();
        record(kind, &[&head, value])
    }

    /// A text with a 16-bit length, in BIFF8 with its width.
    fn text(version: u16, text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        let width: &[u8] = if version == BIFF8 { &[0] } else { &[] };
        [&length[..], width, text].concat()
    }

    fn label(version: u16, row: u16, column: u16, content: &str) -> Vec<u8> {
        cell(kind::LABEL, row, column, 0, &text(version, content.as_bytes()))
    }

    fn substream(version: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let begin = record(kind::BOF, &[&version.to_le_bytes()]);
        [begin, records.concat(), record(kind::EOF, &[])].concat()
    }

    /// A workbook's stream: globals, then sheets by state and records.
    fn stream(version: u16, globals: &[Vec<u8>], sheets: &[(u8, Vec<Vec<u8>>)]) -> Vec<u8> {
        let bound = |at: usize, state: u8| {
            let name = if version == BIFF8 { &b"\x01\0S"[..] } else { b"\x01S" };
            let at = u32::try_from(at).unwrap().to_le_bytes();
            record(kind::BOUND_SHEET, &[&at, &[state, 0], name])
        };
        let list: Vec<u8> = sheets.iter().flat_map(|(state, _)| bound(0, *state)).collect();
        let mut at = substream(version, &[globals.concat(), list]).len();
        let mut list = Vec::new();
        let mut bodies = Vec::new();
        for (state, records) in sheets {
            list.extend(bound(at, *state));
            let body = substream(version, records);
            at += body.len();
            bodies.extend(body);
        }
        [substream(version, &[globals.concat(), list]), bodies].concat()
    }

    fn formats(version: u16) -> Vec<Vec<u8>> {
        let format = |id: u16| record(kind::XF, &[&[0; 2], &id.to_le_bytes()]);
        let code = if version == BIFF8 { &b"\x02\0\0yy"[..] } else { b"\x02yy" };
        vec![record(kind::FORMAT, &[&164_u16.to_le_bytes(), code]), format(0), format(164)]
    }

    fn rows(stream: Vec<u8>) -> Result<Vec<RawRow>, Rejection> {
        let mut rows = Vec::new();
        let mut visit = |row| rows.push(row);
        let mut table = Table::new(100, &mut visit);
        OldWorkbook::of_stream(stream)?.read(&mut table)?;
        table.finish()?;
        Ok(rows)
    }

    fn header(version: u16) -> Vec<Vec<u8>> {
        let headings = ["email", "start_on", "external_id", "notify", "labels", "groups"];
        (0..).zip(headings).map(|(column, text)| label(version, 0, column, text)).collect()
    }

    #[test]
    fn cells_of_every_kind_are_read() {
        for version in [BIFF8, BIFF5] {
            let mut records = header(version);
            let mut hidden = [0; 16];
            hidden[0] = 1;
            hidden[12] = 0x20;
            let bits = |number: f64| number.to_le_bytes();
            let pending = [0, 0, 0, 0, 0, 0, 0xff, 0xff];
            let chart = substream(version, &[label(version, 9, 9, "chart")]);
            // A run of numbers begins with its first column and ends with its last.
            let mut run = [1_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat();
            for (format, rk) in [(1_u16, (46_447_u32 << 2) | 2), (0, (516_200 << 2) | 3)] {
                run.extend(format.to_le_bytes());
                run.extend(rk.to_le_bytes());
            }
            run.extend(2_u16.to_le_bytes());
            records.extend([
                record(kind::ROW, &[&hidden]),
                cell(kind::FORMULA, 1, 0, 0, &pending),
                record(kind::STRING, &[&text(version, b"a@b.fr")]),
                record(kind::MUL_RK, &[&run]),
                chart,
                cell(kind::BOOL_ERR, 1, 3, 0, &[1, 0]),
                cell(kind::BOOL_ERR, 1, 4, 0, &[42, 1]),
                cell(kind::NUMBER, 1, 5, 0, &bits(7.0)),
            ]);
            let stream = stream(version, &formats(version), &[(1, header(version)), (0, records)]);
            let rows = rows(stream).unwrap();
            assert_eq!((rows.len(), rows[0].line, rows[0].hidden), (1, 2, true));
            let cells = &rows[0].cells;
            assert!(cells[Field::Email] == Cell::Text("a@b.fr".to_owned()));
            assert!(cells[Field::StartOn] == Cell::Date(jiff::civil::date(2027, 3, 1)));
            assert!(cells[Field::ExternalId] == Cell::Number("5162".to_owned()));
            assert!(cells[Field::Notify] == Cell::Bool(true));
            assert!(cells[Field::Labels] == Cell::Error);
            assert!(cells[Field::Groups] == Cell::Number("7".to_owned()));
        }
    }

    #[test]
    fn old_texts_are_in_their_code_page() {
        let page = record(kind::CODE_PAGE, &[&1250_u16.to_le_bytes()]);
        let name = cell(kind::LABEL, 1, 4, 0, &text(BIFF5, b"\xaf\xea"));
        let records = [header(BIFF5), vec![label(BIFF5, 1, 0, "a@b.fr"), name]].concat();
        let rows = rows(stream(BIFF5, &[page], &[(0, records)])).unwrap();
        assert!(rows[0].cells[Field::Labels] == Cell::Text("Żę".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let code = |stream| rows(stream).unwrap_err().code;
        let with = |more: Vec<u8>| {
            stream(BIFF8, &formats(BIFF8), &[(0, [header(BIFF8), vec![more]].concat())])
        };
        let locked = stream(BIFF8, &[record(kind::FILE_PASS, &[&[1, 0]])], &[]);
        assert_eq!(code(locked), RejectCode::EncryptedFile);
        assert_eq!(code(stream(0x0200, &[], &[])), RejectCode::UnsupportedFormat);
        let broken = [
            ("a text that is not shared", cell(kind::LABEL_SST, 1, 0, 0, &[9, 0, 0, 0])),
            ("a format that is not there", cell(kind::NUMBER, 1, 0, 2, &[0; 8])),
            ("a number that is none", cell(kind::NUMBER, 1, 0, 0, &f64::NAN.to_le_bytes())),
            ("a text longer than its record", cell(kind::LABEL, 1, 0, 0, &[9, 0, 0, b'x'])),
            ("a NUL", label(BIFF8, 1, 0, "a\0b")),
            ("rows backwards", [label(BIFF8, 2, 0, "a"), label(BIFF8, 1, 0, "b")].concat()),
        ];
        for (what, more) in broken {
            assert_eq!(code(with(more)), RejectCode::UnreadableFile, "{what}");
        }
        let far = label(BIFF8, 1, 64, "x");
        assert_eq!(code(with(far)), RejectCode::TooManyColumns);
        let mut cut = with(label(BIFF8, 1, 0, "a@b.fr"));
        cut.truncate(cut.len() - 4);
        assert_eq!(code(cut), RejectCode::UnreadableFile);
    }
}
