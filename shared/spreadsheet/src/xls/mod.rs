//! Excel 5.0 to 2003 workbooks: BIFF records in a compound file ([MS-XLS], [MS-CFB]).
//!
//! [MS-XLS]: https://learn.microsoft.com/openspecs/office_file_formats/ms-xls
//! [MS-CFB]: https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb

mod biff;
mod cfb;
mod globals;
mod sheet;
mod sst;

use crate::reject::Rejection;
use crate::source::{SheetDetails, Source};
use crate::table::Table;
pub(crate) use cfb::CompoundFile;
use globals::Globals;

/// An old workbook whose globals are read.
pub(crate) struct OldWorkbook {
    stream: Vec<u8>,
    globals: Globals,
}

impl OldWorkbook {
    pub(crate) fn open(file: &CompoundFile<'_>) -> Result<Self, Rejection> {
        let name = if file.has("Workbook") { "Workbook" } else { "Book" };
        let stream = file.stream(name)?;
        let globals = Globals::read(&stream)?;
        Ok(Self { stream, globals })
    }
}

impl Source for OldWorkbook {
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection> {
        for (at, name) in &self.globals.sheets {
            sheet::read(&self.stream, *at, &self.globals, table)?;
            if table.is_found() {
                return Ok(SheetDetails::of_sheet(name));
            }
        }
        Ok(SheetDetails::default())
    }
}
