//! Batches of codes on DynamoDB.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::code::{Batch, CodeHash, CodeRecord, Redemption};
use seatkeeper_domain::ids::{BatchId, ClientId, LearnerId};
use seatkeeper_domain::ports::{CodeBook, Page, PageRequest};

use crate::expression::Item;
use crate::keys::{self, Key};
use crate::records::{from_item, text};
use crate::store::Store;

/// Most unfinished batches looked for at once.
const UNFINISHED_MAX: i32 = 50;

impl CodeBook for Store {
    async fn code(
        &self,
        client: &ClientId,
        hash: CodeHash,
    ) -> Result<Option<CodeRecord>, StoreError> {
        self.get(&keys::code(client, hash)).await?.map(from_item).transpose()
    }

    async fn codes(
        &self,
        client: &ClientId,
        hashes: &[CodeHash],
    ) -> Result<Vec<Option<CodeRecord>>, StoreError> {
        let wanted: Vec<Key> = hashes.iter().map(|hash| keys::code(client, *hash)).collect();
        let mut found = HashMap::new();
        for item in self.get_all(&wanted).await? {
            if let Some(pk) = text(&item, keys::PK) {
                found.insert(pk, item);
            }
        }
        wanted.iter().map(|key| found.remove(&key.pk).map(from_item).transpose()).collect()
    }

    async fn batch(&self, client: &ClientId, batch: BatchId) -> Result<Option<Batch>, StoreError> {
        self.get(&keys::batch(client, batch)).await?.map(from_item).transpose()
    }

    async fn batches(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<Batch>, StoreError> {
        let page = self.page(&keys::batches_partition(client), "", false, page).await?;
        read_page(page)
    }

    async fn sealed_codes(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let partition = keys::batch_partition(client, batch);
        let items = self.partition(&partition, keys::SEALED_CODES).await?;
        items.iter().map(sealed).collect()
    }

    async fn sealed_run(
        &self,
        client: &ClientId,
        batch: BatchId,
        run: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let item = self.get(&keys::sealed_codes(client, batch, run)).await?;
        item.as_ref().map(sealed).transpose()
    }

    async fn mailed_to(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<BTreeSet<LearnerId>, StoreError> {
        let partition = keys::batch_partition(client, batch);
        let mut all = BTreeSet::new();
        for mut item in self.partition(&partition, keys::MAILED_CODES).await? {
            let unread = || StoreError::Broken("a list of mailed codes cannot be read".to_owned());
            let to = item.remove("to").ok_or_else(unread)?;
            let to: Vec<LearnerId> =
                serde_dynamo::from_attribute_value(to).map_err(|_| unread())?;
            all.extend(to);
        }
        Ok(all)
    }

    async fn redemptions(
        &self,
        client: &ClientId,
        batch: BatchId,
        page: &PageRequest,
    ) -> Result<Page<Redemption>, StoreError> {
        let partition = keys::batch_partition(client, batch);
        let page = self.page(&partition, keys::REDEMPTIONS, false, page).await?;
        read_page(page)
    }

    async fn unfinished_batches(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(ClientId, BatchId)>, StoreError> {
        let due = self.due("batch", now, UNFINISHED_MAX).await?;
        Ok(due.iter().filter_map(keys::read_batch).collect())
    }
}

fn sealed(item: &Item) -> Result<Vec<u8>, StoreError> {
    let blob = item.get("sealed").and_then(|value| value.as_b().ok());
    blob.map(|blob| blob.as_ref().to_vec())
        .ok_or_else(|| StoreError::Broken("a run of codes without its texts".to_owned()))
}

fn read_page<T: serde::de::DeserializeOwned>(page: Page<Item>) -> Result<Page<T>, StoreError> {
    let items: Result<Vec<T>, _> = page.items.into_iter().map(from_item).collect();
    Ok(Page { items: items?, next: page.next })
}
