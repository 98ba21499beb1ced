//! Every sample file, dropped: what `expected.json` says of its rows is what comes of its people.

use std::path::Path;

use seatkeeper_domain::import_run::{ImportRun, ImportStatus, Outcome, RowRecord};
use serde_json::{Map, Value, json};

use crate::stage::Stage;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/spreadsheet/tests/samples"))
}

fn expectations() -> Map<String, Value> {
    let text = std::fs::read_to_string(folder().join("expected.json")).expect("expectations");
    serde_json::from_str(&text).expect("JSON")
}

async fn imported(stage: &Stage, file: &str) -> ImportRun {
    let bytes = std::fs::read(folder().join(file)).expect("a sample");
    stage.import(file, bytes).await
}

async fn assert_row(stage: &Stage, file: &str, expected: &Value, row: &RowRecord) {
    let at = format!("{file}, line {}", row.line);
    let same = |key: &str, found: Value| {
        if let Some(value) = expected.get(key).filter(|value| **value != "any") {
            assert_eq!(*value, found, "{at}: {key}");
        }
    };
    same("email", json!(row.email));
    same("verdict", json!(row.verdict));
    same("duplicate_of", json!(row.duplicate_of));
    if let Some(codes) = expected["error_codes"].as_array() {
        let mut found: Vec<&str> = row.errors.iter().map(|error| error.code.as_str()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(*codes, found, "{at}: error codes");
        assert!(row.errors.iter().all(|error| !error.detail.is_empty()), "{at}: details");
    }
    let today = "2026-11-23";
    let later = expected["start_on"].as_str().is_some_and(|start| start > today);
    let outcome = match expected["verdict"].as_str().expect("a verdict") {
        "invalid" => Outcome::Failed,
        "duplicate" => Outcome::Skipped,
        _ if later => Outcome::Scheduled,
        _ => Outcome::Created,
    };
    assert_eq!(row.outcome, Some(outcome), "{at}");
    if !matches!(outcome, Outcome::Created | Outcome::Scheduled) {
        return;
    }
    let email = row.email.as_deref().expect("an address");
    let learner = stage.learner(email).await.unwrap_or_else(|| panic!("{at}: no account"));
    assert_eq!(row.learner_id, Some(learner.learner_id));
    let profile = &learner.profile;
    let groups: Vec<&str> = stage
        .groups
        .iter()
        .filter(|(id, _)| profile.group_ids.contains(id))
        .map(|(_, name)| *name)
        .collect();
    same("first_name", json!(profile.first_name));
    same("last_name", json!(profile.last_name));
    same("language", json!(profile.language));
    same("external_id", json!(profile.external_id));
    same("additional_info", json!(profile.additional_info));
    same("end_on", json!(profile.end_on));
    same("delete_on", json!(profile.delete_on));
    if let Some(expected) = expected["groups"].as_array() {
        assert_eq!(*expected, groups, "{at}: groups");
    }
    let seat = &learner.seats[&stage.world.pool()];
    assert_eq!(seat.source.id, row_import(seat.source.id.as_ref()), "{at}: source");
    same("start_on", json!(seat.starts_on));
}

fn row_import(id: Option<&String>) -> Option<String> {
    id.filter(|id| id.starts_with("imp_")).cloned()
}

async fn assert_completed(file: &str, expected: &Value) {
    let stage = Stage::with_seats(2_000).await;
    let run = imported(&stage, file).await;
    assert_eq!(run.status, ImportStatus::Completed, "{file}: {:?}", run.reject_code);
    if let Some(total) = expected["rows_total"].as_u64() {
        assert_eq!(u64::from(run.rows_total), total, "{file}: rows");
    }
    let totals = serde_json::to_value(run.totals).expect("totals");
    for (verdict, count) in expected["verdict_counts"].as_object().into_iter().flatten() {
        if count != "any" {
            assert_eq!(totals[verdict], *count, "{file}: {verdict}");
        }
    }
    let rows = stage.rows(&run).await;
    for expected in expected["rows"].as_array().into_iter().flatten() {
        let row = rows.iter().find(|row| expected["line"] == row.line);
        assert_row(&stage, file, expected, row.expect("the row")).await;
    }
    let stock = stage.world.stock().await;
    assert_eq!(stock.used, u64::from(run.totals.created), "{file}: used");
    assert_eq!(stock.held, u64::from(run.totals.scheduled), "{file}: held");
    assert_eq!(run.seats.needed, u64::from(run.totals.valid));
    stage.assert_at_rest(&run).await;
}

async fn assert_rejected(file: &str, expected: &Value) {
    let stage = Stage::with_seats(2_000).await;
    let run = imported(&stage, file).await;
    assert_eq!(run.status, ImportStatus::Rejected, "{file}");
    if expected["reject_code"] != "any" {
        assert_eq!(json!(run.reject_code), expected["reject_code"], "{file}");
    }
    assert!(run.reject_detail.is_some_and(|detail| !detail.is_empty()), "{file}");
    let run = ImportRun { reject_detail: None, ..run };
    stage.assert_at_rest(&run).await;
    let dump = stage.world.cloud.dump();
    assert!(dump.iter().all(|item| item["kind"] != "learner" && item["kind"] != "mail"), "{file}");
    assert_eq!(stage.world.stock().await.available, 2_000, "{file}");
    for text in expected["must_not_contain"].as_array().into_iter().flatten() {
        let text = text.as_str().expect("a text");
        assert!(!Value::Array(dump.clone()).to_string().contains(text), "{file}: {text}");
    }
}

#[tokio::test]
async fn every_sample_does_to_the_people_in_it_what_is_expected_of_it() {
    let expectations = expectations();
    assert!(expectations.len() > 20);
    for (file, expected) in &expectations {
        match expected["outcome"].as_str() {
            Some("accepted") => assert_completed(file, expected).await,
            Some("rejected") => assert_rejected(file, expected).await,
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn those_who_start_later_are_told_on_their_day_and_the_others_at_once() {
    let stage = Stage::with_seats(100).await;
    let run = imported(&stage, "fr_ordinaire.xlsx").await;
    assert_eq!((run.totals.created, run.totals.scheduled), (4, 4));
    let mails = stage.mails();
    let told = |due: &str, letter: &str| {
        mails.iter().filter(|(at, what)| at.starts_with(due) && what == letter).count()
    };
    assert_eq!(mails.len(), 8, "each person once");
    assert_eq!(told("2026-11-23T09:00:00", "account_created"), 4);
    assert_eq!(told("2027-01-10T23:00:00", "access_opened"), 2);
    assert_eq!(told("2027-01-31T23:00:00", "access_opened"), 1);
    assert_eq!(told("2028-11-30T23:00:00", "access_opened"), 1);
    let dump = stage.world.cloud.dump();
    let mut cohorts: Vec<_> = dump
        .iter()
        .filter(|item| item["kind"] == "cohort")
        .map(|item| (item["start_on"].clone(), item["count"].clone()))
        .collect();
    cohorts.sort_by_key(|(day, _)| day.to_string());
    let expected = [("2027-01-11", 2), ("2027-02-01", 1), ("2028-12-01", 1)];
    assert_eq!(cohorts, expected.map(|(day, count)| (json!(day), json!(count))));
}

#[tokio::test]
async fn a_mended_report_imports_the_rows_that_failed() {
    let stage = Stage::with_seats(100).await;
    let run = imported(&stage, "fr_windows1252.csv").await;
    assert_eq!(run.totals.invalid, 1);
    let report = stage.report(&run);
    let again = stage.import("report.xlsx", report).await;
    assert_eq!(again.status, ImportStatus::Completed);
    assert_eq!((again.rows_total, again.totals.invalid), (1, 1), "only what failed comes back");
}
