//! Addresses that have to be proven: seat and code are held for half an hour, and given or returned.

use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::accept_invitation::{
    AcceptInvitation, AcceptInvitationError, Accepted, accept_invitation,
};
use seatkeeper_domain::actions::close_invitation::decline_invitation;
use seatkeeper_domain::actions::create_learner::PasswordChoice;
use seatkeeper_domain::actions::erase_learner::erase_learner;
use seatkeeper_domain::actions::invitations::LinkClosed;
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, Moment, Wanted, batch_codes};
use seatkeeper_domain::actions::redeem_code::{RedeemCodeError, Redeemed};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::steer_batch::Target;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::ids::{BatchId, InvitationId};
use seatkeeper_domain::invitation::{Grant, InvitationStatus};
use seatkeeper_domain::learner::SeatState;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{CodeBook as _, Ledger as _, PageRequest, People as _};
use seatkeeper_tests::invariants::Seen;

use crate::mailroom;
use crate::world::{PASSWORD, World, create};

const LISE: &str = "lise@example.org";
const OTTO: &str = "otto@example.org";
/// What Lise chooses on the page of her link.
const OWN: &str = "a lake behind the hills";

/// The ways seats of codes are set aside, or are not.
fn kinds() -> [Wanted; 3] {
    let registration =
        |guaranteed| Wanted::Registration { own: None, max_redemptions: Some(3), guaranteed };
    [Wanted::Generated(3), registration(true), registration(false)]
}

/// A batch that asks for proof, and one of its codes.
async fn asked(world: &World, wanted: Wanted) -> (BatchId, String) {
    let order = IssueCodes { require_email_proof: true, ..world.order(wanted) };
    let issued = world.issue(&order).await.expect("free seats");
    mailroom::drain(world).await;
    (issued.batch.batch_id, issued.codes[0].to_string())
}

/// Somebody comes with a code and learns nothing but that a mail went out.
async fn held(world: &World, code: &str, email: &str) {
    let redeemed = world.redeem(&world.visit(code, email)).await.expect("held");
    assert_eq!((redeemed.to_be_proven, redeemed.already), (true, false));
}

fn proof_id(world: &World, email: &str) -> InvitationId {
    let email = email.parse().expect("an address");
    world.keys.proof_id(&world.client, world.pool(), &email)
}

async fn follow(
    world: &World,
    email: &str,
    version: u32,
) -> Result<Accepted, AcceptInvitationError> {
    let command = AcceptInvitation {
        client_id: world.client.clone(),
        invitation_id: proof_id(world, email),
        version,
        first_name: "Lise".to_owned(),
        last_name: "Meitner".to_owned(),
        password: PasswordPolicy::default().check(OWN),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    accept_invitation(store, clock, ids, keys, world.op(), &command).await
}

async fn redeemed(world: &World, batch: BatchId) -> (u64, usize) {
    let found = world.store.batch(&world.client, batch).await.expect("the store answers");
    let blocks = world.store.blocks(&world.client, world.pool()).await.expect("blocks");
    let page = PageRequest { limit: 10, cursor: None };
    let listed = world.store.redemptions(&world.client, batch, &page).await.expect("a page");
    (found.expect("the batch").redeemed_with(&blocks), listed.items.len())
}

fn check(world: &World) {
    if let Err(broken) = Seen::of(&world.cloud).check() {
        panic!("{broken}");
    }
}

/// Half an hour passes, and the sweep comes.
async fn too_late(world: &World) {
    world.clock.advance(SignedDuration::from_mins(31));
    let swept = mailroom::run_sweep(world, 1).await;
    assert!(swept.troubles.is_empty(), "{:?}", swept.troubles);
    assert_eq!(swept.invitations_expired, 1);
    let again = mailroom::run_sweep(world, 2).await;
    assert_eq!(again.invitations_expired, 0, "once");
    check(world);
}

#[tokio::test]
async fn a_proven_address_waits_for_the_day_of_its_codes() {
    for wanted in kinds() {
        let world = World::with_seats(10).await;
        let order = IssueCodes {
            start_on: Some("2026-12-07".parse().expect("a date")),
            require_email_proof: true,
            ..world.order(wanted)
        };
        let issued = world.issue(&order).await.expect("codes");
        held(&world, &issued.codes[0].to_string(), LISE).await;
        mailroom::drain(&world).await;
        follow(&world, LISE, 1).await.expect("proven");
        let opens_at = World::at("2026-12-06T23:00:00Z");
        let learner = world.learner(LISE).await.expect("an account");
        let seat = learner.live_seat(world.pool()).expect("a seat");
        assert_eq!(seat.state, SeatState::Scheduled { opens_at });
        check(&world);
        mailroom::drain(&world).await;
        assert_eq!(world.cloud.sent_mails().len(), 1, "only the link");
        world.clock.set(opens_at);
        mailroom::run_sweep(&world, 1).await;
        mailroom::drain(&world).await;
        assert_eq!(world.cloud.sent_mails().len(), 2, "and now, that access is open");
        assert_eq!(world.proven_stock().await.used, 1);
        check(&world);
    }
}

#[tokio::test]
async fn a_seat_is_given_when_its_address_is_proven() {
    for wanted in kinds() {
        let world = World::with_seats(10).await;
        let (batch, code) = asked(&world, wanted).await;
        let before = world.stock().await;
        held(&world, &code, LISE).await;
        check(&world);
        assert!(world.learner(LISE).await.is_none(), "there is no account yet");
        let meanwhile = world.proven_stock().await;
        assert_eq!(meanwhile.used, 0);
        assert_eq!(meanwhile.held + meanwhile.available, before.held + before.available);
        assert_eq!(redeemed(&world, batch).await, (1, 0), "counted, and not listed");
        mailroom::drain(&world).await;

        let accepted = follow(&world, LISE, 1).await.expect("proven");
        assert!(!accepted.password_kept);
        check(&world);
        let learner = world.learner(LISE).await.expect("an account");
        let seat = learner.live_seat(world.pool()).expect("a seat");
        assert_eq!(seat.source.id, Some(batch.to_string()));
        let credential = learner.credential.as_ref().expect("a password");
        assert!(credential.hash.matches(OWN) && !credential.hash.matches(PASSWORD));
        assert_eq!(redeemed(&world, batch).await, (1, 1));
        assert_eq!(world.proven_stock().await.used, 1);
        mailroom::drain(&world).await;
        assert_eq!(world.cloud.sent_mails().len(), 2, "the link, and the welcome");
        let again = follow(&world, LISE, 1).await;
        let closed = AcceptInvitationError::Closed(LinkClosed::Accepted);
        assert_eq!(again.expect_err("once").to_string(), closed.to_string());
        // Whoever knows the password needs no link.
        let mut visit = world.visit(&code, LISE);
        visit.password = PasswordPolicy::default().check(OWN).expect("good");
        let known = world.redeem(&visit).await.expect("a seat");
        assert_eq!((known.already, known.to_be_proven), (true, false));
    }
}

#[tokio::test]
async fn what_is_not_proven_in_half_an_hour_returns_once_with_its_code() {
    for wanted in kinds() {
        let world = World::with_seats(3).await;
        let (batch, code) = asked(&world, wanted).await;
        let before = world.stock().await;
        held(&world, &code, LISE).await;
        mailroom::drain(&world).await;
        too_late(&world).await;
        assert_eq!(world.proven_stock().await, before);
        assert_eq!(redeemed(&world, batch).await, (0, 0));
        let late = follow(&world, LISE, 1).await.expect_err("too late");
        assert!(matches!(late, AcceptInvitationError::Closed(LinkClosed::Expired)), "{late}");
        // The code is anybody's again, hers too; the old link stays dead.
        held(&world, &code, LISE).await;
        let old = follow(&world, LISE, 1).await.expect_err("an old link");
        assert!(matches!(old, AcceptInvitationError::Closed(LinkClosed::Replaced)), "{old}");
        follow(&world, LISE, 2).await.expect("proven");
        check(&world);
        assert_eq!(redeemed(&world, batch).await, (1, 1));
    }
}

#[tokio::test]
async fn who_comes_again_before_the_sweep_is_held_anew() {
    for wanted in kinds() {
        let world = World::with_seats(3).await;
        let (batch, code) = asked(&world, wanted).await;
        held(&world, &code, LISE).await;
        world.clock.advance(SignedDuration::from_mins(31));
        held(&world, &code, LISE).await;
        check(&world);
        assert_eq!(redeemed(&world, batch).await, (1, 0));
        follow(&world, LISE, 2).await.expect("proven");
        check(&world);
    }
}

#[tokio::test]
async fn coming_again_holds_nothing_more_and_mails_are_bounded() {
    let world = World::with_seats(10).await;
    let (batch, code) = asked(&world, Wanted::Generated(3)).await;
    held(&world, &code, LISE).await;
    let first = world.proven_stock().await;
    held(&world, &code, LISE).await;
    mailroom::drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 1, "at once, there is one");
    world.clock.advance(SignedDuration::from_mins(6));
    held(&world, &code, LISE).await;
    held(&world, &code, LISE).await;
    mailroom::drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 2, "one more after five minutes");
    assert_eq!(redeemed(&world, batch).await, (1, 0));
    assert_eq!(world.proven_stock().await, first);
    held(&world, &code, LISE).await;
    held(&world, &code, LISE).await;
    let over = world.redeem(&world.visit(&code, LISE)).await;
    assert!(matches!(over, Err(RedeemCodeError::TooManyTries { .. })), "{over:?}");
    // Another address is not concerned, and both links of the mails are one.
    let texts: Vec<_> = world.cloud.sent_mails().iter().map(|mail| mail.text.clone()).collect();
    assert_eq!(texts[0], texts[1]);
    follow(&world, LISE, 1).await.expect("proven");
    check(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_with_one_code_one_address_is_asked() {
    let world = Arc::new(World::with_seats(10).await);
    let (batch, code) = asked(&world, Wanted::Generated(3)).await;
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let (world, code) = (Arc::clone(&world), code.clone());
            tokio::spawn(async move {
                // Half of them are one person who is impatient.
                let who = if number % 2 == 0 { 0 } else { number };
                let email = format!("learner{who}@example.org");
                world.redeem(&world.visit(&code, &email)).await
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(Redeemed { to_be_proven: true, .. }) => sent += 1,
            Ok(other) => panic!("{other:?}"),
            Err(RedeemCodeError::NotRedeemable | RedeemCodeError::Store(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..=6).contains(&sent), "{sent} were told to look for a mail");
    assert_eq!(redeemed(&world, batch).await, (1, 0));
    let proofs = world.items("invitation").len();
    assert_eq!(proofs, 1);
    check(&world);
}

async fn release(world: &World, email: &str) {
    let seatkeeper_tests::World { store, clock, ids, client, contract, .. } = &**world;
    let (op, learner, pool) = (world.op(), world.learner_id(email), world.pool());
    release_seat(store, clock, ids, Actor::System, op, (client, contract), learner, pool)
        .await
        .expect("released");
}

#[tokio::test]
async fn a_password_proves_its_address_and_a_wrong_one_is_answered_like_none() {
    let world = World::with_seats(10).await;
    let (_, code) = asked(&world, Wanted::Generated(3)).await;
    let typed = PasswordPolicy::default().check(OWN).expect("good");
    create(&world, LISE, PasswordChoice::Typed(typed.hash(&world.ids))).await;
    let wrong = world.redeem(&world.visit(&code, LISE)).await.expect("held");
    let (other_batch, other) = asked(&world, Wanted::Generated(1)).await;
    let unknown = world.redeem(&world.visit(&other, OTTO)).await.expect("held");
    assert!(wrong.to_be_proven && unknown.to_be_proven);
    assert_eq!((wrong.already, unknown.already), (false, false));
    // She has a seat: the link leads in, and the code was not used.
    follow(&world, LISE, 1).await.expect("proven");
    let learner = world.learner(LISE).await.expect("the account");
    assert!(learner.credential.expect("a password").hash.matches(OWN));
    let used = |item: &&serde_json::Value| item["redeemed_by"].is_string();
    let used: Vec<_> = world.items("code").iter().filter(used).cloned().collect();
    assert_eq!(used.len(), 1, "only what is held for the other");
    assert_eq!(used[0]["batch_id"], other_batch.to_string());
    let mut visit = world.visit(&code, LISE);
    visit.password = typed;
    assert!(world.redeem(&visit).await.expect("known").already);
    check(&world);
}

#[tokio::test]
async fn the_right_password_takes_up_what_is_held() {
    let world = World::with_seats(10).await;
    let (batch, code) = asked(&world, Wanted::Generated(3)).await;
    // An account without a seat here: it had one, and that was released.
    let typed = PasswordPolicy::default().check(OWN).expect("good");
    create(&world, LISE, PasswordChoice::Typed(typed.hash(&world.ids))).await;
    release(&world, LISE).await;
    held(&world, &code, LISE).await;
    let mut visit = world.visit(&code, LISE);
    visit.password = typed;
    let done = world.redeem(&visit).await.expect("known");
    assert_eq!((done.already, done.to_be_proven), (false, false));
    assert_eq!(redeemed(&world, batch).await, (1, 1));
    let proof = world.store.invitation(&world.client, proof_id(&world, LISE)).await;
    assert_eq!(proof.expect("readable").expect("it").status, InvitationStatus::Accepted);
    check(&world);
}

/// The names typed with a code stand in what is held for its address, and go with the person.
#[tokio::test]
async fn who_is_erased_leaves_nothing_of_what_was_typed_with_a_code() {
    let world = World::with_seats(10).await;
    let (_, code) = asked(&world, Wanted::Generated(3)).await;
    held(&world, &code, LISE).await;
    let typed = || world.cloud.dump().iter().any(|item| item.to_string().contains("Meitner"));
    assert!(typed(), "held with its names");
    follow(&world, LISE, 1).await.expect("proven");
    let seatkeeper_tests::World { store, clock, ids, keys, client, .. } = &*world;
    let (op, learner) = (world.op(), world.learner_id(LISE));
    erase_learner(store, clock, ids, keys, Actor::System, op, client, learner)
        .await
        .expect("erased");
    assert!(!typed(), "a name is left");
    check(&world);
}

#[tokio::test]
async fn a_batch_that_was_stopped_lets_nobody_in_and_what_was_held_returns() {
    for wanted in kinds() {
        let world = World::with_seats(10).await;
        let (batch, code) = asked(&world, wanted).await;
        held(&world, &code, LISE).await;
        world.steer(batch, |to| to.state = Some(Target::Paused)).await.expect("paused");
        let refused = follow(&world, LISE, 1).await.expect_err("paused");
        let stopped = matches!(refused, AcceptInvitationError::Closed(LinkClosed::CodeStopped));
        assert!(stopped, "{refused}");
        world.steer(batch, |to| to.state = Some(Target::Active)).await.expect("resumed");
        follow(&world, LISE, 1).await.expect("proven");
        held(&world, &next_code(&world, batch, &code).await, OTTO).await;
        check(&world);
        world.steer(batch, |to| to.state = Some(Target::Revoked)).await.expect("revoked");
        check(&world);
        assert!(follow(&world, OTTO, 1).await.is_err());
        too_late(&world).await;
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.held, stock.available), (1, 0, 9));
        assert_eq!(redeemed(&world, batch).await, (1, 1));
    }
}

/// The next code of a batch; of a registration code, the same.
async fn next_code(world: &World, batch: BatchId, code: &str) -> String {
    let codes = batch_codes(&world.store, &world.keys, &world.client, batch).await.expect("codes");
    codes.get(1).map_or_else(|| code.to_owned(), ToString::to_string)
}

#[tokio::test]
async fn a_hold_outlives_the_block_it_came_from() {
    for (guaranteed, proven) in [(true, true), (true, false), (false, true), (false, false)] {
        let world = World::with_seats(10).await;
        let wanted = if guaranteed { kinds()[1].clone() } else { Wanted::Generated(3) };
        let (batch, code) = asked(&world, wanted).await;
        held(&world, &code, LISE).await;
        // The window ends, the block is closed, and the batch is extended.
        let moment = |text: &str| Moment::At(World::at(text));
        let soon = moment("2026-11-23T09:05:00Z");
        world.steer(batch, |to| to.valid_until = Amend::Set(soon)).await.expect("shortened");
        world.clock.advance(SignedDuration::from_mins(6));
        assert!(world.tend(batch).await, "closed");
        check(&world);
        let later = moment("2027-11-23T09:00:00Z");
        world.steer(batch, |to| to.valid_until = Amend::Set(later)).await.expect("extended");
        check(&world);
        if proven {
            follow(&world, LISE, 1).await.expect("proven");
        } else {
            too_late(&world).await;
            held(&world, &code, OTTO).await;
        }
        check(&world);
        assert_eq!(redeemed(&world, batch).await.0, 1);
        let stock = world.proven_stock().await;
        assert_eq!((stock.held + stock.used, stock.available), (3, 7));
    }
}

#[tokio::test]
async fn an_invitation_or_a_seat_from_elsewhere_is_not_given_twice() {
    for wanted in kinds() {
        let world = World::with_seats(10).await;
        let (batch, code) = asked(&world, wanted).await;
        for email in [LISE, OTTO] {
            let command = Invite {
                client_id: world.client.clone(),
                contract_id: world.contract.contract_id,
                sublicense_id: None,
                addresses: vec![email.to_owned()],
                grant: Grant::default(),
                message: None,
                notify: true,
                copy_to: None,
            };
            let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
            let caller = world.administrator();
            invite(store, clock, keys, &caller, world.op(), &command).await.expect("invited");
        }
        held(&world, &code, LISE).await;
        check(&world);
        // What was held for her as an invited person goes back.
        follow(&world, LISE, 1).await.expect("proven");
        check(&world);
        // He is given a seat while his code is held.
        held(&world, &next_code(&world, batch, &code).await, OTTO).await;
        create(&world, OTTO, PasswordChoice::Link).await;
        check(&world);
        follow(&world, OTTO, 1).await.expect("proven");
        check(&world);
        let otto = world.learner(OTTO).await.expect("an account");
        assert!(otto.credential.expect("a password").hash.matches(OWN));
        assert_eq!(redeemed(&world, batch).await, (1, 1));
        assert_eq!(world.proven_stock().await.used, 2);
    }
}

#[tokio::test]
async fn who_did_not_ask_gives_seat_and_code_back() {
    let world = World::with_seats(10).await;
    let (batch, code) = asked(&world, Wanted::Generated(3)).await;
    let before = world.stock().await;
    held(&world, &code, LISE).await;
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let id = proof_id(&world, LISE);
    decline_invitation(store, clock, keys, world.op(), &world.client, id, 1)
        .await
        .expect("declined");
    check(&world);
    assert_eq!((world.proven_stock().await, redeemed(&world, batch).await), (before, (0, 0)));
    held(&world, &code, OTTO).await;
    check(&world);
}
