//! A report that is read again gives the rows that went into it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::civil::date;
use seatkeeper_domain::import::{Cell, Detected, Field, RawRow, RowError, RowErrorCode};
use seatkeeper_domain::import_run::{Outcome, Totals};
use seatkeeper_domain::language::{Language, Languages};
use seatkeeper_spreadsheet::{
    Limits, ReportHead, ReportRow, read, rejection_hint, rejection_report, report,
};

const UPLOADED: &str = "\
Courriel;Prénom;Service;Mot de passe;Date de début;Matricule;Groupe
a@exemple.fr;=1+1;+33 1;Vert-Lagune-47;31/02/2027;00123;Lyon
b@exemple.fr;@Zoé;-x;;01/03/2027;7;Paris
";

fn rows_of(bytes: &[u8]) -> (Detected, Vec<RawRow>) {
    let mut rows = Vec::new();
    let reading = read(bytes, &Limits::default(), |row| rows.push(row)).unwrap();
    (reading.detected, rows)
}

fn french() -> Language {
    Languages::from_list("en,fr").parse("fr").unwrap()
}

fn written(
    detected: &Detected,
    rows: &[(RawRow, Outcome, Vec<RowError>)],
    language: &Language,
) -> Vec<u8> {
    let totals = Totals { failed: 1, not_seated: 1, invalid: 1, valid: 1, ..Totals::default() };
    let head = ReportHead {
        detected,
        rows_total: 2,
        totals: &totals,
        language,
        made_on: date(2026, 11, 23),
    };
    let rows =
        rows.iter().map(|(row, outcome, errors)| ReportRow { row, outcome: *outcome, errors });
    report(&head, rows).unwrap()
}

fn uploaded() -> (Detected, Vec<(RawRow, Outcome, Vec<RowError>)>) {
    let (detected, rows) = rows_of(UPLOADED.as_bytes());
    let errors = vec![
        RowError { column: Field::Groups, code: RowErrorCode::UnknownGroup },
        RowError { column: Field::StartOn, code: RowErrorCode::InvalidDate },
    ];
    let outcomes = [(Outcome::Failed, errors), (Outcome::NotSeated, Vec::new())];
    let rows =
        rows.into_iter().zip(outcomes).map(|(row, (outcome, errors))| (row, outcome, errors));
    (detected, rows.collect())
}

fn text(cell: &Cell) -> String {
    cell.as_text().map(Into::into).unwrap_or_default()
}

#[test]
fn a_report_read_again_gives_its_rows_without_passwords() {
    let (detected, rows) = uploaded();
    let bytes = written(&detected, &rows, &french());
    let (again, found) = rows_of(&bytes);
    assert_eq!(again.sheet.as_deref(), Some("Lignes"));
    assert_eq!(found.len(), rows.len());
    for (found, (row, _, _)) in found.iter().zip(&rows) {
        for field in Field::ALL.into_iter().filter(|field| *field != Field::Password) {
            assert!(found.cells[field] == row.cells[field], "line {}: {field}", row.line);
        }
        assert!(found.cells[Field::Password].is_blank());
        assert!(found.ignored[..1] == row.ignored[..], "the uploaded column is kept");
    }
    let headings: Vec<_> = again.ignored_columns().collect();
    assert_eq!(headings, ["Service", "line", "status", "error", "hint"]);
}

#[test]
fn a_row_tells_its_line_status_errors_and_what_to_do() {
    let (detected, rows) = uploaded();
    let told = |language: &Language| -> Vec<Vec<String>> {
        let (_, found) = rows_of(&written(&detected, &rows, language));
        found.iter().map(|row| row.ignored[1..].iter().map(text).collect()).collect()
    };
    let english = told(&Language::english());
    assert_eq!(english[0][..3], ["2", "failed", "unknown-group, invalid-date"]);
    assert!(english[0][3].starts_with("Groupe: use the name or id"), "{:?}", english[0][3]);
    assert!(english[0][3].contains("\nDate de début: enter a date that exists"));
    assert_eq!(english[1][..3], ["3", "not seated", "no-seats-left"]);
    let french = told(&french());
    assert_eq!(french[0][1], "en échec");
    assert!(french[0][3].contains("utilisez le nom"), "{:?}", french[0][3]);
}

#[test]
fn a_report_of_a_report_has_its_columns_once() {
    let (detected, rows) = uploaded();
    let (detected, found) = rows_of(&written(&detected, &rows, &french()));
    let rows: Vec<_> = found.into_iter().map(|row| (row, Outcome::NotSeated, vec![])).collect();
    let (again, _) = rows_of(&written(&detected, &rows, &french()));
    let headings: Vec<_> = again.columns.iter().map(|column| column.heading.as_str()).collect();
    let once = headings.iter().filter(|heading| **heading == "hint").count();
    assert_eq!((once, headings.len()), (1, 11));
}

#[test]
fn kinds_of_cells_survive_and_a_plain_list_gets_a_heading() {
    let (detected, mut rows) = rows_of(b"a@exemple.fr\n");
    rows[0].cells[Field::Email] = Cell::Error;
    let rows = vec![(rows[0].clone(), Outcome::Failed, vec![])];
    let (again, found) = rows_of(&written(&detected, &rows, &french()));
    assert_eq!(again.columns[0].heading, "email");
    assert!(found[0].cells[Field::Email] == Cell::Error);

    let header = "email;start_on;external_id;notify\nx@y.fr;z;z;z\n";
    let (detected, mut rows) = rows_of(header.as_bytes());
    let kinds = [
        (Field::StartOn, Cell::Date(date(2027, 3, 1))),
        (Field::ExternalId, Cell::Number("33698765432101".to_owned())),
        (Field::Notify, Cell::Bool(true)),
    ];
    for (field, cell) in &kinds {
        rows[0].cells[*field] = cell.clone();
    }
    let rows = vec![(rows[0].clone(), Outcome::NotSeated, vec![])];
    let (_, found) = rows_of(&written(&detected, &rows, &french()));
    for (field, cell) in kinds {
        assert!(found[0].cells[field] == cell, "{field}");
    }
}

#[test]
fn formula_looking_text_is_no_formula_and_the_same_report_is_the_same_bytes() {
    let (detected, rows) = uploaded();
    let bytes = written(&detected, &rows, &french());
    assert_eq!(bytes, written(&detected, &rows, &french()));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut sheet = archive.by_name("xl/worksheets/sheet1.xml").unwrap();
    let xml = std::io::read_to_string(&mut sheet).unwrap();
    assert!(xml.contains("<row r=\"3\"") && !xml.contains("<f>"));
}

#[test]
fn the_report_of_a_refused_file_says_why_and_what_to_do() {
    let refusal = read(b"name;age\nAnn;3\n", &Limits::default(), |_| {}).unwrap_err();
    let english = Language::english();
    let (code, line) = (refusal.code.as_str(), refusal.line);
    let told = rejection_hint(code, line, refusal.column.as_deref(), &english);
    let bytes = rejection_report(code, &told, &english, date(2026, 11, 23)).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut strings = archive.by_name("xl/sharedStrings.xml").unwrap();
    let xml = std::io::read_to_string(&mut strings).unwrap();
    assert!(xml.contains("email-column-missing") && xml.contains("No e-mail column was found"));
}
