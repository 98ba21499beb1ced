//! Seats of a contract: orders that come twice, seats taken back, the last seat.

use seatkeeper_tests::http::{House, Person, Reply};
use serde_json::json;

use crate::{GLOBEX, admin, globex, stock};

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
