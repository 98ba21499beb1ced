//! The counters are proved by the records: what is wrong is told, what moves raises no alarm, and
//! what was forgotten is given back.

mod ended;
mod leaving;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod renewing;
mod scene;
mod unused;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use mailroom::{create, items, run_sweep};
use scene::{
    DAY, add, everybody, find, invited, issue, issue_asking, prove, prove_address, redeem, release,
    remove_item, settle, sublicense_pool, with_everybody,
};
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::actions::prove_records::prove_records;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{BlockKey, Change, Step};
use seatkeeper_domain::ids::{BatchId, ImportId};
use seatkeeper_domain::ports::{
    Clock as _, CodeBook as _, IdSource as _, Ledger as _, Rounds as _,
};
use seatkeeper_domain::stock::Delta;
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::World;

#[tokio::test]
async fn records_of_every_kind_agree_and_are_then_left_alone_until_the_next_day() {
    let world = with_everybody().await;
    settle(&world).await;
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.pools_proven, proven.pools_busy), (1, 2, 0));
    assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
    assert_eq!(proven.readings, 128, "two lists of sixty-four buckets");
    let midnight: Timestamp = "2026-11-23T23:00:00Z".parse().expect("an instant");
    world.clock.set(midnight - SignedDuration::from_secs(1));
    assert_eq!(prove(&world).await.rounds, 0);
    world.clock.set(midnight);
    assert_eq!(prove(&world).await.pools_proven, 2);
}

#[tokio::test]
async fn what_happened_within_the_hour_does_not_matter() {
    let world = with_everybody().await;
    let codes = issue(&world, 4).await;
    redeem(&world, &codes[0], 90).await;
    settle(&world).await;
    // All of this comes after the cut and is rewound, what was there before and ends as well.
    everybody(&world, 100).await;
    redeem(&world, &codes[1], 91).await;
    release(&world, 0).await;
    release(&world, 1).await;
    release(&world, 90).await;
    scene::cancel(&world, 5).await;
    let proven = prove(&world).await;
    assert_eq!((proven.pools_proven, proven.pools_busy), (2, 0));
    assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
}

#[tokio::test]
async fn seats_of_another_day_or_person_agree_before_and_after_the_cut() {
    let world = with_everybody().await;
    settle(&world).await;
    // One waits for another day, one is opened and released, one goes to somebody new, one to
    // somebody known; all of it after the cut, then before it.
    scene::reschedule(&world, 1, DAY.tomorrow().expect("a day")).await;
    scene::reschedule(&world, 2, Date::constant(2026, 1, 1)).await;
    scene::transfer(&world, 0, 50).await;
    scene::transfer(&world, 2, 3).await;
    release(&world, 3).await;
    for hours in [0, 3, 24, 24 * 30] {
        world.clock.advance(SignedDuration::from_hours(hours));
        run_sweep(&world, u64::try_from(hours).expect("few")).await;
        for _ in 0..3 {
            let proven = prove(&world).await;
            assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0), "{hours}");
            world.clock.advance(SignedDuration::from_hours(2));
        }
    }
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn addresses_that_wait_for_their_proof_agree_before_and_after_the_cut() {
    for guaranteed in [true, false] {
        let registration = Wanted::Registration { own: None, max_redemptions: Some(9), guaranteed };
        for wanted in [Wanted::Generated(9), registration] {
            let world = with_everybody().await;
            let codes = issue_asking(&world, wanted).await;
            let code = |place: usize| codes.get(place).unwrap_or(&codes[0]);
            redeem(&world, code(0), 50).await;
            redeem(&world, code(1), 51).await;
            // The cut comes while two wait; then one is proven, one is given up, one begins.
            world.store.begin_round(&world.client, world.clock.now()).await.expect("a round");
            world.clock.advance(SignedDuration::from_mins(10));
            prove_address(&world, 50).await;
            world.clock.advance(SignedDuration::from_mins(25));
            assert_eq!(run_sweep(&world, 1).await.invitations_expired, 1);
            world.clock.advance(SignedDuration::from_mins(24));
            redeem(&world, code(2), 52).await;
            for minutes in [2, 60, 60 * 24] {
                world.clock.advance(SignedDuration::from_mins(minutes));
                let proven = prove(&world).await;
                let found = (proven.pools_suspected, proven.mismatches.len());
                assert_eq!(found, (0, 0), "after {minutes} minutes: {:?}", proven.mismatches);
            }
            world.assert_seats_are_conserved().await;
        }
    }
}

#[tokio::test]
async fn whoever_was_erased_counts_as_before_also_when_somebody_comes_after_them() {
    let world = with_everybody().await;
    settle(&world).await;
    // Seats in use, waiting, given back and out of a code.
    for number in [0, 1, 3, 7] {
        scene::erase(&world, number).await;
    }
    world.clock.advance(SignedDuration::from_mins(1));
    create(&world, 0, None).await;
    create(&world, 1, None).await;
    scene::invited(&world, 7).await;
    let proven = prove(&world).await;
    assert_eq!((proven.pools_proven, proven.pools_busy, proven.pools_suspected), (2, 0, 0));
    for hours in [3, 24, 24 * 30] {
        world.clock.advance(SignedDuration::from_hours(hours));
        run_sweep(&world, u64::try_from(hours).expect("few")).await;
        let proven = prove(&world).await;
        assert_eq!(proven.pools_busy, 0, "{hours}");
        assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0), "{hours}");
    }
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn cohorts_that_opened_before_and_after_the_cut_agree() {
    let world = with_everybody().await;
    world.clock.advance(SignedDuration::from_hours(24 * 8));
    assert_eq!(run_sweep(&world, 1).await.cohorts_opened, 1);
    release(&world, 1).await;
    world.clock.advance(SignedDuration::from_mins(30));
    world.store.begin_round(&world.client, world.clock.now()).await.expect("a round");
    for minutes in [40, 90] {
        world.clock.advance(SignedDuration::from_mins(minutes));
        let proven = prove(&world).await;
        assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
        world.clock.advance(SignedDuration::from_hours(24));
    }
}

#[tokio::test]
async fn a_seat_that_changed_hands_twice_within_the_hour_makes_its_pool_uncertain_not_wrong() {
    let world = with_everybody().await;
    settle(&world).await;
    release(&world, 0).await;
    world.clock.advance(SignedDuration::from_mins(1));
    create(&world, 0, None).await;
    let proven = prove(&world).await;
    assert_eq!((proven.pools_proven, proven.pools_busy, proven.pools_suspected), (1, 1, 0));
    world.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(prove(&world).await.pools_proven, 2);
}

/// Changes something, and has two rounds find it: the first suspects, the second tells.
async fn found_after<F: Future<Output = ()>>(
    name: &str,
    what: &str,
    change: impl FnOnce(Arc<World>) -> F,
) {
    let world = Arc::new(with_everybody().await);
    settle(&world).await;
    change(Arc::clone(&world)).await;
    let first = prove(&world).await;
    assert_eq!((first.pools_suspected, first.mismatches.len()), (1, 0), "{name}");
    world.clock.advance(SignedDuration::from_mins(5));
    let second = prove(&world).await;
    assert_eq!((second.pools_suspected, second.mismatches.len()), (0, 1), "{name}");
    let wrong = &second.mismatches[0];
    let text = wrong.to_string();
    assert!(wrong.differs.iter().any(|one| one.what.starts_with(what)), "{name}: {text}");
    // It is told again as long as it is so.
    world.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(prove(&world).await.mismatches.len(), 1, "{name}");
}

#[tokio::test]
async fn a_learner_who_is_gone_is_found() {
    found_after("learner", "used", |world| async move {
        let item = find(&world, "learner", |item| item.to_string().contains(r#""is":"active""#));
        remove_item(&world, &item).await;
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_seat_that_is_gone_is_found() {
    found_after("scheduled", "cohort", |world| async move {
        let item = find(&world, "learner", |item| item.to_string().contains(r#""is":"scheduled""#));
        remove_item(&world, &item).await;
    })
    .await;
}

#[tokio::test]
async fn a_seat_that_nobody_gave_is_found() {
    found_after("another seat", "used", |world| async move {
        let pool = world.pool();
        let item = find(&world, "learner", |item| item.to_string().contains(r#""is":"released""#));
        let update = format!("SET seat_{pool}.#state.#is = :v");
        let key = [("pk", &item["pk"]), ("sk", &item["sk"])];
        let mut call = world.cloud.dynamodb().update_item();
        for (name, value) in key {
            let value = value.as_str().expect("a key").to_owned();
            call = call.key(name, AttributeValue::S(value));
        }
        let active = AttributeValue::S("active".to_owned());
        call.table_name(seatkeeper_testkit::Cloud::TABLE)
            .update_expression(update)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#is", "is")
            .expression_attribute_values(":v", active)
            .send()
            .await
            .expect("a changed seat");
    })
    .await;
}

#[tokio::test]
async fn an_invitation_that_is_gone_is_found() {
    found_after("invitation", "held", |world| async move {
        let item = find(&world, "invitation", |item| item["status"] == "pending");
        remove_item(&world, &item).await;
    })
    .await;
}

#[tokio::test]
async fn a_block_that_lost_seats_is_found() {
    found_after("block", "held", |world| async move {
        let item = find(&world, "block", |_| true);
        add(&world, &item, &["rem"], -1).await;
    })
    .await;
}

#[tokio::test]
async fn a_cohort_that_counts_wrong_is_found() {
    found_after("cohort", "cohort", |world| async move {
        let item = find(&world, "cohort", |item| item["state"] == "waiting");
        add(&world, &item, &["count"], 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_cohort_that_is_gone_is_found() {
    found_after("cohort", "cohort", |world| async move {
        remove_item(&world, &find(&world, "cohort", |_| true)).await;
    })
    .await;
}

#[tokio::test]
async fn a_sublicense_that_has_other_seats_than_its_contract_gave_is_found() {
    found_after("allocated", "allocated", |world| async move {
        // Counters and trail alike, so that nothing else could find it.
        let pool = sublicense_pool(&world).to_string();
        let item = find(&world, "pool", |item| {
            item["pk"].as_str().is_some_and(|key| key.ends_with(&pool))
        });
        add(&world, &item, &["total", "available"], 1).await;
        let record = find(&world, "audit", |item| item["pool"] == pool.as_str());
        add(&world, &record, &["delta.total", "delta.available"], 1).await;
    })
    .await;
}

#[tokio::test]
async fn every_counter_that_is_wrong_is_found_by_the_next_sweep() {
    for counter in ["total", "allocated", "held", "used", "spent", "available"] {
        for by in [-1, 1] {
            let world = with_everybody().await;
            let item = find(&world, "pool", |item| item["allocated"] == 10);
            let name = if by < 0 && counter == "spent" { "total" } else { counter };
            add(&world, &item, &[name], by).await;
            let swept = run_sweep(&world, 1).await;
            assert_eq!(swept.mismatches.len(), 1, "{name} {by}");
            assert_eq!(swept.mismatches[0].pool, world.pool());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_pool_that_never_rests_raises_no_alarm() {
    let world = Arc::new(with_everybody().await);
    settle(&world).await;
    let over = Arc::new(AtomicBool::new(false));
    let provers: Vec<_> = (0..2)
        .map(|number| {
            let (world, over) = (Arc::clone(&world), Arc::clone(&over));
            tokio::spawn(async move {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) {
                    let swept = run_sweep(&world, 10 + number).await;
                    assert_eq!(swept.mismatches, []);
                    let proven = prove(&world).await;
                    assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
                    rounds += proven.rounds;
                    tokio::task::yield_now().await;
                }
                rounds
            })
        })
        .collect();
    for turn in 0..12 {
        let from = 1_000 + 20 * turn;
        let codes = everybody(&world, from).await;
        world.clock.advance(SignedDuration::from_mins(25));
        redeem(&world, &codes[1], from + 8).await;
        for number in [0, 1, 7, 8] {
            release(&world, from + number).await;
        }
        scene::cancel(&world, from + 5).await;
        create(&world, from + 3, None).await;
        release(&world, from + 3).await;
        invited(&world, from + 6).await;
        scene::cancel(&world, from + 6).await;
        release(&world, from + 2).await;
        world.clock.advance(SignedDuration::from_hours(if turn % 3 == 2 { 25 } else { 1 }));
        run_sweep(&world, 50).await;
        if turn % 4 == 3 {
            world.clock.advance(SignedDuration::from_hours(2));
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    for prover in provers {
        rounds += prover.await.expect("no alarm");
    }
    assert!(rounds > 0, "no round came to its end");
    world.clock.advance(SignedDuration::from_hours(30));
    assert_eq!(prove(&world).await.pools_proven, 2);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_round_that_was_cut_off_goes_on_where_it_was() {
    let world = with_everybody().await;
    settle(&world).await;
    world.cloud.restart_trace();
    // A request and all that the SDK tries again.
    for attempt in 70..73 {
        world.cloud.inject(When::call("Query", attempt), Fault::FailBefore);
    }
    let until = world.clock.now() + SignedDuration::from_mins(4);
    let cut_off = prove_records(&world.store, &world.clock, &world.ids, &world.keys, until).await;
    assert_eq!((cut_off.rounds, cut_off.troubles.len()), (0, 1));
    assert!((60..70).contains(&cut_off.readings), "{}", cut_off.readings);
    let proven = prove(&world).await;
    assert_eq!((proven.rounds, proven.readings), (1, 128 - cut_off.readings));
    assert_eq!((proven.pools_proven, proven.pools_suspected), (2, 0));
}

#[tokio::test]
async fn a_run_whose_time_is_over_while_it_compares_is_gone_on_with_and_reads_nothing_again() {
    for wrong in [false, true] {
        let world = Arc::new(with_everybody().await);
        settle(&world).await;
        if wrong {
            add(&world, &find(&world, "block", |_| true), &["rem"], -1).await;
        }
        let other = Arc::clone(&world);
        world.cloud.restart_trace();
        world.cloud.let_first(When::call("GetItem", 3), move || async move {
            other.clock.advance(SignedDuration::from_mins(5));
        });
        let first = prove(&world).await;
        assert_eq!((first.readings, first.comparisons, first.rounds), (128, 1, 0));
        let second = prove(&world).await;
        assert_eq!((second.readings, second.comparisons, second.rounds), (0, 1, 1));
        assert_eq!(
            (second.pools_suspected, second.pools_proven),
            (wrong.into(), 2 - u32::from(wrong))
        );
        assert_eq!(second.pools_busy, 0);
    }
}

#[tokio::test]
async fn one_run_reads_a_bounded_number_of_times_and_the_next_goes_on() {
    let world = with_everybody().await;
    for number in 0..52 {
        let client = format!("client-{number}").parse().expect("a slug");
        world.store.begin_round(&client, world.clock.now()).await.expect("a round");
    }
    world.clock.advance(SignedDuration::from_hours(2));
    let first = prove(&world).await;
    assert_eq!((first.rounds, first.readings), (50, 6_400));
    let second = prove(&world).await;
    assert_eq!((second.rounds, second.readings), (2, 256));
    assert_eq!(prove(&world).await.readings, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rounds_at_once_end_once() {
    let world = Arc::new(with_everybody().await);
    settle(&world).await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { prove(&world).await })
        })
        .collect();
    let mut rounds = 0;
    for task in tasks {
        let proven = task.await.expect("a run");
        assert_eq!((proven.pools_suspected, proven.mismatches.len()), (0, 0));
        rounds += proven.rounds;
    }
    assert_eq!(rounds, 1);
}

/// Sets seats aside for somebody, as an import or a batch would, and takes two of them.
async fn set_aside(world: &World, owner: &str) {
    let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
    let reason = Some(owner.to_owned());
    change.move_seats(world.pool(), Delta::held(6), Action::SeatsReserved, &[], reason.clone());
    for shard in 0..2 {
        let key = BlockKey { pool: world.pool(), owner: owner.to_owned(), shard };
        change.step(Step::OpenBlock { key, size: 3, epoch: 1 });
    }
    world.store.apply(&change).await.expect("set aside");
}

#[tokio::test]
async fn a_block_whose_owner_is_not_there_is_given_back_with_one_record() {
    let world = World::with_seats(10).await;
    let import = ImportId::from_uuid(world.ids.uuid()).to_string();
    let batch = BatchId::from_uuid(world.ids.uuid()).to_string();
    for owner in [&import, &batch] {
        set_aside(&world, owner).await;
        world.clock.advance(SignedDuration::from_hours(2));
        assert_eq!(world.stock().await.held, 6);
        let swept = run_sweep(&world, 1).await;
        assert_eq!((swept.blocks_returned, swept.mismatches.len()), (1, 0));
        assert_eq!(world.stock().await.held, 0);
        let told = |action: &str| {
            let records = items(&world, "audit").into_iter();
            records
                .filter(|record| record["action"] == action && record["reason"] == owner.as_str())
                .count()
        };
        assert_eq!((told("seats_reserved"), told("reserve_returned")), (1, 1));
        world.clock.advance(SignedDuration::from_hours(2));
        assert_eq!(run_sweep(&world, 2).await.blocks_returned, 0);
        assert_eq!(told("reserve_returned"), 1);
    }
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn the_block_of_a_batch_that_can_be_redeemed_stays() {
    let world = World::with_seats(10).await;
    let codes = issue(&world, 5).await;
    world.clock.advance(SignedDuration::from_hours(2));
    let swept = run_sweep(&world, 1).await;
    assert_eq!((swept.blocks_returned, swept.batches_given_back), (0, 0));
    redeem(&world, &codes[0], 1).await;
    assert_eq!((world.stock().await.held, world.stock().await.used), (4, 1));
}

#[tokio::test]
async fn seats_that_came_out_of_an_open_block_can_be_released() {
    let world = World::with_seats(10).await;
    let codes = issue(&world, 6).await;
    for (number, code) in codes.iter().take(4).enumerate() {
        redeem(&world, code, number).await;
    }
    for number in 0..3 {
        release(&world, number).await;
        world.assert_seats_are_conserved().await;
    }
    let stock = world.stock().await;
    assert_eq!((stock.held, stock.used, stock.available), (2, 1, 7));
    let batch = items(&world, "batch").remove(0)["batch_id"].as_str().expect("an id").to_owned();
    let batch = batch.parse().expect("an id");
    let batch = world.store.batch(&world.client, batch).await.expect("readable");
    let blocks = world.store.blocks(&world.client, world.pool()).await.expect("readable");
    assert_eq!(batch.expect("a batch").redeemed_with(&blocks), 4, "released seats were redeemed");
    redeem(&world, &codes[4], 8).await;
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sweeps_at_once_give_a_block_back_once() {
    let world = Arc::new(World::with_seats(10).await);
    set_aside(&world, &ImportId::from_uuid(world.ids.uuid()).to_string()).await;
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { run_sweep(&world, number).await.blocks_returned })
        })
        .collect();
    let mut returned = 0;
    for task in tasks {
        returned += task.await.expect("a sweep");
    }
    assert_eq!(returned, 1);
    assert_eq!(world.stock().await.available, 10);
    world.assert_seats_are_conserved().await;
}
