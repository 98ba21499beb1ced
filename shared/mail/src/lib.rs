//! A notification becomes subject, text and HTML in the learner's language.
//!
//! [`LetterWriter`] makes a mail of what the domain knows. Below it, [`render`] takes a [`Letter`], which borrows all that one mail says, and a [`MailLanguage`].
//! Whatever the input, the subject is one line, the HTML is escaped, and direction marks and
//! control characters are gone.

mod clean;
mod compose;
mod language;
mod view;

#[cfg(test)]
mod tests;

use jiff::civil::Date;
use seatkeeper_domain::color::Color;

pub use compose::LetterWriter;
pub use language::{MailLanguage, available_languages, resolve_language};

use language::Template;
use view::View;

/// All that one mail says, borrowed from whoever knows it.
///
/// It has no `Debug`: it can hold a live link or a password.
#[derive(Clone)]
pub struct Letter<'a> {
    /// Which mail it is, with what only that kind carries.
    pub kind: LetterKind<'a>,
    /// The client in whose name it is sent.
    pub brand: Brand<'a>,
    /// The reader's address; for a learner, it is also what they sign in with.
    pub email: &'a str,
    /// The learner's first name, where known.
    pub first_name: Option<&'a str>,
    /// Who invited the learner or created the account, where a person did.
    pub inviter: Option<&'a str>,
    /// A personal message of the inviter; line breaks are kept.
    pub message: Option<&'a str>,
    /// The last day of access, where there is one.
    pub access_until: Option<Date>,
    /// Where a learner signs in: an `http` or `https` address.
    pub sign_in_url: &'a str,
    /// Who reads this mail.
    pub reader: Reader,
}

/// Who reads a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whom it is for.
    Learner,
    /// The administrator who asked for a copy: it says so, and has neither link nor password.
    CopyToAdministrator,
}

/// Which mail it is, with what only that kind carries.
#[derive(Clone, Copy)]
pub enum LetterKind<'a> {
    /// An invitation to fill in name and password.
    Invitation(Link<'a>),
    /// An account was created; the learner chooses the password.
    AccountCreatedLink(Link<'a>),
    /// An account was created with this generated password, to be changed at first sign-in.
    AccountCreatedPassword {
        /// The generated password.
        password: &'a str,
    },
    /// An account was created and its password is given by the administrator, not by mail.
    AccountCreated,
    /// An existing account was given access; with a link while it has no password.
    Added(Option<Link<'a>>),
    /// The start date has come.
    AccessOpened(FirstSignIn<'a>),
    /// A code was redeemed with an address that has to be proven.
    AddressProof(Link<'a>),
    /// A code was redeemed.
    Redeemed,
    /// Someone asked for a new password.
    PasswordReset(Link<'a>),
    /// A seat that nobody uses goes back.
    SeatUnused {
        /// The last day on which coming in keeps it.
        until: Date,
        /// Where a password is chosen, if there is none yet.
        link: Option<Link<'a>>,
    },
    /// An invitation still waits for its answer.
    Reminder {
        /// Where it is answered.
        link: Link<'a>,
        /// Where reminders are stopped: an `http` or `https` address.
        unsubscribe_url: &'a str,
    },
    /// A code to redeem.
    CodeSent {
        /// The code, as a person would type it.
        code: &'a str,
        /// The page where it is redeemed, with the code filled in.
        url: &'a str,
        /// The last day on which it can be redeemed.
        redeem_until: Option<Date>,
    },
    /// An import ended. It goes to whoever uploaded the file.
    ImportFinished(ImportNews<'a>),
    /// A contract's stock runs low. It goes to those who look after it.
    StockLow {
        /// The contract's reference.
        contract: &'a str,
        /// Seats still available.
        available: u64,
        /// Seats bought.
        total: u64,
        /// The day on which none is left at the present rate.
        empty_on: Option<Date>,
    },
    /// A contract comes to its end. It goes to those who look after it.
    ContractEnding {
        /// The contract's reference.
        contract: &'a str,
        /// Its last day.
        ends_on: Date,
        /// Whether learners lose their access then.
        stops_access: bool,
        /// The last day of that access, if it is a later one.
        access_until: Option<Date>,
        /// Seats in use.
        used: u64,
        /// Seats bought.
        total: u64,
        /// Invitations without an answer.
        invitations: u64,
        /// Whether there may be more of them.
        at_least: bool,
        /// Seats that open on a later date.
        scheduled: u64,
    },
    /// Accounts will be erased. It goes to those who look after the client's contracts.
    Erasure {
        /// On this day.
        on: Date,
    },
}

/// What became of an uploaded file.
#[derive(Debug, Clone, Copy)]
pub struct ImportNews<'a> {
    /// The file's name.
    pub file: &'a str,
    /// How it ended.
    pub ending: ImportEnding,
    /// Whether there is a report of what went wrong.
    pub has_report: bool,
    /// Data rows in the file.
    pub rows: u64,
    /// Accounts made.
    pub created: u64,
    /// People invited.
    pub invited: u64,
    /// Seats that open on a later date.
    pub scheduled: u64,
    /// Accounts changed.
    pub updated: u64,
    /// Rows that had nothing to do.
    pub skipped: u64,
    /// Rows that were not imported.
    pub failed: u64,
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportEnding {
    /// Every row has its outcome.
    Completed,
    /// The file could not be read.
    Rejected,
    /// It could be read, but was not imported.
    Refused,
}

/// How a learner whose start date has come gets in.
#[derive(Clone, Copy)]
pub enum FirstSignIn<'a> {
    /// The learner still has to choose a password.
    Link(Link<'a>),
    /// With this generated password, to be changed at first sign-in.
    Password(&'a str),
    /// With the password they have.
    AsUsual,
}

/// A personal link and its last day.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// An `http` or `https` address.
    pub url: &'a str,
    /// The last day on which the link works.
    pub expires_on: Date,
}

/// How a client looks in mails.
#[derive(Debug, Clone, Copy)]
pub struct Brand<'a> {
    /// The client's name.
    pub name: &'a str,
    /// The client's color, or [`Color::DEFAULT`].
    pub color: Color,
    /// The client's logo, shown if its address begins with `https://`.
    pub logo_url: Option<&'a str>,
    /// The sender's name, if it is not the client's.
    pub from_name: Option<&'a str>,
}

/// A mail, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject: one line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The sender's name, safe as the display name of a `From` header once encoded: one line, no
    /// control or direction character.
    pub from_name: String,
    /// Where such mails are stopped, for the `List-Unsubscribe` header.
    pub unsubscribe_url: Option<String>,
}

/// A template could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("the mail could not be rendered")]
pub struct RenderError(#[from] askama::Error);

/// Renders a letter in a language.
pub fn render(letter: &Letter<'_>, language: MailLanguage) -> Result<Rendered, RenderError> {
    let view = View::new(letter, language);
    let parts = language.parts(letter.kind.template(), &view)?;
    Ok(Rendered {
        subject: clean::line(&parts.subject, clean::SUBJECT_MAX),
        text: clean::tidy_text(&parts.text),
        html: clean::without_blank_lines(&parts.html),
        from_name: view.from_name,
        unsubscribe_url: view.unsubscribe_url,
    })
}

impl LetterKind<'_> {
    fn template(&self) -> Template {
        match self {
            Self::Invitation(_) => Template::Invitation,
            Self::AccountCreatedLink(_) => Template::AccountCreatedLink,
            Self::AccountCreatedPassword { .. } => Template::AccountCreatedPassword,
            Self::AccountCreated => Template::AccountCreated,
            Self::Added(_) => Template::Added,
            Self::AccessOpened(_) => Template::AccessOpened,
            Self::AddressProof(_) => Template::AddressProof,
            Self::Redeemed => Template::Redeemed,
            Self::PasswordReset(_) => Template::PasswordReset,
            Self::SeatUnused { .. } => Template::SeatUnused,
            Self::Reminder { .. } => Template::Reminder,
            Self::CodeSent { .. } => Template::CodeSent,
            Self::ImportFinished(_) => Template::ImportFinished,
            Self::StockLow { .. } => Template::StockLow,
            Self::ContractEnding { .. } => Template::ContractEnding,
            Self::Erasure { .. } => Template::Erasure,
        }
    }
}
