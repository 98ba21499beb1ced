//! Invitations: lists, and one.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::invitations::{may_see, visible_invitation};
use seatkeeper_domain::invitation::{Delivery, Invitation, InvitationStatus};
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_http::body::{Fields, choice, page_request};
use seatkeeper_http::caller::GROUP_READS;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, Shared, SignedIn, views};

use crate::clients;

/// The values of `status`.
const STATUSES: [(&str, InvitationStatus); 5] = [
    ("pending", InvitationStatus::Pending),
    ("accepted", InvitationStatus::Accepted),
    ("declined", InvitationStatus::Declined),
    ("cancelled", InvitationStatus::Cancelled),
    ("expired", InvitationStatus::Expired),
];

/// The values of `delivery`.
const DELIVERIES: [(&str, Delivery); 6] = [
    ("queued", Delivery::Queued),
    ("sent", Delivery::Sent),
    ("delivered", Delivery::Delivered),
    ("bounced", Delivery::Bounced),
    ("complained", Delivery::Complained),
    ("unknown", Delivery::Unknown),
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
    let status = fields.optional("status", choice(&STATUSES));
    let delivery = fields.optional("delivery", choice(&DELIVERIES));
    fields.finish(|| Some(()))?;
    clients::known(&app, &client).await?;
    let now = app.clock.now();
    let keep = |invitation: &Invitation| {
        may_see(signed_in.caller(), invitation)
            && status.is_none_or(|status| status == invitation.status_at(now))
            && delivery.is_none_or(|delivery| delivery == invitation.delivery)
    };
    let page = app.store.invitations_page(&client, &request, keep).await?;
    Ok(Answer::ok(&views::list(&page, |invitation| views::invitation(invitation, now))))
}

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, invitation)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, GROUP_READS)?;
    let id = invitation.parse().map_err(|_| Problem::not_found())?;
    let found = visible_invitation(&app.store, signed_in.caller(), &client, id).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(Answer::ok(&views::invitation(&found, app.clock.now())))
}
