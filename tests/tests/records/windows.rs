//! When access ends: with the contract, after its grace, or so many days after the clock of a seat
//! started.

use jiff::civil::{Date, Time, date};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::change_learner::{
    ChangeLearner, ChangeLearnerError, change_learner,
};
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreateLearnerError, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::sign_in::{SignIn, sign_in};
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::contract::{ClockStart, OnEnd, Policies, WindowError};
use seatkeeper_domain::dates::{end_of, instant_of};
use seatkeeper_domain::learner::{LearnerStatus, Profile, ProfileChange, Seat, SeatStatus};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, People as _};
use seatkeeper_testkit::When;
use seatkeeper_tests::{World, address};

use crate::mailroom::{items, run_sweep};
use crate::scene::prove;

/// What everybody signs in with.
pub(crate) const PASSWORD: &str = "correct horse battery";

fn paris() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get("Europe/Paris").expect("a zone")
}

/// A contract from 2026-01-01 to 2028-12-31 on these terms.
async fn world(policies: Policies) -> World {
    World::with_policies(9, policies).await
}

async fn create(
    world: &World,
    number: usize,
    term: TermRequest,
) -> Result<Seat, CreateLearnerError> {
    seated(world, number, term, false).await
}

/// Gives somebody a seat of the world's contract, and a mail that tells of it, if `notify`.
pub(crate) async fn seated(
    world: &World,
    number: usize,
    term: TermRequest,
    notify: bool,
) -> Result<Seat, CreateLearnerError> {
    let password = PasswordPolicy::default().check(PASSWORD).expect("a good one");
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile::default(),
        password: PasswordChoice::Typed(password.hash(&world.ids)),
        term,
        notify,
        copy_to: None,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await?;
    Ok(made.learner.seats[&world.pool()].clone())
}

async fn seat(world: &World, number: usize) -> Seat {
    let id = world.keys.learner_id(&world.client, &address(number));
    let known = world.store.learner(&world.client, id).await.expect("readable");
    known.expect("a learner").seats[&world.pool()].clone()
}

async fn comes_in(world: &World, number: usize) {
    let id = world.keys.learner_id(&world.client, &address(number));
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    issue_ticket(store, clock, ids, keys, &world.client, id).await.expect("a ticket");
}

/// Tries to sign in.
pub(crate) async fn signs_in(world: &World, number: usize) -> SignIn {
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let typed = (&address(number), PASSWORD);
    sign_in(store, clock, keys, &world.client, typed, "203.0.113.24").await.expect("an answer")
}

/// Gives somebody's seats a last day, or takes it away; says when the one of the world's contract ends.
async fn last_day(
    world: &World,
    number: usize,
    end_on: Amend<Date>,
) -> Result<Option<Timestamp>, ChangeLearnerError> {
    let command = ChangeLearner {
        client_id: world.client.clone(),
        learner_id: world.keys.learner_id(&world.client, &address(number)),
        profile: ProfileChange { end_on, ..ProfileChange::default() },
        start_on: None,
        pool: None,
        notify: false,
    };
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let caller = world.administrator();
    let changed = change_learner(store, clock, ids, &caller, world.op(), &command).await?;
    Ok(changed.learner.seats[&world.pool()].ends_at)
}

fn after(last: Date) -> Timestamp {
    end_of(last, &paris())
}

fn noon(day: Date) -> Timestamp {
    instant_of(day, Time::constant(12, 0, 0, 0), &paris())
}

#[tokio::test(start_paused = true)]
async fn access_outlasts_the_contract_by_its_grace_and_then_ends_where_that_was_agreed() {
    let terms = Policies { on_end: OnEnd::StopAccess, grace_days: 14, ..Policies::default() };
    let world = world(terms).await;
    create(&world, 1, TermRequest::default()).await.expect("a seat");
    let own = TermRequest { end_on: Some(date(2028, 6, 30)), ..TermRequest::default() };
    assert_eq!(
        create(&world, 2, own).await.expect("a seat").ends_at,
        Some(after(date(2028, 6, 30)))
    );
    world.clock.set(noon(date(2029, 1, 14)));
    let refused = create(&world, 3, TermRequest::default()).await;
    assert!(matches!(refused, Err(CreateLearnerError::Ground(_))), "no new seats: {refused:?}");
    assert_eq!(seat(&world, 1).await.status(world.clock.now()), SeatStatus::Active);
    assert!(matches!(signs_in(&world, 1).await, SignIn::Welcome(_)));
    world.clock.set(noon(date(2029, 1, 15)));
    assert_eq!(seat(&world, 1).await.status(world.clock.now()), SeatStatus::Ended);
    assert!(matches!(signs_in(&world, 1).await, SignIn::Over));
    run_sweep(&world, 1).await;
    world.clock.advance(SignedDuration::from_hours(3));
    assert_eq!(prove(&world).await.seats_ended, 1, "the contract's own waits for a late renewal");
    world.clock.set(after(date(2029, 1, 15)));
    assert_eq!(prove(&world).await.seats_ended, 1);
    assert_eq!((world.stock().await.available, world.stock().await.used), (9, 0));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_last_day_ends_a_seat_that_has_outlasted_its_contract() {
    // Open as long as nobody ends it, or for its grace.
    let grace = Policies { on_end: OnEnd::StopAccess, grace_days: 14, ..Policies::default() };
    for (terms, access) in [(Policies::default(), None), (grace, Some(date(2029, 1, 14)))] {
        let world = world(terms).await;
        create(&world, 1, TermRequest::default()).await.expect("a seat");
        world.clock.set(noon(date(2029, 1, 5)));
        let yesterday = last_day(&world, 1, Amend::Set(date(2029, 1, 4))).await;
        assert!(matches!(yesterday, Err(ChangeLearnerError::Term(_))), "{yesterday:?}");
        let beyond = last_day(&world, 1, Amend::Set(date(2029, 1, 15))).await;
        assert_eq!(beyond.is_ok(), access.is_none(), "{beyond:?}");
        for (end_on, last) in
            [(Amend::Clear, access), (Amend::Set(date(2029, 1, 7)), Some(date(2029, 1, 7)))]
        {
            let ends_at = last_day(&world, 1, end_on).await.expect("changed");
            assert_eq!(ends_at, last.map(after));
        }
        world.clock.set(after(date(2029, 1, 7)));
        assert!(matches!(signs_in(&world, 1).await, SignIn::Over));
        // What is over stays over.
        let ends_at = last_day(&world, 1, Amend::Set(date(2029, 1, 12))).await.expect("changed");
        assert_eq!(ends_at, Some(after(date(2029, 1, 7))));
        run_sweep(&world, 1).await;
        world.clock.advance(SignedDuration::from_hours(3));
        assert_eq!(prove(&world).await.seats_ended, 1);
        assert_eq!(world.stock().await.used, 0);
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test(start_paused = true)]
async fn access_stays_open_after_a_contract_that_only_stops_new_seats() {
    let world = world(Policies { grace_days: 14, ..Policies::default() }).await;
    assert_eq!(create(&world, 1, TermRequest::default()).await.expect("a seat").ends_at, None);
    world.clock.set(noon(date(2030, 6, 1)));
    let welcome = signs_in(&world, 1).await;
    let SignIn::Welcome(learner) = welcome else { panic!("{welcome:?}") };
    assert_eq!(learner.status(world.clock.now()), LearnerStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn a_duration_begins_when_the_seat_opens_or_with_the_contract() {
    let lasts = |clock_start| Policies {
        seat_duration_days: Some(400),
        clock_start,
        ..Policies::default()
    };
    // Today is 2026-11-23.
    let later = TermRequest { start_on: Some(date(2027, 3, 1)), ..TermRequest::default() };
    let activation = world(lasts(ClockStart::Activation)).await;
    let given = create(&activation, 1, TermRequest::default()).await.expect("a seat");
    assert_eq!(given.ends_at, Some(after(date(2027, 12, 27))));
    let given = create(&activation, 2, later).await.expect("a seat");
    assert_eq!(given.ends_at, Some(after(date(2028, 4, 3))));

    let fixed = world(lasts(ClockStart::Fixed)).await;
    let given = create(&fixed, 1, TermRequest::default()).await.expect("a seat");
    assert_eq!(given.ends_at, Some(after(date(2027, 2, 4))));
    let over = create(&fixed, 2, later).await;
    assert!(matches!(over, Err(CreateLearnerError::Term(_))), "it is over by then: {over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_duration_that_began_with_the_contract_and_is_over_gives_no_seat() {
    let terms = Policies {
        seat_duration_days: Some(60),
        clock_start: ClockStart::Fixed,
        ..Policies::default()
    };
    let world = world(terms).await;
    let refused = create(&world, 1, TermRequest::default()).await;
    let Err(CreateLearnerError::Term(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.error, WindowError::OutsideContract);
    assert_eq!(world.stock().await.available, 9);
}

fn from_first_login() -> Policies {
    Policies {
        seat_duration_days: Some(30),
        clock_start: ClockStart::FirstLogin,
        on_end: OnEnd::StopAccess,
        ..Policies::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_duration_from_the_first_login_begins_when_its_learner_comes_in_and_once() {
    let world = world(from_first_login()).await;
    let whole = Some(after(date(2028, 12, 31)));
    assert_eq!(create(&world, 1, TermRequest::default()).await.expect("a seat").ends_at, whole);
    let own = TermRequest { duration_days: Some(10), ..TermRequest::default() };
    let own = create(&world, 2, own).await.expect("a seat").ends_at;
    let later = TermRequest { start_on: Some(date(2027, 3, 1)), ..TermRequest::default() };
    create(&world, 3, later).await.expect("a seat");
    world.clock.set(noon(date(2027, 1, 10)));
    for number in 1..=3 {
        comes_in(&world, number).await;
    }
    assert_eq!(seat(&world, 1).await.ends_at, Some(after(date(2027, 2, 8))));
    assert_eq!(seat(&world, 2).await.ends_at, own, "a duration of its own began with the seat");
    assert_eq!(seat(&world, 3).await.ends_at, whole, "it is not open yet");
    world.clock.set(noon(date(2027, 1, 20)));
    comes_in(&world, 1).await;
    assert_eq!(seat(&world, 1).await.ends_at, Some(after(date(2027, 2, 8))), "it runs already");
    let told = items(&world, "audit").into_iter().filter(|one| one["action"] == "clock_started");
    assert_eq!(told.count(), 1);
    world.clock.set(noon(date(2027, 3, 2)));
    run_sweep(&world, 1).await;
    comes_in(&world, 3).await;
    assert_eq!(seat(&world, 3).await.ends_at, Some(after(date(2027, 3, 31))));
    assert!(matches!(signs_in(&world, 1).await, SignIn::Over));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_twice_at_once_around_midnight_starts_the_clock_once() {
    let world = std::sync::Arc::new(world(from_first_login()).await);
    create(&world, 1, TermRequest::default()).await.expect("a seat");
    let other = std::sync::Arc::clone(&world);
    world.cloud.restart_trace();
    world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
        other.clock.advance(SignedDuration::from_hours(24));
        comes_in(&other, 1).await;
    });
    comes_in(&world, 1).await;
    assert_eq!(seat(&world, 1).await.ends_at, Some(after(date(2026, 12, 23))), "from the 24th on");
    let told = items(&world, "audit").into_iter().filter(|one| one["action"] == "clock_started");
    assert_eq!(told.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_last_day_set_and_taken_away_leaves_what_the_contract_says() {
    let world = world(from_first_login()).await;
    create(&world, 1, TermRequest::default()).await.expect("a seat");
    for (end_on, ends_at) in [
        (Amend::Set(date(2027, 5, 1)), Some(after(date(2027, 5, 1)))),
        (Amend::Clear, Some(after(date(2028, 12, 31)))),
    ] {
        assert_eq!(last_day(&world, 1, end_on).await.expect("changed"), ends_at);
    }
}
