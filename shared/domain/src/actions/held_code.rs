//! A code whose learner has not proven their address yet.
//!
//! Where a batch asks for it, a redemption first becomes an invitation that the code makes: it holds
//! the seat and the code, its mail carries the link, and it ends in the ways invitations do. Here is
//! what differs: the seat stands where codes draw on, in a shard of the batch's block or in the pool,
//! and has to be taken from there, or go back there together with the code.

use jiff::{SignedDuration, Timestamp};

use crate::actions::seating::close;
use crate::actions::set_aside::blocks_of;
use crate::actions::steer_batch::bring_up;
use crate::audit::Action;
use crate::change::{BlockKey, Change, Step, StoreError};
use crate::code::{Batch, CodeKind};
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId, LearnerId};
use crate::invitation::{HeldCode, Invitation, InvitationStatus};
use crate::ports::{CodeBook, Ledger, People};
use crate::secrets::Keys;
use crate::stock::Delta;

/// How long a code is held for an address that is not proven.
pub const HELD_FOR: SignedDuration = SignedDuration::from_mins(30);

/// What is held for an address, with all that its end depends on.
#[derive(Debug, Clone)]
pub struct Held {
    /// The invitation that the code made.
    pub invitation: Invitation,
    /// The code.
    pub code: HeldCode,
    /// Its batch, as it was read.
    pub batch: Batch,
    /// Where the seat stands.
    pub home: Home,
    /// An administrator's invitation of the address that is pending.
    pub invited: Option<Invitation>,
    /// The place that such a one has.
    pub invited_id: InvitationId,
}

/// Where the seat of a held code stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// The shard that keeps it.
    Shard(BlockKey),
    /// The pool's held seats: the block it came from was closed. The batch has opened others.
    Beside(BlockKey),
    /// The pool's held seats: the batch has no block.
    Pool,
}

impl Home {
    /// Finds the seat. One that has left its block never comes back to it.
    pub async fn of(
        ports: &impl Ledger,
        client: &ClientId,
        batch: &Batch,
        code: &HeldCode,
    ) -> Result<Self, StoreError> {
        let Some(shard) = code.shard else { return Ok(Self::Pool) };
        let blocks = blocks_of(ports, client, batch).await?;
        let own = blocks.iter().find(|block| block.key.shard == shard && block.kept > 0);
        Ok(match (own, blocks.first()) {
            (Some(own), _) => Self::Shard(own.key.clone()),
            (None, Some(other)) => Self::Beside(other.key.clone()),
            (None, None) => Self::Pool,
        })
    }
}

impl Held {
    /// What an invitation holds that a code made; `None` if it is none of those.
    pub async fn by(
        ports: &(impl Ledger + People + CodeBook),
        keys: &Keys,
        client: &ClientId,
        invitation: &Invitation,
    ) -> Result<Option<Self>, StoreError> {
        let Some(code) = invitation.redeems.clone() else { return Ok(None) };
        let missing = || StoreError::Broken("a held code without its batch".to_owned());
        let batch = ports.batch(client, code.batch_id).await?.ok_or_else(missing)?;
        let home = Home::of(ports, client, &batch, &code).await?;
        let invited_id = keys.invitation_id(client, batch.pool(), &invitation.email);
        // Also one whose time ran out: until the sweep has seen it, it holds a seat.
        let invited = ports.invitation(client, invited_id).await?;
        let invited = invited.filter(|found| found.status == InvitationStatus::Pending);
        let invitation = invitation.clone();
        Ok(Some(Self { invitation, code, batch, home, invited, invited_id }))
    }

    /// Whether it can still be taken up: the batch would let in anybody now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.batch.is_open(now)
    }

    /// Brings the shard that keeps the seat to the batch's epoch, if it was left behind.
    pub async fn bring_up(
        &self,
        ports: &impl Ledger,
        op: Op,
        client: &ClientId,
    ) -> Result<(), StoreError> {
        let Home::Shard(key) = &self.home else { return Ok(()) };
        for block in blocks_of(ports, client, &self.batch).await? {
            if block.key == *key {
                bring_up(ports, op, client, &self.batch, &block).await?;
            }
        }
        Ok(())
    }

    /// Takes the seat up and ends the invitation, while the batch stands as it was read. Returns what
    /// the pool's own counters have to change by.
    pub(super) fn take(
        &self,
        change: &mut Change,
        now: bool,
        action: Action,
        learners: &[LearnerId],
        reason: Option<String>,
    ) -> Delta {
        let (pool, steering) = (self.batch.pool(), &self.batch.steering);
        let delta = if now { Delta::taken_up(1) } else { Delta::default() };
        let moved = if let Home::Shard(key) = &self.home {
            let (key, epoch) = (key.clone(), steering.epoch);
            change.step(Step::TakeUpKept { key, used: u64::from(now), epoch });
            Delta::default()
        } else {
            let (batch_id, version) = (self.batch.batch_id, steering.version);
            change.step(Step::BatchIsActive { batch_id, version });
            delta
        };
        change.audit(pool, delta, action, learners, reason);
        close(change, &self.invitation, InvitationStatus::Accepted);
        moved
    }

    /// Gives seat and code back, and ends the invitation.
    pub(super) fn give_back(
        &self,
        change: &mut Change,
        learner_id: LearnerId,
        to: InvitationStatus,
    ) {
        close(change, &self.invitation, to);
        let (pool, batch_id) = (self.batch.pool(), self.batch.batch_id);
        let (action, learners) = (Action::CodeReturned, [learner_id]);
        let reason = Some(batch_id.to_string());
        match &self.home {
            Home::Shard(key) => {
                change.step(Step::ReturnKept { key: key.clone() });
                change.audit(pool, Delta::default(), action, &learners, reason);
            }
            Home::Beside(key) => {
                change.step(Step::ResizeBlock { key: key.clone(), by: 1 });
                change.step(Step::UncountRedemption { batch_id });
                change.audit(pool, Delta::default(), action, &learners, reason);
            }
            Home::Pool => {
                change.step(Step::UncountRedemption { batch_id });
                change.move_seats(pool, Delta::let_go(1), action, &learners, reason);
            }
        }
        if self.code.kind == CodeKind::Redemption {
            change.step(Step::FreeCode { hash: self.code.hash, learner_id });
        }
    }
}
