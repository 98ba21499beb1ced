//! Undoing: what an import gave and nobody used or changed since goes back; the rest is listed.

use jiff::SignedDuration;
use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::open_cohort::open_cohort;
use seatkeeper_domain::actions::run_import::{ImportEnd, LEASE};
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::{Policies, StockKind};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::import_run::{ImportRun, ImportStatus, Mode, OnExisting};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, Due as _, People as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::full::in_full;

use crate::desk::plainly;
use crate::stage::{Stage, people};

fn inviting() -> seatkeeper_domain::import_run::ImportSettings {
    seatkeeper_domain::import_run::ImportSettings { mode: Mode::Invite, ..plainly() }
}

/// 96 people in two chunks, every third of them on one of two later dates.
fn list() -> String {
    people(96, |number| match number % 6 {
        1 => "01/03/2027",
        4 => "02/03/2027",
        _ => "",
    })
}

async fn enter(stage: &Stage, email: &str) {
    stage.world.clock.advance(SignedDuration::from_secs(1));
    let world = &stage.world;
    let learner = stage.learner(email).await.expect("an account").learner_id;
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    issue_ticket(store, clock, ids, keys, &world.client, learner).await.expect("a ticket");
}

#[tokio::test]
async fn an_undone_import_leaves_the_stock_as_it_was() {
    let stage = Stage::with_seats(100).await;
    let run = stage.completed(plainly(), &list()).await;
    let stock = stage.world.stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (64, 32, 4));
    let undone = stage.undone(run.import_id).await;
    assert_eq!((undone.status, undone.undoing.undone), (ImportStatus::Undone, 96));
    assert_eq!(stage.world.stock().await, Stock::of(100));
    let dump = in_full(stage.world.cloud.dump());
    let cohorts = dump.iter().filter(|item| item["kind"] == "cohort");
    assert!(cohorts.into_iter().all(|cohort| cohort["count"] == 0), "nobody waits any more");
    let trail: Vec<_> = dump
        .iter()
        .filter(|item| item["kind"] == "audit" && item["action"] == "import_undone")
        .map(|item| item["learner_ids"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(trail.iter().sum::<usize>(), 96);
    assert_eq!(trail.len(), 2, "one record a chunk");
    stage.assert_at_rest(&undone).await;
    // The same file can be imported once more.
    let again = stage.completed(plainly(), &list()).await;
    assert_eq!(again.totals.created + again.totals.scheduled, 96);
}

#[tokio::test]
async fn who_came_in_or_was_changed_since_keeps_the_seat() {
    let stage = Stage::with_seats(10).await;
    let run = stage.completed(plainly(), &people(4, |_| "")).await;
    enter(&stage, "person.1@example.fr").await;
    let update = seatkeeper_domain::import_run::ImportSettings {
        on_existing: OnExisting::Update,
        ..plainly()
    };
    let text = "email;nom\nperson.2@example.fr;Martin\n";
    let updating = stage.completed(update, text).await;
    let undone = stage.undone(run.import_id).await;
    assert_eq!(undone.status, ImportStatus::PartlyUndone);
    assert_eq!((undone.undoing.undone, undone.undoing.kept), (2, 2));
    assert_eq!(stage.kept(&undone).await, [(3, "in-use"), (4, "changed")]);
    assert_eq!(stage.world.stock().await.used, 2);
    stage.assert_at_rest(&undone).await;
    // What was there before an update is not known.
    let undone = stage.undone(updating.import_id).await;
    assert_eq!(undone.status, ImportStatus::PartlyUndone);
    assert_eq!(stage.kept(&undone).await, [(2, "updated")]);
}

#[tokio::test]
async fn who_comes_in_while_it_is_being_undone_keeps_the_seat() {
    let stage = Stage::with_seats(10).await;
    let run = stage.completed(plainly(), &people(3, |_| "")).await;
    stage.world.clock.advance(SignedDuration::from_secs(1));
    stage.undo(run.import_id).await.expect("undoing");
    stage.world.cloud.restart_trace();
    let world = &stage.world;
    let learner = stage.learner("person.1@example.fr").await.expect("an account").learner_id;
    stage.world.cloud.restart_trace();
    let (store, clock, keys) = (world.store.clone(), world.clock.clone(), world.keys.clone());
    let client = world.client.clone();
    // Between the worker's look and its change; the first transaction is its claim.
    stage.world.cloud.let_first(When::call("TransactWriteItems", 2), move || async move {
        let ids = seatkeeper_testkit::SeededIds::new(99, &clock);
        issue_ticket(&store, &clock, &ids, &keys, &client, learner).await.expect("a ticket");
    });
    stage.resume(run.import_id).await.expect("undone");
    let undone = stage.now(run.import_id).await;
    assert_eq!(stage.kept(&undone).await, [(3, "in-use")]);
    assert_eq!(stage.world.stock().await.used, 1);
    stage.assert_at_rest(&undone).await;
}

#[tokio::test]
async fn invitations_are_cancelled_but_for_those_that_were_accepted() {
    let stage = Stage::with_seats(10).await;
    let run = stage.completed(inviting(), &people(3, |_| "")).await;
    assert_eq!((run.totals.invited, stage.world.stock().await.held), (3, 3));
    let world = &stage.world;
    let id = |number: usize| {
        let email = EmailAddress::parse(&format!("person.{number}@example.fr"));
        world.keys.invitation_id(&world.client, world.pool(), &email.expect("an address"))
    };
    let command = AcceptInvitation {
        client_id: world.client.clone(),
        invitation_id: id(1),
        version: 1,
        first_name: "Zoé".to_owned(),
        last_name: "Durand".to_owned(),
        password: PasswordPolicy::default().check("correct horse battery"),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    accept_invitation(store, clock, ids, keys, world.op(), &command).await.expect("accepted");
    let undone = stage.undone(run.import_id).await;
    assert_eq!(undone.status, ImportStatus::PartlyUndone);
    assert_eq!(stage.kept(&undone).await, [(3, "accepted")]);
    let stock = stage.world.stock().await;
    assert_eq!((stock.held, stock.used), (0, 1));
    for (number, status) in [(0, InvitationStatus::Cancelled), (1, InvitationStatus::Accepted)] {
        let known = world.store.invitation(&world.client, id(number)).await.expect("readable");
        assert_eq!(known.expect("an invitation").status, status);
    }
    stage.assert_at_rest(&undone).await;
}

#[tokio::test]
async fn seats_that_opened_go_back_like_used_ones_and_by_the_contracts_policy() {
    let terms = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    for (policies, spent) in [(Policies::default(), 0), (terms, 3)] {
        let stage = Stage::with_policies(10, policies).await;
        let run =
            stage.completed(plainly(), &people(3, |n| ["", "01/12/2026", "02/12/2026"][n])).await;
        stage.world.clock.set("2026-12-02T09:00:00Z".parse().expect("an instant"));
        // One date was opened by its schedule; nobody has opened the other yet.
        let key = CohortKey {
            client_id: stage.world.client.clone(),
            pool: stage.world.pool(),
            instant: "2026-11-30T23:00:00Z".parse().expect("an instant"),
        };
        let (store, clock, ids) = (&stage.world.store, &stage.world.clock, &stage.world.ids);
        open_cohort(store, clock, ids, &key).await.expect("opened");
        let undone = stage.undone(run.import_id).await;
        assert_eq!(undone.status, ImportStatus::Undone);
        let stock = stage.world.stock().await;
        assert_eq!((stock.spent, stock.used, stock.held), (spent, 0, 0));
        stage.assert_at_rest(&undone).await;
    }
}

/// An import of two chunks, being undone, and nobody at it yet.
async fn undoing() -> (Stage, ImportRun) {
    let stage = Stage::with_seats(100).await;
    let run = stage.completed(plainly(), &list()).await;
    stage.world.clock.advance(SignedDuration::from_secs(1));
    stage.undo(run.import_id).await.expect("undoing");
    stage.world.cloud.restart_trace();
    (stage, run)
}

async fn assert_undone_once(stage: &Stage, run: &ImportRun, what: &str) {
    let undone = stage.now(run.import_id).await;
    let counts = (undone.undoing.cursor, undone.undoing.undone, undone.undoing.kept);
    assert_eq!((undone.status, counts), (ImportStatus::Undone, (2, 96, 0)), "{what}");
    assert_eq!(stage.world.stock().await, Stock::of(100), "{what}");
    stage.assert_at_rest(&undone).await;
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_cut_off_anywhere_is_ended_by_another_worker() {
    let (stage, run) = undoing().await;
    stage.resume(run.import_id).await.expect("undone");
    let attempts = stage.world.cloud.attempts().len() as u64;
    for k in 1..=attempts {
        for fault in [Fault::KillAfter, Fault::KillLate] {
            let (stage, run) = undoing().await;
            stage.world.cloud.inject(When::attempt(k), fault.clone());
            let what = format!("{fault:?} at {k}");
            let _ = stage.world.cloud.until_killed(stage.resume(run.import_id)).await;
            stage.world.cloud.clear_faults();
            stage.world.clock.advance(LEASE);
            let due = stage.world.store.due_imports(stage.world.clock.now(), 10).await;
            for _ in due.expect("readable") {
                stage.resume(run.import_id).await.expect("the sweep's wish");
            }
            stage.world.cloud.apply_late();
            assert_undone_once(&stage, &run, &what).await;
        }
    }
}

#[tokio::test]
async fn two_workers_at_one_undo_do_it_once() {
    let (stage, run) = undoing().await;
    let (one, other) = tokio::join!(stage.resume(run.import_id), stage.resume(run.import_id));
    let ends = [one.expect("an end"), other.expect("an end")];
    assert!(ends.contains(&ImportEnd::Ended(ImportStatus::Undone)), "{ends:?}");
    assert!(ends.contains(&ImportEnd::InOtherHands), "{ends:?}");
    assert_undone_once(&stage, &run, "two workers").await;
}

#[tokio::test]
async fn an_undo_whose_worker_runs_out_of_time_is_handed_on() {
    let (stage, run) = undoing().await;
    let soon = stage.world.clock.now() + SignedDuration::from_secs(10);
    let importer = stage.importer(soon);
    let end = importer.resume(&stage.world.client, run.import_id).await.expect("an end");
    assert_eq!(end, ImportEnd::HandedOn);
    let wish = stage.world.cloud.objects();
    let wish = wish.iter().find(|object| object.key.contains("/go-on-")).expect("a wish");
    stage.handle(&stage.event(wish)).await.expect("undone");
    assert_undone_once(&stage, &run, "handed on").await;
}
