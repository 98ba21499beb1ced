//! The promises, looked for from outside.

use std::collections::{BTreeMap, BTreeSet};

use seatkeeper_tests::full::in_full;
use serde_json::{Value, json};

use super::load::{Fact, Load};
use crate::office::{CANARY, Office, now, text};

const COUNTERS: [&str; 6] = ["total", "allocated", "held", "used", "spent", "available"];
/// Where an import ends.
const AT_REST: [&str; 5] = ["completed", "rejected", "refused", "cancelled", "undone"];

/// Everything in the table.
pub(crate) fn dump(office: &Office) -> Vec<Value> {
    let mut items = Vec::new();
    let mut request = json!({"TableName": office.stack.address("table"), "ConsistentRead": true});
    loop {
        let page = office.ask("dynamodb", "DynamoDB_20120810.Scan", &request);
        items.extend(page["Items"].as_array().expect("items").iter().map(plain_item));
        match &page["LastEvaluatedKey"] {
            Value::Null => return items,
            key => request["ExclusiveStartKey"] = key.clone(),
        }
    }
}

fn plain_item(item: &Value) -> Value {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// A value without the letters of its type.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "N" => value.as_str().and_then(|text| text.parse::<i64>().ok()).into(),
        "M" => plain_item(value),
        "L" => value.as_array().into_iter().flatten().map(plain).collect(),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

/// What still has to be done, by kind and key.
pub(crate) fn restless(office: &Office) -> Vec<String> {
    let now = now().to_string();
    let mut found = Vec::new();
    let items = dump(office);
    let owners: BTreeSet<String> = items
        .iter()
        .filter(|item| item["kind"] == "import")
        .filter(|item| AT_REST.iter().any(|end| item["status"] == *end))
        .filter_map(|item| item["import_id"].as_str().map(str::to_owned))
        .collect();
    for item in &items {
        let due = item["due_at"].as_str().is_some_and(|at| *at <= *now);
        let restless = match item["kind"].as_str() {
            Some("mail") => item["in_flight"] == true || (due && !item["due_shard"].is_null()),
            Some("import") => !AT_REST.iter().any(|end| item["status"] == *end),
            Some("batch") => item["state"] == "issuing",
            Some("cohort") => due && item["state"] == "waiting",
            Some("block") => item["owner"].as_str().is_some_and(|owner| owners.contains(owner)),
            _ => false,
        };
        if restless {
            found.push(format!("{} {} {}", item["kind"], item["pk"], item["sk"]));
        }
    }
    found
}

/// All that does not hold.
pub(crate) fn check(office: &Office, load: &Load<'_, '_>, settled: bool) -> Vec<String> {
    let items = dump(office);
    let table = Table::of(items.clone());
    let mut breaks = Vec::new();
    table.pools(&mut breaks);
    table.keys_are_single(&mut breaks);
    table.mails(office, settled, &mut breaks);
    table.facts(load, settled, &mut breaks);
    assert!(!breaks.is_empty() || would_find(&items), "these checks find nothing");
    if settled {
        table.api(office, &mut breaks);
        office.invoke("reconcile", &json!({}));
    }
    breaks
}

/// Whether a counter too high, a seat that is gone and a record that is missing would be found.
fn would_find(items: &[Value]) -> bool {
    let found = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut changed = items.to_vec();
        change(&mut changed);
        let mut breaks = Vec::new();
        Table::of(changed).pools(&mut breaks);
        !breaks.is_empty()
    };
    let seated = |item: &Value| item.to_string().contains(r#""is":"active""#);
    let without = |items: &mut Vec<Value>, is: &dyn Fn(&Value) -> bool| {
        let place = items.iter().position(is).expect("something of this kind");
        items.remove(place);
    };
    found(&|items| {
        let pool = items.iter_mut().find(|item| item["kind"] == "pool").expect("a pool");
        pool["used"] = json!(pool["used"].as_i64().unwrap_or(0) + 1);
    }) && found(&|items| without(items, &seated))
        && found(&|items| without(items, &|item| item["kind"] == "audit"))
}

struct Table {
    items: Vec<Value>,
    /// By address.
    learners: BTreeMap<String, Value>,
    invitations: BTreeMap<String, Value>,
    /// Of cohorts that have opened: pool and instant.
    opened: BTreeSet<(String, String)>,
}

impl Table {
    fn of(items: Vec<Value>) -> Self {
        let items = in_full(items);
        let by = |kind: &str, name: &str| -> BTreeMap<String, Value> {
            let of_kind = items.iter().filter(|item| item["kind"] == kind);
            of_kind.map(|item| (text(&item[name]), item.clone())).collect()
        };
        let (learners, invitations) = (by("learner", "email"), by("invitation", "invitation_id"));
        let cohorts = items.iter().filter(|item| item["kind"] == "cohort");
        let opened = cohorts
            .filter(|item| item["state"] == "opened")
            .map(|item| (text(&item["pool"]), text(&item["instant"])))
            .collect();
        Self { items, learners, invitations, opened }
    }

    fn of_kind<'t>(&'t self, kind: &'t str) -> impl Iterator<Item = &'t Value> {
        self.items.iter().filter(move |item| item["kind"] == kind)
    }

    /// I1 and I8: every pool adds up, its trail says what it shows, and so do the records.
    fn pools(&self, breaks: &mut Vec<String>) {
        for item in self.of_kind("pool") {
            let pool = text(&item["pk"]);
            let pool = pool.rsplit('#').next().unwrap_or_default();
            let mut shown: BTreeMap<&str, i64> = COUNTERS
                .iter()
                .map(|name| (*name, item[name].as_i64().unwrap_or(i64::MIN)))
                .collect();
            let blocks = self.of_kind("block");
            let own = blocks.filter(|block| text(&block["pk"]).ends_with(pool));
            let (mut rem, mut used) = (0, 0);
            for block in own {
                rem += block["rem"].as_i64().unwrap_or(0);
                used += block["used"].as_i64().unwrap_or(0);
            }
            *shown.entry("held").or_default() -= used;
            *shown.entry("used").or_default() += used;
            if shown.values().any(|counter| *counter < 0) {
                breaks.push(format!("{pool}: below zero: {shown:?}"));
            }
            let parts: i64 = COUNTERS[1..].iter().map(|name| shown[name]).sum();
            if shown["total"] != parts {
                breaks.push(format!("{pool}: does not add up: {shown:?}"));
            }
            let mut told: BTreeMap<&str, i64> = COUNTERS.iter().map(|name| (*name, 0)).collect();
            for record in self.of_kind("audit").filter(|record| record["pool"] == pool) {
                for (name, sum) in &mut told {
                    *sum += record["delta"][name].as_i64().unwrap_or(0);
                }
            }
            if told != shown {
                breaks.push(format!("{pool}: shows {shown:?}, its trail says {told:?}"));
            }
            let (seats_held, seats_used) = self.seats(pool);
            let recorded = (seats_held + self.invited(pool) + rem, seats_used);
            if recorded != (shown["held"], shown["used"]) {
                breaks.push(format!("{pool}: shows {shown:?}, its records say {recorded:?}"));
            }
            let allocated: i64 = self
                .of_kind("sublicense")
                .filter(|sublicense| sublicense["contract_id"] == pool)
                .filter_map(|sublicense| self.total(sublicense["sublicense_id"].as_str()?))
                .sum();
            if shown["allocated"] != allocated {
                breaks.push(format!("{pool}: shows {shown:?}, sublicenses have {allocated}"));
            }
        }
    }

    fn total(&self, pool: &str) -> Option<i64> {
        let item = self.of_kind("pool").find(|item| text(&item["pk"]).ends_with(pool))?;
        item["total"].as_i64()
    }

    /// Seats held and used of a pool, learner by learner.
    fn seats(&self, pool: &str) -> (i64, i64) {
        let seat = format!("seat_{pool}");
        let (mut held, mut used) = (0, 0);
        for learner in self.learners.values() {
            match learner[&seat]["state"]["is"].as_str() {
                Some("active") => used += 1,
                Some("scheduled") => {
                    let opens = text(&learner[&seat]["state"]["opens_at"]);
                    if self.opened.contains(&(pool.to_owned(), opens)) {
                        used += 1;
                    } else {
                        held += 1;
                    }
                }
                _ => {}
            }
        }
        (held, used)
    }

    /// Seats held by invitations.
    fn invited(&self, pool: &str) -> i64 {
        let own = self.invitations.values().filter(|invitation| {
            invitation["status"] == "pending"
                && invitation["holds_seat"] == true
                && invitation["sublicense_id"].as_str().or(invitation["contract_id"].as_str())
                    == Some(pool)
        });
        i64::try_from(own.count()).unwrap_or(i64::MAX)
    }

    /// I3: one account an address, one live invitation a pool and address; I2: a redemption code is
    /// listed once.
    fn keys_are_single(&self, breaks: &mut Vec<String>) {
        let accounts = self.of_kind("learner").count();
        if accounts != self.learners.len() {
            breaks.push(format!("{accounts} accounts of {} addresses", self.learners.len()));
        }
        let mut live = BTreeSet::new();
        for item in self.invitations.values().filter(|item| item["status"] == "pending") {
            let place = item["sublicense_id"].as_str().or(item["contract_id"].as_str());
            if !live.insert((text(&item["email"]), place.map(str::to_owned))) {
                breaks.push(format!("two live invitations: {}", item["invitation_id"]));
            }
        }
        let mut redeemed = BTreeMap::<String, i64>::new();
        for item in self
            .items
            .iter()
            .filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("REDEEMED#")))
        {
            let batch = text(&item["pk"]);
            let batch = batch.rsplit('#').next().unwrap_or_default().to_owned();
            *redeemed.entry(batch).or_default() += 1;
        }
        for batch in self.of_kind("batch") {
            let listed = redeemed.get(&text(&batch["batch_id"])).copied().unwrap_or(0);
            let most = batch["max_redemptions"].as_i64().or(batch["count"].as_i64()).unwrap_or(0);
            let used_codes = self
                .of_kind("code")
                .filter(|code| code["batch_id"] == batch["batch_id"])
                .filter(|code| !code["redeemed_by"].is_null())
                .count();
            let used_codes = i64::try_from(used_codes).unwrap_or(i64::MAX);
            if listed > most || (batch["code_kind"] == "redemption" && used_codes != listed) {
                breaks.push(format!("{}: {listed} redemptions of {most}", batch["batch_id"]));
            }
        }
    }

    /// I4: no mail twice; in the end each went out, or is parked, or is not owed any more.
    fn mails(&self, office: &Office, settled: bool, breaks: &mut Vec<String>) {
        let mut received = BTreeMap::<(String, String, String), usize>::new();
        let mut by_person = BTreeMap::<String, usize>::new();
        for mail in office.mails(&format!("{CANARY}.kill.")) {
            *by_person.entry(mail.to.clone()).or_default() += 1;
            *received.entry((mail.to, mail.subject, mail.text)).or_default() += 1;
        }
        for ((_, subject, _), times) in received.iter().filter(|(_, times)| **times > 1) {
            breaks.push(format!("a mail went out {times} times: {subject}"));
        }
        let people: BTreeMap<String, &Value> =
            self.learners.values().map(|learner| (text(&learner["learner_id"]), learner)).collect();
        let (mut owed, mut parked) = (0, 0);
        for intent in self.of_kind("mail").filter(|_| settled) {
            let subjects = intent["subjects"].as_array().expect("subjects");
            let unknown: Vec<_> = intent["unknown"].as_array().into_iter().flatten().collect();
            parked += unknown.len();
            if !intent["refused"].as_array().is_none_or(Vec::is_empty) {
                breaks.push(format!("a mail was refused: {}", intent["sk"]));
            }
            let waits = intent["cohort"].is_string() && !intent["due_shard"].is_null();
            for (place, subject) in subjects.iter().enumerate().filter(|_| !waits) {
                if unknown.iter().any(|mail| **mail == place) {
                    continue;
                }
                let (person, stands) = self.still_owed(subject, &people);
                owed += usize::from(stands);
                if stands && by_person.get(&person).copied().unwrap_or(0) == 0 {
                    breaks.push(format!("a mail never went out: {} {place}", intent["sk"]));
                }
            }
        }
        eprintln!("{} mails went out, {owed} owed and sent, {parked} parked", received.len());
    }

    /// Whom a mail is for, and whether what it tells of is still so.
    fn still_owed(&self, subject: &Value, people: &BTreeMap<String, &Value>) -> (String, bool) {
        let nobody = (String::new(), false);
        match subject["about"].as_str() {
            Some("seat") => {
                let Some(learner) = people.get(&text(&subject["learner"])) else { return nobody };
                let seat = &learner[&format!("seat_{}", text(&subject["pool"]))];
                let live = seat["op"] == subject["op"] && seat["state"]["is"] != "released";
                (text(&learner["email"]), live)
            }
            Some("invitation") => {
                let id = text(&subject["invitation"]);
                let Some(invitation) = self.invitations.get(&id) else { return nobody };
                let stands = invitation["status"] == "pending"
                    && invitation["version"] == subject["version"];
                (text(&invitation["email"]), stands)
            }
            _ => nobody,
        }
    }

    /// I11 and I10: what somebody was told holds.
    fn facts(&self, load: &Load<'_, '_>, settled: bool, breaks: &mut Vec<String>) {
        let mut bought = BTreeMap::<String, i64>::new();
        let has_seat = |email: &str, pool: &str| {
            let seat = self.learners.get(email).map(|learner| &learner[&format!("seat_{pool}")]);
            seat.is_some_and(|seat| !seat.is_null() && seat["state"]["is"] != "released")
        };
        let facts = load.facts();
        let mut kinds = BTreeMap::<&str, usize>::new();
        for fact in &facts {
            let (kind, holds, what) = match fact {
                Fact::Seated { email, pool } => ("seated", has_seat(email, pool), pool),
                Fact::Refused { email, pool } => ("refused", !has_seat(email, pool), pool),
                Fact::Released { learner, pool } => {
                    let id = learner.as_str();
                    let found = self.learners.values().find(|item| item["learner_id"] == id);
                    let seat = found.map(|item| &item[&format!("seat_{pool}")]["state"]["is"]);
                    ("released", seat.is_some_and(|is| *is == "released"), pool)
                }
                Fact::Invited { invitation } => {
                    ("invited", self.invitations.contains_key(invitation), invitation)
                }
                Fact::Ended { invitation } => {
                    let status = self.invitations.get(invitation).map(|item| &item["status"]);
                    let ended = ["cancelled", "declined", "expired"];
                    let holds = status.is_some_and(|now| ended.iter().any(|end| *now == *end));
                    ("ended", holds, invitation)
                }
                Fact::Issued { batch, count } => {
                    let state =
                        self.of_kind("batch").find(|item| item["batch_id"] == batch.as_str());
                    let codes =
                        self.of_kind("code").filter(|item| item["batch_id"] == batch.as_str());
                    let active = state.is_some_and(|item| item["state"] == "active");
                    ("issued", active && codes.count() == *count, batch)
                }
                Fact::Bought { pool, add } => {
                    *bought.entry(pool.clone()).or_default() += add;
                    ("bought", true, pool)
                }
                Fact::Dropped { key, pool, emails } => {
                    ("dropped", !settled || self.imported(key, pool, emails), key)
                }
            };
            *kinds.entry(kind).or_default() += 1;
            if !holds {
                breaks.push(format!("told and not so: {kind} {what}"));
            }
        }
        eprintln!("facts: {kinds:?}");
        if !settled {
            return;
        }
        // Every call for seats has come to its answer: the sums are exact.
        for (pool, add) in bought {
            let first = self.of_kind("audit").find(|record| {
                let action = ["contract_created", "seats_allocated"];
                record["pool"] == pool.as_str()
                    && action.iter().any(|name| record["action"] == *name)
            });
            let first = first.and_then(|record| record["delta"]["total"].as_i64()).unwrap_or(0);
            if self.total(&pool) != Some(first + add) {
                breaks.push(format!(
                    "{pool}: {first} seats and {add} are not {:?}",
                    self.total(&pool)
                ));
            }
        }
    }

    /// Whether the import of a file ended, and each of its people has a seat or was told why not.
    fn imported(&self, key: &str, pool: &str, emails: &[String]) -> bool {
        let runs: Vec<_> =
            self.of_kind("import").filter(|run| run["source"]["key"] == key).collect();
        let [run] = runs[..] else { return false };
        if run["status"] != "completed" {
            return AT_REST.iter().any(|end| run["status"] == *end);
        }
        let seat = format!("seat_{pool}");
        let seated = emails
            .iter()
            .filter_map(|email| self.learners.get(email))
            .filter(|learner| !learner[&seat].is_null())
            .count();
        let totals = &run["totals"];
        let count = |name: &str| {
            totals[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
        };
        seated == count("created") + count("scheduled")
            && emails.len() == seated + count("not_seated") + count("failed") + count("skipped")
    }

    /// The API says what the table says.
    fn api(&self, office: &Office, breaks: &mut Vec<String>) {
        let learners = office.items("learners").len();
        if learners != self.learners.len() {
            breaks.push(format!("{learners} listed of {} learners", self.learners.len()));
        }
        let pending = office.items("invitations?status=pending").len();
        let live = self.invitations.values().filter(|item| item["status"] == "pending").count();
        if pending != live {
            breaks.push(format!("{pending} listed of {live} pending invitations"));
        }
        for contract in office.items("contracts") {
            let id = text(&contract["contract_id"]);
            if contract["stock"]["total"].as_i64() != self.total(&id) {
                breaks.push(format!("{id}: {}", contract["stock"]));
            }
        }
    }
}
