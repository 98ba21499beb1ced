//! Files that are broken, lie about themselves or are built to exhaust: each is refused with its
//! code, quickly, or read as if the lie were not there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::format_collect, clippy::format_push_string, reason = "documents are small")]

mod build;
mod mutation;
mod siege;

use std::time::{Duration, Instant};

use seatkeeper_domain::import::{Cell, Field, RawRow};
use seatkeeper_spreadsheet::{Limits, Reading, RejectCode, Rejection, read};

use build::{Xlsx, content_types, good_rows, ods, ods_cell, ods_of, row, workbook};

/// Longest time for an answer. Most of what a test runs is not optimized, and shares its cores.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });

/// What comes of a file; slowness is a failure.
fn outcome(bytes: &[u8]) -> Result<(Reading, Vec<RawRow>), Rejection> {
    let start = Instant::now();
    let mut rows = Vec::new();
    let reading = read(bytes, &Limits::default(), |row| rows.push(row));
    assert!(start.elapsed() < PATIENCE, "took {:?}", start.elapsed());
    reading.map(|reading| (reading, rows))
}

#[track_caller]
fn refused(what: &str, bytes: &[u8]) -> Rejection {
    match outcome(bytes) {
        Ok(_) => panic!("{what}: was read"),
        Err(rejection) => rejection,
    }
}

#[track_caller]
fn assert_refused(what: &str, bytes: &[u8], code: RejectCode) {
    assert_eq!(refused(what, bytes).code, code, "{what}");
}

#[track_caller]
fn assert_place(what: &str, bytes: &[u8], code: RejectCode, line: u32, column: &str) {
    let expected = Rejection { code, line: Some(line), column: Some(column.to_owned()) };
    assert_eq!(refused(what, bytes), expected, "{what}");
}

#[track_caller]
fn emails(bytes: &[u8]) -> Vec<String> {
    let (_, rows) = outcome(bytes).unwrap();
    rows.iter().map(|row| row.cells[Field::Email].as_text().unwrap().into_owned()).collect()
}

#[test]
fn what_no_spreadsheet_program_writes_makes_a_workbook_unreadable() {
    let rows = [
        ("row 0", r#"<row r="0"/>"#),
        ("a row beyond the last", r#"<row r="1048577"/>"#),
        ("a row number that overflows", r#"<row r="99999999999999"/>"#),
        ("rows backwards", r#"<row r="3"/><row r="2"/>"#),
        ("a row twice", r#"<row r="3"/><row r="3"/>"#),
        ("column 0", r#"<row r="3"><c r="3"><v>1</v></c></row>"#),
        ("a column beyond the last", r#"<row r="3"><c r="XFE3"><v>1</v></c></row>"#),
        ("four letters", r#"<row r="3"><c r="AAAA3"><v>1</v></c></row>"#),
        ("a cell of another row", r#"<row r="3"><c r="A4"><v>1</v></c></row>"#),
        ("a negative reference", r#"<row r="3"><c r="A-3"><v>1</v></c></row>"#),
        ("a text that is not shared", r#"<row r="3"><c r="A3" t="s"><v>2</v></c></row>"#),
        ("a negative text", r#"<row r="3"><c r="A3" t="s"><v>-1</v></c></row>"#),
        ("a text far away", r#"<row r="3"><c r="A3" t="s"><v>4294967296</v></c></row>"#),
        ("a style that is not there", r#"<row r="3"><c r="A3" s="2"><v>1</v></c></row>"#),
        ("an unknown kind", r#"<row r="3"><c r="A3" t="q"><v>1</v></c></row>"#),
        ("a number of letters", r#"<row r="3"><c r="A3"><v>abc</v></c></row>"#),
        ("an infinite number", r#"<row r="3"><c r="A3"><v>1e999</v></c></row>"#),
        ("a NUL reference", r#"<row r="3"><c t="str"><v>a&#0;b</v></c></row>"#),
        ("an escaped NUL", r#"<row r="3"><c t="str"><v>a_x0000_b</v></c></row>"#),
        ("a NUL", "<row r=\"3\"><c t=\"str\"><v>a\0b</v></c></row>"),
        ("an unknown entity", r#"<row r="3"><c t="str"><v>&lol;</v></c></row>"#),
        ("a bare ampersand", r#"<row r="3"><c t="str"><v>a & b</v></c></row>"#),
        ("half a surrogate pair", r#"<row r="3"><c t="str"><v>&#xD800;</v></c></row>"#),
        ("tags that do not match", "<row><c></row></c>"),
        ("an end too many", "</sheetData></worksheet></worksheet>"),
        ("a tag without end", "<row r=\"3\""),
        ("an attribute without quotes", "<row r=3/>"),
        ("a comment without end", "<!-- "),
        ("a section without end", "<row><c t=\"str\"><v><![CDATA[ "),
    ];
    for (what, more) in rows {
        let bytes = Xlsx::of_rows(&(good_rows() + more)).bytes();
        assert_refused(what, &bytes, RejectCode::UnreadableFile);
    }
}

#[test]
fn what_calamine_would_misread_is_refused_before_it_sees_it() {
    let cells = [
        ("an index with a space", r#"<c r="A3" t="s"><v> 1</v></c>"#),
        ("an index beyond all numbers", r#"<c r="A3" t="s"><v>99999999999999999999</v></c>"#),
        ("an index behind a comment", r#"<c r="A3" t="s"><v><!-- -->1</v></c>"#),
        ("a number in two pieces", r#"<c r="A3"><v>1<?x?>2</v></c>"#),
        ("a number in a section", r#"<c r="A3"><v><![CDATA[1]]></v></c>"#),
        ("a text in a section", r#"<c r="A3" t="str"><v><![CDATA[a@b.fr]]></v></c>"#),
        ("a style of letters", r#"<c r="A3" s="x"><v>1</v></c>"#),
        ("letters that overflow", r#"<c r="AAAAAAAAAAAA3"><v>1</v></c>"#),
        ("two references", r#"<c r="A3" r="B3"><v>1</v></c>"#),
        ("two kinds", r#"<c r="A3" t="s" t="n"><v>1</v></c>"#),
        ("a cell in a cell", r#"<c r="A3"><c r="B3"><v>1</v></c></c>"#),
        ("a value outside a cell", "<v>1</v>"),
        ("a comment that begins with its end", "<!--><c r=\"A3\"/>"),
        ("an unknown error without place", r#"<c t="e"><v>#SPILL!</v></c>"#),
    ];
    for (what, cells) in cells {
        let book = Xlsx::of_rows(&(good_rows() + &format!(r#"<row r="3">{cells}</row>"#)));
        assert_refused(what, &book.bytes(), RejectCode::UnreadableFile);
    }
    let data = format!("<sheetData>{}</sheetData>", good_rows());
    let parts = [
        ("a size backwards", format!(r#"<worksheet><dimension ref="B2:A1"/>{data}</worksheet>"#)),
        (
            "a size that overflows",
            format!(r#"<worksheet><dimension ref="A9999999999"/>{data}</worksheet>"#),
        ),
        (
            "another encoding",
            format!(r#"<?xml version="1.0" encoding="iso-2022-jp"?><worksheet>{data}</worksheet>"#),
        ),
        (
            "eight megabytes of spaces",
            format!("<worksheet>{}{data}</worksheet>", " ".repeat(9 << 20)),
        ),
        (
            "eight megabytes of a comment",
            format!("<worksheet><!--{}-->{data}</worksheet>", " ".repeat(9 << 20)),
        ),
        ("a cell of nine megabytes", {
            let runs = "<r><t>x</t></r>".repeat(9 << 16);
            format!(
                r#"<worksheet><sheetData><row><c t="inlineStr"><is>{runs}</is></c></row></sheetData></worksheet>"#
            )
        }),
    ];
    for (what, part) in parts {
        let book = Xlsx::of_rows("").with("xl/worksheets/s1.xml", part);
        assert_refused(what, &book.bytes(), RejectCode::UnreadableFile);
    }
}

#[test]
fn what_calamine_would_hold_in_memory_is_bounded() {
    let texts = "<si/>".repeat((1 << 20) + 1);
    let book = Xlsx::of_rows(&good_rows()).with("xl/strings.xml", format!("<sst>{texts}</sst>"));
    assert_refused("a million texts", &book.bytes(), RejectCode::InflatesTooLarge);
    let formats = |count: usize| {
        let formats = "<xf numFmtId=\"0\"/>".repeat(count);
        let styles = format!("<styleSheet><cellXfs>{formats}</cellXfs></styleSheet>");
        Xlsx::of_rows(&good_rows()).with("xl/styles.xml", styles).bytes()
    };
    assert_eq!(emails(&formats(65_536)), ["a@b.fr"]);
    assert_refused("formats", &formats(65_537), RejectCode::UnreadableFile);
    let sheets = r#"<sheet name="A" r:id="r1"/><sheet name="B" r:id="r1"/>"#;
    let twice = Xlsx::of_rows(&good_rows()).with("xl/workbook.xml", workbook("", sheets));
    assert_refused("a part twice", &twice.bytes(), RejectCode::UnreadableFile);
}

#[test]
fn a_number_of_shared_texts_that_is_a_lie_changes_nothing() {
    let rows = r#"<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>"#;
    for count in ["4294967295", "18446744073709551615", "99999999999999999999", "1", "-1", "x"] {
        for before in ["", "<?xml version=\"1.0\"?>\n"] {
            let filler = "<si><t>filler</t></si>".repeat(10_000);
            let texts = format!(
                r#"{before}<x:sst uniqueCount="{count}" xmlns:x="y"><x:si><x:t>email</x:t></x:si><x:si><x:t>a@b.fr</x:t></x:si>{filler}</x:sst>"#
            );
            let book = Xlsx::of_rows(rows).with("xl/strings.xml", texts);
            assert_eq!(emails(&book.bytes()), ["a@b.fr"], "{count}");
        }
    }
}

#[test]
fn errors_that_calamine_does_not_know_are_error_cells() {
    let rows = r#"<row r="3"><c r="B3" t="e"><v>#SPILL!</v></c></row><row r="4">
        <c r="A4" t="str"><v>c@d.fr</v></c><c r="B4" t="e"><v>#GETTING_DATA</v></c></row>"#;
    let (_, rows) = outcome(&Xlsx::of_rows(&(good_rows() + rows)).bytes()).unwrap();
    let lines: Vec<_> = rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3, 4]);
    assert!(rows[1].cells[Field::FirstName] == Cell::Error);
    assert!(rows[2].cells[Field::Email] == Cell::Text("c@d.fr".to_owned()));
    assert!(rows[2].cells[Field::FirstName] == Cell::Error);
}

#[test]
fn parts_are_found_by_their_links_and_sheets_by_their_place() {
    let links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let list = r#"<sheet name="Same" state="hidden" r:id="r2"/><sheet name="Same" r:id="r1"/>"#;
    let targets = format!(
        r#"<Relationships><Relationship Id="r1" Type="{links}/worksheet" Target="./worksheets/../Seite.XML"/><Relationship Id="r2" Type="{links}/worksheet" Target="worksheets/s1.xml"/></Relationships>"#
    );
    let visible = format!("<worksheet><sheetData>{}</sheetData></worksheet>", good_rows());
    let book = Xlsx::of_rows(&row(1, &["nothing"]))
        .with("xl/workbook.xml", workbook("", list))
        .with("xl/_rels/workbook.xml.rels", targets)
        .with("xl/seite.xml", visible);
    assert_eq!(emails(&book.bytes()), ["a@b.fr"]);
}

#[test]
fn parts_that_are_missing_broken_or_dangerous_make_a_workbook_unreadable() {
    let good = || Xlsx::of_rows(&good_rows());
    assert!(outcome(&good().bytes()).is_ok());
    let doctype = "<!DOCTYPE sst [<!ENTITY a \"aaaa\">]><sst/>";
    let utf_16: Vec<u8> = doctype.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = "<a>".repeat(100_000);
    let long_tag = format!("<sst a=\"{}\"/>", "x".repeat(1 << 20));
    let cases: Vec<(&str, Xlsx)> = vec![
        ("no sheet part", good().without("xl/worksheets/s1.xml")),
        ("no shared texts", good().without("xl/strings.xml")),
        ("no styles", good().without("xl/styles.xml")),
        ("no links of the workbook", good().without("xl/_rels/workbook.xml.rels")),
        ("no links of the package", good().without("_rels/.rels")),
        ("no workbook", good().without("xl/workbook.xml")),
        ("a DOCTYPE", good().with("xl/strings.xml", doctype)),
        ("a DOCTYPE in UTF-16", good().with("xl/strings.xml", utf_16)),
        ("a DOCTYPE in the sheet", good().with("xl/worksheets/s1.xml", doctype)),
        ("a DOCTYPE in the list of types", good().with("[Content_Types].xml", doctype)),
        ("deep nesting", good().with("xl/strings.xml", deep)),
        ("a tag of a megabyte", good().with("xl/strings.xml", long_tag)),
        ("no UTF-8", good().with("xl/strings.xml", b"<sst><si><t>\xff</t></si></sst>")),
        ("an empty part", good().with("xl/worksheets/s1.xml", "")),
    ];
    for (what, book) in cases {
        // An empty part holds no rows: nothing is found in it.
        assert_refused(what, &book.bytes(), RejectCode::UnreadableFile);
    }
}

#[test]
fn a_part_that_is_longer_or_shorter_than_it_declares_is_unreadable() {
    let bytes = Xlsx::of_rows(&good_rows()).bytes();
    let name = b"xl/worksheets/s1.xml";
    // The declared size stands 22 bytes before the name in the central directory's entry.
    let entry = bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    for change in [1_u32.wrapping_neg(), 1] {
        let mut lying = bytes.clone();
        let size = entry - 22..entry - 18;
        let declared = u32::from_le_bytes(lying[size.clone()].try_into().unwrap());
        lying[size].copy_from_slice(&declared.wrapping_add(change).to_le_bytes());
        assert_refused("a lying size", &lying, RejectCode::UnreadableFile);
    }
}

#[test]
fn what_is_no_plain_workbook_is_unsupported() {
    let good = || Xlsx::of_rows(&good_rows());
    let kinds = [
        "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.main",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    ];
    for kind in kinds {
        let book = good().with("[Content_Types].xml", content_types(kind, ""));
        assert_refused(kind, &book.bytes(), RejectCode::UnsupportedFormat);
    }
    let macros = good().with("xl/vbaProject.bin", "x");
    assert_refused("macros", &macros.bytes(), RejectCode::UnsupportedFormat);
    let kind = "application/vnd.ms-office.vbaProject";
    let list = content_types(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        &format!(r#"<Override PartName="/xl/other.bin" ContentType="{kind}"/>"#),
    );
    let renamed = good().with("[Content_Types].xml", list.clone()).with("xl/other.bin", "x");
    assert_refused("renamed macros", &renamed.bytes(), RejectCode::UnsupportedFormat);
    let only_a_word = good().with("[Content_Types].xml", list);
    assert_eq!(emails(&only_a_word.bytes()), ["a@b.fr"]);
    let other = build::package([("readme.txt", "x")]);
    assert_refused("any zip", &other, RejectCode::UnsupportedFormat);
    assert_refused("an empty zip", &build::package([("", ""); 0]), RejectCode::UnsupportedFormat);
}

#[test]
fn more_than_is_allowed_is_refused_where_it_stands() {
    let header = row(1, &["email", "first_name"]);
    let many = |count: u32| -> String {
        (2..count + 2).map(|line| row(line, &["a@b.fr"])).collect::<String>()
    };
    assert_eq!(emails(&Xlsx::of_rows(&(header.clone() + &many(10_000))).bytes()).len(), 10_000);
    let more = refused("rows", &Xlsx::of_rows(&(header.clone() + &many(10_001))).bytes());
    assert_eq!((more.code, more.line), (RejectCode::TooManyRows, Some(10_002)));

    let cell = |column: &str| {
        let far = format!(r#"<row r="2"><c r="{column}2"><v>1</v></c></row>"#);
        Xlsx::of_rows(&(header.clone() + &far + &row(3, &["a@b.fr"]))).bytes()
    };
    assert_eq!(emails(&cell("BL")), ["a@b.fr"]);
    assert_place("column 65", &cell("BM"), RejectCode::TooManyColumns, 2, "BM");
    let formatted = r#"<row r="2"><c r="XFD2" s="1"/><c r="XFC2" t="str"><v> </v></c></row>"#;
    let formatted = Xlsx::of_rows(&(header.clone() + formatted + &row(3, &["a@b.fr"])));
    assert_eq!(emails(&formatted.bytes()), ["a@b.fr"]);

    let long = |text: &str| Xlsx::of_rows(&(header.clone() + &row(2, &["a@b.fr", text]))).bytes();
    let (fits, over) = ("é".repeat(2048), "é".repeat(2048) + "x");
    assert_eq!(emails(&long(&format!("{}{fits}", " ".repeat(9000)))), ["a@b.fr"]);
    assert_place("a long cell", &long(&over), RejectCode::CellTooLong, 2, "B");
    assert_place("a huge cell", &long(&"x".repeat(5 << 20)), RejectCode::CellTooLong, 2, "B");
    let shared = Xlsx::of_rows(&(header + r#"<row r="2"><c r="C2" t="s"><v>0</v></c></row>"#))
        .with("xl/strings.xml", format!("<sst><si><t>{}</t></si></sst>", "x".repeat(5 << 20)));
    assert_place("a huge shared text", &shared.bytes(), RejectCode::CellTooLong, 2, "C");
}

#[test]
fn inflating_is_measured_over_the_parts_that_are_read() {
    let spaces = " ".repeat(101 << 20);
    let bomb =
        |part: &str, content: String| Xlsx::of_rows(&good_rows()).with(part, content).bytes();
    let shared = bomb("xl/strings.xml", format!("<sst>{spaces}</sst>"));
    assert_refused("spaces", &shared, RejectCode::InflatesTooLarge);
    let behind = format!("<worksheet><sheetData>{}</sheetData>{spaces}</worksheet>", good_rows());
    let behind = bomb("xl/worksheets/s1.xml", behind);
    assert_refused("spaces behind the rows", &behind, RejectCode::InflatesTooLarge);
    let texts = bomb("xl/strings.xml", format!("<sst>{}</sst>", "<si/>".repeat(21 << 20)));
    assert_refused("empty texts", &texts, RejectCode::InflatesTooLarge);
    let comment = bomb("xl/styles.xml", format!("<styleSheet><!--{spaces}--></styleSheet>"));
    assert_refused("a comment", &comment, RejectCode::InflatesTooLarge);
    let unread = Xlsx::of_sheets(&[("visible", &good_rows()), ("visible", &spaces)]);
    assert_eq!(emails(&unread.bytes()), ["a@b.fr"]);
}

#[test]
fn what_is_declared_or_merely_there_is_not_believed() {
    let empty_rows: String =
        (3..60_000).map(|line| format!(r#"<row r="{line}" s="1"/>"#)).collect();
    let sheet = format!(
        r#"<worksheet><dimension ref="A1:XFD1048576"/><sheetData>{}{empty_rows}</sheetData></worksheet>"#,
        good_rows()
    );
    let book = Xlsx::of_rows("").with("xl/worksheets/s1.xml", sheet);
    let (reading, rows) = outcome(&book.bytes()).unwrap();
    assert_eq!((reading.rows, rows.len()), (1, 1));
}

#[test]
fn hidden_sheets_are_passed_over_and_hidden_rows_are_rows() {
    let hidden = r#"<row r="3" hidden="1"><c t="s"><v>1</v></c></row>"#;
    let book = Xlsx::of_sheets(&[
        ("hidden", &good_rows()),
        ("veryHidden", &good_rows()),
        ("visible", &row(1, &["a title"])),
        ("visible", &(good_rows() + hidden)),
    ]);
    let (reading, rows) = outcome(&book.bytes()).unwrap();
    assert_eq!(reading.detected.sheet.as_deref(), Some("S4"));
    assert_eq!((reading.rows, reading.detected.hidden_rows), (2, 1));
    assert!(rows[1].hidden);
}

#[test]
fn a_header_is_looked_for_in_the_first_twenty_rows_by_number() {
    let at =
        |line: u32| Xlsx::of_rows(&(row(line, &["email"]) + &row(line + 1, &["a@b.fr"]))).bytes();
    let (reading, _) = outcome(&at(20)).unwrap();
    assert_eq!((reading.detected.header_row, reading.detected.rows_above), (Some(20), 19));
    assert_refused("row 21", &at(21), RejectCode::EmailColumnMissing);
    assert_refused("no value at all", &Xlsx::of_rows("").bytes(), RejectCode::UnreadableFile);
}

#[test]
fn values_are_read_by_their_kind() {
    let header = row(1, &["email", "start_on", "notify", "external_id", "labels", "groups"]);
    let rows = r#"<row><c t="str"><f>A1</f><v>a@b.fr</v></c><c s="1"><v>44985.5</v></c>
        <c t="b"><v>1</v></c><c s="0"><v>3.3698765432101E13</v></c><c t="e"><v>#N/A</v></c>
        <c t="inlineStr"><is><r><t>Pa</t></r><r><t>ris</t></r><rPh><t>x</t></rPh></is></c></row>"#;
    let sheets = r#"<sheet name="S" sheetId="1" r:id="r1"/>"#;
    let book = Xlsx::of_rows(&(header + rows))
        .with("xl/workbook.xml", workbook(r#"date1904="1""#, sheets));
    let (_, rows) = outcome(&book.bytes()).unwrap();
    let cells = &rows[0].cells;
    assert!(cells[Field::Email] == Cell::Text("a@b.fr".to_owned()));
    assert!(cells[Field::StartOn] == Cell::Date(jiff::civil::date(2027, 3, 1)));
    assert!(cells[Field::Notify] == Cell::Bool(true));
    assert!(cells[Field::ExternalId] == Cell::Number("33698765432101".to_owned()));
    assert!(cells[Field::Labels] == Cell::Error);
    assert!(cells[Field::Groups] == Cell::Text("Paris".to_owned()));
}

#[test]
fn an_ods_is_read_under_the_same_limits() {
    let header = format!("<table:table-row>{}</table:table-row>", ods_cell("", "email"));
    let table =
        |rows: &str| ods(&format!(r#"<table:table table:name="T">{header}{rows}</table:table>"#));
    let good = ods_cell("", "a@b.fr");
    let row = |attributes: &str, cells: &str| {
        format!("<table:table-row {attributes}>{cells}</table:table-row>")
    };
    let gap = row(r#"table:number-rows-repeated="1048000""#, "<table:table-cell/>");
    let (_, rows) = outcome(&table(&(gap + &row("", &good)))).unwrap();
    assert_eq!(rows[0].line, 1_048_002);
    let wide = r#"<table:table-cell table:number-columns-repeated="4294967296"/>"#;
    assert_eq!(emails(&table(&row("", &format!("{good}{wide}")))), ["a@b.fr"]);

    let repeated = row(r#"table:number-rows-repeated="1048000""#, &good);
    assert_refused("repeated rows", &table(&repeated), RejectCode::TooManyRows);
    let beyond = row(r#"table:number-rows-repeated="4294967295""#, &good);
    assert_refused("rows beyond the last", &table(&beyond), RejectCode::UnreadableFile);
    let columns = row("", &ods_cell(r#"table:number-columns-repeated="16384""#, "x"));
    assert_place("repeated columns", &table(&columns), RejectCode::TooManyColumns, 2, "BM");
    let spaces = row("", &ods_cell("", r#"a<text:s text:c="4000000000"/>b"#));
    assert_place("spaces by count", &table(&spaces), RejectCode::CellTooLong, 2, "A");
    let zero = row(r#"table:number-rows-repeated="0""#, &good);
    assert_refused("repeated never", &table(&zero), RejectCode::UnreadableFile);
    let number = r#"<table:table-cell office:value-type="float" office:value="x"/>"#;
    assert_refused("no number", &table(&row("", number)), RejectCode::UnreadableFile);
}

#[test]
fn an_ods_with_macros_a_password_or_of_another_kind_is_refused() {
    let table = format!(
        r#"<table:table table:name="T"><table:table-row>{}</table:table-row></table:table>"#,
        ods_cell("", "a@b.fr")
    );
    let kind = "application/vnd.oasis.opendocument.spreadsheet";
    assert_eq!(emails(&ods_of(kind, &table, &[])), ["a@b.fr"]);
    let macros = ods_of(kind, &table, &[("Basic/Standard/Module1.xml", "<a/>")]);
    assert_refused("macros", &macros, RejectCode::UnsupportedFormat);
    let manifest = "<m:manifest><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>";
    let locked = ods_of(kind, &table, &[("META-INF/manifest.xml", manifest)]);
    assert_refused("a password", &locked, RejectCode::EncryptedFile);
    for other in ["application/vnd.oasis.opendocument.text", &format!("{kind}-template")] {
        assert_refused(other, &ods_of(other, &table, &[]), RejectCode::UnsupportedFormat);
    }
}

#[test]
fn an_ods_cell_has_its_own_text_and_a_hidden_sheet_is_passed_over() {
    let cells = ods_cell("", "email") + &ods_cell("", "labels") + &ods_cell("", "notify");
    let text =
        r#"<text:span>a</text:span><text:s text:c="2"/>b</text:p><text:p>c<text:line-break/>d"#;
    let comment = r#"<table:table-cell office:value-type="string"><office:annotation><text:p>no</text:p></office:annotation><text:p><text:a>a@b.fr</text:a></text:p></table:table-cell>"#;
    let truth = r#"<table:table-cell office:value-type="boolean" office:boolean-value="true"/>"#;
    let rows = format!(
        r#"<table:table-header-rows><table:table-row>{cells}</table:table-row></table:table-header-rows><table:table-row table:visibility="filter">{comment}{}{truth}</table:table-row>"#,
        ods_cell("", text)
    );
    let hidden = format!(
        r#"<table:table table:name="H" table:style-name="hidden"><table:table-row>{}</table:table-row></table:table>"#,
        ods_cell("", "email")
    );
    let shown = format!(r#"{hidden}<table:table table:name="T">{rows}</table:table>"#);
    let (reading, rows) = outcome(&ods(&shown)).unwrap();
    assert_eq!(reading.detected.sheet.as_deref(), Some("T"));
    assert_eq!(reading.detected.hidden_rows, 1);
    assert!(rows[0].cells[Field::Email] == Cell::Text("a@b.fr".to_owned()));
    assert!(rows[0].cells[Field::Labels] == Cell::Text("a  b\nc\nd".to_owned()));
    assert!(rows[0].cells[Field::Notify] == Cell::Bool(true));
}

#[test]
fn text_is_read_under_the_same_limits() {
    let many = "a@b.fr\n".repeat(10_001);
    let more = refused("rows", format!("email\n{many}").as_bytes());
    assert_eq!((more.code, more.line), (RejectCode::TooManyRows, Some(10_002)));
    let wide = format!("email{}x\n", ",".repeat(64));
    assert_place("columns", wide.as_bytes(), RejectCode::TooManyColumns, 1, "BM");
    let empty = format!("email{}\na@b.fr{}\n", ",".repeat(500), ",".repeat(500));
    assert_eq!(emails(empty.as_bytes()), ["a@b.fr"]);
    let long = format!("email,first_name\na@b.fr,{}\n", "x".repeat(4097));
    assert_place("a cell", long.as_bytes(), RejectCode::CellTooLong, 2, "B");
    assert_refused("a NUL", b"email\na@b.fr\0\n", RejectCode::UnreadableFile);
    assert_refused("only blanks", b" \r\n\t\n", RejectCode::UnreadableFile);
    assert_refused("open quotes", b"email\n\"a@b.fr\nc@d.fr\n", RejectCode::UnreadableFile);
    let quotes = format!("email\n{}", "\"\n".repeat(4 << 20));
    assert_eq!(emails(quotes.as_bytes()), [""; 0]);
    assert_refused("no address", b"name;age\nAnn;3\n", RejectCode::EmailColumnMissing);
    assert_refused("half a list", b"a@b.fr\nAnn\n", RejectCode::EmailColumnMissing);
}

#[test]
fn a_raised_limit_lets_more_rows_in() {
    let many = format!("email\n{}", "a@b.fr\n".repeat(20_000));
    let limits = Limits { max_rows: 100_000, ..Limits::default() };
    assert_eq!(read(many.as_bytes(), &limits, |_| {}).unwrap().rows, 20_000);
}
