//! The record of imports on DynamoDB.

use std::collections::HashMap;

use jiff::Timestamp;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::{ClientId, ImportId, PoolId};
use seatkeeper_domain::import_run::ImportRun;
use seatkeeper_domain::ports::{ImportLog, Page, PageRequest};

use crate::apply::condition_failed;
use crate::bulk::audit_record;
use crate::expression::{Expression, Item, n, s};
use crate::keys::{self, Key};
use crate::records::{from_item, text};
use crate::store::{Store, store_error};

impl ImportLog for Store {
    async fn import(
        &self,
        client: &ClientId,
        import: ImportId,
    ) -> Result<Option<ImportRun>, StoreError> {
        self.get(&keys::import(client, import)).await?.map(from_item).transpose()
    }

    async fn imports(
        &self,
        client: &ClientId,
        request: &PageRequest,
    ) -> Result<Page<ImportRun>, StoreError> {
        let listed = self.page(&keys::imports_partition(client), "", false, request).await?;
        let ids: Vec<ImportId> = listed.items.iter().filter_map(owner).collect();
        let wanted: Vec<Key> = ids.iter().map(|id| keys::import(client, *id)).collect();
        let mut found = HashMap::new();
        for item in self.get_all(&wanted).await? {
            let run: ImportRun = from_item(item)?;
            found.insert(run.import_id, run);
        }
        let items = ids.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Page { items, next: listed.next })
    }

    async fn import_trail(
        &self,
        client: &ClientId,
        pool: PoolId,
        import: ImportId,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let span = (keys::sortable(from), until.map(keys::sortable));
        let items = self.audit_span(&keys::audit_partition(client, pool), span, import).await?;
        items.into_iter().map(audit_record).collect()
    }

    async fn let_go_of_import(
        &self,
        client: &ClientId,
        import: ImportId,
        epoch: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expression = Expression::new()
            .set("lease_until", s(now))
            .set(keys::DUE_AT, s(keys::sortable(now)))
            .if_present("lease_until")
            .if_equal("epoch", n(epoch));
        let key = keys::import(client, import);
        match expression.send_to(&self.dynamodb, &self.table, &key).send().await {
            Err(error) if !condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// The items of a trail between two instants, the second one with everything that begins with
    /// it, that tell of rows of this import.
    async fn audit_span(
        &self,
        partition: &str,
        (from, until): (String, Option<String>),
        import: ImportId,
    ) -> Result<Vec<Item>, StoreError> {
        // `~` stands behind everything that a key goes on with.
        let until = until.map_or_else(|| "~".to_owned(), |until| until + "~");
        let pages = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :until")
            .filter_expression("#reason = :import AND attribute_exists(#marks)")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#marks", "marks")
            .expression_attribute_values(":pk", s(partition))
            .expression_attribute_values(":from", s(from))
            .expression_attribute_values(":until", s(until))
            .expression_attribute_values(":import", s(import))
            .into_paginator()
            .items();
        pages.send().try_collect().await.map_err(store_error)
    }
}

fn owner(item: &Item) -> Option<ImportId> {
    text(item, "owner").and_then(|id| id.parse().ok())
}
