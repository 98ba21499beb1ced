//! `GET` and `POST /i/{token}` and `…/unsubscribe`, `POST …/decline`: a `GET` shows and changes nothing,
//! because mail scanners follow links too.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::close_invitation::decline_invitation;
use seatkeeper_domain::actions::invitations::{OpenedLink, open_invitation_link};
use seatkeeper_domain::actions::stop_reminders::stop_reminders;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::LearnerId;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_http::body::{Fields, Payload, text, verbatim};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::pages::Notice;
use seatkeeper_http::request::{Path, Wants};
use seatkeeper_http::telemetry::{Dimension, Unit, emit_metric};
use seatkeeper_http::{Answer, App, Problem, Shared, person};
use serde_json::json;

use crate::page::{self, Ask, Typed};

/// Who calls, for the idempotency record: whoever holds the link, which is part of the path.
const CALLER: &str = "learner";

/// Longest password that is looked at, in characters.
const PASSWORD_MAX: usize = 4_096;

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    ask: Ask,
) -> Response {
    let opened = match opened(&app, &token).await {
        Ok(opened) => opened,
        Err(problem) => return page::refuse(&app, None, &token, &ask, problem),
    };
    match (opened.closed, ask.wants) {
        (Some(closed), _) => page::refuse(&app, Some(&opened), &token, &ask, closed.into()),
        (None, Wants::Html) => page::form(&app, &opened, &token, &Typed::default(), &ask, None),
        (None, Wants::Json) => shown(&opened).into_response(),
    }
}

pub(crate) async fn accept(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    ask: Ask,
    request: Repeatable,
    payload: Payload,
) -> Response {
    let wants = ask.wants;
    let read = read(&payload, app.edge.passwords);
    if let (Wants::Json, Err(problem)) = (wants, &read) {
        return problem.clone().into_response();
    }
    let opened = match opened(&app, &token).await {
        Ok(opened) => opened,
        Err(problem) => return page::refuse(&app, None, &token, &ask, problem),
    };
    let answer = match read {
        Ok(form) => answer(&app, &opened, form, &request, &payload).await,
        // Nothing typed mends a link that is closed.
        Err(problem) => Err(opened.closed.map_or(problem, Problem::from)),
    };
    match (answer, wants) {
        (Ok(answer), Wants::Json) => answer.into_response(),
        (Ok(answer), Wants::Html) => {
            let launch = answer.body()["launch_url"].as_str().unwrap_or_default();
            Answer::see_other(launch).into_response()
        }
        (Err(problem), Wants::Json) => problem.into_response(),
        (Err(problem), Wants::Html) if page::is_final(&problem) => {
            page::refuse(&app, Some(&opened), &token, &ask, problem)
        }
        (Err(problem), Wants::Html) => {
            let typed = Typed::of(&payload);
            page::form(&app, &opened, &token, &typed, &ask, Some(&problem))
        }
    }
}

pub(crate) async fn decline(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    ask: Ask,
    request: Repeatable,
    payload: Payload,
) -> Response {
    // The page's form has no fields, and what else a browser may send with it is not looked at.
    let unread = Fields::of_optional(&payload).and_then(|fields| fields.finish(|| Some(())));
    if let (false, Err(problem)) = (payload.is_form(), unread) {
        return page::refuse(&app, None, &token, &ask, problem);
    }
    let opened = match opened(&app, &token).await {
        Ok(opened) => opened,
        Err(problem) => return page::refuse(&app, None, &token, &ask, problem),
    };
    let (client, version) = (&opened.client.client_id, opened.version);
    let id = opened.invitation.invitation_id;
    let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
    let work = |op: Op| async move {
        decline_invitation(store, clock, keys, op, client, id, version).await?;
        Ok(Answer::ok(&json!({"status": "declined"})))
    };
    match (app.once().answer(CALLER, &request, &payload, work).await, ask.wants) {
        (Ok(answer), Wants::Json) => answer.into_response(),
        (Ok(_), Wants::Html) => {
            let by_code = opened.invitation.redeems.is_some();
            let told = if by_code { Notice::ProofDeclined } else { Notice::InvitationDeclined };
            page::notice(&app, Some(&opened), &token, &ask, told)
        }
        (Err(problem), _) => page::refuse(&app, Some(&opened), &token, &ask, problem),
    }
}

/// The page that asks whether there shall be no more reminders.
pub(crate) async fn ask_to_stop(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    ask: Ask,
) -> Response {
    match (opened(&app, &token).await, ask.wants) {
        (Err(problem), _) => page::refuse(&app, None, &token, &ask, problem),
        (Ok(opened), Wants::Html) => page::stop_form(&app, &opened, &token, &ask),
        (Ok(opened), Wants::Json) => {
            let unwanted = opened.invitation.reminders_unwanted;
            Answer::ok(&json!({"reminders_unwanted": unwanted})).into_response()
        }
    }
}

/// Stops the reminders. Mail programs call this themselves, with a body of their own.
pub(crate) async fn stop(
    State(app): State<Shared<Store>>,
    Path(token): Path<String>,
    ask: Ask,
    request: Repeatable,
    payload: Payload,
) -> Response {
    let opened = match opened(&app, &token).await {
        Ok(opened) => opened,
        Err(problem) => return page::refuse(&app, None, &token, &ask, problem),
    };
    let (client, id) = (&opened.client.client_id, opened.invitation.invitation_id);
    let (store, clock) = (&app.store, &app.clock);
    let work = |op: Op| async move {
        stop_reminders(store, clock, op, client, id).await?;
        Ok(Answer::ok(&json!({"reminders_unwanted": true})))
    };
    match (app.once().answer(CALLER, &request, &payload, work).await, ask.wants) {
        (Ok(answer), Wants::Json) => answer.into_response(),
        (Ok(_), Wants::Html) => {
            page::notice(&app, Some(&opened), &token, &ask, Notice::RemindersStopped)
        }
        (Err(problem), _) => page::refuse(&app, Some(&opened), &token, &ask, problem),
    }
}

/// What the link leads to; a forged one leads nowhere.
async fn opened(app: &App<Store>, token: &str) -> Result<OpenedLink, Problem> {
    let now = app.clock.now();
    let opened = open_invitation_link(&app.store, &app.edge.keys, now, token).await?;
    opened.ok_or_else(Problem::not_found)
}

/// What a program is shown of an open invitation.
fn shown(opened: &OpenedLink) -> Answer {
    let (client, invitation) = (&opened.client, &opened.invitation);
    Answer::ok(&json!({
        "client_id": client.client_id, "client_name": client.name, "branding": client.branding,
        "email": invitation.email, "status": "pending", "language": invitation.grant.language,
        "start_on": invitation.grant.start_on, "expires_at": invitation.expires_at,
    }))
}

/// The form of the page.
struct Form {
    first_name: String,
    last_name: String,
    password: String,
}

fn read(payload: &Payload, passwords: PasswordPolicy) -> Result<Form, Problem> {
    let mut fields = Fields::of(payload)?;
    let first_name = fields.required("first_name", text(1..=person::NAME_MAX));
    let last_name = fields.required("last_name", text(1..=person::NAME_MAX));
    // Where an account has a password already, what is typed here does not matter, and only accepting
    // tells. But who has to mend the form anyway is told of a weak one at once.
    let form_comes_again = fields.is_refused();
    let password = fields.required("password", |given| {
        let typed = verbatim(1..=PASSWORD_MAX)(given)?;
        if form_comes_again {
            person::password(passwords)(given)?;
        }
        Ok(typed)
    });
    fields.finish(|| {
        Some(Form { first_name: first_name?, last_name: last_name?, password: password? })
    })
}

async fn answer(
    app: &App<Store>,
    opened: &OpenedLink,
    form: Form,
    request: &Repeatable,
    payload: &Payload,
) -> Result<Answer, Problem> {
    let client = &opened.client;
    let command = &AcceptInvitation {
        client_id: client.client_id.clone(),
        invitation_id: opened.invitation.invitation_id,
        version: opened.version,
        first_name: form.first_name,
        last_name: form.last_name,
        password: app.edge.passwords.check(&form.password),
    };
    let (store, clock, ids, keys) = (&app.store, &app.clock, &app.ids, &app.edge.keys);
    let by_code = opened.invitation.redeems.is_some();
    let work = |op: Op| async move {
        let accepted = accept_invitation(store, clock, ids, keys, op, command).await?;
        if by_code {
            let by = [(Dimension::Outcome, "redeemed")];
            emit_metric("Seatkeeper", "Codes", 1.0, Unit::Count, &by);
        }
        Ok(Answer::ok(&json!({
            "learner_id": accepted.learner_id, "password_kept": accepted.password_kept,
        })))
    };
    let mut answer = app.once().answer(CALLER, request, payload, work).await?;
    // A ticket is for one minute and one use: every answer, also a replayed one, has its own.
    let learner: Option<LearnerId> =
        answer.body()["learner_id"].as_str().and_then(|id| id.parse().ok());
    let unread = || StoreError::Broken("an acceptance without a learner".to_owned());
    let learner = learner.ok_or_else(unread)?;
    let ticket = issue_ticket(store, clock, ids, keys, &client.client_id, learner).await?;
    answer.body_mut()["launch_url"] = json!(client.launch_url.with_parameter("ticket", &ticket));
    Ok(answer)
}
