//! The seat ledger on DynamoDB.

use seatkeeper_domain::change::{Block, Change, Refused, StoreError, shown_stock};
use seatkeeper_domain::cohort::{Cohort, CohortKey};
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, PoolId};
use seatkeeper_domain::ports::Ledger;
use seatkeeper_domain::stock::Stock;
use serde_json::Value;

use crate::keys;
use crate::records::{self, from_item, number};
use crate::store::Store;

impl Ledger for Store {
    async fn apply(&self, change: &Change) -> Result<(), Refused> {
        self.apply_change(change).await
    }

    async fn receipts(&self, op: &Op) -> Result<Vec<Value>, StoreError> {
        let Some(guard) = op.guard.filter(|guard| guard.resumed) else {
            return Ok(Vec::new());
        };
        let Some(mut item) = self.get(&keys::idempotency(&guard.record)).await? else {
            return Ok(Vec::new());
        };
        let texts = item.remove("receipts").and_then(|value| value.as_l().ok().cloned());
        let texts = texts.unwrap_or_default();
        let values = texts.iter().filter_map(|text| text.as_s().ok());
        values
            .map(|text| {
                serde_json::from_str(text).map_err(|error| StoreError::Broken(error.to_string()))
            })
            .collect()
    }

    async fn stock(&self, client: &ClientId, pool: PoolId) -> Result<Option<Stock>, StoreError> {
        let mut counters = None;
        let mut blocks = Vec::new();
        for item in self.partition(&keys::pool_partition(client, pool), "").await? {
            if item.contains_key("size") {
                blocks.push(records::block(pool, &item)?);
            } else {
                counters = Some(records::stock(&item)?);
            }
        }
        Ok(counters.map(|counters| shown_stock(counters, &blocks)))
    }

    async fn blocks(&self, client: &ClientId, pool: PoolId) -> Result<Vec<Block>, StoreError> {
        let items = self.partition(&keys::pool_partition(client, pool), keys::BLOCKS).await?;
        items.iter().map(|item| records::block(pool, item)).collect()
    }

    async fn cohort(&self, key: &CohortKey) -> Result<Option<Cohort>, StoreError> {
        self.get(&keys::cohort(key)).await?.map(from_item).transpose()
    }

    async fn order(
        &self,
        client: &ClientId,
        contract: ContractId,
        order: &str,
    ) -> Result<Option<i64>, StoreError> {
        let item = self.get(&keys::order(client, contract, order)).await?;
        Ok(item.and_then(|item| number(&item, "add")))
    }
}
