//! A row of any format, under the limits that hold for all of them.

use seatkeeper_domain::import::{Cell, trim_invisible};

use crate::limits::{MAX_CELL_BYTES, MAX_COLUMNS};
use crate::reject::{RejectCode, Rejection};

/// A row while it is read: what holds no value was never put in.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) line: u32,
    pub(crate) hidden: bool,
    /// By column; texts are as stored, not trimmed yet.
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Begins the next row in the same memory.
    pub(crate) fn begin(&mut self, line: u32, hidden: bool) {
        self.line = line;
        self.hidden = hidden;
        self.cells.clear();
    }

    /// Whether it holds no value.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Puts a text in, unless nothing of it is visible.
    pub(crate) fn put_text(&mut self, column: usize, text: &str) -> Result<(), Rejection> {
        let trimmed = trim_invisible(text);
        if trimmed.is_empty() {
            return Ok(());
        }
        if trimmed.len() > MAX_CELL_BYTES {
            return Err(self.refuse_long(column));
        }
        self.put(column, Cell::Text(text.to_owned()))
    }

    /// The refusal of a cell that is too long.
    pub(crate) fn refuse_long(&self, column: usize) -> Rejection {
        Rejection::at(RejectCode::CellTooLong, self.line, column)
    }

    /// Puts a value in.
    pub(crate) fn put(&mut self, column: usize, cell: Cell) -> Result<(), Rejection> {
        if column >= MAX_COLUMNS {
            return Err(Rejection::at(RejectCode::TooManyColumns, self.line, column));
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::Blank);
        }
        self.cells[column] = cell;
        Ok(())
    }
}
