//! Lambda function `import`: a dropped spreadsheet becomes learners with seats.
//!
//! The event comes asynchronously: an error lets it come again, twice, and then puts it on the
//! queue of failed events. A worker whose time runs out ends its lease and answers well; the sweep
//! finds the import and sends the wish to go on. The same event again finds its import.

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
) -> Result<Option<ImportEnd>, HandleError>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    match trigger {
        Trigger::Upload => Ok(None),
        Trigger::Resume { client_id, import_id } => {
            Ok(Some(importer.resume(&client_id, import_id).await?))
        }
        Trigger::Drop(file) if file.bucket == uploads => Ok(Some(importer.run(&file).await?)),
        Trigger::Drop(_) => Err(HandleError::ForeignBucket),
    }
}

fn log(end: Option<ImportEnd>) {
    match end {
        None => tracing::warn!("a file came through a form that this version does not offer"),
        Some(ImportEnd::Ended(status)) => tracing::info!(import.status = %status, "import ended"),
        Some(ImportEnd::WasAtRest(status)) => {
            tracing::info!(import.status = %status, "the import was at rest already");
        }
        Some(ImportEnd::InOtherHands) => tracing::info!("another worker is at the import"),
        Some(ImportEnd::HandedOn) => tracing::info!("out of time: the import goes on later"),
    }
}
