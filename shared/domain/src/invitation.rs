//! Invitations: a seat promised to an address until it is taken up or let go.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::code::{CodeHash, CodeKind};
use crate::email::EmailAddress;
use crate::ids::{BatchId, ContractId, GroupId, InvitationId, PoolId, SublicenseId};
use crate::language::Language;
use crate::role::Role;

/// An invitation of an address to a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Derived from client, pool and the address it was made for; it stays when that changes.
    pub invitation_id: InvitationId,
    /// Where it stands, if its address was changed: the place of its present address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<InvitationId>,
    /// How many invitations made at this place left it for another address: their ids are taken.
    #[serde(default)]
    pub left: u16,
    /// Who is invited; [nobody](EmailAddress::nobody) once that person was erased.
    #[serde(default = "EmailAddress::nobody")]
    pub email: EmailAddress,
    /// Where it stands.
    pub status: InvitationStatus,
    /// Grows with every link made; an earlier link is dead.
    pub version: u32,
    /// Whether a seat is held for it.
    pub holds_seat: bool,
    /// Since when a seat is, or last was, held for it without a break.
    #[serde(default)]
    pub held_since: Option<Timestamp>,
    /// The contract.
    pub contract_id: ContractId,
    /// The sublicense, if one was named.
    pub sublicense_id: Option<SublicenseId>,
    /// What is given on acceptance.
    #[serde(flatten)]
    pub grant: Grant,
    /// The code that is held, if it is a redemption whose address has to be proven. Such a one belongs
    /// to its batch: administrators do not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeems: Option<HeldCode>,
    /// A personal message.
    pub message: Option<String>,
    /// When it can no longer be accepted.
    pub expires_at: Timestamp,
    /// How many mails were asked for.
    pub sent_count: u32,
    /// When the last mail was sent.
    pub last_sent_at: Option<Timestamp>,
    /// How many of the mails were reminders of the present link.
    #[serde(default)]
    pub reminders: u32,
    /// When the last reminder was asked for.
    #[serde(default)]
    pub reminded_at: Option<Timestamp>,
    /// Whether the invited person wants none.
    #[serde(default)]
    pub reminders_unwanted: bool,
    /// What is known of its mail.
    pub delivery: Delivery,
    /// When it is given up because its mail came back for good, unless it is sent again before.
    #[serde(default)]
    pub gives_up_at: Option<Timestamp>,
    /// The subject of the token that asked for it.
    pub invited_by: String,
    /// The inviter's name or address, for the mail.
    pub inviter: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The operation that last wrote it.
    pub op: Uuid,
}

/// A code in the hands of somebody who has not proven their address yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCode {
    /// Its batch.
    pub batch_id: BatchId,
    /// Whether it is for one learner, so that nobody else can redeem it meanwhile.
    pub kind: CodeKind,
    /// What stands for it.
    pub hash: CodeHash,
    /// Its last four characters.
    pub last4: String,
    /// The shard of the batch's block that keeps the seat, if the batch has one.
    pub shard: Option<u16>,
    /// The given name as it was typed, to be shown again; in no mail.
    pub first_name: Option<String>,
    /// The family name, likewise.
    pub last_name: Option<String>,
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
    /// It stands at the place of another address now, or whoever was invited was erased; this is what
    /// is left, and nobody sees it.
    Moved,
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

/// What an invitation made at a place takes over from the one that stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// Its id: that of the one before, unless that one lives on elsewhere.
    pub invitation_id: InvitationId,
    /// Where it stands, if the id does not say.
    pub moved_to: Option<InvitationId>,
    /// Its version: every earlier link is dead.
    pub version: u32,
    /// How many left this place before.
    pub left: u16,
}

impl Succession {
    /// What follows on `over`, which stands at `place` now.
    pub fn at(place: InvitationId, over: Option<&Invitation>) -> Self {
        let Some(over) = over else {
            return Self { invitation_id: place, moved_to: None, version: 1, left: 0 };
        };
        let (version, left) = (over.version + 1, over.left);
        if over.status == InvitationStatus::Moved {
            let invitation_id = place.of_generation(left);
            return Self { invitation_id, moved_to: None, version, left };
        }
        let Invitation { invitation_id, moved_to, .. } = *over;
        Self { invitation_id, moved_to, version, left }
    }
}

impl Invitation {
    /// Where it stands: the place of its address, which no two live invitations share.
    pub fn place(&self) -> InvitationId {
        self.moved_to.unwrap_or_else(|| self.invitation_id.home())
    }

    /// The pool it draws on.
    pub fn pool(&self) -> PoolId {
        self.sublicense_id.map_or(PoolId::Contract(self.contract_id), PoolId::Sublicense)
    }

    /// Whether it can be accepted at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.status == InvitationStatus::Pending && self.expires_at > now
    }

    /// Whether its mail came back for good, and the time to mend the address is over.
    pub fn is_given_up(&self, now: Timestamp) -> bool {
        self.is_live(now)
            && self.delivery == Delivery::Bounced
            && self.gives_up_at.is_some_and(|until| until <= now)
    }

    /// Where it stands at `now`, also before a sweep has noticed that its time ran out.
    pub fn status_at(&self, now: Timestamp) -> InvitationStatus {
        match self.status {
            InvitationStatus::Pending if self.expires_at <= now => InvitationStatus::Expired,
            status => status,
        }
    }
}
