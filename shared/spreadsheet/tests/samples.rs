//! Every sample file gives exactly what `samples/expected.json` says must come of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::date;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::GroupId;
use seatkeeper_domain::import::{
    CheckedRow, DateOrder, GroupChoice, Judge, Judgment, RowRules, TermDefaults, Window, check_row,
};
use seatkeeper_domain::import_run::{Mode, OnExisting};
use seatkeeper_domain::language::{Language, Languages};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::role::Role;
use seatkeeper_spreadsheet::{Limits, Reading, Rejection, read};
use serde_json::{Map, Value, json};

const GROUPS: [(u128, &str); 2] = [(1, "Paris"), (2, "Région Nord")];

/// What the samples suppose.
fn rules() -> RowRules {
    RowRules {
        today: date(2026, 11, 23),
        window: Window { starts_on: Some(date(2026, 1, 1)), ends_on: Some(date(2028, 12, 31)) },
        languages: Languages::from_list("en,fr,de,es,it,nl,pt"),
        groups: GROUPS.into_iter().map(|(bits, name)| (GroupId::from_bits(bits), name)).collect(),
        create_groups: false,
        grantable: [Role::Learner, Role::GroupAdmin].into(),
        passwords: PasswordPolicy::default(),
        mode: Mode::Create,
        date_order: DateOrder::Dmy,
        defaults: TermDefaults::default(),
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples"))
}

fn expectations() -> Map<String, Value> {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A file read, checked and judged.
fn preview(name: &str) -> Result<(Reading, Vec<(CheckedRow, Judgment)>), Rejection> {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    let rules = rules();
    let mut judge = Judge::new(OnExisting::Skip);
    let mut rows = Vec::new();
    let reading = read(&bytes, &Limits::default(), |raw| {
        let mut row = check_row(&raw, &rules);
        let judgment = judge.judge(&mut row, |_| false);
        rows.push((row, judgment));
    })?;
    Ok((reading, rows))
}

/// Compares, unless the samples leave the value open.
#[track_caller]
fn assert_value(expected: &Value, found: &Value, what: &str) {
    if expected != "any" {
        assert_eq!(found, expected, "{what}");
    }
}

fn verdict_name(judgment: Judgment) -> Value {
    serde_json::to_value(judgment.verdict).unwrap()
}

fn group_name(choice: &GroupChoice) -> String {
    let GroupChoice::Existing(id) = choice else { panic!("no group is made here") };
    let found = GROUPS.into_iter().find(|(bits, _)| GroupId::from_bits(*bits) == *id);
    found.unwrap().1.to_owned()
}

/// A row as the expectations write it.
fn shown(row: &CheckedRow, judgment: Judgment) -> Value {
    let values = &row.values;
    let day = |day: Option<jiff::civil::Date>| json!(day.map(|day| day.to_string()));
    let list = |items: Vec<String>| {
        if items.is_empty() { Value::Null } else { json!(items) }
    };
    let codes: BTreeSet<_> = row.errors.iter().map(|error| error.code.as_str()).collect();
    json!({
        "line": row.line,
        "email": row.email.as_ref().map(EmailAddress::as_str),
        "verdict": verdict_name(judgment),
        "error_codes": codes,
        "duplicate_of": judgment.duplicate_of,
        "first_name": values.first_name,
        "last_name": values.last_name,
        "language": values.language.as_ref().map(Language::as_str),
        "groups": list(values.groups.iter().map(group_name).collect()),
        "labels": list(values.labels.clone()),
        "roles": list(values.roles.iter().map(ToString::to_string).collect()),
        "start_on": day(values.start_on),
        "duration_days": values.duration_days,
        "end_on": day(values.end_on),
        "delete_on": day(values.delete_on),
        "notify": values.notify,
        "external_id": values.external_id,
        "additional_info": values.additional_info,
    })
}

fn assert_row(file: &str, expected: &Map<String, Value>, found: &Value) {
    let line = &expected["line"];
    for (key, value) in expected {
        match key.as_str() {
            "note" | "proposed" => {}
            "error_codes_include" => {
                for code in value.as_array().unwrap() {
                    let codes = found["error_codes"].as_array().unwrap();
                    assert!(codes.contains(code), "{file}, line {line}: {code}");
                }
            }
            key => assert_value(value, &found[key], &format!("{file}, line {line}: {key}")),
        }
    }
}

fn assert_detected(file: &str, expected: &Value, reading: &Reading) {
    let found = serde_json::to_value(&reading.detected).unwrap();
    for (key, value) in expected.as_object().into_iter().flatten() {
        assert_value(value, &found[key], &format!("{file}: detected {key}"));
    }
}

fn assert_accepted(
    file: &str,
    expected: &Map<String, Value>,
    reading: &Reading,
    rows: &[(CheckedRow, Judgment)],
) {
    assert_detected(file, expected.get("detected").unwrap_or(&Value::Null), reading);
    if let Some(total) = expected.get("rows_total") {
        assert_value(total, &json!(reading.rows), &format!("{file}: rows"));
    }
    assert_eq!(rows.len(), reading.rows as usize, "{file}: every row is given");
    for (name, count) in
        expected.get("verdict_counts").and_then(Value::as_object).into_iter().flatten()
    {
        let found = rows.iter().filter(|(_, judgment)| verdict_name(*judgment) == *name).count();
        assert_value(count, &json!(found), &format!("{file}: {name} rows"));
    }
    if let Some(ignored) = expected.get("ignored_columns") {
        let found: Vec<_> = reading.detected.ignored_columns().collect();
        assert_value(ignored, &json!(found), &format!("{file}: ignored columns"));
    }
    let expected_rows = expected.get("rows").and_then(Value::as_array);
    if expected.get("rows_complete") == Some(&json!(true)) {
        assert_eq!(rows.len(), expected_rows.map_or(0, Vec::len), "{file}: number of rows");
    }
    for row in expected_rows.into_iter().flatten() {
        let line = &row["line"];
        let found = rows.iter().find(|(found, _)| json!(found.line) == *line);
        let (found, judgment) = found.unwrap_or_else(|| panic!("{file}: no line {line}"));
        assert_row(file, row.as_object().unwrap(), &shown(found, *judgment));
    }
}

#[test]
fn every_sample_gives_what_is_expected_of_it() {
    let expectations = expectations();
    assert!(!expectations.is_empty(), "the samples are there");
    for (file, expected) in &expectations {
        let expected = expected.as_object().unwrap();
        match (preview(file), expected["outcome"].as_str().unwrap()) {
            (Ok((reading, rows)), "accepted") => assert_accepted(file, expected, &reading, &rows),
            (Ok((reading, rows)), "any") => {
                if let Some(conditions) = expected.get("if_accepted").and_then(Value::as_object) {
                    assert_accepted(file, conditions, &reading, &rows);
                }
            }
            (Err(rejection), "rejected") => {
                let code = json!(rejection.code.as_str());
                assert_value(&expected["reject_code"], &code, file);
            }
            (Err(_), "any") => {}
            (Err(rejection), outcome) => panic!("{file}: {rejection}, expected {outcome}"),
            (Ok(_), outcome) => panic!("{file}: was read, expected {outcome}"),
        }
    }
}

#[test]
fn every_sample_in_the_folder_has_an_expectation() {
    let expectations = expectations();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "expected.json" || expectations.contains_key(&name), "{name}");
    }
}

#[test]
fn hostile_samples_are_answered_quickly() {
    for file in expectations().keys().filter(|file| file.starts_with("hostile_")) {
        let start = Instant::now();
        let _ = preview(file);
        // Most of what a test runs is not optimized, and shares its cores.
        let patience = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });
        assert!(start.elapsed() < patience, "{file} took {:?}", start.elapsed());
    }
}
