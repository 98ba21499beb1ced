//! Sends mails when they come to be owed and when their cohort opens.
//!
//! It acts on new mails and on opened cohorts only, never on what it writes itself. What it cannot
//! send now stays due, and the sweep sends it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatkeeper_aws::stream::{self, Happened, Record};
use seatkeeper_domain::actions::send_mail::{MailRoom, Posted, SendPorts, Standing};
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::outbox::MailPlace;
use seatkeeper_domain::ports::{Clock, IdSource, Mailer, PageRequest, Refusal, Writer};
use seatkeeper_http::telemetry::{Dimension, Unit, emit_metric};
use serde_json::Value;

/// The longest pause that is waited for; after a longer one the sweep goes on.
const WAIT: SignedDuration = SignedDuration::from_secs(20);

/// The event is not of the stream.
pub use seatkeeper_aws::stream::UnreadableRecord;

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error(transparent)]
    Unreadable(#[from] UnreadableRecord),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Handles one event of the table's stream; answers which records have to come again. No mail is
/// begun after `until`.
pub async fn handle<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    event: &Value,
    until: Timestamp,
) -> Result<Value, UnreadableRecord>
where
    P: SendPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    let records = stream::read(event)?;
    let mut failed = Vec::new();
    // Every record has its turn, whatever became of the one before.
    for record in &records {
        if let Err(error) = act(room, record, until).await {
            tracing::error!(sequence = record.sequence, %error, "a record was not handled");
            failed.push(record.sequence.as_str());
        }
    }
    Ok(stream::failures(failed))
}

async fn act<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    record: &Record,
    until: Timestamp,
) -> Result<(), RecordError>
where
    P: SendPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    match record.happened.as_ref().map_err(|error| *error)? {
        Happened::MailOwed { place, due_at } if *due_at <= room.clock.now() => {
            post(room, place, until).await?;
        }
        Happened::CohortOpened(cohort) => post_cohort(room, cohort, until).await?,
        Happened::MailOwed { .. } | Happened::CohortAppeared(_) | Happened::Else => {}
    }
    Ok(())
}

/// Sends everything that waited for a cohort. What is left when time runs out stays due.
async fn post_cohort<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    cohort: &CohortKey,
    until: Timestamp,
) -> Result<(), StoreError>
where
    P: SendPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    let mut page = PageRequest { limit: 25, cursor: None };
    let mut trouble = None;
    loop {
        let found = room.store.cohort_mails(cohort, &page).await?;
        for place in &found.items {
            match post(room, place, until).await {
                Ok(
                    Standing::Interrupted
                    | Standing::Held(_)
                    | Standing::PutOff(Refusal::Barred, _),
                ) => return Ok(()),
                Ok(_) => {}
                Err(error) => trouble = Some(error),
            }
        }
        match (found.next, trouble) {
            (Some(next), kept) => {
                trouble = kept;
                page.cursor = Some(next);
            }
            (None, None) => return Ok(()),
            (None, Some(error)) => return Err(error),
        }
    }
}

/// Sends what is due of an intent, and waits a little where the mail service asks for it.
async fn post<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    place: &MailPlace,
    until: Timestamp,
) -> Result<Standing, StoreError>
where
    P: SendPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    loop {
        let posted = room.send(place, until).await?;
        tell(posted);
        let Standing::PutOff(Refusal::Busy, at) = posted.standing else {
            return Ok(posted.standing);
        };
        let pause = at.duration_since(room.clock.now());
        if pause > WAIT || at >= until {
            return Ok(posted.standing);
        }
        tokio::time::sleep(Duration::try_from(pause).unwrap_or_default()).await;
    }
}

fn tell(posted: Posted) {
    if posted.unknown + posted.refused > 0 {
        tracing::error!(
            unknown = posted.unknown,
            refused = posted.refused,
            "mails were parked: nobody knows whether they went out, or they were not accepted"
        );
    }
    let counts = [
        ("sent", posted.sent),
        ("lapsed", posted.lapsed),
        ("unknown", posted.unknown),
        ("refused", posted.refused),
        ("suppressed", posted.suppressed),
    ];
    for (outcome, mails) in counts {
        if mails > 0 {
            let by = [(Dimension::Outcome, outcome)];
            emit_metric("Seatkeeper", "Mails", f64::from(mails), Unit::Count, &by);
        }
    }
}
