//! Does what was due and did not happen, and proves the counters: every five minutes, or by hand.

use jiff::Timestamp;
use seatkeeper_domain::actions::prove_records::{RecordsProven, prove_records};
use seatkeeper_domain::actions::send_mail::MailRoom;
use seatkeeper_domain::actions::sweep::{SweepPorts, Swept, sweep};
use seatkeeper_domain::ports::{Clock, IdSource, Mailer, Schedules, Writer};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_http::telemetry::{Dimension, Unit, emit_metric};
use serde_json::{Value, json};

/// A sweep in which nothing at all could be done.
#[derive(Debug, thiserror::Error)]
#[error("{0} parts or records of the sweep failed")]
pub struct SweepFailed(usize);

/// Runs one sweep until `until` at most, tells of it, and answers with its counts.
pub async fn handle<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    schedules: &impl Schedules,
    keys: &Keys,
    until: Timestamp,
) -> Result<Value, SweepFailed>
where
    P: SweepPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    let swept = sweep(room, schedules, keys, until).await;
    let proven = prove_records(&room.store, &room.clock, &room.ids, keys, until).await;
    tell(&swept, &proven);
    match swept.troubles.len() + proven.troubles.len() {
        0 => Ok(counts(&swept, &proven)),
        // What failed is due still; the failure is for the alarm.
        troubles => Err(SweepFailed(troubles)),
    }
}

fn counts(swept: &Swept, proven: &RecordsProven) -> Value {
    json!({
        "mails": {
            "sent": swept.mails_sent,
            "lapsed": swept.mails_lapsed,
            "unknown": swept.mails_unknown,
            "refused": swept.mails_refused,
            "suppressed": swept.mails_suppressed,
            "put_off": swept.mails_put_off,
        },
        "cohorts_opened": swept.cohorts_opened,
        "invitations_expired": swept.invitations_expired,
        "invitations_given_up": swept.invitations_given_up,
        "batches_given_back": swept.batches_given_back,
        "imports_woken": swept.imports_woken,
        "blocks_returned": swept.blocks_returned,
        "imports_cancelled": swept.imports_cancelled,
        "warnings_owed": swept.warnings_owed,
        "seats_ended": proven.seats_ended,
        "seats_reclaimed": proven.seats_reclaimed,
        "learners_erased": proven.learners_erased,
        "notices_owed": proven.notices_owed,
        "pools": {
            "proven": swept.pools_proven,
            "busy": swept.pools_busy,
            "mismatched": swept.mismatches.len(),
        },
        "records": {
            "rounds": proven.rounds,
            "readings": proven.readings,
            "proven": proven.pools_proven,
            "busy": proven.pools_busy,
            "suspected": proven.pools_suspected,
            "mismatched": proven.mismatches.len(),
        },
    })
}

fn tell(swept: &Swept, proven: &RecordsProven) {
    for trouble in &swept.troubles {
        let error = &trouble.error;
        tracing::error!(at = trouble.at, record = trouble.record, %error, "the sweep met trouble");
    }
    for wrong in &swept.mismatches {
        let (client, pool) = (&wrong.client_id, wrong.pool);
        tracing::error!(
            %client, %pool, shown = ?wrong.shown, told = ?wrong.told,
            "a pool's counters and its trail do not agree"
        );
    }
    for (client, error) in &proven.troubles {
        let record = client.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at = "records", record, %error, "the sweep met trouble");
    }
    for wrong in &proven.mismatches {
        let (client, pool, cut) = (&wrong.client_id, wrong.pool, wrong.cut);
        tracing::error!(
            %client, %pool, %cut, differs = %wrong,
            "a pool's counters and its records do not agree"
        );
    }
    tracing::info!(counts = %counts(swept, proven), "swept");
    let by = [(Dimension::Function, "reconcile")];
    let metrics = [
        ("CounterMismatch", swept.mismatches.len() + proven.mismatches.len()),
        ("BlocksReturned", swept.blocks_returned as usize),
        ("MailsUnknown", swept.mails_unknown as usize),
        ("MailsRefused", swept.mails_refused as usize),
        ("CohortsMissed", swept.cohorts_opened as usize),
    ];
    for (name, value) in metrics {
        let value = f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        emit_metric("Seatkeeper", name, value, Unit::Count, &by);
    }
}
