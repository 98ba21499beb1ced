//! Keeping to the mail service's rate and quota, with any number of senders at once.
//!
//! All senders book from one [`Pace`]: slots in time, a little more than a rate's fraction of a
//! second apart. A slot serves one mail, begun within [`TOLERANCE`] after it, or it is lost. So in
//! no second more mails begin than the rate allows, whoever sends them and however late a sender
//! wakes up: a second and the tolerance before it hold at most that many slots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::change::StoreError;
use crate::ports::{Clock, Mailer, PaceBook};

/// How late a slot may be used.
pub const TOLERANCE: SignedDuration = SignedDuration::from_millis(100);
/// How far ahead a sender waits; what is further away is left to others.
const AHEAD: SignedDuration = SignedDuration::from_secs(10);
/// How long what the mail service told of the account is believed.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// Times a booking is made anew because others booked in between.
const ROUNDS: u32 = 64;
/// Most slots that one booking takes.
const SLICE_MAX: u32 = 64;
/// Hours of bookings that count against the quota: the present one is not over, so that one more
/// than a day's may lie within the last 24 hours.
const HOURS: i64 = 25;

/// What the mail service lets this account send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Mails in any second, at least 1.
    pub per_second: u32,
    /// Mails in any 24 hours; `None` without limit.
    pub per_day: Option<u64>,
    /// Mails sent in the last 24 hours, by whomever.
    pub sent: u64,
}

impl Allowance {
    /// What every account has at first: taken while the mail service does not tell.
    pub const SMALLEST: Self = Self { per_second: 1, per_day: Some(200), sent: 0 };

    /// The time from one slot to the next, in microseconds.
    fn gap(self) -> SignedDuration {
        let span = SignedDuration::from_secs(1).as_micros() + TOLERANCE.as_micros();
        let slots = i128::from(self.per_second.max(1));
        let gap = (span + slots - 1) / slots;
        SignedDuration::from_micros(i64::try_from(gap).unwrap_or(i64::MAX))
    }
}

/// What all senders have booked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Grows with every booking.
    pub revision: u64,
    /// The first slot that nobody has; `None` before the first booking.
    pub free_at: Option<Timestamp>,
    /// Slots booked, by the hour since 1970.
    #[serde(default)]
    pub hours: BTreeMap<i64, u64>,
}

/// What a booking asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// How many slots; fewer may be left.
    pub slots: u32,
    /// Slots of an earlier booking that served no mail: their time is lost, the quota is not.
    pub unused: u64,
    /// Mails of the last 24 hours that others than Seatkeeper sent.
    pub others: u64,
}

/// What came of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booked {
    /// These slots, and the pace afterwards.
    Slots(VecDeque<Timestamp>, Pace),
    /// The day's quota is used up; there is some again at this instant at the earliest.
    UsedUp(Timestamp),
}

impl Pace {
    fn hour(now: Timestamp) -> i64 {
        now.as_second().div_euclid(3600)
    }

    /// Slots booked in the last 24 hours, and in the rest of the hour before them.
    fn used(&self, now: Timestamp) -> u64 {
        let hour = Self::hour(now);
        self.hours.range(hour - HOURS + 1..).map(|(_, slots)| slots).sum()
    }

    /// Books slots that begin at `now` or later.
    pub fn book(&self, now: Timestamp, allowance: Allowance, wish: Wish) -> Booked {
        let hour = Self::hour(now);
        let mut hours = self.hours.clone();
        hours.retain(|booked, _| *booked > hour - HOURS);
        if let Some(mut last) = hours.last_entry() {
            *last.get_mut() = last.get().saturating_sub(wish.unused);
        }
        let mut after = Self { revision: self.revision + 1, free_at: self.free_at, hours };
        let used = after.used(now) + wish.others;
        let left = allowance.per_day.map_or(u64::MAX, |quota| quota.saturating_sub(used));
        let slots = u64::from(wish.slots.max(1)).min(left);
        if slots == 0 {
            let oldest = after.hours.iter().find(|(_, slots)| **slots > 0);
            let frees = oldest.map_or(hour + 1, |(booked, _)| booked + HOURS);
            let at = Timestamp::from_second(frees * 3600).unwrap_or(Timestamp::MAX);
            return Booked::UsedUp(at);
        }
        let gap = allowance.gap();
        let mut next = self.free_at.map_or(now, |free_at| free_at.max(now));
        let mut booked = VecDeque::new();
        for _ in 0..slots {
            booked.push_back(next);
            next += gap;
        }
        after.free_at = Some(next);
        *after.hours.entry(hour).or_default() += slots;
        Booked::Slots(booked, after)
    }
}

/// Whether a mail may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From this instant on, and for [`TOLERANCE`].
    At(Timestamp),
    /// Not before this instant, which is too far away to wait for.
    Later(Timestamp),
}

/// The slots that one sender has booked and not used. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<Slice>>);

#[derive(Debug, Default)]
struct Slice {
    slots: VecDeque<Timestamp>,
    /// How many to book next: more while all are used, one after some were lost.
    size: u32,
    /// Lost slots that are not given back to the quota yet.
    unused: u64,
    known: Option<Known>,
    /// The pace as last written here, so that a sender alone need not read it.
    seen: Option<Pace>,
}

/// What is known of the account.
#[derive(Debug, Clone, Copy)]
struct Known {
    allowance: Allowance,
    others: u64,
    until: Timestamp,
}

impl Turns {
    fn slice(&self) -> MutexGuard<'_, Slice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to send one mail; answers `Some` if it is too far away, or after `until`.
    pub async fn wait(
        &self,
        ports: &impl PaceBook,
        mailer: &impl Mailer,
        clock: &impl Clock,
        until: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        loop {
            match self.take(ports, mailer, clock, until).await? {
                Turn::Later(at) => return Ok(Some(at)),
                Turn::At(slot) => {
                    clock.rest_until(slot).await;
                    if clock.now() < slot + TOLERANCE {
                        // The mail may begin now; until it does, the slot counts as this one's.
                        self.slice().slots.push_front(slot);
                        return Ok(None);
                    }
                    self.lost(1);
                }
            }
        }
    }

    /// Uses the slot that was waited for, if its time is not over.
    pub fn begin(&self, clock: &impl Clock) -> bool {
        let now = clock.now();
        let mut slice = self.slice();
        let usable =
            slice.slots.front().is_some_and(|slot| *slot <= now && now < *slot + TOLERANCE);
        if usable {
            slice.slots.pop_front();
        }
        usable
    }

    fn lost(&self, slots: u64) {
        let mut slice = self.slice();
        slice.unused += slots;
        slice.size = 1;
    }

    /// The next slot of this sender, booked if need be.
    async fn take(
        &self,
        ports: &impl PaceBook,
        mailer: &impl Mailer,
        clock: &impl Clock,
        until: Timestamp,
    ) -> Result<Turn, StoreError> {
        for _ in 0..ROUNDS {
            let now = clock.now();
            let known = {
                let mut slice = self.slice();
                while slice.slots.front().is_some_and(|slot| *slot + TOLERANCE <= now) {
                    slice.slots.pop_front();
                    slice.unused += 1;
                    slice.size = 1;
                }
                if let Some(slot) = slice.slots.pop_front() {
                    return Ok(Turn::At(slot));
                }
                slice.known.filter(|known| known.until > now)
            };
            let known = match known {
                Some(known) => known,
                None => self.ask(ports, mailer, now).await?,
            };
            if let Some(turn) = self.book(ports, now, known, until).await? {
                return Ok(turn);
            }
        }
        Err(StoreError::Unavailable("too many senders book at once".into()))
    }

    /// Asks the mail service what the account may send.
    async fn ask(
        &self,
        ports: &impl PaceBook,
        mailer: &impl Mailer,
        now: Timestamp,
    ) -> Result<Known, StoreError> {
        let told = mailer.allowance().await;
        let pace = ports.pace().await?;
        let mut slice = self.slice();
        let before = slice.known.map(|known| known.allowance);
        let allowance = told.or(before).unwrap_or(Allowance::SMALLEST);
        let others = allowance.sent.saturating_sub(pace.used(now));
        let known = Known { allowance, others, until: now + BELIEVED_FOR };
        slice.known = Some(known);
        slice.seen = Some(pace);
        Ok(known)
    }

    /// Books a slice; `None` if somebody else booked in between.
    async fn book(
        &self,
        ports: &impl PaceBook,
        now: Timestamp,
        known: Known,
        until: Timestamp,
    ) -> Result<Option<Turn>, StoreError> {
        let (seen, size, unused) = {
            let slice = self.slice();
            (slice.seen.clone(), slice.size, slice.unused)
        };
        let seen = match seen {
            Some(seen) => seen,
            None => ports.pace().await?,
        };
        let most = known.allowance.per_second.clamp(1, SLICE_MAX);
        let wish = Wish { slots: size.clamp(1, most), unused, others: known.others };
        let (slots, after) = match seen.book(now, known.allowance, wish) {
            Booked::UsedUp(at) => {
                // What was read may be old.
                self.slice().seen = None;
                return Ok(Some(Turn::Later(at)));
            }
            Booked::Slots(slots, after) => (slots, after),
        };
        let Some(first) = slots.front().copied() else { return Ok(None) };
        if first > now + AHEAD || first >= until {
            self.slice().seen = None;
            return Ok(Some(Turn::Later(first)));
        }
        if !ports.keep_pace(&seen, &after).await? {
            self.slice().seen = None;
            return Ok(None);
        }
        let mut slice = self.slice();
        slice.unused = slice.unused.saturating_sub(unused);
        slice.size = wish.slots.saturating_mul(2);
        slice.seen = Some(after);
        slice.slots.extend(slots);
        Ok(slice.slots.pop_front().map(Turn::At))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(1_795_000_000_000_000 + micros).unwrap()
    }

    fn wish(slots: u32) -> Wish {
        Wish { slots, unused: 0, others: 0 }
    }

    proptest! {
        /// Whoever books whenever, and however late within the tolerance a slot is used: no second
        /// has more mails than the rate.
        #[test]
        fn no_second_has_more_mails_than_the_rate(
            rate in 1..40_u32,
            bookings in proptest::collection::vec((0..2_000_000_i64, 1..20_u32, 0..100_000_i64), 1..60),
        ) {
            let allowance = Allowance { per_second: rate, per_day: None, sent: 0 };
            let (mut pace, mut now, mut begun) = (Pace::default(), 0, Vec::new());
            for (pause, slots, late) in bookings {
                now += pause;
                let Booked::Slots(slots, after) = pace.book(at(now), allowance, wish(slots)) else {
                    panic!("there is no quota");
                };
                let lag = |place: usize| if place.is_multiple_of(2) { late } else { 0 };
                let starts = slots.iter().enumerate();
                begun.extend(starts.map(|(place, slot)| slot.as_microsecond() + lag(place)));
                pace = after;
            }
            begun.sort_unstable();
            for (place, start) in begun.iter().enumerate() {
                let within = begun[place..].iter().take_while(|other| **other < start + 1_000_000);
                prop_assert!(within.count() <= rate as usize);
            }
        }
    }

    #[test]
    fn a_days_quota_is_never_exceeded_and_comes_back_hour_by_hour() {
        let allowance = Allowance { per_second: 10, per_day: Some(5), sent: 0 };
        let others = Wish { others: 2, ..wish(10) };
        let Booked::Slots(slots, pace) = Pace::default().book(at(0), allowance, others) else {
            panic!("three are left");
        };
        assert_eq!(slots.len(), 3);
        let Booked::UsedUp(until) = pace.book(at(0), allowance, others) else {
            panic!("none is left");
        };
        assert!(until > at(24 * 3_600_000_000) && until <= at(25 * 3_600_000_000));
        assert!(
            matches!(pace.book(until, allowance, others), Booked::Slots(slots, _) if slots.len() == 3)
        );
    }

    #[test]
    fn slots_that_served_no_mail_are_given_back_to_the_quota() {
        let allowance = Allowance { per_second: 10, per_day: Some(5), sent: 0 };
        let Booked::Slots(_, pace) = Pace::default().book(at(0), allowance, wish(5)) else {
            panic!("five are left");
        };
        let again = Wish { unused: 4, ..wish(5) };
        assert!(
            matches!(pace.book(at(0), allowance, again), Booked::Slots(slots, _) if slots.len() == 4)
        );
    }
}
