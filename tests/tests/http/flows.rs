//! How a client comes to be and its people get their seats: whole answers, as documented.

use seatkeeper_tests::http::{Call, House, Person};
use serde_json::json;

use crate::{GLOBEX, admin, client, globex, group, stock, text};

#[tokio::test]
async fn vendor_staff_makes_a_client_and_changes_it() {
    let house = House::open().await;
    let vendor = Person::vendor();
    let mut order = client("globex");
    order["branding"] = json!({"color": "#0055aa", "from_name": "Globex Academy"});
    let made = house.post(&vendor, "/v1/clients", order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut expected = json!({
        "client_id": "globex", "name": "Globex", "default_language": "fr",
        "time_zone": "Europe/Paris", "launch_url": "https://lms.globex.example/start",
        "branding": {"logo_url": null, "color": "#0055aa", "from_name": "Globex Academy"},
        "alerts_to": [], "status": "active", "created_at": "now",
    });
    assert_eq!(house.plain(&made.json()), expected);
    for reader in [vendor.clone(), admin(), Person::lms("globex"), Person::lms("*")] {
        let shown = house.get(&reader, GLOBEX).await;
        assert_eq!(shown.status, 200);
        assert_eq!(house.plain(&shown.json()), expected);
    }

    let change = json!({
        "name": "Globex Europe", "default_language": "en",
        "branding": {"color": null, "logo_url": "https://globex.example/logo.svg"},
    });
    let changed = house.send(Call::new("PATCH", GLOBEX).json(&change).by(&vendor)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    expected["name"] = json!("Globex Europe");
    expected["default_language"] = json!("en");
    expected["branding"]["color"] = json!(null);
    expected["branding"]["logo_url"] = json!("https://globex.example/logo.svg");
    assert_eq!(house.plain(&changed.json()), expected);
    assert_eq!(house.get(&vendor, GLOBEX).await.json(), changed.json());

    let named = json!({"alerts_to": ["Ada@globex.example", {"email": "bob@globex.example", "language": "en"}]});
    let changed = house.send(Call::new("PATCH", GLOBEX).json(&named).by(&vendor)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    expected["alerts_to"] = json!([
        {"email": "ada@globex.example", "language": null},
        {"email": "bob@globex.example", "language": "en"},
    ]);
    assert_eq!(house.plain(&changed.json()), expected);
    for (item, code) in [
        (json!("nobody"), "invalid-email"),
        (json!({"language": "fr"}), "wrong-type"),
        (json!({"email": "a@b.example", "language": "xx"}), "unknown-language"),
        (json!({"email": "a@b.example", "name": "A"}), "unknown-field"),
    ] {
        let wrong = json!({"alerts_to": [item]});
        let refused = house.send(Call::new("PATCH", GLOBEX).json(&wrong).by(&vendor)).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid-request"));
        let problem: serde_json::Value = serde_json::from_str(&refused.text).unwrap();
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/alerts_to/0"), &json!(code)));
    }

    let twice = json!({"alerts_to": ["ada@globex.example", "Ada@Globex.example"]});
    let refused = house.send(Call::new("PATCH", GLOBEX).json(&twice).by(&vendor)).await;
    assert!(refused.text.contains("/alerts_to/1"), "{}", refused.text);
    let nobody = json!({"alerts_to": null});
    let changed = house.send(Call::new("PATCH", GLOBEX).json(&nobody).by(&vendor)).await;
    assert_eq!(changed.json()["alerts_to"], json!([]));

    let again = house.post(&vendor, "/v1/clients", client("globex")).await;
    assert_eq!((again.status, again.code().as_str()), (409, "client-exists"));
    assert_eq!(house.get(&vendor, GLOBEX).await.json(), changed.json(), "nothing was overwritten");
}

#[tokio::test]
async fn a_contract_shows_its_terms_and_its_stock() {
    let (house, _) = globex(1).await;
    let (vendor, path) = (Person::vendor(), format!("{GLOBEX}/contracts"));
    let order = json!({
        "reference": "2026-G2", "seats": 100, "starts_on": "2026-01-01", "ends_on": "2099-12-31",
        "modules": ["safety", "privacy", "safety"],
        "policies": {"hold_on": "accept", "stock_kind": "consumable", "return_until_days": 30,
            "seat_duration_days": 365, "low_stock": [10], "opens_at": "08:00"},
    });
    let made = house.post(&vendor, &path, order.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut expected = json!({
        "contract_id": "con 1", "client_id": "globex", "reference": "2026-G2", "renewed_by": null,
        "starts_on": "2026-01-01", "ends_on": "2099-12-31", "modules": ["privacy", "safety"],
        "policies": {
            "hold_on": "accept", "invite_ttl_days": 14, "stock_kind": "consumable",
            "return_until_days": 30, "seat_duration_days": 365, "clock_start": "activation",
            "on_end": "stop_new", "grace_days": 0, "privileged_roles": "vendor",
            "low_stock": [10], "on_hard_bounce": "keep",
            "bounce_grace_hours": 72, "opens_at": "08:00",
        },
        "status": "active", "stock": stock([100, 0, 0, 0, 0, 100]), "version": 1,
        "created_at": "now",
    });
    assert_eq!(house.plain(&made.json()), expected);
    let id = text(&made.json()["contract_id"]);
    let one = format!("{path}/{id}");
    for reader in [vendor.clone(), admin(), Person::lms("globex")] {
        assert_eq!(house.get(&reader, &one).await.json(), made.json());
    }
    let list = house.get(&admin(), &path).await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    assert!(list["items"].as_array().is_some_and(|items| items.contains(&made.json())));
    assert_eq!(list["next_cursor"], json!(null));

    let more = house.post(&vendor, &format!("{one}/modules"), json!({"add": ["fire"]})).await;
    assert_eq!(more.status, 200, "{}", more.text);
    expected["modules"] = json!(["fire", "privacy", "safety"]);
    let version = more.json()["version"].as_u64().expect("a version");
    assert!(version > 1, "a change is another version");
    expected["version"] = json!(version);
    assert_eq!(house.plain(&more.json()), expected);
    assert_eq!(house.get(&admin(), &one).await.json(), more.json());

    let again = house.post(&vendor, &path, order).await;
    assert_eq!((again.status, again.code().as_str()), (409, "contract-exists"));
}

#[tokio::test]
async fn a_contract_that_names_little_has_the_documented_terms() {
    let (house, contract) = globex(7).await;
    let shown = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await;
    assert_eq!(
        house.plain(&shown.json()),
        json!({
            "contract_id": "con 1", "client_id": "globex", "reference": "2026-G1", "renewed_by": null,
            "starts_on": null, "ends_on": null, "modules": [],
            "policies": {
                "hold_on": "invite", "invite_ttl_days": 14, "stock_kind": "reusable",
                "return_until_days": null, "seat_duration_days": null,
                "clock_start": "activation", "on_end": "stop_new", "grace_days": 0,
                "privileged_roles": "vendor", "low_stock": [25, 0], "on_hard_bounce": "keep",
            "bounce_grace_hours": 72,
                "opens_at": "00:00",
            },
            "status": "active", "stock": stock([7, 0, 0, 0, 0, 7]), "version": 1,
            "created_at": "now",
        })
    );
}

#[tokio::test]
async fn a_sublicense_takes_its_seats_from_its_contract() {
    let (house, contract) = globex(10).await;
    let path = format!("{GLOBEX}/contracts/{contract}/sublicenses");
    let made = house.post(&admin(), &path, json!({"name": "Lyon", "seats": 4})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expected = json!({
        "sublicense_id": "sub 1", "contract_id": "con 1", "name": "Lyon",
        "stock": stock([4, 0, 0, 0, 0, 4]), "created_at": "now",
    });
    house.plain(&json!(contract));
    assert_eq!(house.plain(&made.json()), expected);
    let list = house.get(&admin(), &path).await.json();
    assert_eq!(list, json!({"items": [made.json()], "next_cursor": null}));
    let of_contract =
        async || house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await.json();
    assert_eq!(of_contract().await["stock"], stock([10, 4, 0, 0, 0, 6]));

    let sublicense = text(&made.json()["sublicense_id"]);
    let seats = format!("{path}/{sublicense}/seats");
    let less = house.post(&admin(), &seats, json!({"add": -1})).await;
    assert_eq!(less.json()["stock"], stock([3, 0, 0, 0, 0, 3]));
    assert_eq!(of_contract().await["stock"], stock([10, 3, 0, 0, 0, 7]));
    let too_many = house.post(&admin(), &seats, json!({"add": 8})).await;
    assert_eq!((too_many.status, too_many.code().as_str()), (409, "no-seats-left"));
    let too_few = house.post(&admin(), &seats, json!({"add": -4})).await;
    assert_eq!((too_few.status, too_few.code().as_str()), (409, "seats-in-use"));
    let another = house.post(&admin(), &path, json!({"name": "Nice", "seats": 8})).await;
    assert_eq!((another.status, another.code().as_str()), (409, "no-seats-left"));

    // A learner of the sublicense uses its seats, not the contract's.
    let order = json!({
        "contract_id": contract, "sublicense_id": sublicense, "email": "lea@globex.example",
    });
    let seated = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(seated.status, 201, "{}", seated.text);
    assert_eq!(seated.json()["stock"], stock([3, 0, 0, 1, 0, 2]));
    assert_eq!(seated.json()["seat"]["pool"], json!(sublicense));
    assert_eq!(of_contract().await["stock"], stock([10, 3, 0, 0, 0, 7]));
    let taken = house.post(&admin(), &seats, json!({"add": -3})).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "seats-in-use"));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn groups_have_names_of_their_own() {
    let (house, _) = globex(1).await;
    let path = format!("{GLOBEX}/groups");
    let made = house.post(&admin(), &path, json!({"name": " Région Nord "})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expected = json!({"group_id": "grp 1", "name": "Région Nord", "created_at": "now"});
    assert_eq!(house.plain(&made.json()), expected);
    let again = house.post(&admin(), &path, json!({"name": "région nord"})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "conflict"));
    let list = house.get(&admin(), &path).await.json();
    assert_eq!(list, json!({"items": [made.json()], "next_cursor": null}));
}

#[tokio::test]
async fn a_learner_created_today_is_seated_listed_and_released() {
    let (house, contract) = globex(2).await;
    let paris = group(&house, "Paris").await;
    let path = format!("{GLOBEX}/learners");
    house.plain(&json!([contract, paris]));
    let order = json!({
        "contract_id": contract, "email": " Zoe.Durand@Globex.EXAMPLE ", "first_name": "Zoé",
        "last_name": "Durand", "language": "fr-CA", "group_ids": [paris], "labels": ["night"],
        "external_id": "E-7", "additional_info": "two\nlines", "end_on": "2099-06-30",
        "delete_on": "2099-12-31",
    });
    let made = house.post(&admin(), &path, order.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let seat = json!({
        "pool": "con 1", "state": "active", "starts_on": null, "held_at": null,
        "used_at": "now", "billable_from": "now", "ends_at": "2099-06-30T22:00:00Z",
        "source": {"kind": "create", "id": null},
    });
    let learner = json!({
        "learner_id": "lrn 1", "email": "zoe.durand@globex.example", "first_name": "Zoé",
        "last_name": "Durand", "language": "fr", "status": "active", "roles": ["learner"],
        "group_ids": ["grp 1"], "labels": ["night"], "external_id": "E-7",
        "additional_info": "two\nlines", "end_on": "2099-06-30", "delete_on": "2099-12-31",
        "seats": [seat], "delivery": null, "created_at": "now",
    });
    let expected = json!({"learner": learner, "seat": seat, "stock": stock([2, 0, 0, 1, 0, 1])});
    assert_eq!(house.plain(&made.json()), expected);

    let again = house.post(&admin(), &path, order).await;
    assert_eq!(again.status, 200, "already seated");
    assert_eq!(again.json(), made.json());

    let id = text(&made.json()["learner"]["learner_id"]);
    let shown = house.get(&admin(), &format!("{path}/{id}")).await.json();
    assert_eq!(shown, made.json()["learner"]);
    for (query, found) in [
        ("", true),
        ("?email=ZOE.durand%40globex.example", true),
        ("?email=nobody%40globex.example", false),
        ("?status=pending", false),
        ("?status=active", true),
        ("?status=suspended", false),
        (&format!("?group_id={paris}"), true),
    ] {
        let list = house.get(&admin(), &format!("{path}{query}")).await.json();
        let items = if found { json!([shown]) } else { json!([]) };
        assert_eq!(list, json!({"items": items, "next_cursor": null}), "{query}");
    }

    let release = format!("{path}/{id}/seats/{contract}/release");
    let released = house.send(Call::new("POST", &release).by(&admin())).await;
    assert_eq!(released.status, 200, "{}", released.text);
    let released = released.json();
    assert_eq!(released["stock"], stock([2, 0, 0, 0, 0, 2]));
    assert_eq!(released["learner"]["seats"], json!([released["seat"]]));
    assert_eq!(released["seat"]["state"], "released");
    let nothing = house.send(Call::new("POST", &release).by(&admin())).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (404, "not-found"));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_learner_of_a_later_day_holds_a_seat_until_then() {
    let (house, contract) = globex(2).await;
    let order = json!({
        "contract_id": contract, "email": "later@globex.example", "start_on": "2099-03-01",
        "duration_days": 10,
    });
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = house.plain(&made.json());
    assert_eq!(made["stock"], stock([2, 0, 1, 0, 0, 1]));
    let source = &made["seat"]["source"];
    assert_eq!(
        made["seat"],
        json!({
            "pool": "con 1", "state": "scheduled", "starts_on": "2099-03-01", "held_at": "now",
            "used_at": null, "billable_from": null, "ends_at": "2099-03-10T23:00:00Z",
            "source": source,
        })
    );
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn what_opens_when_is_listed_soonest_first() {
    let (house, contract) = globex(9).await;
    let path = format!("{GLOBEX}/learners");
    for (number, start) in
        [(1, "2099-03-02"), (2, "2099-03-01"), (3, "2099-03-01"), (4, "2099-06-01")]
    {
        let order = json!({
            "contract_id": contract, "email": format!("p{number}@globex.example"), "start_on": start,
        });
        assert_eq!(house.post(&admin(), &path, order).await.status, 201);
    }
    let opening = |day: &str, at: &str, seats: u32| json!({"opens_at": at, "start_on": day, "pool": contract, "seats": seats});
    let first = opening("2099-03-01", "2099-02-28T23:00:00Z", 2);
    let second = opening("2099-03-02", "2099-03-01T23:00:00Z", 1);
    let third = opening("2099-06-01", "2099-05-31T22:00:00Z", 1);
    let list = async |query: &str| house.get(&admin(), &format!("{GLOBEX}/openings{query}")).await;
    assert_eq!(list("").await.json()["items"], json!([first, second, third]));
    assert_eq!(list("?until=2099-03-01").await.json()["items"], json!([first]));
    assert_eq!(list("?until=2099-03-02").await.json()["items"], json!([first, second]));
    assert_eq!(list("?until=2099-02-28").await.json()["items"], json!([]));
    assert_eq!(list("?until=soon").await.status, 422);
    // Whoever leaves a date is not waited for.
    let id = text(
        &house.get(&admin(), &format!("{path}?email=p1%40globex.example")).await.json()["items"][0]
            ["learner_id"],
    );
    let left = Call::new("POST", &format!("{path}/{id}/seats/{contract}/release")).by(&admin());
    assert_eq!(house.send(left).await.status, 200);
    assert_eq!(list("").await.json()["items"], json!([first, third]));
}

#[tokio::test]
async fn an_invitation_carries_all_that_was_said_of_its_learner() {
    let (house, contract) = globex(2).await;
    let paris = group(&house, "Paris").await;
    let order = json!({
        "contract_id": contract, "emails": "zoe@globex.example", "roles": ["learner"],
        "group_ids": [paris], "labels": ["night", "north"], "language": "de",
        "additional_info": "two\nlines", "start_on": "2099-03-01", "end_on": "2099-06-30",
        "delete_on": "2099-12-31", "message": "See you soon", "notify": false,
    });
    let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let result = &invited.json()["results"][0];
    let id = text(&result["invitation_id"]);
    let shown = house.get(&admin(), &format!("{GLOBEX}/invitations/{id}")).await.json();
    let said = [
        ("group_ids", json!([paris])),
        ("labels", json!(["night", "north"])),
        ("language", json!("de")),
        ("start_on", json!("2099-03-01")),
    ];
    for (name, value) in &said {
        assert_eq!(shown[name], *value, "{name}");
    }
    let link = text(&result["link"]);
    let link = &link[link.find("/i/").expect("a page's address")..];
    let person =
        json!({"first_name": "Zoé", "last_name": "Durand", "password": "correct horse battery"});
    let accepted = house.send(Call::post(link, &person)).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text);
    let learner = text(&accepted.json()["learner_id"]);
    let learner = house.get(&admin(), &format!("{GLOBEX}/learners/{learner}")).await.json();
    for (name, value) in [
        ("first_name", json!("Zoé")),
        ("last_name", json!("Durand")),
        ("roles", json!(["learner"])),
        ("group_ids", json!([paris])),
        ("labels", json!(["night", "north"])),
        ("language", json!("de")),
        ("additional_info", json!("two\nlines")),
        ("end_on", json!("2099-06-30")),
        ("delete_on", json!("2099-12-31")),
    ] {
        assert_eq!(learner[name], value, "{name}");
    }
    let seat = &learner["seats"][0];
    assert_eq!(seat["state"], "scheduled");
    assert_eq!(seat["starts_on"], "2099-03-01");
    assert_eq!(seat["ends_at"], "2099-06-30T22:00:00Z");
    assert_eq!(seat["source"], json!({"kind": "invite", "id": id}));
}

#[tokio::test]
async fn an_invitation_holds_a_seat_and_an_acceptance_uses_it() {
    let (house, contract) = globex(3).await;
    let path = format!("{GLOBEX}/invitations");
    house.plain(&json!(contract));
    let order = json!({
        "contract_id": contract, "emails": "a@globex.example; b@globex.example, A@globex.example\nx",
        "labels": ["night"], "language": "en", "message": "See you soon", "notify": false,
    });
    let invited = house.post(&admin(), &path, order).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let body = invited.json();
    assert_eq!(body["stock"], stock([3, 0, 2, 0, 0, 1]));
    let outcomes: Vec<_> = body["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| format!("{} {}", text(&result["email"]), text(&result["outcome"])))
        .collect();
    let expected = [
        "a@globex.example invited",
        "b@globex.example invited",
        "a@globex.example duplicate",
        "x rejected",
    ];
    assert_eq!(outcomes, expected);
    let id = text(&body["results"][0]["invitation_id"]);
    let shown = house.get(&admin(), &format!("{path}/{id}")).await;
    let mut plain = house.plain(&shown.json());
    let expires_at = plain["expires_at"].take();
    assert_eq!(
        plain,
        json!({
            "invitation_id": "inv 1", "email": "a@globex.example", "status": "pending",
            "delivery": plain["delivery"], "contract_id": "con 1", "sublicense_id": null,
            "roles": ["learner"], "group_ids": [], "labels": ["night"], "language": "en",
            "message": "See you soon", "start_on": null, "end_on": null, "delete_on": null,
            "additional_info": null, "expires_at": null, "sent_count": plain["sent_count"],
            "last_sent_at": plain["last_sent_at"], "gives_up_at": null, "reminders": 0, "reminded_at": null, "reminders_unwanted": false, "invited_by": plain["invited_by"],
            "created_at": "now",
        })
    );
    let expires_at: jiff::Timestamp = text(&expires_at).parse().expect("an instant");
    let days = expires_at.duration_since(seatkeeper_tests::http::now()).as_hours() / 24;
    assert!((13..=15).contains(&days), "{days}");

    // Accept by the link, then read the ticket as the LMS.
    let link = text(&body["results"][0]["link"]);
    let link = link.strip_prefix(seatkeeper_tests::http::PAGES).expect("a page");
    let form = json!({"first_name": "Ana", "last_name": "Lo", "password": "correct horse battery"});
    let accepted = house.send(Call::post(link, &form)).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text);
    let accepted = accepted.json();
    let launch = text(&accepted["launch_url"]);
    let ticket = launch
        .strip_prefix("https://lms.globex.example/start?ticket=")
        .expect("the client's launch address");
    let arrived = house
        .send(Call::new("POST", &format!("/v1/tickets/{ticket}")).by(&Person::lms("globex")))
        .await;
    assert_eq!(arrived.status, 200, "{}", arrived.text);
    assert_eq!(arrived.json()["learner"]["learner_id"], accepted["learner_id"]);
    assert_eq!(arrived.json()["learner"]["status"], "active");
    let stock_now = house.get(&admin(), &format!("{GLOBEX}/contracts/{contract}")).await;
    assert_eq!(stock_now.json()["stock"], stock([3, 0, 1, 1, 0, 1]));
    let closed = house.send(Call::get(link)).await;
    assert_eq!((closed.status, closed.code().as_str()), (409, "already-accepted"));

    // The other is withdrawn, and its link is gone.
    let other = text(&body["results"][1]["invitation_id"]);
    let withdrawn = Call::new("DELETE", &format!("{path}/{other}")).by(&admin());
    let withdrawn = house.send(withdrawn).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    assert_eq!(withdrawn.json()["status"], "cancelled");
    assert_eq!(withdrawn.json()["stock"], stock([3, 0, 0, 1, 0, 2]));
    let link = text(&body["results"][1]["link"]);
    let link = link.strip_prefix(seatkeeper_tests::http::PAGES).expect("a page");
    let gone = house.send(Call::get(link)).await;
    assert_eq!((gone.status, gone.code().as_str()), (410, "gone"));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn the_trail_tells_every_movement_of_seats_and_sums_to_the_stock() {
    let (house, contract) = globex(5).await;
    let vendor = Person::vendor();
    let one = format!("{GLOBEX}/contracts/{contract}");
    house.post(&vendor, &format!("{one}/seats"), json!({"add": 3, "order": "PO-1"})).await;
    let learners = format!("{GLOBEX}/learners");
    let order = json!({"contract_id": contract, "email": "lea@globex.example"});
    let made = house.post(&admin(), &learners, order).await.json();
    let id = text(&made["learner"]["learner_id"]);
    let release = format!("{learners}/{id}/seats/{contract}/release");
    house.send(Call::new("POST", &release).by(&admin())).await;

    let trail = house.get(&admin(), &format!("{GLOBEX}/audit")).await.json();
    let records = trail["items"].as_array().expect("records");
    let mut sums = [0_i64; 6];
    let names = ["total", "allocated", "held", "used", "spent", "available"];
    for record in records.iter().filter(|record| record["pool"] == json!(contract)) {
        for field in ["at", "actor", "action", "pool", "learner_ids", "delta", "reason"] {
            assert!(record.get(field).is_some(), "{field} in {record}");
        }
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += record["delta"][name].as_i64().unwrap_or(0);
        }
    }
    assert_eq!(sums, [8, 0, 0, 0, 0, 8]);
    let of_learner: Vec<_> =
        records.iter().filter(|record| record["learner_ids"] == json!([id])).collect();
    assert_eq!(of_learner.len(), 2, "created and released: {trail}");
    let nothing = house.get(&admin(), &format!("{GLOBEX}/audit?since=2099-01-01T00:00:00Z")).await;
    assert_eq!(nothing.json(), json!({"items": [], "next_cursor": null}));
}

#[tokio::test]
async fn lists_come_in_pages_that_together_are_the_whole() {
    let (house, _) = globex(1).await;
    for number in 0..7 {
        group(&house, &format!("Group {number}")).await;
    }
    let whole = house.get(&admin(), &format!("{GLOBEX}/groups")).await.json();
    let whole = whole["items"].as_array().cloned().expect("items");
    assert_eq!(whole.len(), 7);
    let mut seen = Vec::new();
    let mut path = format!("{GLOBEX}/groups?limit=3");
    for _ in 0..5 {
        let page = house.get(&admin(), &path).await.json();
        let items = page["items"].as_array().cloned().expect("items");
        assert!(items.len() <= 3);
        seen.extend(items);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{GLOBEX}/groups?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, whole);
}
