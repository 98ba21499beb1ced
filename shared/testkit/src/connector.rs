//! The bottom of every SDK client: one call per HTTP attempt.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::byte_stream::ByteStream;

use crate::cloud::Inner;
use crate::defect::{self, Outgoing};
use crate::fault::{Begun, Fault, Service, shorten};
use crate::reply::{Call, Reply, percent_decoded};
use crate::{dynamodb, s3, scheduler, ses};

/// Carries the attempts of all clients to the simulated services.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Arc<Inner>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let call = read(request).await?;
            attempt(&inner, call).await
        })
    }
}

async fn read(request: HttpRequest) -> Result<Call, ConnectorError> {
    let uri: http::Uri = request.uri().parse().map_err(|e| ConnectorError::user(Box::new(e)))?;
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = query.map(|(name, value)| (percent_decoded(name), percent_decoded(value)));
    let headers = request.headers().iter().map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    Ok(Call {
        method: request.method().to_owned(),
        host: uri.host().unwrap_or_default().to_owned(),
        path: uri.path().to_owned(),
        query: query.collect(),
        headers: headers.collect(),
        body: ByteStream::new(request.into_body())
            .collect()
            .await
            .map_err(|e| ConnectorError::io(Box::new(e)))?
            .into_bytes(),
    })
}

/// One attempt: it is numbered, meets its fault, takes effect, is answered.
async fn attempt(inner: &Inner, mut call: Call) -> Result<HttpResponse, ConnectorError> {
    // A real call takes time in which others run.
    let turns = inner.trace().turns();
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    let Some((service, operation)) = addressee(&call) else {
        let what = format!("nothing here answers {} {}{}", call.method, call.host, call.path);
        return Err(ConnectorError::user(what.into()));
    };
    let defective = inner.defect().change(service, &operation, &mut call);
    let Begun { id, fault, first } = inner.trace().begin(service, &operation, &call);
    if let Some(act) = first {
        act().await;
    }
    if let Some(refusal) = fault.as_ref().and_then(|f| before(f, service, &operation, &call)) {
        return refusal.map(Reply::into_response);
    }
    if let Some(latency) = inner.locks.latency() {
        tokio::time::sleep(latency.call).await;
    }
    let Ok(held) = inner.locks.take(&operation, &call) else {
        return Ok(dynamodb::conflict(&operation, &call).into_response());
    };
    let mut rest = None;
    match fault {
        Some(Fault::KillBefore | Fault::Hang) => {
            return never(inner, fault == Some(Fault::KillBefore)).await;
        }
        Some(Fault::Late) => {
            inner.trace().hold_back(service, &operation, call);
            return Err(broken_connection());
        }
        Some(Fault::KillLate) => {
            inner.trace().hold_back(service, &operation, call);
            return never(inner, true).await;
        }
        Some(Fault::ForgetToken) => call.edit(|body| {
            body.as_object_mut().and_then(|body| body.remove("ClientRequestToken"));
        }),
        Some(Fault::Partial) => call.edit(|body| rest = shorten(&operation, body)),
        _ => {}
    }
    let reply = match fault {
        Some(Fault::StaleRead) => inner.dynamodb.answer_stale(&operation, &call, inner.now()),
        _ => match &defective {
            Some(sent) => inner.serve_defective(service, sent, &call),
            None => inner.serve(service, &operation, &call),
        },
    };
    let Some(reply) = reply else {
        let what = format!("the simulated {service} has no {operation}");
        return Err(ConnectorError::user(what.into()));
    };
    inner.trace().served(id, reply.status);
    if let Some(held) = held {
        tokio::time::sleep(held.time).await;
    }
    if fault == Some(Fault::KillAfter) {
        return never(inner, true).await;
    }
    if let Some(sent) = &defective {
        inner.serve_rest(service, sent, &call, &reply, fault.as_ref());
    }
    let reply = rest.map_or(reply.clone(), |rest| rest.told_in(reply));
    let reply = after(fault.as_ref(), service, reply)?;
    Ok(if fault == Some(Fault::CutBody) { reply.cut_off() } else { reply.into_response() })
}

/// An attempt that does not return; `killed` says that nobody waits for it any more.
async fn never(inner: &Inner, killed: bool) -> Result<HttpResponse, ConnectorError> {
    if killed {
        inner.trace().set_killed(true);
    }
    std::future::pending().await
}

fn broken_connection() -> ConnectorError {
    ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
}

impl Inner {
    /// Does what a request asks; `None` for an operation that is not simulated.
    pub(crate) fn serve(&self, service: Service, operation: &str, call: &Call) -> Option<Reply> {
        match service {
            Service::DynamoDb => self.dynamodb.answer(operation, call, self.now()),
            Service::S3 => self.s3().answer(operation, call, self.now()),
            Service::Ses => self.ses().answer(operation, call, self.now()),
            Service::Scheduler => self.scheduler().answer(operation, call, self.now()),
        }
    }
}

impl Inner {
    /// Does what a product with a defect asks. What no product could send ends the test.
    #[expect(clippy::panic, reason = "a defect that cannot be sent proves nothing")]
    fn serve_defective(&self, service: Service, sent: &Outgoing, call: &Call) -> Option<Reply> {
        for (operation, body) in &sent.before {
            self.serve(service, operation, &call.with_body(body));
        }
        let reply = if sent.split {
            let serve = |body: &_| self.serve(service, &sent.operation, &call.with_body(body));
            defect::one_by_one(&sent.body, serve)
        } else {
            self.serve(service, &sent.operation, call)
        };
        let told = reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body).into_owned());
        if let Some(told) = told.filter(|told| told.contains("#ValidationException")) {
            panic!("a defect that cannot be sent: {told}: {}", sent.body);
        }
        reply
    }

    /// What a product with a defect sends once it has been answered.
    fn serve_rest(
        &self,
        service: Service,
        sent: &Outgoing,
        call: &Call,
        reply: &Reply,
        fault: Option<&Fault>,
    ) {
        let lost = matches!(fault, Some(Fault::LoseReply | Fault::ErrorAfter));
        if sent.repeat_when_lost && lost {
            self.serve(service, &sent.operation, call);
        }
        if reply.status == 200 && !lost {
            for (operation, body) in &sent.after {
                self.serve(service, operation, &call.with_body(body));
            }
        }
    }
}

/// The service a request is for and the operation it asks.
fn addressee(call: &Call) -> Option<(Service, String)> {
    let host = call.host.strip_suffix(".amazonaws.com")?;
    let labels: Vec<&str> = host.split('.').collect();
    let (service, operation) = match labels.as_slice() {
        ["dynamodb", _region] => (Service::DynamoDb, dynamodb::operation(call)?),
        ["email", _region] => (Service::Ses, ses::operation(call)),
        ["scheduler", _region] => (Service::Scheduler, scheduler::operation(call)),
        [.., "s3", _region] => (Service::S3, s3::operation(call)),
        _ => return None,
    };
    Some((service, operation))
}

/// How a fault ends an attempt before its effect.
fn before(
    fault: &Fault,
    service: Service,
    operation: &str,
    call: &Call,
) -> Option<Result<Reply, ConnectorError>> {
    match fault {
        Fault::FailBefore => {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Some(Err(ConnectorError::io(refused.into()).never_connected()))
        }
        Fault::Throttle => Some(Ok(Reply::throttle(service))),
        Fault::TransactionConflict => Some(Ok(dynamodb::conflict(operation, call))),
        Fault::Refuse { status, code } => Some(Ok(Reply::error(service, *status, code, "refused"))),
        _ => None,
    }
}

/// What a fault leaves of an answer.
fn after(fault: Option<&Fault>, service: Service, reply: Reply) -> Result<Reply, ConnectorError> {
    match fault {
        Some(Fault::LoseReply | Fault::ForgetToken) => Err(broken_connection()),
        Some(Fault::ErrorAfter) => Ok(Reply::server_error(service)),
        Some(Fault::TransactionInProgress) => Ok(dynamodb::in_progress()),
        _ => Ok(reply),
    }
}
