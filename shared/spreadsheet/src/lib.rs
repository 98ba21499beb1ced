//! Spreadsheet bytes to rows of learners, rows to the report workbook, and the template.
//!
//! [`read`] judges what a file is from its bytes, finds the sheet and the header, and passes every
//! data row on as it goes: no sheet is ever held in memory, nothing that a file declares about its
//! size is believed, and what exceeds the [`Limits`] is refused where it does.
//!
//! [`report`] writes the rows that got no seat, in a form that can be mended and read again.

mod code_list;
mod csv;
mod encoding;
mod format;
mod header;
mod limits;
mod number;
mod ods;
mod package;
mod port;
mod reject;
mod report;
mod row;
mod source;
mod strings;
mod table;
mod template;
mod texts;
mod xls;
mod xlsx;
mod xml;

use seatkeeper_domain::import::{Detected, RawRow};

pub use code_list::code_list;
pub use limits::Limits;
pub use port::Spreadsheets;
pub use reject::{RejectCode, Rejection, UnknownRejectCode};
pub use report::{ReportError, ReportHead, ReportRow, rejection_report, report};
pub use template::{TemplateAbout, TemplateFormat, template};
pub use texts::{csv_separator, hint, rejection_hint};

use format::Opened;
use source::Source;
use table::Table;

/// A file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it turned out to be.
    pub detected: Detected,
    /// Its data rows: those that are not blank.
    pub rows: u32,
}

/// Reads a spreadsheet and gives its data rows, in order, to `visit`.
///
/// A file can turn out to be unreadable after some of its rows were given: they count only when
/// `Ok` is returned.
pub fn read(
    bytes: &[u8],
    limits: &Limits,
    mut visit: impl FnMut(RawRow),
) -> Result<Reading, Rejection> {
    let opened = format::open(bytes, limits)?;
    let format = opened.format();
    let mut source: Box<dyn Source + '_> = match opened {
        Opened::Xlsx(package) => Box::new(xlsx::Workbook::open(package)?),
        Opened::Ods(package) => Box::new(ods::Document::open(package)),
        Opened::Xls(file) => Box::new(xls::OldWorkbook::open(&file)?),
        Opened::Text(bytes) => Box::new(csv::CsvFile::open(bytes)?),
    };
    let mut table = Table::new(limits.max_rows, &mut visit);
    let mut details = source.read(&mut table)?;
    if !table.is_found() && table.saw_value() {
        table.expect_plain_list();
        details = source.read(&mut table)?;
    }
    let finished = table.finish()?;
    let detected = Detected {
        format,
        encoding: details.encoding,
        delimiter: details.delimiter,
        sheet: details.sheet,
        header_row: finished.header_row,
        rows_above: finished.header_row.map_or(0, |header_row| header_row - 1),
        columns: finished.header.columns,
        hidden_rows: finished.hidden_rows,
    };
    Ok(Reading { detected, rows: finished.rows })
}
