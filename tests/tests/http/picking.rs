//! Where no contract is named: the one that ends first, runs, and has seats.

use jiff::ToSpan as _;
use seatkeeper_tests::http::{Call, House, Reply, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, contract, globex, stock, text};

/// A day so many days from today.
fn day(days: i64) -> String {
    let today = now().to_zoned(jiff::tz::TimeZone::get("Europe/Paris").expect("a zone")).date();
    today.checked_add(days.days()).expect("a date").to_string()
}

async fn create(house: &House, order: Value) -> Reply {
    house.post(&admin(), &format!("{GLOBEX}/learners"), order).await
}

/// The contract of the only seat that a creation tells of.
fn picked(made: &Reply) -> String {
    assert!(matches!(made.status, 200 | 201), "{}", made.text);
    text(&made.json()["seat"]["pool"])
}

/// Contracts of `globex`: one without an end, of five seats, and more by their seats and windows.
async fn with_contracts(more: &[(u64, i64, i64)]) -> (House, String, Vec<String>) {
    let (house, open) = globex(5).await;
    let mut all = Vec::new();
    for (number, (seats, first, last)) in more.iter().enumerate() {
        let order = json!({
            "reference": format!("2026-P{number}"), "seats": seats,
            "starts_on": day(*first), "ends_on": day(*last),
        });
        all.push(contract(&house, order).await);
    }
    (house, open, all)
}

#[tokio::test]
async fn the_contract_that_ends_first_is_taken_until_it_is_empty_then_the_next() {
    let windows = [(1, -10, 60), (1, -10, 30), (9, 5, 20)];
    let (house, open, all) = with_contracts(&windows).await;
    for (number, expected) in [&all[1], &all[0], &open, &open].into_iter().enumerate() {
        let order = json!({"email": format!("l{number}@globex.example")});
        assert_eq!(&picked(&create(&house, order).await), expected, "{number}");
    }
    // Upcoming ones are left alone.
    let upcoming = house.get(&admin(), &format!("{GLOBEX}/contracts/{}", all[2])).await;
    assert_eq!(upcoming.json()["stock"], stock([9, 0, 0, 0, 0, 9]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn asked_again_it_is_the_seat_there_is_though_another_contract_ends_first_by_then() {
    let (house, open, all) = with_contracts(&[(1, -10, 60)]).await;
    let order = json!({"email": "lea@globex.example"});
    let first = create(&house, order.clone()).await;
    assert_eq!((first.status, picked(&first)), (201, all[0].clone()));
    let sooner = json!({"reference": "2026-S", "seats": 3, "ends_on": day(5)});
    let sooner = contract(&house, sooner).await;
    let again = create(&house, order).await;
    assert_eq!((again.status, picked(&again)), (200, all[0].clone()), "she has one");
    let bo = create(&house, json!({"email": "bo@globex.example"})).await;
    assert_eq!(picked(&bo), sooner);
    let late = json!({"email": "cy@globex.example", "start_on": day(10), "end_on": day(90)});
    assert_eq!(picked(&create(&house, late).await), open, "only this one runs so long");
}

#[tokio::test]
async fn whom_a_call_invites_stand_on_one_contract_also_when_it_is_made_again() {
    let (house, open, all) = with_contracts(&[(2, -10, 30)]).await;
    let order = json!({"emails": "a@x.example; b@x.example; c@x.example"});
    let invite =
        async || house.post(&admin(), &format!("{GLOBEX}/invitations"), order.clone()).await;
    let first = invite().await;
    assert_eq!(first.json()["stock"], stock([5, 0, 3, 0, 0, 2]), "the first has too few for three");
    let again = invite().await.json();
    let results = again["results"].as_array().expect("results").iter();
    let outcomes: Vec<_> = results.map(|one| text(&one["outcome"])).collect();
    assert_eq!(outcomes, ["already_invited"; 3]);
    assert_eq!(again["stock"], stock([5, 0, 3, 0, 0, 2]));
    for contract in [&open, &all[0]] {
        let known = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await.json();
        let held = &known["stock"]["held"];
        assert_eq!(held, if *contract == open { 3 } else { 0 });
    }
}

#[tokio::test]
async fn a_contract_whose_seats_would_be_over_is_passed_over() {
    let (house, open) = globex(5).await;
    let order = json!({
        "reference": "2026-F", "seats": 9, "starts_on": day(-20), "ends_on": day(9),
        "policies": {"seat_duration_days": 15, "clock_start": "fixed"},
    });
    let over = contract(&house, order).await;
    let lea = json!({"email": "lea@globex.example"});
    assert_eq!(picked(&create(&house, lea).await), open);
    let bo = json!({"emails": ["bo@globex.example"]});
    let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), bo).await;
    assert_eq!(invited.json()["stock"], stock([5, 0, 1, 1, 0, 3]), "{}", invited.text);
    // A day of one's own goes before the duration.
    let cy = json!({"email": "cy@globex.example", "end_on": day(5)});
    assert_eq!(picked(&create(&house, cy).await), over);
    // What no contract allows is told of the one that is picked.
    let past = json!({"email": "di@globex.example", "end_on": "2020-01-01"});
    assert_eq!(create(&house, past).await.faults(), ["/end_on end-before-start"]);
}

#[tokio::test]
async fn a_sublicense_says_which_contract_and_a_repeated_key_comes_to_the_same() {
    let (house, open, _) = with_contracts(&[(2, -10, 30)]).await;
    let share = json!({"name": "North", "seats": 2});
    let share =
        house.post(&admin(), &format!("{GLOBEX}/contracts/{open}/sublicenses"), share).await;
    let share = text(&share.json()["sublicense_id"]);
    let order = json!({"email": "lea@globex.example", "sublicense_id": share});
    let call = || Call::post(&format!("{GLOBEX}/learners"), &order).by(&admin()).key("lea");
    let made = house.send(call()).await;
    assert_eq!(picked(&made), share);
    assert_eq!(house.send(call()).await.json(), made.json());
    let foreign = json!({
        "email": "bo@globex.example", "sublicense_id": "sub_07h3k9m2q5w8r1t4v6x0z2b5d8",
    });
    let refused = create(&house, foreign).await;
    assert_eq!(refused.faults(), ["/sublicense_id unknown-sublicense"]);
}

#[tokio::test]
async fn where_no_contract_runs_that_has_seats_one_has_to_be_named() {
    let (house, open) = globex(1).await;
    let taken = create(&house, json!({"email": "lea@globex.example"})).await;
    assert_eq!(picked(&taken), open);
    let before = house.world.cloud.dump();
    let refused = create(&house, json!({"email": "bo@globex.example"})).await;
    assert_eq!(
        (refused.status, refused.faults()),
        (422, vec!["/contract_id contract-missing".to_owned()])
    );
    let order = json!({"emails": ["bo@globex.example"]});
    let refused = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await;
    assert_eq!(refused.faults(), ["/contract_id contract-missing"]);
    assert_eq!(house.world.cloud.dump(), before);
}
