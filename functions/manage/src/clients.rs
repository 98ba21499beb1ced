//! Clients.

use axum::extract::State;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::add_client::{AddClientError, add_client, replace_client};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::{AlertRecipient, Branding, Client, ClientStatus, HttpsUrl, Zone};
use seatkeeper_domain::color::Color;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::ClientId;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _};
use seatkeeper_http::body::{Fields, Payload, parsed, text};
use seatkeeper_http::caller::{READS, VENDOR};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, SignedIn, person, views};

/// Most characters of a client's name.
const NAME_MAX: usize = 200;
/// Most people who are told of a client's stock and contracts.
const ALERTS_MAX: usize = 10;

/// The client of a path, or 404.
pub(crate) async fn known(app: &App<Store>, client: &ClientId) -> Result<Client, Problem> {
    app.store.client(client).await?.ok_or_else(Problem::not_found)
}

pub(crate) async fn add(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    signed_in.must_be(VENDOR)?;
    let app = &app;
    let mut fields = Fields::of(&payload)?;
    let client_id = fields.required("client_id", parsed("invalid-client-id", str::parse));
    let name = fields.required("name", text(1..=NAME_MAX));
    let default_language =
        fields.required("default_language", person::language(&app.edge.languages));
    let time_zone = fields.required("time_zone", parsed("unknown-time-zone", Zone::parse));
    let launch_url = fields.required("launch_url", parsed("invalid-url", HttpsUrl::parse));
    let branding = fields.optional_object("branding", branding).unwrap_or_default();
    let alerts_to = alerts_to(&app.edge.languages, &mut fields);
    let client = fields.finish(|| {
        Some(Client {
            client_id: client_id?,
            name: name?,
            default_language: default_language?,
            time_zone: time_zone?,
            launch_url: launch_url?,
            branding,
            alerts_to: alerts_to.unwrap_or_default(),
            status: ClientStatus::Active,
            created_at: app.clock.now(),
        })
    })?;
    let subject = &signed_in.subject;
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        match add_client(&app.store, actor, op, client).await {
            Ok(client) => Ok(Answer::created(&views::client(&client))),
            Err(AddClientError::Exists) => Err(Problem::new(
                ProblemCode::ClientExists,
                "A client of this id exists; choose another id.",
            )),
            Err(AddClientError::Store(error)) => Err(error.into()),
        }
    };
    app.once().answer(subject, &request, &payload, work).await
}

pub(crate) async fn show(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    Ok(Answer::ok(&views::client(&known(&app, &client).await?)))
}

pub(crate) async fn change(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, VENDOR)?;
    let mut fields = Fields::of(&payload)?;
    let name = fields.optional("name", text(1..=NAME_MAX));
    let language = fields.optional("default_language", person::language(&app.edge.languages));
    let zone = fields.optional("time_zone", parsed("unknown-time-zone", Zone::parse));
    let launch = fields.optional("launch_url", parsed("invalid-url", HttpsUrl::parse));
    let look = fields.optional_object("branding", |fields| {
        let logo = fields.change("logo_url", parsed("invalid-url", HttpsUrl::parse));
        let color = fields.change("color", parsed("invalid-color", Color::parse));
        let from = fields.change("from_name", text(1..=NAME_MAX));
        Some((logo, color, from))
    });
    let alerts_to = alerts_to(&app.edge.languages, &mut fields);
    fields.finish(|| Some(()))?;
    let mut changed = known(&app, &client).await?;
    changed.name = name.unwrap_or(changed.name);
    changed.default_language = language.unwrap_or(changed.default_language);
    changed.time_zone = zone.unwrap_or(changed.time_zone);
    changed.launch_url = launch.unwrap_or(changed.launch_url);
    changed.alerts_to = alerts_to.unwrap_or(changed.alerts_to);
    if let Some((logo, color, from)) = look {
        changed.branding.logo_url = logo.of(changed.branding.logo_url);
        changed.branding.color = color.of(changed.branding.color);
        changed.branding.from_name = from.of(changed.branding.from_name);
    }
    let op = Op { id: app.ids.uuid(), guard: None };
    let actor = Actor::Caller(signed_in.subject.clone());
    replace_client(&app.store, &app.clock, actor, op, &changed).await?;
    Ok(Answer::ok(&views::client(&changed)))
}

/// `alerts_to`, which replaces the list; `null` empties it.
fn alerts_to(languages: &Languages, fields: &mut Fields) -> Option<Vec<AlertRecipient>> {
    let emptied = fields.is_null("alerts_to").then(Vec::new);
    let read = person::alert_recipient(languages);
    let named = fields.optional_list("alerts_to", 0..=ALERTS_MAX, read).or(emptied)?;
    for (place, one) in named.iter().enumerate() {
        if named[..place].iter().any(|other| other.email == one.email) {
            let detail = "This address stands earlier in the list; name everybody once.";
            fields.refuse_item("alerts_to", place, "duplicate", detail);
        }
    }
    Some(named)
}

#[expect(clippy::unnecessary_wraps, reason = "the reader of a nested object")]
fn branding(fields: &mut Fields) -> Option<Branding> {
    Some(Branding {
        logo_url: fields.optional("logo_url", parsed("invalid-url", HttpsUrl::parse)),
        color: fields.optional("color", parsed("invalid-color", Color::parse)),
        from_name: fields.optional("from_name", text(1..=NAME_MAX)),
    })
}
