//! A workbook's table of shared texts, in one piece of memory.

use std::collections::BTreeSet;

/// Texts by index. Its size is that of what was read, never that of a declared count.
#[derive(Default)]
pub(crate) struct StringTable {
    text: String,
    ends: Vec<u32>,
    too_long: BTreeSet<usize>,
}

/// A text of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shared<'a> {
    Text(&'a str),
    /// So long that it was not kept.
    TooLong,
}

impl StringTable {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        // A file of 10 MiB inflates to 100 MiB at most: offsets fit.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn push_too_long(&mut self) {
        self.too_long.insert(self.ends.len());
        self.push("");
    }

    pub(crate) fn get(&self, index: usize) -> Option<Shared<'_>> {
        let end = *self.ends.get(index)?;
        if self.too_long.contains(&index) {
            return Some(Shared::TooLong);
        }
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..end as usize).map(Shared::Text)
    }
}
