//! Calls of the API that this version does not serve yet: 501, never a wrong answer.

use axum::Router;
use axum::routing::{MethodRouter, get};
use seatkeeper_aws::Store;
use seatkeeper_http::caller::ADMINISTRATION;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, ProblemCode, Shared, SignedIn};
use std::collections::BTreeMap;

pub(crate) fn routes() -> Router<Shared<Store>> {
    let client = Router::new().route("/webhooks", every()).route("/webhooks/{webhook}", every());
    Router::new().nest("/v1/clients/{client}", client)
}

fn every() -> MethodRouter<Shared<Store>> {
    get(of_client).post(of_client).delete(of_client)
}

async fn of_client(
    signed_in: SignedIn,
    Path(path): Path<BTreeMap<String, String>>,
) -> Result<Answer, Problem> {
    signed_in.admitted(path.get("client").map_or("", String::as_str), ADMINISTRATION)?;
    Err(not_implemented())
}

/// 501: known, and not served yet.
pub(crate) fn not_implemented() -> Problem {
    let detail = "This version of Seatkeeper does not serve this call yet; nothing was changed.";
    Problem::new(ProblemCode::NotImplemented, detail)
}
