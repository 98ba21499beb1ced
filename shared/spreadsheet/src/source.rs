//! What the readers of all formats have in common.

use crate::reject::Rejection;
use crate::table::Table;

/// A file whose format is known, ready to give its rows.
pub(crate) trait Source {
    /// Gives the rows of the visible sheets, one sheet after the other, until the table says that
    /// this is the one; that sheet is read to its end.
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection>;
}

/// What is known of the sheet that was read last.
#[derive(Debug, Clone, Default)]
pub(crate) struct SheetDetails {
    pub(crate) encoding: Option<String>,
    pub(crate) delimiter: Option<char>,
    pub(crate) sheet: Option<String>,
}

impl SheetDetails {
    /// Those of a workbook's sheet.
    pub(crate) fn of_sheet(name: &str) -> Self {
        Self { sheet: Some(name.to_owned()), ..Self::default() }
    }
}
