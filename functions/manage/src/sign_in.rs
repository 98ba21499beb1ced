//! Signing in with address and password.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::sign_in::{SignIn, sign_in as check};
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::ids::{ClientId, LearnerId};
use seatkeeper_domain::password::PasswordHash;
use seatkeeper_domain::ports::Catalog as _;
use seatkeeper_http::body::{Fields, Payload, text, verbatim};
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, person};
use serde_json::json;

/// Longest password that is looked at, in characters.
const PASSWORD_MAX: usize = 1_024;

/// An `Idempotency-Key` changes nothing here: each sign-in issues its own ticket.
pub(crate) async fn sign_in(
    State(app): State<Shared<Store>>,
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
    let keys = &app.edge.keys;
    match check(&app.store, &app.clock, keys, &owner.client_id, &email, &password).await? {
        SignIn::Welcome(learner) => {
            let url = launch(&app, &owner, learner.learner_id).await?;
            Ok(Answer::ok(&json!({"launch_url": url})))
        }
        SignIn::MustChange(link) => {
            let url = format!("{}{}", app.edge.page_base_url, link.path(keys));
            Ok(Answer::ok(&json!({"launch_url": url, "must_change_password": true})))
        }
        SignIn::Refused => Err(refused()),
    }
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

fn refused() -> Problem {
    let detail = "The address and the password do not go together here; try again, or ask your \
                  administrator for a new link.";
    Problem::new(ProblemCode::Unauthorized, detail)
}
