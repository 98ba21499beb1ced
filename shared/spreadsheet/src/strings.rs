//! A workbook's table of shared texts, in one piece of memory.

/// Texts by index. Its size is that of what was read, never that of a declared count.
#[derive(Default)]
pub(crate) struct StringTable {
    text: String,
    ends: Vec<u32>,
}

impl StringTable {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        // The texts of an old workbook of 10 MiB take 20 MiB at most, those of a new one what it may
        // inflate to: offsets fit.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Makes it a table of `count` texts: a last one too many is taken away, one that lacks is
    /// empty.
    pub(crate) fn cut(&mut self, count: usize) {
        self.ends.truncate(count);
        let end = self.ends.last().copied().unwrap_or_default();
        self.text.truncate(end as usize);
        self.ends.resize(count, end);
    }

    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..end as usize)
    }
}
