//! Languages of learners and mails.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A language as a lower-case primary subtag, such as `fr`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Language(String);

/// Why a text names no language of this stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown language; use one of {known}")]
pub struct UnknownLanguage {
    /// The stack's languages, separated by commas.
    pub known: String,
}

/// The languages a stack offers, in the order of its `Languages` parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Languages(Vec<Language>);

impl Language {
    /// English, the language every text exists in.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The primary subtag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Languages {
    /// Reads a list such as `en,fr,de`; blanks and repeats are dropped. English is always there.
    pub fn from_list(list: &str) -> Self {
        let mut languages = Vec::new();
        for tag in list.split(',') {
            let language = Language(primary_subtag(tag));
            if is_primary_subtag(language.as_str()) && !languages.contains(&language) {
                languages.push(language);
            }
        }
        if !languages.contains(&Language::english()) {
            languages.push(Language::english());
        }
        Self(languages)
    }

    /// The language that a BCP 47 tag in any case names, its script and region dropped; `_` counts
    /// as `-`.
    pub fn parse(&self, tag: &str) -> Result<Language, UnknownLanguage> {
        let well_formed = tag.trim().split(['-', '_']).enumerate().all(|(place, part)| {
            let letters = part.bytes().all(|byte| byte.is_ascii_alphanumeric());
            letters && if place == 0 { part.len() >= 2 } else { (1..=8).contains(&part.len()) }
        });
        let wanted = primary_subtag(tag);
        self.0
            .iter()
            .find(|language| well_formed && language.0 == wanted)
            .cloned()
            .ok_or_else(|| UnknownLanguage { known: self.to_string() })
    }

    /// The languages, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Language> {
        self.0.iter()
    }
}

impl fmt::Display for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, language) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{language}")?;
        }
        Ok(())
    }
}

fn primary_subtag(tag: &str) -> String {
    tag.trim().split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

fn is_primary_subtag(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_dropped_and_case_does_not_matter() {
        let languages = Languages::from_list("en, fr,de,fr");
        for tag in ["fr", "FR", "fr-CA", "fr_CH", " fr-Latn-FR "] {
            assert_eq!(languages.parse(tag).map(|l| l.to_string()), Ok("fr".to_owned()), "{tag}");
        }
        for tag in ["", "klingon", "it", "f", "français", "fr CA", "fr-"] {
            assert!(languages.parse(tag).is_err(), "{tag}");
        }
        assert_eq!(languages.to_string(), "en, fr, de");
    }
}
