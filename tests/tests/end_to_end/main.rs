//! The product as it is deployed: `template.yaml` with the real binaries on a local stack of its
//! own, its roles enforced.
//!
//! Two tests, because the stack takes ten seconds to start and every test of the runner is a process
//! of its own. Each tells several stories, each under its name; one that fails does not keep the
//! others from being told. Time passes as it does: whatever happens later is waited for.

#![expect(clippy::expect_used, clippy::panic, reason = "a story that cannot go on fails")]

mod http;
mod kills;
mod logs;
mod office;
mod signature;
mod stack;
mod stories;

use std::thread::{self, Scope, ScopedJoinHandle};

use office::Office;
use stack::Stack;

type Story = (&'static str, fn(&Office));

/// Told beside the others: it waits for the next minute.
const OPENING: Story =
    ("a seat that opens in the next minute is opened by the scheduler", stories::opening);

const STORIES: [Story; 6] = [
    ("sixty-four at once create learners on the last twenty seats", stories::race),
    ("an invited learner accepts and the LMS exchanges her ticket once", stories::invitation),
    ("a crowd redeems a code on seats for three in five", stories::codes),
    ("a spreadsheet is dropped, and its event comes again", stories::drop),
    ("an event that cannot be acted on is given up and holds nothing up", stories::poison),
    ("a sheet of as many rows as are allowed is dropped", stories::many),
];

/// What holds after all of them, so that it holds for all of them.
const AFTERWARDS: [Story; 5] = [
    ("the roles are enforced", stories::roles),
    ("the sweep finds nothing to do", stories::sweep),
    ("a counter that a hand changed is told until it is set back", stories::tampering),
    ("nothing else was given up", stories::given_up),
    ("no log tells an address, a name, a password, a code or a token", logs::tell_nothing),
];

/// Told on a stack of their own, whose functions are killed.
const KILLS: [Story; 4] = [
    ("functions are killed while everybody is at work", kills::kills),
    ("five hundred redeem a code on a hundred seats", kills::rush),
    ("the sweep goes through", kills::sweep),
    ("no log tells an address, a name, a password, a code or a token", logs::hold_no_secret),
];

#[test]
fn functions_that_are_killed_at_any_moment_break_no_promise() {
    let stack = Stack::start();
    let office = Office::open(&stack);
    let failed: Vec<_> = KILLS.into_iter().filter_map(|story| tell(&office, story)).collect();
    assert!(failed.is_empty(), "these failed (see above and {}): {failed:#?}", stack.folder());
}

#[test]
fn the_deployed_product_keeps_its_promises() {
    let stack = Stack::start();
    let office = Office::open(&stack);
    let office = &office;
    let failed = thread::scope(|scope| {
        let opening = begin(scope, office, OPENING);
        let mut failed: Vec<_> =
            STORIES.into_iter().filter_map(|story| tell(office, story)).collect();
        failed.extend(end(opening, OPENING));
        failed.extend(AFTERWARDS.into_iter().filter_map(|story| tell(office, story)));
        failed
    });
    assert!(failed.is_empty(), "these failed (see above and {}): {failed:#?}", stack.folder());
}

fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    office: &'scope Office,
    (name, story): Story,
) -> ScopedJoinHandle<'scope, ()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, move || story(office)).expect("a thread")
}

/// The story's name if it failed.
fn end(thread: ScopedJoinHandle<'_, ()>, (name, _): Story) -> Option<&'static str> {
    thread.join().is_err().then_some(name)
}

fn tell(office: &Office, story: Story) -> Option<&'static str> {
    let started = std::time::Instant::now();
    let failed = thread::scope(|scope| end(begin(scope, office, story), story));
    let outcome = if failed.is_some() { "FAILED" } else { "ok" };
    eprintln!("{outcome:>6} {:5.1} s  {}", started.elapsed().as_secs_f64(), story.0);
    failed
}
