//! Changing an account: what is known of the person, the last day of their seats, and the day on
//! which a seat opens.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::actions::ground::{
    GrantError, Ground, GroundError, check_grant, contract_of, ground_of_any,
};
use crate::actions::open_cohort::{OpenCohortError, open_cohort};
use crate::actions::seating::{TermError, cohort_key, on_another_day, seat_mail};
use crate::actions::{Met, ROUNDS, erased_meanwhile, gave_up, met};
use crate::amend::Amend;
use crate::audit::{Action, Actor};
use crate::change::{Change, SeatChange, Step, StoreError};
use crate::cohort::CohortState;
use crate::contract::WindowError;
use crate::dates::{Opening, local_date};
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId, PoolId};
use crate::learner::{Learner, ProfileChange, Seat, SeatState, SeatStatus};
use crate::outbox::Letter;
use crate::ports::{Catalog, Clock, IdSource, Ledger, People};
use crate::role::Caller;
use crate::stock::Delta;

/// The command.
#[derive(Debug, Clone)]
pub struct ChangeLearner {
    /// Whose.
    pub client_id: ClientId,
    /// Who.
    pub learner_id: LearnerId,
    /// What changes in the profile.
    pub profile: ProfileChange,
    /// The day a scheduled seat shall open instead.
    pub start_on: Option<Date>,
    /// Which seat, if the learner has several that are scheduled.
    pub pool: Option<PoolId>,
    /// Whether the learner is told when a seat of another date opens.
    pub notify: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct ChangedLearner {
    /// The learner as they are now.
    pub learner: Learner,
    /// The pool of the seat that was given another date.
    pub rescheduled: Option<PoolId>,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeLearnerError {
    /// There is no such learner.
    #[error("no such learner")]
    Unknown,
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// Roles or groups cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The dates do not go with a contract.
    #[error(transparent)]
    Term(#[from] TermError),
    /// Roles are given by the terms of a contract, and the learner has no seat of one.
    #[error("roles need a seat")]
    RolesNeedSeat,
    /// The client has no such pool.
    #[error("no such pool")]
    UnknownPool,
    /// No seat of the learner waits for its day.
    #[error("no seat is scheduled")]
    NotScheduled,
    /// Several seats of the learner wait for their days.
    #[error("several seats are scheduled")]
    PoolMissing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenCohortError> for ChangeLearnerError {
    fn from(error: OpenCohortError) -> Self {
        match error {
            OpenCohortError::Store(error) => Self::Store(error),
            OpenCohortError::TooEarly | OpenCohortError::UnknownCohort => Self::Store(gave_up()),
        }
    }
}

/// What changing needs from outside.
pub trait ChangePorts: Ledger + Catalog + People {}
impl<P: Ledger + Catalog + People> ChangePorts for P {}

/// A live seat of the learner, with what it stands on.
struct Standing<'a> {
    pool: PoolId,
    seat: &'a Seat,
    ground: Ground,
    /// Whether it has outlasted its contract: only its end can change.
    outlasts: bool,
}

impl Standing<'_> {
    fn check_end(&self, end: Date, start: Option<Date>, today: Date) -> Result<(), WindowError> {
        let contract = &self.ground.contract;
        if self.outlasts {
            contract.check_end_of_access(end, start, today)
        } else {
            contract.check_end(end, start, today)
        }
    }

    fn becomes(&self, seat: Seat) -> SeatChange {
        let Seat { op, ends_at, .. } = *self.seat;
        SeatChange { pool: self.pool, op, seen_end: ends_at, seat }
    }
}

/// Changes an account. All of it happens, or nothing.
pub async fn change_learner(
    ports: &impl ChangePorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    caller: &Caller,
    op: Op,
    command: &ChangeLearner,
) -> Result<ChangedLearner, ChangeLearnerError> {
    let client = &command.client_id;
    if let Some(pool) = command.pool
        && contract_of(ports, client, pool).await?.is_none()
    {
        return Err(ChangeLearnerError::UnknownPool);
    }
    let known = async || {
        let learner = ports.learner(client, command.learner_id).await?;
        learner.ok_or(ChangeLearnerError::Unknown)
    };
    for _ in 0..ROUNDS {
        let now = clock.now();
        let learner = known().await?;
        let standing = standing(ports, client, &learner, command, now).await?;
        check(ports, caller, client, command, &standing).await?;
        let profile = news(command, &learner);
        check_deletion(ports, command, (&learner, &profile), now).await?;
        let mut change = Change::new(client, op, Actor::Caller(caller.subject.clone()), now);
        let mut seats = last_days(command, &standing, now)?;
        let moved = match command.start_on {
            None => None,
            Some(start_on) => {
                let one = scheduled(command, &standing, now)?;
                let SeatState::Scheduled { opens_at } = one.seat.state else {
                    return Err(ChangeLearnerError::NotScheduled);
                };
                let key = cohort_key(&one.ground, opens_at);
                let cohort = ports.cohort(&key).await?;
                if cohort.is_some_and(|cohort| cohort.state == CohortState::Opened) {
                    return Err(ChangeLearnerError::NotScheduled);
                }
                if opens_at <= now {
                    // Its day has come and nobody has opened it yet: open it, then look again.
                    open_cohort(ports, clock, ids, &key).await?;
                    continue;
                }
                reschedule(&mut change, command, one, (start_on, opens_at), &mut seats)?;
                Some(one.pool)
            }
        };
        if change.steps.is_empty() && seats.is_empty() && profile == ProfileChange::default() {
            return Ok(ChangedLearner { learner, rescheduled: None });
        }
        if let Some(action) = keeps_out(command, &learner) {
            for pool in
                learner.seats.iter().filter(|(_, seat)| seat.is_live()).map(|(pool, _)| pool)
            {
                change.audit(*pool, Delta::default(), action, &[command.learner_id], None);
            }
        }
        if !command.profile.end_on.keeps() {
            tell_of_ends(&mut change, command.learner_id, &seats);
        }
        let (learner_id, profile) = (command.learner_id, Box::new(profile));
        change.step(Step::ChangeLearner { learner_id, profile, seats });
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => {
                let learner = ports.learner(client, command.learner_id).await?;
                let learner = learner.ok_or_else(erased_meanwhile)?;
                return Ok(ChangedLearner { learner, rescheduled: moved });
            }
            Err(Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// What the trail says, if it is news that the person is kept out, or let in again.
fn keeps_out(command: &ChangeLearner, learner: &Learner) -> Option<Action> {
    match (command.profile.suspended?, learner.suspended_at) {
        (true, None) => Some(Action::LearnerSuspended),
        (false, Some(_)) => Some(Action::LearnerResumed),
        _ => None,
    }
}

/// The trail says of each seat whose end moves when it ended before, and when it ends now.
pub(super) fn tell_of_ends(change: &mut Change, learner: LearnerId, seats: &[SeatChange]) {
    for SeatChange { pool, seen_end, seat, .. } in seats {
        if seat.ends_at != *seen_end {
            let ends = [*seen_end, seat.ends_at].map(|end| end.map(|end| end.to_string()));
            let (nothing, action) = (Delta::default(), Action::SeatEndMoved);
            change.audit_shift(*pool, nothing, action, &[learner], ends.into());
        }
    }
}

/// The learner's live seats, where the change asks for their contracts.
async fn standing<'a>(
    ports: &impl Catalog,
    client: &ClientId,
    learner: &'a Learner,
    command: &ChangeLearner,
    now: Timestamp,
) -> Result<Vec<Standing<'a>>, ChangeLearnerError> {
    let dated = !command.profile.end_on.keeps() || command.start_on.is_some();
    let mut standing = Vec::new();
    if !dated && command.profile.roles.is_none() {
        return Ok(standing);
    }
    for (pool, seat) in learner.seats.iter().filter(|(_, seat)| seat.is_live()) {
        let ground = ground_of_any(ports, client, *pool).await?;
        let outlasts = ground.has_ended(now);
        // What is over stays as it was.
        if !outlasts || seat.status(now) != SeatStatus::Ended {
            standing.push(Standing { pool: *pool, seat, ground, outlasts });
        }
    }
    Ok(standing)
}

/// Whether the caller may give these roles and groups.
async fn check(
    ports: &impl Catalog,
    caller: &Caller,
    client: &ClientId,
    command: &ChangeLearner,
    standing: &[Standing<'_>],
) -> Result<(), ChangeLearnerError> {
    if let Some(roles) = &command.profile.roles {
        let running = || standing.iter().filter(|one| !one.outlasts);
        if running().next().is_none() && !roles.is_empty() {
            return Err(ChangeLearnerError::RolesNeedSeat);
        }
        for one in running() {
            check_grant(ports, &one.ground, caller, roles, &BTreeSet::new()).await?;
        }
    }
    let groups = command.profile.group_ids.clone().unwrap_or_default();
    if !groups.is_empty() {
        let known = ports.groups_by_id(client, &groups).await?;
        let known: BTreeSet<_> = known.iter().map(|group| group.group_id).collect();
        if let Some(unknown) = groups.difference(&known).next() {
            return Err(GrantError::UnknownGroup(*unknown).into());
        }
    }
    Ok(())
}

/// What changes in the profile. A day of erasure that stands already is no news, also when it is past
/// and only the notice is waited for.
fn news(command: &ChangeLearner, learner: &Learner) -> ProfileChange {
    let mut profile = command.profile.clone();
    if matches!(profile.delete_on, Amend::Set(day) if learner.profile.delete_on == Some(day)) {
        profile.delete_on = Amend::Keep;
    }
    profile
}

/// Whether the day of erasure can be that: it is not past, and not before the last day or the day for
/// which a seat waits.
async fn check_deletion(
    ports: &impl Catalog,
    command: &ChangeLearner,
    (learner, profile): (&Learner, &ProfileChange),
    now: Timestamp,
) -> Result<(), ChangeLearnerError> {
    let Amend::Set(delete_on) = profile.delete_on else { return Ok(()) };
    let owner = ports.client(&command.client_id).await?.ok_or(GroundError::UnknownClient)?;
    let day = |at| local_date(at, owner.time_zone.zone());
    let today = day(now);
    let waits = learner.seats.values().filter_map(Seat::waits_for).map(day);
    let opens = command.start_on.or_else(|| waits.max());
    let last = profile.end_on.of(learner.profile.end_on).or(opens);
    if delete_on < last.unwrap_or(today).max(today) {
        let error = WindowError::EndBeforeStart;
        return Err(TermError { field: "delete_on", error }.into());
    }
    Ok(())
}

/// The seats as they end by the last day that is given, or without it.
fn last_days(
    command: &ChangeLearner,
    standing: &[Standing<'_>],
    now: Timestamp,
) -> Result<Vec<SeatChange>, ChangeLearnerError> {
    // Who goes from one contract to the next has a seat of either, and no day lies in both.
    let goes_over = standing.iter().any(|one| one.seat.carried_from.is_some());
    let running = standing.iter().any(|one| !one.outlasts);
    let (mut seats, mut fits, mut misfit) = (Vec::new(), false, None);
    for one in standing {
        let last = match last_instant(command, one, now) {
            // Contracts that run judge the day. Behind what is left of another it changes nothing there.
            Err(_) if one.outlasts && running => continue,
            Err(error) if goes_over => {
                misfit = Some(error);
                continue;
            }
            last => last?,
        };
        if !last.keeps() {
            let seat = Seat { ends_at: last.of(one.seat.ends_at), ..one.seat.clone() };
            seats.push(one.becomes(seat));
            fits |= !one.outlasts || !running;
        }
    }
    match misfit {
        Some(error) if !fits => Err(error),
        _ => Ok(seats),
    }
}

/// When the seat ends then.
fn last_instant(
    command: &ChangeLearner,
    one: &Standing<'_>,
    now: Timestamp,
) -> Result<Amend<Timestamp>, ChangeLearnerError> {
    let end_on = match command.profile.end_on {
        Amend::Keep => return Ok(Amend::Keep),
        Amend::Clear => None,
        Amend::Set(end_on) => Some(end_on),
    };
    let zone = one.ground.client.time_zone.zone();
    if let Some(end) = end_on {
        let start = command.start_on.or(one.seat.starts_on);
        let checked = one.check_end(end, start, local_date(now, zone));
        checked.map_err(|error| TermError { field: "end_on", error })?;
    }
    let opens = one.seat.opens_at().unwrap_or(now);
    let ends_at = one.ground.contract.ends_at(end_on, None, opens, zone);
    Ok(ends_at.map_or(Amend::Clear, Amend::Set))
}

/// The seat whose day is meant.
fn scheduled<'a, 'b>(
    command: &ChangeLearner,
    standing: &'a [Standing<'b>],
    now: Timestamp,
) -> Result<&'a Standing<'b>, ChangeLearnerError> {
    let waits = |one: &&Standing<'_>| {
        matches!(one.seat.state, SeatState::Scheduled { .. })
            && !one.outlasts
            && command.pool.is_none_or(|pool| pool == one.pool)
    };
    let mut waiting = standing.iter().filter(waits);
    let first = waiting.next().ok_or(ChangeLearnerError::NotScheduled)?;
    let more = waiting.filter(|one| one.seat.used_at(now).is_none()).count();
    if more > 0 { Err(ChangeLearnerError::PoolMissing) } else { Ok(first) }
}

/// Adds the steps that give a scheduled seat another day; a day that has come opens it.
fn reschedule(
    change: &mut Change,
    command: &ChangeLearner,
    one: &Standing<'_>,
    (start_on, opens_at): (Date, Timestamp),
    seats: &mut Vec<SeatChange>,
) -> Result<(), ChangeLearnerError> {
    let pool = one.pool;
    let days = (start_on, command.profile.end_on);
    let moved = on_another_day(change, &one.ground, (one.seat, opens_at), days)?;
    let Some((when, seat)) = moved else { return Ok(()) };
    change.step(Step::LeaveCohort { key: cohort_key(&one.ground, opens_at), count: 1 });
    let before = local_date(opens_at, one.ground.client.time_zone.zone());
    let days = (Some(before.to_string()), seat.starts_on.map(|day| day.to_string()));
    let (who, action) = ([command.learner_id], Action::SeatRescheduled);
    match when {
        Opening::Now => {
            change.step(Step::MovePool { pool, delta: Delta::taken_up(1) });
            change.audit_shift(pool, Delta::taken_up(1), action, &who, days);
        }
        Opening::Later { start_on, instant } => {
            let key = cohort_key(&one.ground, instant);
            change.step(Step::JoinCohort { key, start_on, count: 1 });
            change.audit_shift(pool, Delta::default(), action, &who, days);
        }
    }
    seats.retain(|seat| seat.pool != pool);
    seats.push(one.becomes(seat));
    if command.notify {
        let letter = Letter::AccessOpened;
        change.step(Step::Mail(seat_mail(change, &one.ground, command.learner_id, letter, when)));
    }
    Ok(())
}
