//! Warnings to those who look after a client's contracts: once each, at the right moment.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]

mod mailroom;

use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::add_client::replace_client;
use seatkeeper_domain::actions::allocate_seats::add_sublicense;
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::actions::open_contract::add_seats;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{Change, Step};
use seatkeeper_domain::client::AlertRecipient;
use seatkeeper_domain::contract::{OnEnd, Policies, Sublicense};
use seatkeeper_domain::dates::instant_of;
use seatkeeper_domain::ids::SublicenseId;
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _, Ledger as _};
use seatkeeper_domain::stock::Delta;
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::{World, address};

use crate::mailroom::{create, run_sweep};

/// Long enough for a contract to be looked at again.
const HOUR: SignedDuration = SignedDuration::from_mins(61);

async fn world(seats: u64, low_stock: &[u64]) -> World {
    let policies = Policies { low_stock: low_stock.to_vec(), ..Policies::default() };
    World::with_policies(seats, policies).await
}

/// Names those who look after the contracts: one reads the client's language, one another.
async fn name_recipients(world: &World) {
    let known = world.store.client(&world.client).await.expect("readable");
    let mut client = known.expect("a client");
    let english = Languages::from_list("en,fr").parse("en").expect("English");
    let to = |email: &str, language| AlertRecipient {
        email: email.parse().expect("an address"),
        language,
    };
    client.alerts_to = vec![to("ada@acme.example", None), to("bob@acme.example", Some(english))];
    let op = world.op();
    replace_client(&world.store, &world.clock, Actor::System, op, &client).await.expect("named");
}

/// An hour goes by, and the sweep comes. Returns how many warnings it owed.
async fn an_hour_later(world: &World) -> u32 {
    world.clock.advance(HOUR);
    let swept = run_sweep(world, world.clock.now().as_second().unsigned_abs()).await;
    assert!(swept.troubles.is_empty(), "{:?}", swept.troubles);
    swept.warnings_owed
}

/// To whom and what, of the mails that are warnings.
fn warnings(world: &World) -> Vec<(String, String)> {
    let mails = world.cloud.sent_mails().into_iter();
    let told = mails.filter(|mail| mail.to[0].ends_with("@acme.example"));
    let mut told: Vec<_> = told.map(|mail| (mail.to[0].clone(), mail.subject)).collect();
    told.sort();
    told
}

async fn seat(world: &World, people: std::ops::Range<usize>) {
    for number in people {
        create(world, number, None).await;
    }
}

async fn top_up(world: &World, seats: i64) {
    let (store, clock, contract) = (&world.store, &world.clock, &world.contract);
    let more = add_seats(store, clock, Actor::System, world.op(), contract, "A-1", seats).await;
    more.expect("more seats");
}

#[tokio::test(start_paused = true)]
async fn a_stock_that_runs_low_is_told_once_and_anew_after_a_top_up() {
    let world = world(6, &[3, 0]).await;
    name_recipients(&world).await;
    seat(&world, 0..2).await;
    assert_eq!(an_hour_later(&world).await, 0, "four are left");
    seat(&world, 2..3).await;
    assert_eq!(an_hour_later(&world).await, 2);
    let told = warnings(&world);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].0, "ada@acme.example");
    assert!(told[0].1.contains("2026-001"), "{told:?}");
    assert_ne!(told[0].1, told[1].1, "each in their own language");
    seat(&world, 3..4).await;
    assert_eq!(an_hour_later(&world).await, 0, "told already");
    seat(&world, 4..6).await;
    assert_eq!(an_hour_later(&world).await, 2, "none is left");
    assert_eq!(an_hour_later(&world).await, 0);
    top_up(&world, 6).await;
    assert_eq!(an_hour_later(&world).await, 0, "six are left");
    seat(&world, 6..9).await;
    assert_eq!(an_hour_later(&world).await, 2, "armed again");
    assert_eq!(warnings(&world).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn seats_of_sublicenses_are_not_gone_and_a_small_contract_was_never_fuller() {
    let world = world(6, &[25, 3]).await;
    name_recipients(&world).await;
    let sublicense = Sublicense {
        sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
        contract_id: world.contract.contract_id,
        name: "Lyon".to_owned(),
        created_at: world.clock.now(),
    };
    let (op, client) = (world.op(), &world.client);
    let made = add_sublicense(&world.store, Actor::System, op, client, &sublicense, 6).await;
    made.expect("seats");
    assert_eq!(world.stock().await.available, 0);
    assert_eq!(an_hour_later(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_named_later_hears_of_it_then() {
    let world = world(6, &[3]).await;
    seat(&world, 0..4).await;
    assert_eq!(an_hour_later(&world).await, 0);
    name_recipients(&world).await;
    assert_eq!(an_hour_later(&world).await, 2);
    assert_eq!(an_hour_later(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_warning_lapses_when_there_are_seats_again_before_it_is_sent() {
    let world = world(6, &[3]).await;
    name_recipients(&world).await;
    seat(&world, 0..4).await;
    // The mail service takes nothing for a while.
    world.cloud.inject(When::every("SendEmail"), Fault::FailBefore);
    assert_eq!(an_hour_later(&world).await, 2);
    world.cloud.clear_faults();
    top_up(&world, 60).await;
    assert_eq!(an_hour_later(&world).await, 0);
    assert_eq!(warnings(&world), []);
}

/// The first moment of a local day.
fn midnight(world: &World, day: Date) -> Timestamp {
    let zone = jiff::tz::TimeZone::get("Europe/Paris").expect("a zone");
    let at = instant_of(day, jiff::civil::Time::midnight(), &zone);
    assert!(at > world.clock.now(), "time goes on");
    at
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_contract_is_told_ninety_sixty_and_thirty_days_before() {
    let policies = Policies { on_end: OnEnd::StopAccess, ..Policies::default() };
    // It ends on 2028-12-31.
    let world = World::with_policies(40, policies).await;
    name_recipients(&world).await;
    assert_eq!(an_hour_later(&world).await, 0);
    let days = [
        (date(2028, 10, 1), 0),
        (date(2028, 10, 2), 2),
        (date(2028, 10, 31), 0),
        (date(2028, 11, 1), 2),
        (date(2028, 12, 1), 2),
        (date(2028, 12, 31), 0),
        (date(2029, 1, 1), 0),
    ];
    for (day, wanted) in days {
        world.clock.set(midnight(&world, day));
        assert_eq!(an_hour_later(&world).await, wanted, "{day}");
        assert_eq!(an_hour_later(&world).await, 0, "{day}, again");
    }
    assert_eq!(warnings(&world).len(), 6);
    // An ended contract is not looked at any more.
    let contracts = world.cloud.dump().into_iter().filter(|item| item["kind"] == "contract");
    let due: Vec<_> = contracts.filter(|item| item["due_shard"].is_string()).collect();
    assert!(due.is_empty(), "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn two_sweeps_at_once_tell_once() {
    let world = Arc::new(world(6, &[3]).await);
    name_recipients(&world).await;
    seat(&world, 0..4).await;
    world.clock.advance(HOUR);
    world.cloud.restart_trace();
    let other = Arc::clone(&world);
    world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
        assert_eq!(run_sweep(&other, 2).await.warnings_owed, 2);
    });
    assert_eq!(run_sweep(&world, 1).await.warnings_owed, 0);
    run_sweep(&world, 3).await;
    assert_eq!(warnings(&world).len(), 2);
}

/// The text of the last mail in English.
fn last_in_english(world: &World) -> String {
    let mails = world.cloud.sent_mails().into_iter();
    let last = mails.rev().find(|mail| mail.to[0] == "bob@acme.example");
    last.expect("a mail").text.replace('\u{a0}', " ")
}

#[tokio::test(start_paused = true)]
async fn the_mail_of_a_low_stock_says_when_the_rest_is_gone() {
    let world = world(20, &[10]).await;
    name_recipients(&world).await;
    // Ten of twenty in ten days: the other ten take ten days more. Seats bought do not count.
    for day in 0..10 {
        world.clock.advance(SignedDuration::from_hours(24));
        if day == 9 {
            world.clock.advance(-SignedDuration::from_mins(61));
        }
        seat(&world, day..day + 1).await;
    }
    assert_eq!(an_hour_later(&world).await, 2);
    let zone = jiff::tz::TimeZone::get("Europe/Paris").expect("a zone");
    let today = world.clock.now().to_zoned(zone).date();
    let day = today.saturating_add(jiff::Span::new().days(10));
    let told = format!("the seats run out on {}.", day.strftime("%B %-d, %Y"));
    let mail = last_in_english(&world);
    assert!(mail.contains(&told), "{told}: {mail}");
}

/// So many seats are taken at once, with a record each, as if by as many people.
async fn rush(world: &World, seats: usize) {
    for chunk in vec![(); seats].chunks(98) {
        let seats = i64::try_from(chunk.len()).expect("few");
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        change.step(Step::MovePool { pool: world.pool(), delta: Delta::used(seats) });
        for () in chunk {
            change.audit(world.pool(), Delta::used(1), Action::SeatGiven, &[], None);
        }
        world.store.apply(&change).await.expect("seats");
        world.clock.advance(SignedDuration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rush_at_the_beginning_counts_as_what_it_is_in_four_weeks() {
    let world = world(4_000, &[2_760]).await;
    name_recipients(&world).await;
    rush(&world, 1_200).await;
    // Twelve hundred in the first minute, one a day since then: some twelve hundred and thirty in all.
    for day in 0..27 {
        world.clock.advance(SignedDuration::from_hours(24));
        seat(&world, day..day + 1).await;
    }
    world.clock.advance(SignedDuration::from_hours(22));
    rush(&world, 13).await;
    assert_eq!(an_hour_later(&world).await, 2);
    // 2,760 are left, of which 1,240 are taken in four weeks.
    let zone = jiff::tz::TimeZone::get("Europe/Paris").expect("a zone");
    let today = world.clock.now().to_zoned(zone).date();
    let mail = last_in_english(&world);
    let near = (61..=63).any(|days| {
        let day = today.saturating_add(jiff::Span::new().days(days));
        mail.contains(&format!("the seats run out on {}.", day.strftime("%B %-d, %Y")))
    });
    assert!(near, "{mail}");
}

#[tokio::test(start_paused = true)]
async fn the_mail_of_an_end_names_what_still_waits() {
    let world = World::with_policies(40, Policies::default()).await;
    name_recipients(&world).await;
    world.clock.set(midnight(&world, date(2028, 11, 30)));
    an_hour_later(&world).await;
    for number in 1..4 {
        create(&world, number, Some(date(2028, 12, 24))).await;
    }
    let command = Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: (4..6).map(|number| address(number).to_string()).collect(),
        grant: Grant::default(),
        message: None,
        notify: true,
        copy_to: None,
    };
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let invited = invite(store, clock, keys, &world.administrator(), world.op(), &command).await;
    invited.expect("seats");
    world.clock.set(midnight(&world, date(2028, 12, 1)));
    assert_eq!(an_hour_later(&world).await, 2);
    let mail = last_in_english(&world);
    let told = "Invitations still open: 2. Seats that open on a later date: 3.";
    assert!(mail.contains(told), "{mail}");
}
