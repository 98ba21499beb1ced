//! What people are told about rows and files, in the languages this crate speaks.

use seatkeeper_domain::import::RowErrorCode;
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
    line: &'static str,
    column: &'static str,
    hint: fn(RowErrorCode) -> &'static str,
    whole_file: fn(&str) -> &'static str,
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
    whole_file: english_whole_file,
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
    whole_file: french_whole_file,
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

fn english_whole_file(code: &str) -> &'static str {
    match code {
        "unsupported-format" => {
            "This is not a spreadsheet that can be read. Save it as .xlsx without macros, or as .csv."
        }
        "encrypted-file" => "The file is protected by a password. Save it without one.",
        "unreadable-file" => {
            "The file is empty or damaged. Open it in your spreadsheet program and save it again."
        }
        "file-too-large" => "The file is over 10 MB. Split it, or remove pictures.",
        "inflates-too-large" => {
            "The file holds too much. Copy the rows into a new spreadsheet and save that."
        }
        "too-many-rows" => "There are too many rows. Split the file.",
        "too-many-columns" => "There are more than 64 columns. Remove those not needed.",
        "cell-too-long" => "The text of this cell is too long. Shorten it.",
        "email-column-missing" => {
            "No e-mail column was found. Name one “email” within the first 20 rows."
        }
        "rows-invalid" => {
            "Rows are invalid, and none is imported unless all are valid. Mend them and upload again."
        }
        "no-seats-left" => {
            "There are fewer seats than valid rows. Free or order seats, then upload again."
        }
        "file-gone" | "file-replaced" => {
            "The file was removed or replaced before it was read. Upload it again."
        }
        "contract-ended" => "The contract has ended. Choose one that runs.",
        "invalid-mode"
        | "invalid-on-existing"
        | "invalid-on-shortage"
        | "invalid-language"
        | "invalid-start-on"
        | "invalid-notify"
        | "invalid-groups"
        | "invalid-sublicense" => {
            "A setting that was given with the file is not valid. Mend it and upload again."
        }
        _ => "The file was not imported.",
    }
}

fn french_whole_file(code: &str) -> &'static str {
    match code {
        "unsupported-format" => {
            "Ce n’est pas un tableau lisible. Enregistrez-le en .xlsx sans macros, ou en .csv."
        }
        "encrypted-file" => {
            "Le fichier est protégé par un mot de passe. Enregistrez-le sans mot de passe."
        }
        "unreadable-file" => {
            "Le fichier est vide ou endommagé. Ouvrez-le dans votre tableur et enregistrez-le de \
             nouveau."
        }
        "file-too-large" => "Le fichier dépasse 10\u{a0}Mo. Partagez-le, ou retirez-en les images.",
        "inflates-too-large" => {
            "Le fichier contient trop de données. Copiez les lignes dans un nouveau tableau et \
             enregistrez celui-ci."
        }
        "too-many-rows" => "Il y a trop de lignes. Partagez le fichier.",
        "too-many-columns" => "Il y a plus de 64 colonnes. Retirez celles qui ne servent pas.",
        "cell-too-long" => "Le texte de cette cellule est trop long. Raccourcissez-le.",
        "email-column-missing" => {
            "Aucune colonne d’adresses e-mail n’a été trouvée. Nommez-en une «\u{a0}email\u{a0}» dans les \
             20 premières lignes."
        }
        "rows-invalid" => {
            "Des lignes sont invalides, et aucune n’est importée si toutes ne sont pas valides. \
             Corrigez-les et importez de nouveau."
        }
        "no-seats-left" => {
            "Il y a moins de places que de lignes valides. Libérez ou commandez des places, puis \
             importez de nouveau."
        }
        "contract-ended" => "Le contrat est terminé. Choisissez-en un qui court encore.",
        "invalid-mode"
        | "invalid-on-existing"
        | "invalid-on-shortage"
        | "invalid-language"
        | "invalid-start-on"
        | "invalid-notify"
        | "invalid-groups"
        | "invalid-sublicense" => {
            "Un réglage donné avec le fichier n’est pas valide. Corrigez-le et importez de nouveau."
        }
        "file-gone" | "file-replaced" => {
            "Le fichier a été retiré ou remplacé avant d’être lu. Importez-le de nouveau."
        }
        _ => "Le fichier n’a pas été importé.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RejectCode;
    use seatkeeper_domain::language::Languages;

    fn language(tag: &str) -> Language {
        Languages::from_list("en,fr,de").parse(tag).unwrap()
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do_in_the_readers_language() {
        let told = |tag| rejection_hint("cell-too-long", Some(7), Some("B"), &language(tag));
        let english = "Line 7, column B: The text of this cell is too long. Shorten it.";
        assert_eq!(told("en"), english);
        assert_eq!(told("de"), english);
        assert!(told("fr").starts_with("Ligne 7, colonne B\u{a0}: Le texte"));
        let whole = rejection_hint("unreadable-file", None, None, &language("en"));
        assert!(whole.starts_with("The file is empty or damaged."));
    }

    #[test]
    fn every_code_has_a_sentence_of_its_own_in_every_language() {
        for tag in ["en", "fr"] {
            let told = |code: &str| rejection_hint(code, None, None, &language(tag));
            let refused =
                ["rows-invalid", "no-seats-left", "file-gone", "contract-ended", "invalid-mode"];
            for code in RejectCode::ALL.map(RejectCode::as_str).into_iter().chain(refused) {
                assert_ne!(told(code), told("unknown"), "{tag}: {code}");
            }
        }
    }
}
