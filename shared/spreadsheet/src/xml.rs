//! A pull scanner for the XML of workbooks, in bounded memory.
//!
//! It holds one tag and the text that was asked for, whatever the document's size: text that
//! nobody asked for is skipped, not stored, which general parsers do not promise for a hundred
//! megabytes of white space. It refuses what a workbook never holds: a DOCTYPE, entities that are
//! not predefined, NUL, tags that do not match.

use std::borrow::Cow;

use memchr::memchr;

use crate::package::Part;
use crate::reject::Rejection;

/// Bytes inflated at a time.
const BLOCK: usize = 64 * 1024;
/// Most bytes of one tag.
const MAX_TAG: usize = 64 * 1024;
/// Most bytes of text kept between two calls of [`Scanner::clear_text`]. A spreadsheet's cell has
/// at most 32,767 characters.
const MAX_TEXT: usize = 1024 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

/// What comes next in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// An element begins; see [`Scanner::name`] and [`Scanner::attributes`].
    Start,
    /// An element ends; see [`Scanner::name`].
    End,
    /// The document is over, and complete.
    Eof,
}

/// The scanner.
pub(crate) struct Scanner<'p> {
    part: Part<'p>,
    block: Box<[u8]>,
    at: usize,
    filled: usize,
    /// The tag being looked at, without its angle brackets.
    tag: Vec<u8>,
    name_len: usize,
    /// Names of the open elements, one behind the other, and where each begins.
    open: Vec<u8>,
    starts: Vec<usize>,
    /// The tag was `<a/>`: its end comes next.
    ends_itself: bool,
    text: Vec<u8>,
    keeps_text: bool,
    text_overflows: bool,
}

impl<'p> Scanner<'p> {
    pub(crate) fn new(part: Part<'p>) -> Self {
        Self {
            part,
            block: vec![0; BLOCK].into_boxed_slice(),
            at: 0,
            filled: 0,
            tag: Vec::new(),
            name_len: 0,
            open: Vec::new(),
            starts: Vec::new(),
            ends_itself: false,
            text: Vec::new(),
            keeps_text: false,
            text_overflows: false,
        }
    }

    /// The next tag. Text before it is kept if asked for, else skipped.
    pub(crate) fn next(&mut self) -> Result<Event, Rejection> {
        if self.ends_itself {
            self.ends_itself = false;
            self.close();
            return Ok(Event::End);
        }
        loop {
            if !self.text_to_tag()? {
                return if self.starts.is_empty() { Ok(Event::Eof) } else { Err(broken()) };
            }
            match self.peek()? {
                b'?' => self.skip_past(b"?>")?,
                b'!' => self.markup()?,
                b'/' => {
                    self.at += 1;
                    return self.end_tag();
                }
                _ => return self.start_tag(),
            }
        }
    }

    /// The element's qualified name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.tag[..self.name_len]
    }

    /// The element's name without its prefix.
    pub(crate) fn local_name(&self) -> &[u8] {
        let name = self.name();
        position(name, |byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
    }

    /// The attributes of the element that began: qualified names and raw values.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes { rest: &self.tag[self.name_len..] }
    }

    /// The value of an attribute by its qualified name.
    pub(crate) fn attribute(&self, name: &[u8]) -> Result<Option<Cow<'_, str>>, Rejection> {
        for attribute in self.attributes() {
            let (found, value) = attribute?;
            if found == name {
                return unescaped(value).map(Some);
            }
        }
        Ok(None)
    }

    /// Forgets the kept text.
    pub(crate) fn clear_text(&mut self) {
        self.text.clear();
        self.text_overflows = false;
    }

    /// Whether text from here on is kept.
    pub(crate) fn keep_text(&mut self, keep: bool) {
        self.keeps_text = keep;
    }

    /// Adds to the kept text what an element stands for.
    pub(crate) fn push_text(&mut self, character: u8, count: usize) {
        let room = MAX_TEXT.saturating_sub(self.text.len());
        self.text_overflows |= count > room;
        self.text.extend(std::iter::repeat_n(character, count.min(room)));
    }

    /// Whether nothing has been kept.
    pub(crate) fn text_is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text kept since it was cleared; `None` when it was more than is ever kept.
    pub(crate) fn text(&self) -> Result<Option<&str>, Rejection> {
        if self.text_overflows {
            return Ok(None);
        }
        std::str::from_utf8(&self.text).map(Some).map_err(|_| broken())
    }

    /// Skips to the end of the element that began just now.
    pub(crate) fn skip_element(&mut self) -> Result<(), Rejection> {
        let outside = self.starts.len() - 1;
        while self.starts.len() > outside {
            self.next()?;
        }
        Ok(())
    }

    /// Inflates the next block; false at the end.
    fn fill(&mut self) -> Result<bool, Rejection> {
        if self.at < self.filled {
            return Ok(true);
        }
        self.at = 0;
        self.filled = self.part.read(&mut self.block)?;
        if memchr(0, &self.block[..self.filled]).is_some() {
            return Err(broken());
        }
        Ok(self.filled > 0)
    }

    /// The next byte, which has to exist.
    fn peek(&mut self) -> Result<u8, Rejection> {
        if self.fill()? { Ok(self.block[self.at]) } else { Err(broken()) }
    }

    /// Moves behind the next `<`, keeping the text before it if asked for; false at the end.
    fn text_to_tag(&mut self) -> Result<bool, Rejection> {
        // Tags usually follow each other.
        if self.at < self.filled && self.block[self.at] == b'<' {
            self.at += 1;
            return Ok(true);
        }
        let begin = self.text.len();
        let mut found = false;
        while !found && self.fill()? {
            let rest = &self.block[self.at..self.filled];
            let length = memchr(b'<', rest);
            found = length.is_some();
            let piece = &rest[..length.unwrap_or(rest.len())];
            if self.keeps_text {
                append(&mut self.text, piece, &mut self.text_overflows);
            }
            self.at += piece.len() + usize::from(found);
        }
        if let Some(first) = memchr(b'&', &self.text[begin..]).filter(|_| !self.text_overflows) {
            let tail = self.text.split_off(begin + first);
            unescape_into(&tail, &mut self.text)?;
        }
        Ok(found)
    }

    /// A comment or a CDATA section; nothing else may begin with `<!`.
    fn markup(&mut self) -> Result<(), Rejection> {
        self.at += 1;
        if self.peek()? == b'-' {
            self.expect(b"--")?;
            return self.skip_past(b"-->");
        }
        self.expect(b"[CDATA[")?;
        let begin = self.text.len();
        let mut tail = [0; 3];
        while tail != *b"]]>" {
            let byte = self.peek()?;
            self.at += 1;
            tail = [tail[1], tail[2], byte];
            if self.keeps_text {
                append(&mut self.text, &[byte], &mut self.text_overflows);
            }
        }
        if self.keeps_text && !self.text_overflows {
            self.text.truncate((self.text.len() - tail.len()).max(begin));
        }
        Ok(())
    }

    fn expect(&mut self, bytes: &[u8]) -> Result<(), Rejection> {
        for byte in bytes {
            if self.peek()? != *byte {
                return Err(broken());
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Skips to behind the next `end`.
    fn skip_past(&mut self, end: &[u8]) -> Result<(), Rejection> {
        let mut matched = 0;
        while matched < end.len() {
            let byte = self.peek()?;
            self.at += 1;
            if byte == end[matched] {
                matched += 1;
            } else if byte != end[0] {
                matched = 0;
            } else if !(matched == 2 && end[1] == end[0]) {
                // Of `---…>` the last two hyphens count; of `??>` the last question mark.
                matched = 1;
            }
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<Event, Rejection> {
        self.read_tag()?;
        self.tag.truncate(self.tag.trim_ascii_end().len());
        self.name_len = self.tag.len();
        let start = *self.starts.last().ok_or_else(broken)?;
        if self.open[start..] != self.tag[..] {
            return Err(broken());
        }
        self.close();
        Ok(Event::End)
    }

    fn start_tag(&mut self) -> Result<Event, Rejection> {
        self.read_tag()?;
        if self.tag.last() == Some(&b'/') {
            self.tag.pop();
            self.ends_itself = true;
        }
        let end = self.tag.iter().position(u8::is_ascii_whitespace);
        self.name_len = end.unwrap_or(self.tag.len());
        if self.name_len == 0 || self.starts.len() == MAX_DEPTH {
            return Err(broken());
        }
        self.starts.push(self.open.len());
        self.open.extend_from_slice(&self.tag[..self.name_len]);
        Ok(Event::Start)
    }

    fn close(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.open.truncate(start);
        }
    }

    /// Reads to behind the `>` that ends the tag; one inside quotes does not.
    fn read_tag(&mut self) -> Result<(), Rejection> {
        self.tag.clear();
        let mut quote = None;
        loop {
            if !self.fill()? {
                return Err(broken());
            }
            let rest = &self.block[self.at..self.filled];
            let stop = match quote {
                Some(quote) => position(rest, |byte| byte == quote),
                None => position(rest, |byte| matches!(byte, b'>' | b'"' | b'\'')),
            };
            let length = stop.unwrap_or(rest.len());
            self.tag.extend_from_slice(&rest[..length]);
            if self.tag.len() > MAX_TAG {
                return Err(broken());
            }
            self.at += length;
            if stop.is_none() {
                continue;
            }
            let byte = self.block[self.at];
            self.at += 1;
            if byte == b'>' && quote.is_none() {
                return Ok(());
            }
            self.tag.push(byte);
            quote = if quote.is_some() { None } else { Some(byte) };
        }
    }
}

/// The attributes of a tag, as they stand there.
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let split = || {
            let equals = position(rest, |byte| byte == b'=')?;
            let name = rest[..equals].trim_ascii_end();
            let value = rest[equals + 1..].trim_ascii_start();
            let quote = *value.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
            let end = position(&value[1..], |byte| byte == quote)? + 1;
            Some((name, &value[1..end], &value[end + 1..]))
        };
        let Some((name, value, behind)) = split() else {
            self.rest = &[];
            return Some(Err(broken()));
        };
        self.rest = behind;
        Some(Ok((name, value)))
    }
}

/// An attribute's value as text.
pub(crate) fn unescaped(raw: &[u8]) -> Result<Cow<'_, str>, Rejection> {
    if position(raw, |byte| byte == b'&').is_none() {
        return std::str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| broken());
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape_into(raw, &mut text)?;
    String::from_utf8(text).map(Cow::Owned).map_err(|_| broken())
}

/// Appends `piece` as far as there is room.
fn append(text: &mut Vec<u8>, piece: &[u8], overflows: &mut bool) {
    let room = MAX_TEXT.saturating_sub(text.len());
    *overflows |= piece.len() > room;
    text.extend_from_slice(&piece[..piece.len().min(room)]);
}

/// Replaces character references and the five predefined entities.
fn unescape_into(raw: &[u8], text: &mut Vec<u8>) -> Result<(), Rejection> {
    let mut rest = raw;
    while let Some(start) = memchr(b'&', rest) {
        text.extend_from_slice(&rest[..start]);
        let reference = &rest[start + 1..];
        // The longest sensible reference is `&#x10FFFF;`.
        let end = memchr(b';', &reference[..reference.len().min(12)]).ok_or_else(broken)?;
        let character = referenced(&reference[..end]).ok_or_else(broken)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &reference[end + 1..];
    }
    text.extend_from_slice(rest);
    Ok(())
}

fn referenced(name: &[u8]) -> Option<char> {
    let code = match name {
        b"lt" => return Some('<'),
        b"gt" => return Some('>'),
        b"amp" => return Some('&'),
        b"quot" => return Some('"'),
        b"apos" => return Some('\''),
        [b'#', b'x' | b'X', hex @ ..] => {
            u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?
        }
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    char::from_u32(code).filter(|character| *character != '\0')
}

/// The place of the first byte wanted. Tags are short: a plain loop beats a vectorized search.
fn position(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| wanted(*byte))
}

fn broken() -> Rejection {
    Rejection::unreadable()
}
