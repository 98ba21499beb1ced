//! Records of separated text, numbered as a spreadsheet numbers them.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use crate::reject::{RejectCode, Rejection};

/// Room for a field at first.
const FIELD: usize = 4096;

/// Splits a text into records: fields by a separator, quoted ones by RFC 4180, ends by CR, LF or
/// CRLF. Splitting is `csv_core`'s; it passes over empty lines, which are counted here, and takes
/// quotes that nothing closes for a field, which is refused here. Only a field is held at a time.
pub(crate) struct Records<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    reader: Reader,
    field: Vec<u8>,
}

impl<'t> Records<'t> {
    pub(crate) fn new(text: &'t str, separator: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(separator).build();
        Self { text, at: 0, line: 0, reader, field: vec![0; FIELD] }
    }

    /// The next record's number, its fields given to `each` with their place; `None` at the end.
    /// Empty lines have numbers, but no record.
    pub(crate) fn next_record<E: From<Rejection>>(
        &mut self,
        mut each: impl FnMut(u32, usize, &str) -> Result<(), E>,
    ) -> Result<Option<u32>, E> {
        self.pass_empty_lines();
        if self.at == self.text.len() {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        for column in 0.. {
            let (length, is_last) = self.next_field()?;
            let field = std::str::from_utf8(&self.field[..length]);
            each(self.line, column, field.map_err(|_| Rejection::unreadable())?)?;
            if is_last {
                break;
            }
        }
        Ok(Some(self.line))
    }

    fn pass_empty_lines(&mut self) {
        let bytes = self.text.as_bytes();
        // The second half of a CRLF that ended the record before.
        if self.at > 0 && bytes[self.at - 1..].starts_with(b"\r\n") {
            self.at += 1;
        }
        loop {
            self.at += match &bytes[self.at..] {
                [b'\r', b'\n', ..] => 2,
                [b'\r' | b'\n', ..] => 1,
                _ => return,
            };
            self.line = self.line.saturating_add(1);
        }
    }

    /// Reads a field; gives its length and whether it is its record's last.
    fn next_field(&mut self) -> Result<(usize, bool), Rejection> {
        let mut length = 0;
        loop {
            // The text's end ends the last line, unless quotes are open.
            let is_over = self.at == self.text.len();
            let rest = if is_over { b"\n" } else { &self.text.as_bytes()[self.at..] };
            let (result, read, written) = self.reader.read_field(rest, &mut self.field[length..]);
            self.at += if is_over { 0 } else { read };
            length += written;
            match result {
                ReadFieldResult::Field { record_end } => return Ok((length, record_end)),
                ReadFieldResult::OutputFull => self.field.resize(self.field.len() * 2, 0),
                ReadFieldResult::InputEmpty if !is_over => {}
                ReadFieldResult::InputEmpty | ReadFieldResult::End => {
                    // Nothing closes the quotes: rows would vanish inside them.
                    return Err(Rejection::on_line(RejectCode::UnreadableFile, self.line));
                }
            }
        }
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
                fields.push(field.to_owned());
                Ok(())
            })?;
            let Some(line) = more else { return Ok(records) };
            // Empty lines before it.
            records.resize(line as usize - 1, vec![String::new()]);
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
