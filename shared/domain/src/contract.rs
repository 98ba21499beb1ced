//! Contracts and sublicenses: who bought how many seats, on which terms.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::dates::{end_of, local_date};
use crate::ids::{ClientId, ContractId, PoolId, SublicenseId};
use crate::learner::Seat;
use crate::role::PrivilegedRoles;

/// A contract of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Its id.
    pub contract_id: ContractId,
    /// Whose it is.
    pub client_id: ClientId,
    /// The vendor's own reference, unique within the client.
    pub reference: String,
    /// First day, if any.
    pub starts_on: Option<Date>,
    /// Last day, if any.
    pub ends_on: Option<Date>,
    /// The modules it opens.
    pub modules: BTreeSet<String>,
    /// Its terms.
    pub policies: Policies,
    /// What the client was warned of.
    #[serde(default)]
    pub warned: Warned,
    /// The contract that succeeds it: whoever has a seat goes over to that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_by: Option<ContractId>,
    /// Grows with every change of the contract itself.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Days before a contract's last one at which its client is reminded of the end.
pub const ENDING_DAYS: [u16; 3] = [90, 60, 30];

/// What a client was warned of by mail, so that it is told each thing once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Warned {
    /// Grows whenever this changes: nothing is written over what was not seen.
    pub version: u32,
    /// The number of available seats, of the policy `low_stock`, that was reached. It is forgotten
    /// when there are more again, so that the same number is told of anew.
    pub low: Option<u64>,
    /// Of [`ENDING_DAYS`], the last that was told of.
    pub ending: Option<u16>,
}

/// Whether a contract gives seats at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractStatus {
    /// Its first day is still to come.
    Upcoming,
    /// It runs.
    Active,
    /// Its last day is over.
    Ended,
}

/// A named share of a contract's seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sublicense {
    /// Its id.
    pub sublicense_id: SublicenseId,
    /// The contract it draws on.
    pub contract_id: ContractId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// When an invitation takes its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldOn {
    /// When it is sent.
    #[default]
    Invite,
    /// When it is accepted.
    Accept,
}

/// What becomes of a used seat that is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockKind {
    /// It can be given again.
    #[default]
    Reusable,
    /// It counts as spent.
    Consumable,
}

/// When the clock of a seat's duration starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockStart {
    /// When the seat opens.
    #[default]
    Activation,
    /// When the learner first comes in.
    FirstLogin,
    /// With the contract: on its first day, or the day it was made.
    Fixed,
}

/// What ends when a contract ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnEnd {
    /// No new seats are given.
    #[default]
    StopNew,
    /// Access ends too, after the grace.
    StopAccess,
    /// During the grace learners can look but not go on; then access ends.
    ReadOnly,
}

/// What a hard bounce does to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHardBounce {
    /// Nothing: the administrator mends the address.
    #[default]
    Keep,
    /// It is cancelled after `bounce_grace_hours`, unless it is sent again before; its seat is free
    /// then.
    Cancel,
}

/// The terms of a contract. Every one has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// When an invitation takes its seat.
    pub hold_on: HoldOn,
    /// How long an invitation can be accepted, in days.
    pub invite_ttl_days: u16,
    /// What becomes of a used seat that is released.
    pub stock_kind: StockKind,
    /// For how many days after it opened a released seat returns; `None`: always.
    pub return_until_days: Option<u32>,
    /// How long a seat lasts, in days; `None`: as long as the contract.
    pub seat_duration_days: Option<u32>,
    /// When that duration starts.
    pub clock_start: ClockStart,
    /// What ends when the contract ends.
    pub on_end: OnEnd,
    /// Days after the contract's last one during which access stays, where `on_end` stops it.
    pub grace_days: u32,
    /// Who grants privileged roles.
    pub privileged_roles: PrivilegedRoles,
    /// Numbers of available seats at which the client is warned.
    pub low_stock: Vec<u64>,
    /// What a hard bounce does to an invitation.
    pub on_hard_bounce: OnHardBounce,
    /// For how long after a hard bounce an address can be mended before `on_hard_bounce` acts.
    pub bounce_grace_hours: u16,
    /// The local time at which a start date opens.
    #[serde(with = "hour_and_minute")]
    pub opens_at: Time,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            hold_on: HoldOn::default(),
            invite_ttl_days: 14,
            stock_kind: StockKind::default(),
            return_until_days: None,
            seat_duration_days: None,
            clock_start: ClockStart::default(),
            on_end: OnEnd::default(),
            grace_days: 0,
            privileged_roles: PrivilegedRoles::default(),
            low_stock: vec![25, 0],
            on_hard_bounce: OnHardBounce::default(),
            bounce_grace_hours: 72,
            opens_at: Time::midnight(),
        }
    }
}

/// Times of day as `HH:MM`.
mod hour_and_minute {
    use jiff::civil::Time;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:02}:{:02}", time.hour(), time.minute()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_opens_at(&text).map_err(serde::de::Error::custom)
    }
}

/// Why a text is no time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of day such as 08:30")]
pub struct InvalidTime;

/// Reads a time of day as `HH:MM`.
pub fn parse_opens_at(text: &str) -> Result<Time, InvalidTime> {
    let (hour, minute) = text.split_once(':').ok_or(InvalidTime)?;
    let two = |part: &str| -> Result<i8, InvalidTime> {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse().map_err(|_| InvalidTime) } else { Err(InvalidTime) }
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).map_err(|_| InvalidTime)
}

/// Why the dates of a seat do not go with its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A date lies outside the contract.
    #[error("the date lies outside the contract")]
    OutsideContract,
    /// The end lies before the start, or is past.
    #[error("the end lies before the start or in the past")]
    EndBeforeStart,
}

impl Contract {
    /// Whether it gives seats at `now`.
    pub fn status(&self, now: Timestamp, zone: &TimeZone) -> ContractStatus {
        let today = local_date(now, zone);
        if self.ends_on.is_some_and(|last| today > last) {
            ContractStatus::Ended
        } else if self.starts_on.is_some_and(|first| today < first) {
            ContractStatus::Upcoming
        } else {
            ContractStatus::Active
        }
    }

    /// The lowest number of its policy `low_stock` that `available` seats have reached. A number that
    /// is not below the `total` says nothing: such a contract was never fuller.
    pub fn low_at(&self, available: u64, total: u64) -> Option<u64> {
        let numbers = self.policies.low_stock.iter().copied();
        numbers.filter(|number| available <= *number && *number < total).min()
    }

    /// Of [`ENDING_DAYS`], the last one that has come; none that had come when the contract was
    /// made, and none when it has ended.
    pub fn ending_at(&self, now: Timestamp, zone: &TimeZone) -> Option<u16> {
        let last = self.ends_on?;
        let left = |from: Timestamp| (last - local_date(from, zone)).get_days();
        let (left, at_first) = (left(now), left(self.created_at));
        let come = |days: &u16| left <= i32::from(*days) && i32::from(*days) < at_first;
        ENDING_DAYS.into_iter().filter(come).min().filter(|_| left >= 0)
    }

    /// The first day a seat can open: a start that is past, or before the contract, becomes the
    /// later of today and the contract's first day.
    pub fn start(&self, wanted: Option<Date>, today: Date) -> Result<Option<Date>, WindowError> {
        let earliest = self.starts_on.map_or(today, |first| first.max(today));
        let start = match wanted {
            Some(wanted) => wanted.max(earliest),
            None if earliest > today => earliest,
            None => return Ok(None),
        };
        if self.ends_on.is_some_and(|last| start > last) {
            return Err(WindowError::OutsideContract);
        }
        Ok(Some(start))
    }

    /// Checks a last day against today, the start and the contract.
    pub fn check_end(
        &self,
        end: Date,
        start: Option<Date>,
        today: Date,
    ) -> Result<(), WindowError> {
        check_end(end, start.unwrap_or(today).max(today), self.ends_on)
    }

    /// The same for a seat that has outlasted the contract: what bounds it is the access that it still
    /// gives.
    pub fn check_end_of_access(
        &self,
        end: Date,
        start: Option<Date>,
        today: Date,
    ) -> Result<(), WindowError> {
        check_end(end, start.unwrap_or(today).max(today), self.access_ends_on())
    }

    /// When a seat that opens at `opens` ends: its own last day; or its own duration, from its first
    /// day on; or the contract's duration, from where its clock starts; and in any case with the
    /// access that the contract gives. `None`: nothing ends it.
    pub fn ends_at(
        &self,
        end_on: Option<Date>,
        duration_days: Option<u32>,
        opens: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        if let Some(end) = end_on {
            return Some(end_of(end, zone));
        }
        let opens_on = local_date(opens, zone);
        if let Some(days) = duration_days {
            return self.counted(opens_on, days, zone);
        }
        let Some(days) = self.policies.seat_duration_days else { return self.access_ends_at(zone) };
        match self.policies.clock_start {
            ClockStart::Activation => self.counted(opens_on, days, zone),
            ClockStart::Fixed => {
                let made = || local_date(self.created_at, zone);
                self.counted(self.starts_on.unwrap_or_else(made), days, zone)
            }
            // Nobody knows yet.
            ClockStart::FirstLogin => self.access_ends_at(zone),
        }
    }

    /// Whether seats have a duration that begins when their learner first comes in.
    pub fn starts_clocks(&self) -> bool {
        let lasts = self.policies.seat_duration_days.is_some();
        lasts && self.policies.clock_start == ClockStart::FirstLogin
    }

    /// When a seat ends whose learner comes in at `now`, if its clock starts with that: it has neither
    /// a last day of its own nor come in before.
    pub fn clock_started(&self, seat: &Seat, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let days = self.policies.seat_duration_days?;
        let waits = self.starts_clocks() && seat.ends_at == self.access_ends_at(zone);
        let ends_at = self.counted(local_date(now, zone), days, zone).filter(|_| waits)?;
        (Some(ends_at) != seat.ends_at).then_some(ends_at)
    }

    /// The last day of access, where the contract says that it ends.
    pub fn access_ends_on(&self) -> Option<Date> {
        let grace = jiff::Span::new().days(i64::from(self.policies.grace_days));
        match self.policies.on_end {
            OnEnd::StopNew => None,
            OnEnd::StopAccess | OnEnd::ReadOnly => {
                self.ends_on.map(|last| last.saturating_add(grace))
            }
        }
    }

    /// Whether its learners can only look: it has ended, and its grace runs.
    pub fn is_read_only(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let ended = self.status(now, zone) == ContractStatus::Ended;
        self.policies.on_end == OnEnd::ReadOnly && ended
    }

    /// When the access that the contract gives ends; `None` if it outlasts the contract.
    pub fn access_ends_at(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.access_ends_on().map(|last| end_of(last, zone))
    }

    /// The end of so many days from this one on, but not after the contract's.
    fn counted(&self, first: Date, days: u32, zone: &TimeZone) -> Option<Timestamp> {
        let last = first.checked_add(jiff::Span::new().days(i64::from(days) - 1)).ok()?;
        let most = self.access_ends_on().or(self.ends_on);
        Some(end_of(most.map_or(last, |most| last.min(most)), zone))
    }

    /// The pool of this contract, or of the sublicense named.
    pub fn pool(&self, sublicense: Option<SublicenseId>) -> PoolId {
        sublicense.map_or(PoolId::Contract(self.contract_id), PoolId::Sublicense)
    }
}

/// Whether a last day lies between these.
fn check_end(end: Date, earliest: Date, latest: Option<Date>) -> Result<(), WindowError> {
    if end < earliest {
        return Err(WindowError::EndBeforeStart);
    }
    if latest.is_some_and(|last| end > last) {
        return Err(WindowError::OutsideContract);
    }
    Ok(())
}
