//! Learners: lists, one, and the release of a seat.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::release_seat::{ReleaseSeatError, release_seat};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, GroupId, LearnerId, PoolId};
use seatkeeper_domain::learner::{Learner, LearnerStatus};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, Page, People as _};
use seatkeeper_http::body::{Fields, Payload, choice, page_request, parsed};
use seatkeeper_http::caller::{ADMINISTRATION, GROUP_READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, person, views};
use serde_json::json;

use crate::contracts;

/// The values of `status`. Nobody is suspended yet, but the filter is known.
const STATUSES: [(&str, Option<LearnerStatus>); 4] = [
    ("pending", Some(LearnerStatus::Pending)),
    ("active", Some(LearnerStatus::Active)),
    ("suspended", None),
    ("ended", Some(LearnerStatus::Ended)),
];

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
    known_group(&app, &signed_in, &client, group).await?;
    let now = app.clock.now();
    let own = signed_in.own_groups().cloned();
    let keep = |learner: &Learner| {
        let groups = &learner.profile.group_ids;
        group.is_none_or(|group| groups.contains(&group))
            && status.is_none_or(|status| status == Some(learner.status(now)))
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
    let learner = known(app, client, &learner).await?;
    let pool: PoolId = pool.parse().map_err(|_| Problem::not_found())?;
    let contract = &contract_of(app, client, pool).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        let place = (client, contract);
        let (ports, clock, ids) = (&app.store, &app.clock, &app.ids);
        let released =
            release_seat(ports, clock, ids, actor, op, place, learner.learner_id, pool).await;
        let learner = match released {
            Ok(learner) => learner,
            Err(ReleaseSeatError::NoSeat) => return Err(Problem::not_found()),
            Err(ReleaseSeatError::Store(error)) => return Err(error.into()),
        };
        let now = app.clock.now();
        Ok(Answer::ok(&json!({
            "learner": views::learner(&learner, now),
            "seat": learner.seats.get(&pool).map(|seat| views::seat(pool, seat, now)),
            "stock": views::stock(contracts::stock(app, client, pool).await?),
        })))
    };
    app.once().answer(subject, &request, &payload, work).await
}

/// The contract whose terms hold for a pool, or 404.
async fn contract_of(
    app: &App<Store>,
    client: &ClientId,
    pool: PoolId,
) -> Result<Contract, Problem> {
    let id = match pool {
        PoolId::Contract(id) => id,
        PoolId::Sublicense(id) => {
            let known = app.store.sublicense(client, id).await?;
            known.ok_or_else(Problem::not_found)?.contract_id
        }
    };
    app.store.contract(client, id).await?.ok_or_else(Problem::not_found)
}
