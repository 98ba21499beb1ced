//! Separated text.

mod records;
mod separator;

use std::borrow::Cow;

use crate::encoding;
use crate::reject::Rejection;
use crate::row::Row;
use crate::source::{SheetDetails, Source};
use crate::table::{Flow, Table};
use records::Records;
use separator::Separator;

/// A text that was decoded and whose separator is known.
pub(crate) struct CsvFile<'b> {
    text: Cow<'b, str>,
    encoding: String,
    separator: Separator,
}

impl<'b> CsvFile<'b> {
    pub(crate) fn open(bytes: &'b [u8]) -> Result<Self, Rejection> {
        let (text, encoding) = encoding::decode(bytes)?;
        let separator = Separator::of(&text);
        Ok(Self { text, encoding, separator })
    }
}

impl Source for CsvFile<'_> {
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection> {
        let mut records = Records::new(&self.text, self.separator.byte);
        let mut row = Row::default();
        loop {
            row.begin(0, false);
            let next = records.next_record(|line, column, field| {
                row.line = line;
                row.put_text(column, field)
            })?;
            let Some(line) = next else { break };
            if self.separator.is_declared && line == 1 {
                continue;
            }
            if table.row(&mut row)? == Flow::LeaveSheet {
                break;
            }
        }
        Ok(self.details())
    }
}

impl CsvFile<'_> {
    fn details(&self) -> SheetDetails {
        SheetDetails {
            encoding: Some(self.encoding.clone()),
            delimiter: self.separator.separates.then(|| char::from(self.separator.byte)),
            sheet: None,
        }
    }
}
