//! Who calls the product here, and what can be seen of it from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use ureq::Agent;

use crate::http::{Answer, agent, send, try_to_send};
use crate::signature::AccessKey;
use crate::stack::Stack;

/// In every address, name, password and file name of these tests: one search finds them all.
pub(crate) const CANARY: &str = "kanari";

/// The client of all stories; each has contracts of its own.
pub(crate) const CLIENT: &str = "acme";

pub(crate) const PASSWORD: &str = "kanari rouge et bleu";

const LAUNCH_URL: &str = "https://lms.example.com/launch";

/// For what follows within seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Long enough for something that happened twice to be seen.
const SILENCE: Duration = Duration::from_secs(2);

/// A mail that went out.
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) sent_at: Timestamp,
}

/// Who makes an [`Attempt`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Vendor,
    Administrator,
    Learner,
}

/// A call that may be made again.
pub(crate) struct Attempt<'a> {
    pub(crate) by: By,
    pub(crate) method: &'a str,
    /// From the API's address on.
    pub(crate) path: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) body: Option<&'a Value>,
}

/// The running stack, people with tokens, and what must not be logged.
pub(crate) struct Office<'stack> {
    pub(crate) stack: &'stack Stack,
    agent: Agent,
    vendor: String,
    administrator: String,
    lms: String,
    keys: AtomicUsize,
    secrets: Mutex<BTreeSet<String>>,
}

impl<'stack> Office<'stack> {
    /// Signs everyone in and makes the client: French, Europe/Paris.
    pub(crate) fn open(stack: &'stack Stack) -> Self {
        let office = Self {
            stack,
            agent: agent(),
            vendor: stack.token("vendor_admin", "*"),
            administrator: stack.token("client_admin", CLIENT),
            lms: stack.token("service", CLIENT),
            keys: AtomicUsize::new(0),
            secrets: Mutex::default(),
        };
        for token in [&office.vendor, &office.administrator, &office.lms] {
            office.keep_secret(token.rsplit('.').next().unwrap_or_default());
        }
        let client = json!({
            "client_id": CLIENT, "name": "Acme", "default_language": "fr",
            "time_zone": "Europe/Paris", "launch_url": LAUNCH_URL,
        });
        office.call(&office.vendor, "POST", "/v1/clients", Some(&client)).expect(201);
        office
    }

    /// From here on this text must not be found in any log.
    pub(crate) fn keep_secret(&self, secret: &str) {
        assert!(secret.len() >= 8, "too short to be searched for");
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }

    /// What must not be found in any log.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A contract of this many seats on these terms.
    #[track_caller]
    pub(crate) fn contract(&self, reference: &str, seats: u64, policies: &Value) -> String {
        let body = json!({"reference": reference, "seats": seats, "policies": policies});
        let path = format!("/v1/clients/{CLIENT}/contracts");
        let made = self.call(&self.vendor, "POST", &path, Some(&body)).expect(201);
        text(&made["contract_id"])
    }

    /// A call of the client's administrator; the path continues the client's.
    pub(crate) fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.call(&self.administrator, method, &format!("/v1/clients/{CLIENT}/{path}"), body)
    }

    /// The LMS exchanges the ticket of an address a learner was sent to.
    #[track_caller]
    pub(crate) fn exchange(&self, launched: &str) -> Answer {
        let ticket = launched.strip_prefix(&format!("{LAUNCH_URL}?ticket="));
        let ticket = ticket.unwrap_or_else(|| panic!("no ticket"));
        self.keep_secret(ticket);
        self.call(&self.lms, "POST", &format!("/v1/tickets/{ticket}"), None)
    }

    /// A call with someone's token. Every POST carries an idempotency key of its own.
    fn call(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("{}{path}", self.stack.address("api_url"));
        let key = format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", &key),
            ("content-type", "application/json"),
        ];
        let headers = if method == "POST" { &headers[..] } else { &[headers[0], headers[2]] };
        let body = body.map(Value::to_string);
        let body = body.or_else(|| (method == "POST").then(String::new));
        send(&self.agent, method, &url, headers, body.as_deref().map(str::as_bytes))
    }

    /// One attempt of a caller who repeats it with the same key; none if there was no answer.
    pub(crate) fn attempt(&self, call: &Attempt<'_>) -> Option<Answer> {
        let url = format!("{}{}", self.stack.address("api_url"), call.path);
        let bearer = match call.by {
            By::Vendor => format!("Bearer {}", self.vendor),
            By::Administrator => format!("Bearer {}", self.administrator),
            By::Learner => String::new(),
        };
        let mut headers =
            vec![("content-type", "application/json"), ("accept", "application/json")];
        if !bearer.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        if let Some(key) = call.key {
            headers.push(("idempotency-key", key));
        }
        let body = call.body.map(Value::to_string);
        let body = body.as_deref().map(str::as_bytes);
        try_to_send(&self.agent, call.method, &url, &headers, body).ok()
    }

    /// A page, as a browser gets it.
    pub(crate) fn open_page(&self, url: &str) -> Answer {
        send(&self.agent, "GET", url, &[("accept", "text/html")], None)
    }

    /// A form, as a browser sends it.
    pub(crate) fn submit(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let form = form.extend_pairs(fields).finish();
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
        send(&self.agent, "POST", url, &headers, Some(form.as_bytes()))
    }

    /// A public call of a program.
    pub(crate) fn post_public(&self, path: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.stack.address("api_url"));
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        send(&self.agent, "POST", &url, &headers, Some(body.to_string().as_bytes()))
    }

    /// A file from an address that carries its own permission.
    pub(crate) fn download(&self, url: &str) -> Answer {
        send(&self.agent, "GET", url, &[], None)
    }

    /// All items of one of the client's lists.
    #[track_caller]
    pub(crate) fn items(&self, list: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let join = if list.contains('?') { '&' } else { '?' };
            let page = self.administer("GET", &format!("{list}{join}limit=100{cursor}"), None);
            let mut page = page.expect(200);
            items.append(page["items"].as_array_mut().expect("items"));
            match page["next_cursor"].as_str() {
                // Of a cursor as it stands, what follows the sign of a fragment would not be sent.
                Some(next) => cursor = format!("&cursor={}", next.replace('#', "%23")),
                None => return items,
            }
        }
    }

    /// A contract's stock as the API tells it.
    #[track_caller]
    pub(crate) fn stock(&self, contract: &str) -> Value {
        let found = self.administer("GET", &format!("contracts/{contract}"), None).expect(200);
        found["stock"].clone()
    }

    /// Checks a contract's used and held seats, that its counters add up, that they are what the
    /// seats and invitations say one by one, and that its trail sums to them.
    #[track_caller]
    pub(crate) fn assert_stock(&self, contract: &str, used: u64, held: u64) {
        let stock = self.stock(contract);
        let found = (stock["used"].as_u64(), stock["held"].as_u64());
        assert_eq!(found, (Some(used), Some(held)), "{stock}");
        let parts = ["available", "allocated", "held", "used", "spent"];
        let sum: u64 = parts.iter().map(|part| stock[part].as_u64().expect("a count")).sum();
        assert_eq!(stock["total"], sum, "{stock}");
        let mut counted = (0_u64, 0_u64);
        for learner in self.items("learners") {
            for seat in learner["seats"].as_array().expect("seats") {
                match seat["state"].as_str() {
                    Some("active") if seat["pool"] == contract => counted.0 += 1,
                    Some("scheduled") if seat["pool"] == contract => counted.1 += 1,
                    _ => {}
                }
            }
        }
        for invitation in self.items("invitations?status=pending") {
            counted.1 += u64::from(invitation["contract_id"] == contract);
        }
        assert_eq!(counted, (used, held), "seats one by one");
        let mut told: BTreeMap<&str, i64> = BTreeMap::new();
        for record in self.items("audit").iter().filter(|record| record["pool"] == contract) {
            for name in parts.into_iter().chain(["total"]) {
                *told.entry(name).or_default() += record["delta"][name].as_i64().unwrap_or(0);
            }
        }
        for (name, sum) in told {
            assert_eq!(stock[name], sum, "{name} in the trail");
        }
    }

    /// The mails that went to addresses with this in them, oldest first.
    pub(crate) fn mails(&self, to: &str) -> Vec<Mail> {
        let inbox =
            send(&self.agent, "GET", self.stack.address("inbox_url"), &[], None).expect(200);
        let accounts = inbox["messages"].as_object().expect("messages");
        let messages = accounts.values().flat_map(|all| all.as_array().expect("a list"));
        let mails = messages.map(|message| Mail {
            to: text(&message["To"][0]),
            subject: text(&message["Subject"]),
            text: text(&message["BodyText"]),
            sent_at: instant(message["Timestamp"].as_f64().expect("seconds since the epoch")),
        });
        mails.filter(|mail| mail.to.contains(to)).collect()
    }

    /// Waits until this many mails went to addresses with this in them, and a little longer.
    #[track_caller]
    pub(crate) fn expect_mails(&self, to: &str, count: usize) -> Vec<Mail> {
        wait_for("mails", || (self.mails(to).len() >= count).then_some(()));
        thread::sleep(SILENCE);
        let mails = self.mails(to);
        assert_eq!(mails.len(), count, "mails");
        mails
    }

    /// Puts an object into the upload bucket; its version and entity tag.
    pub(crate) fn upload(&self, key: &str, body: &[u8]) -> (String, String) {
        let bucket = self.stack.address("upload_bucket");
        let answer = self.aws("s3", "PUT", &format!("/{bucket}/{key}"), &[], body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.header("x-amz-version-id").to_owned(), answer.header("etag").to_owned())
    }

    /// Calls a function by hand and waits for its answer, which is no error.
    #[track_caller]
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Value {
        let answer = self.try_to_invoke(function, event).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-amz-function-error"), "", "{}", answer.text());
        answer.json()
    }

    /// Calls a function by hand, and does not mind if it fails or takes longer than one waits.
    pub(crate) fn try_to_invoke(&self, function: &str, event: &Value) -> Option<Answer> {
        let path = format!("/2015-03-31/functions/seatkeeper-{function}/invocations");
        self.try_aws("lambda", "POST", &path, &[], event.to_string().as_bytes()).ok()
    }

    /// A call of one of AWS's JSON protocols: `AmazonSQS.ListQueues`.
    #[track_caller]
    pub(crate) fn ask(&self, service: &str, operation: &str, body: &Value) -> Value {
        let version = match service {
            "sqs" | "dynamodb" => "application/x-amz-json-1.0",
            _ => "application/x-amz-json-1.1",
        };
        let headers = [("x-amz-target", operation), ("content-type", version)];
        self.aws(service, "POST", "/", &headers, body.to_string().as_bytes()).expect(200)
    }

    /// A call as the account's root user, whose signature the emulator does not check.
    #[track_caller]
    fn aws(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = self.try_aws(service, method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{service}: no answer: {error}"))
    }

    fn try_aws(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.stack.address("aws_endpoint_url"));
        let region = self.stack.address("region");
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("authorization", signed.as_str())];
        all.extend(headers);
        try_to_send(&self.agent, method, &url, &all, Some(body))
    }

    /// Has a user without any policy try to read the table.
    pub(crate) fn read_as_stranger(&self) -> Answer {
        let iam = |form: &str| {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let answer = self.aws("iam", "POST", "/", &headers, form.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.text()
        };
        iam("Action=CreateUser&Version=2010-05-08&UserName=stranger");
        let made = iam("Action=CreateAccessKey&Version=2010-05-08&UserName=stranger");
        let key = AccessKey {
            id: between(&made, "<AccessKeyId>", "<").to_owned(),
            secret: between(&made, "<SecretAccessKey>", "<").to_owned(),
        };
        let body = json!({"TableName": self.stack.address("table")}).to_string();
        let endpoint = self.stack.address("aws_endpoint_url");
        let (_, host) = endpoint.split_once("://").expect("an address");
        let scope = ("dynamodb", self.stack.address("region"));
        let signed = key.sign(scope, host, &body, now());
        let mut headers = vec![
            ("x-amz-target", "DynamoDB_20120810.Scan"),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        send(&self.agent, "POST", endpoint, &headers, Some(body.as_bytes()))
    }
}

/// What stands between two marks.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).expect("the start");
    rest.split_once(end).expect("the end").0
}

/// Looks until there is something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Does the same this many times at once, by number.
pub(crate) fn at_once<T: Send>(times: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (start, act) = (&Barrier::new(times), &act);
    thread::scope(|scope| {
        let run = |number| {
            scope.spawn(move || {
                start.wait();
                act(number)
            })
        };
        let threads: Vec<_> = (0..times).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    })
}

/// How many answers there are of each status and problem code.
pub(crate) fn outcomes(answers: &[Answer]) -> BTreeMap<(u16, String), usize> {
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        *outcomes.entry((answer.status, answer.code())).or_default() += 1;
    }
    outcomes
}

fn instant(seconds: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds)
}

/// The real time: nothing here is simulated.
#[expect(clippy::disallowed_methods, reason = "the deployed product has the clock of this machine")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A JSON string.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
