//! Where in the adapters an attempt comes from.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;
use std::fmt;
use std::path::Path;

/// The folder of the adapters, as the compiler writes it into the debug information.
const ADAPTERS: &str = "shared/aws/src";

/// The functions of the adapters that an attempt comes through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// Each as `module::function`, the one nearest to the SDK first.
    functions: Vec<String>,
}

impl Site {
    /// Whether the attempt comes through this function, such as `outbox::update_if`.
    pub fn is_through(&self, function: &str) -> bool {
        self.functions.iter().any(|through| through == function)
    }
}

/// Shows the port's method that made the attempt, such as `outbox::advance`.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.functions.last().map_or("", String::as_str))
    }
}

thread_local! {
    /// The adapters' functions at an address: looking them up is slow.
    static KNOWN: RefCell<HashMap<usize, Vec<String>>> = RefCell::default();
}

/// Where the attempt that is being polled comes from: futures are polled from within those that
/// wait for them, so the adapter's function is on the stack. `None` for a client that a test made.
pub(crate) fn of_this_attempt() -> Option<Site> {
    let mut functions = Vec::new();
    backtrace::trace(|frame| {
        KNOWN.with_borrow_mut(|known| {
            let ip = frame.ip();
            functions.extend_from_slice(known.entry(ip as usize).or_insert_with(|| at(ip)));
        });
        true
    });
    functions.dedup();
    (!functions.is_empty()).then_some(Site { functions })
}

/// The adapters' functions at an address, those compiled into others first.
fn at(ip: *mut c_void) -> Vec<String> {
    let mut found = Vec::new();
    backtrace::resolve(ip, |symbol| {
        let (Some(path), Some(line)) = (symbol.filename(), symbol.lineno()) else { return };
        if path.parent().is_some_and(|folder| folder.ends_with(ADAPTERS)) {
            found.push(function_at(path, line as usize));
        }
    });
    found
}

/// The function around a line of a source file, as `module::function`. The symbol itself does not
/// name it: it is a closure's.
fn function_at(path: &Path, line: usize) -> String {
    let text = std::fs::read_to_string(path).expect("the source that was compiled");
    let module = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let above = text.lines().take(line).filter_map(function_in);
    format!("{module}::{}", above.last().unwrap_or_default())
}

/// The function that a line of source begins.
fn function_in(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let begins = before
        .split_whitespace()
        .all(|word| matches!(word, "pub" | "pub(crate)" | "pub(super)" | "async" | "const"));
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    begins.then(|| &after[..end])
}

/// The functions of the adapters in `folder` that call `send`, as a [`Site`] names them: every
/// place from which a request can come.
///
/// # Panics
/// If the sources are not there.
pub fn calls_of_adapters(folder: &Path) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the adapters") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("source");
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").enumerate();
        for (place, _) in lines.filter(|(_, line)| line.contains(".send()")) {
            calls.insert(function_at(&path, place + 1));
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_function_it_begins() {
        assert_eq!(function_in("    pub(crate) async fn advance<T>("), Some("advance"));
        assert_eq!(function_in("fn due() {"), Some("due"));
        assert_eq!(function_in("    let act = || fn_of(x); // a fn of it"), None);
    }
}
