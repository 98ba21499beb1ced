//! How seats were used, day by day, from the trail.

use jiff::ToSpan as _;
use seatkeeper_tests::http::{Call, House, Reply, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, globex, stock, text};

/// A day so many days from today, in Paris.
fn day(days: i64) -> String {
    let today = now().to_zoned(jiff::tz::TimeZone::get("Europe/Paris").expect("a zone")).date();
    today.checked_add(days.days()).expect("a date").to_string()
}

async fn told(house: &House, query: &str) -> Reply {
    house.send(Call::get(&format!("{GLOBEX}/utilization{query}")).by(&admin())).await
}

/// A contract of ten seats with one of each: created and released, invited, out of a code, and a
/// sublicense of two.
async fn with_everybody() -> (House, String, String) {
    let (house, pool) = globex(10).await;
    let post = async |path: &str, body: Value| {
        let done = house.post(&admin(), &format!("{GLOBEX}{path}"), body).await;
        assert!(done.status < 300, "{path}: {}", done.text);
        done.json()
    };
    for email in ["a@x.example", "b@x.example"] {
        let made = post("/learners", json!({"contract_id": pool, "email": email})).await;
        if email.starts_with('a') {
            let learner = text(&made["learner"]["learner_id"]);
            post(&format!("/learners/{learner}/seats/{pool}/release"), json!({})).await;
        }
    }
    post("/invitations", json!({"contract_id": pool, "emails": ["c@x.example", "d@x.example"]}))
        .await;
    let codes = json!({"contract_id": pool, "kind": "redemption", "label": "Cards", "count": 3});
    post("/codes", codes).await;
    let share = json!({"name": "North", "seats": 2});
    let share = post(&format!("/contracts/{pool}/sublicenses"), share).await;
    (house, pool, text(&share["sublicense_id"]))
}

#[tokio::test]
async fn each_day_tells_what_moved_by_what_and_where_the_stock_stood_then() {
    let (house, pool, share) = with_everybody().await;
    let today = day(0);
    let lines = told(&house, &format!("?pool={pool}")).await;
    assert_eq!(lines.header("content-type"), "text/csv; charset=utf-8");
    let at_the_end = "10,2,5,1,0,2";
    let expected = [
        format!("{today},{pool},,contract,0,0,0,8,{at_the_end}"),
        format!("{today},{pool},,invite,0,2,0,-2,{at_the_end}"),
        format!("{today},{pool},,create,1,0,0,-1,{at_the_end}"),
        format!("{today},{pool},,code,0,3,0,-3,{at_the_end}"),
    ];
    let lines: Vec<&str> = lines.text.lines().collect();
    assert!(
        lines[0].starts_with("day,pool,contract_id,source,used,held,spent,available,stock_total")
    );
    assert_eq!(lines[1..], expected);

    let all = told(&house, "?format=json").await.json();
    let items = all["items"].as_array().expect("days");
    assert_eq!(items.len(), 2, "{all}");
    let of = |pool: &str| items.iter().find(|one| one["pool"] == pool).expect("a day").clone();
    assert_eq!(of(&pool)["stock"], stock([10, 2, 5, 1, 0, 2]));
    assert_eq!(of(&pool)["sources"]["create"]["used"], 1, "released ones count against given ones");
    assert_eq!(of(&share)["contract_id"], json!(pool));
    assert_eq!(of(&share)["stock"], stock([2, 0, 0, 0, 0, 2]));
}

#[tokio::test]
async fn days_without_movement_are_told_and_days_before_the_pool_are_not() {
    let (house, pool, _) = with_everybody().await;
    let later = told(&house, &format!("?pool={pool}&since={}&until={}", day(-3), day(2))).await;
    let days: Vec<String> = later.text.lines().skip(1).map(|line| line[..10].to_owned()).collect();
    let mut unique = days.clone();
    unique.dedup();
    assert_eq!(unique, [day(0), day(1), day(2)]);
    let last = later.text.lines().last().expect("a line");
    assert_eq!(last, format!("{},{pool},,,0,0,0,0,10,2,5,1,0,2", day(2)));
    let before = told(&house, &format!("?since={}&until={}", day(-9), day(-1))).await;
    assert_eq!(before.text.lines().count(), 1, "only the names of the columns");
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_names_what_is_wrong() {
    let (house, _, _) = with_everybody().await;
    for (query, fault) in [
        ("?pool=con_07h3k9m2q5w8r1t4v6x0z2b5d8", "/pool unknown-pool"),
        ("?pool=7", "/pool unknown-pool"),
        ("?since=2027-02-01&until=2027-01-01", "/since end-before-start"),
        ("?since=2026-01-01&until=2027-01-02", "/since too-long"),
        ("?format=xlsx", "/format not-allowed"),
        ("?days=3", "/days unknown-field"),
    ] {
        let refused = told(&house, query).await;
        assert_eq!((refused.status, refused.faults()), (422, vec![fault.to_owned()]), "{query}");
    }
}
