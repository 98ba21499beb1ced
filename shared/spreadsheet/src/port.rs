//! The domain's port on this crate.

use jiff::civil::Date;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::import::{RawRow, RowErrorCode};
use seatkeeper_domain::language::Language;
use seatkeeper_domain::ports::{ReportAbout, ReportedRow, SheetReading, Sheets, Unreadable};

use crate::{
    Limits, ReportError, ReportHead, ReportRow, hint, read, rejection_hint, rejection_report,
    report,
};

/// Spreadsheets as imports read and write them, under the [default limits](Limits::default) but
/// for the number of rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spreadsheets;

impl Sheets for Spreadsheets {
    fn max_bytes(&self) -> u64 {
        Limits::default().max_bytes as u64
    }

    fn read(
        &self,
        bytes: &[u8],
        max_rows: u32,
        visit: &mut dyn FnMut(RawRow),
    ) -> Result<SheetReading, Unreadable> {
        let limits = Limits { max_rows, ..Limits::default() };
        let reading = read(bytes, &limits, visit).map_err(|rejection| Unreadable {
            code: rejection.code.as_str(),
            line: rejection.line,
            column: rejection.column,
        })?;
        Ok(SheetReading { detected: reading.detected, rows: reading.rows })
    }

    fn hint(&self, code: RowErrorCode, language: &Language) -> &'static str {
        hint(code, language)
    }

    fn whole_file_hint(&self, unreadable: &Unreadable, language: &Language) -> String {
        rejection_hint(unreadable.code, unreadable.line, unreadable.column.as_deref(), language)
    }

    fn report(
        &self,
        about: &ReportAbout<'_>,
        rows: &[ReportedRow<'_>],
    ) -> Result<Vec<u8>, StoreError> {
        let head = ReportHead {
            detected: about.detected,
            rows_total: about.rows_total,
            totals: about.totals,
            language: about.language,
            made_on: about.made_on,
        };
        let rows = rows.iter().map(|reported| ReportRow {
            row: reported.row,
            outcome: reported.outcome,
            errors: &reported.errors,
        });
        report(&head, rows).map_err(|error| unwritten(&error))
    }

    fn rejection_report(
        &self,
        unreadable: &Unreadable,
        language: &Language,
        made_on: Date,
    ) -> Result<Vec<u8>, StoreError> {
        let told = self.whole_file_hint(unreadable, language);
        rejection_report(unreadable.code, &told, language, made_on)
            .map_err(|error| unwritten(&error))
    }
}

/// A workbook that cannot be written is a defect: nothing outside takes part in it.
fn unwritten(error: &ReportError) -> StoreError {
    StoreError::Broken(error.to_string())
}
