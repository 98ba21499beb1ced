//! What must be so of a world whatever happened in it, read from its table and its inbox alone.
//!
//! The names are those of `docs/correctness.md`. [`Seen::check`] holds at any moment between two
//! transactions; [`Seen::check_at_rest`] once nothing is under way any more. What an invariant says
//! of answers (I6, I11, I14) only who asked can tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
pub use seatkeeper_testkit::model::Broken;
use seatkeeper_testkit::{Cloud, SentMail};
use serde_json::Value;

use crate::full::{in_full, marks};

/// How long a cohort may wait for the sweep that opens what its schedule missed.
const OPEN_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// The counters of a pool, without its total.
const PARTS: [&str; 5] = ["available", "allocated", "held", "used", "spent"];

/// What the marks of rows stand for.
const OUTCOMES: [(&str, &str); 7] = [
    ("c", "created"),
    ("s", "scheduled"),
    ("i", "invited"),
    ("uU", "updated"),
    ("kK", "skipped"),
    ("n", "not_seated"),
    ("fF", "failed"),
];

/// What an account says of a person.
const PERSONAL: [&str; 8] = [
    "email",
    "first_name",
    "last_name",
    "labels",
    "external_id",
    "additional_info",
    "credential",
    "entered_at",
];

/// A world as it is seen from the outside.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Every item of the table, as plain JSON.
    pub items: Vec<Value>,
    /// Every mail that the mail service accepted.
    pub sent: Vec<SentMail>,
    /// The present.
    pub now: Timestamp,
}

/// Fails with the invariant's name and what is there instead, unless it holds.
pub fn demand(
    invariant: &'static str,
    holds: bool,
    found: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, found: found() }) }
}

impl Seen {
    /// A cloud as it is now.
    pub fn of(cloud: &Cloud) -> Self {
        use seatkeeper_domain::ports::Clock as _;
        Self { items: in_full(cloud.dump()), sent: cloud.sent_mails(), now: cloud.clock().now() }
    }

    /// Checks what holds at any moment.
    ///
    /// * I1: each pool adds up, nothing is below zero, and its counters are what learners,
    ///   invitations, cohorts, blocks and sublicenses say;
    /// * I2: codes have the redemptions that their batch lists, within its maximum;
    /// * I3: one account and one live invitation of an address, never both a seat and a pending
    ///   invitation in one pool;
    /// * I4: a mail is sent at most once, and none is owed for what did not happen;
    /// * I7: what belongs to a client stands under its name;
    /// * I8: each pool's trail sums to the stock it shows;
    /// * I9: cohorts count the seats that wait for them, and none opened before its instant;
    /// * I10: an import's outcomes add up to its rows;
    /// * I12: no address in a key, nor in what is kept of an answer.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_seats()?;
        self.codes()?;
        self.people()?;
        self.mails()?;
        self.tenants()?;
        self.cohorts()?;
        self.imports()?;
        self.silence()
    }

    /// Checks what holds at any moment, and what holds once all has settled (I5, I9, I13): nothing
    /// is due, in flight or half done, and every mail that is due was dealt with.
    pub fn check_at_rest(&self) -> Result<(), Broken> {
        self.check()?;
        self.rest()
    }

    /// Checks that none of these texts stands anywhere in the table (I12).
    pub fn check_hidden(&self, secrets: &[&str]) -> Result<(), Broken> {
        for item in &self.items {
            let text = item.to_string();
            let told = secrets.iter().find(|secret| text.contains(**secret));
            demand("I12", told.is_none(), || format!("{} holds a secret", name(item)))?;
        }
        Ok(())
    }

    /// Items of a kind.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.items.iter().filter(move |item| item["kind"] == kind)
    }

    /// What a pool shows: seats that its open blocks used count as used. `None` without such a pool.
    pub fn shown(&self, pool: &str) -> Option<BTreeMap<&'static str, i64>> {
        let item = self.kind("pool").find(|item| text(item, "pk").ends_with(pool))?;
        let mut shown: BTreeMap<_, _> = PARTS.map(|part| (part, number(item, part))).into();
        shown.insert("total", number(item, "total"));
        let drawn: i64 = self.blocks(pool).map(|block| number(block, "used")).sum();
        *shown.entry("held").or_default() -= drawn;
        *shown.entry("used").or_default() += drawn;
        Some(shown)
    }

    /// The open blocks of a pool.
    fn blocks<'a>(&'a self, pool: &'a str) -> impl Iterator<Item = &'a Value> {
        self.kind("block").filter(move |block| text(block, "pk").ends_with(pool))
    }

    /// Checks that seats are conserved: I1 and I8.
    pub fn check_seats(&self) -> Result<(), Broken> {
        let mut given: BTreeMap<&str, i64> = BTreeMap::new();
        for sublicense in self.kind("sublicense") {
            let shown = self.shown(text(sublicense, "sublicense_id"));
            let total = shown.map_or(0, |shown| shown["total"]);
            *given.entry(text(sublicense, "contract_id")).or_default() += total;
        }
        let mut pools = BTreeSet::new();
        for item in self.kind("pool") {
            let pool = text(item, "pk").rsplit('#').next().unwrap_or_default();
            pools.insert(pool);
            let sum: i64 = PARTS.iter().map(|part| number(item, part)).sum();
            demand("I1", sum == number(item, "total"), || format!("{pool} is {item}"))?;
            let below = PARTS.iter().find(|part| number(item, part) < 0);
            demand("I1", below.is_none(), || format!("{pool} has less than nothing: {item}"))?;
            for block in self.blocks(pool) {
                let parts = ["used", "kept", "rem"].map(|part| number(block, part));
                let sum: i64 = parts.iter().sum();
                let right = sum == number(block, "size") && parts.iter().all(|part| *part >= 0);
                demand("I1", right, || format!("a block does not add up: {block}"))?;
            }
            let shown = self.shown(pool).unwrap_or_default();
            let (held, used) = self.recorded(pool);
            demand("I1", (shown["held"], shown["used"]) == (held, used), || {
                format!("{pool} shows {shown:?}; its records say {held} held, {used} used")
            })?;
            let allocated = given.get(pool).copied().unwrap_or_default();
            demand("I1", shown["allocated"] == allocated, || {
                format!("{pool} shows {shown:?}; {allocated} are in sublicenses")
            })?;
            let told = self.told(pool);
            demand("I8", told == shown, || {
                format!("{pool} shows {shown:?}; its trail says {told:?}")
            })?;
        }
        for learner in self.kind("learner") {
            let homeless = seats(learner).find(|(pool, _)| !pools.contains(pool));
            demand("I1", homeless.is_none(), || format!("a seat in no pool: {homeless:?}"))?;
        }
        Ok(())
    }

    /// Seats held and used as the records say: learners, invitations, and what blocks still have.
    fn recorded(&self, pool: &str) -> (i64, i64) {
        let (mut held, mut used) = (0, 0);
        let opened: BTreeSet<&str> = self
            .kind("cohort")
            .filter(|cohort| cohort["state"] == "opened" && cohort["pool"] == pool)
            .map(|cohort| text(cohort, "instant"))
            .collect();
        for (of, seat) in self.kind("learner").flat_map(seats) {
            if of != pool {
                continue;
            }
            match seat["state"]["is"].as_str() {
                Some("active") => used += 1,
                Some("scheduled") if opened.contains(text(&seat["state"], "opens_at")) => used += 1,
                Some("scheduled") => held += 1,
                _ => {}
            }
        }
        let holds = |invitation: &&Value| {
            invitation["status"] == "pending"
                && invitation["holds_seat"] == true
                && pool_of(invitation) == pool
        };
        held += count(self.kind("invitation").filter(holds));
        held += self.blocks(pool).map(|block| number(block, "rem")).sum::<i64>();
        (held, used)
    }

    /// The sums of the deltas that the trail tells of a pool.
    fn told(&self, pool: &str) -> BTreeMap<&'static str, i64> {
        let mut sums: BTreeMap<_, _> = PARTS.map(|part| (part, 0)).into();
        sums.insert("total", 0);
        for record in self.kind("audit").filter(|record| record["pool"] == pool) {
            for (part, sum) in &mut sums {
                *sum += number(&record["delta"], part);
            }
        }
        sums
    }

    fn codes(&self) -> Result<(), Broken> {
        for batch in self.kind("batch") {
            let id = text(batch, "batch_id");
            let own = |item: &&Value| item["batch_id"] == id || text(item, "pk").ends_with(id);
            let listed: Vec<&Value> = self.kind("redemption").filter(own).collect();
            let codes: Vec<&Value> = self.kind("code").filter(own).collect();
            if batch["state"] == "active" {
                demand("I2", count(codes.iter()) == number(batch, "count"), || {
                    format!("{id} has {} codes of {}", codes.len(), batch["count"])
                })?;
            }
            let redeemed = codes.iter().filter(|code| code["redeemed_by"].is_string());
            let drawn = self.kind("block").filter(|block| block["owner"] == id);
            let given = ["used", "kept", "settled"];
            let drawn: i64 = drawn.flat_map(|b| given.map(|part| number(b, part))).sum();
            let counted = match text(batch, "code_kind") {
                "registration" => number(batch, "redeemed") + drawn,
                _ => count(redeemed),
            };
            let most = batch["max_redemptions"].as_i64().unwrap_or(i64::MAX);
            // What waits for its proof counts, and is not listed yet.
            let held = self.kind("invitation").filter(|item| {
                let pending = item["status"] == "pending" && item["holds_seat"] == true;
                pending && item["redeems"]["batch_id"] == id
            });
            let held = count(held);
            demand("I2", count(listed.iter()) + held == counted && counted <= most, || {
                let listed = listed.len();
                format!(
                    "{id} lists {listed} redemptions and holds {held}, counts {counted}, of at \
                     most {most}"
                )
            })?;
        }
        Ok(())
    }

    fn people(&self) -> Result<(), Broken> {
        let mut accounts = BTreeSet::new();
        let mut seated = BTreeSet::new();
        for learner in self.kind("learner") {
            let who = (text(learner, "client_id"), text(learner, "email"));
            demand("I3", accounts.insert(who), || "two accounts of one address".to_owned())?;
            let live = seats(learner).filter(|(_, seat)| seat["state"]["is"] != "released");
            seated.extend(live.map(|(pool, _)| (who, pool)));
        }
        let mut pending = BTreeSet::new();
        // What a code holds for an address is no invitation to anybody else's eyes.
        let waits = |item: &&Value| item["status"] == "pending" && item["redeems"].is_null();
        for invitation in self.kind("invitation").filter(waits) {
            let who = (text(invitation, "client_id"), text(invitation, "email"));
            let pool = pool_of(invitation);
            let once = pending.insert((who, pool));
            demand("I3", once, || format!("two pending invitations to {pool}"))?;
            let both = seated.contains(&(who, pool));
            demand("I3", !both, || format!("a seat and a pending invitation in {pool}"))?;
        }
        Ok(())
    }

    fn mails(&self) -> Result<(), Broken> {
        let mut notifications = BTreeSet::new();
        for mail in &self.sent {
            let once = notifications.insert(mail.identity());
            demand("I4", once, || format!("sent more than once: {}", mail.identity()))?;
        }
        let ops: BTreeSet<&str> = self.kind("audit").map(|record| text(record, "op")).collect();
        let (mut said, mut begun) = (BTreeSet::new(), 0);
        for mail in self.kind("mail") {
            begun += usize::try_from(number(mail, "next")).unwrap_or(0);
            let copy = mail["copy_to"].is_string();
            for subject in mail["subjects"].as_array().into_iter().flatten() {
                // A new password may be asked for again: that is another mail.
                let again = subject["letter"] == "password_reset";
                let key = if again { text(mail, "sk") } else { "" };
                let once = said.insert(format!("{copy} {subject} {key}"));
                demand("I4", once, || format!("owed twice: {subject}"))?;
                let happened = match text(subject, "about") {
                    "seat" => ops.contains(text(subject, "op")),
                    // A mail names the place where the invitation stood then.
                    "invitation" => self.kind("invitation").any(|invitation| {
                        let of = subject["invitation"].as_str().unwrap_or_default();
                        (invitation["invitation_id"] == of || text(invitation, "sk") == of)
                            && number(invitation, "version") >= number(subject, "version")
                    }),
                    _ => true,
                };
                demand("I4", happened, || format!("owed for what did not happen: {subject}"))?;
            }
        }
        let sent = self.sent.len();
        demand("I4", sent <= begun, || format!("{sent} mails sent of {begun} begun"))
    }

    fn tenants(&self) -> Result<(), Broken> {
        for item in &self.items {
            let Some(client) = item["client_id"].as_str() else { continue };
            let own = text(item, "pk").split('#').nth(1) == Some(client);
            demand("I7", own, || format!("{} belongs to {client}", name(item)))?;
        }
        Ok(())
    }

    fn cohorts(&self) -> Result<(), Broken> {
        let mut waiting: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (pool, seat) in self.kind("learner").flat_map(seats) {
            if seat["state"]["is"] == "scheduled" {
                *waiting.entry((pool, text(&seat["state"], "opens_at"))).or_default() += 1;
            }
        }
        for cohort in self.kind("cohort") {
            let key = (text(cohort, "pool"), text(cohort, "instant"));
            let there = waiting.remove(&key).unwrap_or_default();
            let opened = cohort["state"] == "opened";
            let early = opened && at(cohort, "instant").is_some_and(|instant| instant > self.now);
            demand("I9", !early, || format!("opened before its instant: {cohort}"))?;
            let right = opened || number(cohort, "count") == there;
            demand("I9", right, || format!("{there} seats wait for {cohort}"))?;
        }
        demand("I9", waiting.is_empty(), || format!("seats wait for no cohort: {waiting:?}"))
    }

    fn imports(&self) -> Result<(), Broken> {
        for import in self.kind("import").filter(|import| import["status"] == "completed") {
            let id = text(import, "import_id");
            let mut outcomes: BTreeMap<String, i64> = BTreeMap::new();
            let of_rows = |item: &&Value| {
                item["action"] == "import_chunk"
                    && item["reason"] == id
                    && item["marks"].is_object()
            };
            for record in self.kind("audit").filter(of_rows) {
                for mark in marks(text(&record["marks"], "rows")) {
                    let outcome = OUTCOMES.iter().find(|known| known.0.contains(mark));
                    let outcome = outcome.map_or("none", |known| known.1).to_owned();
                    *outcomes.entry(outcome).or_default() += 1;
                }
            }
            let sum: i64 = outcomes.values().sum();
            let rows = number(import, "rows_total");
            demand("I10", sum == rows, || format!("{sum} outcomes of {rows} rows in {id}"))?;
            let given = self.kind("learner").flat_map(seats);
            let given = count(given.filter(|(_, seat)| seat["source"]["id"] == id));
            let told = ["created", "scheduled", "updated"];
            let told: i64 = told.iter().filter_map(|outcome| outcomes.get(*outcome)).sum();
            demand("I10", given <= told, || format!("{id} gave {given} seats and tells {told}"))?;
            for (outcome, rows) in &outcomes {
                let says = number(&import["totals"], outcome);
                demand("I10", says == *rows, || format!("{id}: {rows} {outcome}, says {says}"))?;
            }
        }
        Ok(())
    }

    fn silence(&self) -> Result<(), Broken> {
        for item in &self.items {
            let key = name(item);
            if item["kind"] == "erased" {
                let left = PERSONAL.iter().find(|name| !item[**name].is_null());
                demand("I12", left.is_none(), || format!("{left:?} of somebody erased: {key}"))?;
            }
            demand("I12", !key.contains('@'), || "an address in a key".to_owned())?;
            if item["kind"] == "idempotency" {
                let address = item.to_string().contains('@');
                demand("I12", !address, || format!("an address in {key}"))?;
            }
        }
        Ok(())
    }

    fn rest(&self) -> Result<(), Broken> {
        let owners = |kind: &'static str, id: &'static str| {
            let open = self.kind(kind).filter(|item| {
                !matches!(
                    text(item, if kind == "import" { "status" } else { "state" }),
                    "revoked" | "issuing" | "completed" | "refused" | "undone" | "partly_undone"
                )
            });
            open.map(move |item| text(item, id)).collect::<BTreeSet<&str>>()
        };
        let (batches, imports) = (owners("batch", "batch_id"), owners("import", "import_id"));
        for item in &self.items {
            let due = at(item, "due_at").is_some_and(|at| at <= self.now);
            match text(item, "kind") {
                // A pool is due for its next proof, a client for its next round, again and again.
                "pool" | "round" => continue,
                "mail" => dealt_with(item, due)?,
                "cohort" => {
                    let late = at(item, "instant").is_some_and(|at| at + OPEN_WITHIN < self.now);
                    let right = !late || item["state"] == "opened";
                    demand("I9", right, || format!("has not opened: {item}"))?;
                }
                "import" => {
                    let busy = ["checking", "committing", "undoing"];
                    let rests = !busy.contains(&text(item, "status"));
                    demand("I5", rests, || format!("an import under way: {}", name(item)))?;
                }
                "block" => {
                    let owner = text(item, "owner");
                    let open = batches.contains(owner) || imports.contains(owner);
                    demand("I5", open, || format!("a block that nobody needs: {}", name(item)))?;
                }
                "batch" => {
                    let rests = item["state"] != "issuing";
                    demand("I5", rests, || format!("codes half issued: {}", name(item)))?;
                }
                _ => {}
            }
            let waits = due && item["due_shard"].is_string();
            demand("I5", !waits, || format!("still due: {}", name(item)))?;
            if item["kind"] == "invitation" && item["status"] == "pending" {
                let over = at(item, "expires_at").is_some_and(|at| at + OPEN_WITHIN < self.now);
                demand("I5", !over, || format!("has not expired: {}", name(item)))?;
            }
        }
        Ok(())
    }
}

/// A mail that is due was handed over, parked or found to have lapsed.
fn dealt_with(mail: &Value, due: bool) -> Result<(), Broken> {
    demand("I5", mail["in_flight"] == false, || format!("in flight: {}", name(mail)))?;
    let refused = mail["refused"].as_array().map_or(0, Vec::len);
    demand("I4", refused == 0, || format!("set aside: {}", name(mail)))?;
    let owed = mail["subjects"].as_array().map_or(0, Vec::len);
    let dealt = usize::try_from(number(mail, "next")).unwrap_or(0);
    demand("I5", !due || dealt == owed, || format!("still owed: {}", name(mail)))
}

/// The seats of a learner, by pool.
fn seats(learner: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let attributes = learner.as_object().into_iter().flatten();
    attributes.filter_map(|(name, seat)| Some((name.strip_prefix("seat_")?, seat)))
}

fn pool_of(item: &Value) -> &str {
    item["sublicense_id"].as_str().unwrap_or_else(|| text(item, "contract_id"))
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

fn number(item: &Value, name: &str) -> i64 {
    item[name].as_i64().unwrap_or_default()
}

fn at(item: &Value, name: &str) -> Option<Timestamp> {
    item[name].as_str()?.parse().ok()
}

fn count(found: impl Iterator) -> i64 {
    i64::try_from(found.count()).unwrap_or(i64::MAX)
}

/// Which item it is.
fn name(item: &Value) -> String {
    format!("{} {}", text(item, "pk"), text(item, "sk"))
}
