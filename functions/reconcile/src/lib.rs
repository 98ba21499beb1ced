//! Does what was due and did not happen, and proves the counters: every five minutes, or by hand.

use jiff::Timestamp;
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
    tell(&swept);
    if swept.troubles.is_empty() {
        Ok(counts(&swept))
    } else {
        // What failed is due still; the failure is for the alarm.
        Err(SweepFailed(swept.troubles.len()))
    }
}

fn counts(swept: &Swept) -> Value {
    json!({
        "mails": {
            "sent": swept.mails_sent,
            "lapsed": swept.mails_lapsed,
            "unknown": swept.mails_unknown,
            "refused": swept.mails_refused,
            "put_off": swept.mails_put_off,
        },
        "cohorts_opened": swept.cohorts_opened,
        "invitations_expired": swept.invitations_expired,
        "batches_given_back": swept.batches_given_back,
        "imports_woken": swept.imports_woken,
        "pools": {
            "proven": swept.pools_proven,
            "busy": swept.pools_busy,
            "mismatched": swept.mismatches.len(),
        },
    })
}

fn tell(swept: &Swept) {
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
    tracing::info!(counts = %counts(swept), "swept");
    let by = [(Dimension::Function, "reconcile")];
    let metrics = [
        ("CounterMismatch", swept.mismatches.len()),
        ("MailsUnknown", swept.mails_unknown as usize),
        ("MailsRefused", swept.mails_refused as usize),
        ("CohortsMissed", swept.cohorts_opened as usize),
    ];
    for (name, value) in metrics {
        let value = f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        emit_metric("Seatkeeper", name, value, Unit::Count, &by);
    }
}
