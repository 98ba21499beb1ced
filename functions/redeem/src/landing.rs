//! `GET /{client}` and `GET /{client}/{code}`: they show, and change nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::RETRY_AFTER;
use http::{StatusCode, Uri};
use seatkeeper_domain::client::Client;
use seatkeeper_domain::ports::Catalog as _;
use seatkeeper_http::body::{Fields, Payload, verbatim};
use seatkeeper_http::pages::{
    self, ClientLook, LandingForm, Notice, PageLanguage, RenderError, Site, resolve_language,
};
use seatkeeper_http::request::{AcceptLanguage, Path, Wants};
use seatkeeper_http::{Answer, Problem};
use serde_json::json;

use crate::Redeeming;

/// Longest entry that is shown again.
const SHOWN_MAX: usize = 500;

pub(crate) async fn page(
    State(state): State<Arc<Redeeming>>,
    Path(client): Path<String>,
    ask: Ask,
) -> Response {
    show(&state, &client, String::new(), &ask).await
}

pub(crate) async fn page_with_code(
    State(state): State<Arc<Redeeming>>,
    Path((client, code)): Path<(String, String)>,
    ask: Ask,
) -> Response {
    show(&state, &client, code, &ask).await
}

/// How the answer is wanted: the kind and the language.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) wants: Wants,
    lang: Option<String>,
    accepted: AcceptLanguage,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Ask {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self {
            wants: Wants::of(&parts.headers),
            lang: lang(&parts.uri),
            accepted: AcceptLanguage::of(&parts.headers),
        })
    }
}

/// `?lang=`; other parameters, such as those of campaigns, are nobody's business here.
fn lang(uri: &Uri) -> Option<String> {
    Fields::of_query(uri).optional("lang", verbatim(1..=SHOWN_MAX))
}

/// What was typed, to be shown again.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    code: String,
    email: String,
    first_name: String,
    last_name: String,
}

impl Typed {
    pub(crate) fn of(payload: &Payload) -> Self {
        let Ok(mut fields) = Fields::of(payload) else { return Self::default() };
        let mut typed = |name| fields.optional(name, verbatim(0..=SHOWN_MAX)).unwrap_or_default();
        Self {
            code: typed("code"),
            email: typed("email"),
            first_name: typed("first_name"),
            last_name: typed("last_name"),
        }
    }
}

/// The client of a path, if there is one.
pub(crate) async fn client_of(state: &Redeeming, client: &str) -> Result<Client, Problem> {
    let id = client.parse().map_err(|_| Problem::not_found())?;
    state.store.client(&id).await?.ok_or_else(Problem::not_found)
}

async fn show(state: &Redeeming, client: &str, code: String, ask: &Ask) -> Response {
    let client = match client_of(state, client).await {
        Ok(client) => client,
        Err(problem) => return refuse(state, None, ask, problem),
    };
    match ask.wants {
        Wants::Html => form(state, &client, &Typed { code, ..Typed::default() }, ask, None),
        Wants::Json => Answer::ok(&json!({
            "client_id": client.client_id, "name": client.name, "branding": client.branding,
            "default_language": client.default_language,
        }))
        .into_response(),
    }
}

/// The form, with what is wrong with the last try.
pub(crate) fn form(
    state: &Redeeming,
    client: &Client,
    typed: &Typed,
    ask: &Ask,
    problem: Option<&Problem>,
) -> Response {
    let form = LandingForm {
        client_id: client.client_id.as_str(),
        code: &typed.code,
        email: &typed.email,
        first_name: &typed.first_name,
        last_name: &typed.last_name,
        password_min_length: state.edge.passwords.min_length,
    };
    let page = pages::landing(&site(state, Some(client), ask), &form, problem);
    rendered(page, problem)
}

/// The page that says to look for a mail.
pub(crate) fn proof_sent(state: &Redeeming, client: &Client, ask: &Ask) -> Response {
    match pages::notice(&site(state, Some(client), ask), Notice::ProofSent, None) {
        Ok(page) => page.with_status(StatusCode::ACCEPTED),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// A refusal that no form can mend: a page for a browser, a problem for a program.
pub(crate) fn refuse(
    state: &Redeeming,
    client: Option<&Client>,
    ask: &Ask,
    problem: Problem,
) -> Response {
    match ask.wants {
        Wants::Json => problem.into_response(),
        Wants::Html => {
            let page = pages::notice(&site(state, client, ask), Notice::of(&problem), None);
            rendered(page, Some(&problem))
        }
    }
}

fn rendered(page: Result<pages::Page, RenderError>, problem: Option<&Problem>) -> Response {
    let status = problem.map_or(StatusCode::OK, |problem| problem.code.status());
    let mut response = match page {
        Ok(page) => page.with_status(status),
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Some(problem) = problem {
        // The summary line names the code of a page, too.
        response.extensions_mut().insert(problem.code);
        if let Some(seconds) = problem.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
    }
    response
}

fn site<'a>(state: &'a Redeeming, client: Option<&'a Client>, ask: &Ask) -> Site<'a> {
    Site {
        page_base: &state.edge.page_base_url,
        language: language(client, ask),
        client: client.map(ClientLook::of),
    }
}

fn language(client: Option<&Client>, ask: &Ask) -> PageLanguage {
    let default = client.map(|client| client.default_language.as_str());
    resolve_language(ask.lang.as_deref(), &ask.accepted.0, default)
}
