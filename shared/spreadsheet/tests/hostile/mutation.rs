//! Good files with a few bytes changed: whatever comes of them, it comes soon and is an answer.

use std::io::{Cursor, Read as _};
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use zip::ZipArchive;

use crate::{build, outcome};

/// Changes to make: where, as a share of the file, and to what.
type Changes = Vec<(f64, u8)>;

fn changes() -> impl Strategy<Value = Changes> {
    prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..6)
}

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples"));
    std::fs::read(folder.join(name)).unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of the length is a place in it"
)]
fn apply(bytes: &mut [u8], changes: &Changes) {
    for (share, byte) in changes {
        let place = (share * bytes.len() as f64) as usize;
        bytes[place] = *byte;
    }
}

/// The parts of a sample package.
fn parts(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(sample(name))).unwrap();
    let mut parts = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        parts.push((name, content));
    }
    parts
}

static XLS: LazyLock<Vec<u8>> = LazyLock::new(|| sample("fr_ancien.xls"));
static XLSX: LazyLock<Vec<u8>> = LazyLock::new(|| sample("en_libreoffice.xlsx"));
static XLSX_PARTS: LazyLock<Vec<(String, Vec<u8>)>> =
    LazyLock::new(|| parts("en_libreoffice.xlsx"));
static ODS_PARTS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| parts("fr_libreoffice.ods"));
static CSV: LazyLock<Vec<u8>> = LazyLock::new(|| sample("fr_utf8_bom.csv"));

/// A package whose parts, other than pictures, are changed before they are compressed.
fn changed_package(parts: &[(String, Vec<u8>)], changes: &Changes) -> Vec<u8> {
    let after = parts.iter().map(|(name, content)| {
        let mut content = content.clone();
        if content.starts_with(b"<?xml") {
            apply(&mut content, changes);
        }
        (name, content)
    });
    build::package(after)
}

proptest! {
    #[test]
    fn a_changed_xls_is_answered(changes in changes()) {
        let mut bytes = XLS.clone();
        apply(&mut bytes, &changes);
        let _ = outcome(&bytes);
    }

    #[test]
    fn a_changed_zip_is_answered(changes in changes()) {
        let mut bytes = XLSX.clone();
        apply(&mut bytes, &changes);
        let _ = outcome(&bytes);
    }

    #[test]
    fn changed_xlsx_parts_are_answered(changes in changes()) {
        let _ = outcome(&changed_package(&XLSX_PARTS, &changes));
    }

    #[test]
    fn changed_ods_parts_are_answered(changes in changes()) {
        let _ = outcome(&changed_package(&ODS_PARTS, &changes));
    }

    #[test]
    fn a_changed_csv_is_answered(changes in changes()) {
        let mut bytes = CSV.clone();
        apply(&mut bytes, &changes);
        let _ = outcome(&bytes);
    }

    #[test]
    fn a_cut_file_is_answered(share in 0.0..1.0_f64) {
        for file in [&*XLS, &*XLSX, &*CSV] {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of the length is a place in it"
            )]
            let length = (share * file.len() as f64) as usize;
            let _ = outcome(&file[..length]);
        }
    }
}
