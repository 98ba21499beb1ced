//! What the sheets of an old workbook share.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::biff::{Reader, Records, TextForm, kind};
use super::sst;
use crate::number::{DateSystem, is_date_format};
use crate::reject::{RejectCode, Rejection};
use crate::strings::StringTable;

/// The version number of BIFF8 in a BOF record.
const BIFF8: u16 = 0x0600;
/// The version number of BIFF5 in a BOF record.
const BIFF5: u16 = 0x0500;

/// The workbook's globals.
pub(super) struct Globals {
    pub(super) texts: TextForm,
    pub(super) strings: StringTable,
    pub(super) dates: DateSystem,
    /// Visible worksheets: where each begins, and its name.
    pub(super) sheets: Vec<(usize, String)>,
    formats: Vec<bool>,
}

impl Globals {
    pub(super) fn read(stream: &[u8]) -> Result<Self, Rejection> {
        let mut records = Records::new(stream, 0)?;
        let mut globals = Self {
            texts: text_form(&mut records)?,
            strings: StringTable::default(),
            dates: DateSystem::From1900,
            sheets: Vec::new(),
            formats: Vec::new(),
        };
        let mut codes: HashMap<u16, String> = HashMap::new();
        let mut cell_formats = Vec::new();
        loop {
            let record = records.next()?;
            let mut reader = Reader::new(record.data);
            match record.kind {
                kind::EOF => break,
                kind::FILE_PASS => return Err(RejectCode::EncryptedFile.into()),
                kind::DATE_1904 if reader.u16()? == 1 => globals.dates = DateSystem::From1904,
                kind::CODE_PAGE => globals.use_code_page(reader.u16()?),
                kind::BOUND_SHEET => globals.add_sheet(&mut reader)?,
                kind::FORMAT => {
                    let id = reader.u16()?;
                    codes.insert(id, globals.format_code(&mut reader)?);
                }
                kind::XF => {
                    reader.take(2)?;
                    cell_formats.push(reader.u16()?);
                }
                kind::SST => globals.strings = sst::read(&records.continued(record.data)?)?,
                _ => {}
            }
        }
        let is_date = |id: &u16| is_date_format(*id, codes.get(id).map(String::as_str));
        globals.formats = cell_formats.iter().map(is_date).collect();
        Ok(globals)
    }

    /// Whether cells of this format show dates.
    pub(super) fn is_date(&self, format: u16) -> Result<bool, Rejection> {
        self.formats.get(usize::from(format)).copied().ok_or_else(Rejection::unreadable)
    }

    fn use_code_page(&mut self, page: u16) {
        if let TextForm::CodePage(encoding) = &mut self.texts {
            *encoding = code_page(page);
        }
    }

    /// Adds a sheet if it is a visible worksheet ([MS-XLS] 2.4.28).
    fn add_sheet(&mut self, reader: &mut Reader<'_>) -> Result<(), Rejection> {
        let at = reader.u32()? as usize;
        let (state, sheet_kind) = (reader.u8()? & 3, reader.u8()?);
        let length = usize::from(reader.u8()?);
        let name = self.texts.read_units(reader, length)?;
        if state == 0 && sheet_kind == 0 {
            self.sheets.push((at, name));
        }
        Ok(())
    }

    fn format_code(&self, reader: &mut Reader<'_>) -> Result<String, Rejection> {
        match self.texts {
            TextForm::Unicode => self.texts.read(reader),
            TextForm::CodePage(_) => {
                let length = usize::from(reader.u8()?);
                self.texts.read_units(reader, length)
            }
        }
    }
}

/// How texts are written, by the version in the first record.
fn text_form(records: &mut Records<'_>) -> Result<TextForm, Rejection> {
    let first = records.next()?;
    if first.kind != kind::BOF {
        return Err(Rejection::unreadable());
    }
    match Reader::new(first.data).u16()? {
        BIFF8 => Ok(TextForm::Unicode),
        BIFF5 => Ok(TextForm::CodePage(WINDOWS_1252)),
        _ => Err(RejectCode::UnsupportedFormat.into()),
    }
}

/// The encoding of a Windows code page; 1252 where it is unknown.
fn code_page(page: u16) -> &'static Encoding {
    let label = match page {
        874 | 1250..=1258 => format!("windows-{page}"),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10_000 | 0x8000 => "macintosh".to_owned(),
        _ => return WINDOWS_1252,
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}
