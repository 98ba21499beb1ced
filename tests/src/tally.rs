//! Faults that fired, by mode and by call site.

use std::collections::BTreeMap;
use std::time::Instant;

use seatkeeper_testkit::Attempt;
use serde_json::json;

use crate::runs;

/// Counts what one test does for a gate.
#[derive(Debug)]
pub struct Tally {
    gate: &'static str,
    began: Instant,
    /// Runs so far.
    pub runs: u64,
    /// Runs that broke a promise.
    pub breaks: u64,
    /// Runs that there are beyond those that were made.
    pub left_out: u64,
    faults: BTreeMap<String, u64>,
    sites: BTreeMap<String, u64>,
}

impl Tally {
    /// Nothing yet, for this gate.
    pub fn of(gate: &'static str) -> Self {
        let (faults, sites) = Default::default();
        Self { gate, began: Instant::now(), runs: 0, breaks: 0, left_out: 0, faults, sites }
    }

    /// A fault that fired.
    pub fn fault(&mut self, mode: &str, attempt: &Attempt) {
        *self.faults.entry(mode.to_owned()).or_default() += 1;
        if let Some(site) = &attempt.site {
            let site = format!("{} {} {site}", attempt.service, attempt.operation);
            *self.sites.entry(site).or_default() += 1;
        }
    }

    /// Faults that fired.
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Prints a line, and writes down what this part of the gate came to where that is asked for.
    #[expect(clippy::print_stdout, reason = "the line is what a long run is for")]
    pub fn keep(&self, part: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let (gate, faults) = (self.gate, self.faults());
        let counts: Vec<_> = self.faults.iter().map(|(mode, n)| format!("{mode} {n}")).collect();
        println!("{gate}, {part}: {} runs, {faults} faults in {seconds:.1} s", self.runs);
        println!("    {}", counts.join(" · "));
        if self.left_out > 0 {
            println!("    {} left out", self.left_out);
        }
        let numbers = json!({"runs": self.runs, "left_out": self.left_out, "faults": self.faults, "sites": self.sites});
        let breaks = usize::try_from(self.breaks).unwrap_or(usize::MAX);
        runs::write_part(gate, part, breaks, self.began, numbers);
    }
}
