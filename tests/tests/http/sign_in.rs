//! Signing in and asking for a new password: who guesses waits longer and longer, and nobody learns
//! who has an account.

use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::request_password::request_password;
use seatkeeper_domain::actions::sign_in::{OF_ADDRESS, OF_SOURCE, SignIn, sign_in};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::password::times_hashed;
use seatkeeper_domain::ports::TryLimit;
use seatkeeper_tests::World;
use seatkeeper_tests::http::{Call, House, Reply};
use serde_json::json;

use crate::mailroom::{create, drain, items, run_sweep};
use crate::{GLOBEX, admin, globex};

const PASSWORD: &str = "correct horse battery";

/// A client with one account.
async fn with_account() -> House {
    let (house, contract) = globex(5).await;
    let order = json!({
        "contract_id": contract, "email": "lea@globex.example", "password": PASSWORD,
        "notify": false,
    });
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    house
}

async fn try_at(house: &House, email: &str, password: &str) -> Reply {
    let body = json!({"client": "globex", "email": email, "password": password});
    house.send(Call::post("/v1/sign-in", &body)).await
}

async fn ask_for(house: &House, email: &str) -> Reply {
    let body = json!({"client": "globex", "email": email});
    house.send(Call::post("/v1/password-reset", &body)).await
}

/// The calls of the store since the trace began.
fn calls(house: &House) -> Vec<String> {
    house.world.cloud.attempts().into_iter().map(|attempt| attempt.operation).collect()
}

/// One try at an address from a source, by the world's clock.
async fn guess(world: &World, number: usize, password: &str, source: &str) -> SignIn {
    let email = seatkeeper_tests::address(number);
    let typed = (&email, password);
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    sign_in(store, clock, keys, &world.client, typed, source).await.expect("an answer")
}

/// How long whoever is turned away has to wait.
fn wait(tried: &SignIn) -> Option<SignedDuration> {
    match tried {
        SignIn::TooManyTries { wait } => Some(*wait),
        _ => None,
    }
}

#[tokio::test]
async fn an_unknown_address_costs_the_same_calls_and_the_same_work_as_a_wrong_password() {
    let house = with_account().await;
    let mut seen = Vec::new();
    for email in ["lea@globex.example", "nobody@globex.example"] {
        house.world.cloud.restart_trace();
        let hashed = times_hashed();
        let refused = try_at(&house, email, "not the password").await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"));
        seen.push((refused.text, calls(&house), times_hashed() - hashed));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].2, 1, "one password was looked at");
}

#[tokio::test]
async fn after_five_refused_tries_the_right_password_waits_too_and_is_not_looked_at() {
    let house = with_account().await;
    for _ in 0..5 {
        assert_eq!(try_at(&house, "lea@globex.example", "guessing away").await.status, 401);
    }
    let hashed = times_hashed();
    let told = try_at(&house, "lea@globex.example", PASSWORD).await;
    assert_eq!((told.status, told.code().as_str()), (429, "too-many-requests"));
    let seconds: u32 = told.header("retry-after").parse().expect("seconds");
    assert!((1..=61).contains(&seconds), "{seconds}");
    assert_eq!(times_hashed(), hashed, "turned away before any work");
    // An address without an account is turned away alike, and others are not.
    for _ in 0..5 {
        assert_eq!(try_at(&house, "nobody@globex.example", "guessing away").await.status, 401);
    }
    let unknown = try_at(&house, "nobody@globex.example", "guessing away").await;
    assert_eq!((unknown.status, unknown.code()), (told.status, told.code()));
    assert_eq!(try_at(&house, "other@globex.example", "guessing away").await.status, 401);
}

#[tokio::test]
async fn right_passwords_do_not_count_however_many() {
    let house = with_account().await;
    for _ in 0..12 {
        assert_eq!(try_at(&house, "lea@globex.example", PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn whoever_goes_on_guessing_waits_longer_and_longer() {
    let world = World::with_seats(1).await;
    let mut waits = Vec::new();
    let mut tried = 0;
    // As soon as a try is let in, somebody guesses, from ever another place.
    for _ in 0..400 {
        let guessed = guess(&world, 1, "guessing away", &format!("source {tried}")).await;
        match wait(&guessed) {
            None => tried += 1,
            Some(wait) => {
                waits.push(wait.as_secs());
                world.clock.advance(wait);
            }
        }
        if tried == 40 {
            break;
        }
    }
    assert_eq!(tried, 40, "nobody is shut out for good");
    let hours = SignedDuration::from_hours(2).as_secs();
    assert!(waits.iter().sum::<i64>() >= hours, "forty guesses take hours: {waits:?}");
    assert_eq!(waits[0], 60);
    assert!(waits.contains(&(15 * 60 - 60)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 60 * 60), "{waits:?}");
}

#[tokio::test]
async fn one_source_cannot_try_one_password_at_every_address() {
    let world = World::with_seats(1).await;
    for number in 0..OF_SOURCE[0].most {
        assert!(matches!(guess(&world, number, "Password2026!", "a cafe").await, SignIn::Refused));
    }
    let turned_away = guess(&world, 999, "Password2026!", "a cafe").await;
    assert_eq!(wait(&turned_away), Some(OF_SOURCE[0].within));
    let elsewhere = guess(&world, 999, "Password2026!", "an office").await;
    assert!(matches!(elsewhere, SignIn::Refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_guesses_at_once_exactly_five_are_looked_at() {
    let world = Arc::new(World::with_seats(1).await);
    let hashed = times_hashed();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let world = Arc::clone(&world);
            let source = format!("source {number}");
            tokio::spawn(async move { wait(&guess(&world, 1, "guessing away", &source).await) })
        })
        .collect();
    let mut turned_away = 0;
    for task in tasks {
        turned_away += usize::from(task.await.expect("an answer").is_some());
    }
    assert_eq!(turned_away, 40 - OF_ADDRESS[0].most);
    assert_eq!(times_hashed() - hashed, OF_ADDRESS[0].most as u64);
}

#[test]
fn a_limit_opens_when_enough_tries_are_forgotten() {
    let at = |second| jiff::Timestamp::from_second(second).expect("an instant");
    let short = TryLimit { most: 2, within: SignedDuration::from_secs(10) };
    let long = TryLimit { most: 3, within: SignedDuration::from_secs(100) };
    let counted = [at(0), at(50), at(55)];
    assert_eq!(TryLimit::free_at(&[short], &counted, at(56)), Some(at(60)));
    assert_eq!(TryLimit::free_at(&[short, long], &counted, at(56)), Some(at(100)));
    assert_eq!(TryLimit::free_at(&[short], &counted, at(60)), None);
    assert_eq!(TryLimit::free_at(&[short, long], &counted[1..], at(61)), None);
    assert_eq!(TryLimit::free_at(&[], &counted, at(56)), None);
}

#[tokio::test]
async fn asking_for_a_new_password_answers_and_works_alike_for_every_address() {
    let house = with_account().await;
    let mut seen = Vec::new();
    for email in ["lea@globex.example", "nobody@globex.example"] {
        house.world.cloud.restart_trace();
        let answer = ask_for(&house, email).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let owed = items(&house.world, "mail").len();
        seen.push((answer.text, calls(&house), owed - seen.len()));
    }
    assert_eq!(seen[0], seen[1], "the same words, calls and writes");
    let body = json!({"client": "nowhere", "email": "lea@globex.example"});
    let nowhere = house.send(Call::post("/v1/password-reset", &body)).await;
    assert_eq!((nowhere.status, nowhere.text), (202, seen[0].0.clone()));
    let invalid = ask_for(&house, "no address").await;
    assert_eq!(invalid.faults(), ["/email invalid-email"]);
}

#[tokio::test]
async fn a_mail_with_a_link_comes_to_whoever_has_an_account_and_to_nobody_else() {
    let world = World::with_seats(2).await;
    create(&world, 1, None).await;
    drain(&world).await;
    let before = world.cloud.sent_mails().len();
    let ask = async |number: usize, source: &str| {
        let email: EmailAddress = seatkeeper_tests::address(number);
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let asked = request_password(store, clock, keys, world.op(), &world.client, &email, source);
        asked.await.expect("an answer");
    };
    for number in [1, 7] {
        ask(number, "an office").await;
    }
    drain(&world).await;
    let mails = world.cloud.sent_mails();
    assert_eq!(mails.len() - before, 1);
    let mail = mails.last().expect("a mail");
    assert_eq!(mail.to, [seatkeeper_tests::address(1).to_string()]);
    assert!(mail.text.contains("https://seats.example.org/p/"), "{}", mail.text);
    assert_eq!(run_sweep(&world, 1).await.mails_sent, 0, "and nothing is left to send");
    // Nobody's mailbox is flooded, wherever the requests come from.
    for number in 0..20 {
        ask(1, &format!("source {number}")).await;
    }
    drain(&world).await;
    assert_eq!(world.cloud.sent_mails().len() - before, 3);
}
