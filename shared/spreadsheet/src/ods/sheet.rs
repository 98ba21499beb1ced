//! The rows of a `table:table` element.

use std::borrow::Cow;

use seatkeeper_domain::import::Cell;

use crate::limits::{LAST_ROW, MAX_COLUMNS};
use crate::number::{digits_of, iso_date};
use crate::reject::Rejection;
use crate::row::Row;
use crate::table::{Flow, Table};
use crate::xml::{Event, Scanner, unescaped};

/// A cell's attributes.
#[derive(Default)]
struct CellHead {
    kind: Kind,
    /// The value as an attribute; texts are usually in paragraphs instead.
    value: Option<String>,
    repeated: u32,
}

/// How a cell's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Blank,
    Text,
    Number,
    Date,
    Bool,
    Error,
}

/// Gives the rows of the table that began just now, and reads to its end.
pub(super) fn read(scanner: &mut Scanner<'_>, table: &mut Table<'_>) -> Result<(), Rejection> {
    let mut row = Row::default();
    let mut line = 1;
    let mut leaves = false;
    loop {
        let event = scanner.next()?;
        match (event, scanner.name()) {
            (Event::End, b"table:table") => return Ok(()),
            (Event::Eof, _) => return Err(Rejection::unreadable()),
            (Event::Start, b"table:table-row") if !leaves => {
                let (repeated, hidden) = row_head(scanner)?;
                row.begin(line, hidden);
                read_row(scanner, &mut row)?;
                leaves = give(&mut row, repeated, table)? == Flow::LeaveSheet;
                line = line.saturating_add(repeated);
            }
            // Rows stand in groups and header blocks too.
            (
                Event::Start,
                b"table:table-header-rows" | b"table:table-row-group" | b"table:table-rows",
            ) if !leaves => {}
            (Event::Start, _) => scanner.skip_element()?,
            (Event::End, _) => {}
        }
    }
}

/// How often the row stands there, and whether it is hidden.
fn row_head(scanner: &Scanner<'_>) -> Result<(u32, bool), Rejection> {
    let repeated = repetition(scanner.attribute(b"table:number-rows-repeated")?.as_deref())?;
    let visibility = scanner.attribute(b"table:visibility")?;
    Ok((repeated, visibility.is_some_and(|visibility| visibility != "visible")))
}

/// Gives a row as often as it stands there. An empty one is given once at most, however often it
/// claims to be repeated.
fn give(row: &mut Row, repeated: u32, table: &mut Table<'_>) -> Result<Flow, Rejection> {
    if row.is_empty() {
        return table.row(row);
    }
    let last = row.line.saturating_add(repeated - 1);
    if last > LAST_ROW {
        return Err(Rejection::unreadable());
    }
    for line in row.line..last {
        let mut copy = row.clone();
        copy.line = line;
        if table.row(&mut copy)? == Flow::LeaveSheet {
            return Ok(Flow::LeaveSheet);
        }
    }
    row.line = last;
    table.row(row)
}

fn read_row(scanner: &mut Scanner<'_>, row: &mut Row) -> Result<(), Rejection> {
    let mut column = 0_usize;
    loop {
        let event = scanner.next()?;
        match (event, scanner.name()) {
            (Event::Start, b"table:table-cell" | b"table:covered-table-cell") => {
                let head = cell_head(scanner)?;
                read_text(scanner)?;
                // Values beyond the last column are refused, blanks only move on.
                let last = column.saturating_add(head.repeated as usize);
                for column in column..last.min(MAX_COLUMNS + 1).max(column + 1) {
                    put(scanner, &head, column, row)?;
                }
                column = last;
            }
            (Event::Start, _) => scanner.skip_element()?,
            (Event::End, _) => return Ok(()),
            (Event::Eof, _) => return Err(Rejection::unreadable()),
        }
    }
}

fn cell_head(scanner: &Scanner<'_>) -> Result<CellHead, Rejection> {
    let mut head = CellHead { repeated: 1, ..CellHead::default() };
    let mut is_error = false;
    for attribute in scanner.attributes() {
        let (name, value) = attribute?;
        match name {
            b"office:value-type" => {
                head.kind = match value {
                    b"float" | b"percentage" | b"currency" => Kind::Number,
                    b"date" => Kind::Date,
                    b"boolean" => Kind::Bool,
                    _ => Kind::Text,
                }
            }
            b"calcext:value-type" => is_error = value == b"error",
            b"office:value"
            | b"office:date-value"
            | b"office:boolean-value"
            | b"office:string-value" => head.value = Some(unescaped(value)?.into_owned()),
            b"table:number-columns-repeated" => {
                head.repeated = repetition(Some(&unescaped(value)?))?;
            }
            _ => {}
        }
    }
    if is_error {
        head.kind = Kind::Error;
    }
    Ok(head)
}

/// A repeat count, 1 if there is none. More than fits is as good as the most.
fn repetition(value: Option<&str>) -> Result<u32, Rejection> {
    let Some(value) = value else { return Ok(1) };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::unreadable());
    }
    match value.parse() {
        Ok(0) => Err(Rejection::unreadable()),
        Ok(count) => Ok(count),
        Err(_) => Ok(u32::MAX),
    }
}

/// Reads to the cell's end, keeping the text of its paragraphs, a line each. Comments, drawings
/// and tables inside are left out.
fn read_text(scanner: &mut Scanner<'_>) -> Result<(), Rejection> {
    scanner.clear_text();
    let mut depth = 0_usize;
    let mut paragraphs = 0_usize;
    loop {
        match scanner.next()? {
            Event::Eof => return Err(Rejection::unreadable()),
            Event::End if depth == 0 => return Ok(()),
            Event::End => {
                depth -= 1;
                scanner.keep_text(depth > 0);
            }
            Event::Start => {
                match scanner.name() {
                    b"text:p" if depth == 0 => {
                        if paragraphs > 0 {
                            scanner.push_text(b'\n', 1);
                        }
                        paragraphs += 1;
                    }
                    b"text:span" | b"text:a" | b"text:ruby" | b"text:ruby-base" if depth > 0 => {}
                    b"text:s" if depth > 0 => {
                        let count = repetition(scanner.attribute(b"text:c")?.as_deref())?;
                        scanner.push_text(b' ', count as usize);
                    }
                    b"text:tab" if depth > 0 => scanner.push_text(b'\t', 1),
                    b"text:line-break" if depth > 0 => scanner.push_text(b'\n', 1),
                    _ => {
                        scanner.keep_text(false);
                        scanner.skip_element()?;
                        scanner.keep_text(depth > 0);
                        continue;
                    }
                }
                depth += 1;
                scanner.keep_text(true);
            }
        }
    }
}

fn put(
    scanner: &Scanner<'_>,
    head: &CellHead,
    column: usize,
    row: &mut Row,
) -> Result<(), Rejection> {
    let value = head.value.as_deref();
    let broken = Rejection::unreadable;
    let cell = match head.kind {
        Kind::Blank => return Ok(()),
        Kind::Text => {
            let text = match value {
                Some(value) => Some(Cow::Borrowed(value)),
                None => scanner.text()?.map(Cow::Borrowed),
            };
            let text = text.ok_or_else(|| row.refuse_long(column))?;
            return row.put_text(column, &text);
        }
        Kind::Number => Cell::Number(value.and_then(digits_of).ok_or_else(broken)?),
        Kind::Date => Cell::Date(value.and_then(iso_date).ok_or_else(broken)?),
        Kind::Bool => Cell::Bool(value == Some("true")),
        Kind::Error => Cell::Error,
    };
    row.put(column, cell)
}
