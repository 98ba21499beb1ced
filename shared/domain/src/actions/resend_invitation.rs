//! Sending an invitation again: a new link, and the old one is dead.

use serde_json::json;

use crate::actions::ground::{GroundError, ground};
use crate::actions::invitations::{
    InvitationNow, expires_at, invitation_mail, invitation_of, told_at, visible_invitation,
};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::contract::HoldOn;
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId};
use crate::invitation::{Delivery, Invitation, InvitationStatus};
use crate::ports::{Catalog, Clock, Ledger, People};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Delta;

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum ResendInvitationError {
    /// There is no such invitation for this caller.
    #[error("no such invitation")]
    NotFound,
    /// It was accepted.
    #[error("the invitation was accepted")]
    AlreadyAccepted,
    /// It was cancelled or declined: that is final, a new one can be made.
    #[error("the invitation was cancelled or declined")]
    Closed,
    /// The person has a seat in this pool.
    #[error("the person has a seat in this pool")]
    AlreadySeated,
    /// The last day of what it gives is over.
    #[error("the access it gives has ended")]
    AccessOver,
    /// It had expired, and no seat is left to hold again.
    #[error("no seats left")]
    NoSeatsLeft,
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a new link and owes a mail with it. One that had expired takes a seat again.
pub async fn resend_invitation(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    id: InvitationId,
) -> Result<InvitationNow, ResendInvitationError> {
    let done = !ports.receipts(&op).await?.is_empty();
    for _ in 0..ROUNDS {
        let found = visible_invitation(ports, caller, client, id).await?;
        let invitation = found.ok_or(ResendInvitationError::NotFound)?;
        if done {
            return Ok(now_of(ports, client, invitation).await?);
        }
        let Some(change) = plan(ports, clock, keys, caller, op, client, &invitation).await? else {
            return Err(ResendInvitationError::AlreadySeated);
        };
        let refused = match ports.apply(&change).await {
            Ok(()) => None,
            Err(refused) => Some(met(&change, refused)),
        };
        match refused {
            None | Some(Met::Repeated) => {
                let sent = invitation_of(ports, client, id).await?;
                return Ok(now_of(ports, client, sent.unwrap_or(invitation)).await?);
            }
            Some(Met::NoSeats) => return Err(ResendInvitationError::NoSeatsLeft),
            Some(Met::Raced(_)) => {}
            Some(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// The change that sends it again; `None` if the person has a seat in the pool.
async fn plan(
    ports: &(impl Catalog + People),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    old: &Invitation,
) -> Result<Option<Change>, ResendInvitationError> {
    match old.status {
        InvitationStatus::Pending | InvitationStatus::Expired => {}
        InvitationStatus::Accepted => return Err(ResendInvitationError::AlreadyAccepted),
        InvitationStatus::Declined | InvitationStatus::Cancelled | InvitationStatus::Moved => {
            return Err(ResendInvitationError::Closed);
        }
    }
    let now = clock.now();
    let ground = ground(ports, client, old.contract_id, old.sublicense_id, now).await?;
    let expires_at = expires_at(&ground, &old.grant, now);
    if expires_at <= now {
        return Err(ResendInvitationError::AccessOver);
    }
    let learner_id = keys.learner_id(client, &old.email);
    let learner = ports.learner(client, learner_id).await?;
    if learner.is_some_and(|learner| learner.live_seat(ground.pool).is_some()) {
        return Ok(None);
    }
    let takes = ground.contract.policies.hold_on == HoldOn::Invite && !old.holds_seat;
    let new = Invitation {
        status: InvitationStatus::Pending,
        version: old.version + 1,
        holds_seat: old.holds_seat || takes,
        held_since: if takes { Some(now) } else { old.held_since },
        expires_at,
        sent_count: old.sent_count + 1,
        reminders: 0,
        reminded_at: None,
        delivery: Delivery::Queued,
        gives_up_at: None,
        op: op.id,
        ..old.clone()
    };
    let mut change = Change::new(client, op, Actor::Caller(caller.subject.clone()), now);
    change.receipt = json!({"invitation_id": new.invitation_id, "version": new.version});
    let reason = Some(new.invitation_id.to_string());
    if takes {
        change.move_seats(ground.pool, Delta::held(1), Action::Reinvited, &[learner_id], reason);
    } else if old.status_at(now) == InvitationStatus::Expired {
        change.audit(ground.pool, Delta::default(), Action::Reinvited, &[learner_id], reason);
    }
    change.step(Step::Mail(invitation_mail(&change, &new, told_at(&ground, &new.grant, now))));
    change.step(Step::NoLiveSeat { learner_id, pool: ground.pool });
    change.step(Step::PutInvitation {
        invitation: Box::new(new),
        replaces: Some((old.version, old.status)),
    });
    Ok(Some(change))
}

async fn now_of(
    ports: &impl Ledger,
    client: &ClientId,
    invitation: Invitation,
) -> Result<InvitationNow, StoreError> {
    let stock = ports.stock(client, invitation.pool()).await?;
    let missing = || StoreError::Broken("an invitation's pool is not there".to_owned());
    Ok(InvitationNow { invitation, stock: stock.ok_or_else(missing)? })
}
