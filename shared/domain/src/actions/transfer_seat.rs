//! Handing a seat over to somebody else: released here and given there, in one change.

use jiff::Timestamp;

use crate::actions::ground::{Ground, GroundError, contract_of, ground_of};
use crate::actions::open_cohort::stand;
use crate::actions::release_seat::{end_if_over, released};
use crate::actions::seating::{Term, close, cohort_key, new_seat, seat_mail};
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, ROUNDS, erased_meanwhile, gave_up, met, overtaken};
use crate::audit::{Action, Actor};
use crate::change::{Change, Presence, SeatLearner, Step, StoreError};
use crate::dates::{Opening, local_date};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId, PoolId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Learner, Profile, Seat, SeatState, SeatStatus, Source, SourceKind};
use crate::outbox::Letter;
use crate::ports::{Catalog, Clock, IdSource, Ledger, People};
use crate::role::{Caller, Role};
use crate::secrets::Keys;
use crate::stock::Delta;

/// The command.
#[derive(Debug, Clone)]
pub struct TransferSeat {
    /// Whose.
    pub client_id: ClientId,
    /// Who has the seat.
    pub from: LearnerId,
    /// Which seat, if the learner has several.
    pub pool: Option<PoolId>,
    /// Who gets it.
    pub to: EmailAddress,
    /// What is known of that person; fills blanks. Groups and labels come with the seat.
    pub profile: Profile,
    /// Whether that person is told by mail.
    pub notify: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct TransferredSeat {
    /// Who had the seat.
    pub from: Learner,
    /// Who has it.
    pub to: Learner,
    /// Where.
    pub pool: PoolId,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum TransferSeatError {
    /// There is no such learner.
    #[error("no such learner")]
    Unknown,
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The client has no such pool.
    #[error("no such pool")]
    UnknownPool,
    /// The learner has no seat that could go.
    #[error("no live seat")]
    NoSeat,
    /// The learner has several seats.
    #[error("several seats")]
    PoolMissing,
    /// Both are the same person.
    #[error("the same person")]
    SamePerson,
    /// The other one has a seat there already.
    #[error("the other person has a seat there")]
    AlreadySeated,
    /// The seat is spent where it was used, and no other one is left.
    #[error("no seats left")]
    NoSeatsLeft,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What transferring needs from outside.
pub trait TransferPorts: Ledger + Catalog + People {}
impl<P: Ledger + Catalog + People> TransferPorts for P {}

/// Who and what one round has found.
struct Found<'a> {
    ground: &'a Ground,
    from: &'a Learner,
    seat: &'a Seat,
    to: Option<&'a Learner>,
    invitation: Option<&'a Invitation>,
}

/// Hands a seat over.
pub async fn transfer_seat(
    ports: &impl TransferPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &TransferSeat,
) -> Result<TransferredSeat, TransferSeatError> {
    let client = &command.client_id;
    let to_id = keys.learner_id(client, &command.to);
    if to_id == command.from {
        return Err(TransferSeatError::SamePerson);
    }
    let known = async |id| ports.learner(client, id).await;
    if let Some(receipt) = ports.receipts(&op).await?.first() {
        let pool = receipt.get("pool").and_then(|pool| pool.as_str()?.parse().ok());
        return answer(ports, command, to_id, pool.ok_or_else(broken)?).await;
    }
    if let Some(pool) = command.pool
        && contract_of(ports, client, pool).await?.is_none()
    {
        return Err(TransferSeatError::UnknownPool);
    }
    for _ in 0..ROUNDS {
        let now = clock.now();
        let from = known(command.from).await?.ok_or(TransferSeatError::Unknown)?;
        let to = known(to_id).await?;
        let (pool, seat) = meant(&from, to.as_ref(), command, op, now)?;
        let ground = ground_of(ports, client, pool, now).await?;
        let place = (client, &ground.contract);
        if end_if_over(ports, clock, ids, place, to.as_ref(), pool).await? {
            continue;
        }
        if to.as_ref().is_some_and(|to| to.live_seat(pool).is_some()) {
            return Err(TransferSeatError::AlreadySeated);
        }
        let place = keys.invitation_id(client, pool, &command.to);
        let invitation = ports.invitation(client, place).await?;
        let invitation =
            invitation.filter(|invitation| invitation.status == InvitationStatus::Pending);
        let instants = seat.waits_for().into_iter().collect();
        let standing = stand(ports, clock, ids, (client, pool), &instants).await?;
        let actor = Actor::Caller(caller.subject.clone());
        let mut change = Change::new(client, op, actor, standing.at);
        change.receipt = serde_json::json!({"pool": pool});
        let found = Found {
            ground: &ground,
            from: &from,
            seat,
            to: to.as_ref(),
            invitation: invitation.as_ref(),
        };
        for instant in instants {
            // As many wait as before, for the same day; it must not have come meanwhile.
            change.step(standing.leave(cohort_key(&ground, instant), 0));
        }
        hand_over(&mut change, command, &found, to_id);
        match &invitation {
            Some(invitation) => close(&mut change, invitation, InvitationStatus::Accepted),
            None => {
                change.step(Step::NoLiveInvitation { invitation_id: place });
            }
        }
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return answer(ports, command, to_id, pool).await,
            Err(Met::NoSeats) => return Err(TransferSeatError::NoSeatsLeft),
            Err(Met::Raced(place)) => settle_blocks(ports, clock, ids, &change, place).await?,
            Err(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// The seat that is meant.
fn meant<'a>(
    from: &'a Learner,
    to: Option<&Learner>,
    command: &TransferSeat,
    op: Op,
    now: Timestamp,
) -> Result<(PoolId, &'a Seat), TransferSeatError> {
    let wrote = |learner: &Learner| learner.seats.values().any(|seat| op.wrote(seat.op));
    if wrote(from) || to.is_some_and(wrote) {
        return Err(overtaken().into());
    }
    let can_go = |pool: &PoolId, seat: &Seat| {
        let over = matches!(seat.status(now), SeatStatus::Released | SeatStatus::Ended);
        !over && command.pool.is_none_or(|wanted| wanted == *pool)
    };
    let mut seats = from.seats.iter().filter(|(pool, seat)| can_go(pool, seat));
    let (pool, seat) = seats.next().ok_or(TransferSeatError::NoSeat)?;
    if seats.next().is_some() {
        return Err(TransferSeatError::PoolMissing);
    }
    Ok((*pool, seat))
}

/// Adds the steps that take the seat from one and give it to the other. What a release would do to
/// the stock, and what a new seat would, happen together: where seats return, nothing is left to do.
fn hand_over(change: &mut Change, command: &TransferSeat, found: &Found<'_>, to_id: LearnerId) {
    let Found { ground, from, seat, .. } = *found;
    let (pool, contract) = (ground.pool, &ground.contract);
    let (gone, released_seat, given_by) = released(change, contract, seat);
    let opening = match seat.state {
        SeatState::Scheduled { opens_at } if opens_at > change.at => {
            let zone = ground.client.time_zone.zone();
            let day = local_date(opens_at, zone);
            Opening::Later { start_on: seat.starts_on.unwrap_or(day), instant: opens_at }
        }
        _ => Opening::Now,
    };
    let holds = found.invitation.is_some_and(|invitation| invitation.holds_seat);
    let taken = match (opening, holds) {
        (Opening::Now, true) => Delta::taken_up(1),
        (Opening::Now, false) => Delta::used(1),
        (Opening::Later { .. }, true) => Delta::default(),
        (Opening::Later { .. }, false) => Delta::held(1),
    };
    let delta = gone.and(taken);
    let who = [from.learner_id, to_id];
    if delta.is_nothing() {
        change.audit(pool, delta, Action::SeatTransferred, &who, None);
    } else {
        change.move_seats(pool, delta, Action::SeatTransferred, &who, None);
    }
    change.step(Step::ReleaseSeat {
        learner_id: from.learner_id,
        pool,
        op: given_by,
        seat: released_seat,
        untouched_since: None,
        beside: None,
    });
    let starts_on = matches!(opening, Opening::Later { .. }).then_some(seat.starts_on).flatten();
    let term = Term { starts_on, opening, ends_at: seat.ends_at };
    let source = Source { kind: SourceKind::Transfer, id: Some(from.learner_id.to_string()) };
    let seat = new_seat(change, &term, source);
    let profile = Profile {
        roles: [Role::Learner].into(),
        group_ids: from.profile.group_ids.clone(),
        labels: from.profile.labels.clone(),
        ..command.profile.clone()
    };
    let new = found.to.is_none();
    change.step(Step::SeatLearner(Box::new(SeatLearner {
        beside: None,
        learner_id: to_id,
        email: command.to.clone(),
        profile,
        credential: None,
        presence: if new { Presence::New } else { Presence::Existing },
        pool,
        seat,
    })));
    if command.notify {
        let letter = match opening {
            Opening::Later { .. } => Letter::AccessOpened,
            Opening::Now if new => Letter::AccountCreated,
            Opening::Now => Letter::Added,
        };
        change.step(Step::Mail(seat_mail(change, ground, to_id, letter, opening)));
    }
}

async fn answer(
    ports: &impl TransferPorts,
    command: &TransferSeat,
    to: LearnerId,
    pool: PoolId,
) -> Result<TransferredSeat, TransferSeatError> {
    let client = &command.client_id;
    let from = ports.learner(client, command.from).await?.ok_or_else(erased_meanwhile)?;
    let to = ports.learner(client, to).await?.ok_or_else(erased_meanwhile)?;
    Ok(TransferredSeat { from, to, pool })
}

fn broken() -> StoreError {
    StoreError::Broken("a receipt without its pool".to_owned())
}
