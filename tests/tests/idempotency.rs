//! Idempotency records on the real adapter.

use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore as _, Op};
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::World;

fn attempt(world: &World) -> Attempt {
    let now = world.clock.now();
    Attempt { record: [1; 32], body: [2; 32], op: world.ids.uuid(), now }
}

async fn begun(world: &World) -> Op {
    match world.store.begin(&attempt(world)).await.unwrap() {
        Begin::Fresh { op } => op,
        other => panic!("the record is free, yet {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_taking_was_not_answered_is_ours_all_the_same() {
    for fault in [Fault::LoseReply, Fault::ErrorAfter] {
        let world = World::with_seats(1).await;
        world.cloud.restart_trace();
        world.cloud.inject(When::call("UpdateItem", 1), fault);
        begun(&world).await;
        assert_eq!(world.cloud.fired().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_although_a_transaction_holds_the_record_for_a_moment() {
    let world = World::with_seats(1).await;
    let op = begun(&world).await;
    world.cloud.restart_trace();
    for call in 1..=2 {
        world.cloud.inject(When::call("UpdateItem", call), Fault::TransactionConflict);
    }
    world.store.complete(&op, 201, b"sealed").await.unwrap();
    assert_eq!(world.cloud.fired().len(), 2);
    let again = world.store.begin(&attempt(&world)).await.unwrap();
    assert_eq!(again, Begin::Replay { status: 201, sealed: b"sealed".to_vec() });
}
