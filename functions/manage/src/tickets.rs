//! Tickets: the client's LMS learns who has arrived.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::ground::contract_of;
use seatkeeper_domain::actions::tickets::exchange_ticket;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::learner::Learner;
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
        let read_only = read_only_pools(app, &owner, &learner).await?;
        for seat in shown["seats"].as_array_mut().into_iter().flatten() {
            let looks = read_only.iter().any(|pool| seat["pool"] == pool.to_string());
            seat["access"] = json!(if looks { "read_only" } else { "full" });
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

/// Of a learner's live seats, the pools whose contract has ended and lets its learners look only.
async fn read_only_pools(
    app: &App<Store>,
    owner: &Client,
    learner: &Learner,
) -> Result<Vec<PoolId>, Problem> {
    let (now, zone) = (app.clock.now(), owner.time_zone.zone());
    let mut pools = Vec::new();
    for (pool, _) in learner.seats.iter().filter(|(_, seat)| seat.is_live()) {
        let contract = contract_of(&app.store, &owner.client_id, *pool).await?;
        if contract.is_some_and(|contract| contract.is_read_only(now, zone)) {
            pools.push(*pool);
        }
    }
    Ok(pools)
}
