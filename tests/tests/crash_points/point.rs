//! One fault at one attempt, and everything after it.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use seatkeeper_domain::idempotency::{Attempt as Record, Begin, IdempotencyStore as _, LEASE};
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_domain::ports::IdSource as _;
use seatkeeper_testkit::{Attempt, Fault, When};

use crate::mailroom;
use crate::scene::{Failure, Scene, Trigger, Workflow};
use crate::state::{State, assert_invariants, state};

/// How long a function may run before it is ended.
const DEADLINE: Duration = Duration::from_secs(29);

macro_rules! named {
    ($(#[$meta:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $kind { $($(#[$doc])* $name),+ }

        impl $kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$name => $text),+ })
            }
        }
    };
}

named! {
    /// What goes wrong at the attempt.
    Mode {
        FailBefore = "fail-before",
        LoseReply = "lose-reply",
        ErrorAfter = "error-after",
        Throttle = "throttle",
        Conflict = "conflict",
        KillBefore = "kill-before",
        KillAfter = "kill-after",
        Hang = "hang",
        /// The write arrives when the workflow has ended.
        Late = "late",
        /// The same, of a worker that is gone.
        KillLate = "kill-late",
        /// The same, when everything has come to rest and its request token is forgotten.
        KillLatest = "kill-latest",
        ForgetToken = "forget-token",
        StaleRead = "stale-read",
        Partial = "partial",
        /// Somebody else does the same first.
        SameFirst = "same-first",
        /// Somebody else takes another seat of the pool first.
        RivalFirst = "rival-first",
    }
}

named! {
    /// What whoever started it does about it.
    Driver {
        /// Comes again until answered: under the same key, or the same event.
        Returns = "returns",
        /// Comes again until answered, each time as if for the first time.
        Anew = "anew",
        /// Never comes again.
        Gone = "gone",
    }
}

impl Mode {
    fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::FailBefore => Fault::FailBefore,
            Self::LoseReply => Fault::LoseReply,
            Self::ErrorAfter => Fault::ErrorAfter,
            Self::Throttle => Fault::Throttle,
            Self::Conflict => Fault::TransactionConflict,
            Self::KillBefore => Fault::KillBefore,
            Self::KillAfter => Fault::KillAfter,
            Self::Hang => Fault::Hang,
            Self::Late => Fault::Late,
            Self::KillLate | Self::KillLatest => Fault::KillLate,
            Self::ForgetToken => Fault::ForgetToken,
            Self::StaleRead => Fault::StaleRead,
            Self::Partial => Fault::Partial,
            Self::SameFirst | Self::RivalFirst => return None,
        })
    }

    /// Whether it makes sense for a workflow.
    pub(crate) fn suits(self, workflow: Workflow) -> bool {
        self != Self::SameFirst || workflow.is_natural()
    }

    /// Whether there is no workflow without an attempt that it befalls.
    pub(crate) fn always_fires(self) -> bool {
        !matches!(self, Self::StaleRead | Self::Partial | Self::ForgetToken | Self::Conflict)
    }

    /// Whether it can befall such an attempt; what cannot is not worth a run.
    fn may_befall(self, attempt: &Attempt) -> bool {
        let operation = attempt.operation.as_str();
        match self {
            Self::Conflict | Self::Late | Self::KillLate | Self::KillLatest => !reads(operation),
            Self::ForgetToken => operation == "TransactWriteItems",
            Self::StaleRead => operation == "Query",
            Self::Partial => matches!(operation, "Query" | "Scan" | "BatchGetItem"),
            _ => true,
        }
    }
}

fn reads(operation: &str) -> bool {
    ["Get", "Query", "Scan", "BatchGet"].iter().any(|verb| operation.starts_with(verb))
}

impl Driver {
    /// Whether it makes sense for a workflow.
    pub(crate) fn suits(self, workflow: Workflow) -> bool {
        let anew = workflow.is_natural() && workflow.trigger() == Trigger::Request;
        self != Self::Anew || anew
    }
}

/// A case: everything but the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) workflow: Workflow,
    pub(crate) driver: Driver,
    pub(crate) mode: Mode,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workflow, self.driver, self.mode)
    }
}

/// What a workflow comes to without faults.
pub(crate) struct Reference {
    /// The attempts of its run under a key.
    attempts: Vec<Attempt>,
    /// The attempts of its run without one, where that makes sense.
    attempts_anew: Vec<Attempt>,
    answer: String,
    untouched: State,
    applied: State,
    /// The same two with the rival's seat.
    untouched_with_rival: State,
    applied_with_rival: State,
}

/// How a run ended.
enum Ending {
    Answered(String),
    Refused(String),
    /// It failed, was ended or ran out of time: nobody knows.
    Unknown(String),
}

/// Runs one future on a runtime of its own, whose time passes by itself.
fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

impl Reference {
    pub(crate) fn of(workflow: Workflow) -> Self {
        let run = |acts: Option<Driver>, rival: bool| {
            alone(async move {
                let scene = Scene::ready(workflow).await;
                let mut answer = String::new();
                if let Some(driver) = acts {
                    match once(&scene, driver).await {
                        Ending::Answered(text) => answer = text,
                        Ending::Refused(text) | Ending::Unknown(text) => panic!("{text}"),
                    }
                }
                let attempts = scene.world().cloud.attempts();
                if rival {
                    scene.rival().await;
                }
                settle(&scene).await;
                assert_invariants(&scene).await;
                (state(&scene).await, answer, attempts)
            })
        };
        let (applied, answer, attempts) = run(Some(Driver::Returns), false);
        let anew = Driver::Anew.suits(workflow).then(|| run(Some(Driver::Anew), false).2);
        Self {
            attempts,
            attempts_anew: anew.unwrap_or_default(),
            answer,
            untouched: run(None, false).0,
            applied,
            untouched_with_rival: run(None, true).0,
            applied_with_rival: run(Some(Driver::Returns), true).0,
        }
    }

    /// The attempts at which a mode is worth a run, and the first one that there is not. Nothing
    /// but a write changes what an ended worker leaves: `writes_only` is for who is in a hurry.
    pub(crate) fn points(&self, case: Case, writes_only: bool) -> Vec<u64> {
        let attempts = match case.driver {
            Driver::Anew => &self.attempts_anew,
            Driver::Returns | Driver::Gone => &self.attempts,
        };
        let may = attempts.iter().filter(|attempt| {
            case.mode.may_befall(attempt) && !(writes_only && reads(&attempt.operation))
        });
        may.map(|attempt| attempt.number).chain([attempts.len() as u64 + 1]).collect()
    }
}

/// Runs a case at attempt `k`; says whether the fault fired. `Err` is what broke.
pub(crate) fn run(case: Case, k: u64, reference: &Reference) -> Result<bool, String> {
    let run = AssertUnwindSafe(|| alone(fault_at(case, k, reference)));
    // What broke is told once, with the line that runs it again.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(run);
    std::panic::set_hook(hook);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

async fn fault_at(case: Case, k: u64, reference: &Reference) -> bool {
    let Case { workflow, driver, mode } = case;
    let scene = Scene::ready(workflow).await;
    let cloud = &scene.world().cloud;
    let other = Arc::clone(&scene);
    match mode.fault() {
        Some(fault) => cloud.inject(When::attempt(k), fault),
        None => cloud.let_first(When::attempt(k), move || async move {
            if mode == Mode::RivalFirst {
                other.rival().await;
            } else {
                let _ = other.act(other.world().op()).await;
            }
        }),
    }
    let ending = drive(&scene, driver).await;
    let fired = !cloud.fired().is_empty();
    cloud.clear_faults();
    if matches!(mode, Mode::Late | Mode::KillLate) {
        arrive(&scene, driver, workflow);
    }
    settle(&scene).await;
    if mode == Mode::KillLatest {
        arrive(&scene, driver, workflow);
        settle(&scene).await;
    }
    assert_invariants(&scene).await;
    let rival = fired && mode == Mode::RivalFirst;
    let (applied, untouched) = if rival {
        (&reference.applied_with_rival, &reference.untouched_with_rival)
    } else {
        (&reference.applied, &reference.untouched)
    };
    let end = state(&scene).await;
    match &ending {
        Ending::Answered(answer) => {
            assert_eq!(&end, applied, "I11: answered well, but not applied once");
            if driver == Driver::Returns && workflow.trigger() == Trigger::Request {
                let same = mode == Mode::SameFirst || *answer == reference.answer;
                assert!(same, "I6: another answer: {answer}");
                assert_a_repeat_changes_nothing(&scene, answer).await;
            }
        }
        Ending::Refused(why) => {
            // Whoever lost to themselves or to somebody who did the same may be told so.
            let told = mode == Mode::SameFirst || driver == Driver::Anew;
            assert!(told, "I11: refused although nothing is in the way: {why}");
            assert_eq!(&end, applied, "refused because it was done, but not applied once");
        }
        Ending::Unknown(why) => {
            assert!(
                driver == Driver::Gone || workflow.trigger() == Trigger::Event,
                "I13: never answered: {why}"
            );
            if workflow.is_owed() || mode == Mode::SameFirst {
                assert_eq!(&end, applied, "I13: owed, and not applied once");
            } else if workflow.is_one_change() {
                assert!(&end == applied || &end == untouched, "neither applied nor not: {end:#?}");
            } else {
                assert_in_parts(&end, applied, untouched);
            }
        }
    }
    fired
}

/// Asserts that each thing is as it was or as it shall be. Sums lie between.
fn assert_in_parts(end: &State, applied: &State, untouched: &State) {
    for (thing, now) in end {
        let sum = thing.starts_with("pool") || thing == "mails";
        let known = [applied.get(thing), untouched.get(thing)].contains(&Some(now));
        assert!(sum || known, "neither applied nor not: {thing} is {now}");
    }
    for thing in untouched.keys() {
        assert!(end.contains_key(thing), "gone: {thing}");
    }
}

/// Lets held writes arrive. After a newer attempt has ended they must change nothing (I14).
fn arrive(scene: &Scene, driver: Driver, workflow: Workflow) {
    let cloud = &scene.world().cloud;
    let before = cloud.dump();
    cloud.apply_late();
    if driver == Driver::Returns && workflow.trigger() == Trigger::Request {
        let after = cloud.dump();
        let changed: Vec<_> = after.iter().filter(|item| !before.contains(item)).collect();
        assert!(changed.is_empty() && before.len() == after.len(), "I14: changed {changed:?}");
    }
}

/// The same request under the same key, 11 minutes later: the same answer, and nothing more.
async fn assert_a_repeat_changes_nothing(scene: &Scene, answer: &str) {
    let world = scene.world();
    world.clock.advance(SignedDuration::from_mins(11));
    // Its own record aside: where writing the answer down failed, a repeat makes up for it.
    let rest = || {
        let items = world.cloud.dump().into_iter();
        items.filter(|item| item["kind"] != "idempotency").collect::<Vec<_>>()
    };
    let before = rest();
    match once(scene, Driver::Returns).await {
        Ending::Answered(again) => assert_eq!(again, answer, "I6: another answer to a repeat"),
        Ending::Refused(text) | Ending::Unknown(text) => panic!("I6: a repeat is refused: {text}"),
    }
    assert!(rest() == before, "I6: a repeat changed something");
}

/// Starts the workflow until it is answered, or once.
async fn drive(scene: &Scene, driver: Driver) -> Ending {
    let mut unknown = String::new();
    // An event comes three times in all.
    let times = match (driver, scene.workflow.trigger()) {
        (Driver::Gone, _) => 1,
        (_, Trigger::Event) => 3,
        (_, Trigger::Request) => 5,
    };
    for _ in 0..times {
        match once(scene, driver).await {
            Ending::Unknown(why) => unknown = why,
            known => return known,
        }
        scene.world().clock.advance(LEASE + SignedDuration::from_secs(1));
    }
    Ending::Unknown(unknown)
}

/// Starts the workflow once, as its trigger would.
async fn once(scene: &Scene, driver: Driver) -> Ending {
    let work = async {
        match (scene.workflow.trigger(), driver) {
            (Trigger::Request, Driver::Returns | Driver::Gone) => request(scene).await,
            _ => outcome(scene.act(scene.world().op()).await),
        }
    };
    let work = scene.world().cloud.until_killed(work);
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Some(ending)) => ending,
        Ok(None) => Ending::Unknown("ended".to_owned()),
        Err(_) => Ending::Unknown("out of time".to_owned()),
    }
}

fn outcome(result: Result<String, Failure>) -> Ending {
    match result {
        Ok(answer) => Ending::Answered(answer),
        Err(Failure::Refused(why)) => Ending::Refused(why),
        Err(Failure::Again(why)) => Ending::Unknown(why),
    }
}

/// A request under an idempotency key, as the edge treats it.
async fn request(scene: &Scene) -> Ending {
    let world = scene.world();
    let (store, now) = (&world.store, world.clock.now());
    let record = Record { record: [7; 32], body: [8; 32], op: world.ids.uuid(), now };
    let op = match store.begin(&record).await {
        Ok(Begin::Fresh { op }) => op,
        Ok(Begin::Replay { sealed, .. }) => {
            return Ending::Answered(String::from_utf8(sealed).expect("text"));
        }
        Ok(Begin::InProgress) => return Ending::Unknown("in progress".to_owned()),
        Ok(Begin::Mismatch) => panic!("I6: the same body is taken for another"),
        Err(error) => return Ending::Unknown(error.to_string()),
    };
    let ending = outcome(scene.act(op).await);
    // Whether this succeeds does not change the answer.
    let _ = match &ending {
        Ending::Answered(answer) => store.complete(&op, 200, answer.as_bytes()).await,
        Ending::Refused(_) => store.abandon(&op).await,
        Ending::Unknown(_) => store.release(&op).await,
    };
    ending
}

/// What happens by itself once nothing goes wrong any more: the stream, each record twice; two
/// sweeps; and what they schedule.
async fn settle(scene: &Scene) {
    let world = scene.world();
    drain(scene).await;
    for last in [false, true] {
        world.clock.advance(SignedDuration::from_mins(20));
        let swept = mailroom::run_sweep(world, 5000 + scene.turn()).await;
        assert!(swept.troubles.is_empty(), "I13: {:?}", swept.troubles);
        assert!(swept.mismatches.is_empty(), "I8: {:?}", swept.mismatches);
        assert!(!last || swept.imports_woken == 0, "I13: an import waits after two sweeps");
        drain(scene).await;
        world.clock.advance(SignedDuration::from_mins(1));
        for firing in world.cloud.fire_due() {
            if firing.target_arn.ends_with(":import") {
                scene.resume().await.expect("an import that goes on");
            } else {
                mailroom::activate(world, firing.input).await.expect("a cohort that opens");
            }
        }
        drain(scene).await;
    }
}

async fn drain(scene: &Scene) {
    let world = scene.world();
    for _ in 0..10 {
        let event = world.cloud.stream_records();
        if event["Records"].as_array().is_none_or(Vec::is_empty) {
            return;
        }
        for _ in 0..2 {
            assert_eq!(mailroom::notify(world, 5000 + scene.turn(), &event).await, 0);
            let met = mailroom::activate(world, event.clone()).await.expect("a readable event");
            assert_eq!(met["batchItemFailures"], serde_json::json!([]));
        }
    }
    panic!("I13: the stream does not come to rest");
}
