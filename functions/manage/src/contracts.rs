//! Contracts and their stock.

use std::collections::BTreeSet;

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::open_contract::{
    AddSeatsError, OpenContractError, SEATS_MAX, add_modules as add_modules_to,
    add_seats as add_seats_to, open_contract,
};
use seatkeeper_domain::actions::renew_contract::{RenewContractError, renew_contract};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::contract::{
    ClockStart, Contract, HoldOn, OnEnd, OnHardBounce, Policies, StockKind, Warned, parse_opens_at,
};
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, PoolId};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, Ledger as _};
use seatkeeper_domain::role::PrivilegedRoles;
use seatkeeper_domain::stock::Stock;
use seatkeeper_http::body::{
    Fields, Given, Payload, Refusal, choice, date, integer, only_page, parsed, text,
};
use seatkeeper_http::caller::{READS, VENDOR};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, SignedIn, views};
use serde_json::{Value, json};

use crate::{WORKS_FOR, clients};

/// Most characters of a reference, an order or a module.
const TEXT_MAX: usize = 200;
/// Most modules of one call.
const MODULES_MAX: usize = 1_000;

/// The contract of a path, or 404.
pub(crate) async fn known(
    app: &App<Store>,
    client: &ClientId,
    contract: &str,
) -> Result<Contract, Problem> {
    let id: ContractId = contract.parse().map_err(|_| Problem::not_found())?;
    app.store.contract(client, id).await?.ok_or_else(Problem::not_found)
}

/// The stock of a pool that is known to exist.
pub(crate) async fn stock(
    app: &App<Store>,
    client: &ClientId,
    pool: PoolId,
) -> Result<Stock, Problem> {
    let stock = app.store.stock(client, pool).await?;
    Ok(stock.ok_or_else(|| StoreError::Broken("a pool is missing".to_owned()))?)
}

async fn view(app: &App<Store>, owner: &Client, contract: &Contract) -> Result<Value, Problem> {
    let pool = PoolId::Contract(contract.contract_id);
    let stock = stock(app, &owner.client_id, pool).await?;
    Ok(views::contract(contract, stock, owner, app.clock.now()))
}

pub(crate) async fn open(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, VENDOR)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let reference = fields.required("reference", text(1..=TEXT_MAX));
    let seats = fields.required("seats", integer(0..=SEATS_MAX.unsigned_abs()));
    let starts_on = fields.optional("starts_on", date());
    let ends_on = fields.optional("ends_on", date());
    if let (Some(first), Some(last)) = (starts_on, ends_on)
        && last < first
    {
        let detail = "The contract's last day lies before its first.";
        fields.refuse("ends_on", "end-before-start", detail);
    }
    let modules = modules(&mut fields, "modules", 0);
    let policies = fields.optional_object("policies", policies).unwrap_or_default();
    let wanted = fields.finish(|| Some((reference?, seats?, modules, policies)))?;
    let owner = &clients::known(app, &client).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let (reference, seats, modules, policies) = wanted;
        let contract = Contract {
            contract_id: ContractId::from_uuid(op.id),
            client_id: owner.client_id.clone(),
            reference,
            starts_on,
            ends_on,
            modules,
            policies,
            warned: Warned::default(),
            renewed_by: None,
            version: 1,
            created_at: app.clock.now(),
        };
        match open_contract(&app.store, Actor::Caller(subject.clone()), op, &contract, seats).await
        {
            Ok(()) => Ok(Answer::created(&view(app, owner, &contract).await?)),
            Err(OpenContractError::ReferenceTaken) => Err(Problem::new(
                ProblemCode::ContractExists,
                "This client has a contract of this reference; choose another reference.",
            )),
            Err(OpenContractError::Store(error)) => Err(error.into()),
        }
    };
    app.once().answer(subject, &request, &payload, work).await
}

pub(crate) async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let request = only_page(&uri)?;
    let owner = clients::known(&app, &client).await?;
    let page = app.store.contracts(&client, &request).await?;
    let mut shown = Vec::new();
    for contract in &page.items {
        shown.push(view(&app, &owner, contract).await?);
    }
    let page = seatkeeper_domain::ports::Page { items: shown, next: page.next };
    Ok(Answer::ok(&views::list(&page, Value::clone)))
}

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let owner = clients::known(&app, &client).await?;
    let contract = known(&app, &client, &contract).await?;
    Ok(Answer::ok(&view(&app, &owner, &contract).await?))
}

pub(crate) async fn add_seats(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, VENDOR)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let add = fields.required("add", seats_to_move());
    let order = fields.required("order", text(1..=TEXT_MAX));
    let (add, order) = fields.finish(|| Some((add?, order?)))?;
    let owner = &clients::known(app, &client).await?;
    let contract = &known(app, &client, &contract).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        match add_seats_to(&app.store, &app.clock, actor, op, contract, &order, add).await {
            Ok(()) => Ok(Answer::ok(&view(app, owner, contract).await?)),
            Err(AddSeatsError::InUse) => {
                let pool = PoolId::Contract(contract.contract_id);
                Err(seats_in_use(app, &owner.client_id, pool, add).await?)
            }
            Err(AddSeatsError::OrderDiffers) => Err(Problem::new(
                ProblemCode::Conflict,
                "This order added another number of seats before; use a new order number.",
            )),
            Err(AddSeatsError::Store(error)) => Err(error.into()),
        }
    };
    app.once().answer(subject, &request, &payload, work).await
}

/// `POST …/contracts/{contract}/renewal`: another contract succeeds this one, and everybody goes over.
pub(crate) async fn renew(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, VENDOR)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let to = fields.required("to_contract_id", text(1..=TEXT_MAX));
    let to = fields.finish(|| to)?;
    let from = known(app, client, &contract).await?.contract_id;
    let to: ContractId = to.parse().map_err(|_| RenewContractError::UnknownSuccessor)?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let (ports, clock, ids, keys) = (&app.store, &app.clock, &app.ids, &app.edge.keys);
        let (actor, until) = (Actor::Caller(subject.clone()), clock.now() + WORKS_FOR);
        let place = (client, from, to);
        let renewal = renew_contract(ports, clock, ids, keys, actor, op, place, until).await?;
        Ok(Answer::ok(&json!({
            "contract_id": from, "renewed_by": to, "complete": renewal.complete,
            "seats_left": renewal.seats_left, "seats_missing": renewal.missing,
            "seats_waiting": renewal.waiting, "invitations_left": renewal.invitations_left,
            "stock": views::stock(stock(app, client, PoolId::Contract(to)).await?),
        })))
    };
    app.once().answer(subject, &request, &payload, work).await
}

/// Reads how many seats to add or, if negative, to take back. Not 0, which would be a movement of
/// nothing.
pub(crate) fn seats_to_move() -> impl Fn(Given<'_>) -> Result<i64, Refusal> {
    let read = integer(-SEATS_MAX..=SEATS_MAX);
    move |given| match read(given)? {
        0 => Err(Refusal::new("out-of-range", "Expected a number other than 0.")),
        seats => Ok(seats),
    }
}

/// Fewer seats would be left in a pool than are taken: how many have to go before `add` can be done,
/// which is negative.
pub(crate) async fn seats_in_use(
    app: &App<Store>,
    client: &ClientId,
    pool: PoolId,
    add: i64,
) -> Result<Problem, Problem> {
    Ok(too_many_taken(stock(app, client, pool).await?, add.unsigned_abs()))
}

/// By the stock after the refusal, which others may have moved since.
fn too_many_taken(Stock { total, available, .. }: Stock, back: u64) -> Problem {
    let problem = |detail| Problem::new(ProblemCode::SeatsInUse, detail);
    if back > total {
        return problem(format!(
            "There are fewer seats here than are to be taken back: {total}. Take at most the \
             {available} that are available."
        ));
    }
    let short = back.saturating_sub(available);
    if short == 0 {
        return problem(
            "Seats were taken, and are free by now; send the request again.".to_owned(),
        );
    }
    let detail = format!(
        "Fewer seats would be left than are taken. Seats to release first: {short}; or take fewer, \
         at most the {available} that are available."
    );
    Problem { seats_to_release: Some(short), ..problem(detail) }
}

pub(crate) async fn add_modules(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, VENDOR)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let new = modules(&mut fields, "add", 1);
    fields.finish(|| Some(()))?;
    let owner = &clients::known(app, &client).await?;
    let contract = &known(app, &client, &contract).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        let place = (&owner.client_id, contract.contract_id);
        add_modules_to(&app.store, &app.clock, actor, op, place, &new).await?;
        let contract = known(app, &owner.client_id, &contract.contract_id.to_string()).await?;
        Ok(Answer::ok(&view(app, owner, &contract).await?))
    };
    app.once().answer(subject, &request, &payload, work).await
}

fn modules(fields: &mut Fields, name: &str, least: usize) -> BTreeSet<String> {
    let read = text(1..=TEXT_MAX);
    let named = if least == 0 {
        fields.optional_list(name, 0..=MODULES_MAX, read)
    } else {
        fields.required_list(name, least..=MODULES_MAX, read)
    };
    named.unwrap_or_default().into_iter().collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the reader of a nested object")]
fn policies(fields: &mut Fields) -> Option<Policies> {
    let default = Policies::default();
    let hold_on = [("invite", HoldOn::Invite), ("accept", HoldOn::Accept)];
    let kinds = [("reusable", StockKind::Reusable), ("consumable", StockKind::Consumable)];
    let clocks = [
        ("activation", ClockStart::Activation),
        ("first_login", ClockStart::FirstLogin),
        ("fixed", ClockStart::Fixed),
    ];
    let ends = [
        ("stop_new", OnEnd::StopNew),
        ("stop_access", OnEnd::StopAccess),
        ("read_only", OnEnd::ReadOnly),
    ];
    let privileged =
        [("vendor", PrivilegedRoles::Vendor), ("client_admin", PrivilegedRoles::ClientAdmin)];
    let bounces = [("keep", OnHardBounce::Keep), ("cancel", OnHardBounce::Cancel)];
    let days = || integer(1..=36_525_u32);
    Some(Policies {
        hold_on: fields.optional("hold_on", choice(&hold_on)).unwrap_or(default.hold_on),
        invite_ttl_days: fields
            .optional("invite_ttl_days", integer(1..=3_650_u16))
            .unwrap_or(default.invite_ttl_days),
        stock_kind: fields.optional("stock_kind", choice(&kinds)).unwrap_or(default.stock_kind),
        return_until_days: fields.optional("return_until_days", integer(0..=36_525_u32)),
        seat_duration_days: fields.optional("seat_duration_days", days()),
        clock_start: fields.optional("clock_start", choice(&clocks)).unwrap_or_default(),
        on_end: fields.optional("on_end", choice(&ends)).unwrap_or_default(),
        grace_days: fields.optional("grace_days", integer(0..=36_525_u32)).unwrap_or_default(),
        privileged_roles: fields
            .optional("privileged_roles", choice(&privileged))
            .unwrap_or_default(),
        low_stock: fields
            .optional_list("low_stock", 0..=10, integer(0..=SEATS_MAX.unsigned_abs()))
            .unwrap_or(default.low_stock),
        on_hard_bounce: fields.optional("on_hard_bounce", choice(&bounces)).unwrap_or_default(),
        bounce_grace_hours: fields
            .optional("bounce_grace_hours", integer(0..=2_160_u16))
            .unwrap_or(default.bounce_grace_hours),
        opens_at: fields
            .optional("opens_at", parsed("invalid-time", parse_opens_at))
            .unwrap_or(default.opens_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_back_what_is_taken_is_told_how_many_have_to_go() {
        let stock = Stock { held: 3, used: 5, available: 2, ..Stock::of(10) };
        for (back, expected) in [(5, Some(3)), (3, Some(1)), (10, Some(8)), (11, None), (2, None)] {
            let problem = too_many_taken(stock, back);
            assert_eq!(problem.seats_to_release, expected, "{back}: {}", problem.detail);
            assert_eq!(problem.code, ProblemCode::SeatsInUse);
        }
        assert_eq!(
            too_many_taken(stock, 5).detail,
            "Fewer seats would be left than are taken. Seats to release first: 3; or take fewer, \
             at most the 2 that are available."
        );
    }
}
