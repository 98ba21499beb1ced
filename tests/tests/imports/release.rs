//! Releasing everyone an import let in: who came in since too, and nobody else.

use jiff::SignedDuration;
use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::change_address::change_address;
use seatkeeper_domain::actions::commit_import::SteerImportError;
use seatkeeper_domain::actions::release_import::ReleasedImport;
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{Policies, StockKind};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ImportId, InvitationId};
use seatkeeper_domain::import_run::{ImportRun, ImportSettings, ImportStatus, Mode};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, People as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_tests::World;

use crate::desk::plainly;
use crate::stage::{REPORTS, Stage, people};

/// 120 people, every third of them on one of two later dates.
fn list() -> String {
    people(120, |number| match number % 6 {
        1 => "01/03/2027",
        4 => "02/03/2027",
        _ => "",
    })
}

impl Stage {
    fn invited(&self, number: usize) -> InvitationId {
        let email = EmailAddress::parse(&format!("person.{number}@example.fr"));
        let (client, pool) = (&self.world.client, self.world.pool());
        self.world.keys.invitation_id(client, pool, &email.expect("an address"))
    }

    async fn release_all(&self, op: Op, import: ImportId) -> ReleasedImport {
        let until = self.world.clock.now() + SignedDuration::from_mins(1);
        self.release(op, import, until).await.expect("released")
    }

    /// Removes the book of the rows, as its time would.
    async fn forget_rows(&self, run: &ImportRun) {
        let key = run.book_key.as_deref().expect("a book");
        let call = self.world.cloud.s3().delete_object().bucket(REPORTS).key(key);
        call.send().await.expect("gone");
    }

    async fn accept(&self, number: usize) {
        let world = &self.world;
        let command = AcceptInvitation {
            client_id: world.client.clone(),
            invitation_id: self.invited(number),
            version: 1,
            first_name: "Zoé".to_owned(),
            last_name: "Durand".to_owned(),
            password: PasswordPolicy::default().check("correct horse battery"),
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        accept_invitation(store, clock, ids, keys, world.op(), &command).await.expect("accepted");
    }
}

#[tokio::test]
async fn everyone_a_file_let_in_is_released_also_who_came_in_and_nobody_else() {
    for rows_are_kept in [true, false] {
        let stage = Stage::with_seats(200).await;
        let run = stage.completed(plainly(), &list()).await;
        stage.import("b.csv", "email\nother@example.fr\n").await;
        let world = &stage.world;
        world.clock.advance(SignedDuration::from_secs(1));
        let came_in = stage.learner("person.2@example.fr").await.expect("an account").learner_id;
        let World { store, clock, ids, keys, client, .. } = world;
        issue_ticket(store, clock, ids, keys, client, came_in).await.expect("a ticket");
        // One seat was given back, and given in another way since.
        let anew = stage.learner("person.3@example.fr").await.expect("an account").learner_id;
        let (of, pool, op) = ((client, &world.contract), world.pool(), world.op());
        let given_back = release_seat(store, clock, ids, Actor::System, op, of, anew, pool);
        given_back.await.expect("released");
        stage.import("c.csv", "email\nperson.3@example.fr\n").await;
        if !rows_are_kept {
            stage.forget_rows(&run).await;
        }
        let done = stage.release_all(world.op(), run.import_id).await;
        assert_eq!((done.released, done.cancelled, done.complete), (119, 0, true));
        let stock = Stock { total: 200, used: 2, available: 198, ..Stock::default() };
        assert_eq!(world.stock().await, stock);
        let dump = world.cloud.dump();
        let mut cohorts = dump.iter().filter(|item| item["kind"] == "cohort");
        assert!(cohorts.all(|cohort| cohort["count"] == 0), "nobody waits any more");
        world.assert_seats_are_conserved().await;
        let again = stage.release_all(world.op(), run.import_id).await;
        assert_eq!((again.released, again.complete), (0, true));
        assert_eq!(stage.now(run.import_id).await.status, ImportStatus::Completed);
    }
}

#[tokio::test]
async fn a_release_that_runs_out_of_time_goes_on_with_the_next_call() {
    let stage = Stage::with_seats(200).await;
    let run = stage.completed(plainly(), &list()).await;
    let until = stage.world.clock.now();
    let mut calls = Vec::new();
    loop {
        let done = stage.release(stage.world.op(), run.import_id, until).await.expect("released");
        calls.push(done.released);
        if done.complete {
            break;
        }
    }
    assert_eq!(calls, [90, 30]);
    assert_eq!(stage.world.stock().await, Stock::of(200));
    stage.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn invitations_of_a_file_are_cancelled_and_who_accepted_one_is_released() {
    for rows_are_kept in [true, false] {
        let stage = Stage::with_seats(10).await;
        let inviting = ImportSettings { mode: Mode::Invite, ..plainly() };
        let run = stage.completed(inviting, &people(4, |_| "")).await;
        let world = &stage.world;
        stage.accept(1).await;
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let (caller, new) = (world.administrator(), EmailAddress::parse("new@example.fr"));
        let (op, client, new) = (world.op(), &world.client, new.expect("an address"));
        let moved = stage.invited(2);
        change_address(store, clock, keys, &caller, op, client, moved, &new).await.expect("moved");
        if !rows_are_kept {
            stage.forget_rows(&run).await;
        }
        let done = stage.release_all(world.op(), run.import_id).await;
        assert_eq!((done.released, done.cancelled, done.complete), (1, 2, true));
        let stock = Stock { total: 10, held: 1, available: 9, ..Stock::default() };
        assert_eq!(world.stock().await, stock, "that of another address goes on waiting");
        for number in [0, 3] {
            let found = store.invitation(client, stage.invited(number)).await.expect("readable");
            assert_eq!(found.expect("it").status, InvitationStatus::Cancelled);
        }
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test]
async fn released_seats_return_by_the_contracts_policy_and_one_that_waits_always_does() {
    let policies = Policies { stock_kind: StockKind::Consumable, ..Policies::default() };
    let stage = Stage::with_policies(10, policies).await;
    let dates = ["", "24/11/2026", "01/03/2027"];
    let run = stage.completed(plainly(), &people(3, |number| dates[number])).await;
    // The day of the second one comes, and nobody has opened it yet.
    stage.world.clock.advance(SignedDuration::from_hours(20));
    let done = stage.release_all(stage.world.op(), run.import_id).await;
    assert_eq!((done.released, done.complete), (3, true));
    let stock = Stock { total: 10, spent: 2, available: 8, ..Stock::default() };
    assert_eq!(stage.world.stock().await, stock);
    stage.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn only_an_import_that_let_people_in_is_released() {
    let stage = Stage::with_seats(10).await;
    let checked = stage.checked(plainly(), &people(2, |_| "")).await;
    let until = stage.world.clock.now();
    let refused = stage.release(stage.world.op(), checked.import_id, until).await;
    assert!(matches!(refused, Err(SteerImportError::NotReady(ImportStatus::Checked))));
    let unknown = stage.release(stage.world.op(), ImportId::from_bits(7), until).await;
    assert!(matches!(unknown, Err(SteerImportError::NotFound)));
    // What an undo kept goes too.
    let run = stage.completed(plainly(), &people(3, |_| "")).await;
    let world = &stage.world;
    world.clock.advance(SignedDuration::from_secs(1));
    let learner = stage.learner("person.1@example.fr").await.expect("an account").learner_id;
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    issue_ticket(store, clock, ids, keys, &world.client, learner).await.expect("a ticket");
    let undone = stage.undone(run.import_id).await;
    assert_eq!(undone.status, ImportStatus::PartlyUndone);
    assert_eq!(stage.release_all(world.op(), run.import_id).await.released, 1);
    assert_eq!(world.stock().await, Stock::of(10));
}
