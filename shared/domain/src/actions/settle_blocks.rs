//! Taking over what open blocks gave away into the pool's own counters.
//!
//! A seat that came out of a block is counted by the block as long as that is open: the pool's own
//! item is left alone, so that thousands can redeem at once. Releasing such a seat takes one off the
//! pool's used seats, and there may be none yet. Then, and only then, the block's are moved over.

use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ports::{Clock, IdSource, Ledger};
use crate::stock::Delta;

/// Most blocks that are settled at once: each may be busy with redemptions, and all of them have to
/// be free at the same moment.
const SETTLED_MAX: usize = 8;

/// After the refusal of a change that takes used seats out of a pool: lets the pool have the used
/// seats it lacks from its open blocks, those first that gave most. The stock that the pool shows
/// stays the same, so the trail has nothing to tell. If the change was refused for another reason,
/// nothing happens.
pub(super) async fn settle_blocks(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    refused: &Change,
    place: usize,
) -> Result<(), StoreError> {
    let Some(Step::MovePool { pool, delta }) = refused.steps.get(place) else { return Ok(()) };
    let Ok(lacking) = u64::try_from(-delta.used) else { return Ok(()) };
    let mut blocks = ports.blocks(&refused.client_id, *pool).await?;
    blocks.retain(|block| block.used > 0);
    blocks.sort_by_key(|block| std::cmp::Reverse(block.used));
    let op = Op { id: ids.uuid(), guard: None };
    let mut change = Change::new(&refused.client_id, op, Actor::System, clock.now());
    let mut seats = 0;
    for block in blocks.into_iter().take(SETTLED_MAX) {
        if seats >= lacking {
            break;
        }
        seats += block.used;
        change.step(Step::SettleBlock { key: block.key, used: block.used });
    }
    if seats == 0 {
        return Ok(());
    }
    let seats = i64::try_from(seats).unwrap_or(i64::MAX);
    change.step(Step::MovePool { pool: *pool, delta: Delta::taken_up(seats) });
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        // Somebody else did, or a block was closed, which comes to the same.
        Met::Repeated | Met::NoSeats | Met::Raced(_) => Ok(()),
        Met::Failed(error) => Err(error),
    }
}
