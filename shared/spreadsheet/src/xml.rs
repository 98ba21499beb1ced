//! A pull scanner for the XML of workbooks, in bounded memory.
//!
//! It holds one tag and the text that was asked for, whatever the document's size: text that
//! nobody asked for is skipped, not stored, which general parsers do not promise for a hundred
//! megabytes of white space. It refuses what a workbook never holds: a DOCTYPE, entities that are
//! not predefined, NUL, tags that do not match.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::package::Part;
use crate::reject::Rejection;

/// Bytes held at a time; a tag fits into half of them.
const BLOCK: usize = 128 * 1024;
/// Most bytes of one tag.
const MAX_TAG: usize = 64 * 1024;
/// Most bytes of text kept between two calls of [`Scanner::clear_text`]. A spreadsheet's cell has
/// at most 32,767 characters.
const MAX_TEXT: usize = 1024 * 1024;
/// Most bytes of a reference behind its ampersand; the longest sensible one is `&#x10FFFF;`.
const MAX_REFERENCE: usize = 12;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

/// A cell's value and its end, as most are written.
const VALUE: &[u8] = b"<v>";
const END_OF_VALUE: &[u8] = b"</v></c>";

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
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Scanner<'p> {
    part: Part<'p>,
    /// What of the part is at hand: a window, the bytes from `at` to `filled` not yet scanned.
    block: Box<[u8]>,
    at: usize,
    filled: usize,
    /// Bytes of the part before the window.
    before: u64,
    /// Where in the window the tag being looked at stands, without its angle brackets.
    tag: Range<usize>,
    name_len: usize,
    /// Names of the open elements, one behind the other, and where each begins.
    open: Vec<u8>,
    starts: Vec<usize>,
    /// The tag was `<a/>`: its end comes next.
    ends_itself: bool,
    text: Vec<u8>,
    keeps_text: bool,
    text_overflows: bool,
    /// Whether the text is read by another parser too; see [`Scanner::for_another_parser`].
    is_strict: bool,
    refuses_sections: bool,
    /// Where the run of bytes between two tags began, and the longest one.
    run_began: u64,
    longest_run: u64,
}

impl<'p> Scanner<'p> {
    pub(crate) fn new(part: Part<'p>) -> Self {
        Self {
            part,
            block: vec![0; BLOCK].into_boxed_slice(),
            at: 0,
            filled: 0,
            before: 0,
            tag: 0..0,
            name_len: 0,
            open: Vec::new(),
            starts: Vec::new(),
            ends_itself: false,
            text: Vec::new(),
            keeps_text: false,
            text_overflows: false,
            is_strict: false,
            refuses_sections: false,
            run_began: 0,
            longest_run: 0,
        }
    }

    /// A scanner of a part that a general parser reads afterwards: references are checked in all
    /// text, whoever asked for it, and what two parsers could take differently is refused: an
    /// encoding other than UTF-8, comments that begin with their end.
    pub(crate) fn for_another_parser(part: Part<'p>) -> Self {
        Self { is_strict: true, ..Self::new(part) }
    }

    /// Refuses CDATA sections from here on.
    pub(crate) fn refuse_sections(&mut self) {
        self.refuses_sections = true;
    }

    /// The next tag. Text before it is kept if asked for, else skipped.
    pub(crate) fn next(&mut self) -> Result<Event, Rejection> {
        if self.ends_itself {
            self.ends_itself = false;
            self.close();
            return Ok(Event::End);
        }
        self.run_began = self.position();
        loop {
            if !self.text_to_tag()? {
                self.end_run();
                return if self.starts.is_empty() { Ok(Event::Eof) } else { Err(broken()) };
            }
            match self.peek()? {
                b'?' => self.instruction()?,
                b'!' => self.markup()?,
                b'/' => {
                    self.end_run();
                    self.at += 1;
                    return self.end_tag();
                }
                _ => {
                    self.end_run();
                    return self.start_tag();
                }
            }
        }
    }

    /// The text of the element that began just now, if nothing but text stands in it: then the
    /// element's end is passed too. Else nothing is passed.
    pub(crate) fn leaf_text(&mut self) -> Result<Option<&[u8]>, Rejection> {
        if self.ends_itself {
            self.ends_itself = false;
            self.close();
            return Ok(Some(&[]));
        }
        let mut searched = 0;
        let length = loop {
            let rest = &self.block[self.at..self.filled];
            match memchr(b'<', &rest[searched..]) {
                // What is looked at behind the text has to be at hand too.
                Some(length) if searched + length + self.name_len + 3 <= rest.len() => {
                    break searched + length;
                }
                Some(length) => searched += length,
                None => searched = rest.len(),
            }
            if searched > MAX_TAG || !self.refill()? {
                return Ok(None);
            }
        };
        let (text, behind) = self.block[self.at..self.filled].split_at(length);
        let name = &self.open[self.starts.last().copied().unwrap_or_default()..];
        let ends = behind[1] == b'/' && behind[2..].starts_with(name);
        if !ends || behind[2 + name.len()] != b'>' {
            return Ok(None);
        }
        if self.is_strict {
            check_references(text)?;
        }
        let begin = self.at;
        self.at += length + name.len() + 3;
        self.close();
        Ok(Some(&self.block[begin..begin + length]))
    }

    /// The text of `<v>…</v>` if nothing else stands in the element that began just now, whose
    /// name is `c`: then both elements' ends are passed too. Else nothing is passed. Most cells of a
    /// worksheet are written so.
    pub(crate) fn only_value(&mut self) -> Option<&[u8]> {
        let rest = &self.block[self.at..self.filled];
        if self.ends_itself || self.name() != b"c" || !rest.starts_with(VALUE) {
            return None;
        }
        let text = &rest[VALUE.len()..];
        let length = position(text, |byte| matches!(byte, b'<' | b'&'))?;
        if !text[length..].starts_with(END_OF_VALUE) {
            return None;
        }
        let begin = self.at + VALUE.len();
        self.at = begin + length + END_OF_VALUE.len();
        self.close();
        Some(&self.block[begin..begin + length])
    }

    /// The element's qualified name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.block[self.tag.start..self.tag.start + self.name_len]
    }

    /// The element's name without its prefix.
    pub(crate) fn local_name(&self) -> &[u8] {
        let name = self.name();
        position(name, |byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
    }

    /// The attributes of the element that began: qualified names and raw values.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes { rest: &self.block[self.tag.start + self.name_len..self.tag.end] }
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

    /// How many bytes of the part have been passed.
    pub(crate) fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Where the tag begins and ends that [`Scanner::next`] gave, angle brackets included.
    pub(crate) fn tag_range(&self) -> Range<u64> {
        self.before + self.tag.start as u64 - 1..self.position()
    }

    /// The most bytes that stood between two tags.
    pub(crate) fn longest_run(&self) -> u64 {
        self.longest_run
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

    fn end_run(&mut self) {
        self.longest_run = self.longest_run.max(self.position() - self.run_began);
    }

    /// Makes sure of a byte to look at; false at the end.
    fn fill(&mut self) -> Result<bool, Rejection> {
        if self.at < self.filled { Ok(true) } else { self.refill() }
    }

    /// Inflates more behind what is at hand; false at the end of the part.
    fn refill(&mut self) -> Result<bool, Rejection> {
        self.block.copy_within(self.at..self.filled, 0);
        self.before += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        let count = self.part.read(&mut self.block[self.filled..])?;
        if memchr(0, &self.block[self.filled..self.filled + count]).is_some() {
            return Err(broken());
        }
        self.filled += count;
        Ok(count > 0)
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
            let mut piece = &rest[..length.unwrap_or(rest.len())];
            if self.is_strict {
                if !found && let Some(cut) = cut_reference(piece) {
                    // Its end has not been inflated yet.
                    if cut == 0 {
                        if self.refill()? {
                            continue;
                        }
                        return Err(broken());
                    }
                    piece = &piece[..cut];
                }
                check_references(piece)?;
            }
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

    /// A processing instruction, or the declaration of the encoding.
    fn instruction(&mut self) -> Result<(), Rejection> {
        if !self.is_strict {
            return self.skip_past(b"?>");
        }
        self.at += 1;
        self.read_tag()?;
        let instruction = &self.block[self.tag.clone()];
        let Some(declaration) = instruction.strip_suffix(b"?").filter(|text| !text.is_empty())
        else {
            return Err(broken());
        };
        let declared = declaration.strip_prefix(b"xml").unwrap_or_default();
        if !declared.first().is_some_and(u8::is_ascii_whitespace) {
            return Ok(());
        }
        for attribute in (Attributes { rest: declared }) {
            let (name, value) = attribute?;
            if name == b"encoding" && !value.eq_ignore_ascii_case(b"utf-8") {
                return Err(broken());
            }
        }
        Ok(())
    }

    /// A comment or a CDATA section; nothing else may begin with `<!`.
    fn markup(&mut self) -> Result<(), Rejection> {
        self.at += 1;
        if self.peek()? == b'-' {
            self.expect(b"--")?;
            if self.is_strict && matches!(self.peek()?, b'-' | b'>') {
                return Err(broken());
            }
            return self.skip_past(b"-->");
        }
        if self.refuses_sections {
            return Err(broken());
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
        let tag = &self.block[self.tag.clone()];
        self.name_len = tag.trim_ascii_end().len();
        let start = *self.starts.last().ok_or_else(broken)?;
        if self.open[start..] != tag[..self.name_len] {
            return Err(broken());
        }
        self.close();
        Ok(Event::End)
    }

    fn start_tag(&mut self) -> Result<Event, Rejection> {
        self.read_tag()?;
        if self.block[self.tag.clone()].last() == Some(&b'/') {
            self.tag.end -= 1;
            self.ends_itself = true;
        }
        let tag = &self.block[self.tag.clone()];
        self.name_len = position(tag, |byte| byte.is_ascii_whitespace()).unwrap_or(tag.len());
        if self.name_len == 0 || self.starts.len() == MAX_DEPTH {
            return Err(broken());
        }
        self.starts.push(self.open.len());
        self.open.extend_from_slice(&tag[..self.name_len]);
        Ok(Event::Start)
    }

    fn close(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.open.truncate(start);
        }
    }

    /// Reads to behind the `>` that ends the tag; one inside quotes does not.
    fn read_tag(&mut self) -> Result<(), Rejection> {
        let (mut quote, mut scanned) = (None, 0);
        loop {
            for (place, byte) in self.block[self.at + scanned..self.filled].iter().enumerate() {
                match (quote, *byte) {
                    (None, b'>') => {
                        self.tag = self.at..self.at + scanned + place;
                        self.at = self.tag.end + 1;
                        return Ok(());
                    }
                    (None, b'"' | b'\'') => quote = Some(*byte),
                    (Some(open), byte) if open == byte => quote = None,
                    _ => {}
                }
            }
            scanned = self.filled - self.at;
            if scanned > MAX_TAG || !self.refill()? {
                return Err(broken());
            }
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
        let end = memchr(b';', &reference[..reference.len().min(MAX_REFERENCE)]);
        let end = end.ok_or_else(broken)?;
        let character = referenced(&reference[..end]).ok_or_else(broken)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &reference[end + 1..];
    }
    text.extend_from_slice(rest);
    Ok(())
}

/// Refuses references that are none.
fn check_references(text: &[u8]) -> Result<(), Rejection> {
    if memchr(b'&', text).is_none() {
        return Ok(());
    }
    unescape_into(text, &mut Vec::new())
}

/// Where a text ends within a reference.
fn cut_reference(text: &[u8]) -> Option<usize> {
    let tail = text.len().saturating_sub(MAX_REFERENCE);
    let start = tail + text[tail..].iter().rposition(|byte| *byte == b'&')?;
    memchr(b';', &text[start..]).is_none().then_some(start)
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
