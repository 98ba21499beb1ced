//! What the functions logged while the stories were told.

use serde_json::{Value, json};

use crate::office::{CANARY, Office};

const FUNCTIONS: [&str; 9] = [
    "activate",
    "create",
    "feedback",
    "import",
    "invite",
    "manage",
    "notify",
    "reconcile",
    "redeem",
];

/// No function's log, and nothing that one of them printed otherwise, holds a secret of the stories.
pub(crate) fn tell_nothing(office: &Office) {
    assert!(office.secrets().len() > 15, "tokens, tickets, links and codes");
    for function in FUNCTIONS {
        let lines = logged(office, function);
        let summaries = lines.iter().filter(|line| line.contains("duration")).count();
        assert!(summaries > 0, "{function} logged nothing of what it did: {lines:#?}");
    }
    hold_no_secret(office);
}

/// What was logged, however little, holds no secret.
pub(crate) fn hold_no_secret(office: &Office) {
    let mut secrets: Vec<_> = office.secrets().into_iter().collect();
    secrets.push(CANARY.to_owned());
    for function in FUNCTIONS {
        let lines = logged(office, function);
        for line in &lines {
            assert_eq!(first_within(line, &secrets), None, "{function}: {line}");
        }
    }
    let log = office.stack.log();
    let printed: Vec<_> = log.lines().filter(|line| !is_the_emulators(line)).collect();
    assert!(printed.iter().any(|line| line.starts_with('{')), "the functions print JSON");
    for line in printed {
        assert_eq!(first_within(line, &secrets), None, "{line}");
    }
}

/// Everything in a function's log group.
pub(crate) fn logged(office: &Office, function: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut request = json!({"logGroupName": format!("/aws/lambda/seatkeeper-{function}")});
    loop {
        let page = office.ask("logs", "Logs_20140328.FilterLogEvents", &request);
        for event in page["events"].as_array().expect("events") {
            lines.push(event["message"].as_str().unwrap_or_default().to_owned());
        }
        match &page["nextToken"] {
            Value::String(next) => request["nextToken"] = json!(next),
            _ => return lines,
        }
    }
}

/// Whether the emulator speaks, which names the receivers of mails, and not a function.
fn is_the_emulators(line: &str) -> bool {
    let line = line.trim_start_matches('[').as_bytes();
    line.len() > 20
        && line[..4].iter().all(u8::is_ascii_digit)
        && line[4] == b'-'
        && line[10] == b' '
}

/// The first secret that a text tells, plainly or encoded for an address.
fn first_within<'s>(text: &str, secrets: &'s [String]) -> Option<&'s str> {
    let text = text.to_lowercase();
    let found = secrets.iter().find(|secret| text.contains(&secret.to_lowercase()));
    found.map(String::as_str)
}
