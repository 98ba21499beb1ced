//! Kills function processes of one stack, and of no other.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::dice::Dice;

/// A running function.
struct Running {
    process: u64,
    function: String,
    /// Processor time it took so far, in ticks.
    ticks: u64,
}

/// Longest time between two kills.
const SLOWEST: Duration = Duration::from_millis(1_500);

/// Kills this many processes, a few a second, and counts the kills by function.
///
/// Between two kills a few calls are answered, so that most of what people want is done in the end.
/// Four of five kills strike a function that has worked since the last look, so that most hit a
/// call; every function is as likely as another, however many processes it has.
pub(crate) fn kill(
    emulator: u64,
    kills: usize,
    dice: &Dice,
    answered: &dyn Fn() -> usize,
) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let mut killed = 0;
    while killed < kills {
        let (before, started) = (answered(), Instant::now());
        thread::sleep(Duration::from_millis(20 + dice.below(180) as u64));
        while answered() < before + 4 && started.elapsed() < SLOWEST {
            thread::sleep(Duration::from_millis(10));
        }
        let running = functions(emulator);
        let at_work = |one: &&Running| seen.get(&one.process).is_none_or(|then| *then < one.ticks);
        let mut choice: Vec<_> = running.iter().filter(at_work).collect();
        if choice.is_empty() || dice.below(5) == 0 {
            choice = running.iter().collect();
        }
        let mut names: Vec<_> = choice.iter().map(|one| &one.function).collect();
        names.sort();
        names.dedup();
        if let Some(name) = dice.take(&mut names.clone()) {
            choice.retain(|one| one.function == *name);
            if let Some(victim) = dice.take(&mut choice)
                && strike(emulator, victim)
            {
                *counts.entry(victim.function.clone()).or_default() += 1;
                killed += 1;
            }
        }
        seen = running.iter().map(|one| (one.process, one.ticks)).collect();
    }
    counts
}

/// Looks once more whose process it is: numbers of processes are used again.
fn strike(emulator: u64, victim: &Running) -> bool {
    let same = read(emulator, victim.process).is_some_and(|now| now.function == victim.function);
    let kill = || Command::new("kill").args(["-9", &victim.process.to_string()]).status();
    same && kill().is_ok_and(|status| status.success())
}

/// The most memory that a process of this function held, in KiB.
pub(crate) fn most_memory(emulator: u64, function: &str) -> Option<u64> {
    let own = functions(emulator).into_iter().filter(|one| one.function == function);
    let held = own.filter_map(|one| {
        let status = fs::read_to_string(format!("/proc/{}/status", one.process)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    });
    held.max()
}

/// The emulator's children that are functions.
fn functions(emulator: u64) -> Vec<Running> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|process| read(emulator, process)).collect()
}

fn read(emulator: u64, process: u64) -> Option<Running> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; what follows does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    if number(1)? != emulator {
        return None;
    }
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let mut variables = environment.split('\0');
    let function = variables.find_map(|one| one.strip_prefix("AWS_LAMBDA_FUNCTION_NAME="))?;
    let function = function.strip_prefix("seatkeeper-")?.to_owned();
    Some(Running { process, function, ticks: number(11)? + number(12)? })
}
