//! The shared texts of a workbook, and the escapes in texts.

use std::borrow::Cow;

use crate::reject::Rejection;
use crate::strings::StringTable;
use crate::xml::{Event, Scanner};

/// Reads the shared strings part: the runs of each text joined, its phonetic guides left out.
pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<StringTable, Rejection> {
    let mut table = StringTable::default();
    let mut in_guide = false;
    loop {
        match (scanner.next()?, scanner.local_name()) {
            (Event::Eof, _) => return Ok(table),
            (Event::Start, b"si") => scanner.clear_text(),
            (Event::Start, b"rPh") => in_guide = true,
            (Event::End, b"rPh") => in_guide = false,
            (Event::Start, b"t") => scanner.keep_text(!in_guide),
            (Event::End, b"t") => scanner.keep_text(false),
            (Event::End, b"si") => match scanner.text()? {
                Some(text) => table.push(&unescape(text)?),
                None => table.push_too_long(),
            },
            _ => {}
        }
    }
}

/// Resolves `_x000D_` and its like (ECMA-376 part 1, 22.9.2.19). A NUL is refused.
pub(crate) fn unescape(text: &str) -> Result<Cow<'_, str>, Rejection> {
    if !text.contains("_x") {
        return Ok(Cow::Borrowed(text));
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("_x") {
        let (before, escape) = rest.split_at(place);
        units.extend(before.encode_utf16());
        match escaped_unit(escape) {
            Some(0) => return Err(Rejection::unreadable()),
            Some(unit) => {
                units.push(unit);
                rest = &escape[7..];
            }
            None => {
                units.extend("_x".encode_utf16());
                rest = &escape[2..];
            }
        }
    }
    units.extend(rest.encode_utf16());
    Ok(Cow::Owned(String::from_utf16_lossy(&units)))
}

/// The UTF-16 unit of a text that begins with `_xHHHH_`.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.get(2..6)?;
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hexadecimal || text.as_bytes().get(6) != Some(&b'_') {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_what_only_looks_like_one_stays() {
        let cases = [
            ("a_x000D_\nb", "a\r\nb"),
            ("_x005F_x000D_", "_x000D_"),
            ("my_xlsx_file", "my_xlsx_file"),
            ("_xD83D__xDE00_", "😀"),
            ("é_x00é9_", "é_x00é9_"),
        ];
        for (stored, expected) in cases {
            assert_eq!(unescape(stored).unwrap(), expected, "{stored}");
        }
        assert!(unescape("a_x0000_b").is_err());
    }
}
