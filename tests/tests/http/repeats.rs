//! The same request again: one effect, one answer.

use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::http::{Call, House, PAGES, Person, Reply};
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
async fn a_seat_that_was_released_stays_answered_for_when_its_learner_is_erased() {
    let (house, contract) = globex(5).await;
    let body = json!({"contract_id": contract, "email": "lea@globex.example"});
    let made = create(&house, &admin(), "k-1", &body).await;
    let learner = format!("{GLOBEX}/learners/{}", text(&made.json()["learner"]["learner_id"]));
    let reclaim = json!({
        "unused_days": 90, "except_learner_ids": [made.json()["learner"]["learner_id"]],
    });
    let calls = [
        Call::new("POST", &format!("{learner}/seats/{contract}/release")),
        Call::post(&format!("{GLOBEX}/contracts/{contract}/reclaim"), &reclaim),
    ]
    .map(|call| call.by(&admin()).key("k-2"));
    let mut before = Vec::new();
    for call in &calls {
        before.push(house.send(call.clone()).await);
    }
    let erased = house.send(Call::new("DELETE", &learner).by(&admin())).await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    for (call, before) in calls.iter().zip(before) {
        let again = house.send(call.clone()).await;
        assert_eq!((again.status, again.json()), (200, before.json()));
        assert_eq!(again.header("idempotent-replayed"), "true");
        let anew = house.send(call.clone().key("k-3")).await;
        assert!(matches!(anew.status, 404 | 422), "nobody is there any more: {}", anew.text);
    }
}

/// The page on which somebody new chooses a password.
async fn password_page(house: &House, contract: &str) -> String {
    let body = json!({
        "contract_id": contract, "email": "lea@globex.example", "notify": false,
    });
    let made = create(house, &admin(), "k-0", &body).await;
    text(&made.json()["link"]).strip_prefix(PAGES).expect("a page of ours").to_owned()
}

#[tokio::test]
async fn a_password_that_was_set_by_a_link_is_answered_for_although_the_link_is_used_up() {
    let (house, contract) = globex(5).await;
    let link = password_page(&house, &contract).await;
    let body = json!({"password": "correct horse battery"});
    let call = Call::post(&link, &body).key("k-1");
    let first = house.send(call.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let between = effects(&house).len();
    let again = house.send(call.clone()).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["learner_id"], first.json()["learner_id"]);
    assert_ne!(again.json()["launch_url"], first.json()["launch_url"], "a ticket of its own");
    assert_eq!(effects(&house).len(), between + 1, "a ticket, and nothing else");
    let form = Call::new("POST", &link).form("password=correct+horse+battery");
    for other in [call.key("k-2"), Call::post(&link, &body)] {
        let gone = house.send(other).await;
        assert_eq!((gone.status, gone.code().as_str()), (410, "gone"));
    }
    assert_eq!(house.send(form).await.status, 410);
    let other = json!({"password": "another horse battery"});
    let reused = house.send(Call::post(&link, &other).key("k-1")).await;
    assert_eq!((reused.status, reused.code().as_str()), (422, "idempotency-key-reused"));
    // The body is read before the link is looked at.
    let short = house.send(Call::post(&link, &json!({"password": "short"}))).await;
    assert_eq!(short.faults(), ["/password weak-password"]);
}

#[tokio::test(start_paused = true)]
async fn a_password_whose_setting_was_not_answered_is_answered_for_when_the_request_comes_again() {
    let (house, contract) = globex(5).await;
    let link = password_page(&house, &contract).await;
    let call = Call::post(&link, &json!({"password": "correct horse battery"})).key("k-1");
    house.world.cloud.inject(When::every("TransactWriteItems"), Fault::LoseReply);
    let lost = house.send(call.clone()).await;
    assert_eq!((lost.status, lost.code().as_str()), (503, "unavailable"));
    house.world.cloud.clear_faults();
    let again = house.send(call).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(again.json()["launch_url"].is_string());
    let other = house.send(Call::post(&link, &json!({"password": "another horse"}))).await;
    assert_eq!((other.status, other.code().as_str()), (410, "gone"));
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
