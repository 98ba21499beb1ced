//! Warning a client: that a contract's stock runs low, and that it comes to its end.
//!
//! A contract is looked at every hour. What is told is noted at the contract in the change that owes
//! the mails, so that each thing is told once; a low stock that was filled up again is told of anew.

use jiff::{SignedDuration, Timestamp};

use crate::actions::renew_contract::Renewal;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::client::Client;
use crate::contract::{Contract, ContractStatus, Warned};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, PoolId};
use crate::outbox::{MailIntent, Subject};
use crate::ports::{Catalog, Clock, IdSource, Ledger, SeatsLeft};

/// How often a contract is looked at.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A contract and what is left of it, its sublicenses included.
pub(super) async fn looked_at(
    ports: &(impl Ledger + Catalog),
    client: &ClientId,
    contract: ContractId,
) -> Result<Option<(Contract, SeatsLeft)>, StoreError> {
    let Some(known) = ports.contract(client, contract).await? else { return Ok(None) };
    let missing = || StoreError::Broken("a contract without its pool".to_owned());
    let own = ports.stock(client, PoolId::Contract(contract)).await?.ok_or_else(missing)?;
    let mut left =
        SeatsLeft { total: own.total, available: own.available, used: own.used + own.spent };
    for sublicense in ports.sublicenses_of(client, contract).await? {
        let pool = PoolId::Sublicense(sublicense.sublicense_id);
        if let Some(stock) = ports.stock(client, pool).await? {
            left.available += stock.available;
            left.used += stock.used + stock.spent;
        }
    }
    Ok(Some((known, left)))
}

/// Looks at a contract, and owes the mails that are due of it to whoever looks after it. For the
/// sweep. Returns how many. A contract that has ended is looked at again while its `renewal` is not done.
pub async fn warn_client(
    ports: &(impl Ledger + Catalog),
    clock: &impl Clock,
    ids: &impl IdSource,
    (client, contract): (&ClientId, ContractId),
    renewal: Option<Renewal>,
) -> Result<u32, StoreError> {
    let op = Op { id: ids.uuid(), guard: None };
    for _ in 0..ROUNDS {
        let now = clock.now();
        let Some(owner) = ports.client(client).await? else { return Ok(0) };
        let Some((known, left)) = looked_at(ports, client, contract).await? else { return Ok(0) };
        let (change, owed) = plan(op, &owner, &known, (left, renewal), now);
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(owed),
            // Another sweep looks at it, or the contract changed.
            Err(Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}

/// What there is to tell, and that it was told.
fn plan(
    op: Op,
    owner: &Client,
    contract: &Contract,
    (left, renewal): (SeatsLeft, Option<Renewal>),
    now: Timestamp,
) -> (Change, u32) {
    let mut change = Change::new(&owner.client_id, op, Actor::System, now);
    let zone = owner.time_zone.zone();
    let (contract_id, seen) = (contract.contract_id, contract.warned.version);
    let ended = contract.status(now, zone) == ContractStatus::Ended;
    let low = contract.low_at(left.available, left.total).filter(|_| !ended);
    // Nobody has to act on the end of a contract that is renewed.
    let ending = contract.ending_at(now, zone).filter(|_| contract.renewed_by.is_none());
    let mut warned = Warned { version: seen + 1, low, ..contract.warned };
    let mut owed = Vec::new();
    // With nobody to tell, nothing was told: whoever is named later hears of it then.
    if owner.alerts_to.is_empty() {
        warned.low = contract.warned.low.filter(|_| low.is_some());
    } else {
        if let Some(at) = low.filter(|at| contract.warned.low.is_none_or(|told| *at < told)) {
            owed.extend(owner.alerts_to.iter().cloned().map(|to| {
                let contract = contract_id;
                ("low-stock", Subject::StockLow { contract, at, to })
            }));
        }
        if let Some(days) = ending.filter(|days| contract.warned.ending != Some(*days)) {
            warned.ending = Some(days);
            owed.extend(owner.alerts_to.iter().cloned().map(|to| {
                let contract = contract_id;
                ("ending", Subject::ContractEnding { contract, days, to })
            }));
        }
    }
    // What was begun before its last day was over may still give seats for a moment.
    let over = |at: Timestamp| contract.status(at, zone) == ContractStatus::Ended;
    let renewed_by = contract.renewed_by;
    let went = over(now - LOOK_EVERY * 2) && renewal.is_some_and(|renewal| renewal.is_done());
    let again = !ended || (renewed_by.is_some() && !went);
    let again_at = again.then_some(now + LOOK_EVERY);
    change.step(Step::NoteWarned { contract_id, seen, renewed_by, warned, again_at });
    let count = u32::try_from(owed.len()).unwrap_or(u32::MAX);
    for (place, (what, subject)) in owed.into_iter().enumerate() {
        change.step(Step::Mail(MailIntent {
            client_id: owner.client_id.clone(),
            key: format!("{what}#{contract_id}#{}#{place}", warned.version),
            cohort: None,
            due_at: now,
            subjects: vec![subject],
            copy_to: None,
        }));
    }
    (change, count)
}
