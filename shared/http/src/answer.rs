//! Answers in JSON.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::problem::Problem;

/// Tells that the answer was given before, under the same idempotency key.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer to a call that did what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    body: Value,
    unrepeatable: Vec<&'static str>,
    location: Option<String>,
    replayed: bool,
}

impl Answer {
    /// An answer with this status and body.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Self {
        let (status, body) = match serde_json::to_value(body) {
            Ok(body) => (status, body),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                (StatusCode::INTERNAL_SERVER_ERROR, Value::Null)
            }
        };
        Self { status, body, unrepeatable: Vec::new(), location: None, replayed: false }
    }

    /// 200 with this body.
    pub fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 201 with this body.
    pub fn created(body: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// 202 with this body.
    pub fn accepted(body: &impl Serialize) -> Self {
        Self::new(StatusCode::ACCEPTED, body)
    }

    /// This status, such as 204, and no body.
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, &())
    }

    /// 303 to another address.
    pub fn see_other(location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::empty(StatusCode::SEE_OTHER) }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The body, to be completed: a replay gets a new ticket or upload form here.
    pub fn body_mut(&mut self) -> &mut Value {
        &mut self.body
    }

    /// Whether it was given before: what is issued anew each time then has to be added.
    pub fn is_replay(&self) -> bool {
        self.replayed
    }

    /// Marks what is shown once and never kept, such as a generated password or a link: a JSON
    /// pointer in which `*` stands for every item of a list (`/results/*/link`).
    #[must_use]
    pub fn unrepeatable(mut self, pointer: &'static str) -> Self {
        self.unrepeatable.push(pointer);
        self
    }

    /// The body without what is shown only once.
    pub(crate) fn repeatable_body(&self) -> Value {
        let mut body = self.body.clone();
        for pointer in &self.unrepeatable {
            let path: Vec<_> = pointer.split('/').skip(1).collect();
            remove(&mut body, &path);
        }
        body
    }

    /// The same answer as one given before.
    pub(crate) fn replayed(status: StatusCode, body: &Value) -> Self {
        Self { replayed: true, ..Self::new(status, body) }
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Object(fields), [name]) => drop(fields.remove(*name)),
        (Value::Object(fields), [name, rest @ ..]) => {
            if let Some(field) = fields.get_mut(*name) {
                remove(field, rest);
            }
        }
        (Value::Array(items), ["*", rest @ ..]) => {
            for item in items {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            return Problem::fault().into_response();
        }
        let mut response = if self.body.is_null() {
            self.status.into_response()
        } else {
            let body = serde_json::to_vec(&self.body).unwrap_or_default();
            let json = HeaderValue::from_static("application/json");
            (self.status, [(CONTENT_TYPE, json)], body).into_response()
        };
        if let Some(location) = self.location {
            let Ok(location) = HeaderValue::try_from(location) else {
                tracing::error!("a redirect's address is no header value");
                return Problem::fault().into_response();
            };
            response.headers_mut().insert(LOCATION, location);
        }
        if self.replayed {
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_once_is_not_in_the_repeatable_body() {
        let body = json!({
            "learner": {"learner_id": "lrn_1", "generated_password": "hunter2"},
            "results": [{"email": "a@example.org", "link": "https://x/i/t"}, {"email": "b@example.org"}],
            "codes": ["A", "B"],
        });
        let answer = Answer::created(&body)
            .unrepeatable("/learner/generated_password")
            .unrepeatable("/results/*/link")
            .unrepeatable("/codes/*/link")
            .unrepeatable("/nowhere/at/all");
        assert_eq!(
            answer.repeatable_body(),
            json!({
                "learner": {"learner_id": "lrn_1"},
                "results": [{"email": "a@example.org"}, {"email": "b@example.org"}],
                "codes": ["A", "B"],
            })
        );
        assert_eq!(answer.body(), &body);
    }

    #[test]
    fn an_answer_is_json_with_its_status() {
        let response = Answer::created(&json!({"a": 1})).into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert!(!response.headers().contains_key(IDEMPOTENT_REPLAYED));
    }

    #[test]
    fn a_redirect_names_its_address_and_has_no_body() {
        let response = Answer::see_other("https://bucket.example/report?x=1").into_response();
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()[LOCATION], "https://bucket.example/report?x=1");
        assert!(!response.headers().contains_key(CONTENT_TYPE));
    }

    #[test]
    fn an_address_with_a_line_break_is_not_sent() {
        assert_eq!(
            Answer::see_other("https://x/\r\nSet-Cookie: a=b").into_response().status(),
            500
        );
    }

    #[test]
    fn what_cannot_be_written_as_json_is_a_problem() {
        let impossible = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(Answer::ok(&impossible).into_response().status(), 500);
    }
}
