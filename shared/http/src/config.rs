//! The environment of a function, read once at its start.
//!
//! ```no_run
//! use seatkeeper_http::config::{Env, EdgeConfig};
//! use seatkeeper_http::caller::ClaimNames;
//!
//! struct Config { edge: EdgeConfig, claims: ClaimNames, uploads: String }
//!
//! # fn main() -> Result<(), seatkeeper_http::config::InvalidEnvironment> {
//! let mut env = Env::read();
//! let edge = env.edge();
//! let claims = env.claim_names();
//! let uploads = env.required("UPLOAD_BUCKET");
//! let config = env.finish(|| Some(Config { edge: edge?, claims: claims?, uploads: uploads? }))?;
//! # Ok(()) }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::secrets::Keys;
use tracing::level_filters::LevelFilter;

use crate::caller::ClaimNames;

/// The variables, and what is wrong with those that were asked for. Values are never shown.
pub struct Env {
    variables: HashMap<String, String>,
    faults: Vec<Fault>,
}

/// One variable at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    name: &'static str,
    /// What it has to be; `None` if it is missing.
    expected: Option<String>,
}

/// The environment lacks variables or has unusable ones; all of them are named.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidEnvironment(Vec<Fault>);

// A `main` that returns an error shows it in this form: the operator reads the sentence.
impl fmt::Debug for InvalidEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the function's environment is not usable: ")?;
        for (place, Fault { name, expected }) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            match expected {
                None => write!(f, "{separator}{name} is missing")?,
                Some(expected) => write!(f, "{separator}{name}: {expected}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidEnvironment {}

/// What every function that answers requests is given.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The table.
    pub table_name: String,
    /// The keys derived from the stack's root key.
    pub keys: Keys,
    /// The address of public pages, without a final slash.
    pub page_base_url: String,
    /// The languages of pages and mails.
    pub languages: Languages,
    /// What a password must be.
    pub passwords: PasswordPolicy,
}

impl Env {
    /// Reads the environment of this process.
    pub fn read() -> Self {
        let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from_pairs(std::env::vars_os().filter_map(readable))
    }

    /// An environment of these variables.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let filled = pairs.into_iter().filter(|(_, value)| !value.trim().is_empty());
        Self { variables: filled.collect(), faults: Vec::new() }
    }

    /// A text that has to be there. `None` when it is not, which is remembered.
    pub fn required(&mut self, name: &'static str) -> Option<String> {
        let value = self.variables.get(name).cloned();
        if value.is_none() {
            self.faults.push(Fault { name, expected: None });
        }
        value
    }

    /// A value that has to be there and that `parse` takes; else what it says is remembered, which
    /// has to leave the value out.
    pub fn required_as<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.required(name)?;
        self.parse(name, &value, parse)
    }

    /// A value that may be missing, `default` then.
    pub fn optional<T: FromStr>(&mut self, name: &'static str, default: T) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let Some(value) = self.variables.get(name).cloned() else {
            return Some(default);
        };
        self.parse(name, value.trim(), str::parse)
    }

    fn parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.faults.push(Fault { name, expected: Some(error.to_string()) });
                None
            }
        }
    }

    /// `ROOT_KEY`: at least 32 characters.
    pub fn keys(&mut self) -> Option<Keys> {
        self.required_as("ROOT_KEY", Keys::derive)
    }

    /// `LANGUAGES`: a list such as `en,fr`.
    pub fn languages(&mut self) -> Option<Languages> {
        self.required("LANGUAGES").map(|list| Languages::from_list(&list))
    }

    /// `PAGE_BASE_URL`: where public pages are, without a final slash.
    pub fn page_base_url(&mut self) -> Option<String> {
        self.required_as("PAGE_BASE_URL", |url| {
            let url = url.trim();
            let is_url = url.starts_with("https://") || url.starts_with("http://");
            let fits = is_url && !url.ends_with('/') && !url.contains(['?', '#', ' ']);
            fits.then(|| url.to_owned()).ok_or("expected a URL without final slash and query")
        })
    }

    /// `PASSWORD_MIN_LENGTH`: 8 to 64, 12 when not said. (Fewer than 8 is below NIST SP 800-63B;
    /// it asks to permit 64.)
    pub fn passwords(&mut self) -> Option<PasswordPolicy> {
        let default = PasswordPolicy::default().min_length;
        let min_length = self.optional("PASSWORD_MIN_LENGTH", default)?;
        if !(8..=64).contains(&min_length) {
            let expected = Some("expected 8 to 64".to_owned());
            self.faults.push(Fault { name: "PASSWORD_MIN_LENGTH", expected });
        }
        Some(PasswordPolicy { min_length })
    }

    /// `CLAIM_CLIENT`, `CLAIM_ROLE`, `CLAIM_GROUPS`: names of claims.
    pub fn claim_names(&mut self) -> Option<ClaimNames> {
        let client = self.required("CLAIM_CLIENT");
        let role = self.required("CLAIM_ROLE");
        let groups = self.required("CLAIM_GROUPS");
        Some(ClaimNames { client: client?, role: role?, groups: groups? })
    }

    /// What every function that answers requests is given.
    pub fn edge(&mut self) -> Option<EdgeConfig> {
        let table_name = self.required("TABLE_NAME");
        let keys = self.keys();
        let page_base_url = self.page_base_url();
        let languages = self.languages();
        let passwords = self.passwords();
        Some(EdgeConfig {
            table_name: table_name?,
            keys: keys?,
            page_base_url: page_base_url?,
            languages: languages?,
            passwords: passwords?,
        })
    }

    /// `LOG_LEVEL`: `error`, `warn`, `info` (when not said), `debug` or `trace`.
    pub(crate) fn log_level(&mut self) -> LevelFilter {
        self.optional("LOG_LEVEL", LevelFilter::INFO).unwrap_or(LevelFilter::INFO)
    }

    /// Ends reading: names every variable at fault, or gives what `build` makes of the values.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, InvalidEnvironment> {
        if !self.faults.is_empty() {
            return Err(InvalidEnvironment(self.faults));
        }
        build().ok_or(InvalidEnvironment(self.faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    const GOOD: [(&str, &str); 4] = [
        ("TABLE_NAME", "seats"),
        ("ROOT_KEY", "0123456789abcdef0123456789abcdef"),
        ("PAGE_BASE_URL", "https://seats.example.org"),
        ("LANGUAGES", "en,fr"),
    ];

    #[test]
    fn every_missing_and_unusable_variable_is_named_at_once_and_no_value_is_shown() {
        let mut env = env(&[
            ("ROOT_KEY", "hunter2"),
            ("PAGE_BASE_URL", "https://seats.example.org/"),
            ("LANGUAGES", " "),
            ("PASSWORD_MIN_LENGTH", "4"),
            ("LOG_LEVEL", "loud"),
            ("CLAIM_ROLE", "role"),
        ]);
        let edge = env.edge();
        let claims = env.claim_names();
        env.log_level();
        let error = env.finish(|| Some((edge?, claims?))).expect_err("faults").to_string();
        for name in [
            "TABLE_NAME is missing",
            "ROOT_KEY: the root key needs at least 32",
            "PAGE_BASE_URL: expected",
            "LANGUAGES is missing",
            "PASSWORD_MIN_LENGTH: expected 8 to 64",
            "CLAIM_CLIENT is missing",
            "CLAIM_GROUPS is missing",
            "LOG_LEVEL",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
        assert!(!error.contains("CLAIM_ROLE"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("loud"), "{error}");
    }

    #[test]
    fn a_good_environment_becomes_a_configuration() {
        let mut env = env(&GOOD);
        let edge = env.edge();
        let config = env.finish(|| edge).expect("a good environment");
        assert_eq!(config.table_name, "seats");
        assert_eq!(config.page_base_url, "https://seats.example.org");
        assert_eq!(config.languages.to_string(), "en, fr");
        assert_eq!(config.passwords.min_length, 12);
    }

    #[test]
    fn the_log_level_is_info_unless_it_says_otherwise() {
        assert_eq!(env(&[]).log_level(), LevelFilter::INFO);
        assert_eq!(env(&[("LOG_LEVEL", "debug")]).log_level(), LevelFilter::DEBUG);
        assert_eq!(env(&[("LOG_LEVEL", "WARN")]).log_level(), LevelFilter::WARN);
    }
}
