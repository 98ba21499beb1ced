//! Imports: what a spreadsheet's row may say, and what is wrong with it.
//!
//! A spreadsheet becomes [`RawRow`]s (cells by [`Field`], as typed as the file has them); a row
//! becomes a [`CheckedRow`] by [`check_row`], which collects every error of it; a checked row gets
//! its [`Judgment`] from a [`Judge`], which knows the rows before it and asks who exists already.

mod cell;
mod check;
mod date;
mod detected;
mod error;
mod field;
mod groups;
mod list;
mod rules;
mod scalar;
mod text;
mod verdict;

pub use cell::{Cell, Cells, RawRow};
pub use check::{CheckedRow, GroupChoice, RowValues, check_row};
pub use date::{DateOrder, parse_date};
pub use detected::{ColumnHint, Detected, DetectedColumn, FileFormat};
pub use error::{RowError, RowErrorCode};
pub use field::Field;
pub use groups::{GroupDirectory, fold_name};
pub use rules::{RowRules, TermDefaults, Window};
pub use scalar::{parse_duration_days, parse_notify};
pub use text::trim_invisible;
pub use verdict::{Judge, Judgment};
