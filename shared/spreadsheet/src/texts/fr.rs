//! French.

use seatkeeper_domain::import::RowErrorCode;

use super::{TemplateTexts, Texts};

pub(super) static TEXTS: Texts = Texts {
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
    template: TemplateTexts {
        learners: "Apprenants",
        help: "Aide",
        headings: [
            "Adresse e-mail",
            "Prénom",
            "Nom",
            "Langue",
            "Groupes",
            "Étiquettes",
            "Rôles",
            "Date de début",
            "Durée (jours)",
            "Date de fin",
            "Date de suppression",
            "Mot de passe",
            "Envoyer l’invitation",
            "Matricule",
            "Informations complémentaires",
        ],
        columns: [
            "La seule colonne nécessaire. Une adresse, comme nom@exemple.fr.",
            "",
            "",
            "La langue de cette personne et de ses messages. Vide\u{a0}: celle choisie pour l’import.",
            "Noms ou identifiants de groupes, séparés par |.",
            "Mots libres, séparés par |.",
            "Vide\u{a0}: learner. Plusieurs, séparés par |.",
            "Le jour où l’accès s’ouvre. Vide ou passé\u{a0}: aujourd’hui.",
            "Jours d’accès, du premier au dernier. Donnez une durée ou une date de fin, pas les deux.",
            "Le dernier jour d’accès.",
            "Le jour où le compte est supprimé. Pas avant la fin.",
            "Vide\u{a0}: la personne choisit le sien. Laissez vide pour inviter.",
            "Si un message est envoyé\u{a0}: oui ou non.",
            "Votre numéro pour cette personne. Les zéros du début sont conservés.",
            "Texte libre.",
        ],
        answers: ["oui", "non"],
        date_format: "dd/mm/yyyy",
        separator: ';',
        steps: [
            "Remplissez la première feuille, une personne par ligne. Seule l’adresse e-mail est nécessaire\u{a0}; les colonnes inutiles peuvent rester vides ou être retirées.",
            "Gardez les titres sur la première ligne. Les cases à liste proposent ce qui est possible.",
            "Enregistrez le fichier et importez-le. Avant que rien ne se passe, on vous montre ce qui va se passer.",
            "Ce qui figure sur cette feuille n’est pas importé.",
        ],
        contract: "Contrat",
        examples: "Deux exemples",
        people: [
            ["Anne", "Martin", "anne.martin@exemple.fr"],
            ["Karim", "Benali", "karim.benali@exemple.fr"],
        ],
        label_and_comment: ["équipe de nuit", "arrive au printemps"],
    },
    line: "Ligne",
    column: "colonne",
    hint,
    whole_file,
};

fn hint(code: RowErrorCode) -> &'static str {
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

fn whole_file(code: &str) -> &'static str {
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
