//! What the rows of an import are checked against.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{DateOrder, GroupDirectory};
use crate::import_run::Mode;
use crate::language::Languages;
use crate::password::PasswordPolicy;
use crate::role::Role;

/// The days of a contract, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first day, if there is one.
    pub starts_on: Option<Date>,
    /// The last day, if there is one.
    pub ends_on: Option<Date>,
}

impl Window {
    /// The first day on which a seat can open.
    pub fn earliest(&self, today: Date) -> Date {
        self.starts_on.map_or(today, |first| first.max(today))
    }

    /// Whether the contract still runs on that day.
    pub fn has_not_ended(&self, day: Date) -> bool {
        self.ends_on.is_none_or(|last| day <= last)
    }
}

/// The import's own dates, for rows that give none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermDefaults {
    /// First day.
    pub start_on: Option<Date>,
    /// Last day.
    pub end_on: Option<Date>,
    /// Days from the first to the last.
    pub duration_days: Option<u32>,
    /// Day of deletion.
    pub delete_on: Option<Date>,
}

/// Everything a row's values depend on.
#[derive(Debug, Clone)]
pub struct RowRules {
    /// Today in the client's time zone.
    pub today: Date,
    /// The contract's days.
    pub window: Window,
    /// The stack's languages.
    pub languages: Languages,
    /// The groups that the caller may name.
    pub groups: GroupDirectory,
    /// Whether a group that is missing is made.
    pub create_groups: bool,
    /// The roles that the caller may give on this contract.
    pub grantable: BTreeSet<Role>,
    /// What a password must be.
    pub passwords: PasswordPolicy,
    /// What becomes of a valid row.
    pub mode: Mode,
    /// How `01/03/2027` is read.
    pub date_order: DateOrder,
    /// Dates of rows that give none.
    pub defaults: TermDefaults,
}
