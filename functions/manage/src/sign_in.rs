//! Signing in with address and password.

use axum::extract::State;
use jiff::SignedDuration;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::sign_in::{SignIn, sign_in as check};
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::ids::{ClientId, LearnerId};
use seatkeeper_domain::password::PasswordHash;
use seatkeeper_domain::ports::Catalog as _;
use seatkeeper_http::body::{Fields, Payload, text, verbatim};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::SourceAddress;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, person};
use serde_json::json;

/// Longest password that is looked at, in characters.
const PASSWORD_MAX: usize = 1_024;

/// A repeated request leads to the same learner, with a ticket of its own.
pub(crate) async fn sign_in(
    State(app): State<Shared<Store>>,
    source: SourceAddress,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let mut fields = Fields::of(&payload)?;
    let client = fields.required("client", text(1..=100));
    let email = fields.required("email", person::email);
    let password = fields.required("password", verbatim(1..=PASSWORD_MAX));
    let (client, email, password) = fields.finish(|| Some((client?, email?, password?)))?;
    let owner = match client.parse::<ClientId>() {
        Ok(id) => app.store.client(&id).await?,
        Err(_) => None,
    };
    let Some(owner) = owner else {
        PasswordHash::match_nothing(&password);
        return Err(refused());
    };
    let (app, owner, keys) = (&app, &owner, &app.edge.keys);
    let typed = (&email, password.as_str());
    let source = &source.limiter_key();
    let work = |_| async move {
        let client = &owner.client_id;
        match check(&app.store, &app.clock, keys, client, typed, source).await? {
            SignIn::Welcome(learner) => Ok(Answer::ok(&json!({"learner_id": learner.learner_id}))),
            SignIn::MustChange(link) => {
                let url = format!("{}{}", app.edge.page_base_url, link.path(keys));
                let body = json!({"launch_url": url, "must_change_password": true});
                Ok(Answer::ok(&body))
            }
            SignIn::Suspended => Err(suspended()),
            SignIn::Over => Err(over()),
            SignIn::Refused => Err(refused()),
            SignIn::TooManyTries { wait } => Err(too_many(wait)),
        }
    };
    let mut answer = app.once().answer("public", &request, &payload, work).await?;
    let learner = answer.body()["learner_id"].as_str().and_then(|id| id.parse().ok());
    if let Some(learner) = learner {
        *answer.body_mut() = json!({"launch_url": launch(app, owner, learner).await?});
    }
    Ok(answer)
}

/// The client's launch address with a new ticket.
pub(crate) async fn launch(
    app: &App<Store>,
    owner: &Client,
    learner: LearnerId,
) -> Result<String, Problem> {
    let (ports, keys) = (&app.store, &app.edge.keys);
    let ticket = issue_ticket(ports, &app.clock, &app.ids, keys, &owner.client_id, learner).await?;
    Ok(owner.launch_url.with_parameter("ticket", &ticket))
}

/// Too many tries; the wait is rounded up to whole seconds.
pub(crate) fn too_many(wait: SignedDuration) -> Problem {
    let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(1);
    let detail = "Too many tries with this address or from here. Wait, then try again.";
    Problem::new(ProblemCode::TooManyRequests, detail).retry_after(seconds)
}

/// An administrator keeps this learner out.
pub(crate) fn suspended() -> Problem {
    let detail = "This access is suspended. Your administrator can open it again.";
    Problem::new(ProblemCode::Forbidden, detail)
}

/// No seat of this learner is open, and none will be.
pub(crate) fn over() -> Problem {
    let detail = "Your access has ended. Your administrator can give you a new seat.";
    Problem::new(ProblemCode::Forbidden, detail)
}

fn refused() -> Problem {
    let detail = "The address and the password do not go together here; try again, or ask your \
                  administrator for a new link.";
    Problem::new(ProblemCode::Unauthorized, detail)
}
