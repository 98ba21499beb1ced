//! Schedules the start of each cohort when it comes to be, and opens it when its time has come.

use seatkeeper_aws::stream::{self, Happened, Record, UnreadableRecord};
use seatkeeper_domain::actions::open_cohort::{OpenCohortError, Opened, await_cohort, open_cohort};
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::{ClientId, PoolId};
use seatkeeper_domain::ports::{Clock, IdSource, Ledger, Schedules};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a schedule sends when it fires.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Fired {
    Activate { client: ClientId, pool: PoolId, instant: jiff::Timestamp, version: u32 },
}

/// Why an event was not handled. It comes again, and in the end to the dead letters.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// It is of no kind that is sent here.
    #[error("an event of no known form")]
    Unreadable,
    /// The cohort could not be opened.
    #[error(transparent)]
    Cohort(#[from] OpenCohortError),
}

/// Everything the function needs.
#[derive(Debug, Clone)]
pub struct Opener<P, S, C, I> {
    /// The store.
    pub store: P,
    /// The alarm clock.
    pub schedules: S,
    /// The present.
    pub clock: C,
    /// Names operations.
    pub ids: I,
}

/// Handles an event: records of the table's stream, or a schedule that fired.
pub async fn handle<P, S, C, I>(
    opener: &Opener<P, S, C, I>,
    event: &Value,
) -> Result<Value, ActivateError>
where
    P: Ledger,
    S: Schedules,
    C: Clock,
    I: IdSource,
{
    if event.get("Records").is_some() {
        let records = stream::read(event).map_err(|_| ActivateError::Unreadable)?;
        return Ok(meet(opener, &records).await);
    }
    let fired = Fired::deserialize(event).map_err(|_| ActivateError::Unreadable)?;
    let Fired::Activate { client, pool, instant, version } = fired;
    if version != 1 {
        return Err(ActivateError::Unreadable);
    }
    let key = CohortKey { client_id: client, pool, instant };
    let seats = match open_cohort(&opener.store, &opener.clock, &opener.ids, &key).await? {
        Opened::Now(seats) => seats,
        Opened::Before => 0,
    };
    tracing::info!(cohort = %key, seats, "a cohort is open");
    Ok(json!({"opened": seats}))
}

/// Sees to the cohorts that came to be; answers which records have to come again.
async fn meet<P, S, C, I>(opener: &Opener<P, S, C, I>, records: &[Record]) -> Value
where
    P: Ledger,
    S: Schedules,
    C: Clock,
    I: IdSource,
{
    let mut failed = Vec::new();
    for record in records {
        let met = match &record.happened {
            Ok(Happened::CohortAppeared(key)) => {
                let Opener { store, schedules, clock, ids } = opener;
                await_cohort(store, schedules, clock, ids, key).await.map_err(|e| e.to_string())
            }
            Ok(_) => Ok(()),
            Err(error @ UnreadableRecord { .. }) => Err(error.to_string()),
        };
        if let Err(error) = met {
            tracing::error!(sequence = record.sequence, error, "a record was not handled");
            failed.push(record.sequence.as_str());
        }
    }
    stream::failures(failed)
}
