//! Characters that nobody sees.

/// The text without the spaces, no-break spaces, zero-width characters and direction marks around
/// it. What stands inside stays.
pub fn trim_invisible(text: &str) -> &str {
    // Most cells begin and end with a visible ASCII character: decide that without decoding.
    let bytes = text.as_bytes();
    let visible = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if visible(bytes.first()) && visible(bytes.last()) {
        return text;
    }
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '\u{61c}'
                    | '\u{180e}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{2069}'
                    | '\u{feff}'
            )
    })
}

#[cfg(test)]
mod tests {
    use super::trim_invisible;

    #[test]
    fn invisible_characters_around_a_text_go_and_those_inside_stay() {
        assert_eq!(trim_invisible("\u{feff} \u{a0}de\u{a0}La Tour\u{200b}\r\n"), "de\u{a0}La Tour");
        assert_eq!(trim_invisible("\u{202f}\u{200e}é\u{2069}"), "é");
        assert_eq!(trim_invisible("\u{a0}\u{200b} "), "");
        assert_eq!(trim_invisible("a"), "a");
    }
}
