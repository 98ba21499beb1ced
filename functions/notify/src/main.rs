//! Lambda function `notify`: mails out, from the table's stream.

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use seatkeeper_aws::mailer::SesMailer;
use seatkeeper_aws::{Store, runtime};
use seatkeeper_domain::actions::send_mail::MailRoom;
use seatkeeper_domain::pace::Turns;
use seatkeeper_http::config::Env;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_http::telemetry;
use seatkeeper_mail::LetterWriter;
use serde_json::Value;

/// Time kept for the mail that is being sent when the function's own time runs out.
const MARGIN: SignedDuration = SignedDuration::from_secs(25);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut env = Env::read();
    telemetry::start("notify", &mut env);
    let (table, keys, pages) = (env.required("TABLE_NAME"), env.keys(), env.page_base_url());
    let (from, set) = (env.required("MAIL_FROM"), env.required("SES_CONFIGURATION_SET"));
    let (table, keys, pages, from, set) =
        env.finish(|| Some((table?, keys?, pages?, from?, set?)))?;
    let config = runtime::sdk_config().await;
    let room = MailRoom {
        store: Store::new(runtime::dynamodb(&config), table),
        mailer: SesMailer::new(&config, &from, &set),
        writer: LetterWriter::new(keys.clone(), pages),
        clock: SystemClock,
        ids: SystemIds,
        keys,
        turns: Turns::default(),
    };
    let room = &room;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (event, context) = event.into_parts();
        let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        let until = Timestamp::from_millisecond(deadline).unwrap_or(Timestamp::MAX) - MARGIN;
        let work = Box::pin(seatkeeper_notify::handle(room, &event, until));
        telemetry::summarized("notify", "stream", &context.request_id, work)
            .await
            .map_err(Error::from)
    }))
    .await
}
