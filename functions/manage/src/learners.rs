//! Learners: lists, one, changes of one, and what becomes of their seats.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::change_learner::{ChangeLearner, change_learner};
use seatkeeper_domain::actions::erase_learner::{EraseLearnerError, erase_learner};
use seatkeeper_domain::actions::erased_meanwhile;
use seatkeeper_domain::actions::ground::contract_of;
use seatkeeper_domain::actions::release_seat::{ReleaseSeatError, release_seat};
use seatkeeper_domain::actions::transfer_seat::{TransferSeat, transfer_seat};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, GroupId, LearnerId, PoolId};
use seatkeeper_domain::learner::{Learner, LearnerStatus, Profile};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _, Page, People as _};
use seatkeeper_http::body::{Fields, Payload, choice, date, flag, page_request, parsed, text};
use seatkeeper_http::caller::{ADMINISTRATION, GROUP_READS, READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, person, views};
use serde_json::json;

use crate::{clients, contracts};

/// The values of `status`.
const STATUSES: [(&str, LearnerStatus); 4] = [
    ("pending", LearnerStatus::Pending),
    ("active", LearnerStatus::Active),
    ("suspended", LearnerStatus::Suspended),
    ("ended", LearnerStatus::Ended),
];

/// What `status` of a change means: whether the learner is kept out.
const STANDINGS: [(&str, bool); 2] = [("suspended", true), ("active", false)];

pub(crate) async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, GROUP_READS)?;
    let mut fields = Fields::of_query(&uri);
    let request = page_request(&mut fields);
    let email = fields.optional("email", person::email);
    let group: Option<GroupId> = fields.optional("group_id", parsed("unknown-group", str::parse));
    let status = fields.optional("status", choice(&STATUSES));
    fields.finish(|| Some(()))?;
    clients::known(&app, &client).await?;
    known_group(&app, &signed_in, &client, group).await?;
    let now = app.clock.now();
    let own = signed_in.own_groups().cloned();
    let keep = |learner: &Learner| {
        let groups = &learner.profile.group_ids;
        group.is_none_or(|group| groups.contains(&group))
            && status.is_none_or(|status| status == learner.status(now))
            && own.as_ref().is_none_or(|own| !own.is_disjoint(groups))
    };
    let page = match email {
        Some(email) => {
            let id = app.edge.keys.learner_id(&client, &email);
            let found = app.store.learner(&client, id).await?.filter(keep);
            Page { items: found.into_iter().collect(), next: None }
        }
        None => app.store.learners_page(&client, &request, keep).await?,
    };
    Ok(Answer::ok(&views::list(&page, |learner| views::learner(learner, now))))
}

async fn known_group(
    app: &App<Store>,
    signed_in: &SignedIn,
    client: &ClientId,
    group: Option<GroupId>,
) -> Result<(), Problem> {
    let Some(group) = group else { return Ok(()) };
    let visible = signed_in.own_groups().is_none_or(|own| own.contains(&group));
    if visible && !app.store.groups_by_id(client, &[group].into()).await?.is_empty() {
        return Ok(());
    }
    let detail = "This client has no such group; list the groups to find its id.";
    Err(Problem::invalid_field("/group_id", "unknown-group", detail))
}

/// The learner of a path, or 404.
async fn known(app: &App<Store>, client: &ClientId, learner: &str) -> Result<Learner, Problem> {
    let id: LearnerId = learner.parse().map_err(|_| Problem::not_found())?;
    app.store.learner(client, id).await?.ok_or_else(Problem::not_found)
}

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, learner)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, GROUP_READS)?;
    let learner = known(&app, &client, &learner).await?;
    signed_in.must_see_one_of(&learner.profile.group_ids)?;
    Ok(Answer::ok(&views::learner(&learner, app.clock.now())))
}

pub(crate) async fn release(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, learner, pool)): Path<(String, String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let learner: LearnerId = learner.parse().map_err(|_| Problem::not_found())?;
    let pool: PoolId = pool.parse().map_err(|_| Problem::not_found())?;
    let subject = &signed_in.subject;
    // What is looked up is looked up in here: a repeated call has its answer, whoever is erased since.
    let work = |op: Op| async move {
        let contract = &terms_of(app, client, pool).await?;
        let actor = Actor::Caller(subject.clone());
        let place = (client, contract);
        let (ports, clock, ids) = (&app.store, &app.clock, &app.ids);
        let released = release_seat(ports, clock, ids, actor, op, place, learner, pool).await;
        let learner = match released {
            Ok(learner) => learner,
            Err(ReleaseSeatError::NoSeat) => return Err(Problem::not_found()),
            Err(ReleaseSeatError::Erased) => return Err(erased_meanwhile().into()),
            Err(ReleaseSeatError::Store(error)) => return Err(error.into()),
        };
        let now = app.clock.now();
        Ok(Answer::ok(&json!({
            "learner": views::learner(&learner, now),
            "seat": views::seat(&learner, pool, now),
            "stock": views::stock(contracts::stock(app, client, pool).await?),
        })))
    };
    app.once().answer(subject, &request, &payload, work).await
}

/// `PATCH …/learners/{learner}`: what is known of the person, and the day a scheduled seat opens.
pub(crate) async fn change(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, learner)): Path<(String, String)>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let mut profile = person::profile_change(&mut fields, &app.edge.languages);
    profile.suspended = fields.optional("status", choice(&STANDINGS));
    let start_on = fields.optional("start_on", date());
    let pool = fields.optional("pool", parsed("unknown-pool", str::parse));
    let notify = fields.optional("notify", flag()).unwrap_or(true);
    if pool.is_some() && start_on.is_none() {
        fields.refuse("pool", "start-missing", "A pool is only needed with `start_on`.");
    }
    fields.finish(|| Some(()))?;
    let learner_id = learner.parse().map_err(|_| Problem::not_found())?;
    let command = ChangeLearner { client_id, learner_id, profile, start_on, pool, notify };
    let op = Op { id: app.ids.uuid(), guard: None };
    let caller = signed_in.caller();
    let changed = change_learner(&app.store, &app.clock, &app.ids, caller, op, &command).await?;
    let mut body = views::learner(&changed.learner, app.clock.now());
    if let Some(pool) = changed.rescheduled {
        body["stock"] = views::stock(contracts::stock(&app, &command.client_id, pool).await?);
    }
    Ok(Answer::ok(&body))
}

/// `DELETE …/learners/{learner}`: nothing is left that says who it was.
pub(crate) async fn erase(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, learner)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let learner: LearnerId = learner.parse().map_err(|_| Problem::not_found())?;
    let op = Op { id: app.ids.uuid(), guard: None };
    let actor = Actor::Caller(signed_in.subject.clone());
    let (store, clock, ids, keys) = (&app.store, &app.clock, &app.ids, &app.edge.keys);
    let erased = match erase_learner(store, clock, ids, keys, actor, op, &client, learner).await {
        Ok(erased) => erased,
        Err(EraseLearnerError::Unknown) => return Err(Problem::not_found()),
        Err(EraseLearnerError::Store(error)) => return Err(error.into()),
    };
    let mut stocks = Vec::new();
    for pool in erased.pools {
        let stock = views::stock(contracts::stock(&app, &client, pool).await?);
        stocks.push(json!({"pool": pool, "stock": stock}));
    }
    let stock = stocks.first().map(|first| first["stock"].clone());
    Ok(Answer::ok(&json!({"learner_id": learner, "stock": stock, "stocks": stocks})))
}

/// `POST …/learners/{learner}/transfer`: the seat goes to somebody else, in one step.
pub(crate) async fn transfer(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, learner)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let to = fields.required("to_email", person::email);
    let pool = fields.optional("pool", parsed("unknown-pool", str::parse));
    let profile = Profile {
        first_name: fields.optional("first_name", text(1..=person::NAME_MAX)),
        last_name: fields.optional("last_name", text(1..=person::NAME_MAX)),
        language: fields.optional("language", person::language(&app.edge.languages)),
        ..Profile::default()
    };
    let notify = fields.optional("notify", flag()).unwrap_or(true);
    let to = fields.finish(|| to)?;
    let from = learner.parse().map_err(|_| Problem::not_found())?;
    let command = TransferSeat { client_id, from, pool, to, profile, notify };
    let (app, signed_in, command) = (&app, &signed_in, &command);
    let work = |op: Op| async move {
        let (keys, caller) = (&app.edge.keys, signed_in.caller());
        let done =
            transfer_seat(&app.store, &app.clock, &app.ids, keys, caller, op, command).await?;
        let (now, pool) = (app.clock.now(), done.pool);
        Ok(Answer::ok(&json!({
            "learner": views::learner(&done.to, now),
            "seat": views::seat(&done.to, pool, now),
            "from": views::learner(&done.from, now),
            "stock": views::stock(contracts::stock(app, &command.client_id, pool).await?),
        })))
    };
    app.once().answer(&signed_in.subject, &request, &payload, work).await
}

/// `GET …/seats/{pool}/explain?learner=`: how this learner's seat came to be what it is.
pub(crate) async fn explain(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, pool)): Path<(String, String)>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut fields = Fields::of_query(&uri);
    let request = page_request(&mut fields);
    let learner: Option<LearnerId> =
        fields.required("learner", parsed("unknown-learner", str::parse));
    let learner = fields.finish(|| learner)?;
    let pool: PoolId = pool.parse().map_err(|_| Problem::not_found())?;
    terms_of(&app, &client, pool).await?;
    let known = app.store.learner(&client, learner).await?.ok_or_else(unknown_learner)?;
    let seat = known.seats.get(&pool);
    let page = app.store.learner_audit(&client, pool, learner, seat, &request).await?;
    let mut body = views::list(&page, views::audit_record);
    body["learner_id"] = json!(learner);
    body["pool"] = json!(pool);
    body["seat"] = json!(views::seat(&known, pool, app.clock.now()));
    Ok(Answer::ok(&body))
}

fn unknown_learner() -> Problem {
    let detail = "This client has no such learner; list the learners to find the id.";
    Problem::invalid_field("/learner", "unknown-learner", detail)
}

/// The contract whose terms hold for a pool, or 404.
async fn terms_of(app: &App<Store>, client: &ClientId, pool: PoolId) -> Result<Contract, Problem> {
    contract_of(&app.store, client, pool).await?.ok_or_else(Problem::not_found)
}
