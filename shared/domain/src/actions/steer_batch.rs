//! Steering a batch of codes: pause, resume, extend, more or fewer redemptions, revoke.
//!
//! The batch's own item says what holds, and every redemption reads it. Redemptions that draw on the
//! pool itself count at that item, so none passes that was planned before. Those that draw on the
//! batch's block do not touch it; a batch that lets in less than before therefore moves to the next
//! epoch, and its shards are fenced after it, one by one. A redemption that meets a shard of another
//! epoch looks at the batch again, and brings up a shard that was left behind.

use jiff::Timestamp;

use crate::actions::issue_codes::{Moment, steered};
use crate::actions::{Met, gave_up, met, set_aside};
use crate::amend::Amend;
use crate::audit::{Action, Actor};
use crate::change::{Block, Change, Refused, Step, StoreError};
use crate::code::{Batch, BatchState, CodeKind};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId};
use crate::ports::{Catalog, Clock, CodeBook, Ledger};
use crate::role::Caller;
use crate::stock::{Delta, Stock};

/// Times a change of terms starts over: a popular code's redemptions come in between.
const ROUNDS: u32 = 16;

/// The states a batch can be steered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Its codes can be redeemed.
    Active,
    /// Not for the moment.
    Paused,
    /// Never again; what it had set aside goes back, what was redeemed stays.
    Revoked,
}

/// The command.
#[derive(Debug, Clone)]
pub struct SteerBatch {
    /// Whose.
    pub client_id: ClientId,
    /// Which.
    pub batch_id: BatchId,
    /// The state, if it changes.
    pub state: Option<Target>,
    /// Until when codes can be redeemed.
    pub valid_until: Amend<Moment>,
    /// How many redemptions a registration code allows.
    pub max_redemptions: Amend<u32>,
}

/// A batch as it is now.
#[derive(Debug, Clone)]
pub struct BatchNow {
    /// The batch.
    pub batch: Batch,
    /// How many redemptions there were.
    pub redeemed: u64,
    /// The pool's stock.
    pub stock: Stock,
}

/// Why a batch was not steered.
#[derive(Debug, thiserror::Error)]
pub enum SteerBatchError {
    /// There is no such batch.
    #[error("no such batch")]
    NotFound,
    /// It was revoked.
    #[error("the batch was revoked")]
    Revoked,
    /// The window ends before it begins, or is over.
    #[error("the window is empty or over")]
    EmptyWindow,
    /// Redemption codes are for one learner each.
    #[error("a redemption code has no maximum")]
    NoMaximum,
    /// Guaranteed seats are so and so many.
    #[error("guaranteed seats need a maximum")]
    MaximumNeeded,
    /// More were redeemed already.
    #[error("more were redeemed already")]
    BelowRedeemed,
    /// Too few seats are left for what is to be set aside.
    #[error("no seats left")]
    NoSeatsLeft,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Steers a batch. What it asks for may be so already.
pub async fn steer_batch(
    ports: &(impl Ledger + Catalog + CodeBook),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    command: &SteerBatch,
) -> Result<BatchNow, SteerBatchError> {
    let client = &command.client_id;
    let actor = Actor::Caller(caller.subject.clone());
    for _ in 0..ROUNDS {
        let now = clock.now();
        let batch = known(ports, client, command.batch_id).await?;
        let to = amended(ports, command, &batch, now).await?;
        if to != batch {
            let blocks = set_aside::blocks_of(ports, client, &batch).await?;
            let mut change = Change::new(client, op, actor.clone(), now);
            plan(&mut change, &batch, to, &blocks)?;
            match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => {}
                Err(Met::NoSeats) => return Err(SteerBatchError::NoSeatsLeft),
                Err(Met::Raced(_)) => continue,
                Err(Met::Failed(error)) => return Err(error.into()),
            }
        }
        settle(ports, actor, op, client, command.batch_id, now).await?;
        return Ok(batch_now(ports, client, command.batch_id).await?);
    }
    Err(gave_up().into())
}

async fn known(
    ports: &impl CodeBook,
    client: &ClientId,
    batch: BatchId,
) -> Result<Batch, SteerBatchError> {
    let batch = ports.batch(client, batch).await?;
    batch.filter(|batch| batch.state != BatchState::Issuing).ok_or(SteerBatchError::NotFound)
}

/// A batch with what its blocks count, and its pool's stock.
pub async fn batch_now(
    ports: &(impl Ledger + CodeBook),
    client: &ClientId,
    batch: BatchId,
) -> Result<BatchNow, StoreError> {
    let missing = || StoreError::Broken("a batch or its pool is not there".to_owned());
    let batch = ports.batch(client, batch).await?.ok_or_else(missing)?;
    let blocks = ports.blocks(client, batch.pool()).await?;
    let stock = ports.stock(client, batch.pool()).await?.ok_or_else(missing)?;
    Ok(BatchNow { redeemed: batch.redeemed_with(&blocks), batch, stock })
}

/// The batch on the terms asked for.
async fn amended(
    ports: &impl Catalog,
    command: &SteerBatch,
    batch: &Batch,
    now: Timestamp,
) -> Result<Batch, SteerBatchError> {
    let mut to = batch.clone();
    match command.valid_until {
        Amend::Keep => {}
        Amend::Clear => to.valid_until = None,
        Amend::Set(moment) => {
            let client = ports.client(&command.client_id).await?;
            let client = client.ok_or(SteerBatchError::NotFound)?;
            let until = moment.ends(client.time_zone.zone());
            if until <= batch.valid_from.unwrap_or(now).max(now) {
                return Err(SteerBatchError::EmptyWindow);
            }
            to.valid_until = Some(until);
        }
    }
    match command.max_redemptions {
        Amend::Keep => {}
        _ if batch.kind == CodeKind::Redemption => return Err(SteerBatchError::NoMaximum),
        Amend::Clear if batch.guaranteed => return Err(SteerBatchError::MaximumNeeded),
        Amend::Clear => to.max_redemptions = None,
        Amend::Set(max) => to.max_redemptions = Some(max),
    }
    to.state = match command.state {
        None => batch.state,
        Some(Target::Active) => BatchState::Active,
        Some(Target::Paused) => BatchState::Paused,
        Some(Target::Revoked) => BatchState::Revoked,
    };
    if batch.state == BatchState::Revoked && to != *batch {
        return Err(SteerBatchError::Revoked);
    }
    Ok(to)
}

/// Adds the steps that bring a batch to these terms.
fn plan(
    change: &mut Change,
    batch: &Batch,
    mut to: Batch,
    blocks: &[Block],
) -> Result<(), SteerBatchError> {
    let sooner = match (batch.valid_until, to.valid_until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    };
    if to.state != BatchState::Active || sooner {
        to.steering.epoch += 1;
    }
    let redeemed = batch.redeemed_with(blocks);
    if to.max_redemptions.is_some_and(|max| u64::from(max) < redeemed) {
        return Err(SteerBatchError::BelowRedeemed);
    }
    let place = change.step(steered(to.clone(), 0));
    if to.has_block() && to.state != BatchState::Revoked {
        if batch.steering.returned && !to.is_over(change.at) {
            // Its time had been over: what is still to come is set aside anew.
            to.steering.returned = false;
            to.steering.shards = crate::code::shards(to.block_size());
            set_aside::hold(change, &to);
        } else if !batch.steering.returned {
            resize(change, batch, &mut to, blocks)?;
        }
        if let Some(step) = change.steps.get_mut(place) {
            *step = steered(to.clone(), 0);
        }
    }
    let reason = Some(to.batch_id.to_string());
    change.audit(to.pool(), Delta::default(), Action::CodesSteered, &[], reason);
    Ok(())
}

/// Brings what is set aside to the size of the new maximum.
fn resize(
    change: &mut Change,
    batch: &Batch,
    to: &mut Batch,
    blocks: &[Block],
) -> Result<(), SteerBatchError> {
    let (before, after) = (batch.block_size(), to.block_size());
    if after > before {
        set_aside::grow(change, to, blocks, after - before);
    }
    if after < before && !set_aside::shrink(change, to, blocks, before - after) {
        return Err(SteerBatchError::BelowRedeemed);
    }
    Ok(())
}

/// Brings the blocks of a batch to where the batch stands: fenced at its epoch, or closed when nobody
/// can redeem its codes any more. Says whether there was anything to close.
pub async fn settle(
    ports: &(impl Ledger + CodeBook),
    actor: Actor,
    op: Op,
    client: &ClientId,
    batch: BatchId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    for _ in 0..ROUNDS {
        let Some(batch) = ports.batch(client, batch).await? else { return Ok(false) };
        if !batch.has_block() || batch.steering.returned {
            return Ok(false);
        }
        let blocks = set_aside::blocks_of(ports, client, &batch).await?;
        if batch.state != BatchState::Revoked && !batch.is_over(now) {
            for block in &blocks {
                bring_up(ports, op, client, &batch, block).await?;
            }
            return Ok(false);
        }
        let mut change = Change::new(client, op, actor.clone(), now);
        let given = set_aside::close(&mut change, &batch, blocks);
        let mut closed = batch;
        closed.steering.returned = true;
        change.step(steered(closed, given));
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(true),
            // A redemption that was on its way drew on a block.
            Err(Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}

/// Fences a shard that is behind its batch's epoch.
pub(super) async fn bring_up(
    ports: &impl Ledger,
    op: Op,
    client: &ClientId,
    batch: &Batch,
    block: &Block,
) -> Result<(), StoreError> {
    let epoch = batch.steering.epoch;
    if block.epoch >= epoch {
        return Ok(());
    }
    // Outside of the operation's parts: it may be done by anybody, and more than once.
    let op = Op { id: op.id, guard: None };
    let mut change = Change::new(client, op, Actor::System, batch.created_at);
    change.step(Step::FenceBlock { key: block.key.clone(), epoch });
    match ports.apply(&change).await {
        // Somebody else did, or closed it.
        Ok(()) | Err(Refused::Step(_) | Refused::Repeated | Refused::Overtaken) => Ok(()),
        Err(Refused::Store(error)) => Err(error),
    }
}
