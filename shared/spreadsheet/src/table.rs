//! Rows of sheets to rows of learners: finds the header, then passes the data rows on.

use seatkeeper_domain::import::{Cell, Cells, Field, RawRow, trim_invisible};

use crate::header::{Header, Target};
use crate::limits::HEADER_ROWS;
use crate::reject::{RejectCode, Rejection};
use crate::row::Row;

/// What the reader of a sheet does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Give the next row.
    Continue,
    /// Leave this sheet: its header is not among its first rows.
    LeaveSheet,
}

/// The table being read, across the sheets of a file.
pub(crate) struct Table<'v> {
    max_rows: u32,
    visit: &'v mut dyn FnMut(RawRow),
    state: State,
    saw_value: bool,
    rows: u32,
    hidden_rows: u32,
}

enum State {
    /// No header yet.
    Searching,
    /// Data rows.
    Reading { header: Header, header_row: Option<u32> },
}

/// A table that was read to its end.
pub(crate) struct Finished {
    pub(crate) header: Header,
    /// `None` for a plain list.
    pub(crate) header_row: Option<u32>,
    pub(crate) rows: u32,
    pub(crate) hidden_rows: u32,
}

impl<'v> Table<'v> {
    pub(crate) fn new(max_rows: u32, visit: &'v mut dyn FnMut(RawRow)) -> Self {
        Self { max_rows, visit, state: State::Searching, saw_value: false, rows: 0, hidden_rows: 0 }
    }

    /// Whether the header was found: this sheet is the one.
    pub(crate) fn is_found(&self) -> bool {
        matches!(self.state, State::Reading { .. })
    }

    /// Whether any row held a value.
    pub(crate) fn saw_value(&self) -> bool {
        self.saw_value
    }

    /// Reads what follows as a plain list of addresses.
    pub(crate) fn expect_plain_list(&mut self) {
        self.state = State::Reading { header: Header::of_plain_list(), header_row: None };
    }

    /// Takes the next row of a sheet; its cells are moved out.
    pub(crate) fn row(&mut self, row: &mut Row) -> Result<Flow, Rejection> {
        match &self.state {
            State::Searching => Ok(self.search(row)),
            State::Reading { header, header_row } => {
                if header_row.is_none() && !may_be_listed(row) {
                    return Err(RejectCode::EmailColumnMissing.into());
                }
                if let Some(raw) = to_raw(header, row) {
                    self.pass_on(raw)?;
                }
                Ok(Flow::Continue)
            }
        }
    }

    fn search(&mut self, row: &Row) -> Flow {
        self.saw_value |= !row.is_empty();
        if row.line > HEADER_ROWS {
            return Flow::LeaveSheet;
        }
        if let Some(header) = Header::recognize(&row.cells) {
            self.state = State::Reading { header, header_row: Some(row.line) };
        }
        Flow::Continue
    }

    fn pass_on(&mut self, raw: RawRow) -> Result<(), Rejection> {
        if self.rows == self.max_rows {
            return Err(Rejection::on_line(RejectCode::TooManyRows, raw.line));
        }
        self.rows += 1;
        self.hidden_rows += u32::from(raw.hidden);
        (self.visit)(raw);
        Ok(())
    }

    /// The table, at the end of its sheet. A plain list without an address is none.
    pub(crate) fn finish(self) -> Result<Finished, Rejection> {
        let missing = if self.saw_value {
            RejectCode::EmailColumnMissing
        } else {
            RejectCode::UnreadableFile
        };
        match self.state {
            State::Reading { header, header_row } if header_row.is_some() || self.rows > 0 => {
                Ok(Finished { header, header_row, rows: self.rows, hidden_rows: self.hidden_rows })
            }
            _ => Err(missing.into()),
        }
    }
}

/// Whether the first cell of a plain list's row is blank or could be an address.
fn may_be_listed(row: &Row) -> bool {
    match row.cells.first() {
        None | Some(Cell::Blank) => true,
        Some(Cell::Text(text)) => text.contains('@'),
        Some(_) => false,
    }
}

/// The row under its header; `None` when its recognized cells are blank.
fn to_raw(header: &Header, row: &mut Row) -> Option<RawRow> {
    let recognized =
        |(target, cell): (&Target, &Cell)| matches!(target, Target::Field(_)) && !cell.is_blank();
    if !header.targets.iter().zip(&row.cells).any(recognized) {
        return None;
    }
    let mut cells = Cells::default();
    let mut ignored = Vec::new();
    for (column, target) in header.targets.iter().enumerate() {
        let cell = row.cells.get_mut(column).map(std::mem::take).unwrap_or_default();
        match target {
            Target::Nothing => {}
            Target::Field(Field::Password) => cells[Field::Password] = cell,
            Target::Field(field) => cells[*field] = tidy(cell),
            Target::Ignored => ignored.push(tidy(cell)),
        }
    }
    Some(RawRow { line: row.line, hidden: row.hidden, cells, ignored })
}

/// The cell with its text trimmed and its line breaks single.
fn tidy(cell: Cell) -> Cell {
    let Cell::Text(text) = cell else { return cell };
    let trimmed = trim_invisible(&text);
    if trimmed.contains('\r') {
        return Cell::Text(trimmed.replace("\r\n", "\n"));
    }
    if trimmed.len() == text.len() { Cell::Text(text) } else { Cell::Text(trimmed.to_owned()) }
}
