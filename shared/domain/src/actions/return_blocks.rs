//! Giving back blocks that were forgotten: seats set aside for an import or a batch of codes that
//! has ended, or does not exist.
//!
//! Whoever ends an import or a batch closes its blocks in the same change, and whoever sets seats
//! aside writes the owner first. So there is no such block, unless something went wrong that nobody
//! thought of; then its seats are not lost.

use std::collections::BTreeMap;

use crate::actions::{Met, met};
use crate::audit::{Action, Actor};
use crate::change::{Block, Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, ImportId, PoolId};
use crate::import_run::ImportStatus;
use crate::ports::{Clock, CodeBook, IdSource, ImportLog, Ledger};
use crate::stock::Delta;

/// Most owners of blocks that are looked at in one pool at a time.
const OWNERS: usize = 100;

/// Gives back the forgotten blocks of a pool; says whose they were. Of a pool with very many open
/// blocks it looks at some, and `turn` says which: another number, others.
pub async fn return_forgotten_blocks(
    ports: &(impl Ledger + CodeBook + ImportLog),
    clock: &impl Clock,
    ids: &impl IdSource,
    client: &ClientId,
    pool: PoolId,
    turn: usize,
) -> Result<Vec<String>, StoreError> {
    let mut owners: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    for block in ports.blocks(client, pool).await? {
        owners.entry(block.key.owner.clone()).or_default().push(block);
    }
    let turns = owners.len().div_ceil(OWNERS).max(1);
    let some = owners.into_iter().skip(turn % turns * OWNERS).take(OWNERS);
    let mut returned = Vec::new();
    for (owner, blocks) in some {
        if is_over(ports, client, &owner).await?
            && give_back(ports, clock, ids, client, pool, &owner, blocks).await?
        {
            returned.push(owner);
        }
    }
    Ok(returned)
}

/// Whether the owner of a block has ended, or is not there. It is read after the block: an end that
/// comes in between has removed the block, and then giving it back is refused.
async fn is_over(
    ports: &(impl CodeBook + ImportLog),
    client: &ClientId,
    owner: &str,
) -> Result<bool, StoreError> {
    if let Ok(import) = owner.parse::<ImportId>() {
        let run = ports.import(client, import).await?;
        return Ok(run.is_none_or(|run| match run.status {
            ImportStatus::Rejected
            | ImportStatus::Completed
            | ImportStatus::Refused
            | ImportStatus::Cancelled
            | ImportStatus::Undone
            | ImportStatus::PartlyUndone => true,
            ImportStatus::Created
            | ImportStatus::Checking
            | ImportStatus::Checked
            | ImportStatus::Committing
            | ImportStatus::Undoing => false,
        }));
    }
    if let Ok(batch) = owner.parse::<BatchId>() {
        let batch = ports.batch(client, batch).await?;
        // One that was only just revoked is settled by itself, with what its blocks had given.
        return Ok(batch.is_none_or(|batch| batch.steering.returned));
    }
    // Of something this version does not know.
    Ok(false)
}

/// Closes all blocks of an owner as they were seen; `false` if one has changed.
async fn give_back(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    client: &ClientId,
    pool: PoolId,
    owner: &str,
    blocks: Vec<Block>,
) -> Result<bool, StoreError> {
    let op = Op { id: ids.uuid(), guard: None };
    let mut change = Change::new(client, op, Actor::System, clock.now());
    let (mut delta, mut told) = (Delta::default(), Delta::default());
    for block in blocks {
        delta = delta.and(block.closing());
        told = told.and(block.returned());
        change.step(Step::CloseBlock(block));
    }
    change.step(Step::MovePool { pool, delta });
    change.audit(pool, told, Action::ReserveReturned, &[], Some(owner.to_owned()));
    let Err(refused) = ports.apply(&change).await else { return Ok(true) };
    match met(&change, refused) {
        Met::Repeated => Ok(true),
        Met::Raced(_) | Met::NoSeats => Ok(false),
        Met::Failed(error) => Err(error),
    }
}
