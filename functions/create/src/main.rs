//! Lambda function `create`: wires what it runs on.

use seatkeeper_aws::{Store, runtime};
use seatkeeper_create::routes;
use seatkeeper_http::config::Env;
use seatkeeper_http::{App, serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let mut env = Env::read();
    telemetry::start("create", &mut env);
    let (edge, claims) = (env.edge(), env.claim_names());
    let (edge, claims) = env.finish(|| Some((edge?, claims?)))?;
    let store = Store::new(runtime::dynamodb(&runtime::sdk_config().await), &edge.table_name);
    serve("create", routes(App::new(store, edge, claims))).await
}
