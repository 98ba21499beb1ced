//! What an administrator changes about a learner: the person, the day, whose seat it is; and how a
//! seat is explained.

use jiff::{SignedDuration, ToSpan as _};
use seatkeeper_tests::http::{Call, House, Person, Reply, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, contract, globex, group, stock, text};

/// A day so many days from today, in Paris.
fn day(days: i64) -> String {
    let today = now().to_zoned(jiff::tz::TimeZone::get("Europe/Paris").expect("a zone")).date();
    today.checked_add(days.days()).expect("a date").to_string()
}

async fn create(house: &House, order: Value) -> Value {
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn path_of(made: &Value) -> String {
    format!("{GLOBEX}/learners/{}", text(&made["learner"]["learner_id"]))
}

async fn patch(house: &House, path: &str, body: Value) -> Reply {
    house.send(Call::new("PATCH", path).json(&body).by(&admin())).await
}

#[tokio::test]
async fn what_is_known_of_a_person_changes_field_by_field() {
    let (house, contract) = globex(5).await;
    let (old, new) = (group(&house, "Old").await, group(&house, "New").await);
    let made = create(
        &house,
        json!({
            "contract_id": contract, "email": "lea@globex.example", "first_name": "Lea",
            "last_name": "Martin", "labels": ["a", "b"], "group_ids": [old], "external_id": "E-1",
            "language": "fr",
        }),
    )
    .await;
    let path = path_of(&made);
    let changed = patch(
        &house,
        &path,
        json!({
            "last_name": "Durand", "external_id": null, "labels": ["c"], "group_ids": [new],
            "language": "de", "additional_info": "Building 4",
        }),
    )
    .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let mut expected = made["learner"].clone();
    for (name, value) in [
        ("last_name", json!("Durand")),
        ("external_id", json!(null)),
        ("labels", json!(["c"])),
        ("group_ids", json!([new])),
        ("language", json!("de")),
        ("additional_info", json!("Building 4")),
    ] {
        expected[name] = value;
    }
    assert_eq!(changed.json(), expected);
    assert_eq!(house.get(&admin(), &path).await.json(), expected);
    let nothing = patch(&house, &path, json!({})).await;
    assert_eq!((nothing.status, nothing.json()), (200, expected.clone()));
    let emptied = patch(&house, &path, json!({"labels": [], "group_ids": []})).await.json();
    assert_eq!((&emptied["labels"], &emptied["group_ids"]), (&json!([]), &json!([])));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_names_what_is_wrong_and_changes_nothing() {
    let (house, contract) = globex(5).await;
    let made =
        create(&house, json!({"contract_id": contract, "email": "lea@globex.example"})).await;
    let path = path_of(&made);
    let before = house.world.cloud.dump();
    for (body, fault) in [
        (json!({"email": "b@x.example"}), "/email unknown-field"),
        (json!({"first_name": ""}), "/first_name too-short"),
        (json!({"group_ids": ["grp_00000000000000000000000000"]}), "/group_ids unknown-group"),
        (json!({"end_on": "2020-01-01"}), "/end_on end-before-start"),
        (json!({"delete_on": "2020-01-01"}), "/delete_on end-before-start"),
        (json!({"end_on": day(9), "delete_on": day(8)}), "/delete_on end-before-start"),
        (json!({"start_on": "soon"}), "/start_on invalid-date"),
        (json!({"pool": contract}), "/pool start-missing"),
        (json!({"pool": "x", "start_on": day(3)}), "/pool unknown-pool"),
    ] {
        let refused = patch(&house, &path, body.clone()).await;
        assert_eq!((refused.status, refused.faults()), (422, vec![fault.to_owned()]), "{body}");
    }
    let opened = patch(&house, &path, json!({"start_on": day(3)})).await;
    assert_eq!((opened.status, opened.code().as_str()), (409, "conflict"), "it has opened");
    let privileged = patch(&house, &path, json!({"roles": ["client_admin"]})).await;
    assert_eq!((privileged.status, privileged.code().as_str()), (403, "forbidden"));
    let nobody = format!("{GLOBEX}/learners/lrn_00000000000000000000000000");
    assert_eq!(patch(&house, &nobody, json!({"first_name": "A"})).await.status, 404);
    let lms = Call::new("PATCH", &path).json(&json!({"first_name": "A"}));
    assert_eq!(house.send(lms.by(&Person::lms("globex"))).await.status, 403);
    assert_eq!(house.world.cloud.dump(), before);
}

#[tokio::test]
async fn a_last_day_ends_the_seats_and_can_be_taken_away() {
    let (house, contract) = globex(5).await;
    let made =
        create(&house, json!({"contract_id": contract, "email": "lea@globex.example"})).await;
    let path = path_of(&made);
    let ends = patch(&house, &path, json!({"end_on": day(10)})).await.json();
    assert_eq!(ends["end_on"], json!(day(10)));
    let ends_at = text(&ends["seats"][0]["ends_at"]);
    let ends_at: jiff::Timestamp = ends_at.parse().expect("an instant");
    assert!(ends_at.duration_since(now()) > SignedDuration::from_hours(24 * 9));
    // That nothing moves is no news.
    assert_eq!(patch(&house, &path, json!({"end_on": day(10)})).await.json(), ends);
    let open = patch(&house, &path, json!({"end_on": null})).await.json();
    assert_eq!((&open["end_on"], &open["seats"][0]["ends_at"]), (&json!(null), &json!(null)));
    let learner = text(&made["learner"]["learner_id"]);
    let told = format!("{GLOBEX}/seats/{contract}/explain?learner={learner}");
    let told = house.get(&admin(), &told).await.json();
    let moved: Vec<_> = told["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["action"] == "seat_end_moved")
        .map(|one| (&one["before"], &one["after"]))
        .collect();
    let last = &ends["seats"][0]["ends_at"];
    assert_eq!(moved, [(&json!(null), last), (last, &json!(null))]);
}

#[tokio::test]
async fn nobody_is_erased_before_their_last_day_or_their_first() {
    let (house, contract) = globex(5).await;
    let lasts = json!({"contract_id": contract, "email": "lea@globex.example", "end_on": day(9)});
    let waits = json!({"contract_id": contract, "email": "max@globex.example", "start_on": day(9)});
    for order in [lasts, waits] {
        let path = path_of(&create(&house, order).await);
        let early = patch(&house, &path, json!({"delete_on": day(8)})).await;
        assert_eq!(early.faults(), ["/delete_on end-before-start"]);
        let then = patch(&house, &path, json!({"delete_on": day(9)})).await;
        assert_eq!((then.status, &then.json()["delete_on"]), (200, &json!(day(9))));
        let sooner = patch(&house, &path, json!({"delete_on": null})).await;
        assert_eq!(sooner.json()["delete_on"], json!(null));
    }
    // With both, it is the new last day that counts.
    let path =
        path_of(&create(&house, json!({"contract_id": contract, "email": "c@x.example"})).await);
    let both = patch(&house, &path, json!({"end_on": day(5), "delete_on": day(6)})).await;
    assert_eq!(both.status, 200, "{}", both.text);
    let both = patch(&house, &path, json!({"end_on": day(2), "delete_on": day(3)})).await;
    assert_eq!(both.status, 200, "{}", both.text);
}

#[tokio::test]
async fn a_scheduled_seat_opens_on_another_day_or_at_once() {
    let (house, first) = globex(5).await;
    let made = create(
        &house,
        json!({"contract_id": first, "email": "lea@globex.example", "start_on": day(10)}),
    )
    .await;
    assert_eq!(made["stock"], stock([5, 0, 1, 0, 0, 4]));
    let path = path_of(&made);
    let earlier = patch(&house, &path, json!({"start_on": day(5)})).await;
    assert_eq!(earlier.status, 200, "{}", earlier.text);
    let seat = &earlier.json()["seats"][0];
    assert_eq!((&seat["state"], &seat["starts_on"]), (&json!("scheduled"), &json!(day(5))));
    assert_eq!(seat["held_at"], made["seat"]["held_at"], "it is promised since it was");
    assert_eq!(earlier.json()["stock"], stock([5, 0, 1, 0, 0, 4]));
    // Another seat waits too: now it has to be said which.
    let second = contract(&house, json!({"reference": "2026-G3", "seats": 1})).await;
    create(
        &house,
        json!({"contract_id": second, "email": "lea@globex.example", "start_on": day(7)}),
    )
    .await;
    let which = patch(&house, &path, json!({"start_on": day(0)})).await;
    assert_eq!((which.status, which.faults()), (422, vec!["/pool pool-missing".to_owned()]));
    let opened = patch(&house, &path, json!({"start_on": day(-3), "pool": second})).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    assert_eq!(opened.json()["stock"], stock([1, 0, 0, 1, 0, 0]));
    assert_eq!(opened.json()["status"], "active");
    let again = patch(&house, &path, json!({"start_on": day(4), "pool": second})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "conflict"));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_seat_goes_to_somebody_else_in_one_step() {
    let (house, contract) = globex(1).await;
    let team = group(&house, "Team").await;
    let order = json!({
        "contract_id": contract, "email": "lea@globex.example", "group_ids": [team],
        "labels": ["desk 4"],
    });
    let made = create(&house, order).await;
    let path = format!("{}/transfer", path_of(&made));
    let order = json!({"to_email": "max@globex.example", "first_name": "Max"});
    let call = || Call::post(&path, &order).by(&admin()).key("k");
    let moved = house.send(call()).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let body = moved.json();
    assert_eq!(body["stock"], stock([1, 0, 0, 1, 0, 0]), "on a full contract");
    assert_eq!(body["learner"]["email"], "max@globex.example");
    assert_eq!(body["learner"]["group_ids"], json!([team]));
    assert_eq!(body["learner"]["labels"], json!(["desk 4"]));
    assert_eq!(body["seat"]["state"], "active");
    let source = json!({"kind": "transfer", "id": made["learner"]["learner_id"]});
    assert_eq!(body["seat"]["source"], source);
    assert_eq!(body["from"]["seats"][0]["state"], "released");
    assert_eq!(house.send(call()).await.json(), body);
    // There and back: the record of the first one is used again.
    let back = format!("{}/transfer", path_of(&json!({"learner": body["learner"]})));
    let back = house.post(&admin(), &back, json!({"to_email": "lea@globex.example"})).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(back.json()["learner"]["seats"][0]["state"], "active");
    house.world.assert_seats_are_conserved().await;
    let pool = format!("{GLOBEX}/seats/{contract}/explain?learner=");
    let lea = text(&made["learner"]["learner_id"]);
    let told = house.get(&admin(), &format!("{pool}{lea}")).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let told = told.json();
    let actions = |told: &Value| -> Vec<String> {
        let items = told["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| text(&item["action"])).collect()
    };
    assert_eq!(actions(&told), ["seat_given", "seat_transferred", "seat_transferred"]);
    assert_eq!((&told["learner_id"], &told["pool"]), (&json!(lea), &json!(contract)));
    assert_eq!(told["seat"]["state"], "active");
    assert_eq!(told["items"][0]["actor"], "user:client_admin-globex");
    // One after the other.
    let mut path = format!("{pool}{lea}&limit=1");
    let mut pages = Vec::new();
    loop {
        let page = house.get(&admin(), &path).await.json();
        pages.extend(actions(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("{pool}{lea}&limit=1&cursor={}", next.replace('#', "%23"));
    }
    assert_eq!(pages, actions(&told));
}

#[tokio::test]
async fn a_transfer_that_cannot_be_says_why_and_moves_nothing() {
    let (house, first) = globex(3).await;
    let lea = create(&house, json!({"contract_id": first, "email": "lea@globex.example"})).await;
    let max = create(&house, json!({"contract_id": first, "email": "max@globex.example"})).await;
    let terms = json!({"stock_kind": "consumable"});
    let order = json!({"reference": "2026-G4", "seats": 1, "policies": terms});
    let spent = contract(&house, order).await;
    let eva = create(&house, json!({"contract_id": spent, "email": "eva@globex.example"})).await;
    create(&house, json!({"contract_id": first, "email": "eva@globex.example"})).await;
    let before = house.world.cloud.dump();
    let transfer = async |of: &Value, body: Value| {
        let refused = house.post(&admin(), &format!("{}/transfer", path_of(of)), body).await;
        (refused.status, refused.code(), refused.faults())
    };
    let fault = |fault: &str| (422, "invalid-request".to_owned(), vec![fault.to_owned()]);
    let plain = |status: u16, code: &str| (status, code.to_owned(), Vec::new());
    let to = |email: &str| json!({"to_email": email});
    assert_eq!(transfer(&lea, to("max@globex.example")).await, plain(409, "conflict"));
    assert_eq!(transfer(&lea, to("Lea@globex.example")).await, fault("/to_email same-person"));
    assert_eq!(transfer(&lea, json!({})).await, fault("/to_email required"));
    assert_eq!(transfer(&eva, to("new@globex.example")).await, fault("/pool pool-missing"));
    // A seat that is spent where it was used leaves none for anybody else.
    let of_spent = json!({"to_email": "new@globex.example", "pool": spent});
    assert_eq!(transfer(&eva, of_spent).await, plain(409, "no-seats-left"));
    let elsewhere = json!({"to_email": "new@globex.example", "pool": spent});
    assert_eq!(transfer(&max, elsewhere).await, plain(409, "conflict"));
    let changed = |item: &Value| item["kind"] != "idempotency";
    let left: Vec<_> = house.world.cloud.dump().into_iter().filter(changed).collect();
    assert_eq!(left, before.into_iter().filter(changed).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_pool_that_is_not_the_clients_is_a_wrong_field_and_one_without_the_seat_a_conflict() {
    let (house, first) = globex(3).await;
    let second = contract(&house, json!({"reference": "2026-G5", "seats": 1})).await;
    let vendor = Person::vendor();
    let made = house.post(&vendor, "/v1/clients", crate::client("initech")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let order = json!({"reference": "2026-I1", "seats": 1});
    let made = house.post(&vendor, "/v1/clients/initech/contracts", order).await;
    let foreign = text(&made.json()["contract_id"]);
    let order = json!({"contract_id": first, "email": "lea@globex.example", "start_on": day(9)});
    let path = path_of(&create(&house, order).await);
    let [contract, sublicense] = ["con", "sub"].map(|kind| format!("{kind}_{}", "0".repeat(26)));
    for (pool, status) in [(&contract, 422), (&sublicense, 422), (&foreign, 422), (&second, 409)] {
        let moved = patch(&house, &path, json!({"start_on": day(5), "pool": pool})).await;
        let body = json!({"to_email": "max@globex.example", "pool": pool});
        let handed = house.post(&admin(), &format!("{path}/transfer"), body).await;
        for refused in [moved, handed] {
            assert_eq!(refused.status, status, "{pool}: {}", refused.text);
            let wrong = if status == 422 { vec!["/pool unknown-pool"] } else { vec![] };
            assert_eq!(refused.faults(), wrong, "{pool}");
        }
    }
}

#[tokio::test]
async fn who_arrives_through_the_clients_own_sign_on_gets_a_seat_once() {
    let (house, contract) = globex(2).await;
    let path = format!("{GLOBEX}/sso/idp%7C42");
    let order = json!({
        "contract_id": contract, "email": "lea@globex.example", "first_name": "Lea",
        "last_name": "Martin",
    });
    let arrive = || Call::new("PUT", &path).json(&order).by(&Person::lms("globex"));
    let first = house.send(arrive()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.json()["stock"], stock([2, 0, 0, 1, 0, 1]));
    assert_eq!(first.json()["seat"]["source"]["kind"], "sso");
    assert_eq!(first.json()["learner"]["external_id"], "idp|42");
    assert!(first.json().get("link").is_none());
    let again = house.send(arrive()).await;
    assert_eq!((again.status, &again.json()["learner"]), (200, &first.json()["learner"]));
    assert_eq!(again.json()["stock"], stock([2, 0, 0, 1, 0, 1]));
    let mails = house.world.cloud.dump().into_iter().filter(|item| item["kind"] == "mail").count();
    assert_eq!(mails, 0, "the client's own system told them");
    let group_admin = Person::new("group_admin", "globex").of_groups(&["grp_x"]);
    let other = house.send(arrive().by(&group_admin)).await;
    assert_eq!(other.status, 403);
}
