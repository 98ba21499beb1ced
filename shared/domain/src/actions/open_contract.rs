//! Contracts: opening one, adding seats by order, adding modules.

use std::collections::BTreeSet;

use serde_json::json;

use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, PoolId};
use crate::ports::{Catalog, Clock, Ledger};
use crate::stock::{Delta, Stock};

/// Most seats of a contract, and of one order.
pub const SEATS_MAX: i64 = 10_000_000;

/// Why a contract cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenContractError {
    /// The client has one of this reference.
    #[error("a contract of this reference exists")]
    ReferenceTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens a contract with its pool.
pub async fn open_contract(
    ports: &impl Ledger,
    actor: Actor,
    op: Op,
    contract: &Contract,
    seats: u64,
) -> Result<(), OpenContractError> {
    let id = contract.contract_id;
    let pool = PoolId::Contract(id);
    let mut change = Change::new(&contract.client_id, op, actor, contract.created_at);
    change.receipt = json!({"contract_id": id});
    change.step(Step::TakeReference { reference: contract.reference.clone(), contract_id: id });
    change.step(Step::AddContract(Box::new(contract.clone())));
    change.step(Step::OpenPool { pool, stock: Stock::of(seats) });
    let bought = Delta::bought(i64::try_from(seats).unwrap_or(i64::MAX));
    let reference = Some(contract.reference.clone());
    change.audit(pool, bought, Action::ContractCreated, &[], reference);
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        Met::Repeated => Ok(()),
        Met::NoSeats | Met::Raced(_) => Err(OpenContractError::ReferenceTaken),
        Met::Failed(error) => Err(error.into()),
    }
}

/// Why seats cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum AddSeatsError {
    /// Fewer would be left than are taken.
    #[error("these seats are in use")]
    InUse,
    /// The order is known with another number of seats.
    #[error("the order is known with another number of seats")]
    OrderDiffers,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds the seats of an order to a contract, once. A negative number takes back available ones.
pub async fn add_seats(
    ports: &impl Ledger,
    clock: &impl Clock,
    actor: Actor,
    op: Op,
    contract: &Contract,
    order: &str,
    add: i64,
) -> Result<(), AddSeatsError> {
    let client = &contract.client_id;
    let id = contract.contract_id;
    if let Some(known) = ports.order(client, id, order).await? {
        return same_order(known, add);
    }
    let mut change = Change::new(client, op, actor, clock.now());
    change.step(Step::TakeOrder { contract_id: id, order: order.to_owned(), add });
    let reason = Some(order.to_owned());
    let delta = Delta::bought(add);
    change.move_seats(PoolId::Contract(id), delta, Action::SeatsAdded, &[], reason);
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        Met::Repeated => Ok(()),
        Met::NoSeats => Err(AddSeatsError::InUse),
        Met::Raced(_) => match ports.order(client, id, order).await? {
            Some(known) => same_order(known, add),
            None => Err(AddSeatsError::InUse),
        },
        Met::Failed(error) => Err(error.into()),
    }
}

fn same_order(known: i64, add: i64) -> Result<(), AddSeatsError> {
    if known == add { Ok(()) } else { Err(AddSeatsError::OrderDiffers) }
}

/// Adds modules to a contract; those it has stay.
pub async fn add_modules(
    ports: &(impl Ledger + Catalog),
    clock: &impl Clock,
    actor: Actor,
    op: Op,
    (client, contract): (&ClientId, ContractId),
    add: &BTreeSet<String>,
) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        let known = ports.contract(client, contract).await?;
        let known = known.ok_or_else(|| StoreError::Broken("the contract is gone".to_owned()))?;
        if add.is_subset(&known.modules) {
            return Ok(());
        }
        let modules = known.modules.union(add).cloned().collect();
        let mut change = Change::new(client, op, actor.clone(), clock.now());
        let (contract_id, seen) = (contract, known.version);
        change.step(Step::AddModules { contract_id, modules, seen });
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(()),
            // Somebody else changed the contract: theirs stay.
            Err(Met::NoSeats | Met::Raced(_)) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}
