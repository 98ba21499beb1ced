//! Seats that nobody uses: who has them, and taking them back after a warning.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::reclaim_seats::{
    ReclaimSeats, Reclaimed, UnusedSeat, reclaim_seats,
};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::ids::{ClientId, PoolId};
use seatkeeper_domain::ports::{Catalog as _, Clock as _, People as _};
use seatkeeper_http::body::{Fields, Payload, flag, integer, parsed, text};
use seatkeeper_http::caller::ADMINISTRATION;
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, views};
use serde_json::{Value, json};

use crate::{WORKS_FOR, clients, contracts};

/// Days of notice where none are named.
const NOTICE_DAYS: u32 = 14;
/// Most exceptions of each kind.
const EXCEPT_MAX: usize = 1_000;
/// Most characters of a label.
const LABEL_MAX: usize = 200;

/// `POST …/contracts/{contract}/reclaim`: warns those whose seats nobody uses; or, with `preview`, says
/// who they are.
pub(crate) async fn reclaim(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, contract)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let unused_days = fields.required("unused_days", integer(1..=3_650_u32));
    let notice_days = fields.optional("notice_days", integer(1..=365_u32)).unwrap_or(NOTICE_DAYS);
    let preview = fields.optional("preview", flag()).unwrap_or_default();
    let count = 0..=EXCEPT_MAX;
    let learner = parsed("unknown-learner", str::parse);
    let except = fields.optional_list("except_learner_ids", count.clone(), learner);
    let labels = fields.optional_list("except_labels", count.clone(), text(1..=LABEL_MAX));
    let group = parsed("unknown-group", str::parse);
    let groups = fields.optional_list("except_group_ids", count, group);
    let unused_days = fields.finish(|| unused_days)?;
    let command = &ReclaimSeats {
        unused_days,
        notice_days,
        except: except.unwrap_or_default().into_iter().collect(),
        except_labels: labels.unwrap_or_default().into_iter().collect(),
        except_groups: groups.unwrap_or_default().into_iter().collect(),
        preview,
    };
    let owner = &clients::known(app, client).await?;
    let subject = &signed_in.subject;
    let work = |_| async move {
        // In here: a repeated call has its answer, whoever is erased since.
        must_exist(app, client, command).await?;
        let contract = &contracts::known(app, client, &contract).await?;
        let (ports, clock, ids) = (&app.store, &app.clock, &app.ids);
        let (actor, until) = (Actor::Caller(subject.clone()), clock.now() + WORKS_FOR);
        let place = (owner, contract);
        let done = reclaim_seats(ports, clock, ids, actor, place, command, until).await?;
        let stock = contracts::stock(app, client, PoolId::Contract(contract.contract_id)).await?;
        let mut answer = json!({
            "warned": done.warned, "complete": done.complete, "stock": views::stock(stock),
        });
        if preview {
            answer["unused"] = named(&done);
        }
        Ok(Answer::ok(&answer))
    };
    app.once().answer(subject, &request, &payload, work).await
}

/// A person or group that is to be left alone, and is not there, is a slip that somebody would pay for.
async fn must_exist(
    app: &App<Store>,
    client: &ClientId,
    command: &ReclaimSeats,
) -> Result<(), Problem> {
    let people: Vec<_> = command.except.iter().copied().collect();
    if app.store.learners(client, &people).await?.len() < people.len() {
        let detail = "Name learners of this client; list them to find their ids.";
        return Err(Problem::invalid_field("/except_learner_ids", "unknown-learner", detail));
    }
    let groups = &command.except_groups;
    if app.store.groups_by_id(client, groups).await?.len() < groups.len() {
        let detail = "Name groups of this client; list them to find their ids.";
        return Err(Problem::invalid_field("/except_group_ids", "unknown-group", detail));
    }
    Ok(())
}

fn named(done: &Reclaimed) -> Value {
    let one = |UnusedSeat { learner, pool, entered_at }: &UnusedSeat| {
        json!({
            "learner_id": learner.learner_id, "email": learner.email, "pool": pool,
            "last_seen_at": entered_at,
        })
    };
    done.unused.iter().map(one).collect()
}
