//! Erasing a person: what says who it was goes, what was counted stays.
//!
//! It is done in parts, each one change: live seats are released, invitations closed and made
//! nameless, and at last the account. An attempt that was cut off leaves the account, and so all that
//! the next one needs to go on.

use std::collections::BTreeSet;

use crate::actions::close_invitation::end;
use crate::actions::ground::contract_of;
use crate::actions::release_seat::{ReleaseSeatError, release_seat};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, STEPS_MAX, Step, StoreError};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId, LearnerId, PoolId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::Learner;
use crate::ports::{Catalog, Clock, CodeBook, IdSource, Ledger, People};
use crate::secrets::Keys;
use crate::stock::Delta;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedLearner {
    /// The pools in which the person had seats.
    pub pools: BTreeSet<PoolId>,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseLearnerError {
    /// There is no such learner, and never was.
    #[error("no such learner")]
    Unknown,
    /// The store failed; what was done of it stays done, and the next attempt goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What erasing needs from outside.
pub trait ErasePorts: Ledger + Catalog + People + CodeBook {}
impl<P: Ledger + Catalog + People + CodeBook> ErasePorts for P {}

/// Erases a person. Live seats are released first, by the terms of their contracts. Once it is done,
/// the address is that of nobody the client knows; to do it again changes nothing.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn erase_learner(
    ports: &impl ErasePorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    actor: Actor,
    op: Op,
    client: &ClientId,
    learner_id: LearnerId,
) -> Result<ErasedLearner, EraseLearnerError> {
    let erasing = Erasing { ports, clock, ids, keys, actor, op, client };
    for _ in 0..ROUNDS {
        let Some(learner) = ports.learner(client, learner_id).await? else {
            let pools = ports.erased(client, learner_id).await?;
            let pools = pools.ok_or(EraseLearnerError::Unknown)?;
            return Ok(ErasedLearner { pools });
        };
        erasing.release_seats(&learner).await?;
        erasing.clear_invitations(&learner).await?;
        // The next round finds the account as it is without its seats, or nobody.
        if learner.seats.values().any(crate::learner::Seat::is_live) {
            continue;
        }
        if erasing.account(&learner).await? {
            return Ok(ErasedLearner { pools: learner.seats.into_keys().collect() });
        }
    }
    Err(gave_up().into())
}

/// One attempt: what is the same throughout.
struct Erasing<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    keys: &'a Keys,
    actor: Actor,
    op: Op,
    client: &'a ClientId,
}

impl<P: ErasePorts, C: Clock, I: IdSource> Erasing<'_, P, C, I> {
    async fn release_seats(&self, learner: &Learner) -> Result<(), StoreError> {
        let (ports, clock, ids, client) = (self.ports, self.clock, self.ids, self.client);
        for (pool, _) in learner.seats.iter().filter(|(_, seat)| seat.is_live()) {
            let contract = contract_of(ports, client, *pool).await?;
            let missing = || StoreError::Broken("a seat of no contract".to_owned());
            let contract = contract.ok_or_else(missing)?;
            let (actor, whose) = (self.actor.clone(), learner.learner_id);
            let place = (client, &contract);
            match release_seat(ports, clock, ids, actor, self.part(), place, whose, *pool).await {
                // Somebody else released it meanwhile, or did all of this.
                Ok(_) | Err(ReleaseSeatError::NoSeat | ReleaseSeatError::Erased) => {}
                Err(ReleaseSeatError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Every invitation of this address, whatever became of it: there are two places in each pool.
    async fn clear_invitations(&self, learner: &Learner) -> Result<(), StoreError> {
        let mut pools = Vec::new();
        for contract in self.ports.all_contracts(self.client).await? {
            pools.push(PoolId::Contract(contract.contract_id));
            let shares = self.ports.sublicenses_of(self.client, contract.contract_id).await?;
            pools.extend(shares.into_iter().map(|one| PoolId::Sublicense(one.sublicense_id)));
        }
        // A code that asks for the proof of an address has a place of its own for it.
        let (client, email) = (self.client, &learner.email);
        let of_pool = |pool: PoolId| {
            let (keys, proof) = (self.keys, self.keys.proof_id(client, pool, email));
            [keys.invitation_id(client, pool, email), proof]
        };
        let places: Vec<InvitationId> = pools.into_iter().flat_map(of_pool).collect();
        for found in self.ports.invitations(self.client, &places).await? {
            self.clear_invitation(found.place(), &learner.email).await?;
            let home = found.invitation_id.home();
            if home != found.place() {
                // It was made for another address of the person, a mistyped one.
                self.clear_leftover(home).await?;
            }
        }
        Ok(())
    }

    /// Closes what stands at a place, and makes it nameless.
    async fn clear_invitation(
        &self,
        place: InvitationId,
        email: &EmailAddress,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let found = self.ports.invitation(self.client, place).await?;
            let Some(found) = found.filter(|found| found.email == *email) else { return Ok(()) };
            if found.status == InvitationStatus::Pending {
                let to = InvitationStatus::Cancelled;
                let (clock, actor) = (self.clock, self.actor.clone());
                let op = self.part();
                end(self.ports, clock, self.keys, actor, op, self.client, &found, to).await?;
            } else if self.clear(place, &found).await? {
                return Ok(());
            }
        }
        Err(gave_up())
    }

    async fn clear_leftover(&self, place: InvitationId) -> Result<(), StoreError> {
        let found = self.ports.invitation(self.client, place).await?;
        let left = found.filter(|found| {
            found.status == InvitationStatus::Moved && found.email != EmailAddress::nobody()
        });
        match left {
            // If somebody is invited there meanwhile, it is not a leftover any more.
            Some(left) => self.clear(place, &left).await.map(drop),
            None => Ok(()),
        }
    }

    /// One try; says whether it was as seen.
    async fn clear(&self, place: InvitationId, seen: &Invitation) -> Result<bool, StoreError> {
        let mut change = self.change(self.part());
        change.step(Step::EraseInvitation {
            invitation_id: place,
            learner_id: self.keys.learner_id(self.client, &seen.email),
            version: seen.version,
            status: seen.status,
        });
        self.applied(&change).await
    }

    /// The account itself, none of whose seats is live; says whether it was as seen.
    async fn account(&self, learner: &Learner) -> Result<bool, StoreError> {
        let mut change = self.change(self.op);
        let learner_id = learner.learner_id;
        change.step(Step::EraseLearner {
            learner_id,
            given: learner.given,
            serial: learner.next_serials(),
            seats: learner.seats.clone(),
        });
        for pool in learner.seats.keys().take(STEPS_MAX - 1) {
            let (nothing, action) = (Delta::default(), Action::LearnerErased);
            change.audit(*pool, nothing, action, &[learner_id], None);
        }
        self.applied(&change).await
    }

    /// A part is an operation of its own: it has no key, and is found done by what it did.
    fn part(&self) -> Op {
        Op { id: self.ids.uuid(), guard: None }
    }

    fn change(&self, op: Op) -> Change {
        Change::new(self.client, op, self.actor.clone(), self.clock.now())
    }

    async fn applied(&self, change: &Change) -> Result<bool, StoreError> {
        let Err(refused) = self.ports.apply(change).await else { return Ok(true) };
        match met(change, refused) {
            Met::Repeated => Ok(true),
            Met::NoSeats | Met::Raced(_) => Ok(false),
            Met::Failed(error) => Err(error),
        }
    }
}
