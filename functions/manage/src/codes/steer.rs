//! Steering a batch: its terms, more codes, and everyone it let in.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::add_codes::{AddCodes, More, add_codes, lot_codes};
use seatkeeper_domain::actions::invite::ADDRESSES_MAX;
use seatkeeper_domain::actions::release_batch::release_batch;
use seatkeeper_domain::actions::send_codes::{SendCodes, send_codes};
use seatkeeper_domain::actions::steer_batch::{SteerBatch, Target, steer_batch};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::code::CODES_MAX;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{BatchId, ClientId};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _};
use seatkeeper_http::body::{Fields, Payload, choice, integer};
use seatkeeper_http::caller::ADMINISTRATION;
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, Shared, SignedIn, person, views};
use serde_json::json;

use super::{REDEMPTIONS_MAX, batch_of, code, moment, refuse_repeated, shown, warnings};
use crate::{WORKS_FOR, contracts};

/// The batch that a path names, before the body was read: a malformed id names none.
fn id_of(batch: &str) -> Option<BatchId> {
    batch.parse().ok()
}

/// `PATCH …/codes/{batch}`: pause, resume, extend, more or fewer redemptions, revoke.
pub(super) async fn steer(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let states =
        [("active", Target::Active), ("paused", Target::Paused), ("revoked", Target::Revoked)];
    let state = fields.optional("state", choice(&states));
    let valid_until = fields.change("valid_until", moment);
    let max_redemptions = fields.change("max_redemptions", integer(1..=REDEMPTIONS_MAX));
    fields.finish(|| Some(()))?;
    let batch_id = id_of(&batch).ok_or_else(Problem::not_found)?;
    let command = SteerBatch { client_id, batch_id, state, valid_until, max_redemptions };
    let op = Op { id: app.ids.uuid(), guard: None };
    let now = steer_batch(&app.store, &app.clock, signed_in.caller(), op, &command).await?;
    Ok(Answer::ok(&views::steered_batch(&now)))
}

/// `POST …/codes/{batch}/codes`: more redemption codes.
pub(super) async fn add(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let more = more(&payload)?;
    let batch_id = batch_of(&app, &client, &batch).await?.batch_id;
    let (app, caller) = (&app, signed_in.caller());
    let command = &AddCodes { client_id: client, batch_id, more };
    let keys = &app.edge.keys;
    let work = |op: Op| async move {
        let added = add_codes(&app.store, &app.clock, &app.ids, keys, caller, op, command).await?;
        Ok(Answer::created(&json!({
            "batch": views::batch(&added.issued.batch, added.issued.redeemed),
            "lot": added.lot,
            "codes": shown(&added.issued.codes),
            "warnings": warnings(&added.issued.codes),
            "stock": views::stock(added.issued.stock),
        }))
        .unrepeatable("/codes"))
    };
    let mut answer = app.once().answer(&caller.subject, &request, &payload, work).await?;
    if answer.is_replay() {
        let lot = answer.body()["lot"].as_u64().and_then(|lot| u32::try_from(lot).ok());
        let codes = lot_codes(keys, command, lot.unwrap_or(0));
        answer.body_mut()["codes"] = shown(&codes);
    }
    Ok(answer)
}

fn more(payload: &Payload) -> Result<More, Problem> {
    let mut fields = Fields::of(payload)?;
    let has_count = fields.has("count");
    let most = u32::try_from(CODES_MAX).unwrap_or(u32::MAX);
    let count = fields.optional("count", integer(1..=most));
    let named = fields.has("codes");
    let own = fields.optional_list("codes", 1..=CODES_MAX, code);
    if let Some(own) = &own {
        refuse_repeated(&mut fields, own);
    }
    if named && has_count {
        fields.refuse("count", "conflicting-codes", "Give a count or your own codes, not both.");
    }
    if !named && !has_count {
        let detail = "Say how many codes to generate, or give your own as codes.";
        fields.refuse("count", "required", detail);
    }
    fields.finish(|| own.map(More::Own).or(count.map(More::Generated)))
}

/// `POST …/codes/{batch}/send`: a code by mail to each address.
pub(super) async fn send(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let addresses = fields.required("emails", person::addresses(ADDRESSES_MAX));
    let addresses = fields.finish(|| addresses)?;
    let batch_id = batch_of(&app, &client, &batch).await?.batch_id;
    let (app, caller) = (&app, signed_in.caller());
    let command = &SendCodes { client_id: client, batch_id, addresses };
    let work = |op: Op| async move {
        let keys = &app.edge.keys;
        let sent = send_codes(&app.store, &app.clock, keys, caller, op, command).await?;
        let results: Vec<_> = sent.results.iter().map(views::mailed_code).collect();
        Ok(Answer::ok(&json!({"results": results, "left": sent.left})))
    };
    app.once().answer(&caller.subject, &request, &payload, work).await
}

/// `POST …/codes/{batch}/release`: the seats of everyone the batch let in.
pub(super) async fn release(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client: &ClientId = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let batch = &batch_of(app, client, &batch).await?;
    let contract = app.store.contract(client, batch.contract_id).await?;
    let contract = &contract.ok_or_else(Problem::not_found)?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        let (ports, clock, ids) = (&app.store, &app.clock, &app.ids);
        let until = clock.now() + WORKS_FOR;
        let place = (client, contract);
        let done = release_batch(ports, clock, ids, actor, op, place, batch, until).await?;
        Ok(Answer::ok(&json!({
            "released": done.released,
            "complete": done.complete,
            "stock": views::stock(contracts::stock(app, client, batch.pool()).await?),
        })))
    };
    app.once().answer(subject, &request, &payload, work).await
}
