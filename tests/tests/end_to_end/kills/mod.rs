//! Functions are killed at random moments while everybody uses the product; afterwards every
//! promise is looked for from outside: in the API, the table, the inbox and the logs.
//!
//! `SEATKEEPER_KILLS` says how many (30; 1,000 in a long run, see `runs`), `SEATKEEPER_SEED` which.
//! With a thousand and more, the run waits until everything has settled: the calls that were cut off, the leases that were left
//! behind, the mails that were claimed. A short run looks only for what holds at every moment.

mod checks;
mod dice;
mod killer;
mod load;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use seatkeeper_tests::runs;
use serde_json::{Value, json};

use crate::http::Answer;
use crate::office::{CANARY, CLIENT, Office, PASSWORD, at_once, outcomes, text, wait_for};
use crate::stories::messages;

use dice::Dice;
pub(crate) use killer::most_memory;
use load::Load;

/// From so many kills on the run waits until everything has settled.
const LONG: usize = 1_000;
/// How long everything may take to settle: the longest lease, a sweep, and what they start.
const PATIENCE: Duration = Duration::from_mins(7);
/// Between two sweeps by hand.
const PAUSE: Duration = Duration::from_secs(5);

/// Kills functions under load and looks for every promise afterwards.
pub(crate) fn kills(office: &Office) {
    let kills = wanted_kills();
    let seed = runs::seed("SEATKEEPER_SEED").unwrap_or(1);
    eprintln!("SEATKEEPER_KILLS={kills} SEATKEEPER_SEED={seed}");
    let started = Instant::now();
    let load = Load::prepare(office, seed);
    let emulator = office.stack.process();
    let struck = || office.stack.log().matches(CUT_OFF).count();
    let killed = load.run(|| killer::kill(emulator, kills, &Dice::new(!seed), &|| load.answered()));
    let under_load = started.elapsed();
    let struck = struck();
    eprintln!("killed in {:.0} s: {killed:?}", under_load.as_secs_f64());
    eprintln!("{struck} calls were cut off; answers: {:#?}", load.answers());
    eprintln!("{} calls have no answer yet", load.unanswered());
    let long = kills >= LONG;
    if long {
        load.settle();
        settle(office);
    }
    let mut breaks = load.strange();
    breaks.extend(checks::check(office, &load, long));
    let counts = json!({"runs": kills, "faults": faults(&killed, struck)});
    runs::write("kills of real binaries", breaks.len(), started, counts);
    assert!(breaks.is_empty(), "{} breaks: {breaks:#?}", breaks.len());
    assert!(struck > kills / 10, "the kills hit nobody");
}

/// What the emulator logs of a call whose function ended under it.
const CUT_OFF: &str = "Runtime exited before returning a response";

/// How many redeem at once: each has a process of its own.
const AT_ONCE: usize = 40;

/// Five hundred redeem a code on a hundred seats; run with the many kills only.
pub(crate) fn rush(office: &Office) {
    if wanted_kills() < LONG {
        return;
    }
    let started = Instant::now();
    let contract = office.contract("rush", 100, &json!({}));
    let body = json!({
        "contract_id": contract, "kind": "registration", "label": "Rush", "count": 1,
        "max_redemptions": 1_000,
    });
    let issued = office.administer("POST", "codes", Some(&body)).expect(201);
    let code = text(&issued["codes"][0]);
    // More processes at once than this machine can run would measure the machine.
    let turns = at_once(AT_ONCE, |door| {
        let people = (door..500).step_by(AT_ONCE);
        let redeem = |person| {
            let body = json!({
                "code": code, "email": format!("{CANARY}.rush.{person}@example.fr"),
                "first_name": "Kanarienne", "last_name": "Kanarise", "password": PASSWORD,
            });
            office.post_public(&format!("/{CLIENT}/redeem"), &body)
        };
        people.map(redeem).collect::<Vec<Answer>>()
    });
    let answers: Vec<Answer> = turns.into_iter().flatten().collect();
    let found = outcomes(&answers);
    eprintln!("500, {AT_ONCE} at once, in {:.0} s: {found:?}", started.elapsed().as_secs_f64());
    let exact = [((200, String::new()), 100), ((409, "no-seats-left".to_owned()), 400)];
    let right = found == exact.into();
    let counts = json!({"runs": 500, "faults": {}});
    runs::write("contention of real binaries", usize::from(!right), started, counts);
    assert!(right, "{found:?}");
    let stock = office.stock(&contract);
    assert_eq!((&stock["used"], &stock["available"]), (&json!(100), &json!(0)));
}

/// As many as the shell says; else a thousand in a long run, and thirty in a short one.
fn wanted_kills() -> usize {
    let said = runs::seed("SEATKEEPER_KILLS").and_then(|kills| usize::try_from(kills).ok());
    said.unwrap_or(if runs::long() { LONG } else { 30 })
}

fn faults(killed: &BTreeMap<String, usize>, struck: usize) -> Value {
    let mut faults: BTreeMap<String, usize> =
        killed.iter().map(|(function, kills)| (format!("kill {function}"), *kills)).collect();
    faults.insert("calls cut off".to_owned(), struck);
    json!(faults)
}

/// Does what an operator does, until nothing is left to be done: what was given up is given in
/// again, and the sweep runs.
fn settle(office: &Office) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        give_in_again(office);
        office.try_to_invoke("reconcile", &json!({}));
        let restless = checks::restless(office);
        if restless.is_empty() {
            // What is on its way, such as a letter about a letter, arrives.
            thread::sleep(PAUSE);
            if messages(office, "FailedEvents").is_empty() && checks::restless(office).is_empty() {
                return;
            }
        }
        assert!(Instant::now() < deadline, "does not come to rest: {restless:#?}");
        thread::sleep(PAUSE);
    }
}

/// What docs/operate.md says of the dead-letter queues.
fn give_in_again(office: &Office) {
    for message in take_messages(office, "FailedEvents") {
        let Ok(record) = serde_json::from_str::<Value>(&message) else { continue };
        let arn = record["requestContext"]["functionArn"].as_str();
        let (function, event) = match arn {
            Some(arn) => {
                let (_, name) = arn.split_once("seatkeeper-").expect("a function of ours");
                (name.split(':').next().unwrap_or_default(), &record["requestPayload"])
            }
            // What the event bus could not deliver is the event itself.
            None => ("feedback", &record),
        };
        office.try_to_invoke(function, event);
    }
    for queue in ["FailedRecords", "FailedSchedules"] {
        drop(take_messages(office, queue));
    }
}

/// The messages of a queue, which are gone from it then.
fn take_messages(office: &Office, queue: &str) -> Vec<String> {
    let listed = office.ask("sqs", "AmazonSQS.ListQueues", &json!({}));
    let urls = listed["QueueUrls"].as_array().expect("queues");
    let url = urls.iter().find(|url| text(url).contains(queue)).expect("the queue");
    let mut taken = Vec::new();
    loop {
        let body = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
        let received = office.ask("sqs", "AmazonSQS.ReceiveMessage", &body);
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return taken;
        }
        for message in messages {
            taken.push(text(&message["Body"]));
            let body = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]});
            office.ask("sqs", "AmazonSQS.DeleteMessage", &body);
        }
    }
}

/// A sweep after all this ends well.
pub(crate) fn sweep(office: &Office) {
    wait_for("a sweep that ends", || {
        let answer = office.try_to_invoke("reconcile", &json!({}))?;
        answer.header("x-amz-function-error").is_empty().then_some(())
    });
}
