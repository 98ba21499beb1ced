//! What long runs count, for the table of `make verify`.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

/// Whether this is a long run: `SEATKEEPER_VERIFY` names the folder that takes its counts.
pub fn long() -> bool {
    folder().is_some()
}

/// Runs it on a stack with room for the whole of a workflow and what is done to it.
pub fn with_room(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(work);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("SEATKEEPER_VERIFY").map(PathBuf::from)
}

/// The seed that this variable asks for, as a failure names it.
#[expect(clippy::disallowed_methods, reason = "chooses what a test runs")]
pub fn seed(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Writes what a gate came to: one file a gate, of that name. `more` is an object with `runs` and
/// whatever else was counted. Nothing, unless this is a long run.
pub fn write(gate: &str, breaks: usize, begun: Instant, more: Value) {
    write_part(gate, "", breaks, begun, more);
}

/// Writes what one of several tests adds to a gate.
pub fn write_part(gate: &str, part: &str, breaks: usize, begun: Instant, more: Value) {
    let Some(folder) = folder() else { return };
    let mut told = more;
    told["gate"] = gate.into();
    told["breaks"] = breaks.into();
    told["seconds"] = json!(begun.elapsed().as_secs());
    std::fs::create_dir_all(&folder).expect("a folder for the counts");
    let name = format!("{gate} {part}");
    let path = folder.join(format!("{}.json", name.trim_end().replace(' ', "-")));
    std::fs::write(path, told.to_string()).expect("a file for the counts");
}
