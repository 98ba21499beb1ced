//! Dates as people type them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Which of two numbers is the day in `01/03/2027`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// The first: 1 March.
    #[default]
    Dmy,
    /// The second: January 3rd.
    Mdy,
}

/// Years that a seat can have anything to do with; `01/03/0027` is a typing error.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=9999;

/// Reads `2027-03-01`, also with ` 00:00:00` behind it, and day, month and four-digit year
/// separated by `/`, `.` or `-`. `None` for anything else and for days that do not exist.
pub fn parse_date(text: &str, order: DateOrder) -> Option<Date> {
    let text = text.strip_suffix(" 00:00:00").unwrap_or(text);
    if let Some(date) = parse_iso(text) {
        return checked(date);
    }
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    if !matches!(separator, '/' | '.' | '-') {
        return None;
    }
    let mut parts = text.split(separator);
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (day, month) = match order {
        DateOrder::Dmy => (first, second),
        DateOrder::Mdy => (second, first),
    };
    checked((number(year)?, one_or_two_digits(month)?, one_or_two_digits(day)?))
}

/// Year, month and day of `2027-03-01`.
fn parse_iso(text: &str) -> Option<(i16, i8, i8)> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let part = |range| text.get(range);
    Some((number(part(0..4)?)?, one_or_two_digits(part(5..7)?)?, one_or_two_digits(part(8..10)?)?))
}

fn checked((year, month, day): (i16, i8, i8)) -> Option<Date> {
    if !YEARS.contains(&year) {
        return None;
    }
    Date::new(year, month, day).ok()
}

fn one_or_two_digits(text: &str) -> Option<i8> {
    if text.len() > 2 {
        return None;
    }
    i8::try_from(number(text)?).ok()
}

/// Digits only: no sign, no spaces.
fn number(text: &str) -> Option<i16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    #[test]
    fn the_forms_people_use_are_read_day_first() {
        for text in [
            "2027-03-01",
            "2027-03-01 00:00:00",
            "01/03/2027",
            "1/3/2027",
            "01.03.2027",
            "01-03-2027",
        ] {
            assert_eq!(parse_date(text, DateOrder::Dmy), Some(date(2027, 3, 1)), "{text}");
        }
    }

    #[test]
    fn month_comes_first_only_when_asked_for_and_never_in_iso_dates() {
        assert_eq!(parse_date("03/01/2027", DateOrder::Mdy), Some(date(2027, 3, 1)));
        assert_eq!(parse_date("12/25/2027", DateOrder::Mdy), Some(date(2027, 12, 25)));
        assert_eq!(parse_date("12/25/2027", DateOrder::Dmy), None);
        assert_eq!(parse_date("2027-03-01", DateOrder::Mdy), Some(date(2027, 3, 1)));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "01/03/27",
            "2027/03/01",
            "46447",
            "2027-03-01T00:00:00Z",
            "2027-03-01 08:30:00",
            "2027-02-29",
            "31/02/2027",
            "01/13/2027",
            "01/03.2027",
            "01/03/2027/1",
            "001/03/2027",
            "+1/03/2027",
            "1 /3/2027",
            "2027-3-1",
            "01/03/0027",
            "next Monday",
            "é1/03/2027",
        ] {
            assert_eq!(parse_date(text, DateOrder::Dmy), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_day_reads_back_in_every_form(days in 0_i32..2_000_000) {
            let day = date(1900, 1, 1).saturating_add(jiff::Span::new().days(days));
            prop_assume!(day.year() <= 9999);
            let (y, m, d) = (day.year(), day.month(), day.day());
            for text in [
                format!("{y:04}-{m:02}-{d:02}"),
                format!("{d}/{m}/{y:04}"),
                format!("{d:02}.{m:02}.{y:04}"),
            ] {
                prop_assert_eq!(parse_date(&text, DateOrder::Dmy), Some(day));
            }
            let text = format!("{m:02}-{d:02}-{y:04}");
            prop_assert_eq!(parse_date(&text, DateOrder::Mdy), Some(day));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,24}") {
            let _ = parse_date(&text, DateOrder::Dmy);
        }
    }
}
