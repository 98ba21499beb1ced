//! Pacing: whoever sends, and however much is due, the account's rate and quota are kept to, and
//! nothing is lost. SES refuses what is above them here, as the service does.

mod mailroom;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use mailroom::{Room, create, put_image, room, run_sweep};
use seatkeeper_domain::actions::send_mail::Standing;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::{Change, Step};
use seatkeeper_domain::ids::LearnerId;
use seatkeeper_domain::outbox::{Letter, MailIntent, MailPlace, Subject};
use seatkeeper_domain::ports::{
    Clock as _, Due as _, Handover, Ledger as _, MailTag, Mailer as _, WrittenMail,
};
use seatkeeper_testkit::{Fault, SentMail, When};
use seatkeeper_tests::{World, address, runs};
use serde_json::json;

/// A world with one learner, whose account's rate and quota are these, and whose clock runs.
async fn paced(per_second: u32, per_day: u32) -> (World, LearnerId) {
    let world = World::with_seats(3).await;
    let made = create(&world, 1, None).await;
    // The mail of the account itself is not part of what is measured.
    run_sweep(&world, 1).await;
    world.clock.advance(SignedDuration::from_hours(48));
    world.cloud.set_send_quota(per_second.into(), per_day.into());
    world.cloud.hold_to_quota();
    world.clock.flow();
    (world, made.learner.learner_id)
}

/// Owes `count` intents of `mails` each; the first is the oldest.
async fn owe(world: &World, learner: LearnerId, count: usize, mails: usize) -> Vec<MailPlace> {
    let begun = world.clock.now() - SignedDuration::from_secs(i64::try_from(count).unwrap());
    for number in 0..count {
        let seconds = i64::try_from(number).unwrap();
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        change.step(Step::Mail(MailIntent {
            client_id: world.client.clone(),
            key: format!("burst#{number:05}"),
            cohort: None,
            due_at: begun + SignedDuration::from_secs(seconds),
            subjects: vec![
                Subject::Account { learner, letter: Letter::Redeemed, serial: 0 };
                mails
            ],
            copy_to: None,
        }));
        world.store.apply(&change).await.unwrap();
    }
    let limit = u16::try_from(count).unwrap();
    world.store.due_mails(world.clock.now(), limit).await.unwrap()
}

/// What was sent since the account's own mail.
fn sent(world: &World) -> Vec<SentMail> {
    world.cloud.sent_mails().into_iter().skip(1).collect()
}

/// Most mails that SES accepted in any second.
fn most_in_a_second(mails: &[SentMail]) -> usize {
    let starts = mails.iter().enumerate();
    let within = starts.map(|(place, first)| {
        let end = first.accepted_at + SignedDuration::from_secs(1);
        mails[place..].iter().take_while(|mail| mail.accepted_at < end).count()
    });
    within.max().unwrap_or_default()
}

fn notification(mail: &SentMail) -> &str {
    let tag = mail.tags.iter().find(|(name, _)| name == "notification");
    &tag.expect("a tag of ours").1
}

/// Sends one intent, however long that takes.
async fn post(room: &Room, place: &MailPlace) {
    loop {
        let posted = room.send(place, Timestamp::MAX).await.unwrap();
        match posted.standing {
            Standing::Held(until) => room.clock.rest_until(until).await,
            Standing::Done => return,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_drains_in_order_of_age_and_one_poison_does_not_hold_up_the_rest() {
    let started = Instant::now();
    let (world, learner) = paced(40, 50_000).await;
    let (intents, each) = if runs::long() { (10_000, 1) } else { (25, 40) };
    owe(&world, learner, intents, each).await;
    let poison = json!({
        "pk": {"S": "MAIL#acme#00"}, "sk": {"S": "seat#poison"}, "kind": {"S": "mail"},
        "due_shard": {"S": "mail"}, "due_at": {"S": "2026-11-23T08:00:00.000000Z"},
    });
    put_image(&world, &poison).await;
    let (begun, mut troubles, total) = (world.clock.now(), 0, intents * each);
    for number in 2..5 {
        troubles += run_sweep(&world, number).await.troubles.len();
    }
    let mails = sent(&world);
    assert_eq!((mails.len(), troubles), (total, 1));
    assert!(mails.is_sorted_by_key(notification), "the oldest first");
    assert_eq!(world.cloud.throttled_mails(), 0);
    let most = most_in_a_second(&mails);
    assert!((36..=40).contains(&most), "{most} in a second");
    let took = world.clock.now().duration_since(begun);
    let at_the_rate = SignedDuration::from_secs(i64::try_from(total / 40).unwrap());
    assert!(took < at_the_rate * 112 / 100, "the full rate, and a tenth: {took:?}");
    runs::write("pacing burst", 0, started, json!({"runs": total}));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_ses_refuses_in_a_burst_goes_out_later_and_holds_up_nobody() {
    let (world, learner) = paced(40, 50_000).await;
    owe(&world, learner, 120, 1).await;
    world.cloud.restart_trace();
    let refusal = Fault::Refuse { status: 400, code: "MessageRejected" };
    world.cloud.inject(When::call("SendEmail", 7), refusal);
    let swept = run_sweep(&world, 2).await;
    assert_eq!((swept.mails_sent + swept.mails_put_off, swept.mails_put_off), (120, 1));
    let mails = sent(&world);
    let first: Vec<_> = mails.iter().map(notification).take(119).collect();
    assert!(first.is_sorted(), "the others as if nothing had happened");
    world.clock.advance(SignedDuration::from_mins(1));
    let again = run_sweep(&world, 3).await;
    assert_eq!(swept.mails_sent + again.mails_sent, 120);
    let told: BTreeSet<_> = sent(&world).iter().map(|mail| notification(mail).to_owned()).collect();
    assert_eq!((sent(&world).len(), told.len()), (120, 120), "each once");
}

#[tokio::test(start_paused = true)]
async fn eight_senders_at_once_keep_to_the_rate_together_and_use_it() {
    let started = Instant::now();
    let (world, learner) = paced(14, 50_000).await;
    let world = Arc::new(world);
    let each = if runs::long() { 250 } else { 35 };
    let places = owe(&world, learner, 8 * each, 1).await;
    let begun = world.clock.now();
    let senders: Vec<_> = (0..8)
        .map(|number| {
            let (world, mine) = (Arc::clone(&world), places[number * each..][..each].to_vec());
            tokio::spawn(async move {
                let room = room(&world, number as u64);
                for place in mine {
                    post(&room, &place).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let mails = sent(&world);
    let told: BTreeSet<_> = mails.iter().map(notification).collect();
    assert_eq!((mails.len(), told.len()), (8 * each, 8 * each), "each once");
    assert_eq!(world.cloud.throttled_mails(), 0);
    let most = most_in_a_second(&mails);
    assert!((12..=14).contains(&most), "{most} in a second");
    let took = world.clock.now().duration_since(begun);
    let at_the_rate = SignedDuration::from_secs(i64::try_from(8 * each / 14).unwrap());
    let spare = SignedDuration::from_secs(4);
    assert!(
        took < at_the_rate * 12 / 10 + spare,
        "the full rate, a tenth, and who has slots to spare at the end: {took:?}"
    );
    runs::write("pacing eight senders", 0, started, json!({"runs": mails.len()}));
}

#[tokio::test(start_paused = true)]
async fn what_is_above_the_days_quota_waits_for_the_next_and_is_not_lost() {
    let (world, learner) = paced(10, 30).await;
    owe(&world, learner, 5, 10).await;
    let swept = run_sweep(&world, 2).await;
    assert_eq!((swept.mails_sent, swept.mails_put_off), (30, 0));
    assert_eq!(run_sweep(&world, 3).await.mails_sent, 0, "another sender knows it too");
    world.clock.advance(SignedDuration::from_hours(23));
    assert_eq!(run_sweep(&world, 4).await.mails_sent, 0, "the day is not over");
    world.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(run_sweep(&world, 5).await.mails_sent, 20);
    assert_eq!((sent(&world).len(), world.cloud.throttled_mails()), (50, 0));
    assert!(sent(&world).is_sorted_by_key(notification));
}

fn words() -> WrittenMail {
    let word = || "news".to_owned();
    WrittenMail {
        from_name: word(),
        subject: word(),
        text: word(),
        html: word(),
        unsubscribe_url: None,
    }
}

fn tag(world: &World) -> MailTag {
    let place = MailPlace { partition: "MAIL#other#00".to_owned(), key: "news".to_owned() };
    let client_id = world.client.clone();
    MailTag { client_id, place, mail: 0, invitation: None, addressee: None, claimed_at: None }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_others_use_too_is_kept_to() {
    let (world, learner) = paced(10, 30).await;
    // Two mails that nobody booked: another system's, for all that SES knows.
    for _ in 0..2 {
        let mailer = room(&world, 9).mailer;
        assert_eq!(mailer.send(&address(9), &words(), &tag(&world)).await, Handover::Accepted);
    }
    world.clock.advance(SignedDuration::from_secs(1));
    owe(&world, learner, 4, 10).await;
    let swept = run_sweep(&world, 2).await;
    assert_eq!(swept.mails_sent, 28);
}
