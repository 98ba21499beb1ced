//! What is due, from the sparse index, and the proofs of pools.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::{ClientId, ContractId, ImportId, InvitationId, PoolId};
use seatkeeper_domain::outbox::MailPlace;
use seatkeeper_domain::ports::{Due, Page, PageRequest, PoolStanding, Proof, Proofs, Wake};

use crate::bulk::audit_record;
use crate::expression::{Expression, s};
use crate::keys;
use crate::records::{self, number, text, to_value};
use crate::store::{Store, store_error};

impl Due for Store {
    async fn due_mails(&self, now: Timestamp, limit: u16) -> Result<Vec<MailPlace>, StoreError> {
        let found = self.due("mail", now, limit.into()).await?;
        Ok(found.into_iter().map(keys::mail_place).collect())
    }

    async fn due_cohorts(&self, now: Timestamp, limit: u16) -> Result<Vec<CohortKey>, StoreError> {
        let found = self.due("cohort", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::cohort_at).collect())
    }

    async fn due_invitations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, InvitationId)>, StoreError> {
        let found = self.due("invitation", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::invitation_at).collect())
    }

    async fn due_imports(&self, now: Timestamp, limit: u16) -> Result<Vec<Wake>, StoreError> {
        let mut lapsed = Vec::new();
        for key in self.due("import", now, limit.into()).await? {
            // The index may lag: the record itself says whether a worker has it again.
            let Some(item) = self.get(&key).await? else { continue };
            let lease = text(&item, "lease_until").and_then(|until| until.parse().ok());
            let over = lease.filter(|until: &Timestamp| *until <= now);
            let (Some(lapsed_at), Some((client_id, import_id))) = (over, keys::import_at(&key))
            else {
                continue;
            };
            lapsed.push(Wake::Import { client_id, import_id, lapsed_at });
        }
        Ok(lapsed)
    }

    async fn waiting_imports(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, ImportId)>, StoreError> {
        let found = self.due("import_waiting", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::import_at).collect())
    }

    async fn due_contracts(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, ContractId)>, StoreError> {
        let found = self.due("contract", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::contract_at).collect())
    }

    async fn due_pools(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, PoolId)>, StoreError> {
        let found = self.due("pool", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::pool_at).collect())
    }
}

impl Proofs for Store {
    async fn standing(
        &self,
        client: &ClientId,
        pool: PoolId,
    ) -> Result<Option<PoolStanding>, StoreError> {
        let mut standing = None;
        let mut blocks = Vec::new();
        for item in self.partition(&keys::pool_partition(client, pool), "").await? {
            if item.contains_key("size") {
                blocks.push(records::block(pool, &item)?);
            } else {
                standing = Some((records::stock(&item)?, number(&item, "moves").unwrap_or(0)));
            }
        }
        Ok(standing.map(|(counters, moves)| PoolStanding { counters, moves, blocks }))
    }

    async fn proof(&self, client: &ClientId, pool: PoolId) -> Result<Proof, StoreError> {
        let item = self.get(&keys::pool(client, pool)).await?;
        match item.and_then(|mut item| item.remove("proof")) {
            None => Ok(Proof::default()),
            Some(kept) => serde_dynamo::from_attribute_value(kept)
                .map_err(|error| StoreError::Broken(format!("a proof: {error}"))),
        }
    }

    async fn trail(
        &self,
        client: &ClientId,
        pool: PoolId,
        from: Option<Timestamp>,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        // A record's key begins with its instant and goes on, so it stands behind the instant alone.
        let cursor = page.cursor.clone().or_else(|| from.map(keys::sortable));
        let request = PageRequest { limit: page.limit, cursor };
        let found = self.page(&keys::audit_partition(client, pool), "", true, &request).await?;
        let items: Result<_, _> = found.items.into_iter().map(audit_record).collect();
        Ok(Page { items: items?, next: found.next })
    }

    async fn trail_back(
        &self,
        client: &ClientId,
        pool: PoolId,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let found = self.page(&keys::audit_partition(client, pool), "", false, page).await?;
        let items: Result<_, _> = found.items.into_iter().map(audit_record).collect();
        Ok(Page { items: items?, next: found.next })
    }

    async fn keep_proof(
        &self,
        client: &ClientId,
        pool: PoolId,
        proof: &Proof,
        again_at: Timestamp,
    ) -> Result<(), StoreError> {
        let kept: AttributeValue = to_value(proof)?;
        let call = Expression::new()
            .set("proof", kept)
            .set(keys::DUE_AT, s(keys::sortable(again_at)))
            .if_present(keys::PK)
            .send_to(&self.dynamodb, &self.table, &keys::pool(client, pool));
        call.send().await.map(drop).map_err(store_error)
    }
}
