//! Writes a spreadsheet of learners, 8 columns wide: `generate FILE ROWS`.
//!
//! An `.xlsx` file has the parts, the attributes and the shared texts that Excel gives it.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, bail};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const HEADINGS: [&str; 8] =
    ["email", "first_name", "last_name", "language", "groups", "start_on", "external_id", "notify"];
const FIRST: [&str; 12] = [
    "Zoé",
    "Adam",
    "Inès",
    "Jürgen",
    "Lucía",
    "Noah",
    "Chloé",
    "Élodie",
    "Tom",
    "Maria",
    "José",
    "Anne-Sophie",
];
const LAST: [&str; 12] = [
    "Martin",
    "Bernard",
    "Müller",
    "García",
    "Smith",
    "O'Connor",
    "Lefèvre",
    "Weiß",
    "Nguyen",
    "de La Tour",
    "Rossi",
    "Kowalski",
];
const LANGUAGES: [&str; 4] = ["fr", "en", "de", "es"];
const GROUPS: [&str; 3] = ["Paris", "Région Nord", "Paris|Région Nord"];
const NOTIFY: [&str; 2] = ["oui", "non"];
/// 2027-03-01 in Excel's count of days.
const FIRST_DAY: u32 = 46_447;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("generate FILE ROWS")?;
    let rows: u32 = arguments.next().context("generate FILE ROWS")?.parse()?;
    let file = BufWriter::new(File::create(&path)?);
    match path.rsplit_once('.') {
        Some((_, "xlsx")) => xlsx(file, rows),
        Some((_, "csv")) => csv(file, rows),
        _ => bail!("FILE ends in .xlsx or .csv"),
    }
}

fn pick<'t>(texts: &[&'t str], row: u32, step: u32) -> &'t str {
    texts[(row / step) as usize % texts.len()]
}

fn email(row: u32) -> String {
    format!("learner.{row:07}@example.org")
}

fn first_name(row: u32) -> String {
    pick(&FIRST, row, 1).to_owned()
}

/// One in fifty people has a name of their own.
fn last_name(row: u32) -> String {
    let name = pick(&LAST, row, 5);
    if row.is_multiple_of(50) { format!("{name}-{row}") } else { name.to_owned() }
}

fn csv(mut file: impl Write, rows: u32) -> anyhow::Result<()> {
    writeln!(file, "{}", HEADINGS.join(","))?;
    for row in 0..rows {
        writeln!(
            file,
            "{},{},{},{},{},2027-03-{:02},{},{}",
            email(row),
            first_name(row),
            last_name(row),
            pick(&LANGUAGES, row, 3),
            pick(&GROUPS, row, 7),
            row % 28 + 1,
            100_000 + row,
            pick(&NOTIFY, row, 2),
        )?;
    }
    Ok(file.flush()?)
}

/// Texts that several cells share: each is written once.
#[derive(Default)]
struct SharedTexts {
    order: Vec<String>,
    index: std::collections::HashMap<String, usize>,
    uses: usize,
}

impl SharedTexts {
    fn of(&mut self, text: &str) -> usize {
        self.uses += 1;
        if let Some(index) = self.index.get(text) {
            return *index;
        }
        self.index.insert(text.to_owned(), self.order.len());
        self.order.push(text.to_owned());
        self.order.len() - 1
    }
}

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const LINKS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const KIND: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n";

fn xlsx(file: impl Write + std::io::Seek, rows: u32) -> anyhow::Result<()> {
    let mut zip = ZipWriter::new(file);
    let mut texts = SharedTexts::default();
    let fixed = [
        (
            "[Content_Types].xml",
            format!(
                r#"<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="{KIND}.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="{KIND}.styles+xml"/><Override PartName="/xl/sharedStrings.xml" ContentType="{KIND}.sharedStrings+xml"/></Types>"#
            ),
        ),
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets><sheet name="Learners" sheetId="1" r:id="rId1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{LINKS}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="{LINKS}/styles" Target="styles.xml"/><Relationship Id="rId3" Type="{LINKS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/styles.xml",
            format!(
                r#"<styleSheet xmlns="{MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="14" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#
            ),
        ),
    ];
    for (name, content) in fixed {
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(DECLARATION.as_bytes())?;
        zip.write_all(content.as_bytes())?;
    }
    zip.start_file("xl/worksheets/sheet1.xml", SimpleFileOptions::default())?;
    sheet(&mut BufWriter::new(&mut zip), rows, &mut texts)?;
    zip.start_file("xl/sharedStrings.xml", SimpleFileOptions::default())?;
    let mut part = BufWriter::new(&mut zip);
    let (uses, count) = (texts.uses, texts.order.len());
    write!(part, r#"{DECLARATION}<sst xmlns="{MAIN}" count="{uses}" uniqueCount="{count}">"#)?;
    for text in &texts.order {
        write!(part, "<si><t>{text}</t></si>")?;
    }
    write!(part, "</sst>")?;
    part.flush()?;
    drop(part);
    zip.finish()?;
    Ok(())
}

fn sheet(part: &mut impl Write, rows: u32, texts: &mut SharedTexts) -> anyhow::Result<()> {
    let last = rows + 1;
    write!(
        part,
        r#"{DECLARATION}<worksheet xmlns="{MAIN}" xmlns:r="{LINKS}"><dimension ref="A1:H{last}"/><sheetViews><sheetView tabSelected="1" workbookViewId="0"/></sheetViews><sheetFormatPr defaultRowHeight="15"/><sheetData><row r="1" spans="1:8">"#
    )?;
    for (column, heading) in ('A'..).zip(HEADINGS) {
        let index = texts.of(heading);
        write!(part, r#"<c r="{column}1" t="s"><v>{index}</v></c>"#)?;
    }
    write!(part, "</row>")?;
    for row in 0..rows {
        let line = row + 2;
        write!(part, r#"<row r="{line}" spans="1:8">"#)?;
        let cells = [
            ('A', texts.of(&email(row))),
            ('B', texts.of(&first_name(row))),
            ('C', texts.of(&last_name(row))),
            ('D', texts.of(pick(&LANGUAGES, row, 3))),
            ('E', texts.of(pick(&GROUPS, row, 7))),
        ];
        for (column, index) in cells {
            write!(part, r#"<c r="{column}{line}" t="s"><v>{index}</v></c>"#)?;
        }
        let (day, number) = (FIRST_DAY + row % 28, 100_000 + row);
        let notify = texts.of(pick(&NOTIFY, row, 2));
        write!(
            part,
            r#"<c r="F{line}" s="1"><v>{day}</v></c><c r="G{line}"><v>{number}</v></c><c r="H{line}" t="s"><v>{notify}</v></c></row>"#
        )?;
    }
    write!(
        part,
        r#"</sheetData><pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/></worksheet>"#
    )?;
    Ok(part.flush()?)
}
