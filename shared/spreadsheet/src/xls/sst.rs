//! The shared texts of a BIFF8 workbook, whose records continue in the middle of texts.

use super::biff::{Reader, push_units};
use crate::reject::Rejection;
use crate::strings::StringTable;

/// Reads the SST record and the blocks that continue it. The counts it begins with are not
/// believed: texts are read while there are bytes.
pub(super) fn read(blocks: &[&[u8]]) -> Result<StringTable, Rejection> {
    let mut bytes = Blocks { current: Reader::new(&[]), following: blocks };
    bytes.step();
    bytes.skip(8)?;
    let mut table = StringTable::default();
    while !bytes.is_over() {
        table.push(&text(&mut bytes)?);
    }
    Ok(table)
}

/// A text with its formatting runs and phonetic data, which are skipped ([MS-XLS] 2.5.293).
fn text(bytes: &mut Blocks<'_, '_>) -> Result<String, Rejection> {
    let length = usize::from(bytes.u16()?);
    let flags = bytes.u8()?;
    let runs = if flags & 8 == 0 { 0 } else { usize::from(bytes.u16()?) };
    let phonetic = if flags & 4 == 0 { 0 } else { bytes.u32()? as usize };
    let units = bytes.units(length, flags & 1 != 0)?;
    bytes.skip(runs * 4)?;
    bytes.skip(phonetic)?;
    Ok(String::from_utf16_lossy(&units))
}

/// Bytes across blocks.
struct Blocks<'s, 'b> {
    current: Reader<'s>,
    following: &'b [&'s [u8]],
}

impl<'s> Blocks<'s, '_> {
    /// Moves to the next block that holds bytes, if this one is used up.
    fn step(&mut self) {
        while self.current.rest.is_empty()
            && let Some((next, following)) = self.following.split_first()
        {
            self.current = Reader::new(next);
            self.following = following;
        }
    }

    fn is_over(&mut self) -> bool {
        self.step();
        self.current.rest.is_empty()
    }

    /// The reader of the block that holds the next byte.
    fn here(&mut self) -> &mut Reader<'s> {
        self.step();
        &mut self.current
    }

    fn u8(&mut self) -> Result<u8, Rejection> {
        self.here().u8()
    }

    fn u16(&mut self) -> Result<u16, Rejection> {
        self.here().u16()
    }

    fn u32(&mut self) -> Result<u32, Rejection> {
        self.here().u32()
    }

    fn skip(&mut self, mut count: usize) -> Result<(), Rejection> {
        while count > 0 {
            let here = self.here();
            let step = count.min(here.rest.len()).max(1);
            here.take(step)?;
            count -= step;
        }
        Ok(())
    }

    /// Characters; where a block ends inside them, the next one begins with their width.
    fn units(&mut self, length: usize, is_wide: bool) -> Result<Vec<u16>, Rejection> {
        let mut is_wide = is_wide;
        let mut units = Vec::new();
        while units.len() < length {
            if self.current.rest.is_empty() {
                is_wide = self.u8()? & 1 != 0;
            }
            let width = if is_wide { 2 } else { 1 };
            let here = &mut self.current;
            let count = (length - units.len()).min(here.rest.len() / width).max(1);
            push_units(here.take(count * width)?, is_wide, &mut units);
        }
        Ok(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_continues_in_the_next_block_with_another_width() {
        let first = [&[0xff; 8][..], &[4, 0, 0], b"Jos"].concat();
        let second = [&[1][..], &[0xe9, 0], &[2, 0, 8, 1, 0], b"ab", &[0; 2]].concat();
        let third = [&[0, 0][..], &[1, 0, 0], b"z"].concat();
        let table = read(&[&first, &second, &third]).unwrap();
        assert_eq!(table.get(0), Some("José"));
        assert_eq!(table.get(1), Some("ab"));
        assert_eq!(table.get(2), Some("z"));
        assert_eq!(table.get(3), None);
        assert!(read(&[&first]).is_err());
    }
}
