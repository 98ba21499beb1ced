//! Releasing everyone a batch of codes let in: a code got into the wrong hands.
//!
//! Learners are taken in the order of the batch's list, many to a change. A seat that is no longer
//! the one that the batch gave stays: it was released, or given in another way since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use crate::actions::open_cohort::{Standing, stand};
use crate::actions::release_seat::released;
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::code::Batch;
use crate::cohort::CohortKey;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId};
use crate::learner::{Learner, Seat};
use crate::ports::{Clock, CodeBook, IdSource, Ledger, PageRequest, People};
use crate::stock::Delta;

/// Learners of one reading.
const CHUNK: u16 = 90;

/// Steps of one change for their seats and cohorts; beside them stand the pool, the trail, and the
/// idempotency guard.
const STEPS: usize = 96;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedBatch {
    /// Seats released by this call.
    pub released: u64,
    /// Whether that was everyone; else time ran out, and the next call goes on.
    pub complete: bool,
}

/// Releases the seats of everyone a batch let in, until `until` at most.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn release_batch(
    ports: &(impl Ledger + People + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    actor: Actor,
    op: Op,
    (client, contract): (&ClientId, &Contract),
    batch: &Batch,
    until: Timestamp,
) -> Result<ReleasedBatch, StoreError> {
    let counted = |receipt: &serde_json::Value| receipt.get("released")?.as_u64();
    let receipts = ports.receipts(&op).await?;
    let mut done: u64 = receipts.iter().filter_map(counted).sum();
    let mut part = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    let mut page = PageRequest { limit: CHUNK, cursor: None };
    let release = Release { ports, clock, ids, actor, op, client, contract, batch };
    loop {
        let found = ports.redemptions(client, batch.batch_id, &page).await?;
        let people: Vec<_> = found.items.iter().map(|one| one.learner_id).collect();
        done += release.chunk(&people, &mut part).await?;
        match found.next {
            None => return Ok(ReleasedBatch { released: done, complete: true }),
            Some(_) if clock.now() >= until => {
                return Ok(ReleasedBatch { released: done, complete: false });
            }
            next => page.cursor = next,
        }
    }
}

/// One attempt: what is the same throughout.
struct Release<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    actor: Actor,
    op: Op,
    client: &'a ClientId,
    contract: &'a Contract,
    batch: &'a Batch,
}

impl<P: Ledger + People, C: Clock, I: IdSource> Release<'_, P, C, I> {
    /// Releases what the batch gave to these people; how many seats that were. Each change is a part of the
    /// operation, with a receipt.
    async fn chunk(&self, people: &[LearnerId], part: &mut u32) -> Result<u64, StoreError> {
        let mut done = 0;
        let mut lost = 0;
        while lost < ROUNDS {
            let learners = self.ports.learners(self.client, people).await?;
            let theirs: Vec<&Learner> =
                learners.iter().filter(|learner| self.let_in(learner)).collect();
            let (now, instants) = self.fitting(&theirs);
            if now.is_empty() {
                return Ok(done);
            }
            let place = (self.client, self.batch.pool());
            let standing = stand(self.ports, self.clock, self.ids, place, &instants).await?;
            let change = self.plan(now, &standing, *part);
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => {
                    *part += 1;
                    done += u64::try_from(now.len()).unwrap_or(u64::MAX);
                    if now.len() == theirs.len() {
                        return Ok(done);
                    }
                }
                Err(Met::NoSeats) => lost += 1,
                Err(Met::Raced(place)) => {
                    settle_blocks(self.ports, self.clock, self.ids, &change, place).await?;
                    lost += 1;
                }
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    /// As many of these people as one change takes, with the instants that their seats wait for: a cohort
    /// that is left is a step, too.
    fn fitting<'a>(&self, people: &'a [&'a Learner]) -> (&'a [&'a Learner], BTreeSet<Timestamp>) {
        let mut instants = BTreeSet::new();
        for (count, learner) in people.iter().enumerate() {
            let waits = learner.live_seat(self.batch.pool()).and_then(Seat::waits_for);
            let more = waits.filter(|instant| !instants.contains(instant));
            if count + 1 + instants.len() + usize::from(more.is_some()) > STEPS {
                return (&people[..count], instants);
            }
            instants.extend(more);
        }
        (people, instants)
    }

    /// Whether the learner's seat is still the one that this batch gave.
    fn let_in(&self, learner: &Learner) -> bool {
        let seat = learner.live_seat(self.batch.pool());
        seat.is_some_and(|seat| seat.source.id == Some(self.batch.batch_id.to_string()))
    }

    fn plan(&self, learners: &[&Learner], standing: &Standing, part: u32) -> Change {
        let pool = self.batch.pool();
        let mut change = Change::new(self.client, self.op, self.actor.clone(), standing.at);
        change.part = part;
        change.receipt = json!({"released": learners.len()});
        let mut delta = Delta::default();
        let mut waiting: BTreeMap<Timestamp, u64> = BTreeMap::new();
        for learner in learners {
            let Some(seat) = learner.live_seat(pool) else { continue };
            if let Some(instant) = seat.waits_for() {
                *waiting.entry(instant).or_default() += 1;
            }
            let (moved, seat, given_by) = released(&change, self.contract, seat);
            delta = delta.and(moved);
            let learner_id = learner.learner_id;
            change.step(Step::ReleaseSeat {
                learner_id,
                pool,
                op: given_by,
                seat,
                untouched_since: None,
                beside: None,
            });
        }
        let who: Vec<LearnerId> = learners.iter().map(|learner| learner.learner_id).collect();
        let reason = Some(self.batch.batch_id.to_string());
        change.move_seats(pool, delta, Action::SeatReleased, &who, reason);
        for (instant, count) in waiting {
            let key = CohortKey { client_id: self.client.clone(), pool, instant };
            change.step(standing.leave(key, count));
        }
        change
    }
}
