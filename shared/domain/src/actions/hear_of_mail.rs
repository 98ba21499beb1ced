//! Hearing what became of a mail: from the mail service, in any order, any number of times.

use jiff::Timestamp;

use crate::change::StoreError;
use crate::invitation::Delivery;
use crate::ports::{Clock, Deliveries, MailTag, Outbox};

/// Times a lost race is run again.
const ROUNDS: u32 = 8;

/// What the mail service tells of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was accepted.
    Sent,
    /// The other side took it.
    Delivered,
    /// The other side refused it for good.
    Bounced,
    /// It came back for a passing reason; also what an answering machine looks like.
    CameBack,
    /// The recipient called it spam.
    Complained,
    /// The mail service gave it up after all.
    Rejected,
}

impl News {
    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::CameBack => "came_back",
            Self::Complained => "complained",
            Self::Rejected => "rejected",
        }
    }

    /// What an invitation shows of it.
    fn delivery(self) -> Delivery {
        match self {
            Self::Sent | Self::CameBack => Delivery::Sent,
            Self::Delivered => Delivery::Delivered,
            Self::Bounced | Self::Rejected => Delivery::Bounced,
            Self::Complained => Delivery::Complained,
        }
    }
}

/// Writes the news down. Any news of a mail proves that it was accepted.
pub async fn hear_of_mail(
    ports: &(impl Outbox + Deliveries),
    clock: &impl Clock,
    tag: &MailTag,
    news: News,
    at: Timestamp,
) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        let Some(owed) = ports.owed(&tag.place).await? else { break };
        // A place in another client's outbox is none that we wrote into a tag.
        if owed.intent.client_id != tag.client_id {
            return Ok(());
        }
        let Some(resolved) = owed.resolve(tag.mail, clock.now()) else { break };
        if ports.advance(&tag.place, &owed, &resolved).await? {
            break;
        }
    }
    let Some((invitation, version)) = tag.invitation else { return Ok(()) };
    ports.note_delivery(&tag.client_id, invitation, version, news.delivery(), Some(at)).await
}
