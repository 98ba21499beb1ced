//! What a request says beside its body: path, source, languages, the kind of answer wanted.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of the matched path; a path that does not fit them is 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| Problem::not_found())
    }
}

/// The kind of answer that a public page gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A page, for a browser.
    Html,
    /// JSON, for a program.
    Json,
}

impl Wants {
    /// A JSON body is answered in JSON; else `Accept` decides, and a page is what one gets who
    /// does not say.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = first(headers, &CONTENT_TYPE);
        if content_type.split(';').next().is_some_and(is_json) {
            return Self::Json;
        }
        let mut html = 0;
        let mut json = 0;
        for (range, quality) in weighted(headers, &ACCEPT) {
            if is_json(&range) {
                json = json.max(quality);
            } else if matches!(range.as_str(), "text/html" | "application/xhtml+xml" | "text/*") {
                html = html.max(quality);
            }
        }
        if json > html { Self::Json } else { Self::Html }
    }
}

fn is_json(media_type: &str) -> bool {
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

impl<S: Send + Sync> FromRequestParts<S> for Wants {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// The network address a request came from, as the gateway saw it; a header could be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddress(Option<IpAddr>);

impl SourceAddress {
    /// What tells one source from another when tries are counted: an IPv4 address or an IPv6 /64,
    /// the least that a network hands to one customer (RFC 6177). Requests without an address
    /// count together.
    pub fn limiter_key(&self) -> String {
        match self.0.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let network = u128::from(address) >> 64 << 64;
                format!("{}/64", Ipv6Addr::from(network))
            }
            None => "unknown".to_owned(),
        }
    }
}

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        Self(Some(address))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SourceAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Some(RequestContext::ApiGatewayV2(context)) = parts.request_context_ref() else {
            return Ok(Self(None));
        };
        Ok(Self(context.http.source_ip.as_deref().and_then(|text| text.parse().ok())))
    }
}

/// The languages that a browser asks for, as it writes them, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptLanguage(pub Vec<String>);

impl AcceptLanguage {
    /// Reads `Accept-Language`; what is refused (`q=0`) and the wildcard are left out.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut tags = weighted(headers, &ACCEPT_LANGUAGE);
        tags.retain(|(tag, quality)| *quality > 0 && tag != "*");
        // Stable: among equals the order of the header holds.
        tags.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
        Self(tags.into_iter().map(|(tag, _)| tag).collect())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AcceptLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// The items of a header with quality values, in thousandths (RFC 9110, section 12.4.2), in lower
/// case. At most 50 items are looked at.
fn weighted(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, u16)> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let items = lines.flat_map(|line| line.split(',')).take(50);
    let weighed = items.map(|item| {
        let mut parts = item.split(';');
        let value = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let quality = parts
            .filter_map(|part| part.trim().strip_prefix("q=").map(str::trim))
            .find_map(|quality| quality.parse::<f32>().ok())
            .unwrap_or(1.0);
        (value, thousandths(quality))
    });
    weighed.filter(|(value, _)| !value.is_empty()).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is between 0 and 1000; casts of floats saturate and turn NaN into 0"
)]
fn thousandths(quality: f32) -> u16 {
    (quality.clamp(0.0, 1.0) * 1000.0).round() as u16
}

fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, v)| (name.clone(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_gets_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, wanted) in [
            (browser, Wants::Html),
            ("application/json", Wants::Json),
            ("application/json, text/plain, */*", Wants::Json),
            ("application/problem+json", Wants::Json),
            ("text/html;q=0.5, application/json", Wants::Json),
            ("text/html, application/json;q=0.9", Wants::Html),
            ("text/html, application/json", Wants::Html),
            ("application/json;q=0", Wants::Html),
            ("*/*", Wants::Html),
            ("", Wants::Html),
        ] {
            assert_eq!(Wants::of(&headers(&[(ACCEPT, accept)])), wanted, "{accept}");
        }
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::Html);
    }

    #[test]
    fn a_json_body_is_answered_in_json_whatever_is_accepted() {
        let json = (CONTENT_TYPE, "application/json; charset=utf-8");
        assert_eq!(Wants::of(&headers(&[json, (ACCEPT, "*/*")])), Wants::Json);
        let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
        assert_eq!(Wants::of(&headers(&[form, (ACCEPT, "*/*")])), Wants::Html);
    }

    #[test]
    fn languages_come_best_first() {
        let accept = "en;q=0.7, fr-CH, *;q=0.1, DE;q=0.8, it;q=0, fr";
        let languages = AcceptLanguage::of(&headers(&[(ACCEPT_LANGUAGE, accept)]));
        assert_eq!(languages.0, ["fr-ch", "fr", "de", "en"]);
        assert!(AcceptLanguage::of(&HeaderMap::new()).0.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let key = |text: &str| SourceAddress(text.parse().ok()).limiter_key();
        assert_eq!(key("192.0.2.7"), "192.0.2.7");
        assert_eq!(key("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(key("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(key("nonsense"), "unknown");
    }
}
