//! Files that nobody wrote: made from a stored corpus by chance, as long as there is time.
//!
//! The same two hundred of each format in every run; `SEATKEEPER_FUZZ_SECONDS=60` (`make fuzz`)
//! says how long each format is searched for others. Whatever comes of a file, it is an answer
//! that is consistent in itself, and it comes soon. A file that gives an answer of a kind not seen
//! before is changed further, and kept in `target/tmp/fuzz`: the small ones are the stored corpus.
//! A file that fails is kept there too, and belongs into the corpus for good.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a search says how far it came")]

mod change;

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seatkeeper_spreadsheet::{Limits, read};

use change::Chance;

/// Files of each format without a time to search.
const FEW: u32 = 200;
/// The processor's time for an answer, in seconds: as long as for any hostile file.
const MOST_SECONDS: f64 = 2.0;
/// Most files that are kept to be changed further.
const KEPT: usize = 4_000;

/// How long to search; nothing for a few files.
fn seconds() -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a person says how long to search")]
    let told = std::env::var("SEATKEEPER_FUZZ_SECONDS").ok()?;
    Some(Duration::from_secs(told.parse().unwrap()))
}

fn folder(of: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(of)
}

/// The stored files and the samples whose names end so.
fn corpus(format: &str) -> Vec<Vec<u8>> {
    let endings: &[&str] = if format == "csv" { &["csv", "txt"] } else { &[format] };
    let mut files = Vec::new();
    for folder in [folder("samples"), folder("corpus").join(format)] {
        let mut paths: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let fits = |path: &&PathBuf| endings.iter().any(|end| path.extension().unwrap() == *end);
        files.extend(paths.iter().filter(fits).map(|path| fs::read(path).unwrap()));
    }
    assert!(files.len() >= 20, "{format}: {} files", files.len());
    files
}

/// Seconds that this thread has had a processor.
fn on_processor() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// What kind of answer a file gets: whatever is new in it is worth a look from there on.
fn kind_of_answer(bytes: &[u8]) -> String {
    let (mut rows, mut last, mut filled) = (0, 0, HashSet::new());
    let reading = read(bytes, &Limits::default(), |row| {
        assert!(row.line > last, "line {} behind {last}", row.line);
        assert!(!row.cells.are_blank(), "a row that holds nothing");
        (rows, last) = (rows + 1, row.line);
        filled.insert(format!("{:?}", row.cells));
    });
    match reading {
        Ok(reading) => {
            assert_eq!(reading.rows, rows, "every row is counted");
            let detected = reading.detected;
            let ignored = detected.ignored_columns().count();
            let (encoding, header) = (&detected.encoding, detected.header_row);
            let delimiter = detected.delimiter;
            let (columns, hidden) = (detected.columns.len(), detected.hidden_rows.min(2));
            format!("{encoding:?} {delimiter:?} {header:?} {columns} {ignored} {hidden} {filled:?}")
        }
        Err(rejection) => rejection.to_string(),
    }
}

/// Gives the answer's kind; fails with the file kept when there is none.
fn judged(bytes: &[u8], format: &str) -> String {
    let start = on_processor();
    let answer = catch_unwind(AssertUnwindSafe(|| kind_of_answer(bytes)));
    let took = on_processor() - start;
    match answer {
        Ok(answer) if took < MOST_SECONDS => answer,
        answer => {
            keep(bytes, format, "failure");
            let what = if answer.is_err() { "no answer" } else { "a late answer" };
            panic!("{what} to target/tmp/fuzz/{format}/failure.{format}");
        }
    }
}

/// Writes a file down that may be worth a place in the corpus.
fn keep(bytes: &[u8], format: &str, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(format);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.{format}")), bytes).unwrap();
}

fn search(format: &str, changed: fn(&[Vec<u8>], &mut Chance) -> Vec<u8>) {
    let mut files = corpus(format);
    let mut kinds: HashSet<String> = files.iter().map(|file| judged(file, format)).collect();
    let (start, time) = (Instant::now(), seconds());
    let seed = time.map_or(0, |_| std::process::id());
    let mut chance = Chance::new(seed.into());
    let mut tried = 0_u32;
    while time.map_or(tried < FEW, |time| start.elapsed() < time) {
        let bytes = changed(&files, &mut chance);
        tried += 1;
        if kinds.insert(judged(&bytes, format)) && files.len() < KEPT {
            if time.is_some() {
                keep(&bytes, format, &files.len().to_string());
            }
            files.push(bytes);
        }
    }
    println!("{format}: {tried} files from seed {seed}, {} kinds of answers", kinds.len());
}

#[test]
fn any_text_gets_an_answer() {
    search("csv", change::text);
}

#[test]
fn any_workbook_gets_an_answer() {
    search("xlsx", change::package);
}

#[test]
fn any_open_document_gets_an_answer() {
    search("ods", change::package);
}

#[test]
fn any_old_workbook_gets_an_answer() {
    search("xls", change::bytes);
}
