//! The number formats of a workbook's cells.

use std::collections::BTreeMap;

use crate::reject::Rejection;
use crate::xlsx::attribute_number;
use crate::xml::{Event, Scanner};

/// Most cell formats; Excel stops at 65,490.
const MAX_FORMATS: usize = 65_536;
/// Most bytes of a number format's code; Excel stops at 255 characters.
const MAX_CODE: usize = 1024;

/// What of the styles says whether a number is a date. Fonts, fills and borders, which calamine
/// would copy for every cell format, are left out.
#[derive(Default)]
pub(super) struct Styles {
    /// Codes of number formats that are not built in, by number.
    pub(super) codes: BTreeMap<u16, String>,
    /// The number format of each cell format.
    pub(super) formats: Vec<u16>,
}

impl Styles {
    /// Reads the styles part.
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Self, Rejection> {
        let mut styles = Self::default();
        let mut in_cell_formats = false;
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => return Ok(styles),
                (Event::Start, b"cellXfs") => in_cell_formats = true,
                (Event::End, b"cellXfs") => in_cell_formats = false,
                (Event::Start, b"xf") if in_cell_formats => {
                    if styles.formats.len() == MAX_FORMATS {
                        return Err(Rejection::unreadable());
                    }
                    let id = attribute_number(scanner, b"numFmtId")?;
                    styles.formats.push(id.unwrap_or(0));
                }
                (Event::Start, b"numFmt") => {
                    let id = attribute_number(scanner, b"numFmtId")?;
                    if let (Some(id), Some(code)) = (id, scanner.attribute(b"formatCode")?) {
                        if code.len() > MAX_CODE {
                            return Err(Rejection::unreadable());
                        }
                        styles.codes.insert(id, code.into_owned());
                    }
                }
                _ => {}
            }
        }
    }

    /// How many cell formats there are.
    pub(super) fn count(&self) -> usize {
        self.formats.len()
    }
}
