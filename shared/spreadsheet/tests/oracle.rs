//! Another reader of ods and xls files, calamine, sees the same cells in the samples.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::path::Path;

use calamine::{Data, Reader as _, Sheets, open_workbook_auto_from_rs};
use seatkeeper_domain::import::{Cell, Detected, RawRow, trim_invisible};
use seatkeeper_spreadsheet::{Limits, read};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples"))
}

/// The cells of a row by heading.
fn cells<'r>(detected: &'r Detected, row: &'r RawRow) -> impl Iterator<Item = (&'r str, &'r Cell)> {
    let mut ignored = row.ignored.iter();
    detected.columns.iter().map(move |column| {
        let cell = match column.field {
            Some(field) => &row.cells[field],
            None => ignored.next().unwrap(),
        };
        (column.heading.as_str(), cell)
    })
}

#[track_caller]
fn assert_same(ours: &Cell, theirs: Option<&Data>, place: &str) {
    let same = match (ours, theirs.unwrap_or(&Data::Empty)) {
        (Cell::Blank, Data::Empty) | (Cell::Error, Data::Error(_)) => true,
        (Cell::Blank, Data::String(text)) => trim_invisible(text).is_empty(),
        (Cell::Text(ours), Data::String(theirs)) => ours == trim_invisible(theirs),
        (Cell::Number(ours), Data::Float(theirs)) => *ours == theirs.to_string(),
        (Cell::Number(ours), Data::Int(theirs)) => *ours == theirs.to_string(),
        (Cell::Date(ours), Data::DateTimeIso(theirs)) => theirs.starts_with(&ours.to_string()),
        (Cell::Date(ours), Data::DateTime(theirs)) => {
            let (year, month, day, ..) = theirs.to_ymd_hms_milli();
            ours.to_string() == format!("{year:04}-{month:02}-{day:02}")
        }
        (Cell::Bool(ours), Data::Bool(theirs)) => ours == theirs,
        _ => false,
    };
    assert!(same, "{place}: {ours:?}, {theirs:?}");
}

fn assert_same_cells(file: &str) {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    let mut rows = Vec::new();
    let detected = read(&bytes, &Limits::default(), |row| rows.push(row)).unwrap().detected;
    let mut workbook: Sheets<_> = open_workbook_auto_from_rs(Cursor::new(bytes)).unwrap();
    let range = workbook.worksheet_range(detected.sheet.as_deref().unwrap()).unwrap();
    let header_row = detected.header_row.unwrap() - 1;
    let heading = |column: u32| match range.get_value((header_row, column)) {
        Some(Data::String(heading)) => trim_invisible(heading).to_owned(),
        _ => String::new(),
    };
    let headings: Vec<String> = (0..64).map(heading).collect();
    assert!(!rows.is_empty(), "{file}");
    for row in &rows {
        for (heading, cell) in cells(&detected, row) {
            let column = headings.iter().position(|known| known == heading).unwrap();
            let theirs = range.get_value((row.line - 1, u32::try_from(column).unwrap()));
            assert_same(cell, theirs, &format!("{file}, line {}, {heading}", row.line));
        }
    }
}

#[test]
fn calamine_sees_the_same_cells_in_every_good_ods_and_xls_sample() {
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The cells of xlsx files are calamine's own.
        let is_ours = [".ods", ".xls"].iter().any(|end| name.ends_with(end));
        if is_ours && !name.starts_with("hostile_") {
            assert_same_cells(&name);
            files += 1;
        }
    }
    assert!(files >= 2, "only {files} workbooks were compared");
}
