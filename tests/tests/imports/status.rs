//! What `manage` shows of imports.

use axum::body::{Body, to_bytes};
use axum::{Extension, Router};
use http::StatusCode;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_http::caller::ClaimNames;
use seatkeeper_http::config::EdgeConfig;
use seatkeeper_http::{App, edge};
use seatkeeper_testkit::Cloud;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::stage::Stage;

const LIST: &str = "email\na@example.fr\nnobody\na@example.fr\nb@example.fr\n";

fn administration(stage: &Stage) -> Router {
    let claims = ClaimNames {
        client: "seatkeeper:client".to_owned(),
        role: "seatkeeper:role".to_owned(),
        groups: "seatkeeper:groups".to_owned(),
    };
    let config = EdgeConfig {
        table_name: Cloud::TABLE.to_owned(),
        keys: stage.world.keys.clone(),
        page_base_url: "https://learn.example".to_owned(),
        languages: stage.languages.clone(),
        passwords: PasswordPolicy::default(),
    };
    let app = App::new(stage.world.store.clone(), config, claims);
    let routes = seatkeeper_manage::routes(app).layer(Extension(stage.files.clone()));
    edge("manage", routes)
}

async fn call(
    stage: &Stage,
    caller: (&str, &str),
    method: &str,
    path: &str,
) -> (StatusCode, Value, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (client, role) = caller;
    let event = json!({
        "version": "2.0", "routeKey": "ANY /v1/{proxy+}", "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "api.example.org", "content-type": "application/json"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.org",
            "domainPrefix": "api", "requestId": "r", "routeKey": "ANY /v1/{proxy+}",
            "stage": "$default", "time": "23/Nov/2026:09:00:00 +0000", "timeEpoch": 1,
            "authorizer": {"jwt": {"claims": {
                "sub": "u-1", "seatkeeper:client": client, "seatkeeper:role": role,
            }, "scopes": null}},
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                     "sourceIp": "203.0.113.24", "userAgent": "test"},
        },
        "isBase64Encoded": false,
    });
    let request = lambda_http::request::from_str(&event.to_string()).expect("a request");
    let request = request.map(|body| Body::from(body.to_vec()));
    let response = administration(stage).oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.expect("a body");
    let location = parts.headers.get("location").map(|value| value.to_str().expect("text"));
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (parts.status, body, location.unwrap_or_default().to_owned())
}

const ADMIN: (&str, &str) = ("acme", "client_admin");

#[tokio::test]
async fn an_import_is_shown_with_its_totals_its_seats_and_the_stock() {
    let stage = Stage::with_seats(10).await;
    let run = stage.import("a.csv", LIST).await;
    let path = format!("/v1/clients/acme/imports/{}", run.import_id);
    let (status, body, _) = call(&stage, ADMIN, "GET", &path).await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "completed");
    assert_eq!(body["mode"], "create");
    assert_eq!(body["progress"], json!({"rows_total": 4, "rows_done": 4}));
    assert_eq!(body["seats"], json!({"needed": 2, "available": 10, "short": 0}));
    assert_eq!(body["stock"]["used"], 2);
    assert_eq!(body["totals"]["created"], 2);
    assert_eq!(body["totals"]["failed"], 1);
    assert_eq!(body["totals"]["skipped"], 1);
    assert_eq!(body["detected"]["format"], "csv");
    assert_eq!(body["key"], run.source.key);
    assert_eq!(body["reject_code"], Value::Null);
}

#[tokio::test]
async fn imports_are_listed_newest_first() {
    let stage = Stage::with_seats(10).await;
    let mut made = Vec::new();
    for name in ["a.csv", "b.csv", "c.csv"] {
        made.insert(0, json!(stage.import(name, LIST).await.import_id));
        stage.world.clock.advance(jiff::SignedDuration::from_secs(1));
    }
    let (_, page, _) = call(&stage, ADMIN, "GET", "/v1/clients/acme/imports?limit=2").await;
    let cursor = page["next_cursor"].as_str().expect("another page");
    let path = format!("/v1/clients/acme/imports?limit=2&cursor={cursor}");
    let (_, rest, _) = call(&stage, ADMIN, "GET", &path).await;
    let items = page["items"].as_array().into_iter().chain(rest["items"].as_array()).flatten();
    let listed: Vec<Value> = items.map(|item| item["import_id"].clone()).collect();
    assert_eq!(listed, made);
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn rows_come_in_pages_and_by_verdict() {
    let stage = Stage::with_seats(10).await;
    let run = stage.import("a.csv", LIST).await;
    let base = format!("/v1/clients/acme/imports/{}/rows", run.import_id);
    let (_, first, _) = call(&stage, ADMIN, "GET", &format!("{base}?limit=3")).await;
    assert_eq!(first["items"].as_array().map(Vec::len), Some(3));
    let cursor = first["next_cursor"].as_str().expect("another page");
    let (_, rest, _) = call(&stage, ADMIN, "GET", &format!("{base}?limit=3&cursor={cursor}")).await;
    assert_eq!(rest["items"][0]["line"], 5);
    assert_eq!(rest["next_cursor"], Value::Null);
    let (_, bad, _) = call(&stage, ADMIN, "GET", &format!("{base}?verdict=invalid")).await;
    let row = &bad["items"][0];
    assert_eq!(bad["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&row["line"], &row["outcome"]), (&json!(3), &json!("failed")));
    assert_eq!(row["errors"][0]["code"], "invalid-email");
    let (_, twice, _) = call(&stage, ADMIN, "GET", &format!("{base}?verdict=duplicate")).await;
    assert_eq!(twice["items"][0]["duplicate_of"], 2);
    let (status, _, _) = call(&stage, ADMIN, "GET", &format!("{base}?verdict=odd")).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn the_report_is_a_redirect_to_a_link_that_ends() {
    let stage = Stage::with_seats(10).await;
    let run = stage.import("a.csv", LIST).await;
    let path = format!("/v1/clients/acme/imports/{}/report", run.import_id);
    let (status, _, location) = call(&stage, ADMIN, "GET", &path).await;
    assert_eq!(status, 303);
    let key = run.report_key.expect("a report");
    assert!(location.contains(&key) && location.contains("X-Amz-Expires=300"), "{location}");
}

#[tokio::test]
async fn another_clients_imports_do_not_exist() {
    let stage = Stage::with_seats(10).await;
    let run = stage.import("a.csv", LIST).await;
    let own = format!("/v1/clients/acme/imports/{}", run.import_id);
    for path in ["", "/rows", "/report"] {
        let (status, _, _) =
            call(&stage, ("globex", "client_admin"), "GET", &format!("{own}{path}")).await;
        assert_eq!(status, 404, "{path}");
        let (status, _, _) =
            call(&stage, ("acme", "instructor"), "GET", &format!("{own}{path}")).await;
        assert_eq!(status, 403, "{path}");
        let unknown = "/v1/clients/acme/imports/imp_00000000000000000000000000";
        let (status, _, _) = call(&stage, ADMIN, "GET", &format!("{unknown}{path}")).await;
        assert_eq!(status, 404, "{path}");
    }
}
