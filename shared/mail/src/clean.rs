//! Text from outside, made safe to stand in a mail.

use seatkeeper_domain::email::EmailAddress;

/// Most characters of a name.
pub(crate) const NAME_MAX: usize = 80;
/// Most characters of a subject.
pub(crate) const SUBJECT_MAX: usize = 200;

/// Characters that are not seen but change what is: controls, direction marks (Unicode 15, UAX 9,
/// explicit formatting), invisible operators, tags. The joiners U+200C and U+200D stay, names in
/// Persian and Hindi need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// One line of at most `max` characters: hidden characters dropped, line ends and tabs become
/// spaces, runs of ordinary spaces become one.
pub(crate) fn line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let c = if is_line_end(c) || c == '\t' { ' ' } else { c };
        if is_hidden(c) || (c == ' ' && (out.is_empty() || out.ends_with(' '))) {
            continue;
        }
        if length == max {
            out.truncate(out.trim_end().len());
            out.push('…');
            return out;
        }
        out.push(c);
        length += 1;
    }
    out.truncate(out.trim_end().len());
    out
}

/// A person's name, or nothing if it is empty or would be read as a link.
///
/// Anyone with a code can have a mail sent to any address, and mail programs make a link of
/// anything that looks like one; so a "name" that does is left out of the greeting.
pub(crate) fn person(name: Option<&str>) -> Option<String> {
    let name = line(name?, NAME_MAX);
    (!name.is_empty() && !looks_like_a_link(&name)).then_some(name)
}

/// Who invited: a name, or the address their identity provider vouches for, which leads nowhere but
/// to them.
pub(crate) fn inviter(who: Option<&str>) -> Option<String> {
    let address = who.and_then(|who| EmailAddress::parse(who).ok());
    address.map(|address| address.to_string()).or_else(|| person(who))
}

fn looks_like_a_link(name: &str) -> bool {
    name.contains(['/', '\\', '@', ':'])
        || name.split_whitespace().any(|word| {
            word.split('.')
                .skip(1)
                .any(|part| part.chars().count() >= 2 && part.chars().all(char::is_alphanumeric))
        })
}

/// The lines of a message: hidden characters dropped, at most one blank line between two others.
pub(crate) fn lines(message: Option<&str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for text in message.unwrap_or_default().replace("\r\n", "\n").split(is_line_end) {
        let text = line(text, usize::MAX);
        if !text.is_empty() || out.last().is_some_and(|last| !last.is_empty()) {
            out.push(text);
        }
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// An address that may stand behind a link: `http` or `https`, without blanks and the characters
/// that delimit a URL in text (RFC 3986, appendix C).
pub(crate) fn web_address(url: &str) -> Option<&str> {
    let known = url.starts_with("https://") || url.starts_with("http://");
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte);
    (known && url.bytes().all(plain)).then_some(url)
}

/// A plain text part without the traces of its template: no trailing blanks but that of the
/// signature's mark, at most one blank line, one line end at the end.
pub(crate) fn tidy_text(text: &str) -> String {
    let mut out = String::new();
    let mut blank = true;
    for line in text.lines().map(without_trailing_blanks) {
        if line.is_empty() && blank {
            continue;
        }
        blank = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// `-- ` begins a signature (RFC 3676, 4.3).
fn without_trailing_blanks(line: &str) -> &str {
    if line == "-- " { line } else { line.trim_end() }
}

/// An HTML part without the empty lines of its template.
pub(crate) fn without_blank_lines(html: &str) -> String {
    let mut out = String::new();
    for line in html.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_the_input() {
        assert_eq!(line(" A\r\nBcc: x@y.z \u{202e}evil\u{0}\u{2028}B ", 80), "A Bcc: x@y.z evil B");
        assert_eq!(line("Zoé\u{a0}: oui", 80), "Zoé\u{a0}: oui");
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("ab def", 3), "ab…");
        assert_eq!(line("abc", 3), "abc");
    }

    #[test]
    fn a_name_that_would_become_a_link_is_left_out() {
        for name in ["Jean-François", "J. R. R.", "St. John", "Dr.", "J.R.R.", "Anne Marie O’Neil"]
        {
            assert_eq!(person(Some(name)).as_deref(), Some(name));
        }
        let links =
            ["http://a.example", "Win at evil.example", "www.evil.com", "a@b.fr", "evil.io"];
        for name in links.into_iter().chain(["", " \u{200e} "]) {
            assert_eq!(person(Some(name)), None, "{name}");
        }
        assert_eq!(person(None), None);
    }

    #[test]
    fn a_message_keeps_its_lines_and_one_blank_between_them() {
        assert_eq!(lines(Some("\n\nHi\r\n\r\n\r\nyou\u{202e}\n \n")), ["Hi", "", "you"]);
        assert!(lines(Some(" \n ")).is_empty());
        assert!(lines(None).is_empty());
    }

    #[test]
    fn only_web_addresses_are_linked() {
        assert!(web_address("https://learn.example/i/abc?x=1&y=2").is_some());
        assert!(web_address("http://127.0.0.1:4566/i/abc").is_some());
        for url in ["javascript:alert(1)", "data:text/html,x", "https://a b", "https://a\nb", ""]
            .into_iter()
            .chain(["https://a/\"onload=\"x", "https://a/<b>"])
        {
            assert_eq!(web_address(url), None, "{url}");
        }
    }
}
