//! Inviting, resending, accepting, declining, cancelling and expiring, on the real adapters.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod addresses;
mod reminders;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::date;
use seatkeeper_domain::actions::accept_invitation::{
    AcceptInvitation, AcceptInvitationError, Accepted, accept_invitation,
};
use seatkeeper_domain::actions::add_group::add_group;
use seatkeeper_domain::actions::close_invitation::{
    CancelInvitationError, DeclineInvitationError, cancel_invitation, decline_invitation,
    expire_invitation,
};
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::invitations::{InvitationNow, LinkClosed, open_invitation_link};
use seatkeeper_domain::actions::invite::{Invite, InviteError, Invited, Verdict, invite};
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::resend_invitation::{ResendInvitationError, resend_invitation};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{Change, Presence, SeatLearner, Step, StoreError};
use seatkeeper_domain::client::Group;
use seatkeeper_domain::contract::{Contract, HoldOn, Policies};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore as _, Op};
use seatkeeper_domain::ids::{ContractId, GroupId, InvitationId};
use seatkeeper_domain::invitation::{Delivery, Grant, Invitation, InvitationStatus};
use seatkeeper_domain::learner::{
    Learner, Profile, Seat, SeatState, SeatStatus, Source, SourceKind,
};
use seatkeeper_domain::link::Link;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, IdSource as _, Ledger as _, PageRequest, People as _};
use seatkeeper_domain::role::{CallerRole, Role};
use seatkeeper_domain::stock::{Delta, Stock};
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::full::in_full;
use seatkeeper_tests::{World, address};

fn wanted(world: &World, numbers: impl IntoIterator<Item = usize>) -> Invite {
    Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: numbers.into_iter().map(|number| address(number).to_string()).collect(),
        grant: Grant::default(),
        message: None,
        notify: true,
        copy_to: None,
    }
}

async fn send(world: &World, op: Op, wanted: &Invite) -> Result<Invited, InviteError> {
    let caller = world.administrator();
    invite(&world.store, &world.clock, &world.keys, &caller, op, wanted).await
}

async fn invited(world: &World, numbers: impl IntoIterator<Item = usize>) -> Invited {
    send(world, world.op(), &wanted(world, numbers)).await.unwrap()
}

/// The verdicts in a word each.
fn words(invited: &Invited) -> Vec<&'static str> {
    let word = |verdict: Verdict| match verdict {
        Verdict::Invited { .. } => "invited",
        Verdict::AlreadyInvited { .. } => "already_invited",
        Verdict::AlreadyActive { .. } => "already_active",
        Verdict::Added { .. } => "added",
        Verdict::Duplicate => "duplicate",
        Verdict::Invalid(_) => "invalid",
        Verdict::NoSeatsLeft => "no_seats",
    };
    invited.results.iter().map(|result| word(result.verdict)).collect()
}

fn id_of(world: &World, email: &EmailAddress) -> InvitationId {
    world.keys.invitation_id(&world.client, world.pool(), email)
}

async fn found(world: &World, number: usize) -> Invitation {
    let id = id_of(world, &address(number));
    world.store.invitation(&world.client, id).await.unwrap().unwrap()
}

async fn learner(world: &World, number: usize) -> Option<Learner> {
    let id = world.keys.learner_id(&world.client, &address(number));
    world.store.learner(&world.client, id).await.unwrap()
}

fn acceptance(world: &World, number: usize, version: u32) -> AcceptInvitation {
    AcceptInvitation {
        client_id: world.client.clone(),
        invitation_id: id_of(world, &address(number)),
        version,
        first_name: "Zoé".to_owned(),
        last_name: "Durand".to_owned(),
        password: PasswordPolicy::default().check("correct horse battery"),
    }
}

async fn accept_as(
    world: &World,
    op: Op,
    command: &AcceptInvitation,
) -> Result<Accepted, AcceptInvitationError> {
    accept_invitation(&world.store, &world.clock, &world.ids, &world.keys, op, command).await
}

async fn accept(world: &World, number: usize) -> Result<Accepted, AcceptInvitationError> {
    accept_as(world, world.op(), &acceptance(world, number, 1)).await
}

async fn resend(world: &World, number: usize) -> Result<InvitationNow, ResendInvitationError> {
    let (caller, id) = (world.administrator(), id_of(world, &address(number)));
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    resend_invitation(store, clock, keys, &caller, world.op(), &world.client, id).await
}

async fn cancel(world: &World, number: usize) -> Result<InvitationNow, CancelInvitationError> {
    let (caller, id) = (world.administrator(), id_of(world, &address(number)));
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    cancel_invitation(store, clock, keys, &caller, world.op(), &world.client, id).await
}

async fn decline(world: &World, number: usize) -> Result<(), DeclineInvitationError> {
    let id = id_of(world, &address(number));
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    decline_invitation(store, clock, keys, world.op(), &world.client, id, 1).await
}

async fn expire(world: &World, number: usize) -> bool {
    let id = id_of(world, &address(number));
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    expire_invitation(store, clock, &world.ids, keys, world.op(), &world.client, id).await.unwrap()
}

/// Another contract of the client, of ten seats and without dates.
async fn other_contract(world: &World) -> ContractId {
    let contract = Contract {
        contract_id: ContractId::from_uuid(world.ids.uuid()),
        reference: "2026-002".to_owned(),
        starts_on: None,
        ends_on: None,
        ..world.contract.clone()
    };
    open_contract(&world.store, Actor::System, world.op(), &contract, 10).await.unwrap();
    contract.contract_id
}

/// An account with a seat on this contract.
async fn account_on(
    world: &World,
    contract_id: ContractId,
    number: usize,
    password: PasswordChoice,
) {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile { first_name: Some("Ana".to_owned()), ..Profile::default() },
        password,
        term: TermRequest::default(),
        notify: false,
        copy_to: None,
    };
    let (clock, ids, keys, caller) = (&world.clock, &world.ids, &world.keys, world.administrator());
    let op = world.op();
    create_learner(&world.store, clock, ids, keys, &caller, op, &command).await.unwrap();
}

/// A seat that does not take up the invitation there is, as an import's chunk may give it.
async fn give_seat_beside_the_invitation(world: &World, number: usize) {
    let learner_id = world.keys.learner_id(&world.client, &address(number));
    let now = world.clock.now();
    let op = world.op();
    let mut change = Change::new(&world.client, op, Actor::System, now);
    change.move_seats(world.pool(), Delta::used(1), Action::SeatGiven, &[learner_id], None);
    change.step(Step::SeatLearner(Box::new(SeatLearner {
        beside: None,
        learner_id,
        email: address(number),
        profile: Profile::default(),
        credential: None,
        presence: Presence::New,
        pool: world.pool(),
        seat: Seat {
            state: SeatState::Active { used_at: now },
            starts_on: None,
            held_at: None,
            ends_at: None,
            reclaim: None,
            carried_from: None,
            source: Source { kind: SourceKind::Import, id: None },
            op: op.id,
        },
    })));
    world.store.apply(&change).await.unwrap();
}

async fn account_without_seat(world: &World, number: usize, password: PasswordChoice) {
    account_on(world, world.contract.contract_id, number, password).await;
    let id = world.keys.learner_id(&world.client, &address(number));
    let place = (&world.client, &world.contract);
    let (clock, ids) = (&world.clock, &world.ids);
    let (op, pool) = (world.op(), world.pool());
    release_seat(&world.store, clock, ids, Actor::System, op, place, id, pool).await.unwrap();
}

/// Subjects of all mails owed.
fn mails(world: &World) -> usize {
    let dump = in_full(world.cloud.dump());
    let owed = dump.iter().filter(|item| item["kind"] == "mail");
    owed.map(|item| item["subjects"].as_array().unwrap().len()).sum()
}

/// Begins an operation under an idempotency key, as the edge does.
async fn begin(world: &World) -> Op {
    let attempt =
        Attempt { record: [7; 32], body: [8; 32], op: world.ids.uuid(), now: world.clock.now() };
    match world.store.begin(&attempt).await.unwrap() {
        Begin::Fresh { op } => op,
        other => panic!("the record is held: {other:?}"),
    }
}

#[tokio::test]
async fn each_address_gets_a_verdict_in_the_order_given() {
    let world = World::with_seats(5).await;
    account_on(&world, world.contract.contract_id, 3, PasswordChoice::Link).await;
    account_without_seat(&world, 4, PasswordChoice::Link).await;
    invited(&world, [2]).await;
    let mut many = wanted(&world, [1, 2, 3, 4, 1]);
    many.addresses.insert(2, "nobody".to_owned());
    many.addresses.push(" LEARNER.1@Example.fr ".to_owned());
    let answer = send(&world, world.op(), &many).await.unwrap();
    assert_eq!(
        words(&answer),
        ["invited", "already_invited", "invalid", "already_active", "added", "duplicate"]
    );
    assert_eq!(
        answer.stock,
        Stock { total: 5, held: 2, used: 2, available: 1, ..Stock::default() }
    );
    assert_eq!(mails(&world), 3, "two invited, one added; nothing is sent again");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn someone_of_the_client_joins_the_groups_is_told_so_and_stays_one_account() {
    let world = World::with_seats(2).await;
    account_without_seat(&world, 1, PasswordChoice::Generated).await;
    let before = learner(&world, 1).await.unwrap();
    let group = Group {
        group_id: GroupId::from_uuid(world.ids.uuid()),
        name: "Paris".to_owned(),
        created_at: world.clock.now(),
    };
    let client = &world.client;
    add_group(&world.store, Actor::System, world.op(), client, &group).await.unwrap();
    let grant = Grant { group_ids: BTreeSet::from([group.group_id]), ..Grant::default() };
    let command = Invite { grant, ..wanted(&world, [1]) };
    let answer = send(&world, world.op(), &command).await.unwrap();
    assert_eq!(words(&answer), ["added"]);
    let after = learner(&world, 1).await.unwrap();
    assert!(after.profile.group_ids.contains(&group.group_id));
    assert_eq!(
        (after.learner_id, after.password_serial),
        (before.learner_id, before.password_serial)
    );
    assert!(after.credential == before.credential, "the password stays");
    let dump = in_full(world.cloud.dump());
    let learners = dump.iter().filter(|item| item["kind"] == "learner");
    assert_eq!(learners.count(), 1);
    let told = dump.iter().find(|item| item["kind"] == "mail").unwrap();
    assert_eq!(told["subjects"][0]["letter"], "added");
    // With a live seat there, nothing moves and nothing is mailed.
    let (stock, mailed) = (world.stock().await, mails(&world));
    let again = send(&world, world.op(), &command).await.unwrap();
    assert_eq!(words(&again), ["already_active"]);
    assert_eq!((world.stock().await, mails(&world)), (stock, mailed));
}

#[tokio::test]
async fn addresses_are_served_in_order_until_the_stock_ends() {
    let world = World::with_seats(2).await;
    let answer = invited(&world, 1..=4).await;
    assert_eq!(words(&answer), ["invited", "invited", "no_seats", "no_seats"]);
    assert_eq!(answer.stock.held, 2);
    let again = invited(&world, [1, 3]).await;
    assert_eq!(words(&again), ["already_invited", "no_seats"]);
    let nobody = send(&world, world.op(), &wanted(&world, [3, 4])).await;
    assert!(matches!(nobody, Err(InviteError::NoSeatsLeft(2))));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_thousand_addresses_are_invited_in_chunks_and_told_once_each() {
    let world = World::with_seats(990).await;
    let answer = invited(&world, 0..1_000).await;
    let words = words(&answer);
    assert!(words[..990].iter().all(|word| *word == "invited"));
    assert!(words[990..].iter().all(|word| *word == "no_seats"));
    assert_eq!(answer.stock.available, 0);
    assert_eq!(mails(&world), 990);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_repeated_request_resumes_behind_its_last_receipt_with_the_same_outcomes() {
    // The second chunk fails for good; the same request comes again after the record's lease.
    let world = World::with_seats(200).await;
    account_without_seat(&world, 0, PasswordChoice::Link).await;
    let wanted = wanted(&world, 0..100);
    world.cloud.restart_trace();
    for call in 2..=40 {
        world.cloud.inject(When::call("TransactWriteItems", call), Fault::Throttle);
    }
    tokio::time::pause();
    let op = begin(&world).await;
    let failed = send(&world, op, &wanted).await;
    assert!(matches!(failed, Err(InviteError::Store(StoreError::Unavailable(_)))));
    tokio::time::resume();
    world.cloud.clear_faults();
    let held = world.stock().await.held;
    assert!(0 < held && held < 99, "part of it was done: {held}");
    world.clock.advance(SignedDuration::from_mins(2));
    let resumed = begin(&world).await;
    assert_eq!(resumed.id, op.id);
    let answer = send(&world, resumed, &wanted).await.unwrap();
    assert_eq!(words(&answer)[0], "added");
    assert!(words(&answer)[1..].iter().all(|word| *word == "invited"), "as the first would say");
    assert_eq!(mails(&world), 100);
    assert_eq!(world.stock().await.held, 99);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_invites_nobody_twice() {
    for fault in [Fault::LoseReply, Fault::ErrorAfter, Fault::FailBefore, Fault::Throttle] {
        let world = World::with_seats(60).await;
        world.cloud.restart_trace();
        world.cloud.inject(When::call("TransactWriteItems", 1), fault);
        let answer = invited(&world, 0..50).await;
        assert!(words(&answer).iter().all(|word| *word == "invited"));
        assert_eq!(world.cloud.fired().len(), 1, "the fault fired");
        assert_eq!((world.stock().await.held, mails(&world)), (50, 50));
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_calls_at_once_hold_exactly_the_last_twenty_seats() {
    let world = Arc::new(World::with_seats(20).await);
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let world = Arc::clone(&world);
            // Three addresses a call, neighbors overlap.
            let numbers = [2 * number, 2 * number + 1, 2 * number + 2];
            tokio::spawn(async move {
                match send(&world, world.op(), &wanted(&world, numbers)).await {
                    Ok(answer) => words(&answer).iter().filter(|w| **w == "invited").count(),
                    Err(InviteError::NoSeatsLeft(_)) => 0,
                    Err(error) => panic!("{error}"),
                }
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        given += task.await.unwrap();
    }
    assert_eq!(given, 20);
    let stock = world.stock().await;
    assert_eq!((stock.held, stock.available, mails(&world)), (20, 0, 20));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_invitation_accepted_by_many_at_once_is_one_seat() {
    let world = Arc::new(World::with_seats(3).await);
    invited(&world, [1]).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { accept(&world, 1).await })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(AcceptInvitationError::Closed(LinkClosed::Accepted)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(world.stock().await.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_created_and_invited_at_once_has_one_seat_and_no_open_invitation() {
    for _ in 0..5 {
        let world = Arc::new(World::with_seats(5).await);
        let tasks: Vec<_> = (0..12)
            .map(|number| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    if number % 2 == 0 {
                        let contract = world.contract.contract_id;
                        account_on(&world, contract, 1, PasswordChoice::Link).await;
                    } else {
                        invited(&world, [1]).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let stock = world.stock().await;
        assert_eq!((stock.used, stock.held), (1, 0));
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_acceptance_takes_the_seat_the_quickest_get_the_last_ones() {
    let policies = Policies { hold_on: HoldOn::Accept, ..Policies::default() };
    let world = Arc::new(World::with_policies(5, policies).await);
    let answer = invited(&world, 0..16).await;
    assert!(words(&answer).iter().all(|word| *word == "invited"));
    assert_eq!(answer.stock, Stock::of(5));
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { accept(&world, number).await })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(AcceptInvitationError::NoSeatsLeft) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(accepted, 5);
    assert_eq!(world.stock().await.used, 5);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_held_seat_can_be_taken_up_when_the_pool_is_full() {
    let world = World::with_seats(1).await;
    let mut with_grant = wanted(&world, [1]);
    with_grant.grant.labels = BTreeSet::from(["2026".to_owned()]);
    with_grant.grant.end_on = Some(date(2027, 6, 30));
    send(&world, world.op(), &with_grant).await.unwrap();
    assert_eq!(world.stock().await.available, 0);
    let accepted = accept(&world, 1).await.unwrap();
    assert!(!accepted.password_kept);
    let learner = learner(&world, 1).await.unwrap();
    assert_eq!(learner.learner_id, accepted.learner_id);
    assert_eq!(learner.profile.first_name.as_deref(), Some("Zoé"));
    assert_eq!(learner.profile.labels, with_grant.grant.labels);
    assert!(learner.credential.unwrap().hash.matches("correct horse battery"));
    let seat = &learner.seats[&world.pool()];
    assert_eq!(seat.status(world.clock.now()), SeatStatus::Active);
    assert_eq!(seat.ends_at, Some("2027-06-30T22:00:00Z".parse().unwrap()));
    assert_eq!(found(&world, 1).await.status, InvitationStatus::Accepted);
    assert_eq!(world.stock().await, Stock { total: 1, used: 1, ..Stock::default() });
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_acceptance_with_a_later_start_keeps_the_seat_held_until_its_day() {
    let world = World::with_seats(2).await;
    let mut later = wanted(&world, [1]);
    later.grant.start_on = Some(date(2026, 12, 1));
    send(&world, world.op(), &later).await.unwrap();
    accept(&world, 1).await.unwrap();
    let learner = learner(&world, 1).await.unwrap();
    let seat = &learner.seats[&world.pool()];
    assert_eq!(seat.status(world.clock.now()), SeatStatus::Scheduled);
    let dump = world.cloud.dump();
    let cohort = dump.iter().find(|item| item["kind"] == "cohort").unwrap();
    assert_eq!(
        (cohort["count"].as_u64(), &cohort["instant"]),
        (Some(1), &"2026-11-30T23:00:00Z".into())
    );
    assert_eq!(world.stock().await.held, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn accounts_added_with_a_later_start_join_its_cohort_and_are_told_on_the_day() {
    let world = World::with_seats(3).await;
    account_without_seat(&world, 1, PasswordChoice::Link).await;
    account_without_seat(&world, 2, PasswordChoice::Link).await;
    let mut later = wanted(&world, [1, 2, 3]);
    later.grant.start_on = Some(date(2026, 12, 1));
    let answer = send(&world, world.op(), &later).await.unwrap();
    assert_eq!(words(&answer), ["added", "added", "invited"]);
    assert_eq!(answer.stock.held, 3);
    let dump = world.cloud.dump();
    let cohort = dump.iter().find(|item| item["kind"] == "cohort").unwrap();
    assert_eq!(cohort["count"], 2);
    let waiting = dump.iter().find(|item| item["kind"] == "mail" && !item["cohort"].is_null());
    assert_eq!(waiting.unwrap()["due_at"], "2026-11-30T23:00:00.000000Z");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_account_with_a_password_keeps_it_and_one_without_takes_the_one_typed() {
    let world = World::with_seats(2).await;
    let other = other_contract(&world).await;
    invited(&world, [1, 2]).await;
    let theirs = PasswordPolicy::default().check("the password they have").unwrap();
    let typed = PasswordChoice::Typed(theirs.hash(&world.ids));
    account_on(&world, other, 1, typed).await;
    account_on(&world, other, 2, PasswordChoice::Link).await;
    // What is typed does not matter where it is not used.
    let mut first = acceptance(&world, 1, 1);
    first.password = PasswordPolicy::default().check("short");
    assert!(accept_as(&world, world.op(), &first).await.unwrap().password_kept);
    assert!(!accept(&world, 2).await.unwrap().password_kept);
    for (number, password) in [(1, "the password they have"), (2, "correct horse battery")] {
        let learner = learner(&world, number).await.unwrap();
        assert!(learner.credential.unwrap().hash.matches(password), "{number}");
        assert_eq!(learner.profile.first_name.as_deref(), Some("Ana"), "names are kept");
        assert_eq!(learner.seats.len(), 2);
    }
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn someone_who_has_a_seat_already_is_led_on_and_the_held_seat_goes_back() {
    let world = World::with_seats(3).await;
    invited(&world, [1]).await;
    give_seat_beside_the_invitation(&world, 1).await;
    assert_eq!(
        world.stock().await,
        Stock { total: 3, held: 1, used: 1, available: 1, ..Stock::default() }
    );
    let accepted = accept(&world, 1).await.unwrap();
    assert!(!accepted.password_kept, "there was none: the one typed holds");
    let learner = learner(&world, 1).await.unwrap();
    assert!(learner.credential.unwrap().hash.matches("correct horse battery"));
    assert_eq!(learner.profile.last_name.as_deref(), Some("Durand"));
    assert_eq!(found(&world, 1).await.status, InvitationStatus::Accepted);
    assert_eq!(world.stock().await, Stock { total: 3, used: 1, available: 2, ..Stock::default() });
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_weak_password_is_refused_and_the_invitation_stays() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    let mut weak = acceptance(&world, 1, 1);
    weak.password = PasswordPolicy::default().check("short");
    let refused = accept_as(&world, world.op(), &weak).await;
    assert!(matches!(refused, Err(AcceptInvitationError::WeakPassword(_))));
    accept(&world, 1).await.unwrap();
}

#[tokio::test]
async fn resending_makes_a_new_link_and_the_old_one_is_dead() {
    let world = World::with_seats(2).await;
    invited(&world, [1]).await;
    world.clock.advance(SignedDuration::from_hours(24));
    let sent = resend(&world, 1).await.unwrap();
    assert_eq!((sent.invitation.version, sent.invitation.sent_count), (2, 2));
    assert_eq!(sent.invitation.expires_at.to_string(), "2026-12-08T09:00:00Z");
    assert_eq!(sent.stock.held, 1);
    assert_eq!(mails(&world), 2);
    let old = accept(&world, 1).await;
    assert!(matches!(old, Err(AcceptInvitationError::Closed(LinkClosed::Replaced))));
    accept_as(&world, world.op(), &acceptance(&world, 1, 2)).await.unwrap();
    assert!(matches!(resend(&world, 1).await, Err(ResendInvitationError::AlreadyAccepted)));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_expired_invitation_frees_its_seat_and_resending_takes_one_again() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    assert!(!expire(&world, 1).await, "its time is not over");
    world.clock.advance(SignedDuration::from_hours(24 * 14));
    let late = accept(&world, 1).await;
    assert!(matches!(late, Err(AcceptInvitationError::Closed(LinkClosed::Expired))));
    assert!(expire(&world, 1).await);
    assert!(!expire(&world, 1).await, "once only");
    assert_eq!(world.stock().await, Stock::of(1));
    invited(&world, [2]).await;
    assert!(matches!(resend(&world, 1).await, Err(ResendInvitationError::NoSeatsLeft)));
    cancel(&world, 2).await.unwrap();
    assert_eq!(resend(&world, 1).await.unwrap().stock.held, 1);
    accept_as(&world, world.op(), &acceptance(&world, 1, 2)).await.unwrap();
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_overdue_invitation_that_no_sweep_has_seen_keeps_its_seat_when_renewed() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    world.clock.advance(SignedDuration::from_hours(24 * 15));
    let renewed = invited(&world, [1]).await;
    assert!(matches!(renewed.results[0].verdict, Verdict::Invited { version: 2, .. }));
    assert_eq!(renewed.stock.held, 1);
    world.clock.advance(SignedDuration::from_hours(24 * 15));
    assert_eq!(resend(&world, 1).await.unwrap().stock.held, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_overdue_invitation_of_someone_who_has_an_account_since_gives_up_its_seat_to_them() {
    let world = World::with_seats(1).await;
    let other = other_contract(&world).await;
    invited(&world, [1]).await;
    account_on(&world, other, 1, PasswordChoice::Link).await;
    assert_eq!(words(&invited(&world, [1]).await), ["already_invited"]);
    world.clock.advance(SignedDuration::from_hours(24 * 15));
    let answer = invited(&world, [1]).await;
    assert_eq!(words(&answer), ["added"], "the pool is full, but a seat was held");
    assert_eq!(answer.stock, Stock { total: 1, used: 1, ..Stock::default() });
    assert_eq!(found(&world, 1).await.status, InvitationStatus::Accepted);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn cancelling_and_declining_free_the_seat_and_close_the_link() {
    let world = World::with_seats(2).await;
    invited(&world, [1, 2]).await;
    let cancelled = cancel(&world, 1).await.unwrap();
    assert_eq!(cancelled.invitation.status, InvitationStatus::Cancelled);
    assert_eq!(cancelled.stock.held, 1);
    cancel(&world, 1).await.unwrap();
    decline(&world, 2).await.unwrap();
    let again = decline(&world, 2).await;
    assert!(matches!(again, Err(DeclineInvitationError::Closed(LinkClosed::Declined))));
    assert_eq!(world.stock().await, Stock::of(2));
    for (number, why) in [(1, LinkClosed::Cancelled), (2, LinkClosed::Declined)] {
        let refused = accept(&world, number).await;
        assert!(matches!(refused, Err(AcceptInvitationError::Closed(closed)) if closed == why));
        assert!(matches!(resend(&world, number).await, Err(ResendInvitationError::Closed)));
    }
    // A new invitation of the address begins behind the old versions: old links stay dead.
    assert_eq!(words(&invited(&world, [1]).await), ["invited"]);
    assert_eq!(found(&world, 1).await.version, 2);
    accept_as(&world, world.op(), &acceptance(&world, 1, 2)).await.unwrap();
    assert!(matches!(cancel(&world, 1).await, Err(CancelInvitationError::AlreadyAccepted)));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_link_shows_without_changing_anything_and_a_forged_one_leads_nowhere() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    let before = world.cloud.dump();
    let link = Link::Invitation {
        client: world.client.clone(),
        invitation: id_of(&world, &address(1)),
        version: 1,
    };
    let token = link.token(&world.keys);
    let open = async |token: &str| {
        open_invitation_link(&world.store, &world.keys, world.clock.now(), token).await.unwrap()
    };
    let opened = open(&token).await.unwrap();
    assert_eq!((opened.invitation.email, opened.closed), (address(1), None));
    assert!(open(&token[1..]).await.is_none());
    assert!(open("nonsense").await.is_none());
    assert_eq!(world.cloud.dump(), before);
}

#[tokio::test]
async fn an_invitation_ends_with_the_access_it_gives() {
    let world = World::with_seats(1).await;
    let mut brief = wanted(&world, [1]);
    brief.grant.end_on = Some(date(2026, 11, 25));
    send(&world, world.op(), &brief).await.unwrap();
    assert_eq!(found(&world, 1).await.expires_at.to_string(), "2026-11-25T23:00:00Z");
}

#[tokio::test]
async fn without_a_mail_nothing_is_queued_and_a_copy_is_one_mail() {
    let world = World::with_seats(5).await;
    let quiet = Invite { notify: false, ..wanted(&world, [1]) };
    send(&world, world.op(), &quiet).await.unwrap();
    let invitation = found(&world, 1).await;
    assert_eq!((invitation.delivery, invitation.sent_count), (Delivery::Unknown, 0));
    assert_eq!(mails(&world), 0);
    let to = EmailAddress::parse("admin@acme.example").unwrap();
    let copied = Invite { copy_to: Some(to), ..wanted(&world, [2, 3]) };
    send(&world, world.op(), &copied).await.unwrap();
    assert_eq!(mails(&world), 3);
}

#[tokio::test]
async fn callers_confined_to_groups_invite_into_and_see_their_own_only() {
    let world = World::with_seats(3).await;
    let own = GroupId::from_bits(1);
    let mut caller = world.administrator();
    caller.role = CallerRole::Instructor;
    caller.groups = BTreeSet::from([own]);
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let call = async |grant: Grant| {
        let command = Invite { grant, ..wanted(&world, [1]) };
        invite(store, clock, keys, &caller, world.op(), &command).await
    };
    let none = call(Grant::default()).await;
    assert!(matches!(none, Err(InviteError::Grant(_))), "a group has to be named");
    let two = BTreeSet::from([own, GroupId::from_bits(2)]);
    let two = call(Grant { group_ids: two, ..Grant::default() }).await;
    assert!(matches!(two, Err(InviteError::OneGroupOnly)));
    let ends = Grant {
        group_ids: caller.groups.clone(),
        delete_on: Some(date(2027, 1, 1)),
        ..Grant::default()
    };
    assert!(matches!(call(ends).await, Err(InviteError::DeletionNotAllowed)));
    let leads = Grant {
        group_ids: caller.groups.clone(),
        roles: BTreeSet::from([Role::GroupAdmin]),
        ..Grant::default()
    };
    assert!(matches!(call(leads).await, Err(InviteError::Grant(_))));
    // What an administrator invited into no group does not exist for the instructor.
    invited(&world, [2]).await;
    let id = id_of(&world, &address(2));
    let op = world.op();
    let hidden = cancel_invitation(store, clock, keys, &caller, op, &world.client, id).await;
    assert!(matches!(hidden, Err(CancelInvitationError::NotFound)));
    assert_eq!(world.stock().await.held, 1);
}

#[tokio::test]
async fn the_list_pages_through_every_bucket_and_filters() {
    let world = World::with_seats(200).await;
    invited(&world, 0..150).await;
    for number in 0..20 {
        cancel(&world, number).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    loop {
        let request = PageRequest { limit: 40, cursor };
        let pending = |one: &Invitation| one.status == InvitationStatus::Pending;
        let page = world.store.invitations_page(&world.client, &request, pending).await.unwrap();
        assert!(page.items.len() <= 40);
        for invitation in page.items {
            assert!(seen.insert(invitation.invitation_id), "no invitation twice");
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 130);
}
