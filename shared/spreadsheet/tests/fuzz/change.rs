//! Files changed by chance.

use std::io::{Cursor, Read as _, Write as _};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Numbers by chance, the same ones from the same seed (`splitmix64`).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; 0 if there is none.
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % (count as u64).max(1)).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// What separated text is made of.
const PIECES_OF_TEXT: [&[u8]; 22] = [
    b",",
    b";",
    b"\t",
    b"|",
    b"\"",
    b"\"\"",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"@",
    b"sep=;\r\n",
    b"email",
    b"a@b.fr",
    b"31/02/2027",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe9",
    b"\xc3\xa9",
    b"=1+1",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x80\x8b",
];

/// What the parts of workbooks are made of.
const PIECES_OF_XML: [&[u8]; 40] = [
    b"<row>",
    b"</row>",
    b"<row r=\"2\" hidden=\"1\">",
    b"<row r=\"1048576\">",
    b"<c>",
    b"</c>",
    b"<c t=\"s\"><v>0</v></c>",
    b"<c t=\"inlineStr\"><is><t>",
    b"</t></is></c>",
    b"<r><t>x</t></r>",
    b"<rPh sb=\"0\" eb=\"1\"><t>y</t></rPh>",
    b"<v>",
    b"</v>",
    b"<f>",
    b"</f>",
    b"<si>",
    b"</si>",
    b"<t xml:space=\"preserve\"> ",
    b"</t>",
    b"t=\"e\"",
    b"t=\"d\"",
    b"t=\"b\"",
    b"s=\"1\"",
    b"s=\"99999\"",
    b"r=\"XFD1048576\"",
    b"r=\"A1\"",
    b"<!-- -->",
    b"<![CDATA[x]]>",
    b"<?x?>",
    b"<!DOCTYPE a>",
    b"&#10;",
    b"&amp;",
    b"&lol;",
    b"_x000D_",
    b"_x0000_",
    b"\0",
    b"1e999",
    b"table:number-rows-repeated=\"1000000\"",
    b"table:number-columns-repeated=\"70\"",
    b"<sheetData/>",
];

/// What numbers in headers are changed to.
const EDGES: [&[u8]; 6] = [
    &[0; 4],
    &[0xff; 4],
    &[0xff, 0xff, 0xff, 0x7f],
    &[1, 0, 0, 0],
    &[0, 0, 1, 0],
    &[0xfe, 0xff, 0xff, 0xff],
];

/// A text with a few changes.
pub(crate) fn text(files: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    changed(files, &PIECES_OF_TEXT, chance)
}

/// Any file with a few changes.
pub(crate) fn bytes(files: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    changed(files, &EDGES, chance)
}

/// A package with changes in one of its parts, before it is compressed; sometimes in the package.
pub(crate) fn package(files: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let file = &files[chance.below(files.len())];
    let parts = parts(file);
    if parts.is_empty() || chance.below(8) == 0 {
        return changed(files, &EDGES, chance);
    }
    // Parts of sheets and texts are where most of it is.
    let worth = |(name, _): &&(String, Vec<u8>)| {
        ["sheet", "Strings", "content.xml"].iter().any(|word| name.contains(word))
    };
    let good: Vec<_> = parts.iter().filter(worth).map(|(name, _)| name.clone()).collect();
    let all: Vec<_> = parts.iter().map(|(name, _)| name.clone()).collect();
    let names = if good.is_empty() || chance.below(4) == 0 { all } else { good };
    let chosen = &names[chance.below(names.len())];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in &parts {
        if zip.start_file(name.as_str(), SimpleFileOptions::default()).is_err() {
            continue;
        }
        let content = if name == chosen {
            changed(std::slice::from_ref(content), &PIECES_OF_XML, chance)
        } else {
            content.clone()
        };
        zip.write_all(&content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The parts that can be read, none of them large.
fn parts(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(file)) else { return Vec::new() };
    let mut parts = Vec::new();
    for index in 0..archive.len() {
        let Ok(part) = archive.by_index(index) else { continue };
        let Ok(name) = part.name().map(std::borrow::Cow::into_owned) else { continue };
        let mut content = Vec::new();
        if part.take(1 << 20).read_to_end(&mut content).is_ok() {
            parts.push((name, content));
        }
    }
    parts
}

fn changed(files: &[Vec<u8>], pieces: &[&[u8]], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = files[chance.below(files.len())].clone();
    for _ in 0..=chance.below(4) {
        let (at, end) = range(&bytes, chance);
        match chance.below(7) {
            0 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] = chance.next().to_le_bytes()[0];
            }
            0 | 1 => drop(bytes.splice(at..at, chance.of(pieces).iter().copied())),
            2 => {
                let piece = chance.of(pieces);
                let end = (at + piece.len()).min(bytes.len());
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(end..end, copy));
            }
            5 => {
                let other = &files[chance.below(files.len())];
                let (from, to) = range(other, chance);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => bytes.truncate(bytes.len() - (end - at).min(64)),
        }
    }
    bytes
}

/// A place and one not far behind it; often both at the beginning of a tag or a field.
fn range(bytes: &[u8], chance: &mut Chance) -> (usize, usize) {
    let mut at = chance.below(bytes.len() + 1);
    let mut end = (at + chance.below(200)).min(bytes.len());
    if chance.below(2) == 0 {
        let edge = |from: usize| {
            let found = bytes[from..].iter().position(|byte| b"<,;\n\"".contains(byte));
            found.map_or(bytes.len(), |length| from + length)
        };
        (at, end) = (edge(at), edge(end));
    }
    (at, end)
}
