//! What every action on seats stands on: the client, the contract, the pool.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::change::StoreError;
use crate::client::Client;
use crate::contract::{Contract, ContractStatus};
use crate::ids::{ClientId, ContractId, GroupId, PoolId, SublicenseId};
use crate::ports::Catalog;
use crate::role::{Caller, Role};

/// Client, contract and pool of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Ground {
    /// Whose.
    pub client: Client,
    /// On which contract.
    pub contract: Contract,
    /// The sublicense named, if one was.
    pub sublicense_id: Option<SublicenseId>,
    /// The pool that is meant.
    pub pool: PoolId,
}

/// Why there is nothing to stand on.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// The client does not exist.
    #[error("no such client")]
    UnknownClient,
    /// The contract does not exist, or belongs to someone else.
    #[error("no such contract")]
    UnknownContract,
    /// The sublicense does not exist, or is not of this contract.
    #[error("no such sublicense of this contract")]
    UnknownSublicense,
    /// The contract's last day is over.
    #[error("the contract has ended")]
    ContractEnded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Ground {
    /// Whether the contract's last day is over.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.contract.status(now, self.client.time_zone.zone()) == ContractStatus::Ended
    }
}

/// Reads client, contract and pool; the contract must not have ended.
pub async fn ground(
    ports: &impl Catalog,
    client: &ClientId,
    contract: ContractId,
    sublicense: Option<SublicenseId>,
    now: Timestamp,
) -> Result<Ground, GroundError> {
    let ground = read(ports, client, contract, sublicense).await?;
    if ground.has_ended(now) { Err(GroundError::ContractEnded) } else { Ok(ground) }
}

async fn read(
    ports: &impl Catalog,
    client: &ClientId,
    contract: ContractId,
    sublicense: Option<SublicenseId>,
) -> Result<Ground, GroundError> {
    let client = ports.client(client).await?.ok_or(GroundError::UnknownClient)?;
    let contract =
        ports.contract(&client.client_id, contract).await?.ok_or(GroundError::UnknownContract)?;
    if let Some(id) = sublicense {
        let known = ports.sublicense(&client.client_id, id).await?;
        if known.is_none_or(|known| known.contract_id != contract.contract_id) {
            return Err(GroundError::UnknownSublicense);
        }
    }
    let pool = contract.pool(sublicense);
    Ok(Ground { client, contract, sublicense_id: sublicense, pool })
}

/// What an action on a pool stands on; its contract must not have ended.
pub async fn ground_of(
    ports: &impl Catalog,
    client: &ClientId,
    pool: PoolId,
    now: Timestamp,
) -> Result<Ground, GroundError> {
    let ground = ground_of_any(ports, client, pool).await?;
    if ground.has_ended(now) { Err(GroundError::ContractEnded) } else { Ok(ground) }
}

/// What a seat stands on that was given before: its contract may have ended.
pub async fn ground_of_any(
    ports: &impl Catalog,
    client: &ClientId,
    pool: PoolId,
) -> Result<Ground, GroundError> {
    let (contract, sublicense) = match pool {
        PoolId::Contract(contract) => (contract, None),
        PoolId::Sublicense(id) => {
            let known = ports.sublicense(client, id).await?;
            (known.ok_or(GroundError::UnknownSublicense)?.contract_id, Some(id))
        }
    };
    read(ports, client, contract, sublicense).await
}

/// Why roles or groups cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The caller may not give this role on this contract.
    #[error("the role {0} is not yours to give on this contract")]
    RoleNotAllowed(Role),
    /// A group does not exist, or is not the caller's.
    #[error("no such group")]
    UnknownGroup(GroupId),
    /// A caller who is confined to groups has to name one.
    #[error("name one of your groups")]
    GroupMissing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The one place that decides who may give which roles and groups.
pub async fn check_grant(
    ports: &impl Catalog,
    ground: &Ground,
    caller: &Caller,
    roles: &BTreeSet<Role>,
    groups: &BTreeSet<GroupId>,
) -> Result<(), GrantError> {
    let policy = ground.contract.policies.privileged_roles;
    if let Some(role) = roles.iter().find(|role| !caller.may_grant(**role, policy)) {
        return Err(GrantError::RoleNotAllowed(*role));
    }
    if let Some(own) = caller.own_groups() {
        if groups.is_empty() {
            return Err(GrantError::GroupMissing);
        }
        if let Some(foreign) = groups.difference(own).next() {
            return Err(GrantError::UnknownGroup(*foreign));
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let known = ports.groups_by_id(&ground.client.client_id, groups).await?;
    let known: BTreeSet<_> = known.iter().map(|group| group.group_id).collect();
    match groups.difference(&known).next() {
        Some(unknown) => Err(GrantError::UnknownGroup(*unknown)),
        None => Ok(()),
    }
}

/// The contract that a pool is of: itself, or that of the sublicense.
pub async fn contract_of(
    ports: &impl Catalog,
    client: &ClientId,
    pool: PoolId,
) -> Result<Option<Contract>, StoreError> {
    let contract = match pool {
        PoolId::Contract(contract) => contract,
        PoolId::Sublicense(sublicense) => match ports.sublicense(client, sublicense).await? {
            Some(known) => known.contract_id,
            None => return Ok(None),
        },
    };
    ports.contract(client, contract).await
}
