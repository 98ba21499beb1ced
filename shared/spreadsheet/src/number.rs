//! Numbers and the dates that workbooks store as numbers.

use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use seatkeeper_domain::import::Cell;

/// From which day a workbook counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DateSystem {
    /// Day 1 is 1900-01-01, and 1900 had a 29 February (day 60).
    #[default]
    From1900,
    /// Day 0 is 1904-01-01.
    From1904,
}

impl DateSystem {
    /// The date of a serial number, its time dropped; `None` before the first and after 9999, and
    /// for the day that never was.
    pub(crate) fn date(self, serial: f64) -> Option<Date> {
        let day = serial.floor();
        if !(0.0..3_000_000.0).contains(&day) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range above")]
        let day = day as i32;
        let first = match (self, day) {
            (Self::From1904, _) => date(1904, 1, 1),
            (Self::From1900, 0 | 60) => return None,
            (Self::From1900, 1..60) => date(1899, 12, 31),
            (Self::From1900, _) => date(1899, 12, 30),
        };
        first.checked_add(day.days()).ok().filter(|date| date.year() <= 9999)
    }

    /// The cell of a number with a date's format: a date if there is one.
    pub(crate) fn cell(self, serial: f64) -> Cell {
        self.date(serial).map_or_else(|| Cell::Number(digits(serial)), Cell::Date)
    }
}

/// The date of an ISO text, whatever time stands behind it.
pub(crate) fn iso_date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// A number's digits, without an exponent.
pub(crate) fn digits(number: f64) -> String {
    // Adding 0 makes -0 positive.
    (number + 0.0).to_string()
}

/// The digits of a number that a file writes as text: a whole number's as they stand there.
pub(crate) fn digits_of(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let plain = unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && !unsigned.is_empty()
        && !unsigned.starts_with('0')
        && unsigned.len() <= 20;
    if plain {
        return Some(text.to_owned());
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    Some(digits(number))
}

/// Whether a number format, built in or given by its code, shows a date.
pub(crate) fn is_date_format(id: u16, code: Option<&str>) -> bool {
    match code {
        Some(code) => shows_date(code),
        // ECMA-376 part 1, 18.8.30; 27–36 and 50–58 are dates in East Asian locales.
        None => matches!(id, 14..=22 | 27..=36 | 45..=47 | 50..=58),
    }
}

/// Whether the first section of a format code has a letter of a day, month, year or time outside
/// quotes, escapes and brackets (other than elapsed time, `[h]`).
fn shows_date(code: &str) -> bool {
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        match character {
            ';' => return false,
            '"' => {
                characters.by_ref().find(|c| *c == '"');
            }
            '\\' | '_' | '*' => {
                characters.next();
            }
            '[' => {
                let inside: String = characters.by_ref().take_while(|c| *c != ']').collect();
                if !inside.is_empty() && inside.chars().all(|c| "hmsHMS".contains(c)) {
                    return true;
                }
            }
            'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' | 'S' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn serial_numbers_are_dates_in_both_systems() {
        assert_eq!(DateSystem::From1900.date(46_447.0), Some(date(2027, 3, 1)));
        assert_eq!(DateSystem::From1900.date(46_447.999), Some(date(2027, 3, 1)));
        assert_eq!(DateSystem::From1904.date(44_985.0), Some(date(2027, 3, 1)));
        assert_eq!(DateSystem::From1900.date(1.0), Some(date(1900, 1, 1)));
        assert_eq!(DateSystem::From1900.date(59.0), Some(date(1900, 2, 28)));
        assert_eq!(DateSystem::From1900.date(61.0), Some(date(1900, 3, 1)));
        assert_eq!(DateSystem::From1904.date(0.0), Some(date(1904, 1, 1)));
        assert_eq!(DateSystem::From1900.date(2_958_465.0), Some(date(9999, 12, 31)));
        for serial in [0.0, 0.5, 60.0, -1.0, 2_958_466.0, 1e300, f64::NAN] {
            assert_eq!(DateSystem::From1900.date(serial), None, "{serial}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let cases = [
            ("5162", "5162"),
            ("33698765432101", "33698765432101"),
            ("3.3698765432101E13", "33698765432101"),
            ("123.0", "123"),
            ("007", "7"),
            ("-0", "0"),
            ("0.10000000000000001", "0.1"),
        ];
        for (stored, expected) in cases {
            assert_eq!(digits_of(stored).as_deref(), Some(expected), "{stored}");
        }
        for stored in ["", "abc", "1e999", "NaN"] {
            assert_eq!(digits_of(stored), None, "{stored}");
        }
    }

    #[test]
    fn formats_with_a_day_month_or_year_are_dates() {
        for code in ["dd/mm/yyyy", "[$-40C]d mmmm yyyy;@", "yyyy\\-mm\\-dd", "[h]:mm", "h:mm AM/PM"]
        {
            assert!(is_date_format(164, Some(code)), "{code}");
        }
        for code in
            ["General", "0.00", "00000", "[Red]0;[Blue]-0", "0\" days\"", "@", "0_d", "0;dd"]
        {
            assert!(!is_date_format(164, Some(code)), "{code}");
        }
        assert!(is_date_format(14, None));
        assert!(!is_date_format(1, None));
    }

    proptest! {
        #[test]
        fn every_serial_is_a_day_after_the_one_before(serial in 62_i32..2_958_465) {
            let system = DateSystem::From1900;
            let day = system.date(f64::from(serial)).unwrap();
            let before = system.date(f64::from(serial - 1)).unwrap();
            prop_assert_eq!(before.tomorrow().unwrap(), day);
        }

        #[test]
        fn digits_read_back_as_the_number(number in -1e15_f64..1e15) {
            let text = digits_of(&number.to_string()).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
        }
    }
}
