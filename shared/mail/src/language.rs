//! The languages mails exist in.
//!
//! A language is a folder under `templates/`: its name is the tag. `build.rs` reads the folders and
//! makes [`MailLanguage`] and the templates of them; what one lacks ends the build.

use jiff::civil::Date;

use crate::view::View;

include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// How a language writes dates and numbers, as its `language.txt` says.
struct Grammar {
    tag: &'static str,
    /// With `{day}`, `{month}` and `{year}`.
    date: &'static str,
    /// How the first of a month is written; with `{day}`.
    first_day: &'static str,
    months: [&'static str; 12],
    /// Between groups of three digits.
    thousands: &'static str,
    /// The smallest number whose digits are grouped.
    grouped_from: u64,
}

/// The three parts of a mail as their templates give them.
pub(crate) struct Parts {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The languages mails exist in, English first.
pub const fn available_languages() -> &'static [MailLanguage] {
    LANGUAGES
}

/// The language to write in: the wanted one, else the client's, else English.
///
/// Both are language tags; a region, as in `fr-CA`, is dropped.
pub fn resolve_language(wanted: Option<&str>, client_default: &str) -> MailLanguage {
    wanted
        .and_then(MailLanguage::from_tag)
        .or_else(|| MailLanguage::from_tag(client_default))
        .unwrap_or(MailLanguage::English)
}

impl MailLanguage {
    /// The primary subtag, such as `fr`.
    pub const fn tag(self) -> &'static str {
        self.grammar().tag
    }

    /// The language a tag in any case names, its region dropped.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next()?;
        available_languages()
            .iter()
            .copied()
            .find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// A date as this language writes it.
    pub(crate) fn date(self, date: Date) -> String {
        let grammar = self.grammar();
        let number = date.day().to_string();
        let first = grammar.first_day.replace("{day}", &number);
        let day = if date.day() == 1 { first } else { number };
        let place = usize::try_from(date.month() - 1).unwrap_or_default();
        let month = grammar.months.get(place).copied().unwrap_or_default();
        let dated = grammar.date.replace("{day}", &day).replace("{month}", month);
        dated.replace("{year}", &date.year().to_string())
    }

    /// A number as this language writes it.
    pub(crate) fn number(self, number: u64) -> String {
        let grammar = self.grammar();
        let digits = number.to_string();
        if number < grammar.grouped_from {
            return digits;
        }
        let mut out = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                out.push_str(grammar.thousands);
            }
            out.push(digit);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    use MailLanguage::{English, French, German, Spanish};

    #[test]
    fn the_chain_is_wanted_then_the_clients_then_english() {
        assert_eq!(resolve_language(Some("fr-CA"), "en"), French);
        assert_eq!(resolve_language(Some("EN"), "fr"), English);
        assert_eq!(resolve_language(Some("de"), "fr"), German);
        assert_eq!(resolve_language(Some("nl"), "es"), Spanish);
        assert_eq!(resolve_language(None, "fr"), French);
        assert_eq!(resolve_language(Some("nl"), "it"), English);
        assert_eq!(resolve_language(Some(""), ""), English);
    }

    #[test]
    fn dates_are_written_as_the_language_does() {
        let third = date(2026, 12, 3);
        let written = [English, French, German, Spanish].map(|language| language.date(third));
        let expected = [
            "December\u{a0}3, 2026",
            "3\u{a0}décembre 2026",
            "3.\u{a0}Dezember 2026",
            "3\u{a0}de diciembre de 2026",
        ];
        assert_eq!(written, expected);
        assert_eq!(French.date(date(2027, 8, 1)), "1er\u{a0}août 2027");
        assert_eq!(Spanish.date(date(2027, 8, 1)), "1.º\u{a0}de agosto de 2027");
    }

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        let written = |number| [English, French, German, Spanish].map(|l| l.number(number));
        assert_eq!(written(999), ["999"; 4]);
        assert_eq!(written(1000), ["1,000", "1\u{a0}000", "1.000", "1000"]);
        assert_eq!(written(10_000), ["10,000", "10\u{a0}000", "10.000", "10\u{a0}000"]);
        assert_eq!(English.number(1_234_567), "1,234,567");
    }
}
