//! `OpenDocument` spreadsheets (ODF 1.3).

mod sheet;

use std::collections::HashSet;

use crate::package::Package;
use crate::reject::{RejectCode, Rejection};
use crate::source::{SheetDetails, Source};
use crate::table::Table;
use crate::xml::{Event, Scanner};

const SPREADSHEET: &[u8] = b"application/vnd.oasis.opendocument.spreadsheet";

/// Refuses a package that is no spreadsheet, one with macros, and an encrypted one.
pub(crate) fn require_spreadsheet(package: &mut Package<'_>) -> Result<(), Rejection> {
    let kind = package.part("mimetype")?.read_short(128)?;
    let has_macros =
        package.keys().any(|part| part.starts_with("basic/") || part.starts_with("scripts/"));
    if kind.trim_ascii() != SPREADSHEET || has_macros {
        return Err(RejectCode::UnsupportedFormat.into());
    }
    if package.has("META-INF/manifest.xml") && is_encrypted(package)? {
        return Err(RejectCode::EncryptedFile.into());
    }
    Ok(())
}

fn is_encrypted(package: &mut Package<'_>) -> Result<bool, Rejection> {
    let mut scanner = Scanner::new(package.part("META-INF/manifest.xml")?);
    loop {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Eof, _) => return Ok(false),
            (Event::Start, b"encryption-data" | b"encrypted-key") => return Ok(true),
            _ => {}
        }
    }
}

/// A spreadsheet document.
pub(crate) struct Document<'b> {
    package: Package<'b>,
}

impl<'b> Document<'b> {
    pub(crate) fn open(package: Package<'b>) -> Self {
        Self { package }
    }
}

impl Source for Document<'_> {
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection> {
        let mut scanner = Scanner::new(self.package.part("content.xml")?);
        let mut hidden_styles = HashSet::new();
        let mut style = None;
        let mut chosen = None;
        loop {
            match (scanner.next()?, scanner.name()) {
                (Event::Eof, _) => {
                    return Ok(SheetDetails { sheet: chosen, ..SheetDetails::default() });
                }
                (Event::Start, b"style:style") => {
                    style = scanner.attribute(b"style:name")?.map(String::from);
                }
                (Event::Start, b"style:table-properties") if is_hiding(&scanner)? => {
                    hidden_styles.extend(style.take());
                }
                (Event::Start, b"table:table") => {
                    let style = scanner.attribute(b"table:style-name")?;
                    let is_hidden = style.is_some_and(|style| hidden_styles.contains(&*style));
                    // Once the sheet is known, what follows is inflated only to be measured.
                    if is_hidden || chosen.is_some() {
                        scanner.skip_element()?;
                        continue;
                    }
                    let name = scanner.attribute(b"table:name")?.map(String::from);
                    sheet::read(&mut scanner, table)?;
                    if table.is_found() {
                        chosen = Some(name.unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether the properties that began just now hide the sheets of their style.
fn is_hiding(scanner: &Scanner<'_>) -> Result<bool, Rejection> {
    Ok(scanner.attribute(b"table:display")?.is_some_and(|display| display == "false"))
}
