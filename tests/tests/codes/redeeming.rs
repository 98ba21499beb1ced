//! Redeeming: one seat a learner, one learner a code, and no more than there are.

use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::create_learner::PasswordChoice;
use seatkeeper_domain::actions::issue_codes::{IssueCodes, Moment, Wanted};
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, Redeemed};
use seatkeeper_domain::audit::Action;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::{Change, Step};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::BatchId;
use seatkeeper_domain::invitation::{Delivery, Grant, Invitation, InvitationStatus};
use seatkeeper_domain::learner::SeatState;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, CodeBook as _, Ledger as _, PageRequest, People as _};
use seatkeeper_domain::stock::Delta;

use seatkeeper_testkit::{Fault, When};

use crate::mailroom;
use crate::world::{PASSWORD, World, create};

type Outcome = Result<Redeemed, RedeemCodeError>;

/// So many people redeem at once, each with their own address and code.
async fn at_once(world: &Arc<World>, visits: Vec<RedeemCode>) -> Vec<Outcome> {
    let tasks: Vec<_> = visits
        .into_iter()
        .map(|visit| {
            let world = Arc::clone(world);
            tokio::spawn(async move { world.redeem(&visit).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("no panic"));
    }
    outcomes
}

fn crowd(world: &World, code: &str, count: usize) -> Vec<RedeemCode> {
    (0..count).map(|n| world.visit(code, &format!("learner{n}@example.org"))).collect()
}

fn count(outcomes: &[Outcome], wanted: impl Fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| wanted(outcome)).count()
}

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Err(RedeemCodeError::NotRedeemable | RedeemCodeError::TooManyTries { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_with_a_registration_code_on_twenty_seats_twenty_get_one() {
    let world = Arc::new(World::with_seats(20).await);
    let code = world.registration(None, false).await;
    let outcomes = at_once(&world, crowd(&world, &code, 64)).await;
    assert_eq!(count(&outcomes, Result::is_ok), 20);
    assert_eq!(count(&outcomes, |o| matches!(o, Err(RedeemCodeError::NoSeatsLeft))), 44);
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.available), (20, 0));
    assert_eq!(world.items("learner").len(), 20);
    assert_eq!(world.items("mail").len(), 20);
    assert_eq!(world.items("redemption").len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_maximum_of_a_registration_code_holds_with_and_without_a_guarantee() {
    for guaranteed in [false, true] {
        let world = Arc::new(World::with_seats(100).await);
        let code = world.registration(Some(20), guaranteed).await;
        let outcomes = at_once(&world, crowd(&world, &code, 64)).await;
        assert_eq!(count(&outcomes, Result::is_ok), 20, "guaranteed: {guaranteed}");
        assert_eq!(count(&outcomes, refused), 44);
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.held, stock.available), (20, 0, 80));
        let page = PageRequest { limit: 10, cursor: None };
        let batches = world.store.batches(&world.client, &page).await.expect("a page");
        let blocks = world.store.blocks(&world.client, world.pool()).await.expect("blocks");
        assert_eq!(batches.items[0].redeemed_with(&blocks), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_with_one_redemption_code_one_gets_the_seat() {
    let world = Arc::new(World::with_seats(40).await);
    let codes = world.redemption_codes(32).await;
    let outcomes = at_once(&world, crowd(&world, &codes[4], 16)).await;
    assert_eq!(count(&outcomes, Result::is_ok), 1);
    assert_eq!(count(&outcomes, refused), 15);
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (1, 31, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_redemption_code_finds_its_seat_whichever_shard_its_learner_falls_into() {
    let world = Arc::new(World::with_seats(40).await);
    let codes = world.redemption_codes(40).await;
    let visits: Vec<_> = codes
        .iter()
        .enumerate()
        .map(|(n, code)| world.visit(code, &format!("learner{n}@example.org")))
        .collect();
    let outcomes = at_once(&world, visits).await;
    assert_eq!(count(&outcomes, Result::is_ok), 40, "{outcomes:?}");
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held), (40, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_learner_in_many_tabs_takes_one_seat() {
    let world = Arc::new(World::with_seats(10).await);
    let code = world.registration(None, false).await;
    let visits = (0..8).map(|_| world.visit(&code, "lise@example.org")).collect();
    let outcomes = at_once(&world, visits).await;
    let fresh = count(&outcomes, |o| matches!(o, Ok(done) if !done.already));
    let again = count(&outcomes, |o| matches!(o, Ok(done) if done.already));
    assert_eq!((fresh, again), (1, 7), "{outcomes:?}");
    assert_eq!(world.proven_stock().await.used, 1);
    assert_eq!(world.items("mail").len(), 1);
}

#[tokio::test]
async fn a_learner_with_a_seat_in_the_pool_keeps_the_code_for_somebody_else() {
    let world = World::with_seats(10).await;
    let codes = world.redemption_codes(2).await;
    world.redeem(&world.visit(&codes[0], "lise@example.org")).await.expect("a seat");
    for code in &codes {
        let again = world.redeem(&world.visit(code, "Lise@Example.org")).await.expect("the seat");
        assert!(again.already);
    }
    assert_eq!(world.items("mail").len(), 1);
    world.redeem(&world.visit(&codes[1], "otto@example.org")).await.expect("a seat");
    assert_eq!(world.proven_stock().await.used, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_costs_no_seat_and_gives_no_second() {
    for fault in
        [Fault::FailBefore, Fault::LoseReply, Fault::ErrorAfter, Fault::TransactionConflict]
    {
        for attempt in 1.. {
            let world = World::with_seats(10).await;
            let code = world.redemption_codes(2).await.remove(0);
            world.cloud.restart_trace();
            world.cloud.inject(When::attempt(attempt), fault.clone());
            let done = world.redeem(&world.visit(&code, "lise@example.org")).await;
            assert!(!done.expect("a seat").already, "{fault:?} at {attempt}");
            let stock = world.proven_stock().await;
            assert_eq!((stock.used, stock.held), (1, 1), "{fault:?} at {attempt}");
            assert_eq!((world.items("mail").len(), world.items("redemption").len()), (1, 1));
            if attempt > world.cloud.attempts().len() as u64 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_the_batch_says_goes_to_the_learner() {
    let world = World::with_seats(10).await;
    let english = seatkeeper_domain::language::Language::english();
    let order = IssueCodes {
        labels: ["cohort-7".to_owned()].into(),
        language: Some(english.clone()),
        seat_duration_days: Some(30),
        ..world.order(Wanted::Generated(2))
    };
    let issued = world.issue(&order).await.expect("codes");
    let typed = issued.codes[0].to_string().to_lowercase().replace('-', " ");
    world.redeem(&world.visit(&typed, "lise@example.org")).await.expect("a seat");
    let learner = world.learner("lise@example.org").await.expect("an account");
    assert_eq!(learner.profile.language, Some(english));
    assert_eq!(learner.profile.labels, order.labels);
    assert_eq!(learner.profile.first_name.as_deref(), Some("Lise"));
    assert!(learner.credential.expect("a password").hash.matches(PASSWORD));
    let seat = &learner.seats[&world.pool()];
    assert_eq!(seat.ends_at, Some(World::at("2026-12-22T23:00:00Z")));
    assert_eq!(seat.source.id, Some(issued.batch.batch_id.to_string()));
    let page = PageRequest { limit: 10, cursor: None };
    let batch: BatchId = issued.batch.batch_id;
    let redemptions = world.store.redemptions(&world.client, batch, &page).await.expect("a page");
    assert_eq!(redemptions.items[0].learner_id, learner.learner_id);
    assert_eq!(redemptions.items[0].code_last4, issued.codes[0].last4());
}

#[tokio::test]
async fn refused_codes_are_refused_alike_whatever_is_wrong_with_them() {
    let world = World::with_seats(20).await;
    world.add_client("other").await;
    let used = world.redemption_codes(1).await.remove(0);
    world.redeem(&world.visit(&used, "otto@example.org")).await.expect("a seat");
    let window = |from: Option<&str>, until: Option<&str>| IssueCodes {
        valid_from: from.map(|at| Moment::At(World::at(at))),
        valid_until: until.map(|at| Moment::At(World::at(at))),
        ..world.order(Wanted::Generated(1))
    };
    let early = world.issue(&window(Some("2026-12-01T00:00:00Z"), None)).await.expect("a code");
    let late = world.issue(&window(None, Some("2026-11-23T10:00:00Z"))).await.expect("a code");
    let domains = IssueCodes {
        allowed_domains: ["acme.example".to_owned()].into(),
        ..world.order(Wanted::Generated(1))
    };
    let domains = world.issue(&domains).await.expect("a code");
    let paused = world.issue(&window(None, None)).await.expect("a code");
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    let mut to = paused.batch.clone();
    to.state = seatkeeper_domain::code::BatchState::Paused;
    change.step(Step::SteerBatch { seen: to.steering.version, batch: Box::new(to), settled: 0 });
    world.store.apply(&change).await.expect("paused");
    world.clock.set(World::at("2026-11-23T10:00:00Z"));
    let before = world.stock().await;

    let foreign = world.visit(&world.redemption_codes(1).await[0], "lise@example.org");
    let foreign = RedeemCode { client_id: "other".parse().expect("a slug"), ..foreign };
    let mut visits = vec![foreign];
    for code in [
        "WRONG-CODE-2026",
        "0000-0000-0000-0000-0",
        &used,
        &early.codes[0].to_string(),
        &late.codes[0].to_string(),
        &domains.codes[0].to_string(),
        &paused.codes[0].to_string(),
    ] {
        visits.push(world.visit(code, "lise@example.org"));
    }
    let mut calls = Vec::new();
    for visit in visits {
        world.cloud.restart_trace();
        let refusal = world.redeem(&visit).await;
        assert!(
            matches!(refusal, Err(RedeemCodeError::NotRedeemable | RedeemCodeError::ForeignDomain)),
            "{refusal:?}"
        );
        let made = world.cloud.attempts().into_iter().map(|attempt| attempt.operation);
        calls.push(made.collect::<Vec<_>>());
    }
    // The same work: a code, a batch and a learner looked up; two limits read and written.
    let [read, write] = ["GetItem", "UpdateItem"];
    for made in calls {
        assert_eq!(made, [read, read, read, read, write, read, write]);
    }
    assert_eq!(world.learner("lise@example.org").await, None);
    assert_eq!(world.proven_stock().await.used, before.used);
    let welcome = world.visit(&domains.codes[0].to_string(), "lise@acme.example");
    world.redeem(&welcome).await.expect("the right domain");
    world.clock.set(World::at("2026-12-01T00:00:00Z"));
    let early = world.visit(&early.codes[0].to_string(), "lise@example.org");
    world.redeem(&early).await.expect("its time has come");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_guesses_at_once_twenty_are_heard_and_a_good_code_works_on() {
    let world = Arc::new(World::with_seats(10).await);
    let code = world.registration(None, false).await;
    let guesses = (0..64).map(|n| world.visit(&format!("GUESS-{n:06}"), "eve@example.org"));
    let outcomes = at_once(&world, guesses.collect()).await;
    assert_eq!(count(&outcomes, |o| matches!(o, Err(RedeemCodeError::NotRedeemable))), 20);
    let wait = SignedDuration::from_mins(10);
    let limited = |o: &Outcome| matches!(o, Err(RedeemCodeError::TooManyTries { wait: told }) if *told == wait);
    assert_eq!(count(&outcomes, limited), 44);
    world.redeem(&world.visit(&code, "lise@example.org")).await.expect("a good code");
    // From elsewhere, and at another client, nobody is held up.
    let guess = world.visit("GUESS-000000", "eve@example.org");
    let elsewhere = RedeemCode { source: "198.51.100.7".to_owned(), ..guess.clone() };
    assert!(matches!(world.redeem(&elsewhere).await, Err(RedeemCodeError::NotRedeemable)));
    world.clock.advance(SignedDuration::from_secs(599));
    assert!(matches!(
        world.redeem(&guess).await,
        Err(RedeemCodeError::TooManyTries { wait }) if wait == SignedDuration::from_secs(1)
    ));
    world.clock.advance(SignedDuration::from_secs(1));
    assert!(matches!(world.redeem(&guess).await, Err(RedeemCodeError::NotRedeemable)));
}

#[tokio::test]
async fn no_ten_minutes_hear_more_than_twenty_guesses() {
    let world = World::with_seats(10).await;
    let guess = world.visit("GUESS-000000", "eve@example.org");
    let heard = async |count: usize| {
        for _ in 0..count {
            assert!(matches!(world.redeem(&guess).await, Err(RedeemCodeError::NotRedeemable)));
        }
    };
    heard(10).await;
    world.clock.advance(SignedDuration::from_mins(9));
    heard(10).await;
    world.clock.advance(SignedDuration::from_mins(1));
    heard(10).await;
    assert!(matches!(world.redeem(&guess).await, Err(RedeemCodeError::TooManyTries { .. })));
}

#[tokio::test]
async fn an_account_is_joined_with_its_own_password_only() {
    let world = World::with_seats(10).await;
    let policy = PasswordPolicy::default();
    let codes = world.redemption_codes(2).await;
    world.redeem(&world.visit(&codes[0], "lise@example.org")).await.expect("a seat");
    let wrong = RedeemCode {
        password: policy.check("another password").expect("a good password"),
        ..world.visit(&codes[1], "lise@example.org")
    };
    for _ in 0..20 {
        let refusal = world.redeem(&wrong).await;
        assert!(matches!(refusal, Err(RedeemCodeError::WrongPassword)), "{refusal:?}");
    }
    let refusal = world.redeem(&wrong).await;
    assert!(matches!(refusal, Err(RedeemCodeError::TooManyTries { .. })), "{refusal:?}");
    // Not even the right one is compared now; from elsewhere it is.
    let right = world.visit(&codes[1], "lise@example.org");
    let refusal = world.redeem(&right).await;
    assert!(matches!(refusal, Err(RedeemCodeError::TooManyTries { .. })), "{refusal:?}");
    let elsewhere = RedeemCode { source: "198.51.100.7".to_owned(), ..right };
    for _ in 0..25 {
        assert!(world.redeem(&elsewhere).await.expect("the right password").already);
    }
}

#[tokio::test]
async fn an_account_without_a_password_takes_the_one_given() {
    let world = World::with_seats(10).await;
    let code = world.registration(None, false).await;
    create(&world, "lise@example.org", PasswordChoice::Link).await;
    assert!(world.learner("lise@example.org").await.expect("an account").credential.is_none());
    let done = world.redeem(&world.visit(&code, "lise@example.org")).await.expect("the seat");
    assert!(done.already);
    let learner = world.learner("lise@example.org").await.expect("an account");
    assert!(learner.credential.expect("a password").hash.matches(PASSWORD));
    assert_eq!(world.proven_stock().await.used, 1);
}

/// A pending invitation that holds a seat.
async fn invite(world: &World, email: &str) -> Invitation {
    let email: EmailAddress = email.parse().expect("an address");
    let op = world.op();
    let now = world.clock.now();
    let invitation = Invitation {
        invitation_id: world.keys.invitation_id(&world.client, world.pool(), &email),
        moved_to: None,
        left: 0,
        email,
        status: InvitationStatus::Pending,
        version: 1,
        holds_seat: true,
        held_since: Some(now),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        grant: Grant::default(),
        redeems: None,
        message: None,
        expires_at: now + SignedDuration::from_hours(24),
        sent_count: 1,
        last_sent_at: None,
        reminders: 0,
        reminded_at: None,
        reminders_unwanted: false,
        delivery: Delivery::Queued,
        gives_up_at: None,
        invited_by: "ana".to_owned(),
        inviter: None,
        created_at: now,
        op: op.id,
    };
    let mut change = Change::new(&world.client, op, Actor::System, now);
    change.move_seats(world.pool(), Delta::held(1), Action::Invited, &[], None);
    let put = Step::PutInvitation { invitation: Box::new(invitation.clone()), replaces: None };
    change.step(put);
    world.store.apply(&change).await.expect("invited");
    invitation
}

#[tokio::test]
async fn a_live_invitation_gives_its_seat_even_on_an_empty_pool() {
    let world = World::with_seats(1).await;
    let code = world.registration(None, false).await;
    let invitation = invite(&world, "lise@example.org").await;
    world.redeem(&world.visit(&code, "lise@example.org")).await.expect("the held seat");
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held), (1, 0));
    let now = world.store.invitation(&world.client, invitation.invitation_id).await;
    assert_eq!(now.expect("the store answers").expect("it").status, InvitationStatus::Accepted);
}

#[tokio::test]
async fn a_redemption_code_brings_its_own_seat_and_frees_that_of_the_invitation() {
    let world = World::with_seats(5).await;
    let codes = world.redemption_codes(2).await;
    invite(&world, "lise@example.org").await;
    world.redeem(&world.visit(&codes[0], "lise@example.org")).await.expect("a seat");
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (1, 1, 3));
}

#[tokio::test]
async fn before_the_contract_begins_the_seat_is_kept_for_its_first_day() {
    let world = World::with_contract(5, |contract| {
        contract.starts_on = Some("2027-01-04".parse().expect("a date"));
    })
    .await;
    let codes = world.redemption_codes(2).await;
    world.redeem(&world.visit(&codes[0], "lise@example.org")).await.expect("a seat");
    let learner = world.learner("lise@example.org").await.expect("an account");
    let opens_at = World::at("2027-01-03T23:00:00Z");
    assert_eq!(learner.seats[&world.pool()].state, SeatState::Scheduled { opens_at });
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held), (0, 2));
}

#[tokio::test]
async fn codes_that_name_a_day_give_seats_that_wait_for_it_and_later_ones_at_once() {
    let registration =
        |guaranteed| Wanted::Registration { own: None, max_redemptions: Some(2), guaranteed };
    for wanted in [Wanted::Generated(2), registration(true), registration(false)] {
        let world = World::with_seats(5).await;
        let order = IssueCodes {
            start_on: Some("2026-12-07".parse().expect("a date")),
            seat_duration_days: Some(30),
            ..world.order(wanted)
        };
        let issued = world.issue(&order).await.expect("codes");
        let codes: Vec<_> = issued.codes.iter().map(ToString::to_string).collect();
        let last = codes.last().expect("a code");
        let before = world.stock().await;
        world.redeem(&world.visit(&codes[0], "lise@example.org")).await.expect("a seat");
        let opens_at = World::at("2026-12-06T23:00:00Z");
        let ends_at = Some(World::at("2027-01-05T23:00:00Z"));
        let seat = world.learner("lise@example.org").await.expect("an account");
        let seat = &seat.seats[&world.pool()];
        assert_eq!(seat.state, SeatState::Scheduled { opens_at });
        assert_eq!((seat.starts_on, seat.ends_at), (order.start_on, ends_at));
        let waiting = world.proven_stock().await;
        assert_eq!((waiting.used, waiting.held), (0, before.held.max(1)));
        mailroom::drain(&world).await;
        assert!(world.cloud.sent_mails().is_empty(), "the mail waits, too");

        world.clock.set(opens_at);
        mailroom::run_sweep(&world, 1).await;
        mailroom::drain(&world).await;
        assert_eq!(world.cloud.sent_mails().len(), 1);
        let open = world.proven_stock().await;
        assert_eq!((open.used, open.held), (1, waiting.held - 1));

        let late = World::at("2026-12-09T10:00:00Z");
        world.clock.set(late);
        world.redeem(&world.visit(last, "otto@example.org")).await.expect("a seat");
        let seat = world.learner("otto@example.org").await.expect("an account");
        let seat = &seat.seats[&world.pool()];
        assert_eq!(seat.state, SeatState::Active { used_at: late });
        assert_eq!(seat.ends_at, Some(World::at("2027-01-07T23:00:00Z")), "from its own first day");
        assert_eq!(world.proven_stock().await.used, 2);
    }
}

#[tokio::test]
async fn a_day_that_is_over_opens_seats_at_once_whatever_the_hour() {
    let world = World::with_contract(5, |contract| {
        contract.policies.opens_at = jiff::civil::time(8, 0, 0, 0);
    })
    .await;
    let order = IssueCodes {
        start_on: Some("2026-12-07".parse().expect("a date")),
        ..world.order(Wanted::Generated(3))
    };
    let codes = world.issue(&order).await.expect("codes").codes;
    for (code, at, waits) in [
        (&codes[0], "2026-12-07T06:30:00Z", true),
        (&codes[1], "2026-12-07T07:00:00Z", false),
        (&codes[2], "2026-12-09T06:30:00Z", false),
    ] {
        world.clock.set(World::at(at));
        let email = format!("at{}@example.org", World::at(at).as_second());
        world.redeem(&world.visit(&code.to_string(), &email)).await.expect("a seat");
        let learner = world.learner(&email).await.expect("an account");
        let state = learner.seats[&world.pool()].state;
        assert_eq!(matches!(state, SeatState::Scheduled { .. }), waits, "{at}: {state:?}");
    }
}

#[tokio::test]
async fn a_seat_that_is_over_does_not_stand_in_the_way_of_another_code() {
    let world = World::with_seats(5).await;
    let order = IssueCodes { seat_duration_days: Some(30), ..world.order(Wanted::Generated(1)) };
    let first = world.issue(&order).await.expect("codes").codes[0].to_string();
    let second = world.redemption_codes(1).await.remove(0);
    world.redeem(&world.visit(&first, "lise@example.org")).await.expect("a seat");
    world.clock.set(World::at("2026-12-22T23:00:00Z"));
    // The code she has redeemed lets her in no longer; the next one does.
    assert!(world.redeem(&world.visit(&first, "lise@example.org")).await.expect("known").already);
    let done = world.redeem(&world.visit(&second, "lise@example.org")).await.expect("a seat");
    assert!(!done.already);
    let learner = world.learner("lise@example.org").await.expect("an account");
    let used_at = world.clock.now();
    assert_eq!(learner.seats[&world.pool()].state, SeatState::Active { used_at });
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (1, 0, 4));
}

#[tokio::test]
async fn after_the_contract_has_ended_no_code_is_good() {
    let world = World::with_contract(5, |contract| {
        contract.ends_on = Some("2026-11-30".parse().expect("a date"));
    })
    .await;
    let codes = world.redemption_codes(1).await;
    world.clock.set(World::at("2026-11-30T23:00:00Z"));
    let refusal = world.redeem(&world.visit(&codes[0], "lise@example.org")).await;
    assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
}
