//! The zip around a workbook: its parts, inflated under a common budget.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::result::ZipError;
use zip::{ZipArchive, ZipWriter};

use crate::reject::{RejectCode, Rejection};

/// A zip whose parts are read one at a time.
pub(crate) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// Index by name, as [`part_key`] writes it.
    parts: HashMap<String, usize>,
    budget: Budget,
    /// Bytes of the file, and those of parts that were copied.
    bytes: u64,
    copied: u64,
}

/// How much the parts have inflated to. Reading a part again costs nothing.
struct Budget {
    limit: u64,
    total: u64,
    furthest: HashMap<usize, u64>,
}

/// A part being inflated.
pub(crate) struct Part<'p> {
    file: Box<dyn Read + 'p>,
    budget: &'p mut Budget,
    index: usize,
    declared: u64,
    read: u64,
}

impl<'a> Package<'a> {
    pub(crate) fn open(bytes: &'a [u8], max_inflated: u64) -> Result<Self, Rejection> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Rejection::unreadable())?;
        let mut parts = HashMap::with_capacity(archive.len());
        for index in 0..archive.len() {
            if let Some(Ok(name)) = archive.name_for_index(index) {
                parts.insert(part_key(&name), index);
            }
        }
        let budget = Budget { limit: max_inflated, total: 0, furthest: HashMap::new() };
        Ok(Self { archive, parts, budget, bytes: bytes.len() as u64, copied: 0 })
    }

    /// Whether there is such a part.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.contains_key(&part_key(name))
    }

    /// The keys of all parts: names without a first slash, in lower case.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// Copies a part, compressed as it is, into another package.
    pub(crate) fn copy_part(
        &mut self,
        name: &str,
        target: &mut ZipWriter<Cursor<Vec<u8>>>,
        target_name: &str,
    ) -> Result<(), Rejection> {
        let index = self.index(name)?;
        let file = self.archive.by_index_raw(index).map_err(|_| Rejection::unreadable())?;
        // Parts that share bytes could be copied to more than the file ever held.
        self.copied = self.copied.saturating_add(file.compressed_size());
        if self.copied > self.bytes {
            return Err(Rejection::unreadable());
        }
        target.raw_copy_file_rename(file, target_name).map_err(|_| Rejection::unreadable())
    }

    fn index(&self, name: &str) -> Result<usize, Rejection> {
        self.parts.get(&part_key(name)).copied().ok_or_else(Rejection::unreadable)
    }

    /// Opens a part; one that is missing makes the file unreadable.
    pub(crate) fn part(&mut self, name: &str) -> Result<Part<'_>, Rejection> {
        let index = self.index(name)?;
        let file = self.archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)
            | ZipError::InvalidPassword => Rejection::from(RejectCode::EncryptedFile),
            _ => Rejection::unreadable(),
        })?;
        let declared = file.size();
        Ok(Part { file: Box::new(file), budget: &mut self.budget, index, declared, read: 0 })
    }
}

impl Part<'_> {
    /// Inflates the next bytes; 0 at the end, which must be where the part declares it.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Rejection> {
        let count = self.file.read(buffer).map_err(|_| Rejection::unreadable())?;
        self.read += count as u64;
        if self.read > self.declared || (count == 0 && self.read < self.declared) {
            return Err(Rejection::unreadable());
        }
        self.budget.spend(self.index, self.read)?;
        Ok(count)
    }

    /// Inflates a part that has to be small, such as `mimetype`.
    pub(crate) fn read_short(mut self, limit: usize) -> Result<Vec<u8>, Rejection> {
        let mut bytes = vec![0; limit];
        let mut filled = 0;
        while filled < limit {
            match self.read(&mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl Budget {
    fn spend(&mut self, part: usize, read: u64) -> Result<(), Rejection> {
        let furthest = self.furthest.entry(part).or_default();
        if read > *furthest {
            self.total += read - *furthest;
            *furthest = read;
        }
        if self.total > self.limit { Err(RejectCode::InflatesTooLarge.into()) } else { Ok(()) }
    }
}

/// Part names are compared without case (ECMA-376 part 2, 6.2.2.3); some writers use backslashes.
pub(crate) fn part_key(name: &str) -> String {
    name.trim_start_matches('/').replace('\\', "/").to_ascii_lowercase()
}
