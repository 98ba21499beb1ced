//! Committing a checked import: its seats are set aside, and its rows are written from then on.

use serde_json::json;

use crate::actions::run_import::reserve::{block_size, plan_reservation};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, StoreError};
use crate::contract::ContractStatus;
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId};
use crate::import_run::{ImportRun, ImportStatus, SeatNeed};
use crate::ports::{Catalog, Clock, ImportLog, Ledger};
use crate::role::Caller;

/// Why an import does not go the way that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SteerImportError {
    /// There is no such import.
    #[error("no such import")]
    NotFound,
    /// It is not in a state for that.
    #[error("the import is {0}")]
    NotReady(ImportStatus),
    /// It has invalid rows, and was asked to do nothing then.
    #[error("rows are invalid")]
    RowsInvalid,
    /// There are too few seats, and it was asked to do nothing then.
    #[error("no seats left")]
    NoSeatsLeft(SeatNeed),
    /// The contract's last day is over.
    #[error("the contract has ended")]
    ContractEnded,
    /// Its rows are no longer kept, so that it cannot be undone.
    #[error("its rows are no longer kept")]
    RowsGone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets the seats of a checked import aside and has its rows written. A refusal changes nothing: the
/// import can be committed later.
pub async fn commit_import(
    ports: &(impl Ledger + Catalog + ImportLog),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    import: ImportId,
) -> Result<ImportRun, SteerImportError> {
    let done_before = !ports.receipts(&op).await?.is_empty();
    for _ in 0..ROUNDS {
        let run = ports.import(client, import).await?.ok_or(SteerImportError::NotFound)?;
        if done_before {
            return Ok(run);
        }
        if run.status != ImportStatus::Checked {
            return Err(SteerImportError::NotReady(run.status));
        }
        let now = clock.now();
        must_run(ports, client, &run, now).await?;
        let stock = ports.stock(client, run.pool()).await?;
        let missing = || StoreError::Broken("a contract without a pool".to_owned());
        let available = stock.ok_or_else(missing)?.available;
        let seats = SeatNeed::of(run.seats.needed, available);
        let size = block_size(run.settings.on_shortage, &run.totals, seats);
        let size = size.map_err(|code| match code {
            "rows-invalid" => SteerImportError::RowsInvalid,
            _ => SteerImportError::NoSeatsLeft(seats),
        })?;
        let actor = Actor::Caller(caller.subject.clone());
        let mut change = Change::new(client, op, actor, now);
        change.receipt = json!({"import_id": import});
        let expects = run.epoch;
        // Its lease is over at once: whoever is woken takes it.
        let run = ImportRun { seats, epoch: expects + 1, lease_until: Some(now), ..run };
        let committing = plan_reservation(&mut change, run, size, expects);
        let Err(refused) = ports.apply(&change).await else { return Ok(committing) };
        match met(&change, refused) {
            Met::Repeated => return Ok(committing),
            Met::NoSeats | Met::Raced(_) => {}
            Met::Failed(error) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

async fn must_run(
    ports: &impl Catalog,
    client: &ClientId,
    run: &ImportRun,
    now: jiff::Timestamp,
) -> Result<(), SteerImportError> {
    let missing = || StoreError::Broken("an import without its client or contract".to_owned());
    let owner = ports.client(client).await?.ok_or_else(missing)?;
    let contract = ports.contract(client, run.contract_id).await?.ok_or_else(missing)?;
    if contract.status(now, owner.time_zone.zone()) == ContractStatus::Ended {
        return Err(SteerImportError::ContractEnded);
    }
    Ok(())
}
