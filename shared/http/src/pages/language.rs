//! The languages pages exist in.

use super::texts::{self, Texts};

/// A language that pages exist in.
///
/// A new one is a table beside [`texts::en`], a variant here and an arm in each `match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageLanguage {
    /// English.
    English,
    /// French.
    French,
    /// German.
    German,
    /// Spanish.
    Spanish,
}

/// The languages pages exist in, English first.
pub const fn available_languages() -> &'static [PageLanguage] {
    &[PageLanguage::English, PageLanguage::French, PageLanguage::German, PageLanguage::Spanish]
}

/// The language of a page: the one asked for by `lang`, else the first of the browser's that
/// exists, else the first that exists of those that are `known`: the person's own, then the
/// client's; else English.
///
/// All are language tags; a region, as in `fr-CA`, is dropped. `accepted` is best first.
pub fn resolve_language<'a>(
    explicit: Option<&'a str>,
    accepted: &'a [String],
    known: impl IntoIterator<Item = &'a str>,
) -> PageLanguage {
    explicit
        .into_iter()
        .chain(accepted.iter().map(String::as_str))
        .chain(known)
        .find_map(PageLanguage::from_tag)
        .unwrap_or(PageLanguage::English)
}

impl PageLanguage {
    /// The primary subtag, such as `fr`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }

    /// The language's name in itself.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::French => "Français",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
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

    /// The texts of the pages.
    pub(super) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &texts::en::TEXTS,
            Self::French => &texts::fr::TEXTS,
            Self::German => &texts::de::TEXTS,
            Self::Spanish => &texts::es::TEXTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PageLanguage::{English, French, German};
    use super::*;

    #[test]
    fn the_chain_is_asked_for_then_browser_then_person_then_client_then_english() {
        let browser = ["it-CH".to_owned(), "fr-CH".to_owned(), "en".to_owned()];
        assert_eq!(resolve_language(Some("EN-us"), &browser, Some("fr")), English);
        assert_eq!(resolve_language(None, &browser, Some("en")), French);
        assert_eq!(resolve_language(Some("xx"), &browser, None), French);
        assert_eq!(resolve_language(None, &["it".to_owned()], Some("fr")), French);
        assert_eq!(resolve_language(None, &["de-AT".to_owned()], Some("fr")), German);
        assert_eq!(resolve_language(None, &[], ["de", "fr"]), German);
        assert_eq!(resolve_language(None, &["it".to_owned()], ["nl", "fr"]), French);
        assert_eq!(resolve_language(Some("nl"), &[], Some("it")), English);
        assert_eq!(resolve_language(None, &[], None), English);
    }
}
