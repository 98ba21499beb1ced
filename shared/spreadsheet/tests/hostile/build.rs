//! Workbooks made by hand, part by part.

use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const LINKS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PLAIN: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";

/// A zip of these parts.
pub(crate) fn package<S: AsRef<str>, B: AsRef<[u8]>>(
    parts: impl IntoIterator<Item = (S, B)>,
) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(name.as_ref(), SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_ref()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An xlsx workbook, with every part replaceable.
pub(crate) struct Xlsx {
    parts: Vec<(String, Vec<u8>)>,
}

impl Xlsx {
    /// One visible sheet with this content of `sheetData`.
    pub(crate) fn of_rows(rows: &str) -> Self {
        Self::of_sheets(&[("visible", rows)])
    }

    /// Sheets by state and content of `sheetData`.
    pub(crate) fn of_sheets(sheets: &[(&str, &str)]) -> Self {
        let mut book = Self { parts: Vec::new() };
        let mut list = String::new();
        let mut links = String::new();
        for (number, (state, rows)) in (1..).zip(sheets) {
            list += &format!(
                r#"<sheet name="S{number}" sheetId="{number}" state="{state}" r:id="r{number}"/>"#
            );
            links += &format!(
                r#"<Relationship Id="r{number}" Type="{LINKS}/worksheet" Target="worksheets/s{number}.xml"/>"#
            );
            book = book.sheet_part(number, rows);
        }
        links +=
            &format!(r#"<Relationship Id="s" Type="{LINKS}/sharedStrings" Target="strings.xml"/>"#);
        links += &format!(r#"<Relationship Id="t" Type="{LINKS}/styles" Target="styles.xml"/>"#);
        let root = format!(
            r#"<Relationships><Relationship Id="r" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
        );
        book.with("[Content_Types].xml", content_types(PLAIN, ""))
            .with("_rels/.rels", root)
            .with("xl/workbook.xml", workbook("", &list))
            .with("xl/_rels/workbook.xml.rels", format!("<Relationships>{links}</Relationships>"))
            .with("xl/strings.xml", "<sst><si><t>email</t></si><si><t>a@b.fr</t></si></sst>")
            .with(
                "xl/styles.xml",
                r#"<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#,
            )
    }

    fn sheet_part(self, number: usize, rows: &str) -> Self {
        let content =
            format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#);
        self.with(&format!("xl/worksheets/s{number}.xml"), content)
    }

    /// Adds a part or replaces it.
    pub(crate) fn with(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.parts.retain(|(known, _)| known != name);
        self.parts.push((name.to_owned(), content.into()));
        self
    }

    /// Leaves a part out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.parts.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        package(self.parts)
    }
}

/// The list of content types, with that of the workbook part and more.
pub(crate) fn content_types(workbook: &str, more: &str) -> String {
    format!(
        r#"<Types><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{workbook}"/>{more}</Types>"#
    )
}

/// A workbook part with its properties and sheets.
pub(crate) fn workbook(properties: &str, sheets: &str) -> String {
    format!(
        r#"<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><workbookPr {properties}/><sheets>{sheets}</sheets></workbook>"#
    )
}

/// A row of inline texts.
pub(crate) fn row(line: u32, texts: &[&str]) -> String {
    let cell = |text: &&str| format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#);
    let cells: String = texts.iter().map(cell).collect();
    format!(r#"<row r="{line}">{cells}</row>"#)
}

/// A header and a learner.
pub(crate) fn good_rows() -> String {
    row(1, &["email", "first_name"]) + &row(2, &["a@b.fr", "Ann"])
}

/// An ods document whose spreadsheet element holds this.
pub(crate) fn ods(tables: &str) -> Vec<u8> {
    ods_of("application/vnd.oasis.opendocument.spreadsheet", tables, &[])
}

/// An ods document with its media type, tables and more parts.
pub(crate) fn ods_of(kind: &str, tables: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let content = format!(
        r#"<office:document-content><office:automatic-styles><style:style style:name="hidden"><style:table-properties table:display="false"/></style:style></office:automatic-styles><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"#
    );
    let parts = [("mimetype", kind), ("content.xml", &content)];
    package(parts.into_iter().chain(more.iter().copied()))
}

/// A cell of text in an ods row.
pub(crate) fn ods_cell(attributes: &str, text: &str) -> String {
    format!(
        r#"<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>"#
    )
}
