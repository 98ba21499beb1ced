//! One or two faults, and everything after them.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use seatkeeper_domain::idempotency::{Attempt as Record, Begin, IdempotencyStore as _, LEASE};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _};
use seatkeeper_testkit::{Attempt, Fault, Service, When};
use seatkeeper_tests::runs;
use seatkeeper_tests::tally::Tally;

use crate::mailroom;
use crate::scene::{Failure, Scene, Trigger, Workflow};
use crate::state::{State, assert_invariants, state};

/// How many attempts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Each. Only of a walk, which reads the same way again and again and writes nothing in between, the
    /// first two and the last stand for all, where a read that is tried again, or never made, is as good
    /// as the next one.
    Each,
    /// The same, and of any reads with nothing written between them the last stands for all: ending a
    /// worker at any of them leaves the same behind.
    Pairs,
    /// Writes alone: nothing else changes what an ended worker leaves. For who is in a hurry.
    Writes,
}

/// How long a function may run before it is ended.
const DEADLINE: Duration = Duration::from_secs(29);

/// Reads of one kind in a row that make a walk: the records of a client take a hundred and more.
const WALK: usize = 16;

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
        InProgress = "in-progress",
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
        CutBody = "cut-body",
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
        /// Comes twice at the same time, each until answered.
        Twice = "twice",
        /// Comes until answered, and 11 minutes later once more: no request token is remembered.
        After11Minutes = "after-11-min",
        /// Comes until answered, and 25 hours later once more: no idempotency record counts.
        After25Hours = "after-25-h",
    }
}

impl Mode {
    /// Those of which all ordered pairs are run.
    pub(crate) const CORE: [Self; 5] =
        [Self::LoseReply, Self::Conflict, Self::KillAfter, Self::Late, Self::KillLate];

    pub(crate) fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::FailBefore => Fault::FailBefore,
            Self::LoseReply => Fault::LoseReply,
            Self::ErrorAfter => Fault::ErrorAfter,
            Self::Throttle => Fault::Throttle,
            Self::Conflict => Fault::TransactionConflict,
            Self::InProgress => Fault::TransactionInProgress,
            Self::CutBody => Fault::CutBody,
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
        matches!(
            self,
            Self::FailBefore
                | Self::LoseReply
                | Self::ErrorAfter
                | Self::Throttle
                | Self::KillBefore
                | Self::KillAfter
                | Self::Hang
                | Self::Late
                | Self::KillLate
                | Self::KillLatest
                | Self::RivalFirst
        )
    }

    /// The attempts, of some that follow one another, at which it is worth a run.
    fn worth(self, attempts: &[Attempt], depth: Depth) -> Vec<u64> {
        let like = |one: &Attempt, other: &Attempt| {
            let alike = depth == Depth::Pairs || one.operation == other.operation;
            reads(&one.operation) && reads(&other.operation) && alike
        };
        let mut worth = Vec::new();
        for walk in attempts.chunk_by(like) {
            let last = walk.len() - 1;
            let stands = |place: usize| match depth {
                _ if !self.is_same_anywhere() => true,
                Depth::Pairs => place == last,
                Depth::Each => walk.len() <= WALK || place < 2 || place == last,
                Depth::Writes => !reads(&walk[place].operation),
            };
            let chosen = walk.iter().enumerate().filter(|(place, _)| stands(*place));
            let chosen = chosen.filter(|(_, attempt)| self.is_worth(attempt, depth));
            worth.extend(chosen.map(|(_, attempt)| attempt.number));
        }
        worth
    }

    fn is_worth(self, attempt: &Attempt, depth: Depth) -> bool {
        self.may_befall(attempt) && !(depth == Depth::Writes && reads(&attempt.operation))
    }

    /// Whether it does the same at every read of a walk: the read is tried again, or the worker ends.
    fn is_same_anywhere(self) -> bool {
        matches!(
            self,
            Self::FailBefore
                | Self::LoseReply
                | Self::ErrorAfter
                | Self::Throttle
                | Self::KillBefore
                | Self::KillAfter
                | Self::Hang
        )
    }

    /// Whether it can befall such an attempt.
    fn may_befall(self, attempt: &Attempt) -> bool {
        let operation = attempt.operation.as_str();
        match self {
            Self::Late | Self::KillLate | Self::KillLatest => !reads(operation),
            Self::Conflict => attempt.service == Service::DynamoDb && !reads(operation),
            Self::ForgetToken | Self::InProgress => operation == "TransactWriteItems",
            Self::CutBody => operation == "GetObject",
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
        let request = workflow.trigger() == Trigger::Request;
        match self {
            Self::Returns | Self::Gone | Self::Twice | Self::After11Minutes => true,
            Self::Anew => request && workflow.is_natural(),
            // Nobody committed the import meanwhile: the sweep cancels it after a day.
            Self::After25Hours if workflow == Workflow::CheckUpload => false,
            // The same request is another one by then.
            Self::After25Hours => !request || workflow.is_natural(),
        }
    }

    /// Whether pairs of faults are run under it.
    pub(crate) fn meets_two(self) -> bool {
        matches!(self, Self::Returns | Self::Anew | Self::Gone)
    }

    /// Whether all attempts of a request carry the same key while its record is kept.
    fn has_one_key(self) -> bool {
        matches!(self, Self::Returns | Self::Gone | Self::Twice | Self::After11Minutes)
    }
}

/// A workflow under a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) workflow: Workflow,
    pub(crate) driver: Driver,
}

impl Case {
    /// The cases of a workflow.
    pub(crate) fn all(workflow: Workflow) -> impl Iterator<Item = Self> {
        let drivers = Driver::ALL.iter().filter(move |driver| driver.suits(workflow));
        drivers.map(move |driver| Self { workflow, driver: *driver })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workflow, self.driver)
    }
}

/// A case with its faults: at which attempt which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<'a> {
    pub(crate) case: Case,
    pub(crate) faults: &'a [(Mode, u64)],
}

impl Point<'_> {
    fn has(&self, mode: Mode) -> bool {
        self.faults.iter().any(|(has, _)| *has == mode)
    }
}

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.case)?;
        self.faults.iter().try_for_each(|(mode, k)| write!(f, "/{mode}/{k}"))
    }
}

/// What a run did until nobody came any more.
pub(crate) struct Ran {
    attempts: Vec<Attempt>,
    /// The attempts that a fault befell.
    pub(crate) fired: Vec<Attempt>,
}

impl Ran {
    /// The attempts behind number `k` at which a mode is worth a run.
    pub(crate) fn points_behind(&self, k: u64, mode: Mode, depth: Depth) -> Vec<u64> {
        let behind = self.attempts.partition_point(|attempt| attempt.number <= k);
        mode.worth(self.attempts.get(behind..).unwrap_or_default(), depth)
    }

    /// Counts what fired.
    pub(crate) fn count_into(&self, tally: &mut Tally, point: Point<'_>) {
        for attempt in &self.fired {
            let mode = point.faults.iter().find(|(_, k)| *k == attempt.number);
            let mode = mode.map(|(mode, _)| mode.to_string()).unwrap_or_default();
            tally.fault(&mode, attempt);
        }
    }
}

/// What a workflow comes to without faults: worked out as far as it is asked for.
pub(crate) struct References {
    scene: Arc<Scene>,
    /// The attempts under each driver.
    attempts: RefCell<BTreeMap<Driver, Vec<Attempt>>>,
    answer: String,
    untouched: State,
    applied: State,
    /// The same two with the rival's seat.
    with_rival: OnceCell<(State, State)>,
}

/// How a run ended.
pub(crate) enum Ending {
    Answered(String),
    Refused(String),
    /// It failed, was ended or ran out of time: nobody knows.
    Unknown(String),
}

/// Runs one future on a runtime of its own, whose time passes by itself.
pub(crate) fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

impl References {
    pub(crate) fn of(workflow: Workflow) -> Self {
        let scene = alone(Scene::ready(workflow));
        let (untouched, ..) = without_faults(&scene, None, false);
        let (applied, answer, attempts) = without_faults(&scene, Some(Driver::Returns), false);
        let attempts = RefCell::new([(Driver::Returns, attempts)].into());
        Self { scene, attempts, answer, untouched, applied, with_rival: OnceCell::new() }
    }

    /// The attempts at which a mode is worth a run.
    pub(crate) fn points(&self, driver: Driver, mode: Mode, depth: Depth) -> Vec<u64> {
        mode.worth(&self.attempts_under(driver), depth)
    }

    /// The number of the first attempt that there is not.
    pub(crate) fn end(&self, driver: Driver) -> u64 {
        self.attempts_under(driver).len() as u64 + 1
    }

    fn attempts_under(&self, driver: Driver) -> Vec<Attempt> {
        let known = self.attempts.borrow().get(&driver).cloned();
        known.unwrap_or_else(|| {
            let (end, _, attempts) = without_faults(&self.scene, Some(driver), false);
            let workflow = self.scene.workflow;
            assert_eq!(end, self.applied, "{workflow} comes to something else under {driver}");
            self.attempts.borrow_mut().insert(driver, attempts.clone());
            attempts
        })
    }

    /// What the applied and the untouched come to when the rival took a seat.
    fn with_rival(&self) -> &(State, State) {
        self.with_rival.get_or_init(|| {
            let applied = without_faults(&self.scene, Some(Driver::Returns), true).0;
            (applied, without_faults(&self.scene, None, true).0)
        })
    }
}

/// Lets nothing go wrong: how it ends, the answer, and the attempts until then.
fn without_faults(
    scene: &Arc<Scene>,
    acts: Option<Driver>,
    rival: bool,
) -> (State, String, Vec<Attempt>) {
    scene.rewind();
    alone(async move {
        let mut answer = String::new();
        if let Some(driver) = acts {
            match drive(scene, driver).await {
                Ending::Answered(text) => answer = text,
                Ending::Refused(text) | Ending::Unknown(text) => panic!("{text}"),
            }
        }
        let attempts = scene.world().cloud.attempts();
        if rival {
            scene.rival().await;
        }
        settle(scene).await;
        assert_invariants(scene).await;
        (state(scene).await, answer, attempts)
    })
}

/// Runs a point. `Err` is what broke.
pub(crate) fn run(point: Point<'_>, references: &References) -> Result<Ran, String> {
    if point.has(Mode::RivalFirst) {
        references.with_rival();
    }
    caught(|| alone(with_faults(point, references)))
}

/// Does something that may panic; `Err` is what the panic says. It is told once, with the line that
/// runs it again.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

async fn with_faults(point: Point<'_>, references: &References) -> Ran {
    let Case { workflow, driver } = point.case;
    let scene = &references.scene;
    scene.rewind();
    let cloud = &scene.world().cloud;
    if runs::long() {
        cloud.locate_faults();
    }
    for (mode, k) in point.faults {
        let (other, mode) = (Arc::clone(scene), *mode);
        match mode.fault() {
            Some(fault) => cloud.inject(When::attempt(*k), fault),
            None => cloud.let_first(When::attempt(*k), move || async move {
                if mode == Mode::RivalFirst {
                    other.rival().await;
                } else {
                    let _ = other.act(other.world().op()).await;
                }
            }),
        }
    }
    let ending = drive(scene, driver).await;
    let ran = Ran { attempts: cloud.attempts(), fired: cloud.fired() };
    cloud.clear_faults();
    let latest = point.has(Mode::KillLatest);
    if !latest {
        arrive(scene, point.case);
    }
    settle(scene).await;
    if latest {
        arrive(scene, point.case);
        settle(scene).await;
    }
    assert_invariants(scene).await;
    let rival = !ran.fired.is_empty() && point.has(Mode::RivalFirst);
    let with_rival = rival.then(|| references.with_rival());
    let (applied, untouched) = match with_rival {
        Some((applied, untouched)) => (applied, untouched),
        None => (&references.applied, &references.untouched),
    };
    let end = state(scene).await;
    match &ending {
        Ending::Answered(answer) => {
            assert_eq!(&end, applied, "I11: answered well, but not applied once");
            if driver.has_one_key() && workflow.trigger() == Trigger::Request {
                let same = point.has(Mode::SameFirst) || *answer == references.answer;
                assert!(same, "I6: another answer: {answer}");
                if driver == Driver::Returns {
                    assert_a_repeat_changes_nothing(scene, answer).await;
                }
            }
        }
        Ending::Refused(why) => {
            // Whoever lost to themselves or to somebody who did the same may be told so.
            let told = point.has(Mode::SameFirst) || !driver.has_one_key();
            assert!(told, "I11: refused although nothing is in the way: {why}");
            assert_eq!(&end, applied, "refused because it was done, but not applied once");
        }
        Ending::Unknown(why) => {
            assert!(
                driver == Driver::Gone || workflow.trigger() == Trigger::Event,
                "I13: never answered: {why}"
            );
            if workflow.is_owed() || point.has(Mode::SameFirst) {
                assert_eq!(&end, applied, "I13: owed, and not applied once");
            } else if workflow.is_one_change() {
                assert!(&end == applied || &end == untouched, "neither applied nor not: {end:#?}");
            } else {
                assert_in_parts(workflow, &end, applied, untouched);
            }
            if workflow == Workflow::RenewLater {
                assert_the_rest_goes_over(scene, applied, untouched).await;
            }
        }
    }
    ran
}

/// Asserts that each thing is as it was or as it shall be. Sums lie between, and so do seats of
/// somebody who is being erased: they go back before the account is gone.
fn assert_in_parts(workflow: Workflow, end: &State, applied: &State, untouched: &State) {
    for (thing, now) in end {
        let sum = ["pool", "cohort", "mails"].iter().any(|sum| thing.starts_with(sum));
        let known = [applied.get(thing), untouched.get(thing)].contains(&Some(now));
        let went_back =
            workflow == Workflow::Erase && thing.contains(" seat_") && now.contains("released");
        assert!(sum || known || went_back, "neither applied nor not: {thing} is {now}");
    }
    for thing in untouched.keys().filter(|thing| applied.contains_key(*thing)) {
        assert!(end.contains_key(thing), "gone: {thing}");
    }
}

/// Asserts that a renewal that stopped half-way, and whose caller does not come again, takes the others over once
/// its successor is a day away.
async fn assert_the_rest_goes_over(scene: &Scene, applied: &State, untouched: &State) {
    let world = scene.world();
    world.clock.set("2027-01-14T12:00:00Z".parse().expect("an instant"));
    settle(scene).await;
    assert_invariants(scene).await;
    let old = world.store.contract(&world.client, world.contract.contract_id).await;
    let is_renewed = old.expect("readable").expect("a contract").renewed_by.is_some();
    let seats = |state: &State| -> State {
        let seats = state.iter().filter(|(thing, _)| thing.contains(" seat_"));
        seats.map(|(thing, stands)| (thing.clone(), stands.clone())).collect()
    };
    let expected = if is_renewed { applied } else { untouched };
    assert_eq!(seats(&state(scene).await), seats(expected), "I13: left behind by a renewal");
}

/// Lets held writes arrive. After a newer attempt has ended they must change nothing (I14).
fn arrive(scene: &Scene, case: Case) {
    let cloud = &scene.world().cloud;
    let before = cloud.dump();
    if cloud.apply_late().is_empty() {
        return;
    }
    let came_again = case.driver.has_one_key() && case.driver != Driver::Gone;
    if came_again && case.workflow.trigger() == Trigger::Request {
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

/// Lets a driver do what it does.
pub(crate) async fn drive(scene: &Scene, driver: Driver) -> Ending {
    let request = scene.workflow.trigger() == Trigger::Request;
    let one_key = request && driver.has_one_key();
    let later = match driver {
        Driver::Returns | Driver::Anew | Driver::Gone => {
            return until_answered(scene, driver).await;
        }
        Driver::Twice => {
            let (one, other) =
                tokio::join!(until_answered(scene, driver), until_answered(scene, driver));
            return of_two(one, other, one_key);
        }
        Driver::After11Minutes => SignedDuration::from_mins(11),
        Driver::After25Hours => SignedDuration::from_hours(25),
    };
    let first = until_answered(scene, driver).await;
    // What has outlived its time is still there: the table removes it within days.
    scene.world().clock.advance(later);
    of_two(first, until_answered(scene, driver).await, one_key)
}

/// How it ended for who came twice.
fn of_two(one: Ending, other: Ending, one_key: bool) -> Ending {
    match (one, other) {
        (Ending::Answered(one), Ending::Answered(other)) => {
            assert!(!one_key || one == other, "I6: answered {one} and {other}");
            Ending::Answered(one)
        }
        (Ending::Answered(_), Ending::Refused(why)) if one_key => {
            panic!("I6: a repeat is refused: {why}")
        }
        (Ending::Unknown(why), _) | (_, Ending::Unknown(why)) if one_key => Ending::Unknown(why),
        (Ending::Answered(answer), _) | (_, Ending::Answered(answer)) => Ending::Answered(answer),
        (Ending::Refused(why), _) | (_, Ending::Refused(why)) => Ending::Refused(why),
        (unknown, _) => unknown,
    }
}

/// Starts the workflow until it is answered, or once.
async fn until_answered(scene: &Scene, driver: Driver) -> Ending {
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
        // Whoever else is at it has the time to end.
        let pause = LEASE + SignedDuration::from_secs(1);
        tokio::time::sleep(pause.unsigned_abs()).await;
        scene.world().clock.advance(pause);
    }
    Ending::Unknown(unknown)
}

/// Starts the workflow once, as its trigger would.
async fn once(scene: &Scene, driver: Driver) -> Ending {
    let work = async {
        match (scene.workflow.trigger(), driver) {
            (Trigger::Request, driver) if driver != Driver::Anew => request(scene).await,
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

/// What happens by itself once nothing goes wrong any more: the stream, stirred; two sweeps; and
/// what they schedule.
pub(crate) async fn settle(scene: &Scene) {
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
        let event = world.cloud.stirred_records(scene.turn());
        if event["Records"].as_array().is_none_or(Vec::is_empty) {
            return;
        }
        assert_eq!(mailroom::notify(world, 5000 + scene.turn(), &event).await, 0);
        let met = mailroom::activate(world, event).await.expect("a readable event");
        assert_eq!(met["batchItemFailures"], serde_json::json!([]));
    }
    panic!("I13: the stream does not come to rest");
}
