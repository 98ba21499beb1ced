//! People with a deletion date: those who look after the client are told 36 hours before, and nobody
//! is erased without that.

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::add_client::replace_client;
use seatkeeper_domain::actions::change_learner::{ChangeLearner, change_learner};
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::AlertRecipient;
use seatkeeper_domain::learner::ProfileChange;
use seatkeeper_domain::ports::{Catalog as _, Clock as _, People as _};
use seatkeeper_tests::{World, address};

use crate::mailroom::{create, drain, items, run_sweep};
use crate::scene::prove;

/// That day begins at 23:00 UTC of the day before.
const DAY: Date = date(2026, 12, 1);

async fn leaves_on(world: &World, number: usize, on: Option<Date>) {
    let delete_on = on.map_or(Amend::Clear, Amend::Set);
    let command = ChangeLearner {
        client_id: world.client.clone(),
        learner_id: world.keys.learner_id(&world.client, &address(number)),
        profile: ProfileChange { delete_on, ..ProfileChange::default() },
        start_on: None,
        pool: None,
        notify: false,
    };
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let caller = world.administrator();
    change_learner(store, clock, ids, &caller, world.op(), &command).await.expect("changed");
}

/// Two people look after the client.
async fn looked_after(world: &World) {
    let known = world.store.client(&world.client).await.expect("readable");
    let mut client = known.expect("a client");
    let to = |number| AlertRecipient { email: address(number), language: None };
    client.alerts_to = vec![to(90), to(91)];
    let (store, clock) = (&world.store, &world.clock);
    replace_client(store, clock, Actor::System, world.op(), &client).await.expect("named");
}

async fn is_there(world: &World, number: usize) -> bool {
    let id = world.keys.learner_id(&world.client, &address(number));
    world.store.learner(&world.client, id).await.expect("readable").is_some()
}

/// A world in which three people have seats, and the first round is due in three hours.
async fn with_people() -> World {
    let world = World::with_seats(9).await;
    for number in 1..=3 {
        create(&world, number, None).await;
    }
    drain(&world).await;
    run_sweep(&world, 1).await;
    world.clock.advance(SignedDuration::from_hours(3));
    world
}

/// The mails of deletion dates that went out.
fn told(world: &World) -> usize {
    let mails = world.cloud.sent_mails();
    mails.iter().filter(|mail| mail.subject.starts_with("Des comptes seront effacés le")).count()
}

#[tokio::test(start_paused = true)]
async fn whose_date_comes_is_erased_that_day_and_those_who_look_after_them_heard_36_hours_before() {
    let world = with_people().await;
    looked_after(&world).await;
    leaves_on(&world, 1, Some(DAY)).await;
    leaves_on(&world, 2, Some(DAY)).await;
    let notice: Timestamp = "2026-11-29T11:00:00Z".parse().expect("an instant");
    let day = notice + SignedDuration::from_hours(36);
    let mut owed = 0;
    for turn in 0..10 {
        let before = world.clock.now();
        run_sweep(&world, 10 + turn).await;
        assert_eq!(told(&world), if before >= notice { 2 } else { 0 }, "{before}");
        let proven = prove(&world).await;
        owed += proven.notices_owed;
        assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
        let left = [is_there(&world, 1).await, is_there(&world, 2).await];
        assert_eq!(left, [before < day; 2], "{before}");
        world.clock.advance(SignedDuration::from_hours(24));
    }
    assert_eq!((owed, told(&world)), (2, 2), "once to each, whoever leaves");
    assert!(is_there(&world, 3).await);
    assert_eq!(world.stock().await.available, 8);
    let erased = items(&world, "audit").into_iter().filter(|one| one["action"] == "learner_erased");
    assert_eq!(erased.filter(|one| one["actor"] == "system").count(), 2);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_was_to_leave_too_soon_for_the_notice_stays_until_it_was_given() {
    let world = with_people().await;
    looked_after(&world).await;
    leaves_on(&world, 1, Some(date(2026, 11, 24))).await;
    leaves_on(&world, 2, Some(date(2026, 11, 23))).await;
    assert_eq!(prove(&world).await.notices_owed, 4);
    run_sweep(&world, 2).await;
    assert_eq!(told(&world), 4);
    let given = world.clock.now();
    world.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(prove(&world).await.learners_erased, 0, "a day after the notice");
    // One of them may stay after all.
    leaves_on(&world, 1, None).await;
    world.clock.set(given + SignedDuration::from_hours(48));
    assert_eq!(prove(&world).await.learners_erased, 1);
    assert!(is_there(&world, 1).await && !is_there(&world, 2).await);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_given_a_day_that_was_told_of_long_ago_stays_as_long_as_after_a_notice() {
    let world = with_people().await;
    looked_after(&world).await;
    leaves_on(&world, 1, Some(DAY)).await;
    leaves_on(&world, 3, Some(DAY)).await;
    world.clock.set("2026-11-29T12:00:00Z".parse().expect("an instant"));
    assert_eq!(prove(&world).await.notices_owed, 2);
    run_sweep(&world, 2).await;
    // Ten hours before the day begins, one more is given it, and one is given it back.
    world.clock.set("2026-11-30T13:00:00Z".parse().expect("an instant"));
    leaves_on(&world, 2, Some(DAY)).await;
    leaves_on(&world, 3, None).await;
    leaves_on(&world, 3, Some(DAY)).await;
    assert_eq!(prove(&world).await.learners_erased, 0);
    // To say it again changes nothing.
    leaves_on(&world, 2, Some(DAY)).await;
    world.clock.set("2026-12-01T14:00:00Z".parse().expect("an instant"));
    assert_eq!(prove(&world).await.learners_erased, 1, "who had the day when it was told of");
    assert!(!is_there(&world, 1).await && is_there(&world, 2).await && is_there(&world, 3).await);
    world.clock.set("2026-12-02T15:00:00Z".parse().expect("an instant"));
    assert_eq!(prove(&world).await.learners_erased, 2);
    assert_eq!(told(&world), 2);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_to_be_told_the_day_alone_counts() {
    let world = with_people().await;
    leaves_on(&world, 1, Some(date(2026, 11, 24))).await;
    leaves_on(&world, 2, Some(DAY)).await;
    assert_eq!(prove(&world).await.learners_erased, 0);
    world.clock.advance(SignedDuration::from_hours(24));
    let proven = prove(&world).await;
    assert_eq!((proven.learners_erased, proven.notices_owed), (1, 0));
    assert!(!is_there(&world, 1).await && is_there(&world, 2).await);
}
