//! What the documents promise, checked against what is there.

#![expect(clippy::expect_used, clippy::panic, reason = "what cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use seatkeeper_http::ProblemCode;
use seatkeeper_tests::documented::{DOCUMENT, operations};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Markdown files of the repository's own folders, by path below the root.
fn documents() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = folder.join(&name);
            if entry.file_type().expect("a type").is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                found.insert(path.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found
}

/// The targets of a document's links, `[…](target)`, outside fenced code.
fn links(markdown: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for after in line.split("](").skip(1) {
            targets.extend(after.split_once(')').map(|(target, _)| target));
        }
    }
    targets
}

#[test]
fn every_problem_code_has_a_page_with_its_title_and_status_and_no_page_is_left_over() {
    let mut expected = BTreeSet::from(["README.md".to_owned()]);
    let index = text("docs/problems/README.md");
    for code in ProblemCode::ALL {
        let name = code.as_str();
        let page = text(&format!("docs/problems/{name}.md"));
        let status = code.status().as_u16();
        let heading = format!("# `{name}`: {} ({status})", code.title());
        assert_eq!(page.lines().next(), Some(heading.as_str()));
        assert!(index.contains(&format!("| {status} | [`{name}`]({name}.md) |")), "{name}");
        expected.insert(format!("{name}.md"));
    }
    let pages = documents();
    let pages = pages.iter().filter_map(|path| path.strip_prefix("docs/problems/"));
    assert_eq!(pages.map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

/// The routes that functions serve, as their sources have them: paths, each with what serves it.
fn routes() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("functions")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let path = folder.join(entry.expect("an entry").file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = text(path.to_str().expect("UTF-8"));
                let after = source.split(".route(").skip(1);
                let routes = after.filter_map(|after| after.trim_start().strip_prefix('"'));
                let routes = routes.filter_map(|route| route.split_once('"'));
                found.extend(routes.map(|(path, by)| (path.to_owned(), by.to_owned())));
            }
        }
    }
    found
}

#[test]
fn every_call_is_listed() {
    let (listed, routes) = (text("docs/api.md"), routes());
    assert!(routes.len() > 50, "{routes:?}");
    let is_listed = |route: &&String| {
        let nested = format!("/v1/clients/{{client}}{route}");
        [route.as_str(), &nested].iter().any(|path| listed.contains(&format!("{path}`")))
    };
    let missing: Vec<_> =
        routes.iter().map(|(route, _)| route).filter(|route| !is_listed(route)).collect();
    assert!(missing.is_empty(), "docs/api.md does not list {missing:?}");
}

/// The methods of a route, as its source names them: `, get(list).post(add))` and what follows.
fn methods(by: &str) -> BTreeSet<String> {
    let mut open = 1_i32;
    let ends = |letter: char| {
        open += i32::from(letter == '(') - i32::from(letter == ')');
        open == 0
    };
    let by = by.split(ends).next().unwrap_or_default();
    let of = |name: &&str| by.contains(&format!(" {name}(")) || by.contains(&format!(".{name}("));
    let names = ["get", "post", "put", "patch", "delete"];
    names.iter().filter(|name| of(name)).map(|name| name.to_uppercase()).collect()
}

#[test]
fn the_openapi_document_has_every_call_and_no_other() {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path, operation) in operations() {
        documented.entry(path.to_owned()).or_default().insert(method);
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path}");
        assert!(operation["security"].is_array() && operation["responses"]["default"].is_object());
    }
    // Several functions may serve a path. What serves several methods by one name has them in the
    // source of that.
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (route, by) in routes() {
        let nested = format!("/v1/clients/{{client}}{route}");
        let path = [route.clone(), nested].into_iter().find(|path| documented.contains_key(path));
        let path = path.unwrap_or_else(|| panic!("docs/openapi.yaml does not have {route}"));
        served.entry(path).or_default().extend(methods(&by));
    }
    for (path, methods) in documented {
        let served = served.get(&path).unwrap_or_else(|| panic!("nobody serves {path}"));
        assert!(served.is_empty() || *served == methods, "{path}: {served:?}, not {methods:?}");
    }
}

#[test]
fn the_openapi_document_has_every_problem_code() {
    let codes = &DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let codes: BTreeSet<_> =
        codes.as_array().expect("codes").iter().filter_map(serde_json::Value::as_str).collect();
    assert_eq!(codes, ProblemCode::ALL.into_iter().map(ProblemCode::as_str).collect());
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let documents = documents();
    assert!(documents.contains("README.md") && documents.contains("docs/operate.md"));
    let mut dead = Vec::new();
    for document in &documents {
        let text = text(document);
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if target.contains("://") || file.is_empty() {
                continue;
            }
            let path = root().join(document).with_file_name("").join(file);
            if !path.exists() {
                dead.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_readme_lists_every_parameter_of_the_template_with_its_default() {
    let template = text("template.yaml");
    let (_, rest) = template.split_once("\nParameters:\n").expect("parameters");
    let (parameters, _) = rest.split_once("\nConditions:\n").expect("what comes after them");
    let mut expected = Vec::new();
    for line in parameters.lines() {
        if let Some(default) = line.strip_prefix("    Default: ") {
            let shown = if default == "\"\"" { "blank".to_owned() } else { format!("`{default}`") };
            let name: &String = expected.last().expect("a parameter before its default");
            let row = format!("| `{name}` | {shown} |");
            *expected.last_mut().expect("the same") = row;
        } else if let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            expected.push(name.trim_end_matches(':').to_owned());
        }
    }
    assert!(expected.len() > 10, "{expected:?}");
    let readme = text("README.md");
    let missing: Vec<_> = expected.iter().filter(|row| !readme.contains(*row)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_decision_is_numbered_and_listed() {
    let index = text("docs/adr/README.md");
    let documents = documents();
    let decisions: Vec<_> = documents
        .iter()
        .filter_map(|path| path.strip_prefix("docs/adr/"))
        .filter(|name| *name != "README.md")
        .collect();
    assert!(!decisions.is_empty());
    for (place, name) in decisions.iter().enumerate() {
        let number = format!("{:04}", place + 1);
        assert!(name.starts_with(&number), "{name} should be {number}");
        assert!(index.contains(&format!("[{number}]({name})")), "{name} is not listed");
        let decision = text(&format!("docs/adr/{name}"));
        let sections: Vec<_> = decision.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(sections, ["## Context", "## Decision", "## Consequences"], "{name}");
    }
}
