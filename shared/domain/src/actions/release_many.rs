//! Releasing the seats of many, as those of everyone whom a batch of codes or an import let in.
//!
//! A change takes as many as fit. Each is a part of the operation with a receipt of its own, so that a
//! call that is made again counts what it did before and finds the rest. A seat that is no longer the
//! one that let its learner in stays: it was released, or given in another way since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::actions::open_cohort::{Standing, stand};
use crate::actions::release_seat::released;
use crate::actions::seating::close;
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, STEPS_MAX, Step, StoreError};
use crate::cohort::CohortKey;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId, PoolId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Learner, Seat};
use crate::ports::{Clock, IdSource, Ledger, People};
use crate::stock::Delta;

/// How many people are looked at together: about as many as fit into a change.
pub(super) const CHUNK: usize = 90;

/// Somebody who was let in, with the source that the seat of that has.
pub(super) type LetIn = (LearnerId, String);

/// An invitation that still waits, with the learner whom it would let in.
pub(super) type Waiting = (Invitation, LearnerId);

/// One call: what is the same throughout.
pub(super) struct ReleaseMany<'a, P, C, I> {
    pub(super) ports: &'a P,
    pub(super) clock: &'a C,
    pub(super) ids: &'a I,
    pub(super) actor: Actor,
    pub(super) op: Op,
    pub(super) client: &'a ClientId,
    pub(super) contract: &'a Contract,
    pub(super) pool: PoolId,
    /// The batch or import, as the trail names it where invitations are cancelled.
    pub(super) of: String,
}

/// How far the operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Seats released.
    pub(super) released: u64,
    /// Invitations cancelled.
    pub(super) cancelled: u64,
    /// Changes applied.
    pub(super) parts: u32,
}

/// How an attempt at some people went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// Nobody of them is left.
    Through,
    /// They did not all fit into one change.
    On,
    /// Something changed meanwhile: look again.
    Raced,
}

/// What goes into one change.
#[derive(Default)]
struct Load<'a> {
    seats: Vec<(&'a Learner, &'a Seat)>,
    waiting: Vec<&'a Waiting>,
    /// What gave the seats: the trail tells it apart.
    sources: BTreeSet<Option<&'a str>>,
    /// The instants of cohorts that seats wait for, or waited.
    instants: BTreeSet<Timestamp>,
}

impl<'a> Load<'a> {
    /// Steps of the change; one moves the pool.
    fn steps(&self) -> usize {
        let cancels = usize::from(!self.waiting.is_empty());
        let parts = [self.seats.len(), self.sources.len(), self.instants.len()];
        1 + parts.iter().sum::<usize>() + self.waiting.len() + cancels
    }

    /// Whether three more steps fit, which is the most that one more of them takes.
    fn has_room(&self) -> bool {
        self.steps() + 3 <= STEPS_MAX
    }

    fn add(&mut self, learner: &'a Learner, seat: &'a Seat) {
        self.seats.push((learner, seat));
        self.sources.insert(seat.source.id.as_deref());
        self.instants.extend(seat.waits_for());
    }
}

impl<P: Ledger + People, C: Clock, I: IdSource> ReleaseMany<'_, P, C, I> {
    /// What the operation did in calls before.
    pub(super) async fn before(&self) -> Result<Progress, StoreError> {
        let receipts = self.ports.receipts(&self.op).await?;
        let sum =
            |name: &str| receipts.iter().filter_map(|one: &Value| one.get(name)?.as_u64()).sum();
        let parts = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
        Ok(Progress { released: sum("released"), cancelled: sum("cancelled"), parts })
    }

    /// One change for those of these people who still have the seat that let them in, and for the
    /// invitations that wait.
    pub(super) async fn attempt(
        &self,
        people: &[LetIn],
        waiting: &[Waiting],
        progress: &mut Progress,
    ) -> Result<Went, StoreError> {
        let ways: BTreeSet<(LearnerId, &str)> =
            people.iter().map(|(learner_id, source)| (*learner_id, source.as_str())).collect();
        // Each of them once: a batch of reads refuses repeated keys.
        let ids: BTreeSet<LearnerId> = ways.iter().map(|(learner_id, _)| *learner_id).collect();
        let ids: Vec<LearnerId> = ids.into_iter().collect();
        let learners = self.ports.learners(self.client, &ids).await?;
        let mut load = Load::default();
        let mut went = Went::Through;
        for learner in &learners {
            let seat = learner.live_seat(self.pool);
            let let_in = |seat: &&Seat| {
                let source = seat.source.id.as_deref();
                source.is_some_and(|source| ways.contains(&(learner.learner_id, source)))
            };
            let Some(seat) = seat.filter(let_in) else { continue };
            if load.has_room() {
                load.add(learner, seat);
            } else {
                went = Went::On;
            }
        }
        for invitation in waiting {
            if load.has_room() {
                load.waiting.push(invitation);
            } else {
                went = Went::On;
            }
        }
        if load.seats.is_empty() && load.waiting.is_empty() {
            return Ok(Went::Through);
        }
        let place = (self.client, self.pool);
        let standing = stand(self.ports, self.clock, self.ids, place, &load.instants).await?;
        let change = self.plan(&load, &standing, progress.parts);
        match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => {
                progress.released += load.seats.len() as u64;
                progress.cancelled += load.waiting.len() as u64;
                progress.parts += 1;
                Ok(went)
            }
            Err(Met::NoSeats) => Ok(Went::Raced),
            Err(Met::Raced(place)) => {
                settle_blocks(self.ports, self.clock, self.ids, &change, place).await?;
                Ok(Went::Raced)
            }
            Err(Met::Failed(error)) => Err(error),
        }
    }

    fn plan(&self, load: &Load<'_>, standing: &Standing, part: u32) -> Change {
        let pool = self.pool;
        let mut change = Change::new(self.client, self.op, self.actor.clone(), standing.at);
        change.part = part;
        change.receipt = json!({"released": load.seats.len(), "cancelled": load.waiting.len()});
        let mut moved = Delta::default();
        let mut by_source: BTreeMap<Option<&str>, (Delta, Vec<LearnerId>)> = BTreeMap::new();
        let mut leaving: BTreeMap<Timestamp, u64> = BTreeMap::new();
        for (learner, seat) in &load.seats {
            let learner_id = learner.learner_id;
            let (delta, gone, given_by) = released(&change, self.contract, seat);
            moved = moved.and(delta);
            let given = by_source.entry(seat.source.id.as_deref()).or_default();
            given.0 = given.0.and(delta);
            given.1.push(learner_id);
            if let Some(instant) = seat.waits_for() {
                *leaving.entry(instant).or_default() += 1;
            }
            change.step(Step::ReleaseSeat {
                learner_id,
                pool,
                op: given_by,
                seat: gone,
                untouched_since: None,
                beside: None,
            });
        }
        for (source, (delta, who)) in by_source {
            let source = source.map(str::to_owned);
            change.audit(pool, delta, Action::SeatReleased, &who, source);
        }
        for (instant, count) in leaving {
            let key = CohortKey { client_id: self.client.clone(), pool, instant };
            change.step(standing.leave(key, count));
        }
        moved = moved.and(self.cancel(&mut change, &load.waiting));
        if !moved.is_nothing() {
            change.step(Step::MovePool { pool, delta: moved });
        }
        change
    }

    /// Cancels invitations, and says what they held.
    fn cancel(&self, change: &mut Change, waiting: &[&Waiting]) -> Delta {
        if waiting.is_empty() {
            return Delta::default();
        }
        let (mut delta, mut who) = (Delta::default(), Vec::new());
        for (invitation, learner_id) in waiting {
            close(change, invitation, InvitationStatus::Cancelled);
            if invitation.holds_seat {
                delta = delta.and(Delta::let_go(1));
            }
            who.push(*learner_id);
        }
        let of = Some(self.of.clone());
        change.audit(self.pool, delta, Action::InvitationCancelled, &who, of);
        delta
    }
}
