//! German.

use seatkeeper_domain::import::RowErrorCode;

use super::{TemplateTexts, Texts};

pub(super) static TEXTS: Texts = Texts {
    rows: "Zeilen",
    totals: "Summen",
    failed: "fehlgeschlagen",
    not_seated: "ohne Platz",
    no_seats_left: "Für diese Zeile war kein Platz mehr frei. Geben Sie Plätze frei oder bestellen Sie welche, \
                    und laden Sie sie dann erneut hoch.",
    split_name: "nicht gelesen. Schreiben Sie Vor- und Nachnamen in zwei Spalten.",
    colon: ": ",
    counts: [
        "Zeilen",
        "gültig",
        "ungültig",
        "doppelt",
        "bereits vorhanden",
        "angelegt",
        "eingeladen",
        "vorgemerkt",
        "aktualisiert",
        "übersprungen",
        "ohne Platz",
        "fehlgeschlagen",
    ],
    template: TemplateTexts {
        learners: "Lernende",
        help: "Hilfe",
        headings: [
            "E-Mail-Adresse",
            "Vorname",
            "Nachname",
            "Sprache",
            "Gruppen",
            "Etiketten",
            "Rollen",
            "Startdatum",
            "Dauer (Tage)",
            "Enddatum",
            "Löschdatum",
            "Passwort",
            "Einladung senden",
            "Personalnummer",
            "Bemerkungen",
        ],
        columns: [
            "Die einzige Spalte, die nötig ist. Eine Adresse, wie name@beispiel.de.",
            "",
            "",
            "Die Sprache dieser Person und ihrer Nachrichten. Leer: die für den Import gewählte.",
            "Namen oder Kennungen von Gruppen, mehrere durch | getrennt.",
            "Freie Wörter, mehrere durch | getrennt.",
            "Leer: learner. Mehrere durch | getrennt.",
            "Der Tag, an dem sich der Zugang öffnet. Leer oder vergangen: heute.",
            "Tage des Zugangs vom ersten bis zum letzten. Geben Sie eine Dauer oder ein Enddatum an, nicht beides.",
            "Der letzte Tag des Zugangs.",
            "Der Tag, an dem das Konto gelöscht wird. Nicht vor dem Ende.",
            "Leer: die Person wählt selbst eines. Beim Einladen leer lassen.",
            "Ob eine Nachricht gesendet wird: ja oder nein.",
            "Ihre eigene Nummer dieser Person. Nullen am Anfang bleiben erhalten.",
            "Freier Text.",
        ],
        answers: ["ja", "nein"],
        date_format: "dd.mm.yyyy",
        separator: ';',
        steps: [
            "Füllen Sie das erste Blatt aus, eine Person je Zeile. Nur die E-Mail-Adresse ist nötig; Spalten, die Sie nicht brauchen, können leer bleiben oder entfallen.",
            "Lassen Sie die Überschriften in der ersten Zeile. Zellen mit einer Liste bieten an, was möglich ist.",
            "Speichern Sie die Datei und laden Sie sie hoch. Bevor etwas geschieht, wird Ihnen gezeigt, was geschehen wird.",
            "Was auf diesem Blatt steht, wird nicht importiert.",
        ],
        contract: "Vertrag",
        examples: "Zwei Beispiele",
        people: [
            ["Anna", "Müller", "anna.mueller@beispiel.de"],
            ["Emre", "Yılmaz", "emre.yilmaz@beispiel.de"],
        ],
        label_and_comment: ["Nachtschicht", "beginnt im Frühjahr"],
    },
    line: "Zeile",
    column: "Spalte",
    hint,
    whole_file,
};

fn hint(code: RowErrorCode) -> &'static str {
    match code {
        RowErrorCode::MissingEmail => "geben Sie eine E-Mail-Adresse an.",
        RowErrorCode::InvalidEmail => "geben Sie genau eine Adresse an, wie name@beispiel.de.",
        RowErrorCode::InvalidDate => {
            "geben Sie ein Datum an, das es gibt, mit vierstelligem Jahr, wie 01.03.2027 oder \
             2027-03-01."
        }
        RowErrorCode::OutsideContract => "wählen Sie ein Datum innerhalb des Vertrags.",
        RowErrorCode::EndBeforeStart => {
            "wählen Sie ein Ende nicht vor dem Beginn oder heute und eine Löschung nicht vor dem Ende."
        }
        RowErrorCode::ConflictingEnd => "geben Sie ein Enddatum oder eine Dauer an, nicht beides.",
        RowErrorCode::InvalidDuration => "geben Sie eine ganze Zahl von Tagen über 0 an, wie 90.",
        RowErrorCode::UnknownLanguage => "wählen Sie eine angebotene Sprache, wie de oder en.",
        RowErrorCode::UnknownGroup => {
            "geben Sie den Namen oder die Kennung einer vorhandenen Gruppe an; trennen Sie mehrere durch \
             | oder ;."
        }
        RowErrorCode::RoleNotAllowed => {
            "wählen Sie eine Rolle, die Sie vergeben dürfen, wie learner."
        }
        RowErrorCode::InvalidNotify => "geben Sie ja oder nein an.",
        RowErrorCode::WeakPassword => {
            "wählen Sie ein längeres Passwort, oder lassen Sie die Zelle leer."
        }
        RowErrorCode::PasswordNotAllowed => {
            "lassen Sie die Zelle leer: Eingeladene wählen ihr Passwort selbst."
        }
        RowErrorCode::InvalidCell => {
            "die Zelle enthält einen Fehler wie #N/A; geben Sie einen Wert an."
        }
        RowErrorCode::AlreadyExists => {
            "diese Person hat hier schon einen Platz oder eine Einladung; entfernen Sie die Zeile."
        }
    }
}

fn whole_file(code: &str) -> &'static str {
    match code {
        "unsupported-format" => {
            "Das ist keine lesbare Tabelle. Speichern Sie sie als .xlsx ohne Makros oder als .csv."
        }
        "encrypted-file" => {
            "Die Datei ist durch ein Passwort geschützt. Speichern Sie sie ohne Passwort."
        }
        "unreadable-file" => {
            "Die Datei ist leer oder beschädigt. Öffnen Sie sie in Ihrer Tabellenkalkulation und speichern \
             Sie sie neu."
        }
        "file-too-large" => {
            "Die Datei ist größer als 10\u{a0}MB. Teilen Sie sie, oder entfernen Sie Bilder."
        }
        "inflates-too-large" => {
            "Die Datei enthält zu viel. Kopieren Sie die Zeilen in eine neue Tabelle und speichern Sie \
             diese."
        }
        "too-many-rows" => "Es sind zu viele Zeilen. Teilen Sie die Datei.",
        "too-many-columns" => {
            "Es sind mehr als 64 Spalten. Entfernen Sie die, die nicht gebraucht werden."
        }
        "cell-too-long" => "Der Text dieser Zelle ist zu lang. Kürzen Sie ihn.",
        "email-column-missing" => {
            "Es wurde keine Spalte mit E-Mail-Adressen gefunden. Nennen Sie eine in den ersten 20 Zeilen \
             „email“."
        }
        "rows-invalid" => {
            "Zeilen sind ungültig, und keine wird importiert, solange nicht alle gültig sind. Berichtigen \
             Sie sie und laden Sie die Datei erneut hoch."
        }
        "no-seats-left" => {
            "Es gibt weniger Plätze als gültige Zeilen. Geben Sie Plätze frei oder bestellen Sie welche, und \
             laden Sie die Datei dann erneut hoch."
        }
        "file-gone" | "file-replaced" => {
            "Die Datei wurde entfernt oder ersetzt, bevor sie gelesen wurde. Laden Sie sie erneut hoch."
        }
        "contract-ended" => "Der Vertrag ist abgelaufen. Wählen Sie einen laufenden.",
        "invalid-mode"
        | "invalid-on-existing"
        | "invalid-on-shortage"
        | "invalid-language"
        | "invalid-start-on"
        | "invalid-notify"
        | "invalid-groups"
        | "invalid-sublicense" => {
            "Eine Einstellung, die mit der Datei kam, ist ungültig. Berichtigen Sie sie und laden Sie die \
             Datei erneut hoch."
        }
        _ => "Die Datei wurde nicht importiert.",
    }
}
