//! The verdict of a row in the preview.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{CheckedRow, Field, RowError, RowErrorCode};
use crate::email::EmailAddress;

/// What to do about people who have a seat or a live invitation in the pool already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExisting {
    /// Leave them as they are.
    #[default]
    Skip,
    /// Set only their empty fields.
    FillBlank,
    /// Set every given field.
    Update,
    /// Call the row invalid.
    Error,
}

/// What is thought of a row before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would take a seat.
    Valid,
    /// It has errors.
    Invalid,
    /// An earlier row that is not invalid has the same address.
    Duplicate {
        /// The first such row's line.
        of: u32,
    },
    /// The person has a seat or a live invitation in this pool.
    Existing,
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
    ) -> Verdict {
        let Some(email) = row.email.as_ref().filter(|_| row.errors.is_empty()) else {
            return Verdict::Invalid;
        };
        if let Some(first) = self.first_lines.get(email) {
            return Verdict::Duplicate { of: *first };
        }
        let exists = exists(email);
        if exists && self.on_existing == OnExisting::Error {
            row.errors.push(RowError { column: Field::Email, code: RowErrorCode::AlreadyExists });
            return Verdict::Invalid;
        }
        self.first_lines.insert(email.clone(), row.line);
        if exists { Verdict::Existing } else { Verdict::Valid }
    }
}
