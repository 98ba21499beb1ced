//! Seats that nobody uses go back, and nobody loses one unwarned.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::reclaim_seats::{ReclaimSeats, Reclaimed, reclaim_seats};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::ids::LearnerId;
use seatkeeper_domain::learner::{Profile, SeatStatus};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, People as _};
use seatkeeper_tests::{World, address};

use crate::mailroom::{create, drain, run_sweep};
use crate::scene::prove;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn id(world: &World, number: usize) -> LearnerId {
    world.keys.learner_id(&world.client, &address(number))
}

fn unused(world: &World, except: &[usize], preview: bool) -> ReclaimSeats {
    ReclaimSeats {
        unused_days: 90,
        notice_days: 14,
        except: except.iter().map(|number| id(world, *number)).collect(),
        except_labels: BTreeSet::new(),
        except_groups: BTreeSet::new(),
        preview,
    }
}

async fn reclaim(world: &World, command: &ReclaimSeats) -> Reclaimed {
    let owner = world.store.client(&world.client).await.expect("readable").expect("a client");
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let until = clock.now() + SignedDuration::from_secs(20);
    let place = (&owner, &world.contract);
    let done = reclaim_seats(store, clock, ids, Actor::System, place, command, until).await;
    done.expect("looked at")
}

async fn comes_in(world: &World, number: usize) {
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let ticket = issue_ticket(store, clock, ids, keys, &world.client, id(world, number)).await;
    ticket.expect("a ticket");
}

/// Arrives through the client's identity provider.
async fn arrives(world: &World, number: usize) {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile::default(),
        password: PasswordChoice::SingleSignOn,
        term: TermRequest::default(),
        notify: false,
        copy_to: None,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
    assert_eq!(made.expect("arrived").learner.entered_at, Some(clock.now()));
}

async fn stands(world: &World, number: usize) -> SeatStatus {
    let known = world.store.learner(&world.client, id(world, number)).await;
    known.expect("readable").expect("a learner").seats[&world.pool()].status(world.clock.now())
}

async fn a_round(world: &World) -> u32 {
    world.clock.advance(SignedDuration::from_hours(25));
    run_sweep(world, world.clock.now().as_second().unsigned_abs()).await;
    world.clock.advance(SignedDuration::from_hours(3));
    let proven = prove(world).await;
    assert_eq!(proven.mismatches.len(), 0);
    proven.seats_reclaimed
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_in_is_warned_and_then_loses_the_seat_and_who_does_keeps_it() {
    let world = World::with_seats(9).await;
    for number in 1..6 {
        create(&world, number, None).await;
    }
    // The second comes in now and then, the sixth is new.
    world.clock.advance(DAY * 60);
    comes_in(&world, 2).await;
    world.clock.advance(DAY * 31);
    create(&world, 6, None).await;
    drain(&world).await;
    let mails = world.cloud.sent_mails().len();
    let preview = reclaim(&world, &unused(&world, &[5], true)).await;
    let mut named: Vec<_> =
        preview.unused.iter().map(|one| one.learner.email.to_string()).collect();
    named.sort();
    assert_eq!(named, [1, 3, 4].map(|number| address(number).to_string()));
    assert_eq!((preview.warned, preview.complete), (0, true));
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), mails, "a preview warns nobody");

    for _ in 0..2 {
        assert_eq!(reclaim(&world, &unused(&world, &[5], false)).await.warned, 3);
        drain(&world).await;
        assert_eq!(world.cloud.sent_mails().len(), mails + 3, "once each");
    }
    assert_eq!(a_round(&world).await, 0, "they have two weeks");
    world.clock.advance(DAY * 5);
    comes_in(&world, 3).await;
    assert_eq!(reclaim(&world, &unused(&world, &[5], false)).await.warned, 2);
    world.clock.advance(DAY * 10);
    assert_eq!(a_round(&world).await, 2);
    for (number, status) in [
        (1, SeatStatus::Released),
        (2, SeatStatus::Active),
        (3, SeatStatus::Active),
        (4, SeatStatus::Released),
        (5, SeatStatus::Active),
        (6, SeatStatus::Active),
    ] {
        assert_eq!(stands(&world, number).await, status, "{number}");
    }
    let stock = world.stock().await;
    assert_eq!((stock.used, stock.available), (4, 5));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_before_the_mail_goes_out_gets_none() {
    let world = World::with_seats(9).await;
    create(&world, 1, None).await;
    drain(&world).await;
    world.clock.advance(DAY * 91);
    let mails = world.cloud.sent_mails().len();
    assert_eq!(reclaim(&world, &unused(&world, &[], false)).await.warned, 1);
    world.clock.advance(SignedDuration::from_secs(1));
    comes_in(&world, 1).await;
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), mails);
    world.clock.advance(DAY * 15);
    assert_eq!(a_round(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_by_single_sign_on_uses_the_seat() {
    let world = World::with_seats(9).await;
    create(&world, 1, None).await;
    arrives(&world, 2).await;
    world.clock.advance(DAY * 60);
    arrives(&world, 2).await;
    world.clock.advance(DAY * 31);
    assert_eq!(reclaim(&world, &unused(&world, &[], false)).await.warned, 1, "the first");
    world.clock.advance(DAY);
    arrives(&world, 1).await;
    assert_eq!(reclaim(&world, &unused(&world, &[], false)).await.warned, 0);
    world.clock.advance(DAY * 15);
    assert_eq!(a_round(&world).await, 0);
    assert_eq!(stands(&world, 1).await, SeatStatus::Active);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn two_who_warn_at_once_warn_once() {
    let world = World::with_seats(9).await;
    create(&world, 1, None).await;
    create(&world, 2, None).await;
    drain(&world).await;
    world.clock.advance(DAY * 91);
    let mails = world.cloud.sent_mails().len();
    let command = unused(&world, &[], false);
    let (one, other) = tokio::join!(reclaim(&world, &command), reclaim(&world, &command));
    assert_eq!((one.warned, other.warned), (2, 2));
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), mails + 2);
}
