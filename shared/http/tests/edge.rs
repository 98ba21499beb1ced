//! Events as API Gateway sends them, through the router that a function runs.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY};
use seatkeeper_domain::ids::ContractId;
use seatkeeper_http::body::{Fields, Payload, page_request, parsed, text, verbatim};
use seatkeeper_http::caller::{ADMINISTRATION, ClaimNames, GROUP_READS};
use seatkeeper_http::request::{AcceptLanguage, Path, SourceAddress, Wants};
use seatkeeper_http::{Answer, Problem, SignedIn, edge};
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[derive(Clone)]
struct App {
    claims: ClaimNames,
}

impl FromRef<App> for ClaimNames {
    fn from_ref(app: &App) -> Self {
        app.claims.clone()
    }
}

async fn create(
    State(_): State<App>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.must_see(&client)?;
    signed_in.must_be(ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let contract = fields.required("contract_id", parsed("invalid-id", str::parse::<ContractId>));
    let email = fields.required("email", text(1..=254));
    let first_name = fields.optional("first_name", text(1..=100));
    let last_name = fields.optional("last_name", text(1..=100));
    let language = fields.optional("language", text(2..=35));
    let labels = fields.optional_list("labels", 0..=50, text(1..=100));
    let info = fields.optional("additional_info", text(0..=500));
    let body = fields.finish(|| {
        Some(json!({
            "client": client, "contract": contract?, "email": email?, "first_name": first_name,
            "last_name": last_name, "language": language, "labels": labels, "info": info,
            "by": signed_in.subject,
        }))
    })?;
    Ok(Answer::created(&body))
}

async fn list(
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: http::Uri,
) -> Result<Answer, Problem> {
    signed_in.must_see(&client)?;
    signed_in.must_be(GROUP_READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let status = query.optional("status", text(1..=20));
    let groups = signed_in.own_groups();
    let body = json!({"limit": page.limit, "status": status, "groups": groups});
    query.finish(|| Some(Answer::ok(&body)))
}

async fn accept(
    wants: Wants,
    source: SourceAddress,
    languages: AcceptLanguage,
    Path(token): Path<String>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let mut fields = Fields::of(&payload)?;
    let first_name = fields.required("first_name", text(1..=100));
    let last_name = fields.required("last_name", text(1..=100));
    let password = fields.required("password", verbatim(1..=1024));
    fields.finish(|| {
        Some(Answer::ok(&json!({
            "token": token, "first_name": first_name?, "last_name": last_name?,
            "password_length": password?.len(), "html": wants == Wants::Html,
            "source": source.limiter_key(), "languages": languages.0,
        })))
    })
}

async fn broken() -> Result<Answer, Problem> {
    panic!("a defect that quotes ana@example.org")
}

fn router() -> Router {
    let claims = ClaimNames {
        client: "seatkeeper:client".to_owned(),
        role: "seatkeeper:role".to_owned(),
        groups: "seatkeeper:groups".to_owned(),
    };
    let router = Router::new()
        .route("/v1/clients/{client}/learners", post(create).get(list))
        .route("/i/{token}", post(accept))
        .route("/broken", get(broken))
        .with_state(App { claims });
    edge("create", router)
}

fn event(name: &str) -> Value {
    let path = format!("{}/../../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the event's file");
    serde_json::from_str(&text).expect("an event is JSON")
}

fn at(mut event: Value, method: &str, path: &str) -> Value {
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["requestContext"]["http"]["method"] = method.into();
    event
}

async fn answer_to(event: Value) -> Response {
    let request = lambda_http::request::from_str(&event.to_string()).expect("a gateway event");
    router().oneshot(request).await.expect("the edge answers everything")
}

async fn body_of(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 100_000).await.expect("in memory");
    serde_json::from_slice(&bytes).expect("the answer is JSON")
}

async fn problem_of(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body = body_of(response).await;
    assert_eq!(body["status"], status);
    (status, body)
}

#[tokio::test]
async fn an_administrator_creates_an_account() {
    let response = answer_to(event("create/today")).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
    assert_eq!(
        body_of(response).await,
        json!({
            "client": "acme",
            "contract": "con_06cyt3v9q4e8h2m6k0x5w1r7za",
            "email": "Marie.Curie@example.org",
            "first_name": "Marie",
            "last_name": "Curie",
            "language": "fr-FR",
            "labels": ["cohort-7"],
            "info": "Cost center 4711",
            "by": "9b2f6a0e-7a53-4a4e-9a0f-1f0c3c1f8d11",
        })
    );
}

#[tokio::test]
async fn an_instructor_lists_own_groups_of_a_page() {
    let response = answer_to(event("manage/list_learners")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let groups = ["grp_06cyt3v9q4e8h2m6k0x5w1r7zb"];
    assert_eq!(body_of(response).await, json!({"limit": 20, "status": "active", "groups": groups}));
}

#[tokio::test]
async fn a_form_arrives_in_base64_and_reads_like_any_body() {
    let response = answer_to(event("invite/accept_form")).await;
    assert_eq!(
        body_of(response).await,
        json!({
            "token": "t0kent0kent0kent0ken", "first_name": "Zoé", "last_name": "Durand",
            "password_length": 21, "html": true, "source": "2001:db8:85a3:8d3::/64",
            "languages": ["fr-ca", "fr", "en"],
        })
    );
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_contract() {
    // Everything is wrong with this request; each step puts the first fault right.
    let mut call = at(event("create/today"), "POST", "/v1/clients/globex/learners");
    call["requestContext"]["authorizer"]["jwt"]["claims"]["seatkeeper:role"] = "instructor".into();
    call["body"] = format!("{{\"x\":\"{}\"", "x".repeat(1024 * 1024)).into();
    let authorizer = call["requestContext"]["authorizer"].take();
    assert_eq!(problem_of(answer_to(call.clone()).await).await.0, 401);

    call["requestContext"]["authorizer"] = authorizer;
    assert_eq!(problem_of(answer_to(call.clone()).await).await.0, 404);

    call = at(call, "POST", "/v1/clients/acme/learners");
    assert_eq!(problem_of(answer_to(call.clone()).await).await.0, 403);

    call["requestContext"]["authorizer"]["jwt"]["claims"]["seatkeeper:role"] =
        "client_admin".into();
    assert_eq!(problem_of(answer_to(call.clone()).await).await.0, 413);

    call["body"] = "{\"x\":".into();
    assert_eq!(problem_of(answer_to(call.clone()).await).await.0, 400);

    call["body"] = "{\"x\":1}".into();
    let (status, problem) = problem_of(answer_to(call).await).await;
    assert_eq!(status, 422);
    let pointers: Vec<_> = problem["errors"].as_array().expect("errors").iter().collect();
    let named = pointers.iter().map(|error| error["pointer"].as_str().expect("a pointer"));
    assert_eq!(named.collect::<Vec<_>>(), ["/contract_id", "/email", "/x"]);
}

#[tokio::test]
async fn an_unknown_path_and_another_method_are_problems() {
    let unknown = at(event("create/today"), "POST", "/v1/nowhere");
    assert_eq!(problem_of(answer_to(unknown).await).await.0, 404);

    let other = at(event("create/today"), "DELETE", "/v1/clients/acme/learners");
    let response = answer_to(other).await;
    let allowed = response.headers()[ALLOW].to_str().expect("text").to_owned();
    assert!(allowed.contains("POST") && allowed.contains("GET"), "{allowed}");
    assert_eq!(problem_of(response).await.0, 405);
}

#[tokio::test]
async fn a_path_that_is_no_text_is_not_found() {
    let odd = at(event("create/today"), "POST", "/v1/clients/%ff/learners");
    assert_eq!(problem_of(answer_to(odd).await).await.0, 404);
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_of_its_text() {
    let response = answer_to(at(event("create/today"), "GET", "/broken")).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let (status, problem) = problem_of(response).await;
    assert_eq!(status, 500);
    assert!(!problem.to_string().contains("ana@"), "{problem}");
}

#[test]
fn every_event_is_one_that_the_runtime_takes() {
    for folder in ["create", "invite", "redeem", "manage"] {
        let path = format!("{}/../../events/{folder}", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(path).expect("the folder of events") {
            let path = file.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("the event's file");
            let request = lambda_http::request::from_str(&text).expect("a gateway event");
            let event: Value = serde_json::from_str(&text).expect("an event is JSON");
            assert_eq!(request.uri().path(), event["rawPath"], "{}", path.display());
            assert_eq!(request.method().as_str(), event["requestContext"]["http"]["method"]);
        }
    }
}
