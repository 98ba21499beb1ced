//! A clock that moves only when told to.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::ports::Clock;

/// A clock that stands still until a test moves it. Clones show the same time.
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<Mutex<Timestamp>>);

impl VirtualClock {
    /// A clock standing at `instant`.
    pub fn new(instant: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(instant)))
    }

    /// A clock standing at an instant written as in RFC 3339, such as `2026-11-23T09:00:00Z`.
    ///
    /// # Panics
    /// If that is no instant.
    pub fn at(instant: &str) -> Self {
        Self::new(instant.parse().expect("an instant, as in RFC 3339"))
    }

    /// Moves the clock to `instant`, forwards or back.
    pub fn set(&self, instant: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instant;
    }

    /// Moves the clock on by `duration` and returns the new time.
    pub fn advance(&self, duration: SignedDuration) -> Timestamp {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += duration;
        *now
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_only_when_told_and_its_clones_agree() {
        let clock = VirtualClock::at("2026-11-23T09:00:00Z");
        let twin = clock.clone();
        assert_eq!(clock.now(), clock.now());
        clock.advance(SignedDuration::from_mins(11));
        assert_eq!(twin.now().to_string(), "2026-11-23T09:11:00Z");
        twin.set("2026-03-29T01:00:00Z".parse().unwrap());
        assert_eq!(clock.now().to_string(), "2026-03-29T01:00:00Z");
    }
}
