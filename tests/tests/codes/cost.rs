//! What a redemption costs, counted where its requests leave: write units as DynamoDB charges them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, Wanted};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_testkit::Cloud;
use serde_json::Value;

use crate::world::{PASSWORD, World};

/// Bytes of a write unit. What is in a transaction costs two for each that it begins, a check as
/// much as a write.
const UNIT: usize = 1024;

/// The kind of what was only checked not to be there.
const NOTHING: &str = "what is not there";

/// Redemptions of one count.
const PEOPLE: usize = 8;

/// The keys of what was written or checked, each with its units for a started kilobyte.
#[derive(Debug, Clone, Default)]
struct Meter(Arc<Mutex<Vec<(String, usize)>>>);

impl Meter {
    fn on(cloud: &Cloud) -> Self {
        let meter = Self::default();
        let met = Arc::clone(&meter.0);
        cloud.seed(move |sent| {
            let mut met = met.lock().expect("one thread");
            let alone = sent.operation != "TransactWriteItems";
            let keys: Vec<String> = sent.every_write().iter().map(|one| key(one)).collect();
            met.extend(keys.into_iter().map(|key| (key, if alone { 1 } else { 2 })));
        });
        meter
    }

    /// Units by the kind of item, each with the size that it has in the end; one that is not there
    /// counts as the least.
    fn units(&self, cloud: &Cloud) -> BTreeMap<String, usize> {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let items = cloud.dump();
        let items: BTreeMap<String, &Value> = items
            .iter()
            .map(|item| (format!("{} {}", text(item, "pk"), text(item, "sk")), item))
            .collect();
        let mut units = BTreeMap::new();
        for (key, each) in self.0.lock().expect("one thread").iter() {
            let (kind, bytes) = items.get(key).map_or_else(
                || (NOTHING.to_owned(), UNIT),
                |item| (text(item, "kind"), size(item)),
            );
            *units.entry(kind).or_default() += each * bytes.div_ceil(UNIT);
        }
        units
    }
}

fn key(write: &seatkeeper_testkit::Write<'_>) -> String {
    format!("{} {}", write.key("pk"), write.key("sk"))
}

/// The bytes of an item: names and values, as the service documents its sizes.
fn size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len().div_ceil(2) + 1,
        Value::String(text) => text.len(),
        Value::Array(list) => 3 + list.iter().map(|one| 1 + size_of_value(one)).sum::<usize>(),
        Value::Object(fields) => 3 + size(value) + fields.len(),
    }
}

/// What is asked of those who redeem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// To prove their addresses.
    Proof,
    /// To wait for a day.
    Patience,
}

/// Has so many people redeem, each alone, and counts.
async fn counted(wanted: Wanted, asked: Asked) -> (usize, BTreeMap<String, usize>) {
    let world = World::with_seats(100).await;
    let proven = asked == Asked::Proof;
    let start_on = (asked == Asked::Patience).then(|| jiff::civil::date(2026, 12, 7));
    let order = IssueCodes { require_email_proof: proven, start_on, ..world.order(wanted) };
    let issued = world.issue(&order).await.expect("free seats");
    let meter = Meter::on(&world.cloud);
    for number in 0..PEOPLE {
        let code = issued.codes.get(number).unwrap_or(&issued.codes[0]).to_string();
        let email = format!("a.learner.with.a.long.name.{number}@subdomain.example.org");
        let redeemed = world.redeem(&world.visit(&code, &email)).await.expect("a seat");
        assert_eq!(redeemed.to_be_proven, proven);
        if proven {
            let email = email.parse().expect("an address");
            let command = AcceptInvitation {
                client_id: world.client.clone(),
                invitation_id: world.keys.proof_id(&world.client, world.pool(), &email),
                version: 1,
                first_name: "Lise".to_owned(),
                last_name: "Meitner".to_owned(),
                password: PasswordPolicy::default().check(PASSWORD),
            };
            let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
            accept_invitation(store, clock, ids, keys, world.op(), &command).await.expect("in");
        }
    }
    let units = meter.units(&world.cloud);
    world.cloud.unseed();
    let all: usize = units.values().sum();
    assert_eq!(all % PEOPLE, 0, "each costs the same: {units:?}");
    (all / PEOPLE, units)
}

#[tokio::test]
async fn a_redemption_costs_two_write_units_for_each_thing_that_it_owes() {
    let registration =
        |guaranteed| Wanted::Registration { own: None, max_redemptions: Some(20), guaranteed };
    let codes = || Wanted::Generated(20);
    // The shard, the learner, the trail, the mail, the list; that there is no invitation is checked.
    let (written, checked) = (5, 1);
    let least = (written + checked) * 2;
    for (what, wanted, asked, expected) in [
        ("guaranteed", registration(true), Asked::Nothing, least),
        // The code as well.
        ("redemption code", codes(), Asked::Nothing, least + 2),
        // The batch counts, and the pool instead of the shard.
        ("registration code", registration(false), Asked::Nothing, least + 2),
        // Before: shard, trail, mail and what is held, and two counts of tries; then what is held.
        ("guaranteed, proven", registration(true), Asked::Proof, least + 2 + 8 + 2),
        // The cohort counts those who wait.
        ("guaranteed, later", registration(true), Asked::Patience, least + 2),
    ] {
        let (each, units) = counted(wanted, asked).await;
        // All that is there was written, each item once and within a kilobyte.
        let there: usize = units.iter().filter(|(kind, _)| *kind != NOTHING).map(|one| one.1).sum();
        let items = there / 2 / PEOPLE;
        println!("{what}: {items} kilobytes written, {each} units charged, of {PEOPLE}: {units:?}");
        assert_eq!(each, expected, "{what}: {units:?}");
        assert!(what != "guaranteed" || items == written, "{what}: {units:?}");
        assert!(units["learner"] == 2 * PEOPLE, "a learner fits a kilobyte: {units:?}");
    }
}
