//! The report workbook: the rows that got no seat, what is wrong with each, and the totals.

use jiff::civil::Date;
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatBorder, Formula, Workbook, Worksheet,
    XlsxError,
};
use seatkeeper_domain::import::{Cell, Detected, Field, RawRow, RowError};
use seatkeeper_domain::import_run::{Outcome, Totals};
use seatkeeper_domain::language::Language;

use crate::number::{digits, digits_of};
use crate::texts::Texts;

/// Columns that the report adds behind the uploaded ones.
const ADDED: [&str; 4] = ["line", "status", "error", "hint"];
/// The width of the hints in characters, and the height of a line in points.
const HINT_WIDTH: u8 = 70;
const LINE_HEIGHT: f64 = 15.0;
/// What stands in `error` for a row that found no seat.
const NO_SEATS_LEFT: &str = "no-seats-left";

/// The built-in number format that has a cell's content be text, whatever it looks like (ECMA-376
/// part 1, 18.8.30).
pub(crate) const AS_TEXT: u8 = 49;

/// What a report is about.
#[derive(Debug, Clone, Copy)]
pub struct ReportHead<'a> {
    /// What the file turned out to be.
    pub detected: &'a Detected,
    /// Its data rows.
    pub rows_total: u32,
    /// What became of them.
    pub totals: &'a Totals,
    /// The uploader's language; English where a language has no texts.
    pub language: &'a Language,
    /// The day of the report.
    pub made_on: Date,
}

/// A row that failed or found no seat.
#[derive(Debug, Clone, Copy)]
pub struct ReportRow<'a> {
    /// The row as it was uploaded.
    pub row: &'a RawRow,
    /// What became of it.
    pub outcome: Outcome,
    /// Everything wrong with it.
    pub errors: &'a [RowError],
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the report workbook could not be written")]
pub struct ReportError(#[from] XlsxError);

/// Writes the report of an import: a sheet of `rows`, which can be mended and uploaded as it is,
/// and a sheet of totals. Passwords are left out; text that looks like a formula stays text.
pub fn report<'a>(
    head: &ReportHead<'_>,
    rows: impl IntoIterator<Item = ReportRow<'a>>,
) -> Result<Vec<u8>, ReportError> {
    let texts = Texts::of(head.language);
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(head.made_on)?);

    let mut sheet = RowSheet::new(&mut workbook, head.detected, texts)?;
    for row in rows {
        sheet.add(&row)?;
    }
    write_totals(workbook.add_worksheet(), head, texts)?;
    Ok(workbook.save_to_buffer()?)
}

/// Writes the report of a file that was not imported as a whole: the code, and what the uploader is
/// told about it.
pub fn rejection_report(
    code: &str,
    told: &str,
    language: &Language,
    made_on: Date,
) -> Result<Vec<u8>, ReportError> {
    let texts = Texts::of(language);
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(made_on)?);
    let sheet = workbook.add_worksheet();
    sheet.set_name(texts.rows)?;
    let bold = heading_format();
    let cells = [("status", texts.failed), ("error", code), ("hint", told)];
    for (column, (heading, text)) in (0..).zip(cells) {
        sheet.write_string_with_format(0, column, heading, &bold)?;
        sheet.write_string(1, column, text)?;
        sheet.set_column_width(column, width(heading))?;
    }
    Ok(workbook.save_to_buffer()?)
}

/// The width of a column of the report, in characters.
fn width(heading: &str) -> u8 {
    if heading == "hint" { HINT_WIDTH } else { 20 }
}

/// The lines that a hint takes in its column.
fn lines(hint: &str) -> f64 {
    let takes = |line: &str| line.chars().count().div_ceil(usize::from(HINT_WIDTH)).max(1);
    let lines: usize = hint.lines().map(takes).sum();
    f64::from(u32::try_from(lines.max(1)).unwrap_or(u32::MAX)).min(20.0)
}

/// A heading of a sheet of learners.
pub(crate) fn heading_format() -> Format {
    let format = Format::new().set_bold().set_background_color(Color::RGB(0x00DD_EBF7));
    format.set_border_bottom(FormatBorder::Thin)
}

/// Prints a sheet as wide as the paper.
pub(crate) fn fit_to_paper(sheet: &mut Worksheet) {
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
}

/// The day of the report, so that the same report is the same bytes.
pub(crate) fn properties(made_on: Date) -> Result<DocProperties, XlsxError> {
    let made_on = excel_date(made_on).map_or_else(|| ExcelDateTime::from_ymd(2000, 1, 1), Ok)?;
    Ok(DocProperties::new().set_creation_datetime(&made_on))
}

pub(crate) fn excel_date(date: Date) -> Option<ExcelDateTime> {
    let year = u16::try_from(date.year()).ok()?;
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    ExcelDateTime::from_ymd(year, month, day).ok()
}

/// Where the cells of an uploaded column are in a [`RawRow`].
#[derive(Clone, Copy)]
enum Place {
    Field(Field),
    Ignored(usize),
}

/// The sheet of rows.
struct RowSheet<'w> {
    sheet: &'w mut Worksheet,
    texts: &'static Texts,
    /// The uploaded columns that the report repeats, with their headings.
    columns: Vec<(Place, String)>,
    next_row: u32,
}

impl<'w> RowSheet<'w> {
    fn new(
        workbook: &'w mut Workbook,
        detected: &Detected,
        texts: &'static Texts,
    ) -> Result<Self, XlsxError> {
        let sheet = workbook.add_worksheet();
        sheet.set_name(texts.rows)?;
        sheet.set_freeze_panes(1, 0)?;
        fit_to_paper(sheet);
        let columns = uploaded_columns(detected);
        let bold = heading_format();
        let headings = columns.iter().map(|(_, heading)| heading.as_str()).chain(ADDED);
        for (column, heading) in (0..).zip(headings) {
            sheet.write_string_with_format(0, column, heading, &bold)?;
            sheet.set_column_width(column, width(heading))?;
        }
        Ok(Self { sheet, texts, columns, next_row: 1 })
    }

    fn add(&mut self, row: &ReportRow<'_>) -> Result<(), XlsxError> {
        let mut next_column = 0;
        for (place, _) in &self.columns {
            let (cell, fails) = match *place {
                Place::Field(field) => {
                    (&row.row.cells[field], row.errors.iter().any(|error| error.column == field))
                }
                Place::Ignored(index) => {
                    (row.row.ignored.get(index).unwrap_or(&Cell::Blank), false)
                }
            };
            let is_secret = matches!(place, Place::Field(Field::Password));
            let cell = if is_secret { &Cell::Blank } else { cell };
            write_cell(self.sheet, (self.next_row, next_column), cell, fails)?;
            next_column += 1;
        }
        let not_seated = row.outcome == Outcome::NotSeated;
        let (status, error, hint) = if not_seated {
            (self.texts.not_seated, NO_SEATS_LEFT.to_owned(), self.texts.no_seats_left.to_owned())
        } else {
            (self.texts.failed, codes(row.errors), self.hints(row.errors))
        };
        let wrapped = Format::new().set_text_wrap();
        self.sheet.write_number(self.next_row, next_column, row.row.line)?;
        for (column, text) in (next_column + 1..).zip([status, &error, &hint]) {
            self.sheet.write_string_with_format(self.next_row, column, text, &wrapped)?;
        }
        self.sheet.set_row_height(self.next_row, LINE_HEIGHT * lines(&hint))?;
        self.next_row += 1;
        Ok(())
    }

    /// What to do about each error, a line each, by the uploaded heading of its column.
    fn hints(&self, errors: &[RowError]) -> String {
        let line = |error: &RowError| {
            let heading = self.columns.iter().find_map(|(place, heading)| match place {
                Place::Field(field) if *field == error.column => Some(heading.as_str()),
                _ => None,
            });
            let heading = heading.unwrap_or(error.column.as_str());
            format!("{heading}{}{}", self.texts.colon, self.texts.hint(error.code))
        };
        errors.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The columns with a heading. Those that an earlier report added are not repeated.
fn uploaded_columns(detected: &Detected) -> Vec<(Place, String)> {
    if detected.columns.is_empty() {
        return vec![(Place::Field(Field::Email), Field::Email.to_string())];
    }
    let mut columns = Vec::new();
    let mut ignored = 0;
    for column in &detected.columns {
        let place = match column.field {
            Some(field) => Place::Field(field),
            None => Place::Ignored(ignored),
        };
        ignored += usize::from(column.field.is_none());
        if column.field.is_some() || !ADDED.contains(&column.heading.as_str()) {
            columns.push((place, column.heading.clone()));
        }
    }
    columns
}

/// The distinct codes of a row's errors.
fn codes(errors: &[RowError]) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for error in errors {
        if !codes.contains(&error.code.as_str()) {
            codes.push(error.code.as_str());
        }
    }
    codes.join(", ")
}

/// Writes a cell as it was uploaded, colored if it is at fault.
fn write_cell(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    cell: &Cell,
    fails: bool,
) -> Result<(), XlsxError> {
    let format = if fails {
        Format::new().set_background_color(Color::RGB(0x00FF_C7CE))
    } else {
        Format::new()
    };
    // Text stays text also when someone edits it: `00123`, `=1+1`.
    let text_format = || format.clone().set_num_format_index(AS_TEXT);
    match cell {
        Cell::Blank if fails => sheet.write_blank(row, column, &format)?,
        Cell::Blank => return Ok(()),
        Cell::Text(text) => sheet.write_string_with_format(row, column, text, &text_format())?,
        Cell::Number(text) => match exact(text) {
            Some(number) => sheet.write_number_with_format(row, column, number, &format)?,
            None => sheet.write_string_with_format(row, column, text, &text_format())?,
        },
        Cell::Date(date) => match excel_date(*date) {
            Some(date) => {
                let format = format.set_num_format("yyyy-mm-dd");
                sheet.write_datetime_with_format(row, column, &date, &format)?
            }
            None => {
                sheet.write_string_with_format(row, column, date.to_string(), &text_format())?
            }
        },
        Cell::Bool(value) => sheet.write_boolean_with_format(row, column, *value, &format)?,
        // An error stays one, so that it cannot come back as a text.
        Cell::Error => {
            let formula = Formula::new("=NA()").set_result("#N/A");
            sheet.write_formula_with_format(row, column, formula, &format)?
        }
    };
    Ok(())
}

/// The number, if a workbook can hold all its digits.
fn exact(text: &str) -> Option<f64> {
    let number: f64 = digits_of(text)?.parse().ok()?;
    (digits(number) == text).then_some(number)
}

fn write_totals(
    sheet: &mut Worksheet,
    head: &ReportHead<'_>,
    texts: &Texts,
) -> Result<(), XlsxError> {
    sheet.set_name(texts.totals)?;
    sheet.set_column_width(0, 30)?;
    let Totals {
        valid,
        invalid,
        duplicate,
        existing,
        created,
        invited,
        scheduled,
        updated,
        skipped,
        not_seated,
        failed,
    } = *head.totals;
    let counts = [
        head.rows_total,
        valid,
        invalid,
        duplicate,
        existing,
        created,
        invited,
        scheduled,
        updated,
        skipped,
        not_seated,
        failed,
    ];
    for (row, (label, count)) in (0..).zip(texts.counts.iter().zip(counts)) {
        sheet.write_string(row, 0, *label)?;
        sheet.write_number(row, 1, count)?;
    }
    let hinted = head.detected.columns.iter().find(|column| column.hint.is_some());
    if let Some(column) = hinted {
        sheet.write_string(
            13,
            0,
            format!("{}{}{}", column.heading, texts.colon, texts.split_name),
        )?;
    }
    Ok(())
}
