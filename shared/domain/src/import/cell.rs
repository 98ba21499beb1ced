//! Cells and rows as a file has them, before any rule is applied.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Index, IndexMut};

use jiff::civil::Date;

use super::Field;

/// One cell's stored value.
///
/// `Debug` shows the kind and no content: cells hold names, addresses and passwords.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Cell {
    /// Nothing, or nothing but invisible characters.
    #[default]
    Blank,
    /// Text: trimmed (passwords excepted), with LF as its only line break.
    Text(String),
    /// A number as its decimal digits, whatever its format shows.
    Number(String),
    /// A date; its time, if any, is dropped.
    Date(Date),
    /// A truth value.
    Bool(bool),
    /// An error such as `#N/A`.
    Error,
}

impl Cell {
    /// Whether there is nothing to read.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Blank)
    }

    /// The cell as text: a date in ISO form, a truth value as `TRUE` or `FALSE`; `None` for a
    /// blank or an error.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Blank | Self::Error => None,
            Self::Text(text) | Self::Number(text) => Some(Cow::Borrowed(text)),
            Self::Date(date) => Some(Cow::Owned(date.to_string())),
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "TRUE" } else { "FALSE" })),
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "Blank",
            Self::Text(_) => "Text(…)",
            Self::Number(_) => "Number(…)",
            Self::Date(_) => "Date(…)",
            Self::Bool(_) => "Bool(…)",
            Self::Error => "Error",
        })
    }
}

/// The recognized cells of a row; a column that the file lacks is blank.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cells([Cell; Field::COUNT]);

impl Cells {
    /// Whether every recognized cell is blank.
    pub fn are_blank(&self) -> bool {
        self.0.iter().all(Cell::is_blank)
    }
}

impl Index<Field> for Cells {
    type Output = Cell;

    fn index(&self, field: Field) -> &Cell {
        &self.0[field as usize]
    }
}

impl IndexMut<Field> for Cells {
    fn index_mut(&mut self, field: Field) -> &mut Cell {
        &mut self.0[field as usize]
    }
}

/// A row that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// The sheet's own line, 1-based; in csv the record's number.
    pub line: u32,
    /// Whether the sheet hides it. It counts all the same.
    pub hidden: bool,
    /// The recognized cells.
    pub cells: Cells,
    /// The cells of the ignored columns, in the order of those columns; kept for the report.
    pub ignored: Vec<Cell>,
}
