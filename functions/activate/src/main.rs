//! Lambda function `activate`: schedules cohorts and opens them.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use seatkeeper_activate::Opener;
use seatkeeper_aws::schedules::{EventScheduler, ScheduleSettings};
use seatkeeper_aws::{Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_http::telemetry;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut env = Env::read();
    telemetry::start("activate", &mut env);
    let table = env.required("TABLE_NAME");
    let (group, role_arn) = (env.required("SCHEDULE_GROUP"), env.required("SCHEDULE_ROLE_ARN"));
    let dead_letter_arn = env.required("SCHEDULE_DLQ_ARN");
    let activate_arn = env.required("ACTIVATE_FUNCTION_ARN");
    let (table, settings) = env.finish(|| {
        let settings = ScheduleSettings {
            group: group?,
            role_arn: role_arn?,
            dead_letter_arn: dead_letter_arn?,
            activate_arn: activate_arn?,
            import_arn: None,
        };
        Some((table?, settings))
    })?;
    let config = runtime::sdk_config().await;
    let opener = Opener {
        store: Store::new(runtime::dynamodb(&config), table),
        schedules: EventScheduler::new(runtime::scheduler(&config), settings),
        clock: SystemClock,
        ids: SystemIds,
    };
    let opener = &opener;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (event, context) = event.into_parts();
        let kind = if event.get("Records").is_some() { "stream" } else { "schedule" };
        let work = Box::pin(seatkeeper_activate::handle(opener, &event));
        telemetry::summarized("activate", kind, &context.request_id, work)
            .await
            .map_err(Error::from)
    }))
    .await
}
