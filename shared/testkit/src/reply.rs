//! What a simulated service answers, before it becomes the SDK's response.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

use crate::Service;

/// A request as the services read it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) host: String,
    /// As sent: percent-encoded, with the first slash.
    pub(crate) path: String,
    /// Decoded pairs.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same request with another JSON body.
    pub(crate) fn with_body(&self, body: &Value) -> Self {
        Self { body: body.to_string().into(), ..self.clone() }
    }

    /// Changes the JSON of the body.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut body = self.json();
        change(&mut body);
        self.body = body.to_string().into();
    }
}

/// Text without its percent-encoding.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a service answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// 200 with a JSON body.
    pub(crate) fn json(body: &Value) -> Self {
        Self::new(200, body.to_string()).with("content-type", "application/json")
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// An error in the words of `service`.
    pub(crate) fn error(service: Service, status: u16, code: &str, message: &str) -> Self {
        match service {
            Service::DynamoDb => {
                let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
                Self::new(status, json!({"__type": kind, "message": message}).to_string())
                    .with("content-type", "application/x-amz-json-1.0")
            }
            Service::S3 => {
                let body =
                    format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
                Self::new(status, body).with("content-type", "application/xml")
            }
            Service::Ses => Self::rest_error(status, code, &json!({"message": message})),
            Service::Scheduler => Self::rest_error(status, code, &json!({"Message": message})),
        }
    }

    fn rest_error(status: u16, code: &str, body: &Value) -> Self {
        Self { status, ..Self::json(body) }.with("x-amzn-errortype", code)
    }

    /// The service's own 500.
    pub(crate) fn server_error(service: Service) -> Self {
        let code = match service {
            Service::DynamoDb => "InternalServerError",
            Service::S3 => "InternalError",
            Service::Ses => "InternalFailure",
            Service::Scheduler => "InternalServerException",
        };
        Self::error(service, 500, code, "internal server error")
    }

    /// The service's own way to ask for patience.
    pub(crate) fn throttle(service: Service) -> Self {
        let (status, code) = match service {
            Service::DynamoDb => (400, "ThrottlingException"),
            Service::S3 => (503, "SlowDown"),
            Service::Ses => (429, "TooManyRequestsException"),
            Service::Scheduler => (429, "ThrottlingException"),
        };
        Self::error(service, status, code, "rate exceeded")
    }

    pub(crate) fn into_response(self) -> HttpResponse {
        let body = SdkBody::from(self.body.clone());
        self.into_response_with(body)
    }

    /// The response whose head promises the whole body and whose connection breaks half way.
    pub(crate) fn cut_off(self) -> HttpResponse {
        let body = SdkBody::from_body_1_x(CutOff {
            half: Some(self.body.slice(..self.body.len() / 2)),
            promised: self.body.len() as u64,
        });
        self.into_response_with(body)
    }

    fn into_response_with(self, body: SdkBody) -> HttpResponse {
        let status = self.status.try_into().expect("a status between 100 and 999");
        let length = self.body.len().to_string();
        let mut response = HttpResponse::new(status, body);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        if !response.headers().contains_key("content-length") {
            response.headers_mut().insert("content-length", length);
        }
        response
    }
}

/// A body of which half arrives.
struct CutOff {
    half: Option<Bytes>,
    promised: u64,
}

impl Body for CutOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(match self.half.take() {
            Some(half) => Ok(Frame::data(half)),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
