//! Sending an invitation to another address, because the first one was wrong: the same seat and the
//! same invitation, a new link, and the old one is dead.
//!
//! An invitation stands at the place of its address, so that two live ones cannot have the same.
//! Here it moves to another place; what it leaves behind keeps its id from being given again, and says
//! nothing of who was invited there.

use serde_json::json;

use crate::actions::ground::{Ground, GroundError, ground};
use crate::actions::invitations::{
    InvitationNow, expires_at, invitation_mail, told_at, visible_invitation,
};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::contract::HoldOn;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId};
use crate::invitation::{Delivery, Invitation, InvitationStatus};
use crate::ports::{Catalog, Clock, Ledger, People};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Delta;

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAddressError {
    /// There is no such invitation for this caller.
    #[error("no such invitation")]
    NotFound,
    /// It was accepted.
    #[error("the invitation was accepted")]
    AlreadyAccepted,
    /// It was cancelled or declined: that is final, a new one can be made.
    #[error("the invitation was cancelled or declined")]
    Closed,
    /// The new address is invited to this pool already.
    #[error("the address is invited to this pool already")]
    AlreadyInvited,
    /// Whoever has the new address has a seat in this pool.
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

/// What stands in the way of the change, or lies on it.
struct Places<'a> {
    /// The invitation as it is.
    old: &'a Invitation,
    /// The place of the new address, and what stands there.
    place: InvitationId,
    over: Option<&'a Invitation>,
}

/// Changes the address of an invitation that is not closed. One that had expired takes a seat
/// again. The mail goes to the new address, unless none was ever sent of this invitation.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn change_address(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    id: InvitationId,
    to: &EmailAddress,
) -> Result<InvitationNow, ChangeAddressError> {
    for _ in 0..ROUNDS {
        let now = clock.now();
        let found = visible_invitation(ports, caller, client, id).await?;
        let old = found.ok_or(ChangeAddressError::NotFound)?;
        // By this call, or there was nothing to change.
        if old.email == *to {
            let stock = ports.stock(client, old.pool()).await?;
            let missing = || StoreError::Broken("an invitation's pool is not there".to_owned());
            return Ok(InvitationNow { invitation: old, stock: stock.ok_or_else(missing)? });
        }
        match old.status {
            InvitationStatus::Pending | InvitationStatus::Expired => {}
            InvitationStatus::Accepted => return Err(ChangeAddressError::AlreadyAccepted),
            InvitationStatus::Declined | InvitationStatus::Cancelled | InvitationStatus::Moved => {
                return Err(ChangeAddressError::Closed);
            }
        }
        let ground = ground(ports, client, old.contract_id, old.sublicense_id, now).await?;
        if expires_at(&ground, &old.grant, now) <= now {
            return Err(ChangeAddressError::AccessOver);
        }
        let place = keys.invitation_id(client, ground.pool, to);
        let over = ports.invitation(client, place).await?;
        if let Some(over) = over.as_ref().filter(|over| over.is_live(now)) {
            // It is this one, which came here since it was looked for: the call is made twice at once.
            if over.invitation_id == id {
                continue;
            }
            return Err(ChangeAddressError::AlreadyInvited);
        }
        let learner = ports.learner(client, keys.learner_id(client, to)).await?;
        if learner.is_some_and(|learner| learner.live_seat(ground.pool).is_some()) {
            return Err(ChangeAddressError::AlreadySeated);
        }
        let actor = Actor::Caller(caller.subject.clone());
        let change = Change::new(client, op, actor, now);
        let places = Places { old: &old, place, over: over.as_ref() };
        let change = plan(change, &ground, keys, &places, to);
        let refused = match ports.apply(&change).await {
            Ok(()) => None,
            Err(refused) => Some(met(&change, refused)),
        };
        match refused {
            // The next round finds the address changed, or what came in between.
            None | Some(Met::Repeated | Met::Raced(_)) => {}
            Some(Met::NoSeats) => return Err(ChangeAddressError::NoSeatsLeft),
            Some(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

fn plan(
    mut change: Change,
    ground: &Ground,
    keys: &Keys,
    places: &Places<'_>,
    to: &EmailAddress,
) -> Change {
    let Places { old, place, over } = *places;
    let (client, now) = (change.client_id.clone(), change.at);
    let id = old.invitation_id;
    let is_told = old.sent_count > 0;
    change.receipt = json!({"invitation_id": id});
    let takes = ground.contract.policies.hold_on == HoldOn::Invite && !old.holds_seat;
    let new = Invitation {
        moved_to: (place != id.home()).then_some(place),
        left: over.map_or(0, |over| over.left),
        email: to.clone(),
        status: InvitationStatus::Pending,
        // Behind every link to this invitation, and to any that stood at its new place.
        version: over.map_or(0, |over| over.version).max(old.version) + 1,
        holds_seat: old.holds_seat || takes,
        // At this place, since now: what it held at the old one, that one tells.
        held_since: (old.holds_seat || takes).then_some(now),
        expires_at: expires_at(ground, &old.grant, now),
        sent_count: old.sent_count + u32::from(is_told),
        last_sent_at: None,
        reminders: 0,
        reminded_at: None,
        reminders_unwanted: false,
        delivery: if is_told { Delivery::Queued } else { Delivery::Unknown },
        gives_up_at: None,
        op: change.op.id,
        ..old.clone()
    };
    // One at the new place whose time ran out may hold a seat until a sweep has seen it.
    let lapsed = over.filter(|over| over.status == InvitationStatus::Pending);
    let frees = lapsed.is_some_and(|lapsed| lapsed.holds_seat);
    let moved = |moves: bool, delta: Delta| if moves { delta } else { Delta::default() };
    let (held, let_go) = (moved(takes, Delta::held(1)), moved(frees, Delta::let_go(1)));
    let delta = held.and(let_go);
    if !delta.is_nothing() {
        change.step(Step::MovePool { pool: ground.pool, delta });
    }
    let learners = [keys.learner_id(&client, to)];
    if let Some(lapsed) = lapsed {
        let reason = Some(lapsed.invitation_id.to_string());
        change.audit(ground.pool, let_go, Action::InvitationExpired, &learners, reason);
    }
    let (action, reason) = (Action::InvitationReaddressed, Some(id.to_string()));
    change.audit(ground.pool, held, action, &learners, reason);
    let from_home = u16::from(old.place() == id.home());
    change.step(Step::ReaddressInvitation {
        from: old.place(),
        learner_id: keys.learner_id(&client, &old.email),
        version: old.version,
        status: old.status,
        left: old.left.saturating_add(from_home),
    });
    change.step(Step::PointInvitation { invitation_id: id, place });
    change.step(Step::NoLiveSeat { learner_id: learners[0], pool: ground.pool });
    if is_told {
        let mail = invitation_mail(&change, &new, told_at(ground, &new.grant, now));
        change.step(Step::Mail(mail));
    }
    change.step(Step::PutInvitation {
        invitation: Box::new(new),
        replaces: over.map(|over| (over.version, over.status)),
    });
    change
}
