//! Headings, and the columns they name.

use std::collections::HashMap;
use std::sync::LazyLock;

use seatkeeper_domain::import::{Cell, ColumnHint, DetectedColumn, Field, trim_invisible};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// What each field is also called: English, French, German, Spanish. Case, accents, spaces,
/// punctuation and a final `s` of a word do not matter; other plurals are listed.
const NAMES: [(Field, &[&str]); Field::COUNT] = [
    (
        Field::Email,
        &[
            "email",
            "e-mail",
            "mail",
            "email address",
            "e-mail address",
            "mail address",
            "user_email",
            "courriel",
            "adresse e-mail",
            "adresse mail",
            "adresse courriel",
            "adresse électronique",
            "mél",
            "E-Mail-Adresse",
            "E-Mail-Adressen",
            "correo",
            "correo electrónico",
        ],
    ),
    (
        Field::FirstName,
        &["first_name", "first name", "given name", "prénom", "Vorname", "Vornamen", "nombre"],
    ),
    (
        Field::LastName,
        &[
            "last_name",
            "last name",
            "surname",
            "family name",
            "nom",
            "nom de famille",
            "Nachname",
            "Nachnamen",
            "Familienname",
            "Familiennamen",
            "apellido",
        ],
    ),
    (Field::Language, &["language", "lang", "locale", "langue", "Sprache", "Sprachen", "idioma"]),
    (
        Field::Groups,
        &[
            "groups", "team", "class", "classes", "groupe", "équipe", "classe", "Gruppe",
            "Gruppen", "Klasse", "Klassen", "grupo", "equipo", "clase",
        ],
    ),
    (Field::Labels, &["labels", "tag", "libellé", "étiquette", "Etikett", "Etiketten", "etiqueta"]),
    (Field::Roles, &["roles", "rôle", "Rolle", "Rollen", "rol"]),
    (
        Field::StartOn,
        &[
            "start_on",
            "start date",
            "activation date",
            "date de début",
            "date d'activation",
            "Startdatum",
            "Beginn",
            "fecha de inicio",
        ],
    ),
    (Field::DurationDays, &["duration_days", "duration", "durée", "Dauer", "duración"]),
    (Field::EndOn, &["end_on", "end date", "date de fin", "Enddatum", "fecha de fin"]),
    (
        Field::DeleteOn,
        &[
            "delete_on",
            "deletion date",
            "date de suppression",
            "Löschdatum",
            "fecha de eliminación",
        ],
    ),
    (
        Field::Password,
        &["password", "user_pass", "mot de passe", "Passwort", "Passwörter", "contraseña"],
    ),
    (
        Field::Notify,
        &[
            "notify",
            "send invite",
            "send email",
            "envoyer l'invitation",
            "Einladung senden",
            "enviar invitación",
        ],
    ),
    (
        Field::ExternalId,
        &[
            "external_id",
            "employee id",
            "id",
            "matricule",
            "identifiant",
            "Personalnummer",
            "matrícula",
        ],
    ),
    (
        Field::AdditionalInfo,
        &[
            "additional_info",
            "additional information",
            "comment",
            "informations complémentaires",
            "Bemerkung",
            "Bemerkungen",
            "información adicional",
        ],
    ),
];

/// Headings that mean a whole name, or the last one beside a first name.
const WHOLE_NAMES: [&str; 2] = ["name", "nom complet"];

/// Fields by folded heading.
static FIELDS: LazyLock<HashMap<String, Field>> = LazyLock::new(|| {
    let named = |(field, names): (Field, &'static [&'static str])| {
        names.iter().map(move |name| (fold_heading(name), field))
    };
    NAMES.into_iter().flat_map(named).collect()
});

/// Folded headings of whole names.
static FULL_NAMES: LazyLock<[String; 2]> = LazyLock::new(|| WHOLE_NAMES.map(fold_heading));

/// What becomes of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// No heading: not read.
    Nothing,
    /// A recognized column.
    Field(Field),
    /// A column whose heading means nothing here.
    Ignored,
}

/// The columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// By column.
    pub(crate) targets: Vec<Target>,
    /// Those with a heading, from left to right.
    pub(crate) columns: Vec<DetectedColumn>,
}

impl Header {
    /// The header that a row is, if one of its headings means an e-mail address.
    pub(crate) fn recognize(cells: &[Cell]) -> Option<Self> {
        let folded: Vec<Option<String>> = cells
            .iter()
            .map(|cell| match cell {
                Cell::Text(text) => Some(fold_heading(text)),
                _ => None,
            })
            .collect();
        let mut fields = leftmost_fields(&folded);
        if !fields.contains(&Some(Field::Email)) {
            return None;
        }
        let hint_for = whole_name(&folded, &mut fields);

        let mut header = Self { targets: Vec::new(), columns: Vec::new() };
        for (column, cell) in cells.iter().enumerate() {
            let Some(heading) = cell.as_text() else {
                header.targets.push(Target::Nothing);
                continue;
            };
            let field = fields[column];
            header.targets.push(field.map_or(Target::Ignored, Target::Field));
            header.columns.push(DetectedColumn {
                heading: trim_invisible(&heading).replace("\r\n", "\n"),
                field,
                hint: (hint_for == Some(column)).then_some(ColumnHint::SplitName),
            });
        }
        Some(header)
    }

    /// The header of a plain list: its first column holds addresses.
    pub(crate) fn of_plain_list() -> Self {
        Self { targets: vec![Target::Field(Field::Email)], columns: Vec::new() }
    }

    /// How many columns are recognized.
    pub(crate) fn recognized(&self) -> usize {
        self.columns.iter().filter(|column| column.field.is_some()).count()
    }
}

/// The field of each column; of two columns of a kind, the leftmost has it.
fn leftmost_fields(folded: &[Option<String>]) -> Vec<Option<Field>> {
    let mut seen = Vec::new();
    folded
        .iter()
        .map(|heading| {
            let field = *FIELDS.get(heading.as_ref()?)?;
            if seen.contains(&field) {
                return None;
            }
            seen.push(field);
            Some(field)
        })
        .collect()
}

/// Makes a whole name's column the last name if a first name stands beside it and no other column
/// is the last name. Returns the column of a whole name that stands alone.
fn whole_name(folded: &[Option<String>], fields: &mut [Option<Field>]) -> Option<usize> {
    let column = folded
        .iter()
        .position(|heading| heading.as_ref().is_some_and(|text| FULL_NAMES.contains(text)))?;
    if fields.contains(&Some(Field::LastName)) {
        return None;
    }
    if fields.contains(&Some(Field::FirstName)) {
        fields[column] = Some(Field::LastName);
        return None;
    }
    Some(column)
}

/// A heading as headings are compared: its bracketed tail and asterisks, accents, case, spaces,
/// punctuation and each word's plural `s` are gone.
fn fold_heading(heading: &str) -> String {
    let mut folded = String::with_capacity(heading.len());
    let mut word_begins = 0;
    for character in without_bracketed_tail(heading).nfkd() {
        if is_combining_mark(character) {
            continue;
        }
        if character.is_alphanumeric() {
            folded.extend(character.to_lowercase());
        } else {
            end_word(&mut folded, &mut word_begins);
        }
    }
    end_word(&mut folded, &mut word_begins);
    folded
}

fn end_word(folded: &mut String, word_begins: &mut usize) {
    if folded.len() > *word_begins + 1 && folded.ends_with('s') {
        folded.pop();
    }
    *word_begins = folded.len();
}

/// `Groupe(s)` and `E-mail * (required)` without what the brackets say.
fn without_bracketed_tail(heading: &str) -> &str {
    let trimmed = trim_invisible(heading).trim_end_matches(['*', ' ', ':']);
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(head) = trimmed.strip_suffix(close)
            && let Some(start) = head.rfind(open)
        {
            return &trimmed[..start];
        }
    }
    trimmed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<const N: usize>(headings: [&str; N]) -> Option<Vec<Option<Field>>> {
        let cells = headings.map(|heading| match heading {
            "" => Cell::Blank,
            heading => Cell::Text(heading.to_owned()),
        });
        let header = Header::recognize(&cells)?;
        Some(header.columns.iter().map(|column| column.field).collect())
    }

    #[test]
    fn no_two_fields_share_a_heading() {
        let distinct: Vec<_> = NAMES
            .iter()
            .flat_map(|(field, names)| names.iter().map(|name| (fold_heading(name), *field)))
            .collect();
        for (heading, field) in &distinct {
            assert_eq!(FIELDS.get(heading), Some(field), "{heading}");
            assert!(!FULL_NAMES.contains(heading), "{heading}");
        }
    }

    #[test]
    fn a_heading_is_known_in_any_dress() {
        for heading in [
            "E-MAIL",
            "e mail*",
            "Email(s)",
            "Adresses e\u{2011}mail (obligatoire)",
            "MEL",
            "\u{feff}Correos electro\u{301}nicos :",
            "Adresse électronique [pro]",
            "User_Email",
        ] {
            assert_eq!(header([heading]), Some(vec![Some(Field::Email)]), "{heading}");
        }
        for heading in ["emails address of manager", "@", "", "*", "telephone"] {
            assert_eq!(header([heading]), None, "{heading}");
        }
    }

    #[test]
    fn of_two_columns_of_a_kind_the_leftmost_wins() {
        let expected = vec![Some(Field::Email), Some(Field::Groups), None, None];
        assert_eq!(header(["Mail", "Team", "Group", "Courriel"]), Some(expected));
    }

    #[test]
    fn a_column_without_heading_is_no_column() {
        let expected = vec![Some(Field::Email), Some(Field::FirstName), None];
        assert_eq!(header(["Mail", "", "Prénom", "Téléphone"]), Some(expected));
    }

    #[test]
    fn a_name_is_the_last_name_beside_a_first_name_and_else_ignored_with_a_hint() {
        let last = vec![Some(Field::LastName), Some(Field::FirstName), Some(Field::Email)];
        assert_eq!(header(["Name", "Vorname", "E-Mail"]), Some(last));
        let text = |text: &str| Cell::Text(text.to_owned());
        let alone = Header::recognize(&[text("Nom complet"), text("Email")]).unwrap();
        assert_eq!(alone.columns[0].field, None);
        assert_eq!(alone.columns[0].hint, Some(ColumnHint::SplitName));
        let full = ["Name", "First name", "Surname", "Email"];
        let expected =
            vec![None, Some(Field::FirstName), Some(Field::LastName), Some(Field::Email)];
        assert_eq!(header(full), Some(expected));
    }
}
