//! Another day, or none, for everyone who starts on a date.

use seatkeeper_domain::actions::open_cohort::open_cohort;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_tests::http::{Call, House, Person, Reply};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, contract, globex, stock, text};

/// What opens first: it begins at 23:00 UTC the day before.
const FIRST: &str = "2099-02-28T23:00:00Z";

/// Gives somebody a seat of this contract from a day on.
async fn starts(house: &House, contract: &str, number: u32, more: Value) -> String {
    let mut order = json!({
        "contract_id": contract, "email": format!("p{number}@globex.example"),
        "start_on": "2099-03-01",
    });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json()["learner"]["learner_id"])
}

async fn openings(house: &House) -> Value {
    let list = house.get(&admin(), &format!("{GLOBEX}/openings")).await.json();
    let brief = |one: &Value| json!([one["start_on"], one["seats"]]);
    list["items"].as_array().unwrap().iter().map(brief).collect()
}

async fn change(house: &House, what: &str, order: Value) -> Reply {
    house.post(&admin(), &format!("{GLOBEX}/openings/{what}"), order).await
}

#[tokio::test]
async fn everyone_of_a_date_starts_on_another_one_but_who_has_left_by_then() {
    let (house, contract) = globex(9).await;
    for number in 1..=3 {
        starts(&house, &contract, number, json!({})).await;
    }
    let leaves = starts(&house, &contract, 4, json!({"end_on": "2099-03-05"})).await;
    starts(&house, &contract, 5, json!({"start_on": "2099-04-01"})).await;
    let order = json!({"pool": contract, "opens_at": FIRST, "start_on": "2099-03-08"});
    let moved = change(&house, "reschedule", order.clone()).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let mut expected = json!({
        "rescheduled": 3, "start_on": "2099-03-08", "seats_left": 1, "opened": false,
        "complete": true,
        "kept": [{
            "learner_id": leaves, "email": "p4@globex.example", "error": "end-before-start",
        }],
        "stock": stock([9, 0, 5, 0, 0, 4]),
    });
    assert_eq!(moved.json(), expected);
    let then = json!([["2099-03-01", 1], ["2099-03-08", 3], ["2099-04-01", 1]]);
    assert_eq!(openings(&house).await, then);
    let path = format!("{GLOBEX}/audit?limit=1");
    let first = house.get(&admin(), &path).await.json();
    // A cursor goes into an address as it is.
    let cursor = text(&first["next_cursor"]);
    assert!(!cursor.contains('#'), "{cursor}");
    let next = house.get(&admin(), &format!("{path}&cursor={cursor}")).await.json();
    assert_ne!(next["items"], first["items"]);
    let trail = house.get(&admin(), &format!("{GLOBEX}/audit?limit=100")).await.json();
    let trail = trail["items"].as_array().unwrap().iter();
    let told: Vec<_> = trail.filter(|one| one["action"] == "seat_rescheduled").collect();
    assert!(!told.is_empty());
    for one in told {
        assert_eq!((&one["before"], &one["after"]), (&json!("2099-03-01"), &json!("2099-03-08")));
        assert_eq!(one["reason"], "2099-03-08");
    }
    // Made again, there is nobody left to move.
    expected["rescheduled"] = json!(0);
    assert_eq!(change(&house, "reschedule", order).await.json(), expected);
    // Others are waited for on the new day already.
    let order =
        json!({"pool": contract, "opens_at": "2099-03-31T22:00:00Z", "start_on": "2099-03-08"});
    assert_eq!(change(&house, "reschedule", order).await.json()["rescheduled"], 1);
    assert_eq!(openings(&house).await, json!([["2099-03-01", 1], ["2099-03-08", 4]]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_date_that_has_come_opens_all_of_them_in_the_call() {
    let (house, contract) = globex(3).await;
    for number in 1..=2 {
        starts(&house, &contract, number, json!({})).await;
    }
    let order = json!({"pool": contract, "opens_at": FIRST, "start_on": "2020-01-01"});
    let moved = change(&house, "reschedule", order).await.json();
    assert_eq!((&moved["rescheduled"], &moved["stock"]), (&json!(2), &stock([3, 0, 0, 2, 0, 1])));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_cancelled_date_gives_its_seats_back_once() {
    let (house, contract) = globex(4).await;
    let mut people = Vec::new();
    for number in 1..=3 {
        people.push(starts(&house, &contract, number, json!({})).await);
    }
    let order = json!({"pool": contract, "opens_at": FIRST});
    let path = format!("{GLOBEX}/openings/cancel");
    let call = || Call::new("POST", &path).by(&admin()).key("k-1");
    let cancelled = house.send(call().json(&order)).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let expected = json!({
        "cancelled": 3, "kept": [], "seats_left": 0, "opened": false, "complete": true,
        "stock": stock([4, 0, 0, 0, 0, 4]),
    });
    assert_eq!(cancelled.json(), expected);
    assert_eq!(openings(&house).await, json!([]));
    assert_eq!(house.send(call().json(&order)).await.json(), expected, "the same call");
    let another = change(&house, "cancel", order).await.json();
    assert_eq!((&another["cancelled"], &another["complete"]), (&json!(0), &json!(true)));
    let told = house.get(&admin(), &format!("{GLOBEX}/learners/{}", people[0])).await.json();
    assert_eq!(told["seats"][0]["state"], "released");
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn seats_promised_by_a_renewal_are_not_cancelled_while_the_old_ones_live() {
    let (house, old) = globex(3).await;
    starts(&house, &old, 1, json!({"start_on": "2020-01-01"})).await;
    let next = json!({"reference": "2099-G1", "seats": 3, "starts_on": "2099-03-01"});
    let next = contract(&house, next).await;
    let path = format!("{GLOBEX}/contracts/{old}/renewal");
    let renewed = house.post(&Person::vendor(), &path, json!({"to_contract_id": next})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    starts(&house, &next, 2, json!({})).await;
    let order = json!({"pool": next, "opens_at": FIRST});
    let cancelled = change(&house, "cancel", order).await.json();
    assert_eq!(cancelled["cancelled"], 1);
    assert_eq!(cancelled["kept"][0]["email"], "p1@globex.example");
    assert_eq!(cancelled["kept"][0]["error"], "renews-a-seat");
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn what_is_not_an_opening_is_told_and_changes_nothing() {
    let (house, contract) = globex(4).await;
    starts(&house, &contract, 1, json!({})).await;
    let faults = async |what: &str, order: Value| {
        let refused = change(&house, what, order).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid-request"));
        refused.faults()
    };
    let other = json!({"pool": contract, "opens_at": "2099-02-28T22:00:00Z"});
    assert_eq!(faults("cancel", other).await, ["/opens_at unknown-opening"]);
    let finer = json!({"pool": contract, "opens_at": "2099-02-28T23:00:00.000000001Z"});
    assert_eq!(faults("cancel", finer).await, ["/opens_at unknown-opening"]);
    let nowhere = json!({"pool": "here", "opens_at": "soon"});
    assert_eq!(faults("cancel", nowhere).await.len(), 2);
    let undated = json!({"pool": contract, "opens_at": FIRST});
    assert_eq!(faults("reschedule", undated).await, ["/start_on required"]);
    let same = json!({"pool": contract, "opens_at": FIRST, "start_on": "2099-03-01"});
    assert_eq!(faults("reschedule", same).await, ["/start_on same-opening"]);
    let unknown = json!({"pool": contract, "opens_at": FIRST, "start_on": "2099-03-08"});
    assert_eq!(faults("cancel", unknown).await, ["/start_on unknown-field"]);
    assert_eq!(openings(&house).await, json!([["2099-03-01", 1]]));
    let (world, instant) = (&house.world, FIRST.parse().unwrap());
    world.clock.set(instant);
    let pool = contract.parse().unwrap();
    let key = CohortKey { client_id: world.client.clone(), pool, instant };
    open_cohort(&world.store, &world.clock, &world.ids, &key).await.unwrap();
    let late = change(&house, "cancel", json!({"pool": contract, "opens_at": FIRST})).await;
    assert_eq!((late.status, late.code().as_str()), (409, "conflict"), "{}", late.text);
    let shown = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await.json();
    assert_eq!(shown["stock"], stock([4, 0, 0, 1, 0, 3]), "all of them");
    house.world.assert_seats_are_conserved().await;
}
