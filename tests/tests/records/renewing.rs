//! A contract is renewed: everybody goes over to its successor, nobody is without access in between.

use jiff::civil::{Date, Time, date};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::open_contract::{add_seats, open_contract};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::renew_contract::{RenewContractError, Renewal, renew_contract};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::sign_in::SignIn;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{Contract, OnEnd, Policies};
use seatkeeper_domain::dates::instant_of;
use seatkeeper_domain::ids::{ContractId, PoolId};
use seatkeeper_domain::learner::{Learner, SeatStatus};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Catalog as _, Clock as _, Ledger as _, People as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_tests::{World, address};

use crate::mailroom::{drain, run_sweep};
use crate::scene::{invited, prove};
use crate::windows::{PASSWORD, seated, signs_in};

fn at(day: Date, hour: i8, minute: i8) -> Timestamp {
    let zone = jiff::tz::TimeZone::get("Europe/Paris").expect("a zone");
    instant_of(day, Time::constant(hour, minute, 0, 0), &zone)
}

/// A contract that ends with its last day, 2028-12-31, some days before that one.
async fn late_in_the_contract() -> World {
    let world = World::with_policies(9, ending()).await;
    world.clock.set(at(date(2028, 12, 20), 12, 0));
    world
}

fn ending() -> Policies {
    Policies { on_end: OnEnd::StopAccess, ..Policies::default() }
}

/// A contract from a day on, for a year or so.
async fn successor(world: &World, starts_on: Date, seats: u64) -> Contract {
    let next = Contract {
        starts_on: Some(starts_on),
        ends_on: Some(date(2029, 12, 31)),
        created_at: world.clock.now(),
        ..world.another_contract("2029-001", ending())
    };
    open_contract(&world.store, Actor::System, world.op(), &next, seats).await.expect("opened");
    next
}

async fn renew(world: &World, to: ContractId) -> Result<Renewal, RenewContractError> {
    renew_by(world, world.contract.contract_id, to).await
}

async fn renew_by(
    world: &World,
    from: ContractId,
    to: ContractId,
) -> Result<Renewal, RenewContractError> {
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let until = clock.now() + SignedDuration::from_secs(20);
    let place = (&world.client, from, to);
    renew_contract(store, clock, ids, keys, Actor::System, world.op(), place, until).await
}

async fn create(world: &World, number: usize, term: TermRequest, notify: bool) {
    seated(world, number, term, notify).await.expect("a seat");
}

async fn learner(world: &World, number: usize) -> Learner {
    let id = world.keys.learner_id(&world.client, &address(number));
    world.store.learner(&world.client, id).await.expect("readable").expect("a learner")
}

async fn stands(world: &World, number: usize, pool: PoolId) -> Option<SeatStatus> {
    let known = learner(world, number).await;
    known.seats.get(&pool).map(|seat| seat.status(world.clock.now()))
}

async fn comes_in(world: &World, number: usize) -> bool {
    matches!(signs_in(world, number).await, SignIn::Welcome(_))
}

/// Follows the link that was mailed first.
async fn accept(world: &World, number: usize) {
    let command = AcceptInvitation {
        client_id: world.client.clone(),
        invitation_id: world.keys.invitation_id(&world.client, world.pool(), &address(number)),
        version: 1,
        first_name: "Lise".to_owned(),
        last_name: "Meitner".to_owned(),
        password: PasswordPolicy::default().check(PASSWORD),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    accept_invitation(store, clock, ids, keys, world.op(), &command).await.expect("a seat");
}

async fn stock(world: &World, pool: PoolId) -> Stock {
    world.store.stock(&world.client, pool).await.expect("readable").expect("a pool")
}

fn starting(day: Date) -> TermRequest {
    TermRequest { start_on: Some(day), ..TermRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn everybody_goes_over_on_the_first_day_and_nobody_waits_at_the_door() {
    let world = late_in_the_contract().await;
    create(&world, 1, TermRequest::default(), true).await;
    create(&world, 2, starting(date(2028, 12, 30)), true).await;
    let own = TermRequest { end_on: Some(date(2028, 12, 25)), ..TermRequest::default() };
    create(&world, 3, own, true).await;
    invited(&world, 4).await;
    drain(&world).await;
    let next = successor(&world, date(2029, 1, 1), 5).await;
    let pool = PoolId::Contract(next.contract_id);

    let renewal = renew(&world, next.contract_id).await.expect("renewed");
    let expected =
        Renewal { seats_left: 1, missing: 0, waiting: 2, invitations_left: 1, complete: true };
    assert_eq!(renewal, expected, "one has a last day of their own before");
    assert_eq!((stock(&world, pool).await.held, stock(&world, pool).await.used), (2, 0));
    assert_eq!(stands(&world, 1, world.pool()).await, Some(SeatStatus::Active));
    assert_eq!(stands(&world, 1, pool).await, Some(SeatStatus::Scheduled));
    // Again, by somebody else at the same time: nothing more happens.
    let before = world.cloud.dump().len();
    assert_eq!(renew(&world, next.contract_id).await.expect("renewed"), expected);
    assert_eq!(world.cloud.dump().len(), before);

    // Who comes to the old contract afterwards is seen to in time.
    create(&world, 5, TermRequest::default(), false).await;
    world.clock.set(at(date(2028, 12, 31), 22, 0));
    run_sweep(&world, 1).await;
    assert_eq!(stands(&world, 5, pool).await, Some(SeatStatus::Scheduled));
    let mails = world.cloud.sent_mails().len();
    for (hour, minute) in [(23, 59), (24, 0)] {
        let midnight = at(date(2029, 1, 1), 0, 0);
        world.clock.set(if hour == 24 { midnight } else { at(date(2028, 12, 31), hour, minute) });
        for number in [1, 2, 5] {
            assert!(comes_in(&world, number).await, "{number} at {hour}:{minute}");
        }
        assert!(!comes_in(&world, 3).await);
    }
    run_sweep(&world, 2).await;
    drain(&world).await;
    world.clock.advance(SignedDuration::from_hours(1));
    run_sweep(&world, 3).await;
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), mails, "nobody who has access is told of it");
    let there = stock(&world, pool).await;
    assert_eq!((there.held, there.used, there.available), (1, 3, 1), "the invitation went over");

    accept(&world, 4).await;
    assert_eq!(stands(&world, 4, pool).await, Some(SeatStatus::Active));
    assert_eq!(stock(&world, pool).await.used, 4);
    world.clock.advance(SignedDuration::from_hours(25));
    run_sweep(&world, 4).await;
    world.clock.advance(SignedDuration::from_hours(3));
    let proven = prove(&world).await;
    assert_eq!(proven.mismatches.len(), 0);
    assert_eq!(world.stock().await.available, 9, "all old seats are back");
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_runs_already_takes_everybody_over_at_once() {
    let world = late_in_the_contract().await;
    create(&world, 1, TermRequest::default(), true).await;
    create(&world, 2, starting(date(2028, 12, 30)), true).await;
    create(&world, 3, starting(date(2028, 12, 30)), false).await;
    let own = TermRequest { end_on: Some(date(2028, 12, 25)), ..TermRequest::default() };
    create(&world, 4, own, true).await;
    invited(&world, 5).await;
    drain(&world).await;
    let mails = world.cloud.sent_mails().len();
    let next = successor(&world, date(2028, 12, 1), 9).await;
    let pool = PoolId::Contract(next.contract_id);
    assert!(renew(&world, next.contract_id).await.expect("renewed").is_done());
    let there = stock(&world, pool).await;
    assert_eq!((there.used, there.held), (2, 3));
    assert_eq!(world.stock().await, Stock::of(9), "nothing is left behind");
    let end = learner(&world, 4).await.seats[&pool].ends_at;
    assert_eq!(end, Some(at(date(2028, 12, 26), 0, 0)), "a last day of its own goes with the seat");
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), mails);

    // The invitation lives on by its link, and shows where its mail has got to.
    accept(&world, 5).await;
    // On their day those who asked for it are told, once.
    world.clock.set(at(date(2028, 12, 30), 0, 5));
    run_sweep(&world, 1).await;
    drain(&world).await;
    let told = world.cloud.sent_mails().len() - mails;
    assert_eq!(told, 1, "only the one that was to be told");
    assert_eq!(stock(&world, pool).await.used, 5);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_seat_keeps_the_old_one_and_follows_when_there_is_one() {
    let world = late_in_the_contract().await;
    for number in 1..5 {
        create(&world, number, TermRequest::default(), false).await;
    }
    let next = successor(&world, date(2028, 12, 1), 3).await;
    let pool = PoolId::Contract(next.contract_id);
    let renewal = renew(&world, next.contract_id).await.expect("renewed");
    assert_eq!((renewal.seats_left, renewal.missing, renewal.complete), (1, 1, true));
    assert_eq!((stock(&world, pool).await.used, world.stock().await.used), (3, 1));
    for number in 1..5 {
        assert!(comes_in(&world, number).await, "{number}");
    }
    let (store, clock) = (&world.store, &world.clock);
    add_seats(store, clock, Actor::System, world.op(), &next, "PO-2", 1).await.expect("added");
    world.clock.advance(SignedDuration::from_hours(1));
    run_sweep(&world, 1).await;
    assert_eq!((stock(&world, pool).await.used, world.stock().await.used), (4, 0));
    // Who was let go since does not come back.
    let (who, place) = (learner(&world, 1).await.learner_id, (&world.client, &next));
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let gone = release_seat(store, clock, ids, Actor::System, world.op(), place, who, pool);
    gone.await.expect("a seat to release");
    world.clock.advance(SignedDuration::from_hours(1));
    run_sweep(&world, 2).await;
    assert_eq!(stock(&world, pool).await.used, 3);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_last_minutes_goes_over_although_the_old_seat_has_ended() {
    let world = late_in_the_contract().await;
    let next = successor(&world, date(2029, 1, 1), 3).await;
    let pool = PoolId::Contract(next.contract_id);
    let own = TermRequest { end_on: Some(date(2028, 12, 30)), ..TermRequest::default() };
    create(&world, 2, own, false).await;
    let renewal = renew(&world, next.contract_id).await.expect("renewed");
    assert_eq!((renewal.seats_left, renewal.missing), (1, 0));
    world.clock.set(at(date(2028, 12, 31), 12, 0));
    run_sweep(&world, 9).await;
    world.clock.set(at(date(2028, 12, 31), 14, 0));
    assert_eq!(prove(&world).await.rounds, 1);
    world.clock.set(at(date(2028, 12, 31), 23, 5));
    run_sweep(&world, 1).await;
    world.clock.set(at(date(2028, 12, 31), 23, 50));
    create(&world, 1, TermRequest::default(), false).await;
    // The night's round comes before the next look at the contract.
    world.clock.set(at(date(2029, 1, 1), 0, 1));
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.seats_ended), (1, 0));
    world.clock.set(at(date(2029, 1, 1), 0, 10));
    assert_eq!(stands(&world, 1, world.pool()).await, Some(SeatStatus::Ended));
    run_sweep(&world, 2).await;
    assert_eq!(stands(&world, 1, pool).await, Some(SeatStatus::Active));
    assert!(comes_in(&world, 1).await);
    // Who was at the end of what was given them stays behind.
    assert_eq!(stands(&world, 2, pool).await, None);
    assert_eq!(stock(&world, pool).await.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_contract_is_renewed_by_one_other_and_not_in_a_circle() {
    let world = late_in_the_contract().await;
    let old = world.contract.contract_id;
    let next = successor(&world, date(2029, 1, 1), 3).await;
    assert!(matches!(renew(&world, old).await, Err(RenewContractError::UnknownSuccessor)));
    renew(&world, next.contract_id).await.expect("renewed");
    let other = Contract { ends_on: None, ..world.another_contract("other", ending()) };
    open_contract(&world.store, Actor::System, world.op(), &other, 3).await.expect("opened");
    let refused = renew(&world, other.contract_id).await;
    assert!(matches!(refused, Err(RenewContractError::RenewedOtherwise)), "{refused:?}");
    let refused = renew_by(&world, next.contract_id, old).await;
    assert!(matches!(refused, Err(RenewContractError::RenewedOtherwise)), "{refused:?}");
    let known = world.store.contract(&world.client, old).await.expect("readable");
    assert_eq!(known.and_then(|known| known.renewed_by), Some(next.contract_id));
}

#[tokio::test(start_paused = true)]
async fn who_was_not_told_yet_is_told_of_the_new_seat_once() {
    let world = late_in_the_contract().await;
    let next = successor(&world, date(2028, 12, 1), 3).await;
    // Nobody has looked at the outbox when the contract is renewed.
    create(&world, 1, TermRequest::default(), true).await;
    create(&world, 2, starting(date(2028, 12, 30)), true).await;
    assert!(renew(&world, next.contract_id).await.expect("renewed").is_done());
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 1, "the first has an account");
    world.clock.set(at(date(2028, 12, 30), 0, 5));
    run_sweep(&world, 1).await;
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 2, "the second's seat is open");
}

#[tokio::test(start_paused = true)]
async fn who_gives_the_old_seat_back_is_told_when_the_new_one_opens_and_not_before() {
    let world = late_in_the_contract().await;
    create(&world, 1, starting(date(2028, 12, 30)), true).await;
    create(&world, 2, starting(date(2028, 12, 30)), true).await;
    let next = successor(&world, date(2029, 1, 10), 3).await;
    assert_eq!(renew(&world, next.contract_id).await.expect("renewed").waiting, 2);
    let (who, old) = (learner(&world, 1).await.learner_id, world.pool());
    let place = (&world.client, &world.contract);
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let gone = release_seat(store, clock, ids, Actor::System, world.op(), place, who, old);
    gone.await.expect("a seat to release");
    drain(&world).await;

    let told = async |day, expected| {
        world.clock.set(at(day, 0, 5));
        for _ in 0..2 {
            run_sweep(&world, 1).await;
            drain(&world).await;
        }
        let mails = world.cloud.sent_mails();
        let told: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
        assert_eq!(told, expected, "on {day}");
    };
    let [first, second] = [1, 2].map(|number| address(number).to_string());
    told(date(2028, 12, 30), vec![second.clone()]).await;
    assert_eq!(
        stands(&world, 1, PoolId::Contract(next.contract_id)).await,
        Some(SeatStatus::Scheduled)
    );
    told(date(2029, 1, 9), vec![second.clone()]).await;
    told(date(2029, 1, 10), vec![second, first]).await;
}
