//! Seats set aside for a batch of codes: taken out of the pool, more, fewer, given back. Each plans
//! steps of a change; none of them asks whether it may.

use crate::audit::Action;
use crate::change::{Block, BlockKey, Change, Step, StoreError};
use crate::code::{Batch, shards};
use crate::ids::ClientId;
use crate::ports::Ledger;
use crate::stock::Delta;

/// Most shards that more seats are put into at once: each of them may be busy with redemptions, and
/// all of them have to be free at the same moment.
const RESIZED_MAX: usize = 8;

/// The open blocks of a batch.
pub(super) async fn blocks_of(
    ports: &impl Ledger,
    client: &ClientId,
    batch: &Batch,
) -> Result<Vec<Block>, StoreError> {
    let owner = batch.batch_id.to_string();
    let mut blocks = ports.blocks(client, batch.pool()).await?;
    blocks.retain(|block| block.key.owner == owner);
    Ok(blocks)
}

/// Takes the batch's seats out of the pool into its shards, about as many into each; none of them
/// is open.
pub(super) fn hold(change: &mut Change, batch: &Batch) {
    let seats = batch.block_size();
    take(change, batch, seats);
    open(change, batch, 0, seats);
}

/// Takes more seats out of the pool. They go into new shards where the batch is to have more of
/// them, for nobody uses those; else into its emptiest ones.
pub(super) fn grow(change: &mut Change, batch: &mut Batch, blocks: &[Block], seats: u64) {
    take(change, batch, seats);
    let left: u64 = blocks.iter().map(|block| block.rem).sum();
    let (known, wanted) = (batch.steering.shards, shards(left + seats));
    if wanted > known {
        batch.steering.shards = wanted;
        open(change, batch, known, seats);
        return;
    }
    let mut emptiest: Vec<&Block> = blocks.iter().collect();
    emptiest.sort_by_key(|block| block.rem);
    emptiest.truncate(usize::from(shards(seats)).min(RESIZED_MAX));
    let parts = split(seats, emptiest.len());
    for (block, part) in emptiest.into_iter().zip(parts) {
        change.step(Step::ResizeBlock { key: block.key.clone(), by: signed(part) });
    }
}

/// Gives seats back to the pool, out of the fullest blocks; `false` if they do not have so many.
pub(super) fn shrink(change: &mut Change, batch: &Batch, blocks: &[Block], seats: u64) -> bool {
    let mut fullest: Vec<&Block> = blocks.iter().collect();
    fullest.sort_by_key(|block| std::cmp::Reverse(block.rem));
    let owner = Some(batch.batch_id.to_string());
    let action = Action::ReserveReturned;
    change.move_seats(batch.pool(), Delta::let_go(signed(seats)), action, &[], owner);
    let mut left = seats;
    for block in fullest {
        let part = left.min(block.rem);
        if part > 0 {
            change.step(Step::ResizeBlock { key: block.key.clone(), by: -signed(part) });
        }
        left -= part;
    }
    left == 0
}

/// Closes the batch's blocks as they stand; what they have left goes back. Returns how many seats
/// they had given.
pub(super) fn close(change: &mut Change, batch: &Batch, blocks: Vec<Block>) -> u64 {
    let (mut delta, mut told, mut given) = (Delta::default(), Delta::default(), 0);
    for block in blocks {
        delta = delta.and(block.closing());
        told = told.and(block.returned());
        given += block.gave();
        change.step(Step::CloseBlock(block));
    }
    if !delta.is_nothing() {
        let pool = batch.pool();
        change.step(Step::MovePool { pool, delta });
        let owner = Some(batch.batch_id.to_string());
        change.audit(pool, told, Action::ReserveReturned, &[], owner);
    }
    given
}

fn take(change: &mut Change, batch: &Batch, seats: u64) {
    let owner = Some(batch.batch_id.to_string());
    let delta = Delta::held(signed(seats));
    change.move_seats(batch.pool(), delta, Action::SeatsReserved, &[], owner);
}

/// Opens the shards from `first` on, with these seats between them.
fn open(change: &mut Change, batch: &Batch, first: u16, seats: u64) {
    let numbers = first..batch.steering.shards;
    let parts = split(seats, numbers.len());
    for (shard, size) in numbers.zip(parts) {
        let owner = batch.batch_id.to_string();
        let key = BlockKey { pool: batch.pool(), owner, shard };
        change.step(Step::OpenBlock { key, size, epoch: batch.steering.epoch });
    }
}

/// So many parts of about the same size.
fn split(seats: u64, parts: usize) -> impl Iterator<Item = u64> {
    let parts = u64::try_from(parts).unwrap_or(1).max(1);
    let (each, rest) = (seats / parts, seats % parts);
    (0..parts).map(move |part| each + u64::from(part < rest))
}

fn signed(seats: u64) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}
