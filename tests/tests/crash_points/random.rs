//! Schedules drawn by chance: a few people at once, about the same seats and addresses, with some
//! faults, every HTTP attempt of theirs in an order of its own.
//!
//! `CRASH_POINTS=random/4711` runs the schedule of this seed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use jiff::civil::date;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::actions::steer_batch::Target;
use seatkeeper_domain::idempotency::{Attempt as Record, Begin, IdempotencyStore as _, LEASE, Op};
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_testkit::When;
use seatkeeper_tests::invariants::Seen;
use seatkeeper_tests::runs::{self, with_room};
use seatkeeper_tests::tally::Tally;

use crate::point::{Mode, alone, caught, settle};
use crate::scene::{Failure, Scene};
use crate::{Breaks, Choice, conclude, mailroom};

/// Schedules of a long run, all parts together.
const LONG: u64 = 50_000;
/// Schedules of a quick run.
const QUICK: u64 = 160;
/// Tests that share them.
const PARTS: u64 = 8;
/// The last attempt at which a fault is put.
const LAST: u64 = 60;
/// How long a function may run before it is ended.
const DEADLINE: Duration = Duration::from_secs(29);

/// What somebody is about to do.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Create(usize),
    CreateLater(usize),
    Invite(usize),
    Resend,
    Cancel,
    Accept,
    Decline,
    ChangeAddress,
    Remind,
    RequestPassword,
    Redeem,
    Pause,
    Revoke,
    Issue,
    Release,
    TopUp,
    Allocate,
    GiveBack,
    Import,
    Sweep,
    Stream,
}

impl Deed {
    fn drawn(chance: &mut Xoshiro256PlusPlus) -> Self {
        let who = chance.random_range(1..=5);
        let all = [
            Self::Create(who),
            Self::CreateLater(who),
            Self::Invite(who),
            Self::Resend,
            Self::Cancel,
            Self::Accept,
            Self::Decline,
            Self::ChangeAddress,
            Self::Remind,
            Self::RequestPassword,
            Self::Redeem,
            Self::Pause,
            Self::Revoke,
            Self::Issue,
            Self::Release,
            Self::TopUp,
            Self::Allocate,
            Self::GiveBack,
            Self::Import,
            Self::Sweep,
            Self::Stream,
        ];
        *all.choose(chance).expect("deeds")
    }

    /// Whether it comes as a request with an idempotency key.
    fn has_key(self) -> bool {
        !matches!(self, Self::Import | Self::Sweep | Self::Stream)
    }

    async fn done(self, scene: &Scene, op: Op) -> Result<String, Failure> {
        match self {
            Self::Create(who) => scene.create(op, who, None).await,
            Self::CreateLater(who) => scene.create(op, who, Some(date(2027, 3, 1))).await,
            Self::Invite(who) => scene.invite(op, who..who + 2).await,
            Self::Resend => scene.resend(op).await,
            Self::Cancel => scene.cancel(op).await,
            Self::Accept => scene.accept(op).await,
            Self::Decline => scene.decline(op).await,
            Self::ChangeAddress => scene.change_address(op).await,
            Self::Remind => scene.remind(op).await,
            Self::RequestPassword => scene.request_password(op).await,
            Self::Redeem => scene.redeem(op).await,
            Self::Pause => scene.steer(op, |change| change.state = Some(Target::Paused)).await,
            Self::Revoke => scene.steer(op, |change| change.state = Some(Target::Revoked)).await,
            Self::Issue => {
                let codes = scene.issue(op, Wanted::Generated(2)).await?;
                Ok(format!("{} codes", codes.len()))
            }
            Self::Release => scene.release(op).await,
            Self::TopUp => scene.top_up(op).await,
            Self::Allocate => scene.allocate(op, 2).await,
            Self::GiveBack => scene.allocate(op, -1).await,
            Self::Import => scene.import().await,
            Self::Sweep => {
                mailroom::run_sweep(scene.world(), 500 + scene.turn()).await;
                Ok("swept".to_owned())
            }
            Self::Stream => {
                let event = scene.world().cloud.stirred_records(scene.turn());
                mailroom::notify(scene.world(), 500 + scene.turn(), &event).await;
                let met = mailroom::activate(scene.world(), event).await;
                met.map(|_| "met".to_owned()).map_err(|error| Failure::Again(error.to_string()))
            }
        }
    }
}

/// What one seed stands for.
struct Schedule {
    seed: u64,
    deeds: Vec<Deed>,
    faults: Vec<(Mode, u64)>,
    /// Whether writes that are late arrive only when all has settled.
    latest: bool,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
        let chance = &mut chance;
        let actors = chance.random_range(3..=4);
        let deeds = (0..actors).map(|_| Deed::drawn(chance)).collect();
        let modes: Vec<Mode> =
            Mode::ALL.iter().copied().filter(|mode| mode.fault().is_some()).collect();
        let faults = (0..chance.random_range(0..=3))
            .map(|_| (*modes.choose(chance).expect("modes"), chance.random_range(1..=LAST)));
        Self { seed, deeds, faults: faults.collect(), latest: seed.is_multiple_of(2) }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {:?}", self.deeds, self.faults)
    }
}

/// Does a deed until it is answered; one that comes with a key comes under the same each time.
async fn insist(scene: &Scene, actor: u8, deed: Deed) {
    for _ in 0..3 {
        let work: Pin<Box<dyn Future<Output = Option<String>>>> = if deed.has_key() {
            Box::pin(request(scene, actor, deed))
        } else {
            Box::pin(async { deed.done(scene, scene.world().op()).await.ok() })
        };
        let work = scene.world().cloud.until_killed(work);
        if let Ok(Some(Some(_))) = tokio::time::timeout(DEADLINE, work).await {
            return;
        }
        let pause = LEASE + SignedDuration::from_secs(1);
        tokio::time::sleep(pause.unsigned_abs()).await;
        scene.world().clock.advance(pause);
    }
}

/// A request under this actor's key; what it is told, or `None` if it may come again.
async fn request(scene: &Scene, actor: u8, deed: Deed) -> Option<String> {
    let world = scene.world();
    let (store, now) = (&world.store, world.clock.now());
    let record = Record { record: [actor; 32], body: [actor; 32], op: world.ids.uuid(), now };
    let op = match store.begin(&record).await {
        Ok(Begin::Fresh { op }) => op,
        Ok(Begin::Replay { sealed, .. }) => return String::from_utf8(sealed).ok(),
        Ok(Begin::Mismatch) => panic!("I6: the same body is taken for another"),
        Ok(Begin::InProgress) | Err(_) => return None,
    };
    match deed.done(scene, op).await {
        Ok(answer) => {
            let _ = store.complete(&op, 200, answer.as_bytes()).await;
            Some(answer)
        }
        Err(Failure::Refused(why)) => {
            let _ = store.abandon(&op).await;
            Some(why)
        }
        Err(Failure::Again(_)) => {
            let _ = store.release(&op).await;
            None
        }
    }
}

/// Runs a schedule. `Err` is what broke.
fn run(scene: &Scene, schedule: &Schedule, tally: &mut Tally) -> Result<(), String> {
    let fired = caught(|| alone(play(scene, schedule)))?;
    for attempt in &fired {
        let (mode, _) =
            schedule.faults.iter().find(|(_, k)| *k == attempt.number).expect("a fault");
        tally.fault(&mode.to_string(), attempt);
    }
    Ok(())
}

async fn play(scene: &Scene, schedule: &Schedule) -> Vec<seatkeeper_testkit::Attempt> {
    scene.rewind();
    let world = scene.world();
    let cloud = &world.cloud;
    world.ids.reseed(schedule.seed);
    if runs::long() {
        cloud.locate_faults();
    }
    cloud.interleave(schedule.seed);
    for (mode, k) in &schedule.faults {
        let fault = mode.fault().expect("a fault of an attempt");
        cloud.inject(When::attempt(*k), fault);
    }
    let actors = schedule.deeds.iter().zip(1..).map(|(deed, actor)| insist(scene, actor, *deed));
    join_all(actors).await;
    let fired = cloud.fired();
    cloud.clear_faults();
    if !schedule.latest {
        cloud.apply_late();
    }
    settle(scene).await;
    if schedule.latest {
        cloud.apply_late();
        settle(scene).await;
    }
    if let Err(broken) = Seen::of(cloud).check_at_rest() {
        panic!("{broken}");
    }
    fired
}

/// The schedules of a part, on a pool of a size of its own.
fn schedules(part: u64) {
    let choice = Choice::made();
    let only = match &choice {
        Choice::Named(name) => match name.strip_prefix("random/").map(str::parse::<u64>) {
            Some(Ok(seed)) if seed % PARTS == part => Some(seed),
            _ => return,
        },
        _ => None,
    };
    let mut tally = Tally::of("random schedules");
    let mut breaks = Breaks::default();
    // Nine are taken before anybody begins, or can be.
    let scene = alone(Scene::crowded(9 + part / 2));
    let count = if choice == Choice::All { LONG } else { QUICK };
    let seeds = (0..count).filter(|seed| seed % PARTS == part);
    for seed in only.map_or_else(|| seeds.collect(), |seed| vec![seed]) {
        let schedule = Schedule::of(seed);
        tally.runs += 1;
        if let Err(why) = run(&scene, &schedule, &mut tally) {
            breaks.add(&format!("random/{seed}"), &format!("{why}\n    {schedule}"));
        }
    }
    conclude(tally, &part.to_string(), &breaks);
}

macro_rules! parts {
    ($($name:ident: $part:literal),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                with_room(|| schedules($part));
            }
        )+
    };
}

parts! {
    people_at_odds_leave_everything_right_0: 0,
    people_at_odds_leave_everything_right_1: 1,
    people_at_odds_leave_everything_right_2: 2,
    people_at_odds_leave_everything_right_3: 3,
    people_at_odds_leave_everything_right_4: 4,
    people_at_odds_leave_everything_right_5: 5,
    people_at_odds_leave_everything_right_6: 6,
    people_at_odds_leave_everything_right_7: 7,
}
