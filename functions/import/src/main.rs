//! Lambda function `import`.

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use seatkeeper_aws::{S3Files, Store, runtime};
use seatkeeper_domain::actions::run_import::Importer;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::secrets::Keys;
use seatkeeper_http::config::Env;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_http::telemetry;
use seatkeeper_spreadsheet::Spreadsheets;
use serde_json::Value;

/// Data rows of a file when the environment does not say.
const MAX_ROWS: u32 = 10_000;

struct Config {
    table: String,
    keys: Keys,
    languages: Languages,
    passwords: PasswordPolicy,
    uploads: String,
    reports: String,
    max_rows: u32,
}

fn read(mut env: Env) -> Result<Config, Error> {
    let (table, keys, languages) = (env.required("TABLE_NAME"), env.keys(), env.languages());
    let passwords = env.passwords();
    let (uploads, reports) = (env.required("UPLOAD_BUCKET"), env.required("REPORT_BUCKET"));
    let max_rows = env.optional("MAX_IMPORT_ROWS", MAX_ROWS);
    let config = env.finish(|| {
        Some(Config {
            table: table?,
            keys: keys?,
            languages: languages?,
            passwords: passwords?,
            uploads: uploads?,
            reports: reports?,
            max_rows: max_rows?,
        })
    });
    Ok(config?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut env = Env::read();
    telemetry::start("import", &mut env);
    let config = read(env)?;
    let sdk = runtime::sdk_config().await;
    let store = Store::new(runtime::dynamodb(&sdk), &config.table);
    let files = S3Files::new(runtime::s3(&sdk), &config.uploads, &config.reports);
    let (config, store, files) = (&config, &store, &files);
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (event, context) = event.into_parts();
        let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        let importer = Importer {
            ports: store,
            files,
            sheets: &Spreadsheets,
            clock: &SystemClock,
            ids: &SystemIds,
            keys: &config.keys,
            languages: &config.languages,
            passwords: config.passwords,
            max_rows: config.max_rows,
            deadline: Timestamp::from_millisecond(deadline).unwrap_or(Timestamp::MAX),
        };
        let work = Box::pin(seatkeeper_import::handle(&importer, &config.uploads, &event));
        telemetry::summarized("import", "file", &context.request_id, work)
            .await
            .map_err(Error::from)
    }))
    .await
}
