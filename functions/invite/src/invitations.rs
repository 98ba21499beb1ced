//! `POST …/invitations`, `POST …/invitations/remind`, `POST …/{invitation}/resend`, `PATCH` and
//! `DELETE …/{invitation}`.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::address_list::AddressResult;
use seatkeeper_domain::actions::change_address::change_address;
use seatkeeper_domain::actions::close_invitation::cancel_invitation;
use seatkeeper_domain::actions::invitations::InvitationNow;
use seatkeeper_domain::actions::invite::{
    ADDRESSES_MAX, Invite, Invited, Verdict, invite as invite_all, unique_addresses,
};
use seatkeeper_domain::actions::pick_contract::{PickContract, pick_contract};
use seatkeeper_domain::actions::remind_invitations::remind_invitations;
use seatkeeper_domain::actions::resend_invitation::resend_invitation;
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, InvitationId};
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_http::body::{Fields, Payload, date, flag, lines, parsed};
use seatkeeper_http::caller::INVITATIONS;
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, person, views};
use serde_json::{Value, json};

/// Most characters of a personal message.
const MESSAGE_MAX: usize = 2_000;

pub(crate) async fn invite(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, INVITATIONS)?;
    let (app, caller) = (app.as_ref(), signed_in.caller());
    let (pick, wanted) = read(app, &signed_in, client, &payload)?;
    let (pick, wanted) = (&pick, &wanted);
    let work = |op: Op| async move {
        let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
        let wanted = &wanted(pick_contract(store, clock, keys, &op, pick).await?);
        let invited = invite_all(store, clock, keys, caller, op, wanted).await?;
        Ok(answer(app, wanted, &invited))
    };
    app.once().answer(&caller.subject, &request, &payload, work).await
}

pub(crate) async fn resend(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, invitation)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, INVITATIONS)?;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let id = known_id(&invitation)?;
    let (app, caller, client) = (app.as_ref(), signed_in.caller(), &client);
    let work = |op: Op| async move {
        let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
        let sent = resend_invitation(store, clock, keys, caller, op, client, id).await?;
        Ok(shown(app, &sent))
    };
    app.once().answer(&caller.subject, &request, &payload, work).await
}

pub(crate) async fn cancel(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, invitation)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, INVITATIONS)?;
    let id = known_id(&invitation)?;
    let (keys, caller) = (&app.edge.keys, signed_in.caller());
    let op = Op { id: app.ids.uuid(), guard: None };
    let now = cancel_invitation(&app.store, &app.clock, keys, caller, op, &client, id).await?;
    Ok(shown(&app, &now))
}

pub(crate) async fn change(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, invitation)): Path<(String, String)>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, INVITATIONS)?;
    let mut fields = Fields::of(&payload)?;
    let email = fields.required("email", person::email);
    let email = fields.finish(|| email)?;
    let id = known_id(&invitation)?;
    let (keys, caller) = (&app.edge.keys, signed_in.caller());
    let op = Op { id: app.ids.uuid(), guard: None };
    let (store, clock) = (&app.store, &app.clock);
    let now = change_address(store, clock, keys, caller, op, &client, id, &email).await?;
    let mut answer = shown(&app, &now);
    if now.invitation.sent_count == 0 {
        // Nobody was ever told by mail: the caller hands the new link on, too.
        let (id, version) = (now.invitation.invitation_id, now.invitation.version);
        answer.body_mut()["link"] = json!(link_of(&app, &client, id, version));
    }
    Ok(answer)
}

/// Reminds everybody who has not answered and may be reminded.
pub(crate) async fn remind(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, INVITATIONS)?;
    let mut fields = Fields::of_optional(&payload)?;
    let contract = fields.optional("contract_id", parsed("unknown-contract", str::parse));
    fields.finish(|| Some(()))?;
    let (app, caller, client) = (app.as_ref(), signed_in.caller(), &client);
    let work = |op: Op| async move {
        let done = remind_invitations(&app.store, &app.clock, caller, op, client, contract).await?;
        Ok(Answer::ok(&json!({"reminded": done.reminded, "more": done.more})))
    };
    app.once().answer(&caller.subject, &request, &payload, work).await
}

/// The id in a path; what cannot be one names nothing.
fn known_id(id: &str) -> Result<InvitationId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

fn shown(app: &App<Store>, now: &InvitationNow) -> Answer {
    let mut body = views::invitation(&now.invitation, app.clock.now());
    body["stock"] = views::stock(now.stock);
    Answer::ok(&body)
}

fn read(
    app: &App<Store>,
    signed_in: &SignedIn,
    client_id: ClientId,
    payload: &Payload,
) -> Result<(PickContract, impl Fn(ContractId) -> Invite), Problem> {
    let mut fields = Fields::of(payload)?;
    let (named, sublicense_id) = person::pool_or_any(&mut fields);
    let addresses = fields.required("emails", person::addresses(ADDRESSES_MAX));
    let grant = Grant {
        roles: person::roles(&mut fields),
        group_ids: person::groups(&mut fields),
        labels: person::labels(&mut fields),
        language: fields.optional("language", person::language(&app.edge.languages)),
        start_on: fields.optional("start_on", date()),
        end_on: fields.optional("end_on", date()),
        delete_on: fields.optional("delete_on", date()),
        additional_info: fields.optional("additional_info", lines(1..=person::INFO_MAX)),
    };
    let message = fields.optional("message", lines(0..=MESSAGE_MAX));
    let notify = fields.optional("notify", flag()).unwrap_or(true);
    let copy = fields.optional("copy_to_me", flag()).unwrap_or(false);
    let copy_to = person::copy_to(&mut fields, signed_in.caller(), copy);
    if fields.optional("partial", flag()) == Some(false) {
        // Seats taken in between would break the promise.
        let detail =
            "A call on a short pool serves its addresses in order. Compare with the stock first.";
        fields.refuse("partial", "not-offered", detail);
    }
    let addresses = fields.finish(|| addresses)?;
    let message = message.filter(|message| !message.is_empty());
    let pick = PickContract {
        client_id,
        named,
        sublicense_id,
        addresses: unique_addresses(&addresses),
        term: TermRequest {
            start_on: grant.start_on,
            end_on: grant.end_on,
            duration_days: None,
            delete_on: grant.delete_on,
        },
    };
    let client_id = pick.client_id.clone();
    let wanted = move |contract_id| Invite {
        client_id: client_id.clone(),
        contract_id,
        sublicense_id,
        addresses: addresses.clone(),
        grant: grant.clone(),
        message: message.clone(),
        notify,
        copy_to: copy_to.clone(),
    };
    Ok((pick, wanted))
}

fn answer(app: &App<Store>, wanted: &Invite, invited: &Invited) -> Answer {
    let view = |result: &AddressResult<Verdict>| {
        views::invited_address(result, link(app, wanted, result.verdict))
    };
    let results: Vec<Value> = invited.results.iter().map(view).collect();
    let stock = views::stock(invited.stock);
    let before = invited.stock_before.map_or_else(|| stock.clone(), views::stock);
    let body = json!({"results": results, "stock_before": before, "stock": stock});
    Answer::ok(&body).unrepeatable("/results/*/link")
}

/// The link of an address that no mail tells of it.
fn link(app: &App<Store>, wanted: &Invite, verdict: Verdict) -> Option<String> {
    let Verdict::Invited { invitation_id, version } = verdict else { return None };
    let url = || link_of(app, &wanted.client_id, invitation_id, version);
    (!wanted.notify).then(url)
}

fn link_of(app: &App<Store>, client: &ClientId, invitation: InvitationId, version: u32) -> String {
    let link = Link::Invitation { client: client.clone(), invitation, version };
    format!("{}{}", app.edge.page_base_url, link.path(&app.edge.keys))
}
