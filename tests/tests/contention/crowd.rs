//! A contract and a crowd of accounts that want its seats.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use jiff::civil::Date;
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::{Change, Presence, SeatLearner, Step};
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::ids::SublicenseId;
use seatkeeper_domain::learner::{Credential, Profile, Seat, SeatState, Source, SourceKind};
use seatkeeper_domain::password::PasswordHash;
use seatkeeper_domain::ports::{Clock as _, IdSource as _, Ledger as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_testkit::Cloud;
use seatkeeper_testkit::model::Model;
use seatkeeper_tests::World;
use seatkeeper_tests::actors::{HASHED, Outcome, Setting, Verdict, Who};
use seatkeeper_tests::invariants::Seen;

use crate::stage::{Stage, people};

tokio::task_local! {
    /// Transactions that the one under way has tried.
    static ATTEMPTS: Cell<u64>;
}

/// Accounts that one change makes.
const AT_ONCE: u32 = 90;

/// What somebody of the crowd does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Create,
    CreateLater,
    Invite,
    Accept,
    Cancel,
    Redeem,
    Release,
    TopUp,
    GiveBack,
    Allocate,
}

/// How a crowd ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) already: u64,
    pub(crate) failed: u64,
    /// Transactions tried by those who were done.
    pub(crate) attempts: u64,
    /// The most that one of them tried.
    pub(crate) most: u64,
}

impl Tally {
    pub(crate) fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Done => tally.done += 1,
                Verdict::Already => tally.already += 1,
                Verdict::Refused => tally.refused += 1,
                Verdict::Failed => tally.failed += 1,
            }
        }
        tally
    }

    /// Transactions for each who was done.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    pub(crate) fn mean(&self) -> f64 {
        self.attempts as f64 / self.done.max(1) as f64
    }
}

pub(crate) struct Crowd {
    stage: Stage,
    setting: Setting,
    seed: u64,
    turns: AtomicU64,
}

impl Crowd {
    /// A contract of so many seats, and so many accounts that have a password and, in a sublicense,
    /// a seat of their own.
    pub(crate) async fn with_seats(seats: u64, accounts: u32, seed: u64) -> Self {
        let own = u64::from(accounts) + 50;
        let stage = Stage::with_seats(seats + own).await;
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
        let crowd = Self { stage, setting, seed, turns: AtomicU64::new(0) };
        let opened = crowd.who().add_branch(&crowd.world().store, own).await;
        assert_eq!(opened.verdict, Verdict::Done, "{opened:?}");
        let numbers: Vec<u32> = (1..=accounts).collect();
        for some in numbers.chunks(AT_ONCE as usize) {
            crowd.make_accounts(some).await;
        }
        crowd.cloud().seed(|sent| {
            if sent.operation == "TransactWriteItems" {
                // Whoever is not counted is not under way here.
                let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
            }
        });
        crowd
    }

    fn world(&self) -> &World {
        &self.stage.world
    }

    pub(crate) fn cloud(&self) -> &Cloud {
        &self.world().cloud
    }

    fn who(&self) -> Who {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        Who::by(&self.setting, 1_000_000 * self.seed + turn, &self.world().clock)
    }

    /// Makes accounts as an import would: many in one change.
    async fn make_accounts(&self, numbers: &[u32]) {
        let (world, op) = (self.world(), self.who().op());
        let now = world.clock.now();
        let pool = self.setting.branch();
        let mut change = Change::new(&world.client, op, Actor::System, now);
        let count = i64::try_from(numbers.len()).expect("few");
        let delta = seatkeeper_domain::stock::Delta::used(count);
        change.move_seats(pool, delta, seatkeeper_domain::audit::Action::SeatGiven, &[], None);
        let hash = serde_json::from_value::<PasswordHash>(HASHED.into()).expect("a hash");
        for number in numbers {
            change.step(Step::SeatLearner(Box::new(SeatLearner {
                beside: None,
                learner_id: self.setting.learner(*number),
                email: Setting::email(*number),
                profile: Profile::default(),
                credential: Some(Credential { hash: hash.clone(), must_change: false }),
                presence: Presence::New,
                pool,
                seat: Seat {
                    state: SeatState::Active { used_at: now },
                    starts_on: None,
                    held_at: None,
                    ends_at: None,
                    reclaim: None,
                    carried_from: None,
                    source: Source { kind: SourceKind::Create, id: None },
                    op: op.id,
                },
            })));
        }
        world.store.apply(&change).await.expect("new accounts");
    }

    pub(crate) async fn issue(&self, wanted: Wanted) -> String {
        let who = self.who();
        let (outcome, codes) = who.issue_as(&self.world().store, who.op(), wanted).await;
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        codes[0].clone()
    }

    pub(crate) async fn does(&self, number: u32, deed: Deed, code: &str) -> Outcome {
        let (who, store) = (self.who(), &self.world().store);
        match deed {
            Deed::Create => who.create_by_number(store, number, None).await,
            Deed::CreateLater => {
                who.create_by_number(store, number, Some(Date::constant(2026, 11, 24))).await
            }
            Deed::Invite => who.invite(store, number).await,
            Deed::Accept => who.accept(store, number).await,
            Deed::Cancel => who.cancel(store, number).await,
            Deed::Redeem => who.redeem(store, number, code).await,
            Deed::Release => who.release(store, number).await,
            Deed::TopUp => who.order(store, &format!("A-{}", number % 7), 2).await,
            Deed::GiveBack => who.order(store, &format!("B-{}", number % 7), -1).await,
            Deed::Allocate => who.allocate_as(store, who.op(), 1).await,
        }
    }

    /// The same, and how many transactions it took.
    pub(crate) async fn counted(&self, number: u32, deed: Deed, code: &str) -> (Outcome, u64) {
        let work = async {
            let outcome = self.does(number, deed, code).await;
            (outcome, ATTEMPTS.with(Cell::get))
        };
        ATTEMPTS.scope(Cell::new(0), work).await
    }

    /// Imports so many new people.
    pub(crate) async fn import(&self, count: usize) -> Result<(), String> {
        let object = self.stage.put("a.csv", people(count, |_| ""));
        self.stage.run(&object).await.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) async fn stock(&self) -> Stock {
        self.world().stock().await
    }

    /// Every invariant holds.
    pub(crate) fn check(&self, seed: u64) {
        let checked = Seen::of(self.cloud()).check();
        assert!(checked.is_ok(), "CONTENTION_SEED={seed}: {checked:?}");
    }

    /// Every invariant holds after midnight too, when what starts later has started.
    pub(crate) async fn settle(&self, seed: u64) {
        let world = self.world();
        world.clock.advance(SignedDuration::from_hours(24));
        let (who, cohort) = (self.who(), self.setting.cohort("2026-11-23T23:00:00Z"));
        let opened = who.open(&world.store, &cohort).await;
        assert!(opened.verdict != Verdict::Failed, "CONTENTION_SEED={seed}: {opened:?}");
        self.check(seed);
    }
}
