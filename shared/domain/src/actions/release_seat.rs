//! Releasing a seat: back to the stock, spent, or cancelled before it opened. One whose last day is
//! over is released by itself.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::actions::open_cohort::stand;
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::cohort::CohortKey;
use crate::contract::{Contract, StockKind};
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId, PoolId};
use crate::learner::{Learner, Seat, SeatState, SeatStatus};
use crate::ports::{Clock, IdSource, Ledger, People};
use crate::stock::Delta;

/// Why a seat cannot be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseSeatError {
    /// There is no such learner, or no live seat of theirs in this pool.
    #[error("no live seat")]
    NoSeat,
    /// It was released, and its learner erased before they could be read back.
    #[error("released, and the learner erased")]
    Erased,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a seat is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody asked for it.
    Asked,
    /// Its last day is over.
    Ended,
    /// Nobody uses it, and its learner was warned.
    Unused,
}

/// Releases a learner's seat in a pool and answers with the learner as they are then. A scheduled
/// seat is cancelled and always returns; a used one returns by the contract's policy.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn release_seat(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    actor: Actor,
    op: Op,
    (client, contract): (&ClientId, &Contract),
    learner_id: LearnerId,
    pool: PoolId,
) -> Result<Learner, ReleaseSeatError> {
    let whose = (learner_id, pool);
    let_go(ports, clock, ids, actor, op, (client, contract), whose, Why::Asked).await
}

/// Takes back a seat that nobody uses, if its learner was warned and has not come in since. For the sweep.
/// Says whether there was one.
pub async fn take_back_unused(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    place: (&ClientId, &Contract),
    learner_id: LearnerId,
    pool: PoolId,
) -> Result<bool, StoreError> {
    by_itself(ports, clock, ids, place, (learner_id, pool), Why::Unused).await
}

/// Lets go of a learner's seat whose last day is over: it returns, or is spent, by the contract's kind
/// of stock. For the sweep. Says whether there was one.
pub async fn end_seat(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    place: (&ClientId, &Contract),
    learner_id: LearnerId,
    pool: PoolId,
) -> Result<bool, StoreError> {
    by_itself(ports, clock, ids, place, (learner_id, pool), Why::Ended).await
}

/// Lets go of a seat whose last day is over before its learner is given another one in its pool: the sweep
/// may not have come by yet. Says whether it was so, and the learner has to be looked at again.
pub(super) async fn end_if_over(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    (client, contract): (&ClientId, &Contract),
    learner: Option<&Learner>,
    pool: PoolId,
) -> Result<bool, StoreError> {
    let now = clock.now();
    let over = |learner: &&Learner| {
        learner.live_seat(pool).is_some_and(|seat| seat.status(now) == SeatStatus::Ended)
    };
    let Some(learner) = learner.filter(over) else { return Ok(false) };
    // Seldom, and much to carry along for who has nothing to do with it.
    let whose = learner.learner_id;
    Box::pin(end_seat(ports, clock, ids, (client, contract), whose, pool)).await?;
    Ok(true)
}

async fn by_itself(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    place: (&ClientId, &Contract),
    whose: (LearnerId, PoolId),
    why: Why,
) -> Result<bool, StoreError> {
    let (actor, op) = (Actor::System, Op { id: ids.uuid(), guard: None });
    let ended = let_go(ports, clock, ids, actor, op, place, whose, why).await;
    match ended {
        Ok(_) | Err(ReleaseSeatError::Erased) => Ok(true),
        // Somebody has released it meanwhile, or moved its end.
        Err(ReleaseSeatError::NoSeat) => Ok(false),
        Err(ReleaseSeatError::Store(error)) => Err(error),
    }
}

#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
async fn let_go(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    actor: Actor,
    op: Op,
    (client, contract): (&ClientId, &Contract),
    (learner_id, pool): (LearnerId, PoolId),
    why: Why,
) -> Result<Learner, ReleaseSeatError> {
    let known = async || ports.learner(client, learner_id).await;
    let after = async || known().await?.ok_or(ReleaseSeatError::Erased);
    // Once it is applied, a live seat is one that was given since: not this call's to release.
    if !ports.receipts(&op).await?.is_empty() {
        return after().await;
    }
    for _ in 0..ROUNDS {
        let now = clock.now();
        let learner = known().await?.ok_or(ReleaseSeatError::NoSeat)?;
        let Some(seat) = learner.live_seat(pool) else {
            let mine = learner.seats.get(&pool).is_some_and(|seat| seat.op == op.id);
            return if mine { Ok(learner) } else { Err(ReleaseSeatError::NoSeat) };
        };
        let due = match why {
            Why::Asked => true,
            Why::Ended => seat.status(now) == SeatStatus::Ended,
            Why::Unused => learner.reclaimed_at(seat).is_some_and(|at| at <= now),
        };
        if !due {
            return Err(ReleaseSeatError::NoSeat);
        }
        let instants = seat.waits_for().into_iter().collect();
        let standing = stand(ports, clock, ids, (client, pool), &instants).await?;
        let mut change = Change::new(client, op, actor.clone(), standing.at);
        plan(&mut change, contract, &learner, (pool, seat), why);
        for instant in instants {
            let key = CohortKey { client_id: client.clone(), pool, instant };
            change.step(standing.leave(key, 1));
        }
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return after().await,
            Err(Met::NoSeats) => {}
            Err(Met::Raced(place)) => settle_blocks(ports, clock, ids, &change, place).await?,
            Err(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// Adds the steps of a release, but for the cohort's that the seat waits in, or waited in.
fn plan(
    change: &mut Change,
    contract: &Contract,
    learner: &Learner,
    (pool, seat): (PoolId, &Seat),
    why: Why,
) {
    let (delta, gone, given_by) = released(change, contract, seat);
    let (action, delta) = match (why, contract.policies.stock_kind) {
        (Why::Asked, _) => (Action::SeatReleased, delta),
        (Why::Unused, _) => (Action::SeatReclaimed, delta),
        (Why::Ended, StockKind::Reusable) => (Action::SeatEnded, Delta::returned(1)),
        (Why::Ended, StockKind::Consumable) => (Action::SeatEnded, Delta::spent(1)),
    };
    let learner_id = learner.learner_id;
    let reason = seat.source.id.clone();
    change.move_seats(pool, delta, action, &[learner_id], reason);
    change.step(Step::ReleaseSeat {
        learner_id,
        pool,
        op: given_by,
        seat: gone,
        beside: None,
        untouched_since: (why == Why::Unused)
            .then_some(seat.reclaim)
            .flatten()
            .map(|one| one.warned_at),
    });
}

/// What releasing a seat moves, the seat as it is then, and the operation that had given it.
pub(super) fn released(change: &Change, contract: &Contract, seat: &Seat) -> (Delta, Seat, Uuid) {
    let now = change.at;
    let used_at = seat.used_at(now);
    let delta = match used_at {
        None => Delta::let_go(1),
        Some(used_at) if returns(contract, used_at, now) => Delta::returned(1),
        Some(_) => Delta::spent(1),
    };
    let state = SeatState::Released { used_at, released_at: now };
    (delta, Seat { state, op: change.op.id, ..seat.clone() }, seat.op)
}

/// Whether a used seat can be given again after its release.
pub(super) fn returns(contract: &Contract, used_at: Timestamp, now: Timestamp) -> bool {
    let in_time = contract
        .policies
        .return_until_days
        .is_none_or(|days| now <= used_at + SignedDuration::from_hours(24 * i64::from(days)));
    contract.policies.stock_kind == StockKind::Reusable && in_time
}
