//! `POST /v1/clients/{client}/learners`.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreatedLearner, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::pick_contract::{PickContract, pick_contract};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId};
use seatkeeper_domain::learner::Profile;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_domain::role::Role;
use seatkeeper_http::body::{Fields, Payload, date, flag, integer, text};
use seatkeeper_http::caller::{ADMINISTRATION, SINGLE_SIGN_ON};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, Shared, SignedIn, person, views};
use serde_json::json;

/// Longest duration that can be asked for, in days: a century.
const DURATION_MAX: u32 = 36_525;

pub(crate) async fn create(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let (pick, wanted) = read(&app, &signed_in, client, &payload)?;
    let (app, signed_in, pick, wanted) = (&app, &signed_in, &pick, &wanted);
    let work = |op: Op| async move {
        let (store, clock, keys) = (&app.store, &app.clock, &app.edge.keys);
        let wanted = &wanted(pick_contract(store, clock, keys, &op, pick).await?);
        let caller = signed_in.caller();
        let made = create_learner(store, clock, &app.ids, keys, caller, op, wanted).await?;
        Ok(answer(app, wanted, &made))
    };
    app.once().answer(&signed_in.caller().subject, &request, &payload, work).await
}

/// `PUT …/sso/{subject}`: somebody arrives through the client's identity provider. The first time an
/// account with a seat is made, later the same answer tells of it; the address says who it is.
pub(crate) async fn arrive_by_single_sign_on(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, subject)): Path<(String, String)>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client_id = signed_in.admitted(&client, SINGLE_SIGN_ON)?;
    let mut fields = Fields::of(&payload)?;
    let (contract_id, sublicense_id) = person::pool(&mut fields);
    let email = fields.required("email", person::email);
    let profile = Profile {
        first_name: fields.optional("first_name", text(1..=person::NAME_MAX)),
        last_name: fields.optional("last_name", text(1..=person::NAME_MAX)),
        language: fields.optional("language", person::language(&app.edge.languages)),
        roles: [Role::Learner].into(),
        external_id: Some(subject).filter(|subject| subject.chars().count() <= person::NAME_MAX),
        ..Profile::default()
    };
    let wanted = fields.finish(|| {
        Some(CreateLearner {
            client_id,
            contract_id: contract_id?,
            sublicense_id,
            email: email?,
            profile,
            password: PasswordChoice::SingleSignOn,
            term: TermRequest::default(),
            notify: false,
            copy_to: None,
        })
    })?;
    let op = Op { id: app.ids.uuid(), guard: None };
    let (keys, caller) = (&app.edge.keys, signed_in.caller());
    let made = create_learner(&app.store, &app.clock, &app.ids, keys, caller, op, &wanted).await?;
    Ok(answer(&app, &wanted, &made))
}

fn read(
    app: &App<Store>,
    signed_in: &SignedIn,
    client_id: ClientId,
    payload: &Payload,
) -> Result<(PickContract, impl Fn(ContractId) -> CreateLearner), Problem> {
    let mut fields = Fields::of(payload)?;
    let (named, sublicense_id) = person::pool_or_any(&mut fields);
    let email = fields.required("email", person::email);
    let profile = person::profile(&mut fields, &app.edge.languages);
    let password = password(&mut fields, app);
    let term = TermRequest {
        start_on: fields.optional("start_on", date()),
        end_on: profile.end_on,
        duration_days: fields.optional("duration_days", integer(1..=DURATION_MAX)),
        delete_on: profile.delete_on,
    };
    if term.end_on.is_some() && term.duration_days.is_some() {
        let detail = "Give a last day or a duration, not both.";
        fields.refuse("duration_days", "conflicting-end", detail);
    }
    let notify = fields.optional("notify", flag()).unwrap_or(true);
    let copy = fields.optional("copy_to_me", flag()).unwrap_or(false);
    let copy_to = person::copy_to(&mut fields, signed_in.caller(), copy);
    let email = fields.finish(|| email)?;
    let pick =
        PickContract { client_id, named, sublicense_id, addresses: vec![email.clone()], term };
    let client_id = pick.client_id.clone();
    let wanted = move |contract_id| CreateLearner {
        client_id: client_id.clone(),
        contract_id,
        sublicense_id,
        email: email.clone(),
        profile: profile.clone(),
        password: password.clone(),
        term,
        notify,
        copy_to: copy_to.clone(),
    };
    Ok((pick, wanted))
}

/// `password`, or `generate_password`, or neither: then the learner sets it by a link.
fn password(fields: &mut Fields, app: &App<Store>) -> PasswordChoice {
    let typed = fields.optional("password", person::password(app.edge.passwords));
    let generate = fields.optional("generate_password", flag()).unwrap_or(false);
    match typed {
        Some(_) if generate => {
            let detail = "Give a password or have one generated, not both.";
            fields.refuse("generate_password", "conflicting-password", detail);
            PasswordChoice::Generated
        }
        Some(password) => PasswordChoice::Typed(password.hash(&app.ids)),
        None if generate => PasswordChoice::Generated,
        None => PasswordChoice::Link,
    }
}

fn answer(app: &App<Store>, wanted: &CreateLearner, made: &CreatedLearner) -> Answer {
    let now = app.clock.now();
    let seat = views::seat(&made.learner, made.pool, now);
    let mut body = json!({
        "learner": views::learner(&made.learner, now),
        "seat": seat,
        "stock": views::stock(made.stock),
    });
    if let Some(password) = &made.generated_password {
        body["generated_password"] = json!(password.reveal());
    }
    let by_link = matches!(wanted.password, PasswordChoice::Link);
    if by_link && !wanted.notify && made.new_account && made.learner.credential.is_none() {
        body["link"] = json!(set_password_link(app, wanted, made));
    }
    let answer = if made.already_seated { Answer::ok(&body) } else { Answer::created(&body) };
    answer.unrepeatable("/generated_password").unrepeatable("/link")
}

fn set_password_link(app: &App<Store>, wanted: &CreateLearner, made: &CreatedLearner) -> String {
    let link = Link::password(&wanted.client_id, &made.learner, app.clock.now());
    format!("{}{}", app.edge.page_base_url, link.path(&app.edge.keys))
}
