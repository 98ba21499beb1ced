//! E-mail addresses, normalized once, so that one person is one learner.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A normalized address: trimmed, case folded, its domain in punycode.
///
/// `Debug` shows no address, so that none reaches a log by accident; `Display` does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EmailAddress(String);

/// Why a text is no address that mail can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// There is nothing but blanks.
    #[error("an e-mail address is missing")]
    Missing,
    /// It is not of the form `name@domain.tld`.
    #[error("expected one address like name@example.com")]
    Form,
}

/// Longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// Longest address, in bytes (RFC 5321, 4.5.3.1.3 less its angle brackets).
const ADDRESS_MAX: usize = 254;

impl EmailAddress {
    /// Reads an address as a person would type or paste it: surrounding and invisible characters
    /// are dropped, `mailto:` too, the case is folded and the domain becomes punycode (UTS 46,
    /// non-transitional).
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let visible = if text.is_ascii() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.chars().filter(|c| !is_invisible(*c)).collect())
        };
        let trimmed = visible.trim();
        if trimmed.is_empty() {
            return Err(InvalidEmail::Missing);
        }
        let address = match trimmed.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => trimmed[7..].trim_start(),
            _ => trimmed,
        };
        let (local, domain) = address.rsplit_once('@').ok_or(InvalidEmail::Form)?;
        if !is_dot_atom(local) || local.len() > LOCAL_MAX {
            return Err(InvalidEmail::Form);
        }
        let domain = ascii_domain(domain).ok_or(InvalidEmail::Form)?;
        let mut address = String::with_capacity(local.len() + 1 + domain.len());
        address.push_str(local);
        address.make_ascii_lowercase();
        address.push('@');
        address.push_str(&domain);
        if address.len() > ADDRESS_MAX { Err(InvalidEmail::Form) } else { Ok(Self(address)) }
    }

    /// Stands where the address of somebody stood who was erased. Nobody can have it (RFC 2606, 2).
    pub fn nobody() -> Self {
        Self("nobody@erased.invalid".to_owned())
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`, in punycode.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Spaces that cling to pasted text, zero-width characters and direction marks.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202f}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}' | '\u{180e}')
}

/// `atext` parts separated by single dots (RFC 5322, 3.2.3).
fn is_dot_atom(text: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.chars().all(atext))
}

fn ascii_domain(domain: &str) -> Option<String> {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    let dotted = ascii.contains('.') && !ascii.ends_with('.');
    let top_is_name = ascii
        .rsplit('.')
        .next()
        .is_some_and(|top| top.bytes().any(|byte| byte.is_ascii_alphabetic()));
    (dotted && top_is_name).then(|| ascii.into_owned())
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        Self::parse(text)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Option<String> {
        EmailAddress::parse(text).ok().map(|address| address.to_string())
    }

    #[test]
    fn one_person_typed_in_many_ways_is_one_address() {
        for text in [
            "line.aubert@example.fr",
            " LINE.Aubert@Example.FR\u{a0}",
            "MailTo:line.aubert@example.fr",
            "line.aubert\u{200b}@example.fr",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("line.aubert@example.fr"), "{text:?}");
        }
        for text in
            ["contact@société.example", "Contact@xn--socit-esab.example", "contact@SOCIÉTÉ.example"]
        {
            assert_eq!(parsed(text).as_deref(), Some("contact@xn--socit-esab.example"));
        }
    }

    #[test]
    fn what_is_no_single_plain_address_is_refused() {
        for text in [
            "a",
            "a@b",
            "a@b.",
            "@b.fr",
            "a@",
            "A B <a@b.fr>",
            "a@b.fr; c@d.fr",
            "\"a b\"@c.fr",
            "a@[1.2.3.4]",
            "é@b.fr",
            "a..b@c.fr",
            ".a@c.fr",
            "a.@c.fr",
            "a@b.fr?subject=x",
            "a@b c.fr",
            "a@-b.fr",
            "a@1.2.3.4",
            "#N/A",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail::Form), "{text:?}");
        }
        assert_eq!(EmailAddress::parse(" \u{feff} "), Err(InvalidEmail::Missing));
        let long = format!("{}@example.fr", "a".repeat(65));
        assert_eq!(EmailAddress::parse(&long), Err(InvalidEmail::Form));
    }

    #[test]
    fn a_debug_print_shows_no_address() {
        let address = EmailAddress::parse("a@b.fr").unwrap();
        assert!(!format!("{address:?}").contains("a@b.fr"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_a_good_one_is_stable(text in "\\PC{0,80}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(EmailAddress::parse(address.as_str()), Ok(address));
            }
        }
    }
}
