//! Local dates and the instants at which they open and end.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// When a seat opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// In the call itself.
    Now,
    /// At this instant, which is when `start_on` begins for the client.
    Later {
        /// The local date.
        start_on: Date,
        /// Its instant: computed once, stored with the date.
        instant: Timestamp,
    },
}

/// The local date at this instant.
pub fn local_date(now: Timestamp, zone: &TimeZone) -> Date {
    now.to_zoned(zone.clone()).date()
}

/// The instant of a local time. One inside a gap of summer time moves to the first valid instant
/// after the gap; of two, the earlier counts.
pub fn instant_of(date: Date, time: Time, zone: &TimeZone) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(date.to_datetime(time));
    let offset = ambiguous.offset();
    let resolved = match offset {
        jiff::tz::AmbiguousOffset::Gap { before, .. } => {
            // The transition itself is the first valid instant after the gap.
            let inside = before.to_timestamp(date.to_datetime(time)).ok();
            inside.and_then(|inside| {
                let start = inside.checked_sub(1.day().hours(24).days(0)).unwrap_or(inside);
                zone.following(start).next().map(|transition| transition.timestamp())
            })
        }
        _ => ambiguous.earlier().ok(),
    };
    resolved.unwrap_or(Timestamp::MAX)
}

/// When a seat with this start opens: at once if no date is given, or it is past, or today's hour
/// has come.
pub fn opening(start_on: Option<Date>, opens_at: Time, now: Timestamp, zone: &TimeZone) -> Opening {
    let Some(start_on) = start_on else {
        return Opening::Now;
    };
    let instant = instant_of(start_on, opens_at, zone);
    if instant <= now { Opening::Now } else { Opening::Later { start_on, instant } }
}

/// The midnight after the last day: when access ends.
pub fn end_of(end_on: Date, zone: &TimeZone) -> Timestamp {
    instant_of(end_on.tomorrow().unwrap_or(end_on), Time::midnight(), zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_date_opens_at_local_midnight() {
        let paris = zone("Europe/Paris");
        let midnight = Time::midnight();
        assert_eq!(instant_of(date(2027, 3, 1), midnight, &paris), at("2027-02-28T23:00:00Z"));
        assert_eq!(instant_of(date(2027, 7, 1), midnight, &paris), at("2027-06-30T22:00:00Z"));
        let kiritimati = zone("Pacific/Kiritimati");
        assert_eq!(instant_of(date(2027, 3, 1), midnight, &kiritimati), at("2027-02-28T10:00:00Z"));
        let niue = zone("Pacific/Niue");
        assert_eq!(instant_of(date(2028, 2, 29), midnight, &niue), at("2028-02-29T11:00:00Z"));
    }

    #[test]
    fn a_time_inside_a_gap_moves_to_the_first_valid_instant() {
        // Paris springs from 02:00 to 03:00 on 2027-03-28, Santiago from 24:00 to 01:00.
        let paris = zone("Europe/Paris");
        assert_eq!(
            instant_of(date(2027, 3, 28), time(2, 30, 0, 0), &paris),
            at("2027-03-28T01:00:00Z")
        );
        let santiago = zone("America/Santiago");
        assert_eq!(
            instant_of(date(2026, 9, 6), Time::midnight(), &santiago),
            at("2026-09-06T04:00:00Z")
        );
    }

    #[test]
    fn of_two_instants_the_earlier_counts() {
        let paris = zone("Europe/Paris");
        assert_eq!(
            instant_of(date(2027, 10, 31), time(2, 30, 0, 0), &paris),
            at("2027-10-31T00:30:00Z")
        );
    }

    #[test]
    fn a_past_start_and_today_open_now_and_tomorrow_later() {
        let paris = zone("Europe/Paris");
        let now = at("2026-11-23T10:00:00Z");
        let open = |day| opening(Some(day), Time::midnight(), now, &paris);
        assert_eq!(open(date(2026, 11, 22)), Opening::Now);
        assert_eq!(open(date(2026, 11, 23)), Opening::Now);
        assert_eq!(
            open(date(2026, 11, 24)),
            Opening::Later { start_on: date(2026, 11, 24), instant: at("2026-11-23T23:00:00Z") }
        );
        let this_evening = opening(Some(date(2026, 11, 23)), time(20, 0, 0, 0), now, &paris);
        assert!(matches!(this_evening, Opening::Later { .. }));
    }

    #[test]
    fn access_ends_at_the_midnight_after_the_last_day() {
        assert_eq!(end_of(date(2026, 12, 31), &zone("Europe/Paris")), at("2026-12-31T23:00:00Z"));
    }
}
