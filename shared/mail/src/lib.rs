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
    /// The learner's address, which is also what they sign in with.
    pub email: &'a str,
    /// The learner's first name, where known.
    pub first_name: Option<&'a str>,
    /// Who invited the learner or created the account, where a person did.
    pub inviter: Option<&'a str>,
    /// A personal message of the inviter; line breaks are kept.
    pub message: Option<&'a str>,
    /// The last day of access, where there is one.
    pub access_until: Option<Date>,
    /// Where the learner signs in: an `http` or `https` address.
    pub sign_in_url: &'a str,
    /// Who reads this mail.
    pub reader: Reader,
}

/// Who reads a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The learner.
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
    /// A code was redeemed.
    Redeemed,
    /// Someone asked for a new password.
    PasswordReset(Link<'a>),
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
}

/// A template could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("the mail could not be rendered")]
pub struct RenderError(#[from] askama::Error);

/// Renders a letter in a language.
pub fn render(letter: &Letter<'_>, language: MailLanguage) -> Result<Rendered, RenderError> {
    let view = View::new(letter, language);
    let parts = language.parts(&letter.kind, &view)?;
    Ok(Rendered {
        subject: clean::line(&parts.subject, clean::SUBJECT_MAX),
        text: clean::tidy_text(&parts.text),
        html: clean::without_blank_lines(&parts.html),
        from_name: view.from_name,
    })
}
