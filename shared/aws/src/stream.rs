//! The table's stream, as a function receives it: what happened, and where.

use jiff::Timestamp;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::outbox::MailPlace;
use serde_json::{Value, json};

use crate::keys::{self, Key};

/// One record of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream, by which a failure is reported.
    pub sequence: String,
    /// What it tells; an error if it says it tells one of these and does not.
    pub happened: Result<Happened, UnreadableRecord>,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Mails came to be owed.
    MailOwed {
        /// Where they stand.
        place: MailPlace,
        /// When they are due.
        due_at: Timestamp,
    },
    /// The first seat of a cohort waits.
    CohortAppeared(CohortKey),
    /// A cohort opened.
    CohortOpened(CohortKey),
    /// Something else.
    Else,
}

/// A record, or a whole event, is not of the stream's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what the table's stream sends: {0}")]
pub struct UnreadableRecord(&'static str);

/// The records of an event, in order.
pub fn read(event: &Value) -> Result<Vec<Record>, UnreadableRecord> {
    let records = event["Records"].as_array().ok_or(UnreadableRecord("no records"))?;
    records
        .iter()
        .map(|record| {
            let sequence = record["dynamodb"]["SequenceNumber"].as_str();
            let sequence = sequence.ok_or(UnreadableRecord("no sequence number"))?.to_owned();
            Ok(Record { sequence, happened: happened(record) })
        })
        .collect()
}

fn happened(record: &Value) -> Result<Happened, UnreadableRecord> {
    let change = &record["dynamodb"];
    let new = |name: &str| change["NewImage"][name]["S"].as_str();
    let key = || {
        let text = |name: &str| change["Keys"][name]["S"].as_str().map(str::to_owned);
        let key = Key { pk: text(keys::PK)?, sk: text(keys::SK)? };
        Some(key)
    };
    let no_key = UnreadableRecord("no key");
    match (record["eventName"].as_str(), new(keys::KIND)) {
        (None, _) => Err(UnreadableRecord("no event name")),
        (Some("INSERT"), Some("mail")) => {
            let place = keys::mail_place(key().ok_or(no_key)?);
            keys::mail_at(&place).ok_or(UnreadableRecord("a mail outside the outbox"))?;
            let due_at = new(keys::DUE_AT).and_then(|at| at.parse().ok());
            let due_at = due_at.ok_or(UnreadableRecord("a mail without its instant"))?;
            Ok(Happened::MailOwed { place, due_at })
        }
        (Some(name), Some("cohort")) => {
            let cohort = key().as_ref().and_then(keys::cohort_at);
            let cohort = cohort.ok_or(UnreadableRecord("a cohort without its key"))?;
            let opened = |image: &str| change[image]["state"]["S"] == "opened";
            Ok(match name {
                "INSERT" => Happened::CohortAppeared(cohort),
                "MODIFY" if opened("NewImage") && !opened("OldImage") => {
                    Happened::CohortOpened(cohort)
                }
                _ => Happened::Else,
            })
        }
        _ => Ok(Happened::Else),
    }
}

/// The answer that has these records sent again (`ReportBatchItemFailures`).
pub fn failures<'a>(sequences: impl IntoIterator<Item = &'a str>) -> Value {
    let failed: Vec<_> =
        sequences.into_iter().map(|sequence| json!({"itemIdentifier": sequence})).collect();
    json!({"batchItemFailures": failed})
}
