//! The functions that answer requests, in this process, behind the routes of `template.yaml`.
//!
//! A [`House`] takes a [`Call`], finds the function that the template's API sends it to, hands that
//! function's own router the event that API Gateway would send, and gives the [`Reply`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::{Extension, Router};
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_aws::upload_form::UploadForms;
use seatkeeper_aws::{S3Files, Store};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_http::caller::ClaimNames;
use seatkeeper_http::config::EdgeConfig;
use seatkeeper_http::system::SystemClock;
use seatkeeper_http::{App, Shared, edge};
use seatkeeper_redeem::Redeeming;
use seatkeeper_testkit::Cloud;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::{World, documented};

/// The base of public pages.
pub const PAGES: &str = "https://seats.example.org";
/// The bucket of uploads.
pub const UPLOADS: &str = "uploads";
/// The bucket of reports.
pub const REPORTS: &str = "reports";

/// Somebody whose token the authorizer let through.
#[derive(Debug, Clone)]
pub struct Person {
    claims: BTreeMap<String, String>,
}

impl Person {
    /// A caller of this role for this client (`*`: all of them).
    pub fn new(role: &str, client: &str) -> Self {
        let claims = [
            ("iss", "https://idp.example.org/"),
            ("aud", "seatkeeper"),
            ("iat", "1795426212"),
            ("exp", "1795429812"),
            ("sub", &format!("{role}-{client}")),
            ("email", &format!("{role}@staff.example")),
            ("seatkeeper:role", role),
            ("seatkeeper:client", client),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self { claims: claims.into_iter().map(own).collect() }
    }

    /// Vendor staff.
    pub fn vendor() -> Self {
        Self::new("vendor_admin", "*")
    }

    /// An administrator of this client.
    pub fn admin(client: &str) -> Self {
        Self::new("client_admin", client)
    }

    /// This client's LMS.
    pub fn lms(client: &str) -> Self {
        Self::new("service", client)
    }

    /// The same, with these groups. The gateway writes a list as `[a b]`.
    #[must_use]
    pub fn of_groups(self, groups: &[&str]) -> Self {
        self.claiming("seatkeeper:groups", &format!("[{}]", groups.join(" ")))
    }

    /// The same with another value of one claim.
    #[must_use]
    pub fn claiming(mut self, claim: &str, value: &str) -> Self {
        self.claims.insert(claim.to_owned(), value.to_owned());
        self
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    by: Option<Person>,
}

impl Call {
    /// A request of this method, for a path with or without a query. It accepts JSON.
    pub fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers = [("accept", "application/json"), ("user-agent", "curl/8.11.1")];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.into_iter().map(own).collect(),
            body: None,
            by: None,
        }
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A `POST` of JSON.
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", &body.to_string())
    }

    /// The same with this text as its body.
    #[must_use]
    pub fn text(mut self, media_type: &str, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header("content-type", media_type)
    }

    /// The same as a browser sends a form.
    #[must_use]
    pub fn form(self, body: &str) -> Self {
        self.text("application/x-www-form-urlencoded", body).from_browser()
    }

    /// The same as a browser asks for it.
    #[must_use]
    pub fn from_browser(self) -> Self {
        self.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// The same by somebody with a token.
    #[must_use]
    pub fn by(mut self, person: &Person) -> Self {
        self.by = Some(person.clone());
        self.header("authorization", "Bearer REDACTED")
    }

    /// The same under an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What API Gateway makes of it, payload format 2.0.
    fn event(&self, route: &Route) -> Value {
        let http = json!({
            "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
            "sourceIp": "203.0.113.24", "userAgent": "curl/8.11.1",
        });
        let mut event = json!({
            "version": "2.0", "routeKey": route.key(), "rawPath": self.path,
            "rawQueryString": self.query, "headers": self.headers,
            "requestContext": {
                "accountId": Cloud::ACCOUNT, "apiId": "r3pmxmplak",
                "domainName": "r3pmxmplak.execute-api.eu-west-3.amazonaws.com",
                "domainPrefix": "r3pmxmplak", "http": http, "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": route.key(), "stage": "$default",
                "time": "23/Nov/2026:09:30:12 +0000", "timeEpoch": 1_795_426_212_000_u64,
            },
            "isBase64Encoded": false,
        });
        if let Some(body) = &self.body {
            // The gateway takes forms for bytes.
            let is_form = self.headers["content-type"].contains("form");
            let encoded = is_form.then(|| BASE64.encode(body.as_bytes()));
            event["body"] = json!(encoded.as_ref().unwrap_or(body));
            event["isBase64Encoded"] = json!(is_form);
        }
        if let Some(person) = &self.by {
            event["requestContext"]["authorizer"] =
                json!({"jwt": {"claims": person.claims, "scopes": null}});
        }
        event
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub text: String,
    /// The body of a file.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// The body of a success.
    pub fn json(&self) -> Value {
        assert!(self.status < 400, "{} {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text);
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// A header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The code of a refusal, which has to be a problem document from head to foot.
    pub fn code(&self) -> String {
        let problem = self.problem();
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// `pointer code` of every field that is at fault.
    pub fn faults(&self) -> Vec<String> {
        let problem = self.problem();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let part = |error: &Value, name: &str| error[name].as_str().expect("text").to_owned();
        errors.iter().map(|e| format!("{} {}", part(e, "pointer"), part(e, "code"))).collect()
    }

    /// How many seats a refusal says have to go first.
    pub fn seats_to_release(&self) -> Option<u64> {
        self.problem()["seats_to_release"].as_u64()
    }

    fn problem(&self) -> Value {
        assert!(self.status >= 400, "{} {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem: Value = serde_json::from_str(&self.text).expect("JSON");
        assert_eq!(problem["status"], self.status);
        for part in ["type", "title", "code", "detail"] {
            assert!(problem[part].is_string(), "{part} in {problem}");
        }
        problem
    }
}

/// A route of the API.
struct Route {
    method: String,
    path: String,
    function: String,
    has_authorizer: bool,
}

impl Route {
    fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// How well it fits a request: segments by kind, literal before variable before greedy, a named
    /// method before `ANY`. `None`: not at all.
    fn fit(&self, method: &str, path: &str) -> Option<(Vec<u8>, bool)> {
        if self.method != "ANY" && self.method != method {
            return None;
        }
        let mut asked = path.trim_start_matches('/').split('/');
        let mut kinds = Vec::new();
        for segment in self.path.trim_start_matches('/').split('/') {
            let given = asked.next().filter(|given| !given.is_empty())?;
            if segment.ends_with("+}") {
                // A full match of any route comes before a greedy one.
                kinds.insert(0, 0);
                return Some((kinds, self.method != "ANY"));
            }
            if segment.starts_with('{') {
                kinds.push(1);
            } else if segment == given {
                kinds.push(2);
            } else {
                return None;
            }
        }
        asked.next().is_none().then_some((kinds, self.method != "ANY"))
    }
}

fn routes() -> Vec<Route> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let text = std::fs::read_to_string(path).expect("the template");
    let template: serde_norway::Value = serde_norway::from_str(&text).expect("YAML");
    let paths = &template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"];
    let mut routes = Vec::new();
    for (path, methods) in paths.as_mapping().expect("the API's paths") {
        for (method, route) in methods.as_mapping().expect("methods") {
            let method = method.as_str().expect("a method");
            let integration = &route["x-amazon-apigateway-integration"]["$ref"];
            let function = integration.as_str().and_then(|text| text.rsplit('/').next());
            routes.push(Route {
                method: match method {
                    "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                    method => method.to_uppercase(),
                },
                path: path.as_str().expect("a path").to_owned(),
                function: function.expect("a function").to_owned(),
                has_authorizer: !route["security"].is_null(),
            });
        }
    }
    routes
}

/// The API of a stack, over the in-process cloud of a [`World`].
pub struct House {
    /// The world.
    pub world: World,
    routes: Vec<Route>,
    functions: BTreeMap<&'static str, Router>,
    names: Mutex<BTreeMap<String, String>>,
}

impl House {
    /// A stack in which only `acme` of the [`World`] stands, which the tests of the API leave
    /// alone: functions go by the machine's clock, and so do contracts made through the API.
    pub async fn open() -> Self {
        Self::over(World::with_seats(0).await)
    }

    /// A stack over this world.
    pub fn over(world: World) -> Self {
        let app = app(&world);
        let files = S3Files::new(world.cloud.s3(), UPLOADS, REPORTS);
        let redeeming = Redeeming::new(world.store.clone(), edge_config(&world));
        let forms = UploadForms::new(&world.cloud.sdk_config(), world.cloud.s3(), UPLOADS);
        let manage = seatkeeper_manage::routes(app.clone());
        let manage = manage.layer(Extension(files)).layer(Extension(forms));
        let functions = BTreeMap::from([
            ("invite", edge("invite", seatkeeper_invite::routes(app.clone()))),
            ("create", edge("create", seatkeeper_create::routes(app))),
            ("redeem", edge("redeem", seatkeeper_redeem::routes(redeeming))),
            ("manage", edge("manage", manage)),
        ]);
        Self { world, routes: routes(), functions, names: Mutex::default() }
    }

    /// The route that the gateway takes for a request, as its events name it, the function behind
    /// it, and whether callers need a token.
    pub fn route(&self, method: &str, path: &str) -> Option<(String, String, bool)> {
        let fits = self.routes.iter().filter(|route| route.fit(method, path).is_some());
        let route = fits.max_by_key(|route| route.fit(method, path))?;
        Some((route.key(), route.function.clone(), route.has_authorizer))
    }

    /// Makes a call, as the gateway would hand it on, and holds the answer against the API's document.
    /// What has no route is answered as the gateway answers it.
    pub async fn send(&self, call: Call) -> Reply {
        let fits = |route: &&Route| route.fit(&call.method, &call.path).is_some();
        let route = self.routes.iter().filter(fits);
        let Some(route) = route.max_by_key(|route| route.fit(&call.method, &call.path)) else {
            let headers = http::HeaderMap::new();
            let text = r#"{"message":"Not Found"}"#.to_owned();
            return Reply { status: 404, headers, text, bytes: Vec::new() };
        };
        let mut event = call.event(route);
        if !route.has_authorizer {
            let context = event["requestContext"].as_object_mut().expect("a context");
            context.remove("authorizer");
        }
        let reply = self.replay(&route.function, &event).await;
        let sent = call.body.as_deref().map(str::as_bytes);
        let kind = reply.header("content-type");
        documented::check(&call.method, &call.path, sent, reply.status, kind, &reply.bytes);
        reply
    }

    /// Hands an event to a function.
    pub async fn replay(&self, function: &str, event: &Value) -> Reply {
        let request = lambda_http::request::from_str(&event.to_string()).expect("a request");
        let request = request.map(|body| Body::from(body.to_vec()));
        let router = self.functions[function].clone();
        let response = router.oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.expect("a body");
        let (status, bytes) = (parts.status.as_u16(), bytes.to_vec());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status, headers: parts.headers, text, bytes }
    }

    /// `GET`s a path.
    pub async fn get(&self, by: &Person, path: &str) -> Reply {
        self.send(Call::get(path).by(by)).await
    }

    /// `POST`s JSON to a path.
    pub async fn post(&self, by: &Person, path: &str, body: Value) -> Reply {
        self.send(Call::post(path, &body).by(by)).await
    }

    /// The same JSON with each id as `con 1`, in the order in which this house saw them, and each
    /// instant of the last and next five minutes as `now`: what remains can be written down.
    pub fn plain(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.plain_text(text)),
            Value::Array(items) => items.iter().map(|item| self.plain(item)).collect(),
            Value::Object(fields) => {
                let named = fields.iter().map(|(name, field)| (name.clone(), self.plain(field)));
                Value::Object(named.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    fn plain_text(&self, text: &str) -> String {
        if let Ok(instant) = text.parse::<Timestamp>() {
            let away = instant.duration_since(now()).abs();
            return if away < SignedDuration::from_mins(5) { "now" } else { text }.to_owned();
        }
        let Some((kind, rest)) = text.split_once('_') else { return text.to_owned() };
        if kind.len() != 3 || rest.len() != 26 {
            return text.to_owned();
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let before = names.keys().filter(|known| known.starts_with(kind)).count();
        let name = || format!("{kind} {}", before + 1);
        names.entry(text.to_owned()).or_insert_with(name).clone()
    }
}

/// The machine's present, which functions go by.
pub fn now() -> Timestamp {
    SystemClock.now()
}

fn app(world: &World) -> Shared<Store> {
    let claims = ClaimNames {
        client: "seatkeeper:client".to_owned(),
        role: "seatkeeper:role".to_owned(),
        groups: "seatkeeper:groups".to_owned(),
    };
    App::new(world.store.clone(), edge_config(world), claims)
}

fn edge_config(world: &World) -> EdgeConfig {
    EdgeConfig {
        table_name: Cloud::TABLE.to_owned(),
        keys: world.keys.clone(),
        page_base_url: PAGES.to_owned(),
        languages: Languages::from_list("en,fr,de,es,it,nl,pt"),
        passwords: PasswordPolicy::default(),
    }
}
