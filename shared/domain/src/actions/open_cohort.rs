//! Opening a cohort: everyone who starts at one instant, with one movement of the counters.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::cohort::{CohortKey, CohortState};
use crate::idempotency::Op;
use crate::ids::{ClientId, PoolId};
use crate::ports::{Clock, IdSource, Ledger, Schedules, Wake};
use crate::stock::Delta;

/// How soon a schedule can be made to fire: one whose instant is past is refused.
const SOONEST: SignedDuration = SignedDuration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It opened now, with this many seats.
    Now(u64),
    /// It had opened before.
    Before,
}

/// Why a cohort did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenCohortError {
    /// Its instant has not come; it must be asked again.
    #[error("it is too early to open the cohort")]
    TooEarly,
    /// There is none.
    #[error("no such cohort")]
    UnknownCohort,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens a cohort whose instant has come. However often and by however many it is asked, its seats
/// are taken up once.
pub async fn open_cohort(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    key: &CohortKey,
) -> Result<Opened, OpenCohortError> {
    let op = Op { id: ids.uuid(), guard: None };
    for _ in 0..ROUNDS {
        let cohort = ports.cohort(key).await?.ok_or(OpenCohortError::UnknownCohort)?;
        if cohort.state == CohortState::Opened {
            return Ok(Opened::Before);
        }
        let now = clock.now();
        if now < cohort.key.instant {
            return Err(OpenCohortError::TooEarly);
        }
        let count = cohort.count;
        let mut change = Change::new(&key.client_id, op, Actor::System, now);
        if count > 0 {
            let delta = Delta::taken_up(i64::try_from(count).unwrap_or(i64::MAX));
            let reason = Some(key.instant.to_string());
            change.move_seats(key.pool, delta, Action::SeatsOpened, &[], reason);
        }
        change.step(Step::OpenCohort { key: key.clone(), count });
        let Err(refused) = ports.apply(&change).await else {
            return Ok(Opened::Now(count));
        };
        match met(&change, refused) {
            Met::Repeated => return Ok(Opened::Now(count)),
            // Someone joined, left or opened it meanwhile.
            Met::Raced(_) | Met::NoSeats => {}
            Met::Failed(error) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// Where the cohorts stand that seats of a pool wait in: all as of one instant, so that a seat is not
/// taken for one that waits while its cohort has opened, or the other way round.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// That instant. Cohorts of before have opened, and no later one has.
    pub(super) at: Timestamp,
    opened: BTreeSet<Timestamp>,
}

impl Standing {
    /// The step of a change as of this instant by which so many seats leave a cohort. They wait in it as
    /// long as it has not opened; then they are in use.
    pub(super) fn leave(&self, key: CohortKey, count: u64) -> Step {
        if self.opened.contains(&key.instant) {
            Step::CohortHasOpened { key }
        } else {
            Step::LeaveCohort { key, count }
        }
    }
}

/// Looks at the cohorts of a pool with these instants. One whose instant has come and that nobody has
/// opened yet is opened.
pub(super) async fn stand(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    (client, pool): (&ClientId, PoolId),
    instants: &BTreeSet<Timestamp>,
) -> Result<Standing, StoreError> {
    let mut at = clock.now();
    loop {
        let mut opened = BTreeSet::new();
        for instant in instants {
            let key = CohortKey { client_id: client.clone(), pool, instant: *instant };
            let known = ports.cohort(&key).await?;
            if known.is_some_and(|known| known.state == CohortState::Opened) {
                opened.insert(*instant);
            } else if *instant <= at {
                match Box::pin(open_cohort(ports, clock, ids, &key)).await {
                    Ok(_) => {}
                    Err(OpenCohortError::Store(error)) => return Err(error),
                    Err(OpenCohortError::TooEarly | OpenCohortError::UnknownCohort) => {
                        return Err(gave_up());
                    }
                }
                opened.insert(*instant);
            }
        }
        // One that opened while this was read: it is that time by now, whatever this clock says.
        match opened.last() {
            Some(last) if *last > at => at = *last,
            _ => return Ok(Standing { at, opened }),
        }
    }
}

/// Sees to a cohort that has just come to be: it is scheduled, or opened if its instant is past.
pub async fn await_cohort(
    ports: &impl Ledger,
    schedules: &impl Schedules,
    clock: &impl Clock,
    ids: &impl IdSource,
    key: &CohortKey,
) -> Result<(), OpenCohortError> {
    let now = clock.now();
    if key.instant <= now {
        return open_cohort(ports, clock, ids, key).await.map(drop);
    }
    let at: Timestamp = key.instant.max(now + SOONEST);
    Ok(schedules.schedule(&Wake::Cohort(key.clone()), at).await?)
}
