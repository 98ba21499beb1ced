//! Imports that somebody asked for: the preview, the commit, the cancel, and what is refused.

use jiff::SignedDuration;
use jiff::civil::date;
use seatkeeper_domain::actions::allocate_seats::add_sublicense;
use seatkeeper_domain::actions::cancel_import::forget_import;
use seatkeeper_domain::actions::commit_import::SteerImportError;
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::run_import::{ImportEnd, RowDefaults};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::{PoolId, SublicenseId};
use seatkeeper_domain::import::DateOrder;
use seatkeeper_domain::import_run::{
    ImportSettings, ImportStatus, Mode, OnShortage, Outcome, RowRecord, SeatNeed, Verdict, WAITS,
};
use seatkeeper_domain::learner::Profile;
use seatkeeper_domain::ports::{
    Catalog as _, Clock as _, Due as _, Files as _, IdSource as _, Sheets as _,
};
use seatkeeper_domain::role::Role;
use seatkeeper_domain::stock::Stock;
use seatkeeper_spreadsheet::Spreadsheets;

use crate::desk::plainly;
use crate::stage::{Stage, people};

const TODAY: fn(usize) -> &'static str = |_| "";

#[test]
fn a_form_takes_what_a_reader_reads() {
    assert_eq!(Spreadsheets.max_bytes(), seatkeeper_domain::import_run::FILE_MAX);
}

#[tokio::test]
async fn a_checked_import_says_what_a_commit_would_bring_and_moves_nothing() {
    let stage = Stage::with_seats(10).await;
    let world = &stage.world;
    let sublicense = Sublicense {
        sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
        contract_id: world.contract.contract_id,
        name: "Lyon".to_owned(),
        created_at: world.clock.now(),
    };
    let made =
        add_sublicense(&world.store, Actor::System, world.op(), &world.client, &sublicense, 2);
    made.await.expect("free seats");
    // Somebody has a seat in Lyon.
    let wanted = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: Some(sublicense.sublicense_id),
        email: EmailAddress::parse("person.1@example.fr").expect("an address"),
        profile: Profile::default(),
        password: PasswordChoice::Link,
        term: TermRequest::default(),
        notify: false,
        copy_to: None,
    };
    let (clock, ids, keys) = (&world.clock, &world.ids, &world.keys);
    create_learner(&world.store, clock, ids, keys, &world.administrator(), world.op(), &wanted)
        .await
        .expect("a seat");
    let (stock, mails) = (world.stock().await, stage.mails());
    let text = "email;langue;envoyer l'invitation\nperson.0@example.fr;en;\n\
                person.1@example.fr;;\nperson.2@example.fr;;non\nperson.3@example.fr;EN;\nnobody;;\n";
    let run = stage.checked(plainly(), text).await;
    assert_eq!(run.status, ImportStatus::Checked);
    assert_eq!((run.totals.valid, run.totals.invalid), (4, 1));
    assert_eq!((run.seats.needed, run.seats.available, run.seats.short), (4, 8, 0));
    assert_eq!(run.outlook.second_seats, 1);
    let told: Vec<_> = run.outlook.mails.iter().map(|(l, n)| (l.to_string(), *n)).collect();
    assert_eq!(told, [("en".to_owned(), 2), ("fr".to_owned(), 1)]);
    let rows = stage.rows(&run).await;
    assert_eq!(rows[1].also_in, [PoolId::Sublicense(sublicense.sublicense_id)]);
    assert!(rows.iter().all(|row| row.outcome.is_none()));
    assert_eq!(run.waits_until, Some(world.clock.now() + WAITS));
    assert!(!stage.report(&run).is_empty(), "what will fail can be mended before the commit");
    assert_eq!((world.stock().await, stage.mails()), (stock, mails));
}

#[tokio::test]
async fn a_commit_takes_the_stock_as_it_is_then() {
    let stage = Stage::with_seats(3).await;
    let run = stage.checked(plainly(), &people(3, TODAY)).await;
    assert_eq!(run.seats.short, 0);
    let other = stage.import("b.csv", "email\nsomebody@example.fr\n").await;
    assert_eq!(other.totals.created, 1);
    let refused = stage.commit(run.import_id).await;
    assert!(
        matches!(refused, Err(SteerImportError::NoSeatsLeft(SeatNeed { short: 1.., .. }))),
        "{refused:?}"
    );
    let run = stage.now(run.import_id).await;
    assert_eq!(run.status, ImportStatus::Checked, "it can be committed later");
    stage.undone(other.import_id).await;
    stage.commit(run.import_id).await.expect("committed");
    assert_eq!(stage.world.stock().await.held, 3, "set aside at once");
    stage.resume(run.import_id).await.expect("completed");
    let run = stage.now(run.import_id).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 3));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn with_none_an_invalid_row_keeps_everything_from_being_committed() {
    let stage = Stage::with_seats(3).await;
    let settings = ImportSettings { on_shortage: OnShortage::None, ..plainly() };
    let run = stage.checked(settings, "email\na@example.fr\nnobody\n").await;
    let refused = stage.commit(run.import_id).await;
    assert!(matches!(refused, Err(SteerImportError::RowsInvalid)), "{refused:?}");
    assert_eq!(stage.world.stock().await, Stock::of(3));
}

#[tokio::test]
async fn with_fill_a_commit_goes_in_file_order_until_the_stock_ends() {
    let stage = Stage::with_seats(2).await;
    let settings = ImportSettings { on_shortage: OnShortage::Fill, ..plainly() };
    let run = stage.completed(settings, &people(4, TODAY)).await;
    let created = Some(Outcome::Created);
    let not = Some(Outcome::NotSeated);
    assert_eq!(stage.outcomes(&run).await, [created, created, not, not]);
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn what_its_state_does_not_allow_is_refused_and_changes_nothing() {
    let stage = Stage::with_seats(5).await;
    let waiting = stage.open(plainly(), RowDefaults::default()).await;
    let checked = stage.checked(plainly(), &people(1, TODAY)).await;
    let completed = stage.completed(plainly(), &people(2, TODAY)).await;
    let before = stage.world.cloud.dump();
    for (import, is) in [(&waiting, "created"), (&completed, "completed")] {
        let refused = stage.commit(import.import_id).await;
        let told = matches!(&refused, Err(SteerImportError::NotReady(s)) if s.to_string() == is);
        assert!(told, "{refused:?}");
    }
    for import in [&waiting, &checked] {
        let refused = stage.undo(import.import_id).await;
        assert!(matches!(refused, Err(SteerImportError::NotReady(_))), "{refused:?}");
    }
    let refused = stage.cancel(completed.import_id).await;
    assert!(matches!(refused, Err(SteerImportError::NotReady(_))), "{refused:?}");
    assert_eq!(stage.world.cloud.dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_commit_and_a_cancel_at_once_one_happens() {
    for _ in 0..20 {
        let stage = Stage::with_seats(5).await;
        let run = stage.checked(plainly(), &people(3, TODAY)).await;
        let (committed, cancelled) =
            tokio::join!(stage.commit(run.import_id), stage.cancel(run.import_id));
        assert!(committed.is_ok() != cancelled.is_ok(), "{committed:?} {cancelled:?}");
        let held = if committed.is_ok() { 3 } else { 0 };
        assert_eq!(stage.world.stock().await.held, held);
        stage.world.assert_seats_are_conserved().await;
    }
}

#[tokio::test]
async fn an_import_that_waits_a_day_in_vain_is_cancelled() {
    let stage = Stage::with_seats(5).await;
    let waiting = stage.open(plainly(), RowDefaults::default()).await;
    let checked = stage.checked(plainly(), &people(1, TODAY)).await;
    let store = &stage.world.store;
    stage.world.clock.advance(WAITS - SignedDuration::from_secs(1));
    let due = store.waiting_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert!(due.is_empty(), "{due:?}");
    stage.world.clock.advance(SignedDuration::from_secs(1));
    let due = store.waiting_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert_eq!(due.len(), 2);
    for (client, import) in due {
        let (clock, op) = (&stage.world.clock, stage.world.op());
        assert!(forget_import(store, clock, op, &client, import).await.expect("cancelled"));
    }
    for import in [waiting.import_id, checked.import_id] {
        assert_eq!(stage.now(import).await.status, ImportStatus::Cancelled);
        let refused = stage.commit(import).await;
        assert!(matches!(refused, Err(SteerImportError::NotReady(_))), "{refused:?}");
    }
    // A file that comes after all is left alone.
    let object = stage.upload(&waiting, &people(1, TODAY));
    stage.handle(&stage.event(&object)).await.expect("handled");
    assert_eq!(stage.now(waiting.import_id).await.status, ImportStatus::Cancelled);
    let due = store.waiting_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert!(due.is_empty());
}

#[tokio::test]
async fn the_first_file_of_a_form_counts_and_its_event_once() {
    let stage = Stage::with_seats(5).await;
    let run = stage.open(plainly(), RowDefaults::default()).await;
    let first = stage.upload(&run, &people(1, TODAY));
    let second = stage.upload(&run, &people(2, TODAY));
    // Out of order, and twice.
    for object in [&second, &first, &second] {
        stage.handle(&stage.event(object)).await.expect("handled");
    }
    let run = stage.now(run.import_id).await;
    assert_eq!((run.status, run.rows_total), (ImportStatus::Checked, 2));
    assert_eq!(run.source.version_id.as_deref(), Some(second.version_id.as_str()));
}

#[tokio::test]
async fn a_file_that_is_gone_when_its_event_comes_rejects_the_import() {
    let stage = Stage::with_seats(5).await;
    let run = stage.open(plainly(), RowDefaults::default()).await;
    let mut event = stage.event(&stage.upload(&run, "email\na@example.fr\n"));
    event["Records"][0]["s3"]["object"]["versionId"] = "another".into();
    stage.handle(&event).await.expect("handled");
    let run = stage.now(run.import_id).await;
    assert_eq!(run.status, ImportStatus::Rejected);
    assert_eq!(run.reject_code.as_deref(), Some("file-gone"));
}

#[tokio::test]
async fn with_auto_commit_a_file_is_imported_as_it_comes() {
    let stage = Stage::with_seats(5).await;
    let settings = ImportSettings { auto_commit: true, ..plainly() };
    let run = stage.checked(settings, &people(2, TODAY)).await;
    assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 2));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn defaults_speak_where_a_row_is_silent_and_groups_are_made_when_asked() {
    let stage = Stage::with_seats(5).await;
    let settings = ImportSettings { create_groups: true, date_order: DateOrder::Mdy, ..plainly() };
    let defaults = RowDefaults {
        end_on: Some(date(2027, 12, 31)),
        labels: ["autumn".to_owned()].into(),
        roles: [Role::GroupAdmin].into(),
        additional_info: Some("by import".to_owned()),
        generate_password: true,
        ..RowDefaults::default()
    };
    let run = stage.open(settings, defaults).await;
    let text = "email;groupe;étiquette;durée;date de début;rôle\n\
                a@example.fr;Lyon;;;03/01/2027;learner\nb@example.fr;LYON|Paris;spring;;;\n\
                c@example.fr;Nice;;30;;\nnobody;Brest;;;;\n";
    let object = stage.upload(&run, text);
    stage.handle(&stage.event(&object)).await.expect("checked");
    stage.commit(run.import_id).await.expect("committed");
    stage.resume(run.import_id).await.expect("completed");
    let run = stage.now(run.import_id).await;
    assert_eq!((run.totals.created, run.totals.scheduled, run.totals.failed), (2, 1, 1));
    let mut names: Vec<_> = stage.world.store.groups(&stage.world.client).await.expect("groups");
    names.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = names.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["Lyon", "Nice", "Paris", "Région Nord"], "none for a row that failed");
    let person = async |email: &str| stage.learner(email).await.expect("an account");
    let (a, b, c) =
        (person("a@example.fr").await, person("b@example.fr").await, person("c@example.fr").await);
    let pool = stage.world.pool();
    assert_eq!(a.seats[&pool].starts_on, Some(date(2027, 3, 1)));
    assert_eq!((a.profile.roles.len(), b.profile.roles.len()), (1, 1));
    assert!(
        a.profile.roles.contains(&Role::Learner) && b.profile.roles.contains(&Role::GroupAdmin)
    );
    assert_eq!(a.profile.labels, ["autumn".to_owned()].into());
    assert_eq!(b.profile.labels, ["spring".to_owned()].into(), "a row's own value wins");
    assert_eq!((b.profile.group_ids.len(), a.profile.group_ids.len()), (2, 1));
    assert!(
        b.profile.group_ids.is_superset(&a.profile.group_ids),
        "one group, however it is spelt"
    );
    assert_eq!(b.profile.end_on, Some(date(2027, 12, 31)));
    assert_eq!(c.profile.end_on, None, "its own duration wins");
    assert!(c.seats[&pool].ends_at < b.seats[&pool].ends_at);
    assert_eq!(b.profile.additional_info.as_deref(), Some("by import"));
    assert!(b.credential.is_some_and(|known| known.must_change));
    let letters: Vec<_> = stage.mails().into_iter().map(|(_, letter)| letter).collect();
    let generated = letters.iter().filter(|letter| *letter == "account_created_with_password");
    assert_eq!(generated.count(), 2, "{letters:?}");
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn a_row_that_contradicts_the_imports_day_of_deletion_is_invalid_in_the_preview() {
    for mode in [Mode::Create, Mode::Invite] {
        let stage = Stage::with_seats(5).await;
        let defaults = RowDefaults { delete_on: Some(date(2027, 6, 30)), ..RowDefaults::default() };
        let run = stage.open(ImportSettings { mode, ..plainly() }, defaults).await;
        let text = "email;date de fin\na@example.fr;01/07/2027\nb@example.fr;30/06/2027\n";
        let object = stage.upload(&run, text);
        stage.handle(&stage.event(&object)).await.expect("checked");
        let checked = stage.now(run.import_id).await;
        assert_eq!((checked.totals.invalid, checked.totals.valid), (1, 1), "{mode:?}");
        let rows = stage.rows(&checked).await;
        let of = |row: &RowRecord| {
            row.errors.iter().map(|e| format!("{} {}", e.column, e.code)).collect::<Vec<_>>()
        };
        assert_eq!(of(&rows[0]), ["end_on end-before-start"], "{mode:?}");
        // A row that says nothing is wrong once that day is over.
        let defaults =
            RowDefaults { delete_on: Some(date(2026, 11, 23)), ..RowDefaults::default() };
        let silent = stage.open(ImportSettings { mode, ..plainly() }, defaults).await;
        stage.world.clock.advance(SignedDuration::from_hours(20));
        let object = stage.upload(&silent, "email\nc@example.fr\n");
        stage.handle(&stage.event(&object)).await.expect("checked");
        let checked = stage.now(silent.import_id).await;
        assert_eq!(of(&stage.rows(&checked).await[0]), ["delete_on end-before-start"], "{mode:?}");
    }
}

#[tokio::test]
async fn a_row_whose_end_has_come_when_it_is_written_says_so() {
    let stage = Stage::with_seats(5).await;
    let run = stage.checked(plainly(), "email;date de fin\na@example.fr;23/11/2026\n").await;
    assert_eq!(run.totals.valid, 1);
    stage.world.clock.advance(SignedDuration::from_hours(20));
    stage.commit(run.import_id).await.expect("committed");
    stage.resume(run.import_id).await.expect("completed");
    let run = stage.now(run.import_id).await;
    let rows = stage.rows(&run).await;
    assert_eq!((rows[0].outcome, rows[0].errors.len()), (Some(Outcome::Failed), 1));
    let error = &rows[0].errors[0];
    assert_eq!((error.column.as_str(), error.code.as_str()), ("end_on", "end-before-start"));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn whoever_uploaded_a_file_is_told_once_how_it_ended() {
    let stage = Stage::with_seats(3).await;
    let told = || stage.mails().into_iter().filter(|(_, letter)| letter == "import").count();
    let checked = stage.checked(plainly(), &people(1, TODAY)).await;
    assert_eq!(told(), 0, "it has not ended");
    stage.cancel(checked.import_id).await.expect("cancelled");
    assert_eq!(told(), 0, "whoever cancels it knows");
    let completed = stage.completed(plainly(), &people(2, TODAY)).await;
    assert_eq!((completed.status, told()), (ImportStatus::Completed, 1));
    stage.undone(completed.import_id).await;
    assert_eq!(told(), 1, "whoever undoes it looks on");
    let at_once = ImportSettings { auto_commit: true, ..plainly() };
    let refused = stage.checked(at_once.clone(), &people(9, TODAY)).await;
    assert_eq!((refused.status, told()), (ImportStatus::Refused, 2));
    let rejected = stage.checked(at_once, "name\nAna\n").await;
    assert_eq!((rejected.status, told()), (ImportStatus::Rejected, 3));
    stage.import("a.csv", people(1, TODAY)).await;
    assert_eq!(told(), 3, "nobody is known to have dropped a file");
}

#[tokio::test]
async fn invitations_of_a_file_carry_its_message_and_who_asked_for_it() {
    let stage = Stage::with_seats(5).await;
    let settings = ImportSettings { mode: Mode::Invite, ..plainly() };
    let defaults = RowDefaults { message: Some("À lundi !".to_owned()), ..RowDefaults::default() };
    let run = stage.open(settings, defaults).await;
    let object = stage.upload(&run, &people(2, TODAY));
    stage.handle(&stage.event(&object)).await.expect("checked");
    stage.commit(run.import_id).await.expect("committed");
    let end = stage.resume(run.import_id).await.expect("completed");
    assert_eq!(end, ImportEnd::Ended(ImportStatus::Completed));
    let dump = stage.world.cloud.dump();
    let invitations: Vec<_> = dump.iter().filter(|item| item["kind"] == "invitation").collect();
    assert_eq!(invitations.len(), 2);
    for invitation in invitations {
        assert_eq!(invitation["message"], "À lundi !");
        assert_eq!(invitation["inviter"], "admin@acme.example");
    }
    stage.assert_at_rest(&stage.now(run.import_id).await).await;
}

#[tokio::test]
async fn people_who_come_between_check_and_commit_are_set_aside() {
    let stage = Stage::with_seats(5).await;
    let run = stage.checked(plainly(), &people(3, TODAY)).await;
    stage.import("b.csv", "email\nperson.1@example.fr\n").await;
    stage.commit(run.import_id).await.expect("committed");
    stage.resume(run.import_id).await.expect("completed");
    let run = stage.now(run.import_id).await;
    let rows = stage.rows(&run).await;
    assert_eq!((rows[1].verdict, rows[1].outcome), (Verdict::Existing, Some(Outcome::Skipped)));
    assert_eq!(stage.world.stock().await.used, 3);
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn a_commit_whose_worker_is_never_woken_is_found_by_the_sweep() {
    let stage = Stage::with_seats(5).await;
    let run = stage.checked(plainly(), &people(2, TODAY)).await;
    stage.commit(run.import_id).await.expect("committed");
    let due = stage.world.store.due_imports(stage.world.clock.now(), 10).await.expect("readable");
    assert_eq!(due.len(), 1);
    // Both wishes, the caller's and the sweep's.
    let (client, epoch) = (&stage.world.client, stage.now(run.import_id).await.epoch);
    stage.files.wake_import(client, run.import_id, epoch).await.expect("woken");
    let objects = stage.world.cloud.objects();
    let wish = objects.iter().find(|object| object.key.contains("/go-on-")).expect("a wish");
    stage.handle(&stage.event(wish)).await.expect("completed");
    let end = stage.resume(run.import_id).await.expect("nothing to do");
    assert_eq!(end, ImportEnd::WasAtRest(ImportStatus::Completed));
    stage.assert_at_rest(&stage.now(run.import_id).await).await;
}
