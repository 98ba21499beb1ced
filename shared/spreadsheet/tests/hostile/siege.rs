//! Every kind of attack on its own: refused with its code, within a measured time and a measured
//! amount of memory, and the process reads on.

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use seatkeeper_spreadsheet::{Limits, RejectCode, read};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::build::{Xlsx, content_types, good_rows, ods, ods_cell, ods_of, package, row, workbook};

/// Most time of the processor for an answer, and most memory of the whole process.
const MOST_SECONDS: f64 = 2.0;
const MOST_KIB: u64 = 128 * 1024;
/// What a good file is here.
const GOOD: &[u8] = b"email\na@b.fr\n";

/// An attack: what it is, its file, the code it is refused with.
type Attack = (&'static str, Vec<u8>, RejectCode);

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples"));
    fs::read(folder.join(name)).unwrap()
}

fn good() -> Xlsx {
    Xlsx::of_rows(&good_rows())
}

fn with(part: &str, content: impl Into<Vec<u8>>) -> Vec<u8> {
    good().with(part, content).bytes()
}

fn with_rows(more: &str) -> Vec<u8> {
    Xlsx::of_rows(&(good_rows() + more)).bytes()
}

fn sheet(content: &str) -> Vec<u8> {
    with("xl/worksheets/s1.xml", content.to_owned())
}

const STRINGS: &str = "xl/strings.xml";

/// What inflates to far more than it is.
fn bombs() -> Vec<Attack> {
    let spaces = " ".repeat(101 << 20);
    let data = format!("<worksheet><sheetData>{}</sheetData>", good_rows());
    let megabyte = format!("<worksheet>{}</worksheet>", " ".repeat(1 << 20));
    let bomb = RejectCode::InflatesTooLarge;
    let kind = "application/vnd.oasis.opendocument.spreadsheet";
    vec![
        ("spaces", with(STRINGS, format!("<sst>{spaces}</sst>")), bomb),
        ("spaces behind the rows", sheet(&format!("{data}{spaces}</worksheet>")), bomb),
        ("spaces in the list of types", with("[Content_Types].xml", spaces.clone()), bomb),
        ("spaces in the links", with("_rels/.rels", spaces.clone()), bomb),
        (
            "a comment",
            with("xl/styles.xml", format!("<styleSheet><!--{spaces}--></styleSheet>")),
            bomb,
        ),
        (
            "empty shared texts",
            with(STRINGS, format!("<sst>{}</sst>", "<si/>".repeat(21 << 20))),
            bomb,
        ),
        (
            "a million shared texts",
            with(STRINGS, format!("<sst>{}</sst>", "<si/>".repeat((1 << 20) + 1))),
            bomb,
        ),
        (
            "empty rows",
            sheet(&format!(
                "<worksheet><sheetData>{}{}</sheetData></worksheet>",
                row(1, &["email"]),
                "<row/>".repeat(1_048_576)
            )),
            RejectCode::UnreadableFile,
        ),
        (
            "empty cells",
            sheet(&format!(
                "<worksheet><sheetData>{}<row>{}</row></sheetData></worksheet>",
                row(1, &["email"]),
                "<c/>".repeat(26 << 20)
            )),
            RejectCode::UnreadableFile,
        ),
        ("many sheets", many_sheets(&megabyte, false), bomb),
        ("many names of one sheet", many_sheets(&megabyte, true), bomb),
        ("an ods of spaces", ods(&spaces), bomb),
        (
            "an ods with a manifest of spaces",
            ods_of(kind, "", &[("META-INF/manifest.xml", &spaces)]),
            bomb,
        ),
    ]
}

/// A hundred and ten sheets of a megabyte; as one compressed piece if it is shared.
fn many_sheets(part: &str, is_shared: bool) -> Vec<u8> {
    let sheet = |number: u32| format!(r#"<sheet name="S{number}" r:id="r{number}"/>"#);
    let link = |number: u32| {
        format!(r#"<Relationship Id="r{number}" Type="x/worksheet" Target="w{number}.xml"/>"#)
    };
    let (sheets, links): (String, String) = (0..110).map(|n| (sheet(n), link(n))).unzip();
    let root = r#"<Relationships><Relationship Id="r" Type="x/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    let plain = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";
    let parts = [
        ("[Content_Types].xml", content_types(plain, "")),
        ("_rels/.rels", root.to_owned()),
        ("xl/workbook.xml", workbook("", &sheets)),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships>{links}</Relationships>")),
        ("xl/w0.xml", part.to_owned()),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    for number in 1..110 {
        let name = format!("xl/w{number}.xml");
        if is_shared {
            zip.shallow_copy_file("xl/w0.xml", &name).unwrap();
        } else {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(part.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// What says something of itself that is not so.
fn lies() -> Vec<Attack> {
    let broken = RejectCode::UnreadableFile;
    let far = |cell: &str| with_rows(&format!(r#"<row r="3"><c r="{cell}"><v>1</v></c></row>"#));
    let last = r#"<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#;
    let inner = good().bytes();
    vec![
        ("a part that is longer than it says", resized(|size| size - 1), broken),
        ("a part that is shorter than it says", resized(|size| size + 1), broken),
        ("a part that says it is four gigabytes", resized(|_| u32::MAX - 1), broken),
        ("a part that says it is empty", resized(|_| 0), broken),
        ("the far corner", with_rows(last), RejectCode::TooManyColumns),
        ("a row beyond the last", far("A1048577"), broken),
        ("a column beyond the last", far("XFE3"), broken),
        ("a reference that overflows", far("AAAAAAAAAAAAAAAAAAAA3"), broken),
        (
            "a shared text that is not there",
            with_rows(r#"<row r="3"><c t="s"><v>4294967295</v></c></row>"#),
            broken,
        ),
        (
            "a style that is not there",
            with_rows(r#"<row r="3"><c s="4294967295"><v>1</v></c></row>"#),
            broken,
        ),
        (
            "a size that overflows",
            sheet(r#"<worksheet><dimension ref="A1:XFD99999999999"/><sheetData/></worksheet>"#),
            broken,
        ),
        ("rows backwards", with_rows(r#"<row r="9"/><row r="8"/>"#), broken),
        ("a sheet that is a workbook", with("xl/worksheets/s1.xml", inner.clone()), broken),
        ("a zip of a workbook", package([("book.xlsx", &inner)]), RejectCode::UnsupportedFormat),
        (
            "a sheet listed twice",
            with(
                "xl/workbook.xml",
                workbook("", r#"<sheet name="A" r:id="r1"/><sheet name="B" r:id="r1"/>"#),
            ),
            broken,
        ),
    ]
}

/// The workbook with another declared size of its sheet.
fn resized(size: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut bytes = good().bytes();
    let name = b"xl/worksheets/s1.xml";
    let entry = bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    let declared = u32::from_le_bytes(bytes[entry - 22..entry - 18].try_into().unwrap());
    bytes[entry - 22..entry - 18].copy_from_slice(&size(declared).to_le_bytes());
    bytes
}

/// What makes parsers of XML work, hold or fetch.
fn documents() -> Vec<Attack> {
    let broken = RejectCode::UnreadableFile;
    let laughs = r#"<!DOCTYPE sst [<!ENTITY a "lollollol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><sst><si><t>&c;</t></si></sst>"#;
    let outside =
        r#"<!DOCTYPE sst [<!ENTITY a SYSTEM "file:///etc/passwd">]><sst><si><t>&a;</t></si></sst>"#;
    let parameter = r#"<!DOCTYPE sst [<!ENTITY % a SYSTEM "http://127.0.0.1/a.dtd"> %a;]><sst/>"#;
    let quadratic = format!(
        r#"<!DOCTYPE sst [<!ENTITY a "{}">]><sst><si><t>{}</t></si></sst>"#,
        "a".repeat(50_000),
        "&a;".repeat(50_000)
    );
    let wide: Vec<u8> = laughs.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let attributes = " a=\"\"".repeat(10_000);
    let attributes = format!("<row{attributes}/>").repeat(1_500);
    let ods_doctype =
        [("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", laughs)];
    vec![
        ("a billion laughs", with(STRINGS, laughs), broken),
        ("a billion laughs in UTF-16", with(STRINGS, wide), broken),
        ("a billion laughs in the workbook", with("xl/workbook.xml", laughs), broken),
        ("a billion laughs in the styles", with("xl/styles.xml", laughs), broken),
        ("a billion laughs in an ods", package(ods_doctype), broken),
        ("an entity of a file", with(STRINGS, outside), broken),
        ("an entity of the network", with(STRINGS, parameter), broken),
        ("an entity that grows by squares", with(STRINGS, quadratic), broken),
        (
            "an entity that nobody declared",
            with_rows(r#"<row><c t="str"><v>&lol;</v></c></row>"#),
            broken,
        ),
        ("attributes by the thousand", with_rows(&(attributes + "<row r=\"1\"/>")), broken),
        (
            "a tag of a megabyte",
            with(STRINGS, format!("<sst a=\"{}\"/>", "x".repeat(1 << 20))),
            broken,
        ),
        ("a tag without end", with_rows(&format!("<row {}", "a ".repeat(4 << 20))), broken),
        ("elements within elements", with(STRINGS, "<a>".repeat(1 << 20)), broken),
        ("elements within elements of an ods", ods(&"<a>".repeat(1 << 20)), broken),
        ("ends without beginnings", with(STRINGS, "</a>".repeat(1 << 20)), broken),
        (
            "a cell of nine megabytes",
            with_rows(&format!(
                r#"<row><c t="inlineStr"><is>{}</is></c></row>"#,
                "<r><t>x</t></r>".repeat(9 << 16)
            )),
            broken,
        ),
        (
            "a text of fifty megabytes",
            with_rows(&format!(
                r#"<row r="3"><c t="str"><v>{}</v></c></row>"#,
                "x".repeat(50 << 20)
            )),
            broken,
        ),
        ("a NUL", with_rows("<row><c t=\"str\"><v>a\0b</v></c></row>"), broken),
        ("a NUL by its number", with_rows(r#"<row><c t="str"><v>a&#0;b</v></c></row>"#), broken),
        ("a NUL by its escape", with_rows(r#"<row><c t="str"><v>a_x0000_b</v></c></row>"#), broken),
    ]
}

/// What is too much of something allowed.
fn masses() -> Vec<Attack> {
    let header = row(1, &["email", "first_name"]);
    let many: String = (2..10_003).map(|line| row(line, &["a@b.fr"])).collect();
    let text = |text: String| text.into_bytes();
    let table = |rows: &str| {
        let header = ods_cell("", "email");
        ods(&format!(
            r#"<table:table table:name="T"><table:table-row>{header}</table:table-row>{rows}</table:table>"#
        ))
    };
    let repeated = |attributes: &str, cells: &str| {
        table(&format!("<table:table-row {attributes}>{cells}</table:table-row>"))
    };
    let (rows, good) = ("table:number-rows-repeated", ods_cell("", "a@b.fr"));
    vec![
        ("eleven megabytes", vec![b'a'; 11 << 20], RejectCode::FileTooLarge),
        (
            "too many rows",
            Xlsx::of_rows(&(header.clone() + &many)).bytes(),
            RejectCode::TooManyRows,
        ),
        (
            "too many rows of text",
            text(format!("email\n{}", "a@b.fr\n".repeat(10_001))),
            RejectCode::TooManyRows,
        ),
        (
            "too many columns of text",
            text(format!("email{}x\n", ",".repeat(9 << 20))),
            RejectCode::TooManyColumns,
        ),
        (
            "a line of nine megabytes",
            text(format!("email\n{}\n", "a".repeat(9 << 20))),
            RejectCode::CellTooLong,
        ),
        (
            "a record of nine megabytes",
            text(format!("email\n\"{}\"\n", "a\n".repeat(9 << 19))),
            RejectCode::CellTooLong,
        ),
        (
            "quotes that nothing closes",
            text(format!("email\n\"{}", "a\n".repeat(9 << 19))),
            RejectCode::UnreadableFile,
        ),
        ("nothing but line breaks", vec![b'\n'; 10 << 20], RejectCode::UnreadableFile),
        ("nothing but separators", vec![b';'; 10 << 20], RejectCode::UnreadableFile),
        ("a NUL in text", b"email\na@b.fr\0\n".to_vec(), RejectCode::UnreadableFile),
        ("nothing but NULs", vec![0; 10 << 20], RejectCode::UnreadableFile),
        ("half of a surrogate pair", b"\xff\xfee\0\x00\xd8".to_vec(), RejectCode::UnreadableFile),
        ("nothing at all", Vec::new(), RejectCode::UnreadableFile),
        (
            "a cell of five megabytes",
            Xlsx::of_rows(&(header + &row(2, &["a@b.fr", &"x".repeat(5 << 20)]))).bytes(),
            RejectCode::CellTooLong,
        ),
        (
            "a row a million times",
            repeated(&format!(r#"{rows}="1048000""#), &good),
            RejectCode::TooManyRows,
        ),
        (
            "a row four billion times",
            repeated(&format!(r#"{rows}="4294967295""#), &good),
            RejectCode::UnreadableFile,
        ),
        ("a row never", repeated(&format!(r#"{rows}="0""#), &good), RejectCode::UnreadableFile),
        (
            "a cell sixteen thousand times",
            repeated("", &ods_cell(r#"table:number-columns-repeated="16384""#, "x")),
            RejectCode::TooManyColumns,
        ),
        (
            "spaces by their number",
            repeated("", &ods_cell("", r#"a<text:s text:c="4000000000"/>b"#)),
            RejectCode::CellTooLong,
        ),
    ]
}

/// What is something else, locked or damaged.
fn strangers() -> Vec<Attack> {
    let foreign = RejectCode::UnsupportedFormat;
    let (locked, broken) = (RejectCode::EncryptedFile, RejectCode::UnreadableFile);
    let macros = "application/vnd.ms-excel.sheet.macroEnabled.main+xml";
    let binary = "application/vnd.ms-excel.sheet.binary.macroEnabled.main";
    let kind = "application/vnd.oasis.opendocument.spreadsheet";
    let manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>";
    let mut sealed = good().bytes();
    // The bit of a part that is encrypted, in both places that have it.
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let places: Vec<_> =
            (0..sealed.len() - 4).filter(|at| sealed[*at..].starts_with(signature)).collect();
        for at in places {
            sealed[at + flags] |= 1;
        }
    }
    let old = sample("fr_ancien.xls");
    let (mut looping, mut lost) = (old.clone(), old.clone());
    // The first sector of the table of sectors, each following itself; a directory behind the end.
    let table = 512 * (u32::from_le_bytes(old[76..80].try_into().unwrap()) as usize + 1);
    for (next, sector) in (0_u32..128).zip(looping[table..table + 512].chunks_exact_mut(4)) {
        sector.copy_from_slice(&next.to_le_bytes());
    }
    lost[48..52].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    vec![
        ("macros", with("[Content_Types].xml", content_types(macros, "")), foreign),
        ("a binary workbook", with("[Content_Types].xml", content_types(binary, "")), foreign),
        ("macros in a part", with("xl/vbaProject.bin", "x"), foreign),
        ("macros in an ods", ods_of(kind, "", &[("Basic/Standard/Module1.xml", "<a/>")]), foreign),
        ("a page", b"<html><table><tr><td>email</td></tr></table></html>".to_vec(), foreign),
        ("a workbook of XML", b"<?xml version=\"1.0\"?><Workbook/>".to_vec(), foreign),
        ("a document to print", b"%PDF-1.7\n".to_vec(), foreign),
        ("a picture", sample("hostile_png.xlsx"), foreign),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0".repeat(1000), foreign),
        ("a password", sample("hostile_encrypted.xlsx"), locked),
        ("a password of the zip", sealed, locked),
        ("a password of an ods", ods_of(kind, "", &[("META-INF/manifest.xml", manifest)]), locked),
        ("half a workbook", sample("hostile_truncated.xlsx"), broken),
        ("half an old workbook", old[..old.len() / 2].to_vec(), broken),
        ("an old workbook that goes round", looping, broken),
        ("an old workbook with its directory elsewhere", lost, broken),
    ]
}

fn attacks() -> Vec<Attack> {
    [bombs(), lies(), documents(), masses(), strangers()].concat()
}

/// What a process of its own says of a file: the code, the seconds of the processor it took, the
/// most memory that the process held, in KiB.
fn judged(bytes: &[u8]) -> (String, f64, u64) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "siege::judge_one", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the process lives on");
    let told = String::from_utf8(output.stdout).unwrap();
    let told = told.lines().find_map(|line| line.split_once("judged: ")).unwrap().1;
    let [code, seconds, kib] = told.split(' ').collect::<Vec<_>>().try_into().unwrap();
    (code.to_owned(), seconds.parse().unwrap(), kib.parse().unwrap())
}

/// Nanoseconds that this thread has had a processor.
fn on_processor() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap()
}

#[test]
#[ignore = "the other tests run it, in a process of its own"]
fn judge_one() {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).unwrap();
    let start = on_processor();
    let code = match read(&bytes, &Limits::default(), |_| {}) {
        Ok(_) => "read",
        Err(rejection) => rejection.code.as_str(),
    };
    let seconds = (on_processor() - start) / 1e9;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("judged: {code} {seconds} {}", peak.trim().trim_end_matches(" kB"));
    assert_eq!(read(GOOD, &Limits::default(), |_| {}).unwrap().rows, 1, "the next file is read");
}

#[test]
fn every_attack_is_refused_with_its_code_in_two_seconds_and_128_mebibytes() {
    let attacks = attacks();
    assert!(attacks.len() >= 40, "only {} attacks", attacks.len());
    for (what, bytes, code) in &attacks {
        let (found, seconds, kib) = judged(bytes);
        println!("{what}: {found}, {seconds:.3} s, {} MiB", kib / 1024);
        assert_eq!(found, code.as_str(), "{what}");
        assert!(seconds < MOST_SECONDS, "{what} took {seconds} s");
        assert!(kib < MOST_KIB, "{what} took {kib} KiB");
    }
}

#[test]
fn a_workbook_that_is_cut_at_any_kibibyte_is_unreadable() {
    for name in ["fr_ordinaire.xlsx", "thousand_rows.xlsx", "fr_libreoffice.ods", "fr_ancien.xls"] {
        let bytes = sample(name);
        for length in (1024..bytes.len()).step_by(1024) {
            let code = read(&bytes[..length], &Limits::default(), |_| {}).map_err(|r| r.code);
            assert_eq!(code.err(), Some(RejectCode::UnreadableFile), "{name} at {length}");
        }
    }
}
