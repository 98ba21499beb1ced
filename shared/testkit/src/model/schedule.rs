//! Every order in which the calls of a few actors can take effect.
//!
//! Actors are ordinary actions over [`Ports`]. A scheduler lets one call of one actor happen, with
//! all that follows it up to the actor's next call, and then chooses again: depth first, each
//! branch by running its choices again from the beginning. An actor knows nothing but what its
//! calls answered (and the clock), so two prefixes after which the model is the same and every
//! actor has heard the same go on alike: the second one is counted, not run again.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write as _};
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;
use seatkeeper_domain::ports::Clock as _;

use super::{Broken, Hashing, Ports};
use crate::VirtualClock;

/// Whose turn it is, as one actor's ports see it.
#[derive(Debug, Clone)]
pub(super) struct Turn(Option<Arc<Mutex<TurnState>>>);

#[derive(Debug, Default)]
struct TurnState {
    granted: bool,
    /// What becomes of the call that is granted, if it is a change.
    fate: Fate,
    /// The call that waits.
    waiting: Option<&'static str>,
    /// Whether what is heard is remembered: it tells states apart.
    remembers: bool,
    heard: u64,
}

impl Turn {
    /// It is always.
    pub(super) fn free() -> Self {
        Self(None)
    }

    fn taken(remembers: bool) -> Self {
        Self(Some(Arc::new(Mutex::new(TurnState { remembers, ..TurnState::default() }))))
    }

    fn state(&self) -> Option<MutexGuard<'_, TurnState>> {
        self.0.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the scheduler grants one call.
    pub(super) async fn pass(&self, name: &'static str) {
        std::future::poll_fn(|_| {
            let Some(mut state) = self.state() else { return Poll::Ready(()) };
            if std::mem::take(&mut state.granted) {
                state.waiting = None;
                return Poll::Ready(());
            }
            state.waiting = Some(name);
            Poll::Pending
        })
        .await;
    }

    /// Remembers what a call answered: it is all the actor knows.
    pub(super) fn heard(&self, name: &'static str, answer: &impl Debug) {
        let Some(mut state) = self.state().filter(|state| state.remembers) else { return };
        let mut text = Hashing(DefaultHasher::new());
        state.heard.hash(&mut text.0);
        let written = write!(text, "{name}{answer:?}");
        debug_assert!(written.is_ok());
        state.heard = text.0.finish();
    }

    /// What becomes of the change just granted.
    pub(super) fn fate(&self) -> Fate {
        self.state().map_or(Fate::Heard, |mut state| std::mem::take(&mut state.fate))
    }
}

type Work<O> = Pin<Box<dyn Future<Output = O>>>;

/// One actor under way.
pub struct Actor<O> {
    name: &'static str,
    turn: Turn,
    work: Work<O>,
    started: bool,
    outcome: Option<O>,
}

/// A state of a scenario: the model, its clock, and the actors.
pub struct Run<O> {
    ports: Ports,
    clock: Option<VirtualClock>,
    losses: u32,
    delays: u32,
    explored: bool,
    actors: Vec<Actor<O>>,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It has its effect, and its actor hears of it.
    #[default]
    Heard,
    /// It has its effect, and the reply is lost.
    Lost,
    /// It is on its way for longer than its actor waits: it arrives later, or never.
    Late,
}

/// One choice of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The next call of this actor happens.
    Call(usize, Fate),
    /// The change that is late, of those that are, arrives.
    Arrival(usize),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(actor, Fate::Heard) => write!(f, "{actor}"),
            Self::Call(actor, Fate::Lost) => write!(f, "{actor}!"),
            Self::Call(actor, Fate::Late) => write!(f, "{actor}~"),
            Self::Arrival(late) => write!(f, "^{late}"),
        }
    }
}

impl<O> Run<O> {
    /// A scenario that begins with this store.
    pub fn begin(ports: Ports) -> Self {
        let actors = Vec::new();
        Self { ports, clock: None, losses: 0, delays: 0, explored: true, actors }
    }

    /// The clock moves during the scenario: what an actor does may depend on it, and an actor's
    /// start is a step of its own.
    #[must_use]
    pub fn with_clock(mut self, clock: &VirtualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// So many replies of writes may be lost: the write has its effect, and its actor hears that
    /// the store is out of reach.
    #[must_use]
    pub fn with_lost_replies(mut self, most: u32) -> Self {
        self.losses = most;
        self
    }

    /// So many changes may be late: their actors hear that the store is out of reach, and the
    /// changes arrive at any time after, or never.
    #[must_use]
    pub fn with_late_changes(mut self, most: u32) -> Self {
        self.delays = most;
        self
    }

    /// One order of calls is [drawn](wander), so that no two states need be told apart.
    #[must_use]
    pub fn drawn(mut self) -> Self {
        self.explored = false;
        self
    }

    /// Adds an actor: `act` is given its ports.
    pub fn add<F>(&mut self, name: &'static str, act: impl FnOnce(Ports) -> F)
    where
        F: Future<Output = O> + 'static,
    {
        let turn = Turn::taken(self.explored);
        let work = Box::pin(act(self.ports.taking_turns(turn.clone())));
        self.actors.push(Actor { name, turn, work, started: false, outcome: None });
    }

    /// What came of the actors, in the order they were added. `None` for one still under way.
    pub fn outcomes(&self) -> Vec<Option<&O>> {
        self.actors.iter().map(|actor| actor.outcome.as_ref()).collect()
    }

    /// The store as it is.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (place, actor) in self.actors.iter().enumerate() {
            if actor.outcome.is_some() {
                continue;
            }
            choices.push(Choice::Call(place, Fate::Heard));
            let may_fail = self.losses > 0 || self.delays > 0;
            let writes = |state: MutexGuard<'_, TurnState>| state.waiting == Some("apply");
            if !may_fail || !actor.turn.state().is_some_and(writes) {
                continue;
            }
            if self.losses > 0 {
                choices.push(Choice::Call(place, Fate::Lost));
            }
            if self.delays > 0 {
                choices.push(Choice::Call(place, Fate::Late));
            }
        }
        // What arrives after everybody has ended still counts.
        choices.extend((0..self.ports.late().len()).map(Choice::Arrival));
        choices
    }

    fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Call(actor, fate) => self.call(actor, fate),
            Choice::Arrival(late) => {
                let change = self.ports.late().remove(late);
                // Nobody hears what came of it.
                let _ = self.ports.model().apply(&change);
            }
        }
    }

    fn call(&mut self, place: usize, fate: Fate) {
        let apart = self.clock.is_some();
        let Some(actor) = self.actors.get_mut(place) else { return };
        if actor.outcome.is_some() {
            return;
        }
        if let Some(mut state) = actor.turn.state() {
            state.granted = actor.started || !apart;
            state.fate = fate;
        }
        actor.started = true;
        self.losses -= u32::from(fate == Fate::Lost);
        self.delays -= u32::from(fate == Fate::Late);
        if let Some(clock) = &self.clock {
            actor.turn.heard("clock", &clock.now());
        }
        if let Poll::Ready(outcome) =
            actor.work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            actor.outcome = Some(outcome);
        }
    }

    /// What a choice is about to do.
    fn tell(&self, choice: Choice) -> String {
        let Choice::Call(place, fate) = choice else { return "a late change arrives".to_owned() };
        let Some(actor) = self.actors.get(place) else { return "nobody".to_owned() };
        let waiting = actor.turn.state().and_then(|state| state.waiting).unwrap_or("(begins)");
        let fate = match fate {
            Fate::Heard => "",
            Fate::Lost => ", reply lost",
            Fate::Late => ", late",
        };
        format!("{}: {waiting}{fate}", actor.name)
    }

    /// What tells this state from others, as far as anything that follows can depend on it.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.ports.model().fingerprint().hash(&mut hasher);
        (self.losses, self.delays).hash(&mut hasher);
        for change in self.ports.late().iter() {
            format!("{change:?}").hash(&mut hasher);
        }
        let now: Option<Timestamp> = self.clock.as_ref().map(VirtualClock::now);
        now.hash(&mut hasher);
        for actor in &self.actors {
            let heard = actor.turn.state().map_or(0, |state| state.heard);
            (heard, actor.started, actor.outcome.is_some()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// How much was explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Explored {
    /// Different orders of calls, from beginning to end.
    pub schedules: u128,
    /// Different states on the way.
    pub states: usize,
    /// Different ends, each of them checked.
    pub ends: usize,
    /// Times the scenario was run from its beginning.
    pub runs: usize,
    /// Calls of the longest schedule.
    pub longest: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, states, ends, runs, longest } = self;
        write!(
            f,
            "{schedules} schedules of at most {longest} steps: {states} states, {ends} ends \
             checked, {runs} runs"
        )
    }
}

/// A schedule after which an invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The choices, from the beginning.
    pub schedule: Vec<Choice>,
    /// What does not hold.
    pub broken: Broken,
    /// What the choices were.
    pub told: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choices: Vec<String> = self.schedule.iter().map(ToString::to_string).collect();
        write!(f, "{}; after the schedule [{}]:\n{}", self.broken, choices.join(" "), self.told)
    }
}

/// Tries every order in which the actors' calls can take effect. After each step the invariants of
/// the [model](super::Model::check) must hold, and after each complete schedule `check` too.
pub fn explore<O: Debug>(
    make: impl Fn() -> Run<O>,
    check: impl Fn(&Run<O>) -> Result<(), Broken>,
) -> Result<Explored, Box<Failure>> {
    let mut search = Search {
        make,
        check,
        known: HashMap::new(),
        explored: Explored::default(),
        prefix: Vec::new(),
    };
    let first = search.again();
    search.explored.schedules = search.visit(first)?;
    search.explored.states = search.known.len();
    Ok(search.explored)
}

/// Goes on in one order that `choose` draws, of so many choices each time, until nothing is left to
/// be done. Every `often` steps, and at the end, the invariants of the [model](super::Model::check)
/// must hold. Says how many steps it took.
pub fn wander<O: Debug>(
    run: &mut Run<O>,
    often: usize,
    mut choose: impl FnMut(usize) -> usize,
) -> Result<usize, Box<Failure>> {
    let mut schedule = Vec::new();
    loop {
        let choices = run.choices();
        let chosen = if choices.is_empty() { None } else { choices.get(choose(choices.len())) };
        if chosen.is_none() || schedule.len() % often == 0 {
            let checked = run.ports.model().check();
            if let Err(broken) = checked {
                let mut told = String::new();
                for actor in &run.actors {
                    let _ = writeln!(told, "  {} -> {:?}", actor.name, actor.outcome);
                }
                return Err(Box::new(Failure { schedule, broken, told }));
            }
        }
        let Some(choice) = chosen else { return Ok(schedule.len()) };
        run.take(*choice);
        schedule.push(*choice);
    }
}

/// Runs one schedule, as a failure names it.
pub fn replay<O>(make: impl Fn() -> Run<O>, schedule: &[Choice]) -> Run<O> {
    let mut run = make();
    for choice in schedule {
        run.take(*choice);
    }
    run
}

struct Search<M, C> {
    make: M,
    check: C,
    /// How many complete schedules go on from a state.
    known: HashMap<u64, u128>,
    explored: Explored,
    prefix: Vec<Choice>,
}

impl<O: Debug, M: Fn() -> Run<O>, C: Fn(&Run<O>) -> Result<(), Broken>> Search<M, C> {
    fn again(&mut self) -> Run<O> {
        self.explored.runs += 1;
        replay(&self.make, &self.prefix)
    }

    fn visit(&mut self, run: Run<O>) -> Result<u128, Box<Failure>> {
        let key = run.key();
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let checked = run.ports.model().check();
        checked.map_err(|broken| self.failure(broken))?;
        let choices = run.choices();
        if choices.is_empty() {
            (self.check)(&run).map_err(|broken| self.failure(broken))?;
            self.explored.ends += 1;
            self.explored.longest = self.explored.longest.max(self.prefix.len());
            self.known.insert(key, 1);
            return Ok(1);
        }
        let mut here = Some(run);
        let mut schedules = 0;
        for choice in choices {
            let mut next = match here.take() {
                Some(run) => run,
                None => self.again(),
            };
            next.take(choice);
            self.prefix.push(choice);
            schedules += self.visit(next)?;
            self.prefix.pop();
        }
        self.known.insert(key, schedules);
        Ok(schedules)
    }

    /// Tells the schedule call by call.
    #[expect(clippy::unnecessary_box_returns, reason = "as every search result holds it")]
    fn failure(&self, broken: Broken) -> Box<Failure> {
        let mut run = (self.make)();
        let mut told = String::new();
        for choice in &self.prefix {
            let _ = writeln!(told, "  {}", run.tell(*choice));
            run.take(*choice);
        }
        for actor in &run.actors {
            let _ = writeln!(told, "  {} -> {:?}", actor.name, actor.outcome);
        }
        Box::new(Failure { schedule: self.prefix.clone(), broken, told })
    }
}
