//! Keeping somebody out for a while: the seat stays taken, and nobody comes in.

use seatkeeper_tests::http::{Call, House, Person, Reply, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, globex, mailroom, stock, text};

const LEA: &str = "lea@globex.example";
const PASSWORD: &str = "correct horse battery";

async fn create(house: &House, order: Value) -> String {
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json()["learner"]["learner_id"])
}

async fn set(house: &House, learner: &str, status: &str) -> Reply {
    let path = format!("{GLOBEX}/learners/{learner}");
    house.send(Call::new("PATCH", &path).json(&json!({"status": status})).by(&admin())).await
}

async fn sign_in(house: &House, password: &str) -> Reply {
    let body = json!({"client": "globex", "email": LEA, "password": password});
    house.send(Call::post("/v1/sign-in", &body)).await
}

async fn exchange(house: &House, launch: &Value) -> Reply {
    let ticket = text(launch);
    let ticket = ticket.rsplit('=').next().expect("a ticket").to_owned();
    let path = format!("/v1/tickets/{ticket}");
    house.send(Call::new("POST", &path).by(&Person::lms("globex"))).await
}

#[tokio::test]
async fn whoever_is_suspended_keeps_the_seat_and_does_not_come_in_until_they_are_let_in_again() {
    let (house, contract) = globex(5).await;
    let order = json!({"contract_id": contract, "email": LEA, "password": PASSWORD});
    let lea = create(&house, order).await;
    let before = sign_in(&house, PASSWORD).await.json();

    let suspended = set(&house, &lea, "suspended").await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    let shown = suspended.json();
    assert_eq!(
        (&shown["status"], &shown["seats"][0]["state"]),
        (&json!("suspended"), &json!("suspended"))
    );
    let contract_now = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await;
    assert_eq!(contract_now.json()["stock"], stock([5, 0, 0, 1, 0, 4]), "the seat stays taken");
    let refused = exchange(&house, &before["launch_url"]).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let refused = sign_in(&house, PASSWORD).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let guessed = sign_in(&house, "not the password").await;
    assert_eq!(guessed.status, 401, "who does not know the password learns nothing");
    let list = |status: &str| format!("{GLOBEX}/learners?status={status}");
    let found = house.get(&admin(), &list("suspended")).await.json();
    assert_eq!(found["items"][0]["learner_id"], json!(lea));
    assert_eq!(house.get(&admin(), &list("active")).await.json()["items"], json!([]));

    assert_eq!(set(&house, &lea, "suspended").await.status, 200, "again");
    let resumed = set(&house, &lea, "active").await.json();
    assert_eq!(
        (&resumed["status"], &resumed["seats"][0]["state"]),
        (&json!("active"), &json!("active"))
    );
    let welcome = sign_in(&house, PASSWORD).await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    let arrived = exchange(&house, &welcome.json()["launch_url"]).await;
    assert_eq!(arrived.json()["learner"]["status"], "active");
    let path = format!("{GLOBEX}/seats/{contract}/explain?learner={lea}");
    let told = house.get(&admin(), &path).await.json();
    let records = told["items"].as_array().expect("records").iter();
    let actions: Vec<_> = records.map(|record| text(&record["action"])).collect();
    assert_eq!(actions, ["seat_given", "learner_suspended", "learner_resumed"]);
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn the_day_of_somebody_suspended_comes_without_a_word_to_them() {
    let (house, contract) = globex(5).await;
    house.world.clock.set(now());
    let day = now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = day.checked_add(jiff::Span::new().days(7)).expect("a date");
    let order = json!({"contract_id": contract, "email": LEA, "start_on": day.to_string()});
    let lea = create(&house, order).await;
    let shown = set(&house, &lea, "suspended").await.json();
    assert_eq!(shown["seats"][0]["state"], "scheduled", "its day has not come");
    house.world.clock.advance(jiff::SignedDuration::from_hours(24 * 8));
    let swept = mailroom::run_sweep(&house.world, 1).await;
    assert_eq!((swept.cohorts_opened, swept.mails_sent, swept.mails_lapsed), (1, 0, 1));
    let contract = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await;
    assert_eq!(contract.json()["stock"], stock([5, 0, 0, 1, 0, 4]));
}

#[tokio::test]
async fn a_status_nobody_can_set_is_refused() {
    let (house, contract) = globex(5).await;
    let lea = create(&house, json!({"contract_id": contract, "email": LEA})).await;
    let before = house.world.cloud.dump();
    for status in ["ended", "pending", "Suspended"] {
        let refused = set(&house, &lea, status).await;
        assert_eq!(
            (refused.status, refused.faults()),
            (422, vec!["/status not-allowed".to_owned()])
        );
    }
    assert_eq!(house.world.cloud.dump(), before);
}
