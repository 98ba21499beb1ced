//! Lambda function `create`: accounts with a seat, today or on a later date.

mod learners;

use std::sync::Arc;

use axum::Router;
use axum::routing::{post, put};
use seatkeeper_aws::{Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::{App, Shared, serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let mut env = Env::read();
    telemetry::start("create", &mut env);
    let (edge, claims) = (env.edge(), env.claim_names());
    let (edge, claims) = env.finish(|| Some((edge?, claims?)))?;
    let store = Store::new(runtime::dynamodb(&runtime::sdk_config().await), &edge.table_name);
    serve("create", routes(App::new(store, edge, claims))).await
}

fn routes(app: Shared<Store>) -> Router {
    Router::new()
        .route("/v1/clients/{client}/learners", post(learners::create))
        .route("/v1/clients/{client}/sso/{subject}", put(learners::arrive_by_single_sign_on))
        .with_state(Arc::clone(&app))
}
