//! Accepting an invitation: the learner fills in name and password and takes up the held seat.

use serde_json::{Value, json};

use crate::actions::ground::{Ground, GroundError, ground};
use crate::actions::held_code::Held;
use crate::actions::invitations::{LinkClosed, closed_at, invitation_of};
use crate::actions::redeem_code::list_redemption;
use crate::actions::release_seat::end_if_over;
use crate::actions::seating::{Seating, Take, TermRequest, close, give_seat, term};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Over, Presence, Step, StoreError};
use crate::dates::Opening;
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId, LearnerId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Credential, Learner, Profile, Source, SourceKind};
use crate::outbox::Letter;
use crate::password::{Password, PasswordHash, WeakPassword};
use crate::ports::{Catalog, Clock, CodeBook, IdSource, Ledger, People};
use crate::secrets::Keys;
use crate::stock::Delta;

/// The command: what the link says and what the form says.
#[derive(Debug, Clone)]
pub struct AcceptInvitation {
    /// Whose.
    pub client_id: ClientId,
    /// Which.
    pub invitation_id: InvitationId,
    /// The version the link was made for.
    pub version: u32,
    /// Given name, as typed.
    pub first_name: String,
    /// Family name, as typed.
    pub last_name: String,
    /// The password typed, or why it is too weak. An account that has a password keeps it, and
    /// what was typed does not matter.
    pub password: Result<Password, WeakPassword>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The learner.
    pub learner_id: LearnerId,
    /// Whether the account had a password before, which still holds.
    pub password_kept: bool,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum AcceptInvitationError {
    /// There is no such invitation.
    #[error("no such invitation")]
    NotFound,
    /// The link no longer opens it.
    #[error(transparent)]
    Closed(LinkClosed),
    /// The contract's last day is over.
    #[error("the contract has ended")]
    ContractEnded,
    /// The password is too weak.
    #[error(transparent)]
    WeakPassword(WeakPassword),
    /// No seat was held for it, and none is left.
    #[error("no seats left")]
    NoSeatsLeft,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GroundError> for AcceptInvitationError {
    fn from(error: GroundError) -> Self {
        match error {
            GroundError::UnknownClient
            | GroundError::UnknownContract
            | GroundError::UnknownSublicense => Self::NotFound,
            GroundError::ContractEnded => Self::ContractEnded,
            GroundError::Store(error) => Self::Store(error),
        }
    }
}

impl Accepted {
    fn receipt(self) -> Value {
        json!({"learner_id": self.learner_id, "password_kept": self.password_kept})
    }

    fn read(receipt: &Value) -> Option<Self> {
        let learner_id = receipt.get("learner_id")?.as_str()?.parse().ok()?;
        let password_kept = receipt.get("password_kept")?.as_bool()?;
        Some(Self { learner_id, password_kept })
    }
}

/// What is planned next.
enum Plan {
    /// The seat is given, or the learner has one already: the invitation is accepted.
    Accept(Change),
    /// The learner has a seat but no password yet: it is set first.
    SetPassword(Change),
}

/// Accepts an invitation. It is never refused for want of seats if one was held; a learner who has
/// a seat in the pool keeps that one, and the held one goes back.
pub async fn accept_invitation(
    ports: &(impl Ledger + Catalog + People + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    op: Op,
    command: &AcceptInvitation,
) -> Result<Accepted, AcceptInvitationError> {
    let client = &command.client_id;
    let receipts = ports.receipts(&op).await?;
    if let Some(accepted) = receipts.iter().find_map(Accepted::read) {
        return Ok(accepted);
    }
    let mut part = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    let mut password_was_set = part > 0;
    let mut found_empty = false;
    let mut hash = None;
    for _ in 0..ROUNDS {
        let now = clock.now();
        let found = invitation_of(ports, client, command.invitation_id).await?;
        let invitation = found.ok_or(AcceptInvitationError::NotFound)?;
        if let Some(closed) = closed_at(&invitation, command.version, now) {
            return Err(AcceptInvitationError::Closed(closed));
        }
        let ground =
            ground(ports, client, invitation.contract_id, invitation.sublicense_id, now).await?;
        let held = Held::by(ports, keys, client, &invitation).await?;
        if let Some(held) = &held {
            if !held.is_open(now) {
                return Err(AcceptInvitationError::Closed(LinkClosed::CodeStopped));
            }
            held.bring_up(ports, op, client).await?;
        }
        let open = Open { command, invitation: &invitation, held: held.as_ref() };
        let learner_id = keys.learner_id(client, &invitation.email);
        let learner = ports.learner(client, learner_id).await?;
        let place = (client, &ground.contract);
        if end_if_over(ports, clock, ids, place, learner.as_ref(), ground.pool).await? {
            continue;
        }
        let has_password = learner.as_ref().is_some_and(|known| known.credential.is_some());
        if !has_password && hash.is_none() {
            let typed = command.password.as_ref();
            hash =
                Some(typed.map_err(|weak| AcceptInvitationError::WeakPassword(*weak))?.hash(ids));
        }
        let accepted = Accepted { learner_id, password_kept: has_password && !password_was_set };
        let mut change = Change::new(client, op, Actor::Learner, now);
        change.part = part;
        let chosen = hash.as_ref().filter(|_| !has_password);
        let plan = open.plan(change, &ground, learner.as_ref(), chosen, accepted)?;
        let (change, last) = match &plan {
            Plan::Accept(change) => (change, true),
            Plan::SetPassword(change) => (change, false),
        };
        let refused = match ports.apply(change).await {
            Ok(()) => None,
            Err(refused) => Some(met(change, refused)),
        };
        match refused {
            None | Some(Met::Repeated) if last => return Ok(accepted),
            None | Some(Met::Repeated) => {
                part += 1;
                password_was_set = true;
            }
            // An acceptance by someone quicker may have taken the last seat: look once more.
            Some(Met::NoSeats) if found_empty => return Err(AcceptInvitationError::NoSeatsLeft),
            Some(Met::NoSeats) => found_empty = true,
            Some(Met::Raced(_)) => {}
            Some(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// An invitation that is accepted, with what was typed on its page.
struct Open<'a> {
    command: &'a AcceptInvitation,
    invitation: &'a Invitation,
    /// What it holds, if a code made it.
    held: Option<&'a Held>,
}

impl<'a> Open<'a> {
    fn plan(
        &self,
        mut change: Change,
        ground: &Ground,
        learner: Option<&Learner>,
        password: Option<&PasswordHash>,
        accepted: Accepted,
    ) -> Result<Plan, AcceptInvitationError> {
        let credential = password.map(|hash| Credential { hash: hash.clone(), must_change: false });
        change.receipt = accepted.receipt();
        let seated = learner.filter(|learner| learner.live_seat(ground.pool).is_some());
        match (seated, credential) {
            (Some(learner), Some(credential)) => {
                change.receipt = json!({"password_set": true});
                let (learner_id, serial) = (learner.learner_id, learner.password_serial);
                change.step(Step::SetPassword { learner_id, serial, credential });
                Ok(Plan::SetPassword(change))
            }
            (Some(learner), None) => {
                self.lead_on(&mut change, ground, learner.learner_id);
                Ok(Plan::Accept(change))
            }
            (None, credential) => {
                let seating = self.seating(&change, ground, learner, credential, accepted)?;
                give_seat(&mut change, ground, seating);
                if let Some(held) = self.held {
                    list_redemption(
                        &mut change,
                        &held.batch,
                        &held.code.last4,
                        accepted.learner_id,
                    );
                }
                Ok(Plan::Accept(change))
            }
        }
    }

    /// The learner has a seat in this pool: what was held goes back.
    fn lead_on(&self, change: &mut Change, ground: &Ground, learner_id: LearnerId) {
        let invitation = self.invitation;
        if let Some(held) = self.held {
            held.give_back(change, learner_id, InvitationStatus::Accepted);
            return;
        }
        let (action, learners) = (Action::InvitationAccepted, [learner_id]);
        let reason = Some(invitation.invitation_id.to_string());
        if invitation.holds_seat {
            change.move_seats(ground.pool, Delta::let_go(1), action, &learners, reason);
        } else {
            change.audit(ground.pool, Delta::default(), action, &learners, reason);
        }
        close(change, invitation, InvitationStatus::Accepted);
        change.step(Step::UpdateProfile {
            learner_id,
            profile: Box::new(self.profile()),
            over: Over::Joining,
            seats: Vec::new(),
        });
    }

    fn seating(
        &self,
        change: &Change,
        ground: &Ground,
        learner: Option<&Learner>,
        credential: Option<Credential>,
        accepted: Accepted,
    ) -> Result<Seating<'a>, AcceptInvitationError> {
        let (invitation, grant) = (self.invitation, &self.invitation.grant);
        let granted = TermRequest {
            start_on: grant.start_on,
            end_on: grant.end_on,
            duration_days: None,
            delete_on: grant.delete_on,
        };
        let asked = self.held.map_or(granted, |held| TermRequest::of_codes(&held.batch));
        // An invitation ends with the access it gives, so its dates are still good while it is open.
        let term = term(ground, &asked, change.at)
            .map_err(|_| AcceptInvitationError::Closed(LinkClosed::Expired))?;
        let later = matches!(term.opening, Opening::Later { .. });
        let (take, source, action, letter) = match self.held {
            Some(held) => (
                Take::Held(held),
                Source { kind: SourceKind::Code, id: Some(held.batch.batch_id.to_string()) },
                Action::CodeProven,
                Some(if later { Letter::AccessOpened } else { Letter::Redeemed }),
            ),
            None => (
                Take::Invitation(invitation),
                Source { kind: SourceKind::Invite, id: Some(invitation.invitation_id.to_string()) },
                Action::InvitationAccepted,
                // Who accepts knows; a later start is told on its day.
                later.then_some(Letter::AccessOpened),
            ),
        };
        Ok(Seating {
            learner_id: accepted.learner_id,
            email: invitation.email.clone(),
            profile: self.profile(),
            credential,
            presence: if learner.is_some() { Presence::Existing } else { Presence::New },
            term,
            source,
            take,
            action,
            letter,
            copy_to: None,
        })
    }

    fn profile(&self) -> Profile {
        let grant = &self.invitation.grant;
        Profile {
            first_name: Some(self.command.first_name.clone()),
            last_name: Some(self.command.last_name.clone()),
            language: grant.language.clone(),
            roles: grant.roles.clone(),
            group_ids: grant.group_ids.clone(),
            labels: grant.labels.clone(),
            external_id: None,
            additional_info: grant.additional_info.clone(),
            end_on: grant.end_on,
            delete_on: grant.delete_on,
        }
    }
}
