//! Durations and answers of yes or no.

use super::fold_name;

/// Reads a whole number above 0, also written `90.0`.
pub fn parse_duration_days(text: &str) -> Option<u32> {
    let whole = match text.split_once('.') {
        Some((whole, rest)) if !rest.is_empty() && rest.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    whole.parse().ok().filter(|days| *days > 0)
}

/// Reads yes or no as English, French, German and Spanish spreadsheets say it.
pub fn parse_notify(text: &str) -> Option<bool> {
    match fold_name(text).as_str() {
        "yes" | "oui" | "ja" | "sí" | "1" | "true" | "vrai" | "x" => Some(true),
        "no" | "non" | "nein" | "0" | "false" | "faux" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_a_whole_number_above_zero() {
        assert_eq!(parse_duration_days("90"), Some(90));
        assert_eq!(parse_duration_days("90.0"), Some(90));
        for text in ["", "0", "0.0", "-1", "+5", "30.5", "90.", ".0", "9 0", "1e3", "4294967296"] {
            assert_eq!(parse_duration_days(text), None, "{text:?}");
        }
    }

    #[test]
    fn yes_and_no_are_read_in_four_languages_and_any_case() {
        for text in ["yes", "OUI", "Ja", "sí", "SÍ", "si\u{301}", "1", "TRUE", "vrai", "X"] {
            assert_eq!(parse_notify(text), Some(true), "{text:?}");
        }
        for text in ["no", "Non", "NEIN", "0", "false", "Faux"] {
            assert_eq!(parse_notify(text), Some(false), "{text:?}");
        }
        for text in ["", "perhaps", "2", "yes!"] {
            assert_eq!(parse_notify(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_whole_number_reads_back(days in 1_u32.., zeros in 0_usize..4) {
            prop_assert_eq!(parse_duration_days(&days.to_string()), Some(days));
            if zeros > 0 {
                let text = format!("{days}.{}", "0".repeat(zeros));
                prop_assert_eq!(parse_duration_days(&text), Some(days));
            }
        }

        #[test]
        fn no_text_breaks_them(text in "\\PC{0,16}") {
            let _ = parse_notify(&text);
            prop_assert_ne!(parse_duration_days(&text), Some(0));
        }
    }
}
