//! Calls that take time, and transactions that hold their items while they do.
//!
//! The embedded database does one write at a time, so two transactions never meet in it. On AWS
//! they do: whoever writes an item that another transaction is writing is told so.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::Cloud;
use crate::reply::Call;

/// How long calls take, on the runtime's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Any call, before it has its effect.
    pub call: Duration,
    /// A transaction, from its effect to its end: for so long it holds the items it names.
    pub transaction: Duration,
}

/// What transactions hold.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    latency: Mutex<Option<Latency>>,
    held: Mutex<BTreeSet<String>>,
}

/// Items held until it is dropped.
pub(crate) struct Held<'a> {
    locks: &'a Locks,
    keys: Vec<String>,
    /// How long they are to be held.
    pub(crate) time: Duration,
}

impl Locks {
    pub(crate) fn latency(&self) -> Option<Latency> {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a write names. `Err`: another transaction holds some of it. A write that is no
    /// transaction meets those that are, but holds nothing.
    pub(crate) fn take(&self, operation: &str, call: &Call) -> Result<Option<Held<'_>>, ()> {
        let Some(latency) = self.latency() else { return Ok(None) };
        let keys = named(operation, &call.json());
        let mut held = self.held();
        if keys.iter().any(|key| held.contains(key)) {
            return Err(());
        }
        if operation != "TransactWriteItems" {
            return Ok(None);
        }
        held.extend(keys.iter().cloned());
        Ok(Some(Held { locks: self, keys, time: latency.transaction }))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.locks.held();
        for key in &self.keys {
            held.remove(key);
        }
    }
}

/// The keys of the items that a request writes or checks.
fn named(operation: &str, body: &Value) -> Vec<String> {
    let key = |place: &Value| format!("{} {}", place["pk"], place["sk"]);
    let of =
        |write: &Value| key(if write["Key"].is_null() { &write["Item"] } else { &write["Key"] });
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![of(body)],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().into_iter().flatten();
            items.filter_map(|item| item.as_object()?.values().next().map(of)).collect()
        }
        _ => Vec::new(),
    }
}

impl Cloud {
    /// From now on calls take time, on the runtime's clock: a paused one passes by itself.
    pub fn take_time(&self, latency: Latency) {
        *self.locks().latency.lock().unwrap_or_else(PoisonError::into_inner) = Some(latency);
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsFluentBuilder;
    use aws_sdk_dynamodb::types::AttributeValue::S;
    use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
    use tokio::time::Instant;

    use super::*;

    fn write(cloud: &Cloud, name: &str) -> TransactWriteItemsFluentBuilder {
        let put = Put::builder().table_name(Cloud::TABLE);
        let put = put.item("pk", S(name.into())).item("sk", S("POOL".into())).build().unwrap();
        let write = TransactWriteItem::builder().put(put).build();
        cloud.dynamodb().transact_write_items().transact_items(write)
    }

    fn slow() -> Cloud {
        let cloud = Cloud::new();
        let (call, transaction) = (Duration::from_millis(3), Duration::from_millis(12));
        cloud.take_time(Latency { call, transaction });
        cloud
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_transactions_on_one_item_at_once_one_meets_the_other() {
        let cloud = slow();
        let began = Instant::now();
        let (one, other) = tokio::join!(write(&cloud, "a").send(), write(&cloud, "a").send());
        let told = format!("{:?}", one.and(other).unwrap_err());
        assert!(told.contains("TransactionConflict"), "{told}");
        assert_eq!(began.elapsed(), Duration::from_millis(15));
        write(&cloud, "a").send().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn transactions_on_different_items_do_not_meet() {
        let cloud = slow();
        let (one, other) = tokio::join!(write(&cloud, "a").send(), write(&cloud, "b").send());
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_write_meets_a_transaction_on_its_item() {
        let cloud = slow();
        let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
        let put = put.item("pk", S("a".into())).item("sk", S("POOL".into()));
        let (one, other) = tokio::join!(write(&cloud, "a").send(), put.send());
        assert!(one.is_ok());
        assert!(format!("{:?}", other.unwrap_err()).contains("TransactionConflictException"));
    }
}
