//! A stage on which people do things one after the other, at once, or not to the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use jiff::civil::Date;
use seatkeeper_aws::Store;
use seatkeeper_aws::mailer::SesMailer;
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::actions::send_mail::MailRoom;
use seatkeeper_domain::actions::start_clocks::come_in;
use seatkeeper_domain::actions::sweep::sweep;
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::SublicenseId;
use seatkeeper_domain::pace::{Allowance, Turns};
use seatkeeper_domain::ports::{Clock as _, Handover, IdSource as _, MailTag, Mailer, WrittenMail};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_mail::LetterWriter;
use seatkeeper_testkit::model::Model;
use seatkeeper_testkit::{Fault, Outgoing, SeededIds, StoredObject, VirtualClock, When};
use seatkeeper_tests::World;
use seatkeeper_tests::actors::{Outcome, Setting, Verdict, Who};
use seatkeeper_tests::invariants::{Broken, Seen, demand};
use serde_json::Value;

use crate::mailroom::{self, FROM, PAGES};
use crate::office::Task;
use crate::stage::{Stage, people};

/// What the table's transactions are called.
pub(crate) const TRANSACTION: &str = "TransactWriteItems";

/// Something a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Create(u32),
    /// In the sublicense.
    CreateInBranch(u32),
    /// For the next day.
    CreateLater(u32),
    Invite(u32),
    /// Two at once: this one and the next.
    InviteTwo(u32),
    Accept(u32),
    Cancel(u32),
    Decline(u32),
    Resend(u32),
    /// With the first code there is.
    Redeem(u32),
    /// The address that came with a code.
    Prove(u32),
    /// That it was somebody else who came with it.
    Disown(u32),
    Release(u32),
    Erase(u32),
    Rename(u32),
    Order(&'static str, i64),
    Allocate(i64),
    /// Opens the cohort of the next day.
    Open,
    /// A code of the administrator's own.
    IssueOwn,
    IssueThree,
    SetPassword(u32),
    Office(Task),
}

/// What a part of the product does otherwise than it should, where requests do not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Whoever does not know whether a mail went out takes it for not gone.
    Hopeful,
    /// A mail that was not acknowledged is handed over once more at once.
    Insistent,
    /// Links are made with another key than they are read with.
    OwnLinks,
    /// The clock of functions that open cohorts is an hour fast.
    FastClock,
    /// Two operations have the same id.
    SameIds,
    /// Every second function derives ids from another root secret.
    OtherRoot,
}

/// A defect, as it is seeded.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// In what is sent.
    Wire(fn(&mut Outgoing)),
    /// In what is sent, after what the table holds at that moment.
    Stale(fn(&mut Outgoing, &[Value])),
    Habit(Habit),
}

/// The stage.
pub(crate) struct Play {
    pub(crate) stage: Stage,
    pub(crate) setting: Setting,
    habit: Option<Habit>,
    codes: Mutex<Vec<String>>,
    turns: AtomicU64,
    answers: Mutex<BTreeMap<u8, String>>,
}

/// A story: what happens, and what must be so at its end.
pub(crate) type Story = fn(Arc<Play>) -> Pin<Box<dyn Future<Output = Result<(), Broken>>>>;

impl Play {
    /// A contract of so many seats, a sublicense of four more, and the defect.
    pub(crate) async fn begin(seats: u64, place: Option<Place>) -> Arc<Self> {
        let stage = Stage::with_seats(seats + 4).await;
        let world = &stage.world;
        let sublicense = Sublicense {
            sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
            contract_id: world.contract.contract_id,
            name: "Branch".to_owned(),
            created_at: world.clock.now(),
        };
        let setting = Setting {
            model: Model::new(),
            start: world.clock.now(),
            keys: world.keys.clone(),
            client: world.client.clone(),
            contract: world.contract.clone(),
            sublicense,
        };
        let mut habit = None;
        match place {
            Some(Place::Wire(defect)) => world.cloud.seed(defect),
            Some(Place::Stale(defect)) => {
                let cloud = world.cloud.clone();
                world.cloud.seed(move |sent| defect(sent, &cloud.dump()));
            }
            Some(Place::Habit(known)) => habit = Some(known),
            None => {}
        }
        let play = Self {
            setting,
            habit,
            codes: Mutex::default(),
            turns: AtomicU64::new(0),
            answers: Mutex::default(),
            stage,
        };
        let opened = play.who().add_branch(play.store(), 4).await;
        assert_eq!(opened.verdict, Verdict::Done, "{opened:?}");
        Arc::new(play)
    }

    pub(crate) fn world(&self) -> &World {
        &self.stage.world
    }

    fn store(&self) -> &Store {
        &self.world().store
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen::of(&self.world().cloud)
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn has(&self, habit: Habit) -> bool {
        self.habit == Some(habit)
    }

    /// Somebody new, with ids of their own.
    pub(crate) fn who(&self) -> Who {
        let turn = self.turn();
        let seed = if self.has(Habit::SameIds) && turn > 0 { 101 } else { 100 + turn };
        let mut setting = self.setting.clone();
        if self.has(Habit::OtherRoot) && turn.is_multiple_of(2) {
            setting.keys = Keys::derive("another root secret for tests, also long").expect("long");
        }
        Who::by(&setting, seed, &self.world().clock)
    }

    async fn does(&self, who: &Who, deed: Deed) -> Outcome {
        let store = self.store();
        let code = || self.codes().first().cloned().unwrap_or_default();
        match deed {
            Deed::Create(number) => who.create_by_number(store, number, None).await,
            Deed::CreateLater(number) => {
                who.create_by_number(store, number, Some(Date::constant(2026, 11, 24))).await
            }
            Deed::CreateInBranch(number) => {
                let mut command = self.setting.creation(number, None);
                command.sublicense_id = Some(self.setting.sublicense.sublicense_id);
                who.create(store, who.op(), &command).await
            }
            Deed::Invite(number) => who.invite(store, number).await,
            Deed::InviteTwo(number) => who.invite_two_as(store, who.op(), number).await,
            Deed::Accept(number) => who.accept(store, number).await,
            Deed::Cancel(number) => who.cancel(store, number).await,
            Deed::Decline(number) => who.decline(store, number).await,
            Deed::Resend(number) => who.resend(store, number).await,
            Deed::Redeem(number) => who.redeem(store, number, &code()).await,
            Deed::Prove(number) => who.prove(store, number).await,
            Deed::Disown(number) => who.disown(store, number).await,
            Deed::Release(number) => who.release(store, number).await,
            Deed::Erase(number) => who.erase(store, number).await,
            Deed::Rename(number) => who.rename(store, number).await,
            Deed::Order(order, add) => who.order(store, order, add).await,
            Deed::Allocate(add) => who.allocate_as(store, who.op(), add).await,
            Deed::Open => {
                let mut clock = self.world().clock.clone();
                if self.has(Habit::FastClock) {
                    clock = VirtualClock::new(clock.now() + SignedDuration::from_hours(1));
                }
                let who = Who::by(&self.setting, 100 + self.turn(), &clock);
                who.open(store, &self.setting.cohort("2026-11-23T23:00:00Z")).await
            }
            Deed::IssueOwn => self.issued(who, who.own_code()).await,
            Deed::IssueThree => self.issued(who, Wanted::Generated(3)).await,
            Deed::SetPassword(number) => who.set_password(store, number).await,
            Deed::Office(task) => self.at_the_office(who, task).await,
        }
    }

    async fn issued(&self, who: &Who, wanted: Wanted) -> Outcome {
        let (outcome, codes) = who.issue_as(self.store(), who.op(), wanted).await;
        self.codes().extend(codes);
        outcome
    }

    fn codes(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Codes for what follows.
    pub(crate) async fn with_codes(&self, wanted: Wanted) -> Result<(), Broken> {
        let who = self.who();
        let outcome = self.issued(&who, wanted).await;
        self.judge(Deed::IssueThree, &outcome)?;
        self.seen().check()
    }

    /// Codes whose addresses have to be proven.
    pub(crate) async fn with_asking_codes(&self, wanted: Wanted) -> Result<(), Broken> {
        let who = self.who();
        let (outcome, codes) = who.issue_asking(self.store(), who.op(), wanted, true).await;
        self.codes().extend(codes);
        self.judge(Deed::IssueThree, &outcome)?;
        self.seen().check()
    }

    /// What the outcome of a deed says of its effect (I11).
    fn judge(&self, deed: Deed, outcome: &Outcome) -> Result<(), Broken> {
        let seen = self.seen();
        if let Some(op) = outcome.op.filter(|_| !matches!(deed, Deed::SetPassword(_))) {
            let op = op.to_string();
            let told = seen.kind("audit").filter(|record| record["op"] == op.as_str()).count();
            let moves = !matches!(deed, Deed::Resend(_));
            let right = match outcome.verdict {
                Verdict::Done => told > 0 || !moves,
                Verdict::Already | Verdict::Refused => told == 0,
                Verdict::Failed => true,
            };
            demand("I11", right, || format!("{deed:?}: {outcome:?} left {told} records"))?;
        }
        if let (Deed::Create(number), Verdict::Done) = (deed, outcome.verdict) {
            let email = Setting::email(number);
            let mut known = seen.kind("learner").filter(|one| one["email"] == email.as_str());
            let there = known.next().is_some();
            demand("I11", there, || format!("{deed:?}: answered well, and nobody is there"))?;
        }
        Ok(())
    }

    /// Somebody does it; nothing may break, now or by their answer.
    pub(crate) async fn act(&self, deed: Deed) -> Result<Outcome, Broken> {
        let who = self.who();
        let outcome = self.does(&who, deed).await;
        self.seen().check()?;
        self.judge(deed, &outcome)?;
        Ok(outcome)
    }

    /// Somebody does it, and it must end so.
    pub(crate) async fn must(&self, deed: Deed, verdict: Verdict) -> Result<(), Broken> {
        let outcome = self.act(deed).await?;
        demand("I11", outcome.verdict == verdict, || {
            format!("{deed:?} came to {outcome:?}, not {verdict:?}")
        })
    }

    pub(crate) async fn all(&self, deeds: &[Deed]) -> Result<(), Broken> {
        for deed in deeds {
            self.must(*deed, Verdict::Done).await?;
        }
        Ok(())
    }

    /// Somebody does the first; between what they read and their `nth` transaction, somebody else
    /// does the others, whole.
    pub(crate) async fn race_at(
        self: &Arc<Self>,
        first: Deed,
        nth: u64,
        others: &'static [Deed],
    ) -> Result<(Outcome, Vec<Outcome>), Broken> {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        let (other, ends) = (Arc::clone(self), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&ends);
        cloud.let_first(When::call(TRANSACTION, nth), move || async move {
            for deed in others {
                let who = other.who();
                let outcome = other.does(&who, *deed).await;
                told.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
            }
        });
        let who = self.who();
        let outcome = self.does(&who, first).await;
        cloud.clear_faults();
        let ends = std::mem::take(&mut *ends.lock().unwrap_or_else(PoisonError::into_inner));
        assert_eq!(ends.len(), others.len(), "the others acted");
        self.seen().check()?;
        self.judge(first, &outcome)?;
        for (deed, end) in others.iter().zip(&ends) {
            // What the first did since may have undone a refusal's reason, but not an effect.
            if end.verdict != Verdict::Already {
                self.judge(*deed, end)?;
            }
        }
        Ok((outcome, ends))
    }

    /// The same at the first transaction, by one other.
    pub(crate) async fn race(
        self: &Arc<Self>,
        first: Deed,
        others: &'static [Deed],
    ) -> Result<(Outcome, Vec<Outcome>), Broken> {
        self.race_at(first, 1, others).await
    }

    /// Somebody does the first; midnight comes and the cohort opens before they write.
    pub(crate) async fn race_with_midnight(self: &Arc<Self>, first: Deed) -> Result<(), Broken> {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        let other = Arc::clone(self);
        cloud.let_first(When::call(TRANSACTION, 1), move || async move {
            other.midnight();
            let who = other.who();
            let opened = other.does(&who, Deed::Open).await;
            assert_eq!(opened.verdict, Verdict::Done, "{opened:?}");
        });
        let outcome = self.act(first).await?;
        cloud.clear_faults();
        demand("I11", outcome.verdict == Verdict::Done, || format!("{first:?}: {outcome:?}"))
    }

    /// Of two who do what only one of them can do, one has done it (I11).
    pub(crate) async fn one_of(
        self: &Arc<Self>,
        first: Deed,
        other: &'static [Deed],
    ) -> Result<(), Broken> {
        let (first, others) = self.race(first, other).await?;
        let both = first.verdict == Verdict::Done && others[0].verdict == Verdict::Done;
        demand("I11", !both, || format!("both were done: {first:?} and {others:?}"))
    }

    /// Late writes arrive just before the `nth` transaction of this work.
    async fn late_before<T>(&self, nth: u64, work: impl Future<Output = T>) -> T {
        let cloud = &self.world().cloud;
        let late = cloud.clone();
        cloud.restart_trace();
        cloud.let_first(When::call(TRANSACTION, nth), move || async move {
            assert!(!late.apply_late().is_empty(), "a write was late");
        });
        let ended = work.await;
        cloud.clear_faults();
        ended
    }

    /// Somebody does it; late writes arrive between what they read and what they write.
    pub(crate) async fn race_with_late(self: &Arc<Self>, first: Deed) -> Result<(), Broken> {
        self.late_before(1, self.act(first)).await?;
        Ok(())
    }

    /// A fault befalls the `nth` call of an operation while somebody does it. `None`: they are
    /// gone.
    pub(crate) async fn faulty(
        &self,
        deed: Deed,
        operation: &'static str,
        nth: u64,
        fault: Fault,
    ) -> Option<Outcome> {
        let who = self.who();
        self.cut(operation, nth, fault, self.does(&who, deed)).await
    }

    async fn cut<T>(
        &self,
        operation: &'static str,
        nth: u64,
        fault: Fault,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        cloud.inject(When::call(operation, nth), fault);
        let ended = cloud.until_killed(work).await;
        assert!(!cloud.fired().is_empty(), "the fault at {operation}/{nth} fired");
        cloud.clear_faults();
        ended
    }

    /// Somebody does it under an idempotency key, with a body.
    pub(crate) async fn keyed(&self, key: u8, body: u8, deed: Deed) -> Result<Outcome, Broken> {
        let outcome = self.keyed_once(key, body, deed).await;
        if matches!(outcome.verdict, Verdict::Done | Verdict::Already) {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let known = answers.entry(key).or_insert_with(|| outcome.told.clone());
            demand("I6", *known == outcome.told, || {
                format!("answered {:?} at first and {:?} now", known, outcome.told)
            })?;
        }
        self.seen().check()?;
        Ok(outcome)
    }

    async fn keyed_once(&self, key: u8, body: u8, deed: Deed) -> Outcome {
        let (who, store) = (self.who(), self.store());
        match deed {
            Deed::Allocate(add) => {
                let work = async |op| who.allocate_as(store, op, add).await;
                who.keyed(store, (key, body), work).await
            }
            Deed::InviteTwo(number) => {
                let work = async |op| who.invite_two_as(store, op, number).await;
                who.keyed(store, (key, body), work).await
            }
            Deed::Create(number) => {
                let command = self.setting.creation(number, None);
                // The answer tells the stock as it was then.
                let work = async |op| {
                    let outcome = who.create(store, op, &command).await;
                    let stock = self.world().stock().await;
                    Outcome { told: format!("{} {stock:?}", outcome.told), ..outcome }
                };
                who.keyed(store, (key, body), work).await
            }
            other => unreachable!("{other:?} is not done under a key here"),
        }
    }

    /// The same, and a fault befalls it.
    pub(crate) async fn keyed_faulty(
        &self,
        (key, body): (u8, u8),
        deed: Deed,
        operation: &'static str,
        nth: u64,
        fault: Fault,
    ) -> Option<Outcome> {
        self.cut(operation, nth, fault, self.keyed_once(key, body, deed)).await
    }

    /// A request under a key that the table is too busy for; that it lets its record go is late.
    pub(crate) async fn keyed_unlucky(&self, key: u8, deed: Deed) {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        cloud.inject(When::every(TRANSACTION), Fault::Throttle);
        cloud.inject(When::call("UpdateItem", 2), Fault::KillLate);
        let ended = cloud.until_killed(self.keyed_once(key, 2, deed)).await;
        assert!(ended.is_none(), "it ended when it let its record go: {ended:?}");
        cloud.clear_faults();
    }

    /// Somebody asks under a key while another attempt with the same key is about to write. The
    /// second must be told to wait, or to go (I6).
    pub(crate) async fn keyed_at_once(
        self: &Arc<Self>,
        key: u8,
        deed: Deed,
        late: bool,
    ) -> Result<(), Broken> {
        let cloud = &self.world().cloud;
        let (other, end) = (Arc::clone(self), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&end);
        cloud.restart_trace();
        cloud.let_first(When::call(TRANSACTION, 1), move || async move {
            if late {
                other.world().cloud.apply_late();
            }
            let outcome = Box::pin(other.keyed_once(key, 2, deed)).await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        });
        let first = self.keyed(key, 2, deed).await?;
        cloud.clear_faults();
        let end = end.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it acted");
        let waits = end.verdict == Verdict::Failed && first.verdict == Verdict::Done;
        demand("I6", waits, || format!("both at once: {first:?} and {end:?}"))
    }

    pub(crate) fn wait(&self, time: SignedDuration) {
        self.world().clock.advance(time);
    }

    pub(crate) fn midnight(&self) {
        self.world().clock.set("2026-11-23T23:00:00Z".parse().expect("an instant"));
    }

    /// Late writes arrive. After a newer attempt has ended they must change nothing (I14).
    pub(crate) fn arrive(&self) -> Result<(), Broken> {
        let cloud = &self.world().cloud;
        let before = cloud.dump();
        let arrived = cloud.apply_late();
        assert!(!arrived.is_empty(), "a write was late");
        let after = cloud.dump();
        let changed: Vec<_> = after.iter().filter(|item| !before.contains(item)).collect();
        demand("I14", changed.is_empty() && before.len() == after.len(), || {
            format!("a late write changed {changed:?}")
        })?;
        self.seen().check()
    }

    fn room(&self) -> MailRoom<Store, Judging, LetterWriter, VirtualClock, SeededIds> {
        let (world, number) = (self.world(), self.turn());
        let mut keys = world.keys.clone();
        if self.has(Habit::OwnLinks) {
            keys = Keys::derive("another root secret for tests, also long").expect("long");
        }
        MailRoom {
            keys: world.keys.clone(),
            turns: Turns::default(),
            store: world.store.clone(),
            mailer: Judging {
                mailer: SesMailer::new(&world.cloud.sdk_config(), FROM, "seatkeeper-mail"),
                habit: self.habit,
            },
            writer: LetterWriter::new(keys, PAGES),
            clock: world.clock.clone(),
            ids: SeededIds::new(9000 + number, &world.clock),
        }
    }

    async fn notify(&self, event: &Value) {
        let until = self.world().clock.now() + SignedDuration::from_mins(4);
        let handled = seatkeeper_notify::handle(&self.room(), event, until).await;
        assert!(handled.is_ok(), "an event of the stream");
    }

    /// The stream reaches both functions, until nothing new comes.
    pub(crate) async fn drain(&self) {
        let world = self.world();
        for _ in 0..10 {
            let event = world.cloud.stream_records();
            if event["Records"].as_array().is_none_or(Vec::is_empty) {
                return;
            }
            self.notify(&event).await;
            mailroom::activate(world, event).await.expect("a readable event");
        }
    }

    /// The stream reaches two senders at once.
    pub(crate) async fn drain_twice(self: &Arc<Self>) {
        let cloud = &self.world().cloud;
        let event = cloud.stream_records();
        cloud.restart_trace();
        let (other, copy) = (Arc::clone(self), event.clone());
        cloud.let_first(When::call("UpdateItem", 1), move || async move {
            other.notify(&copy).await;
        });
        self.notify(&event).await;
        assert!(!cloud.fired().is_empty(), "the other sent");
        cloud.clear_faults();
    }

    /// The stream reaches the sender, which a fault befalls.
    pub(crate) async fn drain_faulty(&self, operation: &'static str, nth: u64, fault: Fault) {
        let event = self.world().cloud.stream_records();
        self.cut(operation, nth, fault, self.notify(&event)).await;
    }

    /// Every read of an operation is answered from what the table held before the stream's events.
    pub(crate) async fn drain_from_copies(&self) {
        let cloud = &self.world().cloud;
        let event = cloud.stream_records();
        for operation in ["GetItem", "BatchGetItem"] {
            cloud.inject(When::every(operation), Fault::StaleRead);
        }
        self.notify(&event).await;
        cloud.clear_faults();
    }

    /// What the stream brought is lost.
    pub(crate) fn lose_stream(&self) {
        self.world().cloud.stream_records();
    }

    /// One sweep.
    pub(crate) async fn sweep(&self) -> Result<(), Broken> {
        let world = self.world();
        let until = world.clock.now() + SignedDuration::from_mins(4);
        let swept = sweep(&self.room(), &mailroom::scheduler(world), &world.keys, until).await;
        demand("I13", swept.troubles.is_empty(), || format!("{:?}", swept.troubles))?;
        demand("I8", swept.mismatches.is_empty(), || format!("{:?}", swept.mismatches))
    }

    /// What happens by itself once nothing goes wrong any more, and what must be so then.
    pub(crate) async fn settle(&self) -> Result<(), Broken> {
        let world = self.world();
        self.drain().await;
        for _ in 0..2 {
            world.clock.advance(SignedDuration::from_mins(20));
            self.sweep().await?;
            self.drain().await;
            world.clock.advance(SignedDuration::from_mins(1));
            for firing in world.cloud.fire_due() {
                if firing.target_arn.ends_with(":import") {
                    let id = firing.input["import"].as_str().unwrap_or_default();
                    let resumed = self.stage.resume(id.parse().expect("an id")).await;
                    demand("I13", resumed.is_ok(), || format!("{:?}", resumed.err()))?;
                } else {
                    let met = mailroom::activate(world, firing.input).await;
                    demand("I13", met.is_ok(), || format!("{:?}", met.err()))?;
                }
            }
            self.drain().await;
        }
        self.seen().check_at_rest()
    }

    /// So many mails went out to learners (I4).
    pub(crate) fn sent(&self, mails: usize) -> Result<(), Broken> {
        let sent = self.world().cloud.sent_mails().len();
        demand("I4", sent == mails, || format!("{sent} mails sent, not {mails}"))
    }

    /// The links of the mails sent lead where they say (I4).
    pub(crate) async fn links_lead_somewhere(&self) -> Result<(), Broken> {
        let world = self.world();
        for mail in world.cloud.sent_mails() {
            let token = mail.text.split_whitespace().find_map(|word| word.strip_prefix(PAGES));
            let token = token.and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            let opened = seatkeeper_domain::actions::invitations::open_invitation_link(
                &world.store,
                &world.keys,
                world.clock.now(),
                token,
            );
            let opened = opened.await.expect("readable");
            demand("I4", opened.is_some(), || "a mail whose link leads nowhere".to_owned())?;
        }
        Ok(())
    }

    /// The contract's pool shows so many seats there (I6: what a repeated request would change).
    pub(crate) fn counter(&self, counter: &'static str, seats: i64) -> Result<(), Broken> {
        let shown = self.seen().shown(&self.setting.pool().to_string()).unwrap_or_default();
        demand("I6", shown.get(counter) == Some(&seats), || {
            format!("{seats} {counter} asked for, there are {shown:?}")
        })
    }

    /// A learner comes in.
    pub(crate) async fn comes_in(&self, number: u32) {
        let world = self.world();
        let ids = SeededIds::new(900 + self.turn(), &world.clock);
        let (store, clock, learner) = (&world.store, &world.clock, self.setting.learner(number));
        let came = come_in(store, clock, &ids, &world.client, learner).await;
        assert!(came.is_ok(), "{came:?}");
    }

    /// Nothing in the table says this any more.
    pub(crate) fn forgotten(&self, text: &str) -> Result<(), Broken> {
        let seen = self.seen();
        let told = seen.items.iter().find(|item| item.to_string().contains(text));
        demand("I12", told.is_none(), || format!("not forgotten: {told:?}"))
    }

    /// Six people and a row without an address, in a file.
    pub(crate) fn file(&self) -> StoredObject {
        self.stage.put("a.csv", people(6, |_| "") + "nobody;;\n")
    }

    /// The same six people.
    pub(crate) fn file_of_the_same(&self) -> StoredObject {
        self.stage.put("b.csv", people(6, |_| ""))
    }

    pub(crate) async fn import(&self, object: &StoredObject) -> Result<(), Broken> {
        let ended = self.stage.run(object).await;
        demand("I13", ended.is_ok(), || format!("{:?}", ended.err()))?;
        self.seen().check()
    }

    /// Another worker takes an import up; late writes arrive just before its `nth` transaction.
    pub(crate) async fn resumed_late(&self, object: &StoredObject, nth: u64) -> Result<(), Broken> {
        let import = self.stage.import_id(object);
        let ended = self.late_before(nth, self.stage.resume(import)).await;
        demand("I13", ended.is_ok(), || format!("{:?}", ended.err()))?;
        self.seen().check()
    }

    /// An import in which a fault befalls the worker.
    pub(crate) async fn import_faulty(&self, object: &StoredObject, nth: u64, fault: Fault) {
        self.cut(TRANSACTION, nth, fault, self.stage.run(object)).await;
    }

    /// The event of a file comes twice, at almost the same time.
    pub(crate) async fn import_twice(
        self: &Arc<Self>,
        object: &StoredObject,
    ) -> Result<(), Broken> {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        let (other, copy) = (Arc::clone(self), object.clone());
        cloud.let_first(When::call(TRANSACTION, 1), move || async move {
            other.wait(SignedDuration::from_secs(1));
            let ended = other.stage.run(&copy).await;
            assert!(ended.is_ok(), "the second event");
        });
        let ended = self.stage.run(object).await;
        cloud.clear_faults();
        demand("I13", ended.is_ok(), || format!("{:?}", ended.err()))?;
        self.seen().check()
    }
}

/// A mailer whose answers are taken as a habit takes them.
#[derive(Debug, Clone)]
struct Judging {
    mailer: SesMailer,
    habit: Option<Habit>,
}

impl Mailer for Judging {
    async fn allowance(&self) -> Option<Allowance> {
        self.mailer.allowance().await
    }

    async fn send(&self, to: &EmailAddress, mail: &WrittenMail, tag: &MailTag) -> Handover {
        use seatkeeper_domain::ports::Refusal;
        match (self.mailer.send(to, mail, tag).await, self.habit) {
            (Handover::Unknown, Some(Habit::Hopeful)) => Handover::Refused(Refusal::Busy),
            (Handover::Unknown, Some(Habit::Insistent)) => self.mailer.send(to, mail, tag).await,
            (told, _) => told,
        }
    }
}
