//! What people are told about rows and files, in the languages this crate speaks.

mod de;
mod en;
mod es;
mod fr;

use seatkeeper_domain::import::{Field, RowErrorCode};
use seatkeeper_domain::language::Language;

/// The words of one language.
pub(crate) struct Texts {
    /// Name of the sheet of rows.
    pub(crate) rows: &'static str,
    /// Name of the sheet of totals.
    pub(crate) totals: &'static str,
    /// Status of a row with errors.
    pub(crate) failed: &'static str,
    /// Status of a row without a seat.
    pub(crate) not_seated: &'static str,
    /// What to do about a row without a seat.
    pub(crate) no_seats_left: &'static str,
    /// What to do about a column of whole names.
    pub(crate) split_name: &'static str,
    /// A colon and the space around it.
    pub(crate) colon: &'static str,
    /// Labels: all rows, then the verdicts and outcomes in the order of the API's totals.
    pub(crate) counts: [&'static str; 12],
    /// The words of the template.
    pub(crate) template: TemplateTexts,
    line: &'static str,
    column: &'static str,
    hint: fn(RowErrorCode) -> &'static str,
    whole_file: fn(&str) -> &'static str,
}

/// The words of the template. What stands by column is in the order of [`Field::ALL`].
pub(crate) struct TemplateTexts {
    /// Name of the sheet of learners.
    pub(crate) learners: &'static str,
    /// Name of the sheet that explains it.
    pub(crate) help: &'static str,
    /// Headings, which the import recognizes.
    pub(crate) headings: [&'static str; Field::COUNT],
    /// What each column takes.
    pub(crate) columns: [&'static str; Field::COUNT],
    /// The answers to whether a mail is sent: yes and no.
    pub(crate) answers: [&'static str; 2],
    /// How a date cell shows its date.
    pub(crate) date_format: &'static str,
    /// What separates the fields of a csv file where this language is spoken.
    pub(crate) separator: char,
    /// What to do, a line each.
    pub(crate) steps: [&'static str; 4],
    /// What stands before a contract's reference.
    pub(crate) contract: &'static str,
    /// What stands above the examples.
    pub(crate) examples: &'static str,
    /// The people in the examples: first name, last name and address.
    pub(crate) people: [[&'static str; 3]; 2],
    /// A label and a comment of the second example.
    pub(crate) label_and_comment: [&'static str; 2],
}

/// What separates the fields of a csv file that spreadsheets open by themselves where this language
/// is spoken.
pub fn csv_separator(language: &Language) -> char {
    Texts::of(language).template.separator
}

/// What to do about an error, in a language; in English where that has no texts.
pub fn hint(code: RowErrorCode, language: &Language) -> &'static str {
    Texts::of(language).hint(code)
}

/// Why a file was not imported as a whole, where it went wrong, and what to do, in a language; in
/// English where that has no texts. Besides the codes of [`RejectCode`](crate::RejectCode) it knows
/// those of imports that were refused after their rows could be read.
pub fn rejection_hint(
    code: &str,
    line: Option<u32>,
    column: Option<&str>,
    language: &Language,
) -> String {
    let texts = Texts::of(language);
    let reason = (texts.whole_file)(code);
    let place = match (line, column) {
        (Some(line), Some(column)) => {
            format!("{} {line}, {} {column}{}", texts.line, texts.column, texts.colon)
        }
        (Some(line), None) => format!("{} {line}{}", texts.line, texts.colon),
        (None, _) => String::new(),
    };
    place
        + reason
        + &setting(code).map_or_else(String::new, |(name, takes)| format!(" {name}: {takes}"))
}

/// The setting of a drop that a code is about: the name of its object metadata, and what it takes,
/// or an example.
fn setting(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "invalid-mode" => ("x-amz-meta-mode", "create | invite"),
        "invalid-on-existing" => ("x-amz-meta-on-existing", "skip | fill_blank | update | error"),
        "invalid-on-shortage" => ("x-amz-meta-on-shortage", "none | valid_only | fill"),
        "invalid-language" => ("x-amz-meta-language", "en | fr | …"),
        "invalid-start-on" => ("x-amz-meta-start-on", "2027-03-01"),
        "invalid-notify" => ("x-amz-meta-notify", "yes | no"),
        "invalid-groups" => ("x-amz-meta-groups", "grp_…"),
        "invalid-sublicense" => ("x-amz-meta-sublicense", "sub_…"),
        _ => return None,
    })
}

impl Texts {
    pub(crate) fn of(language: &Language) -> &'static Self {
        match language.as_str() {
            "fr" => &fr::TEXTS,
            "de" => &de::TEXTS,
            "es" => &es::TEXTS,
            _ => &en::TEXTS,
        }
    }

    pub(crate) fn hint(&self, code: RowErrorCode) -> &'static str {
        (self.hint)(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RejectCode;
    use seatkeeper_domain::language::Languages;

    fn language(tag: &str) -> Language {
        Languages::from_list("en,fr,de,es,it").parse(tag).unwrap()
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do_in_the_readers_language() {
        let told = |tag| rejection_hint("cell-too-long", Some(7), Some("B"), &language(tag));
        let english = "Line 7, column B: The text of this cell is too long. Shorten it.";
        assert_eq!(told("en"), english);
        assert_eq!(told("it"), english);
        assert!(told("fr").starts_with("Ligne 7, colonne B\u{a0}: Le texte"));
        let whole = rejection_hint("unreadable-file", None, None, &language("en"));
        assert!(whole.starts_with("The file is empty or damaged."));
    }

    #[test]
    fn a_setting_of_a_drop_is_named_with_what_it_takes() {
        let told = rejection_hint("invalid-mode", None, None, &language("fr"));
        assert!(
            told.ends_with("Corrigez-le et importez de nouveau. x-amz-meta-mode: create | invite"),
            "{told}"
        );
    }

    #[test]
    fn every_code_has_a_sentence_of_its_own_in_every_language() {
        for tag in ["en", "fr", "de", "es"] {
            let told = |code: &str| rejection_hint(code, None, None, &language(tag));
            let refused =
                ["rows-invalid", "no-seats-left", "file-gone", "contract-ended", "invalid-mode"];
            for code in RejectCode::ALL.map(RejectCode::as_str).into_iter().chain(refused) {
                assert_ne!(told(code), told("unknown"), "{tag}: {code}");
            }
        }
    }
}
