//! The stories. Each uses the product as its users do: the API, the pages, the bucket, the mails.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{RoundMode, ToSpan as _, Unit, ZonedRound};
use seatkeeper_tests::runs;
use serde_json::{Value, json};

use crate::kills::most_memory;
use crate::logs;
use crate::office::{CANARY, CLIENT, Office, PASSWORD, at_once, now, outcomes, text, wait_for};

/// The longest that a sheet of ten thousand rows may take on a busy machine.
const LONGEST: Duration = Duration::from_mins(5);
/// What an import may hold of the memory that the template gives it, in MiB.
const MEMORY: u64 = 128;

/// States in which an import has not come to its end.
const MOVING: [&str; 4] = ["created", "checking", "checked", "committing"];

pub(crate) fn race(office: &Office) {
    let contract = office.contract("race", 20, &json!({}));
    let answers = at_once(64, |number| {
        let body = json!({
            "contract_id": contract, "email": format!("{CANARY}.race.{number}@example.fr"),
            "first_name": "Kanarienne", "last_name": "Kanarise",
        });
        office.administer("POST", "learners", Some(&body))
    });
    let expected = [((201, String::new()), 20), ((409, "no-seats-left".to_owned()), 44)];
    assert_eq!(outcomes(&answers), expected.into());
    office.assert_stock(&contract, 20, 0);
    let winners = answers.iter().filter(|answer| answer.status == 201);
    let mut winners: Vec<_> =
        winners.map(|answer| text(&answer.json()["learner"]["email"])).collect();
    let mails = office.expect_mails(&format!("{CANARY}.race."), 20);
    let mut written: Vec<_> = mails.into_iter().map(|mail| mail.to).collect();
    winners.sort();
    written.sort();
    assert_eq!(written, winners, "one mail for each account, none for the others");
}

pub(crate) fn invitation(office: &Office) {
    let contract = office.contract("invitation", 5, &json!({}));
    let email = format!("{CANARY}.lea@example.fr");
    let body = json!({"contract_id": contract, "emails": [email], "message": "Kanari est là."});
    let invited = office.administer("POST", "invitations", Some(&body)).expect(200);
    assert_eq!(invited["results"][0]["outcome"], "invited", "{invited}");
    assert_eq!(invited["stock"]["held"], 1, "{invited}");

    let mails = office.expect_mails(&email, 1);
    let start = format!("{}/i/", office.stack.address("page_url"));
    let (_, rest) = mails[0].text.split_once(&start).expect("a link in the mail");
    let token = rest.split_whitespace().next().expect("a token");
    office.keep_secret(token);
    let link = format!("{start}{token}");
    for _ in 0..2 {
        let page = office.open_page(&link);
        assert_eq!(page.status, 200);
        assert!(page.text().contains("<form"), "a form");
    }
    office.assert_stock(&contract, 0, 1);

    let fields = [("first_name", "Kanaria"), ("last_name", "Kanarini"), ("password", PASSWORD)];
    let done = office.submit(&link, &fields);
    assert_eq!(done.status, 303, "{}", done.text());
    let exchanged = office.exchange(done.header("location")).expect(200);
    assert_eq!(exchanged["learner"]["email"], email.as_str());
    assert_eq!(exchanged["learner"]["first_name"], "Kanaria");
    assert_eq!(exchanged["seats"][0]["state"], "active", "{exchanged}");
    assert_eq!(office.exchange(done.header("location")).status, 404);
    office.assert_stock(&contract, 1, 0);

    let again = office.submit(&link, &fields);
    assert_eq!(again.status, 409, "the link is used up");
    office.assert_stock(&contract, 1, 0);
}

/// How many redeem at once: `CROWD` of them; else five hundred in a long run, and forty in a short one.
fn crowd() -> usize {
    let said = runs::seed("CROWD").and_then(|crowd| usize::try_from(crowd).ok());
    said.unwrap_or(if runs::long() { 500 } else { 40 })
}

pub(crate) fn codes(office: &Office) {
    let (crowd, started) = (crowd(), Instant::now());
    let seats = crowd * 3 / 5;
    let counted = u64::try_from(seats).expect("few");
    let contract = office.contract("codes", counted, &json!({}));
    let body = json!({
        "contract_id": contract, "kind": "registration", "label": "Open day", "count": 1,
        "max_redemptions": 1_000,
    });
    let issued = office.administer("POST", "codes", Some(&body)).expect(201);
    let code = text(&issued["codes"][0]);
    office.keep_secret(&code);
    office.keep_secret(&code.replace('-', ""));
    let redeem = |number: usize| {
        let body = json!({
            "code": code, "email": format!("{CANARY}.code.{number}@example.fr"),
            "first_name": "Kanarienne", "last_name": "Kanarise", "password": PASSWORD,
        });
        let answer = office.post_public(&format!("/{CLIENT}/redeem"), &body);
        // At once: a ticket lasts for a minute.
        if answer.status == 200 {
            let exchanged = office.exchange(&text(&answer.json()["launch_url"])).expect(200);
            assert_eq!(exchanged["learner"]["learner_id"], answer.json()["learner_id"]);
        }
        answer
    };
    let answers = at_once(crowd, redeem);
    let expected =
        [((200, String::new()), seats), ((409, "no-seats-left".to_owned()), crowd - seats)];
    let found = outcomes(&answers);
    eprintln!("{crowd} at once, in {:.1} s: {found:?}", started.elapsed().as_secs_f64());
    let right = found == expected.into();
    let counts = json!({"runs": crowd, "faults": {}});
    runs::write("redemptions at once over HTTP", usize::from(!right), started, counts);
    assert!(right, "{found:?}");
    office.assert_stock(&contract, counted, 0);
    let batch = text(&issued["batch"]["batch_id"]);
    let redemptions = office.items(&format!("codes/{batch}/redemptions"));
    assert_eq!(redemptions.len(), seats);
    office.expect_mails(&format!("{CANARY}.code."), seats);
}

pub(crate) fn drop(office: &Office) {
    let contract = office.contract("drop", 10, &json!({}));
    let key = format!("drop/{CLIENT}/{contract}/kanari.xlsx");
    let later = now().in_tz("Europe/Paris").expect("a zone").date() + 30.days();
    let (version, etag) = office.upload(&key, &workbook(&later.to_string()));
    let run = at_rest(office, &key);
    assert_eq!(run["status"], "completed", "{run}");
    let found =
        ["valid", "invalid", "created", "scheduled", "failed"].map(|name| &run["totals"][name]);
    assert_eq!(found, [5, 1, 4, 1, 1], "{run}");
    office.assert_stock(&contract, 4, 1);

    let import = text(&run["import_id"]);
    let report = office.administer("GET", &format!("imports/{import}/report"), None);
    assert_eq!(report.status, 303);
    let report = office.download(report.header("location"));
    assert_eq!(report.status, 200);
    assert_eq!(failed_rows(report.body), [format!("{CANARY}.sheet.5-example.fr")]);
    let mails = office.expect_mails(&format!("{CANARY}.sheet."), 4);
    assert!(mails.iter().all(|mail| !mail.to.contains("sheet.4")), "she starts later");

    let event = json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z", "eventName": "ObjectCreated:Put",
        "userIdentity": {}, "requestParameters": {}, "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": office.stack.address("upload_bucket"), "ownerIdentity": {}},
            "object": {"key": key, "size": 1, "eTag": etag.trim_matches('"'), "versionId": version}
        }
    }]});
    office.invoke("import", &event);
    let runs = imports(office, &key);
    assert_eq!(runs.len(), 1, "the event came again: no other import");
    assert_eq!(office.administer("GET", &format!("imports/{import}"), None).expect(200), run);
    office.assert_stock(&contract, 4, 1);
    office.expect_mails(&format!("{CANARY}.sheet."), 4);
}

/// Rows of the sheet that is dropped at once: ten thousand in long runs.
fn many_rows() -> u32 {
    if runs::long() { 10_000 } else { 1_000 }
}

/// A sheet as large as is allowed is dropped, nobody in it is told, and the function that reads it
/// stays small.
pub(crate) fn many(office: &Office) {
    let rows = many_rows();
    let contract = office.contract("many", u64::from(rows), &json!({}));
    let mut sheet = "email;prénom;notify\n".to_owned();
    for number in 0..rows {
        let _ = writeln!(sheet, "{CANARY}.many.{number}@example.fr;Kanarienne;non");
    }
    let key = format!("drop/{CLIENT}/{contract}/kanari.csv");
    let begun = Instant::now();
    office.upload(&key, sheet.as_bytes());
    let run = loop {
        let found = imports(office, &key).pop();
        let found =
            found.filter(|run| !MOVING.contains(&run["status"].as_str().unwrap_or_default()));
        if let Some(run) = found {
            break run;
        }
        assert!(begun.elapsed() < LONGEST, "the import of {rows} rows takes too long");
        thread::sleep(Duration::from_millis(200));
    };
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(
        (&run["status"], &run["totals"]["created"]),
        (&json!("completed"), &json!(rows)),
        "{run}"
    );
    office.assert_stock(&contract, u64::from(rows), 0);
    assert!(office.mails(&format!("{CANARY}.many.")).is_empty(), "nobody is told");
    let most =
        most_memory(office.stack.process(), "import").expect("the function that imported it");
    let mebibytes = most / 1024;
    eprintln!("{rows} rows dropped: {seconds:.1} s, the function held {mebibytes} MiB at most");
    assert!(mebibytes <= MEMORY, "{mebibytes} MiB, of {MEMORY}");
    runs::write("rows dropped at once", 0, begun, json!({"runs": rows, "mebibytes": mebibytes}));
}

/// Four who start today, one who starts later, and one without an address.
fn workbook(later: &str) -> Vec<u8> {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    let mut rows = vec![["E-mail", "Prénom", "Nom", "Date de début"].map(str::to_owned)];
    for number in 0..6 {
        let at = if number == 5 { '-' } else { '@' };
        rows.push([
            format!("{CANARY}.sheet.{number}{at}example.fr"),
            "Kanarienne".to_owned(),
            "Kanarise".to_owned(),
            if number == 4 { later.to_owned() } else { String::new() },
        ]);
    }
    for (row, cells) in (0..).zip(&rows) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string(row, column, cell).expect("a cell");
        }
    }
    workbook.save_to_buffer().expect("a workbook")
}

/// The first cells of the rows that a report lists.
fn failed_rows(report: Vec<u8>) -> Vec<String> {
    use calamine::{Data, Reader as _, Xlsx};
    let mut workbook: Xlsx<_> = Xlsx::new(std::io::Cursor::new(report)).expect("a workbook");
    let sheet = workbook.worksheet_range_at(0).expect("a sheet").expect("rows");
    let first = |row: &[Data]| row.first().map(ToString::to_string).unwrap_or_default();
    sheet.rows().skip(1).map(first).collect()
}

fn imports(office: &Office, key: &str) -> Vec<Value> {
    office.items("imports").into_iter().filter(|run| run["key"] == key).collect()
}

/// The import of this key, once it has come to its end.
#[track_caller]
fn at_rest(office: &Office, key: &str) -> Value {
    let run = wait_for("the import", || {
        let run = imports(office, key).pop()?;
        (!MOVING.contains(&run["status"].as_str()?)).then_some(run)
    });
    let path = format!("imports/{}", text(&run["import_id"]));
    office.administer("GET", &path, None).expect(200)
}

pub(crate) fn poison(office: &Office) {
    let nowhere = format!("con_{}", "0".repeat(26));
    let key = format!("drop/{CLIENT}/{nowhere}/kanari.csv");
    office.upload(&key, b"email\nkanari.poison.0@example.fr\n");
    let given_up = wait_for("the event in the queue", || messages(office, "FailedEvents").pop());
    let record: Value = serde_json::from_str(&given_up).expect("JSON");
    let object = &record["requestPayload"]["Records"][0]["s3"]["object"];
    assert_eq!(object["key"], key.as_str(), "{record}");
    let function = text(&record["requestContext"]["functionArn"]);
    assert!(function.contains("seatkeeper-import"), "{function}");

    let contract = office.contract("after-poison", 3, &json!({}));
    let key = format!("drop/{CLIENT}/{contract}/kanari.csv");
    office.upload(&key, b"email;nom\nkanari.poison.1@example.fr;Kanarise\n");
    assert_eq!(at_rest(office, &key)["status"], "completed");
    office.assert_stock(&contract, 1, 0);
    assert!(imports(office, &format!("drop/{CLIENT}/{nowhere}/kanari.csv")).is_empty());
    office.expect_mails(&format!("{CANARY}.poison."), 1);
}

pub(crate) fn opening(office: &Office) {
    let paris = TimeZone::get("Europe/Paris").expect("a zone");
    // Not so near that the minute passes before the call is answered.
    let soon = (now() + 20.seconds()).to_zoned(paris);
    let minute = ZonedRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
    let opens = soon.round(minute).expect("a minute");
    let policies = json!({"opens_at": opens.strftime("%H:%M").to_string()});
    let contract = office.contract("opening", 2, &policies);
    let email = format!("{CANARY}.opening@example.fr");
    let body = json!({
        "contract_id": contract, "email": email, "first_name": "Kanarienne",
        "last_name": "Kanarise", "start_on": opens.date().to_string(),
    });
    let made = office.administer("POST", "learners", Some(&body)).expect(201);
    assert_eq!(made["seat"]["state"], "scheduled", "{made}");
    office.assert_stock(&contract, 0, 1);
    let left = now().duration_until(opens.timestamp() - 3.seconds());
    thread::sleep(Duration::try_from(left).unwrap_or_default());
    if now() < opens.timestamp() {
        assert!(office.mails(&email).is_empty(), "a mail before its time");
    }
    // The emulator's scheduler looks every ten seconds.
    wait_for("the scheduler", || (office.stock(&contract)["used"] == 1).then_some(()));
    assert!(now() >= opens.timestamp(), "opened before its time");
    office.assert_stock(&contract, 1, 0);
    let mails = office.expect_mails(&email, 1);
    assert!(mails[0].sent_at >= opens.timestamp(), "{} before its time", mails[0].subject);
    let opened = office.items("audit");
    let opened: Vec<_> = opened
        .iter()
        .filter(|record| record["pool"] == contract.as_str() && record["action"] == "seats_opened")
        .map(|record| &record["actor"])
        .collect();
    assert_eq!(opened, ["system"], "once, and not by the one who looks");
}

pub(crate) fn sweep(office: &Office) {
    let before = office.mails("").len();
    office.invoke("reconcile", &json!({}));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(office.mails("").len(), before, "every mail had gone out");
}

/// A counter that a hand changed is told by the next sweep, until it is set back.
pub(crate) fn tampering(office: &Office) {
    let contract = office.contract("tampering", 5, &json!({}));
    let change_used = |by: &str| {
        let body = json!({
            "TableName": office.stack.address("table"),
            "Key": {"pk": {"S": format!("POOL#{CLIENT}#{contract}")}, "sk": {"S": "POOL"}},
            // Not proved again before its hour, otherwise.
            "UpdateExpression": "ADD used :by SET due_at = :long_ago",
            "ExpressionAttributeValues": {
                ":by": {"N": by}, ":long_ago": {"S": "2026-01-01T00:00:00.000000Z"}
            },
        });
        office.ask("dynamodb", "DynamoDB_20120810.UpdateItem", &body);
    };
    change_used("1");
    let swept = office.invoke("reconcile", &json!({}));
    assert_eq!(swept["pools"]["mismatched"], 1, "{swept}");
    let told = "a pool's counters and its trail do not agree";
    let lines = logs::logged(office, "reconcile");
    assert!(lines.iter().any(|line| line.contains(told) && line.contains(&contract)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(r#""CounterMismatch":1"#)), "{lines:#?}");
    change_used("-1");
    let swept = office.invoke("reconcile", &json!({}));
    assert_eq!(swept["pools"]["mismatched"], 0, "{swept}");
}

pub(crate) fn given_up(office: &Office) {
    for queue in ["FailedEvents", "FailedRecords", "FailedSchedules"] {
        let mut found = messages(office, queue);
        found.retain(|message| !message.contains(&"0".repeat(26)));
        assert!(found.is_empty(), "{queue}: {found:#?}");
    }
}

/// Without this, no story proves anything of the functions' roles.
pub(crate) fn roles(office: &Office) {
    let refused = office.read_as_stranger();
    assert!(refused.text().contains("AccessDenied"), "{}", refused.text());
}

/// The messages of a queue, by its name in the template. They stay there.
#[track_caller]
pub(crate) fn messages(office: &Office, queue: &str) -> Vec<String> {
    let listed = office.ask("sqs", "AmazonSQS.ListQueues", &json!({}));
    let urls = listed["QueueUrls"].as_array().expect("queues");
    let url = urls.iter().find(|url| text(url).contains(queue));
    let url = url.unwrap_or_else(|| panic!("no queue {queue}: {listed}"));
    let body = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
    let received = office.ask("sqs", "AmazonSQS.ReceiveMessage", &body);
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| text(&message["Body"])).collect()
}
