//! Sublicenses: a named share of a contract's seats.

use serde_json::json;

use crate::actions::{Met, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::contract::Sublicense;
use crate::idempotency::Op;
use crate::ids::{ClientId, PoolId};
use crate::ports::{Clock, Ledger};
use crate::stock::{Delta, Stock};

/// Why seats cannot be allocated.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The contract has too few available seats.
    #[error("the contract has too few available seats")]
    NoSeatsLeft,
    /// The sublicense uses more than would be left.
    #[error("the seats are in use")]
    InUse,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a sublicense with its first seats.
pub async fn add_sublicense(
    ports: &impl Ledger,
    actor: Actor,
    op: Op,
    client: &ClientId,
    sublicense: &Sublicense,
    seats: u64,
) -> Result<(), AllocateError> {
    let count = i64::try_from(seats).unwrap_or(i64::MAX);
    let id = sublicense.sublicense_id;
    let (contract, own) = (PoolId::Contract(sublicense.contract_id), PoolId::Sublicense(id));
    let mut change = Change::new(client, op, actor, sublicense.created_at);
    change.receipt = json!({"sublicense_id": id});
    let reason = Some(id.to_string());
    if seats > 0 {
        let delta = Delta::allocated(count);
        change.move_seats(contract, delta, Action::SeatsAllocated, &[], reason.clone());
    }
    change.step(Step::AddSublicense(sublicense.clone()));
    change.step(Step::OpenPool { pool: own, stock: Stock::of(seats) });
    change.audit(own, Delta::bought(count), Action::SeatsAllocated, &[], reason);
    finish(ports, &change, count).await
}

/// Moves seats from the contract to a sublicense or, if negative, back.
pub async fn allocate_seats(
    ports: &impl Ledger,
    clock: &impl Clock,
    actor: Actor,
    op: Op,
    client: &ClientId,
    sublicense: &Sublicense,
    add: i64,
) -> Result<(), AllocateError> {
    let id = sublicense.sublicense_id;
    let (contract, own) = (PoolId::Contract(sublicense.contract_id), PoolId::Sublicense(id));
    let mut change = Change::new(client, op, actor, clock.now());
    change.receipt = json!({"sublicense_id": id});
    let reason = Some(id.to_string());
    let action = Action::SeatsAllocated;
    change.move_seats(contract, Delta::allocated(add), action, &[], reason.clone());
    change.move_seats(own, Delta::bought(add), action, &[], reason);
    finish(ports, &change, add).await
}

async fn finish(ports: &impl Ledger, change: &Change, add: i64) -> Result<(), AllocateError> {
    let Err(refused) = ports.apply(change).await else { return Ok(()) };
    match met(change, refused) {
        Met::Repeated => Ok(()),
        // Also where the contract's `allocated` would fall below zero: more is asked back than the
        // sublicense was ever given.
        Met::NoSeats | Met::Raced(_) if add < 0 => Err(AllocateError::InUse),
        Met::NoSeats | Met::Raced(_) => Err(AllocateError::NoSeatsLeft),
        Met::Failed(error) => Err(error.into()),
    }
}
