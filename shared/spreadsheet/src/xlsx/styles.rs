//! Which cell formats of a workbook show dates.

use std::collections::HashMap;

use crate::number::is_date_format;
use crate::reject::Rejection;
use crate::xlsx::attribute_number;
use crate::xml::{Event, Scanner};

/// Cell formats by index.
#[derive(Default)]
pub(crate) struct Styles {
    dates: Vec<bool>,
    is_present: bool,
}

impl Styles {
    /// Reads the styles part.
    pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<Self, Rejection> {
        let mut codes: HashMap<u16, String> = HashMap::new();
        let mut formats: Vec<u16> = Vec::new();
        let mut in_cell_formats = false;
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => break,
                (Event::Start, b"cellXfs") => in_cell_formats = true,
                (Event::End, b"cellXfs") => in_cell_formats = false,
                (Event::Start, b"xf") if in_cell_formats => {
                    formats.push(attribute_number(scanner, b"numFmtId")?.unwrap_or(0));
                }
                (Event::Start, b"numFmt") => {
                    let id = attribute_number(scanner, b"numFmtId")?;
                    if let (Some(id), Some(code)) = (id, scanner.attribute(b"formatCode")?) {
                        codes.insert(id, code.into_owned());
                    }
                }
                _ => {}
            }
        }
        let is_date = |id: &u16| is_date_format(*id, codes.get(id).map(String::as_str));
        Ok(Self { dates: formats.iter().map(is_date).collect(), is_present: true })
    }

    /// Whether cells of this format show dates; an index that the workbook lacks makes it
    /// unreadable.
    pub(crate) fn is_date(&self, index: usize) -> Result<bool, Rejection> {
        match self.dates.get(index) {
            Some(is_date) => Ok(*is_date),
            None if self.is_present && index > 0 => Err(Rejection::unreadable()),
            None => Ok(false),
        }
    }
}
