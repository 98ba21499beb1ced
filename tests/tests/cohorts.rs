//! Cohorts: everyone of a pool who starts at one instant opens once, then, and not before.

mod mailroom;

use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use mailroom::{activate, create, drain, event, notify, only, run_sweep};
use seatkeeper_activate::ActivateError;
use seatkeeper_domain::actions::change_cohort::{
    ChangeCohortError, ChangedCohort, CohortChange, change_cohort,
};
use seatkeeper_domain::actions::change_learner::{ChangeLearner, ChangedLearner, change_learner};
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::open_cohort::{OpenCohortError, open_cohort};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::transfer_seat::{TransferSeat, transfer_seat};
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{Change, Step};
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::Policies;
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::learner::{Learner, Profile, ProfileChange, SeatState};
use seatkeeper_domain::ports::{Clock as _, Ledger as _, People as _};
use seatkeeper_domain::stock::{Delta, Stock};
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::{World, address};
use serde_json::json;

/// A Monday, far enough ahead; it begins at 23:00 UTC the day before.
const START: Date = date(2027, 3, 1);
const INSTANT: &str = "2027-02-28T23:00:00Z";

fn instant() -> Timestamp {
    INSTANT.parse().unwrap()
}

/// A world in which two learners start later and the stream has come to rest.
async fn waiting() -> World {
    let world = World::with_seats(5).await;
    create(&world, 1, Some(START)).await;
    create(&world, 2, Some(START)).await;
    drain(&world).await;
    world
}

#[tokio::test]
async fn a_cohort_gets_one_schedule_for_its_instant() {
    let world = waiting().await;
    let schedules = world.cloud.schedules();
    assert_eq!(schedules.len(), 1, "for two learners");
    let schedule = &schedules[0];
    assert_eq!(schedule.at(), Some(instant()));
    assert_eq!(schedule.expression, "at(2027-02-28T23:00:00)");
    assert_eq!(schedule.timezone, "UTC");
    assert_eq!(schedule.group, "seatkeeper");
    assert!(schedule.deleted_after && schedule.dead_letter_arn.is_some());
    assert_eq!(schedule.target_arn, "arn:aws:lambda:eu-west-3:000000000000:function:activate");
    let pool = world.pool();
    let input = json!({
        "kind": "activate", "client": "acme", "pool": pool, "instant": INSTANT, "version": 1,
    });
    assert_eq!(schedule.input, input);
}

#[tokio::test]
async fn a_record_that_comes_again_makes_no_second_schedule_and_is_no_failure() {
    let world = World::with_seats(5).await;
    create(&world, 1, Some(START)).await;
    let stream = world.cloud.stream_records();
    for _ in 0..3 {
        let met = activate(&world, stream.clone()).await.unwrap();
        assert_eq!(met, json!({"batchItemFailures": []}));
    }
    assert_eq!(world.cloud.schedules().len(), 1);
}

#[tokio::test]
async fn a_cohort_opens_when_its_schedule_fires_and_everyone_is_told_then() {
    let world = waiting().await;
    assert_eq!(world.stock().await.held, 2);
    assert!(world.cloud.sent_mails().is_empty());
    world.clock.set(instant());
    let firings = world.cloud.fire_due();
    assert_eq!(firings.len(), 1);
    activate(&world, firings[0].input.clone()).await.unwrap();
    let stock = world.stock().await;
    assert_eq!(stock, Stock { total: 5, used: 2, available: 3, ..Stock::default() });
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 2);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_firings_at_once_open_a_cohort_once() {
    let world = Arc::new(waiting().await);
    // Others wait for another day: a second opening would find seats to take up.
    create(&world, 3, Some(date(2027, 3, 2))).await;
    create(&world, 4, Some(date(2027, 3, 2))).await;
    world.clock.set(instant());
    let fired = world.cloud.fire_due().remove(0).input;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (world, fired) = (Arc::clone(&world), fired.clone());
            tokio::spawn(async move { activate(&world, fired).await.unwrap()["opened"].clone() })
        })
        .collect();
    let mut opened = 0;
    for task in tasks {
        opened += task.await.unwrap().as_u64().unwrap();
    }
    assert_eq!(opened, 2);
    assert_eq!((world.stock().await.used, world.stock().await.held), (2, 2));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_schedule_that_fires_early_opens_nothing_and_is_tried_again() {
    let world = waiting().await;
    let fired = world.cloud.schedules()[0].input.clone();
    world.clock.set(instant() - SignedDuration::from_micros(1));
    let early = activate(&world, fired.clone()).await;
    assert!(matches!(early, Err(ActivateError::Cohort(OpenCohortError::TooEarly))));
    assert_eq!(world.stock().await.held, 2);
    world.clock.set(instant());
    assert_eq!(activate(&world, fired).await.unwrap(), json!({"opened": 2}));
}

#[tokio::test]
async fn ten_thousand_seats_open_by_one_transaction_of_three_items_as_one_seat_does() {
    for seats in [1, 10_000] {
        let world = World::with_seats(10_000).await;
        let (client_id, pool, instant) = (world.client.clone(), world.pool(), instant());
        let key = CohortKey { client_id, pool, instant };
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        let held = Delta::held(i64::try_from(seats).expect("a count"));
        change.move_seats(pool, held, Action::SeatScheduled, &[], None);
        change.step(Step::JoinCohort { key: key.clone(), start_on: START, count: seats });
        world.store.apply(&change).await.expect("a cohort");
        world.clock.set(instant);
        world.cloud.stream_records();
        world.cloud.restart_trace();
        open_cohort(&world.store, &world.clock, &world.ids, &key).await.expect("opened");
        let made = world.cloud.attempts().into_iter().map(|attempt| attempt.operation);
        assert_eq!(made.collect::<Vec<_>>(), ["GetItem", "TransactWriteItems"], "{seats}");
        let written = world.cloud.stream_records();
        assert_eq!(written["Records"].as_array().map(Vec::len), Some(3), "pool, trail, cohort");
        let stock = world.stock().await;
        assert_eq!((stock.used, stock.held), (seats, 0));
    }
}

#[tokio::test]
async fn one_sweep_opens_more_cohorts_than_one_reading_finds() {
    let world = World::with_seats(5).await;
    let cohorts = 501;
    for number in 0..cohorts {
        let actor = Actor::System;
        let mut change = Change::new(&world.client, world.op(), actor, world.clock.now());
        let (client_id, pool) = (world.client.clone(), world.pool());
        let instant = instant() + SignedDuration::from_secs(number);
        let key = CohortKey { client_id, pool, instant };
        change.step(Step::JoinCohort { key, start_on: START, count: 0 });
        world.store.apply(&change).await.expect("a cohort");
    }
    world.clock.set(instant() + SignedDuration::from_mins(10));
    assert_eq!(i64::from(run_sweep(&world, 1).await.cohorts_opened), cohorts);
}

#[tokio::test]
async fn the_sweep_opens_what_a_schedule_missed_and_sends_its_mails() {
    let world = World::with_seats(5).await;
    create(&world, 1, Some(START)).await;
    world.clock.set(instant() - SignedDuration::from_secs(1));
    assert_eq!(run_sweep(&world, 1).await.cohorts_opened, 0);
    world.clock.set(instant());
    let swept = run_sweep(&world, 2).await;
    assert_eq!((swept.cohorts_opened, swept.mails_sent), (1, 1));
    let swept = run_sweep(&world, 3).await;
    assert_eq!((swept.cohorts_opened, swept.mails_sent), (0, 0));
    // The stream tells notify of the opening, too late to send anything.
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 1);
    assert_eq!(world.stock().await.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_cohort_whose_record_comes_late_opens_at_once() {
    let world = World::with_seats(5).await;
    create(&world, 1, Some(START)).await;
    world.clock.set(instant());
    let late = world.cloud.stream_records();
    activate(&world, late).await.unwrap();
    assert!(world.cloud.schedules().is_empty());
    assert_eq!(world.stock().await.used, 1);
}

#[tokio::test]
async fn a_start_within_seconds_is_scheduled_for_when_a_schedule_can_still_fire() {
    let world = World::with_seats(5).await;
    create(&world, 1, Some(START)).await;
    world.clock.set(instant() - SignedDuration::from_millis(1500));
    activate(&world, world.cloud.stream_records()).await.unwrap();
    let at = world.cloud.schedules()[0].at().unwrap();
    assert!(at >= instant() && at > world.clock.now() + SignedDuration::from_secs(5));
    assert!(at <= instant() + SignedDuration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn no_single_fault_opens_a_cohort_twice_or_leaves_it_closed() {
    for fault in [
        Fault::FailBefore,
        Fault::LoseReply,
        Fault::ErrorAfter,
        Fault::Throttle,
        Fault::TransactionConflict,
    ] {
        let mut points = 0;
        for attempt in 1.. {
            let world = World::with_seats(5).await;
            create(&world, 1, Some(START)).await;
            create(&world, 2, Some(START)).await;
            let stream = world.cloud.stream_records();
            world.cloud.restart_trace();
            world.cloud.inject(When::attempt(attempt), fault.clone());
            // As Lambda does: what was not handled comes again.
            let _ = activate(&world, stream.clone()).await;
            let _ = activate(&world, stream).await;
            world.clock.set(instant());
            for firing in world.cloud.fire_due() {
                if activate(&world, firing.input.clone()).await.is_err() {
                    let _ = activate(&world, firing.input).await;
                }
            }
            if world.cloud.attempts().len() < usize::try_from(attempt).unwrap() {
                break;
            }
            points += world.cloud.fired().len();
            world.cloud.clear_faults();
            run_sweep(&world, 1).await;
            run_sweep(&world, 2).await;
            drain(&world).await;
            let stock = world.stock().await;
            assert_eq!((stock.used, stock.held), (2, 0), "{fault:?} at {attempt}");
            assert_eq!(world.cloud.sent_mails().len(), 2, "{fault:?} at {attempt}");
            world.assert_seats_are_conserved().await;
        }
        // Only a transaction can meet a conflict with another.
        let least = if fault == Fault::TransactionConflict { 1 } else { 3 };
        assert!(points >= least, "{fault:?} fired at {points} points only");
    }
}

/// The cohort that the stored events are about, with one seat waiting.
async fn cohort_of_the_events(world: &World) -> CohortKey {
    let image = event("activate/cohort_appeared");
    let image = &image["Records"][0]["dynamodb"]["NewImage"];
    let pool: PoolId = image["pool"]["S"].as_str().unwrap().parse().unwrap();
    let key = CohortKey { client_id: world.client.clone(), pool, instant: instant() };
    let now = world.clock.now();
    let mut change = Change::new(&world.client, world.op(), Actor::System, now);
    change.step(Step::OpenPool { pool, stock: Stock::of(2) });
    change.audit(pool, Delta::bought(2), Action::ContractCreated, &[], None);
    world.store.apply(&change).await.unwrap();
    let mut change = Change::new(&world.client, world.op(), Actor::System, now);
    change.move_seats(pool, Delta::held(1), Action::SeatScheduled, &[], None);
    change.step(Step::JoinCohort { key: key.clone(), start_on: START, count: 1 });
    world.store.apply(&change).await.unwrap();
    key
}

#[tokio::test]
async fn the_events_of_a_cohorts_life_are_understood() {
    let world = World::with_seats(1).await;
    let key = cohort_of_the_events(&world).await;
    let met = activate(&world, event("activate/cohort_appeared")).await.unwrap();
    assert_eq!(met, json!({"batchItemFailures": []}));
    let schedules = world.cloud.schedules();
    assert_eq!(schedules.len(), 1);
    assert_eq!(schedules[0].input, event("activate/schedule_fired"), "as it will come back");
    world.clock.set(key.instant);
    let opened = activate(&world, event("activate/schedule_fired")).await.unwrap();
    assert_eq!(opened, json!({"opened": 1}));
    let stock = world.store.stock(&world.client, key.pool).await.unwrap().unwrap();
    assert_eq!((stock.held, stock.used), (0, 1));
}

#[tokio::test]
async fn a_cohort_that_everyone_left_opens_without_moving_a_seat() {
    let world = World::with_seats(1).await;
    let key = cohort_of_the_events(&world).await;
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.move_seats(key.pool, Delta::let_go(1), Action::SeatReleased, &[], None);
    change.step(Step::LeaveCohort { key: key.clone(), count: 1 });
    world.store.apply(&change).await.unwrap();
    world.clock.set(key.instant);
    let opened = activate(&world, event("activate/schedule_fired")).await.unwrap();
    assert_eq!(opened, json!({"opened": 0}));
    assert_eq!(only(&world, "cohort")["state"], "opened");
    let stock = world.store.stock(&world.client, key.pool).await.unwrap().unwrap();
    assert_eq!(stock, Stock::of(2));
}

#[tokio::test]
async fn an_event_of_no_known_form_is_an_error_and_so_reaches_the_dead_letters() {
    let world = World::with_seats(1).await;
    let mut newer = event("activate/schedule_fired");
    newer["version"] = json!(2);
    for bad in [json!({}), json!({"kind": "activate"}), json!({"Records": 1}), newer] {
        let refused = activate(&world, bad.clone()).await;
        assert!(matches!(refused, Err(ActivateError::Unreadable)), "{bad}");
    }
    let unknown = activate(&world, event("activate/schedule_fired")).await;
    assert!(matches!(unknown, Err(ActivateError::Cohort(OpenCohortError::UnknownCohort))));
    assert_eq!(notify(&world, 1, &event("notify/cohort_opened")).await, 0, "no mail waits");
}

async fn to_another_day(world: &World, number: usize, day: Date) -> ChangedLearner {
    let command = ChangeLearner {
        client_id: world.client.clone(),
        learner_id: world.keys.learner_id(&world.client, &address(number)),
        profile: ProfileChange::default(),
        start_on: Some(day),
        pool: None,
        notify: true,
    };
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    change_learner(store, clock, ids, &world.administrator(), world.op(), &command)
        .await
        .expect("a seat that waits")
}

#[tokio::test]
async fn a_seat_with_another_day_opens_then_and_its_learner_is_told_once() {
    let world = waiting().await;
    to_another_day(&world, 1, date(2027, 3, 8)).await;
    drain(&world).await;
    assert_eq!(world.cloud.schedules().len(), 2, "one a day");
    world.clock.set(instant());
    for firing in world.cloud.fire_due() {
        activate(&world, firing.input).await.unwrap();
    }
    drain(&world).await;
    run_sweep(&world, 1).await;
    assert_eq!((world.stock().await.used, world.stock().await.held), (1, 1));
    assert_eq!(world.cloud.sent_mails().len(), 1, "the other one is told on their day");
    world.clock.advance(SignedDuration::from_hours(24 * 7));
    for firing in world.cloud.fire_due() {
        activate(&world, firing.input).await.unwrap();
    }
    drain(&world).await;
    run_sweep(&world, 2).await;
    assert_eq!((world.stock().await.used, world.stock().await.held), (2, 0));
    assert_eq!(world.cloud.sent_mails().len(), 2);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_seat_brought_forward_to_today_opens_in_the_call_and_the_old_schedule_does_nothing() {
    let world = waiting().await;
    let changed = to_another_day(&world, 1, date(2026, 1, 1)).await;
    assert_eq!(changed.rescheduled, Some(world.pool()));
    assert_eq!((world.stock().await.used, world.stock().await.held), (1, 1));
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 1);
    world.clock.set(instant());
    let fired = world.cloud.fire_due().remove(0).input;
    assert_eq!(activate(&world, fired).await.unwrap(), json!({"opened": 1}));
    drain(&world).await;
    run_sweep(&world, 1).await;
    assert_eq!((world.stock().await.used, world.stock().await.held), (2, 0));
    assert_eq!(world.cloud.sent_mails().len(), 2, "one each");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_waiting_seat_that_goes_to_somebody_else_opens_for_them() {
    let world = waiting().await;
    let command = TransferSeat {
        client_id: world.client.clone(),
        from: world.keys.learner_id(&world.client, &address(1)),
        pool: None,
        to: address(7),
        profile: Profile::default(),
        notify: true,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let moved = transfer_seat(store, clock, ids, keys, &caller, world.op(), &command).await;
    let moved = moved.expect("a seat that waits");
    let seat = &moved.to.seats[&world.pool()];
    assert_eq!(seat.state, SeatState::Scheduled { opens_at: instant() });
    assert_eq!((world.stock().await.used, world.stock().await.held), (0, 2));
    world.clock.set(instant());
    for firing in world.cloud.fire_due() {
        assert_eq!(activate(&world, firing.input).await.unwrap(), json!({"opened": 2}));
    }
    drain(&world).await;
    run_sweep(&world, 1).await;
    let told: Vec<_> = world.cloud.sent_mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&address(7).to_string()) && !told.contains(&address(1).to_string()));
    world.assert_seats_are_conserved().await;
}

/// So many people who start on the day, as an import would make them.
async fn many(world: &World, count: usize) {
    for number in 1..=count {
        create(world, number, Some(START)).await;
    }
    drain(world).await;
}

async fn change_all(world: &World, what: CohortChange) -> Result<ChangedCohort, ChangeCohortError> {
    let key = CohortKey { client_id: world.client.clone(), pool: world.pool(), instant: instant() };
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let until = clock.now() + SignedDuration::from_secs(20);
    change_cohort(store, clock, ids, Actor::System, world.op(), &key, what, until).await
}

fn a_week_later() -> CohortChange {
    CohortChange::Reschedule { start_on: date(2027, 3, 8), notify: true }
}

async fn fire(world: &World) {
    for firing in world.cloud.fire_due() {
        activate(world, firing.input).await.unwrap();
    }
    drain(world).await;
    run_sweep(world, 1).await;
}

#[tokio::test]
async fn a_cohort_of_hundreds_is_moved_and_opens_once_on_the_other_day() {
    let world = World::with_seats(150).await;
    many(&world, 100).await;
    let done = change_all(&world, a_week_later()).await.expect("a cohort that waits");
    assert_eq!((done.changed, done.left, done.complete, done.opened), (100, 0, true, false));
    drain(&world).await;
    world.clock.set(instant());
    fire(&world).await;
    assert_eq!((world.stock().await.used, world.stock().await.held), (0, 100));
    assert!(world.cloud.sent_mails().is_empty(), "nobody is told on the old day");
    world.clock.advance(SignedDuration::from_hours(24 * 7));
    fire(&world).await;
    assert_eq!((world.stock().await.used, world.stock().await.held), (100, 0));
    let mut told: Vec<_> = world.cloud.sent_mails().into_iter().flat_map(|mail| mail.to).collect();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), world.cloud.sent_mails().len()), (100, 100), "each of them once");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_cohort_that_opens_while_it_is_moved_keeps_who_was_not_moved_yet() {
    let world = Arc::new(World::with_seats(150).await);
    many(&world, 100).await;
    // Its schedule fires between two changes.
    world.cloud.restart_trace();
    let other = Arc::clone(&world);
    world.cloud.let_first(When::call("TransactWriteItems", 9), move || async move {
        other.clock.set(instant());
        for firing in other.cloud.fire_due() {
            activate(&other, firing.input).await.unwrap();
        }
    });
    let done = change_all(&world, a_week_later()).await.expect("some of them");
    assert!(done.opened && done.complete && (8..60).contains(&done.changed), "{done:?}");
    let stock = world.stock().await;
    assert_eq!((stock.used, stock.held), (100 - done.changed, done.changed));
    let again = change_all(&world, CohortChange::Cancel).await;
    assert!(matches!(again, Err(ChangeCohortError::Opened)));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn who_joins_a_cohort_while_it_is_cancelled_is_not_passed_over_in_silence() {
    let world = Arc::new(World::with_seats(9).await);
    many(&world, 3).await;
    world.cloud.restart_trace();
    let other = Arc::clone(&world);
    // Some of them stand where the reading has been.
    world.cloud.let_first(When::call("TransactWriteItems", 3), move || async move {
        for number in 4..=7 {
            create(&other, number, Some(START)).await;
        }
    });
    let done = change_all(&world, CohortChange::Cancel).await.expect("a cohort that waits");
    assert!(done.left > 0 && !done.complete, "{done:?}");
    assert_eq!(done.changed + done.left, 7);
    let rest = change_all(&world, CohortChange::Cancel).await.expect("a cohort that waits");
    assert_eq!((rest.changed, rest.left, rest.complete), (done.left, 0, true));
    assert_eq!(world.stock().await.available, 9);
    world.clock.set(instant());
    fire(&world).await;
    assert!(world.cloud.sent_mails().is_empty());
    world.assert_seats_are_conserved().await;
}

/// A seat on these terms, with a generated password that is mailed.
async fn seated(world: &World, number: usize, term: TermRequest) -> Learner {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile::default(),
        password: PasswordChoice::Generated,
        term: TermRequest { start_on: Some(START), ..term },
        notify: true,
        copy_to: None,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
    made.expect("a free seat").learner
}

async fn end(world: &World, number: usize) -> Option<Timestamp> {
    let id = world.keys.learner_id(&world.client, &address(number));
    let known = world.store.learner(&world.client, id).await.expect("readable");
    known.expect("a learner").seats[&world.pool()].ends_at
}

#[tokio::test]
async fn a_moved_seat_keeps_an_end_of_its_own_and_has_the_length_that_the_contract_gives() {
    let terms = Policies { seat_duration_days: Some(60), ..Policies::default() };
    let world = World::with_policies(9, terms).await;
    seated(&world, 1, TermRequest::default()).await;
    seated(&world, 2, TermRequest { duration_days: Some(20), ..TermRequest::default() }).await;
    let last = Some(date(2027, 3, 20));
    seated(&world, 3, TermRequest { end_on: last, ..TermRequest::default() }).await;
    let before = [end(&world, 1).await, end(&world, 2).await, end(&world, 3).await];
    let done = change_all(&world, a_week_later()).await.expect("a cohort that waits");
    assert_eq!((done.changed, done.kept.len()), (3, 0));
    let week = SignedDuration::from_hours(24 * 7);
    assert_eq!(end(&world, 1).await, before[0].map(|end| end + week));
    assert_eq!([end(&world, 2).await, end(&world, 3).await], [before[1], before[2]]);
}

#[tokio::test]
async fn an_end_that_is_given_while_a_cohort_is_moved_is_kept() {
    let world = Arc::new(World::with_seats(9).await);
    create(&world, 1, Some(START)).await;
    world.cloud.restart_trace();
    let other = Arc::clone(&world);
    world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
        let end_on = Amend::Set(date(2027, 6, 30));
        let command = ChangeLearner {
            client_id: other.client.clone(),
            learner_id: other.keys.learner_id(&other.client, &address(1)),
            profile: ProfileChange { end_on, ..ProfileChange::default() },
            start_on: None,
            pool: None,
            notify: true,
        };
        let (store, clock, ids) = (&other.store, &other.clock, &other.ids);
        let caller = other.administrator();
        change_learner(store, clock, ids, &caller, other.op(), &command).await.expect("changed");
    });
    let done = change_all(&world, a_week_later()).await.expect("a cohort that waits");
    assert_eq!(done.changed, 1);
    assert_eq!(end(&world, 1).await, Some("2027-06-30T22:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn who_starts_today_after_all_is_told_the_generated_password() {
    let world = World::with_seats(3).await;
    let hash = seated(&world, 1, TermRequest::default()).await.credential.expect("one").hash;
    drain(&world).await;
    let today = CohortChange::Reschedule { start_on: date(2026, 1, 1), notify: true };
    change_all(&world, today).await.expect("a cohort that waits");
    drain(&world).await;
    let mails = world.cloud.sent_mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.split_whitespace().any(|word| hash.matches(word)));
}
