//! What the domain needs from outside, named by what it is for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::change::{Block, Change, Refused, StoreError};
use crate::client::{Client, Group};
use crate::cohort::{Cohort, CohortKey};
use crate::contract::{Contract, Sublicense};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, GroupId, InvitationId, LearnerId, PoolId, SublicenseId};
use crate::invitation::Invitation;
use crate::learner::Learner;
use crate::stock::Stock;

/// The present.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Chance: ids and random bytes.
pub trait IdSource: Send + Sync {
    /// A new version 7 `UUID`.
    fn uuid(&self) -> Uuid;
    /// Fills `bytes` with unpredictable ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<String>,
}

/// Where a page begins, and how long it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items, 1 to 100.
    pub limit: u16,
    /// The `next` of the page before. One this stack did not make begins at the start.
    pub cursor: Option<String>,
}

/// The seat ledger: applies changes, and says how stocks stand.
pub trait Ledger {
    /// Applies a change whole or not at all. Conflicts with other changes are retried inside, with
    /// the same ids, for at most a few seconds.
    async fn apply(&self, change: &Change) -> Result<(), Refused>;
    /// What earlier attempts at this operation left, in the order of its parts. Empty for a fresh
    /// operation, without asking the store.
    async fn receipts(&self, op: &Op) -> Result<Vec<Value>, StoreError>;
    /// The stock a pool shows, strongly consistent.
    async fn stock(&self, client: &ClientId, pool: PoolId) -> Result<Option<Stock>, StoreError>;
    /// The open blocks of a pool, strongly consistent.
    async fn blocks(&self, client: &ClientId, pool: PoolId) -> Result<Vec<Block>, StoreError>;
    /// A cohort, strongly consistent.
    async fn cohort(&self, key: &CohortKey) -> Result<Option<Cohort>, StoreError>;
    /// The seats an order added before, if it is known.
    async fn order(
        &self,
        client: &ClientId,
        contract: ContractId,
        order: &str,
    ) -> Result<Option<i64>, StoreError>;
}

/// Clients and what belongs to them.
pub trait Catalog {
    /// A client.
    async fn client(&self, client: &ClientId) -> Result<Option<Client>, StoreError>;
    /// A contract of a client.
    async fn contract(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Option<Contract>, StoreError>;
    /// A sublicense of a client.
    async fn sublicense(
        &self,
        client: &ClientId,
        sublicense: SublicenseId,
    ) -> Result<Option<Sublicense>, StoreError>;
    /// All groups of a client.
    async fn groups(&self, client: &ClientId) -> Result<Vec<Group>, StoreError>;
    /// Those of these groups that exist.
    async fn groups_by_id(
        &self,
        client: &ClientId,
        ids: &BTreeSet<GroupId>,
    ) -> Result<Vec<Group>, StoreError>;
}

/// Learners and invitations of a client, all reads strongly consistent.
pub trait People {
    /// A learner.
    async fn learner(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<Learner>, StoreError>;
    /// Those of these learners that exist, in any order.
    async fn learners(
        &self,
        client: &ClientId,
        ids: &[LearnerId],
    ) -> Result<Vec<Learner>, StoreError>;
    /// An invitation.
    async fn invitation(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<Invitation>, StoreError>;
    /// Those of these invitations that exist, in any order.
    async fn invitations(
        &self,
        client: &ClientId,
        ids: &[InvitationId],
    ) -> Result<Vec<Invitation>, StoreError>;
}

/// A ticket as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Keyed hash of its text.
    pub hash: [u8; 32],
    /// Whose learner.
    pub client_id: ClientId,
    /// Who crosses.
    pub learner_id: LearnerId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Tickets that can be exchanged once.
pub trait Tickets {
    /// Keeps a new ticket.
    async fn keep_ticket(&self, ticket: &Ticket) -> Result<(), StoreError>;
    /// Takes a ticket away; only one caller ever gets it.
    async fn take_ticket(&self, hash: &[u8; 32]) -> Result<Option<Ticket>, StoreError>;
}
