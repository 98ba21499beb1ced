//! The number formats of a workbook's cells.

use std::collections::BTreeMap;

use crate::number::is_date_format;
use crate::reject::Rejection;
use crate::xlsx::attribute_number;
use crate::xml::{Event, Scanner};

/// Most cell formats; Excel stops at 65,490.
const MAX_FORMATS: usize = 65_536;
/// Most bytes of a number format's code; Excel stops at 255 characters.
const MAX_CODE: usize = 1024;

/// Which cell formats show a number as a date.
#[derive(Default)]
pub(super) struct Styles {
    /// By cell format.
    pub(super) are_dates: Vec<bool>,
}

impl Styles {
    /// Reads the styles part.
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Self, Rejection> {
        let mut codes: BTreeMap<u16, String> = BTreeMap::new();
        let mut formats = Vec::new();
        let mut in_cell_formats = false;
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => break,
                (Event::Start, b"cellXfs") => in_cell_formats = true,
                (Event::End, b"cellXfs") => in_cell_formats = false,
                (Event::Start, b"xf") if in_cell_formats => {
                    if formats.len() == MAX_FORMATS {
                        return Err(Rejection::unreadable());
                    }
                    let id = attribute_number(scanner, b"numFmtId")?;
                    formats.push(id.unwrap_or(0));
                }
                (Event::Start, b"numFmt") => {
                    let id = attribute_number(scanner, b"numFmtId")?;
                    if let (Some(id), Some(code)) = (id, scanner.attribute(b"formatCode")?) {
                        if code.len() > MAX_CODE {
                            return Err(Rejection::unreadable());
                        }
                        codes.insert(id, code.into_owned());
                    }
                }
                _ => {}
            }
        }
        let is_date = |id: &u16| is_date_format(*id, codes.get(id).map(String::as_str));
        Ok(Self { are_dates: formats.iter().map(is_date).collect() })
    }

    /// Whether a cell format shows a date; one that does not exist makes the file unreadable.
    pub(super) fn is_date(&self, format: usize) -> Result<bool, Rejection> {
        match self.are_dates.get(format) {
            Some(is_date) => Ok(*is_date),
            None if format == 0 => Ok(false),
            None => Err(Rejection::unreadable()),
        }
    }
}
