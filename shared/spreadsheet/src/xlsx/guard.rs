//! What is proved of the shared texts and of a worksheet before calamine sees them: that they are
//! well formed and of measured size, and that every reference, number and index in them is one.
//!
//! Calamine wraps or panics on numbers that overflow, takes an index that is none for the first,
//! sets aside memory for as many texts as a part says it has, and keeps rows' attributes to itself.

use std::ops::Range;

use super::{number, truth};
use crate::limits::LAST_ROW;
use crate::package::Package;
use crate::reject::{RejectCode, Rejection};
use crate::xml::{Event, Scanner};

/// The last column that Excel knows, plus one.
const COLUMNS: u32 = 16_384;
/// Most bytes that a cell, a shared text or anything between two tags takes: a general parser
/// holds them whole. A cell has at most 32,767 characters.
const MAX_PIECE: u64 = 8 << 20;
/// Most shared texts: held whole, each takes some 50 bytes beside what it says.
const MAX_TEXTS: usize = 1 << 20;
/// The errors that calamine knows.
const ERRORS: [&[u8]; 7] =
    [b"#DIV/0!", b"#N/A", b"#NAME?", b"#NULL!", b"#NUM!", b"#REF!", b"#VALUE!"];

/// The shared texts as far as the guard knows them.
pub(super) struct SharedTexts {
    pub(super) part: String,
    pub(super) count: usize,
    /// Where the root's tag stands.
    pub(super) head: Range<u64>,
    /// Whether the root says that there are more.
    pub(super) misstates_its_count: bool,
}

impl SharedTexts {
    /// Walks through the part.
    pub(super) fn guard(part: &str, package: &mut Package<'_>) -> Result<Self, Rejection> {
        let mut scanner = Scanner::for_another_parser(package.part(part)?);
        let (mut declared, mut head) = (None, 0..0);
        let (mut count, mut began) = (0_usize, 0);
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => break,
                (Event::Start, b"si") => {
                    count += 1;
                    began = scanner.position();
                }
                (Event::End, b"si") => require_piece(scanner.position() - began)?,
                (Event::Start, b"sst") if head.is_empty() => {
                    declared =
                        scanner.attribute(b"uniqueCount")?.map(|count| count.parse::<usize>());
                    head = scanner.tag_range();
                }
                _ => {}
            }
        }
        require_piece(scanner.longest_run())?;
        if count > MAX_TEXTS {
            return Err(RejectCode::InflatesTooLarge.into());
        }
        let misstates_its_count = declared.is_some_and(|declared| declared != Ok(count));
        Ok(Self { part: part.to_owned(), count, head, misstates_its_count })
    }
}

/// How far the references in worksheets reach.
pub(super) struct Bounds {
    /// How many shared texts there are.
    pub(super) texts: usize,
    /// How many cell formats there are; `None` without styles.
    pub(super) formats: Option<usize>,
}

/// What calamine does not tell of a worksheet.
pub(super) struct SheetFacts {
    /// The hidden rows' numbers, in order.
    pub(super) hidden: Vec<u32>,
    /// The cells with errors that calamine does not know: row number and column, in order.
    pub(super) unknown_errors: Vec<(u32, u32)>,
}

/// How a cell's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    SharedText,
    Bool,
    Error,
    /// Whatever the text is.
    Text,
}

/// A worksheet being walked through.
struct Walk<'g> {
    bounds: &'g Bounds,
    facts: SheetFacts,
    line: u32,
    column: u32,
    /// The column follows from the cell before, not from a reference.
    column_follows: bool,
    /// The cell that is open: its kind and where it began.
    cell: Option<(Kind, u64)>,
}

impl SheetFacts {
    /// Walks through a worksheet part to its end.
    pub(super) fn guard(scanner: &mut Scanner<'_>, bounds: &Bounds) -> Result<Self, Rejection> {
        scanner.refuse_sections();
        let facts = Self { hidden: Vec::new(), unknown_errors: Vec::new() };
        let mut walk =
            Walk { bounds, facts, line: 0, column: 0, column_follows: false, cell: None };
        let mut in_data = false;
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => break,
                (Event::Start, b"c") if in_data => walk.begin_cell(scanner)?,
                (Event::End, b"c") if in_data => walk.end_cell(scanner.position())?,
                (Event::Start, b"v") if in_data => walk.value(scanner)?,
                (Event::Start, b"t") if in_data => {
                    scanner.leaf_text()?;
                }
                (Event::Start, b"row") if in_data => walk.row(scanner)?,
                (event, b"sheetData") => in_data = event == Event::Start,
                (Event::Start, b"dimension") if walk.line == 0 => require_dimension(scanner)?,
                _ => {}
            }
        }
        require_piece(scanner.longest_run())?;
        Ok(walk.facts)
    }
}

impl Walk<'_> {
    /// A row's number has to grow.
    fn row(&mut self, scanner: &Scanner<'_>) -> Result<(), Rejection> {
        let (mut line, mut hidden) = (None, None);
        for attribute in scanner.attributes() {
            match attribute? {
                (b"r", value) => once(&mut line, number::<u32>(value)?)?,
                (b"hidden", value) => once(&mut hidden, truth(value))?,
                _ => {}
            }
        }
        let line = line.unwrap_or(self.line + 1);
        if line <= self.line || line > LAST_ROW {
            return Err(Rejection::unreadable());
        }
        (self.line, self.column, self.column_follows) = (line, 0, true);
        if hidden == Some(true) {
            self.facts.hidden.push(line);
        }
        Ok(())
    }

    fn begin_cell(&mut self, scanner: &Scanner<'_>) -> Result<(), Rejection> {
        let (mut column, mut style, mut kind) = (None, None, None);
        for attribute in scanner.attributes() {
            match attribute? {
                (b"r", value) => once(&mut column, column_of(value, self.line)?)?,
                (b"s", value) => once(&mut style, number::<usize>(value)?)?,
                (b"t", value) => once(&mut kind, kind_of(value)?)?,
                _ => {}
            }
        }
        let is_beyond = |style| self.bounds.formats.is_some_and(|count| style >= count.max(1));
        self.column_follows = column.is_none();
        self.column = column.unwrap_or(self.column);
        if self.column >= COLUMNS || self.cell.is_some() || style.is_some_and(is_beyond) {
            return Err(Rejection::unreadable());
        }
        self.cell = Some((kind.unwrap_or(Kind::Number), scanner.position()));
        Ok(())
    }

    fn end_cell(&mut self, position: u64) -> Result<(), Rejection> {
        self.column += 1;
        let (_, began) = self.cell.take().ok_or_else(Rejection::unreadable)?;
        require_piece(position - began)
    }

    /// Calamine reads a number or an index from the first text it meets: there has to be no other.
    fn value(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Rejection> {
        let (kind, _) = self.cell.ok_or_else(Rejection::unreadable)?;
        let text = scanner.leaf_text()?;
        if kind == Kind::Text {
            return Ok(());
        }
        let text = text.ok_or_else(Rejection::unreadable)?;
        let is_good = match kind {
            _ if text.is_empty() => true,
            Kind::Number => is_number(text),
            Kind::SharedText => number::<usize>(text)? < self.bounds.texts,
            Kind::Error if !ERRORS.contains(&text) => {
                // Calamine gives no place for it, and loses count of columns that follow.
                self.facts.unknown_errors.push((self.line, self.column));
                !self.column_follows
            }
            Kind::Bool | Kind::Error | Kind::Text => true,
        };
        if is_good { Ok(()) } else { Err(Rejection::unreadable()) }
    }
}

fn require_piece(bytes: u64) -> Result<(), Rejection> {
    if bytes > MAX_PIECE { Err(Rejection::unreadable()) } else { Ok(()) }
}

/// An attribute stands once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Rejection> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Rejection::unreadable()),
    }
}

fn kind_of(value: &[u8]) -> Result<Kind, Rejection> {
    match value {
        b"n" => Ok(Kind::Number),
        b"s" => Ok(Kind::SharedText),
        b"b" => Ok(Kind::Bool),
        b"e" => Ok(Kind::Error),
        b"inlineStr" | b"str" | b"d" => Ok(Kind::Text),
        _ => Err(Rejection::unreadable()),
    }
}

/// Whether a text is a finite number.
fn is_number(text: &[u8]) -> bool {
    let is_whole = text.len() < 300 && text.iter().all(u8::is_ascii_digit);
    let number = || std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    is_whole || number().is_some_and(f64::is_finite)
}

/// The 0-based column of a reference such as `BC12`, whose number has to be the row's.
fn column_of(reference: &[u8], line: u32) -> Result<u32, Rejection> {
    let (column, row) = place_of(reference)?;
    if row == line { Ok(column) } else { Err(Rejection::unreadable()) }
}

/// The 0-based column and the row's number of a reference.
fn place_of(reference: &[u8]) -> Result<(u32, u32), Rejection> {
    let letters = reference.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (letters, digits) = reference.split_at(letters);
    if !(1..=3).contains(&letters.len()) || digits.starts_with(b"0") {
        return Err(Rejection::unreadable());
    }
    let row = number(digits)?;
    let place = |letter: &u8| u32::from(letter.to_ascii_uppercase() - b'A') + 1;
    let column = letters.iter().fold(0, |column, letter| column * 26 + place(letter)) - 1;
    if column < COLUMNS && row <= LAST_ROW {
        Ok((column, row))
    } else {
        Err(Rejection::unreadable())
    }
}

/// What a worksheet says about its size is not believed, but calamine calculates with it.
fn require_dimension(scanner: &Scanner<'_>) -> Result<(), Rejection> {
    let declared = scanner.attribute(b"ref")?.ok_or_else(Rejection::unreadable)?;
    let (first, last) = declared.split_once(':').unwrap_or((&declared, &declared));
    let (first, last) = (place_of(first.as_bytes())?, place_of(last.as_bytes())?);
    if first.0 <= last.0 && first.1 <= last.1 { Ok(()) } else { Err(Rejection::unreadable()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_their_row_and_a_possible_column() {
        assert_eq!(column_of(b"A1", 1), Ok(0));
        assert_eq!(column_of(b"BL7", 7), Ok(63));
        assert_eq!(column_of(b"XFD1048576", LAST_ROW), Ok(COLUMNS - 1));
        for reference in
            [&b"A"[..], b"1", b"", b"A0", b"A01", b"A2", b"AAAA1", b"A1B", b"$A$1", b"XFE1"]
        {
            assert!(column_of(reference, 1).is_err(), "{reference:?}");
        }
    }
}
