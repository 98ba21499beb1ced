//! Chance that repeats.

use std::sync::{Mutex, PoisonError};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use seatkeeper_domain::ports::{Clock, IdSource};
use uuid::Uuid;

use crate::VirtualClock;

/// Ids and bytes that are the same for the same seed and the same clock.
///
/// The ids are version 7 `UUID`s. A counter follows the millisecond, so ids made while the clock
/// stands still are in the order of their making.
#[derive(Debug)]
pub struct SeededIds {
    clock: VirtualClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: Xoshiro256PlusPlus,
    made: u32,
}

impl SeededIds {
    /// The ids of `seed`, dated by `clock`.
    pub fn new(seed: u64, clock: &VirtualClock) -> Self {
        let chance = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { clock: clock.clone(), state: Mutex::new(State { chance, made: 0 }) }
    }

    /// Begins anew with another seed.
    pub fn reseed(&self, seed: u64) {
        let chance = Xoshiro256PlusPlus::seed_from_u64(seed);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { chance, made: 0 };
    }
}

impl IdSource for SeededIds {
    fn uuid(&self) -> Uuid {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tail = [0; 10];
        state.chance.fill_bytes(&mut tail);
        // 26 bits of counter around the version (upper half of byte 0) and the variant (two upper
        // bits of byte 2), both written by the builder.
        state.made += 1;
        let [high, upper, middle, low] = state.made.to_be_bytes();
        tail[0] = (high << 2) | (upper >> 6);
        tail[1] = (upper << 2) | (middle >> 6);
        tail[2] = middle & 0x3f;
        tail[3] = low;
        let millis = u64::try_from(self.clock.now().as_millisecond()).expect("a time after 1970");
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).chance.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(seed: u64) -> Vec<Uuid> {
        let source = SeededIds::new(seed, &VirtualClock::at("2026-11-23T09:00:00Z"));
        (0..70_000).map(|_| source.uuid()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_ids_and_another_seed_others() {
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7)[0], ids(8)[0]);
    }

    #[test]
    fn ids_made_in_one_millisecond_keep_their_order_and_their_version() {
        let ids = ids(1);
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.iter().all(|id| id.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn filled_bytes_repeat_with_the_seed() {
        let bytes = |seed| {
            let mut bytes = [0; 32];
            SeededIds::new(seed, &VirtualClock::at("2026-11-23T09:00:00Z")).fill(&mut bytes);
            bytes
        };
        assert_eq!(bytes(3), bytes(3));
        assert_ne!(bytes(3), bytes(4));
    }
}
