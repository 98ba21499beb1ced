//! `POST /{client}/redeem`, by the landing page's form or as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, Redeemed, redeem_code};
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::LearnerId;
use seatkeeper_http::body::{Fields, Payload, text};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::{Path, SourceAddress, Wants};
use seatkeeper_http::telemetry::{Dimension, Unit, emit_metric};
use seatkeeper_http::{Answer, Problem, person};
use serde_json::json;

use crate::Redeeming;
use crate::landing::{Ask, Typed, client_of, form, proof_sent, refuse};

/// Who calls, for the idempotency record: nobody in particular. The body is part of what is
/// compared, so a key alone tells nothing.
const CALLER: &str = "learner";

/// Longest text that is read as a code, separators included.
const CODE_MAX: usize = 200;

/// The outcome of a code whose address has to be proven, the same whoever came with it.
const PROOF_SENT: &str = "proof_sent";

pub(crate) async fn redeem(
    State(state): State<Arc<Redeeming>>,
    Path(client): Path<String>,
    ask: Ask,
    source: SourceAddress,
    request: Repeatable,
    payload: Payload,
) -> Response {
    let client = match client_of(&state, &client).await {
        Ok(client) => client,
        Err(problem) => return refuse(&state, None, &ask, problem),
    };
    match (answer(&state, &client, source, &request, &payload).await, ask.wants) {
        (Ok(answer), Wants::Json) => answer.into_response(),
        (Ok(answer), Wants::Html) if answer.body()["outcome"] == PROOF_SENT => {
            proof_sent(&state, &client, &ask)
        }
        (Ok(answer), Wants::Html) => {
            let launch = answer.body()["launch_url"].as_str().unwrap_or_default();
            Answer::see_other(launch).into_response()
        }
        (Err(problem), Wants::Json) => problem.into_response(),
        (Err(problem), Wants::Html) => {
            form(&state, &client, &Typed::of(&payload), &ask, Some(&problem))
        }
    }
}

async fn answer(
    state: &Redeeming,
    client: &Client,
    source: SourceAddress,
    request: &Repeatable,
    payload: &Payload,
) -> Result<Answer, Problem> {
    let command = &read(state, client, source, payload)?;
    let keys = &state.edge.keys;
    let work = |op: Op| async move {
        let done = redeem_code(&state.store, &state.clock, &state.ids, keys, op, command).await;
        let by = [(Dimension::Outcome, told(&done))];
        emit_metric("Seatkeeper", "Codes", 1.0, Unit::Count, &by);
        let done = done?;
        if done.to_be_proven {
            return Ok(Answer::accepted(&json!({"outcome": PROOF_SENT})));
        }
        let outcome = if done.already { "already_redeemed" } else { "redeemed" };
        Ok(Answer::ok(&json!({"outcome": outcome, "learner_id": done.learner_id})))
    };
    let mut answer = state.once().answer(CALLER, request, payload, work).await?;
    // Nobody comes in before the address is proven.
    if answer.body()["outcome"] == PROOF_SENT {
        return Ok(answer);
    }
    // A ticket is for one minute and one use: every answer, also a replayed one, has its own.
    let learner: LearnerId = keys.learner_id(&client.client_id, &command.email);
    let (store, clock, ids) = (&state.store, &state.clock, &state.ids);
    let ticket = issue_ticket(store, clock, ids, keys, &client.client_id, learner).await?;
    answer.body_mut()["launch_url"] = json!(client.launch_url.with_parameter("ticket", &ticket));
    Ok(answer)
}

/// What came of a try, for the metric: a burst of one kind or another is worth an alarm.
fn told(outcome: &Result<Redeemed, RedeemCodeError>) -> &'static str {
    match outcome {
        Ok(Redeemed { to_be_proven: true, .. }) => PROOF_SENT,
        Ok(Redeemed { already: false, .. }) => "redeemed",
        Ok(Redeemed { already: true, .. }) => "already_redeemed",
        Err(RedeemCodeError::Mistyped(_)) => "mistyped",
        Err(RedeemCodeError::NotRedeemable) => "refused",
        Err(RedeemCodeError::ForeignDomain) => "foreign_domain",
        Err(RedeemCodeError::TooManyTries { .. }) => "limited",
        Err(RedeemCodeError::NoSeatsLeft) => "no_seats_left",
        Err(RedeemCodeError::WrongPassword | RedeemCodeError::NamesMissing) => "not_proven",
        Err(RedeemCodeError::UnknownClient | RedeemCodeError::Store(_)) => "failed",
    }
}

fn read(
    state: &Redeeming,
    client: &Client,
    source: SourceAddress,
    payload: &Payload,
) -> Result<RedeemCode, Problem> {
    let mut fields = Fields::of(payload)?;
    let code = fields.required("code", text(1..=CODE_MAX));
    let email = fields.required("email", person::email);
    // Who has an account need not say their name again.
    let names = ["first_name", "last_name"];
    let given = names.map(|name| fields.optional(name, text(1..=person::NAME_MAX)));
    if given.iter().flatten().count() == 1 {
        for (name, given) in names.into_iter().zip(&given) {
            if given.is_none() {
                fields.refuse(name, "required", "Give both names, or none with an account.");
            }
        }
    }
    let [first_name, last_name] = given.map(Option::unwrap_or_default);
    let password = fields.required("password", person::password(state.edge.passwords));
    let language = fields.optional("language", person::language(&state.edge.languages));
    fields.finish(|| {
        Some(RedeemCode {
            client_id: client.client_id.clone(),
            code: code?,
            email: email?,
            first_name,
            last_name,
            password: password?,
            language,
            source: source.limiter_key(),
        })
    })
}
