//! Creating learners and releasing their seats, on the real adapters.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::date;
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreateLearnerError, CreatedLearner, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{Policies, StockKind};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::learner::{Profile, SeatStatus};
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_domain::stock::Stock;
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::{World, address};

fn wanted(world: &World, email: EmailAddress) -> CreateLearner {
    CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email,
        profile: Profile::default(),
        password: PasswordChoice::Link,
        term: TermRequest::default(),
        notify: true,
        copy_to: None,
    }
}

async fn create_as(
    world: &World,
    op: Op,
    wanted: &CreateLearner,
) -> Result<CreatedLearner, CreateLearnerError> {
    let (clock, ids, keys) = (&world.clock, &world.ids, &world.keys);
    create_learner(&world.store, clock, ids, keys, &world.administrator(), op, wanted).await
}

async fn create(world: &World, number: usize) -> Result<CreatedLearner, CreateLearnerError> {
    create_as(world, world.op(), &wanted(world, address(number))).await
}

#[tokio::test]
async fn a_learner_created_today_uses_a_seat_and_is_told_once() {
    let world = World::with_seats(3).await;
    let made = create(&world, 1).await.unwrap();
    assert_eq!(made.stock, Stock { total: 3, used: 1, available: 2, ..Stock::default() });
    assert_eq!(made.learner.seats[&world.pool()].status(world.clock.now()), SeatStatus::Active);
    let mails = world.cloud.dump().into_iter().filter(|item| item["kind"] == "mail").count();
    assert_eq!(mails, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn creating_someone_again_answers_with_the_seat_they_have() {
    let world = World::with_seats(3).await;
    let first = create(&world, 1).await.unwrap();
    let again = create(&world, 1).await.unwrap();
    assert!(!first.already_seated);
    assert!(again.already_seated);
    assert_eq!(again.learner, first.learner);
    assert_eq!(again.stock.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn the_last_seat_goes_to_one_and_the_next_is_refused() {
    let world = World::with_seats(1).await;
    create(&world, 1).await.unwrap();
    let refused = create(&world, 2).await;
    assert!(matches!(refused, Err(CreateLearnerError::NoSeatsLeft)));
    assert_eq!(world.stock().await.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_at_once_take_exactly_the_last_twenty_seats() {
    let world = Arc::new(World::with_seats(20).await);
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { create(&world, number).await.is_ok() })
        })
        .collect();
    let mut seated = 0;
    for task in tasks {
        seated += usize::from(task.await.unwrap());
    }
    assert_eq!(seated, 20);
    let stock = world.stock().await;
    assert_eq!((stock.used, stock.available), (20, 0));
    world.assert_seats_are_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_person_created_by_many_at_once_is_one_learner_with_one_seat() {
    let world = Arc::new(World::with_seats(20).await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { create(&world, 1).await.unwrap().already_seated })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        given += usize::from(!task.await.unwrap());
    }
    assert_eq!(given, 1);
    assert_eq!(world.stock().await.used, 1);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_takes_no_second_seat_and_answers_as_if_it_had_come() {
    for fault in [Fault::LoseReply, Fault::ErrorAfter, Fault::FailBefore, Fault::Throttle] {
        let world = World::with_seats(2).await;
        world.cloud.restart_trace();
        world.cloud.inject(When::call("TransactWriteItems", 1), fault);
        let made = create(&world, 1).await.unwrap();
        assert!(!made.already_seated);
        assert_eq!(world.cloud.fired().len(), 1, "the fault fired");
        assert_eq!(world.stock().await.used, 1);
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_with_other_transactions_are_waited_out() {
    let world = World::with_seats(2).await;
    world.cloud.restart_trace();
    for call in 1..=3 {
        world.cloud.inject(When::call("TransactWriteItems", call), Fault::TransactionConflict);
    }
    create(&world, 1).await.unwrap();
    assert_eq!(world.cloud.fired().len(), 3);
    assert_eq!(world.stock().await.used, 1);
}

#[tokio::test]
async fn a_later_start_holds_a_seat_and_joins_its_cohort() {
    let world = World::with_seats(3).await;
    let mut later = wanted(&world, address(1));
    later.term.start_on = Some(date(2027, 3, 1));
    let made = create_as(&world, world.op(), &later).await.unwrap();
    assert_eq!(made.stock, Stock { total: 3, held: 1, available: 2, ..Stock::default() });
    let seat = &made.learner.seats[&world.pool()];
    assert_eq!(seat.status(world.clock.now()), SeatStatus::Scheduled);
    assert_eq!(seat.starts_on, Some(date(2027, 3, 1)));
    let dump = world.cloud.dump();
    let cohort = dump.iter().find(|item| item["kind"] == "cohort").unwrap();
    assert_eq!(cohort["instant"], "2027-02-28T23:00:00Z");
    assert_eq!(cohort["count"], 1);
    let mail = dump.iter().find(|item| item["kind"] == "mail").unwrap();
    assert_eq!(mail["due_at"], "2027-02-28T23:00:00.000000Z");
    world.assert_seats_are_conserved().await;
}

async fn release(world: &World, number: usize) {
    let learner = world.keys.learner_id(&world.client, &address(number));
    let place = (&world.client, &world.contract);
    let (clock, ids) = (&world.clock, &world.ids);
    let actor = Actor::Caller("admin-1".to_owned());
    let (op, pool) = (world.op(), world.pool());
    release_seat(&world.store, clock, ids, actor, op, place, learner, pool).await.unwrap();
}

#[tokio::test]
async fn a_released_seat_returns_and_can_be_given_again() {
    let world = World::with_seats(1).await;
    create(&world, 1).await.unwrap();
    release(&world, 1).await;
    assert_eq!(world.stock().await, Stock::of(1));
    create(&world, 2).await.unwrap();
    create(&world, 1).await.unwrap_err();
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_released_seat_of_consumable_stock_is_spent() {
    let policies = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    let world = World::with_policies(2, policies).await;
    create(&world, 1).await.unwrap();
    release(&world, 1).await;
    let stock = world.stock().await;
    assert_eq!((stock.spent, stock.used, stock.available), (1, 0, 1));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_seat_used_for_longer_than_the_return_window_is_spent() {
    let policies = Policies { return_until_days: Some(30), ..Policies::default() };
    let world = World::with_policies(2, policies).await;
    create(&world, 1).await.unwrap();
    create(&world, 2).await.unwrap();
    release(&world, 1).await;
    world.clock.advance(SignedDuration::from_hours(24 * 31));
    release(&world, 2).await;
    let stock = world.stock().await;
    assert_eq!((stock.spent, stock.available), (1, 1));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_scheduled_seat_released_before_its_day_returns_and_leaves_its_cohort() {
    let policies = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    let world = World::with_policies(2, policies).await;
    let mut later = wanted(&world, address(1));
    later.term.start_on = Some(date(2027, 3, 1));
    create_as(&world, world.op(), &later).await.unwrap();
    release(&world, 1).await;
    assert_eq!(world.stock().await, Stock::of(2));
    let dump = world.cloud.dump();
    let cohort = dump.iter().find(|item| item["kind"] == "cohort").unwrap();
    assert_eq!(cohort["count"], 0);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_scheduled_seat_released_after_its_instant_was_used_even_if_nobody_opened_it() {
    let policies = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    let world = World::with_policies(2, policies).await;
    let mut later = wanted(&world, address(1));
    later.term.start_on = Some(date(2026, 11, 24));
    create_as(&world, world.op(), &later).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(24));
    release(&world, 1).await;
    let stock = world.stock().await;
    assert_eq!((stock.spent, stock.held, stock.available), (1, 0, 1));
    world.assert_seats_are_conserved().await;
}
