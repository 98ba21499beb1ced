//! What is written in any format is what is read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod write;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use jiff::ToSpan as _;
use jiff::civil::date;
use proptest::prelude::*;
use seatkeeper_domain::import::{Cell, Field, RawRow};
use seatkeeper_spreadsheet::{Limits, read};

use write::Title;

/// The columns that are written, in order. The last one means nothing to an import.
const COLUMNS: [(&str, Option<Field>); 8] = [
    ("Courriel", Some(Field::Email)),
    ("Prénom", Some(Field::FirstName)),
    ("Date de début", Some(Field::StartOn)),
    ("Notify", Some(Field::Notify)),
    ("Matricule", Some(Field::ExternalId)),
    ("Étiquettes", Some(Field::Labels)),
    ("Comments", Some(Field::AdditionalInfo)),
    ("Service", None),
];

/// A row as it is written and has to be read.
type Line = Vec<Cell>;

/// Texts as a workbook may hold them, nothing invisible around them.
fn text() -> impl Strategy<Value = Cell> {
    let pieces = prop_oneof![
        "[a-zA-Z0-9 éß€😀&<>\"'_;,|\n\t=+@.-]{1,12}",
        Just("_x000D_".to_owned()),
        Just("&amp;&#65;".to_owned()),
        Just("a\u{a0}b".to_owned()),
    ];
    prop::collection::vec(pieces, 1..3)
        .prop_map(|pieces| pieces.concat().trim().to_owned())
        .prop_filter("nothing to see", |text| !text.is_empty())
        .prop_map(Cell::Text)
}

fn number() -> impl Strategy<Value = Cell> {
    prop_oneof![
        (0_u64..1_000_000_000_000_000).prop_map(|number| number.to_string()),
        (-1e9_f64..1e9).prop_map(|number| number.to_string()),
    ]
    .prop_map(Cell::Number)
}

fn cell() -> impl Strategy<Value = Cell> {
    let day = (0_i64..2_000_000).prop_map(|days| Cell::Date(date(1900, 3, 1) + days.days()));
    prop_oneof![
        3 => text(),
        2 => number(),
        2 => day,
        1 => any::<bool>().prop_map(Cell::Bool),
        1 => Just(Cell::Error),
        2 => Just(Cell::Blank),
    ]
}

fn lines(cell: impl Strategy<Value = Cell> + 'static) -> impl Strategy<Value = Vec<Line>> {
    let row = (text(), prop::collection::vec(cell, COLUMNS.len() - 1));
    let row = row.prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect());
    prop::collection::vec(row, 0..12)
}

/// Everything that was read of a file, line by line.
fn rows(bytes: &[u8]) -> (Vec<Line>, Vec<RawRow>) {
    let mut rows = Vec::new();
    read(bytes, &Limits::default(), |row| rows.push(row)).unwrap();
    let line = |row: &RawRow| {
        let cell = |(_, field): &(&str, Option<Field>)| match field {
            Some(field) => row.cells[*field].clone(),
            None => row.ignored[0].clone(),
        };
        COLUMNS.iter().map(cell).collect()
    };
    (rows.iter().map(line).collect(), rows)
}

/// Compares without showing a cell's content as `Debug` would not.
#[track_caller]
fn assert_same(written: &[Line], read: &[Line], what: &str) {
    assert_eq!(read.len(), written.len(), "{what}: rows");
    for (number, (written, read)) in written.iter().zip(read).enumerate() {
        for (column, (written, read)) in written.iter().zip(read).enumerate() {
            let (was, is) = (written.as_text(), read.as_text());
            assert!(written == read, "{what}: row {number}, column {column}: {was:?}, now {is:?}");
        }
    }
}

/// Texts of a csv file: any, but no carriage return alone, which nobody's file keeps.
fn csv_lines() -> impl Strategy<Value = Vec<Line>> {
    lines(prop_oneof![4 => text(), 1 => Just(Cell::Blank)])
}

fn separators() -> impl Strategy<Value = char> {
    prop::sample::select(vec![',', ';', '\t', '|'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_xlsx_reads_back(lines in lines(cell())) {
        let bytes = write::xlsx(&lines, Title::None);
        assert_same(&lines, &rows(&bytes).0, "xlsx");
    }

    #[test]
    fn a_workbook_is_the_same_to_calamine_as_to_us(lines in lines(cell())) {
        // A title of two runs has calamine read the sheet, a plain one has it read by us.
        let (ours, _) = rows(&write::xlsx(&lines, Title::Plain));
        let (theirs, _) = rows(&write::xlsx(&lines, Title::Rich));
        assert_same(&lines, &ours, "plain");
        assert_same(&lines, &theirs, "rich");
    }

    #[test]
    fn a_workbook_that_is_not_plain_further_down_reads_back_whole(
        lines in lines(cell()), place in any::<prop::sample::Index>()
    ) {
        prop_assume!(!lines.is_empty());
        let mut lines = lines;
        let place = place.index(lines.len());
        lines[place][1] = Cell::Text("_x000D_".to_owned());
        let (read, rows) = rows(&write::xlsx(&lines, Title::None));
        assert_same(&lines, &read, "xlsx");
        let numbers: Vec<_> = rows.iter().map(|row| row.line as usize).collect();
        prop_assert_eq!(numbers, (2..lines.len() + 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_ods_reads_back(lines in lines(cell())) {
        assert_same(&lines, &rows(&write::ods(&lines)).0, "ods");
    }

    #[test]
    fn an_xls_reads_back(lines in lines(cell())) {
        assert_same(&lines, &rows(&write::xls(&lines)).0, "xls");
    }

    #[test]
    fn a_csv_reads_back_in_every_unicode_encoding_and_with_every_separator(
        lines in csv_lines(), separator in separators(), declared in any::<bool>()
    ) {
        for (encoding, marked) in [
            (UTF_8, false), (UTF_8, true), (UTF_16LE, true), (UTF_16BE, true),
        ] {
            let text = write::csv(&lines, separator, declared);
            let bytes = write::encoded(&text, encoding, marked);
            let what = format!("{} by {separator:?}", encoding.name());
            assert_same(&lines, &rows(&bytes).0, &what);
        }
    }

    #[test]
    fn a_western_csv_reads_back_without_a_mark(
        lines in prop::collection::vec(prop::sample::select(FRENCH.to_vec()), 1..40),
        separator in separators()
    ) {
        // An encoding that nothing declares is judged by the words: they have to be some.
        let lines: Vec<Line> = lines.chunks(COLUMNS.len()).map(|words| {
            let cell = |column: usize| Cell::Text((*words.get(column).unwrap_or(&"été")).to_owned());
            (0..COLUMNS.len()).map(cell).collect()
        }).collect();
        for encoding in [WINDOWS_1252, UTF_16LE, UTF_16BE] {
            let bytes = write::encoded(&write::csv(&lines, separator, false), encoding, false);
            assert_same(&lines, &rows(&bytes).0, encoding.name());
            prop_assert_eq!(label(&bytes), encoding.name().to_ascii_lowercase());
        }
    }
}

fn label(bytes: &[u8]) -> String {
    read(bytes, &Limits::default(), |_| {}).unwrap().detected.encoding.unwrap()
}

const FRENCH: [&str; 12] = [
    "Élodie Lefèvre",
    "équipe de nuit",
    "à compter du début",
    "François",
    "Région Nord; groupe été",
    "déjà formée",
    "Noël, Côté",
    "n° 12 – œuvre",
    "zoe@exemple.fr",
    "Garçon d’étage",
    "où ça ?",
    "coût : 3 €",
];

#[test]
fn encodings_are_those_that_the_reader_names() {
    let expected: [&Encoding; 4] = [UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252];
    let names = expected.map(|encoding| encoding.name().to_ascii_lowercase());
    assert_eq!(names, ["utf-8", "utf-16le", "utf-16be", "windows-1252"]);
}
