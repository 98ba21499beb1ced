//! Lambda function `create`: accounts with a seat, today or on a later date.

mod learners;

use axum::Router;
use axum::routing::{post, put};
use seatkeeper_aws::Store;
use seatkeeper_http::Shared;

/// The routes of this function.
pub fn routes(app: Shared<Store>) -> Router {
    Router::new()
        .route("/v1/clients/{client}/learners", post(learners::create))
        .route("/v1/clients/{client}/sso/{subject}", put(learners::arrive_by_single_sign_on))
        .with_state(app)
}
