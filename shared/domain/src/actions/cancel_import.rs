//! Giving an import up before its commit: by an administrator, or because it waited too long.

use jiff::Timestamp;
use serde_json::json;

use crate::actions::commit_import::SteerImportError;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId};
use crate::import_run::{ImportRun, ImportStatus};
use crate::ports::{Clock, ImportLog, Ledger};
use crate::role::Caller;

/// Gives up an import that waits for its file or its commit. One that was given up stays so.
pub async fn cancel_import(
    ports: &(impl Ledger + ImportLog),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    import: ImportId,
) -> Result<ImportRun, SteerImportError> {
    let actor = Actor::Caller(caller.subject.clone());
    for _ in 0..ROUNDS {
        let run = ports.import(client, import).await?.ok_or(SteerImportError::NotFound)?;
        match run.status {
            ImportStatus::Cancelled => return Ok(run),
            ImportStatus::Created | ImportStatus::Checked => {}
            other => return Err(SteerImportError::NotReady(other)),
        }
        if let Some(cancelled) = give_up(ports, clock.now(), actor.clone(), op, client, run).await?
        {
            return Ok(cancelled);
        }
    }
    Err(gave_up().into())
}

/// Gives up an import that has waited until `now` in vain; says whether this call did it.
pub async fn forget_import(
    ports: &(impl Ledger + ImportLog),
    clock: &impl Clock,
    op: Op,
    client: &ClientId,
    import: ImportId,
) -> Result<bool, StoreError> {
    let now = clock.now();
    let Some(run) = ports.import(client, import).await? else { return Ok(false) };
    if run.waits_until.is_none_or(|until| until > now) {
        return Ok(false);
    }
    Ok(give_up(ports, now, Actor::System, op, client, run).await?.is_some())
}

/// One try to end an import that waits, as seen.
async fn give_up(
    ports: &impl Ledger,
    now: Timestamp,
    actor: Actor,
    op: Op,
    client: &ClientId,
    run: ImportRun,
) -> Result<Option<ImportRun>, StoreError> {
    let seen = run.epoch;
    let mut cancelled =
        ImportRun { status: ImportStatus::Cancelled, waits_until: None, epoch: seen + 1, ..run };
    let mut change = Change::new(client, op, actor, now);
    change.receipt = json!({"import_id": cancelled.import_id});
    change.put_import(&mut cancelled, seen);
    let Err(refused) = ports.apply(&change).await else { return Ok(Some(cancelled)) };
    match met(&change, refused) {
        Met::Repeated => Ok(Some(cancelled)),
        Met::NoSeats | Met::Raced(_) => Ok(None),
        Met::Failed(error) => Err(error),
    }
}
