//! The API's document, docs/openapi.yaml: what it says of calls and answers, held against those of the
//! tests.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.yaml");
    let text = std::fs::read_to_string(path).expect("docs/openapi.yaml");
    serde_norway::from_str(&text).expect("YAML")
});

/// Schemas that are ready to validate, by their places in the document.
static VALIDATORS: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> =
    LazyLock::new(Mutex::default);

/// The operations: method, path, and what is said of them.
pub fn operations() -> impl Iterator<Item = (String, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path").iter();
        let methods = methods.filter(|(method, _)| *method != "parameters");
        methods.map(|(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    })
}

/// Holds an answer, and the body that it accepted, against the document.
///
/// # Panics
/// If the document does not know the call or the answer, or says something else of it.
pub fn check(
    method: &str,
    path: &str,
    sent: Option<&[u8]>,
    status: u16,
    media_type: &str,
    got: &[u8],
) {
    let known = operations().filter(|(own, of, _)| own == method && fits(of, path));
    // A segment that is named comes before one that varies.
    let Some((_, of, operation)) = known.min_by_key(|(_, of, _)| of.matches('{').count()) else {
        assert!([404, 405].contains(&status), "{method} {path} is not in docs/openapi.yaml");
        return;
    };
    let place = format!("{method} {of}");
    let answers = operation["responses"].as_object().expect("responses");
    let answer = answers.get(&status.to_string());
    if status < 400 {
        assert!(answer.is_some(), "{place}: {status} is not in docs/openapi.yaml");
        let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
        if let Some(body) = sent.and_then(|sent| serde_json::from_slice(sent).ok()) {
            validate(&format!("{place}, what it takes"), taken, &body);
        }
    }
    let answer = resolved(answer.unwrap_or(&answers["default"]));
    if got.is_empty() {
        return;
    }
    let kind = media_type.split(';').next().unwrap_or_default();
    let content = answer["content"].get(kind);
    let content = content.unwrap_or_else(|| panic!("{place}: {status} with {kind}"));
    if kind.ends_with("json") {
        let body = serde_json::from_slice(got).expect("JSON");
        validate(&format!("{place}, {status}"), &content["schema"], &body);
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut own, mut asked) = (pattern.split('/'), path.split('/'));
    loop {
        match (own.next(), asked.next()) {
            (None, None) => return true,
            (Some(own), Some(asked)) if own == asked => {}
            (Some(own), Some(asked)) if own.starts_with('{') && !asked.is_empty() => {}
            _ => return false,
        }
    }
}

/// What a reference refers to.
fn resolved(value: &'static Value) -> &'static Value {
    let Some(to) = value["$ref"].as_str() else { return value };
    let to = to.strip_prefix('#').expect("a reference into the document");
    DOCUMENT.pointer(to).unwrap_or_else(|| panic!("{to} is not in docs/openapi.yaml"))
}

fn validate(place: &str, schema: &Value, body: &Value) {
    let validator = {
        let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(place.to_owned()).or_insert_with(|| {
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "components": DOCUMENT["components"], "allOf": [schema],
            });
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{place}: {error}")))
        }))
    };
    let errors: Vec<_> = validator
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{place}, by docs/openapi.yaml: {errors:#?}\n{body:#}");
}
