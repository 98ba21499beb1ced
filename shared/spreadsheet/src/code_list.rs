//! The workbook of a batch of codes, for its download.

use jiff::civil::Date;
use rust_xlsxwriter::{Format, Workbook};

use crate::report::{ReportError, properties};

/// The headings, as in the csv file.
const HEADINGS: [(&str, u8); 3] = [("code", 26), ("link", 70), ("state", 12)];

/// Writes codes, links and states, one row a code. Everything is text: nothing that an administrator
/// chose as a code is taken for a formula, a number or a date.
pub fn code_list<'a>(
    name: &str,
    made_on: Date,
    rows: impl IntoIterator<Item = [&'a str; 3]>,
) -> Result<Vec<u8>, ReportError> {
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(made_on)?);
    let sheet = workbook.add_worksheet();
    sheet.set_name(name)?;
    let bold = Format::new().set_bold();
    let text = Format::new().set_num_format("@");
    for (column, (heading, width)) in (0..).zip(HEADINGS) {
        sheet.write_string_with_format(0, column, heading, &bold)?;
        sheet.set_column_width(column, width)?;
    }
    for (row, cells) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string_with_format(row, column, cell, &text)?;
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(workbook.save_to_buffer()?)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};
    use jiff::civil::date;

    use super::*;

    #[test]
    fn codes_are_text_whatever_they_look_like() {
        let rows = [["=1+1", "https://x.example/a/=1+1", "unused"], ["00012345", "@x", "redeemed"]];
        let bytes = code_list("codes", date(2026, 11, 23), rows).unwrap();
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
        let sheet = book.worksheet_range("codes").unwrap();
        let cells: Vec<Vec<Data>> = sheet.rows().map(<[Data]>::to_vec).collect();
        let text = |cell: &str| Data::String(cell.to_owned());
        assert_eq!(cells[0], ["code", "link", "state"].map(text));
        assert_eq!(cells[1], rows[0].map(text));
        assert_eq!(cells[2], rows[1].map(text));
    }
}
