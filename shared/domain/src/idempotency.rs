//! How a repeated request is recognized: the record kept under an idempotency key.
//!
//! A record begins before the work and ends after it. In between it is *held* by one attempt for
//! at most [`LEASE`]; an attempt that vanished is taken over by the next one, which gets the same
//! operation id, so that a use case can tell its own earlier effect from somebody else's.

use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::change::StoreError;

/// How long an answer is kept and replayed.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// How long an attempt holds its record: longer than any function that answers requests may run
/// (the gateway gives up after 30 seconds).
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// A request that asks to be answered once. Both hashes are keyed, so that neither keys, paths
/// nor bodies can be found out from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of caller, method, path and key: the record's own key.
    pub record: [u8; 32],
    /// Hash of the body, which has to be the same every time.
    pub body: [u8; 32],
    /// The operation id to use if this is the first attempt.
    pub op: Uuid,
    /// The present: the record is held until `now` + [`LEASE`] and kept until `now` + [`RETENTION`].
    pub now: Timestamp,
}

/// One operation, as its use case sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Names the operation; the same again when an attempt under the same key is repeated.
    pub id: Uuid,
    /// What the operation's transaction has to check; `None` for a request without a key.
    pub guard: Option<Guard>,
}

impl Op {
    /// Whether a record that the operation `by` wrote is another attempt's work under the same
    /// key. Receipts tell of what was done before this attempt began, so that what it meets later
    /// was done by one that has taken over.
    pub fn wrote(&self, by: Uuid) -> bool {
        self.guard.is_some() && self.id == by
    }
}

/// The condition that lets only the attempt holding a record have its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The record's key.
    pub record: [u8; 32],
    /// The instant the holding attempt began, which tells it from one that took over since.
    pub held_since: Timestamp,
    /// Whether an earlier attempt began this operation and may have had its effect.
    pub resumed: bool,
}

/// How a request under a key begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Do the work: it is new, or an earlier attempt did not end.
    Fresh {
        /// The operation, with its guard.
        op: Op,
    },
    /// It was answered: give the same answer.
    Replay {
        /// The `HTTP` status of the answer.
        status: u16,
        /// The sealed body of the answer.
        sealed: Vec<u8>,
    },
    /// Another attempt holds the record.
    InProgress,
    /// The key was used for another body.
    Mismatch,
}

/// Keeps the records of requests with an idempotency key.
pub trait IdempotencyStore: Send + Sync {
    /// Takes the record for this attempt, or says why not. One conditional write.
    fn begin(&self, attempt: &Attempt) -> impl Future<Output = Result<Begin, StoreError>> + Send;

    /// Keeps the answer, if the attempt still holds the record.
    fn complete(
        &self,
        op: &Op,
        status: u16,
        sealed: &[u8],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets the record, if the attempt still holds it: the request was refused and may be made
    /// again, also with another body.
    fn abandon(&self, op: &Op) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the hold but keeps operation id and body: whether the effect took place is not known,
    /// and the next attempt goes on from there.
    fn release(&self, op: &Op) -> impl Future<Output = Result<(), StoreError>> + Send;
}
