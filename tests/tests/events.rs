//! Every payload under `events/`, handed to the function that it is for.
//!
//! A payload that no test expects something of fails the test, and so does an expectation without
//! its payload.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use aws_lambda_events::event::{dynamodb, eventbridge, s3};
use data_encoding::BASE64;
use jiff::SignedDuration;
use seatkeeper_activate::ActivateError;
use seatkeeper_aws::S3Files;
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::actions::run_import::Importer;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{Change, Step};
use seatkeeper_domain::client::Group;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::{Contract, Policies, Warned};
use seatkeeper_domain::ids::{ContractId, LearnerId};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, Ledger as _, People as _};
use seatkeeper_domain::stock::{Delta, Stock};
use seatkeeper_feedback::Heard;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_spreadsheet::Spreadsheets;
use seatkeeper_tests::World;
use seatkeeper_tests::http::{Call, House, PAGES, Person, REPORTS, UPLOADS, now};
use serde::Deserialize as _;
use serde_json::{Value, json};

mod mailroom;

/// What the answering functions are expected to say.
const ANSWERED: [(&str, u16); 39] = [
    ("create/later", 201),
    ("create/single_sign_on", 201),
    ("create/today", 201),
    ("invite/accept_form", 303),
    ("invite/accept_program", 200),
    ("invite/cancel", 200),
    ("invite/change_address", 200),
    ("invite/decline_form", 200),
    ("invite/remind", 200),
    ("invite/resend", 200),
    ("invite/several", 200),
    ("invite/show", 200),
    ("invite/unsubscribe_form", 200),
    ("manage/add_client", 201),
    ("manage/add_seats", 200),
    ("manage/add_sublicense", 201),
    ("manage/cancel_import", 409),
    ("manage/commit_import", 409),
    ("manage/erase_learner", 200),
    ("manage/exchange_ticket", 200),
    ("manage/foreign_client", 404),
    ("manage/import_report", 303),
    ("manage/issue_codes", 201),
    ("manage/list_learners", 200),
    ("manage/malformed_body", 400),
    ("manage/open_contract", 201),
    ("manage/open_import", 201),
    ("manage/password_reset", 202),
    ("manage/release_seat", 200),
    ("manage/set_password_form", 303),
    ("manage/show_password_page", 200),
    ("manage/sign_in", 200),
    ("manage/suspend_learner", 200),
    ("manage/transfer", 200),
    ("manage/undo_import", 202),
    ("manage/utilization", 200),
    ("redeem/form", 303),
    ("redeem/landing", 200),
    ("redeem/program", 200),
];

/// Those that only look.
const LOOKING: [&str; 11] = [
    "invite/remind",
    "invite/show",
    "manage/cancel_import",
    "manage/commit_import",
    "manage/foreign_client",
    "manage/import_report",
    "manage/list_learners",
    "manage/malformed_body",
    "manage/show_password_page",
    "manage/utilization",
    "redeem/landing",
];

/// What the other functions make of their events, each by its own test below.
const HANDLED: [&str; 19] = [
    "activate/cohort_appeared",
    "activate/schedule_fired",
    "feedback/bounce",
    "feedback/complaint",
    "feedback/delivery",
    "feedback/not_ours",
    "feedback/reject",
    "feedback/send",
    "import/bucket_test",
    "import/drop",
    "import/go_on",
    "import/resume",
    "import/several",
    "import/unknown_contract",
    "import/upload_form",
    "notify/cohort_opened",
    "notify/mail_owed",
    "reconcile/by_hand",
    "reconcile/sweep",
];

/// The contract, the group and the rest that payloads name.
const CONTRACT: &str = "con_06cyt3v9q4e8h2m6k0x5w1r7za";
const GROUP: &str = "grp_06cyt3v9q4e8h2m6k0x5w1r7zb";
const IMPORT: &str = "imp_06cyt3v9q4e8h2m6k0x5w1r7zb";
const INVITATION: &str = "inv_06cyt3v9q4e8h2m6k0x5w1r7zc";
const LEARNER: &str = "lrn_06cyt3v9q4e8h2m6k0x5w1r7zd";
const TOKEN: &str = "t0kent0kent0kent0ken";
const TICKET: &str = "t1ckett1ckett1ckett1cket";
const CODE: &str = "ABCD-EFGH";
/// The bucket that S3's events tell of.
const BUCKET: &str = "seatkeeper-uploads-123456789012-eu-west-3";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../events"))
}

/// The payloads there are, by folder and name.
fn payloads() -> BTreeMap<String, Value> {
    let mut payloads = BTreeMap::new();
    for function in fs::read_dir(folder()).expect("events") {
        let function = function.expect("a folder");
        let of = function.file_name().into_string().expect("text");
        for file in fs::read_dir(function.path()).expect("a folder of payloads") {
            let path = file.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("text");
            let name = name.strip_suffix(".json").expect("payloads are .json files");
            let text = fs::read_to_string(&path).expect("a payload");
            let payload = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            payloads.insert(format!("{of}/{name}"), payload);
        }
    }
    payloads
}

fn payload(name: &str) -> Value {
    payloads().remove(name).unwrap_or_else(|| panic!("no events/{name}.json"))
}

#[test]
fn something_is_expected_of_every_payload() {
    let there: BTreeSet<String> = payloads().into_keys().collect();
    let answered = ANSWERED.iter().map(|(name, _)| *name);
    let expected: BTreeSet<String> = answered.chain(HANDLED).map(str::to_owned).collect();
    assert_eq!(there, expected);
    let functions = fs::read_dir(folder().join("../functions")).expect("functions");
    for function in functions {
        let name = function.expect("an entry").file_name().into_string().expect("text");
        let has_some = there.iter().any(|payload| payload.starts_with(&format!("{name}/")));
        assert!(has_some, "no payload for {name}");
    }
}

fn is_of_the_gateway(name: &str) -> bool {
    ANSWERED.iter().any(|(answered, _)| *answered == name)
}

#[tokio::test]
async fn requests_have_the_shape_that_the_gateway_gives_them() {
    let house = House::open().await;
    for (name, event) in payloads().into_iter().filter(|(name, _)| is_of_the_gateway(name)) {
        let context = &event["requestContext"];
        let http = &context["http"];
        let (method, path) = (text(&http["method"]), text(&http["path"]));
        assert_eq!(event["version"], "2.0", "{name}");
        assert_eq!(text(&event["rawPath"]), path, "{name}");
        let (key, function, has_authorizer) = house.route(&method, &path).expect("a route");
        assert_eq!(event["routeKey"], json!(key), "{name}");
        assert_eq!(context["routeKey"], json!(key), "{name}");
        assert_eq!(name.split('/').next(), Some(function.as_str()), "{name}");
        let claims = &context["authorizer"]["jwt"]["claims"];
        assert_eq!(claims.is_object(), has_authorizer, "{name}: {key}");
        let claims = claims.as_object().into_iter().flatten();
        assert!(claims.into_iter().all(|(_, claim)| claim.is_string()), "{name}: claims are text");

        // Parameters of the path, decoded; of the query, joined by commas.
        let variables = key.split('{').skip(1).filter_map(|part| part.split_once('}'));
        let variables: BTreeSet<_> =
            variables.map(|(variable, _)| variable.trim_end_matches('+').to_owned()).collect();
        let named = |part: &Value| -> BTreeSet<String> {
            part.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(named(&event["pathParameters"]), variables, "{name}");
        let query = text(&event["rawQueryString"]);
        let asked = query.split('&').filter_map(|pair| pair.split_once('='));
        let asked: BTreeSet<_> = asked.map(|(name, _)| name.to_owned()).collect();
        assert_eq!(named(&event["queryStringParameters"]), asked, "{name}");

        let headers = event["headers"].as_object().expect("headers");
        for (header, value) in headers {
            assert_eq!(*header, header.to_lowercase(), "{name}");
            assert!(value.is_string(), "{name}: {header}");
        }
        assert_eq!(headers["x-forwarded-for"], http["sourceIp"], "{name}");
        assert_eq!(headers["user-agent"], http["userAgent"], "{name}");
        let token = headers.get("authorization").map(text);
        assert!(token.is_none_or(|token| token == "Bearer REDACTED"), "{name} has a token");

        // Forms are bytes to the gateway, JSON is text.
        let body = event["body"].as_str().unwrap_or_default();
        let media_type = headers.get("content-type").and_then(Value::as_str).unwrap_or_default();
        let is_form = media_type.starts_with("application/x-www-form-urlencoded");
        let is_encoded = event["isBase64Encoded"].as_bool().expect("a flag");
        assert_eq!(is_encoded, is_form && !body.is_empty(), "{name}");
        let bytes = if is_encoded {
            BASE64.decode(body.as_bytes()).expect("Base64")
        } else {
            body.as_bytes().to_vec()
        };
        if let Some(length) = headers.get("content-length") {
            assert_eq!(text(length), bytes.len().to_string(), "{name}: content-length");
        }
    }
}

#[test]
fn other_events_have_the_shapes_of_their_services() {
    for (name, event) in payloads() {
        match name.split('/').next().expect("a function") {
            "notify" => stream(&name, &event),
            "activate" if event.get("Records").is_some() => stream(&name, &event),
            "activate" => assert_eq!(event["kind"], "activate", "{name}"),
            "feedback" => {
                let event = eventbridge::EventBridgeEvent::<Value>::deserialize(&event);
                let event = event.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(event.source, "aws.ses", "{name}");
                assert!(event.detail["mail"]["tags"].is_object(), "{name}");
                assert!(event.detail["mail"]["messageId"].is_string(), "{name}");
                let kind = text(&event.detail["eventType"]).to_lowercase();
                assert!(event.detail.get(&kind).is_some(), "{name} lacks `{kind}`");
            }
            "import" if event.get("Records").is_some() => {
                let event = s3::S3Event::deserialize(&event);
                let event = event.unwrap_or_else(|error| panic!("{name}: {error}"));
                for record in event.records {
                    assert_eq!(record.event_source.as_deref(), Some("aws:s3"), "{name}");
                    let event_name = record.event_name.expect("a name");
                    assert!(event_name.starts_with("ObjectCreated:"), "{name}: {event_name}");
                    assert_eq!(record.s3.bucket.name.as_deref(), Some(BUCKET), "{name}");
                    assert!(record.s3.object.version_id.is_some(), "{name}: a versioned bucket");
                }
            }
            _ => {}
        }
    }
}

fn stream(name: &str, event: &Value) {
    let typed = dynamodb::Event::deserialize(event);
    let typed = typed.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!typed.records.is_empty(), "{name}");
    for record in event["Records"].as_array().expect("records") {
        let change = &record["dynamodb"];
        assert_eq!(record["eventSource"], "aws:dynamodb", "{name}");
        assert_eq!(change["StreamViewType"], "NEW_AND_OLD_IMAGES", "{name}");
        let is_change = record["eventName"] == "MODIFY";
        assert_eq!(change.get("OldImage").is_some(), is_change, "{name}");
        for part in ["pk", "sk"] {
            assert_eq!(change["Keys"][part], change["NewImage"][part], "{name}");
        }
        assert!(change["NewImage"]["kind"]["S"].is_string(), "{name}: for the filter");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// `acme` with the contract and the group of the payloads, open without end.
async fn house() -> House {
    let world = World::with_seats(0).await;
    let contract = Contract {
        contract_id: CONTRACT.parse().expect("an id"),
        client_id: world.client.clone(),
        reference: "of the payloads".to_owned(),
        starts_on: None,
        ends_on: None,
        modules: BTreeSet::new(),
        policies: Policies::default(),
        warned: Warned::default(),
        renewed_by: None,
        version: 1,
        created_at: now(),
    };
    let (actor, op) = (Actor::System, world.op());
    open_contract(&world.store, actor, op, &contract, 50).await.expect("a contract");
    let group = Group {
        group_id: GROUP.parse().expect("an id"),
        name: "Paris".to_owned(),
        created_at: now(),
    };
    let mut change = Change::new(&world.client, world.op(), Actor::System, now());
    change.step(Step::AddGroup(group));
    world.store.apply(&change).await.expect("a group");
    House::over(world)
}

async fn post(house: &House, path: &str, body: Value) -> Value {
    let reply = house.post(&Person::admin("acme"), &format!("/v1/clients/acme/{path}"), body).await;
    assert!(reply.status < 300, "{path}: {}", reply.text);
    reply.json()
}

/// The learner of the payloads, with the password that they type.
async fn learner(house: &House) -> LearnerId {
    let order = json!({
        "contract_id": CONTRACT, "email": "marie.curie@example.org",
        "password": "correct horse battery", "notify": false,
    });
    let made = post(house, "learners", order).await;
    text(&made["learner"]["learner_id"]).parse().expect("an id")
}

/// Makes what a payload is about, and puts its real id, token or code into it.
async fn made_real(house: &House, name: &str, event: &Value) -> Value {
    let mut written = event.to_string();
    let world = &house.world;
    if name.starts_with("invite/") && name != "invite/several" {
        let order = json!({
            "contract_id": CONTRACT, "emails": "zoe@example.org", "notify": false,
            "group_ids": [GROUP],
        });
        let invited = post(house, "invitations", order).await;
        let link = text(&invited["results"][0]["link"]);
        let token = link.strip_prefix(&format!("{PAGES}/i/")).expect("a link");
        written = written.replace(TOKEN, token);
        written = written.replace(INVITATION, &text(&invited["results"][0]["invitation_id"]));
    }
    if name.starts_with("redeem/") {
        let order = json!({
            "contract_id": CONTRACT, "kind": "redemption", "label": "Autumn", "codes": [CODE],
        });
        post(house, "codes", order).await;
    }
    if name.starts_with("manage/") && event["rawPath"].to_string().contains("/imports/") {
        let object = world.cloud.upload(UPLOADS, &dropped("a.csv"), "email\na@example.org\n");
        let event = json!({"Records": [created(&object.key, UPLOADS, &object.version_id)]});
        import(world, UPLOADS, &event).await.expect("an import");
        let list = house.get(&Person::admin("acme"), "/v1/clients/acme/imports").await.json();
        written = written.replace(IMPORT, &text(&list["items"][0]["import_id"]));
    } else if name.starts_with("manage/") {
        let id = learner(house).await;
        let (store, client, keys) = (&world.store, &world.client, &world.keys);
        let known = store.learner(client, id).await.expect("the store").expect("a learner");
        let link = Link::password(client, &known, now());
        let ticket = issue_ticket(store, &SystemClock, &SystemIds, keys, client, id).await;
        written = written.replace(TOKEN, &link.token(keys));
        written = written.replace(TICKET, &ticket.expect("a ticket"));
        written = written.replace(LEARNER, &id.to_string());
    }
    serde_json::from_str(&written).expect("JSON")
}

#[tokio::test]
async fn every_request_is_answered_as_expected() {
    for (name, status) in ANSWERED {
        let house = house().await;
        let event = made_real(&house, name, &payload(name)).await;
        let before = house.world.cloud.dump();
        let function = name.split('/').next().expect("a function");
        let reply = house.replay(function, &event).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        let changed = house.world.cloud.dump() != before;
        assert_eq!(changed, !LOOKING.contains(&name), "{name} changes something");
        if status >= 400 {
            assert!(!reply.code().is_empty());
        }
        house.world.assert_seats_are_conserved().await;
    }
}

#[tokio::test]
async fn the_same_request_from_the_payload_with_a_key_is_answered_alike() {
    for name in ["create/today", "manage/add_seats"] {
        let house = house().await;
        let event = payload(name);
        assert!(event["headers"]["idempotency-key"].is_string(), "{name}");
        let function = name.split('/').next().expect("a function");
        let first = house.replay(function, &event).await;
        let again = house.replay(function, &event).await;
        assert_eq!((first.status, first.json()), (again.status, again.json()), "{name}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{name}");
    }
    // And one whose landing page has no code: the page is for people.
    let house = house().await;
    let page = house.send(Call::get("/acme/ABCD-EFGH").from_browser()).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
}

/// The cohort that the payloads tell of, with one seat waiting.
async fn cohort(world: &World) -> CohortKey {
    let fired = payload("activate/schedule_fired");
    let key = CohortKey {
        client_id: world.client.clone(),
        pool: text(&fired["pool"]).parse().expect("a pool"),
        instant: text(&fired["instant"]).parse().expect("an instant"),
    };
    let change = || Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    let mut opened = change();
    opened.step(Step::OpenPool { pool: key.pool, stock: Stock::of(2) });
    opened.audit(key.pool, Delta::bought(2), Action::ContractCreated, &[], None);
    world.store.apply(&opened).await.expect("a pool");
    let mut joined = change();
    joined.move_seats(key.pool, Delta::held(1), Action::SeatScheduled, &[], None);
    let start_on = jiff::civil::date(2027, 3, 1);
    joined.step(Step::JoinCohort { key: key.clone(), start_on, count: 1 });
    world.store.apply(&joined).await.expect("a cohort");
    key
}

#[tokio::test]
async fn a_cohort_that_appears_is_scheduled_and_its_schedule_opens_it() {
    let world = World::with_seats(1).await;
    let key = cohort(&world).await;
    let met = mailroom::activate(&world, payload("activate/cohort_appeared")).await;
    assert_eq!(met.expect("the stream's event"), json!({"batchItemFailures": []}));
    let schedules = world.cloud.schedules();
    assert_eq!(schedules.len(), 1);
    assert_eq!(schedules[0].input, payload("activate/schedule_fired"));
    world.clock.set(key.instant);
    let opened = mailroom::activate(&world, payload("activate/schedule_fired")).await;
    assert_eq!(opened.expect("a schedule's event"), json!({"opened": 1}));
    let stock = world.store.stock(&world.client, key.pool).await.expect("readable");
    assert_eq!(stock, Some(Stock { total: 2, used: 1, available: 1, ..Stock::default() }));
}

#[tokio::test]
async fn a_schedule_of_a_cohort_that_nobody_knows_is_an_error() {
    let world = World::with_seats(1).await;
    let refused = mailroom::activate(&world, payload("activate/schedule_fired")).await;
    assert!(matches!(refused, Err(ActivateError::Cohort(_))));
}

#[tokio::test]
async fn the_streams_events_are_taken_and_a_mail_to_nobody_is_not_sent() {
    let world = World::with_seats(1).await;
    for name in ["notify/mail_owed", "notify/cohort_opened"] {
        let event = payload(name);
        mailroom::put_image(&world, &event["Records"][0]["dynamodb"]["NewImage"]).await;
        assert_eq!(mailroom::notify(&world, 1, &event).await, 0, "{name}");
    }
    assert!(world.cloud.sent_mails().is_empty(), "the learner does not exist");
    let mail = mailroom::only(&world, "mail");
    assert!(mail.get("due_shard").is_none(), "nor is it tried again: {mail}");
}

#[tokio::test]
async fn news_of_mails_are_heard_and_those_of_strangers_ignored() {
    let world = World::with_seats(1).await;
    for (name, heard) in [
        ("feedback/bounce", Heard::Noted),
        ("feedback/complaint", Heard::Noted),
        ("feedback/delivery", Heard::Noted),
        ("feedback/not_ours", Heard::NotOurs),
        ("feedback/reject", Heard::Noted),
        ("feedback/send", Heard::Noted),
    ] {
        let event = payload(name);
        let told = seatkeeper_feedback::handle(&world.store, &world.clock, &event).await;
        assert_eq!(told.expect("readable"), heard, "{name}");
    }
}

#[tokio::test]
async fn a_sweep_counts_what_it_did_whoever_asks_for_it() {
    for name in ["reconcile/by_hand", "reconcile/sweep"] {
        assert!(payload(name).is_object(), "{name}");
        let world = World::with_seats(1).await;
        let until = world.clock.now() + SignedDuration::from_mins(4);
        let (room, schedules) = (mailroom::room(&world, 1), mailroom::scheduler(&world));
        let swept = seatkeeper_reconcile::handle(&room, &schedules, &world.keys, until).await;
        let swept = swept.expect("a sweep without trouble");
        assert_eq!(swept["pools"], json!({"proven": 1, "busy": 0, "mismatched": 0}), "{name}");
        assert_eq!(swept["mails"]["sent"], 0, "{name}");
    }
}

fn dropped(name: &str) -> String {
    format!("drop/acme/{CONTRACT}/{name}")
}

/// A record of S3 about an object whose key needs no encoding.
fn created(key: &str, bucket: &str, version: &str) -> Value {
    let mut record = payload("import/drop")["Records"][0].clone();
    record["s3"]["bucket"]["name"] = json!(bucket);
    record["s3"]["object"]["key"] = json!(key);
    record["s3"]["object"]["versionId"] = json!(version);
    record
}

async fn import(
    world: &World,
    uploads: &str,
    event: &Value,
) -> Result<(), seatkeeper_import::HandleError> {
    let importer = Importer {
        ports: &world.store,
        files: &S3Files::new(world.cloud.s3(), uploads, REPORTS),
        sheets: &Spreadsheets,
        clock: &SystemClock,
        ids: &SystemIds,
        keys: &world.keys,
        languages: &Languages::from_list("en,fr"),
        passwords: PasswordPolicy::default(),
        max_rows: 10_000,
        deadline: now() + SignedDuration::from_mins(10),
    };
    Box::pin(seatkeeper_import::handle(&importer, uploads, event)).await
}

/// The payload, as if it told of the versions of files that are there.
fn with_files(world: &World, name: &str) -> Value {
    let mut event = payload(name);
    for (place, record) in event["Records"].as_array_mut().expect("records").iter_mut().enumerate()
    {
        let object = &mut record["s3"]["object"];
        let key = text(&object["key"]).replace('+', " ");
        let key = key.replace("%C3%A9", "é").replace("%2B", "+");
        let rows = format!("email\nlearner.{place}@example.org\n");
        let stored = world.cloud.upload(BUCKET, &key, rows);
        object["versionId"] = json!(stored.version_id);
        object["eTag"] = json!(stored.etag.trim_matches('"'));
    }
    event
}

#[tokio::test]
async fn dropped_files_are_imported_and_what_is_no_file_of_ours_is_not() {
    for (name, is_taken, learners) in [
        ("import/bucket_test", true, 0),
        ("import/drop", true, 1),
        ("import/several", true, 2),
        ("import/unknown_contract", false, 0),
        // Nobody asked for this import.
        ("import/upload_form", false, 0),
        ("import/go_on", false, 0),
        ("import/resume", false, 0),
    ] {
        let house = house().await;
        let world = &house.world;
        let has_files = payload(name).get("Records").is_some();
        let event = if has_files { with_files(world, name) } else { payload(name) };
        let taken = import(world, BUCKET, &event).await;
        assert_eq!(taken.is_ok(), is_taken, "{name}: {taken:?}");
        assert_eq!(mailroom::items(world, "learner").len(), learners, "{name}");
        // The same event again finds its imports.
        let before = mailroom::items(world, "learner");
        assert_eq!(import(world, BUCKET, &event).await.is_ok(), is_taken, "{name}");
        assert_eq!(mailroom::items(world, "learner"), before, "{name}");
        world.assert_seats_are_conserved().await;
    }
}

#[test]
fn the_ids_in_payloads_are_ids() {
    assert!(CONTRACT.parse::<ContractId>().is_ok());
    assert!(LEARNER.parse::<LearnerId>().is_ok());
}
