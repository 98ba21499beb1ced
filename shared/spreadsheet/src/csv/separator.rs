//! Which character separates the fields.

use seatkeeper_domain::import::{Cell, trim_invisible};

use super::records::Records;
use crate::header::Header;
use crate::limits::{HEADER_ROWS, MAX_COLUMNS};
use crate::reject::Rejection;

const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The separator and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Separator {
    /// The character to split by.
    pub(crate) byte: u8,
    /// Whether the file has more than one column.
    pub(crate) separates: bool,
    /// Whether the first record is an Excel `sep=` line.
    pub(crate) is_declared: bool,
}

impl Separator {
    /// Obeys a `sep=` line; else judges by the first records: by the header it makes, and without
    /// one by how many records it cuts into the same number of fields.
    pub(crate) fn of(text: &str) -> Self {
        if let Some(byte) = declared(text) {
            return Self { byte, separates: true, is_declared: true };
        }
        let mut best = (0, 0, CANDIDATES[0]);
        for byte in CANDIDATES {
            // A candidate that leaves quotes open does not separate this text.
            let Ok(rows) = first_rows(text, byte) else {
                continue;
            };
            let recognized = rows
                .iter()
                .find_map(|row| Header::recognize(row))
                .map_or(0, |header| header.recognized() * MAX_COLUMNS + header.columns.len());
            let found = (recognized, consistency(&rows), byte);
            if (found.0, found.1) > (best.0, best.1) {
                best = found;
            }
        }
        let (recognized, consistency, byte) = best;
        let header_has_several = recognized % MAX_COLUMNS > 1;
        let separates = header_has_several || (recognized == 0 && consistency > 0);
        Self { byte, separates, is_declared: false }
    }
}

/// The character of a first line `sep=;`.
fn declared(text: &str) -> Option<u8> {
    let line = text.lines().next()?.trim_end_matches('\r');
    let line = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(line);
    match line.as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', byte] if !byte.is_ascii_alphanumeric() => {
            Some(*byte)
        }
        _ => None,
    }
}

/// The first records as rows of texts.
fn first_rows(text: &str, separator: u8) -> Result<Vec<Vec<Cell>>, Rejection> {
    let mut records = Records::new(text, separator);
    let mut rows = Vec::new();
    loop {
        let mut row = Vec::new();
        let line = records.next_record(|_, _, field| -> Result<(), Rejection> {
            if row.len() < MAX_COLUMNS {
                row.push(match trim_invisible(field) {
                    "" => Cell::Blank,
                    text => Cell::Text(text.to_owned()),
                });
            }
            Ok(())
        })?;
        if line.is_none_or(|line| line > HEADER_ROWS) {
            return Ok(rows);
        }
        rows.push(row);
    }
}

/// How many records have the most common number of fields, if that is more than one.
fn consistency(rows: &[Vec<Cell>]) -> usize {
    let alike = |fields: usize| rows.iter().filter(|row| row.len() == fields).count();
    rows.iter().map(Vec::len).filter(|fields| *fields > 1).map(alike).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(text: &str) -> Option<char> {
        let found = Separator::of(text);
        found.separates.then(|| char::from(found.byte))
    }

    #[test]
    fn the_header_or_the_shape_of_the_records_tells() {
        assert_eq!(separator("Email;Nom\na@b.fr;x, y, z\n"), Some(';'));
        assert_eq!(separator("Email,\"Nom;x;y\"\na@b.fr,1\n"), Some(','));
        assert_eq!(separator("Titre, avec, virgules\n\nEmail\tNom\n"), Some('\t'));
        assert_eq!(separator("email\na@b.fr; c@d.fr\n"), None);
        assert_eq!(separator("a@b.fr\nc@d.fr\n"), None);
        assert_eq!(separator("a@b.fr|A\nc@d.fr|B, C\n"), Some('|'));
        assert_eq!(separator(""), None);
    }

    #[test]
    fn a_sep_line_is_obeyed() {
        assert_eq!(separator("sep=;\r\nEmail;Fonction\r\n"), Some(';'));
        assert_eq!(separator("\"SEP=,\"\nEmail;Nom\n"), Some(','));
        assert_eq!(separator("sep=^\nEmail^Nom\n"), Some('^'));
        assert!(Separator::of("sep=\t\nEmail\tNom").is_declared);
        assert!(!Separator::of("sep=ab\nEmail;Nom").is_declared);
    }
}
