//! Values of an object's metadata. Headers are ASCII: S3 gives other letters as encoded words
//! (RFC 2047), and some uploaders write them percent-encoded.

use data_encoding::BASE64;

/// The text that a value stands for; a value that stands for nothing else is itself.
pub(crate) fn plain(value: &str) -> String {
    encoded_words(value).or_else(|| percent_decoded(value)).unwrap_or_else(|| value.to_owned())
}

/// Text in encoded words, the space between two of them dropped; `None` if there is none, or one
/// that cannot be read.
fn encoded_words(value: &str) -> Option<String> {
    if !value.contains("=?") {
        return None;
    }
    let mut text = String::new();
    let mut after_word = false;
    let mut rest = value;
    while let Some((before, from)) = rest.split_once("=?") {
        if !(after_word && before.trim().is_empty()) {
            text.push_str(before);
        }
        let mut parts = from.splitn(3, '?');
        let (charset, encoding, body) = (parts.next()?, parts.next()?, parts.next()?);
        let (body, behind) = body.split_once("?=")?;
        let bytes = match encoding {
            "B" | "b" => BASE64.decode(body.as_bytes()).ok()?,
            "Q" | "q" => hex_decoded(&body.replace('_', " "), b'=')?,
            _ => return None,
        };
        // The charset may name a language after an asterisk (RFC 2231).
        match charset.split('*').next()?.to_ascii_lowercase().as_str() {
            "utf-8" | "us-ascii" => text.push_str(str::from_utf8(&bytes).ok()?),
            "iso-8859-1" => text.extend(bytes.iter().map(|byte| char::from(*byte))),
            _ => return None,
        }
        (after_word, rest) = (true, behind);
    }
    text.push_str(rest);
    Some(text)
}

/// Percent-encoded text, if it stands for letters that a header cannot hold: `50%20` may mean
/// itself.
fn percent_decoded(value: &str) -> Option<String> {
    let bytes = hex_decoded(value, b'%')?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_ascii())
}

/// The bytes of a text in which `mark` and two hexadecimal digits are a byte.
fn hex_decoded(text: &str, mark: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != mark {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn letters_that_a_header_cannot_hold_are_read_however_they_are_written() {
        for (value, text) in [
            ("=?UTF-8?B?UsOpZ2lvbiBOb3Jk?=", "Région Nord"),
            ("=?utf-8?q?R=C3=A9gion_Nord?=", "Région Nord"),
            ("=?ISO-8859-1?Q?R=E9gion?= =?UTF-8?Q?_Nord?=", "Région Nord"),
            ("Paris|=?UTF-8*fr?Q?R=C3=A9gion?= Nord", "Paris|Région Nord"),
            ("R%C3%A9gion%20Nord", "Région Nord"),
        ] {
            assert_eq!(plain(value), text, "{value}");
        }
    }

    #[test]
    fn a_value_that_stands_for_nothing_else_is_itself() {
        for value in [
            "",
            "Paris",
            "100%",
            "50%20",
            "a=?b",
            "=?UTF-8?B?!?=",
            "=?x?Q?a?=",
            "%C3",
            "=?utf-8?B?/w==?=",
        ] {
            assert_eq!(plain(value), value);
        }
    }
}
