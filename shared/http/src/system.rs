//! The machine's own clock and chance, for running functions.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use seatkeeper_domain::ports::{Clock, IdSource};
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn rest_until(&self, at: Timestamp) {
        let pause = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep(pause).await;
    }
}

/// The machine's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is where ids come from")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
