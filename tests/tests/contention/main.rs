//! Many at once: however many want the seats of a pool, it gives exactly those it has; and with
//! blocks they seldom meet.
//!
//! Real adapters and the real SDK over the embedded database; where transactions are to meet, they
//! hold their items for 12 ms of a clock that passes by itself. A failure names the seed that runs
//! it again: `CONTENTION_SEED=7`. `SEATKEEPER_VERIFY=<folder>` asks for the long runs.
#![expect(clippy::expect_used, reason = "a test stops at the first thing it did not expect")]

mod crowd;
mod modelled;
#[path = "../imports/stage.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod stage;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use crowd::{Crowd, Deed, Tally};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_testkit::Latency;
use seatkeeper_tests::actors::Verdict;
use seatkeeper_tests::runs;
use serde_json::json;

const LATENCY: Latency =
    Latency { call: Duration::from_millis(4), transaction: Duration::from_millis(12) };

/// Runs one future on a runtime of its own, whose time passes by itself.
fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

/// The seeds of a run: one that is asked for, or from 1 on, until `most` are done or the time is up.
fn seeds(most: u64, seconds: u64) -> impl Iterator<Item = u64> {
    let only = seed();
    let begun = Instant::now();
    let from = only.unwrap_or(1);
    let until = only.unwrap_or(most);
    (from..=until).take_while(move |_| begun.elapsed().as_secs() < seconds)
}

fn seed() -> Option<u64> {
    runs::seed("CONTENTION_SEED")
}

fn registration(max: Option<u32>) -> Wanted {
    Wanted::Registration { own: None, max_redemptions: max, guaranteed: max.is_some() }
}

/// 500 come with one code at almost the same time. Every other round their seats are set aside.
async fn five_hundred_for_a_hundred(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let max = (seed.is_multiple_of(2)).then_some(100);
    let crowd = Crowd::with_seats(100, 500, seed).await;
    let code = crowd.issue(registration(max)).await;
    // Calls take no time here: only their order is at stake.
    let comes = |number| {
        let pause = Duration::from_millis(chance.random_range(0..40));
        let (crowd, code) = (&crowd, &code);
        async move {
            tokio::time::sleep(pause).await;
            crowd.does(number, Deed::Redeem, code).await
        }
    };
    let tally = Tally::of(futures::future::join_all((1..=500).map(comes)).await);
    assert_eq!((tally.done, tally.refused), (100, 400), "CONTENTION_SEED={seed}: {tally:?}");
    let stock = crowd.stock().await;
    assert_eq!((stock.used, stock.available), (100, 0), "CONTENTION_SEED={seed}: {stock:?}");
    crowd.check(seed);
}

/// Rounds of five hundred, whose seats are set aside or in the pool. In the long run there are a
/// thousand of them, half here and half there.
fn rounds_of_five_hundred(set_aside: bool) {
    let begun = Instant::now();
    let (most, seconds) = if runs::long() { (1_000, 55 * 60) } else { (2, 60) };
    let mut rounds = 0;
    for seed in seeds(most, seconds).filter(|seed| seed.is_multiple_of(2) == set_aside) {
        alone(five_hundred_for_a_hundred(seed));
        rounds += 1;
        if rounds % 50 == 0 {
            println!("{rounds} rounds in {} s", begun.elapsed().as_secs());
        }
    }
    println!("{rounds} rounds of 500 for 100 seats, exactly 100 each");
    let told = json!({"runs": rounds, "redeemers": 500, "seats": 100});
    let gate =
        if set_aside { "contention, last seats set aside" } else { "contention, last seats" };
    runs::write(gate, 0, begun, told);
    assert!(rounds > 0 || seed().is_some(), "{rounds} rounds");
}

#[test]
fn of_five_hundred_who_redeem_at_once_a_hundred_get_the_hundred_seats() {
    rounds_of_five_hundred(false);
}

#[test]
fn of_five_hundred_who_redeem_at_once_a_hundred_get_the_hundred_seats_set_aside() {
    rounds_of_five_hundred(true);
}

/// All kinds of actions on one pool at once, while transactions hold their items.
async fn mixed(seed: u64) -> BTreeMap<String, u64> {
    let mut chance = StdRng::seed_from_u64(seed);
    let crowd = Crowd::with_seats(30, 20, seed).await;
    let code = crowd.issue(registration(None)).await;
    let guaranteed = crowd.issue(registration(Some(5))).await;
    crowd.cloud().take_time(LATENCY);
    let kinds = [
        Deed::Create,
        Deed::Create,
        Deed::CreateLater,
        Deed::Invite,
        Deed::Accept,
        Deed::Cancel,
        Deed::Redeem,
        Deed::Redeem,
        Deed::Release,
        Deed::TopUp,
        Deed::GiveBack,
        Deed::Allocate,
    ];
    let comes = |_| {
        let kind = *kinds.choose(&mut chance).expect("kinds");
        // Half of them are about the same few people.
        let number = chance.random_range(1..=20) / if chance.random() { 1 } else { 4 } + 1;
        let pause = Duration::from_millis(chance.random_range(0..400));
        let code = if chance.random() { &code } else { &guaranteed };
        let crowd = &crowd;
        async move {
            tokio::time::sleep(pause).await;
            (kind, crowd.does(number.min(20), kind, code).await)
        }
    };
    let people = futures::future::join_all((0..60).map(comes));
    let (ended, imported) = tokio::join!(people, crowd.import(12));
    assert!(imported.is_ok(), "CONTENTION_SEED={seed}: {imported:?}");
    let mut ends = BTreeMap::new();
    for (kind, outcome) in &ended {
        *ends.entry(format!("{kind:?} {:?}", outcome.verdict)).or_default() += 1;
    }
    crowd.check(seed);
    crowd.settle(seed).await;
    ends
}

#[test]
fn whatever_is_done_to_a_pool_at_once_its_seats_are_conserved() {
    let begun = Instant::now();
    let (most, seconds) = if runs::long() { (400, 3 * 60) } else { (2, 60) };
    let (mut ends, mut rounds) = (BTreeMap::<String, u64>::new(), 0_u64);
    for seed in seeds(most, seconds) {
        for (end, count) in alone(mixed(seed)) {
            *ends.entry(end).or_default() += count;
        }
        rounds += 1;
    }
    println!("{rounds} rounds of 60 and an import on 30 seats: {ends:?}");
    runs::write("contention, mixed", 0, begun, json!({"runs": rounds, "ends": ends}));
    let done = |kind: &str| ends.get(&format!("{kind} Done")).is_some_and(|count| *count > 0);
    let all = ["Create", "Invite", "Redeem", "Release", "TopUp"].into_iter().all(done);
    assert!(all || seed().is_some(), "a kind that never went through: {ends:?}");
}

/// So many come within a minute, evenly spread by chance, for so many seats. Says how often those
/// who got one had to try, and how many were told to come again.
async fn within_a_minute(people: u32, seats: u32, seconds: u64, blocks: bool) -> Tally {
    let mut chance = StdRng::seed_from_u64(u64::from(people));
    let crowd = Crowd::with_seats(u64::from(seats), people, 1).await;
    let code = crowd.issue(registration(blocks.then_some(seats))).await;
    crowd.cloud().take_time(LATENCY);
    let comes = |number| {
        let pause = Duration::from_millis(chance.random_range(0..seconds * 1000));
        let (crowd, code) = (&crowd, &code);
        async move {
            tokio::time::sleep(pause).await;
            crowd.counted(number, Deed::Redeem, code).await
        }
    };
    let ended = futures::future::join_all((1..=people).map(comes)).await;
    let mut tally = Tally::of(ended.iter().map(|(outcome, _)| outcome.clone()));
    for (outcome, attempts) in &ended {
        if outcome.verdict == Verdict::Done {
            tally.attempts += attempts;
            tally.most = tally.most.max(*attempts);
        }
    }
    crowd.check(1);
    tally
}

#[test]
fn with_blocks_those_who_redeem_seldom_meet() {
    let begun = Instant::now();
    // 167 a second, in 64 shards.
    let (people, seats, seconds) = if runs::long() { (10_000, 9_000, 60) } else { (501, 6_000, 3) };
    let tally = alone(within_a_minute(people, seats, seconds, true));
    let mean = tally.mean();
    println!(
        "{people} for {seats} seats in {seconds} s, with blocks: {mean:.3} attempts, {tally:?}"
    );
    let told = json!({
        "runs": people, "seats": seats, "granted": tally.done, "mean_attempts": mean,
        "most_attempts": tally.most, "told_to_come_again": tally.failed,
    });
    runs::write("contention, with blocks", 0, begun, told);
    assert_eq!(tally.done, u64::from(people.min(seats)), "{tally:?}");
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert!(mean <= 1.10, "{mean} attempts, {tally:?}");
}

#[test]
fn without_blocks_they_meet_at_the_pool_and_none_is_seated_twice() {
    let begun = Instant::now();
    let (people, seats, seconds) = if runs::long() { (2_000, 1_800, 12) } else { (167, 150, 1) };
    let tally = alone(within_a_minute(people, seats, seconds, false));
    let mean = tally.mean();
    println!("{people} for {seats} seats in {seconds} s, without: {mean:.3} attempts, {tally:?}");
    let told = json!({
        "runs": people, "seats": seats, "granted": tally.done, "mean_attempts": mean,
        "most_attempts": tally.most, "told_to_come_again": tally.failed,
    });
    runs::write("contention, without blocks", 0, begun, told);
    assert!(tally.done <= u64::from(seats), "{tally:?}");
    assert!(mean > 1.10, "the pool is where they meet: {mean}");
}
