//! Refusals and failures as RFC 9457 problem details.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use seatkeeper_domain::change::StoreError;
use serde::Serialize;

/// The media type of a problem answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, as a program tells it apart. Stable: a code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    /// Fields of the request are missing, unknown or invalid; `errors` names each.
    InvalidRequest,
    /// The body is not JSON.
    InvalidJson,
    /// There is no token, or not a usable one.
    Unauthorized,
    /// The caller's role may not do this.
    Forbidden,
    /// There is no such object, or not for this caller.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The client id is taken.
    ClientExists,
    /// The contract reference is taken.
    ContractExists,
    /// The pool has too few seats left.
    NoSeatsLeft,
    /// Seats that are taken cannot be removed.
    SeatsInUse,
    /// The contract has ended.
    ContractEnded,
    /// Rows of the import have errors.
    RowsInvalid,
    /// The invitation was accepted before.
    AlreadyAccepted,
    /// A request with the same idempotency key is still running.
    RequestInProgress,
    /// The import is not in a state that allows this.
    ImportNotReady,
    /// The request contradicts what is there.
    Conflict,
    /// The link no longer works.
    Gone,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// The body is larger than 1 MiB.
    PayloadTooLarge,
    /// This call is specified but not available yet.
    NotImplemented,
    /// The code cannot be redeemed; why is not said.
    CodeNotRedeemable,
    /// Too many tries; wait.
    TooManyRequests,
    /// A service this one needs does not answer; try again.
    Unavailable,
    /// A fault of this service.
    Internal,
}

impl ProblemCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 24] = [
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ClientExists,
        Self::ContractExists,
        Self::NoSeatsLeft,
        Self::SeatsInUse,
        Self::ContractEnded,
        Self::RowsInvalid,
        Self::AlreadyAccepted,
        Self::RequestInProgress,
        Self::ImportNotReady,
        Self::Conflict,
        Self::Gone,
        Self::IdempotencyKeyReused,
        Self::PayloadTooLarge,
        Self::NotImplemented,
        Self::CodeNotRedeemable,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code as it stands in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InvalidJson => "invalid-json",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::ClientExists => "client-exists",
            Self::ContractExists => "contract-exists",
            Self::NoSeatsLeft => "no-seats-left",
            Self::SeatsInUse => "seats-in-use",
            Self::ContractEnded => "contract-ended",
            Self::RowsInvalid => "rows-invalid",
            Self::AlreadyAccepted => "already-accepted",
            Self::RequestInProgress => "request-in-progress",
            Self::ImportNotReady => "import-not-ready",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::PayloadTooLarge => "payload-too-large",
            Self::NotImplemented => "not-implemented",
            Self::CodeNotRedeemable => "code-not-redeemable",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The `HTTP` status it is answered with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::CodeNotRedeemable => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ClientExists
            | Self::ContractExists
            | Self::NoSeatsLeft
            | Self::SeatsInUse
            | Self::ContractEnded
            | Self::RowsInvalid
            | Self::AlreadyAccepted
            | Self::RequestInProgress
            | Self::ImportNotReady
            | Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidRequest | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A short sentence that is the same for every problem with this code.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request has invalid fields",
            Self::InvalidJson => "The body is not valid JSON",
            Self::Unauthorized => "Not authenticated",
            Self::Forbidden => "The role does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::ClientExists => "The client exists already",
            Self::ContractExists => "The contract exists already",
            Self::NoSeatsLeft => "No seats are left",
            Self::SeatsInUse => "The seats are in use",
            Self::ContractEnded => "The contract has ended",
            Self::RowsInvalid => "Rows of the import are invalid",
            Self::AlreadyAccepted => "The invitation was accepted already",
            Self::RequestInProgress => "The same request is still running",
            Self::ImportNotReady => "The import is not ready for this",
            Self::Conflict => "The request conflicts with the present state",
            Self::Gone => "The link no longer works",
            Self::IdempotencyKeyReused => "The idempotency key was used for another request",
            Self::PayloadTooLarge => "The body is too large",
            Self::NotImplemented => "This is not available yet",
            Self::CodeNotRedeemable => "The code cannot be redeemed",
            Self::TooManyRequests => "Too many tries",
            Self::Unavailable => "The service is unavailable for a moment",
            Self::Internal => "Something went wrong on our side",
        }
    }

    /// Where the code is explained: a reference relative to the API's own origin, under the
    /// reserved name `docs`, which no client's landing page can take.
    pub fn documentation(self) -> String {
        format!("/docs/problems/{}", self.as_str())
    }
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, as a JSON pointer (RFC 6901) into the body, or `/` and a query parameter's name.
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: Cow<'static, str>,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

/// An answer that is not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: ProblemCode,
    /// Who has to do what, in sentences.
    pub detail: Cow<'static, str>,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// How many seats have to be released before so many can be taken back.
    pub seats_to_release: Option<u64>,
}

impl Problem {
    /// A problem with this code; `detail` says who has to do what.
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            seats_to_release: None,
        }
    }

    /// Fields of the request are at fault.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "Correct the fields named in `errors` and send the request again.";
        Self { errors, ..Self::new(ProblemCode::InvalidRequest, detail) }
    }

    /// One field is at fault.
    pub fn invalid_field(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        }])
    }

    /// The object does not exist for this caller. Foreign and missing objects answer alike.
    pub fn not_found() -> Self {
        Self::new(
            ProblemCode::NotFound,
            "There is nothing here for this caller. Check the address and its ids.",
        )
    }

    /// The caller's role does not allow the call.
    pub fn forbidden() -> Self {
        Self::new(
            ProblemCode::Forbidden,
            "The role of this token does not allow the call. Ask an administrator of the client \
             or the vendor to make it, or to change the role.",
        )
    }

    /// There is no usable token.
    pub fn unauthorized() -> Self {
        Self::new(
            ProblemCode::Unauthorized,
            "Send a valid access token as `Authorization: Bearer …`.",
        )
    }

    /// Something that this service needs does not answer. The cause is logged, not answered:
    /// it has to say nothing about persons.
    pub fn unavailable(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = %Causes(cause), "a dependency did not answer");
        let detail = "The call may or may not have taken effect. Send the same request in a few \
                      seconds, with the same Idempotency-Key if it had one.";
        Self { retry_after: Some(2), ..Self::new(ProblemCode::Unavailable, detail) }
    }

    /// A fault of this service. The cause is logged, not answered: it has to say nothing about
    /// persons.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Causes(cause), "an unexpected failure");
        Self::fault()
    }

    /// A fault of this service whose cause has been logged.
    pub(crate) fn fault() -> Self {
        Self::new(
            ProblemCode::Internal,
            "The fault is ours and has been recorded. Try once more; if it stays, tell the \
             operator the time and the `apigw-requestid` header of this answer.",
        )
    }

    /// The same problem, worth trying again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

/// An error and its sources on one line.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    seats_to_release: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let document = Document {
            r#type: self.code.documentation(),
            title: self.code.title(),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            errors: &self.errors,
            seats_to_release: self.seats_to_release,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.code == ProblemCode::Unauthorized {
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    async fn body_of(problem: Problem) -> serde_json::Value {
        let body = problem.into_response().into_body();
        let bytes = axum::body::to_bytes(body, 10_000).await.expect("a body in memory");
        serde_json::from_slice(&bytes).expect("a problem is JSON")
    }

    #[tokio::test]
    async fn a_problem_names_its_code_status_and_fields() {
        let problem = Problem::invalid_field("/seats", "out-of-range", "At least 0.");
        assert_eq!(
            body_of(problem).await,
            serde_json::json!({
                "type": "/docs/problems/invalid-request",
                "title": "The request has invalid fields",
                "status": 422,
                "code": "invalid-request",
                "detail": "Correct the fields named in `errors` and send the request again.",
                "errors": [{"pointer": "/seats", "code": "out-of-range", "detail": "At least 0."}],
            })
        );
    }

    #[tokio::test]
    async fn a_problem_without_fields_has_no_list_of_them() {
        assert!(body_of(Problem::not_found()).await.get("errors").is_none());
    }

    #[test]
    fn too_many_tries_say_when_to_come_back() {
        let problem = Problem::new(ProblemCode::TooManyRequests, "Wait.").retry_after(90);
        let response = problem.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "90");
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
    }

    #[test]
    fn a_busy_store_is_worth_another_try_and_a_broken_one_is_a_fault() {
        let busy = Problem::from(StoreError::Unavailable("throttled".into()));
        assert_eq!(busy.code, ProblemCode::Unavailable);
        assert!(busy.retry_after.is_some());
        let broken = Problem::from(StoreError::Broken("no attribute `kind`".to_owned()));
        assert_eq!(broken.code, ProblemCode::Internal);
        assert!(!broken.detail.contains("kind"));
    }

    #[test]
    fn a_missing_token_asks_for_a_bearer_token() {
        let response = Problem::unauthorized().into_response();
        assert_eq!(response.headers()[http::header::WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn every_code_and_title_is_its_own() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        let titles: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        assert_eq!(titles.len(), ProblemCode::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
        }
    }

    #[test]
    fn statuses_are_those_of_the_contract() {
        let told = |status: u16| -> Vec<_> {
            let with = |code: &&ProblemCode| code.status().as_u16() == status;
            ProblemCode::ALL.iter().filter(with).map(|code| code.as_str()).collect()
        };
        assert_eq!(told(404), ["not-found", "code-not-redeemable"]);
        assert_eq!(told(410), ["gone"]);
        assert_eq!(told(413), ["payload-too-large"]);
        assert_eq!(told(422), ["invalid-request", "idempotency-key-reused"]);
        assert_eq!(told(409).len(), 10);
        assert_eq!(told(503), ["unavailable"]);
    }
}
