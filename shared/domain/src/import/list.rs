//! Several values in one cell.

use super::trim_invisible;

/// The parts of a cell between `|` and `;`, trimmed; empty ones are dropped.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(['|', ';']).map(trim_invisible).filter(|part| !part.is_empty())
}

/// Appends `value` unless it is there already.
pub(super) fn push_once<T: PartialEq>(values: &mut Vec<T>, value: T) {
    if !values.contains(&value) {
        values.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_or_semicolon_separates_and_empty_parts_are_dropped() {
        let found: Vec<_> = parts(" Paris |;Région Nord; a / b, c |\u{a0}").collect();
        assert_eq!(found, ["Paris", "Région Nord", "a / b, c"]);
    }
}
