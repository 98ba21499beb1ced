//! What the actions on invitations share: who may see one, how long it lasts, where a link leads.

use jiff::{SignedDuration, Timestamp};

use crate::actions::ground::Ground;
use crate::change::{Change, StoreError};
use crate::client::Client;
use crate::dates::end_of;
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
    let found = ports.invitation(client, invitation).await?;
    Ok(found.filter(|found| may_see(caller, found)))
}

/// Whether an invitation of the caller's client exists for the caller.
pub fn may_see(caller: &Caller, invitation: &Invitation) -> bool {
    caller.own_groups().is_none_or(|own| !own.is_disjoint(&invitation.grant.group_ids))
}

/// When an invitation made now can no longer be accepted: after the contract's number of days, and
/// never after the access it gives has ended.
pub fn expires_at(ground: &Ground, grant: &Grant, now: Timestamp) -> Timestamp {
    let zone = ground.client.time_zone.zone();
    let days = i64::from(ground.contract.policies.invite_ttl_days);
    let lasts = now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
    [grant.end_on, grant.delete_on, ground.contract.ends_on]
        .into_iter()
        .flatten()
        .map(|day| end_of(day, zone))
        .fold(lasts, Timestamp::min)
}

/// The mail of one invitation at its version.
pub(crate) fn invitation_mail(change: &Change, invitation: &Invitation) -> MailIntent {
    let (id, version) = (invitation.invitation_id, invitation.version);
    MailIntent {
        client_id: change.client_id.clone(),
        key: format!("invitation#{id}#{version}"),
        cohort: None,
        due_at: change.at,
        subjects: vec![Subject::Invitation { invitation: id, version }],
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
    let found = ports.invitation(&client.client_id, invitation).await?;
    let Some(invitation) = found.filter(|found| version <= found.version) else {
        return Ok(None);
    };
    let closed = closed_at(&invitation, version, now);
    Ok(Some(OpenedLink { client, invitation, version, closed }))
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
    }
}
