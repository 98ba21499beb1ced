//! Giving one learner a seat: the steps that creating, accepting and redeeming share.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::actions::ground::Ground;
use crate::actions::held_code::Held;
use crate::amend::Amend;
use crate::audit::Action;
use crate::change::{BlockCursor, BlockKey, Change, Presence, SeatLearner, Step};
use crate::code::Batch;
use crate::cohort::CohortKey;
use crate::contract::{Contract, WindowError};
use crate::dates::{Opening, local_date, opening};
use crate::email::EmailAddress;
use crate::ids::{InvitationId, LearnerId, PoolId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Credential, Profile, Seat, SeatState, Source};
use crate::outbox::{Letter, MailIntent, Subject};
use crate::stock::Delta;

/// When a seat opens and ends, after the contract's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The local day it opens, if one was asked for.
    pub starts_on: Option<Date>,
    /// When it opens.
    pub opening: Opening,
    /// When it ends, if before the contract.
    pub ends_at: Option<Timestamp>,
}

/// A date that the contract does not allow, with the field it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {error}")]
pub struct TermError {
    /// `start_on`, `end_on` or `delete_on`.
    pub field: &'static str,
    /// What is wrong with it.
    pub error: WindowError,
}

/// The dates asked for with a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermRequest {
    /// The local day it opens.
    pub start_on: Option<Date>,
    /// Its last day.
    pub end_on: Option<Date>,
    /// How long it lasts, in days.
    pub duration_days: Option<u32>,
    /// The day the account is erased.
    pub delete_on: Option<Date>,
}

impl TermRequest {
    /// What a batch of codes asks for those who redeem them.
    pub fn of_codes(batch: &Batch) -> Self {
        Self {
            start_on: batch.start_on,
            duration_days: batch.seat_duration_days,
            ..Self::default()
        }
    }
}

/// Decides when a seat opens and ends.
pub fn term(ground: &Ground, asked: &TermRequest, now: Timestamp) -> Result<Term, TermError> {
    let zone = ground.client.time_zone.zone();
    let contract = &ground.contract;
    let today = local_date(now, zone);
    let fail = |field| move |error| TermError { field, error };
    let start = contract.start(asked.start_on, today).map_err(fail("start_on"))?;
    if let Some(end) = asked.end_on {
        contract.check_end(end, start, today).map_err(fail("end_on"))?;
    }
    if let Some(delete) = asked.delete_on {
        let last = asked.end_on.or(start).unwrap_or(today).max(today);
        if delete < last {
            return Err(fail("delete_on")(WindowError::EndBeforeStart));
        }
    }
    let opening = opens(contract, asked.start_on, start, (now, zone));
    let opens = match opening {
        Opening::Now => now,
        Opening::Later { instant, .. } => instant,
    };
    let ends_at = contract.ends_at(asked.end_on, asked.duration_days, opens, zone);
    // A duration that began with the contract may be over.
    if ends_at.is_some_and(|end| end <= opens) {
        return Err(fail("start_on")(WindowError::OutsideContract));
    }
    Ok(Term { starts_on: start, opening, ends_at })
}

/// When a seat opens that is wanted for a day, which the contract made into another: at once, if the day
/// lies behind, whatever the hour is.
pub(super) fn opens(
    contract: &Contract,
    wanted: Option<Date>,
    start: Option<Date>,
    (now, zone): (Timestamp, &TimeZone),
) -> Opening {
    let today = local_date(now, zone);
    if wanted.is_some_and(|day| day < today) && start == Some(today) {
        Opening::Now
    } else {
        opening(start, contract.policies.opens_at, now, zone)
    }
}

/// Where the seat comes from.
#[derive(Debug, Clone)]
pub enum Take<'a> {
    /// The pool's available seats. There must be no live invitation of the address, so that its
    /// hold is not forgotten.
    Available {
        /// The invitation the address would have.
        no_invitation: InvitationId,
    },
    /// A live invitation: its held seat is taken up, and it counts as accepted.
    Invitation(&'a Invitation),
    /// A block, such as that of a batch of codes. An invitation that is live goes back.
    Block {
        /// Which.
        key: BlockKey,
        /// The epoch its batch was read at.
        epoch: u32,
        /// A live invitation of the address, if there is one.
        invitation: Option<&'a Invitation>,
        /// The invitation the address would have.
        invitation_id: InvitationId,
    },
    /// What is held until the address is proven. An invitation that is live goes back.
    Held(&'a Held),
}

/// One seat to be given.
#[derive(Debug, Clone)]
pub struct Seating<'a> {
    /// Who.
    pub learner_id: LearnerId,
    /// The address.
    pub email: EmailAddress,
    /// What is known of the person.
    pub profile: Profile,
    /// The password, for an account that has none.
    pub credential: Option<Credential>,
    /// Whether the account is there already.
    pub presence: Presence,
    /// When it opens and ends.
    pub term: Term,
    /// What it comes from, as the seat remembers it.
    pub source: Source,
    /// Where it is taken from.
    pub take: Take<'a>,
    /// What the trail calls it.
    pub action: Action,
    /// The mail that tells the learner; `None`: nobody is told.
    pub letter: Option<Letter>,
    /// Who asked for a copy of that mail.
    pub copy_to: Option<EmailAddress>,
}

/// Adds the steps that give a learner a seat.
pub fn give_seat(change: &mut Change, ground: &Ground, seating: Seating<'_>) {
    let learners = [seating.learner_id];
    let reason = seating.source.id.clone();
    take(change, ground, &seating, &learners, reason);
    if let Opening::Later { start_on, instant } = seating.term.opening {
        let key = cohort_key(ground, instant);
        change.step(Step::JoinCohort { key, start_on, count: 1 });
    }
    let seat = new_seat(change, &seating.term, seating.source);
    let learner_id = seating.learner_id;
    change.step(Step::SeatLearner(Box::new(SeatLearner {
        beside: None,
        learner_id,
        email: seating.email,
        profile: seating.profile,
        credential: seating.credential,
        presence: seating.presence,
        pool: ground.pool,
        seat,
    })));
    if let Some(letter) = seating.letter {
        let intent = seat_mail(change, ground, learner_id, letter, seating.term.opening);
        if let Some(to) = seating.copy_to {
            change.step(Step::Mail(copy_of(&intent, to, change.at)));
        }
        change.step(Step::Mail(intent));
    }
}

/// The cohort of this pool that opens at this instant.
pub fn cohort_key(ground: &Ground, instant: Timestamp) -> CohortKey {
    CohortKey { client_id: ground.client.client_id.clone(), pool: ground.pool, instant }
}

/// The seat a change gives, with this term.
pub fn new_seat(change: &Change, term: &Term, source: Source) -> Seat {
    let (state, held_at) = match term.opening {
        Opening::Now => (SeatState::Active { used_at: change.at }, None),
        Opening::Later { instant, .. } => {
            (SeatState::Scheduled { opens_at: instant }, Some(change.at))
        }
    };
    let Term { starts_on, ends_at, .. } = *term;
    Seat {
        state,
        starts_on,
        held_at,
        ends_at,
        source,
        op: change.op.id,
        reclaim: None,
        carried_from: None,
    }
}

/// A seat that waits for `opens_at` as it is if it opens on another day, and when that is: at once, if
/// the day has come. It ends on the last day that it is given with that. A seat that ends as its contract
/// says goes on to do so; one that has an end of its own keeps it. `None`: it is that day already.
pub fn on_another_day(
    change: &Change,
    ground: &Ground,
    (seat, opens_at): (&Seat, Timestamp),
    (wanted, end_on): (Date, Amend<Date>),
) -> Result<Option<(Opening, Seat)>, TermError> {
    let Ground { contract, client, .. } = ground;
    let (zone, now) = (client.time_zone.zone(), change.at);
    let fail = |error| TermError { field: "start_on", error };
    let starts_on = contract.start(Some(wanted), local_date(now, zone)).map_err(fail)?;
    let when = opens(contract, Some(wanted), starts_on, (now, zone));
    let opens = match when {
        Opening::Now => now,
        Opening::Later { instant, .. } => instant,
    };
    if opens == opens_at {
        return Ok(None);
    }
    let as_contracted = |opens| contract.ends_at(None, None, opens, zone);
    let ends_at = match end_on {
        Amend::Keep if seat.ends_at != as_contracted(opens_at) => seat.ends_at,
        Amend::Keep | Amend::Clear => as_contracted(opens),
        Amend::Set(end_on) => contract.ends_at(Some(end_on), None, opens, zone),
    };
    if ends_at.is_some_and(|end| end <= opens) {
        return Err(fail(WindowError::EndBeforeStart));
    }
    let mut moved =
        new_seat(change, &Term { starts_on, opening: when, ends_at }, seat.source.clone());
    moved.reclaim = seat.reclaim;
    if when != Opening::Now {
        // It is promised since it first was.
        moved.held_at = seat.held_at;
    }
    Ok(Some((when, moved)))
}

/// What the seat does to the pool and to the invitation or block it comes from.
fn take(
    change: &mut Change,
    ground: &Ground,
    seating: &Seating<'_>,
    learners: &[LearnerId],
    reason: Option<String>,
) {
    let pool = ground.pool;
    let now = seating.term.opening == Opening::Now;
    match &seating.take {
        Take::Available { no_invitation } => {
            let delta = if now { Delta::used(1) } else { Delta::held(1) };
            change.move_seats(pool, delta, seating.action, learners, reason);
            change.step(Step::NoLiveInvitation { invitation_id: *no_invitation });
        }
        Take::Invitation(invitation) => {
            let delta = match (invitation.holds_seat, now) {
                (true, true) => Delta::taken_up(1),
                (true, false) => Delta::default(),
                (false, true) => Delta::used(1),
                (false, false) => Delta::held(1),
            };
            if delta.is_nothing() {
                change.audit(pool, delta, seating.action, learners, reason);
            } else {
                change.move_seats(pool, delta, seating.action, learners, reason);
            }
            close(change, invitation, InvitationStatus::Accepted);
        }
        Take::Block { key, epoch, invitation, invitation_id } => {
            let (used, kept) = if now { (1, 0) } else { (0, 1) };
            let cursor = Some(BlockCursor::at_epoch(*epoch));
            change.step(Step::DrawBlock { key: key.clone(), used, kept, cursor });
            let delta = if now { Delta::taken_up(1) } else { Delta::default() };
            change.audit(pool, delta, seating.action, learners, reason);
            let back = lead_on(change, pool, *invitation, *invitation_id, learners);
            move_pool(change, pool, back);
        }
        Take::Held(held) => {
            let moved = held.take(change, now, seating.action, learners, reason);
            let back = lead_on(change, pool, held.invited.as_ref(), held.invited_id, learners);
            move_pool(change, pool, moved.and(back));
        }
    }
}

/// What a pool's own counters change by; the trail has been told.
fn move_pool(change: &mut Change, pool: PoolId, delta: Delta) {
    if !delta.is_nothing() {
        change.step(Step::MovePool { pool, delta });
    }
}

/// A live invitation of an address that gets its seat elsewhere goes back, and counts as accepted.
/// Returns what the pool's own counters have to change by.
fn lead_on(
    change: &mut Change,
    pool: PoolId,
    invitation: Option<&Invitation>,
    invitation_id: InvitationId,
    learners: &[LearnerId],
) -> Delta {
    let Some(invitation) = invitation else {
        change.step(Step::NoLiveInvitation { invitation_id });
        return Delta::default();
    };
    close(change, invitation, InvitationStatus::Accepted);
    if !invitation.holds_seat {
        return Delta::default();
    }
    let (back, why) = (Delta::let_go(1), Some(invitation.invitation_id.to_string()));
    change.audit(pool, back, Action::InvitationAccepted, learners, why);
    back
}

/// Ends an invitation, at the version seen.
pub fn close(change: &mut Change, invitation: &Invitation, to: InvitationStatus) {
    change.step(Step::CloseInvitation {
        invitation_id: invitation.place(),
        version: invitation.version,
        to,
    });
}

/// The mail that tells a learner of the seat this change gives: at once, or on its day.
pub fn seat_mail(
    change: &Change,
    ground: &Ground,
    learner: LearnerId,
    letter: Letter,
    opening: Opening,
) -> MailIntent {
    let (due_at, cohort) = match opening {
        Opening::Now => (change.at, None),
        Opening::Later { instant, .. } => (instant, Some(ground.pool)),
    };
    let op = change.op.id;
    MailIntent {
        client_id: ground.client.client_id.clone(),
        key: format!("seat#{learner}#{}#{}", ground.pool, op.simple()),
        cohort,
        due_at,
        subjects: vec![Subject::Seat { learner, pool: ground.pool, op, letter }],
        copy_to: None,
    }
}

/// A copy of an intent's first mail for whoever asked for it: at once, since nothing in it opens.
pub fn copy_of(intent: &MailIntent, to: EmailAddress, now: Timestamp) -> MailIntent {
    MailIntent {
        key: format!("copy#{}", intent.key),
        cohort: None,
        due_at: now,
        subjects: intent.subjects.iter().take(1).cloned().collect(),
        copy_to: Some(to),
        ..intent.clone()
    }
}
