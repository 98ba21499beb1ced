//! Refused tries on DynamoDB: one item a source, with the instants of those that still count.
//!
//! The instants are a list of at most the longest limit's length, replaced under the condition that nobody
//! else did so since: among any number of callers at once, exactly as many get through as the
//! limit says.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::ClientId;
use seatkeeper_domain::ports::{Counted, RefusedTries, TryLimit};

use crate::expression::{Expression, Item, n, s};
use crate::keys::{self, Key};
use crate::records::number;
use crate::store::{Store, store_error};

/// Times a write starts over because others wrote in between. Each such round somebody's try was
/// counted, so that even the widest limit is reached before.
const ROUNDS: u32 = 256;

/// How long the item outlives the last try that counts: clocks differ.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

impl RefusedTries for Store {
    async fn count_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        limits: &[TryLimit],
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        let longest = TryLimit::longest(limits);
        let key = keys::refused_tries(client, source);
        let mut seen = self.get(&key).await?.unwrap_or_default();
        for _ in 0..ROUNDS {
            let mut counting = tries(&seen);
            counting.retain(|at| *at + longest > now);
            counting.sort();
            if let Some(free_at) = TryLimit::free_at(limits, &counting, now) {
                return Ok(Counted::Over { free_at });
            }
            counting.push(now);
            match self.replace_tries(&key, &seen, &counting, now + longest + KEPT).await? {
                Ok(()) => return Ok(Counted::Within),
                Err(newer) => seen = newer,
            }
        }
        Err(StoreError::Unavailable("too many tries at once".into()))
    }

    async fn forget_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = keys::refused_tries(client, source);
        let mut seen = self.get(&key).await?.unwrap_or_default();
        for _ in 0..ROUNDS {
            let mut counting = tries(&seen);
            let Some(place) = counting.iter().position(|counted| same(*counted, at)) else {
                return Ok(());
            };
            counting.remove(place);
            let forgotten_at: Option<i64> = number(&seen, keys::EXPIRES_AT);
            let forgotten_at = forgotten_at.and_then(|at| Timestamp::from_second(at).ok());
            let forgotten_at = forgotten_at.unwrap_or(at + KEPT);
            match self.replace_tries(&key, &seen, &counting, forgotten_at).await? {
                Ok(()) => return Ok(()),
                Err(newer) => seen = newer,
            }
        }
        Err(StoreError::Unavailable("too many tries at once".into()))
    }
}

impl Store {
    /// Writes the tries that count over those seen; the inner error holds what is there instead.
    async fn replace_tries(
        &self,
        key: &Key,
        seen: &Item,
        counting: &[Timestamp],
        forgotten_at: Timestamp,
    ) -> Result<Result<(), Item>, StoreError> {
        let revision: u64 = number(seen, "revision").unwrap_or(0);
        let list = counting.iter().map(|at| n(at.as_microsecond())).collect();
        let expression = Expression::new()
            .set(keys::KIND, s("tries"))
            .set("tries", AttributeValue::L(list))
            .set("revision", n(revision + 1))
            .set(keys::EXPIRES_AT, n(forgotten_at.as_second()));
        let expression = match revision {
            0 => expression.if_absent(keys::PK),
            revision => expression.if_equal("revision", n(revision)),
        };
        let Err(error) = expression.send_to(&self.dynamodb, &self.table, key).send().await else {
            return Ok(Ok(()));
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Err(failed.item().cloned().unwrap_or_default()))
            }
            _ => Err(store_error(error)),
        }
    }
}

fn tries(item: &Item) -> Vec<Timestamp> {
    let list = item.get("tries").and_then(|value| value.as_l().ok());
    let instants = list.into_iter().flatten().filter_map(|value| value.as_n().ok());
    instants
        .filter_map(|text| text.parse().ok())
        .filter_map(|micros| Timestamp::from_microsecond(micros).ok())
        .collect()
}

/// Instants are kept in microseconds.
fn same(one: Timestamp, other: Timestamp) -> bool {
    one.as_microsecond() == other.as_microsecond()
}
