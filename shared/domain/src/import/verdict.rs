//! The verdict of a row in the preview.

use std::collections::HashMap;

use super::{CheckedRow, Field, RowError, RowErrorCode};
use crate::email::EmailAddress;
use crate::import_run::{OnExisting, Verdict};

/// A row's verdict, and the line it repeats if it is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgment {
    /// The verdict.
    pub verdict: Verdict,
    /// Of a duplicate: the first line with the same address that is not invalid.
    pub duplicate_of: Option<u32>,
}

impl From<Verdict> for Judgment {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, duplicate_of: None }
    }
}

/// Gives rows their verdicts, in file order: invalid before duplicate before existing before valid.
#[derive(Debug, Default)]
pub struct Judge {
    on_existing: OnExisting,
    first_lines: HashMap<EmailAddress, u32>,
}

impl Judge {
    /// A judge that has seen no row yet.
    pub fn new(on_existing: OnExisting) -> Self {
        Self { on_existing, first_lines: HashMap::new() }
    }

    /// The verdict of the next row. `exists` tells whether the address has a seat or a live
    /// invitation in the pool; under [`OnExisting::Error`] that becomes an error of the row.
    pub fn judge(
        &mut self,
        row: &mut CheckedRow,
        exists: impl FnOnce(&EmailAddress) -> bool,
    ) -> Judgment {
        let Some(email) = row.email.as_ref().filter(|_| row.errors.is_empty()) else {
            return Verdict::Invalid.into();
        };
        if let Some(first) = self.first_lines.get(email) {
            return Judgment { verdict: Verdict::Duplicate, duplicate_of: Some(*first) };
        }
        let exists = exists(email);
        if exists && self.on_existing == OnExisting::Error {
            row.errors.push(RowError { column: Field::Email, code: RowErrorCode::AlreadyExists });
            return Verdict::Invalid.into();
        }
        self.first_lines.insert(email.clone(), row.line);
        if exists { Verdict::Existing.into() } else { Verdict::Valid.into() }
    }
}
