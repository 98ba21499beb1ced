//! Releasing everyone a batch of codes let in: a code got into the wrong hands.
//!
//! Learners are taken in the order of the batch's list, many to a change. A seat that is no longer
//! the one that the batch gave stays: it was released, or given in another way since.

use jiff::Timestamp;

use crate::actions::release_many::{CHUNK, ReleaseMany, Went};
use crate::actions::{ROUNDS, gave_up};
use crate::audit::Actor;
use crate::change::StoreError;
use crate::code::Batch;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::ClientId;
use crate::ports::{Clock, CodeBook, IdSource, Ledger, PageRequest, People};

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
    let pool = batch.pool();
    let of = batch.batch_id.to_string();
    let release = ReleaseMany { ports, clock, ids, actor, op, client, contract, pool, of };
    let mut progress = release.before().await?;
    let limit = u16::try_from(CHUNK).unwrap_or(u16::MAX);
    let mut page = PageRequest { limit, cursor: None };
    loop {
        let found = ports.redemptions(client, batch.batch_id, &page).await?;
        let people: Vec<_> =
            found.items.iter().map(|one| (one.learner_id, release.of.clone())).collect();
        let mut raced = 0;
        loop {
            match release.attempt(&people, &[], &mut progress).await? {
                Went::Through => break,
                Went::On => raced = 0,
                Went::Raced => raced += 1,
            }
            if raced == ROUNDS {
                return Err(gave_up());
            }
        }
        let released = progress.released;
        match found.next {
            None => return Ok(ReleasedBatch { released, complete: true }),
            Some(_) if clock.now() >= until => {
                return Ok(ReleasedBatch { released, complete: false });
            }
            next => page.cursor = next,
        }
    }
}
