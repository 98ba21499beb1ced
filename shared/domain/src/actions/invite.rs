//! Inviting many addresses at once, with a verdict for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::address_list::{AddressList, AddressResult};
use crate::actions::ground::{GrantError, Ground, GroundError, check_grant, ground};
use crate::actions::invitations::expires_at;
use crate::actions::seating::{
    Term, TermError, TermRequest, close, cohort_key, copy_of, new_seat, term,
};
use crate::actions::{Met, ROUNDS, gave_up, met, overtaken};
use crate::audit::{Action, Actor};
use crate::change::{Change, Presence, SeatLearner, Step, StoreError};
use crate::contract::HoldOn;
use crate::dates::Opening;
use crate::email::{EmailAddress, InvalidEmail};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, InvitationId, LearnerId, PoolId, SublicenseId};
use crate::invitation::{Delivery, Grant, Invitation, InvitationStatus, Succession};
use crate::learner::{Profile, Source, SourceKind};
use crate::outbox::{Letter, MailIntent, Subject};
use crate::ports::{Catalog, Clock, Ledger, People};
use crate::role::{Caller, CallerRole};
use crate::secrets::Keys;
use crate::stock::{Delta, Stock};

/// Most addresses of one call.
pub const ADDRESSES_MAX: usize = 1_000;

/// Addresses of one change: two steps each, and ten at most that they share.
const CHUNK: usize = 44;

/// The command.
#[derive(Clone)]
pub struct Invite {
    /// Whose.
    pub client_id: ClientId,
    /// On which contract.
    pub contract_id: ContractId,
    /// From which sublicense, if one is named.
    pub sublicense_id: Option<SublicenseId>,
    /// The addresses as they were given, at most [`ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// What each invitation gives.
    pub grant: Grant,
    /// A personal message.
    pub message: Option<String>,
    /// Whether the invited are told by mail.
    pub notify: bool,
    /// Who asked for a copy: of the first invitation's mail.
    pub copy_to: Option<EmailAddress>,
}

/// What came of a call.
#[derive(Clone)]
pub struct Invited {
    /// A verdict per address, in the order given; the later copies of an address are one.
    pub results: Vec<AddressResult<Verdict>>,
    /// The pool's stock when the first seat was to be taken; none where none had to be.
    pub stock_before: Option<Stock>,
    /// The pool's stock now.
    pub stock: Stock,
}

/// What came of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is invited.
    Invited {
        /// The invitation.
        invitation_id: InvitationId,
        /// The version its link is made for.
        version: u32,
    },
    /// It was invited before; nothing is sent again.
    AlreadyInvited {
        /// The invitation.
        invitation_id: InvitationId,
    },
    /// There is an account with a seat in this pool.
    AlreadyActive {
        /// The account.
        learner_id: LearnerId,
    },
    /// There was an account without a seat in this pool: it has one now.
    Added {
        /// The account.
        learner_id: LearnerId,
    },
    /// It stands earlier in the list.
    Duplicate,
    /// It is no address.
    Invalid(InvalidEmail),
    /// The seats had run out.
    NoSeatsLeft,
}

/// Why a call was refused; nothing happened then.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// Roles or groups cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// An instructor invites into one group at a time.
    #[error("an instructor invites into exactly one group")]
    OneGroupOnly,
    /// A caller confined to groups sets no deletion date.
    #[error("the deletion date is not yours to set")]
    DeletionNotAllowed,
    /// The dates do not go with the contract.
    #[error(transparent)]
    Term(#[from] TermError),
    /// Not one address could be served: there is no seat for any of these many.
    #[error("no seats left")]
    NoSeatsLeft(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Invites addresses, in order, until the stock ends. Accounts of the client without a seat in the
/// pool are given theirs at once.
pub async fn invite(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &Invite,
) -> Result<Invited, InviteError> {
    let now = clock.now();
    let client = &command.client_id;
    let ground = ground(ports, client, command.contract_id, command.sublicense_id, now).await?;
    check_confined(caller, &command.grant)?;
    check_grant(ports, &ground, caller, &command.grant.roles, &command.grant.group_ids).await?;
    term(&ground, &asked(command), now)?;
    let list = AddressList::of(&command.addresses);
    let inviting = Inviting { ports, clock, keys, caller, op, command, ground: &ground };
    let (outcomes, stock_before) = inviting.all(&list.unique).await?;
    let nobody = outcomes.iter().all(|outcome| *outcome == Outcome::NoSeats);
    if nobody && !outcomes.is_empty() {
        return Err(InviteError::NoSeatsLeft(outcomes.len()));
    }
    let verdict = |email: &EmailAddress, outcome| {
        let learner_id = keys.learner_id(client, email);
        let invitation_id = keys.invitation_id(client, ground.pool, email);
        match outcome {
            Outcome::Invited(version) => Verdict::Invited { invitation_id, version },
            Outcome::InvitedAs(invitation_id, version) => {
                Verdict::Invited { invitation_id, version }
            }
            Outcome::AlreadyInvited => Verdict::AlreadyInvited { invitation_id },
            Outcome::AlreadyInvitedAs(invitation_id) => Verdict::AlreadyInvited { invitation_id },
            Outcome::AlreadyActive => Verdict::AlreadyActive { learner_id },
            Outcome::Added => Verdict::Added { learner_id },
            Outcome::NoSeats => Verdict::NoSeatsLeft,
        }
    };
    let results = list.results(&outcomes, verdict, Verdict::Duplicate, Verdict::Invalid);
    let stock = ports.stock(client, ground.pool).await?;
    let missing = || StoreError::Broken("a pool just used is not there".to_owned());
    Ok(Invited { results, stock_before, stock: stock.ok_or_else(missing)? })
}

/// The addresses of a list as it was given, each once.
pub fn unique_addresses(given: &[String]) -> Vec<EmailAddress> {
    AddressList::of(given).unique
}

/// What callers who are confined to groups may not ask for, beside what [`check_grant`] says.
fn check_confined(caller: &Caller, grant: &Grant) -> Result<(), InviteError> {
    if caller.own_groups().is_some() && grant.delete_on.is_some() {
        return Err(InviteError::DeletionNotAllowed);
    }
    if caller.role == CallerRole::Instructor && grant.group_ids.len() > 1 {
        return Err(InviteError::OneGroupOnly);
    }
    Ok(())
}

fn asked(command: &Invite) -> TermRequest {
    TermRequest {
        start_on: command.grant.start_on,
        end_on: command.grant.end_on,
        duration_days: None,
        delete_on: command.grant.delete_on,
    }
}

/// What came of one address, as receipts keep it: ids follow from the address, but where one was
/// changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// At this version.
    Invited(u32),
    InvitedAs(InvitationId, u32),
    AlreadyInvited,
    AlreadyInvitedAs(InvitationId),
    AlreadyActive,
    Added,
    NoSeats,
}

/// Where one address stands before the call.
enum Standing {
    /// It has a seat in the pool.
    Active,
    /// It has a live invitation to the pool, by its id.
    Invited(InvitationId),
    /// There is no account, or an invitation that has ended.
    Unknown { learner_id: LearnerId, over: Option<Invitation> },
    /// There is an account; an invitation whose time ran out may hold a seat for it still.
    Account { learner_id: LearnerId, waiting: Option<Invitation> },
}

/// A change and what it does to the first addresses of its window.
struct Plan {
    change: Change,
    outcomes: Vec<Outcome>,
    /// Whether anything is written at all.
    writes: bool,
    /// Seats that leave `available`.
    seats: u64,
}

/// How many seats a change may take.
struct Limits {
    /// Seats there are: whoever comes after them goes away empty-handed.
    available: u64,
    /// Seats to ask for at once: whoever comes after them is served by another change.
    most: u64,
}

/// One call under way.
struct Inviting<'a, P, C> {
    ports: &'a P,
    clock: &'a C,
    keys: &'a Keys,
    caller: &'a Caller,
    op: Op,
    command: &'a Invite,
    ground: &'a Ground,
}

impl<P: Ledger + Catalog + People, C: Clock> Inviting<'_, P, C> {
    /// Serves every address, behind what an earlier attempt at this call did.
    async fn all(
        &self,
        unique: &[EmailAddress],
    ) -> Result<(Vec<Outcome>, Option<Stock>), InviteError> {
        let receipts = self.ports.receipts(&self.op).await?;
        let mut part = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
        let mut outcomes = Vec::with_capacity(unique.len());
        for receipt in &receipts {
            outcomes.extend(read_receipt(receipt)?);
        }
        // A receipt tells of everything since the one before it.
        let mut receipted = outcomes.len();
        let mut before = None;
        while outcomes.len() < unique.len() {
            let window = &unique[outcomes.len()..unique.len().min(outcomes.len() + CHUNK)];
            let wrote = self.serve(window, part, receipted, &mut outcomes, &mut before).await?;
            if wrote {
                part += 1;
                receipted = outcomes.len();
            }
        }
        Ok((outcomes, before))
    }

    /// Serves the first addresses of a window by one change; says whether one was written.
    async fn serve(
        &self,
        window: &[EmailAddress],
        part: u32,
        receipted: usize,
        outcomes: &mut Vec<Outcome>,
        before: &mut Option<Stock>,
    ) -> Result<bool, InviteError> {
        // Once an address went away empty-handed, those behind it do too.
        let mut none_left = outcomes.contains(&Outcome::NoSeats);
        let copied = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Invited(_) | Outcome::InvitedAs(..)));
        let mut most = u64::MAX;
        let mut races = 0;
        loop {
            let standings = self.standings(window).await?;
            let available = if none_left || !standings.iter().any(|one| self.takes_seat(one)) {
                0
            } else {
                let stock = self.ports.stock(&self.command.client_id, self.ground.pool).await?;
                if before.is_none() {
                    *before = stock;
                }
                stock.map_or(0, |stock| stock.available)
            };
            let limits = Limits { available, most };
            let mut plan = self.plan(window, &standings, part, &limits, !copied)?;
            if !plan.writes {
                outcomes.append(&mut plan.outcomes);
                return Ok(false);
            }
            let told: Vec<_> = outcomes[receipted..].iter().chain(&plan.outcomes).collect();
            plan.change.receipt = json!({ "outcomes": told });
            let refused = match self.ports.apply(&plan.change).await {
                Ok(()) => None,
                Err(refused) => Some(met(&plan.change, refused)),
            };
            match refused {
                None | Some(Met::Repeated) => {
                    outcomes.append(&mut plan.outcomes);
                    return Ok(true);
                }
                // Others take seats at the same time: ask for fewer, down to the last one.
                Some(Met::NoSeats) if plan.seats > 1 => most = plan.seats / 2,
                Some(Met::NoSeats) => none_left = true,
                Some(Met::Raced(_)) => races += 1,
                Some(Met::Failed(error)) => return Err(error.into()),
            }
            if races == ROUNDS {
                return Err(gave_up().into());
            }
        }
    }

    /// Where the addresses stand, strongly consistent.
    async fn standings(&self, window: &[EmailAddress]) -> Result<Vec<Standing>, StoreError> {
        let (client, pool) = (&self.command.client_id, self.ground.pool);
        let learner_ids: Vec<_> =
            window.iter().map(|email| self.keys.learner_id(client, email)).collect();
        let places: Vec<_> =
            window.iter().map(|email| self.keys.invitation_id(client, pool, email)).collect();
        let learners = self.ports.learners(client, &learner_ids).await?;
        let learners: BTreeMap<_, _> =
            learners.into_iter().map(|learner| (learner.learner_id, learner)).collect();
        let invitations = self.ports.invitations(client, &places).await?;
        let mut invitations: BTreeMap<_, _> =
            invitations.into_iter().map(|found| (found.place(), found)).collect();
        let now = self.clock.now();
        let standing = |(learner_id, place): (&LearnerId, &InvitationId)| {
            let learner = learners.get(learner_id);
            let invitation = invitations.remove(place);
            let learner_id = *learner_id;
            if let Some(seat) = learner.and_then(|learner| learner.live_seat(pool)) {
                if self.op.wrote(seat.op) {
                    return Err(overtaken());
                }
                return Ok(Standing::Active);
            }
            if let Some(found) = invitation.as_ref().filter(|found| found.is_live(now)) {
                if self.op.wrote(found.op) {
                    return Err(overtaken());
                }
                return Ok(Standing::Invited(found.invitation_id));
            }
            Ok(match learner {
                None => Standing::Unknown { learner_id, over: invitation },
                Some(_) => Standing::Account {
                    learner_id,
                    waiting: invitation.filter(|found| found.status == InvitationStatus::Pending),
                },
            })
        };
        learner_ids.iter().zip(&places).map(standing).collect()
    }

    /// Where an invitation of the address stands.
    fn place(&self, email: &EmailAddress) -> InvitationId {
        self.keys.invitation_id(&self.command.client_id, self.ground.pool, email)
    }

    /// Whether serving it takes a seat that is not held for it already.
    fn takes_seat(&self, standing: &Standing) -> bool {
        match standing {
            Standing::Active | Standing::Invited(_) => false,
            Standing::Unknown { over, .. } => {
                let held = over.as_ref().is_some_and(still_holds);
                self.ground.contract.policies.hold_on == HoldOn::Invite && !held
            }
            Standing::Account { waiting, .. } => !waiting.as_ref().is_some_and(still_holds),
        }
    }

    /// Plans this part of the call: for the first addresses of a window, as far as seats go.
    fn plan(
        &self,
        window: &[EmailAddress],
        standings: &[Standing],
        part: u32,
        limits: &Limits,
        may_copy: bool,
    ) -> Result<Plan, InviteError> {
        let now = self.clock.now();
        let actor = Actor::Caller(self.caller.subject.clone());
        let change = Change::new(&self.command.client_id, self.op, actor, now);
        let mut draft = Draft {
            change: Change { part, ..change },
            term: term(self.ground, &asked(self.command), now)?,
            invited: Movement::default(),
            added: Movement::default(),
            mails: Vec::new(),
            scheduled: Vec::new(),
            joining: 0,
        };
        let (mut outcomes, mut seats) = (Vec::new(), 0);
        for (email, standing) in window.iter().zip(standings) {
            if self.takes_seat(standing) {
                if seats == limits.available {
                    outcomes.push(Outcome::NoSeats);
                    continue;
                }
                if seats == limits.most {
                    break;
                }
                seats += 1;
            }
            outcomes.push(match standing {
                Standing::Active => Outcome::AlreadyActive,
                Standing::Invited(id) if self.place(email) == *id => Outcome::AlreadyInvited,
                Standing::Invited(id) => Outcome::AlreadyInvitedAs(*id),
                Standing::Unknown { learner_id, over } => {
                    self.draft_invitation(&mut draft, email, *learner_id, over.as_ref())
                }
                Standing::Account { learner_id, waiting } => {
                    self.draft_seat(&mut draft, email, *learner_id, waiting.as_ref())
                }
            });
        }
        let writes = !draft.invited.learners.is_empty() || !draft.added.learners.is_empty();
        if writes {
            self.draft_shared(&mut draft, may_copy);
        }
        Ok(Plan { change: draft.change, outcomes, writes, seats })
    }

    fn draft_invitation(
        &self,
        draft: &mut Draft,
        email: &EmailAddress,
        learner_id: LearnerId,
        over: Option<&Invitation>,
    ) -> Outcome {
        let (command, ground) = (self.command, self.ground);
        let now = draft.change.at;
        let held = over.is_some_and(still_holds);
        let holds_seat = held || ground.contract.policies.hold_on == HoldOn::Invite;
        let place = self.place(email);
        let Succession { invitation_id, moved_to, version, left } = Succession::at(place, over);
        let invitation = Invitation {
            invitation_id,
            moved_to,
            left,
            email: email.clone(),
            status: InvitationStatus::Pending,
            version,
            holds_seat,
            held_since: over
                .filter(|_| held)
                .map_or(holds_seat.then_some(now), |over| over.held_since),
            contract_id: command.contract_id,
            sublicense_id: command.sublicense_id,
            grant: command.grant.clone(),
            redeems: None,
            message: command.message.clone(),
            expires_at: expires_at(ground, &command.grant, now),
            sent_count: u32::from(command.notify),
            last_sent_at: None,
            reminders: 0,
            reminded_at: None,
            reminders_unwanted: false,
            // Whoever hands the link on by other means knows what became of it; we do not.
            delivery: if command.notify { Delivery::Queued } else { Delivery::Unknown },
            gives_up_at: None,
            invited_by: self.caller.subject.clone(),
            inviter: self.caller.email.clone(),
            created_at: now,
            op: self.op.id,
        };
        let delta = if holds_seat && !held { Delta::held(1) } else { Delta::default() };
        draft.invited.count(learner_id, delta);
        if command.notify {
            draft.mails.push(Subject::Invitation { invitation: place, version });
        }
        draft.change.step(Step::PutInvitation {
            invitation: Box::new(invitation),
            replaces: over.map(|over| (over.version, over.status)),
        });
        draft.change.step(Step::NoLiveSeat { learner_id, pool: ground.pool });
        if invitation_id == place {
            Outcome::Invited(version)
        } else {
            Outcome::InvitedAs(invitation_id, version)
        }
    }

    fn draft_seat(
        &self,
        draft: &mut Draft,
        email: &EmailAddress,
        learner_id: LearnerId,
        waiting: Option<&Invitation>,
    ) -> Outcome {
        let pool = self.ground.pool;
        let opens_now = draft.term.opening == Opening::Now;
        let delta = match (waiting.is_some_and(still_holds), opens_now) {
            (true, true) => Delta::taken_up(1),
            (true, false) => Delta::default(),
            (false, true) => Delta::used(1),
            (false, false) => Delta::held(1),
        };
        draft.added.count(learner_id, delta);
        draft.joining += u64::from(!opens_now);
        if self.command.notify {
            let op = self.op.id;
            let (mails, letter) = if opens_now {
                (&mut draft.mails, Letter::Added)
            } else {
                (&mut draft.scheduled, Letter::AccessOpened)
            };
            mails.push(Subject::Seat { learner: learner_id, pool, op, letter });
        }
        let source = Source { kind: SourceKind::Invite, id: None };
        let seat = new_seat(&draft.change, &draft.term, source);
        draft.change.step(Step::SeatLearner(Box::new(SeatLearner {
            beside: None,
            learner_id,
            email: email.clone(),
            profile: profile(&self.command.grant),
            credential: None,
            presence: Presence::Existing,
            pool,
            seat,
        })));
        if let Some(waiting) = waiting {
            close(&mut draft.change, waiting, InvitationStatus::Accepted);
        } else {
            let invitation_id = self.place(email);
            draft.change.step(Step::NoLiveInvitation { invitation_id });
        }
        Outcome::Added
    }

    /// The steps that all addresses of a change share.
    fn draft_shared(&self, draft: &mut Draft, may_copy: bool) {
        let pool = self.ground.pool;
        let change = &mut draft.change;
        let delta = draft.invited.delta.and(draft.added.delta);
        if !delta.is_nothing() {
            change.step(Step::MovePool { pool, delta });
        }
        let added = match draft.term.opening {
            Opening::Now => Action::SeatGiven,
            Opening::Later { .. } => Action::SeatScheduled,
        };
        for (moved, action) in [(&draft.invited, Action::Invited), (&draft.added, added)] {
            if !moved.learners.is_empty() {
                change.audit(pool, moved.delta, action, &moved.learners, None);
            }
        }
        // Nobody is told before the day: the mails wait for it.
        let mut due_at = change.at;
        if let Opening::Later { start_on, instant } = draft.term.opening {
            due_at = instant;
            if draft.joining > 0 {
                let key = cohort_key(self.ground, instant);
                change.step(Step::JoinCohort { key, start_on, count: draft.joining });
            }
        }
        let key = format!("invite#{}#{}", self.op.id.simple(), change.part);
        let intent = |subjects: &mut Vec<Subject>, cohort: Option<PoolId>, due_at| MailIntent {
            client_id: self.command.client_id.clone(),
            key: key.clone(),
            cohort,
            due_at,
            subjects: std::mem::take(subjects),
            copy_to: None,
        };
        if !draft.mails.is_empty() {
            let told = intent(&mut draft.mails, None, due_at);
            let invited = |subject: &&Subject| matches!(subject, Subject::Invitation { .. });
            let first = told.subjects.iter().find(invited).cloned();
            if let (Some(to), Some(first), true) = (&self.command.copy_to, first, may_copy) {
                let copied = MailIntent { subjects: vec![first], ..told.clone() };
                change.step(Step::Mail(copy_of(&copied, to.clone(), change.at)));
            }
            change.step(Step::Mail(told));
        }
        if !draft.scheduled.is_empty() {
            let told = intent(&mut draft.scheduled, Some(pool), due_at);
            change.step(Step::Mail(told));
        }
    }
}

/// A change while its addresses are gone through.
struct Draft {
    change: Change,
    term: Term,
    invited: Movement,
    added: Movement,
    /// Mails that go out at once.
    mails: Vec<Subject>,
    /// Mails that wait for their day.
    scheduled: Vec<Subject>,
    /// Seats that join the cohort.
    joining: u64,
}

/// Seats of one kind of outcome.
#[derive(Default)]
struct Movement {
    learners: Vec<LearnerId>,
    delta: Delta,
}

impl Movement {
    fn count(&mut self, learner: LearnerId, delta: Delta) {
        self.learners.push(learner);
        self.delta = self.delta.and(delta);
    }
}

/// Whether a seat is held for it still: until a sweep has seen it, an overdue one keeps its hold.
fn still_holds(invitation: &Invitation) -> bool {
    invitation.status == InvitationStatus::Pending && invitation.holds_seat
}

fn profile(grant: &Grant) -> Profile {
    Profile {
        language: grant.language.clone(),
        roles: grant.roles.clone(),
        group_ids: grant.group_ids.clone(),
        labels: grant.labels.clone(),
        additional_info: grant.additional_info.clone(),
        end_on: grant.end_on,
        delete_on: grant.delete_on,
        ..Profile::default()
    }
}

fn read_receipt(receipt: &Value) -> Result<Vec<Outcome>, StoreError> {
    let outcomes = receipt.get("outcomes").cloned().unwrap_or_default();
    serde_json::from_value(outcomes)
        .map_err(|_| StoreError::Broken("a receipt of inviting cannot be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_and_holds_no_address() {
        let outcomes = [Outcome::Invited(3), Outcome::AlreadyActive, Outcome::NoSeats];
        let receipt = json!({ "outcomes": outcomes });
        assert_eq!(
            receipt.to_string(),
            r#"{"outcomes":[{"invited":3},"already_active","no_seats"]}"#
        );
        assert_eq!(read_receipt(&receipt).unwrap(), outcomes);
    }
}
