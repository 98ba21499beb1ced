//! What the metadata of a dropped object asks for.

use jiff::civil::date;
use seatkeeper_domain::import_run::{ImportStatus, Mode, OnExisting, OnShortage};
use seatkeeper_domain::stock::Stock;

use crate::stage::Stage;

const ONE: &str = "email\na@example.fr\n";

#[tokio::test]
async fn a_file_without_metadata_creates_skips_and_leaves_invalid_rows_out() {
    let stage = Stage::with_seats(5).await;
    let run = stage.import("a.csv", ONE).await;
    assert_eq!(run.settings.mode, Mode::Create);
    assert_eq!(run.settings.on_existing, OnExisting::Skip);
    assert_eq!(run.settings.on_shortage, OnShortage::ValidOnly);
    assert!(run.settings.auto_commit);
    assert_eq!(run.language.as_str(), "fr", "the client's");
}

#[tokio::test]
async fn metadata_gives_the_rows_what_they_do_not_say() {
    let stage = Stage::with_seats(5).await;
    let group = stage.groups[0].0.to_string();
    let metadata =
        [("start-on", "01/03/2027"), ("groups", group.as_str()), ("Language", "nl-BE"), ("x", "y")];
    let text = "email;groupe\na@example.fr;\nb@example.fr;Région Nord\n";
    let run = stage.import_with(text, &metadata).await;
    assert_eq!((run.status, run.totals.scheduled), (ImportStatus::Completed, 2));
    let a = stage.learner("a@example.fr").await.expect("an account");
    let b = stage.learner("b@example.fr").await.expect("an account");
    assert_eq!(a.seats[&stage.world.pool()].starts_on, Some(date(2027, 3, 1)));
    assert_eq!(a.profile.language.expect("a language").as_str(), "nl");
    assert!(a.profile.group_ids.contains(&stage.groups[0].0));
    assert_eq!(b.profile.group_ids, [stage.groups[1].0].into(), "a row's own value wins");
    stage.assert_at_rest(&run).await;
}

#[tokio::test]
async fn metadata_that_says_nothing_known_rejects_the_file_by_name() {
    let stage = Stage::with_seats(5).await;
    for (name, value) in [
        ("mode", "destroy"),
        ("on-existing", "overwrite"),
        ("on-shortage", "maybe"),
        ("language", "klingon"),
        ("start-on", "2031-01-01"),
        ("start-on", "soon"),
        ("groups", "Lyon"),
        ("notify", "perhaps"),
        ("sublicense", "sub_00000000000000000000000001"),
        ("sublicense", "mine"),
    ] {
        let run = stage.import_with(ONE, &[(name, value)]).await;
        assert_eq!(run.status, ImportStatus::Rejected, "{name}");
        assert_eq!(run.reject_code, Some(format!("invalid-{name}")), "{value}");
        stage.assert_at_rest(&run).await;
    }
    assert_eq!(stage.world.stock().await, Stock::of(5));
}

#[tokio::test]
async fn metadata_names_groups_with_accents_as_headers_can_hold_them() {
    let stage = Stage::with_seats(5).await;
    for (seats, groups) in ["=?UTF-8?Q?R=C3=A9gion_Nord?=", "R%C3%A9gion%20Nord"].iter().enumerate()
    {
        let text = format!("email\np{seats}@example.fr\n");
        let run = stage.import_with(&text, &[("groups", groups)]).await;
        assert_eq!((run.status, run.totals.created), (ImportStatus::Completed, 1), "{groups}");
        let learner = stage.learner(&format!("p{seats}@example.fr")).await.expect("an account");
        assert_eq!(learner.profile.group_ids, [stage.groups[1].0].into());
    }
}
