//! The same over HTTP: pages and answers of `redeem`, administration by `manage`.

mod proving;

use std::fs;
use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, StatusCode};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_http::caller::ClaimNames;
use seatkeeper_http::config::EdgeConfig;
use seatkeeper_http::{App, edge};
use seatkeeper_redeem::Redeeming;
use seatkeeper_testkit::Cloud;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{PASSWORD, World};

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    bytes: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

fn config(world: &World) -> EdgeConfig {
    EdgeConfig {
        table_name: Cloud::TABLE.to_owned(),
        keys: world.keys.clone(),
        page_base_url: "https://learn.example".to_owned(),
        languages: Languages::from_list("en,fr"),
        passwords: PasswordPolicy::default(),
    }
}

fn public(world: &World) -> Router {
    let state = Redeeming::new(world.store.clone(), config(world));
    edge("redeem", seatkeeper_redeem::routes(state))
}

fn administration(world: &World) -> Router {
    let claims = ClaimNames {
        client: "seatkeeper:client".to_owned(),
        role: "seatkeeper:role".to_owned(),
        groups: "seatkeeper:groups".to_owned(),
    };
    let app = App::new(world.store.clone(), config(world), claims);
    edge("manage", seatkeeper_manage::routes(app))
}

/// One of the payloads in `events/`, changed by the test.
async fn play(router: Router, event: &str, change: impl FnOnce(&mut Value)) -> Reply {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let text = fs::read_to_string(root.join(event)).expect("an event");
    let mut event: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut event);
    let request = lambda_http::request::from_str(&event.to_string()).expect("a request");
    let request = request.map(|body| Body::from(body.to_vec()));
    let response = router.oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 24).await.expect("a body");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Reply { status: parts.status, headers: parts.headers, text, bytes: bytes.to_vec() }
}

fn put_path(event: &mut Value, path: &str) {
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
}

fn person(code: &str, email: &str) -> Value {
    json!({
        "code": code, "email": email, "first_name": "Lise", "last_name": "Meitner",
        "password": PASSWORD,
    })
}

async fn redeem(world: &World, body: &Value) -> Reply {
    play(public(world), "redeem/program.json", |event| event["body"] = json!(body.to_string()))
        .await
}

#[tokio::test]
async fn the_landing_page_shows_the_code_of_the_link_and_changes_nothing() {
    let world = World::with_seats(5).await;
    let before = world.cloud.dump();
    let page = play(public(&world), "redeem/landing.json", |_| {}).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("ABCD-EFGH") && page.text.contains("Acme"), "{}", page.text);
    assert_eq!(page.header("content-language"), "de", "what the browser asks for");
    let bare = play(public(&world), "redeem/landing.json", |event| put_path(event, "/acme")).await;
    assert_eq!(bare.status, 200);
    assert!(!bare.text.contains("ABCD-EFGH"));
    let reloaded =
        play(public(&world), "redeem/landing.json", |e| put_path(e, "/acme/redeem")).await;
    assert_eq!(reloaded.status, 200);
    assert_eq!(world.cloud.dump(), before);
}

#[tokio::test]
async fn an_unknown_client_is_not_found_as_a_page_and_as_json() {
    let world = World::with_seats(5).await;
    for path in ["/nobody", "/nobody/ABCD-EFGH", "/a", "/admin/x"] {
        let page = play(public(&world), "redeem/landing.json", |e| put_path(e, path)).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.header("content-type").starts_with("text/html"));
    }
    let program =
        play(public(&world), "redeem/program.json", |e| put_path(e, "/nobody/redeem")).await;
    assert_eq!(program.status, 404);
    assert_eq!(program.json()["code"], "not-found");
}

#[tokio::test]
async fn a_program_redeems_and_gets_a_ticket_of_its_own_each_time() {
    let world = World::with_seats(5).await;
    let code = world.redemption_codes(1).await.remove(0);
    let body = person(&code, "lise@example.org");
    let keyed = |event: &mut Value| {
        event["body"] = json!(body.to_string());
        event["headers"]["idempotency-key"] = json!("redeem-1");
    };
    let first = play(public(&world), "redeem/program.json", keyed).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let answer = first.json();
    assert_eq!(answer["outcome"], "redeemed");
    assert_eq!(answer["learner_id"], world.learner_id("lise@example.org").to_string());
    let launch = answer["launch_url"].as_str().expect("an address");
    assert!(launch.starts_with("https://lms.example.com/launch?ticket="), "{launch}");
    let replay = play(public(&world), "redeem/program.json", keyed).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.json()["outcome"], "redeemed");
    assert_ne!(replay.json()["launch_url"], answer["launch_url"]);
    let again = redeem(&world, &body).await;
    assert_eq!(again.json()["outcome"], "already_redeemed");
    assert_eq!(world.proven_stock().await.used, 1);
}

#[tokio::test]
async fn a_form_lands_on_the_clients_launch_address_or_shows_what_is_wrong() {
    let world = World::with_seats(5).await;
    let code = world.redemption_codes(1).await.remove(0);
    let send = async |code: &str, password: &str| {
        let body = format!(
            "code={code}&email=lise%40example.org&first_name=Lise&last_name=Meitner\
             &password={password}&language=fr"
        );
        play(public(&world), "redeem/form.json", |event| {
            event["body"] = json!(body);
            event["isBase64Encoded"] = json!(false);
        })
        .await
    };
    let weak = send(&code, "short").await;
    assert_eq!(weak.status, 422);
    assert!(weak.text.contains("lise@example.org") && weak.text.contains(&code));
    assert!(!weak.text.contains("short\""));
    let wrong = send("WRONG-CODE-2026", "correct+horse+battery").await;
    assert_eq!(wrong.status, 404);
    assert!(wrong.header("content-type").starts_with("text/html"));
    let right = send(&code, "correct+horse+battery").await;
    assert_eq!(right.status, 303, "{}", right.text);
    assert!(right.header("location").starts_with("https://lms.example.com/launch?ticket="));
}

#[tokio::test]
async fn refusals_are_the_same_to_the_letter_and_the_twenty_first_has_to_wait() {
    let world = World::with_seats(5).await;
    let code = world.redemption_codes(1).await.remove(0);
    redeem(&world, &person(&code, "otto@example.org")).await;
    let mut texts = Vec::new();
    for place in 0..20 {
        let wrong = if place % 2 == 0 { code.clone() } else { format!("WRONG-{place:06}") };
        let refusal = redeem(&world, &person(&wrong, "lise@example.org")).await;
        assert_eq!(refusal.status, 404);
        texts.push(refusal.text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&texts[0]).expect("JSON")["code"],
        "code-not-redeemable"
    );
    let limited = redeem(&world, &person("WRONG-999999", "lise@example.org")).await;
    assert_eq!(limited.status, 429);
    let seconds: u32 = limited.header("retry-after").parse().expect("seconds");
    assert!((500..=600).contains(&seconds), "{seconds}");
    assert_eq!(limited.json()["code"], "too-many-requests");
    let again = redeem(&world, &person(&code, "otto@example.org")).await;
    assert_eq!(again.status, 200, "{}", again.text);
}

#[tokio::test]
async fn a_good_code_on_an_empty_pool_says_so() {
    let world = World::with_seats(1).await;
    let code = world.registration(None, false).await;
    redeem(&world, &person(&code, "otto@example.org")).await;
    let refusal = redeem(&world, &person(&code, "lise@example.org")).await;
    assert_eq!(refusal.status, 409);
    assert_eq!(refusal.json()["code"], "no-seats-left");
    let wrong = json!({"code": code, "email": "nobody", "role": "admin"});
    let refusal = redeem(&world, &wrong).await;
    let pointers: Vec<_> = refusal.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["pointer"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(pointers, ["/email", "/password", "/role"]);
    // Only somebody who has no account has to say a name.
    let nameless = json!({"code": code, "email": "otto@example.org", "password": PASSWORD});
    assert_eq!(redeem(&world, &nameless).await.json()["outcome"], "already_redeemed");
    let new = json!({"code": code, "email": "new@example.org", "password": PASSWORD});
    let refusal = redeem(&world, &new).await;
    assert_eq!(refusal.status, 422);
    assert_eq!(refusal.json()["errors"][0]["pointer"], "/first_name");
    let half = json!({
        "code": code, "email": "new@example.org", "password": PASSWORD, "first_name": "Lise",
    });
    let refusal = redeem(&world, &half).await;
    assert_eq!(refusal.json()["errors"][0]["pointer"], "/last_name");
}

/// A call of an administrator of `acme`.
async fn call(world: &World, method: &str, path: &str, body: Option<&Value>) -> Reply {
    play(administration(world), "manage/issue_codes.json", |event| {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        put_path(event, bare);
        event["rawQueryString"] = json!(query);
        event["requestContext"]["http"]["method"] = json!(method);
        event["body"] = body.map_or(Value::Null, |body| json!(body.to_string()));
        if body.is_none() {
            let headers = event["headers"].as_object_mut().expect("headers");
            headers.remove("idempotency-key");
        }
    })
    .await
}

/// The same without an idempotency key.
async fn post(world: &World, path: &str, body: &Value) -> Reply {
    play(administration(world), "manage/issue_codes.json", |event| {
        put_path(event, path);
        event["body"] = json!(body.to_string());
        event["headers"].as_object_mut().expect("headers").remove("idempotency-key");
    })
    .await
}

const CODES: &str = "/v1/clients/acme/codes";

#[tokio::test]
async fn an_administrator_issues_lists_and_downloads_codes() {
    let world = World::with_seats(20).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Autumn", "count": 5,
        "valid_until": "2099-12-31", "allowed_domains": ["@Example.org"], "start_on": "2027-01-04",
    });
    let issued = call(&world, "POST", CODES, Some(&order)).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let issued = issued.json();
    assert_eq!(issued["codes"].as_array().map(Vec::len), Some(5));
    assert_eq!(issued["stock"]["held"], 5);
    assert_eq!(issued["batch"]["state"], "active");
    assert_eq!(issued["batch"]["valid_until"], "2099-12-31T23:00:00Z");
    assert_eq!(issued["batch"]["allowed_domains"], json!(["example.org"]));
    assert_eq!(issued["batch"]["start_on"], "2027-01-04");
    let replay = call(&world, "POST", CODES, Some(&order)).await;
    assert_eq!(replay.status, 201);
    assert_eq!(replay.json(), issued, "the same codes");
    assert_eq!(world.proven_stock().await.held, 5);

    let code = issued["codes"][0].as_str().expect("a code");
    assert_eq!(redeem(&world, &person(code, "lise@example.org")).await.status, 200);
    let batch = issued["batch"]["batch_id"].as_str().expect("an id");
    let list = call(&world, "GET", CODES, None).await.json();
    assert_eq!(list["items"][0]["redeemed"], 1);
    let one = call(&world, "GET", &format!("{CODES}/{batch}"), None).await.json();
    assert_eq!(one, list["items"][0]);
    let who = call(&world, "GET", &format!("{CODES}/{batch}/redemptions"), None).await.json();
    assert_eq!(who["items"][0]["email"], "lise@example.org");
    assert_eq!(who["items"][0]["code_last4"], code.replace('-', "")[13..]);

    let file = call(&world, "GET", &format!("{CODES}/{batch}/download?format=csv"), None).await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    let mut lines = file.text.strip_prefix('\u{feff}').expect("a byte order mark").lines();
    assert_eq!(lines.next(), Some("code;link;state"));
    let first = format!("{code};https://learn.example/acme/{code};redeemed");
    assert_eq!(lines.next(), Some(first.as_str()));
    assert!(lines.all(|line| line.ends_with(";unused")));
    let workbook = format!("{CODES}/{batch}/download?format=xlsx");
    let workbook = call(&world, "GET", &workbook, None).await;
    assert_eq!(workbook.status, 200, "{}", workbook.text);
    assert!(workbook.bytes.starts_with(b"PK"), "a zip archive");
    let disposition = format!("attachment; filename=\"{batch}.xlsx\"");
    assert_eq!(workbook.header("content-disposition"), disposition);

    let cards = call(&world, "GET", &format!("{CODES}/{batch}/download?format=html"), None).await;
    assert_eq!(cards.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(cards.text.matches("<svg").count(), 4, "no square for a redeemed code");
    assert!(cards.text.contains("learn.example/acme") && cards.text.contains("31\u{a0}décembre"));
    assert_eq!(cards.header("link"), "");
    let trail = call(&world, "GET", "/v1/clients/acme/audit", None).await.json();
    let downloads = trail["items"].as_array().expect("items").iter();
    let downloads = downloads.filter(|record| record["action"] == "codes_downloaded");
    assert_eq!(downloads.count(), 3, "each is written down");
    world.proven_stock().await;
}

#[tokio::test]
async fn a_registration_code_is_struck_out_when_its_maximum_is_reached_and_not_before() {
    let world = World::with_seats(20).await;
    for (number, (max, guaranteed)) in
        [(Some(2), false), (Some(2), true), (None, false)].into_iter().enumerate()
    {
        let order = json!({
            "contract_id": world.contract.contract_id, "kind": "registration", "label": "Open day",
            "max_redemptions": max, "guaranteed": guaranteed,
        });
        let issued = post(&world, CODES, &order).await;
        assert_eq!(issued.status, 201, "{}", issued.text);
        let issued = issued.json();
        let code = issued["codes"][0].as_str().expect("a code");
        let batch = issued["batch"]["batch_id"].as_str().expect("an id");
        let third = if max.is_some() { ("redeemed", 0) } else { ("unused", 1) };
        for (visit, (state, squares)) in
            [("unused", 1), ("unused", 1), third].into_iter().enumerate()
        {
            if visit > 0 {
                let email = format!("{number}.{visit}@example.org");
                assert_eq!(redeem(&world, &person(code, &email)).await.status, 200);
            }
            let path = format!("{CODES}/{batch}/download?format=");
            let list = call(&world, "GET", &format!("{path}csv"), None).await;
            let line = list.text.lines().last().expect("a code");
            assert!(line.ends_with(&format!(";{state}")), "{order} after {visit}: {line}");
            let cards = call(&world, "GET", &format!("{path}html"), None).await;
            assert_eq!(cards.text.matches("<svg").count(), squares, "{order} after {visit}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_named_field_by_field() {
    let world = World::with_seats(20).await;
    let fields = async |order: Value| {
        let mut order = order;
        order["contract_id"] = json!(world.contract.contract_id);
        let refusal = call(&world, "POST", CODES, Some(&order)).await;
        assert_eq!(refusal.status, 422, "{}", refusal.text);
        let errors = refusal.json()["errors"].as_array().cloned().expect("errors");
        let named = errors.iter().map(|error| {
            let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", part("pointer"), part("code"))
        });
        named.collect::<Vec<_>>()
    };
    let order = json!({"kind": "redemption", "codes": ["SPRING-2027", "short", "spring 2027"]});
    let named = fields(order).await;
    assert_eq!(named, ["/label required", "/codes/1 invalid-code", "/codes/1 duplicate"]);
    let order = json!({"kind": "registration", "label": "x", "guaranteed": true, "count": 2});
    let named = fields(order).await;
    assert_eq!(named, ["/count out-of-range", "/max_redemptions required"]);
    let order = json!({"kind": "redemption", "label": "x", "max_redemptions": 3});
    let named = fields(order).await;
    assert_eq!(named, ["/max_redemptions not-allowed", "/count required"]);
    let order = json!({"kind": "redemption", "label": "x", "count": 10_001, "valid_until": "soon"});
    let named = fields(order).await;
    assert_eq!(named, ["/count out-of-range", "/valid_until invalid-time"]);
    let order = json!({"kind": "redemption", "label": "x", "count": 1, "start_on": "30/02/2027"});
    assert_eq!(fields(order).await, ["/start_on invalid-date"]);
    let order = json!({"kind": "redemption", "label": "x", "count": 1, "start_on": "2099-01-01"});
    assert_eq!(fields(order).await, ["/start_on outside-contract"]);
    let order = json!({"kind": "redemption", "label": "x", "codes": ["WELCOME-2027"]});
    let mut known = order.clone();
    known["contract_id"] = json!(world.contract.contract_id);
    assert_eq!(call(&world, "POST", CODES, Some(&known)).await.status, 201);
    let mut other = order;
    other["label"] = json!("y");
    let refusal = play(administration(&world), "manage/issue_codes.json", |event| {
        other["contract_id"] = json!(world.contract.contract_id);
        event["body"] = json!(other.to_string());
        event["headers"]["idempotency-key"] = json!("another");
    })
    .await;
    assert_eq!(refusal.status, 422);
    assert_eq!(refusal.json()["errors"][0]["pointer"], "/codes/0");
    assert_eq!(refusal.json()["errors"][0]["code"], "code-exists");
}

#[tokio::test]
async fn more_codes_than_seats_are_refused_and_a_foreign_batch_does_not_exist() {
    let world = World::with_seats(4).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Autumn", "count": 5,
    });
    let refusal = call(&world, "POST", CODES, Some(&order)).await;
    assert_eq!(refusal.status, 409);
    assert_eq!(refusal.json()["code"], "no-seats-left");
    assert_eq!(world.proven_stock().await.available, 4);
    let unknown = "bat_00000000000000000000000000";
    for path in [format!("{CODES}/{unknown}"), "/v1/clients/other/codes".to_owned()] {
        assert_eq!(call(&world, "GET", &path, None).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_administrator_pauses_resumes_extends_adds_revokes_and_releases() {
    let world = World::with_seats(40).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Autumn",
        "count": 5,
    });
    let issued = call(&world, "POST", CODES, Some(&order)).await.json();
    assert_eq!(issued["warnings"], json!([]));
    let code = issued["codes"][0].as_str().expect("a code").to_owned();
    let batch = format!("{CODES}/{}", issued["batch"]["batch_id"].as_str().expect("an id"));
    let patch = async |body: Value| call(&world, "PATCH", &batch, Some(&body)).await;
    let paused = patch(json!({"state": "paused"})).await;
    assert_eq!(paused.status, 200, "{}", paused.text);
    assert_eq!(paused.json()["state"], "paused");
    assert_eq!(paused.json()["stock"]["held"], 5);
    assert_eq!(redeem(&world, &person(&code, "lise@example.org")).await.status, 404);
    let resumed = patch(json!({"state": "active", "valid_until": "2099-12-31"})).await.json();
    assert_eq!(
        (&resumed["state"], &resumed["valid_until"]),
        (&json!("active"), &json!("2099-12-31T23:00:00Z"))
    );
    assert_eq!(patch(json!({"valid_until": null})).await.json()["valid_until"], Value::Null);
    assert_eq!(redeem(&world, &person(&code, "lise@example.org")).await.status, 200);

    let more = json!({"codes": ["SPRING-2027", "my own long and winding code"]});
    let add = async |body: &Value| {
        play(administration(&world), "manage/issue_codes.json", |event| {
            put_path(event, &format!("{batch}/codes"));
            event["body"] = json!(body.to_string());
            event["headers"]["idempotency-key"] = json!("more");
        })
        .await
    };
    let added = add(&more).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let added = added.json();
    assert_eq!((&added["batch"]["count"], &added["stock"]["held"]), (&json!(7), &json!(6)));
    assert_eq!(added["warnings"][0]["pointer"], "/codes/0");
    assert_eq!(added["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(add(&more).await.json(), added, "the same answer again");
    assert_eq!(redeem(&world, &person("spring 2027", "otto@example.org")).await.status, 200);
    let list = call(&world, "GET", &format!("{batch}/download"), None).await;
    assert_eq!(list.text.lines().count(), 8);

    let revoked = patch(json!({"state": "revoked"})).await.json();
    assert_eq!((&revoked["redeemed"], &revoked["stock"]["held"]), (&json!(2), &json!(0)));
    assert_eq!(patch(json!({"state": "active"})).await.status, 409);
    let release = async || {
        play(administration(&world), "manage/issue_codes.json", |event| {
            put_path(event, &format!("{batch}/release"));
            event["body"] = json!("");
            event["headers"]["idempotency-key"] = json!("release");
        })
        .await
    };
    let released = release().await;
    assert_eq!(released.status, 200, "{}", released.text);
    assert_eq!(released.json()["released"], 2);
    assert_eq!(released.json()["complete"], true);
    assert_eq!(released.json()["stock"]["available"], 40);
    assert_eq!(release().await.json(), released.json());
    assert_eq!(world.proven_stock().await.used, 0);
}

#[tokio::test]
async fn what_is_wrong_with_steering_is_named() {
    let world = World::with_seats(40).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "registration", "label": "Open day",
        "max_redemptions": 5, "guaranteed": true,
    });
    let issued = call(&world, "POST", CODES, Some(&order)).await.json();
    let code = issued["codes"][0].as_str().expect("a code").to_owned();
    let batch = format!("{CODES}/{}", issued["batch"]["batch_id"].as_str().expect("an id"));
    redeem(&world, &person(&code, "lise@example.org")).await;
    redeem(&world, &person(&code, "otto@example.org")).await;
    for (body, status, what) in [
        (json!({"state": "gone"}), 422, "/state"),
        (json!({"colour": "red"}), 422, "/colour"),
        (json!({"max_redemptions": null}), 422, "/max_redemptions"),
        (json!({"max_redemptions": 0}), 422, "/max_redemptions"),
        (json!({"valid_until": "2020-01-01"}), 422, "/valid_until"),
        (json!({"max_redemptions": 1}), 409, "seats-in-use"),
        (json!({"max_redemptions": 44}), 409, "no-seats-left"),
    ] {
        let refusal = call(&world, "PATCH", &batch, Some(&body)).await;
        assert_eq!(refusal.status, status, "{body} {}", refusal.text);
        let problem = refusal.json();
        let told = problem["errors"][0]["pointer"].as_str().or(problem["code"].as_str());
        assert_eq!(told, Some(what), "{body}");
    }
    let unknown = format!("{CODES}/bat_00000000000000000000000000");
    let body = json!({"state": "paused"});
    assert_eq!(call(&world, "PATCH", &unknown, Some(&body)).await.status, 404);
    for call_of_batch in ["codes", "release"] {
        let body = json!({"count": 1});
        let body = (call_of_batch == "codes").then_some(&body);
        let answer = call(&world, "POST", &format!("{unknown}/{call_of_batch}"), body).await;
        assert_eq!(answer.status, 404, "{call_of_batch}");
    }
    assert_eq!(world.proven_stock().await.held, 3);
}

#[tokio::test]
async fn codes_are_mailed_to_a_pasted_list_with_a_verdict_for_each_address() {
    let world = World::with_seats(40).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Spring",
        "count": 2, "allowed_domains": ["x.fr"],
    });
    let issued = call(&world, "POST", CODES, Some(&order)).await.json();
    let batch = format!("{CODES}/{}", issued["batch"]["batch_id"].as_str().expect("an id"));
    let path = format!("{batch}/send");
    let list = json!({"emails": "a@x.fr; nope, A@X.FR\nelse@example.org"});
    let sent = post(&world, &path, &list).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let sent = sent.json();
    assert_eq!(sent["left"], 1);
    let told: Vec<_> = sent["results"].as_array().expect("a list").iter().collect();
    assert_eq!(*told[0], json!({"email": "a@x.fr", "outcome": "sent"}));
    assert_eq!(
        (&told[1]["outcome"], &told[1]["error"]),
        (&json!("rejected"), &json!("invalid-email"))
    );
    assert_eq!(*told[2], json!({"email": "a@x.fr", "outcome": "duplicate"}));
    assert_eq!(told[3]["error"], "domain-not-allowed");
    let many = json!({"emails": ["b@x.fr", "c@x.fr"]});
    let short = post(&world, &path, &many).await;
    assert_eq!((short.status.as_u16(), &short.json()["code"]), (409, &json!("conflict")));
    assert!(short.text.contains("2 codes are needed, but only 1 can"), "{}", short.text);
    for (body, pointer) in [
        (json!({}), "/emails"),
        (json!({"emails": " ; "}), "/emails"),
        (json!({"emails": "d@x.fr", "notify": true}), "/notify"),
    ] {
        let refused = post(&world, &path, &body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (422, &json!(pointer))
        );
    }
    let unknown = format!("{CODES}/bat_00000000000000000000000000/send");
    assert_eq!(post(&world, &unknown, &many).await.status, 404);
}

#[tokio::test]
async fn a_slip_in_a_code_is_told_beside_its_field() {
    let world = World::with_seats(5).await;
    let code = world.redemption_codes(1).await.remove(0);
    let last = code.chars().next_back().expect("a digit");
    let slip = format!("{}{}", &code[..code.len() - 1], if last == '7' { '8' } else { '7' });
    let refusal = redeem(&world, &person(&slip, "lise@example.org")).await;
    assert_eq!(refusal.status, 404);
    assert_eq!(refusal.json()["code"], "code-not-redeemable");
    assert_eq!(refusal.json()["errors"][0]["code"], "mistyped-code");
    let body = format!("code={slip}&email=lise%40example.org&password=correct+horse+battery");
    let page = play(public(&world), "redeem/form.json", |event| {
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(false);
        event["rawQueryString"] = json!("lang=fr");
    })
    .await;
    assert!(page.text.contains("faute") || page.text.contains("erreur de frappe"), "{}", page.text);
}

#[tokio::test]
async fn a_large_batch_is_printed_in_parts() {
    let world = World::with_seats(600).await;
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Big",
        "count": 600,
    });
    let issued = call(&world, "POST", CODES, Some(&order)).await.json();
    let batch = format!("{CODES}/{}", issued["batch"]["batch_id"].as_str().expect("an id"));
    let first = call(&world, "GET", &format!("{batch}/download?format=html"), None).await;
    assert_eq!(first.text.matches("<svg").count(), 500);
    assert!(first.bytes.len() < 5_000_000, "{} bytes", first.bytes.len());
    let next = first.header("link").to_owned();
    let next = next.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a link").0;
    let second = call(&world, "GET", next, None).await;
    assert_eq!(second.text.matches("<svg").count(), 100);
    assert_eq!(second.header("link"), "");
}
