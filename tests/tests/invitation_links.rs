//! Invitations over HTTP: the events of the gateway, answered by `invite` and listed by `manage`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, StatusCode};
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::ids::{ContractId, InvitationId};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{IdSource as _, People as _};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_http::caller::ClaimNames;
use seatkeeper_http::config::EdgeConfig;
use seatkeeper_http::{App, Shared, edge};
use seatkeeper_testkit::Cloud;
use seatkeeper_tests::World;
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// A world with a contract that has no dates, because functions go by the machine's clock.
struct House {
    world: World,
    contract: ContractId,
}

impl House {
    async fn with_seats(seats: u64) -> Self {
        let world = World::with_seats(1).await;
        let contract = Contract {
            contract_id: ContractId::from_uuid(world.ids.uuid()),
            reference: "open-ended".to_owned(),
            starts_on: None,
            ends_on: None,
            ..world.contract.clone()
        };
        open_contract(&world.store, Actor::System, world.op(), &contract, seats).await.unwrap();
        Self { world, contract: contract.contract_id }
    }

    fn app(&self) -> Shared<seatkeeper_aws::Store> {
        let config = EdgeConfig {
            table_name: Cloud::TABLE.to_owned(),
            keys: self.world.keys.clone(),
            page_base_url: "https://learn.example".to_owned(),
            languages: Languages::from_list("en,fr"),
            passwords: PasswordPolicy::default(),
        };
        let claims = ClaimNames {
            client: "seatkeeper:client".to_owned(),
            role: "seatkeeper:role".to_owned(),
            groups: "seatkeeper:groups".to_owned(),
        };
        App::new(self.world.store.clone(), config, claims)
    }

    fn router(&self) -> Router {
        edge("invite", seatkeeper_invite::routes(self.app()))
    }

    /// One of the payloads in `events/invite/`, changed by the test.
    async fn play(&self, event: &str, change: impl FnOnce(&mut Value)) -> Reply {
        let file = format!("../events/invite/{event}.json");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let mut event: Value = serde_json::from_str(&text).unwrap();
        change(&mut event);
        answered(self.router(), &event).await
    }

    /// Invites as a client administrator.
    async fn invite(&self, body: &Value) -> Reply {
        let mut body = body.clone();
        body["contract_id"] = json!(self.contract);
        self.play("several", |event| {
            administer(event);
            event["body"] = json!(body.to_string());
        })
        .await
    }

    /// Invites one address without a mail; its token and id.
    async fn token(&self, email: &str) -> (String, String) {
        let invited = self.invite(&json!({"emails": [email], "notify": false})).await.json();
        let result = &invited["results"][0];
        let link = result["link"].as_str().expect("a link");
        let token = link.strip_prefix("https://learn.example/i/").expect("a page's address");
        (token.to_owned(), result["invitation_id"].as_str().expect("an id").to_owned())
    }

    async fn play_link(&self, event: &str, token: &str) -> Reply {
        self.play(event, |event| put(event, "t0kent0kent0kent0ken", token)).await
    }

    async fn play_on(&self, event: &str, id: &str) -> Reply {
        self.play(event, |event| put(event, "inv_06cyt3v9q4e8h2m6k0x5w1r7zc", id)).await
    }
}

async fn answered(router: Router, event: &Value) -> Reply {
    let request = lambda_http::request::from_str(&event.to_string()).expect("a request");
    let request = request.map(|body| Body::from(body.to_vec()));
    let response = router.oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 24).await.expect("a body");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    Reply { status: parts.status, headers: parts.headers, text }
}

fn administer(event: &mut Value) {
    claim(event, "seatkeeper:role", "client_admin");
}

fn claim(event: &mut Value, name: &str, value: &str) {
    event["requestContext"]["authorizer"]["jwt"]["claims"][name] = json!(value);
}

/// Puts an id into the path instead of the one the event has.
fn put(event: &mut Value, from: &str, to: &str) {
    let path = event["rawPath"].as_str().expect("a path").replace(from, to);
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
}

#[tokio::test]
async fn many_addresses_are_answered_one_by_one_with_the_stock() {
    let house = House::with_seats(5).await;
    let emails = "Ana@Example.org; bea@example.org\n nobody, ana@example.org";
    let reply = house.invite(&json!({"emails": emails, "language": "fr-CA"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.json();
    let results = body["results"].as_array().unwrap();
    let outcomes: Vec<_> = results.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["invited", "invited", "rejected", "duplicate"]);
    assert_eq!(results[0]["email"], "ana@example.org");
    assert!(results[0]["invitation_id"].as_str().unwrap().starts_with("inv_"));
    assert_eq!(results[0].get("link"), None, "a mail carries it");
    assert_eq!(results[2]["error"], "invalid-email");
    assert_eq!(body["stock"]["held"], 2);
}

#[tokio::test]
async fn a_list_with_five_bad_of_a_thousand_invites_995_and_names_the_five() {
    let house = House::with_seats(1_100).await;
    let bad =
        ["nobody", "@example.org", "a@b@example.org", "two words@example.org", "a@example..org"];
    let mut emails: Vec<String> = (0..995).map(|n| format!("person.{n}@example.org")).collect();
    for (number, text) in bad.iter().enumerate() {
        emails.insert(number * 200, (*text).to_owned());
    }
    let reply = house.invite(&json!({"emails": emails, "notify": false})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.json();
    let results = body["results"].as_array().unwrap();
    let named = |outcome: &str| {
        let found = results.iter().filter(|one| one["outcome"] == outcome);
        found.cloned().collect::<Vec<_>>()
    };
    assert_eq!((results.len(), named("invited").len()), (1_000, 995));
    let rejected = named("rejected");
    let told: Vec<_> = rejected.iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert_eq!(told, bad);
    assert!(rejected.iter().all(|one| one["error"] == "invalid-email"));
    let stock = |name: &str| (body[name]["held"].clone(), body[name]["available"].clone());
    assert_eq!(stock("stock_before"), (json!(0), json!(1_100)));
    assert_eq!(stock("stock"), (json!(995), json!(105)));
}

#[tokio::test]
async fn a_thousand_addresses_pasted_in_any_manner_are_one_list() {
    let house = House::with_seats(1_000).await;
    let ends = [", ", ";", "\n", " ", "\r\n", " ; "];
    let pasted: Vec<String> =
        (0..1_000).map(|n| format!("p{n}@example.org{}", ends[n % ends.len()])).collect();
    let reply = house.invite(&json!({"emails": pasted.concat(), "partial": true})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.json();
    let results = body["results"].as_array().unwrap();
    assert!(results.iter().all(|one| one["outcome"] == "invited"));
    assert_eq!((results.len(), &body["stock"]["held"]), (1_000, &json!(1_000)));
    let whole = house.invite(&json!({"emails": "a@example.org", "partial": false})).await;
    let error = &whole.json()["errors"][0];
    assert_eq!((whole.status.as_u16(), &error["pointer"]), (422, &json!("/partial")));
}

#[tokio::test]
async fn wrong_fields_are_named_and_refusals_come_in_their_order() {
    let house = House::with_seats(5).await;
    let body = json!({
        "emails": [], "start_on": "tomorrow", "roles": ["king"], "message": "x".repeat(2_001),
        "surprise": 1,
    });
    let reply = house.invite(&body).await;
    assert_eq!(reply.status, 422);
    let mut pointers: Vec<String> = reply.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    pointers.sort();
    assert_eq!(pointers, ["/emails", "/message", "/roles/0", "/start_on", "/surprise"]);
    let many: Vec<String> = (0..1_001).map(|number| format!("a{number}@example.org")).collect();
    assert_eq!(house.invite(&json!({"emails": many})).await.status, 422);
    let foreign = house
        .play("several", |event| {
            claim(event, "seatkeeper:client", "globex");
            claim(event, "seatkeeper:role", "service");
            event["body"] = json!("not json");
        })
        .await;
    assert_eq!(foreign.status, 404, "another client's before everything else");
    let machine = house
        .play("several", |event| {
            claim(event, "seatkeeper:role", "service");
            event["body"] = json!("not json");
        })
        .await;
    assert_eq!(machine.status, 403, "the role before the body");
    let broken = house
        .play("several", |event| {
            administer(event);
            event["body"] = json!("not json");
        })
        .await;
    assert_eq!((broken.status.as_u16(), &broken.json()["code"]), (400, &json!("invalid-json")));
    // As it stands, the event names a contract that is not there.
    let unknown = house.play("several", |_| {}).await;
    assert_eq!(unknown.status, 422);
    assert_eq!(unknown.json()["errors"][0]["pointer"], "/contract_id");
    let privileged = json!({"emails": ["a@example.org"], "roles": ["client_admin"]});
    assert_eq!(house.invite(&privileged).await.status, 403);
    let outside = json!({"emails": ["a@example.org"], "end_on": "2020-01-01"});
    let outside = house.invite(&outside).await.json();
    assert_eq!(outside["errors"][0]["pointer"], "/end_on");
    assert_eq!(house.play_on("change_address", "inv_06cyt3v9q4e8h2m6k0x5w1r7zc").await.status, 404);
}

#[tokio::test]
async fn a_full_pool_refuses_when_nobody_can_be_served() {
    let house = House::with_seats(1).await;
    let both = json!({"emails": ["a@example.org", "b@example.org"]});
    let body = house.invite(&both).await.json();
    assert_eq!(body["results"][1]["error"], "no-seats-left");
    let refused = house.invite(&json!({"emails": ["b@example.org"]})).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("no-seats-left")));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("seats missing: 1."), "{detail}");
}

#[tokio::test]
async fn the_same_key_answers_the_same_but_shows_links_once() {
    let house = House::with_seats(5).await;
    let body = json!({
        "contract_id": house.contract, "emails": ["a@example.org"], "notify": false,
    });
    let call = async || {
        house
            .play("several", |event| {
                administer(event);
                event["headers"]["idempotency-key"] = json!("\"k-1\"");
                event["body"] = json!(body.to_string());
            })
            .await
            .json()
    };
    let mut first = call().await;
    let second = call().await;
    let link = first["results"][0].as_object_mut().unwrap().remove("link");
    assert!(link.unwrap().as_str().unwrap().starts_with("https://learn.example/i/"));
    assert_eq!(first, second);
    assert_eq!(second["results"][0]["outcome"], "invited");
}

#[tokio::test]
async fn a_browser_is_shown_the_page_fills_it_in_and_lands_with_a_ticket() {
    let house = House::with_seats(2).await;
    let (token, _) = house.token("zoe@example.org").await;
    let before = house.world.cloud.dump();
    let page = house.play_link("show", &token).await;
    assert_eq!((page.status.as_u16(), page.header("content-language")), (200, "fr"));
    assert!(page.text.contains("zoe@example.org") && page.text.contains("Acme"));
    assert_eq!(house.world.cloud.dump(), before, "a GET changes nothing");
    let landed = house.play_link("accept_form", &token).await;
    assert_eq!(landed.status, 303, "{}", landed.text);
    let location = landed.header("location");
    assert!(location.starts_with("https://lms.example.com/launch?ticket="), "{location}");
    for event in ["show", "accept_form"] {
        let again = house.play_link(event, &token).await;
        assert_eq!(again.status, 409, "{event}");
        assert!(again.header("content-type").starts_with("text/html"));
    }
}

#[tokio::test]
async fn a_weak_password_shows_the_form_again_with_what_was_typed_but_the_password() {
    let house = House::with_seats(2).await;
    let (token, _) = house.token("zoe@example.org").await;
    let form = "first_name=Zo%C3%A9&last_name=Durand&password=sesame";
    let page = house
        .play("accept_form", |event| {
            put(event, "t0kent0kent0kent0ken", &token);
            event["body"] = json!(form);
            event["isBase64Encoded"] = json!(false);
        })
        .await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("Durand") && !page.text.contains("sesame"), "{}", page.text);
    let program = house
        .play("accept_program", |event| {
            put(event, "t0kent0kent0kent0ken", &token);
            let body = json!({"first_name": "Z", "last_name": "D", "password": "sesame"});
            event["body"] = json!(body.to_string());
        })
        .await;
    assert_eq!(program.status, 422);
    let error = &program.json()["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/password"), &json!("weak-password")));
}

#[tokio::test]
async fn a_weak_password_is_told_together_with_what_else_is_missing() {
    let house = House::with_seats(2).await;
    let (token, _) = house.token("zoe@example.org").await;
    let program = house
        .play("accept_program", |event| {
            put(event, "t0kent0kent0kent0ken", &token);
            event["body"] = json!(json!({"first_name": "Z", "password": "sesame"}).to_string());
        })
        .await;
    let told = program.json();
    let errors = told["errors"].as_array().unwrap().iter();
    let told: Vec<_> = errors.map(|error| (&error["pointer"], &error["code"])).collect();
    let missing = (&json!("/last_name"), &json!("required"));
    assert_eq!(told, [missing, (&json!("/password"), &json!("weak-password"))]);
    let page = house
        .play("accept_form", |event| {
            put(event, "t0kent0kent0kent0ken", &token);
            event["body"] = json!("first_name=Zo%C3%A9&last_name=+&password=sesame");
            event["isBase64Encoded"] = json!(false);
        })
        .await;
    assert_eq!(page.status, 422);
    for field in ["last_name", "password"] {
        assert!(page.text.contains(&format!("id=\"{field}-error\"")), "{field}: {}", page.text);
    }
}

#[tokio::test]
async fn mail_programs_stop_reminders_by_either_kind_of_form() {
    let house = House::with_seats(2).await;
    let multipart = "--b0undary\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                     One-Click\r\n--b0undary--\r\n";
    for (address, kind, body) in [
        ("a@example.org", "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"),
        ("b@example.org", "multipart/form-data; boundary=b0undary", multipart),
    ] {
        let (token, id) = house.token(address).await;
        let reply = house
            .play("unsubscribe_form", |event| {
                put(event, "t0kent0kent0kent0ken", &token);
                // A mail program has neither language nor wishes.
                event["headers"] = json!({"content-type": kind, "host": "learn.example"});
                event["body"] = json!(body);
                event["isBase64Encoded"] = json!(false);
            })
            .await;
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text);
        let id = id.parse().unwrap();
        let store = &house.world.store;
        let found = store.invitation(&house.world.client, id).await.unwrap().unwrap();
        assert!(found.reminders_unwanted, "{kind}");
    }
}

#[tokio::test]
async fn a_program_accepts_and_a_repeat_under_the_key_gets_another_ticket() {
    let house = House::with_seats(2).await;
    let (token, _) = house.token("zoe@example.org").await;
    let call = async || {
        house
            .play("accept_program", |event| {
                put(event, "t0kent0kent0kent0ken", &token);
                event["headers"]["idempotency-key"] = json!("accept-1");
            })
            .await
    };
    let first = call().await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = call().await;
    assert_eq!(second.status, 200, "{}", second.text);
    let (first, second) = (first.json(), second.json());
    assert_eq!(first["learner_id"], second["learner_id"]);
    assert_ne!(first["launch_url"], second["launch_url"]);
    assert_eq!(first.get("stock"), None);
    let without_key = house.play_link("accept_program", &token).await;
    assert_eq!(without_key.json()["code"], "already-accepted");
}

#[tokio::test]
async fn the_list_shows_what_is_pending_and_to_a_group_administrator_only_theirs() {
    let house = House::with_seats(5).await;
    let (_, cancelled) = house.token("a@example.org").await;
    let (open, pending) = house.token("b@example.org").await;
    house.play_on("cancel", &cancelled).await;
    let read = async |path: &str, query: &str, role: &str| {
        let file = "../events/manage/list_learners.json";
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let mut event: Value = serde_json::from_str(&text).unwrap();
        claim(&mut event, "seatkeeper:client", "acme");
        claim(&mut event, "seatkeeper:role", role);
        claim(&mut event, "seatkeeper:groups", "[grp_06cyt3v9q4e8h2m6k0x5w1r7zb]");
        let path = format!("/v1/clients/acme/invitations{path}");
        event["rawPath"] = json!(path);
        event["requestContext"]["http"]["path"] = json!(path);
        event["requestContext"]["http"]["method"] = json!("GET");
        event["rawQueryString"] = json!(query);
        answered(edge("manage", seatkeeper_manage::routes(house.app())), &event).await
    };
    let list = read("", "status=pending", "client_admin").await;
    assert_eq!(list.status, 200, "{}", list.text);
    let (items, next) = (&list.json()["items"], &list.json()["next_cursor"]);
    assert_eq!((items.as_array().unwrap().len(), next), (1, &Value::Null));
    assert_eq!(
        (&items[0]["invitation_id"], &items[0]["status"]),
        (&json!(pending), &json!("pending"))
    );
    let all = read("", "", "service").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    // Whoever has accepted is not pending any more.
    assert_eq!(house.play_link("accept_program", &open).await.status, 200);
    let list = read("", "status=pending", "client_admin").await.json();
    assert_eq!(list["items"], json!([]));
    let list = read("", "status=accepted", "client_admin").await.json();
    assert_eq!(list["items"][0]["invitation_id"], json!(pending));
    let one = read(&format!("/{cancelled}"), "", "client_admin").await;
    assert_eq!((one.status.as_u16(), &one.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(read("", "status=lost", "client_admin").await.status, 422);
    let none = read("", "", "group_admin").await.json();
    assert!(none["items"].as_array().unwrap().is_empty());
    assert_eq!(read(&format!("/{pending}"), "", "group_admin").await.status, 404);
}

/// Whoever guesses learns nothing from the answer: neither how far a token was right, nor whom it is
/// of. Status, headers and body are the same to the byte.
#[tokio::test]
async fn forged_cut_and_foreign_links_are_answered_alike() {
    let house = House::with_seats(3).await;
    let (open, _) = house.token("a@example.org").await;
    let flipped = |place: usize| {
        let mut token = open.clone().into_bytes();
        token[place] = if token[place] == b'A' { b'B' } else { b'A' };
        String::from_utf8(token).unwrap()
    };
    let last = open.len() - 1;
    let elsewhere = Keys::derive("the root secret of another stack, also long").unwrap();
    let link = |client: &str, keys: &Keys| {
        let invitation = InvitationId::from_bits(7);
        let client = client.parse().unwrap();
        let path = Link::Invitation { client, invitation, version: 1 }.path(keys);
        path.strip_prefix("/i/").unwrap().to_owned()
    };
    let own = &house.world.keys;
    let tokens = [
        "t0kent0kent0kent0ken".to_owned(),
        flipped(0),
        flipped(last / 2),
        flipped(last - 1),
        open[..last].to_owned(),
        open[..open.len() / 2].to_owned(),
        format!("{open}{open}"),
        "x".to_owned(),
        link("acme", &elsewhere),
        link("globex", own),
        link("acme", own),
    ];
    for event in ["show", "accept_form", "accept_program", "decline_form"] {
        let mut answers = BTreeMap::new();
        for token in &tokens {
            let reply = house.play_link(event, token).await;
            assert_eq!(reply.status, 404, "{event} {token}");
            assert!(!reply.text.contains(token.as_str()) || token.len() < 2, "{event} {token}");
            let told = format!("{:?}\n{}", reply.headers, reply.text);
            answers.entry(told).or_insert_with(Vec::new).push(token.clone());
        }
        assert_eq!(answers.len(), 1, "{event}: {answers:#?}");
    }
    // The open one is as it was.
    assert_eq!(house.play_link("show", &open).await.status, 200);
    assert_eq!(house.world.cloud.sent_mails().len(), 0);
}

#[tokio::test]
async fn a_forged_link_is_not_found_and_closed_ones_are_gone() {
    let house = House::with_seats(3).await;
    for event in ["show", "accept_form", "accept_program", "decline_form"] {
        assert_eq!(house.play_link(event, "t0kent0kent0kent0ken").await.status, 404, "{event}");
    }
    let (declined, _) = house.token("a@example.org").await;
    let page = house.play_link("decline_form", &declined).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let (cancelled, id) = house.token("b@example.org").await;
    let reply = house.play_on("cancel", &id).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(reply.json()["stock"]["held"], 0);
    let (replaced, id) = house.token("c@example.org").await;
    let reply = house.play_on("resend", &id).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["sent_count"]), (200, &json!(1)));
    assert_eq!(reply.json()["delivery"], "queued");
    for token in [declined, cancelled, replaced] {
        for event in ["show", "accept_form"] {
            let page = house.play_link(event, &token).await;
            assert_eq!(page.status, 410, "{event}");
            assert!(page.header("content-type").starts_with("text/html"));
        }
        let program = house.play_link("accept_program", &token).await;
        assert_eq!(program.json()["code"], "gone");
    }
    assert_eq!(house.play_on("resend", "inv_06cyt3v9q4e8h2m6k0x5w1r7zc").await.status, 404);
    assert_eq!(house.play_on("cancel", "nonsense").await.status, 404);
}
