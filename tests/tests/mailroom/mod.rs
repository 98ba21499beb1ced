//! The functions that act by themselves, over the in-process cloud of a [`World`].
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_activate::{ActivateError, Opener};
use seatkeeper_aws::Store;
use seatkeeper_aws::mailer::SesMailer;
use seatkeeper_aws::schedules::{EventScheduler, ScheduleSettings};
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreatedLearner, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::send_mail::MailRoom;
use seatkeeper_domain::actions::sweep::{Swept, sweep};
use seatkeeper_domain::learner::Profile;
use seatkeeper_domain::pace::Turns;
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_mail::LetterWriter;
use seatkeeper_testkit::{Cloud, SeededIds, VirtualClock};
use seatkeeper_tests::{World, address};
use serde_json::{Value, json};

pub(crate) type Room = MailRoom<Store, SesMailer, LetterWriter, VirtualClock, SeededIds>;

pub(crate) const PAGES: &str = "https://seats.example.org";
pub(crate) const FROM: &str = "no-reply@seats.example.org";

/// A sender of its own: `number` tells its claims from those of others.
pub(crate) fn room(world: &World, number: u64) -> Room {
    MailRoom {
        store: world.store.clone(),
        mailer: SesMailer::new(&world.cloud.sdk_config(), FROM, "seatkeeper-mail"),
        writer: LetterWriter::new(world.keys.clone(), PAGES),
        clock: world.clock.clone(),
        ids: SeededIds::new(1000 + number, &world.clock),
        keys: world.keys.clone(),
        turns: Turns::default(),
    }
}

pub(crate) fn scheduler(world: &World) -> EventScheduler {
    let settings = ScheduleSettings {
        group: "seatkeeper".to_owned(),
        role_arn: "arn:aws:iam::000000000000:role/schedules".to_owned(),
        dead_letter_arn: "arn:aws:sqs:eu-west-3:000000000000:schedules".to_owned(),
        activate_arn: "arn:aws:lambda:eu-west-3:000000000000:function:activate".to_owned(),
        import_arn: Some("arn:aws:lambda:eu-west-3:000000000000:function:import".to_owned()),
    };
    EventScheduler::new(world.cloud.scheduler(), settings)
}

fn soon(world: &World) -> Timestamp {
    world.clock.now() + SignedDuration::from_mins(4)
}

/// Hands an event to `notify`; answers how many records it wants again.
pub(crate) async fn notify(world: &World, number: u64, event: &Value) -> usize {
    let answer = seatkeeper_notify::handle(&room(world, number), event, soon(world)).await;
    let answer = answer.expect("an event of the stream");
    answer["batchItemFailures"].as_array().expect("a list").len()
}

/// Hands an event to `activate`.
pub(crate) async fn activate(world: &World, event: Value) -> Result<Value, ActivateError> {
    let opener = Opener {
        store: world.store.clone(),
        schedules: scheduler(world),
        clock: world.clock.clone(),
        ids: SeededIds::new(chance(world), &world.clock),
    };
    seatkeeper_activate::handle(&opener, &event).await
}

/// A seed of its own for each call.
fn chance(world: &World) -> u64 {
    let mut seed = [0; 8];
    world.ids.fill(&mut seed);
    u64::from_ne_bytes(seed)
}

/// Runs one sweep.
pub(crate) async fn run_sweep(world: &World, number: u64) -> Swept {
    let until = soon(world);
    sweep(&room(world, number), &scheduler(world), &world.keys, until).await
}

/// Hands the stream so far to both functions, until nothing new comes.
pub(crate) async fn drain(world: &World) {
    for number in 100..110 {
        let event = world.cloud.stream_records();
        if event["Records"].as_array().is_none_or(Vec::is_empty) {
            return;
        }
        assert_eq!(notify(world, number, &event).await, 0);
        let met = activate(world, event).await.expect("a readable event");
        assert_eq!(met["batchItemFailures"], json!([]));
    }
    panic!("the stream does not come to rest");
}

/// Creates learner `number`, to start on this day or now.
pub(crate) async fn create(world: &World, number: usize, start_on: Option<Date>) -> CreatedLearner {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: address(number),
        profile: Profile::default(),
        password: PasswordChoice::Link,
        term: TermRequest { start_on, ..TermRequest::default() },
        notify: true,
        copy_to: None,
    };
    let caller = world.administrator();
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
    made.expect("a free seat")
}

/// The one item of this kind.
pub(crate) fn only(world: &World, kind: &str) -> Value {
    let mut items = items(world, kind);
    assert_eq!(items.len(), 1, "items of kind {kind}");
    items.remove(0)
}

pub(crate) fn items(world: &World, kind: &str) -> Vec<Value> {
    world.cloud.dump().into_iter().filter(|item| item["kind"] == kind).collect()
}

/// An event from the folder of all functions' events.
pub(crate) fn event(name: &str) -> Value {
    let path = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(name);
    serde_json::from_str(&text).expect("JSON")
}

/// Writes an item as a stream record shows it.
pub(crate) async fn put_image(world: &World, image: &Value) {
    let members = image.as_object().expect("an image");
    let item: HashMap<_, _> =
        members.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    let put = world.cloud.dynamodb().put_item().table_name(Cloud::TABLE).set_item(Some(item));
    put.send().await.expect("a written item");
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|o| o.iter().next()).expect("one type");
    let text = || value.as_str().expect("a text").to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "BOOL" => AttributeValue::Bool(value.as_bool().expect("a truth value")),
        "L" => AttributeValue::L(value.as_array().expect("a list").iter().map(attribute).collect()),
        "M" => AttributeValue::M(
            value
                .as_object()
                .expect("a map")
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect(),
        ),
        other => panic!("an attribute of type {other}"),
    }
}
