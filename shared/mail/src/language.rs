//! The languages mails exist in.
//!
//! A new language is a folder under `templates/`, a module here that names its files, and an arm
//! in each `match` below; the compiler asks for whatever is missing.

mod en;
mod fr;

use jiff::civil::Date;

use crate::LetterKind;
use crate::view::View;

/// A language that mails exist in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailLanguage {
    /// English.
    English,
    /// French.
    French,
}

/// The three parts of a mail as their templates give them.
pub(crate) struct Parts {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The languages mails exist in, English first.
pub const fn available_languages() -> &'static [MailLanguage] {
    &[MailLanguage::English, MailLanguage::French]
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
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
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
        match self {
            Self::English => en::date(date),
            Self::French => fr::date(date),
        }
    }

    /// Fills this language's templates of a kind of mail.
    pub(crate) fn parts(self, kind: &LetterKind<'_>, v: &View) -> askama::Result<Parts> {
        match self {
            Self::English => en::parts(kind, v),
            Self::French => fr::parts(kind, v),
        }
    }
}

/// The name of a date's month.
fn month(date: Date, months: &[&'static str; 12]) -> &'static str {
    let place = usize::try_from(date.month() - 1).unwrap_or_default();
    months.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_chain_is_wanted_then_the_clients_then_english() {
        use MailLanguage::{English, French};
        assert_eq!(resolve_language(Some("fr-CA"), "en"), French);
        assert_eq!(resolve_language(Some("EN"), "fr"), English);
        assert_eq!(resolve_language(Some("de"), "fr"), French);
        assert_eq!(resolve_language(None, "fr"), French);
        assert_eq!(resolve_language(Some("de"), "it"), English);
        assert_eq!(resolve_language(Some(""), ""), English);
    }

    #[test]
    fn dates_are_written_as_the_language_does() {
        assert_eq!(MailLanguage::English.date(date(2026, 12, 3)), "December\u{a0}3, 2026");
        assert_eq!(MailLanguage::French.date(date(2026, 12, 3)), "3\u{a0}décembre 2026");
        assert_eq!(MailLanguage::French.date(date(2027, 8, 1)), "1er\u{a0}août 2027");
    }
}
