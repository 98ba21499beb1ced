//! A seat whose last day is over: shown as ended at once, back in the stock by the round that begins then.

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::open_cohort::open_cohort;
use seatkeeper_domain::actions::prove_records::prove_records;
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::{OnEnd, Policies, StockKind};
use seatkeeper_domain::dates::end_of;
use seatkeeper_domain::learner::{Learner, LearnerStatus, Profile, SeatStatus};
use seatkeeper_domain::ports::{Clock as _, People as _};
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::{World, address};

use crate::mailroom::{items, run_sweep};
use crate::scene::{prove, release};

/// Creates a learner whose seat ends with this day.
async fn create(world: &World, number: usize, start_on: Option<Date>, end_on: Date) {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile::default(),
        password: PasswordChoice::Link,
        term: TermRequest { start_on, end_on: Some(end_on), ..TermRequest::default() },
        notify: false,
        copy_to: None,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
    made.expect("a seat");
}

async fn learner(world: &World, number: usize) -> Learner {
    let id = world.keys.learner_id(&world.client, &address(number));
    world.store.learner(&world.client, id).await.expect("readable").expect("a learner")
}

async fn status(world: &World, number: usize) -> (SeatStatus, LearnerStatus) {
    let (learner, now) = (learner(world, number).await, world.clock.now());
    (learner.seats[&world.pool()].status(now), learner.status(now))
}

/// A day goes by, with a sweep and the round it begins.
async fn a_day_later(world: &World) -> u32 {
    world.clock.advance(SignedDuration::from_hours(21));
    run_sweep(world, world.clock.now().as_second().unsigned_abs()).await;
    world.clock.advance(SignedDuration::from_hours(3));
    let proven = prove(world).await;
    assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
    proven.seats_ended
}

const LAST: Date = date(2026, 12, 1);

#[tokio::test(start_paused = true)]
async fn a_seat_that_is_over_returns_and_is_still_shown_as_ended() {
    let world = World::with_seats(9).await;
    create(&world, 1, None, LAST).await;
    create(&world, 2, Some(date(2026, 11, 30)), LAST).await;
    create(&world, 3, None, date(2027, 6, 1)).await;
    run_sweep(&world, 6).await;
    world.clock.set("2026-12-01T22:59:59Z".parse().expect("an instant"));
    run_sweep(&world, 7).await;
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.seats_ended), (1, 0));
    assert_eq!(status(&world, 1).await, (SeatStatus::Active, LearnerStatus::Active));
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(status(&world, 1).await, (SeatStatus::Ended, LearnerStatus::Ended));
    assert_eq!(prove(&world).await.seats_ended, 2, "the day begins with a round");
    for _ in 0..3 {
        assert_eq!(a_day_later(&world).await, 0);
    }
    for number in [1, 2] {
        assert_eq!(status(&world, number).await, (SeatStatus::Ended, LearnerStatus::Ended));
    }
    assert_eq!(status(&world, 3).await.0, SeatStatus::Active);
    assert_eq!((world.stock().await.used, world.stock().await.available), (1, 8));
    let told = items(&world, "audit");
    assert_eq!(told.iter().filter(|one| one["action"] == "seat_ended").count(), 2);
    world.assert_seats_are_conserved().await;
    // Whoever had one can be given another.
    create(&world, 1, None, date(2027, 6, 1)).await;
    assert_eq!(status(&world, 1).await.0, SeatStatus::Active);
    assert_eq!(a_day_later(&world).await, 0);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_began_before_midnight_is_followed_by_one_that_finds_what_ended_then() {
    let world = std::sync::Arc::new(World::with_seats(9).await);
    create(&world, 1, None, LAST).await;
    run_sweep(&world, 6).await;
    let midnight: Timestamp = "2026-12-01T23:00:00Z".parse().expect("an instant");
    world.clock.set(midnight - SignedDuration::from_secs(30));
    let other = std::sync::Arc::clone(&world);
    world.cloud.restart_trace();
    // The last buckets are read when the seat is over, its own was before.
    world.cloud.let_first(When::call("Query", 100), move || async move {
        other.clock.set(midnight + SignedDuration::from_secs(30));
    });
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.seats_ended), (1, 0));
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.seats_ended), (1, 1));
    assert_eq!(prove(&world).await.rounds, 0, "until the next midnight");
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_could_not_be_let_go_is_let_go_within_the_hour() {
    let world = World::with_seats(9).await;
    create(&world, 1, None, LAST).await;
    run_sweep(&world, 6).await;
    world.clock.set("2026-12-01T23:00:00Z".parse().expect("an instant"));
    let refusal = Fault::Refuse { status: 400, code: "AccessDeniedException" };
    world.cloud.inject(When::every("TransactWriteItems"), refusal);
    let until = world.clock.now() + SignedDuration::from_mins(4);
    let met = prove_records(&world.store, &world.clock, &world.ids, &world.keys, until).await;
    assert_eq!((met.rounds, met.seats_ended, met.troubles.len()), (1, 0, 1));
    world.cloud.clear_faults();
    assert_eq!(prove(&world).await.rounds, 0);
    world.clock.advance(SignedDuration::from_hours(1));
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.seats_ended), (1, 1));
    world.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(prove(&world).await.rounds, 0, "until the next midnight");
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_ends_with_its_contract_is_left_to_a_late_renewal_for_a_day() {
    let policies = Policies { on_end: OnEnd::StopAccess, ..Policies::default() };
    let world = World::with_policies(4, policies).await;
    let last = world.contract.ends_on.expect("a last day");
    create(&world, 1, None, last).await;
    create(&world, 2, None, last.yesterday().expect("a day")).await;
    let midnight = end_of(last, &jiff::tz::TimeZone::get("Europe/Paris").expect("a zone"));
    world.clock.set(midnight - SignedDuration::from_hours(30));
    run_sweep(&world, 6).await;
    world.clock.set(midnight - SignedDuration::from_hours(24));
    assert_eq!(prove(&world).await.seats_ended, 1, "which ends before it");
    for (hours, ended) in [(0, 0), (23, 0), (24, 1)] {
        world.clock.set(midnight + SignedDuration::from_hours(hours));
        assert_eq!(status(&world, 1).await.0, SeatStatus::Ended);
        assert_eq!(prove(&world).await.seats_ended, ended, "{hours}");
    }
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn whose_seat_is_over_is_given_another_at_once() {
    let world = World::with_seats(1).await;
    create(&world, 1, None, LAST).await;
    world.clock.set("2026-12-02T08:00:00Z".parse().expect("an instant"));
    create(&world, 1, None, date(2027, 6, 1)).await;
    assert_eq!(status(&world, 1).await.0, SeatStatus::Active);
    assert_eq!((world.stock().await.used, world.stock().await.available), (1, 0));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_seat_whose_date_comes_while_it_is_released_is_counted_once() {
    for nth in 1..4 {
        let world = std::sync::Arc::new(World::with_seats(5).await);
        create(&world, 1, None, date(2027, 6, 1)).await;
        for number in [2, 3] {
            create(&world, number, Some(date(2026, 12, 1)), date(2027, 6, 1)).await;
        }
        let instant = "2026-11-30T23:00:00Z".parse().expect("an instant");
        world.clock.set(instant - SignedDuration::from_millis(1));
        let other = std::sync::Arc::clone(&world);
        world.cloud.restart_trace();
        world.cloud.let_first(When::call("GetItem", nth), move || async move {
            other.clock.set(instant);
            let client_id = other.client.clone();
            let key = CohortKey { client_id, pool: other.pool(), instant };
            open_cohort(&other.store, &other.clock, &other.ids, &key).await.expect("opened");
        });
        release(&world, 2).await;
        world.clock.set(instant);
        run_sweep(&world, 1).await;
        let stock = world.stock().await;
        assert_eq!((stock.used, stock.held, stock.available), (2, 0, 3), "before call {nth}");
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumable_seat_that_is_over_is_spent() {
    let policies = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    let world = World::with_policies(4, policies).await;
    create(&world, 1, None, LAST).await;
    world.clock.set("2026-12-02T08:00:00Z".parse().expect("an instant"));
    let mut ended = 0;
    for _ in 0..3 {
        ended += a_day_later(&world).await;
    }
    let stock = world.stock().await;
    assert_eq!((ended, stock.used, stock.spent, stock.available), (1, 0, 1, 3));
    world.assert_seats_are_conserved().await;
}
