//! Asking for the undoing of an import: from then on its chunks are gone through once more.

use serde_json::json;

use crate::actions::commit_import::SteerImportError;
use crate::actions::import_rows::{ImportRowsError, judged};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::Change;
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId};
use crate::import_run::{ImportRun, ImportStatus, Undoing};
use crate::ports::{Clock, Files, ImportLog, Ledger};
use crate::role::Caller;

/// Has a completed import undone.
pub async fn undo_import(
    ports: &(impl Ledger + ImportLog),
    files: &impl Files,
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
        if run.status != ImportStatus::Completed {
            return Err(SteerImportError::NotReady(run.status));
        }
        if judged(files, &run).await.is_err_and(|error| matches!(error, ImportRowsError::Gone)) {
            return Err(SteerImportError::RowsGone);
        }
        let (now, seen) = (clock.now(), run.epoch);
        let mut undoing = ImportRun {
            status: ImportStatus::Undoing,
            epoch: seen + 1,
            // Its lease is over at once: whoever is woken takes it.
            lease_until: Some(now),
            undoing: Undoing { began_at: Some(now), ..run.undoing },
            ..run
        };
        let actor = Actor::Caller(caller.subject.clone());
        let mut change = Change::new(client, op, actor, now);
        change.receipt = json!({"import_id": import});
        change.put_import(&mut undoing, seen);
        let Err(refused) = ports.apply(&change).await else { return Ok(undoing) };
        match met(&change, refused) {
            Met::Repeated => return Ok(undoing),
            Met::NoSeats | Met::Raced(_) => {}
            Met::Failed(error) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}
