//! Codes: `/v1/clients/{client}/codes` and below.

mod download;
mod steer;

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::issue_codes::{
    IssueCodes, IssuedCodes, Moment, Wanted, batch_codes, issue_codes,
};
use seatkeeper_domain::code::{Batch, BatchState, CODES_MAX, Code, CodeKind, guessable};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{BatchId, ClientId};
use seatkeeper_domain::ports::{CodeBook as _, Ledger as _, People as _};
use seatkeeper_http::body::{
    Fields, Given, Payload, Refusal, choice, date, flag, instant, integer, next_cursor,
    page_request, parsed, text,
};
use seatkeeper_http::caller::{ADMINISTRATION, READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, person, views};
use serde_json::{Value, json};

use crate::clients;

/// Most characters of a batch's label.
const LABEL_MAX: usize = 200;
/// Most redemptions of one registration code.
const REDEMPTIONS_MAX: u32 = 1_000_000;
/// Most warnings of one answer.
const WARNINGS_MAX: usize = 100;
/// Longest duration of a seat, in days: a century.
const DURATION_MAX: u32 = 36_525;
/// Most domains of one batch.
const DOMAINS_MAX: usize = 100;

/// The routes.
pub(crate) fn routes() -> Router<Shared<Store>> {
    Router::new()
        .route("/v1/clients/{client}/codes", post(issue).get(list))
        .route("/v1/clients/{client}/codes/{batch}", get(one).patch(steer::steer))
        .route("/v1/clients/{client}/codes/{batch}/codes", post(steer::add))
        .route("/v1/clients/{client}/codes/{batch}/send", post(steer::send))
        .route("/v1/clients/{client}/codes/{batch}/release", post(steer::release))
        .route("/v1/clients/{client}/codes/{batch}/download", get(download::download))
        .route("/v1/clients/{client}/codes/{batch}/redemptions", get(redemptions))
}

async fn issue(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let wanted = &read(&app, client, &payload)?;
    let (app, caller) = (&app, signed_in.caller());
    let work = |op: Op| async move {
        let keys = &app.edge.keys;
        let issued =
            issue_codes(&app.store, &app.clock, &app.ids, keys, caller, op, wanted).await?;
        Ok(answer(&issued))
    };
    let mut answer = app.once().answer(&caller.subject, &request, &payload, work).await?;
    if answer.is_replay() {
        // Ten thousand codes are more than an idempotency record holds; the batch keeps them.
        let batch = answer.body()["batch"]["batch_id"].as_str().and_then(|id| id.parse().ok());
        let batch = batch.ok_or_else(Problem::not_found)?;
        let mut codes = batch_codes(&app.store, &app.edge.keys, &wanted.client_id, batch).await?;
        // Others may have been added since.
        codes.truncate(count(&answer.body()["batch"]["count"]));
        answer.body_mut()["codes"] = shown(&codes);
    }
    Ok(answer)
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

fn answer(issued: &IssuedCodes) -> Answer {
    let body = json!({
        "batch": views::batch(&issued.batch, issued.redeemed),
        "codes": shown(&issued.codes),
        "warnings": warnings(&issued.codes),
        "stock": views::stock(issued.stock),
    });
    Answer::created(&body).unrepeatable("/codes")
}

/// What is worth saying of the administrator's own codes; generated ones are beyond guessing.
fn warnings(codes: &[Code]) -> Value {
    let weak = guessable(codes).into_iter().take(WARNINGS_MAX);
    let warning = |place: usize| {
        json!({
            "pointer": format!("/codes/{place}"), "code": "guessable-code",
            "detail": "This code can be guessed: it is short, has few different characters, or \
                       tells the next. Let codes be generated, or choose longer ones.",
        })
    };
    weak.map(warning).collect()
}

fn shown(codes: &[Code]) -> Value {
    codes.iter().map(|code| Value::String(code.to_string())).collect()
}

fn read(app: &App<Store>, client_id: ClientId, payload: &Payload) -> Result<IssueCodes, Problem> {
    let mut fields = Fields::of(payload)?;
    let (contract_id, sublicense_id) = person::pool(&mut fields);
    let label = fields.required("label", text(1..=LABEL_MAX));
    let wanted = wanted(&mut fields);
    let valid_from = fields.optional("valid_from", moment);
    let valid_until = fields.optional("valid_until", moment);
    let start_on = fields.optional("start_on", date());
    let days = fields.optional("seat_duration_days", integer(1..=DURATION_MAX));
    let group_ids = person::groups(&mut fields);
    let labels = person::labels(&mut fields);
    let language = fields.optional("language", person::language(&app.edge.languages));
    let require_email_proof = fields.optional("require_email_proof", flag()).unwrap_or(false);
    let domains = fields.optional_list("allowed_domains", 0..=DOMAINS_MAX, domain);
    fields.finish(|| {
        Some(IssueCodes {
            client_id,
            contract_id: contract_id?,
            sublicense_id,
            label: label?,
            wanted: wanted?,
            valid_from,
            valid_until,
            start_on,
            seat_duration_days: days,
            group_ids,
            labels,
            language,
            allowed_domains: domains.unwrap_or_default().into_iter().collect(),
            require_email_proof,
        })
    })
}

/// `kind`, and what goes with it.
fn wanted(fields: &mut Fields) -> Option<Wanted> {
    let kinds = [("registration", CodeKind::Registration), ("redemption", CodeKind::Redemption)];
    let kind = fields.required("kind", choice(&kinds));
    let has_count = fields.has("count");
    let most = u32::try_from(CODES_MAX).unwrap_or(u32::MAX);
    let count = fields.optional("count", integer(1..=most));
    let named = fields.has("codes");
    let own = fields.optional_list("codes", 1..=CODES_MAX, code);
    let has_max = fields.has("max_redemptions");
    let max_redemptions = fields.optional("max_redemptions", integer(1..=REDEMPTIONS_MAX));
    let guaranteed = fields.optional("guaranteed", flag()).unwrap_or(false);
    if let Some(own) = &own {
        refuse_repeated(fields, own);
    }
    if named && has_count {
        fields.refuse("count", "conflicting-codes", "Give a count or your own codes, not both.");
    }
    match kind? {
        CodeKind::Registration => {
            if count.is_some_and(|count| count > 1) {
                let detail = "A registration code is one code for many learners; say how many \
                              with max_redemptions.";
                fields.refuse("count", "out-of-range", detail);
            }
            if own.as_ref().is_some_and(|own| own.len() > 1) {
                fields.refuse("codes", "too-many", "A registration code is one code.");
            }
            if guaranteed && !has_max {
                let detail = "Guaranteed seats are held now: say how many.";
                fields.refuse("max_redemptions", "required", detail);
            }
            let own = own.and_then(|own| own.into_iter().next());
            Some(Wanted::Registration { own, max_redemptions, guaranteed })
        }
        CodeKind::Redemption => {
            if has_max {
                let detail = "Each redemption code is for one learner; leave this out.";
                fields.refuse("max_redemptions", "not-allowed", detail);
            }
            if !has_count && !named {
                let detail = "Say how many codes to generate, or give your own as codes.";
                fields.refuse("count", "required", detail);
            }
            own.map(Wanted::Own).or(count.map(Wanted::Generated))
        }
    }
}

fn code(given: Given<'_>) -> Result<Code, Refusal> {
    parsed("invalid-code", Code::parse)(given)
}

/// Codes that differ only in how they are written are the same code.
fn refuse_repeated(fields: &mut Fields, codes: &[Code]) {
    let mut seen = BTreeSet::new();
    for (place, code) in codes.iter().enumerate() {
        if !seen.insert(code) {
            let detail = "This code stands in the list already.";
            fields.refuse_item("codes", place, "duplicate", detail);
        }
    }
}

/// A date or an instant.
fn moment(given: Given<'_>) -> Result<Moment, Refusal> {
    let text = given.as_text()?;
    if text.trim().len() == "2027-01-31".len() {
        return date()(given).map(Moment::On);
    }
    let detail = "Expected a date as YYYY-MM-DD or an instant such as 2027-01-31T08:00:00Z.";
    instant()(given).map(Moment::At).map_err(|_| Refusal::new("invalid-time", detail))
}

/// A domain such as `example.com`, as addresses have it.
fn domain(given: Given<'_>) -> Result<String, Refusal> {
    let text = given.as_text()?.trim();
    let bare = text.strip_prefix('@').unwrap_or(text);
    let address = EmailAddress::parse(&format!("a@{bare}"));
    address
        .map(|address| address.domain().to_owned())
        .map_err(|_| Refusal::new("invalid-domain", "Expected a domain such as example.com."))
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
    clients::known(&app, &client).await?;
    let mut page = app.store.batches(&client, &page).await?;
    page.items.retain(|batch| batch.state != BatchState::Issuing);
    let mut redeemed = Vec::new();
    for batch in &page.items {
        redeemed.push(redemptions_of(&app, &client, batch).await?);
    }
    let mut counts = redeemed.into_iter();
    let items: Vec<Value> = page
        .items
        .iter()
        .map(|batch| views::batch(batch, counts.next().unwrap_or_default()))
        .collect();
    Ok(Answer::ok(&json!({"items": items, "next_cursor": next_cursor(page.next.as_deref())})))
}

async fn one(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let batch = batch_of(&app, &client, &batch).await?;
    let redeemed = redemptions_of(&app, &client, &batch).await?;
    Ok(Answer::ok(&views::batch(&batch, redeemed)))
}

/// The batch of a path; one that is still being issued does not show yet.
async fn batch_of(app: &App<Store>, client: &ClientId, batch: &str) -> Result<Batch, Problem> {
    let id: BatchId = batch.parse().map_err(|_| Problem::not_found())?;
    let batch = app.store.batch(client, id).await?;
    batch.filter(|batch| batch.state != BatchState::Issuing).ok_or_else(Problem::not_found)
}

async fn redemptions_of(
    app: &App<Store>,
    client: &ClientId,
    batch: &Batch,
) -> Result<u64, Problem> {
    if !batch.has_block() {
        return Ok(u64::from(batch.redeemed));
    }
    let blocks = app.store.blocks(client, batch.pool()).await?;
    Ok(batch.redeemed_with(&blocks))
}

async fn redemptions(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let page = query.finish(|| Some(page))?;
    let batch = batch_of(&app, &client, &batch).await?;
    let page = app.store.redemptions(&client, batch.batch_id, &page).await?;
    let ids: Vec<_> = page.items.iter().map(|redemption| redemption.learner_id).collect();
    let learners = app.store.learners(&client, &ids).await?;
    Ok(Answer::ok(&views::list(&page, |redemption| {
        let learner = learners.iter().find(|known| known.learner_id == redemption.learner_id);
        views::redemption(redemption, learner)
    })))
}
