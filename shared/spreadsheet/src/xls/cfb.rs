//! Compound files ([MS-CFB]): the little file system around old workbooks and encrypted new ones.

use std::collections::HashMap;

use crate::reject::Rejection;

/// Sector numbers from here on mean something else than a sector.
const SPECIAL: u32 = 0xffff_fffa;
/// Streams shorter than this live in the mini stream.
const MINI_CUTOFF: usize = 4096;
const MINI_SECTOR: usize = 64;
const DIRECTORY_ENTRY: usize = 128;

/// A compound file; only its root storage is looked at.
pub(crate) struct CompoundFile<'b> {
    bytes: &'b [u8],
    sector_size: usize,
    fat: Vec<u32>,
    mini_fat: Vec<u32>,
    mini_stream: Vec<u8>,
    /// Children of the root by lower-case name.
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    size: usize,
}

impl<'b> CompoundFile<'b> {
    pub(crate) fn open(bytes: &'b [u8]) -> Result<Self, Rejection> {
        read(bytes).ok_or_else(Rejection::unreadable)
    }

    /// Whether the root holds a stream or storage of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(&name.to_ascii_lowercase())
    }

    /// The bytes of a stream of the root.
    pub(crate) fn stream(&self, name: &str) -> Result<Vec<u8>, Rejection> {
        let entry = self.entries.get(&name.to_ascii_lowercase());
        entry.and_then(|entry| self.content(*entry)).ok_or_else(Rejection::unreadable)
    }

    fn content(&self, entry: Entry) -> Option<Vec<u8>> {
        let mut content = if entry.size < MINI_CUTOFF {
            chain(&self.mini_stream, 0, MINI_SECTOR, &self.mini_fat, entry.start)?
        } else {
            self.sectors(entry.start)?
        };
        if content.len() < entry.size {
            return None;
        }
        content.truncate(entry.size);
        Some(content)
    }

    fn sectors(&self, start: u32) -> Option<Vec<u8>> {
        // The header takes the place of the first sector.
        chain(self.bytes, self.sector_size, self.sector_size, &self.fat, start)
    }
}

fn read(bytes: &[u8]) -> Option<CompoundFile<'_>> {
    let sector_size = match u16_at(bytes, 30)? {
        9 => 512,
        12 => 4096,
        _ => return None,
    };
    let fat = fat(bytes, sector_size)?;
    let mut file = CompoundFile {
        bytes,
        sector_size,
        fat,
        mini_fat: Vec::new(),
        mini_stream: Vec::new(),
        entries: HashMap::new(),
    };
    let directory = file.sectors(u32_at(bytes, 48)?)?;
    let root = Record::at(&directory, 0)?;
    file.mini_fat = numbers(&file.sectors(u32_at(bytes, 60)?)?).collect();
    file.mini_stream = file.sectors(root.entry.start)?;
    file.entries = children(&directory, &root)?;
    Some(file)
}

/// The sector allocation table, whose own sectors are listed in the header and behind it.
fn fat(bytes: &[u8], sector_size: usize) -> Option<Vec<u32>> {
    let sector = |number: u32| sector_of(bytes, sector_size, sector_size, number);
    let mut list: Vec<u32> = numbers(bytes.get(76..512)?).collect();
    let mut next = u32_at(bytes, 68)?;
    let most = bytes.len() / sector_size + 1;
    for _ in 0..most {
        if next >= SPECIAL {
            break;
        }
        let mut more: Vec<u32> = numbers(sector(next)?).collect();
        next = more.pop()?;
        list.extend(more);
    }
    let mut fat = Vec::new();
    for number in list.into_iter().filter(|number| *number < SPECIAL).take(most) {
        fat.extend(numbers(sector(number)?));
    }
    Some(fat)
}

/// The sectors of a chain, joined; `None` if it leaves the file or never ends.
fn chain(bytes: &[u8], offset: usize, size: usize, next: &[u32], start: u32) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut number = start;
    while number < SPECIAL {
        if content.len() > bytes.len() {
            return None;
        }
        content.extend_from_slice(sector_of(bytes, offset, size, number)?);
        number = *next.get(number as usize)?;
    }
    Some(content)
}

/// A sector; the last one of a file may be cut short.
fn sector_of(bytes: &[u8], offset: usize, size: usize, number: u32) -> Option<&[u8]> {
    let start = (number as usize).checked_mul(size)?.checked_add(offset)?;
    let end = start.checked_add(size)?.min(bytes.len());
    bytes.get(start..end)
}

/// A record of the directory.
struct Record {
    name: String,
    left: u32,
    right: u32,
    child: u32,
    entry: Entry,
}

impl Record {
    fn at(directory: &[u8], index: u32) -> Option<Self> {
        let start = (index as usize).checked_mul(DIRECTORY_ENTRY)?;
        let record = directory.get(start..start.checked_add(DIRECTORY_ENTRY)?)?;
        let name_bytes = usize::from(u16_at(record, 64)?).min(64).saturating_sub(2);
        let units: Vec<u16> = record[..name_bytes]
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .collect();
        Some(Self {
            name: String::from_utf16_lossy(&units).to_ascii_lowercase(),
            left: u32_at(record, 68)?,
            right: u32_at(record, 72)?,
            child: u32_at(record, 76)?,
            entry: Entry { start: u32_at(record, 116)?, size: u32_at(record, 120)? as usize },
        })
    }
}

/// The records in the tree below the root, without those below them.
fn children(directory: &[u8], root: &Record) -> Option<HashMap<String, Entry>> {
    let mut entries = HashMap::new();
    let mut waiting = vec![root.child];
    let mut steps = 0;
    while let Some(index) = waiting.pop() {
        if index == u32::MAX {
            continue;
        }
        steps += 1;
        if steps > directory.len() / DIRECTORY_ENTRY {
            return None;
        }
        let record = Record::at(directory, index)?;
        waiting.extend([record.left, record.right]);
        entries.insert(record.name, record.entry);
    }
    Some(entries)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(found.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(found.try_into().ok()?))
}
