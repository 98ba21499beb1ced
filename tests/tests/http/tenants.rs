//! Every route, every role: own, foreign and random objects. What is not the caller's does not
//! exist, and no byte of it is told.

use std::collections::BTreeMap;

use seatkeeper_aws::S3Files;
use seatkeeper_domain::actions::run_import::{DroppedFile, Importer};
use seatkeeper_domain::import_run::SourceObject;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_spreadsheet::Spreadsheets;
use seatkeeper_tests::http::{Call, House, Person, REPORTS, Reply, UPLOADS, now};
use serde_json::{Value, json};

use crate::text;

/// Stands in everything that initech owns, and in nothing else.
const CANARY: &str = "canary";

const ROLES: [&str; 5] = ["vendor_admin", "client_admin", "group_admin", "instructor", "service"];
const VENDOR: &[&str] = &["vendor_admin"];
const ADMINISTRATION: &[&str] = &["vendor_admin", "client_admin"];
const READS: &[&str] = &["vendor_admin", "client_admin", "service"];
const GROUP_READS: &[&str] = &ROLES;
const INVITATIONS: &[&str] = &["vendor_admin", "client_admin", "group_admin", "instructor"];

/// A route of the API below a client. `{contract}` and the like, in path and body, stand for ids;
/// `{n}` for something new each time.
struct Route {
    method: &'static str,
    path: &'static str,
    body: Option<&'static str>,
    roles: &'static [&'static str],
    /// The status for own objects.
    status: u16,
}

const fn get(path: &'static str, roles: &'static [&'static str], status: u16) -> Route {
    Route { method: "GET", path, body: None, roles, status }
}

const fn call(
    method: &'static str,
    path: &'static str,
    body: &'static str,
    roles: &'static [&'static str],
    status: u16,
) -> Route {
    Route { method, path, body: Some(body), roles, status }
}

/// All of them, in an order in which one after the other can be called.
const ROUTES: [Route; 67] = [
    get("", READS, 200),
    call("PATCH", "", r#"{"name": "Globex {n}"}"#, VENDOR, 200),
    get("/contracts", READS, 200),
    get("/contracts/{contract}", READS, 200),
    call("POST", "/contracts", r#"{"reference": "{n}", "seats": 3}"#, VENDOR, 201),
    call("POST", "/contracts/{contract}/seats", r#"{"add": 1, "order": "{n}"}"#, VENDOR, 200),
    call("POST", "/contracts/{contract}/modules", r#"{"add": ["{n}"]}"#, VENDOR, 200),
    call(
        "POST",
        "/contracts/{contract}/reclaim",
        r#"{"unused_days": 90, "preview": true}"#,
        ADMINISTRATION,
        200,
    ),
    // Its own successor it cannot be.
    call(
        "POST",
        "/contracts/{contract}/renewal",
        r#"{"to_contract_id": "{contract}"}"#,
        VENDOR,
        422,
    ),
    get("/contracts/{contract}/sublicenses", READS, 200),
    call(
        "POST",
        "/contracts/{contract}/sublicenses",
        r#"{"name": "{n}", "seats": 1}"#,
        ADMINISTRATION,
        201,
    ),
    call(
        "POST",
        "/contracts/{contract}/sublicenses/{sublicense}/seats",
        r#"{"add": 1}"#,
        ADMINISTRATION,
        200,
    ),
    get("/groups", GROUP_READS, 200),
    call("POST", "/groups", r#"{"name": "{n}"}"#, ADMINISTRATION, 201),
    get("/learners", GROUP_READS, 200),
    get("/learners?group_id={group}", GROUP_READS, 200),
    get("/learners/{learner}", GROUP_READS, 200),
    call(
        "POST",
        "/learners",
        r#"{"contract_id": "{contract}", "email": "{n}@x.example"}"#,
        ADMINISTRATION,
        201,
    ),
    call(
        "POST",
        "/learners",
        r#"{"contract_id": "{own contract}", "sublicense_id": "{sublicense}", "email": "{n}@x.example"}"#,
        ADMINISTRATION,
        201,
    ),
    call(
        "POST",
        "/learners",
        r#"{"contract_id": "{own contract}", "group_ids": ["{group}"], "email": "{n}@x.example"}"#,
        ADMINISTRATION,
        201,
    ),
    call("DELETE", "/learners/{leaver}", "", ADMINISTRATION, 200),
    get("/invitations", GROUP_READS, 200),
    get("/invitations/{invitation}", GROUP_READS, 200),
    call(
        "POST",
        "/invitations",
        r#"{"contract_id": "{contract}", "group_ids": ["{own group}"], "emails": "{n}@x.example"}"#,
        INVITATIONS,
        200,
    ),
    call("POST", "/invitations/{invitation}/resend", "{}", INVITATIONS, 200),
    call("POST", "/invitations/remind", r#"{"contract_id": "{contract}"}"#, INVITATIONS, 200),
    get("/invitations?status=pending&delivery=queued", GROUP_READS, 200),
    call("PATCH", "/invitations/{invitation}", r#"{"email": "{n}@x.example"}"#, INVITATIONS, 200),
    call("DELETE", "/invitations/{invitation}", "", INVITATIONS, 200),
    get("/codes", READS, 200),
    get("/codes/{batch}", READS, 200),
    get("/codes/{batch}/redemptions", READS, 200),
    get("/codes/{batch}/download?format=csv", ADMINISTRATION, 200),
    get("/codes/{batch}/download?format=xlsx", ADMINISTRATION, 200),
    get("/codes/{batch}/download?format=html", ADMINISTRATION, 200),
    call(
        "POST",
        "/codes",
        r#"{"contract_id": "{contract}", "kind": "redemption", "label": "{n}", "count": 1}"#,
        ADMINISTRATION,
        201,
    ),
    call("POST", "/codes/{batch}/codes", r#"{"count": 1}"#, ADMINISTRATION, 201),
    call("POST", "/codes/{batch}/send", r#"{"emails": "{n}@x.example"}"#, ADMINISTRATION, 200),
    call("POST", "/codes/{batch}/release", "{}", ADMINISTRATION, 200),
    call("PATCH", "/codes/{batch}", r#"{"state": "paused"}"#, ADMINISTRATION, 200),
    get("/imports", READS, 200),
    get("/imports/{import}", READS, 200),
    get("/imports/{import}/rows", READS, 200),
    get("/imports/{import}/report", READS, 303),
    call(
        "POST",
        "/imports",
        r#"{"contract_id": "{contract}", "filename": "a.csv", "mode": "create"}"#,
        ADMINISTRATION,
        201,
    ),
    call("POST", "/imports/{import}/commit", "{}", ADMINISTRATION, 409),
    call("POST", "/imports/{import}/cancel", "{}", ADMINISTRATION, 409),
    call("POST", "/imports/{import}/release", "{}", ADMINISTRATION, 200),
    call("POST", "/imports/{import}/undo", "{}", ADMINISTRATION, 202),
    get("/import-template?format=csv&contract_id={contract}", READS, 200),
    call(
        "PUT",
        "/sso/{n}",
        r#"{"contract_id": "{contract}", "email": "{n}.sso@x.example"}"#,
        READS,
        201,
    ),
    call("PATCH", "/learners/{learner}", r#"{"labels": ["{n}"]}"#, ADMINISTRATION, 200),
    get("/audit", READS, 200),
    get("/openings", READS, 200),
    call(
        "POST",
        "/openings/reschedule",
        r#"{"pool": "{contract}", "opens_at": "2099-02-28T23:00:00Z", "start_on": "2099-03-08"}"#,
        ADMINISTRATION,
        200,
    ),
    call(
        "POST",
        "/openings/cancel",
        r#"{"pool": "{contract}", "opens_at": "2099-02-28T23:00:00Z"}"#,
        ADMINISTRATION,
        200,
    ),
    get("/seats/{contract}/explain?learner={learner}", READS, 200),
    get("/webhooks", ADMINISTRATION, 501),
    call("POST", "/webhooks", "{}", ADMINISTRATION, 501),
    call("DELETE", "/webhooks", "{}", ADMINISTRATION, 501),
    get("/webhooks/{n}", ADMINISTRATION, 501),
    get("/utilization?pool={contract}", READS, 200),
    // A cursor of another client leads through the own list.
    get("/learners?limit=1&cursor={cursor}", GROUP_READS, 200),
    get("/contracts?limit=1&cursor={contract}", READS, 200),
    get("/audit?limit=1&cursor={contract}", READS, 200),
    call("POST", "/learners/{learner}/seats/{contract}/release", "", ADMINISTRATION, 200),
    call(
        "POST",
        "/learners/{learner}/transfer",
        r#"{"to_email": "{n}@x.example"}"#,
        ADMINISTRATION,
        409,
    ),
];

/// The ids of a client's objects, by their names in [`ROUTES`].
type Ids = BTreeMap<&'static str, String>;

/// Puts ids into a path or a body.
fn filled(template: &str, ids: &Ids, own: &Ids, serial: u32) -> String {
    let mut text = template.replace("{n}", &format!("new-{serial}"));
    for (name, id) in ids {
        text = text.replace(&format!("{{{name}}}"), id);
    }
    for (name, id) in own {
        text = text.replace(&format!("{{own {name}}}"), id);
    }
    text
}

/// Calls numbered, so that each is new.
struct Caller<'a> {
    house: &'a House,
    serial: u32,
}

impl Caller<'_> {
    async fn send(
        &mut self,
        route: &Route,
        by: &Person,
        client: &str,
        ids: &Ids,
        own: &Ids,
    ) -> Reply {
        self.serial += 1;
        let path = filled(route.path, ids, own, self.serial);
        let call = Call::new(route.method, &format!("/v1/clients/{client}{path}")).by(by);
        let call = match route.body {
            Some(body) => call.text("application/json", &filled(body, ids, own, self.serial)),
            None => call,
        };
        self.house.send(call).await
    }
}

/// A caller of this role for `globex`, in its group.
fn person(role: &str, group: &str) -> Person {
    let client = if role == "vendor_admin" { "*" } else { "globex" };
    Person::new(role, client).of_groups(&[group])
}

/// Makes a client with one of everything, all of it marked by `mark`.
async fn settle(house: &House, client: &str, mark: &str) -> Ids {
    let vendor = Person::vendor();
    let base = format!("/v1/clients/{client}");
    let post = async |path: &str, body: Value| {
        let reply = house.post(&vendor, path, body).await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.json()
    };
    let order = json!({
        "client_id": client, "name": format!("{mark} Inc."), "default_language": "fr",
        "time_zone": "Europe/Paris", "launch_url": format!("https://{mark}.example/start"),
    });
    post("/v1/clients", order).await;
    let order = json!({"reference": format!("{mark}-1"), "seats": 50, "modules": [mark]});
    let contract = text(&post(&format!("{base}/contracts"), order).await["contract_id"]);
    let order = json!({"name": format!("{mark} share"), "seats": 5});
    let path = format!("{base}/contracts/{contract}/sublicenses");
    let sublicense = text(&post(&path, order).await["sublicense_id"]);
    let order = json!({"name": format!("{mark} group")});
    let group = text(&post(&format!("{base}/groups"), order).await["group_id"]);
    let order = json!({
        "contract_id": contract, "email": format!("{mark}.learner@x.example"),
        "first_name": mark, "group_ids": [group], "labels": [mark],
    });
    let made = post(&format!("{base}/learners"), order).await;
    let learner = text(&made["learner"]["learner_id"]);
    let order = json!({"contract_id": contract, "email": format!("{mark}.leaver@x.example")});
    let leaver = post(&format!("{base}/learners"), order).await;
    let leaver = text(&leaver["learner"]["learner_id"]);
    let order = json!({
        "contract_id": contract, "email": format!("{mark}.starter@x.example"),
        "start_on": "2099-03-01",
    });
    post(&format!("{base}/learners"), order).await;
    let order = json!({
        "contract_id": contract, "emails": [format!("{mark}.guest@x.example")],
        "group_ids": [group], "message": mark,
    });
    let invited = post(&format!("{base}/invitations"), order).await;
    let invitation = text(&invited["results"][0]["invitation_id"]);
    let order = json!({
        "contract_id": contract, "kind": "redemption", "label": mark,
        "codes": [format!("{mark}-SPRING-2027")],
    });
    let batch = text(&post(&format!("{base}/codes"), order).await["batch"]["batch_id"]);
    let import = import(house, client, &contract, mark).await;
    let cursor = format!("00.{learner}");
    BTreeMap::from([
        ("contract", contract),
        ("sublicense", sublicense),
        ("group", group),
        ("learner", learner),
        ("leaver", leaver),
        ("invitation", invitation),
        ("batch", batch),
        ("import", import),
        ("cursor", cursor),
    ])
}

/// Imports a file of one row, and one that is wrong.
async fn import(house: &House, client: &str, contract: &str, mark: &str) -> String {
    let (store, cloud) = (&house.world.store, &house.world.cloud);
    let key = format!("drop/{client}/{contract}/{mark}.csv");
    let rows = format!("email;first_name\n{mark}.imported@x.example;{mark}\n{mark};{mark}\n");
    let object = cloud.upload(UPLOADS, &key, rows);
    let source = SourceObject {
        key,
        version_id: Some(object.version_id.clone()),
        etag: Some(object.etag.clone()),
    };
    let importer = Importer {
        ports: store,
        files: &S3Files::new(cloud.s3(), UPLOADS, REPORTS),
        sheets: &Spreadsheets,
        clock: &SystemClock,
        ids: &SystemIds,
        keys: &house.world.keys,
        languages: &Languages::from_list("en,fr"),
        passwords: PasswordPolicy::default(),
        max_rows: 10_000,
        deadline: now() + jiff::SignedDuration::from_mins(10),
    };
    let file = DroppedFile {
        bucket: UPLOADS.to_owned(),
        source,
        client_id: client.parse().expect("a slug"),
        contract_id: contract.parse().expect("an id"),
    };
    Box::pin(importer.run(&file)).await.expect("an import");
    let list = house.get(&Person::vendor(), &format!("/v1/clients/{client}/imports")).await;
    text(&list.json()["items"][0]["import_id"])
}

/// Ids of nobody, of the right form.
fn random() -> Ids {
    let id = |kind: &str| format!("{kind}_07h3k9m2q5w8r1t4v6x0z2b5d8");
    BTreeMap::from([
        ("contract", id("con")),
        ("sublicense", id("sub")),
        ("group", id("grp")),
        ("learner", id("lrn")),
        ("leaver", id("lrn")),
        ("invitation", id("inv")),
        ("batch", id("bat")),
        ("import", id("imp")),
        ("cursor", format!("00.{}", id("lrn"))),
    ])
}

struct Town {
    house: House,
    own: Ids,
    foreign: Ids,
}

impl Town {
    /// `globex`, whose callers call, and `initech`, whose canaries must not be heard.
    async fn settled() -> Self {
        let house = House::open().await;
        let own = settle(&house, "globex", "globex").await;
        let foreign = settle(&house, "initech", CANARY).await;
        assert!(house.world.cloud.dump().iter().any(|item| item.to_string().contains(CANARY)));
        Self { house, own, foreign }
    }

    fn assert_silent(&self, reply: &Reply, what: &str) {
        let headers = format!("{:?}", reply.headers).to_lowercase();
        let told = format!("{} {headers}", reply.text.to_lowercase());
        assert!(!told.contains(CANARY), "{what}: {told}");
        for id in self.foreign.values() {
            assert!(!told.contains(id.as_str()), "{what}: {told}");
        }
    }
}

#[tokio::test]
async fn what_is_another_clients_does_not_exist_for_any_role_on_any_route() {
    let town = Town::settled().await;
    let (own, foreign, random) = (&town.own, &town.foreign, &random());
    let before = town.house.world.cloud.dump();
    let mut caller = Caller { house: &town.house, serial: 0 };
    for route in &ROUTES {
        for role in ROLES {
            let by = &person(role, &own["group"]);
            let what = format!("{role}: {} {}", route.method, route.path);

            // Another client, and one that does not exist.
            if role == "vendor_admin" {
                let nowhere = caller.send(route, by, "nowhere", random, random).await;
                let expected = match route.status {
                    501 => (501, "not-implemented"),
                    _ => (404, "not-found"),
                };
                assert_eq!((nowhere.status, nowhere.code().as_str()), expected, "{what}");
            } else {
                let there = caller.send(route, by, "initech", foreign, foreign).await;
                assert_eq!((there.status, there.code().as_str()), (404, "not-found"), "{what}");
                let nowhere = caller.send(route, by, "nowhere", random, random).await;
                assert_eq!(there.text, nowhere.text, "{what}");
                town.assert_silent(&there, &what);
            }

            // A role that may not: told so, whatever it names.
            if !route.roles.contains(&role) {
                for ids in [own, foreign, random] {
                    let refused = caller.send(route, by, "globex", ids, own).await;
                    let told = (refused.status, refused.code());
                    assert_eq!(told, (403, "forbidden".to_owned()), "{what}");
                    town.assert_silent(&refused, &what);
                }
                continue;
            }

            // A role that may, and objects that are another client's or nobody's.
            let names_objects =
                |text: &str| foreign.keys().any(|k| text.contains(&format!("{{{k}}}")));
            if !names_objects(route.path) && !route.body.is_some_and(names_objects) {
                continue;
            }
            let theirs = caller.send(route, by, "globex", foreign, own).await;
            let nobodys = caller.send(route, by, "globex", random, own).await;
            town.assert_silent(&theirs, &what);
            if route.path.contains("cursor=") {
                assert_eq!(theirs.status, 200, "{what}");
                continue;
            }
            assert_eq!(theirs.text, nobodys.text, "{what}");
            let path = route.path.split('?').next().unwrap_or_default();
            let expected = match route.status {
                501 => (501, "not-implemented"),
                _ if names_objects(path) => (404, "not-found"),
                _ => (422, "invalid-request"),
            };
            assert_eq!((theirs.status, theirs.code().as_str()), expected, "{what}");
        }
    }
    assert_eq!(town.house.world.cloud.dump(), before, "refusals leave nothing behind");
}

#[tokio::test]
async fn every_role_gets_what_is_its_own_and_hears_nothing_of_others() {
    for role in ROLES {
        let town = Town::settled().await;
        let own = &town.own;
        let by = &person(role, &own["group"]);
        let mut caller = Caller { house: &town.house, serial: 0 };
        for route in ROUTES.iter().filter(|route| route.roles.contains(&role)) {
            let what = format!("{role}: {} {}", route.method, route.path);
            let reply = caller.send(route, by, "globex", own, own).await;
            assert_eq!(reply.status, route.status, "{what}: {}", reply.text);
            town.assert_silent(&reply, &what);
        }
    }
}

#[tokio::test]
async fn a_teacher_sees_own_groups_and_their_people_only() {
    let town = Town::settled().await;
    let (house, own) = (&town.house, &town.own);
    let base = "/v1/clients/globex";
    let admin = Person::admin("globex");
    let other = house.post(&admin, &format!("{base}/groups"), json!({"name": "Other"})).await;
    let other = text(&other.json()["group_id"]);
    let order = json!({
        "contract_id": own["contract"], "email": "elsewhere@x.example", "group_ids": [other],
    });
    let made = house.post(&admin, &format!("{base}/learners"), order).await.json();
    let elsewhere = text(&made["learner"]["learner_id"]);
    let order = json!({
        "contract_id": own["contract"], "emails": "guest.elsewhere@x.example",
        "group_ids": [other],
    });
    let invited = house.post(&admin, &format!("{base}/invitations"), order).await.json();
    let guest = text(&invited["results"][0]["invitation_id"]);
    for role in ["group_admin", "instructor"] {
        let by = &person(role, &own["group"]);
        let count = async |path: &str| {
            let list = house.get(by, &format!("{base}/{path}")).await.json();
            assert!(!list.to_string().contains("elsewhere"), "{list}");
            list["items"].as_array().map(Vec::len)
        };
        assert_eq!(count("groups").await, Some(1));
        assert_eq!(count("learners").await, Some(1));
        assert_eq!(count("invitations?status=pending").await, Some(1));
        assert_eq!(count("learners?email=elsewhere%40x.example").await, Some(0));
        let named = house.get(by, &format!("{base}/learners?group_id={other}")).await;
        assert_eq!(named.faults(), ["/group_id unknown-group"]);
        for path in [format!("learners/{elsewhere}"), format!("invitations/{guest}")] {
            let hidden = house.get(by, &format!("{base}/{path}")).await;
            assert_eq!((hidden.status, hidden.code().as_str()), (404, "not-found"), "{path}");
        }
        let path = format!("{base}/invitations/{guest}");
        for (method, path) in [("POST", format!("{path}/resend")), ("DELETE", path)] {
            let hidden = house.send(Call::new(method, &path).by(by)).await;
            assert_eq!((hidden.status, hidden.code().as_str()), (404, "not-found"), "{path}");
        }
        // An instructor names one group, whatever the second is.
        let many = if role == "instructor" { 403 } else { 422 };
        for (groups, status) in
            [(json!([]), 403), (json!([other]), 422), (json!([own["group"], other]), many)]
        {
            let order = json!({
                "contract_id": own["contract"], "emails": "new@x.example", "group_ids": groups,
            });
            let refused = house.post(by, &format!("{base}/invitations"), order).await;
            assert_eq!(refused.status, status, "{groups}: {}", refused.text);
        }
        let order = json!({
            "contract_id": own["contract"], "emails": format!("{role}.new@x.example"),
            "group_ids": [own["group"]],
        });
        let allowed = house.post(by, &format!("{base}/invitations"), order).await;
        assert_eq!(allowed.json()["results"][0]["outcome"], "invited");
        // Taken back, for the next role.
        let id = text(&allowed.json()["results"][0]["invitation_id"]);
        let path = format!("{base}/invitations/{id}");
        assert_eq!(house.send(Call::new("DELETE", &path).by(by)).await.status, 200);
    }
}

#[tokio::test]
async fn the_same_address_at_two_clients_is_two_accounts() {
    let town = Town::settled().await;
    let house = &town.house;
    let mut made = Vec::new();
    for (client, ids) in [("globex", &town.own), ("initech", &town.foreign)] {
        let order = json!({
            "contract_id": ids["contract"], "email": "both@x.example",
            "password": "correct horse battery", "first_name": client,
        });
        let path = format!("/v1/clients/{client}/learners");
        let reply = house.post(&Person::vendor(), &path, order).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        made.push(reply.json()["learner"].clone());
    }
    assert_ne!(made[0]["learner_id"], made[1]["learner_id"]);
    assert_eq!([&made[0]["first_name"], &made[1]["first_name"]], ["globex", "initech"]);
    // A code of one client is no code at the other's landing page.
    let body = json!({
        "code": format!("{CANARY}-SPRING-2027"), "email": "new@x.example", "first_name": "N",
        "last_name": "N", "password": "correct horse battery",
    });
    let foreign = house.send(Call::post("/globex/redeem", &body)).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "code-not-redeemable"));
    let own = house.send(Call::post("/initech/redeem", &body)).await;
    assert_eq!(own.status, 200, "{}", own.text);
}
