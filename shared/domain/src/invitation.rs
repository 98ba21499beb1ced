//! Invitations: a seat promised to an address until it is taken up or let go.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::email::EmailAddress;
use crate::ids::{ContractId, GroupId, InvitationId, PoolId, SublicenseId};
use crate::language::Language;
use crate::role::Role;

/// An invitation of an address to a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Derived from client, pool and address.
    pub invitation_id: InvitationId,
    /// Who is invited.
    pub email: EmailAddress,
    /// Where it stands.
    pub status: InvitationStatus,
    /// Grows with every link made; an earlier link is dead.
    pub version: u32,
    /// Whether a seat is held for it.
    pub holds_seat: bool,
    /// The contract.
    pub contract_id: ContractId,
    /// The sublicense, if one was named.
    pub sublicense_id: Option<SublicenseId>,
    /// What is given on acceptance.
    #[serde(flatten)]
    pub grant: Grant,
    /// A personal message.
    pub message: Option<String>,
    /// When it can no longer be accepted.
    pub expires_at: Timestamp,
    /// How many mails were asked for.
    pub sent_count: u32,
    /// When the last mail was sent.
    pub last_sent_at: Option<Timestamp>,
    /// What is known of its mail.
    pub delivery: Delivery,
    /// The subject of the token that asked for it.
    pub invited_by: String,
    /// The inviter's name or address, for the mail.
    pub inviter: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The operation that last wrote it.
    pub op: Uuid,
}

/// What an invitation gives when it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grant {
    /// Roles.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Groups.
    #[serde(default)]
    pub group_ids: BTreeSet<GroupId>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// Language of the mail and the page.
    pub language: Option<Language>,
    /// The local day access opens.
    pub start_on: Option<Date>,
    /// Its last day.
    pub end_on: Option<Date>,
    /// The day the account is erased.
    pub delete_on: Option<Date>,
    /// Kept with the account.
    pub additional_info: Option<String>,
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// Waiting for an answer.
    Pending,
    /// Taken up.
    Accepted,
    /// Declined by the invited.
    Declined,
    /// Cancelled by an administrator.
    Cancelled,
    /// Its time ran out.
    Expired,
}

/// What is known of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It waits to be sent.
    #[default]
    Queued,
    /// The mail service took it.
    Sent,
    /// The other side took it.
    Delivered,
    /// The other side refused it for good.
    Bounced,
    /// The recipient called it spam.
    Complained,
    /// Nobody knows whether it was sent.
    Unknown,
}

impl Delivery {
    /// What this news may replace: news arrives in any order, and what tells more stays.
    pub fn replaces(self) -> &'static [Self] {
        use Delivery::{Bounced, Delivered, Queued, Sent, Unknown};
        match self {
            Self::Queued => &[],
            Self::Unknown => &[Queued],
            Self::Sent => &[Queued, Unknown],
            Self::Delivered => &[Queued, Unknown, Sent],
            Self::Bounced => &[Queued, Unknown, Sent, Delivered],
            Self::Complained => &[Queued, Unknown, Sent, Delivered, Bounced],
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Unknown => "unknown",
        })
    }
}

impl Invitation {
    /// The pool it draws on.
    pub fn pool(&self) -> PoolId {
        self.sublicense_id.map_or(PoolId::Contract(self.contract_id), PoolId::Sublicense)
    }

    /// Whether it can be accepted at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.status == InvitationStatus::Pending && self.expires_at > now
    }

    /// Where it stands at `now`, also before a sweep has noticed that its time ran out.
    pub fn status_at(&self, now: Timestamp) -> InvitationStatus {
        match self.status {
            InvitationStatus::Pending if self.expires_at <= now => InvitationStatus::Expired,
            status => status,
        }
    }
}
