//! What a file is, judged from its bytes.

use seatkeeper_domain::import::FileFormat;

use crate::limits::Limits;
use crate::package::Package;
use crate::reject::{RejectCode, Rejection};
use crate::xls::CompoundFile;
use crate::{encoding, ods, xlsx};

/// A file of a known format, its container opened.
pub(crate) enum Opened<'b> {
    Xlsx(Package<'b>),
    Ods(Package<'b>),
    Xls(CompoundFile<'b>),
    Text(&'b [u8]),
}

impl Opened<'_> {
    pub(crate) fn format(&self) -> FileFormat {
        match self {
            Self::Xlsx(_) => FileFormat::Xlsx,
            Self::Ods(_) => FileFormat::Ods,
            Self::Xls(_) => FileFormat::Xls,
            Self::Text(_) => FileFormat::Csv,
        }
    }
}

/// First bytes of files that are not spreadsheets.
const FOREIGN: [&[u8]; 17] = [
    b"%PDF",
    b"{\\rtf",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x28\xb5\x2f\xfd",
    b"\x7fELF",
    b"SQLite format 3",
];

/// Bytes looked at to tell text from anything else.
const SAMPLE: usize = 4096;

/// Judges a file and opens its container.
pub(crate) fn open<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Opened<'b>, Rejection> {
    if bytes.len() > limits.max_bytes {
        return Err(RejectCode::FileTooLarge.into());
    }
    if bytes.is_empty() {
        return Err(Rejection::unreadable());
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return open_zip(Package::open(bytes, limits.max_inflated)?);
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return open_compound(CompoundFile::open(bytes)?);
    }
    if is_foreign(bytes) || is_markup(bytes) {
        return Err(RejectCode::UnsupportedFormat.into());
    }
    Ok(Opened::Text(bytes))
}

fn open_zip(mut package: Package<'_>) -> Result<Opened<'_>, Rejection> {
    if package.has("[Content_Types].xml") {
        xlsx::require_plain_workbook(&mut package)?;
        return Ok(Opened::Xlsx(package));
    }
    if package.has("mimetype") {
        ods::require_spreadsheet(&mut package)?;
        return Ok(Opened::Ods(package));
    }
    Err(RejectCode::UnsupportedFormat.into())
}

fn open_compound(file: CompoundFile<'_>) -> Result<Opened<'_>, Rejection> {
    if file.has("EncryptedPackage") {
        return Err(RejectCode::EncryptedFile.into());
    }
    let is_workbook = file.has("Workbook") || file.has("Book");
    if !is_workbook || file.has("_VBA_PROJECT_CUR") {
        return Err(RejectCode::UnsupportedFormat.into());
    }
    Ok(Opened::Xls(file))
}

/// Whether these are the bytes of another kind of file. A few zeros are no proof: text with a NUL
/// is unreadable, not foreign.
fn is_foreign(bytes: &[u8]) -> bool {
    if FOREIGN.iter().any(|magic| bytes.starts_with(magic)) && !starts_as_text(bytes) {
        return true;
    }
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let count = |odd: fn(u8) -> bool| sample.iter().filter(|byte| odd(**byte)).count();
    // UTF-16 has control bytes as halves of ordinary characters; its mark is proof enough, and so are
    // the zeros of its other halves.
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let is_utf_16 = marked || encoding::utf_16_by_zeros(bytes).is_some();
    let controls = count(|byte| matches!(byte, 1..=8 | 14..=25 | 27..=31));
    !is_utf_16 && controls * 50 > sample.len()
}

/// Whether the first line has no control characters: `BM` also begins `BMW;…`.
fn starts_as_text(bytes: &[u8]) -> bool {
    let printable = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\r' | b'\n');
    !bytes.starts_with(b"%PDF")
        && !bytes.starts_with(b"{\\rtf")
        && bytes.iter().take(64).all(printable)
}

/// Whether the text is HTML or XML: it begins with a tag. `<a@b.fr>` is none.
fn is_markup(bytes: &[u8]) -> bool {
    let text = encoding::beginning(bytes);
    let Some(rest) = text.trim_start().strip_prefix('<') else {
        return false;
    };
    let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    rest.starts_with(['!', '?'])
        || (name.len() < rest.len() && name.starts_with([' ', '>', '/', ':', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> Option<RejectCode> {
        open(bytes, &Limits::default()).err().map(|rejection| rejection.code)
    }

    #[test]
    fn what_is_no_spreadsheet_is_unsupported_whatever_its_name() {
        let markup: [&[u8]; 6] = [
            b"<html><table><tr><td>email</td></tr></table></html>",
            b"\xef\xbb\xbf<?xml version=\"1.0\"?><Workbook/>",
            b"  <!DOCTYPE html>",
            b"<ss:Workbook xmlns:ss=\"x\">",
            b"<\0t\0a\0b\0l\0e\0>\0<\0t\0r\0>\0",
            b"%PDF-1.7\n",
        ];
        for bytes in markup {
            assert_eq!(code(bytes), Some(RejectCode::UnsupportedFormat), "{bytes:?}");
        }
        // The sample ends inside a character.
        let marked = format!("\u{feff}<?xml version=\"1.0\"?><a>{}</a>", "é".repeat(600));
        assert_eq!(code(marked.as_bytes()), Some(RejectCode::UnsupportedFormat));
        let noise: Vec<u8> = (0..=255).cycle().take(2000).collect();
        assert_eq!(code(&noise), Some(RejectCode::UnsupportedFormat));
        assert_eq!(code(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(RejectCode::UnsupportedFormat));
    }

    #[test]
    fn text_is_text_even_when_it_begins_oddly() {
        // Halves of – and œ are control bytes.
        let text: Vec<u8> = "n° 12 – œuvre,".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(code(&text.repeat(4)), None);
        for bytes in [&b"<a@b.fr>\n"[..], b"BMW;email\n", b"RIFF,email\n", b"<3, email\n"] {
            assert_eq!(code(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn empty_and_oversized_files_have_their_codes() {
        assert_eq!(code(b""), Some(RejectCode::UnreadableFile));
        assert_eq!(code(&vec![b'a'; (10 << 20) + 1]), Some(RejectCode::FileTooLarge));
        assert_eq!(code(&vec![b'a'; 10 << 20]), None);
    }
}
