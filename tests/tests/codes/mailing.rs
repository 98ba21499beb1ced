//! Mailing codes: one to each address, never a second one, never one that somebody has.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::add_codes::More;
use seatkeeper_domain::actions::issue_codes::{IssueCodes, Moment, Wanted};
use seatkeeper_domain::actions::send_codes::{
    CodeVerdict, SendCodes, SendCodesError, SentCodes, send_codes,
};
use seatkeeper_domain::actions::steer_batch::Target;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::BatchId;
use seatkeeper_testkit::{Fault, When};

use crate::mailroom;
use crate::steering::begin;
use crate::world::World;

async fn send_as(
    world: &World,
    op: Op,
    batch: BatchId,
    to: &[&str],
) -> Result<SentCodes, SendCodesError> {
    let addresses = to.iter().map(|to| (*to).to_owned()).collect();
    let command = SendCodes { client_id: world.client.clone(), batch_id: batch, addresses };
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    send_codes(store, clock, keys, &world.administrator(), op, &command).await
}

async fn send(world: &World, batch: BatchId, to: &[&str]) -> Result<SentCodes, SendCodesError> {
    send_as(world, world.op(), batch, to).await
}

fn verdicts(sent: &SentCodes) -> Vec<CodeVerdict> {
    sent.results.iter().map(|result| result.verdict).collect()
}

/// A batch of so many redemption codes, and the codes.
async fn batch_of(world: &World, count: u32) -> (BatchId, Vec<String>) {
    let issued = world.issue(&world.order(Wanted::Generated(count))).await.expect("codes");
    let codes = issued.codes.iter().map(ToString::to_string).collect();
    (issued.batch.batch_id, codes)
}

/// To whom each mail to somebody of `x.fr` went, and the code it holds.
fn mailed(world: &World, codes: &[String]) -> Vec<(String, String)> {
    let mails = world.cloud.sent_mails().into_iter().filter(|mail| mail.to[0].ends_with("@x.fr"));
    let code = |text: &str| {
        let mut held = codes.iter().filter(|code| text.contains(code.as_str()));
        let code = held.next().expect("a code in the mail").clone();
        assert!(held.next().is_none(), "one code a mail");
        code
    };
    mails.map(|mail| (mail.to[0].clone(), code(&mail.text))).collect()
}

#[tokio::test(start_paused = true)]
async fn each_address_is_mailed_the_next_code_and_none_a_second_one() {
    let world = World::with_seats(10).await;
    let (batch, codes) = batch_of(&world, 4).await;
    // The second one was handed out on paper.
    world.redeem(&world.visit(&codes[1], "paul@example.org")).await.expect("a seat");
    let sent = send(&world, batch, &["a@x.fr", "nope", "B@x.fr", "a@X.fr"]).await.expect("sent");
    let (ok, again) = (CodeVerdict::Sent, CodeVerdict::Duplicate);
    let verdict = verdicts(&sent);
    assert_eq!((verdict[0], verdict[2], verdict[3]), (ok, ok, again));
    assert!(matches!(verdict[1], CodeVerdict::Invalid(_)));
    assert_eq!(sent.left, Some(1));
    mailroom::drain(&world).await;
    // Paul had the mail of his redemption.
    assert_eq!(
        mailed(&world, &codes),
        [("a@x.fr".to_owned(), codes[0].clone()), ("b@x.fr".to_owned(), codes[2].clone())]
    );
    // Once more, with somebody new: only they are sent one.
    let sent = send(&world, batch, &["a@x.fr", "c@x.fr"]).await.expect("sent");
    assert_eq!(verdicts(&sent), [CodeVerdict::AlreadySent, CodeVerdict::Sent]);
    assert_eq!(sent.left, Some(0));
    let none = send(&world, batch, &["d@x.fr"]).await;
    assert!(matches!(none, Err(SendCodesError::TooFew { left: 0, needed: 1 })));
    // Codes that are added can be mailed.
    let added = world.add(world.op(), batch, More::Generated(2)).await.expect("more codes");
    send(&world, batch, &["d@x.fr"]).await.expect("sent");
    mailroom::drain(&world).await;
    let last = world.cloud.sent_mails().pop().expect("a mail");
    assert_eq!(last.to, ["d@x.fr"]);
    assert!(last.text.contains(&added.issued.codes[0].to_string()));
    // What was mailed can be redeemed, by whoever has it.
    world.redeem(&world.visit(&codes[2], "b@x.fr")).await.expect("a seat");
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_registration_code_goes_to_everybody_of_its_domains() {
    let world = World::with_seats(10).await;
    let wanted = Wanted::Registration { own: None, max_redemptions: None, guaranteed: false };
    let order =
        IssueCodes { allowed_domains: BTreeSet::from(["x.fr".to_owned()]), ..world.order(wanted) };
    let issued = world.issue(&order).await.expect("a code");
    let many: Vec<String> = (0..100).map(|number| format!("p{number}@x.fr")).collect();
    let mut to: Vec<&str> = many.iter().map(String::as_str).collect();
    to.push("else@example.org");
    let sent = send(&world, issued.batch.batch_id, &to).await.expect("sent");
    assert_eq!(sent.left, None);
    assert_eq!(verdicts(&sent)[100], CodeVerdict::ForeignDomain);
    mailroom::drain(&world).await;
    let code = issued.codes[0].to_string();
    let told = mailed(&world, std::slice::from_ref(&code));
    let people: BTreeSet<_> = told.iter().map(|(to, _)| to.clone()).collect();
    assert_eq!((told.len(), people.len()), (100, 100));
    assert!(told.iter().all(|(_, held)| *held == code));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_was_redeemed_or_revoked_before_its_mail_went_out_is_not_mailed() {
    let world = World::with_seats(10).await;
    let (batch, codes) = batch_of(&world, 2).await;
    send(&world, batch, &["a@x.fr", "b@x.fr"]).await.expect("sent");
    world.redeem(&world.visit(&codes[0], "paul@example.org")).await.expect("a seat");
    world.steer(batch, |command| command.state = Some(Target::Revoked)).await.expect("revoked");
    mailroom::drain(&world).await;
    let told: Vec<_> = world.cloud.sent_mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(told, [["paul@example.org"]]);
    let ended = send(&world, batch, &["c@x.fr"]).await;
    assert!(matches!(ended, Err(SendCodesError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn codes_that_cannot_be_redeemed_now_are_not_mailed_now() {
    let world = World::with_seats(10).await;
    let (batch, codes) = batch_of(&world, 2).await;
    world.steer(batch, |command| command.state = Some(Target::Paused)).await.expect("paused");
    let paused = send(&world, batch, &["a@x.fr"]).await;
    assert!(matches!(paused, Err(SendCodesError::Paused)));
    world.steer(batch, |command| command.state = Some(Target::Active)).await.expect("resumed");
    send(&world, batch, &["a@x.fr"]).await.expect("sent");
    mailroom::drain(&world).await;
    assert_eq!(mailed(&world, &codes).len(), 1);
    // A batch of a later day is mailed on that day.
    let from = World::at("2026-12-01T07:00:00Z");
    let order = IssueCodes {
        valid_from: Some(Moment::At(from)),
        label: "Winter".to_owned(),
        ..world.order(Wanted::Generated(1))
    };
    let later = world.issue(&order).await.expect("codes");
    send(&world, later.batch.batch_id, &["w@x.fr"]).await.expect("owed");
    mailroom::drain(&world).await;
    let told = |world: &World| {
        let mails = world.cloud.sent_mails().into_iter();
        mails.filter(|mail| mail.to[0] == "w@x.fr").count()
    };
    assert_eq!(told(&world), 0);
    world.clock.set(from);
    mailroom::run_sweep(&world, 3).await;
    assert_eq!(told(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn two_who_mail_codes_at_once_send_different_ones() {
    let world = Arc::new(World::with_seats(10).await);
    let (batch, codes) = batch_of(&world, 4).await;
    world.cloud.restart_trace();
    let other = Arc::clone(&world);
    world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
        let sent = send(&other, batch, &["a@x.fr", "c@x.fr"]).await.expect("sent");
        assert_eq!(verdicts(&sent), [CodeVerdict::Sent; 2]);
    });
    let sent = send(&world, batch, &["a@x.fr", "b@x.fr"]).await.expect("sent");
    assert_eq!(verdicts(&sent), [CodeVerdict::AlreadySent, CodeVerdict::Sent]);
    mailroom::drain(&world).await;
    let told = mailed(&world, &codes);
    let used: BTreeSet<_> = told.iter().map(|(_, code)| code.clone()).collect();
    assert_eq!((told.len(), used.len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn mailing_that_is_asked_for_again_answers_the_same_and_mails_nothing_more() {
    let world = World::with_seats(10).await;
    let (batch, codes) = batch_of(&world, 4).await;
    let op = begin(&world).await;
    world.cloud.restart_trace();
    world.cloud.inject(When::call("TransactWriteItems", 1), Fault::KillAfter);
    let cut = world.cloud.until_killed(send_as(&world, op, batch, &["a@x.fr", "b@x.fr"])).await;
    assert!(cut.is_none(), "the caller is gone");
    world.clock.advance(SignedDuration::from_mins(2));
    let again = begin(&world).await;
    let sent = send_as(&world, again, batch, &["a@x.fr", "b@x.fr"]).await.expect("sent");
    assert_eq!(verdicts(&sent), [CodeVerdict::Sent; 2]);
    mailroom::drain(&world).await;
    assert_eq!(mailed(&world, &codes).len(), 2);
}
