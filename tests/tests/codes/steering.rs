//! Steering: what an administrator changes holds from the moment the call has answered.

use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::add_codes::{AddCodesError, More};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, IssuedCodes, Moment, Wanted};
use seatkeeper_domain::actions::redeem_code::RedeemCodeError;
use seatkeeper_domain::actions::release_batch::{ReleasedBatch, release_batch};
use seatkeeper_domain::actions::steer_batch::{SteerBatchError, Target};
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::{Change, Refused, Step};
use seatkeeper_domain::code::{Adding, BatchState, Code, LANES};
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore as _, Op};
use seatkeeper_domain::ids::BatchId;
use seatkeeper_domain::ports::{Clock as _, CodeBook as _, IdSource as _, Ledger as _};
use seatkeeper_testkit::{Fault, When};

use crate::world::World;

async fn issue(world: &World, wanted: Wanted) -> IssuedCodes {
    world.issue(&world.order(wanted)).await.expect("codes")
}

fn registration(max: Option<u32>, guaranteed: bool) -> Wanted {
    Wanted::Registration { own: None, max_redemptions: max, guaranteed }
}

/// Batches of every kind: codes of their own seats, of guaranteed seats, of the pool's.
fn kinds() -> [Wanted; 3] {
    [Wanted::Generated(20), registration(Some(20), true), registration(Some(20), false)]
}

async fn redeem(world: &World, issued: &IssuedCodes, name: &str) -> Result<bool, RedeemCodeError> {
    let code = issued.codes[0].to_string();
    let visit = world.visit(&code, &format!("{name}@example.org"));
    world.redeem(&visit).await.map(|done| !done.already)
}

async fn to(world: &World, batch: BatchId, state: Target) {
    world.steer(batch, |command| command.state = Some(state)).await.expect("steered");
}

#[tokio::test]
async fn a_paused_batch_lets_nobody_in_and_a_resumed_one_does() {
    for wanted in kinds() {
        let world = World::with_seats(40).await;
        let issued = issue(&world, wanted).await;
        let batch = issued.batch.batch_id;
        to(&world, batch, Target::Paused).await;
        to(&world, batch, Target::Paused).await;
        let refusal = redeem(&world, &issued, "lise").await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
        to(&world, batch, Target::Active).await;
        assert!(redeem(&world, &issued, "lise").await.expect("a seat"));
        assert_eq!(world.proven_stock().await.used, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_has_answered_stops_a_redemption_that_was_under_way() {
    for wanted in kinds() {
        let world = Arc::new(World::with_seats(40).await);
        let issued = issue(&world, wanted).await;
        let batch = issued.batch.batch_id;
        world.cloud.restart_trace();
        let other = Arc::clone(&world);
        // The redemption has read everything and sends its transaction.
        world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
            to(&other, batch, Target::Paused).await;
        });
        let refusal = redeem(&world, &issued, "lise").await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
        assert_eq!(world.proven_stock().await.used, 0);
        assert!(world.items("redemption").is_empty() && world.items("learner").is_empty());
    }
}

#[tokio::test]
async fn a_shard_that_was_left_behind_is_brought_up_by_who_meets_it() {
    let world = World::with_seats(40).await;
    let issued = issue(&world, Wanted::Generated(20)).await;
    // Whoever steered the batch died before its shards were fenced.
    let mut steered = world.store.batch(&world.client, issued.batch.batch_id).await;
    let mut batch = steered.as_mut().expect("readable").take().expect("the batch");
    let seen = batch.steering.version;
    batch.steering.version += 1;
    batch.steering.epoch += 1;
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    change.step(Step::SteerBatch { batch: Box::new(batch), seen, settled: 0 });
    world.store.apply(&change).await.expect("steered");
    assert!(redeem(&world, &issued, "lise").await.expect("a seat"));
    assert_eq!(world.proven_stock().await.used, 1);
}

#[tokio::test]
async fn a_revoked_batch_gives_back_what_nobody_used_and_keeps_what_was_redeemed() {
    for wanted in kinds() {
        let world = World::with_seats(40).await;
        let issued = issue(&world, wanted).await;
        let batch = issued.batch.batch_id;
        redeem(&world, &issued, "lise").await.expect("a seat");
        let before = world.stock().await;
        let now = world.steer(batch, |command| command.state = Some(Target::Revoked)).await;
        let now = now.expect("revoked");
        assert_eq!((now.batch.state, now.redeemed), (BatchState::Revoked, 1));
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.held, stock.available), (1, 0, 39), "{before:?}");
        assert!(world.items("block").is_empty());
        assert!(world.due().await.is_empty());
        // Who came by it keeps the seat; nobody else gets one, and it is for good.
        assert!(!redeem(&world, &issued, "lise").await.expect("the seat"));
        let refusal = redeem(&world, &issued, "otto").await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
        let again = world.steer(batch, |command| command.state = Some(Target::Active)).await;
        assert!(matches!(again, Err(SteerBatchError::Revoked)), "{again:?}");
        to(&world, batch, Target::Revoked).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_was_cut_off_is_ended_by_the_sweep() {
    for nth in 1..=3 {
        let world = World::with_seats(40).await;
        let issued = issue(&world, Wanted::Generated(20)).await;
        let batch = issued.batch.batch_id;
        world.cloud.restart_trace();
        for attempt in nth..nth + 40 {
            world.cloud.inject(When::call("TransactWriteItems", attempt), Fault::FailBefore);
        }
        let revoked = world.steer(batch, |command| command.state = Some(Target::Revoked)).await;
        assert_eq!(revoked.is_err(), nth <= 2, "two changes, cut off before the {nth}th");
        world.cloud.clear_faults();
        for batch in world.due().await {
            assert!(world.tend(batch).await);
            assert!(!world.tend(batch).await, "once");
        }
        let held = if nth == 1 { 20 } else { 0 };
        assert_eq!(world.proven_stock().await.held, held, "cut off before the {nth}th");
        assert!(world.due().await.is_empty());
    }
}

#[tokio::test]
async fn what_is_left_when_a_batch_is_over_goes_back_and_an_extension_takes_it_again() {
    let world = World::with_seats(20).await;
    let until = |at: &str| Some(Moment::At(World::at(at)));
    let order = IssueCodes {
        valid_until: until("2026-11-24T00:00:00Z"),
        ..world.order(Wanted::Generated(12))
    };
    let issued = world.issue(&order).await.expect("codes");
    let batch = issued.batch.batch_id;
    redeem(&world, &issued, "lise").await.expect("a seat");
    assert!(world.due().await.is_empty());
    world.clock.set(World::at("2026-11-24T00:00:00Z"));
    assert_eq!(world.due().await, [batch]);
    assert!(world.tend(batch).await);
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (1, 0, 19));
    let extend = async || {
        let later = Moment::At(World::at("2026-12-24T00:00:00Z"));
        world.steer(batch, |command| command.valid_until = Amend::Set(later)).await
    };
    // The rest of the pool went elsewhere meanwhile, all but five seats.
    let other = issue(&world, Wanted::Generated(14)).await;
    let refused = extend().await;
    assert!(matches!(refused, Err(SteerBatchError::NoSeatsLeft)), "{refused:?}");
    to(&world, other.batch.batch_id, Target::Revoked).await;
    let now = extend().await.expect("extended");
    assert_eq!((now.redeemed, now.stock.held), (1, 11));
    let code = issued.codes[5].to_string();
    world.redeem(&world.visit(&code, "otto@example.org")).await.expect("a seat");
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held), (2, 10));
    let page = world.store.batch(&world.client, batch).await.expect("readable").expect("it");
    let blocks = world.store.blocks(&world.client, world.pool()).await.expect("readable");
    assert_eq!(page.redeemed_with(&blocks), 2);
}

#[tokio::test]
async fn a_window_can_be_shortened_but_not_emptied() {
    for wanted in kinds() {
        let world = World::with_seats(40).await;
        let issued = issue(&world, wanted).await;
        let batch = issued.batch.batch_id;
        let until = async |at: &str| {
            let moment = Moment::At(World::at(at));
            world.steer(batch, |command| command.valid_until = Amend::Set(moment)).await
        };
        let refused = until("2026-11-23T08:59:59Z").await;
        assert!(matches!(refused, Err(SteerBatchError::EmptyWindow)), "{refused:?}");
        until("2026-11-23T09:30:00Z").await.expect("shortened");
        assert!(redeem(&world, &issued, "lise").await.expect("in time"));
        world.clock.advance(SignedDuration::from_mins(30));
        let refusal = redeem(&world, &issued, "otto").await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
        world.steer(batch, |command| command.valid_until = Amend::Clear).await.expect("opened");
        world.proven_stock().await;
    }
}

#[tokio::test]
async fn a_maximum_is_raised_and_lowered_with_its_guaranteed_seats() {
    for guaranteed in [true, false] {
        let world = World::with_seats(100).await;
        let issued = issue(&world, registration(Some(20), guaranteed)).await;
        let batch = issued.batch.batch_id;
        for n in 0..5 {
            redeem(&world, &issued, &format!("learner{n}")).await.expect("a seat");
        }
        let max = async |max: u32| {
            world.steer(batch, |command| command.max_redemptions = Amend::Set(max)).await
        };
        let now = max(60).await.expect("raised");
        assert_eq!(now.batch.max_redemptions, Some(60));
        let held = if guaranteed { 55 } else { 0 };
        assert_eq!(world.proven_stock().await.held, held);
        assert_eq!(world.items("block").len(), if guaranteed { 4 } else { 0 }, "more shards");
        max(7).await.expect("lowered");
        let held = if guaranteed { 2 } else { 0 };
        assert_eq!(world.proven_stock().await.held, held);
        let refused = max(4).await;
        assert!(matches!(refused, Err(SteerBatchError::BelowRedeemed)), "{refused:?}");
        for n in 5..7 {
            redeem(&world, &issued, &format!("learner{n}")).await.expect("a seat");
        }
        let refusal = redeem(&world, &issued, "one.too.many").await;
        assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
        assert_eq!(world.proven_stock().await.used, 7);
        if guaranteed {
            let refused = max(101).await;
            assert!(matches!(refused, Err(SteerBatchError::NoSeatsLeft)), "{refused:?}");
            let none = world.steer(batch, |c| c.max_redemptions = Amend::Clear).await;
            assert!(matches!(none, Err(SteerBatchError::MaximumNeeded)), "{none:?}");
        }
        assert_eq!(world.proven_stock().await.used, 7);
    }
    let world = World::with_seats(10).await;
    let batch = issue(&world, Wanted::Generated(5)).await.batch.batch_id;
    let refused = world.steer(batch, |c| c.max_redemptions = Amend::Set(9)).await;
    assert!(matches!(refused, Err(SteerBatchError::NoMaximum)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_raised_in_the_middle_of_a_rush_is_met_exactly() {
    for guaranteed in [true, false] {
        let world = Arc::new(World::with_seats(100).await);
        let issued = issue(&world, registration(Some(10), guaranteed)).await;
        let code = issued.codes[0].to_string();
        let rush = |from: u32| {
            let tasks: Vec<_> = (from..from + 32)
                .map(|n| {
                    let world = Arc::clone(&world);
                    let visit = world.visit(&code, &format!("learner{n}@example.org"));
                    tokio::spawn(async move { world.redeem(&visit).await.is_ok() })
                })
                .collect();
            tasks
        };
        let first = rush(0);
        let raised =
            world.steer(issued.batch.batch_id, |c| c.max_redemptions = Amend::Set(24)).await;
        raised.expect("raised");
        let mut seated = 0;
        for task in first.into_iter().chain(rush(32)) {
            seated += u64::from(task.await.expect("no panic"));
        }
        assert_eq!(seated, 24, "guaranteed: {guaranteed}");
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.held), (24, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_revoked_in_the_middle_of_a_rush_accounts_for_every_seat() {
    for wanted in [registration(Some(60), true), registration(Some(60), false)] {
        let world = Arc::new(World::with_seats(100).await);
        let issued = issue(&world, wanted).await;
        let code = issued.codes[0].to_string();
        let tasks: Vec<_> = (0..48)
            .map(|n| {
                let world = Arc::clone(&world);
                let visit = world.visit(&code, &format!("learner{n}@example.org"));
                tokio::spawn(async move { world.redeem(&visit).await.is_ok() })
            })
            .collect();
        to(&world, issued.batch.batch_id, Target::Revoked).await;
        let late = redeem(&world, &issued, "too.late").await;
        assert!(matches!(late, Err(RedeemCodeError::NotRedeemable)), "{late:?}");
        let mut seated = 0;
        for task in tasks {
            seated += u64::from(task.await.expect("no panic"));
        }
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.held, stock.available), (seated, 0, 100 - seated));
        let batch = world.store.batch(&world.client, issued.batch.batch_id).await;
        assert_eq!(u64::from(batch.expect("readable").expect("it").redeemed), seated);
    }
}

fn own(texts: impl IntoIterator<Item = String>) -> More {
    More::Own(texts.into_iter().map(|text| Code::parse(&text).expect("a code")).collect())
}

#[tokio::test]
async fn codes_are_added_to_a_batch_all_of_them_or_none() {
    let world = World::with_seats(300).await;
    let issued = issue(&world, Wanted::Generated(20)).await;
    let batch = issued.batch.batch_id;
    let added = world.add(world.op(), batch, More::Generated(150)).await.expect("more codes");
    assert_eq!((added.issued.codes.len(), added.issued.batch.count), (150, 170));
    assert_eq!(world.proven_stock().await.held, 170);
    let refused = world.add(world.op(), batch, More::Generated(131)).await;
    assert!(matches!(refused, Err(AddCodesError::NoSeatsLeft)), "{refused:?}");
    let own_ones = own((0..3).map(|n| format!("my very own code {n}")));
    world.add(world.op(), batch, own_ones.clone()).await.expect("own codes");
    let refused = world.add(world.op(), batch, own_ones).await;
    assert!(
        matches!(&refused, Err(AddCodesError::CodesExist(places)) if *places == [0, 1, 2]),
        "{refused:?}"
    );
    let mut seen: std::collections::BTreeSet<_> = issued.codes.iter().collect();
    seen.extend(&added.issued.codes);
    assert_eq!(seen.len(), 170, "none twice");
    for (n, code) in added.issued.codes.iter().enumerate().step_by(29) {
        let visit = world.visit(&code.to_string(), &format!("learner{n}@example.org"));
        world.redeem(&visit).await.expect("a seat");
    }
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held), (6, 167));
    let fixed = issue(&world, registration(Some(3), false)).await.batch.batch_id;
    let refused = world.add(world.op(), fixed, More::Generated(1)).await;
    assert!(matches!(refused, Err(AddCodesError::OneCodeOnly)), "{refused:?}");
    to(&world, batch, Target::Revoked).await;
    let refused = world.add(world.op(), batch, More::Generated(1)).await;
    assert!(matches!(refused, Err(AddCodesError::Ended)), "{refused:?}");
    assert_eq!(world.proven_stock().await.held, 0);
}

/// Begins a request under an idempotency key, or takes it up again.
pub(crate) async fn begin(world: &World) -> Op {
    let attempt =
        Attempt { record: [3; 32], body: [4; 32], op: world.ids.uuid(), now: world.clock.now() };
    match world.store.begin(&attempt).await.expect("the store answers") {
        Begin::Fresh { op } => op,
        other => panic!("{other:?}"),
    }
}

/// Makes every transaction from the `nth` on fail.
fn cut_off(world: &World, nth: u64) {
    world.cloud.restart_trace();
    for attempt in nth..nth + 200 {
        world.cloud.inject(When::call("TransactWriteItems", attempt), Fault::FailBefore);
    }
}

#[tokio::test(start_paused = true)]
async fn an_addition_that_was_cut_off_goes_on_with_the_same_codes() {
    for nth in 1..=4 {
        let world = World::with_seats(300).await;
        let batch = issue(&world, Wanted::Generated(20)).await.batch.batch_id;
        let op = begin(&world).await;
        cut_off(&world, nth);
        let failed = world.add(op, batch, More::Generated(150)).await;
        assert!(matches!(failed, Err(AddCodesError::Store(_))), "{failed:?}");
        world.cloud.clear_faults();
        // Nobody else adds meanwhile, and what is there cannot be redeemed.
        if nth > 1 {
            let busy = world.add(world.op(), batch, More::Generated(1)).await;
            assert!(matches!(busy, Err(AddCodesError::Busy)), "{busy:?}");
        }
        world.store.release(&op).await.expect("the store answers");
        world.clock.advance(SignedDuration::from_secs(1));
        let again = begin(&world).await;
        let added = world.add(again, batch, More::Generated(150)).await.expect("the rest");
        assert_eq!(added.issued.batch.count, 170, "cut off at {nth}");
        assert_eq!(world.proven_stock().await.held, 170);
        assert_eq!(world.items("code").len(), 170);
        world.store.release(&again).await.expect("the store answers");
        world.clock.advance(SignedDuration::from_secs(1));
        let third = world.add(begin(&world).await, batch, More::Generated(150)).await;
        assert_eq!(third.expect("the answer").issued.codes, added.issued.codes);
        let code = added.issued.codes[149].to_string();
        world.redeem(&world.visit(&code, "lise@example.org")).await.expect("a seat");
    }
}

#[tokio::test(start_paused = true)]
async fn an_addition_that_nobody_takes_up_again_is_given_back_and_its_late_codes_are_worth_nothing()
{
    let world = World::with_seats(300).await;
    let issued = issue(&world, Wanted::Generated(20)).await;
    let batch = issued.batch.batch_id;
    cut_off(&world, 3);
    let failed =
        world.add(world.op(), batch, own((0..150).map(|n| format!("lost code {n:05}")))).await;
    assert!(matches!(failed, Err(AddCodesError::Store(_))), "{failed:?}");
    world.cloud.clear_faults();
    assert_eq!(world.proven_stock().await.held, 170);
    let refusal = world.redeem(&world.visit("LOST CODE 00001", "lise@example.org")).await;
    assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
    assert!(world.due().await.is_empty(), "it may still be running");
    let late = world.store.code(&world.client, code_hash(&world, "LOST CODE 00001")).await;
    let record = late.expect("readable").expect("a code that was written");
    let lot = Adding::lot_of(record.index);
    world.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(world.due().await, [batch]);
    assert!(world.tend(batch).await);
    assert!(world.due().await.is_empty());
    assert_eq!(world.proven_stock().await.held, 20);
    assert_eq!(world.items("code").len(), 20);
    // What the dead attempt had on its way arrives, on every lane: it is refused.
    for lane in 0..LANES {
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        let hash = code_hash(&world, "LOST CODE 00001");
        change.step(Step::AddCode { hash, record: record.clone() });
        change.step(Step::LotIsOpen { batch_id: batch, lot, lane });
        let late = world.store.apply(&change).await;
        assert!(matches!(late, Err(Refused::Step(1))), "{late:?}");
    }
    assert_eq!(world.items("code").len(), 20);
    // The same codes can be added again, and only those are worth something.
    let again = own((0..2).map(|n| format!("lost code {n:05}")));
    world.add(world.op(), batch, again).await.expect("codes that nobody has");
    let refusal = world.redeem(&world.visit("LOST CODE 00002", "lise@example.org")).await;
    assert!(matches!(refusal, Err(RedeemCodeError::NotRedeemable)), "{refusal:?}");
    world.redeem(&world.visit("LOST CODE 00001", "lise@example.org")).await.expect("a seat");
    assert_eq!(world.proven_stock().await.held, 21);
}

/// Who takes a lot back is slow to remove its codes; meanwhile another one does it whole, and the
/// same codes are added anew: those stay.
#[tokio::test(start_paused = true)]
async fn a_slow_removal_leaves_codes_that_were_added_anew() {
    let world = Arc::new(World::with_seats(300).await);
    let batch = issue(&world, Wanted::Generated(20)).await.batch.batch_id;
    let codes = || own((0..150).map(|n| format!("lost code {n:05}")));
    cut_off(&world, 3);
    world.add(world.op(), batch, codes()).await.expect_err("cut off");
    world.cloud.clear_faults();
    world.clock.advance(SignedDuration::from_mins(6));
    world.cloud.restart_trace();
    // The first transaction of the sweep bars the lot, the second one removes codes.
    let other = Arc::clone(&world);
    world.cloud.let_first(When::call("TransactWriteItems", 2), move || async move {
        assert!(other.tend(batch).await);
        other.add(other.op(), batch, codes()).await.expect("codes that nobody has");
    });
    world.tend(batch).await;
    assert_eq!(world.items("code").len(), 170);
    assert_eq!(world.proven_stock().await.held, 170);
    world.redeem(&world.visit("LOST CODE 00149", "lise@example.org")).await.expect("a seat");
}

fn code_hash(world: &World, text: &str) -> seatkeeper_domain::code::CodeHash {
    Code::parse(text).expect("a code").hash(&world.keys, &world.client)
}

async fn release(world: &World, op: Op, batch: BatchId) -> ReleasedBatch {
    let batch = world.store.batch(&world.client, batch).await.expect("readable").expect("it");
    let seatkeeper_tests::World { store, clock, ids, client, contract, .. } = &**world;
    let actor = Actor::Caller("admin-1".to_owned());
    let until = clock.now() + SignedDuration::from_mins(1);
    let place = (client, contract);
    release_batch(store, clock, ids, actor, op, place, &batch, until).await.expect("released")
}

#[tokio::test(start_paused = true)]
async fn everyone_a_leaked_code_let_in_is_released_at_once_and_nobody_else() {
    let world = World::with_seats(300).await;
    let leaked = issue(&world, registration(None, false)).await;
    let other = issue(&world, Wanted::Generated(2)).await;
    for n in 0..100 {
        redeem(&world, &leaked, &format!("learner{n}")).await.expect("a seat");
    }
    redeem(&world, &other, "otto").await.expect("a seat");
    to(&world, leaked.batch.batch_id, Target::Revoked).await;
    let op = begin(&world).await;
    let done = release(&world, op, leaked.batch.batch_id).await;
    assert_eq!(done, ReleasedBatch { released: 100, complete: true });
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (1, 1, 298));
    // The answer was lost; the same call finds what it did, another one nothing to do.
    world.store.release(&op).await.expect("the store answers");
    world.clock.advance(SignedDuration::from_secs(1));
    let again = release(&world, begin(&world).await, leaked.batch.batch_id).await;
    assert_eq!(again.released, 100);
    let another = release(&world, world.op(), leaked.batch.batch_id).await;
    assert_eq!(another, ReleasedBatch { released: 0, complete: true });
    assert_eq!(world.proven_stock().await.used, 1);
}

#[tokio::test(start_paused = true)]
async fn everyone_is_released_while_the_seats_set_aside_are_handed_out_still() {
    let world = World::with_seats(300).await;
    let issued = issue(&world, registration(Some(260), true)).await;
    for n in 0..100 {
        redeem(&world, &issued, &format!("learner{n}")).await.expect("a seat");
    }
    let done = release(&world, world.op(), issued.batch.batch_id).await;
    assert_eq!(done, ReleasedBatch { released: 100, complete: true });
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (0, 160, 140));
    redeem(&world, &issued, "otto").await.expect("a seat");
    assert_eq!(world.proven_stock().await.used, 1);
    // What was handed out and came back counts towards the maximum.
    let blocks = world.store.blocks(&world.client, world.pool()).await.expect("readable");
    let batch = world.store.batch(&world.client, issued.batch.batch_id).await.expect("readable");
    assert_eq!(batch.expect("a batch").redeemed_with(&blocks), 101);
}

#[tokio::test]
async fn people_whose_seat_waits_for_its_day_are_released_too() {
    let world = World::with_contract(5, |contract| {
        contract.starts_on = Some("2027-01-04".parse().expect("a date"));
    })
    .await;
    let issued = issue(&world, Wanted::Generated(2)).await;
    redeem(&world, &issued, "lise").await.expect("a seat");
    assert_eq!(release(&world, world.op(), issued.batch.batch_id).await.released, 1);
    let stock = world.proven_stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (0, 1, 4));
}

#[tokio::test]
async fn who_came_before_the_day_of_the_codes_and_who_came_after_it_are_released_together() {
    for wanted in [Wanted::Generated(4), registration(Some(4), true), registration(None, false)] {
        let world = World::with_seats(9).await;
        let order = IssueCodes {
            start_on: Some("2026-12-07".parse().expect("a date")),
            ..world.order(wanted)
        };
        let issued = world.issue(&order).await.expect("codes");
        let visit = async |number: usize, name: &str| {
            let code = issued.codes.get(number).unwrap_or(&issued.codes[0]).to_string();
            let visit = world.visit(&code, &format!("{name}@example.org"));
            world.redeem(&visit).await.expect("a seat");
        };
        visit(0, "lise").await;
        visit(1, "otto").await;
        world.clock.set(World::at("2026-12-08T10:00:00Z"));
        visit(2, "emmy").await;
        let before = world.stock().await;
        let op = begin(&world).await;
        let done = release(&world, op, issued.batch.batch_id).await;
        assert_eq!(done, ReleasedBatch { released: 3, complete: true });
        let stock = world.proven_stock().await;
        assert_eq!((stock.used, stock.available), (0, before.available + 3));
        // The answer was lost: it is the same one.
        world.store.release(&op).await.expect("the store answers");
        world.clock.advance(SignedDuration::from_secs(1));
        let again = release(&world, begin(&world).await, issued.batch.batch_id).await;
        assert_eq!(again, done);
    }
}

#[tokio::test]
async fn a_redemption_of_guaranteed_seats_writes_five_items_in_one_transaction() {
    let world = World::with_seats(100).await;
    let issued = issue(&world, registration(Some(64), true)).await;
    world.cloud.stream_records();
    world.cloud.restart_trace();
    redeem(&world, &issued, "lise").await.expect("a seat");
    let attempts = world.cloud.attempts();
    let writes: Vec<_> = attempts
        .iter()
        .filter(|attempt| !matches!(attempt.operation.as_str(), "GetItem" | "Query"))
        .map(|attempt| attempt.operation.as_str())
        .collect();
    assert_eq!(writes, ["TransactWriteItems"]);
    let written = world.cloud.stream_records();
    let written = written["Records"].as_array().expect("records");
    let kinds: Vec<_> = written
        .iter()
        .map(|record| record["dynamodb"]["NewImage"]["kind"]["S"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(kinds, ["block", "audit", "learner", "mail", "redemption"]);
    // None of them is larger than what one write unit takes.
    for item in world.cloud.dump() {
        let written = ["block", "audit", "learner", "mail", "redemption"];
        if item["kind"].as_str().is_some_and(|kind| written.contains(&kind)) {
            assert!(item.to_string().len() <= 1_024, "{} bytes: {item}", item.to_string().len());
        }
    }
}
