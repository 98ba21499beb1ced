//! The record of imports on DynamoDB.

use std::collections::HashMap;

use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::{ClientId, ImportId};
use seatkeeper_domain::import_run::{Chunk, ImportRun};
use seatkeeper_domain::ports::{ImportLog, Page, PageRequest};

use crate::apply::{CHUNK_DONE, chunk_item, condition_failed};
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

    async fn chunks(
        &self,
        client: &ClientId,
        import: ImportId,
        count: u32,
    ) -> Result<Vec<Chunk>, StoreError> {
        let items = self.partition(&keys::import_partition(client, import), keys::CHUNKS).await?;
        // Behind the last chunk there may be some of a worker who cut the rows otherwise.
        (0..count).zip(items).map(|(number, item)| chunk(import, number, &item)).collect()
    }

    async fn chunk(
        &self,
        client: &ClientId,
        import: ImportId,
        number: u32,
    ) -> Result<Option<Chunk>, StoreError> {
        let item = self.get(&keys::chunk(client, import, number)).await?;
        item.map(|item| chunk(import, number, &item)).transpose()
    }

    async fn preview_chunk(
        &self,
        client: &ClientId,
        chunk: &Chunk,
        epoch: u32,
    ) -> Result<(), StoreError> {
        let mut expression = Expression::new()
            .set("epoch", n(epoch))
            .if_absent(CHUNK_DONE)
            .if_absent_or("epoch", "epoch", "<=", n(epoch));
        for (name, value) in chunk_item(chunk)? {
            expression = expression.set(&name, value);
        }
        let key = keys::chunk(client, chunk.import_id, chunk.number);
        match expression.send_to(&self.dynamodb, &self.table, &key).send().await {
            // Someone newer wrote it: what this worker does next will be refused.
            Err(error) if !condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }

    async fn let_go_of_import(
        &self,
        client: &ClientId,
        import: ImportId,
        epoch: u32,
        now: jiff::Timestamp,
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

fn owner(item: &Item) -> Option<ImportId> {
    text(item, "owner").and_then(|id| id.parse().ok())
}

fn chunk(import_id: ImportId, number: u32, item: &Item) -> Result<Chunk, StoreError> {
    let rows = text(item, "rows").unwrap_or_default();
    let rows = serde_json::from_str(&rows)
        .map_err(|error| StoreError::Broken(format!("the rows of a chunk: {error}")))?;
    Ok(Chunk { import_id, number, rows })
}
