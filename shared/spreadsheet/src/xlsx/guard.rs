//! Walks through the shared texts and the worksheets. It proves that they are well formed and of
//! measured size, and that every reference, number and index in them is one; and it reads what is
//! plain on the way. What is not, calamine reads afterwards.
//!
//! Calamine wraps or panics on numbers that overflow, takes an index that is none for the first,
//! sets aside memory for as many texts as a part says it has, and keeps rows' attributes to itself.

use std::borrow::Cow;
use std::ops::Range;

use seatkeeper_domain::import::Cell;

use super::styles::Styles;
use super::{number, truth};
use crate::limits::LAST_ROW;
use crate::number::{DateSystem, digits};
use crate::package::Package;
use crate::reject::{RejectCode, Rejection};
use crate::row::Row;
use crate::strings::StringTable;
use crate::table::{Flow, Table};
use crate::xml::{Event, Scanner, unescaped};

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

/// The shared texts.
pub(super) struct SharedTexts {
    pub(super) part: String,
    /// Where the root's tag stands.
    pub(super) head: Range<u64>,
    /// Whether the root says that there are more.
    pub(super) misstates_its_count: bool,
    texts: StringTable,
    /// Which of them are not plain, in order; nothing stands for them in the table.
    not_plain: Vec<usize>,
}

/// A shared text.
pub(super) enum SharedText<'t> {
    Plain(&'t str),
    NotPlain,
}

impl SharedTexts {
    /// Walks through the part.
    pub(super) fn read(part: &str, package: &mut Package<'_>) -> Result<Self, Rejection> {
        let mut scanner = Scanner::for_another_parser(package.part(part)?);
        let mut texts = StringTable::default();
        let mut not_plain = Vec::new();
        let (mut declared, mut head) = (None, 0..0);
        let (mut count, mut began) = (0_usize, 0);
        let (mut is_plain, mut has_text) = (true, false);
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => break,
                (Event::Start, b"si") => {
                    count += 1;
                    began = scanner.position();
                    (is_plain, has_text) = (true, false);
                }
                (Event::Start, b"t") => {
                    is_plain &= !std::mem::replace(&mut has_text, true);
                    let keeps_spaces = keeps_spaces(&scanner)?;
                    let text = match scanner.leaf_text()? {
                        Some(text) => plain_text(trimmed(text, keeps_spaces))?,
                        None => None,
                    };
                    match text {
                        Some(text) if is_plain => texts.push(&text),
                        _ => is_plain = false,
                    }
                }
                (Event::End, b"si") => {
                    require_piece(scanner.position() - began)?;
                    if count > MAX_TEXTS {
                        return Err(RejectCode::InflatesTooLarge.into());
                    }
                    if !is_plain {
                        not_plain.push(count - 1);
                    }
                    texts.cut(count);
                }
                (Event::Start, b"sst") if head.is_empty() => {
                    declared =
                        scanner.attribute(b"uniqueCount")?.map(|count| count.parse::<usize>());
                    head = scanner.tag_range();
                }
                (Event::Start, _) => is_plain = false,
                (Event::End, _) => {}
            }
        }
        require_piece(scanner.longest_run())?;
        let misstates_its_count = declared.is_some_and(|declared| declared != Ok(count));
        Ok(Self { part: part.to_owned(), head, misstates_its_count, texts, not_plain })
    }

    /// The text of an index, if there is one.
    fn get(&self, index: usize) -> Option<SharedText<'_>> {
        let text = self.texts.get(index)?;
        let is_plain = self.not_plain.is_empty() || self.not_plain.binary_search(&index).is_err();
        Some(if is_plain { SharedText::Plain(text) } else { SharedText::NotPlain })
    }
}

/// How a cell's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    SharedText,
    Bool,
    Error,
    InlineText,
    FormulaText,
    Date,
}

/// What the cells of every sheet refer to.
pub(super) struct Context {
    pub(super) texts: Option<SharedTexts>,
    pub(super) styles: Option<Styles>,
    pub(super) dates: DateSystem,
}

/// What has to be known of a worksheet to have calamine read it, from the first row on that is
/// not plain.
pub(super) struct Rest {
    /// That row's number. The rows before it have been given.
    pub(super) from: u32,
    /// The hidden rows' numbers, in order.
    pub(super) hidden: Vec<u32>,
    /// The cells with errors that calamine does not know: row number and column, in order.
    pub(super) unknown_errors: Vec<(u32, u32)>,
}

/// A worksheet being walked through.
struct Walk<'g> {
    context: &'g Context,
    /// The row being read, until something in the sheet is not plain.
    row: Row,
    row_is_open: bool,
    column: u32,
    /// The column follows from the cell before, not from a reference.
    column_follows: bool,
    cell: Option<OpenCell>,
    /// The first row that is not plain.
    not_plain: Option<u32>,
    hidden: Vec<u32>,
    unknown_errors: Vec<(u32, u32)>,
}

/// A cell whose end has not come yet.
#[derive(Clone, Copy)]
struct OpenCell {
    kind: Kind,
    is_date: bool,
    /// Where its content began.
    began: u64,
    has_value: bool,
}

/// Walks through a worksheet part and gives its rows to the table, to the end or until the table
/// leaves. From the first row on that has something which is not plain, no more rows are given:
/// then the walk goes on to the end, and calamine has to read the rest.
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    context: &Context,
    table: &mut Table<'_>,
) -> Result<Option<Rest>, Rejection> {
    scanner.refuse_sections();
    let mut walk = Walk::new(context);
    let (mut in_data, mut is_over, mut flow) = (false, false, Flow::Continue);
    while flow == Flow::Continue {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Eof, _) => break,
            (Event::Start, b"c") if in_data => walk.begin_cell(scanner)?,
            (Event::End, b"c") if in_data => walk.end_cell(scanner.position())?,
            (Event::Start, b"v") if in_data => walk.value(scanner)?,
            (Event::Start, b"row") if in_data => walk.begin_row(scanner)?,
            (Event::End, b"row") if in_data => flow = walk.end_row(table)?,
            // Of several blocks of data, the first is the sheet's.
            (event, b"sheetData") if !is_over => {
                (in_data, is_over) = (event == Event::Start, event == Event::End);
            }
            (Event::Start, name) if in_data => {
                let part = Part::of(name);
                walk.other(part, scanner)?;
            }
            (Event::Start, b"dimension") if walk.row.line == 0 => require_dimension(scanner)?,
            _ => {}
        }
    }
    if flow == Flow::LeaveSheet {
        return Ok(None);
    }
    require_piece(scanner.longest_run())?;
    Ok(walk.rest())
}

/// What else stands in a worksheet's data.
#[derive(Clone, Copy)]
enum Part {
    Formula,
    Inline,
    Text,
    Unknown,
}

impl Part {
    fn of(name: &[u8]) -> Self {
        match name {
            b"f" => Self::Formula,
            b"is" => Self::Inline,
            b"t" => Self::Text,
            _ => Self::Unknown,
        }
    }
}

impl<'g> Walk<'g> {
    fn new(context: &'g Context) -> Self {
        Self {
            context,
            row: Row::default(),
            row_is_open: false,
            column: 0,
            column_follows: false,
            cell: None,
            not_plain: None,
            hidden: Vec::new(),
            unknown_errors: Vec::new(),
        }
    }

    fn rest(self) -> Option<Rest> {
        let from = self.not_plain?;
        Some(Rest { from, hidden: self.hidden, unknown_errors: self.unknown_errors })
    }

    /// What is read here ends before this row; between two rows, before the next one.
    fn leave_to_calamine(&mut self) {
        let first = self.row.line + u32::from(!self.row_is_open);
        self.not_plain.get_or_insert(first);
    }

    fn is_plain(&self) -> bool {
        self.not_plain.is_none()
    }

    /// A row's number has to grow.
    fn begin_row(&mut self, scanner: &Scanner<'_>) -> Result<(), Rejection> {
        let (mut line, mut hidden) = (None, None);
        for attribute in scanner.attributes() {
            match attribute? {
                (b"r", value) => once(&mut line, number::<u32>(value)?)?,
                (b"hidden", value) => once(&mut hidden, truth(value))?,
                _ => {}
            }
        }
        let line = line.unwrap_or(self.row.line + 1);
        if line <= self.row.line || line > LAST_ROW || self.row_is_open {
            return Err(Rejection::unreadable());
        }
        let is_hidden = hidden == Some(true);
        self.row.begin(line, is_hidden);
        (self.row_is_open, self.column) = (true, 0);
        if is_hidden {
            self.hidden.push(line);
        }
        Ok(())
    }

    fn end_row(&mut self, table: &mut Table<'_>) -> Result<Flow, Rejection> {
        self.row_is_open = false;
        if self.cell.is_some() {
            return Err(Rejection::unreadable());
        }
        if self.is_plain() { table.row(&mut self.row) } else { Ok(Flow::Continue) }
    }

    fn begin_cell(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Rejection> {
        let (mut column, mut style, mut kind) = (None, None, None);
        for attribute in scanner.attributes() {
            match attribute? {
                (b"r", value) => once(&mut column, column_of(value, self.row.line)?)?,
                (b"s", value) => once(&mut style, number::<usize>(value)?)?,
                (b"t", value) => once(&mut kind, kind_of(value)?)?,
                _ => {}
            }
        }
        self.column_follows = column.is_none();
        self.column = column.unwrap_or(self.column);
        if self.column >= COLUMNS || self.cell.is_some() || !self.row_is_open {
            return Err(Rejection::unreadable());
        }
        let is_date = match (style, &self.context.styles) {
            (Some(style), Some(styles)) => styles.is_date(style)?,
            _ => false,
        };
        let kind = kind.unwrap_or(Kind::Number);
        if let Some(text) = scanner.only_value() {
            self.take_value(kind, is_date, Some(text))?;
            self.column += 1;
            return Ok(());
        }
        let began = scanner.position();
        self.cell = Some(OpenCell { kind, is_date, began, has_value: false });
        Ok(())
    }

    fn end_cell(&mut self, position: u64) -> Result<(), Rejection> {
        self.column += 1;
        let cell = self.cell.take().ok_or_else(Rejection::unreadable)?;
        require_piece(position - cell.began)
    }

    /// A number, an index, a truth value or an error: calamine reads it from the first text it
    /// meets, there has to be no other. Texts may be anything.
    fn value(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Rejection> {
        let cell = self.cell.as_mut().ok_or_else(Rejection::unreadable)?;
        let (kind, is_date) = (cell.kind, cell.is_date);
        if std::mem::replace(&mut cell.has_value, true) {
            self.leave_to_calamine();
        }
        let text = scanner.leaf_text()?;
        self.take_value(kind, is_date, text)
    }

    fn take_value(
        &mut self,
        kind: Kind,
        is_date: bool,
        text: Option<&[u8]>,
    ) -> Result<(), Rejection> {
        match kind {
            Kind::Number => self.number(text, is_date),
            Kind::SharedText => self.shared_text(text),
            Kind::Bool => self.truth(text),
            Kind::Error => self.error(text),
            Kind::FormulaText => self.text(text),
            Kind::Date | Kind::InlineText => {
                self.leave_to_calamine();
                Ok(())
            }
        }
    }

    /// A formula, which counts by the value behind it, or an inline text.
    fn other(&mut self, part: Part, scanner: &mut Scanner<'_>) -> Result<(), Rejection> {
        let Some(cell) = self.cell.as_mut() else {
            self.leave_to_calamine();
            return Ok(());
        };
        match part {
            Part::Formula if !cell.has_value => {
                if scanner.leaf_text()?.is_none() {
                    self.leave_to_calamine();
                }
            }
            Part::Inline if !cell.has_value && cell.kind == Kind::InlineText => {}
            Part::Text if !cell.has_value && cell.kind == Kind::InlineText => {
                cell.has_value = true;
                let keeps_spaces = keeps_spaces(scanner)?;
                let text = scanner.leaf_text()?;
                return self.text(text.map(|text| trimmed(text, keeps_spaces)));
            }
            Part::Text => {
                scanner.leaf_text()?;
                self.leave_to_calamine();
            }
            Part::Formula | Part::Inline | Part::Unknown => self.leave_to_calamine(),
        }
        Ok(())
    }

    fn number(&mut self, text: Option<&[u8]>, is_date: bool) -> Result<(), Rejection> {
        let text = text.ok_or_else(Rejection::unreadable)?;
        if text.is_empty() {
            return Ok(());
        }
        if !is_date && is_short_whole(text) {
            return self.put(|| Ok(Cell::Number(utf_8(text)?.to_owned())));
        }
        let number: f64 = utf_8(text)?.parse().map_err(|_| Rejection::unreadable())?;
        if !number.is_finite() {
            return Err(Rejection::unreadable());
        }
        let dates = self.context.dates;
        self.put(|| Ok(if is_date { dates.cell(number) } else { Cell::Number(digits(number)) }))
    }

    fn shared_text(&mut self, text: Option<&[u8]>) -> Result<(), Rejection> {
        let text = text.ok_or_else(Rejection::unreadable)?;
        if text.is_empty() {
            return Ok(());
        }
        let index = number(text)?;
        let shared = self.context.texts.as_ref().and_then(|texts| texts.get(index));
        match shared.ok_or_else(Rejection::unreadable)? {
            SharedText::Plain(text) if self.is_plain() => {
                self.row.put_text(self.column as usize, text)
            }
            SharedText::Plain(_) => Ok(()),
            SharedText::NotPlain => {
                self.leave_to_calamine();
                Ok(())
            }
        }
    }

    fn truth(&mut self, text: Option<&[u8]>) -> Result<(), Rejection> {
        match text.ok_or_else(Rejection::unreadable)? {
            b"" => Ok(()),
            b"1" | b"true" => self.put(|| Ok(Cell::Bool(true))),
            b"0" | b"false" => self.put(|| Ok(Cell::Bool(false))),
            _ => {
                self.leave_to_calamine();
                Ok(())
            }
        }
    }

    fn error(&mut self, text: Option<&[u8]>) -> Result<(), Rejection> {
        let text = text.ok_or_else(Rejection::unreadable)?;
        if !ERRORS.contains(&text) {
            // Calamine gives no place for it, and loses count of columns that follow.
            self.unknown_errors.push((self.row.line, self.column));
            if self.column_follows {
                return Err(Rejection::unreadable());
            }
        }
        self.put(|| Ok(Cell::Error))
    }

    fn text(&mut self, text: Option<&[u8]>) -> Result<(), Rejection> {
        let text = match text {
            Some(text) => plain_text(text)?,
            None => None,
        };
        match text {
            Some(text) if self.is_plain() => self.row.put_text(self.column as usize, &text),
            Some(_) => Ok(()),
            None => {
                self.leave_to_calamine();
                Ok(())
            }
        }
    }

    fn put(&mut self, cell: impl FnOnce() -> Result<Cell, Rejection>) -> Result<(), Rejection> {
        if self.is_plain() { self.row.put(self.column as usize, cell()?) } else { Ok(()) }
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
        b"inlineStr" => Ok(Kind::InlineText),
        b"str" => Ok(Kind::FormulaText),
        b"d" => Ok(Kind::Date),
        _ => Err(Rejection::unreadable()),
    }
}

/// Whether a text is a whole number as a workbook's 64-bit float holds it, digit by digit.
fn is_short_whole(text: &[u8]) -> bool {
    text.len() <= 15 && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1)
}

fn utf_8(text: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(text).map_err(|_| Rejection::unreadable())
}

/// Whether the `t` element that began just now keeps the spaces around its text.
fn keeps_spaces(scanner: &Scanner<'_>) -> Result<bool, Rejection> {
    for attribute in scanner.attributes() {
        if let (b"xml:space", value) = attribute? {
            return Ok(value == b"preserve");
        }
    }
    Ok(false)
}

fn trimmed(text: &[u8], keeps_spaces: bool) -> &[u8] {
    if keeps_spaces { text } else { text.trim_ascii() }
}

/// What a text says; `None` if it has more to it than predefined and numbered references: then
/// calamine reads it.
fn plain_text(raw: &[u8]) -> Result<Option<Cow<'_, str>>, Rejection> {
    // A carriage return is a line's end to a parser of XML; `_x000D_` is one to Excel.
    if memchr::memchr3(b'&', b'_', b'\r', raw).is_none() {
        return utf_8(raw).map(|text| Some(Cow::Borrowed(text)));
    }
    let text = unescaped(raw)?;
    let is_plain = !raw.contains(&b'\r') && !text.contains("_x");
    Ok(is_plain.then_some(text))
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
