//! Calls of the API and visits to the pages, through the routes of the template and the functions'
//! own routers.
#![expect(clippy::expect_used, reason = "a test stops at the first thing it did not expect")]

mod changes;
mod erasing;
mod flows;
mod learners;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod openings;
mod picking;
mod refusals;
mod repeats;
mod seats;
mod sign_in;
mod suspending;

mod templates;
mod tenants;
mod utilization;

use seatkeeper_tests::http::{House, Person};
use serde_json::{Value, json};

/// A client that most stories play in.
pub(crate) const GLOBEX: &str = "/v1/clients/globex";

/// What makes a client.
pub(crate) fn client(id: &str) -> Value {
    json!({
        "client_id": id, "name": "Globex", "default_language": "fr", "time_zone": "Europe/Paris",
        "launch_url": "https://lms.globex.example/start",
    })
}

/// A house with `globex`, which has one contract of so many seats: its id.
pub(crate) async fn globex(seats: u64) -> (House, String) {
    let mut house = House::open().await;
    let made = house.post(&Person::vendor(), "/v1/clients", client("globex")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    house.world.client = "globex".parse().expect("a slug");
    let contract = contract(&house, json!({"reference": "2026-G1", "seats": seats})).await;
    (house, contract)
}

/// Another contract of `globex`.
pub(crate) async fn contract(house: &House, order: Value) -> String {
    let made = house.post(&Person::vendor(), &format!("{GLOBEX}/contracts"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json()["contract_id"])
}

/// A group of `globex`.
pub(crate) async fn group(house: &House, name: &str) -> String {
    let made = house.post(&admin(), &format!("{GLOBEX}/groups"), json!({"name": name})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json()["group_id"])
}

/// An administrator of `globex`.
pub(crate) fn admin() -> Person {
    Person::admin("globex")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// The six counters, in the order of the sum.
pub(crate) fn stock(counts: [u64; 6]) -> Value {
    let [total, allocated, held, used, spent, available] = counts;
    assert_eq!(total, allocated + held + used + spent + available, "a stock adds up");
    json!({
        "total": total, "allocated": allocated, "held": held, "used": used, "spent": spent,
        "available": available,
    })
}
