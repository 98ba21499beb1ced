//! Why a file is refused as a whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of refusal; their kebab-case names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectCode {
    /// Not a spreadsheet this reads, or a workbook with macros.
    UnsupportedFormat,
    /// Protected by a password.
    EncryptedFile,
    /// Broken, empty, or built to deceive.
    UnreadableFile,
    /// More bytes than [`Limits::max_bytes`](crate::Limits::max_bytes).
    FileTooLarge,
    /// Its parts inflate beyond [`Limits::max_inflated`](crate::Limits::max_inflated).
    InflatesTooLarge,
    /// More data rows than [`Limits::max_rows`](crate::Limits::max_rows).
    TooManyRows,
    /// A value beyond the 64th column.
    TooManyColumns,
    /// A cell over 4,096 bytes.
    CellTooLong,
    /// Neither a header with an e-mail column nor a plain list of addresses.
    EmailColumnMissing,
}

/// A text is no code of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown code of a refused file")]
pub struct UnknownRejectCode;

impl RejectCode {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::UnsupportedFormat,
        Self::EncryptedFile,
        Self::UnreadableFile,
        Self::FileTooLarge,
        Self::InflatesTooLarge,
        Self::TooManyRows,
        Self::TooManyColumns,
        Self::CellTooLong,
        Self::EmailColumnMissing,
    ];

    /// The code as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedFormat => "unsupported-format",
            Self::EncryptedFile => "encrypted-file",
            Self::UnreadableFile => "unreadable-file",
            Self::FileTooLarge => "file-too-large",
            Self::InflatesTooLarge => "inflates-too-large",
            Self::TooManyRows => "too-many-rows",
            Self::TooManyColumns => "too-many-columns",
            Self::CellTooLong => "cell-too-long",
            Self::EmailColumnMissing => "email-column-missing",
        }
    }
}

impl FromStr for RejectCode {
    type Err = UnknownRejectCode;

    fn from_str(text: &str) -> Result<Self, UnknownRejectCode> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(UnknownRejectCode)
    }
}

/// A refusal of a file. It repeats nothing of the file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Why.
    pub code: RejectCode,
    /// The line it happened on, where one is to blame.
    pub line: Option<u32>,
    /// The column's letters, where one is to blame.
    pub column: Option<String>,
}

impl Rejection {
    pub(crate) fn at(code: RejectCode, line: u32, column: usize) -> Self {
        Self { code, line: Some(line), column: Some(column_letters(column)) }
    }

    pub(crate) fn on_line(code: RejectCode, line: u32) -> Self {
        Self { code, line: Some(line), column: None }
    }

    pub(crate) fn unreadable() -> Self {
        RejectCode::UnreadableFile.into()
    }
}

impl From<RejectCode> for Rejection {
    fn from(code: RejectCode) -> Self {
        Self { code, line: None, column: None }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

/// The letters above a 0-based column: `A` to `Z`, `AA`, …
fn column_letters(column: usize) -> String {
    const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut letters = String::new();
    let mut rest = column + 1;
    while rest > 0 {
        letters.insert(0, char::from(LETTERS[(rest - 1) % 26]));
        rest = (rest - 1) / 26;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_spreadsheets_name_them() {
        let names = [0, 25, 26, 63, 701, 702, 16_383].map(column_letters);
        assert_eq!(names, ["A", "Z", "AA", "BL", "ZZ", "AAA", "XFD"]);
    }

    #[test]
    fn codes_read_back_and_are_those_of_the_api() {
        for code in RejectCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert_eq!("no-seats-left".parse::<RejectCode>(), Err(UnknownRejectCode));
    }
}
