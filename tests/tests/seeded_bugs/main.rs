//! Proof that the proofs can fail: every defect that is seeded is noticed, by the invariant that
//! speaks of it. Without a defect the same stories end well.
//!
//! `SEEDED_BUG='a cohort opened twice' cargo test --test seeded_bugs` runs one and tells what it found.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]
#![expect(clippy::large_futures, reason = "one of them runs at a time")]

mod bugs;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod office;
mod play;
#[path = "../imports/stage.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod stage;
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bugs::{BUGS, Bug};
use play::{Place, Play};
use seatkeeper_tests::invariants::Broken;
use seatkeeper_tests::runs;
use serde_json::json;

/// Plays a bug's story, with the bug or without. `Err` is a text when the story could not be played.
fn play(bug: &Bug, place: Option<Place>) -> Result<Result<(), Broken>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    // What could not be played is told once.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let told = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { (bug.story)(Play::begin(bug.seats, place).await).await })
    }));
    std::panic::set_hook(hook);
    told.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[expect(clippy::disallowed_methods, reason = "chooses what a test runs")]
fn chosen() -> Option<String> {
    std::env::var("SEEDED_BUG").ok()
}

#[test]
fn every_seeded_bug_is_noticed_by_the_invariant_that_speaks_of_it() {
    runs::with_room(play_all);
}

fn play_all() {
    let begun = Instant::now();
    let only = chosen();
    let (mut caught, mut missed) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for bug in BUGS.iter().filter(|bug| only.as_ref().is_none_or(|name| name == bug.name)) {
        let found = play(bug, Some(bug.place));
        if only.is_some() {
            println!("{}: {found:?}", bug.name);
        }
        match found {
            Ok(Err(broken)) if broken.invariant == bug.caught_by => {
                *caught.entry(bug.caught_by).or_default() += 1;
            }
            Ok(Err(broken)) => missed.push(format!("{}: noticed by {broken}", bug.name)),
            Ok(Ok(())) => missed.push(format!("{}: nobody noticed ({})", bug.name, bug.story_name)),
            Err(text) => missed.push(format!("{}: could not be played: {text}", bug.name)),
        }
    }
    let sum: u32 = caught.values().sum();
    let by: Vec<_> =
        caught.iter().map(|(invariant, count)| format!("{invariant} {count}")).collect();
    println!("{sum} of {} seeded bugs caught: {}", BUGS.len(), by.join(" · "));
    if only.is_none() {
        let told = json!({"runs": BUGS.len(), "caught": sum, "by_invariant": caught});
        runs::write("seeded bugs", missed.len(), begun, told);
    }
    assert!(missed.is_empty(), "{} not caught as said\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn without_a_bug_every_story_ends_well() {
    runs::with_room(play_without_bugs);
}

fn play_without_bugs() {
    let mut played = BTreeSet::new();
    let mut broken = Vec::new();
    for bug in BUGS {
        if !played.insert((bug.story_name, bug.seats)) {
            continue;
        }
        match play(bug, None) {
            Ok(Ok(())) => {}
            Ok(Err(found)) => broken.push(format!("{} ({}): {found}", bug.story_name, bug.seats)),
            Err(text) => broken.push(format!("{} ({}): {text}", bug.story_name, bug.seats)),
        }
    }
    println!("{} stories", played.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn there_are_sixty_bugs_at_least_each_with_a_name_of_its_own() {
    let names: BTreeSet<_> = BUGS.iter().map(|bug| bug.name).collect();
    assert!(names.len() == BUGS.len() && names.len() >= 60, "{} of {}", names.len(), BUGS.len());
}
