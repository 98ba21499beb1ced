//! Orders of calls drawn by chance: several actors of any kind, replies that are lost, changes that
//! arrive late or never, a clock that moves. The invariants are checked after every step.
//!
//! A failure names the seed that runs it again: `MODEL_SEED=7`.

use std::time::Instant;

use jiff::SignedDuration;
use jiff::civil::Date;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_testkit::model::{Broken, Failure, Ports, Run, wander};
use seatkeeper_tests::actors::{Outcome, Setting, Verdict, Who};
use seatkeeper_tests::runs;
use serde_json::json;

/// How long a function may run: less than an idempotency record is held.
const DEADLINE: SignedDuration = SignedDuration::from_secs(29);

/// Something somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Create,
    CreateLater,
    CreateInBranch,
    Invite,
    Accept,
    Cancel,
    Decline,
    Resend,
    Redeem,
    Release,
    Order,
    GiveBack,
    Open,
}

const DEEDS: [Deed; 13] = [
    Deed::Create,
    Deed::CreateLater,
    Deed::CreateInBranch,
    Deed::Invite,
    Deed::Accept,
    Deed::Cancel,
    Deed::Decline,
    Deed::Resend,
    Deed::Redeem,
    Deed::Release,
    Deed::Order,
    Deed::GiveBack,
    Deed::Open,
];

/// What several ask for under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Create,
    InviteTwo,
    Redeem,
    Allocate,
}

/// Where people begin.
struct Beginning {
    setting: Setting,
    code: String,
}

fn beginnings() -> Vec<Beginning> {
    let day = Some(Date::constant(2026, 11, 24));
    let registration =
        |guaranteed| Wanted::Registration { own: None, max_redemptions: Some(2), guaranteed };
    let base = || Setting::with_seats(3).with_account(1).with_account(2);
    let settings = [
        (Setting::with_seats(1).with_account(1).with_account(2), None),
        (base().with_invitation(1), None),
        (base().with_seat(1, day).with_seat(3, day), None),
        (base().with_seat(1, None), None),
        (base(), Some(Wanted::Generated(2))),
        (base(), Some(registration(false))),
        (base(), Some(registration(true))),
        (base().with_invitation(2), Some(registration(false))),
    ];
    let begin = |(setting, wanted): (Setting, Option<Wanted>)| {
        let (mut setting, codes) = match wanted {
            Some(wanted) => setting.with_codes(wanted),
            None => (setting, vec!["ABCD-EFGH-JKMN".to_owned()]),
        };
        // A minute before midnight in Paris.
        setting.start = "2026-11-23T22:59:00Z".parse().expect("an instant");
        Beginning { code: codes[0].clone(), setting }
    };
    settings.into_iter().map(begin).collect()
}

async fn does(who: &Who, ports: &Ports, deed: Deed, number: u32, code: &str) -> Outcome {
    match deed {
        Deed::Create => who.create_by_number(ports, number, None).await,
        Deed::CreateLater => {
            who.create_by_number(ports, number, Some(Date::constant(2026, 11, 24))).await
        }
        Deed::CreateInBranch => who.create_in_branch(ports, number).await,
        Deed::Invite => who.invite(ports, number).await,
        Deed::Accept => who.accept(ports, number).await,
        Deed::Cancel => who.cancel(ports, number).await,
        Deed::Decline => who.decline(ports, number).await,
        Deed::Resend => Outcome { op: None, ..who.resend(ports, number).await },
        Deed::Redeem => who.redeem(ports, number, code).await,
        Deed::Release => who.release(ports, number).await,
        Deed::Order => who.order(ports, "A-1", 1).await,
        Deed::GiveBack => who.order(ports, "B-1", -1).await,
        Deed::Open => who.open(ports, &who.cohort("2026-11-23T23:00:00Z")).await,
    }
}

/// One attempt at a request. The gateway does not wait for an answer for longer than a function may
/// run: whatever a slower attempt says, nobody hears it.
async fn asks(who: &Who, ports: &Ports, request: Request, code: &str) -> Outcome {
    let begun = who.clock.now();
    let outcome = answer(who, ports, request, code).await;
    if who.clock.now().duration_since(begun) > DEADLINE {
        return Outcome { verdict: Verdict::Failed, op: None, told: "out of time".to_owned() };
    }
    outcome
}

async fn answer(who: &Who, ports: &Ports, request: Request, code: &str) -> Outcome {
    match request {
        Request::Create => who.create_keyed(ports, 1).await,
        Request::InviteTwo => who.invite_keyed(ports, 2).await,
        Request::Redeem => who.redeem_keyed(ports, 1, code).await,
        Request::Allocate => who.allocate_keyed(ports, 1).await,
    }
}

/// One schedule; says how many steps it had.
fn schedule(seed: u64, beginnings: &[Beginning]) -> Result<usize, Box<Failure>> {
    let mut chance = StdRng::seed_from_u64(seed);
    let Beginning { setting, code } = beginnings.choose(&mut chance).expect("some");
    let clock = setting.clock();
    let mut run = setting
        .begin()
        .drawn()
        .with_clock(&clock)
        .with_lost_replies(chance.random_range(0..3))
        .with_late_changes(chance.random_range(0..2));
    let requests = [Request::Create, Request::InviteTwo, Request::Redeem, Request::Allocate];
    let request = *requests.choose(&mut chance).expect("some");
    let callers = chance.random_range(0..3);
    for place in 0..callers {
        let (who, code) = (Who::by(setting, 10 + place, &clock), code.clone());
        run.add("caller", move |ports| async move {
            let first = asks(&who, &ports, request, &code).await;
            // Whoever does not know asks again.
            if first.verdict == Verdict::Failed {
                return asks(&who, &ports, request, &code).await;
            }
            first
        });
    }
    for place in 0..chance.random_range(1..=3) {
        let deed = *DEEDS.choose(&mut chance).expect("some");
        let number = chance.random_range(1..=3);
        let (who, code) = (Who::by(setting, 20 + place, &clock), code.clone());
        run.add(
            "somebody",
            move |ports| async move { does(&who, &ports, deed, number, &code).await },
        );
    }
    if chance.random() {
        let (who, seconds) = (Who::by(setting, 30, &clock), chance.random_range(30..90));
        run.add("time", move |ports| async move { who.wait(&ports, seconds).await });
    }
    let steps = wander(&mut run, 1, |choices| chance.random_range(0..choices))?;
    judge(setting, &run, callers, request).map_err(|broken| {
        let told = format!("  {:?}\n", run.outcomes());
        Box::new(Failure { schedule: Vec::new(), broken, told })
    })?;
    Ok(steps)
}

/// What the outcomes say must be so (I6, I11).
fn judge(
    setting: &Setting,
    run: &Run<Outcome>,
    callers: u64,
    request: Request,
) -> Result<(), Broken> {
    let broken = |invariant, found: String| Err(Broken { invariant, found });
    for (place, outcome) in run.outcomes().into_iter().flatten().enumerate() {
        // What callers with a key are told may be told of an earlier attempt.
        let Some(op) = outcome.op.filter(|_| place as u64 >= callers) else { continue };
        let effects = run.ports().model().audited(&setting.client, op);
        let right = match outcome.verdict {
            Verdict::Done => effects > 0,
            Verdict::Already | Verdict::Refused => effects == 0,
            Verdict::Failed => true,
        };
        if !right {
            return broken("I11", format!("{outcome:?} left {effects} records"));
        }
    }
    let callers = usize::try_from(callers).expect("few");
    let outcomes: Vec<_> = run.outcomes().into_iter().flatten().take(callers).collect();
    let done: Vec<_> = outcomes.iter().filter(|end| end.verdict == Verdict::Done).collect();
    let refused = outcomes.iter().any(|end| end.verdict == Verdict::Refused);
    if !refused && done.windows(2).any(|two| two[0].told != two[1].told) {
        return broken("I6", format!("one request was answered in two ways: {outcomes:?}"));
    }
    if request == Request::Allocate && callers > 0 {
        let stock = run.ports().model().stock(&setting.client, setting.pool());
        let allocated = stock.map_or(0, |stock| stock.allocated);
        if allocated > 5 || (allocated == 4 && !done.is_empty()) {
            return broken("I6", format!("{allocated} allocated: {outcomes:?}"));
        }
    }
    Ok(())
}

#[test]
fn no_order_drawn_by_chance_breaks_an_invariant() {
    let begun = Instant::now();
    let only = runs::seed("MODEL_SEED");
    let most = if runs::long() { 1_000_000 } else { 5_000 };
    let (from, until) = only.map_or((1, most), |seed| (seed, seed));
    let beginnings = beginnings();
    let (mut steps, mut longest) = (0, 0);
    for seed in from..=until {
        match schedule(seed, &beginnings) {
            Ok(taken) => {
                steps += taken;
                longest = longest.max(taken);
            }
            Err(failure) => panic!("MODEL_SEED={seed}: {failure}"),
        }
        if seed % 100_000 == 0 {
            println!("{seed} schedules in {} s", begun.elapsed().as_secs());
        }
    }
    println!("{} schedules by chance, {steps} steps, {longest} at most", until - from + 1);
    let told = json!({"runs": until - from + 1, "steps": steps, "longest": longest});
    runs::write("schedules of the model by chance", 0, begun, told);
}
