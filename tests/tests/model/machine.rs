//! The model as the reference of a state machine, the real adapters over the embedded database as
//! what is tested: whatever is done, both end alike and hold the same.
//!
//! A failure is shrunk, and names the seed that runs it again: `MODEL_SEED=7`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::ports::{CodeBook as _, Ledger as _, People as _};
use seatkeeper_testkit::VirtualClock;
use seatkeeper_testkit::model::Ports;
use seatkeeper_tests::actors::{Everything, Outcome, Setting, Who, now};
use seatkeeper_tests::invariants::Seen;
use seatkeeper_tests::runs;
use serde_json::json;

use crate::conformance::{Both, runtime};

/// People there are, numbered from 0.
const PEOPLE: u32 = 4;

/// Something somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Create(u32),
    CreateLater(u32),
    CreateInBranch(u32),
    Invite(u32),
    Accept(u32),
    Cancel(u32),
    Decline(u32),
    Resend(u32),
    Redeem(u32, usize),
    Release(u32),
    Order(u32),
    CreateKeyed(u32),
    InviteKeyed(u32),
    RedeemKeyed(u32, usize),
    AllocateKeyed(u32),
    OpenCohort,
    /// Seconds go by.
    Wait(i64),
}

/// What the model has come to.
#[derive(Clone)]
struct Reference {
    setting: Setting,
    codes: Vec<String>,
    now: Timestamp,
    deeds: u64,
    last: Option<Outcome>,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model after {} deeds, at {}", self.deeds, self.now)
    }
}

async fn perform(who: &Who, ports: &impl Everything, deed: Deed, codes: &[String]) -> Outcome {
    match deed {
        Deed::Create(number) => who.create_by_number(ports, number, None).await,
        Deed::CreateLater(number) => {
            who.create_by_number(ports, number, Some(Date::constant(2026, 11, 24))).await
        }
        Deed::CreateInBranch(number) => who.create_in_branch(ports, number).await,
        Deed::Invite(number) => who.invite(ports, number).await,
        Deed::Accept(number) => who.accept(ports, number).await,
        Deed::Cancel(number) => who.cancel(ports, number).await,
        Deed::Decline(number) => who.decline(ports, number).await,
        Deed::Resend(number) => who.resend(ports, number).await,
        Deed::Redeem(number, code) => who.redeem(ports, number, &codes[code]).await,
        Deed::Release(number) => who.release(ports, number).await,
        Deed::Order(number) => {
            who.order(ports, &format!("A-{}", number % 2), i64::from(number) - 1).await
        }
        Deed::CreateKeyed(number) => who.create_keyed(ports, number).await,
        Deed::InviteKeyed(number) => who.invite_keyed(ports, number).await,
        Deed::RedeemKeyed(number, code) => who.redeem_keyed(ports, number, &codes[code]).await,
        Deed::AllocateKeyed(number) => who.allocate_keyed(ports, i64::from(number) - 1).await,
        Deed::OpenCohort => who.open(ports, &who.cohort("2026-11-23T23:00:00Z")).await,
        Deed::Wait(_) => who.nothing(),
    }
}

impl Reference {
    fn begin() -> Self {
        let registration = seatkeeper_domain::actions::issue_codes::Wanted::Registration {
            own: None,
            max_redemptions: Some(2),
            guaranteed: false,
        };
        let setting = Setting::with_seats(5);
        let (setting, mut codes) =
            setting.after(async |setting, ports| Who::new(setting, 1).issue(ports, 2).await);
        let (setting, more) = setting.after(async |setting, ports| {
            let who = Who::new(setting, 2);
            who.issue_as(ports, who.op(), registration).await.1
        });
        codes.extend(more);
        Self { now: setting.start, setting, codes, deeds: 0, last: None }
    }

    fn who(&self, clock: &VirtualClock) -> Who {
        Who::by(&self.setting, 100 + self.deeds, clock)
    }

    /// Deeds that would not be refused at once.
    fn sensible(&self) -> Vec<Deed> {
        let Setting { client, keys, .. } = &self.setting;
        let (ports, pool) = (Ports::over(self.setting.model.clone()), self.setting.pool());
        let mut deeds = vec![Deed::OpenCohort, Deed::Wait(14 * 3600)];
        for number in 0..PEOPLE {
            let id = keys.invitation_id(client, pool, &Setting::email(number));
            let invitation = now(ports.invitation(client, id)).expect("a model answers");
            let learner = now(ports.learner(client, self.setting.learner(number)));
            let learner = learner.expect("a model answers");
            if invitation.is_some_and(|known| known.status == InvitationStatus::Pending) {
                deeds.extend([
                    Deed::Accept(number),
                    Deed::Cancel(number),
                    Deed::Decline(number),
                    Deed::Resend(number),
                ]);
            } else if learner.is_some_and(|known| known.live_seat(pool).is_some()) {
                deeds.push(Deed::Release(number));
            } else {
                let code = number as usize % self.codes.len();
                deeds.extend([
                    Deed::Create(number),
                    Deed::CreateLater(number),
                    Deed::Invite(number),
                    Deed::Redeem(number, code),
                ]);
            }
        }
        deeds
    }
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let number = || 0..PEOPLE;
    prop_oneof![
        (number(), 0..8_u8).prop_map(|(number, what)| match what {
            0 => Deed::Create(number),
            1 => Deed::CreateLater(number),
            2 => Deed::CreateInBranch(number),
            3 => Deed::Invite(number),
            4 => Deed::Accept(number),
            5 => Deed::Cancel(number),
            6 => Deed::Decline(number),
            _ => Deed::Resend(number),
        }),
        (number(), 0..3_usize).prop_map(|(number, code)| Deed::Redeem(number, code)),
        (number(), 0..5_u8).prop_map(|(number, what)| match what {
            0 => Deed::Release(number),
            1 => Deed::Order(number),
            2 => Deed::CreateKeyed(number),
            3 => Deed::InviteKeyed(number),
            _ => Deed::AllocateKeyed(number),
        }),
        (number(), 0..3_usize).prop_map(|(number, code)| Deed::RedeemKeyed(number, code)),
        prop_oneof![Just(1), Just(61), Just(50_000), Just(90_000)].prop_map(Deed::Wait),
    ]
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Deed;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::begin()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Deed> {
        prop_oneof![2 => any_deed(), 3 => select(state.sensible())].boxed()
    }

    fn apply(mut state: Self, deed: &Deed) -> Self {
        let seconds = if let Deed::Wait(seconds) = deed { *seconds } else { 1 };
        state.now += SignedDuration::from_secs(seconds);
        state.deeds += 1;
        let ports = Ports::over(state.setting.model.clone());
        let who = state.who(&VirtualClock::new(state.now));
        state.last = Some(now(perform(&who, &ports, *deed, &state.codes)));
        state.setting.model = ports.model().clone();
        state
    }
}

/// How deeds ended.
static ENDS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// The real thing.
struct Real {
    both: Both,
    runtime: tokio::runtime::Runtime,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(state: &Reference) -> Self {
        let runtime = runtime();
        let both = runtime.block_on(Both::like(&state.setting));
        let (first, second) = (Who::by(&state.setting, 1, &both.world.clock), {
            Who::by(&state.setting, 2, &both.world.clock)
        });
        let codes = runtime.block_on(async {
            let mut codes = first.issue(&both.world.store, 2).await;
            let wanted = seatkeeper_domain::actions::issue_codes::Wanted::Registration {
                own: None,
                max_redemptions: Some(2),
                guaranteed: false,
            };
            codes.extend(second.issue_as(&both.world.store, second.op(), wanted).await.1);
            codes
        });
        assert_eq!(codes, state.codes);
        Self { both, runtime }
    }

    fn apply(real: Self, state: &Reference, deed: Deed) -> Self {
        let world = &real.both.world;
        world.clock.set(state.now);
        let who = state.who(&world.clock);
        let is = real.runtime.block_on(perform(&who, &world.store, deed, &state.codes));
        let expected = state.last.as_ref().expect("the model acted");
        assert_eq!((is.verdict, &is.told), (expected.verdict, &expected.told), "{deed:?}");
        let kind = format!("{deed:?}");
        let kind = kind.split('(').next().unwrap_or_default();
        let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(format!("{kind} {:?}", is.verdict)).or_default() += 1;
        drop(ends);
        real
    }

    fn check_invariants(real: &Self, state: &Reference) {
        let world = &real.both.world;
        let stock = real.runtime.block_on(world.stock());
        let expected = state.setting.model.stock(&world.client, world.pool());
        assert_eq!(Some(stock), expected);
    }

    fn teardown(real: Self, state: Reference) {
        let Self { mut both, runtime } = real;
        state.setting.model.check().expect("every invariant of the model");
        Seen::of(&both.world.cloud).check().expect("every invariant of the table");
        both.model = Ports::over(state.setting.model.clone());
        let key = state.setting.cohort("2026-11-23T23:00:00Z");
        runtime.block_on(async {
            let (store, model) = (&both.world.store, &both.model);
            assert_eq!(both.told(store).await, both.told(model).await);
            let cohort = store.cohort(&key).await.expect("readable");
            assert_eq!(cohort, model.cohort(&key).await.expect("readable"));
            let page = seatkeeper_domain::ports::PageRequest { limit: 50, cursor: None };
            let batches = store.batches(&both.world.client, &page).await.expect("readable");
            let expected = model.batches(&both.world.client, &page).await.expect("readable");
            assert_eq!(format!("{:?}", batches.items), format!("{:?}", expected.items));
        });
    }
}

#[test]
fn the_store_goes_where_the_model_goes() {
    let begun = Instant::now();
    let cases = if runs::long() { 400 } else { 12 };
    let seed = runs::seed("MODEL_SEED").unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let ran = runner.run(&Reference::sequential_strategy(1..40), |(state, deeds, seen)| {
        Real::test_sequential(config.clone(), state, deeds, seen);
        Ok(())
    });
    let ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let deeds: u32 = ends.values().sum();
    println!("{cases} sequences, {deeds} deeds: {ends:?}");
    let told = json!({"runs": cases, "deeds": deeds, "ends": ends});
    runs::write("state machine against the model", usize::from(ran.is_err()), begun, told);
    if let Err(failure) = ran {
        panic!("MODEL_SEED={seed}: {failure}");
    }
    let done = |kind: &str| ends.get(&format!("{kind} Done")).is_some_and(|count| *count > 0);
    let all = ["Create", "Invite", "Accept", "Redeem", "Release", "CreateLater"];
    assert!(all.into_iter().all(done), "a kind that never went through: {ends:?}");
}
