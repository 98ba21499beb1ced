//! Ending an invitation that nobody took up: cancelled, declined, or its time ran out. The seat it
//! held is free again.

use serde_json::json;

use crate::actions::held_code::Held;
use crate::actions::invitations::{
    InvitationNow, LinkClosed, closed_at, invitation_of, visible_invitation,
};
use crate::actions::renew_contract::carry_invitation;
use crate::actions::seating::close;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::ports::{Catalog, Clock, CodeBook, IdSource, Ledger, People};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Delta;

/// Why an invitation was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelInvitationError {
    /// There is no such invitation for this caller.
    #[error("no such invitation")]
    NotFound,
    /// It was accepted: the seat is in use, and releasing it is another call.
    #[error("the invitation was accepted")]
    AlreadyAccepted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an invitation was not declined.
#[derive(Debug, thiserror::Error)]
pub enum DeclineInvitationError {
    /// There is no such invitation.
    #[error("no such invitation")]
    NotFound,
    /// The link no longer opens it.
    #[error(transparent)]
    Closed(LinkClosed),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Cancels an invitation. One that had ended in another way than acceptance stays as it is.
pub async fn cancel_invitation(
    ports: &(impl Ledger + People + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    id: InvitationId,
) -> Result<InvitationNow, CancelInvitationError> {
    let actor = Actor::Caller(caller.subject.clone());
    for _ in 0..ROUNDS {
        let found = visible_invitation(ports, caller, client, id).await?;
        let invitation = found.ok_or(CancelInvitationError::NotFound)?;
        match invitation.status {
            InvitationStatus::Accepted => return Err(CancelInvitationError::AlreadyAccepted),
            InvitationStatus::Pending => {}
            _ => {
                let stock = ports.stock(client, invitation.pool()).await?;
                return Ok(InvitationNow { invitation, stock: stock.unwrap_or_default() });
            }
        }
        // The next round finds it closed, by this call or by another.
        let to = InvitationStatus::Cancelled;
        end(ports, clock, keys, actor.clone(), op, client, &invitation, to).await?;
    }
    Err(gave_up().into())
}

/// Declines an invitation by its link, which is dead then.
pub async fn decline_invitation(
    ports: &(impl Ledger + People + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    op: Op,
    client: &ClientId,
    id: InvitationId,
    version: u32,
) -> Result<(), DeclineInvitationError> {
    for _ in 0..ROUNDS {
        let found = invitation_of(ports, client, id).await?;
        let invitation = found.ok_or(DeclineInvitationError::NotFound)?;
        match closed_at(&invitation, version, clock.now()) {
            None => {}
            Some(LinkClosed::Declined) if invitation.op == op.id => return Ok(()),
            Some(closed) => return Err(DeclineInvitationError::Closed(closed)),
        }
        let to = InvitationStatus::Declined;
        end(ports, clock, keys, Actor::Learner, op, client, &invitation, to).await?;
    }
    Err(gave_up().into())
}

/// Ends the invitation at a place whose time ran out; says whether this call did it. One that was renewed or
/// answered meanwhile is left alone. One whose time ran out with its contract goes over to that one's
/// successor, and lives on.
pub async fn expire_invitation(
    ports: &(impl Ledger + Catalog + People + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    op: Op,
    client: &ClientId,
    place: InvitationId,
) -> Result<bool, StoreError> {
    let Some(invitation) = ports.invitation(client, place).await? else {
        return Ok(false);
    };
    let overdue = invitation.status == InvitationStatus::Pending
        && invitation.status_at(clock.now()) == InvitationStatus::Expired;
    if !overdue {
        return Ok(false);
    }
    if invitation.redeems.is_none() {
        let carried = carry_invitation(ports, clock, ids, keys, client, &invitation);
        if Box::pin(carried).await? {
            return Ok(false);
        }
    }
    end(ports, clock, keys, Actor::System, op, client, &invitation, InvitationStatus::Expired).await
}

/// Gives an invitation up whose mail came back for good, once the time to mend its address is over;
/// says whether this call did it. One that was sent again meanwhile is left alone.
pub async fn give_up_invitation(
    ports: &(impl Ledger + People + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    op: Op,
    client: &ClientId,
    id: InvitationId,
) -> Result<bool, StoreError> {
    let found = ports.invitation(client, id).await?;
    let Some(invitation) = found.filter(|found| found.is_given_up(clock.now())) else {
        return Ok(false);
    };
    let to = InvitationStatus::Cancelled;
    end(ports, clock, keys, Actor::System, op, client, &invitation, to).await
}

/// One try to end a pending invitation, at the version seen; says whether it did.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub(super) async fn end(
    ports: &(impl Ledger + People + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    actor: Actor,
    op: Op,
    client: &ClientId,
    invitation: &Invitation,
    to: InvitationStatus,
) -> Result<bool, StoreError> {
    let action = match to {
        InvitationStatus::Accepted => Action::InvitationAccepted,
        InvitationStatus::Declined => Action::InvitationDeclined,
        InvitationStatus::Expired => Action::InvitationExpired,
        _ => Action::InvitationCancelled,
    };
    let id = invitation.invitation_id;
    let mut change = Change::new(client, op, actor, clock.now());
    change.receipt = json!({"invitation_id": id});
    let learners = [keys.learner_id(client, &invitation.email)];
    let reason = Some(id.to_string());
    if let Some(held) = Held::by(ports, keys, client, invitation).await? {
        held.give_back(&mut change, learners[0], to);
    } else {
        close(&mut change, invitation, to);
        if invitation.holds_seat {
            change.move_seats(invitation.pool(), Delta::let_go(1), action, &learners, reason);
        } else {
            change.audit(invitation.pool(), Delta::default(), action, &learners, reason);
        }
    }
    let Err(refused) = ports.apply(&change).await else {
        return Ok(true);
    };
    match met(&change, refused) {
        Met::Repeated => Ok(true),
        Met::NoSeats | Met::Raced(_) => Ok(false),
        Met::Failed(error) => Err(error),
    }
}
