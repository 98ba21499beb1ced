//! Logs and metrics: JSON lines on standard output, which Lambda hands to `CloudWatch`.
//!
//! Every invocation leaves one summary line. A route is logged as its template
//! (`/i/{token}`), never as the path, and nothing logged is chosen by a sender.

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Env;

/// Starts logging for `function` at the environment's `LOG_LEVEL`, and keeps the texts of panics,
/// which may quote data, out of the logs.
///
/// The level is that of our own code. Libraries stay at `warn`: at lower levels some of them log
/// whole requests.
pub fn start(function: &'static str, env: &mut Env) {
    let ours = env.log_level();
    // A second start, as tests make it, leaves the first in place.
    if lines(function, ours, std::io::stdout).try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// What writes log lines.
pub(crate) fn lines<W>(function: &'static str, ours: LevelFilter, to: W) -> impl Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let targets = Targets::new()
        .with_default(tracing::Level::WARN)
        .with_target("seatkeeper", ours)
        .with_target(function, ours);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_ansi(false)
        .with_writer(to);
    tracing_subscriber::registry().with(targets).with(lines)
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic; its text is left out, since it may quote data");
}

/// Runs one invocation of a function that answers no requests, and leaves its summary line.
/// `event` is the kind of event, a constant; errors have to say nothing about persons.
pub async fn summarized<T, E: Display>(
    function: &'static str,
    event: &'static str,
    request_id: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    let outcome = work.await;
    let duration_ms = milliseconds(began.elapsed());
    match &outcome {
        Ok(_) => {
            tracing::info!(function, event, outcome = "ok", duration_ms, request_id, "invocation");
        }
        Err(error) => tracing::error!(
            function, event, outcome = "failed", %error, duration_ms, request_id, "invocation"
        ),
    }
    outcome
}

/// The summary line of an answered request.
pub(crate) fn request_summary(
    function: &'static str,
    method: &str,
    route: &str,
    status: u16,
    code: Option<&'static str>,
    took: Duration,
    request_id: &str,
) {
    let duration_ms = milliseconds(took);
    // A call that is not served yet is no failure of ours.
    if status >= 500 && status != 501 {
        tracing::error!(
            function,
            method,
            route,
            status,
            code,
            duration_ms,
            request_id,
            "invocation"
        );
    } else {
        tracing::info!(
            function,
            method,
            route,
            status,
            code,
            duration_ms,
            request_id,
            "invocation"
        );
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Thousandths of a second.
    Milliseconds,
    /// A size.
    Bytes,
}

/// What a metric may be told apart by. Closed and small on purpose: each combination of values is
/// a metric of its own and is paid for as such. Values are constants, so that no client, learner
/// or code can become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The function.
    Function,
    /// What came of it.
    Outcome,
    /// Which of a few kinds, such as a kind of mail.
    Kind,
}

impl Dimension {
    fn name(self) -> &'static str {
        match self {
            Self::Function => "Function",
            Self::Outcome => "Outcome",
            Self::Kind => "Kind",
        }
    }
}

/// Emits one value of a metric in the embedded metric format, as a line of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "like the logger, this stamps its own line; nothing is decided by it"
)]
pub fn emit_metric(
    namespace: &str,
    name: &str,
    value: f64,
    unit: Unit,
    dimensions: &[(Dimension, &'static str)],
) {
    let line = metric_line(Timestamp::now(), namespace, name, value, unit, dimensions);
    // A metric that cannot be written is not worth failing a call for.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// The line of a metric. Format: `CloudWatch` embedded metric format specification.
fn metric_line(
    at: Timestamp,
    namespace: &str,
    name: &str,
    value: f64,
    unit: Unit,
    dimensions: &[(Dimension, &'static str)],
) -> Value {
    let unit = match unit {
        Unit::Count => "Count",
        Unit::Milliseconds => "Milliseconds",
        Unit::Bytes => "Bytes",
    };
    let names: Vec<_> = dimensions.iter().map(|(dimension, _)| dimension.name()).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [names],
                "Metrics": [{"Name": name, "Unit": unit}],
            }],
        },
    });
    line[name] = json!(value);
    for (dimension, value) in dimensions {
        line[dimension.name()] = json!(value);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_one_line_in_the_embedded_format() {
        let at = "2026-11-23T10:00:00Z".parse().expect("an instant");
        let dimensions = [(Dimension::Function, "redeem"), (Dimension::Outcome, "refused")];
        let line = metric_line(at, "Seatkeeper", "Redemptions", 1.0, Unit::Count, &dimensions);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_795_428_000_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Seatkeeper",
                        "Dimensions": [["Function", "Outcome"]],
                        "Metrics": [{"Name": "Redemptions", "Unit": "Count"}],
                    }],
                },
                "Redemptions": 1.0,
                "Function": "redeem",
                "Outcome": "refused",
            })
        );
        assert!(!line.to_string().contains('\n'));
    }

    #[tokio::test]
    async fn a_summarized_invocation_gives_back_its_outcome() {
        let fine = summarized("import", "s3", "r-1", async { Ok::<_, String>(3) }).await;
        assert_eq!(fine, Ok(3));
        let failed = summarized("import", "s3", "r-1", async { Err::<(), _>("no".to_owned()) });
        assert_eq!(failed.await, Err("no".to_owned()));
    }
}
