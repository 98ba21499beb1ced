//! Mails that are owed: written in the transaction that causes them, sent afterwards.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::email::EmailAddress;
use crate::ids::{ClientId, InvitationId, LearnerId, PoolId};

/// What a mail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letter {
    /// You are invited.
    Invitation,
    /// Your account is there; set a password.
    AccountCreated,
    /// Your account is there; this is your password, change it when you sign in.
    AccountCreatedWithPassword,
    /// Your account is there; you will be told how to sign in.
    AccountCreatedToldOtherwise,
    /// Your account was given access to more.
    Added,
    /// Your access opened today.
    AccessOpened,
    /// You redeemed a code.
    Redeemed,
    /// Set a new password.
    PasswordReset,
}

/// Whom or what one mail of an intent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Subject {
    /// A learner, because of the seat that the operation `op` gave; the mail lapses when that
    /// seat is gone.
    Seat {
        /// Who.
        learner: LearnerId,
        /// Where.
        pool: PoolId,
        /// The operation that gave the seat.
        op: Uuid,
        /// What to say; entries of one intent may differ.
        letter: Letter,
    },
    /// An invitation at this version; the mail lapses when a newer one exists or it was closed.
    Invitation {
        /// Which.
        invitation: InvitationId,
        /// At which version.
        version: u32,
    },
    /// A learner's account, apart from any seat.
    Account {
        /// Who.
        learner: LearnerId,
        /// What to say.
        letter: Letter,
        /// The password serial the link is for.
        serial: u32,
    },
}

/// Mails that one transaction owes: one for a single creation, up to a chunk's worth for an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailIntent {
    /// Whose.
    pub client_id: ClientId,
    /// What makes it one notification: kind, subject and version. The same key is the same mail.
    pub key: String,
    /// The cohort it waits for, if it does.
    pub cohort: Option<PoolId>,
    /// Not before this instant.
    pub due_at: Timestamp,
    /// The mails.
    pub subjects: Vec<Subject>,
    /// Set for a copy: the same words go to this address instead, without a live link or password.
    #[serde(default)]
    pub copy_to: Option<EmailAddress>,
}

/// Most mails of one intent.
pub const SUBJECTS_MAX: usize = 96;

/// An intent as the sender finds it: the mails before `next` are dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The intent.
    #[serde(flatten)]
    pub intent: MailIntent,
    /// The mail to claim next.
    pub next: u32,
    /// Whether mail `next - 1` is being sent: claimed, and its outcome not yet written.
    pub in_flight: bool,
    /// Until when the claim holds. A claim that ran out is ambiguous, not free.
    pub claimed_until: Option<Timestamp>,
    /// Mails of which nobody knows whether they went out.
    pub unknown: Vec<u32>,
    /// How often sending was put off.
    pub attempts: u32,
}

impl Owed {
    /// Whether every mail was dealt with.
    pub fn is_done(&self) -> bool {
        !self.in_flight && self.next as usize >= self.intent.subjects.len()
    }
}
