//! How a client's seats were used, day by day: what the trail says, added up.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::audit::{Action, AuditRecord};
use crate::change::StoreError;
use crate::dates::{end_of, local_date};
use crate::ids::{ClientId, ContractId, PoolId};
use crate::ports::{PageRequest, Proofs};
use crate::stock::{Delta, Stock};

/// Most days of one answer.
pub const DAYS_MAX: u32 = 366;
/// Records of a trail that are read at once.
const READ: u16 = 1_000;
/// Most readings of one answer. Whatever is asked for, a trail is added up from its beginning.
const READINGS: u32 = 300;

/// By what seats move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Seats bought, given back, or allocated.
    Contract,
    /// Invitations.
    Invite,
    /// Single accounts, single sign-on among them.
    Create,
    /// Files.
    Import,
    /// Codes.
    Code,
    /// Seats that went from one person to another.
    Transfer,
    /// Dates on which seats open.
    Opening,
    /// A contract that succeeds another.
    Renewal,
}

impl Origin {
    /// By what the seats of a record moved. Seats that come back are told under what gave them.
    pub fn of(record: &AuditRecord) -> Self {
        let by_reason = || match record.reason.as_deref().and_then(|reason| reason.split_once('_'))
        {
            Some(("inv", _)) => Self::Invite,
            Some(("imp", _)) => Self::Import,
            Some(("bat", _)) => Self::Code,
            Some(("lrn", _)) => Self::Transfer,
            Some(("con", _)) => Self::Renewal,
            _ => Self::Create,
        };
        match record.action {
            Action::ContractCreated | Action::SeatsAdded | Action::SeatsAllocated => Self::Contract,
            Action::ContractRenewed | Action::SeatCarried | Action::InvitationCarried => {
                Self::Renewal
            }
            Action::Invited
            | Action::Reinvited
            | Action::InvitationReaddressed
            | Action::InvitationAccepted
            | Action::InvitationDeclined
            | Action::InvitationCancelled
            | Action::InvitationExpired => Self::Invite,
            Action::SeatsOpened | Action::SeatRescheduled => Self::Opening,
            Action::SeatTransferred => Self::Transfer,
            Action::ImportChunk | Action::ImportUndone => Self::Import,
            Action::CodeRedeemed
            | Action::CodeHeld
            | Action::CodeProven
            | Action::CodeReturned
            | Action::CodesSteered
            | Action::CodesDownloaded => Self::Code,
            Action::SeatGiven
            | Action::SeatScheduled
            | Action::SeatReleased
            | Action::SeatEnded
            | Action::SeatUnused
            | Action::SeatReclaimed
            | Action::SeatsReserved
            | Action::ReserveReturned
            | Action::SeatEndMoved
            | Action::ClockStarted
            | Action::LearnerSuspended
            | Action::LearnerResumed
            | Action::LearnerErased => by_reason(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contract => "contract",
            Self::Invite => "invite",
            Self::Create => "create",
            Self::Import => "import",
            Self::Code => "code",
            Self::Transfer => "transfer",
            Self::Opening => "opening",
            Self::Renewal => "renewal",
        })
    }
}

/// A day of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDay {
    /// The local day.
    pub day: Date,
    /// Which pool.
    pub pool: PoolId,
    /// The contract a sublicense's pool draws on.
    pub contract: Option<ContractId>,
    /// The stock at its end.
    pub stock: Stock,
    /// What moved on it.
    pub moved: BTreeMap<Origin, Delta>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum UtilizationError {
    /// The trails are too long for one answer.
    #[error("the trails are too long")]
    TooLong,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The days from `since` to `until` of these pools, in order, those of one day together. A pool begins
/// with the day of its first record.
pub async fn utilization(
    ports: &impl Proofs,
    client: &ClientId,
    zone: &TimeZone,
    pools: &[(PoolId, Option<ContractId>)],
    (since, until): (Date, Date),
) -> Result<Vec<PoolDay>, UtilizationError> {
    let mut readings = READINGS;
    let mut days = Vec::new();
    for (pool, contract) in pools {
        let by_day = moves_of(ports, client, zone, (*pool, until), &mut readings).await?;
        let Some(first) = by_day.keys().next().copied() else { continue };
        let mut sum = Delta::default();
        for delta in by_day.range(..since).flat_map(|(_, moved)| moved.values()) {
            sum = sum.and(*delta);
        }
        let mut day = first.max(since);
        while day <= until {
            let moved = by_day.get(&day).cloned().unwrap_or_default();
            sum = moved.values().fold(sum, |sum, delta| sum.and(*delta));
            let below = || StoreError::Broken("a trail below zero".to_owned());
            let stock = sum.applied_to(Stock::default()).ok_or_else(below)?;
            days.push(PoolDay { day, pool: *pool, contract: *contract, stock, moved });
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
    }
    days.sort_by_key(|day| (day.day, day.pool));
    Ok(days)
}

/// What moved in a pool, by day and origin, as far as the end of `until`.
async fn moves_of(
    ports: &impl Proofs,
    client: &ClientId,
    zone: &TimeZone,
    (pool, until): (PoolId, Date),
    readings: &mut u32,
) -> Result<BTreeMap<Date, BTreeMap<Origin, Delta>>, UtilizationError> {
    let end = end_of(until, zone);
    let mut by_day: BTreeMap<Date, BTreeMap<Origin, Delta>> = BTreeMap::new();
    let mut page = PageRequest { limit: READ, cursor: None };
    loop {
        *readings = readings.checked_sub(1).ok_or(UtilizationError::TooLong)?;
        let found = ports.trail(client, pool, None, &page).await?;
        for record in found.items {
            if record.at >= end {
                return Ok(by_day);
            }
            let day = by_day.entry(local_date(record.at, zone)).or_default();
            if !record.delta.is_nothing() {
                let moved = day.entry(Origin::of(&record)).or_default();
                *moved = moved.and(record.delta);
            }
        }
        match found.next {
            None => return Ok(by_day),
            next => page.cursor = next,
        }
    }
}
