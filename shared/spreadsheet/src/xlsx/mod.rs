//! Office Open XML workbooks (ECMA-376): what is plain in them is read by the guard that walks
//! through them, the rest by `calamine`.
//!
//! Calamine never opens the uploaded package. It opens one that is made here, of the few parts it
//! needs: those that list and name things are written anew, the shared texts and the worksheets
//! are the uploaded bytes, which the guard has walked through before.

mod cells;
mod guard;
mod retold;
mod styles;

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use calamine::{Reader as _, Xlsx};

use crate::number::DateSystem;
use crate::package::{Package, part_key};
use crate::reject::{RejectCode, Rejection};
use crate::source::{SheetDetails, Source};
use crate::table::Table;
use crate::xml::{Event, Scanner, unescaped};
use guard::{Context, Rest, SharedTexts};
use styles::Styles;

/// The content type of a workbook without macros.
const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";
/// The content type of macros.
const MACROS: &str = "application/vnd.ms-office.vbaproject";

/// Refuses a package that is no workbook, or one with macros: judged by the workbook part's own
/// type and by the parts that are there, not by what else the list of types mentions.
pub(crate) fn require_plain_workbook(package: &mut Package<'_>) -> Result<(), Rejection> {
    let workbook = workbook_part(package)?;
    let types = ContentTypes::read(&mut Scanner::new(package.part("[Content_Types].xml")?))?;
    let has_macros = package.keys().any(|part| {
        part.rsplit('/').next() == Some("vbaproject.bin")
            || types.of_part.get(part).is_some_and(|kind| kind == MACROS)
    });
    if has_macros || types.of(&workbook) != Some(WORKBOOK) {
        return Err(RejectCode::UnsupportedFormat.into());
    }
    Ok(())
}

/// The list of content types.
#[derive(Default)]
struct ContentTypes {
    of_part: HashMap<String, String>,
    of_extension: HashMap<String, String>,
}

impl ContentTypes {
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Rejection> {
        let mut types = Self::default();
        loop {
            let (map, key) = match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => return Ok(types),
                (Event::Start, b"Override") => (&mut types.of_part, &b"PartName"[..]),
                (Event::Start, b"Default") => (&mut types.of_extension, &b"Extension"[..]),
                _ => continue,
            };
            let (key, kind) = (scanner.attribute(key)?, scanner.attribute(b"ContentType")?);
            if let (Some(key), Some(kind)) = (key, kind) {
                map.insert(part_key(&key), kind.trim().to_ascii_lowercase());
            }
        }
    }

    fn of(&self, part: &str) -> Option<&str> {
        let by_extension = || self.of_extension.get(part.rsplit('.').next()?);
        self.of_part.get(part).or_else(by_extension).map(String::as_str)
    }
}

/// A workbook whose shared parts are guarded and read.
pub(crate) struct Workbook<'b> {
    package: Package<'b>,
    sheets: Vec<Sheet>,
    context: Context,
    /// Opened for the first sheet that is not plain.
    calamine: Option<Xlsx<Cursor<Vec<u8>>>>,
}

/// A visible worksheet and where it is.
struct Sheet {
    name: String,
    part: String,
}

impl<'b> Workbook<'b> {
    pub(crate) fn open(mut package: Package<'b>) -> Result<Self, Rejection> {
        let part = workbook_part(&mut package)?;
        let links = Relationships::of(&mut package, &part)?;
        let (sheets, dates) = read_workbook(&mut Scanner::new(package.part(&part)?), &links)?;
        let mut parts = HashSet::new();
        if !sheets.iter().all(|sheet| parts.insert(sheet.part.as_str())) {
            return Err(Rejection::unreadable());
        }
        let styles = match links.by_kind("styles") {
            Some(part) => Some(Styles::read(&mut Scanner::new(package.part(part)?))?),
            None => None,
        };
        let texts = match links.by_kind("sharedStrings") {
            Some(part) => Some(SharedTexts::read(part, &mut package)?),
            None => None,
        };
        Ok(Self { package, sheets, context: Context { texts, styles, dates }, calamine: None })
    }

    /// Has calamine read a sheet from the first row on that is not plain.
    fn read_rest(
        &mut self,
        index: usize,
        rest: &Rest,
        table: &mut Table<'_>,
    ) -> Result<(), Rejection> {
        let calamine = match &mut self.calamine {
            Some(calamine) => calamine,
            none => {
                let retold = retold::package(&mut self.package, &self.sheets, &self.context)?;
                let calamine =
                    Xlsx::new(Cursor::new(retold)).map_err(|_| Rejection::unreadable())?;
                none.insert(calamine)
            }
        };
        let cells = calamine
            .worksheet_cells_reader(&retold::sheet_name(index))
            .map_err(|_| Rejection::unreadable())?;
        cells::read(cells, rest, self.context.dates, table)
    }
}

impl Source for Workbook<'_> {
    fn read(&mut self, table: &mut Table<'_>) -> Result<SheetDetails, Rejection> {
        for index in 0..self.sheets.len() {
            let part = self.package.part(&self.sheets[index].part)?;
            let mut scanner = Scanner::for_another_parser(part);
            if let Some(rest) = guard::read(&mut scanner, &self.context, table)? {
                drop(scanner);
                self.read_rest(index, &rest, table)?;
            }
            if table.is_found() {
                return Ok(SheetDetails::of_sheet(&self.sheets[index].name));
            }
        }
        Ok(SheetDetails::default())
    }
}

/// The part that the package names as its document.
fn workbook_part(package: &mut Package<'_>) -> Result<String, Rejection> {
    let links = Relationships::read(&mut Scanner::new(package.part("_rels/.rels")?), "")?;
    links.by_kind("officeDocument").map(str::to_owned).ok_or_else(Rejection::unreadable)
}

/// The visible worksheets and the date system.
fn read_workbook(
    scanner: &mut Scanner<'_>,
    links: &Relationships,
) -> Result<(Vec<Sheet>, DateSystem), Rejection> {
    let mut sheets = Vec::new();
    let mut dates = DateSystem::From1900;
    loop {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Eof, _) => return Ok((sheets, dates)),
            (Event::Start, b"workbookPr") => {
                let is_1904 = scanner.attribute(b"date1904")?;
                if is_1904.is_some_and(|value| truth(value.as_bytes())) {
                    dates = DateSystem::From1904;
                }
            }
            (Event::Start, b"sheet") => sheets.extend(visible_worksheet(scanner, links)?),
            _ => {}
        }
    }
}

fn visible_worksheet(
    scanner: &Scanner<'_>,
    links: &Relationships,
) -> Result<Option<Sheet>, Rejection> {
    let (mut name, mut link, mut visible) = (None, None, true);
    for attribute in scanner.attributes() {
        match attribute? {
            (b"name", value) => name = Some(unescaped(value)?.into_owned()),
            (b"state", value) => visible = value == b"visible",
            (key, value) if key.ends_with(b":id") => link = Some(unescaped(value)?.into_owned()),
            _ => {}
        }
    }
    let link = link.ok_or_else(Rejection::unreadable)?;
    let target = links.by_id.get(&link).ok_or_else(Rejection::unreadable)?;
    let is_worksheet = target.kind == "worksheet";
    Ok((visible && is_worksheet)
        .then(|| Sheet { name: name.unwrap_or_default(), part: target.part.clone() }))
}

/// What a part refers to.
#[derive(Default)]
struct Relationships {
    by_id: HashMap<String, Link>,
}

struct Link {
    /// The last step of its type's name.
    kind: String,
    part: String,
}

impl Relationships {
    /// The relationships of a part; none if it has no such list.
    fn of(package: &mut Package<'_>, part: &str) -> Result<Self, Rejection> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let list = format!("{folder}/_rels/{file}.rels");
        if !package.has(&list) {
            return Ok(Self::default());
        }
        Self::read(&mut Scanner::new(package.part(&list)?), folder)
    }

    /// Reads a list whose targets are relative to `folder`.
    fn read(scanner: &mut Scanner<'_>, folder: &str) -> Result<Self, Rejection> {
        let mut links = Self::default();
        loop {
            match (scanner.next()?, scanner.local_name()) {
                (Event::Eof, _) => return Ok(links),
                (Event::Start, b"Relationship") => {}
                _ => continue,
            }
            let is_outside = scanner.attribute(b"TargetMode")?.is_some_and(|m| m == "External");
            let attributes = (
                scanner.attribute(b"Id")?,
                scanner.attribute(b"Type")?,
                scanner.attribute(b"Target")?,
            );
            if let (Some(id), Some(kind), Some(target), false) =
                (attributes.0, attributes.1, attributes.2, is_outside)
            {
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                let part = resolve(folder, &target);
                links.by_id.insert(id.into_owned(), Link { kind, part });
            }
        }
    }

    /// The part of the only link of a kind.
    fn by_kind(&self, kind: &str) -> Option<&str> {
        self.by_id.values().find(|link| link.kind == kind).map(|link| link.part.as_str())
    }
}

/// The key of the part that a target means, seen from a folder.
fn resolve(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    let full = if target.starts_with('/') { target } else { format!("{folder}/{target}") };
    let mut steps: Vec<&str> = Vec::new();
    for step in full.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    part_key(&steps.join("/"))
}

/// An attribute that is a number, if it is there.
fn attribute_number<T: TryFrom<u64>>(
    scanner: &Scanner<'_>,
    name: &[u8],
) -> Result<Option<T>, Rejection> {
    let Some(value) = scanner.attribute(name)? else {
        return Ok(None);
    };
    number(value.trim().as_bytes()).map(Some)
}

/// Digits as a number.
fn number<T: TryFrom<u64>>(digits: &[u8]) -> Result<T, Rejection> {
    let mut number = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || digits.len() > 18 {
            return Err(Rejection::unreadable());
        }
        number = number * 10 + u64::from(digit);
    }
    let number = T::try_from(number).ok().filter(|_| !digits.is_empty());
    number.ok_or_else(Rejection::unreadable)
}

/// A truth value as XML Schema writes it.
fn truth(value: &[u8]) -> bool {
    matches!(value, b"1" | b"true")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_found_from_their_folder() {
        assert_eq!(resolve("xl", "worksheets/Sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(resolve("xl", "/xl/styles.xml"), "xl/styles.xml");
        assert_eq!(resolve("xl/a", "..\\b\\.\\c.xml"), "xl/b/c.xml");
        assert_eq!(resolve("", "xl/workbook.xml"), "xl/workbook.xml");
    }
}
