//! Seats moved by hand, sublicenses page by page, and a ticket in the wrong hands.

use seatkeeper_tests::http::{Call, House, Person};
use serde_json::{Value, json};

const CLIENT: &str = "/v1/clients/initech";

async fn initech() -> House {
    let mut house = House::open().await;
    let client = json!({
        "client_id": "initech", "name": "Initech", "default_language": "en",
        "time_zone": "Europe/Paris", "launch_url": "https://lms.initech.example/start",
    });
    let made = house.post(&Person::vendor(), "/v1/clients", client).await;
    assert_eq!(made.status, 201, "{}", made.text);
    house.world.client = "initech".parse().expect("a slug");
    house
}

async fn contract(house: &House, reference: &str) -> String {
    let order = json!({"reference": reference, "seats": 5});
    let made = house.post(&Person::vendor(), &format!("{CLIENT}/contracts"), order).await;
    format!("{CLIENT}/contracts/{}", text(&made.json()["contract_id"]))
}

async fn sublicense(house: &House, contract: &str, name: &str) -> String {
    let path = format!("{contract}/sublicenses");
    let made = house.post(&admin(), &path, json!({"name": name, "seats": 1})).await;
    format!("{path}/{}", text(&made.json()["sublicense_id"]))
}

fn admin() -> Person {
    Person::admin("initech")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

#[tokio::test]
async fn no_seat_at_all_is_not_a_movement() {
    let house = initech().await;
    let contract = contract(&house, "I-1").await;
    let sublicense = sublicense(&house, &contract, "Lyon").await;
    let before = house.world.cloud.dump();
    let order = json!({"add": 0, "order": "PO-1"});
    let ordered = house.post(&Person::vendor(), &format!("{contract}/seats"), order).await;
    let moved = house.post(&admin(), &format!("{sublicense}/seats"), json!({"add": 0})).await;
    for refused in [ordered, moved] {
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.faults(), ["/add out-of-range"]);
    }
    assert_eq!(house.world.cloud.dump(), before);
}

#[tokio::test]
async fn a_page_of_sublicenses_is_full_whatever_other_contracts_have() {
    let house = initech().await;
    let (one, other) = (contract(&house, "I-1").await, contract(&house, "I-2").await);
    for name in ["a", "b", "c"] {
        sublicense(&house, &one, name).await;
        sublicense(&house, &other, &format!("other {name}")).await;
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    for expected in [2, 1] {
        let path = format!("{one}/sublicenses?limit=2{cursor}");
        let page = house.get(&admin(), &path).await.json();
        let items = page["items"].as_array().expect("items").clone();
        assert_eq!(items.len(), expected, "{page}");
        names.extend(items.iter().map(|item| text(&item["name"])));
        cursor = page["next_cursor"].as_str().map_or(String::new(), |at| format!("&cursor={at}"));
    }
    assert_eq!(names, ["c", "b", "a"]);
}

#[tokio::test]
async fn a_ticket_that_another_clients_machine_tries_stays_good() {
    let house = initech().await;
    let contract = contract(&house, "I-1").await;
    let contract_id = contract.rsplit('/').next().expect("an id");
    let (email, password) = ("lea@initech.example", "correct horse battery");
    let learner = json!({"contract_id": contract_id, "email": email, "password": password});
    let made = house.post(&admin(), &format!("{CLIENT}/learners"), learner).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let sign_in = json!({"client": "initech", "email": email, "password": password});
    let launch = house.send(Call::post("/v1/sign-in", &sign_in)).await.json();
    let launch = text(&launch["launch_url"]);
    let (_, ticket) = launch.split_once("ticket=").expect("a ticket");
    for (client, status) in [("hooli", 404), ("initech", 200), ("initech", 404)] {
        let call = Call::new("POST", &format!("/v1/tickets/{ticket}"));
        let reply = house.send(call.by(&Person::lms(client))).await;
        assert_eq!(reply.status, status, "{client}: {}", reply.text);
    }
}
