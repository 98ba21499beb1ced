//! Issuing: the seats of all codes, or none.

use jiff::SignedDuration;
use seatkeeper_domain::actions::issue_codes::{
    IssueCodes, IssueCodesError, Moment, Wanted, batch_codes, tend_batch,
};
use seatkeeper_domain::code::{BatchState, Code};
use seatkeeper_domain::contract::WindowError;
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore as _, Op};
use seatkeeper_domain::ports::{
    Clock as _, CodeBook as _, IdSource as _, Ledger as _, PageRequest,
};
use seatkeeper_testkit::{Fault, When};

use crate::world::World;

fn own(texts: impl IntoIterator<Item = String>) -> Wanted {
    Wanted::Own(texts.into_iter().map(|text| Code::parse(&text).expect("a code")).collect())
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|place| format!("{name}-{place:05}")).collect()
}

/// Begins a request under an idempotency key, or takes it up again.
async fn begin(world: &World) -> Op {
    let attempt =
        Attempt { record: [1; 32], body: [2; 32], op: world.ids.uuid(), now: world.clock.now() };
    match world.store.begin(&attempt).await.expect("the store answers") {
        Begin::Fresh { op } => op,
        other => panic!("{other:?}"),
    }
}

/// Makes every transaction from the `nth` on fail.
fn cut_off(world: &World, nth: u64) {
    world.cloud.restart_trace();
    for attempt in nth..nth + 2_000 {
        world.cloud.inject(When::call("TransactWriteItems", attempt), Fault::FailBefore);
    }
}

/// An issue that ends in the middle, with all transactions from the `nth` on failing.
async fn interrupted(world: &World, op: Op, order: &IssueCodes, nth: u64) {
    cut_off(world, nth);
    let outcome = world.issue_as(op, order).await;
    assert!(matches!(outcome, Err(IssueCodesError::Store(_))), "{outcome:?}");
    world.cloud.clear_faults();
}

#[tokio::test]
async fn redemption_codes_hold_their_seats_and_registration_codes_hold_none() {
    let world = World::with_seats(40).await;
    let codes = world.redemption_codes(30).await;
    assert_eq!(codes.len(), 30);
    assert!(codes.iter().all(|code| code.len() == "XXXX-XXXX-XXXX-XXXX-X".len()), "{codes:?}");
    assert_eq!(world.proven_stock().await.held, 30);
    world.registration(Some(100), false).await;
    assert_eq!(world.proven_stock().await.held, 30);
    world.registration(Some(10), true).await;
    let stock = world.proven_stock().await;
    assert_eq!((stock.held, stock.available), (40, 0));
}

#[tokio::test]
async fn too_few_seats_move_nothing() {
    let world = World::with_seats(10).await;
    let refused = world.issue(&world.order(Wanted::Generated(11))).await;
    assert!(matches!(refused, Err(IssueCodesError::NoSeatsLeft)), "{refused:?}");
    assert_eq!(world.proven_stock().await.available, 10);
    assert!(world.items("code").is_empty() && world.items("batch").is_empty());
}

#[tokio::test]
async fn the_table_knows_no_code_and_the_list_can_be_read_again() {
    let world = World::with_seats(1_200).await;
    let order = world.order(Wanted::Generated(1_150));
    let issued = world.issue(&order).await.expect("codes");
    let table = serde_json::to_string(&world.cloud.dump()).expect("JSON");
    for code in &issued.codes {
        assert!(!table.contains(code.as_str()) && !table.contains(&code.to_string()));
    }
    let again = batch_codes(&world.store, &world.keys, &world.client, issued.batch.batch_id).await;
    assert_eq!(again.expect("the sealed list"), issued.codes);
    assert_eq!(world.items("code").len(), 1_150);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_codes_are_issued_in_one_call() {
    let world = World::with_seats(10_000).await;
    world.cloud.restart_trace();
    let issued = world.issue(&world.order(Wanted::Generated(10_000))).await.expect("codes");
    assert_eq!(issued.stock.held, 10_000);
    let different: std::collections::BTreeSet<_> = issued.codes.iter().collect();
    assert_eq!(different.len(), 10_000);
    let writes = world.cloud.attempts();
    let writes = writes.iter().filter(|attempt| attempt.operation == "TransactWriteItems");
    // Opening, 102 chunks, closing.
    assert_eq!(writes.count(), 104);
    world.proven_stock().await;
}

#[tokio::test]
async fn own_codes_that_exist_are_named_and_nothing_is_issued() {
    let world = World::with_seats(500).await;
    let first = world.order(own(numbered("spring", 3)));
    world.issue(&first).await.expect("new codes");
    let mut list = numbered("autumn", 150);
    list[120] = "SPRING 00001".to_owned();
    let refused = world.issue(&world.order(own(list))).await;
    assert!(
        matches!(&refused, Err(IssueCodesError::CodesExist(places)) if *places == [120]),
        "{refused:?}"
    );
    assert_eq!(world.proven_stock().await.held, 3);
    assert_eq!(world.items("code").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_issue_goes_on_where_it_stood_and_makes_the_same_codes() {
    for nth in 1..=5 {
        let world = World::with_seats(300).await;
        let order = world.order(Wanted::Generated(250));
        let op = begin(&world).await;
        interrupted(&world, op, &order, nth).await;
        assert!(world.stock().await.adds_up());
        world.store.release(&op).await.expect("the store answers");
        world.clock.advance(SignedDuration::from_secs(1));
        let again = begin(&world).await;
        assert_eq!(again.id, op.id);
        let issued = world.issue_as(again, &order).await.expect("the rest");
        assert_eq!(issued.batch.state, BatchState::Active);
        assert_eq!(world.proven_stock().await.held, 250, "cut off at {nth}");
        assert_eq!(world.items("code").len(), 250);
        // And once more, as if the answer had been lost.
        world.store.release(&again).await.expect("the store answers");
        world.clock.advance(SignedDuration::from_secs(1));
        let third = world.issue_as(begin(&world).await, &order).await.expect("the answer");
        assert_eq!(third.codes, issued.codes);
        assert_eq!(third.stock, issued.stock);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_anywhere_issues_the_batch_once() {
    for nth in 1..=5 {
        let world = World::with_seats(300).await;
        world.cloud.restart_trace();
        world.cloud.inject(When::call("TransactWriteItems", nth), Fault::LoseReply);
        world.issue(&world.order(Wanted::Generated(250))).await.expect("codes");
        assert_eq!(world.cloud.fired().len(), 1);
        assert_eq!(world.proven_stock().await.held, 250);
        assert_eq!(world.items("code").len(), 250);
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_that_another_batch_takes_in_between_gives_everything_back() {
    let world = World::with_seats(600).await;
    let order = world.order(own(numbered("mine", 250)));
    let op = begin(&world).await;
    interrupted(&world, op, &order, 2).await;
    assert_eq!(world.stock().await.held, 250);
    let other = world.order(own(["mine-00222".to_owned()]));
    world.issue(&other).await.expect("the code is still free");
    world.store.release(&op).await.expect("the store answers");
    world.clock.advance(SignedDuration::from_secs(1));
    let refused = world.issue_as(begin(&world).await, &order).await;
    assert!(
        matches!(&refused, Err(IssueCodesError::CodesExist(places)) if *places == [222]),
        "{refused:?}"
    );
    assert_eq!(world.proven_stock().await.held, 1);
    assert_eq!(world.items("code").len(), 1, "the other batch keeps its code");
    // The codes are free again.
    let rest: Vec<String> = numbered("mine", 200);
    world.issue(&world.order(own(rest))).await.expect("free codes");
    assert_eq!(world.proven_stock().await.held, 201);
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_nobody_takes_up_again_is_given_back() {
    let world = World::with_seats(300).await;
    let order = world.order(own(numbered("lost", 250)));
    interrupted(&world, world.op(), &order, 3).await;
    let due = async |world: &World| {
        world.store.unfinished_batches(world.clock.now()).await.expect("the store answers")
    };
    assert!(due(&world).await.is_empty(), "it may still be running");
    world.clock.advance(SignedDuration::from_mins(6));
    let unfinished = due(&world).await;
    assert_eq!(unfinished.len(), 1);
    let (client, batch) = &unfinished[0];
    let sweep = async || {
        let seatkeeper_tests::World { store, clock, ids, keys, .. } = &*world;
        tend_batch(store, clock, ids, keys, client, *batch).await.expect("given back")
    };
    assert!(sweep().await);
    assert!(!sweep().await, "once");
    assert_eq!(world.proven_stock().await.available, 300);
    assert!(world.items("code").is_empty());
    assert!(due(&world).await.is_empty());
    assert!(world.items("block").is_empty());
}

#[tokio::test]
async fn the_last_day_counts_in_the_clients_zone() {
    let world = World::with_seats(10).await;
    let day = "2026-12-31".parse().expect("a date");
    let order = IssueCodes {
        valid_from: Some(Moment::On("2026-12-01".parse().expect("a date"))),
        valid_until: Some(Moment::On(day)),
        ..world.order(Wanted::Generated(1))
    };
    let batch = world.issue(&order).await.expect("codes").batch;
    assert_eq!(batch.valid_from, Some(World::at("2026-11-30T23:00:00Z")));
    assert_eq!(batch.valid_until, Some(World::at("2026-12-31T23:00:00Z")));
    let over = IssueCodes {
        valid_until: Some(Moment::At(World::at("2026-11-23T08:00:00Z"))),
        ..world.order(Wanted::Generated(1))
    };
    let refused = world.issue(&over).await;
    assert!(matches!(refused, Err(IssueCodesError::EmptyWindow)), "{refused:?}");
}

#[tokio::test]
async fn a_day_that_the_contract_does_not_allow_is_refused_before_anything_is_set_aside() {
    let world = World::with_contract(10, |contract| {
        contract.starts_on = Some("2026-12-01".parse().expect("a date"));
        contract.ends_on = Some("2026-12-31".parse().expect("a date"));
    })
    .await;
    let on = |day: &str| IssueCodes {
        start_on: Some(day.parse().expect("a date")),
        ..world.order(Wanted::Generated(2))
    };
    let refused = world.issue(&on("2027-01-01")).await;
    let Err(IssueCodesError::Term(error)) = refused else { panic!("{refused:?}") };
    assert_eq!((error.field, error.error), ("start_on", WindowError::OutsideContract));
    assert_eq!(world.proven_stock().await.available, 10);
    // A day before the first one means the first one, as everywhere.
    let batch = world.issue(&on("2026-11-01")).await.expect("codes").batch;
    assert_eq!(batch.start_on, on("2026-11-01").start_on);
}

#[tokio::test]
async fn batches_are_listed_newest_first() {
    let world = World::with_seats(10).await;
    for label in ["one", "two", "three"] {
        world.clock.advance(SignedDuration::from_secs(1));
        let order = IssueCodes { label: label.to_owned(), ..world.order(Wanted::Generated(1)) };
        world.issue(&order).await.expect("codes");
    }
    let mut labels = Vec::new();
    let mut cursor = None;
    loop {
        let request = PageRequest { limit: 2, cursor };
        let page = world.store.batches(&world.client, &request).await.expect("a page");
        labels.extend(page.items.into_iter().map(|batch| batch.label));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(labels, ["three", "two", "one"]);
    assert_eq!(world.store.blocks(&world.client, world.pool()).await.expect("blocks").len(), 3);
}
