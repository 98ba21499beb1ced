//! Lambda function `reconcile`: the scheduled sweep.

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use seatkeeper_aws::mailer::SesMailer;
use seatkeeper_aws::schedules::{EventScheduler, ScheduleSettings};
use seatkeeper_aws::{Store, runtime};
use seatkeeper_domain::actions::send_mail::MailRoom;
use seatkeeper_domain::pace::Turns;
use seatkeeper_domain::secrets::Keys;
use seatkeeper_http::config::Env;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_http::telemetry;
use seatkeeper_mail::LetterWriter;
use serde_json::Value;

/// Time kept for the work at hand when the function's own time runs out.
const MARGIN: SignedDuration = SignedDuration::from_secs(40);

struct Config {
    table: String,
    keys: Keys,
    pages: String,
    from: String,
    set: String,
    schedules: ScheduleSettings,
}

fn read(mut env: Env) -> Result<Config, Error> {
    let (table, keys, pages) = (env.required("TABLE_NAME"), env.keys(), env.page_base_url());
    let (from, set) = (env.required("MAIL_FROM"), env.required("SES_CONFIGURATION_SET"));
    let (group, role_arn) = (env.required("SCHEDULE_GROUP"), env.required("SCHEDULE_ROLE_ARN"));
    let dead_letter_arn = env.required("SCHEDULE_DLQ_ARN");
    let activate_arn = env.required("ACTIVATE_FUNCTION_ARN");
    let import_arn = env.required("IMPORT_FUNCTION_ARN");
    let config = env.finish(|| {
        Some(Config {
            table: table?,
            keys: keys?,
            pages: pages?,
            from: from?,
            set: set?,
            schedules: ScheduleSettings {
                group: group?,
                role_arn: role_arn?,
                dead_letter_arn: dead_letter_arn?,
                activate_arn: activate_arn?,
                import_arn,
            },
        })
    });
    Ok(config?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut env = Env::read();
    telemetry::start("reconcile", &mut env);
    let Config { table, keys, pages, from, set, schedules } = read(env)?;
    let config = runtime::sdk_config().await;
    let room = MailRoom {
        store: Store::new(runtime::dynamodb(&config), table),
        mailer: SesMailer::new(&config, &from, &set),
        writer: LetterWriter::new(keys.clone(), pages),
        clock: SystemClock,
        ids: SystemIds,
        keys: keys.clone(),
        turns: Turns::default(),
    };
    let schedules = EventScheduler::new(runtime::scheduler(&config), schedules);
    let (room, schedules, keys) = (&room, &schedules, &keys);
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let context = event.context;
        let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        let until = Timestamp::from_millisecond(deadline).unwrap_or(Timestamp::MAX) - MARGIN;
        let work = Box::pin(seatkeeper_reconcile::handle(room, schedules, keys, until));
        telemetry::summarized("reconcile", "sweep", &context.request_id, work)
            .await
            .map_err(Error::from)
    }))
    .await
}
