//! How much of a file is read before it is refused.

/// What a file may be. Nothing that a file declares about itself is believed: all of this is
/// measured while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the file.
    pub max_bytes: usize,
    /// Most bytes that the parts which are read may inflate to, together.
    pub max_inflated: u64,
    /// Most data rows.
    pub max_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 10 << 20, max_inflated: 100 << 20, max_rows: 10_000 }
    }
}

/// Most columns that may hold a value.
pub(crate) const MAX_COLUMNS: usize = 64;
/// Most bytes of a cell, trimmed.
pub(crate) const MAX_CELL_BYTES: usize = 4096;
/// Rows in which a header is looked for, by the sheet's own numbers.
pub(crate) const HEADER_ROWS: u32 = 20;
/// The last row that any spreadsheet program knows.
pub(crate) const LAST_ROW: u32 = 1_048_576;
