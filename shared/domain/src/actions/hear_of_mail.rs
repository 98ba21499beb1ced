//! Hearing what became of a mail: from the mail service, in any order, any number of times.

use jiff::{SignedDuration, Timestamp};

use crate::actions::invitations::invitation_of;
use crate::change::StoreError;
use crate::contract::OnHardBounce;
use crate::ids::{ClientId, InvitationId, LearnerId};
use crate::invitation::{Delivery, InvitationStatus};
use crate::outbox::Subject;
use crate::ports::{
    Catalog, Clock, Deliveries, InvitationNews, MailTag, Outbox, People, Suppressions,
};

/// Times a lost race is run again.
const ROUNDS: u32 = 8;

/// What the mail service tells of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was accepted.
    Sent,
    /// The other side took it.
    Delivered,
    /// The other side refused it for good.
    Bounced,
    /// It came back for a passing reason; also what an answering machine looks like.
    CameBack,
    /// The recipient called it spam.
    Complained,
    /// The mail service gave it up after all.
    Rejected,
}

impl News {
    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::CameBack => "came_back",
            Self::Complained => "complained",
            Self::Rejected => "rejected",
        }
    }

    /// What an invitation shows of it.
    fn delivery(self) -> Delivery {
        match self {
            Self::Sent | Self::CameBack => Delivery::Sent,
            Self::Delivered => Delivery::Delivered,
            Self::Bounced | Self::Rejected => Delivery::Bounced,
            Self::Complained => Delivery::Complained,
        }
    }
}

/// What hearing needs of the store.
pub trait HearPorts: Outbox + Deliveries + Suppressions + Catalog + People {}
impl<P: Outbox + Deliveries + Suppressions + Catalog + People> HearPorts for P {}

/// Writes the news down. Any news of a mail proves that it was accepted; a complaint keeps every
/// later mail of the client from that address.
pub async fn hear_of_mail(
    ports: &impl HearPorts,
    clock: &impl Clock,
    tag: &MailTag,
    news: News,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut about = None;
    for _ in 0..ROUNDS {
        let Some(owed) = ports.owed(&tag.place).await? else { break };
        // A place in another client's outbox is none that we wrote into a tag.
        if owed.intent.client_id != tag.client_id {
            return Ok(());
        }
        let copied = owed.intent.copy_to.is_some();
        about = owed.intent.subjects.get(tag.mail as usize).cloned().filter(|_| !copied);
        let Some(resolved) = owed.resolve(tag.mail, clock.now()) else { break };
        if ports.advance(&tag.place, &owed, &resolved).await? {
            break;
        }
    }
    let client = &tag.client_id;
    if let (News::Complained, Some(addressee)) = (news, tag.addressee) {
        ports.suppress(client, addressee, clock.now()).await?;
    }
    if let Some((invitation, version)) = tag.invitation {
        let told = (news.delivery(), Some(at));
        return tell_invitation(ports, clock, client, (invitation, version), told).await;
    }
    match about.as_ref().and_then(told_learner) {
        Some(learner) => tell_learner(ports, tag, learner, news.delivery()).await,
        None => Ok(()),
    }
}

/// The learner whom a mail is for.
pub(crate) fn told_learner(about: &Subject) -> Option<LearnerId> {
    match about {
        Subject::Seat { learner, .. } | Subject::Account { learner, .. } => Some(*learner),
        Subject::Invitation { .. }
        | Subject::Reminder { .. }
        | Subject::Import { .. }
        | Subject::Code { .. }
        | Subject::StockLow { .. }
        | Subject::ContractEnding { .. }
        | Subject::Erasure { .. } => None,
    }
}

/// Writes news of a learner's mail down. News of one mail is ordered by what it says, that of two
/// by when they were claimed.
pub(crate) async fn tell_learner(
    ports: &impl Deliveries,
    tag: &MailTag,
    learner: LearnerId,
    news: Delivery,
) -> Result<(), StoreError> {
    let Some(claimed_at) = tag.claimed_at else { return Ok(()) };
    let mail = format!("{claimed_at:.6}#{}#{:04}", tag.place.key, tag.mail);
    ports.note_learner_delivery(&tag.client_id, learner, &mail, news).await
}

/// Writes news of an invitation's mail down: what, and when it was sent. If it came back for good,
/// the contract says whether the invitation is given up, and when.
pub(crate) async fn tell_invitation(
    ports: &(impl Deliveries + Catalog + People),
    clock: &impl Clock,
    client: &ClientId,
    (id, version): (InvitationId, u32),
    (delivery, sent_at): (Delivery, Option<Timestamp>),
) -> Result<(), StoreError> {
    let mut news = InvitationNews { delivery, sent_at, gives_up_at: None };
    if delivery == Delivery::Bounced
        && let Some(invitation) = ports.invitation(client, id).await?
        && let Some(contract) = ports.contract(client, invitation.contract_id).await?
        && contract.policies.on_hard_bounce == OnHardBounce::Cancel
    {
        let grace = SignedDuration::from_hours(contract.policies.bounce_grace_hours.into());
        let until = clock.now() + grace;
        // One that ends before is not kept alive by it.
        news.gives_up_at = Some(until).filter(|until| *until < invitation.expires_at);
    }
    if ports.note_delivery(client, id, version, news).await? {
        return Ok(());
    }
    // Older news, or none of this link; or the invitation went to a contract that succeeds its own.
    let found = ports.invitation(client, id).await?;
    let Some(moved) = found.filter(|found| found.status == InvitationStatus::Moved) else {
        return Ok(());
    };
    let Some(found) = invitation_of(ports, client, moved.invitation_id).await? else {
        return Ok(());
    };
    ports.note_delivery(client, found.place(), version, news).await.map(drop)
}
