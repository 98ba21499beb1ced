//! Records of separated text.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use crate::reject::{RejectCode, Rejection};

/// Splits a text into records: fields by a separator, quoted ones by RFC 4180, ends by CR, LF or
/// CRLF. Unlike the usual reader it counts empty lines, which have numbers in a spreadsheet too.
pub(crate) struct Records<'t> {
    text: &'t str,
    at: usize,
    separator: u8,
    line: u32,
}

impl<'t> Records<'t> {
    pub(crate) fn new(text: &'t str, separator: u8) -> Self {
        Self { text, at: 0, separator, line: 0 }
    }

    /// The next record's number, its fields given to `each` with their place; `None` at the end.
    pub(crate) fn next_record<E: From<Rejection>>(
        &mut self,
        mut each: impl FnMut(u32, usize, Cow<'t, str>) -> Result<(), E>,
    ) -> Result<Option<u32>, E> {
        if self.at >= self.text.len() {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        for column in 0.. {
            let field = self.field()?;
            each(self.line, column, field)?;
            match self.text.as_bytes().get(self.at) {
                Some(byte) if *byte == self.separator => self.at += 1,
                _ => break,
            }
        }
        self.end_record();
        Ok(Some(self.line))
    }

    fn end_record(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
    }

    /// Reads to the next separator or end of line.
    fn field(&mut self) -> Result<Cow<'t, str>, Rejection> {
        let rest = &self.text[self.at..];
        if !rest.starts_with('"') {
            return Ok(Cow::Borrowed(self.unquoted()));
        }
        let mut quoted = Cow::Borrowed("");
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = memchr(b'"', rest.as_bytes()) else {
                // Nothing closes the quotes: rows would vanish inside them.
                return Err(Rejection::on_line(RejectCode::UnreadableFile, self.line));
            };
            join(&mut quoted, &rest[..length]);
            self.at += length + 1;
            if !self.text[self.at..].starts_with('"') {
                break;
            }
            join(&mut quoted, "\"");
            self.at += 1;
        }
        join(&mut quoted, self.unquoted());
        Ok(quoted)
    }

    fn unquoted(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = memchr3(self.separator, b'\r', b'\n', rest.as_bytes()).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

fn join<'t>(field: &mut Cow<'t, str>, piece: &'t str) {
    if field.is_empty() {
        *field = Cow::Borrowed(piece);
    } else if !piece.is_empty() {
        field.to_mut().push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str) -> Result<Vec<Vec<String>>, Rejection> {
        let mut reader = Records::new(text, b',');
        let mut records = Vec::new();
        loop {
            let mut fields = Vec::new();
            let more = reader.next_record(|_, _, field| -> Result<(), Rejection> {
                fields.push(field.into_owned());
                Ok(())
            })?;
            if more.is_none() {
                return Ok(records);
            }
            records.push(fields);
        }
    }

    #[test]
    fn records_end_at_any_line_break_and_empty_lines_count() {
        let expected = vec![vec!["a", "b"], vec![""], vec!["c", ""], vec!["d"]];
        for text in ["a,b\n\nc,\nd", "a,b\r\n\r\nc,\r\nd\r\n", "a,b\r\rc,\rd\r"] {
            assert_eq!(records(text).unwrap(), expected, "{text:?}");
        }
        assert!(records("").unwrap().is_empty());
    }

    #[test]
    fn quotes_hold_separators_line_breaks_and_doubled_quotes() {
        let text = "\"x, \"\"y\"\"\r\nz\",\"\",a \"b\" c,\"d\"e\n";
        assert_eq!(records(text).unwrap(), [vec!["x, \"y\"\r\nz", "", "a \"b\" c", "de"]]);
        let unclosed = records("a\n\"b,c\nd\n").unwrap_err();
        assert_eq!((unclosed.code, unclosed.line), (RejectCode::UnreadableFile, Some(2)));
    }

    proptest! {
        #[test]
        fn what_is_written_with_quotes_reads_back(
            rows in prop::collection::vec(prop::collection::vec("[a-z,\"\r\n é]{0,6}", 1..5), 1..6)
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text = rows.iter().map(line).collect::<Vec<_>>().join("\r\n");
            prop_assert_eq!(records(&text).unwrap(), rows);
        }

        #[test]
        fn no_text_breaks_it(text in "[a,\"\r\né]{0,40}") {
            let _ = records(&text);
        }
    }
}
