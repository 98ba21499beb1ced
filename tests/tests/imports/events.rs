//! The payloads in `events/import`, and events that cannot be understood.

use std::path::Path;

use seatkeeper_domain::actions::run_import::RunImportError;
use seatkeeper_domain::import_run::ImportStatus;
use seatkeeper_domain::ports::ImportLog as _;
use seatkeeper_import::{HandleError, Trigger, UnreadableEvent, triggers};
use serde_json::{Value, json};

use crate::stage::{Stage, UPLOADS};

fn event(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/import").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("an event")).expect("JSON")
}

/// The event, as if it told of objects of this stage.
fn told_of(stage: &Stage, name: &str) -> Value {
    let mut event = event(name);
    let contract = stage.world.contract.contract_id.to_string();
    for record in event["Records"].as_array_mut().expect("records") {
        record["s3"]["bucket"]["name"] = json!(UPLOADS);
        let key = record["s3"]["object"]["key"].as_str().expect("a key");
        let key = key.replace("con_06cyt3v9q4e8h2m6k0x5w1r7za", &contract);
        record["s3"]["object"]["key"] = json!(key);
    }
    event
}

#[tokio::test]
async fn a_key_with_spaces_accents_and_a_plus_is_imported() {
    let stage = Stage::with_seats(5).await;
    let object = stage.put("Nouveaux inscrits Région + Paris.xlsx", "email\na@example.fr\n");
    let mut event = told_of(&stage, "drop.json");
    event["Records"][0]["s3"]["object"]["versionId"] = json!(object.version_id);
    stage.handle(&event).await.expect("a run import");
    let run = stage.found(&object).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 1));
    assert_eq!(run.source.key, object.key);
}

#[tokio::test]
async fn every_record_of_an_event_has_its_turn_whatever_became_of_the_others() {
    let stage = Stage::with_seats(5).await;
    let (a, b) = (stage.put("a.csv", "email\na@x.fr\n"), stage.put("b.csv", "email\nb@x.fr\n"));
    let mut event = told_of(&stage, "several.json");
    event["Records"][0]["s3"]["object"]["versionId"] = json!(a.version_id);
    event["Records"][1]["s3"]["object"]["versionId"] = json!(b.version_id);
    let unknown = told_of(&stage, "unknown_contract.json")["Records"][0].clone();
    event["Records"].as_array_mut().expect("records").insert(0, unknown);
    let error = stage.handle(&event).await.expect_err("a record without a contract");
    assert!(matches!(error, HandleError::Run(RunImportError::UnknownTarget)), "{error}");
    assert_eq!(stage.found(&a).await.status, ImportStatus::Completed);
    assert_eq!(stage.found(&b).await.status, ImportStatus::Completed);
    assert_eq!(stage.world.stock().await.used, 2);
}

#[tokio::test]
async fn the_buckets_own_test_event_and_a_file_nobody_asked_for_change_nothing() {
    let stage = Stage::with_seats(5).await;
    let before = stage.world.cloud.dump();
    stage.handle(&event("bucket_test.json")).await.expect("ignored");
    stage.handle(&told_of(&stage, "upload_form.json")).await.expect_err("no such import");
    assert_eq!(stage.world.cloud.dump(), before);
}

#[tokio::test]
async fn what_cannot_be_understood_is_an_error_and_changes_nothing() {
    let stage = Stage::with_seats(5).await;
    let before = stage.world.cloud.dump();
    let object = stage.put("a.csv", "email\na@x.fr\n");
    let mut elsewhere = stage.event(&object);
    elsewhere["Records"][0]["s3"]["bucket"]["name"] = json!("another");
    let mut nobody = stage.event(&object);
    let key = object.key.replace("acme", "nobody");
    nobody["Records"][0]["s3"]["object"]["key"] = json!(key);
    for event in [json!({}), json!({"kind": "activate"}), elsewhere, nobody] {
        assert!(stage.handle(&event).await.is_err(), "{event}");
    }
    assert!(stage.handle(&event("resume.json")).await.is_err(), "no such import");
    assert_eq!(stage.world.cloud.dump(), before);
}

#[test]
fn the_wish_to_go_on_names_an_import() {
    let found = triggers(&event("resume.json")).expect("a wish");
    let [Trigger::Resume { client_id, import_id }] = found.as_slice() else {
        panic!("another trigger")
    };
    assert_eq!(client_id.as_str(), "acme");
    assert_eq!(import_id.to_string(), "imp_06cyt3v9q4e8h2m6k0x5w1r7zb");
    let broken = json!({"kind": "resume_import", "client": "acme", "import": "imp_1"});
    assert_eq!(triggers(&broken).err(), Some(UnreadableEvent::Unknown));
}

#[tokio::test]
async fn the_same_event_again_changes_nothing() {
    let stage = Stage::with_seats(5).await;
    let object = stage.put("a.csv", "email\na@example.fr\nb@example.fr\n");
    stage.handle(&stage.event(&object)).await.expect("a run import");
    let before = stage.world.cloud.dump();
    for minutes in [0, 11, 25 * 60] {
        stage.world.clock.advance(jiff::SignedDuration::from_mins(minutes));
        stage.handle(&stage.event(&object)).await.expect("found");
        assert_eq!(stage.world.cloud.dump(), before);
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_too_large_is_rejected() {
    let stage = Stage::with_seats(5).await;
    let mut gone = stage.put("a.csv", "email\na@example.fr\n");
    gone.version_id = "version-of-old".to_owned();
    stage.handle(&stage.event(&gone)).await.expect("ended");
    let run = stage.found(&gone).await;
    assert_eq!(run.reject_code.as_deref(), Some("file-gone"));
    stage.assert_at_rest(&run).await;

    let run = stage.import("b.csv", vec![b'a'; (10 << 20) + 1]).await;
    assert_eq!(run.reject_code.as_deref(), Some("file-too-large"));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn without_versions_a_file_that_was_replaced_is_left_to_its_own_event() {
    let stage = Stage::with_seats(5).await;
    let first = stage.put("a.csv", "email\na@example.fr\n");
    stage.put("a.csv", "email\nb@example.fr\n");
    let mut event = stage.event(&first);
    event["Records"][0]["s3"]["object"]["versionId"] = json!(null);
    stage.handle(&event).await.expect("ended");
    let mut file = stage.dropped(&first);
    file.source.version_id = None;
    let import = file.import_id(&stage.world.keys);
    let run = stage.world.store.import(&stage.world.client, import).await;
    let run = run.expect("readable").expect("an import");
    assert_eq!(run.reject_code.as_deref(), Some("file-replaced"));
    assert_eq!(stage.world.stock().await.used, 0);
}

#[tokio::test]
async fn a_contract_that_has_ended_takes_no_file() {
    let stage = Stage::with_seats(5).await;
    stage.world.clock.set("2029-01-01T12:00:00Z".parse().expect("an instant"));
    let run = stage.import("a.csv", "email\na@example.fr\n").await;
    assert_eq!(run.status, ImportStatus::Rejected);
    assert_eq!(run.reject_code.as_deref(), Some("contract-ended"));
    stage.assert_at_rest(&run).await;
}
