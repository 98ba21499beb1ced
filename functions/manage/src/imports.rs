//! Imports: `/v1/clients/{client}/imports` and below.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::Uri;
use jiff::SignedDuration;
use seatkeeper_aws::{S3Files, Store};
use seatkeeper_domain::actions::import_rows::import_rows;
use seatkeeper_domain::ids::{ClientId, ImportId, PoolId};
use seatkeeper_domain::import_run::{ImportRun, Verdict};
use seatkeeper_domain::ports::{Files as _, ImportLog as _, Ledger as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_http::body::{Fields, choice, page_request};
use seatkeeper_http::caller::{ADMINISTRATION, READS};
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, SignedIn, views};
use serde_json::{Value, json};

use crate::later::not_implemented;

/// How long the address of a report can be followed: long enough for a redirect.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// The routes. Reports want the [`S3Files`] as an extension.
pub(crate) fn routes() -> Router<Shared<Store>> {
    let imports = Router::new()
        .route("/imports", get(list).post(later))
        .route("/imports/{import}", get(one))
        .route("/imports/{import}/rows", get(rows))
        .route("/imports/{import}/report", get(report))
        .route("/imports/{import}/commit", post(later))
        .route("/imports/{import}/cancel", post(later))
        .route("/imports/{import}/undo", post(later));
    Router::new().nest("/v1/clients/{client}", imports)
}

async fn later(
    signed_in: SignedIn,
    Path(path): Path<BTreeMap<String, String>>,
) -> Result<Answer, Problem> {
    signed_in.admitted(path.get("client").map_or("", String::as_str), ADMINISTRATION)?;
    Err(not_implemented())
}

async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let page = query.finish(|| Some(page))?;
    let page = app.store.imports(&client, &page).await?;
    let mut stocks: BTreeMap<PoolId, Option<Stock>> = BTreeMap::new();
    let mut items: Vec<Value> = Vec::new();
    for run in &page.items {
        let pool = run.pool();
        let stock = match stocks.get(&pool) {
            Some(known) => *known,
            None => app.store.stock(&client, pool).await?,
        };
        stocks.insert(pool, stock);
        items.push(views::import(run, stock));
    }
    Ok(Answer::ok(&json!({"items": items, "next_cursor": page.next})))
}

async fn one(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, import)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let run = import_of(&app, &client, &import).await?;
    let stock = app.store.stock(&client, run.pool()).await?;
    Ok(Answer::ok(&views::import(&run, stock)))
}

async fn rows(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, import)): Path<(String, String)>,
    uri: Uri,
) -> Result<Answer, Problem> {
    const VERDICTS: [(&str, Verdict); 4] = [
        ("valid", Verdict::Valid),
        ("invalid", Verdict::Invalid),
        ("duplicate", Verdict::Duplicate),
        ("existing", Verdict::Existing),
    ];
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let verdict = query.optional("verdict", choice(&VERDICTS));
    let page = query.finish(|| Some(page))?;
    let run = import_of(&app, &client, &import).await?;
    let page = import_rows(&app.store, &client, &run, verdict, &page).await?;
    Ok(Answer::ok(&views::list(&page, views::import_row)))
}

async fn report(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let run = import_of(&app, &client, &import).await?;
    let Some(key) = &run.report_key else {
        let detail = "The report is written when the import ends; ask again then.";
        return Err(Problem::new(ProblemCode::ImportNotReady, detail));
    };
    Ok(Answer::see_other(files.report_link(key, LINK_LIFETIME).await?))
}

async fn import_of(
    app: &App<Store>,
    client: &ClientId,
    import: &str,
) -> Result<ImportRun, Problem> {
    let id: ImportId = import.parse().map_err(|_| Problem::not_found())?;
    app.store.import(client, id).await?.ok_or_else(Problem::not_found)
}
