//! Reminders: at most one a day, three in all, and nobody who has answered or cannot be reached;
//! and the mails of invitations that wait for their day.

use seatkeeper_domain::actions::remind_invitations::{
    CALL_MAX, REMINDERS_MAX, Reminded, remind_invitations,
};
use seatkeeper_domain::actions::stop_reminders::stop_reminders;
use seatkeeper_domain::ports::{Deliveries as _, InvitationNews};

use super::*;

async fn remind_as(world: &World, op: Op) -> Reminded {
    let caller = world.administrator();
    let (store, clock) = (&world.store, &world.clock);
    remind_invitations(store, clock, &caller, op, &world.client, None).await.unwrap()
}

async fn remind(world: &World) -> u32 {
    remind_as(world, world.op()).await.reminded
}

/// Tells that the first mails were accepted, or more.
async fn heard(world: &World, number: usize, delivery: Delivery) {
    let (place, sent_at) = (id_of(world, &address(number)), Some(world.clock.now()));
    let version = found(world, number).await.version;
    let news = InvitationNews { delivery, sent_at, gives_up_at: None };
    world.store.note_delivery(&world.client, place, version, news).await.unwrap();
}

fn a_day(world: &World) {
    world.clock.advance(SignedDuration::from_hours(24));
}

#[tokio::test]
async fn everybody_who_did_not_answer_is_reminded_once_a_day_and_three_times_in_all() {
    let world = World::with_seats(9).await;
    invited(&world, 1..=6).await;
    assert_eq!(remind(&world).await, 0, "their mails are not even sent");
    for number in 1..=6 {
        heard(&world, number, Delivery::Sent).await;
    }
    assert_eq!(remind(&world).await, 0, "they were told a moment ago");
    accept(&world, 1).await.unwrap();
    cancel(&world, 2).await.unwrap();
    heard(&world, 3, Delivery::Bounced).await;
    heard(&world, 4, Delivery::Complained).await;
    let mut reminded = Vec::new();
    for _ in 0..5 {
        a_day(&world);
        reminded.push(remind(&world).await);
        assert_eq!(remind(&world).await, 0, "once a day");
    }
    assert_eq!(reminded, [2, 2, 2, 0, 0]);
    let invitation = found(&world, 5).await;
    assert_eq!((invitation.reminders, invitation.sent_count), (REMINDERS_MAX, 4));
    assert_eq!(invitation.version, 1, "it is the same link");
    assert_eq!(mails(&world), 6 + 6);
    // A new link begins anew.
    resend(&world, 5).await.unwrap();
    heard(&world, 5, Delivery::Delivered).await;
    a_day(&world);
    assert_eq!(remind(&world).await, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn whoever_was_never_mailed_is_not_reminded_and_nobody_after_the_end() {
    let world = World::with_seats(3).await;
    let quiet = Invite { notify: false, ..wanted(&world, [1]) };
    send(&world, world.op(), &quiet).await.unwrap();
    invited(&world, [2]).await;
    heard(&world, 2, Delivery::Unknown).await;
    a_day(&world);
    assert_eq!(remind(&world).await, 1, "where nobody knows, once more does no harm");
    world.clock.advance(SignedDuration::from_hours(24 * 14));
    assert_eq!(remind(&world).await, 0);
}

#[tokio::test]
async fn a_call_reminds_a_thousand_and_the_next_one_goes_on() {
    let world = World::with_seats(1_100).await;
    for first in [0, 550] {
        invited(&world, first..first + 550).await;
    }
    for number in 0..1_100 {
        heard(&world, number, Delivery::Sent).await;
    }
    a_day(&world);
    let one = remind_as(&world, world.op()).await;
    assert!(one.more && one.reminded >= CALL_MAX, "{one:?}");
    let rest = remind_as(&world, world.op()).await;
    assert_eq!((one.reminded + rest.reminded, rest.more), (1_100, false));
    assert_eq!(mails(&world), 2_200);
}

#[tokio::test]
async fn whoever_stops_the_reminders_gets_none_and_may_accept_still() {
    let world = World::with_seats(3).await;
    invited(&world, [1]).await;
    heard(&world, 1, Delivery::Sent).await;
    for _ in 0..2 {
        let id = id_of(&world, &address(1));
        let (store, clock) = (&world.store, &world.clock);
        stop_reminders(store, clock, world.op(), &world.client, id).await.unwrap();
        assert!(found(&world, 1).await.reminders_unwanted);
    }
    a_day(&world);
    assert_eq!(remind(&world).await, 0);
    accept(&world, 1).await.unwrap();
    let id = id_of(&world, &address(1));
    stop_reminders(&world.store, &world.clock, world.op(), &world.client, id).await.unwrap();
    assert_eq!(found(&world, 1).await.status, InvitationStatus::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_reminds_nobody_twice() {
    for fault in [Fault::LoseReply, Fault::ErrorAfter, Fault::FailBefore, Fault::Throttle] {
        let world = World::with_seats(9).await;
        invited(&world, 1..=3).await;
        for number in 1..=3 {
            heard(&world, number, Delivery::Sent).await;
        }
        a_day(&world);
        world.cloud.restart_trace();
        world.cloud.inject(When::call("TransactWriteItems", 1), fault);
        remind(&world).await;
        assert_eq!(world.cloud.fired().len(), 1, "the fault fired");
        assert_eq!(mails(&world), 3 + 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_calls_at_once_remind_everybody_once() {
    let world = Arc::new(World::with_seats(30).await);
    invited(&world, 0..30).await;
    for number in 0..30 {
        heard(&world, number, Delivery::Sent).await;
    }
    a_day(&world);
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { remind(&world).await })
        })
        .collect();
    let mut reminded = 0;
    for task in tasks {
        reminded += task.await.unwrap();
    }
    assert_eq!((reminded, mails(&world)), (30, 60));
}

#[tokio::test]
async fn the_mail_of_an_invitation_with_a_start_date_waits_for_it_and_so_does_its_end() {
    let world = World::with_seats(3).await;
    let start = date(2027, 1, 4);
    let grant = Grant { start_on: Some(start), ..Grant::default() };
    let later = Invite { grant, ..wanted(&world, [1]) };
    send(&world, world.op(), &later).await.unwrap();
    let opens: jiff::Timestamp = "2027-01-03T23:00:00Z".parse().unwrap();
    let due = |world: &World| {
        let dump = world.cloud.dump();
        let mails = dump.into_iter().filter(|item| item["kind"] == "mail");
        mails.map(|mail| mail["due_at"].as_str().unwrap()[..16].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(due(&world), ["2027-01-03T23:00"]);
    let invitation = found(&world, 1).await;
    assert_eq!(invitation.expires_at, opens + SignedDuration::from_hours(24 * 14));
    let renewed = resend(&world, 1).await.unwrap().invitation;
    assert_eq!(renewed.expires_at, invitation.expires_at);
    assert_eq!(due(&world), ["2027-01-03T23:00"; 2], "the first one lapses");
}
