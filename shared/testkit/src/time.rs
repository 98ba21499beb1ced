//! A clock that moves only when told to, or with the runtime's own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::ports::Clock;
use tokio::time::Instant;

/// A clock that stands still until a test moves it. Clones show the same time.
///
/// Whoever waits for an instant moves a standing clock there. A [flowing](Self::flow) one follows the
/// runtime's clock, which under `start_paused` jumps to whatever is waited for first: any number
/// of tasks may wait, and each sees its own instant.
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    shows: Timestamp,
    /// When the runtime's clock was read last; `None` for a clock that stands.
    read: Option<Instant>,
}

impl Hands {
    fn now(&mut self) -> Timestamp {
        if let Some(read) = &mut self.read {
            let now = Instant::now();
            self.shows += now.duration_since(*read);
            *read = now;
        }
        self.shows
    }
}

impl VirtualClock {
    /// A clock standing at `instant`.
    pub fn new(instant: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands { shows: instant, read: None })))
    }

    /// A clock standing at an instant written as in RFC 3339, such as `2026-11-23T09:00:00Z`.
    ///
    /// # Panics
    /// If that is no instant.
    pub fn at(instant: &str) -> Self {
        Self::new(instant.parse().expect("an instant, as in RFC 3339"))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the clock follow the runtime's from now on.
    pub fn flow(&self) {
        self.hands().read = Some(Instant::now());
    }

    /// Moves the clock to `instant`, forwards or back.
    pub fn set(&self, instant: Timestamp) {
        let mut hands = self.hands();
        hands.now();
        hands.shows = instant;
    }

    /// Moves the clock on by `duration` and returns the new time.
    pub fn advance(&self, duration: SignedDuration) -> Timestamp {
        let mut hands = self.hands();
        hands.now();
        hands.shows += duration;
        hands.shows
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.hands().now()
    }

    async fn rest_until(&self, at: Timestamp) {
        let pause = {
            let mut hands = self.hands();
            let now = hands.now();
            if hands.read.is_none() {
                hands.shows = now.max(at);
                return;
            }
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        };
        tokio::time::sleep(pause).await;
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_moves_a_standing_clock_and_a_flowing_one_runs_by_itself() {
        let clock = VirtualClock::at("2026-11-23T09:00:00Z");
        clock.rest_until("2026-11-23T09:00:05Z".parse().unwrap()).await;
        assert_eq!(clock.now().to_string(), "2026-11-23T09:00:05Z");
        clock.flow();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(clock.now().to_string(), "2026-11-23T09:00:07Z");
        let early: Timestamp = "2026-11-23T09:00:08Z".parse().unwrap();
        let late: Timestamp = "2026-11-23T09:00:09Z".parse().unwrap();
        tokio::join!(
            async {
                clock.rest_until(late).await;
                assert!(clock.now() >= late);
            },
            async {
                clock.rest_until(early).await;
                assert!(clock.now() >= early && clock.now() < late);
            },
        );
    }
}
