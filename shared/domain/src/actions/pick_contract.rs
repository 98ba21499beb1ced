//! Picking a contract where none is named: the one that ends first, runs, and still has seats.
//!
//! What is picked decides nothing: the seat is taken by the same conditions as on a named contract.
//! A repeated call has to come to the same contract although it has taken seats meanwhile, so whoever
//! has a seat or an invitation on a contract counts like a seat that is left there.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::actions::ground::{Ground, GroundError};
use crate::actions::seating::{TermError, TermRequest, term};
use crate::change::StoreError;
use crate::client::Client;
use crate::contract::{Contract, ContractStatus, WindowError};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, InvitationId, PoolId, SublicenseId};
use crate::invitation::InvitationStatus;
use crate::learner::Learner;
use crate::ports::{Catalog, Clock, Ledger, People};
use crate::secrets::Keys;

/// The command: what is known of the seats that are asked for.
#[derive(Debug, Clone)]
pub struct PickContract {
    /// Whose.
    pub client_id: ClientId,
    /// The contract, if it is named.
    pub named: Option<ContractId>,
    /// The sublicense, if one is named: it is of one contract.
    pub sublicense_id: Option<SublicenseId>,
    /// For whom.
    pub addresses: Vec<EmailAddress>,
    /// The dates that are asked for.
    pub term: TermRequest,
}

/// Why none was picked.
#[derive(Debug, thiserror::Error)]
pub enum PickContractError {
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// No contract runs that has seats.
    #[error("no contract that runs has seats")]
    None,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A contract that runs.
struct Running {
    contract: Contract,
    /// Seats nobody holds.
    available: u64,
    /// How many of the addresses have a seat or an invitation there.
    known: u64,
}

impl Running {
    fn seats(&self) -> u64 {
        self.available + self.known
    }
}

/// The contract that is named, or the one to take seats of.
pub async fn pick_contract(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    keys: &Keys,
    op: &Op,
    command: &PickContract,
) -> Result<ContractId, PickContractError> {
    let client = &command.client_id;
    if let Some(named) = command.named {
        return Ok(named);
    }
    if let Some(sublicense) = command.sublicense_id {
        let known = ports.sublicense(client, sublicense).await?;
        return Ok(known.ok_or(GroundError::UnknownSublicense)?.contract_id);
    }
    let owner = ports.client(client).await?.ok_or(GroundError::UnknownClient)?;
    let (now, zone) = (clock.now(), owner.time_zone.zone());
    let mut contracts = ports.all_contracts(client).await?;
    contracts.retain(|contract| {
        contract.status(now, zone) == ContractStatus::Active
            && allows(&owner, contract, &command.term, now)
    });
    contracts.sort_by_key(|contract| {
        (contract.ends_on.is_none(), contract.ends_on, contract.created_at, contract.contract_id)
    });
    let running = look_at(ports, keys, command, contracts, now).await?;
    let wanted = command.addresses.len() as u64;
    let resumed = !ports.receipts(op).await?.is_empty();
    // Of equals the first stays, and that ends first.
    let best = running.into_iter().filter(|one| one.seats() > 0).min_by_key(|one| {
        // Everybody has what is asked for, or an earlier attempt has begun here.
        let begun = one.known >= wanted || (resumed && one.known > 0);
        (Reverse(begun), Reverse(one.seats() >= wanted))
    });
    best.map(|one| one.contract.contract_id).ok_or(PickContractError::None)
}

/// Whether a contract has room for the dates that are asked for. What is wrong with them whichever
/// contract it is, the caller hears of the one that is picked.
fn allows(owner: &Client, contract: &Contract, asked: &TermRequest, now: Timestamp) -> bool {
    let ground = Ground {
        client: owner.clone(),
        contract: contract.clone(),
        sublicense_id: None,
        pool: PoolId::Contract(contract.contract_id),
    };
    let refused = term(&ground, asked, now);
    !matches!(refused, Err(TermError { error: WindowError::OutsideContract, .. }))
}

async fn look_at(
    ports: &(impl Ledger + People),
    keys: &Keys,
    command: &PickContract,
    contracts: Vec<Contract>,
    now: Timestamp,
) -> Result<Vec<Running>, StoreError> {
    let client = &command.client_id;
    let ids: Vec<_> =
        command.addresses.iter().map(|address| keys.learner_id(client, address)).collect();
    let learners: Vec<Learner> = ports.learners(client, &ids).await?;
    let mut running = Vec::new();
    for contract in contracts {
        let pool = PoolId::Contract(contract.contract_id);
        let Some(stock) = ports.stock(client, pool).await? else { continue };
        let places: Vec<InvitationId> = command
            .addresses
            .iter()
            .map(|address| keys.invitation_id(client, pool, address))
            .collect();
        let invitations = ports.invitations(client, &places).await?;
        let pending = invitations
            .iter()
            .filter(|one| one.status == InvitationStatus::Pending && one.is_live(now));
        let seated = learners.iter().filter(|learner| learner.live_seat(pool).is_some());
        let known = (pending.count() + seated.count()) as u64;
        running.push(Running { contract, available: stock.available, known });
    }
    Ok(running)
}
