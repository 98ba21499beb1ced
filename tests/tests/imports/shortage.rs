//! Too few seats, invalid rows, and what each setting makes of them.

use seatkeeper_domain::import_run::{ImportStatus, Outcome, Verdict};
use seatkeeper_domain::stock::Stock;

use crate::stage::{Stage, people};

const TODAY: fn(usize) -> &'static str = |_| "";

fn with_an_invalid_row(count: usize) -> String {
    people(count, TODAY) + "nobody;X;\n"
}

#[tokio::test]
async fn valid_only_leaves_invalid_rows_out() {
    let stage = Stage::with_seats(3).await;
    let run = stage.import_with(&with_an_invalid_row(3), &[]).await;
    assert_eq!(run.status, ImportStatus::Completed);
    assert_eq!((run.totals.created, run.totals.failed), (3, 1));
    assert_eq!(stage.world.stock().await, Stock { total: 3, used: 3, ..Stock::default() });
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn valid_only_does_nothing_when_seats_are_too_few() {
    let stage = Stage::with_seats(2).await;
    let run = stage.import_with(&with_an_invalid_row(3), &[("on-shortage", "valid_only")]).await;
    assert_eq!(run.status, ImportStatus::Refused);
    assert_eq!(run.reject_code.as_deref(), Some("no-seats-left"));
    assert_eq!((run.seats.needed, run.seats.available, run.seats.short), (3, 2, 1));
    assert_eq!((run.totals.not_seated, run.totals.failed), (3, 1));
    assert_eq!(stage.world.stock().await, Stock::of(2));
    assert!(stage.mails().is_empty());
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn none_does_nothing_when_a_row_is_invalid() {
    let stage = Stage::with_seats(10).await;
    let run = stage.import_with(&with_an_invalid_row(3), &[("on-shortage", "none")]).await;
    assert_eq!(run.status, ImportStatus::Refused);
    assert_eq!(run.reject_code.as_deref(), Some("rows-invalid"));
    assert_eq!(stage.world.stock().await, Stock::of(10));
    stage.assert_at_rest(&run).await;
    let again = stage.import("mended.xlsx", stage.report(&run)).await;
    assert_eq!(again.rows_total, 4, "the report has the rows that were left out, too");
    assert_eq!(again.totals.created, 3);
}

#[tokio::test]
async fn none_imports_a_list_without_fault_and_refuses_one_without_seats() {
    let stage = Stage::with_seats(3).await;
    let none = [("on-shortage", "none")];
    let run = stage.import_with(&people(2, TODAY), &none).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 2));
    let run = stage.import_with(&people(4, TODAY), &none).await;
    assert_eq!(run.reject_code.as_deref(), Some("no-seats-left"));
    assert_eq!((run.totals.existing, run.seats.short), (2, 1));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn fill_seats_people_in_file_order_until_the_stock_ends() {
    let stage = Stage::with_seats(100).await;
    let start = |number| if number % 2 == 0 { "" } else { "01/03/2027" };
    let run = stage.import_with(&people(150, start), &[("on-shortage", "fill")]).await;
    assert_eq!(run.status, ImportStatus::Completed);
    let outcomes = stage.outcomes(&run).await;
    let seated = |outcome: &Option<Outcome>| *outcome != Some(Outcome::NotSeated);
    assert_eq!(outcomes.iter().take_while(|outcome| seated(outcome)).count(), 100);
    assert_eq!(outcomes.iter().filter(|outcome| seated(outcome)).count(), 100);
    assert_eq!(stage.world.stock().await.available, 0);
    stage.assert_at_rest(&run).await;
    let again = stage.import("rest.xlsx", stage.report(&run)).await;
    assert_eq!(again.rows_total, 50, "the report has the rows that found no seat");
}

#[tokio::test]
async fn fill_without_a_seat_seats_nobody_and_completes() {
    let stage = Stage::with_seats(0).await;
    let run = stage.import_with(&people(3, TODAY), &[("on-shortage", "fill")]).await;
    assert_eq!((run.status, run.totals.not_seated), (ImportStatus::Completed, 3));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn a_list_in_which_nobody_can_be_seated_completes_without_touching_the_stock() {
    let stage = Stage::with_seats(3).await;
    let run = stage.import_with("email\nnobody\nnot an address\n", &[]).await;
    assert_eq!((run.status, run.totals.failed), (ImportStatus::Completed, 2));
    let rows = stage.rows(&run).await;
    assert!(rows.iter().all(|row| row.verdict == Verdict::Invalid));
    assert_eq!(stage.world.stock().await, Stock::of(3));
    stage.assert_at_rest(&run).await;
}
