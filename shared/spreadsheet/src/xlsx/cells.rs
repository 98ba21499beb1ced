//! The cells of a worksheet, as calamine gives them, to rows.

use std::io::{Read, Seek};

use calamine::{Cell, CellErrorType, DataRef, XlsxCellReader, XlsxError};
use seatkeeper_domain::import::Cell as Value;

use super::guard::Rest;
use crate::limits::LAST_ROW;
use crate::number::{DateSystem, digits, iso_date};
use crate::reject::Rejection;
use crate::row::Row;
use crate::table::{Flow, Table};

/// Gives a worksheet's rows that have cells to the table, from the first one on that is not plain,
/// to the end or until the table leaves.
pub(super) fn read<R: Read + Seek>(
    mut cells: XlsxCellReader<'_, R>,
    rest: &Rest,
    dates: DateSystem,
    table: &mut Table<'_>,
) -> Result<(), Rejection> {
    let mut hidden = rest.hidden.iter().copied().peekable();
    let mut unknown_errors = rest.unknown_errors.iter();
    let mut row = Row::default();
    loop {
        let cell = match cells.next_cell() {
            Ok(Some(cell)) => cell,
            Ok(None) => break,
            // The text of an error that calamine does not know; the guard knows where it stands.
            Err(XlsxError::CellError(_)) => {
                let (line, column) = *unknown_errors.next().ok_or_else(Rejection::unreadable)?;
                Cell::new((line - 1, column), DataRef::Error(CellErrorType::Value))
            }
            Err(_) => return Err(Rejection::unreadable()),
        };
        let (row_index, column) = cell.get_position();
        let line = row_index.saturating_add(1);
        if line < rest.from {
            continue;
        }
        if line != row.line {
            if line < row.line || line > LAST_ROW {
                return Err(Rejection::unreadable());
            }
            if row.line > 0 && table.row(&mut row)? == Flow::LeaveSheet {
                return Ok(());
            }
            while hidden.next_if(|hidden| *hidden < line).is_some() {}
            row.begin(line, hidden.peek() == Some(&line));
        }
        put(&mut row, column as usize, cell.get_value(), dates)?;
    }
    if row.line > 0 {
        table.row(&mut row)?;
    }
    Ok(())
}

fn put(
    row: &mut Row,
    column: usize,
    value: &DataRef<'_>,
    dates: DateSystem,
) -> Result<(), Rejection> {
    let value = match value {
        DataRef::Empty => return Ok(()),
        DataRef::SharedString(text) => return put_text(row, column, text),
        DataRef::String(text) | DataRef::DurationIso(text) => return put_text(row, column, text),
        DataRef::DateTimeIso(text) => match iso_date(text.trim_ascii()) {
            Some(date) => Value::Date(date),
            None => return put_text(row, column, text),
        },
        DataRef::DateTime(moment) => dates.cell(moment.as_f64()),
        DataRef::Float(number) => Value::Number(digits(*number)),
        DataRef::Int(number) => Value::Number(number.to_string()),
        DataRef::Bool(truth) => Value::Bool(*truth),
        DataRef::Error(_) => Value::Error,
    };
    row.put(column, value)
}

/// A text may hold a NUL that the guard did not see: one that was escaped.
fn put_text(row: &mut Row, column: usize, text: &str) -> Result<(), Rejection> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Rejection::unreadable());
    }
    row.put_text(column, text)
}
