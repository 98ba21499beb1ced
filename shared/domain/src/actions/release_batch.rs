//! Releasing everyone a batch of codes let in: a code got into the wrong hands.
//!
//! Learners are taken in the order of the batch's list, many to a change. A seat that is no longer
//! the one that the batch gave stays: it was released, or given in another way since.

use jiff::Timestamp;
use serde_json::json;

use crate::actions::release_seat::{ReleaseSeatError, release_seat, released};
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::code::Batch;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId};
use crate::learner::{Learner, SeatState};
use crate::ports::{Clock, CodeBook, IdSource, Ledger, PageRequest, People};
use crate::stock::Delta;

/// Learners of one change: their seats, the pool, the trail, and the idempotency guard.
const CHUNK: u16 = 90;

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
        let given = release.chunk(&people, part).await?;
        if given.as_part {
            part += 1;
        }
        done += given.released;
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

/// What came of a chunk.
#[derive(Default)]
struct Given {
    released: u64,
    /// Whether it was a part of the operation, with a receipt.
    as_part: bool,
}

impl<P: Ledger + People, C: Clock, I: IdSource> Release<'_, P, C, I> {
    async fn chunk(&self, people: &[LearnerId], part: u32) -> Result<Given, StoreError> {
        for _ in 0..ROUNDS {
            let learners = self.ports.learners(self.client, people).await?;
            let theirs: Vec<&Learner> =
                learners.iter().filter(|learner| self.let_in(learner)).collect();
            let (open, waiting): (Vec<&Learner>, Vec<&Learner>) =
                theirs.into_iter().partition(|learner| self.is_open(learner));
            // A seat that waits for its day leaves its cohort: each by itself, and there are few.
            let alone = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
            for learner in waiting {
                self.alone(learner.learner_id).await?;
            }
            if open.is_empty() {
                return Ok(Given { released: alone, as_part: false });
            }
            let change = self.plan(&open, part);
            let together = u64::try_from(open.len()).unwrap_or(u64::MAX);
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => {
                    return Ok(Given { released: alone + together, as_part: true });
                }
                Err(Met::NoSeats) => {}
                Err(Met::Raced(place)) => {
                    settle_blocks(self.ports, self.clock, self.ids, &change, place).await?;
                }
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    /// Whether the learner's seat is still the one that this batch gave.
    fn let_in(&self, learner: &Learner) -> bool {
        let seat = learner.live_seat(self.batch.pool());
        seat.is_some_and(|seat| seat.source.id == Some(self.batch.batch_id.to_string()))
    }

    fn is_open(&self, learner: &Learner) -> bool {
        let seat = learner.live_seat(self.batch.pool());
        seat.is_some_and(|seat| matches!(seat.state, SeatState::Active { .. }))
    }

    async fn alone(&self, learner: LearnerId) -> Result<(), StoreError> {
        // Found released by a later attempt, it is not released again.
        let op = Op { id: self.ids.uuid(), guard: None };
        let place = (self.client, self.contract);
        let (ports, clock, ids, pool) = (self.ports, self.clock, self.ids, self.batch.pool());
        let actor = self.actor.clone();
        match release_seat(ports, clock, ids, actor, op, place, learner, pool).await {
            Ok(_) | Err(ReleaseSeatError::NoSeat | ReleaseSeatError::Erased) => Ok(()),
            Err(ReleaseSeatError::Store(error)) => Err(error),
        }
    }

    fn plan(&self, learners: &[&Learner], part: u32) -> Change {
        let pool = self.batch.pool();
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.clock.now());
        change.part = part;
        change.receipt = json!({"released": learners.len()});
        let mut delta = Delta::default();
        for learner in learners {
            let Some(seat) = learner.live_seat(pool) else { continue };
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
        change
    }
}
