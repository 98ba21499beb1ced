//! What a world has come to, and what must hold of it whatever happened.

use std::collections::BTreeMap;

use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::ports::{Clock as _, Ledger as _};
use seatkeeper_tests::full::in_full;
use serde_json::Value;

use crate::scene::Scene;

/// What a world has come to, without what differs between two ways there: one line a thing.
pub(crate) type State = BTreeMap<String, String>;

/// The state of a world at rest.
pub(crate) async fn state(scene: &Scene) -> State {
    let world = scene.world();
    let dump = in_full(world.cloud.dump());
    let mut state = State::new();
    for pool in world.store.pools(&world.client).await.expect("pools") {
        let stock = world.store.stock(&world.client, pool).await.expect("readable");
        let own = if pool == world.pool() { "pool".to_owned() } else { other_pool(&dump, pool) };
        state.insert(own, format!("{stock:?}"));
    }
    for item in &dump {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let entry = match item["kind"].as_str() {
            Some("learner") => {
                let seats = item.as_object().expect("an item").iter();
                let seats = seats.filter(|(name, _)| name.starts_with("seat_"));
                let is = |seat: &Value| (seat["state"]["is"].clone(), seat["ends_at"].is_string());
                let who = format!("learner {}", text("email"));
                state.extend(
                    seats.map(|(pool, seat)| (format!("{who} {pool}"), format!("{:?}", is(seat)))),
                );
                let known = (item["credential"].is_object(), item["suspended_at"].is_string());
                Some((who, format!("{known:?}")))
            }
            Some("invitation") => {
                let now = [&item["status"], &item["version"], &item["holds_seat"]];
                Some((format!("invitation {}", text("email")), format!("{now:?}")))
            }
            Some("cohort") => {
                let now = [&item["state"], &item["count"]];
                Some((format!("cohort {}", text("instant")), format!("{now:?}")))
            }
            Some("batch") if item["state"] != "revoked" => {
                let codes = of_batch(&dump, "code", item);
                let used = codes.iter().filter(|code| code["redeemed_by"].is_string()).count();
                let listed = of_batch(&dump, "redemption", item).len();
                let sums = (codes.len(), used, listed, &item["state"]);
                Some((format!("batch {}", text("label")), format!("{sums:?}")))
            }
            Some("contract") => {
                Some((format!("contract {}", text("reference")), item["modules"].to_string()))
            }
            Some("order") => Some((format!("order {}", text("sk")), item["add"].to_string())),
            _ => None,
        };
        state.extend(entry);
    }
    let dealt = items(&dump, "mail").map(|mail| mail["next"].as_u64().unwrap_or(0)).sum::<u64>();
    state.insert("mails".to_owned(), dealt.to_string());
    if let Some(import) = scene.import_state().await.expect("readable") {
        state.insert("import".to_owned(), import.to_string());
    }
    state
}

/// What a pool is called that is not the first contract's: ids differ from run to run.
fn other_pool(dump: &[Value], pool: PoolId) -> String {
    let id = pool.to_string();
    let named = |item: &&Value| item["sublicense_id"] == id || item["contract_id"] == id;
    let record =
        dump.iter().filter(|item| item["name"].is_string() || item["reference"].is_string());
    let record = record.into_iter().find(named).expect("what the pool is of");
    format!("pool of {} {}", record["reference"], record["name"])
}

fn items<'a>(dump: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    dump.iter().filter(move |item| item["kind"] == kind)
}

/// What of this kind belongs to a batch. A redemption stands in its batch's partition.
fn of_batch<'a>(dump: &'a [Value], kind: &'a str, batch: &Value) -> Vec<&'a Value> {
    let id = batch["batch_id"].as_str().expect("an id");
    let belongs = |item: &&Value| {
        item["batch_id"] == id || item["pk"].as_str().is_some_and(|pk| pk.ends_with(id))
    };
    items(dump, kind).filter(belongs).collect()
}

/// Asserts what holds of every world at rest.
pub(crate) async fn assert_invariants(scene: &Scene) {
    let world = scene.world();
    // I1, I8
    world.assert_seats_are_conserved().await;
    let dump = in_full(world.cloud.dump());
    assert_codes_are_used_once(&dump);
    assert_codes_belong(&dump);
    assert_people_are_single(&dump);
    assert_mails_went_out_once(scene, &dump);
    let now = world.clock.now().to_string();
    for item in &dump {
        // I5, I13
        let due = item["due_at"].as_str().is_some_and(|at| at <= now.as_str());
        let kind = item["kind"].as_str().unwrap_or_default();
        // A pool is due for its next proof, a client for its next round, a contract for being looked
        // at, again and again.
        let waits =
            item["due_shard"].is_string() && due && !["pool", "round", "contract"].contains(&kind);
        assert!(!waits, "I5: still due: {kind} {}", item["sk"]);
        // I12
        if kind == "idempotency" {
            let told = item.to_string();
            assert!(!told.contains('@') && !told.contains("example"), "I12: {told}");
        }
    }
}

fn assert_codes_are_used_once(dump: &[Value]) {
    for batch in items(dump, "batch") {
        let listed = of_batch(dump, "redemption", batch).len();
        let counted = match batch["kind"].as_str() {
            _ if batch["max_redemptions"].is_null() => {
                let codes = of_batch(dump, "code", batch);
                codes.iter().filter(|code| code["redeemed_by"].is_string()).count()
            }
            _ => {
                // Its open blocks count what they gave.
                let own = items(dump, "block").filter(|block| block["owner"] == batch["batch_id"]);
                let parts =
                    own.flat_map(|block| [&block["used"], &block["kept"], &block["settled"]]);
                let all = parts.chain([&batch["redeemed"]]).filter_map(Value::as_u64);
                usize::try_from(all.sum::<u64>()).expect("few")
            }
        };
        let held = items(dump, "invitation").filter(|item| {
            let pending = item["status"] == "pending" && item["holds_seat"] == true;
            pending && item["redeems"]["batch_id"] == batch["batch_id"]
        });
        assert_eq!(listed + held.count(), counted, "I2: redemptions of a batch");
    }
}

/// A batch has its codes, all of them and no others. One that never became active has none.
fn assert_codes_belong(dump: &[Value]) {
    for batch in items(dump, "batch") {
        let codes = of_batch(dump, "code", batch).len();
        let count = batch["count"].as_u64().and_then(|count| usize::try_from(count).ok());
        let none = batch["state"] == "revoked" && codes == 0;
        assert!(none || Some(codes) == count, "I13: {codes} codes of a batch of {count:?}");
    }
}

fn assert_people_are_single(dump: &[Value]) {
    for kind in ["learner", "invitation"] {
        let mut addresses = BTreeMap::new();
        for item in items(dump, kind) {
            let place = (&item["client_id"], &item["contract_id"], &item["sublicense_id"]);
            let key = format!("{place:?} {}", item["email"]);
            *addresses.entry(key).or_insert(0) += 1;
        }
        let twice = addresses.values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "I3: more than one {kind} of an address");
    }
}

fn assert_mails_went_out_once(scene: &Scene, dump: &[Value]) {
    let world = scene.world();
    let sent = world.cloud.sent_mails();
    let mut notifications = BTreeMap::new();
    for mail in &sent {
        *notifications.entry(mail.identity()).or_insert(0) += 1;
    }
    for (tags, count) in &notifications {
        assert_eq!(*count, 1, "I4: sent more than once: {tags}");
    }
    let (mut owed, mut parked) = (0, 0);
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let now = world.clock.now().to_string();
    for mail in items(dump, "mail") {
        if mail["due_at"].as_str().is_some_and(|at| at > now.as_str()) {
            continue;
        }
        assert_eq!(mail["in_flight"], false, "I5: a mail in flight");
        let dealt = usize::try_from(mail["next"].as_u64().unwrap_or(0)).expect("few");
        assert_eq!(dealt, length(&mail["subjects"]), "I4: a mail that was not dealt with");
        assert_eq!(length(&mail["refused"]), 0, "I4: a mail set aside");
        owed += dealt;
        parked += length(&mail["unknown"]);
    }
    let sent = sent.len();
    assert!(sent <= owed, "I4: {sent} mails sent for {owed} owed");
    // No workflow here lapses a mail that is due, unless nobody sends it for half an hour.
    let lapses = scene.workflow.asks_proof();
    assert!(
        lapses || sent + parked >= owed,
        "I4: {sent} mails sent and {parked} parked of {owed} owed"
    );
}
