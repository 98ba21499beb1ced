//! Items that are kept small, in full: whom a record of the trail names, and which mails are owed.
//!
//! What it reads is written down in ARCHITECTURE.md; nothing of the product's own reading is used.

use std::collections::BTreeMap;

use seatkeeper_domain::ids::LearnerId;
use serde_json::{Value, json};

/// What the marks of mails stand for.
const LETTERS: [(char, &str); 6] = [
    ('n', "account_created"),
    ('p', "account_created_with_password"),
    ('o', "account_created_told_otherwise"),
    ('a', "added"),
    ('d', "access_opened"),
    ('r', "redeemed"),
];

/// A table's items with the learners of each record as `learner_ids`, and the mails of each intent
/// as `subjects`.
pub fn in_full(mut items: Vec<Value>) -> Vec<Value> {
    let mut records = BTreeMap::new();
    for record in items.iter_mut().filter(|item| item["kind"] == "audit") {
        let bytes = record["learners"].as_str().unwrap_or_default().as_bytes();
        let bytes = data_encoding::BASE64.decode(bytes).expect("the bytes of ids");
        let (ids, rest) = bytes.as_chunks::<16>();
        assert!(rest.is_empty(), "whole ids");
        let ids: Vec<LearnerId> =
            ids.iter().map(|id| LearnerId::from_bits(u128::from_be_bytes(*id))).collect();
        record["learner_ids"] = json!(ids);
        let key = (record["pk"].to_string(), record["sk"].to_string());
        records.insert(key, (ids, record["op"].clone()));
    }
    for mail in items.iter_mut().filter(|item| item["of_record"].is_string()) {
        let text = |name: &str| mail[name].as_str().unwrap_or_default().to_owned();
        let pk = json!(format!("AUDIT#{}#{}", text("client_id"), text("pool"))).to_string();
        let (ids, op) = &records[&(pk, mail["of_record"].to_string())];
        let marks = marks(&text("letters"));
        assert_eq!(marks.len(), ids.len(), "a mark for each learner");
        let told = ids.iter().zip(marks).filter(|(_, mark)| *mark != '-');
        let subjects = told.map(|(learner, mark)| {
            let known = LETTERS.iter().find(|known| known.0 == mark).expect("a letter");
            json!({"about": "seat", "learner": learner, "pool": mail["pool"], "op": op, "letter": known.1})
        });
        let subjects: Vec<Value> = subjects.collect();
        mail["subjects"] = json!(subjects);
    }
    items
}

/// Marks one by one: `12c` is twelve times `c`.
pub fn marks(text: &str) -> Vec<char> {
    let mut marks = Vec::new();
    let mut count = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            count.push(character);
        } else {
            let times = if count.is_empty() { 1 } else { count.parse().expect("a number") };
            marks.extend(std::iter::repeat_n(character, times));
            count.clear();
        }
    }
    marks
}
