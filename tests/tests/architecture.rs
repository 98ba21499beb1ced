//! What may depend on what, and what stands in one place only.
#![expect(clippy::expect_used, reason = "a test stops at the first thing it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each layer may depend on, of this workspace.
const LAYERS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("spreadsheet", &["domain"]),
    ("mail", &["domain"]),
    ("http", &["domain"]),
    ("aws", &["domain"]),
    ("testkit", &["domain"]),
];

/// Functions that write mails.
const MAIL_WRITERS: [&str; 2] = ["notify", "reconcile"];

/// Functions that read or write spreadsheets: files that are imported, lists that are downloaded.
const SPREADSHEET_USERS: [&str; 2] = ["import", "manage"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--color", "never"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// A package of the workspace.
struct Package {
    /// `functions/create`, `shared/http`, `tests`.
    folder: String,
    /// Its name without `seatkeeper-`.
    name: String,
    binaries: Vec<String>,
    /// What it depends on of this workspace, without dev-dependencies.
    needs: BTreeSet<String>,
    /// The same for its tests.
    tests_need: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let manifest = Path::new(value["manifest_path"].as_str().expect("a path"));
    let folder = manifest.parent().expect("a folder");
    let folder = folder.strip_prefix(root()).expect("within the workspace");
    let (mut needs, mut tests_need) = (BTreeSet::new(), BTreeSet::new());
    for dependency in value["dependencies"].as_array().expect("dependencies") {
        let name = dependency["name"].as_str().expect("a name");
        let Some(name) = name.strip_prefix("seatkeeper-") else { continue };
        let of_tests = dependency["kind"] == "dev";
        let into = if of_tests { &mut tests_need } else { &mut needs };
        into.insert(name.to_owned());
    }
    let targets = value["targets"].as_array().expect("targets");
    let is_binary = |target: &&Value| target["kind"] == serde_json::json!(["bin"]);
    let name_of = |target: &Value| target["name"].as_str().expect("a name").to_owned();
    let name = value["name"].as_str().expect("a name");
    Package {
        folder: folder.to_str().expect("text").to_owned(),
        name: name.strip_prefix("seatkeeper-").expect("our prefix").to_owned(),
        binaries: targets.iter().filter(is_binary).map(name_of).collect(),
        needs,
        tests_need,
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a package may depend on; `None` for one that nobody provided for.
fn allowed(package: &Package) -> Option<BTreeSet<String>> {
    let name = package.name.as_str();
    if package.folder == format!("functions/{name}") {
        let mut may = set(&["domain", "http", "aws"]);
        if MAIL_WRITERS.contains(&name) {
            may.insert("mail".to_owned());
        }
        if SPREADSHEET_USERS.contains(&name) {
            may.insert("spreadsheet".to_owned());
        }
        return Some(may);
    }
    let (_, may) = LAYERS.iter().find(|(layer, _)| *layer == name)?;
    (package.folder == format!("shared/{name}")).then(|| set(may))
}

#[test]
fn data_flows_one_way_from_functions_through_adapters_to_the_domain() {
    let packages = packages();
    assert!(packages.len() >= LAYERS.len() + 9, "nine functions, the layers and the tests");
    let all: BTreeSet<String> = packages.iter().map(|package| package.name.clone()).collect();
    for package in &packages {
        if package.folder == "benches" {
            assert_eq!(package.needs, set(&["domain", "spreadsheet"]));
            continue;
        }
        if package.folder == "benches/importing" {
            assert_eq!(package.needs, set(&["aws", "domain", "http", "spreadsheet"]));
            continue;
        }
        if package.folder == "tests" {
            assert_eq!(package.name, "tests");
            assert!(package.needs.union(&package.tests_need).all(|need| all.contains(need)));
            continue;
        }
        let folder = &package.folder;
        let may = allowed(package).unwrap_or_else(|| panic!("{folder} has no place in the layout"));
        let excess: Vec<_> = package.needs.difference(&may).collect();
        assert!(excess.is_empty(), "{folder} depends on {excess:?}");
        let mut may = may;
        may.insert("testkit".to_owned());
        let excess: Vec<_> = package.tests_need.difference(&may).collect();
        assert!(excess.is_empty(), "the tests of {folder} depend on {excess:?}");
    }
}

#[test]
fn the_simulators_are_for_tests_only() {
    let users: Vec<_> = packages()
        .into_iter()
        .filter(|package| package.needs.contains("testkit"))
        .map(|package| package.folder)
        .collect();
    assert_eq!(users, ["tests"]);
}

#[test]
fn nothing_depends_on_a_function_but_the_tests() {
    let packages = packages();
    let functions: BTreeSet<_> = packages
        .iter()
        .filter(|package| package.folder.starts_with("functions/"))
        .map(|package| package.name.clone())
        .collect();
    for package in packages.iter().filter(|package| package.folder != "tests") {
        let needs = package.needs.union(&package.tests_need);
        let needed: Vec<_> = needs.filter(|need| functions.contains(*need)).collect();
        assert!(needed.is_empty(), "{} depends on {needed:?}", package.folder);
    }
}

#[test]
fn every_function_is_one_binary_of_its_folders_name() {
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(root().join("functions")).expect("functions") {
        folders.insert(entry.expect("an entry").file_name().into_string().expect("text"));
    }
    let mut seen = BTreeSet::new();
    for package in packages() {
        match package.folder.strip_prefix("functions/") {
            Some(folder) => {
                assert_eq!(package.name, folder);
                assert_eq!(package.binaries, [folder], "{}", package.folder);
                seen.insert(folder.to_owned());
            }
            None if package.folder.starts_with("benches") => {}
            None => assert!(package.binaries.is_empty(), "{} has a binary", package.folder),
        }
    }
    assert_eq!(seen, folders);
    let expected = [
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
    assert_eq!(folders, set(&expected));
}

/// Whether a crate talks to AWS, to Lambda or over HTTP.
fn is_of_the_edge(name: &str) -> bool {
    name.starts_with("aws-")
        || name.starts_with("aws_")
        || name.starts_with("lambda_")
        || name.starts_with("lambda-")
        || name.starts_with("axum")
        || name.starts_with("hyper")
        || name.starts_with("tower")
        || matches!(name, "http" | "http-body" | "reqwest" | "rustls" | "h2" | "tokio")
}

/// The crates that a package is built from, itself included.
fn crates_of(package: &str) -> BTreeSet<String> {
    let name = format!("seatkeeper-{package}");
    let tree = ["tree", "--package", &name, "--edges", "normal,build", "--prefix", "none"];
    let text = cargo(&tree);
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn domain_spreadsheet_and_mail_know_no_aws_no_lambda_and_no_http() {
    for layer in ["domain", "spreadsheet", "mail"] {
        let crates = crates_of(layer);
        assert!(crates.contains("jiff"), "the tree of {layer} was read");
        let edge: Vec<_> = crates.iter().filter(|name| is_of_the_edge(name)).collect();
        assert!(edge.is_empty(), "{layer} is built from {edge:?}");
    }
    let crates = crates_of("http");
    assert!(crates.contains("axum"), "the check knows what it looks for");
    let sdk: Vec<_> = crates.iter().filter(|name| name.starts_with("aws-")).collect();
    assert!(sdk.is_empty(), "http is built from {sdk:?}");
}

/// The sources of functions and layers without their tests, by path.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    for side in ["functions", "shared"] {
        for entry in fs::read_dir(root().join(side)).expect("a folder") {
            read_into(&mut sources, &entry.expect("an entry").path().join("src"));
        }
    }
    assert!(sources.len() > 100, "{} sources", sources.len());
    sources
}

fn read_into(sources: &mut BTreeMap<String, String>, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_into(sources, &path);
            continue;
        }
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        if is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        let path = path.strip_prefix(root()).expect("within the workspace");
        sources.insert(path.to_str().expect("text").to_owned(), text);
    }
}

/// The files, other than `home`, in which a line of code has one of `words`.
fn places(words: &[String], home: &str) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in sources() {
        if path == home || path.starts_with("shared/testkit/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && words.iter().any(|word| line.contains(word.as_str())) {
                places.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    places
}

#[test]
fn the_environment_is_read_in_one_place() {
    let home = "shared/http/src/config.rs";
    let words = ["std::env", "env::var", "env::vars"].map(str::to_owned);
    assert!(sources()[home].contains("std::env::vars_os"));
    assert_eq!(places(&words, home), Vec::<String>::new());
}

#[test]
fn keys_are_spelled_in_one_place() {
    let home = "shared/aws/src/keys.rs";
    let keys = &sources()[home];
    // What stands before the first `#` of a text: `CLIENT` of `"CLIENT#{client}"`.
    let mut words: BTreeSet<String> = BTreeSet::new();
    for literal in keys.split('"').skip(1).step_by(2) {
        let Some((word, _)) = literal.split_once('#') else { continue };
        if !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase()) {
            words.insert(format!("\"{word}#"));
        }
    }
    assert!(words.len() >= 10, "{words:?}");
    let mut words: Vec<String> = words.into_iter().collect();
    words.extend(["\"pk\"", "\"sk\"", "\"due_shard\""].map(str::to_owned));
    assert_eq!(places(&words, home), Vec::<String>::new());
}

#[test]
fn the_domain_takes_time_and_chance_as_parameters() {
    let words = ["SystemTime", "Instant::now", "Timestamp::now", "now_v7", "rand::rng("];
    let words = words.map(str::to_owned);
    let home = "shared/http/src/system.rs";
    let found = places(&words, home);
    let of_the_domain: Vec<_> =
        found.iter().filter(|place| place.starts_with("shared/domain/")).collect();
    assert!(of_the_domain.is_empty(), "{of_the_domain:?}");
}
