//! Seats of a contract: orders that come twice, seats taken back, the last seat.

use seatkeeper_tests::http::{House, Person, Reply};
use serde_json::json;

use crate::{GLOBEX, admin, contract, globex, stock};

async fn order(house: &House, contract: &str, add: i64, order: &str) -> Reply {
    let path = format!("{GLOBEX}/contracts/{contract}/seats");
    house.post(&Person::vendor(), &path, json!({"add": add, "order": order})).await
}

#[tokio::test]
async fn an_order_adds_its_seats_once_however_often_it_comes() {
    let (house, contract) = globex(100).await;
    let first = order(&house, &contract, 50, "PO-1").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.json()["stock"], stock([150, 0, 0, 0, 0, 150]));
    assert_eq!(first.json()["contract_id"], json!(contract));
    let again = order(&house, &contract, 50, "PO-1").await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["stock"], stock([150, 0, 0, 0, 0, 150]));
    let other = order(&house, &contract, 60, "PO-1").await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    let next = order(&house, &contract, 1, "PO-2").await;
    assert_eq!(next.json()["stock"], stock([151, 0, 0, 0, 0, 151]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn seats_are_taken_back_down_to_what_is_taken_and_no_further() {
    let (house, contract) = globex(3).await;
    let learner = json!({"contract_id": contract, "email": "lea@globex.example"});
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), learner).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let too_few = order(&house, &contract, -3, "CN-1").await;
    assert_eq!((too_few.status, too_few.code().as_str()), (409, "seats-in-use"));
    assert_eq!(too_few.seats_to_release(), Some(1));
    let fewer = order(&house, &contract, -2, "CN-1").await;
    assert_eq!(fewer.json()["stock"], stock([1, 0, 0, 1, 0, 0]), "the refused order is no order");
    let again = order(&house, &contract, -2, "CN-1").await;
    assert_eq!(again.json()["stock"], stock([1, 0, 0, 1, 0, 0]));
    let full = json!({"contract_id": contract, "email": "max@globex.example"});
    let full = house.post(&admin(), &format!("{GLOBEX}/learners"), full).await;
    assert_eq!((full.status, full.code().as_str()), (409, "no-seats-left"));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn who_takes_back_too_many_seats_is_told_how_many_have_to_go() {
    let (house, contract) = globex(20).await;
    let shares = format!("{GLOBEX}/contracts/{contract}/sublicenses");
    let made = house.post(&admin(), &shares, json!({"name": "Lyon", "seats": 10})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let share = made.json()["sublicense_id"].clone();
    let path = format!("{shares}/{}/seats", share.as_str().expect("an id"));
    for pool in [json!(null), share] {
        let emails: Vec<_> = (1..=8).map(|number| format!("{number}@x.example")).collect();
        let seats = json!({"contract_id": contract, "sublicense_id": pool, "emails": emails});
        let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), seats).await;
        assert_eq!(invited.status, 200, "{}", invited.text);
    }
    // Ten of its own, and the sublicense's ten: eight of either are taken.
    for refused in [
        order(&house, &contract, -5, "CN-1").await,
        house.post(&admin(), &path, json!({"add": -5})).await,
    ] {
        assert_eq!((refused.status, refused.code().as_str()), (409, "seats-in-use"));
        assert_eq!(refused.seats_to_release(), Some(3), "{}", refused.text);
        assert!(refused.text.contains("Seats to release first: 3"), "{}", refused.text);
    }
    for (back, number) in [(-20, Some(18)), (-21, None)] {
        let refused = order(&house, &contract, back, "CN-1").await;
        assert_eq!((refused.code().as_str(), refused.seats_to_release()), ("seats-in-use", number));
    }
    assert_eq!(house.post(&admin(), &path, json!({"add": -2})).await.status, 200);
    assert_eq!(order(&house, &contract, -4, "CN-1").await.status, 200, "two of them came back");
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn inviting_more_than_there_are_seats_serves_the_first_and_names_the_rest() {
    let (house, contract) = globex(2).await;
    let path = format!("{GLOBEX}/invitations");
    let emails = ["a@x.example", "b@x.example", "c@x.example"];
    let order = json!({"contract_id": contract, "emails": emails});
    let invited = house.post(&admin(), &path, order).await.json();
    let outcome = |place: usize| invited["results"][place]["outcome"].clone();
    assert_eq!([outcome(0), outcome(1), outcome(2)], ["invited", "invited", "rejected"]);
    assert_eq!(invited["results"][2]["error"], "no-seats-left");
    assert_eq!(invited["stock"], stock([2, 0, 2, 0, 0, 0]));
    let order = json!({"contract_id": contract, "emails": ["d@x.example"]});
    let none = house.post(&admin(), &path, order).await;
    assert_eq!((none.status, none.code().as_str()), (409, "no-seats-left"));
    let order = json!({"contract_id": contract, "emails": ["a@x.example"]});
    let known = house.post(&admin(), &path, order).await.json();
    assert_eq!(known["results"][0]["outcome"], "already_invited");
    assert_eq!(known["stock"], stock([2, 0, 2, 0, 0, 0]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_renewed_contract_hands_its_people_over_to_its_successor() {
    let (house, old) = globex(3).await;
    let next = contract(&house, json!({"reference": "2027-G1", "seats": 2})).await;
    let learner = json!({"contract_id": old, "email": "lea@globex.example"});
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), learner).await.json();
    let invited = json!({"contract_id": old, "emails": ["max@globex.example"]});
    assert_eq!(house.post(&admin(), &format!("{GLOBEX}/invitations"), invited).await.status, 200);
    let path = format!("{GLOBEX}/contracts/{old}/renewal");
    let renewal = json!({"to_contract_id": next});
    let refused = house.post(&admin(), &path, renewal.clone()).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let itself = house.post(&Person::vendor(), &path, json!({"to_contract_id": old})).await;
    assert_eq!(itself.status, 422);
    assert!(itself.text.contains("/to_contract_id"), "{}", itself.text);

    let renewed = house.post(&Person::vendor(), &path, renewal.clone()).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    let expected = json!({
        "contract_id": old, "renewed_by": next, "seats_left": 0, "seats_missing": 0, "seats_waiting": 0,
        "invitations_left": 0, "complete": true, "stock": stock([2, 0, 1, 1, 0, 0]),
    });
    assert_eq!(renewed.json(), expected);
    assert_eq!(house.post(&Person::vendor(), &path, renewal).await.json(), expected, "again");
    let shown = house.get(&admin(), &format!("{GLOBEX}/contracts/{old}")).await.json();
    assert_eq!((&shown["renewed_by"], &shown["stock"]), (&json!(next), &stock([3, 0, 0, 0, 0, 3])));
    let id = made["learner"]["learner_id"].as_str().expect("an id");
    let known = house.get(&admin(), &format!("{GLOBEX}/learners/{id}")).await.json();
    let seats = known["seats"].as_array().expect("seats").iter();
    let live: Vec<_> = seats.filter(|seat| seat["state"] == "active").collect();
    assert_eq!((live.len(), &live[0]["pool"]), (1, &json!(next)));
    house.world.assert_seats_are_conserved().await;
}
