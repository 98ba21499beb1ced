//! Mails: one for each event, whatever is delivered twice, lost or late.

mod mailroom;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::date;
use mailroom::{FROM, PAGES, create, event, items, notify, only, put_image, room, run_sweep};
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::resend_invitation::resend_invitation;
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::send_mail::Standing;
use seatkeeper_domain::actions::stop_reminders::stop_reminders;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{Change, Presence, SeatLearner, Step};
use seatkeeper_domain::contract::{OnHardBounce, Policies};
use seatkeeper_domain::ids::{ImportId, InvitationId, LearnerId, PoolId};
use seatkeeper_domain::import::DateOrder;
use seatkeeper_domain::import_run::{
    ImportRun, ImportSettings, ImportStatus, Mode, OnExisting, OnShortage, Origin, Outlook,
    SeatNeed, SourceObject, Totals, Undoing,
};
use seatkeeper_domain::invitation::{Delivery, Grant, InvitationStatus};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::learner::{Profile, Seat, SeatState, Source, SourceKind};
use seatkeeper_domain::outbox::{Letter, MailIntent, MailPlace, Subject, TRIES, import_mail};
use seatkeeper_domain::ports::{Clock as _, Ledger as _, Outbox as _, People as _};
use seatkeeper_domain::stock::Delta;
use seatkeeper_feedback::{FeedbackError, Heard};
use seatkeeper_testkit::{Fault, SentMail, When};
use seatkeeper_tests::{World, address};
use serde_json::{Value, json};

fn place(item: &Value) -> MailPlace {
    MailPlace {
        partition: item["pk"].as_str().unwrap().to_owned(),
        key: item["sk"].as_str().unwrap().to_owned(),
    }
}

/// Invites one address; answers with the invitation's id.
async fn invited(world: &World) -> InvitationId {
    let command = Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: vec![address(1).to_string()],
        grant: Grant::default(),
        message: None,
        notify: true,
        copy_to: Some(address(99)),
    };
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let caller = world.administrator();
    invite(store, clock, keys, &caller, world.op(), &command).await.unwrap();
    world.keys.invitation_id(&world.client, world.pool(), &address(1))
}

async fn delivery(world: &World, id: InvitationId) -> Delivery {
    world.store.invitation(&world.client, id).await.unwrap().unwrap().delivery
}

/// What SES tells of a mail it accepted.
fn news(mail: &SentMail, kind: &str) -> Value {
    let tags: serde_json::Map<_, _> =
        mail.tags.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let mut event = json!({
        "source": "aws.ses",
        "detail": {
            "eventType": kind,
            "mail": {"timestamp": "2026-11-23T09:00:01.000Z", "tags": tags},
        },
    });
    if kind == "Bounce" {
        event["detail"]["bounce"] = json!({"bounceType": "Permanent"});
    }
    event
}

async fn hear(world: &World, event: &Value) -> Result<Heard, FeedbackError> {
    seatkeeper_feedback::handle(&world.store, &world.clock, event).await
}

#[tokio::test]
async fn a_new_account_is_told_once_in_the_clients_language() {
    let world = World::with_seats(3).await;
    world.cloud.stream_records();
    create(&world, 1, None).await;
    let event = world.cloud.stream_records();
    assert_eq!(notify(&world, 1, &event).await, 0);
    let mails = world.cloud.sent_mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, [address(1).to_string()]);
    assert_eq!(mails[0].from, format!("\"Acme\" <{FROM}>"));
    assert_eq!(mails[0].configuration_set.as_deref(), Some("seatkeeper-mail"));
    assert!(mails[0].text.contains(&format!("{PAGES}/p/")), "a link to choose a password");
    assert!(mails[0].text.contains("Bonjour"), "in French");

    // The stream delivers at least once, and what notify wrote comes on it too.
    assert_eq!(notify(&world, 2, &event).await, 0);
    assert_eq!(notify(&world, 3, &world.cloud.stream_records()).await, 0);
    assert_eq!(world.cloud.sent_mails().len(), 1);

    let owed = only(&world, "mail");
    assert!(owed["due_shard"].is_null(), "nothing is due any more");
    assert!(owed["expires_at"].is_number(), "it is forgotten some day");
}

#[tokio::test]
async fn a_generated_password_is_mailed_while_it_has_not_been_changed() {
    let world = World::with_seats(3).await;
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(1),
        profile: Profile::default(),
        password: PasswordChoice::Generated,
        term: TermRequest::default(),
        notify: true,
        copy_to: Some(address(2)),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    let hash = made.unwrap().learner.credential.unwrap().hash;
    let mailed = |to: usize| {
        let mails = world.cloud.sent_mails().into_iter();
        let text = mails.filter(|mail| mail.to == [address(to).to_string()]);
        let texts: Vec<_> = text.map(|mail| mail.text).collect();
        assert_eq!(texts.len(), 1);
        // A generated password is the only word of this form.
        let mut words = texts[0].split_whitespace();
        words.any(|word| word.len() == 23 && hash.matches(word))
    };
    assert!(mailed(1), "the learner is told the password");
    assert!(!mailed(2), "the administrator's copy does not tell it");
}

#[tokio::test]
async fn a_generated_password_is_mailed_once_even_if_access_opens_again() {
    let world = World::with_seats(3).await;
    let mut command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(1),
        profile: Profile::default(),
        password: PasswordChoice::Generated,
        term: TermRequest { start_on: Some(date(2026, 11, 24)), ..TermRequest::default() },
        notify: true,
        copy_to: None,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let made =
        create_learner(store, clock, ids, keys, &caller, world.op(), &command).await.unwrap();
    let hash = made.learner.credential.unwrap().hash;
    clock.advance(SignedDuration::from_hours(24));
    run_sweep(&world, 1).await;
    let (place, actor) = ((&world.client, &world.contract), Actor::System);
    let (op, pool) = (world.op(), world.pool());
    let learner = made.learner.learner_id;
    release_seat(store, clock, ids, actor, op, place, learner, pool).await.unwrap();
    command.term.start_on = Some(date(2026, 11, 25));
    create_learner(store, clock, ids, keys, &caller, world.op(), &command).await.unwrap();
    clock.advance(SignedDuration::from_hours(24));
    run_sweep(&world, 2).await;
    let tells = |mail: SentMail| mail.text.split_whitespace().any(|word| hash.matches(word));
    let told: Vec<bool> = world.cloud.sent_mails().into_iter().map(tells).collect();
    assert_eq!(told, [true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_senders_at_once_one_sends() {
    let world = std::sync::Arc::new(World::with_seats(3).await);
    create(&world, 1, None).await;
    let event = world.cloud.stream_records();
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (world, event) = (std::sync::Arc::clone(&world), event.clone());
            tokio::spawn(async move { notify(&world, number, &event).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 0);
    }
    assert_eq!(world.cloud.sent_mails().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_single_fault_sends_a_mail_twice_or_leaves_one_due() {
    let faults = [Fault::FailBefore, Fault::LoseReply, Fault::ErrorAfter, Fault::Throttle];
    for fault in faults {
        let mut points = 0;
        for attempt in 1.. {
            let world = World::with_seats(3).await;
            let learner = create(&world, 1, None).await;
            let event = world.cloud.stream_records();
            world.cloud.restart_trace();
            world.cloud.inject(When::attempt(attempt), fault.clone());
            notify(&world, 1, &event).await;
            if world.cloud.fired().is_empty() {
                break;
            }
            points += 1;
            world.cloud.clear_faults();
            notify(&world, 2, &event).await;
            for number in 3..6 {
                world.clock.advance(SignedDuration::from_mins(5));
                run_sweep(&world, number).await;
            }
            let owed = only(&world, "mail");
            assert!(owed["due_shard"].is_null(), "{fault:?} at {attempt}: still due: {owed}");
            let parked = owed["unknown"].as_array().unwrap().len();
            let mails = world.cloud.sent_mails().len();
            assert_eq!(mails, 1, "{fault:?} at {attempt}");
            assert_eq!(owed["refused"], json!([]), "{fault:?} at {attempt}");
            let lost = world.cloud.attempts().iter().any(|attempt| {
                attempt.operation == "SendEmail"
                    && matches!(attempt.fault, Some(Fault::LoseReply | Fault::ErrorAfter))
            });
            assert_eq!(parked == 1, lost, "{fault:?} at {attempt}: parked only if not known");
            assert!(learner.learner.live_seat(world.pool()).is_some());
        }
        assert!(points >= 6, "{fault:?} fired at {points} points only");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_parks_the_mail_until_news_of_it_comes() {
    let world = World::with_seats(3).await;
    create(&world, 1, None).await;
    world.cloud.inject(When::call("SendEmail", 1), Fault::LoseReply);
    notify(&world, 1, &world.cloud.stream_records()).await;
    assert_eq!(only(&world, "mail")["unknown"], json!([0]));

    for number in 2..5 {
        world.clock.advance(SignedDuration::from_hours(1));
        run_sweep(&world, number).await;
    }
    let mails = world.cloud.sent_mails();
    assert_eq!(mails.len(), 1, "what may have gone out is not sent again");
    assert_eq!(hear(&world, &news(&mails[0], "Delivery")).await.unwrap(), Heard::Noted);
    assert_eq!(only(&world, "mail")["unknown"], json!([]));
}

#[tokio::test]
async fn a_claim_that_ran_out_is_parked_and_not_sent() {
    let world = World::with_seats(3).await;
    create(&world, 1, None).await;
    let place = place(&only(&world, "mail"));
    let owed = world.store.owed(&place).await.unwrap().unwrap();
    // A sender claims the mail and is never heard of again.
    let claimed = owed.claim(world.op().id, world.clock.now()).unwrap();
    assert!(world.store.advance(&place, &owed, &claimed).await.unwrap());
    let posted = room(&world, 1).send(&place, jiff::Timestamp::MAX).await.unwrap();
    assert_eq!(posted.standing, Standing::Elsewhere, "a claim that holds is left alone");

    world.clock.advance(SignedDuration::from_secs(60));
    let swept = run_sweep(&world, 2).await;
    assert_eq!((swept.mails_unknown, swept.mails_sent), (1, 0));
    assert_eq!(only(&world, "mail")["unknown"], json!([0]));
    assert!(world.cloud.sent_mails().is_empty());
}

#[tokio::test]
async fn news_that_comes_before_the_claim_ran_out_settles_it() {
    let world = World::with_seats(3).await;
    create(&world, 1, None).await;
    let item = only(&world, "mail");
    let place = place(&item);
    notify(&world, 1, &world.cloud.stream_records()).await;
    let told = news(&world.cloud.sent_mails()[0], "Send");
    // The same world once more, but its sender died between sending and writing so down.
    let twin = World::with_seats(3).await;
    create(&twin, 1, None).await;
    let owed = twin.store.owed(&place).await.unwrap().unwrap();
    let claimed = owed.claim(twin.op().id, twin.clock.now()).unwrap();
    assert!(twin.store.advance(&place, &owed, &claimed).await.unwrap());
    hear(&twin, &told).await.unwrap();
    twin.clock.advance(SignedDuration::from_mins(5));
    let swept = run_sweep(&twin, 2).await;
    assert_eq!((swept.mails_unknown, swept.mails_sent), (0, 0));
    assert!(only(&twin, "mail")["due_shard"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_is_sent_later_and_once() {
    let world = World::with_seats(3).await;
    create(&world, 1, None).await;
    world.cloud.inject(When::every("SendEmail"), Fault::Throttle);
    assert_eq!(notify(&world, 1, &world.cloud.stream_records()).await, 0);
    assert!(world.cloud.sent_mails().is_empty());
    let owed = only(&world, "mail");
    assert_eq!((&owed["next"], &owed["attempts"]), (&json!(0), &json!(1)));
    world.cloud.clear_faults();
    assert_eq!(run_sweep(&world, 2).await.mails_sent, 0, "its pause is not over");
    world.clock.advance(SignedDuration::from_secs(2));
    assert_eq!(run_sweep(&world, 3).await.mails_sent, 1);
    assert_eq!(world.cloud.sent_mails().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_never_accepted_is_set_aside_at_last() {
    let world = World::with_seats(3).await;
    let id = invited(&world).await;
    let refusal = Fault::Refuse { status: 400, code: "MessageRejected" };
    world.cloud.inject(When::every("SendEmail"), refusal);
    notify(&world, 1, &world.cloud.stream_records()).await;
    for number in 2..=u64::from(TRIES) {
        assert_eq!(delivery(&world, id).await, Delivery::Queued);
        world.clock.advance(SignedDuration::from_mins(5));
        run_sweep(&world, number).await;
    }
    assert_eq!(delivery(&world, id).await, Delivery::Bounced);
    for owed in items(&world, "mail") {
        assert_eq!(owed["refused"], json!([0]));
        assert!(owed["due_shard"].is_null());
    }
    assert!(world.cloud.sent_mails().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_may_not_send_keeps_its_mails_until_it_may() {
    let world = World::with_seats(3).await;
    create(&world, 1, None).await;
    let refusal = Fault::Refuse { status: 400, code: "SendingPausedException" };
    world.cloud.inject(When::every("SendEmail"), refusal);
    for number in 1..20 {
        world.clock.advance(SignedDuration::from_hours(1));
        run_sweep(&world, number).await;
    }
    world.cloud.clear_faults();
    world.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(run_sweep(&world, 20).await.mails_sent, 1);
}

#[tokio::test]
async fn a_mail_whose_seat_was_released_lapses() {
    let world = World::with_seats(3).await;
    let made = create(&world, 1, None).await;
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let place_of = (&world.client, &world.contract);
    let learner = made.learner.learner_id;
    let released =
        release_seat(store, clock, ids, Actor::System, world.op(), place_of, learner, world.pool());
    released.await.unwrap();
    notify(&world, 1, &world.cloud.stream_records()).await;
    assert!(world.cloud.sent_mails().is_empty());
    assert!(only(&world, "mail")["due_shard"].is_null(), "and is not owed any more");
}

#[tokio::test]
async fn a_mail_lapses_when_its_seat_was_given_anew() {
    let world = World::with_seats(3).await;
    let first = create(&world, 1, None).await;
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let place_of = (&world.client, &world.contract);
    let learner = first.learner.learner_id;
    let released =
        release_seat(store, clock, ids, Actor::System, world.op(), place_of, learner, world.pool());
    released.await.unwrap();
    create(&world, 1, None).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    assert_eq!(items(&world, "mail").len(), 2);
    assert_eq!(world.cloud.sent_mails().len(), 1, "the seat of the first mail is gone");
}

#[tokio::test]
async fn an_invitation_shows_what_became_of_its_mail_in_whatever_order_news_comes() {
    let world = World::with_seats(3).await;
    let id = invited(&world).await;
    assert_eq!(delivery(&world, id).await, Delivery::Queued);
    notify(&world, 1, &world.cloud.stream_records()).await;
    assert_eq!(delivery(&world, id).await, Delivery::Sent);
    let invitation = world.store.invitation(&world.client, id).await.unwrap().unwrap();
    assert_eq!(invitation.last_sent_at, Some(to_the_invited(&world).accepted_at));

    let mails = world.cloud.sent_mails();
    let to = |number| mails.iter().find(|mail| mail.to == [address(number).to_string()]).unwrap();
    let (mail, copy) = (to(1), to(99));
    assert!(mail.text.contains(&format!("{PAGES}/i/")));
    assert!(!copy.text.contains(&format!("{PAGES}/i/")), "a copy has no live link");
    hear(&world, &news(copy, "Bounce")).await.unwrap();
    assert_eq!(delivery(&world, id).await, Delivery::Sent, "a copy's bounce is another matter");
    hear(&world, &news(mail, "Delivery")).await.unwrap();
    assert_eq!(delivery(&world, id).await, Delivery::Delivered);
    hear(&world, &news(mail, "Send")).await.unwrap();
    assert_eq!(delivery(&world, id).await, Delivery::Delivered, "late news changes nothing");
    hear(&world, &news(mail, "Bounce")).await.unwrap();
    assert_eq!(delivery(&world, id).await, Delivery::Bounced);
    hear(&world, &news(mail, "Complaint")).await.unwrap();
    assert_eq!(delivery(&world, id).await, Delivery::Complained);
}

#[tokio::test]
async fn a_learner_shows_what_became_of_the_last_mail_in_whatever_order_news_comes() {
    let world = World::with_seats(3).await;
    let made = create(&world, 1, None).await;
    let learner = made.learner.learner_id;
    let shown =
        async || world.store.learner(&world.client, learner).await.unwrap().unwrap().delivery;
    assert_eq!(shown().await, None, "before the first mail");
    notify(&world, 1, &world.cloud.stream_records()).await;
    assert_eq!(shown().await, Some(Delivery::Sent));
    let first = world.cloud.sent_mails().remove(0);
    hear(&world, &news(&first, "Bounce")).await.unwrap();
    hear(&world, &news(&first, "Delivery")).await.unwrap();
    assert_eq!(shown().await, Some(Delivery::Bounced), "what tells more stays");

    // A second mail, of another seat.
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let place_of = (&world.client, &world.contract);
    clock.advance(SignedDuration::from_mins(1));
    release_seat(store, clock, ids, Actor::System, world.op(), place_of, learner, world.pool())
        .await
        .unwrap();
    create(&world, 1, None).await;
    notify(&world, 2, &world.cloud.stream_records()).await;
    assert_eq!(shown().await, Some(Delivery::Sent));
    let second = world.cloud.sent_mails().remove(1);
    hear(&world, &news(&second, "Delivery")).await.unwrap();
    hear(&world, &news(&first, "Bounce")).await.unwrap();
    hear(&world, &news(&second, "Send")).await.unwrap();
    assert_eq!(shown().await, Some(Delivery::Delivered), "of the earlier mail nothing is news");
}

/// The first mail to address 1; its copy may have gone out before.
fn to_the_invited(world: &World) -> SentMail {
    let mails = world.cloud.sent_mails();
    mails.into_iter().find(|mail| mail.to == [address(1).to_string()]).expect("a mail")
}

/// Invites address 1 again: a new version, a new mail.
async fn resent(world: &World, id: InvitationId) {
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let caller = world.administrator();
    resend_invitation(store, clock, keys, &caller, world.op(), &world.client, id).await.unwrap();
}

#[tokio::test]
async fn who_complained_is_never_mailed_again_and_the_administrator_sees_why() {
    let world = World::with_seats(3).await;
    let id = invited(&world).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    let mail = to_the_invited(&world);
    hear(&world, &news(&mail, "Complaint")).await.unwrap();
    hear(&world, &news(&mail, "Complaint")).await.unwrap();

    resent(&world, id).await;
    assert_eq!(delivery(&world, id).await, Delivery::Queued);
    notify(&world, 2, &world.cloud.stream_records()).await;
    assert_eq!(delivery(&world, id).await, Delivery::Complained, "also of the new mail");
    // Nor is an account told of, at this client.
    create(&world, 1, None).await;
    notify(&world, 3, &world.cloud.stream_records()).await;
    let to = |number| {
        let all = world.cloud.sent_mails().into_iter();
        all.filter(|mail| mail.to == [address(number).to_string()]).count()
    };
    assert_eq!(to(1), 1);
    let owed = items(&world, "mail");
    let suppressed = owed.iter().filter(|mail| mail["suppressed"] == json!([0])).count();
    assert_eq!(suppressed, 2);
    assert!(owed.iter().all(|mail| mail["due_shard"].is_null()));
    // Others are written to as before, and no address is kept with the complaint.
    create(&world, 2, None).await;
    notify(&world, 4, &world.cloud.stream_records()).await;
    assert_eq!(to(2), 1);
    assert!(!only(&world, "suppression").to_string().contains('@'));
}

#[tokio::test]
async fn a_reminder_can_be_stopped_with_one_click_and_nothing_else_is() {
    let world = World::with_seats(3).await;
    let id = invited(&world).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    let before = world.cloud.sent_mails().len();
    let remind = async |number: u64| {
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        change.step(Step::Mail(MailIntent {
            client_id: world.client.clone(),
            key: format!("reminder#{number}"),
            cohort: None,
            due_at: world.clock.now(),
            subjects: vec![Subject::Reminder { invitation: id, version: 1, number: 1 }],
            copy_to: None,
        }));
        world.store.apply(&change).await.unwrap();
        notify(&world, 10 + number, &world.cloud.stream_records()).await;
    };
    remind(1).await;
    let mails = world.cloud.sent_mails();
    let (reminder, invitation) = (&mails[before], &to_the_invited(&world));
    let header = |mail: &SentMail, name: &str| {
        let found = mail.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.clone())
    };
    let post = header(reminder, "List-Unsubscribe-Post");
    assert_eq!(post.as_deref(), Some("List-Unsubscribe=One-Click"));
    assert_eq!(header(invitation, "List-Unsubscribe"), None, "an invitation is asked for once");
    let url = header(reminder, "List-Unsubscribe").unwrap();
    let url = url.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
    assert!(url.starts_with(&format!("{PAGES}/i/")) && reminder.text.contains(url));

    let (store, clock) = (&world.store, &world.clock);
    stop_reminders(store, clock, world.op(), &world.client, id).await.unwrap();
    remind(2).await;
    assert_eq!(world.cloud.sent_mails().len(), before + 1);
    resent(&world, id).await;
    notify(&world, 20, &world.cloud.stream_records()).await;
    assert_eq!(world.cloud.sent_mails().len(), before + 2, "an invitation is no reminder");
}

/// A world whose contract gives up invitations whose mail came back, after a day.
async fn unforgiving() -> World {
    let policies = Policies {
        on_hard_bounce: OnHardBounce::Cancel,
        bounce_grace_hours: 24,
        ..Policies::default()
    };
    World::with_policies(3, policies).await
}

#[tokio::test]
async fn a_hard_bounce_frees_the_seat_after_the_grace_time() {
    let world = unforgiving().await;
    let id = invited(&world).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    let mail = to_the_invited(&world);
    hear(&world, &news(&mail, "Bounce")).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(1));
    hear(&world, &news(&mail, "Bounce")).await.unwrap();
    assert_eq!(run_sweep(&world, 2).await.invitations_given_up, 0);
    assert_eq!(world.stock().await.held, 1, "there is time to mend the address");
    world.clock.advance(SignedDuration::from_hours(23));
    assert_eq!(run_sweep(&world, 3).await.invitations_given_up, 1, "repeated news moves nothing");
    let invitation = world.store.invitation(&world.client, id).await.unwrap().unwrap();
    assert_eq!(invitation.status, InvitationStatus::Cancelled);
    assert_eq!((world.stock().await.held, world.stock().await.available), (0, 3));
    world.assert_seats_are_conserved().await;
    assert_eq!(run_sweep(&world, 4).await.invitations_given_up, 0);
}

#[tokio::test]
async fn an_invitation_that_was_sent_again_is_not_given_up() {
    let world = unforgiving().await;
    let id = invited(&world).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    let mail = to_the_invited(&world);
    hear(&world, &news(&mail, "Bounce")).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(23));
    resent(&world, id).await;
    notify(&world, 2, &world.cloud.stream_records()).await;
    hear(&world, &news(&mail, "Bounce")).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(5));
    assert_eq!(run_sweep(&world, 3).await.invitations_given_up, 0);
    assert_eq!(world.stock().await.held, 1);
}

#[tokio::test]
async fn a_hard_bounce_changes_nothing_where_the_contract_keeps_invitations() {
    let world = World::with_seats(3).await;
    let id = invited(&world).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    hear(&world, &news(&to_the_invited(&world), "Bounce")).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(13 * 24));
    assert_eq!(run_sweep(&world, 2).await.invitations_given_up, 0);
    assert_eq!(delivery(&world, id).await, Delivery::Bounced);
    assert_eq!(world.stock().await.held, 1);
}

/// Owes the mail about an import that came to this state, and sends it.
async fn told_of_import(world: &World, status: ImportStatus) {
    let run = ImportRun {
        import_id: ImportId::from_uuid(world.op().id),
        source: SourceObject {
            key: "imports/acme/x/source.xlsx".to_owned(),
            version_id: None,
            etag: None,
        },
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        settings: ImportSettings {
            mode: Mode::Create,
            on_existing: OnExisting::Skip,
            on_shortage: OnShortage::ValidOnly,
            auto_commit: true,
            create_groups: false,
            date_order: DateOrder::default(),
            defaults: json!({}),
        },
        status,
        reject_code: None,
        reject_detail: None,
        detected: Value::Null,
        rows_total: 3,
        rows_done: 3,
        chunks: 1,
        book_key: None,
        committed_at: None,
        completed_at: None,
        looked_up: true,
        totals: Totals { created: 2, failed: 1, ..Totals::default() },
        seats: SeatNeed::default(),
        epoch: 1,
        revision: 0,
        lease_until: None,
        report_key: None,
        language: Languages::from_list("de").parse("de").unwrap(),
        created_at: world.clock.now(),
        origin: Origin::default(),
        filename: Some("new starters.xlsx".to_owned()),
        inviter: None,
        grantable: BTreeSet::new(),
        waits_until: None,
        outlook: Outlook::default(),
        undoing: Undoing::default(),
    };
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.step(Step::Mail(import_mail(&world.client, &run, address(7), world.clock.now())));
    change.step(Step::PutImport { run: Box::new(run), expects: None });
    world.store.apply(&change).await.unwrap();
    notify(world, 1, &world.cloud.stream_records()).await;
}

#[tokio::test]
async fn an_uploader_is_told_what_became_of_the_file() {
    let world = World::with_seats(3).await;
    told_of_import(&world, ImportStatus::Completed).await;
    let mails = world.cloud.sent_mails();
    assert_eq!(mails[0].to, [address(7).to_string()]);
    assert_eq!(mails[0].subject, "Ihr Import ist abgeschlossen: new starters.xlsx");
    assert!(mails[0].text.contains("Angelegte Konten: 2") && !mails[0].text.contains("Kopie"));

    told_of_import(&world, ImportStatus::Undone).await;
    assert_eq!(world.cloud.sent_mails().len(), 1, "it is no news that it was completed");
}

#[tokio::test]
async fn a_later_start_is_not_told_before_its_day() {
    let world = World::with_seats(3).await;
    create(&world, 1, Some(jiff::civil::date(2026, 11, 24))).await;
    notify(&world, 1, &world.cloud.stream_records()).await;
    world.clock.set("2026-11-23T22:59:59Z".parse().unwrap());
    run_sweep(&world, 2).await;
    assert!(world.cloud.sent_mails().is_empty(), "it is 23:59:59 in Paris");
    world.clock.set("2026-11-23T23:00:00Z".parse().unwrap());
    run_sweep(&world, 3).await;
    assert_eq!(world.cloud.sent_mails().len(), 1);
}

#[tokio::test]
async fn an_unreadable_mail_does_not_hold_up_the_others() {
    let world = World::with_seats(3).await;
    let poison = json!({
        "pk": {"S": "MAIL#acme#00"}, "sk": {"S": "seat#poison"}, "kind": {"S": "mail"},
        "due_shard": {"S": "mail"}, "due_at": {"S": "2026-11-23T08:00:00.000000Z"},
    });
    put_image(&world, &poison).await;
    create(&world, 1, None).await;
    let event = world.cloud.stream_records();
    assert_eq!(notify(&world, 1, &event).await, 1, "it goes to the dead letters in the end");
    assert_eq!(world.cloud.sent_mails().len(), 1);
    create(&world, 2, None).await;
    let swept = run_sweep(&world, 2).await;
    assert_eq!((swept.mails_sent, swept.troubles.len()), (1, 1));
    let swept = run_sweep(&world, 3).await;
    assert_eq!(swept.troubles.len(), 0, "it is looked at again later");
}

/// Seats three learners with one intent for all, as a chunk of an import does.
async fn chunk(world: &World) -> Vec<LearnerId> {
    let op = world.op();
    let mut change = Change::new(&world.client, op, Actor::System, world.clock.now());
    let numbers = 1..=3;
    let ids: Vec<_> =
        numbers.clone().map(|n| world.keys.learner_id(&world.client, &address(n))).collect();
    change.move_seats(world.pool(), Delta::used(3), Action::ImportChunk, &ids, None);
    for (number, learner_id) in numbers.zip(&ids) {
        change.step(seating(world.pool(), *learner_id, address(number).as_str(), op.id));
    }
    let subject = |learner: &LearnerId| Subject::Seat {
        learner: *learner,
        pool: world.pool(),
        op: op.id,
        letter: Letter::AccountCreated,
    };
    change.step(Step::Mail(MailIntent {
        client_id: world.client.clone(),
        key: "import#chunk".to_owned(),
        cohort: None,
        due_at: world.clock.now(),
        subjects: ids.iter().map(subject).collect(),
        copy_to: None,
    }));
    world.store.apply(&change).await.unwrap();
    ids
}

fn seating(pool: PoolId, learner_id: LearnerId, email: &str, op: uuid::Uuid) -> Step {
    let at = "2026-11-23T09:00:00Z".parse().unwrap();
    Step::SeatLearner(Box::new(SeatLearner {
        beside: None,
        learner_id,
        email: email.parse().unwrap(),
        profile: Profile::default(),
        credential: None,
        presence: Presence::New,
        pool,
        seat: Seat {
            state: SeatState::Active { used_at: at },
            starts_on: None,
            held_at: None,
            ends_at: None,
            reclaim: None,
            carried_from: None,
            source: Source { kind: SourceKind::Import, id: None },
            op,
        },
    }))
}

#[tokio::test(start_paused = true)]
async fn everyone_of_a_chunk_is_told_once_whatever_happens_to_one_of_them() {
    for fault in [
        Fault::LoseReply,
        Fault::ErrorAfter,
        Fault::Throttle,
        Fault::FailBefore,
        Fault::Refuse { status: 400, code: "MessageRejected" },
    ] {
        let world = World::with_seats(3).await;
        chunk(&world).await;
        world.cloud.inject(When::call("SendEmail", 2), fault.clone());
        notify(&world, 1, &world.cloud.stream_records()).await;
        assert_eq!(world.cloud.fired().len(), 1);
        world.clock.advance(SignedDuration::from_mins(5));
        run_sweep(&world, 2).await;
        let mut to: Vec<_> = world.cloud.sent_mails().into_iter().flat_map(|m| m.to).collect();
        to.sort();
        let all: Vec<_> = (1..=3).map(|number| address(number).to_string()).collect();
        assert_eq!(to, all, "{fault:?}");
        assert!(only(&world, "mail")["due_shard"].is_null());
    }
}

#[tokio::test]
async fn an_owed_mail_as_the_stream_sends_it_is_sent() {
    let world = World::with_seats(3).await;
    let event = event("notify/mail_owed");
    let image = &event["Records"][0]["dynamodb"]["NewImage"];
    let subject = &image["subjects"]["L"][0]["M"];
    let learner = subject["learner"]["S"].as_str().unwrap().parse().unwrap();
    let pool = subject["pool"]["S"].as_str().unwrap().parse().unwrap();
    let op = subject["op"]["S"].as_str().unwrap().parse().unwrap();
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.step(seating(pool, learner, "zoe@example.fr", op));
    world.store.apply(&change).await.unwrap();
    put_image(&world, image).await;
    assert_eq!(notify(&world, 1, &event).await, 0);
    assert_eq!(world.cloud.sent_mails()[0].to, ["zoe@example.fr"]);
}

#[tokio::test]
async fn an_opened_cohort_as_the_stream_sends_it_has_its_mails_sent() {
    let world = World::with_seats(3).await;
    world.clock.set("2027-02-28T23:00:03Z".parse().unwrap());
    let (owed, opened) = (event("notify/mail_owed"), event("notify/cohort_opened"));
    let mut image = owed["Records"][0]["dynamodb"]["NewImage"].clone();
    let cohort = &opened["Records"][0]["dynamodb"]["NewImage"];
    let (pool, instant) = (cohort["pool"]["S"].as_str().unwrap(), &cohort["instant"]["S"]);
    assert_eq!(instant, "2027-02-28T23:00:00Z");
    image["pk"]["S"] = format!("MAIL#acme#{pool}#2027-02-28T23:00:00.000000Z").into();
    image["cohort"] = json!({"S": pool});
    image["due_at"]["S"] = "2027-02-28T23:00:00.000000Z".into();
    let subject = &image["subjects"]["L"][0]["M"];
    let learner = subject["learner"]["S"].as_str().unwrap().parse().unwrap();
    let op = subject["op"]["S"].as_str().unwrap().parse().unwrap();
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.step(seating(pool.parse().unwrap(), learner, "zoe@example.fr", op));
    world.store.apply(&change).await.unwrap();
    put_image(&world, &image).await;
    assert_eq!(notify(&world, 1, &opened).await, 0);
    assert_eq!(world.cloud.sent_mails().len(), 1);
}

#[tokio::test]
async fn an_event_that_is_not_the_streams_is_refused() {
    let world = World::with_seats(1).await;
    let until = jiff::Timestamp::MAX;
    for bad in [json!({}), json!({"Records": [{}]}), json!({"Records": "x"})] {
        assert!(seatkeeper_notify::handle(&room(&world, 1), &bad, until).await.is_err(), "{bad}");
    }
}

/// The invitation that the events of SES are about, at version 2, just sent.
async fn told_of(store: &Store, world: &World) -> InvitationId {
    let id = invited(world).await;
    let mut invitation = store.invitation(&world.client, id).await.unwrap().unwrap();
    let told: InvitationId = "inv_5kx0e7w2r9m4t1c8v3b6n0q5j2".parse().unwrap();
    invitation.moved_to = Some(told);
    invitation.version = 2;
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.step(Step::PutInvitation { invitation: Box::new(invitation), replaces: None });
    store.apply(&change).await.unwrap();
    told
}

#[tokio::test]
async fn events_as_ses_sends_them_are_understood() {
    for (name, shown) in [
        ("send", Delivery::Sent),
        ("delivery", Delivery::Delivered),
        ("bounce", Delivery::Bounced),
        ("complaint", Delivery::Complained),
        ("reject", Delivery::Bounced),
    ] {
        let world = World::with_seats(3).await;
        let id = told_of(&world.store, &world).await;
        let heard = hear(&world, &event(&format!("feedback/{name}"))).await;
        assert_eq!(heard.unwrap(), Heard::Noted, "{name}");
        assert_eq!(delivery(&world, id).await, shown, "{name}");
    }
}

#[tokio::test]
async fn news_of_an_older_version_or_of_a_strangers_mail_changes_nothing() {
    let world = World::with_seats(3).await;
    let id = told_of(&world.store, &world).await;
    let mut older = event("feedback/delivery");
    older["detail"]["mail"]["tags"]["version"] = json!(["1"]);
    assert_eq!(hear(&world, &older).await.unwrap(), Heard::Noted);
    let mut foreign = event("feedback/delivery");
    foreign["detail"]["mail"]["tags"]["client"] = json!(["other"]);
    assert_eq!(hear(&world, &foreign).await.unwrap(), Heard::Noted);
    let strangers = event("feedback/not_ours");
    assert_eq!(hear(&world, &strangers).await.unwrap(), Heard::NotOurs);
    assert_eq!(delivery(&world, id).await, Delivery::Queued);
}

#[tokio::test]
async fn malformed_news_is_an_error_and_so_reaches_the_dead_letters() {
    let world = World::with_seats(1).await;
    let good = event("feedback/delivery");
    let mut cases = vec![json!({}), json!({"detail": {"eventType": "Send"}})];
    for tag in ["client", "mail", "notification", "invitation"] {
        let mut bad = good.clone();
        bad["detail"]["mail"]["tags"][tag] = json!(["_zz"]);
        cases.push(bad);
    }
    for bad in cases {
        let heard = hear(&world, &bad).await;
        assert!(matches!(heard, Err(FeedbackError::Unreadable(_))), "{bad}");
    }
}
