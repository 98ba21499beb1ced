//! Groups of a client.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::add_group::{AddGroupError, add_group};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::Group;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::GroupId;
use seatkeeper_domain::ports::{Clock as _, Page};
use seatkeeper_http::body::{Fields, Payload, only_page, text};
use seatkeeper_http::caller::{ADMINISTRATION, GROUP_READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, ProblemCode, Shared, SignedIn, views};

use crate::clients;

pub(crate) async fn add(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let name = fields.required("name", text(1..=200));
    let name = fields.finish(|| name)?;
    clients::known(app, client).await?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let group_id = GroupId::from_uuid(op.id);
        let group = Group { group_id, name, created_at: app.clock.now() };
        match add_group(&app.store, Actor::Caller(subject.clone()), op, client, &group).await {
            Ok(()) => Ok(Answer::created(&views::group(&group))),
            Err(AddGroupError::NameTaken) => Err(Problem::new(
                ProblemCode::Conflict,
                "This client has a group of this name; choose another name.",
            )),
            Err(AddGroupError::Store(error)) => Err(error.into()),
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
    let client = signed_in.admitted(&client, GROUP_READS)?;
    let request = only_page(&uri)?;
    clients::known(&app, &client).await?;
    let page = app.store.groups_page(&client, &request).await?;
    let own = signed_in.own_groups();
    let seen =
        page.items.into_iter().filter(|group| own.is_none_or(|own| own.contains(&group.group_id)));
    let page = Page { items: seen.collect(), next: page.next };
    Ok(Answer::ok(&views::list(&page, views::group)))
}
