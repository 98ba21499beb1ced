//! How learners come in: the page on which they set a password, signing in, tickets.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use seatkeeper_domain::actions::open_contract::add_modules;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::ids::LearnerId;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::ports::People as _;
use seatkeeper_testkit::{Cloud, VirtualClock, When};
use seatkeeper_tests::http::{Call, House, PAGES, Person, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, contract, globex, group, text};

const PASSWORD: &str = "correct horse battery";
const LAUNCH: &str = "https://lms.globex.example/start?ticket=";

/// Creates a learner whom no mail tells of it.
async fn create(house: &House, contract: &str, email: &str, more: &Value) -> Value {
    let mut order = json!({"contract_id": contract, "email": email, "notify": false});
    for (name, value) in more.as_object().expect("fields") {
        order[name] = value.clone();
    }
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// The path of a page's address.
fn page(link: &Value) -> String {
    text(link).strip_prefix(PAGES).expect("a page of ours").to_owned()
}

async fn sign_in(house: &House, email: &str, password: &str) -> seatkeeper_tests::http::Reply {
    let body = json!({"client": "globex", "email": email, "password": password});
    house.send(Call::post("/v1/sign-in", &body)).await
}

async fn exchange(house: &House, by: &Person, ticket: &str) -> seatkeeper_tests::http::Reply {
    house.send(Call::new("POST", &format!("/v1/tickets/{ticket}")).by(by)).await
}

fn ticket(launch: &Value) -> String {
    text(launch).strip_prefix(LAUNCH).expect("the launch address").to_owned()
}

#[tokio::test]
async fn a_learner_sets_a_password_on_the_page_and_lands_in_the_lms() {
    let (house, contract) = globex(5).await;
    let made = create(&house, &contract, "lea@globex.example", &json!({})).await;
    let link = page(&made["link"]);
    assert!(link.starts_with("/p/"), "{link}");
    assert!(made["learner"].get("credential").is_none());

    let before = house.world.cloud.dump();
    let shown = house.send(Call::get(&link).from_browser()).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(shown.header("cache-control"), "no-store");
    assert_eq!(shown.header("referrer-policy"), "no-referrer");
    assert!(shown.text.contains("lea@globex.example") && shown.text.contains("Globex"));
    let told = house.send(Call::get(&link)).await;
    assert_eq!(told.json(), json!({"email": "lea@globex.example"}));
    assert_eq!(house.world.cloud.dump(), before, "looking changes nothing");

    let weak = house.send(Call::new("POST", &link).form("password=short")).await;
    assert_eq!(weak.status, 422);
    assert!(weak.header("content-type").starts_with("text/html"));
    assert!(weak.text.contains("lea@globex.example") && !weak.text.contains("value=\"short\""));
    let weak = house.send(Call::post(&link, &json!({"password": "short"}))).await;
    assert_eq!(weak.faults(), ["/password weak-password"]);
    assert_eq!(house.world.cloud.dump(), before);

    let form = "password=correct+horse+battery";
    let landed = house.send(Call::new("POST", &link).form(form)).await;
    assert_eq!(landed.status, 303, "{}", landed.text);
    let ticket = ticket(&json!(landed.header("location")));
    let arrived = exchange(&house, &Person::lms("globex"), &ticket).await;
    assert_eq!(arrived.json()["learner"]["email"], "lea@globex.example");
    assert_eq!(arrived.json()["learner"]["status"], "active");

    let again = house.send(Call::new("POST", &link).form(form)).await;
    assert_eq!(again.status, 410, "a link dies with the password it set");
    let again = house.send(Call::get(&link)).await;
    assert_eq!((again.status, again.code().as_str()), (410, "gone"));
    assert_eq!(sign_in(&house, "lea@globex.example", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn whom_no_password_lets_in_is_told_so_and_keeps_the_link() {
    let (house, contract) = globex(5).await;
    let made = create(&house, &contract, "lea@globex.example", &json!({})).await;
    let (link, learner) = (page(&made["link"]), text_path(&made));
    let change = async |status: &str| {
        let body = json!({"status": status});
        let done = house.send(Call::new("PATCH", &learner).json(&body).by(&admin())).await;
        assert_eq!(done.status, 200, "{}", done.text);
    };
    let refused = async |why: &str, words: &str| {
        let before = house.world.cloud.dump();
        let body = json!({"password": PASSWORD});
        for call in [Call::get(&link), Call::post(&link, &body)] {
            let told = house.send(call).await;
            assert_eq!((told.status, told.code().as_str()), (403, "forbidden"), "{}", told.text);
            assert!(told.text.contains(why), "{}", told.text);
        }
        let form = "password=correct+horse+battery";
        for call in [Call::get(&link).from_browser(), Call::new("POST", &link).form(form)] {
            let seen = house.send(call).await;
            assert_eq!(seen.status, 403);
            assert!(seen.text.contains(words) && !seen.text.contains("<form"), "{}", seen.text);
        }
        let short = house.send(Call::new("POST", &link).form("password=short")).await;
        assert_eq!(short.status, 403);
        assert!(short.text.contains(words) && !short.text.contains("<form"), "{}", short.text);
        assert_eq!(house.world.cloud.dump(), before);
    };
    change("suspended").await;
    refused("suspended", "Votre accès est suspendu").await;
    change("active").await;
    let release = format!("{learner}/seats/{contract}/release");
    assert_eq!(house.send(Call::new("POST", &release).by(&admin())).await.status, 200);
    refused("has ended", "Votre accès a pris fin").await;
    // With a seat again, the link leads in.
    create(&house, &contract, "lea@globex.example", &json!({})).await;
    let set = house.send(Call::post(&link, &json!({"password": PASSWORD}))).await;
    assert_eq!(set.status, 200, "{}", set.text);
}

#[tokio::test]
async fn a_ticket_of_a_seat_that_waits_gives_no_access() {
    let (house, contract) = globex(5).await;
    let later = json!({"password": PASSWORD, "start_on": "2099-01-01"});
    create(&house, &contract, "lea@globex.example", &later).await;
    let welcome = sign_in(&house, "lea@globex.example", PASSWORD).await;
    let ticket = ticket(&welcome.json()["launch_url"]);
    let arrived = exchange(&house, &Person::lms("globex"), &ticket).await.json();
    assert_eq!(
        (&arrived["seats"][0]["state"], &arrived["seats"][0]["access"]),
        (&json!("scheduled"), &json!("none"))
    );
}

#[tokio::test]
async fn a_page_that_the_persons_language_lacks_comes_in_the_clients() {
    let (house, contract) = globex(5).await;
    let of_language = |language: &str| json!({"language": language});
    for (number, (language, shown)) in [("it", "fr"), ("de", "de")].into_iter().enumerate() {
        let email = format!("{number}@globex.example");
        let made = create(&house, &contract, &email, &of_language(language)).await;
        let order = json!({
            "contract_id": contract, "emails": format!("guest.{email}"), "notify": false,
            "language": language,
        });
        let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await.json();
        for link in [&made["link"], &invited["results"][0]["link"]] {
            let seen = house.send(Call::get(&page(link)).from_browser()).await;
            assert_eq!((seen.status, seen.header("content-language")), (200, shown), "{language}");
        }
    }
}

#[tokio::test]
async fn a_forged_link_is_no_link_and_one_whose_time_ran_out_is_gone() {
    let (house, contract) = globex(5).await;
    let made = create(&house, &contract, "lea@globex.example", &json!({})).await;
    let link = page(&made["link"]);
    let forged = format!("{}{}", &link[..link.len() - 2], "AA");
    for path in [forged.as_str(), "/p/x", "/p/%20"] {
        let refused = house.send(Call::get(path)).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "not-found"), "{path}");
        let refused = house.send(Call::post(path, &json!({"password": PASSWORD}))).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "not-found"), "{path}");
        let seen = house.send(Call::get(path).from_browser()).await;
        assert_eq!(seen.status, 404, "{path}");
        assert!(seen.header("content-type").starts_with("text/html"), "{path} {}", seen.text);
    }
    let id: LearnerId = text(&made["learner"]["learner_id"]).parse().expect("an id");
    let (store, client, keys) = (&house.world.store, &house.world.client, &house.world.keys);
    let learner = store.learner(client, id).await.expect("the store").expect("a learner");
    let long_ago = now() - SignedDuration::from_hours(7 * 24 + 1);
    let old = Link::password(client, &learner, long_ago).path(keys);
    let gone = house.send(Call::post(&old, &json!({"password": PASSWORD}))).await;
    assert_eq!((gone.status, gone.code().as_str()), (410, "gone"));
}

#[tokio::test]
async fn a_learner_signs_in_and_a_wrong_try_says_nothing() {
    let (house, contract) = globex(5).await;
    let typed = json!({"password": PASSWORD});
    create(&house, &contract, "lea@globex.example", &typed).await;
    create(&house, &contract, "max@globex.example", &json!({})).await;
    let welcome = sign_in(&house, " LEA@globex.example", PASSWORD).await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    let fields: Vec<_> = welcome.json().as_object().expect("fields").keys().cloned().collect();
    assert_eq!(fields, ["launch_url"]);
    let ticket = ticket(&welcome.json()["launch_url"]);
    assert_eq!(exchange(&house, &Person::lms("globex"), &ticket).await.status, 200);

    let mut refusals = Vec::new();
    for (client, email, password) in [
        ("globex", "lea@globex.example", "wrong horse battery"),
        ("globex", "max@globex.example", PASSWORD),
        ("globex", "nobody@globex.example", PASSWORD),
        ("acme", "lea@globex.example", PASSWORD),
        ("nobody", "lea@globex.example", PASSWORD),
        ("No Slug", "lea@globex.example", PASSWORD),
    ] {
        let body = json!({"client": client, "email": email, "password": password});
        let refused = house.send(Call::post("/v1/sign-in", &body)).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"), "{body}");
        refusals.push(refused.text);
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    let empty = house.send(Call::post("/v1/sign-in", &json!({}))).await;
    assert_eq!(empty.faults(), ["/client required", "/email required", "/password required"]);
}

#[tokio::test]
async fn a_generated_password_has_to_be_changed_first() {
    let (house, contract) = globex(5).await;
    let generate = json!({"generate_password": true});
    let made = create(&house, &contract, "lea@globex.example", &generate).await;
    let generated = text(&made["generated_password"]);
    assert!(made.get("link").is_none(), "one way in, not two: {made}");
    let first = sign_in(&house, "lea@globex.example", &generated).await.json();
    assert_eq!(first["must_change_password"], json!(true));
    let link = page(&first["launch_url"]);
    let changed = house.send(Call::post(&link, &json!({"password": PASSWORD}))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["learner_id"], made["learner"]["learner_id"]);
    let ticket = ticket(&changed.json()["launch_url"]);
    assert_eq!(exchange(&house, &Person::lms("globex"), &ticket).await.status, 200);
    assert_eq!(sign_in(&house, "lea@globex.example", &generated).await.status, 401);
    let second = sign_in(&house, "lea@globex.example", PASSWORD).await.json();
    assert!(second.get("must_change_password").is_none(), "{second}");
}

#[tokio::test]
async fn a_ticket_is_exchanged_once_by_the_clients_lms_for_who_has_come() {
    let (house, contract) = globex(5).await;
    let paris = group(&house, "Paris").await;
    let more = json!({"password": PASSWORD, "group_ids": [paris], "first_name": "Léa"});
    let made = create(&house, &contract, "lea@globex.example", &more).await;
    let fresh = async || {
        let welcome = sign_in(&house, "lea@globex.example", PASSWORD).await;
        ticket(&welcome.json()["launch_url"])
    };
    let one = fresh().await;
    let arrived = exchange(&house, &Person::lms("globex"), &one).await;
    assert_eq!(arrived.status, 200, "{}", arrived.text);
    let mut learner = house.get(&admin(), &text_path(&made)).await.json();
    let seat = &mut learner["seats"][0];
    seat["access"] = json!("full");
    seat["contract_id"] = json!(contract);
    seat["modules"] = json!([]);
    assert_eq!(
        arrived.json(),
        json!({
            "client_id": "globex", "learner": learner, "seats": learner["seats"],
            "roles": ["learner"],
            "groups": [{"group_id": paris, "name": "Paris",
                "created_at": arrived.json()["groups"][0]["created_at"]}],
        })
    );
    for by in [Person::lms("globex"), Person::lms("*")] {
        let again = exchange(&house, &by, &one).await;
        assert_eq!((again.status, again.code().as_str()), (404, "not-found"));
    }
    assert_eq!(exchange(&house, &Person::lms("*"), &fresh().await).await.status, 200);
    // The LMS of another client, and people, learn nothing.
    let foreign = exchange(&house, &Person::lms("acme"), &fresh().await).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "not-found"));
    for by in [Person::vendor(), admin(), Person::new("instructor", "globex")] {
        let refused = exchange(&house, &by, &fresh().await).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    }
    // Under a key, a lost answer can be asked for again.
    let path = format!("/v1/tickets/{}", fresh().await);
    let keyed = Call::new("POST", &path).by(&Person::lms("globex")).key("k-1");
    let first = house.send(keyed.clone()).await;
    assert_eq!(house.send(keyed).await.json(), first.json());
}

fn text_path(made: &Value) -> String {
    format!("{GLOBEX}/learners/{}", text(&made["learner"]["learner_id"]))
}

#[tokio::test]
async fn a_module_that_is_added_reaches_those_who_have_a_seat() {
    let (house, _) = globex(5).await;
    let order = json!({"reference": "2026-G2", "seats": 4, "modules": ["safety"]});
    let contract = contract(&house, order).await;
    let path = format!("{GLOBEX}/contracts/{contract}");
    let branch = json!({"name": "North", "seats": 2});
    let branch = house.post(&admin(), &format!("{path}/sublicenses"), branch).await.json();
    let world = &house.world;
    for more in [json!({}), json!({"sublicense_id": branch["sublicense_id"]})] {
        let email = if more == json!({}) { "lea@globex.example" } else { "bo@globex.example" };
        let made = create(&house, &contract, email, &more).await;
        let learner: LearnerId = text(&made["learner"]["learner_id"]).parse().expect("an id");
        let seats = async || {
            let clock = VirtualClock::new(now());
            let (store, ids, keys) = (&world.store, &world.ids, &world.keys);
            let ticket = issue_ticket(store, &clock, ids, keys, &world.client, learner).await;
            let told = exchange(&house, &Person::lms("globex"), &ticket.expect("a ticket")).await;
            let told = told.json();
            assert_eq!(told["seats"], told["learner"]["seats"]);
            told["seats"].clone()
        };
        assert_eq!(seats().await[0]["contract_id"], json!(contract));
        let known = seats().await[0]["modules"].clone();
        let add = json!({"add": [email, "safety"]});
        let added = house.post(&Person::vendor(), &format!("{path}/modules"), add).await.json();
        assert_eq!(seats().await[0]["modules"], added["modules"]);
        assert_ne!(added["modules"], known);
    }
}

#[tokio::test]
async fn modules_that_two_add_at_once_are_all_there() {
    let (house, contract) = globex(5).await;
    let world = &house.world;
    let id = contract.parse().expect("an id");
    let (store, clock, client, op) =
        (world.store.clone(), world.clock.clone(), world.client.clone(), world.op());
    world.cloud.restart_trace();
    world.cloud.let_first(When::call("TransactWriteItems", 1), move || async move {
        let fire = ["fire".to_owned()].into();
        let added = add_modules(&store, &clock, Actor::System, op, (&client, id), &fire).await;
        added.expect("added");
    });
    let path = format!("{GLOBEX}/contracts/{contract}/modules");
    let added = house.post(&Person::vendor(), &path, json!({"add": ["safety"]})).await;
    assert_eq!((added.status, &added.json()["modules"]), (200, &json!(["fire", "safety"])));
    // What is there already is no change.
    let again = house.post(&Person::vendor(), &path, json!({"add": ["fire"]})).await;
    assert_eq!(again.json(), added.json());
}

#[tokio::test]
async fn a_ticket_says_whose_learners_can_only_look() {
    let terms = json!({"on_end": "read_only", "grace_days": 30});
    let order =
        json!({"reference": "2026-G2", "seats": 2, "ends_on": "2099-12-31", "policies": terms});
    let (house, _) = globex(5).await;
    let contract = contract(&house, order).await;
    let made = create(&house, &contract, "lea@globex.example", &json!({})).await;
    let learner: LearnerId = text(&made["learner"]["learner_id"]).parse().expect("an id");
    let world = &house.world;
    let access = async || {
        let clock = VirtualClock::new(now());
        let (store, ids, keys) = (&world.store, &world.ids, &world.keys);
        let ticket = issue_ticket(store, &clock, ids, keys, &world.client, learner).await;
        let told = exchange(&house, &Person::lms("globex"), &ticket.expect("a ticket")).await;
        assert_eq!(told.status, 200, "{}", told.text);
        told.json()["seats"][0]["access"].clone()
    };
    assert_eq!(access().await, "full");
    // It ended yesterday.
    let items = world.cloud.dump();
    let item =
        items.iter().find(|item| item["kind"] == "contract" && item["contract_id"] == contract);
    let item = item.expect("the contract");
    let key = |name: &str| AttributeValue::S(text(&item[name]));
    let yesterday = now().to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().expect("a day");
    let call = world.cloud.dynamodb().update_item().table_name(Cloud::TABLE);
    let call = call.key("pk", key("pk")).key("sk", key("sk"));
    let call = call.update_expression("SET ends_on = :day");
    let call = call.expression_attribute_values(":day", AttributeValue::S(yesterday.to_string()));
    call.send().await.expect("written");
    assert_eq!(access().await, "read_only");
}

#[tokio::test]
async fn a_ticket_lives_for_a_minute() {
    let (house, contract) = globex(5).await;
    let made = create(&house, &contract, "lea@globex.example", &json!({})).await;
    let learner: LearnerId = text(&made["learner"]["learner_id"]).parse().expect("an id");
    let world = &house.world;
    for (age, status) in [(0, 200), (50, 200), (60, 404), (3600, 404)] {
        let then = VirtualClock::new(now() - SignedDuration::from_secs(age));
        let (store, ids, keys) = (&world.store, &world.ids, &world.keys);
        let issued = issue_ticket(store, &then, ids, keys, &world.client, learner).await;
        let ticket = issued.expect("a ticket");
        let reply = exchange(&house, &Person::lms("globex"), &ticket).await;
        assert_eq!(reply.status, status, "{age} seconds old");
    }
}
