//! Starts a function that answers requests, with what all of them share.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};
use lambda_http::RequestExt as _;

use crate::problem::{Problem, ProblemCode};
use crate::telemetry;

/// Headers of every answer that does not set them itself: answers hold personal data and tokens
/// stand in addresses, so nothing is cached and no address passed on.
const DEFAULT_HEADERS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Answers requests until the environment of the function is shut down. Logging has been started
/// ([`telemetry::start`]).
pub async fn serve(function: &'static str, router: Router) -> Result<(), lambda_http::Error> {
    lambda_http::run(edge(function, router)).await
}

/// The router with what every function has: problem answers for unknown paths, other methods and
/// panics, default headers, and the summary line.
pub fn edge(function: &'static str, router: Router) -> Router {
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            let detail =
                "This address exists, but not for this method; `Allow` names those it has.";
            Problem::new(ProblemCode::MethodNotAllowed, detail)
        })
        .layer(from_fn(recovered))
        .layer(from_fn(with_default_headers))
        .layer(from_fn(move |request, next| summarized(function, request, next)))
}

/// Turns a panic into a problem answer; the panic itself is logged by the hook of
/// [`telemetry::start`].
async fn recovered(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| Problem::fault().into_response())
}

async fn with_default_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in DEFAULT_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn summarized(function: &'static str, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let context = request.lambda_context_ref();
    let request_id = context.map(|context| context.request_id.clone()).unwrap_or_default();
    let method = request.method().clone();
    let response = next.run(request).await;
    telemetry::request_summary(
        function,
        method.as_str(),
        matched.as_ref().map_or("none", MatchedPath::as_str),
        response.status().as_u16(),
        response.extensions().get::<ProblemCode>().map(|code| code.as_str()),
        began.elapsed(),
        &request_id,
    );
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use axum::routing::get;
    use serde_json::Value;
    use tower::ServiceExt as _;
    use tracing::level_filters::LevelFilter;

    use super::*;

    /// Log lines in memory.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What one request leaves in the logs at the most talkative level.
    async fn logged(router: Router, request: Request) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = telemetry::lines("invite", LevelFilter::TRACE, move || to.clone());
        let guard = tracing::subscriber::set_default(subscriber);
        let response = edge("invite", router).oneshot(request).await;
        response.expect("the edge answers everything");
        drop(guard);
        let bytes = lines.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("logs are text")
    }

    fn request(path: &str) -> Request {
        let request = http::Request::get(path).header("authorization", "Bearer s3cret");
        request.body(Body::from("s3cret")).expect("a request")
    }

    #[tokio::test]
    async fn a_request_leaves_one_line_with_its_route_and_without_its_path() {
        let refuse = async || Problem::new(ProblemCode::Gone, "Ask for a new invitation.");
        let router = Router::new().route("/i/{token}", get(refuse));
        let log = logged(router, request("/i/s3cret?q=s3cret")).await;
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!log.contains("s3cret"), "{log}");
        let line: Value = serde_json::from_str(&log).expect("a line is JSON");
        assert_eq!(line["function"], "invite");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["route"], "/i/{token}");
        assert_eq!(line["status"], 410);
        assert_eq!(line["code"], "gone");
        assert_eq!(line["level"], "INFO");
        assert!(line["duration_ms"].is_u64(), "{line}");
    }

    #[tokio::test]
    async fn an_unknown_path_is_not_logged_as_such() {
        let log = logged(Router::new(), request("/s3cret")).await;
        assert!(log.contains("\"route\":\"none\"") && !log.contains("s3cret"), "{log}");
    }
}
