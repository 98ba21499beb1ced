//! Clients, learners and invitations on DynamoDB.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seatkeeper_domain::audit::{Action, AuditRecord};
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::{
    ClientId, ContractId, GroupId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::learner::{Learner, Seat, SeatState};
use seatkeeper_domain::ports::{Catalog, Page, PageRequest, People};

use crate::bulk::audit_record;
use crate::expression::Item;
use crate::keys::{self, Key};
use crate::records::{self, EMAIL, from_item, gone_seats, text};
use crate::store::Store;

/// Records of a trail that are read at once, when one learner's are looked for.
const TRAIL_READ: u16 = 1_000;
/// Readings of a trail in one call.
const TRAIL_READINGS: usize = 20;

impl Catalog for Store {
    async fn client(&self, client: &ClientId) -> Result<Option<Client>, StoreError> {
        self.get(&keys::client(client)).await?.map(from_item).transpose()
    }

    async fn contract(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Option<Contract>, StoreError> {
        self.get(&keys::contract(client, contract)).await?.map(from_item).transpose()
    }

    async fn all_contracts(&self, client: &ClientId) -> Result<Vec<Contract>, StoreError> {
        let items = self.partition(&keys::client_partition(client), keys::CONTRACTS).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn sublicense(
        &self,
        client: &ClientId,
        sublicense: SublicenseId,
    ) -> Result<Option<Sublicense>, StoreError> {
        self.get(&keys::sublicense(client, sublicense)).await?.map(from_item).transpose()
    }

    async fn sublicenses_of(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Vec<Sublicense>, StoreError> {
        let items = self.partition(&keys::client_partition(client), keys::SUBLICENSES).await?;
        let all: Result<Vec<Sublicense>, _> = items.into_iter().map(from_item).collect();
        let mut own = all?;
        own.retain(|sublicense| sublicense.contract_id == contract);
        Ok(own)
    }

    async fn groups(&self, client: &ClientId) -> Result<Vec<Group>, StoreError> {
        let items = self.partition(&keys::client_partition(client), keys::GROUPS).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn groups_by_id(
        &self,
        client: &ClientId,
        ids: &BTreeSet<GroupId>,
    ) -> Result<Vec<Group>, StoreError> {
        let wanted: Vec<Key> = ids.iter().map(|id| keys::group(client, *id)).collect();
        self.get_all(&wanted).await?.into_iter().map(from_item).collect()
    }
}

impl People for Store {
    async fn learner(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<Learner>, StoreError> {
        let item = self.get(&keys::learner(client, learner)).await?;
        item.map_or(Ok(None), records::learner)
    }

    async fn learners(
        &self,
        client: &ClientId,
        ids: &[LearnerId],
    ) -> Result<Vec<Learner>, StoreError> {
        let wanted: Vec<Key> = ids.iter().map(|id| keys::learner(client, *id)).collect();
        let found = self.get_all(&wanted).await?;
        found.into_iter().filter_map(|item| records::learner(item).transpose()).collect()
    }

    async fn erased(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<BTreeSet<PoolId>>, StoreError> {
        let item = self.get(&keys::learner(client, learner)).await?;
        let Some(item) = item.filter(|item| !item.contains_key(EMAIL)) else { return Ok(None) };
        Ok(Some(gone_seats(&item)?.into_keys().collect()))
    }

    async fn invitation(
        &self,
        client: &ClientId,
        place: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        self.get(&keys::invitation(client, place)).await?.map(from_item).transpose()
    }

    async fn invitations(
        &self,
        client: &ClientId,
        places: &[InvitationId],
    ) -> Result<Vec<Invitation>, StoreError> {
        let wanted: Vec<Key> = places.iter().map(|at| keys::invitation(client, *at)).collect();
        self.get_all(&wanted).await?.into_iter().map(from_item).collect()
    }

    async fn invitation_place(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<InvitationId>, StoreError> {
        let item = self.get(&keys::invitation_place(client, invitation)).await?;
        Ok(item.and_then(|item| text(&item, "place")?.parse().ok()))
    }
}

/// Lists, which no path that moves seats needs.
impl Store {
    /// Contracts, newest first.
    pub async fn contracts(
        &self,
        client: &ClientId,
        request: &PageRequest,
    ) -> Result<Page<Contract>, StoreError> {
        self.typed_page(&keys::client_partition(client), keys::CONTRACTS, false, request).await
    }

    /// Sublicenses of all contracts, newest first.
    pub async fn sublicenses(
        &self,
        client: &ClientId,
        request: &PageRequest,
    ) -> Result<Page<Sublicense>, StoreError> {
        self.typed_page(&keys::client_partition(client), keys::SUBLICENSES, false, request).await
    }

    /// Groups, newest first.
    pub async fn groups_page(
        &self,
        client: &ClientId,
        request: &PageRequest,
    ) -> Result<Page<Group>, StoreError> {
        self.typed_page(&keys::client_partition(client), keys::GROUPS, false, request).await
    }

    /// The trail of all of a client's pools from an instant on, oldest first.
    pub async fn client_audit(
        &self,
        client: &ClientId,
        since: Option<Timestamp>,
        request: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let cursor = request.cursor.clone().or_else(|| since.map(keys::sortable));
        let one = PageRequest { limit: request.limit, cursor };
        let mut merged = Vec::new();
        let mut more = false;
        for pool in self.pools(client).await? {
            let page = self.page(&keys::audit_partition(client, pool), "", true, &one).await?;
            more |= page.next.is_some();
            merged.extend(
                page.items
                    .into_iter()
                    .filter_map(|item| text(&item, keys::SK).map(|sort_key| (sort_key, item))),
            );
        }
        merged.sort_by(|a, b| a.0.cmp(&b.0));
        let limit = usize::from(request.limit);
        more |= merged.len() > limit;
        merged.truncate(limit);
        let next = merged.last().map(|(sort_key, _)| sort_key.clone()).filter(|_| more);
        let items: Result<Vec<_>, StoreError> =
            merged.into_iter().map(|(_, item)| audit_record(item)).collect();
        Ok(Page { items: items?, next })
    }

    /// What the trail of a pool says of one learner, oldest first: the records that name them, and
    /// the opening of the date their seat waited for. A page may hold fewer records than it could
    /// and still have a next one.
    pub async fn learner_audit(
        &self,
        client: &ClientId,
        pool: PoolId,
        learner: LearnerId,
        seat: Option<&Seat>,
        request: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let opened = seat.and_then(|seat| match seat.state {
            SeatState::Scheduled { opens_at } => Some(opens_at.to_string()),
            SeatState::Active { .. } => None,
            SeatState::Released { used_at, .. } => used_at.map(|at| at.to_string()),
        });
        let concerns = |record: &AuditRecord| {
            record.learner_ids.contains(&learner)
                || (record.action == Action::SeatsOpened && record.reason == opened)
        };
        let limit = usize::from(request.limit);
        let mut rest = PageRequest { limit: TRAIL_READ, cursor: request.cursor.clone() };
        let mut items = Vec::new();
        for _ in 0..TRAIL_READINGS {
            let page = self.page(&keys::audit_partition(client, pool), "", true, &rest).await?;
            for item in page.items {
                let sort_key = text(&item, keys::SK);
                let record = audit_record(item)?;
                if concerns(&record) {
                    items.push(record);
                    if items.len() == limit {
                        return Ok(Page { items, next: sort_key });
                    }
                }
            }
            rest.cursor = page.next;
            if rest.cursor.is_none() {
                break;
            }
        }
        Ok(Page { items, next: rest.cursor })
    }

    /// Every pool of a client.
    pub async fn pools(&self, client: &ClientId) -> Result<Vec<PoolId>, StoreError> {
        let partition = keys::client_partition(client);
        let mut pools = Vec::new();
        for item in self.partition(&partition, keys::CONTRACTS).await? {
            let contract: Contract = from_item(item)?;
            pools.push(PoolId::Contract(contract.contract_id));
        }
        for item in self.partition(&partition, keys::SUBLICENSES).await? {
            let sublicense: Sublicense = from_item(item)?;
            pools.push(PoolId::Sublicense(sublicense.sublicense_id));
        }
        Ok(pools)
    }

    async fn typed_page<T: serde::de::DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        forward: bool,
        request: &PageRequest,
    ) -> Result<Page<T>, StoreError> {
        let page = self.page(pk, prefix, forward, request).await?;
        let items: Result<Vec<T>, StoreError> = page.items.into_iter().map(from_item).collect();
        Ok(Page { items: items?, next: page.next })
    }

    /// Learners in the order of their ids, bucket by bucket; `keep` filters. A page may hold fewer
    /// than it could and still have a next one.
    pub async fn learners_page(
        &self,
        client: &ClientId,
        request: &PageRequest,
        keep: impl Fn(&Learner) -> bool,
    ) -> Result<Page<Learner>, StoreError> {
        let bucket = |bucket| keys::learner_partition(client, bucket);
        self.bucket_page(bucket, request, records::learner, keep).await
    }

    /// Pages over the buckets of a client, sixteen at a time: most are empty for a small client,
    /// and one after the other would be as many round trips.
    pub(crate) async fn bucket_page<T>(
        &self,
        partition: impl Fn(u8) -> String,
        request: &PageRequest,
        read: impl Fn(Item) -> Result<Option<T>, StoreError>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        const AT_ONCE: u8 = 16;
        let (mut bucket, mut after) = read_cursor(request.cursor.as_deref());
        let limit = usize::from(request.limit);
        let mut items = Vec::new();
        while bucket < keys::BUCKETS {
            let last = keys::BUCKETS.min(bucket.saturating_add(AT_ONCE));
            let mut queries = Vec::new();
            for place in bucket..last {
                let cursor = if place == bucket { after.take() } else { None };
                let one = PageRequest { limit: request.limit, cursor };
                let pk = partition(place);
                queries.push(async move { (place, self.page(&pk, "", true, &one).await) });
            }
            for (place, page) in futures::future::join_all(queries).await {
                let page = page?;
                let sort_keys: Vec<_> =
                    page.items.iter().filter_map(|item| text(item, keys::SK)).collect();
                for (item, sort_key) in page.items.into_iter().zip(sort_keys) {
                    if items.len() == limit {
                        let before = previous(place, &items);
                        return Ok(Page { items: strip(items), next: Some(before) });
                    }
                    if let Some(record) = read(item)?.filter(|record| keep(record)) {
                        items.push((place, sort_key, record));
                    }
                }
                if let Some(next) = page.next {
                    return Ok(Page {
                        items: strip(items),
                        next: Some(format!("{place:02}.{next}")),
                    });
                }
            }
            bucket = last;
        }
        Ok(Page { items: strip(items), next: None })
    }
}

/// The cursor behind the last item given.
fn previous<T>(place: u8, items: &[(u8, String, T)]) -> String {
    items
        .last()
        .map_or_else(|| format!("{place:02}."), |(bucket, sk, _)| format!("{bucket:02}.{sk}"))
}

fn strip<T>(items: Vec<(u8, String, T)>) -> Vec<T> {
    items.into_iter().map(|(_, _, record)| record).collect()
}

fn read_cursor(cursor: Option<&str>) -> (u8, Option<String>) {
    let parts = cursor.and_then(|cursor| cursor.split_once('.'));
    let bucket = parts.and_then(|(bucket, _)| bucket.parse().ok());
    match (bucket, parts) {
        (Some(bucket), Some((_, sk))) if bucket < keys::BUCKETS => {
            (bucket, (!sk.is_empty()).then(|| sk.to_owned()))
        }
        _ => (0, None),
    }
}
