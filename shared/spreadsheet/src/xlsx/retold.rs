//! The package that calamine opens.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Sheet;
use super::guard::{Context, SharedTexts};
use super::styles::Styles;
use crate::number::DateSystem;
use crate::package::{Package, Part};
use crate::reject::Rejection;

const LINK: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
/// Bytes inflated at a time.
const BLOCK: usize = 64 * 1024;

/// The package being made.
type Target = ZipWriter<Cursor<Vec<u8>>>;

/// A package of the visible sheets, under names and in places that calamine looks in.
pub(super) fn package(
    source: &mut Package<'_>,
    sheets: &[Sheet],
    context: &Context,
) -> Result<Vec<u8>, Rejection> {
    let mut target = ZipWriter::new(Cursor::new(Vec::new()));
    let root =
        format!(r#"<Relationship Id="r" Type="{LINK}/officeDocument" Target="xl/workbook.xml"/>"#);
    put(&mut target, "_rels/.rels", &relationships(&root))?;
    let (workbook, links) = workbook(sheets.len(), context.dates)?;
    put(&mut target, "xl/workbook.xml", &workbook)?;
    put(&mut target, "xl/_rels/workbook.xml.rels", &relationships(&links))?;
    if let Some(styles) = &context.styles {
        put(&mut target, "xl/styles.xml", &style_sheet(styles))?;
    }
    match &context.texts {
        Some(texts) if texts.misstates_its_count => {
            start(&mut target, "xl/sharedStrings.xml")?;
            recount(source.part(&texts.part)?, texts, &mut target)?;
        }
        Some(texts) => source.copy_part(&texts.part, &mut target, "xl/sharedStrings.xml")?,
        None => {}
    }
    for (index, sheet) in sheets.iter().enumerate() {
        source.copy_part(&sheet.part, &mut target, &format!("xl/{}", sheet_part(index)))?;
    }
    let package = target.finish().map_err(|_| Rejection::unreadable())?;
    Ok(package.into_inner())
}

/// What calamine knows a sheet as. People's names for sheets need not differ.
pub(super) fn sheet_name(index: usize) -> String {
    format!("s{index}")
}

fn sheet_part(index: usize) -> String {
    format!("worksheets/s{index}.xml")
}

fn relationships(links: &str) -> String {
    format!("<Relationships>{links}</Relationships>")
}

/// The workbook part and its links.
fn workbook(sheets: usize, dates: DateSystem) -> Result<(String, String), Rejection> {
    let (mut list, mut links) = (String::new(), String::new());
    for index in 0..sheets {
        let (name, part) = (sheet_name(index), sheet_part(index));
        written(write!(list, r#"<sheet name="{name}" r:id="{name}"/>"#))?;
        let link =
            write!(links, r#"<Relationship Id="{name}" Type="{LINK}/worksheet" Target="{part}"/>"#);
        written(link)?;
    }
    let is_1904 = u8::from(dates == DateSystem::From1904);
    let workbook = format!(
        r#"<workbook><workbookPr date1904="{is_1904}"/><sheets>{list}</sheets></workbook>"#
    );
    Ok((workbook, links))
}

/// Cell formats that are a date's or nothing in particular. Fonts, fills and borders, which
/// calamine would copy for every cell format, are left out.
fn style_sheet(styles: &Styles) -> String {
    let format = |is_date: &bool| {
        if *is_date { r#"<xf numFmtId="14"/>"# } else { r#"<xf numFmtId="0"/>"# }
    };
    let formats: String = styles.are_dates.iter().map(format).collect();
    format!("<styleSheet><cellXfs>{formats}</cellXfs></styleSheet>")
}

/// Copies the shared texts without what they say about their number: calamine sets memory aside
/// for it.
fn recount(mut part: Part<'_>, texts: &SharedTexts, target: &mut Target) -> Result<(), Rejection> {
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    loop {
        let count = part.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        let within = |place: u64| {
            usize::try_from(place.saturating_sub(at)).map_or(count, |place| place.min(count))
        };
        let (head, tail) = (within(texts.head.start), within(texts.head.end));
        write_all(target, &block[..head])?;
        if (at..at + count as u64).contains(&texts.head.start) {
            write_all(target, b"<sst>")?;
        }
        write_all(target, &block[tail..count])?;
        at += count as u64;
    }
}

fn put(target: &mut Target, name: &str, content: &str) -> Result<(), Rejection> {
    start(target, name)?;
    write_all(target, content.as_bytes())
}

fn start(target: &mut Target, name: &str) -> Result<(), Rejection> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    written(target.start_file(name, options))
}

fn write_all(target: &mut Target, bytes: &[u8]) -> Result<(), Rejection> {
    written(target.write_all(bytes))
}

/// Nothing is written but to memory; a failure is one of the parts that were uploaded.
fn written<T, E>(result: Result<T, E>) -> Result<T, Rejection> {
    result.map_err(|_| Rejection::unreadable())
}
