//! Everybody who uses the product, at once, and what they were told.
//!
//! A caller whose call got no answer, or a 5xx, makes it again with the same key, as often as it
//! takes; what anybody was told for good is written down, and is looked for afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Unit, ZonedRound};
use serde_json::{Value, json};

use super::dice::Dice;
use crate::http::Answer;
use crate::office::{Attempt, By, CANARY, CLIENT, Office, PASSWORD, now, text};

/// Callers at once.
const CALLERS: usize = 12;
/// How long a caller waits before the same call again.
const AGAIN: Duration = Duration::from_secs(4);
/// How long everybody has to come to an answer after the last kill: an attempt that died holds its
/// record for a minute.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where seats are taken from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) contract: String,
    pub(crate) sublicense: Option<String>,
}

impl Place {
    pub(crate) fn pool(&self) -> String {
        self.sublicense.clone().unwrap_or_else(|| self.contract.clone())
    }

    fn body(&self, mut body: Value) -> Value {
        body["contract_id"] = json!(self.contract);
        if let Some(sublicense) = &self.sublicense {
            body["sublicense_id"] = json!(sublicense);
        }
        body
    }
}

/// What somebody was told for good.
pub(crate) enum Fact {
    /// This person has a seat here.
    Seated { email: String, pool: String },
    /// This person has none.
    Refused { email: String, pool: String },
    /// This learner's seat was given back.
    Released { learner: String, pool: String },
    /// An invitation is there.
    Invited { invitation: String },
    /// An invitation can no longer be accepted.
    Ended { invitation: String },
    /// A batch of so many codes can be redeemed.
    Issued { batch: String, count: usize },
    /// A pool has so many seats more.
    Bought { pool: String, add: i64 },
    /// A file was taken, with these people in it.
    Dropped { key: String, pool: String, emails: Vec<String> },
}

/// What a call is about.
#[derive(Clone)]
enum About {
    Create { email: String, pool: String },
    Invite { pool: Place },
    Resend,
    End { invitation: String },
    Accept { email: String, pool: String },
    Issue { pool: Place, count: usize, uses: usize },
    Redeem { email: String, pool: String },
    Release { learner: String, pool: String },
    Buy { pool: String, add: i64 },
}

struct Task {
    by: By,
    method: &'static str,
    path: String,
    key: Option<String>,
    body: Option<Value>,
    about: About,
    at: Instant,
}

/// An invitation that somebody may still do something about.
struct Open {
    id: String,
    email: String,
    pool: String,
    link: Option<String>,
}

#[derive(Default)]
struct Book {
    facts: Vec<Fact>,
    /// People whose seat somebody asked to release, by address and pool.
    leaving: BTreeSet<(String, String)>,
    learners: Vec<(String, String, String)>,
    invitations: Vec<Open>,
    codes: Vec<(String, Place, usize)>,
    /// Answers that no caller should get.
    strange: Vec<String>,
    answers: BTreeMap<String, usize>,
}

/// The callers and their book.
pub(crate) struct Load<'o, 's> {
    office: &'o Office<'s>,
    dice: Dice,
    places: Vec<Place>,
    sublicense: Place,
    soon: Place,
    number: AtomicUsize,
    over: AtomicBool,
    book: Mutex<Book>,
    waiting: Mutex<Vec<Task>>,
}

impl<'o, 's> Load<'o, 's> {
    /// Makes the contracts: a large one with a sublicense, a tight one, one whose seats are used
    /// up when they are released, and one that opens within the next minute or so.
    pub(crate) fn prepare(office: &'o Office<'s>, seed: u64) -> Self {
        let contract = |reference: &str, seats, policies: &Value| Place {
            contract: office.contract(reference, seats, policies),
            sublicense: None,
        };
        let large = contract("kills-large", 3_000, &json!({}));
        let tight = contract("kills-tight", 40, &json!({}));
        let spent = contract("kills-spent", 200, &json!({"stock_kind": "consumable"}));
        let paris = TimeZone::get("Europe/Paris").expect("a zone");
        let minute = ZonedRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
        let opens = (now() + 40.seconds()).to_zoned(paris).round(minute).expect("a minute");
        let opens = opens.strftime("%H:%M").to_string();
        let soon = contract("kills-soon", 400, &json!({"opens_at": opens}));
        let path = format!("contracts/{}/sublicenses", large.contract);
        let body = json!({"name": "kills", "seats": 200});
        let made = office.administer("POST", &path, Some(&body)).expect(201);
        let sublicense = Place {
            contract: large.contract.clone(),
            sublicense: Some(text(&made["sublicense_id"])),
        };
        Self {
            office,
            dice: Dice::new(seed),
            places: vec![large, tight, spent, sublicense.clone()],
            sublicense,
            soon,
            number: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            book: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Has everybody at work while `meanwhile` runs, and then until everybody has an answer.
    pub(crate) fn run<T: Send>(&self, meanwhile: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let mut callers: Vec<_> =
                (0..CALLERS).map(|_| scope.spawn(|| self.call_until_over())).collect();
            callers.push(scope.spawn(|| self.read_mails()));
            let done = meanwhile();
            self.over.store(true, Ordering::Relaxed);
            for caller in callers {
                caller.join().expect("a caller");
            }
            done
        })
    }

    /// Makes the calls again that have no answer yet.
    pub(crate) fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while Instant::now() < deadline {
                        let Some(task) = self.next_waiting(true) else { return };
                        self.attempt(task);
                    }
                });
            }
        });
        let waiting = self.waiting();
        let left: Vec<_> =
            waiting.iter().map(|task| format!("{} {}", task.method, route(&task.path))).collect();
        assert!(left.is_empty(), "calls without an answer long after the last kill: {left:?}");
    }

    /// How many calls have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.waiting().len()
    }

    /// How many calls were answered, in whatever way.
    pub(crate) fn answered(&self) -> usize {
        self.book().answers.values().sum()
    }

    /// How many answers there were, by status and problem code.
    pub(crate) fn answers(&self) -> BTreeMap<String, usize> {
        self.book().answers.clone()
    }

    /// Answers that nobody should have got.
    pub(crate) fn strange(&self) -> Vec<String> {
        self.book().strange.clone()
    }

    /// What everybody was told, without the seats that somebody asked to release.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut book = self.book();
        let facts = std::mem::take(&mut book.facts);
        let stays = |fact: &Fact| match fact {
            Fact::Seated { email, pool } => !book.leaving.contains(&(email.clone(), pool.clone())),
            _ => true,
        };
        facts.into_iter().filter(stays).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Task>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call_until_over(&self) {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(task) = self.next_waiting(false).or_else(|| self.something_new()) {
                self.attempt(task);
            }
        }
    }

    /// A call that is to be made again: one whose time has come, or, if need be, after a wait.
    fn next_waiting(&self, wait: bool) -> Option<Task> {
        loop {
            {
                let mut waiting = self.waiting();
                let ready = waiting.iter().position(|task| task.at <= Instant::now());
                if let Some(place) = ready {
                    return Some(waiting.swap_remove(place));
                }
                if waiting.is_empty() || !wait {
                    return None;
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn attempt(&self, mut task: Task) {
        let answer = self.office.attempt(&Attempt {
            by: task.by,
            method: task.method,
            path: &task.path,
            key: task.key.as_deref(),
            body: task.body.as_ref(),
        });
        let told = answer.as_ref().map_or("no answer".to_owned(), |answer| {
            format!("{} {}", answer.status, answer.code()).trim_end().to_owned()
        });
        *self.book().answers.entry(told.clone()).or_default() += 1;
        let settled =
            answer.filter(|answer| answer.status < 500 && answer.code() != "request-in-progress");
        if told.contains("internal") {
            self.book().strange.push(format!("{} {}: {told}", task.method, route(&task.path)));
        }
        let Some(answer) = settled else {
            task.at = Instant::now() + AGAIN;
            self.waiting().push(task);
            return;
        };
        self.note(&task, &answer);
    }

    fn fresh(&self) -> usize {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    fn address(&self) -> String {
        format!("{CANARY}.kill.{}@example.fr", self.fresh())
    }

    fn task(&self, by: By, method: &'static str, path: String, body: Value, about: About) -> Task {
        let key = (method == "POST").then(|| format!("kill-{}", self.fresh()));
        let path = match by {
            By::Learner => path,
            By::Vendor | By::Administrator => format!("/v1/clients/{CLIENT}/{path}"),
        };
        let body = (!body.is_null()).then_some(body);
        Task { by, method, path, key, body, about, at: Instant::now() }
    }

    fn somewhere(&self) -> Place {
        // The large contract most of the time: the others fill up.
        let place = self.dice.below(self.places.len() + 4);
        self.places[if place < self.places.len() { place } else { 0 }].clone()
    }

    /// The next thing that somebody wants; none if the dice want what is not there.
    fn something_new(&self) -> Option<Task> {
        match self.dice.below(100) {
            0..24 => Some(self.create(&self.somewhere(), None)),
            24..30 => Some(self.create(&self.somewhere(), Some(1 + self.dice.below(3)))),
            30..36 => Some(self.create(&self.soon, Some(0))),
            36..48 => Some(self.invite()),
            48..52 => self.with_invitation(false, |load, open| {
                let path = format!("invitations/{}/resend", open.id);
                load.task(By::Administrator, "POST", path, Value::Null, About::Resend)
            }),
            52..55 => self.with_invitation(true, |load, open| {
                let path = format!("invitations/{}", open.id);
                let about = About::End { invitation: open.id.clone() };
                load.task(By::Administrator, "DELETE", path, Value::Null, about)
            }),
            55..58 => self.with_link(|load, open, link| {
                let about = About::End { invitation: open.id.clone() };
                load.task(By::Learner, "POST", format!("{link}/decline"), json!({}), about)
            }),
            58..70 => self.with_link(|load, open, link| {
                let body = json!({
                    "first_name": "Kanarienne", "last_name": "Kanarise", "password": PASSWORD,
                });
                let (email, pool) = (open.email.clone(), open.pool.clone());
                load.task(By::Learner, "POST", link, body, About::Accept { email, pool })
            }),
            70..73 => Some(self.issue()),
            73..85 => self.redeem(),
            85..91 => self.release(),
            91..93 => Some(self.buy()),
            93..96 => Some(self.allocate()),
            96..98 => {
                self.drop_file();
                None
            }
            _ => {
                self.office.try_to_invoke("reconcile", &json!({}));
                None
            }
        }
    }

    fn create(&self, place: &Place, days: Option<usize>) -> Task {
        let email = self.address();
        let mut body = place.body(json!({
            "email": email, "first_name": "Kanarienne", "last_name": "Kanarise",
        }));
        if let Some(days) = days {
            let paris = TimeZone::get("Europe/Paris").expect("a zone");
            let day = now().to_zoned(paris).date() + i64::try_from(days).unwrap_or(1).days();
            body["start_on"] = json!(day.to_string());
        }
        let about = About::Create { email, pool: place.pool() };
        self.task(By::Administrator, "POST", "learners".to_owned(), body, about)
    }

    fn invite(&self) -> Task {
        let place = self.somewhere();
        let emails: Vec<_> = (0..=self.dice.below(4)).map(|_| self.address()).collect();
        let body = place.body(json!({"emails": emails, "notify": self.dice.below(3) > 0}));
        let about = About::Invite { pool: place };
        self.task(By::Administrator, "POST", "invitations".to_owned(), body, about)
    }

    fn with_invitation(&self, ends: bool, make: impl FnOnce(&Self, &Open) -> Task) -> Option<Task> {
        let mut book = self.book();
        let open = self.dice.take(&mut book.invitations)?;
        let task = make(self, &open);
        // Now and then somebody else still tries: to accept what was cancelled, and the like.
        if !ends || self.dice.below(4) == 0 {
            book.invitations.push(open);
        }
        Some(task)
    }

    fn with_link(&self, make: impl FnOnce(&Self, &Open, String) -> Task) -> Option<Task> {
        let mut book = self.book();
        let linked = |open: &Open| open.link.is_some();
        let place = book.invitations.iter().position(linked)?;
        let open = book.invitations.swap_remove(place);
        let link = open.link.clone()?;
        let task = make(self, &open, link);
        if self.dice.below(6) == 0 {
            book.invitations.push(open);
        }
        Some(task)
    }

    fn issue(&self) -> Task {
        let place = self.somewhere();
        let label = format!("{CANARY} {}", self.fresh());
        let (body, count, uses) = if self.dice.below(2) == 0 {
            let most = 4 + self.dice.below(8);
            let guaranteed = self.dice.below(2) == 0;
            let body = json!({
                "kind": "registration", "label": label, "max_redemptions": most,
                "guaranteed": guaranteed,
            });
            (body, 1, most)
        } else {
            let count = 1 + self.dice.below(8);
            (json!({"kind": "redemption", "label": label, "count": count}), count, 1)
        };
        let about = About::Issue { pool: place.clone(), count, uses };
        self.task(By::Administrator, "POST", "codes".to_owned(), place.body(body), about)
    }

    fn redeem(&self) -> Option<Task> {
        let (code, place) = {
            let mut book = self.book();
            let (code, place, uses) = self.dice.take(&mut book.codes)?;
            if uses > 1 {
                book.codes.push((code.clone(), place.clone(), uses - 1));
            }
            (code, place)
        };
        let email = self.address();
        let body = json!({
            "code": code, "email": email, "first_name": "Kanarienne", "last_name": "Kanarise",
            "password": PASSWORD,
        });
        let about = About::Redeem { email, pool: place.pool() };
        let mut task = self.task(By::Learner, "POST", format!("/{CLIENT}/redeem"), body, about);
        // A program sends a key; a browser has none.
        task.key = task.key.filter(|_| self.dice.below(2) == 0);
        Some(task)
    }

    fn release(&self) -> Option<Task> {
        let mut book = self.book();
        let (email, learner, pool) = self.dice.take(&mut book.learners)?;
        book.leaving.insert((email, pool.clone()));
        let path = format!("learners/{learner}/seats/{pool}/release");
        let about = About::Release { learner, pool };
        Some(self.task(By::Administrator, "POST", path, Value::Null, about))
    }

    fn buy(&self) -> Task {
        let place = self.places[self.dice.below(3)].clone();
        let add = 1 + i64::try_from(self.dice.below(5)).unwrap_or(0);
        let body = json!({"add": add, "order": format!("order-{}", self.fresh())});
        let path = format!("contracts/{}/seats", place.contract);
        self.task(By::Vendor, "POST", path, body, About::Buy { pool: place.contract, add })
    }

    fn allocate(&self) -> Task {
        let place = &self.sublicense;
        let add = i64::try_from(self.dice.below(12)).unwrap_or(0) - 3;
        let add = if add == 0 { 5 } else { add };
        let pool = place.pool();
        let path = format!("contracts/{}/sublicenses/{pool}/seats", place.contract);
        self.task(By::Administrator, "POST", path, json!({"add": add}), About::Buy { pool, add })
    }

    fn drop_file(&self) {
        let place = self.places[self.dice.below(3)].clone();
        let key = format!("drop/{CLIENT}/{}/{CANARY}-{}.csv", place.contract, self.fresh());
        let emails: Vec<_> = (0..4 + self.dice.below(120)).map(|_| self.address()).collect();
        let rows: Vec<_> = emails.iter().map(|email| format!("{email};Kanarise\n")).collect();
        self.office.upload(&key, format!("email;nom\n{}", rows.concat()).as_bytes());
        self.book().facts.push(Fact::Dropped { key, pool: place.pool(), emails });
    }

    /// Writes down what an answer says for good.
    fn note(&self, task: &Task, answer: &Answer) {
        let (status, body) = (answer.status, answer.json());
        let done = matches!(status, 200 | 201 | 303);
        let mut book = self.book();
        match &task.about {
            About::Create { email, pool } if done => {
                let learner = text(&body["learner"]["learner_id"]);
                book.learners.push((email.clone(), learner, pool.clone()));
                book.facts.push(Fact::Seated { email: email.clone(), pool: pool.clone() });
            }
            About::Accept { email, pool } | About::Redeem { email, pool } if done => {
                let learner = text(&body["learner_id"]);
                book.learners.push((email.clone(), learner, pool.clone()));
                book.facts.push(Fact::Seated { email: email.clone(), pool: pool.clone() });
            }
            About::Create { email, pool } | About::Redeem { email, pool }
                if [404, 409].contains(&status) =>
            {
                book.facts.push(Fact::Refused { email: email.clone(), pool: pool.clone() });
            }
            About::Invite { pool } if done => {
                for result in body["results"].as_array().expect("results") {
                    let email = text(&result["email"]);
                    if result["outcome"] != "invited" {
                        book.facts.push(Fact::Refused { email, pool: pool.pool() });
                        continue;
                    }
                    let id = text(&result["invitation_id"]);
                    book.facts.push(Fact::Invited { invitation: id.clone() });
                    let link = result["link"].as_str().and_then(path_of);
                    book.invitations.push(Open { id, email, pool: pool.pool(), link });
                }
            }
            About::End { invitation } if done => {
                book.facts.push(Fact::Ended { invitation: invitation.clone() });
            }
            About::Issue { pool, count, uses } if done => {
                let batch = text(&body["batch"]["batch_id"]);
                book.facts.push(Fact::Issued { batch, count: *count });
                for code in body["codes"].as_array().expect("codes") {
                    let code = text(code);
                    if self.dice.below(12) == 0 {
                        self.office.keep_secret(&code);
                    }
                    book.codes.push((code, pool.clone(), *uses));
                }
            }
            About::Release { learner, pool } if done => {
                let (learner, pool) = (learner.clone(), pool.clone());
                book.facts.push(Fact::Released { learner, pool });
            }
            About::Buy { pool, add } if done => {
                book.facts.push(Fact::Bought { pool: pool.clone(), add: *add });
            }
            _ if done || [404, 409, 410, 429].contains(&status) => {}
            _ => book.strange.push(format!(
                "{} {}: {status} {}",
                task.method,
                route(&task.path),
                answer.code()
            )),
        }
    }

    /// Finds the links of those who were invited by mail, as they would.
    fn read_mails(&self) {
        let start = format!("{}/i/", self.office.stack.address("page_url"));
        while !self.over.load(Ordering::Relaxed) {
            for mail in self.office.mails(&format!("{CANARY}.kill.")) {
                let Some((_, rest)) = mail.text.split_once(&start) else { continue };
                let Some(token) = rest.split_whitespace().next() else { continue };
                let mut book = self.book();
                let found = book.invitations.iter_mut().find(|open| open.email == mail.to);
                if let Some(open) = found {
                    open.link = Some(format!("/i/{token}"));
                }
            }
            thread::sleep(Duration::from_secs(5));
        }
    }
}

/// The path of a link, as the API serves it.
fn path_of(link: &str) -> Option<String> {
    link.split_once("/i/").map(|(_, token)| format!("/i/{token}"))
}

/// A path without what tells of a person.
fn route(path: &str) -> String {
    path.split('/')
        .map(|part| if part.len() > 20 { "…" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}
