//! Hears from SES what became of each mail.

use seatkeeper_aws::mailer::{UnreadableNews, read_news};
use seatkeeper_domain::actions::hear_of_mail::{HearPorts, hear_of_mail};
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ports::Clock;
use seatkeeper_http::telemetry::{Dimension, Unit, emit_metric};
use serde_json::Value;

/// Why an event was not handled. It comes again, and in the end to the dead letters.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// It is not what SES sends.
    #[error(transparent)]
    Unreadable(#[from] UnreadableNews),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether an event was about a mail of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was, and is written down.
    Noted,
    /// It was not, or tells nothing that is kept.
    NotOurs,
}

/// Handles one event of the event bus.
pub async fn handle(
    store: &impl HearPorts,
    clock: &impl Clock,
    event: &Value,
) -> Result<Heard, FeedbackError> {
    let Some(told) = read_news(event)? else {
        return Ok(Heard::NotOurs);
    };
    hear_of_mail(store, clock, &told.tag, told.news, told.sent_at).await?;
    let by = [(Dimension::Outcome, told.news.name())];
    emit_metric("Seatkeeper", "MailNews", 1.0, Unit::Count, &by);
    Ok(Heard::Noted)
}
