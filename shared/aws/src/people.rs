//! Clients, learners and invitations on DynamoDB.

use std::collections::BTreeSet;

use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::{
    ClientId, ContractId, GroupId, InvitationId, LearnerId, SublicenseId,
};
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::ports::{Catalog, People};

use crate::keys::{self, Key};
use crate::records::{self, from_item};
use crate::store::Store;

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

    async fn sublicense(
        &self,
        client: &ClientId,
        sublicense: SublicenseId,
    ) -> Result<Option<Sublicense>, StoreError> {
        self.get(&keys::sublicense(client, sublicense)).await?.map(from_item).transpose()
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
        self.get(&keys::learner(client, learner)).await?.map(records::learner).transpose()
    }

    async fn learners(
        &self,
        client: &ClientId,
        ids: &[LearnerId],
    ) -> Result<Vec<Learner>, StoreError> {
        let wanted: Vec<Key> = ids.iter().map(|id| keys::learner(client, *id)).collect();
        self.get_all(&wanted).await?.into_iter().map(records::learner).collect()
    }

    async fn invitation(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        self.get(&keys::invitation(client, invitation)).await?.map(from_item).transpose()
    }

    async fn invitations(
        &self,
        client: &ClientId,
        ids: &[InvitationId],
    ) -> Result<Vec<Invitation>, StoreError> {
        let wanted: Vec<Key> = ids.iter().map(|id| keys::invitation(client, *id)).collect();
        self.get_all(&wanted).await?.into_iter().map(from_item).collect()
    }
}
