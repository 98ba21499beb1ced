//! Who is there already, who is invited, who has a password, who is told.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use seatkeeper_domain::actions::change_learner::{ChangeLearner, change_learner};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{HoldOn, Policies};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::GroupId;
use seatkeeper_domain::import_run::{ImportSettings, ImportStatus, OnExisting, Outcome, Verdict};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::learner::ProfileChange;
use seatkeeper_domain::ports::People as _;
use seatkeeper_domain::stock::Stock;
use seatkeeper_testkit::When;

use crate::desk::plainly;
use crate::stage::{Stage, people};

const TODAY: fn(usize) -> &'static str = |_| "";

#[tokio::test]
async fn the_same_bytes_again_change_nothing_and_tell_nobody() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(3, TODAY)).await;
    let (stock, mails) = (stage.world.stock().await, stage.mails());
    let again = stage.import("b.csv", people(3, TODAY)).await;
    assert_eq!((again.totals.existing, again.totals.skipped), (3, 3));
    assert_eq!((stage.world.stock().await, stage.mails()), (stock, mails));
    stage.assert_at_rest(&again).await;
}

#[tokio::test]
async fn blanks_are_filled_or_values_replaced_only_when_asked() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", "email;prénom\na@example.fr;Ana\n").await;
    let wider = "email;prénom;nom;groupe\na@example.fr;Anne;Martin;Paris\n";
    let names = async || {
        let profile = stage.learner("a@example.fr").await.expect("an account").profile;
        (profile.first_name, profile.last_name, profile.group_ids.len())
    };
    stage.import_with(wider, &[]).await;
    assert_eq!(names().await, (Some("Ana".into()), None, 0));
    let filled = stage.import_with(wider, &[("on-existing", "fill_blank")]).await;
    assert_eq!(filled.totals.updated, 1);
    assert_eq!(names().await, (Some("Ana".into()), Some("Martin".into()), 1));
    let updated = stage.import_with(wider, &[("on-existing", "update")]).await;
    assert_eq!(updated.totals.updated, 1);
    assert_eq!(names().await, (Some("Anne".into()), Some("Martin".into()), 1));
    assert_eq!(stage.mails().len(), 1, "only the first import tells");
    assert_eq!(stage.world.stock().await.used, 1);
    stage.assert_at_rest(&updated).await;
}

#[tokio::test]
async fn sets_are_filled_where_there_is_none_and_replaced_when_asked() {
    let stage = Stage::with_seats(10).await;
    let head = "email;rôle;groupe;étiquette";
    let file = |row: &str| format!("{head}\na@example.fr;{row}\n");
    let sets = async || {
        let profile = stage.learner("a@example.fr").await.expect("an account").profile;
        let name = |id: &GroupId| stage.groups.iter().find(|known| known.0 == *id).map(|g| g.1);
        let roles: Vec<String> = profile.roles.iter().map(ToString::to_string).collect();
        let groups: Vec<_> = profile.group_ids.iter().filter_map(name).collect();
        format!("{} {} {:?}", roles.join("+"), groups.join("+"), profile.labels)
    };
    stage.import("a.csv", file("learner;Paris;")).await;
    let other = file("group_admin;Région Nord;spring|late");
    stage.import_with(&other, &[("on-existing", "fill_blank")]).await;
    assert_eq!(sets().await, r#"learner Paris {"late", "spring"}"#);
    stage.import_with(&file(";;"), &[("on-existing", "update")]).await;
    assert_eq!(sets().await, r#"learner Paris {"late", "spring"}"#, "blanks change nothing");
    let run = stage.import_with(&other, &[("on-existing", "update")]).await;
    assert_eq!(sets().await, r#"group_admin Région Nord {"late", "spring"}"#);
    stage.import_with(&file("learner;;autumn"), &[("on-existing", "update")]).await;
    assert_eq!(sets().await, r#"learner Région Nord {"autumn"}"#);
    stage.assert_at_rest(&run).await;
}

/// The last day of a person as the account says it, and when the seat ends.
async fn end_of(stage: &Stage, email: &str) -> (Option<Date>, Option<Timestamp>) {
    let learner = stage.learner(email).await.expect("an account");
    (learner.profile.end_on, learner.seats[&stage.world.pool()].ends_at)
}

/// The last day, and the midnight after it in Paris.
fn until(day: Date) -> (Option<Date>, Option<Timestamp>) {
    let zone = jiff::tz::TimeZone::get("Europe/Paris").expect("a zone");
    let midnight = day.tomorrow().expect("a day").to_zoned(zone).expect("a midnight");
    (Some(day), Some(midnight.timestamp()))
}

#[tokio::test]
async fn a_last_day_or_duration_that_a_file_gives_moves_the_end_of_the_seat() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", "email;durée\na@example.fr;\nb@example.fr;\nc@example.fr;400\n").await;
    let (none, own) = (end_of(&stage, "a@example.fr").await, end_of(&stage, "c@example.fr").await);
    assert!(none == (None, None) && own.1.is_some(), "{none:?} {own:?}");
    let file = "email;date de fin;durée;date de suppression\na@example.fr;30/06/2027;;01/07/2028\n\
                b@example.fr;;10;\nc@example.fr;30/06/2027;;\n";
    let filled = stage.import_with(file, &[("on-existing", "fill_blank")]).await;
    assert_eq!(filled.totals.updated, 3);
    let today = date(2026, 11, 23);
    let tenth = today.checked_add(jiff::ToSpan::days(9)).expect("a day");
    assert_eq!(end_of(&stage, "a@example.fr").await, until(date(2027, 6, 30)));
    assert_eq!(end_of(&stage, "b@example.fr").await, until(tenth), "from the day it opened");
    assert_eq!(end_of(&stage, "c@example.fr").await, own, "it has an end of its own");
    let deleted = stage.learner("a@example.fr").await.expect("an account").profile.delete_on;
    assert_eq!(deleted, Some(date(2028, 7, 1)));
    let later = file.replace("30/06/2027", "31/07/2027");
    stage.import_with(&later, &[("on-existing", "fill_blank")]).await;
    assert_eq!(end_of(&stage, "a@example.fr").await, until(date(2027, 6, 30)));
    let updated = stage.import_with(&later, &[("on-existing", "update")]).await;
    for email in ["a@example.fr", "c@example.fr"] {
        assert_eq!(end_of(&stage, email).await, until(date(2027, 7, 31)), "{email}");
    }
    stage.import_with("email\na@example.fr\n", &[("on-existing", "update")]).await;
    assert_eq!(end_of(&stage, "a@example.fr").await, until(date(2027, 7, 31)), "nothing given");
    assert_eq!(stage.mails().len(), 3, "only the first import tells");
    let dump = stage.world.cloud.dump();
    let told: Vec<_> = dump.iter().filter(|item| item["action"] == "seat_end_moved").collect();
    assert_eq!(told.len(), 4, "two ends were given, and two moved");
    let [first, second] = [until(date(2027, 6, 30)), until(date(2027, 7, 31))]
        .map(|(_, at)| at.expect("an end").to_string());
    assert!(told.iter().any(|one| one["before"] == first && one["reason"] == second), "{told:?}");
    stage.assert_at_rest(&updated).await;
}

#[tokio::test]
async fn an_end_that_does_not_go_with_the_seat_is_an_error_of_its_row() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(2, |_| "01/03/2027")).await;
    let settings = ImportSettings { on_existing: OnExisting::Update, ..plainly() };
    let file =
        "email;date de fin\nperson.0@example.fr;28/02/2027\nperson.1@example.fr;01/03/2027\n";
    let run = stage.checked(settings, file).await;
    assert_eq!((run.totals.invalid, run.totals.existing), (1, 1));
    let rows = stage.rows(&run).await;
    let errors: Vec<_> = rows[0].errors.iter().map(|e| (e.column.as_str(), &*e.code)).collect();
    assert_eq!(errors, [("end_on", "end-before-start")]);
    stage.commit(run.import_id).await.expect("committed");
    stage.resume(run.import_id).await.expect("completed");
    let run = stage.now(run.import_id).await;
    assert_eq!((run.totals.failed, run.totals.updated), (1, 1));
    assert_eq!(end_of(&stage, "person.0@example.fr").await, (None, None));
    assert_eq!(end_of(&stage, "person.1@example.fr").await, until(date(2027, 3, 1)));
    stage.assert_at_rest(&run).await;
}

/// Somebody gives the seat another end after the worker has looked at it.
#[tokio::test]
async fn an_end_that_was_changed_meanwhile_is_looked_at_again() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", "email\na@example.fr\n").await;
    let learner_id = stage.learner("a@example.fr").await.expect("an account").learner_id;
    let file = "email;date de fin\na@example.fr;30/06/2027\n";
    let object = stage.put_with("b.csv", file, &[("on-existing", "fill_blank")]).await;
    let world = &stage.world;
    let (store, clock, caller) = (world.store.clone(), world.clock.clone(), world.administrator());
    let (op, client_id) = (world.op(), world.client.clone());
    world.cloud.restart_trace();
    // Claim, reservation, and then the rows.
    world.cloud.let_first(When::call("TransactWriteItems", 3), move || async move {
        let end_on = Amend::Set(date(2027, 1, 31));
        let profile = ProfileChange { end_on, ..ProfileChange::default() };
        let command = ChangeLearner {
            client_id,
            learner_id,
            profile,
            start_on: None,
            pool: None,
            notify: false,
        };
        let ids = seatkeeper_testkit::SeededIds::new(99, &clock);
        let changed = change_learner(&store, &clock, &ids, &caller, op, &command).await;
        changed.expect("another end");
    });
    stage.run(&object).await.expect("an end");
    let run = stage.found(&object).await;
    assert_eq!((run.status, run.totals.updated), (ImportStatus::Completed, 1));
    assert_eq!(
        end_of(&stage, "a@example.fr").await,
        until(date(2027, 1, 31)),
        "not blank any more"
    );
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn people_who_exist_are_errors_when_asked() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(1, TODAY)).await;
    let run = stage.import_with(&people(2, TODAY), &[("on-existing", "error")]).await;
    let rows = stage.rows(&run).await;
    assert_eq!(rows[0].verdict, Verdict::Invalid);
    assert_eq!(rows[0].errors[0].code, "already-exists");
    assert_eq!(rows[1].outcome, Some(Outcome::Created));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn a_person_of_the_client_without_a_seat_in_this_pool_is_added() {
    let stage = Stage::with_seats(10).await;
    stage.import("a.csv", people(1, TODAY)).await;
    let learner = stage.learner("person.0@example.fr").await.expect("an account");
    let (world, op) = (&stage.world, stage.world.op());
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let of = (&world.client, &world.contract);
    let (actor, pool) = (Actor::System, world.pool());
    let released = release_seat(store, clock, ids, actor, op, of, learner.learner_id, pool);
    released.await.expect("released");
    let run = stage.import("b.csv", people(1, TODAY)).await;
    assert_eq!(run.totals.created, 1);
    let letters: Vec<_> = stage.mails().into_iter().map(|(_, letter)| letter).collect();
    assert!(letters.contains(&"added".to_owned()), "{letters:?}");
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn invite_mode_invites_strangers_and_seats_those_who_have_an_account() {
    let stage = Stage::with_seats(10).await;
    let text = "email;langue;date de début\na@example.fr;de;\nb@example.fr;;01/03/2027\n";
    let run = stage.import_with(text, &[("mode", "invite"), ("language", "it")]).await;
    assert_eq!((run.status, run.totals.invited), (ImportStatus::Completed, 2));
    assert_eq!(
        stage.world.stock().await,
        Stock { total: 10, held: 2, available: 8, ..Stock::default() }
    );
    let invitation = async |email: &str| {
        let email = EmailAddress::parse(email).expect("an address");
        let id = stage.world.keys.invitation_id(&stage.world.client, stage.world.pool(), &email);
        let found = stage.world.store.invitation(&stage.world.client, id).await;
        found.expect("readable").expect("an invitation")
    };
    let (a, b) = (invitation("a@example.fr").await, invitation("b@example.fr").await);
    assert_eq!(a.status, InvitationStatus::Pending);
    assert!(a.holds_seat);
    assert_eq!(a.grant.language.expect("a language").as_str(), "de");
    assert_eq!(b.grant.language.expect("a language").as_str(), "it");
    assert_eq!(b.grant.start_on, Some(date(2027, 3, 1)));
    let due: Vec<_> = stage.mails().into_iter().map(|(due, _)| due[..16].to_owned()).collect();
    let midnight_in_paris = "2027-02-28T23:00".to_owned();
    assert_eq!(due, [run.created_at.to_string()[..16].to_owned(), midnight_in_paris]);
    assert_eq!(b.expires_at.to_string(), "2027-03-14T23:00:00Z", "its days begin with its mail");
    stage.assert_at_rest(&run).await;
    let again = stage.import_with(text, &[("mode", "invite")]).await;
    assert_eq!((again.totals.existing, again.totals.skipped), (2, 2));
    assert_eq!(stage.mails().len(), 2, "nothing is sent again");
}

#[tokio::test]
async fn an_invitation_that_holds_no_seat_takes_none() {
    let policies = Policies { hold_on: HoldOn::Accept, ..Policies::default() };
    let stage = Stage::with_policies(1, policies).await;
    let run = stage.import_with(&people(5, TODAY), &[("mode", "invite")]).await;
    assert_eq!((run.status, run.totals.invited), (ImportStatus::Completed, 5));
    assert_eq!(run.seats.needed, 0);
    assert_eq!(stage.world.stock().await, Stock::of(1));
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn a_typed_password_works_and_stands_nowhere_in_clear() {
    let stage = Stage::with_seats(10).await;
    let secret = "Vert-Lagune-47";
    let text = format!("email;mot de passe\na@example.fr;{secret}\nb@example.fr;\n");
    let run = stage.import_with(&text, &[]).await;
    assert_eq!(run.totals.created, 2);
    let learner = stage.learner("a@example.fr").await.expect("an account");
    let credential = learner.credential.expect("a password");
    assert!(credential.hash.matches(secret) && !credential.must_change);
    assert!(stage.learner("b@example.fr").await.expect("an account").credential.is_none());
    let letters: Vec<_> = stage.mails().into_iter().map(|(_, letter)| letter).collect();
    assert_eq!(letters, ["account_created", "account_created_told_otherwise"]);
    let dump = serde_json::Value::Array(stage.world.cloud.dump()).to_string();
    assert!(!dump.contains(secret));
    let report = stage.report(&run);
    assert!(!report.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
}

#[tokio::test]
async fn who_is_not_to_be_told_is_not() {
    let stage = Stage::with_seats(10).await;
    let text = "email;envoyer l'invitation\na@example.fr;non\nb@example.fr;oui\nc@example.fr;\n";
    stage.import_with(text, &[]).await;
    assert_eq!(stage.mails().len(), 2);
    let text = text.replace("@example.fr", "@example.com");
    stage.import_with(&text, &[("notify", "no")]).await;
    assert_eq!(stage.mails().len(), 3, "a row's own answer wins over the file's");
}
