//! Workers that are cut off anywhere, and those who come after them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::run_import::{ImportEnd, LEASE};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::{BlockKey, Change, Step};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::import_run::{ImportRun, ImportStatus, Outcome, Verdict};
use seatkeeper_domain::learner::Profile;
use seatkeeper_domain::ports::{Clock as _, Due as _, ImportLog as _, Ledger as _};
use seatkeeper_testkit::{Fault, StoredObject, When};

use crate::stage::{Stage, people};

/// 96 people in two chunks, every third of them on one of two later dates, with an invalid row
/// and a duplicate.
fn list() -> String {
    let start = |number| match number % 6 {
        1 => "01/03/2027",
        4 => "02/03/2027",
        _ => "",
    };
    people(96, start) + "nobody;;\nperson.7@example.fr;;\n"
}

/// The attempts that a run takes without faults, from the first read on.
async fn attempts() -> u64 {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    stage.world.cloud.restart_trace();
    stage.run(&object).await.expect("a run import");
    stage.world.cloud.attempts().len() as u64
}

/// Ends what a worker left, as the retries of the event and the sweep would.
async fn settle(stage: &Stage, object: &StoredObject) {
    stage.world.cloud.clear_faults();
    stage.world.clock.advance(SignedDuration::from_mins(1));
    stage.run(object).await.expect("the retry of the event");
    stage.world.clock.advance(LEASE);
    let due = stage.world.store.due_imports(stage.world.clock.now(), 10).await.expect("readable");
    for _ in due {
        stage.resume(stage.import_id(object)).await.expect("the sweep's wish");
    }
    let due = stage.world.store.due_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert!(due.is_empty(), "nothing waits for a sweep any more");
}

/// What the list must have come to, however often its worker was cut off.
async fn assert_applied_once(stage: &Stage, object: &StoredObject, what: &str) {
    let run = stage.found(object).await;
    assert_eq!(run.status, ImportStatus::Completed, "{what}");
    assert_eq!(run.chunks, 2, "there is a chunk to come after the first");
    let totals = run.totals;
    let counts = (totals.created, totals.scheduled, totals.failed, totals.skipped);
    assert_eq!(counts, (64, 32, 1, 1), "{what}");
    let stock = stage.world.stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (64, 32, 4), "{what}");
    assert_eq!(stage.mails().len(), 96, "{what}: each person is told once");
    let dump = stage.world.cloud.dump();
    let learners = dump.iter().filter(|item| item["kind"] == "learner").count();
    assert_eq!(learners, 96, "{what}");
    let cohorts: BTreeSet<_> = dump
        .iter()
        .filter(|item| item["kind"] == "cohort")
        .map(|item| item["count"].as_u64().expect("a count"))
        .collect();
    assert_eq!(cohorts, [16].into(), "{what}");
    stage.assert_at_rest(&run).await;
}

/// Cuts the worker off from attempt `k` on: `first` befalls that attempt, and nothing gets through
/// afterwards.
fn cut_off(stage: &Stage, k: u64, first: Fault) {
    stage.world.cloud.restart_trace();
    stage.world.cloud.inject(When::attempt(k), first);
    for later in k + 1..k + 200 {
        stage.world.cloud.inject(When::attempt(later), Fault::FailBefore);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_cut_off_before_any_call_is_followed_by_one_that_doubles_nothing() {
    for k in 1..=attempts().await {
        let stage = Stage::with_seats(100).await;
        let object = stage.put("a.csv", list());
        cut_off(&stage, k, Fault::FailBefore);
        stage.run(&object).await.expect_err("cut off");
        settle(&stage, &object).await;
        assert_applied_once(&stage, &object, &format!("before {k}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_cut_off_after_any_effect_is_followed_by_one_that_doubles_nothing() {
    for k in 1..=attempts().await {
        let stage = Stage::with_seats(100).await;
        let object = stage.put("a.csv", list());
        cut_off(&stage, k, Fault::LoseReply);
        stage.run(&object).await.expect_err("cut off");
        settle(&stage, &object).await;
        assert_applied_once(&stage, &object, &format!("after {k}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_at_any_call_is_not_even_noticed() {
    for k in 1..=attempts().await {
        let stage = Stage::with_seats(100).await;
        let object = stage.put("a.csv", list());
        stage.world.cloud.restart_trace();
        stage.world.cloud.inject(When::attempt(k), Fault::LoseReply);
        let end = stage.run(&object).await.unwrap_or_else(|error| panic!("{k}: {error}"));
        assert_eq!(stage.world.cloud.fired().len(), 1, "the fault fires");
        if end == ImportEnd::InOtherHands {
            settle(&stage, &object).await;
        }
        assert_applied_once(&stage, &object, &format!("lost {k}")).await;
    }
}

#[tokio::test]
async fn a_worker_whose_time_runs_out_stops_between_chunks_and_the_sweep_goes_on() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    let soon = stage.world.clock.now() + SignedDuration::from_secs(10);
    let end = stage.importer(soon).run(&stage.dropped(&object)).await.expect("an end");
    assert_eq!(end, ImportEnd::HandedOn);
    let run = stage.found(&object).await;
    assert_eq!(run.status, ImportStatus::Committing);
    assert_eq!(stage.world.stock().await.held, 96, "its seats stay reserved");
    let due = stage.world.store.due_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert_eq!(due.len(), 1, "the sweep finds it at once");
    let end = stage.resume(run.import_id).await.expect("an end");
    assert_eq!(end, ImportEnd::Ended(ImportStatus::Completed));
    assert_applied_once(&stage, &object, "handed on").await;
}

#[tokio::test]
async fn while_one_worker_is_at_it_another_leaves_it_alone() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    let (one, other) = tokio::join!(stage.run(&object), stage.run(&object));
    let ends = [one.expect("an end"), other.expect("an end")];
    assert!(ends.contains(&ImportEnd::Ended(ImportStatus::Completed)), "{ends:?}");
    assert!(ends.contains(&ImportEnd::InOtherHands), "{ends:?}");
    assert_applied_once(&stage, &object, "two workers").await;
}

/// The worker is slow: its first lease is over before its last rows are written.
#[tokio::test(start_paused = true)]
async fn a_slow_worker_renews_its_lease_and_is_left_alone() {
    let stage = Arc::new(Stage::with_seats(100).await);
    let object = stage.put("a.csv", list());
    stage.world.cloud.restart_trace();
    let clock = stage.world.clock.clone();
    // Claim, reservation, and the first rows; then the lease, and the other rows.
    stage.world.cloud.let_first(When::call("TransactWriteItems", 3), move || async move {
        clock.advance(SignedDuration::from_secs(70));
    });
    let (other, event) = (Arc::clone(&stage), object.clone());
    stage.world.cloud.let_first(When::call("TransactWriteItems", 5), move || async move {
        other.world.clock.advance(SignedDuration::from_secs(60));
        assert_eq!(other.run(&event).await.expect("an end"), ImportEnd::InOtherHands);
    });
    let end = stage.run(&object).await.expect("an end");
    assert_eq!(end, ImportEnd::Ended(ImportStatus::Completed));
    assert_applied_once(&stage, &object, "slowly").await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_thought_dead_writes_nothing_after_its_follower() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    // The first worker stands still before its first chunk; meanwhile its lease runs out.
    let soon = stage.world.clock.now() + SignedDuration::from_secs(10);
    stage.importer(soon).run(&stage.dropped(&object)).await.expect("handed on");
    let former = stage.found(&object).await;
    stage.resume(former.import_id).await.expect("completed");
    let before = stage.world.cloud.dump();
    let (store, client) = (&stage.world.store, &stage.world.client);
    let now = stage.world.clock.now();
    store.let_go_of_import(client, former.import_id, former.epoch, now).await.expect("left alone");
    late_reservation(&stage, &former).await;
    assert_eq!(stage.world.cloud.dump(), before);
}

/// A write of a worker that is gone arrives after another one has read the import and before its claim:
/// the claim is over what was read, and has to be made again.
#[tokio::test(start_paused = true)]
async fn whoever_takes_over_does_not_write_over_what_arrived_meanwhile() {
    let mut arrived = 0;
    for nth in 1.. {
        let stage = Stage::with_seats(100).await;
        let object = stage.put("a.csv", list());
        let cloud = &stage.world.cloud;
        cloud.restart_trace();
        cloud.inject(When::call("TransactWriteItems", nth), Fault::KillLate);
        if cloud.until_killed(stage.run(&object)).await.is_some() {
            break;
        }
        stage.world.clock.advance(LEASE + SignedDuration::from_secs(1));
        let late = cloud.clone();
        cloud.let_first(When::call("TransactWriteItems", nth + 1), move || async move {
            late.apply_late();
        });
        // Who loses the claim leaves the import to the next one.
        drop(stage.run(&object).await);
        settle(&stage, &object).await;
        assert_applied_once(&stage, &object, &format!("write {nth} arrives late")).await;
        arrived += 1;
    }
    assert!(arrived > 3, "{arrived} writes");
}

#[tokio::test]
async fn a_write_that_arrives_after_its_own_worker_ended_changes_nothing() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    stage.run(&object).await.expect("completed");
    let before = stage.world.cloud.dump();
    let first = ImportRun { epoch: 1, ..stage.found(&object).await };
    late_reservation(&stage, &first).await;
    assert_eq!(stage.world.cloud.dump(), before);
}

/// What a worker's reservation does that arrives long after it was sent: nothing.
async fn late_reservation(stage: &Stage, former: &ImportRun) {
    let owner = former.import_id.to_string();
    let key = BlockKey { pool: stage.world.pool(), owner, shard: 0 };
    let (client, now) = (&stage.world.client, stage.world.clock.now());
    let mut late = Change::new(client, stage.world.op(), Actor::System, now);
    late.step(Step::OpenBlock { key, size: 0, epoch: former.epoch });
    late.step(Step::PutImport { run: Box::new(former.clone()), expects: Some(former.epoch) });
    stage.world.store.apply(&late).await.expect_err("too late");
}

#[tokio::test(start_paused = true)]
async fn a_person_who_came_another_way_meanwhile_is_set_aside() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    let soon = stage.world.clock.now() + SignedDuration::from_secs(10);
    stage.importer(soon).run(&stage.dropped(&object)).await.expect("handed on");
    let wanted = CreateLearner {
        client_id: stage.world.client.clone(),
        contract_id: stage.world.contract.contract_id,
        sublicense_id: None,
        email: EmailAddress::parse("person.3@example.fr").expect("an address"),
        profile: Profile::default(),
        password: PasswordChoice::Link,
        term: TermRequest::default(),
        notify: true,
        copy_to: None,
    };
    let world = &stage.world;
    let (clock, ids, keys) = (&world.clock, &world.ids, &world.keys);
    create_learner(&world.store, clock, ids, keys, &world.administrator(), world.op(), &wanted)
        .await
        .expect("a seat");
    stage.resume(stage.import_id(&object)).await.expect("completed");
    let run = stage.found(&object).await;
    let rows = stage.rows(&run).await;
    assert_eq!((rows[3].verdict, rows[3].outcome), (Verdict::Existing, Some(Outcome::Skipped)));
    assert_eq!((run.totals.valid, run.totals.existing), (95, 1));
    let stock = stage.world.stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (64, 32, 4), "her seat went back");
    assert_eq!(stage.mails().len(), 96);
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn rows_whose_file_vanished_half_way_fail_and_their_seats_go_back() {
    let stage = Stage::with_seats(100).await;
    let object = stage.put("a.csv", list());
    let soon = stage.world.clock.now() + SignedDuration::from_secs(10);
    stage.importer(soon).run(&stage.dropped(&object)).await.expect("handed on");
    let gone = Fault::Refuse { status: 404, code: "NoSuchVersion" };
    stage.world.cloud.restart_trace();
    stage.world.cloud.inject(When::call("GetObject", 1), gone);
    stage.resume(stage.import_id(&object)).await.expect("completed");
    let run = stage.found(&object).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 0));
    assert_eq!(run.totals.failed, 97);
    assert_eq!(stage.world.stock().await.available, 100);
    stage.assert_at_rest(&run).await;
}
