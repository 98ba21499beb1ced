//! Clients: the tenants, and how they look to their learners.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize};

use crate::color::Color;
use crate::email::EmailAddress;
use crate::ids::{ClientId, GroupId};
use crate::language::Language;

/// A client: one tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its slug.
    pub client_id: ClientId,
    /// Its name, as learners read it.
    pub name: String,
    /// The language of whoever has none of their own.
    pub default_language: Language,
    /// Where its days begin.
    pub time_zone: Zone,
    /// Where a learner lands, with a `ticket`.
    pub launch_url: HttpsUrl,
    /// How its pages and mails look.
    pub branding: Branding,
    /// Who is told when a stock runs low or a contract ends.
    #[serde(default)]
    pub alerts_to: Vec<AlertRecipient>,
    /// Whether it is served.
    pub status: ClientStatus,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Somebody who looks after a client's contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecipient {
    /// Their address.
    pub email: EmailAddress,
    /// Their language, if it is not the client's.
    pub language: Option<Language>,
}

/// Whether a client is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientStatus {
    /// It is.
    Active,
}

/// How a client's pages and mails look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Branding {
    /// A logo, by https.
    pub logo_url: Option<HttpsUrl>,
    /// The color of buttons and bars.
    pub color: Option<Color>,
    /// The name in front of the sender's address.
    pub from_name: Option<String>,
}

/// A group of a client's learners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub group_id: GroupId,
    /// Its name, unique within the client but for case.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Group {
    /// The form in which names are compared: case and Unicode form ignored, accents not.
    pub fn folded(name: &str) -> String {
        use unicode_normalization::UnicodeNormalization as _;
        name.trim().nfkc().collect::<String>().to_lowercase()
    }
}

/// A time zone by its IANA name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Zone {
    name: String,
    #[serde(skip)]
    zone: TimeZone,
}

/// Why a text names no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IANA time zone such as Europe/Paris")]
pub struct UnknownZone;

impl Zone {
    /// The zone of this IANA name.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(name).map_err(|_| UnknownZone)?;
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Self { name, zone })
    }

    /// The zone itself.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An absolute address that a browser may be sent to: https, or http on this very machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HttpsUrl(String);

/// Why a text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an https address of at most 2000 printable characters")]
pub struct InvalidUrl;

impl HttpsUrl {
    /// Reads an address. `http` is accepted for `localhost` and `127.0.0.1` only.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains(['"', '\'', '<', '>', '\\', '`']);
        let rest = text.strip_prefix("https://").or_else(|| {
            let rest = text.strip_prefix("http://")?;
            let host = rest.split(['/', ':', '?', '#']).next()?;
            matches!(host, "localhost" | "127.0.0.1").then_some(rest)
        });
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        let named = !host.is_empty() && !host.contains('@');
        if plain && named && text.len() <= 2000 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUrl)
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with one more query parameter, before its fragment.
    pub fn with_parameter(&self, name: &str, value: &str) -> String {
        let (base, fragment) = match self.0.split_once('#') {
            Some((base, fragment)) => (base, format!("#{fragment}")),
            None => (self.0.as_str(), String::new()),
        };
        let joint = if base.contains('?') { '&' } else { '?' };
        format!("{base}{joint}{name}={value}{fragment}")
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HttpsUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_joins_the_query_before_the_fragment() {
        let with = |url: &str| HttpsUrl::parse(url).unwrap().with_parameter("ticket", "t");
        assert_eq!(with("https://l.example/a"), "https://l.example/a?ticket=t");
        assert_eq!(with("https://l.example/a?b=c#d"), "https://l.example/a?b=c&ticket=t#d");
    }

    #[test]
    fn only_https_or_this_machine_is_launched() {
        for good in
            ["https://lms.example.com/launch", "http://localhost:8080/x", "http://127.0.0.1/"]
        {
            assert!(HttpsUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://lms.example.com",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://a@b/",
            "http://localhost.evil.com/",
            "https://a.b/\"",
            "https://a b/",
        ] {
            assert!(HttpsUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn zones_go_by_their_iana_name() {
        assert_eq!(Zone::parse("europe/paris").unwrap().to_string(), "Europe/Paris");
        assert!(Zone::parse("Mars/Olympus").is_err());
    }

    #[test]
    fn group_names_differ_by_accents_but_not_by_case_or_form() {
        assert_eq!(Group::folded("Re\u{301}gion Nord"), Group::folded("RÉGION NORD"));
        assert_ne!(Group::folded("Region Nord"), Group::folded("Région Nord"));
    }
}
