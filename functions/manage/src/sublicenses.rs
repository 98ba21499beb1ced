//! Sublicenses of a contract.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::allocate_seats::{AllocateError, add_sublicense, allocate_seats};
use seatkeeper_domain::actions::open_contract::SEATS_MAX;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, PoolId, SublicenseId};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, Page};
use seatkeeper_http::body::{Fields, Payload, integer, only_page, text};
use seatkeeper_http::caller::{ADMINISTRATION, READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, SignedIn, views};
use serde_json::Value;

use crate::{clients, contracts};

async fn view(
    app: &App<Store>,
    client: &ClientId,
    sublicense: &Sublicense,
) -> Result<Value, Problem> {
    let pool = PoolId::Sublicense(sublicense.sublicense_id);
    Ok(views::sublicense(sublicense, contracts::stock(app, client, pool).await?))
}

pub(crate) async fn add(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let name = fields.required("name", text(1..=200));
    let seats = fields.required("seats", integer(0..=SEATS_MAX.unsigned_abs()));
    let (name, seats) = fields.finish(|| Some((name?, seats?)))?;
    clients::known(app, client).await?;
    let contract = contracts::known(app, client, &contract).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let sublicense = Sublicense {
            sublicense_id: SublicenseId::from_uuid(op.id),
            contract_id: contract.contract_id,
            name,
            created_at: app.clock.now(),
        };
        let actor = Actor::Caller(subject.clone());
        match add_sublicense(&app.store, actor, op, client, &sublicense, seats).await {
            Ok(()) => Ok(Answer::created(&view(app, client, &sublicense).await?)),
            // Nothing is taken back from one that is new.
            Err(AllocateError::NoSeatsLeft | AllocateError::InUse) => Err(no_seats_left()),
            Err(AllocateError::Store(error)) => Err(error.into()),
        }
    };
    app.once().answer(subject, &request, &payload, work).await
}

pub(crate) async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let request = only_page(&uri)?;
    let contract = contracts::known(&app, &client, &contract).await?;
    // The store lists those of all contracts of the client: it is read on until the page is full.
    let mut shown = Vec::new();
    let mut rest = request;
    let next = loop {
        let page = app.store.sublicenses(&client, &rest).await?;
        let of_contract = page.items.iter().filter(|one| one.contract_id == contract.contract_id);
        for sublicense in of_contract {
            shown.push(view(&app, &client, sublicense).await?);
            rest.limit -= 1;
        }
        rest.cursor = page.next;
        if rest.limit == 0 || rest.cursor.is_none() {
            break rest.cursor;
        }
    };
    Ok(Answer::ok(&views::list(&Page { items: shown, next }, Value::clone)))
}

pub(crate) async fn add_seats(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract, sublicense)): Path<(String, String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let add = fields.required("add", contracts::seats_to_move());
    let add = fields.finish(|| add)?;
    let contract = contracts::known(app, client, &contract).await?;
    let id: SublicenseId = sublicense.parse().map_err(|_| Problem::not_found())?;
    let known = app.store.sublicense(client, id).await?;
    let known = known.filter(|known| known.contract_id == contract.contract_id);
    let sublicense = &known.ok_or_else(Problem::not_found)?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        let done = allocate_seats(&app.store, &app.clock, actor, op, client, sublicense, add);
        match done.await {
            Ok(()) => Ok(Answer::ok(&view(app, client, sublicense).await?)),
            Err(AllocateError::InUse) => {
                let pool = PoolId::Sublicense(sublicense.sublicense_id);
                Err(contracts::seats_in_use(app, client, pool, add).await?)
            }
            Err(AllocateError::NoSeatsLeft) => Err(no_seats_left()),
            Err(AllocateError::Store(error)) => Err(error.into()),
        }
    };
    app.once().answer(subject, &request, &payload, work).await
}

fn no_seats_left() -> Problem {
    let detail =
        "The contract has too few available seats; take fewer, or ask the vendor for more.";
    Problem::new(ProblemCode::NoSeatsLeft, detail)
}
