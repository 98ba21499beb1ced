//! Lambda function `manage`: wires what it runs on.

use axum::Extension;
use seatkeeper_aws::upload_form::UploadForms;
use seatkeeper_aws::{S3Files, Store, runtime};
use seatkeeper_http::config::Env;
use seatkeeper_http::{App, serve, telemetry};
use seatkeeper_manage::routes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let mut env = Env::read();
    telemetry::start("manage", &mut env);
    let (edge, claims) = (env.edge(), env.claim_names());
    let (uploads, reports) = (env.required("UPLOAD_BUCKET"), env.required("REPORT_BUCKET"));
    let (edge, claims, uploads, reports) =
        env.finish(|| Some((edge?, claims?, uploads?, reports?)))?;
    let sdk = runtime::sdk_config().await;
    let store = Store::new(runtime::dynamodb(&sdk), &edge.table_name);
    let s3 = runtime::s3(&sdk);
    let forms = UploadForms::new(&sdk, s3.clone(), &uploads);
    let files = S3Files::new(s3, uploads, reports);
    let routes = routes(App::new(store, edge, claims));
    serve("manage", routes.layer(Extension(files)).layer(Extension(forms))).await
}
