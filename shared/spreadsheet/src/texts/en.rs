//! English.

use seatkeeper_domain::import::RowErrorCode;

use super::{TemplateTexts, Texts};

pub(super) static TEXTS: Texts = Texts {
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
    template: TemplateTexts {
        learners: "Learners",
        help: "Help",
        headings: [
            "Email",
            "First name",
            "Last name",
            "Language",
            "Groups",
            "Labels",
            "Roles",
            "Start date",
            "Duration (days)",
            "End date",
            "Deletion date",
            "Password",
            "Send invite",
            "Employee ID",
            "Comments",
        ],
        columns: [
            "The only column that is needed. One address, like name@example.com.",
            "",
            "",
            "The language of this person and of their mails. Empty: the one chosen for the import.",
            "Names or ids of groups, several separated by |.",
            "Free words, several separated by |.",
            "Empty: learner. Several separated by |.",
            "The day on which access opens. Empty or past: today.",
            "Days of access from the first to the last. Give this or an end date, not both.",
            "The last day of access.",
            "The day on which the account is deleted. Not before the end.",
            "Empty: this person chooses one. Leave it empty when you invite.",
            "Whether a mail is sent: yes or no.",
            "Your own number of this person. Zeros in front are kept.",
            "Free text.",
        ],
        answers: ["yes", "no"],
        date_format: "yyyy-mm-dd",
        separator: ',',
        steps: [
            "Fill in the first sheet, a person a line. Only the e-mail address is needed; columns that you do not use can stay empty or go.",
            "Keep the headings in the first line. Cells with a list offer what is possible.",
            "Save the file and upload it. Before anything happens you are shown what will.",
            "What stands on this sheet is not imported.",
        ],
        contract: "Contract",
        examples: "Two examples",
        people: [
            ["Ann", "Miller", "ann.miller@example.com"],
            ["Ben", "Okafor", "ben.okafor@example.com"],
        ],
        label_and_comment: ["night shift", "joins in spring"],
    },
    line: "Line",
    column: "column",
    hint,
    whole_file,
};

fn hint(code: RowErrorCode) -> &'static str {
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

fn whole_file(code: &str) -> &'static str {
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
