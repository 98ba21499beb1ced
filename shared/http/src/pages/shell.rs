//! What every page shares: its frame, its style and its headers.

use data_encoding::BASE64;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use seatkeeper_domain::color::Color;
use sha2::{Digest, Sha256};

use super::{Page, Site, available_languages};

const SHEET: &str = include_str!("../../templates/style.css");
/// Shows a password and says how long it is; nothing is lost without it.
const SCRIPT: &str = include_str!("../../templates/script.js");

/// The card of the style sheet in light and in dark.
const LIGHT_CARD: Color = Color::WHITE;
const DARK_CARD: Color = Color::rgb(0x1e, 0x22, 0x27);

/// What the layout of a page shows around its content.
pub(super) struct Shell {
    pub(super) lang: &'static str,
    pub(super) client: Option<String>,
    pub(super) logo: Option<String>,
    /// The style sheet, the client's colors first.
    pub(super) style: String,
    /// The script of pages with a password.
    pub(super) script: &'static str,
    /// The icon of the tab: a square of the client's color, as a `data:` address.
    pub(super) icon: String,
    /// The name of the list of languages.
    pub(super) languages_label: &'static str,
    /// The languages to switch to; none where there is no page to switch on.
    pub(super) languages: Vec<LanguageLink>,
}

/// What is on a page, beside words and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing.
    Words,
    /// A form that stays here.
    Form,
    /// A form with a password, which leads to where learners sign in.
    LaunchingForm,
}

/// One language of the switch.
pub(super) struct LanguageLink {
    pub(super) tag: &'static str,
    pub(super) name: &'static str,
    pub(super) url: String,
    pub(super) current: bool,
}

impl Shell {
    /// The frame of a page; `path` is where the same page is found in another language.
    pub(super) fn new(site: &Site<'_>, path: Option<&str>) -> Self {
        let client = site.client.as_ref();
        let color = client.and_then(|client| client.color).unwrap_or(Color::DEFAULT);
        let link = |language: &super::PageLanguage| LanguageLink {
            tag: language.tag(),
            name: language.own_name(),
            url: format!("{}{}?lang={}", site.page_base, path.unwrap_or_default(), language.tag()),
            current: *language == site.language,
        };
        let languages =
            path.map(|_| available_languages().iter().map(link).collect()).unwrap_or_default();
        Self {
            lang: site.language.tag(),
            client: client.map(|client| visible(client.name)),
            logo: client
                .and_then(|client| client.logo_url)
                .filter(|url| url.starts_with("https://"))
                .map(ToOwned::to_owned),
            style: style(color),
            script: SCRIPT.trim_end(),
            icon: icon(color),
            languages_label: site.language.texts().languages,
            languages,
        }
    }

    /// The rendered document, without the empty lines of its template, and its headers.
    pub(super) fn page(&self, site: &Site<'_>, html: &str, holds: Holds) -> Page {
        let lines = html.lines().filter(|line| !line.trim().is_empty());
        let html = lines.collect::<Vec<_>>().join("\n");
        let mut headers = HeaderMap::new();
        let policy = self.content_security_policy(site, holds);
        for (name, value) in [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_LANGUAGE, HeaderValue::from_static(self.lang)),
            (CONTENT_SECURITY_POLICY, policy),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (
                HeaderName::from_static("x-robots-tag"),
                HeaderValue::from_static("noindex, nofollow"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ] {
            headers.insert(name, value);
        }
        Page { html, headers }
    }

    /// Nothing but this page's own style and script, the client's logo, and forms that stay. Where a
    /// form leads to the client's site, it may go on from there to any other over HTTPS: browsers
    /// hold every redirect of a form to this list, and a site may send its learners on to where
    /// they sign in.
    fn content_security_policy(&self, site: &Site<'_>, holds: Holds) -> HeaderValue {
        let digest = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
        let mut directives = vec![
            "default-src 'none'".to_owned(),
            format!("style-src 'sha256-{}'", digest(&self.style)),
        ];
        if holds == Holds::LaunchingForm {
            directives.push(format!("script-src 'sha256-{}'", digest(self.script)));
        }
        let images = self.logo.as_deref().and_then(origin);
        let images = ["data:".to_owned()].into_iter().chain(images);
        directives.push(format!("img-src {}", images.collect::<Vec<_>>().join(" ")));
        let launch = site.client.as_ref().map(|client| client.launch_url);
        let (own, launch) = (origin(site.page_base), launch.and_then(origin));
        let targets: Vec<String> = match holds {
            Holds::Words => vec!["'none'".to_owned()],
            Holds::Form => ["'self'".to_owned()].into_iter().chain(own).collect(),
            Holds::LaunchingForm => {
                let ours = ["'self'".to_owned()].into_iter().chain(own).chain(launch);
                ours.chain(["https:".to_owned()]).collect()
            }
        };
        directives.push(format!("form-action {}", targets.join(" ")));
        directives.extend(["frame-ancestors 'none'", "base-uri 'none'"].map(str::to_owned));
        // The parts are ASCII; if they were not, nothing at all would be allowed.
        HeaderValue::try_from(directives.join("; "))
            .unwrap_or(HeaderValue::from_static("default-src 'none'; form-action 'none'"))
    }
}

/// The origin of a web address, of letters that cannot end a directive.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "https" | "http"))?;
    let host = uri.host()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    Some(
        uri.port_u16().map_or_else(
            || format!("{scheme}://{host}"),
            |port| format!("{scheme}://{host}:{port}"),
        ),
    )
}

/// The client's colors, then the sheet that uses them.
fn style(color: Color) -> String {
    format!(
        ":root{{--brand:{color};--on-brand:{};--accent:{};--accent-dark:{}}}\n{SHEET}",
        color.text_on(),
        color.readable_on(LIGHT_CARD),
        color.readable_on(DARK_CARD),
    )
}

fn icon(color: Color) -> String {
    let color = color.to_string().replace('#', "%23");
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Crect width='16' height='16' rx='4' fill='{color}'/%3E%3C/svg%3E"
    )
}

/// Text without control characters and direction marks.
pub(super) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|c| !hidden(*c)).collect()
}

/// Text as one segment of a path (RFC 3986, 3.3).
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://learn.acme.example/start?x=1", Some("https://learn.acme.example")),
            ("http://127.0.0.1:4566/restapis/x", Some("http://127.0.0.1:4566")),
            ("https://u:p@lms.example:8443", Some("https://lms.example:8443")),
            ("http://[::1]:80/", Some("http://[::1]:80")),
            ("javascript:alert(1)", None),
            ("https://a;script-src%20*/", None),
            ("https://a'b/", None),
            ("/relative", None),
            ("", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("ACME-7K_2.~"), "ACME-7K_2.~");
        assert_eq!(segment("../a?b#c\"é"), "..%2Fa%3Fb%23c%22%C3%A9");
    }
}
