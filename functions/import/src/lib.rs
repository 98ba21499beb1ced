//! Lambda function `import`: a spreadsheet, dropped or uploaded through a form, becomes learners with
//! seats; a commit or an undo of an import has it go on.
//!
//! The event comes asynchronously: an error lets it come again, twice, and then puts it on the
//! queue of failed events. A worker whose time runs out ends its lease, puts the object into the
//! bucket that has the import go on, and answers well. The same event again finds its import.

mod event;

pub use event::{Trigger, UnreadableEvent, triggers};

use seatkeeper_domain::actions::run_import::{ImportEnd, ImportPorts, Importer, RunImportError};
use seatkeeper_domain::ports::{Clock, Files, IdSource, Sheets};
use serde_json::Value;

/// Why an event has to come again.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It cannot be understood.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    /// It tells of a bucket that is not the stack's.
    #[error("the event tells of another bucket")]
    ForeignBucket,
    /// An import could not be run.
    #[error(transparent)]
    Run(#[from] RunImportError),
}

/// Handles one event. Every record has its turn, whatever became of the one before.
pub async fn handle<P, F, S, C, I>(
    importer: &Importer<'_, P, F, S, C, I>,
    uploads: &str,
    event: &Value,
) -> Result<(), HandleError>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    let mut outcome = Ok(());
    for trigger in triggers(event)? {
        match act(importer, uploads, trigger).await {
            Ok(end) => log(end),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

async fn act<P, F, S, C, I>(
    importer: &Importer<'_, P, F, S, C, I>,
    uploads: &str,
    trigger: Trigger,
) -> Result<ImportEnd, HandleError>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    match trigger {
        Trigger::Resume { client_id, import_id } => {
            Ok(importer.resume(&client_id, import_id).await?)
        }
        Trigger::Drop(file) if file.bucket == uploads => Ok(importer.run(&file).await?),
        Trigger::Upload(file) if file.bucket == uploads => {
            Ok(importer.receive_upload(&file).await?)
        }
        Trigger::Drop(_) | Trigger::Upload(_) => Err(HandleError::ForeignBucket),
    }
}

fn log(end: ImportEnd) {
    match end {
        ImportEnd::Ended(status) => tracing::info!(import.status = %status, "import ended"),
        ImportEnd::WasAtRest(status) => {
            tracing::info!(import.status = %status, "the import was at rest already");
        }
        ImportEnd::InOtherHands => tracing::info!("another worker is at the import"),
        ImportEnd::HandedOn => tracing::info!("out of time: another worker goes on"),
    }
}
