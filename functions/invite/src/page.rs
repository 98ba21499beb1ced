//! The invitation page, and the pages that say why there is none.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use http::request::Parts;
use jiff::SignedDuration;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::invitations::{LinkClosed, OpenedLink};
use seatkeeper_domain::dates::local_date;
use seatkeeper_domain::language::Language;
use seatkeeper_http::body::{Fields, Payload, verbatim};
use seatkeeper_http::pages::{
    self, ClientLook, InvitationForm, Notice, Page, PageLanguage, RenderError, Site,
    resolve_language,
};
use seatkeeper_http::request::{AcceptLanguage, Wants};
use seatkeeper_http::{App, Problem, ProblemCode};

/// Longest entry that is shown again.
const SHOWN_MAX: usize = 500;

/// How the answer is wanted: the kind and the language.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) wants: Wants,
    lang: Option<String>,
    accepted: AcceptLanguage,
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            wants: Wants::of(&parts.headers),
            // Other parameters, such as those a mail provider adds, are nobody's business here.
            lang: Fields::of_query(&parts.uri).optional("lang", verbatim(1..=SHOWN_MAX)),
            accepted: AcceptLanguage::of(&parts.headers),
        })
    }
}

/// What was typed, to be shown again. A password never is.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    first_name: String,
    last_name: String,
}

impl Typed {
    pub(crate) fn of(payload: &Payload) -> Self {
        let Ok(mut fields) = Fields::of(payload) else { return Self::default() };
        let mut typed = |name| fields.optional(name, verbatim(0..=SHOWN_MAX)).unwrap_or_default();
        Self { first_name: typed("first_name"), last_name: typed("last_name") }
    }
}

/// Whether filling in the form again cannot help.
pub(crate) fn is_final(problem: &Problem) -> bool {
    matches!(
        problem.code,
        ProblemCode::Gone
            | ProblemCode::AlreadyAccepted
            | ProblemCode::NotFound
            | ProblemCode::ContractEnded
    )
}

/// The form, with what is wrong with the last try.
pub(crate) fn form<'a>(
    app: &App<Store>,
    opened: &'a OpenedLink,
    token: &str,
    typed: &'a Typed,
    ask: &Ask,
    problem: Option<&Problem>,
) -> Response {
    let (client, invitation) = (&opened.client, &opened.invitation);
    // What was typed with the code comes first; an entry that was emptied stays empty.
    let code = invitation.redeems.as_ref().filter(|_| problem.is_none());
    let known = |name: Option<&'a String>, typed: &'a str| name.map_or(typed, String::as_str);
    let first_name = known(code.and_then(|code| code.first_name.as_ref()), &typed.first_name);
    let last_name = known(code.and_then(|code| code.last_name.as_ref()), &typed.last_name);
    // One that ends at a midnight has its last day before it.
    let last = invitation.expires_at - SignedDuration::from_secs(1);
    let form = InvitationForm {
        token,
        email: invitation.email.as_str(),
        by_code: invitation.redeems.is_some(),
        inviter: invitation.inviter.as_deref(),
        expires_on: local_date(last, client.time_zone.zone()),
        password_min_length: app.edge.passwords.min_length,
        first_name,
        last_name,
    };
    let page = pages::invitation(&site(app, Some(opened), ask), &form, problem);
    rendered(page, problem)
}

/// The page that asks whether there shall be no more reminders.
pub(crate) fn stop_form(app: &App<Store>, opened: &OpenedLink, token: &str, ask: &Ask) -> Response {
    rendered(pages::stop_reminders(&site(app, Some(opened), ask), token), None)
}

/// A refusal that no form can mend: a page for a browser, a problem for a program.
pub(crate) fn refuse(
    app: &App<Store>,
    opened: Option<&OpenedLink>,
    token: &str,
    ask: &Ask,
    problem: Problem,
) -> Response {
    if ask.wants == Wants::Json {
        return problem.into_response();
    }
    let closed = opened.and_then(|opened| opened.closed);
    let by_code = opened.is_some_and(|opened| opened.invitation.redeems.is_some());
    let reason = match (problem.code, closed) {
        (ProblemCode::Gone, Some(LinkClosed::Expired)) if by_code => Notice::ProofExpired,
        (ProblemCode::Gone, Some(LinkClosed::Declined)) if by_code => Notice::ProofDeclined,
        // Only by answering it turns out that the batch was stopped.
        (ProblemCode::Gone, None) if by_code => Notice::ProofClosed,
        (ProblemCode::AlreadyAccepted, _) if by_code => Notice::ProofDone,
        (ProblemCode::Gone, Some(LinkClosed::Expired)) => Notice::InvitationExpired,
        (ProblemCode::Gone, Some(LinkClosed::Cancelled)) => Notice::InvitationCancelled,
        (ProblemCode::Gone, Some(LinkClosed::Declined)) => Notice::InvitationDeclined,
        _ => Notice::of(&problem),
    };
    rendered(page_of(app, opened, token, ask, reason), Some(&problem))
}

/// A page that says what happened.
pub(crate) fn notice(
    app: &App<Store>,
    opened: Option<&OpenedLink>,
    token: &str,
    ask: &Ask,
    reason: Notice,
) -> Response {
    rendered(page_of(app, opened, token, ask, reason), None)
}

fn page_of(
    app: &App<Store>,
    opened: Option<&OpenedLink>,
    token: &str,
    ask: &Ask,
    reason: Notice,
) -> Result<Page, RenderError> {
    // Only the path of a genuine token is written into a page.
    let path = opened.map(|_| format!("/i/{token}"));
    pages::notice(&site(app, opened, ask), reason, path.as_deref())
}

fn rendered(page: Result<Page, RenderError>, problem: Option<&Problem>) -> Response {
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

fn site<'a>(app: &'a App<Store>, opened: Option<&'a OpenedLink>, ask: &Ask) -> Site<'a> {
    Site {
        page_base: &app.edge.page_base_url,
        language: language(opened, ask),
        client: opened.map(|opened| ClientLook::of(&opened.client)),
    }
}

/// The language asked for, the browser's, the invitation's, the client's.
fn language(opened: Option<&OpenedLink>, ask: &Ask) -> PageLanguage {
    let own = opened.and_then(|opened| opened.invitation.grant.language.as_ref());
    let clients = opened.map(|opened| &opened.client.default_language);
    let known = own.into_iter().chain(clients).map(Language::as_str);
    resolve_language(ask.lang.as_deref(), &ask.accepted.0, known)
}
