//! What can be wrong with a row.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Field;
use crate::contract::WindowError;

/// One thing wrong with a row. It repeats nothing of the row's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowError {
    /// Where.
    pub column: Field,
    /// What.
    pub code: RowErrorCode,
}

/// The kinds of row errors; their kebab-case names are part of the API.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum RowErrorCode {
    /// The address is blank.
    #[error("an e-mail address is missing")]
    MissingEmail,
    /// The address is none that mail can be sent to.
    #[error("expected one address like name@example.com")]
    InvalidEmail,
    /// Not a date, or none of the accepted forms.
    #[error("expected a date like 2027-03-01")]
    InvalidDate,
    /// A date before the contract begins or after it ends.
    #[error("the date is outside the contract")]
    OutsideContract,
    /// An end before the start or today, or a deletion before the end.
    #[error("the end is before the start, or the deletion before the end")]
    EndBeforeStart,
    /// An end date and a duration together.
    #[error("give an end date or a duration, not both")]
    ConflictingEnd,
    /// Not a whole number above 0.
    #[error("expected a whole number of days above 0")]
    InvalidDuration,
    /// Not a language of this stack.
    #[error("this language is not offered")]
    UnknownLanguage,
    /// Not a group of the client that the caller sees.
    #[error("there is no such group")]
    UnknownGroup,
    /// Unknown, or not the caller's to give.
    #[error("this role is unknown or may not be given")]
    RoleNotAllowed,
    /// Neither yes nor no.
    #[error("expected yes or no")]
    InvalidNotify,
    /// The policy refuses the password.
    #[error("the password is too weak")]
    WeakPassword,
    /// People who are invited choose their own password.
    #[error("an invitation carries no password")]
    PasswordNotAllowed,
    /// An error cell where a text belongs.
    #[error("the cell holds an error")]
    InvalidCell,
    /// The person has a seat or invitation here, and the import was told to refuse that.
    #[error("this person already has a seat or an invitation here")]
    AlreadyExists,
}

impl From<WindowError> for RowErrorCode {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::OutsideContract => Self::OutsideContract,
            WindowError::EndBeforeStart => Self::EndBeforeStart,
        }
    }
}

impl RowErrorCode {
    /// The code as the API and the report show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingEmail => "missing-email",
            Self::InvalidEmail => "invalid-email",
            Self::InvalidDate => "invalid-date",
            Self::OutsideContract => "outside-contract",
            Self::EndBeforeStart => "end-before-start",
            Self::ConflictingEnd => "conflicting-end",
            Self::InvalidDuration => "invalid-duration",
            Self::UnknownLanguage => "unknown-language",
            Self::UnknownGroup => "unknown-group",
            Self::RoleNotAllowed => "role-not-allowed",
            Self::InvalidNotify => "invalid-notify",
            Self::WeakPassword => "weak-password",
            Self::PasswordNotAllowed => "password-not-allowed",
            Self::InvalidCell => "invalid-cell",
            Self::AlreadyExists => "already-exists",
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.column, self.code.as_str())
    }
}
