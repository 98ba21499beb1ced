//! Every order in which the calls of two or three actions can take effect.

use std::time::Instant;

use jiff::SignedDuration;
use jiff::civil::Date;
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_testkit::VirtualClock;
use seatkeeper_testkit::model::{Broken, Explored, Failure, Rule, Run, explore};

use seatkeeper_tests::actors::{Outcome, Setting, Verdict, Who};
use seatkeeper_tests::runs;
use serde_json::json;

/// Whether everything is explored, or what fits into a test run. `SEATKEEPER_MODEL=full` asks for
/// everything.
#[expect(clippy::disallowed_methods, reason = "how long to search is not the product's setting")]
pub(crate) fn full() -> bool {
    runs::long() || std::env::var("SEATKEEPER_MODEL").is_ok_and(|depth| depth == "full")
}

type Found = Result<Explored, Box<Failure>>;

/// Explores, and demands of every end what holds whatever was done: a refusal had no effect, a
/// success had one (I11), and nobody failed.
fn every_order(
    setting: &Setting,
    make: impl Fn() -> Run<Outcome>,
    more: impl Fn(&Run<Outcome>) -> Result<(), Broken>,
) -> Found {
    every_order_with_failures(setting, make, |run| {
        demand(count(run, Verdict::Failed) == 0, "I11", "an actor gave up", run)?;
        more(run)
    })
}

fn every_order_with_failures(
    setting: &Setting,
    make: impl Fn() -> Run<Outcome>,
    more: impl Fn(&Run<Outcome>) -> Result<(), Broken>,
) -> Found {
    explore(make, |run| {
        for outcome in run.outcomes().into_iter().flatten() {
            let Some(op) = outcome.op else { continue };
            let effects = run.ports().model().audited(&setting.client, op);
            let right = match outcome.verdict {
                Verdict::Done => effects > 0,
                Verdict::Already | Verdict::Refused => effects == 0,
                Verdict::Failed => true,
            };
            demand(right, "I11", &format!("{outcome:?} left {effects} records"), run)?;
        }
        more(run)
    })
}

fn demand(
    holds: bool,
    invariant: &'static str,
    what: &str,
    run: &Run<Outcome>,
) -> Result<(), Broken> {
    if holds {
        return Ok(());
    }
    Err(Broken { invariant, found: format!("{what}: {:?}", run.outcomes()) })
}

fn count(run: &Run<Outcome>, verdict: Verdict) -> usize {
    run.outcomes().into_iter().flatten().filter(|outcome| outcome.verdict == verdict).count()
}

fn seated(setting: &Setting, run: &Run<Outcome>) -> usize {
    run.ports().model().seated(&setting.client, setting.pool()).len()
}

/// Exactly one of the actors had its effect, and one seat is taken.
fn one_seat(setting: &Setting) -> impl Fn(&Run<Outcome>) -> Result<(), Broken> {
    move |run| {
        let one = count(run, Verdict::Done) == 1 && seated(setting, run) == 1;
        demand(one, "I1", "not exactly one seat was given", run)
    }
}

/// Adds an actor that does one thing.
macro_rules! actor {
    ($run:ident, $setting:expr, $clock:expr, $seed:expr, $name:literal, $who:ident, $ports:ident => $act:expr) => {{
        let $who = Who::by($setting, $seed, $clock);
        $run.add($name, move |$ports| async move { $act.await });
    }};
}

/// Two creations and a registration code want the last seat.
pub(crate) fn last_seat(rule: Option<Rule>) -> Found {
    let registration = Wanted::Registration { own: None, max_redemptions: None, guaranteed: false };
    let setting = Setting::with_seats(1).with_account(3);
    let (setting, codes) = setting.with_codes(registration);
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        let code = codes[0].clone();
        actor!(run, &setting, &clock, 1, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 2, "create", who, ports => who.create_by_number(&ports, 2, None));
        actor!(run, &setting, &clock, 3, "redeem", who, ports => who.redeem(&ports, 3, &code));
        run
    };
    every_order(&setting, make, one_seat(&setting))
}

/// Three accounts come with one redemption code of a batch of three.
pub(crate) fn same_code(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(3).with_account(1).with_account(2).with_account(3);
    let (setting, codes) = setting.with_codes(Wanted::Generated(3));
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        for number in 1..=(if full() { 3 } else { 2 }) {
            let code = codes[0].clone();
            actor!(run, &setting, &clock, u64::from(number), "redeem", who, ports => who.redeem(&ports, number, &code));
        }
        run
    };
    every_order(&setting, make, one_seat(&setting))
}

/// Two accounts come with a registration code that allows one; guaranteed or not.
pub(crate) fn last_redemption(rule: Option<Rule>, guaranteed: bool) -> Found {
    let setting = Setting::with_seats(3).with_account(1).with_account(2);
    let wanted = Wanted::Registration { own: None, max_redemptions: Some(1), guaranteed };
    let (setting, codes) = setting.with_codes(wanted);
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        for number in 1..=2 {
            let code = codes[0].clone();
            actor!(run, &setting, &clock, u64::from(number), "redeem", who, ports => who.redeem(&ports, number, &code));
        }
        run
    };
    every_order(&setting, make, one_seat(&setting))
}

/// An account without a seat is created, invited, and created again at once.
pub(crate) fn same_account(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(3).with_account(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 2, "invite", who, ports => who.invite(&ports, 1));
        actor!(run, &setting, &clock, 3, "create", who, ports => who.create_by_number(&ports, 1, None));
        run
    };
    every_order(&setting, make, one_seat(&setting))
}

/// A new address is created and invited at once, and created again for a later day.
pub(crate) fn same_address(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(3).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        let later = Some(Date::constant(2026, 12, 1));
        actor!(run, &setting, &clock, 1, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 2, "invite", who, ports => who.invite(&ports, 1));
        actor!(run, &setting, &clock, 3, "create later", who, ports => who.create_by_number(&ports, 1, later));
        run
    };
    every_order(&setting, make, |run| {
        let accounts: usize = run
            .outcomes()
            .into_iter()
            .flatten()
            .filter(|outcome| outcome.told.ends_with("true)"))
            .count();
        demand(accounts <= 1, "I3", "the account was made twice", run)?;
        demand(seated(&setting, run) == 1, "I1", "not one seat", run)
    })
}

/// An account is created in the contract and in its sublicense at once.
pub(crate) fn two_pools(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        let mut other = setting.creation(1, None);
        other.sublicense_id = Some(setting.sublicense.sublicense_id);
        actor!(run, &setting, &clock, 1, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 2, "create in the sublicense", who, ports => who.create(&ports, who.op(), &other));
        run
    };
    every_order(&setting, make, |run| {
        let accounts = run
            .outcomes()
            .into_iter()
            .flatten()
            .filter(|outcome| outcome.told.ends_with("true)"))
            .count();
        demand(accounts == 1, "I3", "the account was not made once", run)
    })
}

/// An invited account is created and invited again while it accepts.
pub(crate) fn invited_address(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_invitation(1).with_account(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 2, "invite", who, ports => who.invite(&ports, 1));
        actor!(run, &setting, &clock, 3, "accept", who, ports => who.accept(&ports, 1));
        run
    };
    every_order(&setting, make, one_seat(&setting))
}

/// An invitation is accepted, cancelled and declined at once.
pub(crate) fn answers(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_invitation(1).with_invitation(2).with_account(1);
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "accept", who, ports => who.accept(&ports, 1));
        actor!(run, &setting, &clock, 2, "cancel", who, ports => who.cancel(&ports, 1));
        actor!(run, &setting, &clock, 3, "decline", who, ports => who.decline(&ports, 1));
        run
    };
    every_order(&setting, make, |run| {
        demand(count(run, Verdict::Done) == 1, "I11", "not exactly one answer counts", run)
    })
}

/// Two attempts under one key, the second after the first one's lease; and the client who asks
/// again at the end is told the same.
pub(crate) fn same_key(rule: Option<Rule>, lost: u32) -> Found {
    let setting = Setting::with_seats(3).without(rule);
    let make = || {
        let mut run = setting.begin().with_lost_replies(lost);
        for (place, late) in [0, 61, 122].into_iter().enumerate().take(if full() { 3 } else { 2 }) {
            let clock = VirtualClock::new(setting.start + SignedDuration::from_secs(late));
            actor!(run, &setting, &clock, 1 + place as u64, "create", who, ports => who.create_keyed(&ports, 1));
        }
        run
    };
    every_order_with_failures(&setting, make, |run| {
        same_answer(run).and_then(|answered| {
            let effects = seated(&setting, run);
            demand(effects == 1 || (effects == 0 && !answered), "I6", "not one seat", run)
        })
    })
}

/// The same, with a call for two addresses.
pub(crate) fn same_key_inviting(rule: Option<Rule>, lost: u32) -> Found {
    let setting = Setting::with_seats(4).without(rule);
    let make = || {
        let mut run = setting.begin().with_lost_replies(lost);
        for (place, late) in [0, 61].into_iter().enumerate() {
            let clock = VirtualClock::new(setting.start + SignedDuration::from_secs(late));
            actor!(run, &setting, &clock, 1 + place as u64, "invite", who, ports => who.invite_keyed(&ports, 1));
        }
        run
    };
    every_order_with_failures(&setting, make, |run| {
        same_answer(run).and_then(|answered| {
            let held = run
                .ports()
                .model()
                .stock(&setting.client, setting.pool())
                .map_or(0, |stock| stock.held);
            demand(held == 2 || (held == 0 && !answered), "I6", "not two invitations", run)
        })
    })
}

/// The same, with a code.
pub(crate) fn same_key_redeeming(rule: Option<Rule>, lost: u32) -> Found {
    let (setting, codes) = Setting::with_seats(3).with_account(1).with_codes(Wanted::Generated(2));
    let setting = setting.without(rule);
    let make = || {
        let mut run = setting.begin().with_lost_replies(lost);
        for (place, late) in [0, 61].into_iter().enumerate() {
            let clock = VirtualClock::new(setting.start + SignedDuration::from_secs(late));
            let code = codes[0].clone();
            actor!(run, &setting, &clock, 1 + place as u64, "redeem", who, ports => who.redeem_keyed(&ports, 1, &code));
        }
        run
    };
    every_order_with_failures(&setting, make, |run| {
        let answered = same_answer(run)?;
        let effects = seated(&setting, run);
        demand(effects == 1 || (effects == 0 && !answered), "I6", "not one seat", run)
    })
}

/// The same, with an action that only the idempotency record protects from repetition.
pub(crate) fn same_key_allocating(rule: Option<Rule>, lost: u32) -> Found {
    let setting = Setting::with_seats(6).without(rule);
    let make = || {
        let mut run = setting.begin().with_lost_replies(lost);
        for (place, late) in [0, 61, 122].into_iter().enumerate() {
            let clock = VirtualClock::new(setting.start + SignedDuration::from_secs(late));
            actor!(run, &setting, &clock, 1 + place as u64, "allocate", who, ports => who.allocate_keyed(&ports, 1));
        }
        run
    };
    every_order_with_failures(&setting, make, |run| {
        same_answer(run).and_then(|answered| {
            let stock = run.ports().model().stock(&setting.client, setting.pool());
            let allocated = stock.map_or(0, |stock| stock.allocated);
            demand(allocated == 5 || (allocated == 4 && !answered), "I6", "not allocated once", run)
        })
    })
}

/// All answers are the same; says whether there is one.
fn same_answer(run: &Run<Outcome>) -> Result<bool, Broken> {
    let mut answers: Vec<_> = run
        .outcomes()
        .into_iter()
        .flatten()
        .filter(|outcome| matches!(outcome.verdict, Verdict::Done | Verdict::Already))
        .map(|outcome| &outcome.told)
        .collect();
    answers.dedup();
    demand(answers.len() <= 1, "I6", "the same request was answered in two ways", run)?;
    demand(count(run, Verdict::Refused) == 0, "I6", "a request that succeeds was refused", run)?;
    Ok(!answers.is_empty())
}

/// The only seat is released, twice, while somebody new wants it.
pub(crate) fn release_and_create(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).with_seat(1, None).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "release", who, ports => who.release(&ports, 1));
        actor!(run, &setting, &clock, 2, "create", who, ports => who.create_by_number(&ports, 2, None));
        actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        run
    };
    every_order(&setting, make, |run| {
        demand(seated(&setting, run) <= 1, "I1", "two seats of one", run)?;
        let done = count(run, Verdict::Done);
        demand((1..=2).contains(&done), "I11", "not one release", run)
    })
}

/// A seat is released twice while its learner is given another one: neither who released takes it
/// for theirs, nor is told that there was none.
pub(crate) fn release_and_give_again(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_seat(1, None).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "release", who, ports => who.release(&ports, 1));
        actor!(run, &setting, &clock, 2, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        run
    };
    every_order(&setting, make, |run| {
        for op in run.outcomes().into_iter().flatten().filter_map(|outcome| outcome.op) {
            let effects = run.ports().model().audited(&setting.client, op);
            demand(effects <= 1, "I11", "one call moved two seats", run)?;
        }
        Ok(())
    })
}

/// The seats that an open block gave are released, both at once, while another one is redeemed from
/// it: the pool's own counters have no used seat before the block hands them over.
pub(crate) fn release_out_of_a_block(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(6).with_account(1).with_account(2).with_account(3);
    let wanted = Wanted::Registration { own: None, max_redemptions: Some(6), guaranteed: true };
    let (setting, codes) = setting.with_codes(wanted);
    let (setting, ()) = setting.after(async |setting, ports| {
        for number in 1..=2 {
            let who = Who::new(setting, 650 + u64::from(number));
            let redeemed = who.redeem(ports, number, &codes[0]).await;
            assert_eq!(redeemed.verdict, Verdict::Done, "{redeemed:?}");
        }
    });
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        let code = codes[0].clone();
        actor!(run, &setting, &clock, 1, "release", who, ports => who.release(&ports, 1));
        actor!(run, &setting, &clock, 2, "release", who, ports => who.release(&ports, 2));
        if full() {
            actor!(run, &setting, &clock, 3, "redeem", who, ports => who.redeem(&ports, 3, &code));
        }
        run
    };
    every_order(&setting, make, |run| {
        let done = count(run, Verdict::Done);
        demand(done == run.outcomes().len(), "I11", "somebody was refused", run)?;
        demand(seated(&setting, run) == done - 2, "I1", "not every seat came back", run)
    })
}

/// A seat goes to somebody else, twice, while it is released.
pub(crate) fn transfers(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).with_seat(1, None).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "transfer", who, ports => who.transfer(&ports, 1, 2));
        actor!(run, &setting, &clock, 2, "transfer", who, ports => who.transfer(&ports, 1, 3));
        actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        run
    };
    every_order(&setting, make, one_effect)
}

/// Somebody who is invited is handed a seat while accepting, and while the seat is released.
pub(crate) fn transfer_to_someone_invited(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_seat(1, None).with_invitation(2).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "transfer", who, ports => who.transfer(&ports, 1, 2));
        actor!(run, &setting, &clock, 2, "accept", who, ports => who.accept(&ports, 2));
        actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        run
    };
    every_order(&setting, make, |run| {
        let seated = seated(&setting, run);
        demand((1..=2).contains(&seated), "I1", "a seat too many, or none", run)
    })
}

/// A scheduled seat is given another day, or handed over, while its day comes and its cohort opens.
pub(crate) fn another_day(rule: Option<Rule>, reschedules: bool, transfers: bool) -> Found {
    let (day, later) = (Date::constant(2026, 11, 24), Date::constant(2026, 11, 25));
    let mut setting = Setting::with_seats(2).with_seat(1, Some(day)).without(rule);
    // A minute before midnight in Paris.
    setting.start = "2026-11-23T22:59:00Z".parse().expect("an instant");
    let key = setting.cohort("2026-11-23T23:00:00Z");
    let make = || {
        let clock = setting.clock();
        let mut run = setting.begin().with_clock(&clock);
        let key = key.clone();
        actor!(run, &setting, &clock, 1, "time", who, ports => who.wait(&ports, 60));
        actor!(run, &setting, &clock, 2, "open", who, ports => who.open(&ports, &key));
        if reschedules {
            actor!(run, &setting, &clock, 3, "reschedule", who, ports => who.reschedule(&ports, 1, later));
        }
        if transfers {
            actor!(run, &setting, &clock, 4, "transfer", who, ports => who.transfer(&ports, 1, 2));
        }
        run
    };
    every_order(&setting, make, |run| demand(seated(&setting, run) == 1, "I1", "not one seat", run))
}

/// Exactly one of the actors had its effect.
fn one_effect(run: &Run<Outcome>) -> Result<(), Broken> {
    demand(count(run, Verdict::Done) == 1, "I11", "not exactly one effect", run)
}

/// A cohort opens while one of its seats is released, somebody joins it, and its instant comes.
/// All three at once take long: a test run has them two by two.
pub(crate) fn cohort(rule: Option<Rule>, releases: bool, joins: bool) -> Found {
    let day = Some(Date::constant(2026, 11, 24));
    let mut setting = Setting::with_seats(3).with_seat(1, day).with_seat(2, day).without(rule);
    // A minute before midnight in Paris.
    setting.start = "2026-11-23T22:59:00Z".parse().expect("an instant");
    let key = setting.cohort("2026-11-23T23:00:00Z");
    let make = || {
        let clock = setting.clock();
        let mut run = setting.begin().with_clock(&clock);
        let key = key.clone();
        actor!(run, &setting, &clock, 1, "time", who, ports => who.wait(&ports, 60));
        actor!(run, &setting, &clock, 2, "open", who, ports => who.open(&ports, &key));
        if releases {
            actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        }
        if joins {
            actor!(run, &setting, &clock, 4, "join", who, ports => who.create_by_number(&ports, 3, day));
        }
        run
    };
    let expected = 2 - usize::from(releases) + usize::from(joins);
    every_order(&setting, make, |run| {
        demand(seated(&setting, run) == expected, "I9", "a seat too many or too few", run)
    })
}

/// A seat that waits is released while somebody joins its cohort.
pub(crate) fn waiting_cohort(rule: Option<Rule>) -> Found {
    let day = Some(Date::constant(2026, 11, 24));
    let setting = Setting::with_seats(2).with_seat(1, day).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "release", who, ports => who.release(&ports, 1));
        actor!(run, &setting, &clock, 2, "join", who, ports => who.create_by_number(&ports, 2, day));
        actor!(run, &setting, &clock, 3, "join", who, ports => who.create_by_number(&ports, 3, day));
        run
    };
    every_order(&setting, make, |run| {
        let seats = seated(&setting, run);
        demand((1..=2).contains(&seats), "I1", "not one seat or two", run)
    })
}

/// Seats are bought and given back while somebody takes one, and an order comes twice.
pub(crate) fn top_up(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "buy", who, ports => who.order(&ports, "A-1", 1));
        actor!(run, &setting, &clock, 2, "give back", who, ports => who.order(&ports, "A-2", -2));
        actor!(run, &setting, &clock, 3, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 4, "buy again", who, ports => who.order(&ports, "A-1", 1));
        run
    };
    every_order(&setting, make, |run| {
        let outcomes: Vec<_> = run.outcomes().into_iter().flatten().collect();
        let given_back = outcomes[1].verdict == Verdict::Done;
        let created = outcomes[2].verdict == Verdict::Done;
        let stock = run.ports().model().stock(&setting.client, setting.pool());
        let total = stock.map_or(0, |stock| stock.total);
        let expected = if given_back { 4 } else { 6 };
        demand(total == expected, "I6", &format!("{total} seats instead of {expected}"), run)?;
        demand(!(given_back && created), "I1", "a seat given back was taken", run)
    })
}

/// An invitation is accepted in its last minute, while the sweep ends it and somebody wants its seat.
pub(crate) fn expiry(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).with_invitation(1).with_account(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        let late = VirtualClock::new(setting.start + SignedDuration::from_hours(24 * 16));
        actor!(run, &setting, &clock, 1, "accept", who, ports => who.accept(&ports, 1));
        actor!(run, &setting, &late, 2, "expire", who, ports => who.expire(&ports, 1));
        actor!(run, &setting, &late, 3, "create", who, ports => who.create_by_number(&ports, 2, None));
        run
    };
    every_order(&setting, make, |run| {
        let outcomes: Vec<_> = run.outcomes().into_iter().flatten().collect();
        let ended = count(run, Verdict::Done) - usize::from(outcomes[2].verdict == Verdict::Done);
        demand(ended == 1, "I11", "not exactly one of accepted and expired", run)?;
        demand(seated(&setting, run) <= 1, "I1", "two seats of one", run)
    })
}

/// An invitation is accepted, sent again and cancelled at once.
pub(crate) fn another_version(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_invitation(1).with_invitation(2).with_account(1);
    let setting = setting.without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "accept", who, ports => who.accept(&ports, 1));
        actor!(run, &setting, &clock, 2, "resend", who, ports => who.resend(&ports, 1));
        actor!(run, &setting, &clock, 3, "cancel", who, ports => who.cancel(&ports, 1));
        run
    };
    // Sending again what holds a seat moves none: its trail says nothing of it.
    explore(make, |run| {
        demand(count(run, Verdict::Failed) == 0, "I11", "an actor gave up", run)?;
        let outcomes: Vec<_> = run.outcomes().into_iter().flatten().collect();
        let done = |place: usize| outcomes[place].verdict == Verdict::Done;
        demand(!(done(0) && done(1)), "I11", "a dead link was accepted", run)?;
        demand(!(done(0) && done(2)), "I11", "accepted and cancelled", run)
    })
}

/// The only seat is allocated, given to somebody and given back at once.
pub(crate) fn last_seat_elsewhere(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "allocate", who, ports => who.allocate_as(&ports, who.op(), 1));
        actor!(run, &setting, &clock, 2, "create", who, ports => who.create_by_number(&ports, 1, None));
        actor!(run, &setting, &clock, 3, "give back", who, ports => who.order(&ports, "A-2", -1));
        actor!(run, &setting, &clock, 4, "create in the sublicense", who, ports => who.create_in_branch(&ports, 2));
        run
    };
    every_order(&setting, make, |run| {
        let outcomes: Vec<_> = run.outcomes().into_iter().flatten().collect();
        let took = outcomes[..3].iter().filter(|outcome| outcome.verdict == Verdict::Done).count();
        demand(took == 1, "I1", "the last seat was not taken once", run)?;
        demand(outcomes[3].verdict == Verdict::Done, "I11", "refused for another pool", run)
    })
}

/// Somebody is erased while their seat is released and they are given others.
pub(crate) fn erased(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_seat(1, None).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "erase", who, ports => who.erase(&ports, 1));
        actor!(run, &setting, &clock, 2, "create in the sublicense", who, ports => who.create_in_branch(&ports, 1));
        actor!(run, &setting, &clock, 3, "release", who, ports => who.release(&ports, 1));
        run
    };
    // Whoever is erased right after cannot be told of their seat.
    every_order_with_failures(&setting, make, |run| {
        let failed =
            run.outcomes().into_iter().flatten().filter(|end| end.verdict == Verdict::Failed);
        let known = failed.clone().all(|end| end.told.contains("erased meanwhile"));
        demand(known && failed.count() <= 1, "I11", "an actor gave up", run)?;
        demand(seated(&setting, run) == 0, "I11", "somebody kept the seat they had", run)
    })
}

/// Somebody who is invited elsewhere is erased by two while they accept.
pub(crate) fn erased_while_accepting(rule: Option<Rule>) -> Found {
    let setting = Setting::with_seats(2).with_invitation(1).with_account(1).without(rule);
    let make = || {
        let (mut run, clock) = (setting.begin(), setting.clock());
        actor!(run, &setting, &clock, 1, "erase", who, ports => who.erase(&ports, 1));
        actor!(run, &setting, &clock, 2, "accept", who, ports => who.accept(&ports, 1));
        if full() {
            actor!(run, &setting, &clock, 3, "erase", who, ports => who.erase(&ports, 1));
        }
        run
    };
    every_order(&setting, make, |_| Ok(()))
}

/// A rule, the invariants that may notice its absence, and where they look.
type Seeded = (Rule, &'static [&'static str], fn(Option<Rule>) -> Found);

type Scenario = (&'static str, fn(Option<Rule>) -> Found);

const SCENARIOS: [Scenario; 31] = [
    ("the last seat: create, create, redeem", last_seat),
    ("the same redemption code", same_code),
    ("the last redemption of a registration code", |rule| last_redemption(rule, false)),
    ("the last redemption of a guaranteed one", |rule| last_redemption(rule, true)),
    ("the same account: create, invite, create", same_account),
    ("the same new address: create, invite, create later", same_address),
    ("the same new address in two pools", two_pools),
    ("an invited address: create, invite, accept", invited_address),
    ("an invitation: accept, cancel, decline", answers),
    ("the same key: create", |rule| same_key(rule, 0)),
    ("the same key: create, a reply lost", |rule| same_key(rule, 1)),
    ("the same key: invite two, a reply lost", |rule| same_key_inviting(rule, 1)),
    ("the same key: redeem, a reply lost", |rule| same_key_redeeming(rule, 1)),
    ("the same key: allocate", |rule| same_key_allocating(rule, 0)),
    ("the same key: allocate, a reply lost", |rule| same_key_allocating(rule, 1)),
    ("release, create, release", release_and_create),
    ("release, give again, release", release_and_give_again),
    ("out of an open block: release, release, redeem", release_out_of_a_block),
    ("transfer, transfer, release", transfers),
    ("an invited address: transfer, accept, release", transfer_to_someone_invited),
    ("a scheduled seat: another day, open, midnight", |rule| another_day(rule, true, false)),
    ("a scheduled seat: transfer, open, midnight", |rule| another_day(rule, false, true)),
    ("a cohort: open, release, midnight", |rule| cohort(rule, true, false)),
    ("a cohort: open, join, midnight", |rule| cohort(rule, false, true)),
    ("a cohort that waits: release, join, join", waiting_cohort),
    ("buy, give back, create, buy again", top_up),
    ("an invitation in its last minute: accept, expire, create", expiry),
    ("an invitation: accept, resend, cancel", another_version),
    ("the last seat: allocate, create, give back, create elsewhere", last_seat_elsewhere),
    ("a person: erase, create elsewhere, release", erased),
    ("an invited person: erase, accept", erased_while_accepting),
];

#[test]
fn no_order_of_the_calls_of_two_or_three_actions_breaks_an_invariant() {
    let started = Instant::now();
    let mut failures = Vec::new();
    let (mut schedules, mut states) = (0, 0);
    let all: Scenario =
        ("a cohort: open, release, join, midnight", |rule| cohort(rule, true, true));
    for (name, scenario) in SCENARIOS.into_iter().chain(full().then_some(all)) {
        let begun = Instant::now();
        match scenario(None) {
            Ok(explored) => {
                println!("{name}: {explored} ({} ms)", begun.elapsed().as_millis());
                schedules += explored.schedules;
                states += explored.states;
                assert!(explored.schedules > 10 && explored.ends > 1, "{name}: {explored}");
            }
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    println!("{schedules} schedules of {} scenarios", SCENARIOS.len());
    let told = json!({
        "runs": u64::try_from(schedules).unwrap_or(u64::MAX),
        "states": states,
        "scenarios": SCENARIOS.len(),
    });
    runs::write("every order on the model", failures.len(), started, told);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_rule_left_out_is_noticed_by_an_invariant() {
    let seeded: [Seeded; 17] = [
        (Rule::Quantity, &["I1"], last_seat),
        (Rule::LiveSeat, &["I1"], same_account),
        (Rule::NewAccount, &["I3"], two_pools),
        (Rule::NoLiveInvitation, &["I3"], same_address),
        (Rule::NoLiveSeat, &["I3"], same_address),
        (Rule::InvitationAsSeen, &["I1", "I11"], answers),
        (Rule::SeatAsSeen, &["I1"], release_and_create),
        (Rule::GivenAsSeen, &["I1"], erased),
        (Rule::CohortWaiting, &["I1", "I9"], |rule| cohort(rule, false, true)),
        (Rule::CohortCount, &["I1", "I9"], |rule| cohort(rule, false, true)),
        (Rule::CodeUnused, &["I2"], same_code),
        (Rule::BlockRemainder, &["I1", "I2"], |rule| last_redemption(rule, true)),
        (Rule::BlockUsed, &["I1"], release_out_of_a_block),
        (Rule::RedemptionMaximum, &["I2"], |rule| last_redemption(rule, false)),
        (Rule::OrderOnce, &["I6"], top_up),
        (Rule::IdempotencyGuard, &["I6"], |rule| same_key_allocating(rule, 0)),
        (Rule::MailInside, &["I4"], last_seat),
    ];
    let started = Instant::now();
    for (rule, expected, scenario) in seeded {
        match scenario(Some(rule)) {
            Ok(explored) => panic!("nobody noticed that {rule:?} was left out: {explored}"),
            Err(failure) => {
                println!("{rule:?}: {}", failure.broken);
                let noticed = failure.broken.invariant;
                assert!(
                    expected.contains(&noticed),
                    "{rule:?} was noticed by {noticed}: {failure}"
                );
            }
        }
    }
    let told = json!({"runs": seeded.len(), "caught": seeded.len()});
    runs::write("rules left out of the model", 0, started, told);
}
