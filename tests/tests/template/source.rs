//! What the sources say: which functions there are, which variables they read, what they call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How the code spells a call that a policy must allow, and the policy's name for it. A part of a
/// transaction is allowed as the single write it stands for.
const CALLS: [(&str, &str); 15] = [
    (".get_item()", "dynamodb:GetItem"),
    (".batch_get_item()", "dynamodb:BatchGetItem"),
    (".query()", "dynamodb:Query"),
    (".put_item()", "dynamodb:PutItem"),
    ("Put::builder()", "dynamodb:PutItem"),
    (".update_item()", "dynamodb:UpdateItem"),
    ("Update::builder()", "dynamodb:UpdateItem"),
    (".delete_item()", "dynamodb:DeleteItem"),
    ("Delete::builder()", "dynamodb:DeleteItem"),
    ("ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
    (".get_object()", "s3:GetObject"),
    (".put_object()", "s3:PutObject"),
    (".send_email()", "ses:SendEmail"),
    (".get_account()", "ses:GetAccount"),
    (".create_schedule()", "scheduler:CreateSchedule"),
];

/// The folders of functions.
pub(crate) fn functions() -> BTreeSet<String> {
    let folders = fs::read_dir(root().join("functions")).expect("functions/");
    folders
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().into_string().expect("a readable name"))
        .collect()
}

/// The text of a file, by its path in the repository.
pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a readable file")
}

/// The calls that the adapters make, as policies name them. A stored object is read by version.
pub(crate) fn actions_called() -> BTreeSet<String> {
    let code: String = sources(&root().join("shared/aws/src")).into_iter().collect();
    let mut called: BTreeSet<String> = CALLS
        .iter()
        .filter(|(call, _)| code.contains(call))
        .map(|(_, action)| (*action).to_owned())
        .collect();
    if code.contains("version_id(") {
        called.insert("s3:GetObjectVersion".to_owned());
    }
    if code.contains("\"NoSuchKey\"") {
        // Only who may list a bucket is told that an object is not there.
        called.insert("s3:ListBucket".to_owned());
    }
    called
}

/// The variables that a function asks `Env` for, itself or through a reader in a shared crate.
///
/// Every variable is read through `Env`: nothing else in the workspace looks at the environment.
pub(crate) fn variables_read_by(function: &str) -> BTreeSet<String> {
    let mut readers = BTreeMap::new();
    for layer in fs::read_dir(root().join("shared")).expect("shared/") {
        for code in sources(&layer.expect("a readable folder").path().join("src")) {
            readers.extend(functions_taking_the_environment(&code));
        }
    }
    assert!(readers.contains_key("edge"), "the readers of the environment were not found");

    let code: String = sources(&root().join("functions").join(function).join("src")).concat();
    let mut variables = asked_for(&code);
    // Telemetry asks for the level before anything else.
    let mut waiting = called_with_the_environment(&code, &readers);
    waiting.push("log_level".to_owned());
    let mut seen = BTreeSet::new();
    while let Some(reader) = waiting.pop() {
        if seen.insert(reader.clone()) {
            let body = &readers[&reader];
            variables.extend(asked_for(body));
            waiting.extend(called_with_the_environment(body, &readers));
        }
    }
    variables
}

/// Functions of a file that take an `Env`, and their bodies.
fn functions_taking_the_environment(code: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, _) in code.match_indices("fn") {
        let rest = &code[at + 2..];
        let Some((signature, body)) = rest.split_once('{') else {
            continue;
        };
        let name: String =
            signature.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let takes_env = signature.contains("&mutEnv")
            || signature.contains("(&mutself") && code.contains("implEnv{");
        if !name.is_empty() && takes_env && !signature.contains(';') {
            found.insert(name, braced(body));
        }
    }
    found
}

/// The text up to the brace that closes the one before it.
fn braced(text: &str) -> String {
    let mut depth = 1;
    text.chars()
        .take_while(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth > 0
        })
        .collect()
}

/// Names in `required("…")`, `required_as("…"` and `optional("…"`. Fields of requests, asked for in
/// the same words, are not in capitals.
fn asked_for(code: &str) -> BTreeSet<String> {
    ["required(\"", "required_as(\"", "optional(\""]
        .iter()
        .flat_map(|call| code.match_indices(call).map(|(at, _)| &code[at + call.len()..]))
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .filter(|name| !name.contains(|c: char| c.is_ascii_lowercase()))
        .collect()
}

fn called_with_the_environment(code: &str, readers: &BTreeMap<String, String>) -> Vec<String> {
    readers
        .keys()
        .filter(|name| {
            [
                format!("env.{name}("),
                format!("self.{name}("),
                format!("{name}(&mutenv"),
                format!("{name}(env"),
            ]
            .iter()
            .any(|call| code.contains(call))
        })
        .cloned()
        .collect()
}

/// All sources below a folder, without their tests, comments and white space.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable file").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push(lines.flat_map(str::split_whitespace).collect());
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
