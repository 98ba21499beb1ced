//! Lambda function `invite`: invitations, and the links in their mails.

use seatkeeper_aws::{Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::{App, serve, telemetry};
use seatkeeper_invite::routes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let mut env = Env::read();
    telemetry::start("invite", &mut env);
    let (edge, claims) = (env.edge(), env.claim_names());
    let (edge, claims) = env.finish(|| Some((edge?, claims?)))?;
    let store = Store::new(runtime::dynamodb(&runtime::sdk_config().await), &edge.table_name);
    serve("invite", routes(App::new(store, edge, claims))).await
}
