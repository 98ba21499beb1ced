//! The text encoding of a csv file.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::reject::Rejection;

/// Bytes looked at to tell UTF-16 without a byte order mark.
const SAMPLE: usize = 4096;

/// Decodes a text: by its byte order mark; else UTF-16 when zero bytes say so; else UTF-8 when it
/// is valid; else whatever the bytes look like. Gives the encoding's WHATWG label, in lower case.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, String), Rejection> {
    let (encoding, bytes) = encoding_of(bytes);
    let (text, broken) = encoding.decode_without_bom_handling(bytes);
    if broken || memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Rejection::unreadable());
    }
    Ok((text, encoding.name().to_ascii_lowercase()))
}

/// The beginning of a text, as far as it can be read.
pub(crate) fn beginning(bytes: &[u8]) -> Cow<'_, str> {
    let (encoding, bytes) = encoding_of(&bytes[..bytes.len().min(512)]);
    encoding.decode_without_bom_handling(bytes).0
}

/// The encoding, and the bytes behind its mark.
fn encoding_of(bytes: &[u8]) -> (&'static Encoding, &[u8]) {
    match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, &bytes[length..]),
        None => (without_mark(bytes), bytes),
    }
}

fn without_mark(bytes: &[u8]) -> &'static Encoding {
    if let Some(encoding) = utf_16_by_zeros(bytes) {
        return encoding;
    }
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, chardetng::Utf8Detection::Deny)
}

/// UTF-16 of mostly Western text has a zero in every other byte.
pub(crate) fn utf_16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = |first: usize| sample.iter().skip(first).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), sample.len() / 2);
    let many = |zeros: usize| zeros * 4 > pairs;
    let few = |zeros: usize| zeros * 20 < pairs.max(1);
    if many(odd) && few(even) {
        Some(UTF_16LE)
    } else if many(even) && few(odd) {
        Some(UTF_16BE)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(bytes: &[u8]) -> Option<(String, String)> {
        decode(bytes).ok().map(|(text, label)| (text.into_owned(), label))
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn text_is_decoded_by_mark_zeros_validity_or_guess() {
        let header = "Prénom;Courriel\n";
        let expected = |name: &str| Some((header.to_owned(), name.to_owned()));
        assert_eq!(label(header.as_bytes()), expected("utf-8"));
        assert_eq!(label(format!("\u{feff}{header}").as_bytes()), expected("utf-8"));
        assert_eq!(label(&utf_16(header, u16::to_le_bytes)), expected("utf-16le"));
        assert_eq!(label(&utf_16(header, u16::to_be_bytes)), expected("utf-16be"));
        let marked = format!("\u{feff}{header}");
        assert_eq!(label(&utf_16(&marked, u16::to_be_bytes)), expected("utf-16be"));
        let (western, _, _) = encoding_rs::WINDOWS_1252.encode(header);
        assert_eq!(label(&western), expected("windows-1252"));
    }

    #[test]
    fn zeros_in_text_and_broken_text_behind_a_mark_are_unreadable() {
        assert_eq!(label(b"email\na@b.fr\0\n"), None);
        assert_eq!(label(b"\xef\xbb\xbfemail\n\xff\xfe"), None);
        assert_eq!(label(b"\xff\xfee\0m\0\x00\xd8"), None);
    }
}
