//! The same request again: one effect, one answer.

use seatkeeper_tests::http::{Call, House, Person, Reply};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, client, globex, stock, text};

async fn create(house: &House, by: &Person, key: &str, body: &Value) -> Reply {
    house.send(Call::post(&format!("{GLOBEX}/learners"), body).by(by).key(key)).await
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_answer_whatever_happened_meanwhile() {
    let (house, contract) = globex(5).await;
    let body = json!({"contract_id": contract, "email": "lea@globex.example"});
    let first = create(&house, &admin(), "k-1", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.header("idempotent-replayed"), "");

    // Others are seated, and she is released.
    let other = json!({"contract_id": contract, "email": "max@globex.example"});
    assert_eq!(create(&house, &admin(), "k-2", &other).await.status, 201);
    let id = text(&first.json()["learner"]["learner_id"]);
    let release = format!("{GLOBEX}/learners/{id}/seats/{contract}/release");
    let released = house.send(Call::new("POST", &release).by(&admin()).key("k-3")).await;
    assert_eq!(released.status, 200, "{}", released.text);

    for key in ["k-1", "\"k-1\""] {
        let again = create(&house, &admin(), key, &body).await;
        assert_eq!(again.status, 201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json(), first.json());
    }
    let again = house.send(Call::new("POST", &release).by(&admin()).key("k-3")).await;
    assert_eq!((again.status, again.json()), (200, released.json()), "not 404");
    assert_eq!(released.json()["stock"], stock([5, 0, 0, 1, 0, 4]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let (house, contract) = globex(5).await;
    let body = json!({"contract_id": contract, "email": "lea@globex.example"});
    assert_eq!(create(&house, &admin(), "k-1", &body).await.status, 201);
    let before = house.world.cloud.dump();
    let other = json!({"contract_id": contract, "email": "max@globex.example"});
    let refused = create(&house, &admin(), "k-1", &other).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "idempotency-key-reused"));
    assert_eq!(house.world.cloud.dump(), before);
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_its_route() {
    let (house, contract) = globex(5).await;
    let body = json!({"contract_id": contract, "email": "lea@globex.example"});
    let first = create(&house, &admin(), "k-1", &body).await;
    let someone = admin().claiming("sub", "another-admin");
    let theirs = create(&house, &someone, "k-1", &body).await;
    assert_eq!(theirs.status, 200, "their own request: already seated");
    assert_eq!(theirs.header("idempotent-replayed"), "");
    assert_eq!(theirs.json()["learner"], first.json()["learner"]);
    // Another body on another route, under the same key.
    let group = Call::post(&format!("{GLOBEX}/groups"), &json!({"name": "Paris"}));
    let made = house.send(group.by(&admin()).key("k-1")).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn the_same_key_at_another_client_is_another_request() {
    let (house, _) = globex(5).await;
    let vendor = Person::vendor();
    assert_eq!(house.post(&vendor, "/v1/clients", client("hooli")).await.status, 201);
    let order = json!({"reference": "2027-001", "seats": 20});
    let places = [GLOBEX, "/v1/clients/hooli"];
    for calls in ["contracts", "groups"] {
        let body = if calls == "groups" { json!({"name": "Paris"}) } else { order.clone() };
        for place in places {
            let path = format!("{place}/{calls}");
            let made = house.send(Call::post(&path, &body).by(&vendor).key("k-1")).await;
            assert_eq!(made.status, 201, "{}", made.text);
            assert_eq!(made.header("idempotent-replayed"), "", "{path}");
            let listed = house.send(Call::new("GET", &path).by(&vendor)).await.json();
            let made = made.json();
            let id = if calls == "groups" { "group_id" } else { "contract_id" };
            let mut items = listed["items"].as_array().expect("a list").iter();
            assert!(items.any(|item| item[id] == made[id]), "{path}: {listed}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let (house, contract) = globex(0).await;
    let body = json!({"contract_id": contract, "email": "lea@globex.example"});
    let refused = create(&house, &admin(), "k-1", &body).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "no-seats-left"));
    let more = json!({"add": 1, "order": "PO-1"});
    let seats = format!("{GLOBEX}/contracts/{contract}/seats");
    assert_eq!(house.post(&Person::vendor(), &seats, more).await.status, 200);
    let made = create(&house, &admin(), "k-1", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("idempotent-replayed"), "");
    // What was wrong with the body leaves the key free, too.
    let wrong = json!({"contract_id": contract, "email": "nobody"});
    assert_eq!(create(&house, &admin(), "k-2", &wrong).await.status, 422);
    assert_eq!(create(&house, &admin(), "k-2", &body).await.status, 200);
}

#[tokio::test]
async fn what_is_shown_once_is_not_shown_again() {
    let (house, contract) = globex(5).await;
    let body = json!({
        "contract_id": contract, "email": "lea@globex.example", "generate_password": true,
        "notify": false,
    });
    let first = create(&house, &admin(), "k-1", &body).await;
    let password = text(&first.json()["generated_password"]);
    assert!(password.chars().count() >= 12, "{password}");
    let again = create(&house, &admin(), "k-1", &body).await;
    let mut expected = first.json();
    expected.as_object_mut().expect("an object").remove("generated_password");
    assert_eq!((again.status, again.json()), (201, expected));

    let body = json!({
        "contract_id": contract, "emails": ["max@globex.example"], "notify": false,
    });
    let invite = Call::post(&format!("{GLOBEX}/invitations"), &body).by(&admin()).key("k-2");
    let first = house.send(invite.clone()).await;
    assert!(first.json()["results"][0]["link"].is_string());
    let again = house.send(invite).await;
    let mut expected = first.json();
    expected["results"][0].as_object_mut().expect("an object").remove("link");
    assert_eq!((again.status, again.json()), (200, expected));
}

#[tokio::test]
async fn every_call_that_makes_something_makes_it_once() {
    let (house, contract) = globex(50).await;
    let vendor = Person::vendor();
    let one = format!("{GLOBEX}/contracts/{contract}");
    let redemption = json!({
        "contract_id": contract, "kind": "redemption", "label": "Autumn", "count": 3,
    });
    let invitation = json!({"contract_id": contract, "emails": "a@x.example;b@x.example"});
    let calls = [
        ("/v1/clients".to_owned(), crate::client("initech")),
        (format!("{GLOBEX}/contracts"), json!({"reference": "2026-G9", "seats": 9})),
        (format!("{one}/seats"), json!({"add": 5, "order": "PO-7"})),
        (format!("{one}/modules"), json!({"add": ["safety"]})),
        (format!("{one}/sublicenses"), json!({"name": "Lyon", "seats": 4})),
        (format!("{GLOBEX}/groups"), json!({"name": "Paris"})),
        (format!("{GLOBEX}/codes"), redemption),
        (format!("{GLOBEX}/invitations"), invitation),
    ];
    for (path, body) in calls {
        let call = Call::post(&path, &body).by(&vendor).key("the same key everywhere");
        let first = house.send(call.clone()).await;
        assert!(first.status < 300, "{path}: {}", first.text);
        let between = effects(&house);
        let again = house.send(call).await;
        assert_eq!(again.status, first.status, "{path}");
        assert_eq!(again.json(), first.json(), "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!(effects(&house), between, "{path}");
    }
    house.world.assert_seats_are_conserved().await;
}

/// Everything in the table but the idempotency records.
fn effects(house: &House) -> Vec<Value> {
    let mut items = house.world.cloud.dump();
    items.retain(|item| !item["pk"].as_str().is_some_and(|pk| pk.starts_with("IDEM#")));
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_under_one_key_are_one_request() {
    let (house, contract) = globex(50).await;
    let house = std::sync::Arc::new(house);
    let body = json!({"contract_id": contract, "emails": ["a@x.example", "b@x.example"]});
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let call = Call::post(&format!("{GLOBEX}/invitations"), &body).by(&admin()).key("k");
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move { house.send(call).await })
        })
        .collect();
    let mut answered = Vec::new();
    for task in tasks {
        let reply = task.await.expect("no panic");
        if reply.status == 200 {
            answered.push(reply);
            continue;
        }
        assert_eq!((reply.status, reply.code().as_str()), (409, "request-in-progress"));
        assert!(reply.header("retry-after").parse::<u32>().is_ok());
    }
    let fresh = answered.iter().filter(|reply| reply.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1, "one did the work");
    assert!(answered.iter().all(|reply| reply.json() == answered[0].json()));
    assert_eq!(answered[0].json()["stock"], stock([50, 0, 2, 0, 0, 48]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_answer_at_rest_tells_nothing() {
    let (house, contract) = globex(5).await;
    let body = json!({
        "contract_id": contract, "email": "canary@globex.example", "generate_password": true,
        "notify": false,
    });
    let first = create(&house, &admin(), "key-with-a-canary", &body).await;
    let password = text(&first.json()["generated_password"]);
    let dump = house.world.cloud.dump();
    let is_record = |item: &&Value| item["pk"].as_str().is_some_and(|pk| pk.starts_with("IDEM#"));
    let records: Vec<_> = dump.iter().filter(is_record).collect();
    assert_eq!(records.len(), 1);
    assert!(!records[0].to_string().contains("canary"), "{}", records[0]);
    assert!(!Value::from(dump.clone()).to_string().contains(&password));
}
