//! Guessing: limited by where it comes from and by whom it is aimed at; a slip of the pen is no guess.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::redeem_code::{
    RedeemCode, RedeemCodeError, TRIES, TRIES_FOR_ALL, redeem_code,
};
use seatkeeper_domain::code::{Code, InvalidCode};
use seatkeeper_domain::ids::BatchId;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, Counted, RefusedTries as _};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_testkit::model::{Model, Ports};
use seatkeeper_testkit::{SeededIds, VirtualClock};
use seatkeeper_tests::runs;

use crate::world::{PASSWORD, World};

#[tokio::test]
async fn a_slip_of_the_pen_is_told_without_a_look_and_is_no_guess() {
    let world = World::with_seats(5).await;
    let code = world.redemption_codes(1).await.remove(0);
    let mut letters: Vec<char> = code.chars().collect();
    letters[3] = if letters[3] == '7' { '8' } else { '7' };
    let slip: String = letters.into_iter().collect();
    world.cloud.restart_trace();
    for typed in [slip.as_str(), "short", "no such sign: %"] {
        for _ in 0..30 {
            let refusal = world.redeem(&world.visit(typed, "lise@example.org")).await;
            assert!(matches!(refusal, Err(RedeemCodeError::Mistyped(_))), "{refusal:?}");
        }
    }
    assert!(world.cloud.attempts().is_empty(), "{:?}", world.cloud.attempts());
    assert!(world.items("tries").is_empty());
    world.redeem(&world.visit(&code, "lise@example.org")).await.expect("the code itself");
}

#[test]
fn an_own_code_in_the_shape_of_a_generated_one_is_refused_unless_its_check_fits() {
    let keys = Keys::derive(&"k".repeat(32)).expect("long enough");
    let made = Code::generated(&keys, &"acme".parse().expect("a slug"), BatchId::from_bits(1), 0);
    assert_eq!(Code::parse(made.as_str()), Ok(made));
    assert_eq!(Code::parse("WELCOME2ACADEMYXY"), Err(InvalidCode::Mistyped));
    assert!(Code::parse("WELCOME2ACADEMYXYZ").is_ok(), "one letter more");
    assert!(Code::parse("UNIVERSITY20270AB").is_ok(), "U is no digit of generated codes");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_places_that_guess_at_once_twenty_use_up_the_clients_budget() {
    let world = Arc::new(World::with_seats(5).await);
    let code = world.registration(None, false).await;
    let guess = |source: String| {
        let world = Arc::clone(&world);
        async move {
            let visit = world.visit("GUESS-000000", "eve@example.org");
            world.redeem(&RedeemCode { source, ..visit }).await
        }
    };
    for n in 0..TRIES_FOR_ALL.most - 20 {
        let refusal = guess(format!("198.51.100.{n}")).await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
    }
    let tasks: Vec<_> = (0..64).map(|n| tokio::spawn(guess(format!("203.0.113.{n}")))).collect();
    let mut heard = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Err(RedeemCodeError::NotRedeemable) => heard += 1,
            Err(RedeemCodeError::TooManyTries { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, 20);
    world
        .redeem(&world.visit(&code, "lise@example.org"))
        .await
        .expect("a good code is not held up");
}

/// How many guesses are simulated: a million among the long proofs.
fn guesses() -> i64 {
    if runs::long() { 1_000_000 } else { 40_000 }
}

/// Guesses, evenly over an hour, from so many places in turn; returns how many were heard.
async fn heard_in_an_hour(sources: i64) -> usize {
    let keys = Keys::derive(&"k".repeat(32)).expect("long enough");
    let start: Timestamp = "2026-11-23T09:00:00Z".parse().expect("an instant");
    let clock = VirtualClock::at("2026-11-23T09:00:00Z");
    let ids = SeededIds::new(1, &clock);
    let ports = Ports::over(Model::new());
    let mut visit = RedeemCode {
        client_id: "acme".parse().expect("a slug"),
        code: "GUESS-000000".to_owned(),
        email: "eve@example.org".parse().expect("an address"),
        first_name: "Eve".to_owned(),
        last_name: "Doe".to_owned(),
        password: PasswordPolicy::default().check(PASSWORD).expect("a good password"),
        language: None,
        source: String::new(),
    };
    let all = guesses();
    let mut heard = 0;
    for n in 0..all {
        clock.set(start + SignedDuration::from_micros(3_600_000_000 / all * n));
        visit.source = format!("source {}", n % sources);
        let op = seatkeeper_domain::idempotency::Op { id: uuid::Uuid::nil(), guard: None };
        match redeem_code(&ports, &clock, &ids, &keys, op, &visit).await {
            Err(RedeemCodeError::NotRedeemable) => heard += 1,
            Err(RedeemCodeError::TooManyTries { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    heard
}

#[tokio::test]
async fn of_a_million_guesses_in_an_hour_exactly_the_budget_is_heard() {
    let begun = Instant::now();
    // Six times ten minutes.
    assert_eq!(heard_in_an_hour(1).await, 6 * TRIES.most);
    assert_eq!(heard_in_an_hour(5_000).await, 6 * TRIES_FOR_ALL.most);
    let heard = 6 * (TRIES.most + TRIES_FOR_ALL.most);
    runs::write("guesses", 0, begun, serde_json::json!({"runs": 2 * guesses(), "heard": heard}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_source_and_of_a_client_do_not_know_each_other() {
    let world = World::with_seats(1).await;
    let now = world.clock.now();
    let count = async |source: u8, limit| {
        world.store.count_try(&world.client, &[source; 32], &[limit], now).await.expect("counted")
    };
    for _ in 0..TRIES.most {
        assert_eq!(count(1, TRIES).await, Counted::Within);
    }
    assert!(matches!(count(1, TRIES).await, Counted::Over { .. }));
    assert_eq!(count(2, TRIES_FOR_ALL).await, Counted::Within);
}
