//! Records of BIFF5 and BIFF8 streams ([MS-XLS]), read without ever leaving them.

use encoding_rs::Encoding;

use crate::reject::Rejection;

/// Record types, by the names of [MS-XLS] 2.3.
pub(super) mod kind {
    pub(crate) const FORMULA: u16 = 0x0006;
    pub(crate) const EOF: u16 = 0x000a;
    pub(crate) const DATE_1904: u16 = 0x0022;
    pub(crate) const FILE_PASS: u16 = 0x002f;
    pub(crate) const CONTINUE: u16 = 0x003c;
    pub(crate) const CODE_PAGE: u16 = 0x0042;
    pub(crate) const BOUND_SHEET: u16 = 0x0085;
    pub(crate) const MUL_RK: u16 = 0x00bd;
    pub(crate) const R_STRING: u16 = 0x00d6;
    pub(crate) const XF: u16 = 0x00e0;
    pub(crate) const SST: u16 = 0x00fc;
    pub(crate) const LABEL_SST: u16 = 0x00fd;
    pub(crate) const NUMBER: u16 = 0x0203;
    pub(crate) const LABEL: u16 = 0x0204;
    pub(crate) const BOOL_ERR: u16 = 0x0205;
    pub(crate) const STRING: u16 = 0x0207;
    pub(crate) const ROW: u16 = 0x0208;
    pub(crate) const RK: u16 = 0x027e;
    pub(crate) const FORMAT: u16 = 0x041e;
    pub(crate) const BOF: u16 = 0x0809;
}

/// A record: its type and content.
#[derive(Clone, Copy)]
pub(super) struct Record<'s> {
    pub(super) kind: u16,
    pub(super) data: &'s [u8],
}

/// The records of a stream, from some place on.
#[derive(Clone)]
pub(super) struct Records<'s> {
    rest: &'s [u8],
}

impl<'s> Records<'s> {
    pub(super) fn new(stream: &'s [u8], at: usize) -> Result<Self, Rejection> {
        stream.get(at..).map(|rest| Self { rest }).ok_or_else(Rejection::unreadable)
    }

    /// The next record, which has to exist: streams end with an EOF record.
    pub(super) fn next(&mut self) -> Result<Record<'s>, Rejection> {
        let mut reader = Reader::new(self.rest);
        let kind = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let data = reader.take(length)?;
        self.rest = reader.rest;
        Ok(Record { kind, data })
    }

    /// The CONTINUE records that follow, behind `first`.
    pub(super) fn continued(&mut self, first: &'s [u8]) -> Result<Vec<&'s [u8]>, Rejection> {
        let mut blocks = vec![first];
        loop {
            let mut ahead = self.clone();
            match ahead.next() {
                Ok(record) if record.kind == kind::CONTINUE => blocks.push(record.data),
                _ => return Ok(blocks),
            }
            *self = ahead;
        }
    }
}

/// Little-endian values, one behind the other.
pub(super) struct Reader<'s> {
    pub(super) rest: &'s [u8],
}

impl<'s> Reader<'s> {
    pub(super) fn new(bytes: &'s [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'s [u8], Rejection> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(Rejection::unreadable)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Rejection> {
        self.take(N)?.try_into().map_err(|_| Rejection::unreadable())
    }

    pub(super) fn u8(&mut self) -> Result<u8, Rejection> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Rejection> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Rejection> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Rejection> {
        self.array().map(f64::from_le_bytes)
    }

    /// A number in the short form RK ([MS-XLS] 2.5.217).
    pub(super) fn rk(&mut self) -> Result<f64, Rejection> {
        let bits = self.u32()?;
        let number = if bits & 2 == 0 {
            f64::from_bits(u64::from(bits & !3) << 32)
        } else {
            f64::from(bits.cast_signed() >> 2)
        };
        Ok(if bits & 1 == 0 { number } else { number / 100.0 })
    }
}

/// How a workbook writes texts.
#[derive(Clone, Copy)]
pub(super) enum TextForm {
    /// Bytes of a code page (BIFF5).
    CodePage(&'static Encoding),
    /// UTF-16, or its low bytes where the high ones are zero (BIFF8).
    Unicode,
}

impl TextForm {
    /// Reads a text whose length comes first, in 16 bits.
    pub(super) fn read(self, reader: &mut Reader<'_>) -> Result<String, Rejection> {
        let length = usize::from(reader.u16()?);
        self.read_units(reader, length)
    }

    /// Reads a text of that many characters.
    pub(super) fn read_units(
        self,
        reader: &mut Reader<'_>,
        length: usize,
    ) -> Result<String, Rejection> {
        match self {
            Self::CodePage(encoding) => {
                let bytes = reader.take(length)?;
                Ok(encoding.decode_without_bom_handling(bytes).0.into_owned())
            }
            Self::Unicode => {
                let is_wide = reader.u8()? & 1 != 0;
                let bytes = reader.take(if is_wide { length * 2 } else { length })?;
                let mut units = Vec::with_capacity(length);
                push_units(bytes, is_wide, &mut units);
                Ok(String::from_utf16_lossy(&units))
            }
        }
    }
}

/// Appends characters stored in two bytes each, or in one.
pub(super) fn push_units(bytes: &[u8], is_wide: bool, units: &mut Vec<u16>) {
    if is_wide {
        units.extend(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
    } else {
        units.extend(bytes.iter().map(|byte| u16::from(*byte)));
    }
}
