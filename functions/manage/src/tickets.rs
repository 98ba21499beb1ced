//! Tickets: the client's LMS learns who has arrived.

use std::collections::BTreeMap;

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::ground::contract_of;
use seatkeeper_domain::actions::tickets::exchange_ticket;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::learner::{Learner, SeatStatus};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, People as _};
use seatkeeper_http::body::{Fields, Payload};
use seatkeeper_http::caller::TICKETS;
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, views};
use serde_json::json;

use crate::sign_in::suspended;

pub(crate) async fn exchange(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(ticket): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    signed_in.must_be(TICKETS)?;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let app = &app;
    let signed_in = &signed_in;
    let work = |_| async move {
        let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
        let ticket = exchange_ticket(store, clock, keys, &signed_in.scope, &ticket).await?;
        let ticket = ticket.ok_or_else(Problem::not_found)?;
        let learner = app.store.learner(&ticket.client_id, ticket.learner_id).await?;
        let learner = learner.ok_or_else(Problem::not_found)?;
        if learner.suspended_at.is_some() {
            return Err(suspended());
        }
        let groups = app.store.groups_by_id(&ticket.client_id, &learner.profile.group_ids).await?;
        let mut shown = views::learner(&learner, app.clock.now());
        let owner = app.store.client(&ticket.client_id).await?.ok_or_else(Problem::not_found)?;
        let contracts = contracts(app, &owner, &learner).await?;
        for seat in shown["seats"].as_array_mut().into_iter().flatten() {
            let of = seat["pool"].as_str().and_then(|pool| contracts.get(pool));
            let looks = of.is_some_and(|(_, looks)| *looks);
            let is_open = seat["state"] == json!(SeatStatus::Active);
            seat["access"] = json!(match (is_open, looks) {
                (false, _) => "none",
                (true, true) => "read_only",
                (true, false) => "full",
            });
            seat["contract_id"] = json!(of.map(|(contract, _)| contract.contract_id));
            seat["modules"] = json!(of.map(|(contract, _)| &contract.modules));
        }
        Ok(Answer::ok(&json!({
            "client_id": ticket.client_id,
            "seats": shown["seats"],
            "roles": shown["roles"],
            "groups": groups.iter().map(views::group).collect::<Vec<_>>(),
            "learner": shown,
        })))
    };
    app.once().answer(&signed_in.subject, &request, &payload, work).await
}

/// The contracts of a learner's seats as they are now, by pool; and whether it has ended and lets the
/// learner of a live seat look only.
async fn contracts(
    app: &App<Store>,
    owner: &Client,
    learner: &Learner,
) -> Result<BTreeMap<String, (Contract, bool)>, Problem> {
    let (now, zone) = (app.clock.now(), owner.time_zone.zone());
    let mut contracts = BTreeMap::new();
    for (pool, seat) in &learner.seats {
        let contract = contract_of(&app.store, &owner.client_id, *pool).await?;
        let contract =
            contract.ok_or_else(|| StoreError::Broken("a seat of no contract".to_owned()))?;
        let looks = seat.is_live() && contract.is_read_only(now, zone);
        contracts.insert(pool.to_string(), (contract, looks));
    }
    Ok(contracts)
}
