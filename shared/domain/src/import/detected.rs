//! What a file turned out to be.

use serde::{Deserialize, Serialize};

use super::Field;

/// A spreadsheet format, judged from the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Office Open XML.
    Xlsx,
    /// Separated text, whatever the separator.
    Csv,
    /// `OpenDocument`.
    Ods,
    /// Excel 5.0 to 2003.
    Xls,
}

/// What was read, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// The format.
    pub format: FileFormat,
    /// The text encoding's WHATWG label in lower case; `None` for workbooks.
    pub encoding: Option<String>,
    /// The separator; `None` for a single column and for workbooks.
    pub delimiter: Option<char>,
    /// The sheet's name; `None` for text.
    pub sheet: Option<String>,
    /// The header's line; `None` for a plain list of addresses.
    pub header_row: Option<u32>,
    /// The columns with a heading, from left to right; none for a plain list.
    pub columns: Vec<DetectedColumn>,
    /// Lines above the header.
    pub rows_above: u32,
    /// Data rows that the sheet hides.
    pub hidden_rows: u32,
}

/// A column with a heading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectedColumn {
    /// The heading, trimmed.
    pub heading: String,
    /// What it was recognized as; `None` when it is ignored.
    pub field: Option<Field>,
    /// What to do about it, if something should be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<ColumnHint>,
}

/// Advice about an ignored column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnHint {
    /// A full name is not taken apart: give a first name and a last name.
    SplitName,
}

impl Detected {
    /// The headings of the ignored columns, in order.
    pub fn ignored_columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .filter(|column| column.field.is_none())
            .map(|column| column.heading.as_str())
    }
}
