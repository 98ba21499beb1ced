//! `/p/{token}`: the page on which a learner sets a password, and the call that has its link mailed.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri};
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::request_password::{RequestPasswordError, request_password};
use seatkeeper_domain::actions::sign_in::{
    PasswordLink, follow_password_link, set_before, set_password,
};
use seatkeeper_domain::client::Client;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, LearnerId};
use seatkeeper_domain::language::Language;
use seatkeeper_domain::learner::{Learner, LearnerStatus};
use seatkeeper_domain::password::{Password, PasswordPolicy};
use seatkeeper_domain::ports::{Catalog as _, Clock as _};
use seatkeeper_http::body::{Fields, Payload, text};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::pages::{
    ClientLook, Notice, PageLanguage, PasswordForm, Site, notice, resolve_language,
    set_password as page_of,
};
use seatkeeper_http::request::{AcceptLanguage, Path, SourceAddress, Wants};
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, person};
use serde_json::json;

use crate::sign_in::{launch, over, suspended, too_many};

/// What the request wants, and where its link leads.
struct Visit<'a> {
    app: &'a App<Store>,
    token: &'a str,
    wants: Wants,
    language: PageLanguage,
    owner: Option<Client>,
    link: PasswordLink,
}

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let visit = visit(&app, &token, &headers, &uri).await?;
    match (&visit.link, visit.kept_out()) {
        (PasswordLink::Live { .. }, Some((_, problem))) => visit.refuse(problem),
        (PasswordLink::Live { learner, .. }, None) => visit.form(learner, None),
        (PasswordLink::Gone { .. } | PasswordLink::Forged, _) => visit.dead(),
    }
}

pub(crate) async fn set(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    request: Repeatable,
    payload: Payload,
) -> Result<Response, Problem> {
    let visit = visit(&app, &token, &headers, &uri).await?;
    let password = match (read(&payload, app.edge.passwords), &visit.link) {
        // A program is told of its body first; in a browser, nothing typed mends a dead link.
        (Err(problem), _) if visit.wants == Wants::Json => return Err(problem),
        (Err(problem), PasswordLink::Live { learner, .. }) => {
            return match visit.kept_out() {
                Some((_, kept_out)) => visit.refuse(kept_out),
                None => visit.form(learner, Some(problem)),
            };
        }
        (Err(_), _) | (Ok(_), PasswordLink::Forged) => return visit.dead(),
        (Ok(password), _) => password,
    };
    let (app, visit, link, password) = (&app, &visit, &visit.link, &password);
    // Also by a link that is used up: the request that used it may come again.
    let work = |op: Op| async move {
        if let Some((_, kept_out)) = visit.kept_out() {
            return Err(kept_out);
        }
        let set = match link {
            PasswordLink::Live { client, learner } => {
                let place = (client, learner.as_ref());
                let set = set_password(&app.store, &app.clock, &app.ids, op, place, password);
                set.await?.then_some(learner.learner_id)
            }
            PasswordLink::Gone { .. } | PasswordLink::Forged => set_before(&app.store, &op).await?,
        };
        Ok(Answer::ok(&json!({"learner_id": set.ok_or_else(gone)?})))
    };
    let answer = app.once().answer("public", &request, &payload, work).await;
    let mut answer = match (answer, visit.wants) {
        (Err(problem), Wants::Html) => return visit.refuse(problem),
        (answer, _) => answer?,
    };
    let learner: Option<LearnerId> =
        answer.body()["learner_id"].as_str().and_then(|id| id.parse().ok());
    let (Some(owner), Some(learner)) = (&visit.owner, learner) else {
        return Err(Problem::not_found());
    };
    let url = launch(app, owner, learner).await?;
    if visit.wants == Wants::Html {
        return Ok(Answer::see_other(url).into_response());
    }
    answer.body_mut()["launch_url"] = json!(url);
    Ok(answer.into_response())
}

fn read(payload: &Payload, passwords: PasswordPolicy) -> Result<Password, Problem> {
    let mut fields = Fields::of(payload)?;
    let password = fields.required("password", person::password(passwords));
    fields.finish(|| password)
}

/// `POST /v1/password-reset`: the same answer for every client and address, because it would tell
/// who has an account.
pub(crate) async fn reset(
    State(app): State<Shared<Store>>,
    source: SourceAddress,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let mut fields = Fields::of(&payload)?;
    let client = fields.required("client", text(1..=100));
    let email = fields.required("email", person::email);
    let (client, email) = fields.finish(|| Some((client?, email?)))?;
    let owner = match client.parse::<ClientId>() {
        Ok(id) => app.store.client(&id).await?,
        Err(_) => None,
    };
    let (app, owner, email, source) = (&app, owner.as_ref(), &email, &source.limiter_key());
    let work = |op: Op| async move {
        if let Some(owner) = owner {
            let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
            request_password(store, clock, keys, op, &owner.client_id, email, source)
                .await
                .map_err(|error| match error {
                    RequestPasswordError::TooMany { wait } => too_many(wait),
                    RequestPasswordError::Store(error) => error.into(),
                })?;
        }
        Ok(Answer::accepted(&json!({"status": "accepted"})))
    };
    app.once().answer("public", &request, &payload, work).await
}

async fn visit<'a>(
    app: &'a App<Store>,
    token: &'a str,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Visit<'a>, Problem> {
    let link = follow_password_link(&app.store, &app.clock, &app.edge.keys, token).await?;
    let owner = match &link {
        PasswordLink::Live { client, .. } | PasswordLink::Gone { client } => {
            app.store.client(client).await?
        }
        PasswordLink::Forged => None,
    };
    let asked = Fields::of_query(uri).optional("lang", |given| given.as_text().map(str::to_owned));
    let own = match &link {
        PasswordLink::Live { learner, .. } => learner.profile.language.as_ref(),
        _ => None,
    };
    let clients = owner.as_ref().map(|owner| &owner.default_language);
    let known = own.into_iter().chain(clients).map(Language::as_str);
    let accepted = AcceptLanguage::of(headers).0;
    let language = resolve_language(asked.as_deref(), &accepted, known);
    Ok(Visit { app, token, wants: Wants::of(headers), language, owner, link })
}

impl Visit<'_> {
    fn site(&self) -> Site<'_> {
        Site {
            page_base: &self.app.edge.page_base_url,
            language: self.language,
            client: self.owner.as_ref().map(ClientLook::of),
        }
    }

    fn form(&self, learner: &Learner, problem: Option<Problem>) -> Result<Response, Problem> {
        if self.wants == Wants::Json {
            return match problem {
                Some(problem) => Err(problem),
                None => Ok(Answer::ok(&json!({"email": learner.email})).into_response()),
            };
        }
        let form = PasswordForm {
            token: self.token,
            email: learner.email.as_str(),
            password_min_length: self.app.edge.passwords.min_length,
        };
        let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.code.status());
        Ok(page_of(&self.site(), &form, problem.as_ref())?.with_status(status))
    }

    /// Why this learner would not be let in with any password, as sign-in says; the link stays what it is.
    fn kept_out(&self) -> Option<(Notice, Problem)> {
        let PasswordLink::Live { learner, .. } = &self.link else { return None };
        match learner.status(self.app.clock.now()) {
            LearnerStatus::Suspended => Some((Notice::AccessSuspended, suspended())),
            LearnerStatus::Ended => Some((Notice::AccessEnded, over())),
            LearnerStatus::Pending | LearnerStatus::Active => None,
        }
    }

    fn dead(&self) -> Result<Response, Problem> {
        match self.link {
            PasswordLink::Forged => self.notice(Notice::UnknownLink, Problem::not_found()),
            _ => self.notice(Notice::PasswordLinkGone, gone()),
        }
    }

    /// A refusal that no form can mend.
    fn refuse(&self, problem: Problem) -> Result<Response, Problem> {
        let shown = match (problem.code, self.kept_out()) {
            (ProblemCode::Gone, _) => Notice::PasswordLinkGone,
            (ProblemCode::Forbidden, Some((shown, _))) => shown,
            _ => Notice::of(&problem),
        };
        self.notice(shown, problem)
    }

    fn notice(&self, shown: Notice, problem: Problem) -> Result<Response, Problem> {
        if self.wants == Wants::Json {
            return Err(problem);
        }
        Ok(notice(&self.site(), shown, None)?.with_status(problem.code.status()))
    }
}

fn gone() -> Problem {
    let detail = "This link was used, replaced, or its time ran out; ask for a new one.";
    Problem::new(ProblemCode::Gone, detail)
}
