//! The rows of a worksheet part.

use seatkeeper_domain::import::Cell;

use super::strings::unescape;
use super::styles::Styles;
use super::{number, truth};
use crate::limits::LAST_ROW;
use crate::number::{DateSystem, digits_of, iso_date};
use crate::reject::Rejection;
use crate::row::Row;
use crate::strings::{Shared, StringTable};
use crate::table::{Flow, Table};
use crate::xml::{Event, Scanner};

/// The last column that Excel knows, plus one.
const COLUMNS: usize = 16_384;

/// What the cells of every sheet refer to.
pub(super) struct Context {
    pub(super) strings: StringTable,
    pub(super) styles: Styles,
    pub(super) dates: DateSystem,
}

/// How a cell's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    SharedText,
    InlineText,
    FormulaText,
    Bool,
    Error,
    Date,
}

/// A cell's attributes.
struct CellHead {
    column: usize,
    kind: Kind,
    style: usize,
}

/// Gives a worksheet's rows to the table. The part is read to its end, unless the table leaves it.
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    context: &Context,
    table: &mut Table<'_>,
) -> Result<(), Rejection> {
    let mut row = Row::default();
    loop {
        let event = scanner.next()?;
        if event == Event::Eof {
            return Ok(());
        }
        let is_data = event == Event::Start && scanner.local_name() == b"sheetData";
        if is_data && read_data(scanner, context, table, &mut row)? == Flow::LeaveSheet {
            return Ok(());
        }
    }
}

fn read_data(
    scanner: &mut Scanner<'_>,
    context: &Context,
    table: &mut Table<'_>,
    row: &mut Row,
) -> Result<Flow, Rejection> {
    loop {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Start, b"row") => {
                let (line, hidden) = row_head(scanner, row.line)?;
                row.begin(line, hidden);
                read_row(scanner, context, row)?;
                if table.row(row)? == Flow::LeaveSheet {
                    return Ok(Flow::LeaveSheet);
                }
            }
            (Event::Start, _) => scanner.skip_element()?,
            (Event::End, _) => return Ok(Flow::Continue),
            (Event::Eof, _) => return Err(Rejection::unreadable()),
        }
    }
}

/// The row's number, which has to grow, and whether it is hidden.
fn row_head(scanner: &Scanner<'_>, before: u32) -> Result<(u32, bool), Rejection> {
    let (mut line, mut hidden) = (before + 1, false);
    for attribute in scanner.attributes() {
        match attribute? {
            (b"r", value) => line = number(value)?,
            (b"hidden", value) => hidden = truth(value),
            _ => {}
        }
    }
    if line <= before || line > LAST_ROW {
        Err(Rejection::unreadable())
    } else {
        Ok((line, hidden))
    }
}

fn read_row(scanner: &mut Scanner<'_>, context: &Context, row: &mut Row) -> Result<(), Rejection> {
    let mut next_column = 0;
    loop {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Start, b"c") => {
                let head = cell_head(scanner, row.line, next_column)?;
                next_column = head.column + 1;
                read_value(scanner, head.kind)?;
                put(scanner, context, &head, row)?;
            }
            (Event::Start, _) => scanner.skip_element()?,
            (Event::End, _) => return Ok(()),
            (Event::Eof, _) => return Err(Rejection::unreadable()),
        }
    }
}

fn cell_head(scanner: &Scanner<'_>, line: u32, next: usize) -> Result<CellHead, Rejection> {
    let mut head = CellHead { column: next, kind: Kind::Number, style: 0 };
    for attribute in scanner.attributes() {
        match attribute? {
            (b"r", value) => head.column = column_of(value, line)?,
            (b"s", value) => head.style = number(value)?,
            (b"t", value) => head.kind = kind(value)?,
            _ => {}
        }
    }
    if head.column < COLUMNS { Ok(head) } else { Err(Rejection::unreadable()) }
}

fn kind(value: &[u8]) -> Result<Kind, Rejection> {
    match value {
        b"n" => Ok(Kind::Number),
        b"s" => Ok(Kind::SharedText),
        b"inlineStr" => Ok(Kind::InlineText),
        b"str" => Ok(Kind::FormulaText),
        b"b" => Ok(Kind::Bool),
        b"e" => Ok(Kind::Error),
        b"d" => Ok(Kind::Date),
        _ => Err(Rejection::unreadable()),
    }
}

/// The 0-based column of a reference such as `BC12`, whose number has to be the row's.
fn column_of(reference: &[u8], line: u32) -> Result<usize, Rejection> {
    let letters = reference.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (letters, digits) = reference.split_at(letters);
    if !(1..=3).contains(&letters.len()) || digits.starts_with(b"0") {
        return Err(Rejection::unreadable());
    }
    if number::<u32>(digits)? != line {
        return Err(Rejection::unreadable());
    }
    let place = |letter: &u8| usize::from(letter.to_ascii_uppercase() - b'A') + 1;
    Ok(letters.iter().fold(0, |column, letter| column * 26 + place(letter)) - 1)
}

/// Reads to the cell's end, keeping its value's text: `v`, or the runs of `is` without their
/// phonetic guides.
fn read_value(scanner: &mut Scanner<'_>, kind: Kind) -> Result<(), Rejection> {
    scanner.clear_text();
    loop {
        let event = scanner.next()?;
        let starts = event == Event::Start;
        match scanner.local_name() {
            b"c" if event == Event::End => return Ok(()),
            b"v" if kind != Kind::InlineText => scanner.keep_text(starts),
            b"t" if kind == Kind::InlineText => scanner.keep_text(starts),
            b"is" | b"r" | b"v" | b"t" => {}
            _ if starts => scanner.skip_element()?,
            _ => {}
        }
    }
}

fn put(
    scanner: &Scanner<'_>,
    context: &Context,
    head: &CellHead,
    row: &mut Row,
) -> Result<(), Rejection> {
    if scanner.text_is_empty() {
        return Ok(());
    }
    let Some(text) = scanner.text()? else {
        return Err(row.refuse_long(head.column));
    };
    let broken = Rejection::unreadable;
    let cell = match head.kind {
        Kind::InlineText | Kind::FormulaText => {
            return row.put_text(head.column, &unescape(text)?);
        }
        Kind::SharedText => {
            let index = number(text.trim_ascii().as_bytes())?;
            return match context.strings.get(index).ok_or_else(broken)? {
                Shared::Text(text) => row.put_text(head.column, text),
                Shared::TooLong => Err(row.refuse_long(head.column)),
            };
        }
        Kind::Error => Cell::Error,
        Kind::Bool => Cell::Bool(truth(text.trim_ascii().as_bytes())),
        Kind::Date => match iso_date(text.trim_ascii()) {
            Some(date) => Cell::Date(date),
            None => return row.put_text(head.column, text),
        },
        Kind::Number => {
            let text = text.trim_ascii();
            if text.is_empty() {
                return Ok(());
            }
            let digits = digits_of(text).ok_or_else(broken)?;
            if context.styles.is_date(head.style)? {
                context.dates.cell(text.parse().map_err(|_| broken())?)
            } else {
                Cell::Number(digits)
            }
        }
    };
    row.put(head.column, cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_their_row_and_a_possible_column() {
        assert_eq!(column_of(b"A1", 1), Ok(0));
        assert_eq!(column_of(b"BL7", 7), Ok(63));
        assert_eq!(column_of(b"XFD1048576", LAST_ROW), Ok(COLUMNS - 1));
        for reference in [&b"A"[..], b"1", b"", b"A0", b"A01", b"A2", b"AAAA1", b"A1B", b"$A$1"] {
            assert!(column_of(reference, 1).is_err(), "{reference:?}");
        }
    }
}
