//! Invitations as administrators send, renew and cancel them, and the links by which people accept
//! or decline.

mod invitations;
mod link;
mod page;

use axum::Router;
use axum::routing::{get, patch, post};
use seatkeeper_aws::Store;
use seatkeeper_http::Shared;

/// The routes.
pub fn routes(app: Shared<Store>) -> Router {
    Router::new()
        .route("/v1/clients/{client}/invitations", post(invitations::invite))
        .route(
            "/v1/clients/{client}/invitations/{invitation}",
            patch(invitations::change).delete(invitations::cancel),
        )
        .route("/v1/clients/{client}/invitations/remind", post(invitations::remind))
        .route("/v1/clients/{client}/invitations/{invitation}/resend", post(invitations::resend))
        .route("/i/{token}", get(link::show).post(link::accept))
        .route("/i/{token}/decline", post(link::decline))
        .route("/i/{token}/unsubscribe", get(link::ask_to_stop).post(link::stop))
        .with_state(app)
}
