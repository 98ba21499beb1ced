//! The pages that learners meet: accept an invitation, redeem a code, choose a password, and what
//! to do when none of these is possible.
//!
//! They are rendered here, work without a script and load nothing from elsewhere but the client's
//! logo. One small script of their own lets a password be shown and says how long it is.
//! A form's action and its language links carry `?lang=`, so that the language stays; read it on
//! `POST` too. A page never contains a password.

mod form;
mod language;
mod notice;
mod sheet;
mod shell;
mod texts;

#[cfg(test)]
mod tests;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use seatkeeper_domain::color::Color;

use seatkeeper_domain::client::{Client, HttpsUrl};

use crate::problem::Problem;

pub use form::{
    InvitationForm, LandingForm, PasswordForm, invitation, landing, set_password, stop_reminders,
};
pub use language::{PageLanguage, available_languages, resolve_language};
pub use notice::{Notice, notice};
pub use sheet::{CodeSheet, PrintedCode, code_sheet};

/// Where a page stands and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The base of every public page, without a final slash.
    pub page_base: &'a str,
    /// The language of the page.
    pub language: PageLanguage,
    /// The client, where it is known: a page about an unknown link shows none.
    pub client: Option<ClientLook<'a>>,
}

/// How a client looks on its pages.
#[derive(Debug, Clone, Copy)]
pub struct ClientLook<'a> {
    /// The client's name.
    pub name: &'a str,
    /// The client's color; [`Color::DEFAULT`] if it has none.
    pub color: Option<Color>,
    /// The client's logo, shown if its address begins with `https://`.
    pub logo_url: Option<&'a str>,
    /// Where learners land and sign in. Forms may be redirected to its origin.
    pub launch_url: &'a str,
}

impl<'a> ClientLook<'a> {
    /// How this client looks.
    pub fn of(client: &'a Client) -> Self {
        Self {
            name: &client.name,
            color: client.branding.color,
            logo_url: client.branding.logo_url.as_ref().map(HttpsUrl::as_str),
            launch_url: client.launch_url.as_str(),
        }
    }
}

/// A page, ready to be answered with a status.
#[derive(Debug, Clone)]
pub struct Page {
    /// The document.
    pub html: String,
    /// Its headers: content type and language, content security policy, and what keeps it out of
    /// caches, indexes, frames and referrers.
    pub headers: HeaderMap,
}

impl Page {
    /// The page as an answer with this status.
    pub fn with_status(self, status: StatusCode) -> Response {
        (status, self.headers, self.html).into_response()
    }
}

/// A page's template could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("the page could not be rendered")]
pub struct RenderError(#[from] askama::Error);

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Self::internal(&error)
    }
}
