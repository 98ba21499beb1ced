//! Another day for everyone who starts at one instant, or none.
//!
//! Learners are taken as the records name them, many to a change. Whoever has moved is not in the cohort
//! any more, so that a call that is made again goes on where the last one stopped; and nothing moves once
//! the cohort has opened, which each change demands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;

use crate::actions::ground::{Ground, GroundError, contract_of, ground_of};
use crate::actions::open_cohort::{OpenCohortError, open_cohort};
use crate::actions::release_seat::released;
use crate::actions::seating::{TermError, cohort_key, on_another_day, seat_mail};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::amend::Amend;
use crate::audit::{Action, Actor};
use crate::change::{Change, SeatChange, Step, StoreError};
use crate::cohort::{CohortKey, CohortState};
use crate::contract::Contract;
use crate::dates::{Opening, instant_of, local_date};
use crate::idempotency::Op;
use crate::ids::LearnerId;
use crate::learner::{Learner, ProfileChange, Seat, SeatState};
use crate::outbox::{Letter, MailIntent};
use crate::ports::{Catalog, Clock, IdSource, Ledger, People, Rounds};
use crate::stock::Delta;

/// Learners of one change: each has a seat, and a mail or a record of the trail.
const CHUNK: usize = 45;

/// Most learners who are named because their seats stay.
pub const NAMED_MAX: usize = 1_000;

/// What becomes of the seats of a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CohortChange {
    /// They open on another day; one that has come opens them.
    Reschedule {
        /// The local day.
        start_on: Date,
        /// Whether each learner is told when their seat opens.
        notify: bool,
    },
    /// They return to the stock.
    Cancel,
}

/// A learner whose seat stays in the cohort.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Who.
    pub learner: Learner,
    /// Why.
    pub why: Why,
}

/// Why a seat stays in the cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It cannot open on the other day: its own end does not go with that.
    Term(TermError),
    /// It renews one that its learner still has. Cancelled, it would be promised again: the one before
    /// has to be released.
    Renews,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct ChangedCohort {
    /// Seats moved or returned by this operation.
    pub changed: u64,
    /// The local day that seats were moved to: not before the contract's first.
    pub starts_on: Option<Date>,
    /// Whose seats stay; [`NAMED_MAX`] at most.
    pub kept: Vec<Kept>,
    /// Seats that wait in the cohort still.
    pub left: u64,
    /// Whether the cohort opened before everybody was seen to: those who are left have their seats.
    pub opened: bool,
    /// Whether nobody waits who was not seen to; else time ran out or somebody came meanwhile, and the
    /// next call goes on.
    pub complete: bool,
}

/// Why a cohort cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeCohortError {
    /// There is none at this instant.
    #[error("no such cohort")]
    Unknown,
    /// It has opened.
    #[error("the cohort has opened")]
    Opened,
    /// It opens at the instant that it shall open at.
    #[error("the cohort opens then already")]
    SameInstant,
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The contract does not allow the other day.
    #[error(transparent)]
    Term(#[from] TermError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What changing a cohort needs of the store.
pub trait CohortPorts: Ledger + Catalog + People + Rounds {}
impl<P: Ledger + Catalog + People + Rounds> CohortPorts for P {}

/// Moves or cancels the seats of a cohort that waits, until `until` at most.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn change_cohort(
    ports: &impl CohortPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    actor: Actor,
    op: Op,
    key: &CohortKey,
    what: CohortChange,
    until: Timestamp,
) -> Result<ChangedCohort, ChangeCohortError> {
    let counted = |receipt: &serde_json::Value| receipt.get("changed")?.as_u64();
    let receipts = ports.receipts(&op).await?;
    let changed = receipts.iter().filter_map(counted).sum();
    let mut done = ChangedCohort { changed, ..ChangedCohort::default() };
    match standing(ports, clock, ids, key, clock.now()).await? {
        Standing::Waiting(left) => done.left = left,
        Standing::Unknown => return Err(ChangeCohortError::Unknown),
        Standing::Opened if receipts.is_empty() => return Err(ChangeCohortError::Opened),
        Standing::Opened => return Ok(done.opened()),
    }
    let plan = Plan::of(ports, key, what, clock.now()).await?;
    done.starts_on = plan.starts_on();
    let mut part = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    let changing = Changing { ports, clock, ids, actor, op, key, plan };
    let (mut cursor, mut stay) = (None, 0);
    // When nobody is left, everybody was seen, wherever the reading is.
    while done.left > 0 {
        let found = ports.recorded(&key.client_id, cursor.as_deref()).await?;
        let waits = |seat: &Seat| seat.state == SeatState::Scheduled { opens_at: key.instant };
        let people: Vec<LearnerId> = found
            .seats
            .iter()
            .filter(|one| one.pool == key.pool && waits(&one.seat))
            .map(|one| one.learner_id)
            .collect();
        for chunk in people.chunks(CHUNK) {
            if clock.now() >= until {
                return Ok(done);
            }
            match changing.chunk(chunk, part, &mut done).await? {
                Chunk::Opened => return Ok(done.opened()),
                Chunk::Seen { changed, stays } => {
                    part += u32::from(changed);
                    stay += stays;
                }
            }
        }
        match found.next {
            Some(_) if clock.now() >= until => return Ok(done),
            None => break,
            next => cursor = next,
        }
    }
    // Somebody may have come behind the reading.
    match standing(ports, clock, ids, key, clock.now()).await? {
        Standing::Waiting(left) => Ok(ChangedCohort { complete: left <= stay, left, ..done }),
        Standing::Unknown | Standing::Opened => Ok(done.opened()),
    }
}

impl ChangedCohort {
    /// Nobody waits any more.
    fn opened(self) -> Self {
        Self { opened: true, complete: true, left: 0, ..self }
    }
}

/// What is to be done, and by which terms.
enum Plan {
    Reschedule { ground: Box<Ground>, start_on: Date, notify: bool },
    Cancel(Box<Contract>),
}

impl Plan {
    async fn of(
        ports: &impl Catalog,
        key: &CohortKey,
        what: CohortChange,
        now: Timestamp,
    ) -> Result<Self, ChangeCohortError> {
        let client = &key.client_id;
        match what {
            CohortChange::Cancel => {
                let contract = contract_of(ports, client, key.pool).await?;
                Ok(Self::Cancel(Box::new(contract.ok_or(ChangeCohortError::Unknown)?)))
            }
            CohortChange::Reschedule { start_on, notify } => {
                let ground = ground_of(ports, client, key.pool, now).await?;
                let today = local_date(now, ground.client.time_zone.zone());
                let fail = |error| TermError { field: "start_on", error };
                let start_on = ground.contract.start(Some(start_on), today).map_err(fail)?;
                let start_on = start_on.unwrap_or(today);
                let opens_at = ground.contract.policies.opens_at;
                if instant_of(start_on, opens_at, ground.client.time_zone.zone()) == key.instant {
                    return Err(ChangeCohortError::SameInstant);
                }
                Ok(Self::Reschedule { ground: Box::new(ground), start_on, notify })
            }
        }
    }

    fn starts_on(&self) -> Option<Date> {
        match self {
            Self::Reschedule { start_on, .. } => Some(*start_on),
            Self::Cancel(_) => None,
        }
    }
}

/// How the cohort stands.
enum Standing {
    Unknown,
    Opened,
    /// So many seats wait.
    Waiting(u64),
}

/// How the cohort stands; one whose day has come by `now` is opened first.
async fn standing(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    key: &CohortKey,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    // An instant finer than those that are kept leads to the cohort, and no seat waits for it.
    let known = ports.cohort(key).await?.filter(|known| known.key.instant == key.instant);
    let Some(cohort) = known else { return Ok(Standing::Unknown) };
    if cohort.state == CohortState::Opened {
        return Ok(Standing::Opened);
    }
    if key.instant > now {
        return Ok(Standing::Waiting(cohort.count));
    }
    match open_cohort(ports, clock, ids, key).await {
        Ok(_) => Ok(Standing::Opened),
        Err(OpenCohortError::Store(error)) => Err(error),
        Err(OpenCohortError::TooEarly | OpenCohortError::UnknownCohort) => Err(gave_up()),
    }
}

/// What came of some learners.
enum Chunk {
    /// They were seen to: whether a change was applied, and how many seats stay.
    Seen { changed: bool, stays: u64 },
    /// The cohort has opened.
    Opened,
}

/// One call: what is the same throughout.
struct Changing<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    actor: Actor,
    op: Op,
    key: &'a CohortKey,
    plan: Plan,
}

impl<P: CohortPorts, C: Clock, I: IdSource> Changing<'_, P, C, I> {
    async fn chunk(
        &self,
        people: &[LearnerId],
        part: u32,
        done: &mut ChangedCohort,
    ) -> Result<Chunk, StoreError> {
        for _ in 0..ROUNDS {
            // Whoever waits by this clock has not begun, and the change says so: as of one instant.
            let now = self.clock.now();
            let standing = standing(self.ports, self.clock, self.ids, self.key, now).await?;
            let Standing::Waiting(left) = standing else { return Ok(Chunk::Opened) };
            let mut learners = self.ports.learners(&self.key.client_id, people).await?;
            learners.sort_by_key(|learner| learner.learner_id);
            let opens_at = self.key.instant;
            let waiting: Vec<(&Learner, &Seat)> = learners
                .iter()
                .filter_map(|learner| Some((learner, learner.live_seat(self.key.pool)?)))
                .filter(|(_, seat)| seat.state == SeatState::Scheduled { opens_at })
                .collect();
            let (client, actor) = (&self.key.client_id, self.actor.clone());
            let mut change = Change::new(client, self.op, actor, now);
            change.part = part;
            let (count, kept) = match &self.plan {
                Plan::Cancel(contract) => self.cancel(&mut change, contract, &waiting),
                Plan::Reschedule { ground, start_on, notify } => {
                    self.reschedule(&mut change, ground, (*start_on, *notify), &waiting)
                }
            };
            let applied = if count == 0 { Ok(()) } else { self.ports.apply(&change).await };
            match applied.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => {
                    let room = NAMED_MAX.saturating_sub(done.kept.len());
                    done.kept.extend(kept.into_iter().take(room));
                    done.changed += count;
                    done.left = left.saturating_sub(count);
                    let stays = waiting.len() as u64 - count;
                    return Ok(Chunk::Seen { changed: count > 0, stays });
                }
                // The cohort opened, or somebody was released, moved or erased meanwhile.
                Err(Met::Raced(_) | Met::NoSeats) => {}
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    /// So many seats leave the cohort with this change.
    fn leave(&self, change: &mut Change, count: u64) {
        change.receipt = json!({"changed": count});
        change.step(Step::LeaveCohort { key: self.key.clone(), count });
    }

    fn cancel(
        &self,
        change: &mut Change,
        contract: &Contract,
        waiting: &[(&Learner, &Seat)],
    ) -> (u64, Vec<Kept>) {
        let pool = self.key.pool;
        let (mut moved, mut count, mut kept) = (Delta::default(), 0, Vec::new());
        // The trail tells apart what gave the seats that return.
        let mut by_source: BTreeMap<Option<String>, (Delta, Vec<LearnerId>)> = BTreeMap::new();
        for (learner, seat) in waiting {
            if renews(learner, seat) {
                kept.push(Kept { learner: (*learner).clone(), why: Why::Renews });
                continue;
            }
            let (delta, seat, op) = released(change, contract, seat);
            moved = moved.and(delta);
            count += 1;
            let learner_id = learner.learner_id;
            let given = by_source.entry(seat.source.id.clone()).or_default();
            given.0 = given.0.and(delta);
            given.1.push(learner_id);
            change.step(Step::ReleaseSeat {
                learner_id,
                pool,
                op,
                seat,
                untouched_since: None,
                beside: None,
            });
        }
        for (source, (delta, who)) in by_source {
            change.audit(pool, delta, Action::SeatReleased, &who, source);
        }
        change.step(Step::MovePool { pool, delta: moved });
        self.leave(change, count);
        (count, kept)
    }

    fn reschedule(
        &self,
        change: &mut Change,
        ground: &Ground,
        (start_on, notify): (Date, bool),
        waiting: &[(&Learner, &Seat)],
    ) -> (u64, Vec<Kept>) {
        let pool = self.key.pool;
        let (mut who, mut kept, mut opens) = (Vec::new(), Vec::new(), None);
        for (learner, seat) in waiting {
            let days = (start_on, Amend::Keep);
            match on_another_day(change, ground, (seat, self.key.instant), days) {
                // It is that day already.
                Ok(None) => {}
                Err(error) => {
                    kept.push(Kept { learner: (*learner).clone(), why: Why::Term(error) });
                }
                Ok(Some((when, moved))) => {
                    let learner_id = learner.learner_id;
                    opens = Some(when);
                    who.push(learner_id);
                    let profile = Box::<ProfileChange>::default();
                    let (op, seen_end) = (seat.op, seat.ends_at);
                    let seats = vec![SeatChange { pool, op, seen_end, seat: moved }];
                    change.step(Step::ChangeLearner { learner_id, profile, seats });
                    if notify {
                        let letter = Letter::AccessOpened;
                        let mail = seat_mail(change, ground, learner_id, letter, when);
                        // Somebody may move the seat back before this operation is tried again.
                        let key = format!("{}#{}", mail.key, op.simple());
                        change.step(Step::Mail(MailIntent { key, ..mail }));
                    }
                }
            }
        }
        let count = who.len() as u64;
        let before = local_date(self.key.instant, ground.client.time_zone.zone());
        let days = (Some(before.to_string()), Some(start_on.to_string()));
        match opens {
            None => {}
            Some(Opening::Now) => {
                let delta = Delta::taken_up(i64::try_from(count).unwrap_or(i64::MAX));
                change.step(Step::MovePool { pool, delta });
                change.audit_shift(pool, delta, Action::SeatRescheduled, &who, days);
            }
            Some(Opening::Later { start_on, instant }) => {
                let key = cohort_key(ground, instant);
                change.step(Step::JoinCohort { key, start_on, count });
                change.audit_shift(pool, Delta::default(), Action::SeatRescheduled, &who, days);
            }
        }
        self.leave(change, count);
        (count, kept)
    }
}

/// Whether a seat was promised in place of one of another contract that its learner still has.
fn renews(learner: &Learner, seat: &Seat) -> bool {
    let Some(from) = seat.carried_from else { return false };
    let of_it = |other: &&Seat| other.op == from || other.carried_from == Some(from);
    learner
        .seats
        .values()
        .filter(|other| other.is_live() && *other != seat)
        .any(|other| of_it(&other))
}
