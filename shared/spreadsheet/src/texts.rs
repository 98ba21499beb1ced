//! What people are told about rows and files, in the languages this crate speaks.

use seatkeeper_domain::import::RowErrorCode;
use seatkeeper_domain::language::Language;

use crate::reject::{RejectCode, Rejection};

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
    line: &'static str,
    column: &'static str,
    hint: fn(RowErrorCode) -> &'static str,
    explain: fn(RejectCode) -> &'static str,
}

/// What to do about an error, in a language; in English where that has no texts.
pub fn hint(code: RowErrorCode, language: &Language) -> &'static str {
    Texts::of(language).hint(code)
}

/// Why a file is refused, where, and what to do, in a language; in English where that has no
/// texts.
pub fn explain(rejection: &Rejection, language: &Language) -> String {
    let texts = Texts::of(language);
    let reason = (texts.explain)(rejection.code);
    let place = match (rejection.line, &rejection.column) {
        (Some(line), Some(column)) => {
            format!("{} {line}, {} {column}{}", texts.line, texts.column, texts.colon)
        }
        (Some(line), None) => format!("{} {line}{}", texts.line, texts.colon),
        (None, _) => String::new(),
    };
    place + reason
}

impl Texts {
    pub(crate) fn of(language: &Language) -> &'static Self {
        match language.as_str() {
            "fr" => &FRENCH,
            _ => &ENGLISH,
        }
    }

    pub(crate) fn hint(&self, code: RowErrorCode) -> &'static str {
        (self.hint)(code)
    }
}

static ENGLISH: Texts = Texts {
    rows: "Rows",
    totals: "Totals",
    failed: "failed",
    not_seated: "not seated",
    no_seats_left: "No seat was left for this row. Free or order seats, then upload it again.",
    split_name: "not read. Put the first name and the last name in columns of their own.",
    colon: ": ",
    counts: [
        "rows",
        "valid",
        "invalid",
        "duplicate",
        "existing",
        "created",
        "invited",
        "scheduled",
        "updated",
        "skipped",
        "not seated",
        "failed",
    ],
    line: "Line",
    column: "column",
    hint: english_hint,
    explain: english_explanation,
};

static FRENCH: Texts = Texts {
    rows: "Lignes",
    totals: "Totaux",
    failed: "en échec",
    not_seated: "sans place",
    no_seats_left: "Il ne restait plus de place pour cette ligne. Libérez ou commandez des places, puis \
                    importez-la de nouveau.",
    split_name: "colonne non lue. Mettez le prénom et le nom dans deux colonnes.",
    colon: "\u{a0}: ",
    counts: [
        "lignes",
        "valides",
        "invalides",
        "en double",
        "déjà présentes",
        "créées",
        "invitées",
        "programmées",
        "mises à jour",
        "ignorées",
        "sans place",
        "en échec",
    ],
    line: "Ligne",
    column: "colonne",
    hint: french_hint,
    explain: french_explanation,
};

fn english_hint(code: RowErrorCode) -> &'static str {
    match code {
        RowErrorCode::MissingEmail => "enter an e-mail address.",
        RowErrorCode::InvalidEmail => "enter one address, like name@example.com.",
        RowErrorCode::InvalidDate => {
            "enter a date that exists, with a four-digit year, like 2027-03-01 or 01/03/2027."
        }
        RowErrorCode::OutsideContract => "choose a date within the contract.",
        RowErrorCode::EndBeforeStart => {
            "choose an end that is not before the start or today, and a deletion not before the end."
        }
        RowErrorCode::ConflictingEnd => "give an end date or a duration, not both.",
        RowErrorCode::InvalidDuration => "enter a whole number of days above 0, like 90.",
        RowErrorCode::UnknownLanguage => "use a language that is offered, like en or fr.",
        RowErrorCode::UnknownGroup => {
            "use the name or id of an existing group; separate several by | or ;."
        }
        RowErrorCode::RoleNotAllowed => "use a role that you may give, like learner.",
        RowErrorCode::InvalidNotify => "enter yes or no.",
        RowErrorCode::WeakPassword => "choose a longer password, or leave the cell empty.",
        RowErrorCode::PasswordNotAllowed => {
            "leave the cell empty: people who are invited choose their own password."
        }
        RowErrorCode::InvalidCell => "the cell holds an error such as #N/A; enter a value.",
        RowErrorCode::AlreadyExists => {
            "this person already has a seat or an invitation here; remove the row."
        }
    }
}

fn french_hint(code: RowErrorCode) -> &'static str {
    match code {
        RowErrorCode::MissingEmail => "indiquez une adresse e-mail.",
        RowErrorCode::InvalidEmail => "indiquez une seule adresse, comme nom@exemple.fr.",
        RowErrorCode::InvalidDate => {
            "indiquez une date qui existe, avec une année à quatre chiffres, comme 01/03/2027 ou \
             2027-03-01."
        }
        RowErrorCode::OutsideContract => "choisissez une date pendant le contrat.",
        RowErrorCode::EndBeforeStart => {
            "choisissez une fin qui ne précède ni le début ni aujourd’hui, et une suppression qui ne \
             précède pas la fin."
        }
        RowErrorCode::ConflictingEnd => "donnez une date de fin ou une durée, pas les deux.",
        RowErrorCode::InvalidDuration => {
            "indiquez un nombre entier de jours supérieur à 0, comme 90."
        }
        RowErrorCode::UnknownLanguage => "utilisez une langue proposée, comme fr ou en.",
        RowErrorCode::UnknownGroup => {
            "utilisez le nom ou l’identifiant d’un groupe existant\u{a0}; séparez-en plusieurs par | \
             ou ;."
        }
        RowErrorCode::RoleNotAllowed => "utilisez un rôle que vous pouvez donner, comme learner.",
        RowErrorCode::InvalidNotify => "indiquez oui ou non.",
        RowErrorCode::WeakPassword => {
            "choisissez un mot de passe plus long, ou laissez la case vide."
        }
        RowErrorCode::PasswordNotAllowed => {
            "laissez la case vide\u{a0}: les personnes invitées choisissent leur mot de passe."
        }
        RowErrorCode::InvalidCell => {
            "la case contient une erreur comme #N/A\u{a0}; indiquez une valeur."
        }
        RowErrorCode::AlreadyExists => {
            "cette personne a déjà une place ou une invitation ici\u{a0}; supprimez la ligne."
        }
    }
}

fn english_explanation(code: RejectCode) -> &'static str {
    match code {
        RejectCode::UnsupportedFormat => {
            "This is not a spreadsheet that can be read. Save it as .xlsx without macros, or as .csv."
        }
        RejectCode::EncryptedFile => "The file is protected by a password. Save it without one.",
        RejectCode::UnreadableFile => {
            "The file is empty or damaged. Open it in your spreadsheet program and save it again."
        }
        RejectCode::FileTooLarge => "The file is over 10 MB. Split it, or remove pictures.",
        RejectCode::InflatesTooLarge => {
            "The file holds too much. Copy the rows into a new spreadsheet and save that."
        }
        RejectCode::TooManyRows => "There are too many rows. Split the file.",
        RejectCode::TooManyColumns => "There are more than 64 columns. Remove those not needed.",
        RejectCode::CellTooLong => "The text of this cell is too long. Shorten it.",
        RejectCode::EmailColumnMissing => {
            "No e-mail column was found. Name one “email” within the first 20 rows."
        }
    }
}

fn french_explanation(code: RejectCode) -> &'static str {
    match code {
        RejectCode::UnsupportedFormat => {
            "Ce n’est pas un tableau lisible. Enregistrez-le en .xlsx sans macros, ou en .csv."
        }
        RejectCode::EncryptedFile => {
            "Le fichier est protégé par un mot de passe. Enregistrez-le sans mot de passe."
        }
        RejectCode::UnreadableFile => {
            "Le fichier est vide ou endommagé. Ouvrez-le dans votre tableur et enregistrez-le de \
             nouveau."
        }
        RejectCode::FileTooLarge => {
            "Le fichier dépasse 10\u{a0}Mo. Partagez-le, ou retirez-en les images."
        }
        RejectCode::InflatesTooLarge => {
            "Le fichier contient trop de données. Copiez les lignes dans un nouveau tableau et \
             enregistrez celui-ci."
        }
        RejectCode::TooManyRows => "Il y a trop de lignes. Partagez le fichier.",
        RejectCode::TooManyColumns => {
            "Il y a plus de 64 colonnes. Retirez celles qui ne servent pas."
        }
        RejectCode::CellTooLong => "Le texte de cette cellule est trop long. Raccourcissez-le.",
        RejectCode::EmailColumnMissing => {
            "Aucune colonne d’adresses e-mail n’a été trouvée. Nommez-en une «\u{a0}email\u{a0}» dans les \
             20 premières lignes."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seatkeeper_domain::language::Languages;

    #[test]
    fn a_refusal_says_where_and_what_to_do_in_the_readers_language() {
        let languages = Languages::from_list("en,fr,de");
        let language = |tag| languages.parse(tag).unwrap();
        let long = Rejection::at(RejectCode::CellTooLong, 7, 1);
        let english = "Line 7, column B: The text of this cell is too long. Shorten it.";
        assert_eq!(explain(&long, &language("en")), english);
        assert_eq!(explain(&long, &language("de")), english);
        assert!(explain(&long, &language("fr")).starts_with("Ligne 7, colonne B\u{a0}: Le texte"));
        let empty = Rejection::unreadable();
        assert!(explain(&empty, &language("en")).starts_with("The file is empty or damaged."));
    }
}
