//! Lambda function `feedback`: delivery news in, from SES by way of EventBridge.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use seatkeeper_aws::{Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::system::SystemClock;
use seatkeeper_http::telemetry;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut env = Env::read();
    telemetry::start("feedback", &mut env);
    let table = env.required("TABLE_NAME");
    let table = env.finish(|| table)?;
    let store = Store::new(runtime::dynamodb(&runtime::sdk_config().await), table);
    let store = &store;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (event, context) = event.into_parts();
        let work = Box::pin(seatkeeper_feedback::handle(store, &SystemClock, &event));
        let heard = telemetry::summarized("feedback", "mail", &context.request_id, work).await;
        heard.map(drop).map_err(Error::from)
    }))
    .await
}
