//! Lambda function `redeem`: the landing pages, and codes exchanged for seats.

use seatkeeper_aws::{Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::{serve, telemetry};
use seatkeeper_redeem::{Redeeming, routes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let mut env = Env::read();
    telemetry::start("redeem", &mut env);
    let edge = env.edge();
    let edge = env.finish(|| edge)?;
    let store = Store::new(runtime::dynamodb(&runtime::sdk_config().await), &edge.table_name);
    serve("redeem", routes(Redeeming::new(store, edge))).await
}
