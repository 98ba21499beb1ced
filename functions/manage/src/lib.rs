//! Lambda function `manage`: clients, contracts, sublicenses, groups, lists, sign-in, tickets.

mod audit;
mod clients;
mod codes;
mod contracts;
mod groups;
mod import_template;
mod imports;
mod invitations;
mod later;
mod learners;
mod openings;
mod passwords;
mod sign_in;
mod sublicenses;
mod tickets;
mod unused;
mod utilization;

use axum::Router;
use axum::routing::{get, post};
use jiff::SignedDuration;
use seatkeeper_aws::Store;
use seatkeeper_http::Shared;

/// How long a call works at many people before it answers how far it came: the gateway waits 30 seconds.
const WORKS_FOR: SignedDuration = SignedDuration::from_secs(20);

/// The routes of this function.
pub fn routes(app: Shared<Store>) -> Router {
    let client = Router::new()
        .route("/contracts", get(contracts::list).post(contracts::open))
        .route("/contracts/{contract}", get(contracts::show))
        .route("/contracts/{contract}/seats", post(contracts::add_seats))
        .route("/contracts/{contract}/modules", post(contracts::add_modules))
        .route("/contracts/{contract}/renewal", post(contracts::renew))
        .route("/contracts/{contract}/reclaim", post(unused::reclaim))
        .route("/contracts/{contract}/sublicenses", get(sublicenses::list).post(sublicenses::add))
        .route("/contracts/{contract}/sublicenses/{sublicense}/seats", post(sublicenses::add_seats))
        .route("/groups", get(groups::list).post(groups::add))
        .route("/invitations", get(invitations::list))
        .route("/invitations/{invitation}", get(invitations::show))
        .route("/learners", get(learners::list))
        .route(
            "/learners/{learner}",
            get(learners::show).patch(learners::change).delete(learners::erase),
        )
        .route("/learners/{learner}/transfer", post(learners::transfer))
        .route("/seats/{pool}/explain", get(learners::explain))
        .route("/learners/{learner}/seats/{pool}/release", post(learners::release))
        .route("/import-template", get(import_template::download))
        .route("/openings", get(openings::list))
        .route("/openings/reschedule", post(openings::reschedule))
        .route("/openings/cancel", post(openings::cancel))
        .route("/utilization", get(utilization::tell))
        .route("/audit", get(audit::list));
    Router::new()
        .route("/v1/clients", post(clients::add))
        .route("/v1/clients/{client}", get(clients::show).patch(clients::change))
        .nest("/v1/clients/{client}", client)
        .route("/v1/tickets/{ticket}", post(tickets::exchange))
        .route("/v1/sign-in", post(sign_in::sign_in))
        .route("/v1/password-reset", post(passwords::reset))
        .route("/p/{token}", get(passwords::show).post(passwords::set))
        .merge(codes::routes())
        .merge(imports::routes())
        .merge(later::routes())
        .with_state(app)
}
