//! People whom rows meet: who has a seat or an invitation already, and who is invited meanwhile.

use std::sync::Arc;

use seatkeeper_domain::actions::erase_learner::erase_learner;
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{HoldOn, Policies};
use seatkeeper_domain::import_run::{ImportStatus, Outcome, Verdict};
use seatkeeper_domain::invitation::Grant;
use seatkeeper_testkit::When;

use crate::stage::{Stage, people};

/// Invites some of the people of a [list](people).
async fn invite_some(stage: &Stage, numbers: &[usize]) {
    let world = &stage.world;
    let wanted = Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: numbers.iter().map(|number| format!("person.{number}@example.fr")).collect(),
        grant: Grant::default(),
        message: None,
        notify: true,
        copy_to: None,
    };
    let caller = world.administrator();
    let invited = invite(&world.store, &world.clock, &world.keys, &caller, world.op(), &wanted);
    invited.await.expect("invited");
}

fn statuses(stage: &Stage) -> Vec<String> {
    let dump = stage.world.cloud.dump();
    let invitations = dump.iter().filter(|item| item["kind"] == "invitation");
    invitations.map(|item| item["status"].as_str().expect("a status").to_owned()).collect()
}

/// Somebody is invited after the worker has looked whether anybody is, and before the row of this
/// person is written.
#[tokio::test(start_paused = true)]
async fn who_is_invited_while_the_rows_are_written_has_the_invitation_taken_up() {
    for hold_on in [HoldOn::Invite, HoldOn::Accept] {
        let policies = Policies { hold_on, ..Policies::default() };
        let stage = Arc::new(Stage::with_policies(10, policies).await);
        let object = stage.put("a.csv", people(4, |_| ""));
        stage.world.cloud.restart_trace();
        let other = Arc::clone(&stage);
        // Claim, reservation, and then the rows.
        stage.world.cloud.let_first(When::call("TransactWriteItems", 3), move || async move {
            invite_some(&other, &[2, 7]).await;
        });
        stage.run(&object).await.expect("an end");
        let run = stage.found(&object).await;
        assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 4));
        let mut statuses = statuses(&stage);
        statuses.sort();
        assert_eq!(statuses, ["accepted", "pending"], "{hold_on:?}: the other one goes on waiting");
        let stock = stage.world.stock().await;
        let held = u64::from(hold_on == HoldOn::Invite);
        assert_eq!((stock.used, stock.held), (4, held), "{hold_on:?}");
        stage.assert_at_rest(&run).await;
    }
}

#[tokio::test]
async fn who_was_invited_before_or_has_a_seat_is_left_alone() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(2, |_| "")).await;
    invite_some(&stage, &[3]).await;
    let mails = stage.mails().len();
    let run = stage.import("b.csv", people(5, |_| "")).await;
    let rows = stage.rows(&run).await;
    let found: Vec<_> = rows.iter().map(|row| row.verdict == Verdict::Existing).collect();
    assert_eq!(found, [true, true, false, true, false]);
    assert_eq!((run.totals.existing, run.totals.skipped, run.totals.created), (3, 3, 2));
    assert_eq!((run.totals.valid, run.seats.needed), (2, 2));
    let stock = stage.world.stock().await;
    assert_eq!((stock.used, stock.held, stock.available), (4, 1, 5));
    assert_eq!(stage.mails().len(), mails + 2);
    assert_eq!(statuses(&stage), ["pending"]);
    stage.assert_at_rest(&run).await;
}

/// Nobody is looked up beforehand, unless the seats would not be enough for everybody.
#[tokio::test]
async fn seats_for_the_new_ones_are_enough() {
    let stage = Stage::with_seats(5).await;
    stage.import("a.csv", people(3, |_| "")).await;
    let run = stage.import("b.csv", people(5, |_| "")).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 2));
    assert_eq!((run.seats.needed, run.seats.short), (2, 0));
    stage.assert_at_rest(&run).await;
    let run = stage.import("c.csv", people(6, |_| "")).await;
    assert_eq!((run.status, run.seats.short), (ImportStatus::Refused, 1));
    let outcomes = stage.outcomes(&run).await;
    assert_eq!(outcomes.last(), Some(&Some(Outcome::NotSeated)));
    stage.assert_at_rest(&run).await;
}

/// Somebody with the address of a person who was erased is somebody new; what is left of the other
/// stays as it is.
#[tokio::test]
async fn who_was_erased_before_is_somebody_new() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(2, |_| "")).await;
    let world = &stage.world;
    let erased = stage.learner("person.0@example.fr").await.expect("an account").learner_id;
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let actor = Actor::Caller("admin-1".to_owned());
    erase_learner(store, clock, ids, keys, actor, world.op(), &world.client, erased)
        .await
        .expect("erased");
    let run = stage.import("b.csv", people(3, |_| "")).await;
    let totals = run.totals;
    assert_eq!((totals.created, totals.existing), (2, 1));
    let again = stage.learner("person.0@example.fr").await.expect("an account");
    assert_eq!((again.learner_id, again.given), (erased, 2), "counted on from what is left");
    stage.assert_at_rest(&run).await;
}
