//! Answers a repeated request like the first one.
//!
//! A `POST` with an `Idempotency-Key` runs at most one attempt at a time, and an answer that was
//! given is given again. What is kept is sealed, and addressed by keyed hashes only.

use std::convert::Infallible;
use std::future::Future;

use axum::extract::{FromRequestParts, OriginalUri};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore, LEASE, Op};
use seatkeeper_domain::ports::{Clock, IdSource};
use seatkeeper_domain::secrets::Keys;
use serde_json::Value;

use crate::answer::Answer;
use crate::body::Payload;
use crate::problem::{Problem, ProblemCode};

/// The request header with the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// What makes two requests the same, beside caller and body: method, path and key. An extractor
/// that never refuses; a malformed key is told after the caller is known, with the fields that are at
/// fault, or else by [`Once::answer`].
#[derive(Debug, Clone)]
pub struct Repeatable {
    method: String,
    path: String,
    key: Result<Option<String>, Problem>,
}

impl<S: Send + Sync> FromRequestParts<S> for Repeatable {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // The whole path: a nested router has cut the client off `parts.uri`.
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        Ok(Self {
            method: parts.method.to_string(),
            path: uri.path().to_owned(),
            key: key_of(&parts.headers),
        })
    }
}

/// Reads the key: 1 to 255 visible characters, bare or in quotes (a structured field string,
/// RFC 8941), which are not part of it.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| malformed_key())?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest).ok_or_else(malformed_key)?,
        None => text.to_owned(),
    };
    if values.next().is_some() || !(1..=MAX_KEY).contains(&key.chars().count()) {
        return Err(malformed_key());
    }
    Ok(Some(key))
}

/// The content of a quoted string, from after its first quote.
fn unquote(rest: &str) -> Option<String> {
    let mut content = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return letters.as_str().is_empty().then_some(content),
            '\\' => content.push(letters.next().filter(|c| matches!(c, '"' | '\\'))?),
            letter => content.push(letter),
        }
    }
}

fn malformed_key() -> Problem {
    let detail = "Send the header Idempotency-Key once, with 1 to 255 visible ASCII characters.";
    Problem::invalid_field("", "invalid-idempotency-key", detail)
}

/// What it takes to answer a request once.
#[derive(Debug, Clone, Copy)]
pub struct Once<'a, S, C, I> {
    /// Where the records are.
    pub store: &'a S,
    /// The keys that hash and seal them.
    pub keys: &'a Keys,
    /// The present.
    pub clock: &'a C,
    /// Chance.
    pub ids: &'a I,
}

impl<S: IdempotencyStore, C: Clock, I: IdSource> Once<'_, S, C, I> {
    /// Does `work` unless the request was answered before. `caller` is the token's subject, or a
    /// constant for public calls.
    ///
    /// A 2xx or 3xx is kept for 24 hours and replayed with `Idempotent-Replayed: true`; a 4xx is
    /// not kept; after a 5xx the same request goes on as the same operation. Problems of its own:
    /// 422 `idempotency-key-reused`, 409 `request-in-progress`, 503 `unavailable`.
    pub async fn answer<F>(
        &self,
        caller: &str,
        request: &Repeatable,
        payload: &Payload,
        work: impl FnOnce(Op) -> F,
    ) -> Result<Answer, Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        let Some(key) = request.key.as_ref().map_err(Clone::clone)? else {
            return work(Op { id: self.ids.uuid(), guard: None }).await;
        };
        let attempt = self.attempt(caller, request, key, payload.bytes()?);
        match self.store.begin(&attempt).await? {
            Begin::Fresh { op } => {
                let outcome = work(op).await;
                self.settle(&attempt, &op, &outcome).await;
                outcome
            }
            Begin::Replay { status, sealed } => self.replay(&attempt, status, &sealed),
            Begin::InProgress => Err(in_progress()),
            Begin::Mismatch => Err(reused()),
        }
    }

    fn attempt(&self, caller: &str, request: &Repeatable, key: &str, body: &[u8]) -> Attempt {
        let parts = [caller, &request.method, &request.path, key].map(str::as_bytes);
        Attempt {
            record: self.keys.mac("idempotency record", &parts),
            body: self.keys.mac("idempotency body", &[body]),
            op: self.ids.uuid(),
            now: self.clock.now(),
        }
    }

    /// Ends the attempt. The work is done by then, so a store that fails now changes nothing about
    /// the answer: the record's hold runs out by itself.
    async fn settle(&self, attempt: &Attempt, op: &Op, outcome: &Result<Answer, Problem>) {
        let status = match outcome {
            Ok(answer) => answer.status(),
            Err(problem) => problem.code.status(),
        };
        let settled = match outcome {
            Ok(answer) if !status.is_client_error() && !status.is_server_error() => {
                let body = answer.repeatable_body().to_string();
                let sealed = self.keys.seal(self.ids, &context(attempt), body.as_bytes());
                self.store.complete(op, status.as_u16(), &sealed).await
            }
            _ if status.is_client_error() => self.store.abandon(op).await,
            _ => self.store.release(op).await,
        };
        if let Err(error) = settled {
            tracing::warn!(%error, status = status.as_u16(), "an idempotency record was not settled");
        }
    }

    fn replay(&self, attempt: &Attempt, status: u16, sealed: &[u8]) -> Result<Answer, Problem> {
        let opened = self.keys.open(&context(attempt), sealed);
        let body: Option<Value> = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        let (Ok(status), Some(body)) = (StatusCode::from_u16(status), body) else {
            tracing::error!("a kept answer cannot be opened: sealed with another root key?");
            return Err(Problem::fault());
        };
        Ok(Answer::replayed(status, &body))
    }
}

/// What a sealed answer belongs to, so that it cannot be moved to another record.
fn context(attempt: &Attempt) -> String {
    format!("idempotency {:?}", attempt.record)
}

fn in_progress() -> Problem {
    let detail = "A request with this Idempotency-Key is still running. Send the same request \
                  again in a moment to get its answer.";
    let seconds = u32::try_from(LEASE.as_secs() / 12).unwrap_or(5);
    Problem::new(ProblemCode::RequestInProgress, detail).retry_after(seconds)
}

fn reused() -> Problem {
    let detail = "This Idempotency-Key was used for a request with another body. Use a new key \
                  for every new request.";
    Problem::new(ProblemCode::IdempotencyKeyReused, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::extract::State;
    use axum::response::IntoResponse as _;
    use axum::routing::post as post_route;
    use http::HeaderValue;
    use jiff::Timestamp;
    use seatkeeper_domain::change::StoreError;
    use seatkeeper_domain::idempotency::Guard;
    use serde_json::json;
    use tower::ServiceExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::answer::IDEMPOTENT_REPLAYED;

    /// Keeps records in memory, by the rules of the port.
    #[derive(Default)]
    struct MemoryStore(Mutex<HashMap<[u8; 32], Record>>);

    struct Record {
        body: [u8; 32],
        op: Uuid,
        held_since: Option<Timestamp>,
        answer: Option<(u16, Vec<u8>)>,
    }

    impl IdempotencyStore for MemoryStore {
        async fn begin(&self, attempt: &Attempt) -> Result<Begin, StoreError> {
            let mut records = self.0.lock().expect("no panic");
            let resumed = records.contains_key(&attempt.record);
            let record = records.entry(attempt.record).or_insert(Record {
                body: attempt.body,
                op: attempt.op,
                held_since: None,
                answer: None,
            });
            if record.body != attempt.body {
                return Ok(Begin::Mismatch);
            }
            if let Some((status, sealed)) = record.answer.clone() {
                return Ok(Begin::Replay { status, sealed });
            }
            if record.held_since.is_some_and(|since| attempt.now < since + LEASE) {
                return Ok(Begin::InProgress);
            }
            record.held_since = Some(attempt.now);
            let guard = Guard { record: attempt.record, held_since: attempt.now, resumed };
            Ok(Begin::Fresh { op: Op { id: record.op, guard: Some(guard) } })
        }

        async fn complete(&self, op: &Op, status: u16, sealed: &[u8]) -> Result<(), StoreError> {
            let key = op.guard.expect("a guard").record;
            let mut records = self.0.lock().expect("no panic");
            records.get_mut(&key).expect("a record").answer = Some((status, sealed.to_vec()));
            Ok(())
        }

        async fn abandon(&self, op: &Op) -> Result<(), StoreError> {
            self.0.lock().expect("no panic").remove(&op.guard.expect("a guard").record);
            Ok(())
        }

        async fn release(&self, op: &Op) -> Result<(), StoreError> {
            let key = op.guard.expect("a guard").record;
            self.0.lock().expect("no panic").get_mut(&key).expect("a record").held_since = None;
            Ok(())
        }
    }

    struct FixedClock(Mutex<Timestamp>);

    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().expect("no panic")
        }

        async fn rest_until(&self, at: Timestamp) {
            *self.0.lock().expect("no panic") = at;
        }
    }

    #[derive(Default)]
    struct CountingIds(Mutex<u8>);

    impl IdSource for CountingIds {
        fn uuid(&self) -> Uuid {
            let mut count = self.0.lock().expect("no panic");
            *count += 1;
            Uuid::from_u128(u128::from(*count))
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(u8::try_from(self.uuid().as_u128()).expect("few"));
        }
    }

    struct House {
        store: MemoryStore,
        keys: Keys,
        clock: FixedClock,
        ids: CountingIds,
        runs: Mutex<Vec<Op>>,
    }

    impl House {
        fn new() -> Self {
            Self {
                store: MemoryStore::default(),
                keys: Keys::derive("a root key for tests, long enough").expect("long enough"),
                clock: FixedClock(Mutex::new("2026-11-23T10:00:00Z".parse().expect("an instant"))),
                ids: CountingIds::default(),
                runs: Mutex::default(),
            }
        }

        fn once(&self) -> Once<'_, MemoryStore, FixedClock, CountingIds> {
            Once { store: &self.store, keys: &self.keys, clock: &self.clock, ids: &self.ids }
        }

        async fn call(
            &self,
            caller: &str,
            request: &Repeatable,
            body: &'static str,
            outcome: Result<Answer, Problem>,
        ) -> Result<Answer, Problem> {
            let payload = Payload::json(body);
            let work = |op| async move {
                self.runs.lock().expect("no panic").push(op);
                outcome
            };
            self.once().answer(caller, request, &payload, work).await
        }

        fn runs(&self) -> usize {
            self.runs.lock().expect("no panic").len()
        }

        fn wait(&self, seconds: i64) {
            *self.clock.0.lock().expect("no panic") += jiff::SignedDuration::from_secs(seconds);
        }
    }

    fn post(path: &str, key: Option<&str>) -> Repeatable {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(key).expect("a header"));
        }
        Repeatable { method: "POST".to_owned(), path: path.to_owned(), key: key_of(&headers) }
    }

    fn made() -> Answer {
        let body =
            json!({"learner": {"email": "ana@example.org"}, "generated_password": "hunter2"});
        Answer::created(&body).unrepeatable("/generated_password")
    }

    fn code(result: Result<Answer, Problem>) -> ProblemCode {
        result.expect_err("a refusal").code
    }

    #[tokio::test]
    async fn the_same_request_gets_the_same_answer_without_being_done_again() {
        let house = House::new();
        let request = post("/v1/clients/acme/learners", Some("k-1"));
        let first = house.call("u-1", &request, "{}", Ok(made())).await.expect("an answer");
        let second = house.call("u-1", &request, "{}", Ok(made())).await.expect("an answer");
        assert_eq!(house.runs(), 1);
        assert_eq!(first.status(), second.status());
        assert_eq!(first.body()["generated_password"], "hunter2");
        assert_eq!(second.body(), &json!({"learner": {"email": "ana@example.org"}}));
        assert_eq!(second.into_response().headers()[IDEMPOTENT_REPLAYED], "true");
        assert!(!first.into_response().headers().contains_key(IDEMPOTENT_REPLAYED));
    }

    #[tokio::test]
    async fn a_handler_answers_once_and_issues_tickets_anew() {
        async fn redeem(
            State(house): State<Arc<House>>,
            request: Repeatable,
            payload: Payload,
        ) -> Result<Answer, Problem> {
            let work = |op: Op| async move {
                let body = json!({"op": op.id, "launch_url": "https://lms.example/?ticket=first"});
                Ok(Answer::ok(&body).unrepeatable("/launch_url"))
            };
            let mut answer = house.once().answer("public", &request, &payload, work).await?;
            if answer.is_replay() {
                answer.body_mut()["launch_url"] = "https://lms.example/?ticket=second".into();
            }
            Ok(answer)
        }
        let router = Router::new()
            .route("/acme/redeem", post_route(redeem))
            .with_state(Arc::new(House::new()));
        let mut bodies = Vec::new();
        for replayed in [false, true] {
            let request = http::Request::post("/acme/redeem").header("Idempotency-Key", "\"k\"");
            let request = request.body(Body::from("{}")).expect("a request");
            let response = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(response.headers().contains_key(IDEMPOTENT_REPLAYED), replayed);
            let bytes = axum::body::to_bytes(response.into_body(), 1000).await.expect("in memory");
            bodies.push(serde_json::from_slice::<Value>(&bytes).expect("JSON"));
        }
        assert_eq!(bodies[0]["op"], bodies[1]["op"]);
        assert_eq!(bodies[0]["launch_url"], "https://lms.example/?ticket=first");
        assert_eq!(bodies[1]["launch_url"], "https://lms.example/?ticket=second");
    }

    #[tokio::test]
    async fn nothing_is_kept_in_clear() {
        let house = House::new();
        let request = post("/p/t0ken", Some("my-key"));
        let body = r#"{"email": "ana@example.org"}"#;
        house.call("u-1", &request, body, Ok(made())).await.expect("an answer");
        let records = house.store.0.lock().expect("no panic");
        let (key, record) = records.iter().next().expect("a record");
        let sealed = record.answer.as_ref().expect("an answer").1.clone();
        let kept =
            String::from_utf8_lossy(&[&key[..], &record.body, &sealed].concat()).into_owned();
        for secret in ["ana", "example", "hunter2", "my-key", "t0ken", "learner"] {
            assert!(!kept.contains(secret), "{secret}");
        }
    }

    #[tokio::test]
    async fn another_body_under_the_same_key_is_refused() {
        let house = House::new();
        let request = post("/v1/x", Some("k"));
        house.call("u-1", &request, r#"{"a":1}"#, Ok(made())).await.expect("an answer");
        let other = house.call("u-1", &request, r#"{"a":2}"#, Ok(made())).await;
        assert_eq!(code(other), ProblemCode::IdempotencyKeyReused);
        assert_eq!(house.runs(), 1);
    }

    #[tokio::test]
    async fn a_key_belongs_to_a_caller_and_a_route() {
        let house = House::new();
        for (caller, path) in [("u-1", "/v1/x"), ("u-2", "/v1/x"), ("u-1", "/v1/y")] {
            let request = post(path, Some("k"));
            house.call(caller, &request, "{}", Ok(made())).await.expect("an answer");
        }
        assert_eq!(house.runs(), 3);
    }

    #[tokio::test]
    async fn a_request_without_key_is_done_every_time_and_leaves_nothing() {
        let house = House::new();
        for _ in 0..2 {
            house.call("u-1", &post("/v1/x", None), "{}", Ok(made())).await.expect("an answer");
        }
        assert_eq!(house.runs(), 2);
        assert!(house.store.0.lock().expect("no panic").is_empty());
        let runs = house.runs.lock().expect("no panic");
        assert!(runs[0].guard.is_none() && runs[0].id != runs[1].id);
    }

    #[tokio::test]
    async fn a_refusal_is_not_kept() {
        let house = House::new();
        let request = post("/v1/x", Some("k"));
        let refused = Problem::new(ProblemCode::NoSeatsLeft, "Ask the vendor for more.");
        let first = house.call("u-1", &request, "{}", Err(refused)).await;
        assert_eq!(code(first), ProblemCode::NoSeatsLeft);
        let again = house.call("u-1", &request, r#"{"other": 1}"#, Ok(made())).await;
        assert!(again.is_ok());
    }

    #[tokio::test]
    async fn a_failure_leaves_the_operation_to_be_gone_on_with() {
        let house = House::new();
        let request = post("/v1/x", Some("k"));
        let failed = house.call("u-1", &request, "{}", Err(Problem::fault())).await;
        assert_eq!(code(failed), ProblemCode::Internal);
        house.call("u-1", &request, "{}", Ok(made())).await.expect("an answer");
        let runs = house.runs.lock().expect("no panic");
        assert_eq!(runs[0].id, runs[1].id);
        assert!(!runs[0].guard.expect("a guard").resumed);
        assert!(runs[1].guard.expect("a guard").resumed);
    }

    #[tokio::test]
    async fn two_attempts_at_once_are_told_apart_until_the_first_is_given_up() {
        let house = House::new();
        let request = post("/v1/x", Some("k"));
        let payload = Payload::json("{}");
        let once = house.once();
        let first = once.answer("u-1", &request, &payload, |_| async {
            let second = house.call("u-1", &request, "{}", Ok(made())).await;
            let problem = second.expect_err("still running");
            assert!(problem.retry_after.is_some());
            Err(problem)
        });
        assert_eq!(code(first.await), ProblemCode::RequestInProgress);
        assert_eq!(house.runs(), 0);

        let attempt = house.once().attempt("u-1", &request, "k", b"{}");
        house.store.begin(&attempt).await.expect("in memory");
        house.wait(59);
        let held = house.call("u-1", &request, "{}", Ok(made())).await;
        assert_eq!(code(held), ProblemCode::RequestInProgress);
        house.wait(1);
        assert!(house.call("u-1", &request, "{}", Ok(made())).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_sealed_by_another_key_is_a_fault_and_not_a_second_effect() {
        let mut house = House::new();
        let request = post("/v1/x", Some("k"));
        house.call("u-1", &request, "{}", Ok(made())).await.expect("an answer");
        let attempt = house.once().attempt("u-1", &request, "k", b"{}");
        let forged = house.store.0.get_mut().expect("no panic");
        forged.get_mut(&attempt.record).expect("a record").answer = Some((201, vec![7; 60]));
        let replay = house.call("u-1", &request, "{}", Ok(made())).await;
        assert_eq!(code(replay), ProblemCode::Internal);
        assert_eq!(house.runs(), 1);
    }

    #[test]
    fn quotes_are_not_part_of_the_key() {
        let key = |text: &str| post("/", Some(text)).key;
        let plain = key("8e03978e-40d5-43e8-bc93-6894a57f9324");
        assert_eq!(key("\"8e03978e-40d5-43e8-bc93-6894a57f9324\""), plain);
        assert_eq!(key(r#""a\"b\\c""#), Ok(Some(r#"a"b\c"#.to_owned())));
        assert_eq!(post("/", None).key, Ok(None));
        let longest = "k".repeat(255);
        assert_eq!(key(&longest), Ok(Some(longest.clone())));
        assert_eq!(key(&format!("\"{longest}\"")), Ok(Some(longest)));
    }

    #[test]
    fn a_malformed_key_is_refused() {
        for bad in ["", "\"\"", "\"open", "\"a\" b", "\"a\\", "\"a\\b\"", &"k".repeat(256)] {
            let problem = post("/", Some(bad)).key.expect_err(bad);
            assert_eq!(problem.code, ProblemCode::InvalidRequest, "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(key_of(&twice).is_err());
    }

    #[tokio::test]
    async fn a_malformed_key_is_told_before_any_work() {
        let house = House::new();
        let request = post("/v1/x", Some(&"k".repeat(256)));
        let answer = house.call("u-1", &request, "{}", Ok(made())).await;
        assert_eq!(code(answer), ProblemCode::InvalidRequest);
        assert_eq!(house.runs(), 0);
    }
}
