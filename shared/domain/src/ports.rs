//! What the domain needs from outside, named by what it is for.

use jiff::Timestamp;
use uuid::Uuid;

/// The present.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Chance: ids and random bytes.
pub trait IdSource: Send + Sync {
    /// A new version 7 `UUID`.
    fn uuid(&self) -> Uuid;
    /// Fills `bytes` with unpredictable ones.
    fn fill(&self, bytes: &mut [u8]);
}
