//! The rows of a worksheet substream.

use std::collections::HashSet;

use seatkeeper_domain::import::Cell;

use super::biff::{Reader, Record, Records, kind};
use super::globals::Globals;
use crate::number::{DateSystem, digits};
use crate::reject::Rejection;
use crate::row::Row;
use crate::table::{Flow, Table};

/// Gives the rows of the substream that begins at `at`. Rows have to come in order.
pub(super) fn read(
    stream: &[u8],
    at: usize,
    globals: &Globals,
    table: &mut Table<'_>,
) -> Result<(), Rejection> {
    let records = Records::new(stream, at)?;
    let hidden = hidden_rows(records.clone())?;
    let mut sheet = SheetRows { globals, table, hidden, row: Row::default(), formula: None };
    let mut cells = Cells::new(records);
    while let Some(record) = cells.next()? {
        if sheet.record(record)? == Flow::LeaveSheet {
            return Ok(());
        }
    }
    sheet.give()?;
    Ok(())
}

/// The records of a substream without those of the charts embedded in it.
struct Cells<'s> {
    records: Records<'s>,
    depth: usize,
}

impl<'s> Cells<'s> {
    fn new(records: Records<'s>) -> Self {
        Self { records, depth: 0 }
    }

    fn next(&mut self) -> Result<Option<Record<'s>>, Rejection> {
        loop {
            let record = self.records.next()?;
            match record.kind {
                kind::BOF => self.depth += 1,
                kind::EOF if self.depth <= 1 => return Ok(None),
                kind::EOF => self.depth -= 1,
                _ if self.depth == 1 => return Ok(Some(record)),
                _ if self.depth == 0 => return Err(Rejection::unreadable()),
                _ => {}
            }
        }
    }
}

/// Rows that are hidden; their records may come behind their cells.
fn hidden_rows(records: Records<'_>) -> Result<HashSet<u16>, Rejection> {
    let mut hidden = HashSet::new();
    let mut cells = Cells::new(records);
    while let Some(record) = cells.next()? {
        if record.kind == kind::ROW {
            let mut reader = Reader::new(record.data);
            let row = reader.u16()?;
            reader.take(10)?;
            if reader.u16()? & 0x20 != 0 {
                hidden.insert(row);
            }
        }
    }
    Ok(hidden)
}

/// Rows being put together from cells.
struct SheetRows<'a, 't, 'v> {
    globals: &'a Globals,
    table: &'t mut Table<'v>,
    hidden: HashSet<u16>,
    row: Row,
    /// The column of the formula whose text comes next.
    formula: Option<usize>,
}

impl SheetRows<'_, '_, '_> {
    fn record(&mut self, record: Record<'_>) -> Result<Flow, Rejection> {
        let mut reader = Reader::new(record.data);
        match record.kind {
            kind::STRING => {
                if let Some(column) = self.formula.take() {
                    let text = self.globals.texts.read(&mut reader)?;
                    self.put_text(column, &text)?;
                }
                Ok(Flow::Continue)
            }
            kind::NUMBER
            | kind::RK
            | kind::MUL_RK
            | kind::LABEL
            | kind::R_STRING
            | kind::LABEL_SST
            | kind::BOOL_ERR
            | kind::FORMULA => {
                if self.turn_to(reader.u16()?)? == Flow::LeaveSheet {
                    return Ok(Flow::LeaveSheet);
                }
                let column = usize::from(reader.u16()?);
                self.value(record.kind, column, &mut reader)?;
                Ok(Flow::Continue)
            }
            _ => Ok(Flow::Continue),
        }
    }

    /// Gives the row so far if the next cell is in a later one.
    fn turn_to(&mut self, index: u16) -> Result<Flow, Rejection> {
        let line = u32::from(index) + 1;
        if line == self.row.line {
            return Ok(Flow::Continue);
        }
        if line < self.row.line {
            return Err(Rejection::unreadable());
        }
        let flow = self.give()?;
        self.row.begin(line, self.hidden.contains(&index));
        Ok(flow)
    }

    fn give(&mut self) -> Result<Flow, Rejection> {
        if self.row.line == 0 {
            return Ok(Flow::Continue);
        }
        self.table.row(&mut self.row)
    }

    fn value(
        &mut self,
        kind: u16,
        column: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), Rejection> {
        if kind == kind::MUL_RK {
            return self.several_numbers(column, reader);
        }
        let format = reader.u16()?;
        match kind {
            kind::NUMBER => {
                let number = reader.f64()?;
                self.put_number(column, format, number)
            }
            kind::RK => {
                let number = reader.rk()?;
                self.put_number(column, format, number)
            }
            kind::LABEL | kind::R_STRING => {
                let text = self.globals.texts.read(reader)?;
                self.put_text(column, &text)
            }
            kind::LABEL_SST => {
                let index = reader.u32()? as usize;
                let globals = self.globals;
                let text = globals.strings.get(index).ok_or_else(Rejection::unreadable)?;
                self.put_text(column, text)
            }
            kind::BOOL_ERR => {
                let (value, is_error) = (reader.u8()?, reader.u8()? != 0);
                let cell = if is_error { Cell::Error } else { Cell::Bool(value != 0) };
                self.row.put(column, cell)
            }
            _ => self.formula_value(column, format, reader),
        }
    }

    /// A run of numbers, each with its format; the last column's number ends the record.
    fn several_numbers(&mut self, column: usize, reader: &mut Reader<'_>) -> Result<(), Rejection> {
        let mut column = column;
        while reader.rest.len() >= 6 {
            let format = reader.u16()?;
            let number = reader.rk()?;
            self.put_number(column, format, number)?;
            column += 1;
        }
        Ok(())
    }

    /// A formula's stored value ([MS-XLS] 2.5.133).
    fn formula_value(
        &mut self,
        column: usize,
        format: u16,
        reader: &mut Reader<'_>,
    ) -> Result<(), Rejection> {
        let value = reader.take(8)?;
        self.formula = None;
        let cell = match value {
            [0, .., 0xff, 0xff] => {
                self.formula = Some(column);
                return Ok(());
            }
            [1, _, truth, .., 0xff, 0xff] => Cell::Bool(*truth != 0),
            [2, .., 0xff, 0xff] => Cell::Error,
            [_, .., 0xff, 0xff] => return Ok(()),
            number => {
                let number = Reader::new(number).f64()?;
                return self.put_number(column, format, number);
            }
        };
        self.row.put(column, cell)
    }

    fn put_number(&mut self, column: usize, format: u16, number: f64) -> Result<(), Rejection> {
        if !number.is_finite() {
            return Err(Rejection::unreadable());
        }
        let is_date = self.globals.is_date(format)?;
        let dates: DateSystem = self.globals.dates;
        let cell = if is_date { dates.cell(number) } else { Cell::Number(digits(number)) };
        self.row.put(column, cell)
    }

    fn put_text(&mut self, column: usize, text: &str) -> Result<(), Rejection> {
        if text.contains('\0') {
            return Err(Rejection::unreadable());
        }
        self.row.put_text(column, text)
    }
}
