//! What a report says, in the languages it speaks.

use seatkeeper_domain::import::RowErrorCode;
use seatkeeper_domain::language::Language;

/// The words of a report in one language.
pub(super) struct Texts {
    /// Name of the sheet of rows.
    pub(super) rows: &'static str,
    /// Name of the sheet of totals.
    pub(super) totals: &'static str,
    /// Status of a row with errors.
    pub(super) failed: &'static str,
    /// Status of a row without a seat.
    pub(super) not_seated: &'static str,
    /// What to do about a row without a seat.
    pub(super) no_seats_left: &'static str,
    /// What to do about a column of whole names.
    pub(super) split_name: &'static str,
    /// A colon and the space around it.
    pub(super) colon: &'static str,
    /// Labels: all rows, then the verdicts and outcomes in the order of the API's totals.
    pub(super) counts: [&'static str; 12],
    hint: fn(RowErrorCode) -> &'static str,
}

/// What to do about an error, in a language; in English where that has no texts.
pub fn hint(code: RowErrorCode, language: &Language) -> &'static str {
    Texts::of(language).hint(code)
}

impl Texts {
    pub(super) fn of(language: &Language) -> &'static Self {
        match language.as_str() {
            "fr" => &FRENCH,
            _ => &ENGLISH,
        }
    }

    pub(super) fn hint(&self, code: RowErrorCode) -> &'static str {
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
    hint: english_hint,
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
    hint: french_hint,
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
