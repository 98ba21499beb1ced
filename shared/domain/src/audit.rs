//! The trail: one record for every movement of seats.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ImportId, LearnerId, PoolId};
use crate::row_book::Marks;
use crate::stock::Delta;

/// Who moved seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Actor {
    /// The subject of a verified token.
    Caller(String),
    /// A learner, on a public page.
    Learner,
    /// An import.
    Import(ImportId),
    /// The system: a date came, a time ran out.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(subject) => write!(f, "user:{subject}"),
            Self::Learner => f.write_str("learner"),
            Self::Import(import) => write!(f, "import:{import}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl From<String> for Actor {
    fn from(text: String) -> Self {
        if let Some(subject) = text.strip_prefix("user:") {
            return Self::Caller(subject.to_owned());
        }
        if let Some(import) = text.strip_prefix("import:").and_then(|id| id.parse().ok()) {
            return Self::Import(import);
        }
        if text == "learner" { Self::Learner } else { Self::System }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A contract was made.
    ContractCreated,
    /// Another contract succeeds this one.
    ContractRenewed,
    /// A learner of the contract before was given, or promised, a seat of this one.
    SeatCarried,
    /// An invitation went over to the contract that succeeds its own.
    InvitationCarried,
    /// Seats were added or taken back.
    SeatsAdded,
    /// Seats moved between a contract and a sublicense.
    SeatsAllocated,
    /// Addresses were invited.
    Invited,
    /// An invitation was sent again after it had expired.
    Reinvited,
    /// An invitation was sent to another address.
    InvitationReaddressed,
    /// An invitation was accepted.
    InvitationAccepted,
    /// An invitation was declined.
    InvitationDeclined,
    /// An invitation was cancelled.
    InvitationCancelled,
    /// An invitation's time ran out.
    InvitationExpired,
    /// A learner was given a seat.
    SeatGiven,
    /// A learner was promised a seat for a later date.
    SeatScheduled,
    /// The seats of a date were opened.
    SeatsOpened,
    /// A seat was given another date.
    SeatRescheduled,
    /// A seat was given another end.
    SeatEndMoved,
    /// A seat went from one person to another.
    SeatTransferred,
    /// A seat was released.
    SeatReleased,
    /// A seat's last day was over.
    SeatEnded,
    /// Nobody uses a seat, and its learner was warned that it goes back.
    SeatUnused,
    /// A seat that nobody used went back.
    SeatReclaimed,
    /// A learner came in for the first time, and the duration of their seat began.
    ClockStarted,
    /// A person who has a seat here was kept out.
    LearnerSuspended,
    /// A person who has a seat here was let in again.
    LearnerResumed,
    /// A person was erased who had a seat here.
    LearnerErased,
    /// Seats were set aside for an import or a batch of codes.
    SeatsReserved,
    /// A chunk of an import was written.
    ImportChunk,
    /// A chunk of an import was undone.
    ImportUndone,
    /// What an import or a batch did not need went back.
    ReserveReturned,
    /// A code was redeemed.
    CodeRedeemed,
    /// A code was redeemed whose address has to be proven: its seat is held for so long.
    CodeHeld,
    /// The address was proven, and what was held for it is given.
    CodeProven,
    /// The address was not proven, or its learner has a seat by now: what was held goes back.
    CodeReturned,
    /// A batch of codes was paused, resumed, extended or revoked, or its maximum changed.
    CodesSteered,
    /// The codes of a batch were downloaded.
    CodesDownloaded,
}

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// Where.
    pub pool: PoolId,
    /// For whom.
    pub learner_ids: Vec<LearnerId>,
    /// How the stock shown for the pool changed.
    pub delta: Delta,
    /// Why: an order, an import, a batch, an invitation; or the day or end that a seat was moved to.
    pub reason: Option<String>,
    /// The day or end that a seat had before it was moved; `None` also if nothing ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What came of the rows of an import that it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
}

impl AuditRecord {
    /// The day or end that a seat was moved to; `None` also if nothing ends it any more.
    pub fn after(&self) -> Option<&str> {
        let moved = matches!(
            self.action,
            Action::SeatRescheduled | Action::SeatEndMoved | Action::ClockStarted
        );
        self.reason.as_deref().filter(|_| moved)
    }
}
