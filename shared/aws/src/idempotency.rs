//! Idempotency records on DynamoDB.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::idempotency::{
    Attempt, Begin, Guard, IdempotencyStore, LEASE, Op, RETENTION,
};

use crate::expression::{Expression, Item, n, s};
use crate::keys;
use crate::records::{number, text};
use crate::store::{Store, store_error};

impl IdempotencyStore for Store {
    async fn begin(&self, attempt: &Attempt) -> Result<Begin, StoreError> {
        // Two rounds: a record past its retention is removed first, since TTL takes its time.
        for _ in 0..2 {
            match self.take_record(attempt).await? {
                Ok(begin) => return Ok(begin),
                Err(outlived) => self.remove_outlived(attempt, &outlived).await?,
            }
        }
        Ok(Begin::InProgress)
    }

    async fn complete(&self, op: &Op, status: u16, sealed: &[u8]) -> Result<(), StoreError> {
        let Some(guard) = op.guard else { return Ok(()) };
        let expression = Expression::new()
            .set("status", n(status))
            .set("sealed", AttributeValue::B(Blob::new(sealed)))
            .set("held_until", s(keys::sortable(guard.held_since)));
        self.write_held(expression, &guard).await
    }

    async fn abandon(&self, op: &Op) -> Result<(), StoreError> {
        let Some(guard) = op.guard else { return Ok(()) };
        // What had an effect is never forgotten, whatever the answer was.
        let call = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::idempotency(&guard.record).attributes()))
            .condition_expression("held_since = :mine AND attribute_not_exists(applied)")
            .expression_attribute_values(":mine", s(keys::sortable(guard.held_since)));
        match call.send().await {
            Err(error) if !crate::apply::condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }

    async fn release(&self, op: &Op) -> Result<(), StoreError> {
        let Some(guard) = op.guard else { return Ok(()) };
        let free = Expression::new().set("held_until", s(keys::sortable(guard.held_since)));
        self.write_held(free, &guard).await
    }
}

impl Store {
    /// Takes the record for this attempt. `Err` holds a record past its retention.
    async fn take_record(&self, attempt: &Attempt) -> Result<Result<Begin, Item>, StoreError> {
        let now = keys::sortable(attempt.now);
        let until = keys::sortable(attempt.now + LEASE);
        let kept = (attempt.now + RETENTION).as_second();
        let body = Blob::new(attempt.body);
        let key = keys::idempotency(&attempt.record);
        // Free: not there, or begun for the same body, unanswered, and its holder is gone.
        let call = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(
                "SET #kind = :kind, held_since = :now, held_until = :until, holder = :op, body = :body, \
                 op = if_not_exists(op, :op), tries = if_not_exists(tries, :none) + :one, \
                 expires_at = if_not_exists(expires_at, :kept)",
            )
            .condition_expression(
                "attribute_not_exists(pk) OR (body = :body AND attribute_not_exists(sealed) \
                 AND held_until < :now AND expires_at > :seconds)",
            )
            .expression_attribute_names("#kind", keys::KIND)
            .expression_attribute_values(":kind", s("idempotency"))
            .expression_attribute_values(":now", s(&now))
            .expression_attribute_values(":until", s(&until))
            .expression_attribute_values(":body", AttributeValue::B(body))
            .expression_attribute_values(":op", s(attempt.op))
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":kept", n(kept))
            .expression_attribute_values(":seconds", n(attempt.now.as_second()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match past_conflicts(|| call.clone().send()).await {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                Ok(Ok(fresh(attempt, &item)))
            }
            Err(error) => {
                let old = match error.as_service_error() {
                    Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                        failed.item().cloned()
                    }
                    _ => return Err(store_error(error)),
                };
                let old = old.unwrap_or_default();
                // Our own write, whose answer was lost on the way.
                if text(&old, "holder") == Some(attempt.op.to_string()) {
                    return Ok(Ok(fresh(attempt, &old)));
                }
                Ok(judge(attempt, old))
            }
        }
    }

    async fn remove_outlived(&self, attempt: &Attempt, old: &Item) -> Result<(), StoreError> {
        let held_since = text(old, "held_since").unwrap_or_default();
        let call = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::idempotency(&attempt.record).attributes()))
            .condition_expression("held_since = :seen")
            .expression_attribute_values(":seen", s(held_since));
        match call.send().await {
            Err(error) if !crate::apply::condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }

    /// Writes to the record if this attempt still holds it; otherwise there is nothing to do.
    async fn write_held(&self, expression: Expression, guard: &Guard) -> Result<(), StoreError> {
        let key = keys::idempotency(&guard.record);
        let held = expression.if_equal("held_since", s(keys::sortable(guard.held_since)));
        let call = held.send_to(&self.dynamodb, &self.table, &key);
        match past_conflicts(|| call.clone().send()).await {
            Err(error) if !crate::apply::condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }
}

/// Sends again while a transaction holds the record, which the SDK does not: the record's own
/// change may still be under way elsewhere.
async fn past_conflicts<T, E, F>(send: impl Fn() -> F) -> Result<T, SdkError<E>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E>>>,
{
    for pause in [20, 40, 80, 160] {
        match send().await {
            Err(error) if error.code() == Some("TransactionConflictException") => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            other => return other,
        }
    }
    send().await
}

fn fresh(attempt: &Attempt, item: &Item) -> Begin {
    let id = text(item, "op").and_then(|op| op.parse().ok()).unwrap_or(attempt.op);
    let resumed = number::<u32>(item, "tries").unwrap_or(1) > 1;
    let guard = Guard { record: attempt.record, held_since: attempt.now, resumed };
    Begin::Fresh { op: Op { id, guard: Some(guard) } }
}

fn judge(attempt: &Attempt, old: Item) -> Result<Begin, Item> {
    let kept_until = number::<i64>(&old, keys::EXPIRES_AT).unwrap_or(i64::MAX);
    if Timestamp::from_second(kept_until).is_ok_and(|until| until <= attempt.now) {
        return Err(old);
    }
    let blob = |name: &str| old.get(name).and_then(|value| value.as_b().ok()).map(Blob::as_ref);
    if blob("body") != Some(attempt.body.as_slice()) {
        return Ok(Begin::Mismatch);
    }
    match (number(&old, "status"), blob("sealed")) {
        (Some(status), Some(sealed)) => Ok(Begin::Replay { status, sealed: sealed.to_vec() }),
        _ => Ok(Begin::InProgress),
    }
}
