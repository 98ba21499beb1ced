//! The table, and what reads and writes share.

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ports::{Page, PageRequest};

use crate::expression::{Item, s};
use crate::keys::{self, Key};
use crate::records::text;

/// The table, as every port sees it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) dynamodb: DynamoDb,
    pub(crate) table: String,
}

impl Store {
    /// The table `table`, by this client.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Self {
        Self { dynamodb, table: table.into() }
    }

    /// An item, strongly consistent.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let call = self.dynamodb.get_item().table_name(&self.table).consistent_read(true);
        let answer = call.set_key(Some(key.attributes())).send().await.map_err(store_error)?;
        Ok(answer.item)
    }

    /// Those of these items that exist, strongly consistent, a hundred a request.
    pub(crate) async fn get_all(&self, wanted: &[Key]) -> Result<Vec<Item>, StoreError> {
        use aws_sdk_dynamodb::types::KeysAndAttributes;
        let mut found = Vec::new();
        for keys in wanted.chunks(100) {
            let mut left: Vec<_> = keys.iter().map(Key::attributes).collect();
            let mut tries = 0;
            while !left.is_empty() {
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .consistent_read(true)
                    .build()
                    .map_err(|error| StoreError::Broken(error.to_string()))?;
                let call = self.dynamodb.batch_get_item().request_items(&self.table, request);
                let answer = call.send().await.map_err(store_error)?;
                found.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
                let again = answer.unprocessed_keys.and_then(|mut map| map.remove(&self.table));
                left = again.map(|keys| keys.keys).unwrap_or_default();
                tries += 1;
                if !left.is_empty() {
                    if tries == 8 {
                        return Err(StoreError::Unavailable("unprocessed keys".into()));
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(25 << tries)).await;
                }
            }
        }
        Ok(found)
    }

    /// Every item of a partition whose sort key begins so, in order, strongly consistent.
    pub(crate) async fn partition(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let answer = self.query(pk, prefix, true, start, None).await?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// One page of a partition, in order or backwards.
    pub(crate) async fn page(
        &self,
        pk: &str,
        prefix: &str,
        forward: bool,
        request: &PageRequest,
    ) -> Result<Page<Item>, StoreError> {
        let start = request
            .cursor
            .as_ref()
            .map(|sk| Key { pk: pk.to_owned(), sk: format!("{prefix}{sk}") }.attributes());
        let limit = i32::from(request.limit);
        let answer = self.query(pk, prefix, forward, start, Some(limit)).await?;
        let next = answer.last_evaluated_key.and_then(|key| text(&key, keys::SK));
        Ok(Page {
            items: answer.items.unwrap_or_default(),
            next: next.map(|sk| sk.strip_prefix(prefix).unwrap_or(&sk).to_owned()),
        })
    }

    async fn query(
        &self,
        pk: &str,
        prefix: &str,
        forward: bool,
        start: Option<Item>,
        limit: Option<i32>,
    ) -> Result<aws_sdk_dynamodb::operation::query::QueryOutput, StoreError> {
        let mut call = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .scan_index_forward(forward)
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_values(":pk", s(pk))
            .set_exclusive_start_key(start)
            .set_limit(limit);
        call = if prefix.is_empty() {
            call.key_condition_expression("#pk = :pk")
        } else {
            call.key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#sk", keys::SK)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
        };
        call.send().await.map_err(store_error)
    }

    /// Keys of what is due by `now`, oldest first, from the sparse index.
    pub(crate) async fn due(
        &self,
        what: &str,
        now: jiff::Timestamp,
        limit: i32,
    ) -> Result<Vec<Key>, StoreError> {
        let answer = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .index_name(keys::DUE_INDEX)
            .key_condition_expression("#shard = :shard AND #at <= :now")
            .expression_attribute_names("#shard", keys::DUE_SHARD)
            .expression_attribute_names("#at", keys::DUE_AT)
            .expression_attribute_values(":shard", s(what))
            .expression_attribute_values(":now", s(keys::sortable(now)))
            .limit(limit)
            .send()
            .await
            .map_err(store_error)?;
        let items = answer.items.unwrap_or_default();
        Ok(items.iter().filter_map(crate::apply::due_key).collect())
    }
}

/// Sorts an SDK error: what may go through later, and what never will.
pub(crate) fn store_error<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let broken = matches!(
        code.as_str(),
        "ValidationException"
            | "ResourceNotFoundException"
            | "AccessDeniedException"
            | "UnrecognizedClientException"
            | "SerializationException"
            | "IdempotentParameterMismatchException"
    );
    if broken || matches!(error, SdkError::ConstructionFailure(_)) {
        // A validation message names attributes and expressions, which are ours, and no values.
        let message = error.message().unwrap_or("the call could not be built").to_owned();
        return StoreError::Broken(format!("{code}: {message}"));
    }
    StoreError::Unavailable(Box::new(error))
}
