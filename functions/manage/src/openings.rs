//! What opens when: the seats that wait for their date, and another day, or none, for all of one date.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::change_cohort::{CohortChange, Kept, Why, change_cohort};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::cohort::{CohortKey, CohortState};
use seatkeeper_domain::dates::{end_of, local_date};
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::ClientId;
use seatkeeper_domain::ports::{Clock as _, Rounds as _};
use seatkeeper_http::body::{Fields, Payload, date, flag, instant, parsed};
use seatkeeper_http::caller::{ADMINISTRATION, READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::refusals::window_code;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, views};
use serde_json::{Value, json};

use crate::{WORKS_FOR, clients, contracts};

/// `GET …/openings`: each date of each pool on which seats open, soonest first; with `until`, as far
/// as that local day.
pub(crate) async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut fields = Fields::of_query(&uri);
    let until = fields.optional("until", date());
    fields.finish(|| Some(()))?;
    let owner = clients::known(&app, &client).await?;
    let zone = owner.time_zone.zone();
    let end = until.map(|day| end_of(day, zone));
    let mut waiting = Vec::new();
    for (pool, _) in app.store.client_pools(&client).await? {
        let cohorts = app.store.cohorts(&client, pool).await?.into_iter();
        let waits =
            cohorts.filter(|cohort| cohort.state == CohortState::Waiting && cohort.count > 0);
        let soon = waits.filter(|cohort| end.is_none_or(|end| cohort.instant < end));
        waiting.extend(soon.map(|cohort| (cohort.instant, pool, cohort.count)));
    }
    waiting.sort_unstable();
    let opening = |(opens_at, pool, seats)| {
        json!({
            "opens_at": opens_at, "start_on": local_date(opens_at, zone), "pool": pool,
            "seats": seats,
        })
    };
    let items: Vec<_> = waiting.into_iter().map(opening).collect();
    Ok(Answer::ok(&json!({"items": items, "next_cursor": null})))
}

/// `POST …/openings/reschedule`: everyone who starts at this instant starts on another day.
pub(crate) async fn reschedule(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let key = which(&mut fields, &client_id);
    let start_on = fields.required("start_on", date());
    let notify = fields.optional("notify", flag()).unwrap_or(true);
    let (key, start_on) = fields.finish(|| key.zip(start_on))?;
    let what = CohortChange::Reschedule { start_on, notify };
    change(&app, &signed_in, (&request, &payload), &key, what).await
}

/// `POST …/openings/cancel`: nobody starts at this instant; the seats return.
pub(crate) async fn cancel(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut fields = Fields::of(&payload)?;
    let key = which(&mut fields, &client_id);
    let key = fields.finish(|| key)?;
    change(&app, &signed_in, (&request, &payload), &key, CohortChange::Cancel).await
}

/// The cohort that is meant, as the list names it.
fn which(fields: &mut Fields, client: &ClientId) -> Option<CohortKey> {
    let pool = fields.required("pool", parsed("unknown-pool", str::parse));
    let instant = fields.required("opens_at", instant());
    let (pool, instant) = pool.zip(instant)?;
    Some(CohortKey { client_id: client.clone(), pool, instant })
}

/// Does to a cohort what was asked, once for each key, and tells what came of it.
async fn change(
    app: &App<Store>,
    signed_in: &SignedIn,
    (request, payload): (&Repeatable, &Payload),
    key: &CohortKey,
    what: CohortChange,
) -> Result<Answer, Problem> {
    clients::known(app, &key.client_id).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let (ports, clock, ids) = (&app.store, &app.clock, &app.ids);
        let (actor, until) = (Actor::Caller(subject.clone()), clock.now() + WORKS_FOR);
        let done = change_cohort(ports, clock, ids, actor, op, key, what, until).await?;
        let kept: Vec<_> = done.kept.iter().map(kept).collect();
        let mut answer = json!({
            "kept": kept, "seats_left": done.left, "opened": done.opened,
            "complete": done.complete,
            "stock": views::stock(contracts::stock(app, &key.client_id, key.pool).await?),
        });
        match what {
            CohortChange::Reschedule { .. } => {
                answer["rescheduled"] = json!(done.changed);
                answer["start_on"] = json!(done.starts_on);
            }
            CohortChange::Cancel => answer["cancelled"] = json!(done.changed),
        }
        Ok(Answer::ok(&answer))
    };
    app.once().answer(subject, request, payload, work).await
}

fn kept(Kept { learner, why }: &Kept) -> Value {
    let error = match why {
        Why::Term(term) => window_code(term.error),
        Why::Renews => "renews-a-seat",
    };
    json!({"learner_id": learner.learner_id, "email": learner.email, "error": error})
}
