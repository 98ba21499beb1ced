//! What the actions on invitations share: who may see one, how long it lasts, where a link leads.

use jiff::{SignedDuration, Timestamp};

use crate::actions::ground::Ground;
use crate::actions::seating::opens;
use crate::change::{Change, StoreError};
use crate::client::Client;
use crate::dates::{Opening, end_of, local_date};
use crate::ids::{ClientId, InvitationId};
use crate::invitation::{Grant, Invitation, InvitationStatus};
use crate::link::Link;
use crate::outbox::{MailIntent, Subject};
use crate::ports::{Catalog, People};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Stock;

/// An invitation and the stock of its pool, after something was done about it.
#[derive(Debug, Clone)]
pub struct InvitationNow {
    /// The invitation.
    pub invitation: Invitation,
    /// The pool's stock.
    pub stock: Stock,
}

/// An invitation, if it exists for this caller: one who is confined to groups sees what leads into
/// them.
pub async fn visible_invitation(
    ports: &impl People,
    caller: &Caller,
    client: &ClientId,
    invitation: InvitationId,
) -> Result<Option<Invitation>, StoreError> {
    let found = invitation_of(ports, client, invitation).await?;
    Ok(found.filter(|found| may_see(caller, found)))
}

/// Times a look-up starts over because the address was changed once more in between.
const ROUNDS: u32 = 3;

/// An invitation by its id, wherever it stands. One whose place was taken over by another, after
/// it had ended, is gone.
pub async fn invitation_of(
    ports: &impl People,
    client: &ClientId,
    invitation: InvitationId,
) -> Result<Option<Invitation>, StoreError> {
    let is_it = |found: &Invitation| {
        found.invitation_id == invitation && found.status != InvitationStatus::Moved
    };
    for _ in 0..ROUNDS {
        if let Some(found) = ports.invitation(client, invitation.home()).await?.filter(is_it) {
            return Ok(Some(found));
        }
        let Some(place) = ports.invitation_place(client, invitation).await? else {
            return Ok(None);
        };
        if let Some(found) = ports.invitation(client, place).await?.filter(is_it) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether an invitation of the caller's client exists for the caller.
pub fn may_see(caller: &Caller, invitation: &Invitation) -> bool {
    invitation.redeems.is_none()
        && caller.own_groups().is_none_or(|own| !own.is_disjoint(&invitation.grant.group_ids))
}

/// When the mail of an invitation made or renewed now may go out: not before the day it gives
/// access.
pub fn told_at(ground: &Ground, grant: &Grant, now: Timestamp) -> Timestamp {
    let zone = ground.client.time_zone.zone();
    let start = ground.contract.start(grant.start_on, local_date(now, zone)).unwrap_or_default();
    match opens(&ground.contract, grant.start_on, start, (now, zone)) {
        Opening::Now => now,
        Opening::Later { instant, .. } => instant,
    }
}

/// When an invitation made now can no longer be accepted: after the contract's number of days from
/// the day its mail goes out, and never after the access it gives has ended.
pub fn expires_at(ground: &Ground, grant: &Grant, now: Timestamp) -> Timestamp {
    let zone = ground.client.time_zone.zone();
    let days = i64::from(ground.contract.policies.invite_ttl_days);
    let told_at = told_at(ground, grant, now);
    let lasts = told_at.checked_add(SignedDuration::from_hours(24 * days));
    let lasts = lasts.unwrap_or(Timestamp::MAX);
    [grant.end_on, grant.delete_on, ground.contract.ends_on]
        .into_iter()
        .flatten()
        .map(|day| end_of(day, zone))
        .fold(lasts, Timestamp::min)
}

/// The mail of one invitation at its version.
pub(crate) fn invitation_mail(
    change: &Change,
    invitation: &Invitation,
    due_at: Timestamp,
) -> MailIntent {
    let (place, version) = (invitation.place(), invitation.version);
    MailIntent {
        client_id: change.client_id.clone(),
        key: format!("invitation#{place}#{version}"),
        cohort: None,
        due_at,
        subjects: vec![Subject::Invitation { invitation: place, version }],
        copy_to: None,
    }
}

/// Why a link no longer opens an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkClosed {
    /// The invitation was accepted.
    #[error("the invitation was accepted")]
    Accepted,
    /// A newer link was sent.
    #[error("a newer link was sent")]
    Replaced,
    /// An administrator cancelled the invitation.
    #[error("the invitation was cancelled")]
    Cancelled,
    /// The invited person declined.
    #[error("the invitation was declined")]
    Declined,
    /// Its time ran out.
    #[error("the invitation has expired")]
    Expired,
    /// A code made it, and that cannot be redeemed any more. Only an answer finds this out.
    #[error("the code cannot be redeemed any more")]
    CodeStopped,
}

/// What a genuine link leads to.
#[derive(Debug, Clone)]
pub struct OpenedLink {
    /// Whose invitation it is.
    pub client: Client,
    /// The invitation.
    pub invitation: Invitation,
    /// The version the link was made for.
    pub version: u32,
    /// Why it is not open any more, if it is not.
    pub closed: Option<LinkClosed>,
}

/// Follows the token of an invitation's link, changing nothing. `None` for a token this stack did
/// not make, or whose invitation is gone without a trace.
pub async fn open_invitation_link(
    ports: &(impl Catalog + People),
    keys: &Keys,
    now: Timestamp,
    token: &str,
) -> Result<Option<OpenedLink>, StoreError> {
    let Some(Link::Invitation { client, invitation, version }) = Link::read(token, keys) else {
        return Ok(None);
    };
    let Some(client) = ports.client(&client).await? else {
        return Ok(None);
    };
    let id = &client.client_id;
    if let Some(invitation) = invitation_of(ports, id, invitation).await? {
        if version > invitation.version {
            return Ok(None);
        }
        let closed = closed_at(&invitation, version, now);
        return Ok(Some(OpenedLink { client, invitation, version, closed }));
    }
    // It had ended, and the one of another address has come to its place.
    let successor = ports.invitation(id, invitation.home()).await?;
    Ok(successor.map(|invitation| OpenedLink {
        client,
        invitation,
        version,
        closed: Some(LinkClosed::Replaced),
    }))
}

/// Why the link of `version` does not open this invitation at `now`; `None` if it does.
pub(crate) fn closed_at(
    invitation: &Invitation,
    version: u32,
    now: Timestamp,
) -> Option<LinkClosed> {
    if version != invitation.version {
        return Some(LinkClosed::Replaced);
    }
    match invitation.status_at(now) {
        InvitationStatus::Pending => None,
        InvitationStatus::Accepted => Some(LinkClosed::Accepted),
        InvitationStatus::Declined => Some(LinkClosed::Declined),
        InvitationStatus::Cancelled => Some(LinkClosed::Cancelled),
        InvitationStatus::Expired => Some(LinkClosed::Expired),
        // Its link has a newer version elsewhere.
        InvitationStatus::Moved => Some(LinkClosed::Replaced),
    }
}
