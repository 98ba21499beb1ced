//! What opens when: the seats that wait for their date.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::cohort::CohortState;
use seatkeeper_domain::dates::{end_of, local_date};
use seatkeeper_domain::ports::Rounds as _;
use seatkeeper_http::body::{Fields, date};
use seatkeeper_http::caller::READS;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, Shared, SignedIn};
use serde_json::json;

use crate::clients;

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
