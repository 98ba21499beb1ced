//! The calls of the API, with the form that a browser posts to the bucket.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use seatkeeper_aws::S3Files;
use seatkeeper_domain::actions::run_import::Importer;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_spreadsheet::Spreadsheets;
use seatkeeper_tests::World;
use seatkeeper_tests::http::{Call, House, Person, REPORTS, UPLOADS, now};
use serde_json::{Value, json};

use crate::stage::s3_event;

const ACME: &str = "/v1/clients/acme";

/// A stack with a contract of 10 seats and a group, and its administrator.
struct Office {
    house: House,
    admin: Person,
    contract: String,
    group: String,
}

impl Office {
    async fn open() -> Self {
        let house = House::over(World::with_seats(0).await);
        house.world.cloud.clock().set(now());
        let admin = Person::admin("acme");
        let order = json!({"reference": "2027-001", "seats": 10});
        let made = house.post(&Person::vendor(), &format!("{ACME}/contracts"), order).await;
        let contract = text(&made.json()["contract_id"]);
        let made = house.post(&admin, &format!("{ACME}/groups"), json!({"name": "Paris"})).await;
        let group = text(&made.json()["group_id"]);
        Self { house, admin, contract, group }
    }

    fn order(&self) -> Value {
        json!({"contract_id": self.contract, "filename": "équipe.csv", "mode": "create"})
    }

    async fn post(&self, path: &str, body: Value) -> seatkeeper_tests::http::Reply {
        self.house.post(&self.admin, &format!("{ACME}/imports{path}"), body).await
    }

    async fn get(&self, path: &str) -> seatkeeper_tests::http::Reply {
        self.house.get(&self.admin, &format!("{ACME}/imports{path}")).await
    }

    /// Posts a file through a form, with changed or further fields.
    fn put(
        &self,
        upload: &Value,
        file: &[u8],
        changes: &[(&str, &str)],
    ) -> Result<(), &'static str> {
        let fields = upload["fields"].as_object().expect("fields");
        let mut fields: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        fields
            .extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let url = upload["url"].as_str().expect("an address");
        self.house.world.cloud.post_form(url, &fields, file.to_vec()).map(drop)
    }

    /// Tells the function of the newest object whose key ends so.
    async fn tell(&self, part: &str) {
        let world = &self.house.world;
        let objects = world.cloud.objects();
        let object = objects.iter().rfind(|object| object.key.contains(part)).expect("an object");
        let importer = Importer {
            ports: &world.store,
            files: &S3Files::new(world.cloud.s3(), UPLOADS, REPORTS),
            sheets: &Spreadsheets,
            clock: &SystemClock,
            ids: &SystemIds,
            keys: &world.keys,
            languages: &Languages::from_list("en,fr,de"),
            passwords: PasswordPolicy::default(),
            max_rows: 10_000,
            deadline: now() + SignedDuration::from_mins(10),
        };
        let event = s3_event(object);
        Box::pin(seatkeeper_import::handle(&importer, UPLOADS, &event)).await.expect("handled");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// `prénom` and `é` as Excel on a French Windows saves them.
const WINDOWS_1252: &[u8] =
    b"Adresse e-mail;Pr\xe9nom;Langue\r\nlea@example.fr;L\xe9a;\r\nsam@example.fr;Sam;en\r\nnobody;;\r\n";

#[tokio::test]
async fn a_file_goes_from_its_form_through_preview_and_commit_and_back() {
    let office = Office::open().await;
    let made = office.post("", office.order()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let import = made.json();
    let id = text(&import["import_id"]);
    assert_eq!((&import["status"], &import["filename"]), (&json!("created"), &json!("équipe.csv")));
    assert_eq!(import["key"], format!("imports/acme/{id}/source.csv"));
    assert_eq!(import["upload"]["url"], "https://uploads.s3.eu-west-3.amazonaws.com/");
    assert_eq!(import["upload"]["fields"]["key"], import["key"]);
    let early = office.post(&format!("/{id}/commit"), json!({})).await;
    assert_eq!((early.status, early.code().as_str()), (409, "import-not-ready"));
    let early = office.get(&format!("/{id}/report")).await;
    assert_eq!((early.status, early.code().as_str()), (409, "import-not-ready"));

    office.put(&import["upload"], WINDOWS_1252, &[]).expect("stored");
    office.tell("source.csv").await;
    let checked = office.get(&format!("/{id}")).await.json();
    assert_eq!(checked["status"], "checked");
    assert_eq!(checked["detected"]["encoding"], "windows-1252");
    assert_eq!(
        (&checked["totals"]["valid"], &checked["totals"]["invalid"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(checked["seats"], json!({"needed": 2, "available": 10, "short": 0}));
    assert_eq!(checked["outlook"], json!({"mails": {"en": 1, "fr": 1}, "second_seats": 0}));
    assert_eq!(checked["stock"]["available"], 10);
    let rows = office.get(&format!("/{id}/rows?verdict=invalid")).await.json();
    assert_eq!(rows["items"][0]["errors"][0]["code"], "invalid-email");
    assert_eq!(office.get(&format!("/{id}/report")).await.status, 303);

    let committed = office.post(&format!("/{id}/commit"), json!({})).await;
    assert_eq!(committed.status, 202, "{}", committed.text);
    let committed = committed.json();
    assert_eq!(
        (&committed["status"], &committed["stock"]["held"]),
        (&json!("committing"), &json!(2))
    );
    office.tell("go-on-").await;
    let done = office.get(&format!("/{id}")).await.json();
    assert_eq!((&done["status"], &done["totals"]["created"]), (&json!("completed"), &json!(2)));
    assert_eq!(done["stock"]["used"], 2);
    assert_eq!(done["progress"], json!({"rows_total": 3, "rows_done": 3}));
    let path = format!("{ACME}/learners?email=lea@example.fr");
    let learner = office.house.get(&office.admin, &path).await;
    assert_eq!(learner.json()["items"][0]["first_name"], "Léa");

    let early = office.post(&format!("/{id}/release"), json!({"all": true})).await;
    assert_eq!(early.faults(), ["/all unknown-field"]);
    let undoing = office.post(&format!("/{id}/undo"), json!({})).await;
    assert_eq!((undoing.status, &undoing.json()["status"]), (202, &json!("undoing")));
    office.tell("go-on-").await;
    let undone = office.get(&format!("/{id}")).await.json();
    assert_eq!((&undone["status"], &undone["undo"]["undone"]), (&json!("undone"), &json!(2)));
    assert_eq!((&undone["kept"], &done["kept"]), (&json!([]), &Value::Null), "none was kept");
    assert_eq!(undone["stock"]["available"], 10);
    let again = office.post(&format!("/{id}/undo"), json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "import-not-ready"));
    office.house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn everyone_of_a_file_is_released_in_one_call() {
    let office = Office::open().await;
    let import = office.post("", office.order()).await.json();
    let id = text(&import["import_id"]);
    let path = format!("/{id}/release");
    let early = office.post(&path, json!({})).await;
    assert_eq!((early.status, early.code().as_str()), (409, "import-not-ready"));
    office.put(&import["upload"], WINDOWS_1252, &[]).expect("stored");
    office.tell("source.csv").await;
    assert_eq!(office.post(&format!("/{id}/commit"), json!({})).await.status, 202);
    office.tell("go-on-").await;
    let call = Call::post(&format!("{ACME}/imports{path}"), &json!({})).by(&office.admin);
    let released = office.house.send(call.clone().key("one")).await;
    assert_eq!(released.status, 200, "{}", released.text);
    let body = released.json();
    let told = (&body["released"], &body["cancelled"], &body["complete"]);
    assert_eq!(told, (&json!(2), &json!(0), &json!(true)));
    assert_eq!((&body["stock"]["used"], &body["stock"]["available"]), (&json!(0), &json!(10)));
    assert_eq!(office.house.send(call.key("one")).await.text, released.text);
    assert_eq!(office.get(&format!("/{id}")).await.json()["status"], "completed");
    office.house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_form_takes_one_object_of_its_type_and_size_for_ten_minutes() {
    let office = Office::open().await;
    let import = office.post("", office.order()).await.json();
    let upload = &import["upload"];
    let other = "imports/acme/imp_00000000000000000000000000/source.csv";
    for (changes, code) in [
        (vec![("key", other)], "AccessDenied"),
        (vec![("Content-Type", "text/html")], "AccessDenied"),
        (vec![("acl", "public-read")], "AccessDenied"),
        (vec![("success_action_status", "200")], "AccessDenied"),
        (vec![("x-amz-date", "20261123T090000Z")], "AccessDenied"),
        (vec![("x-amz-signature", "0")], "SignatureDoesNotMatch"),
        (vec![("policy", "e30=")], "SignatureDoesNotMatch"),
    ] {
        assert_eq!(office.put(upload, b"email\n", &changes), Err(code), "{changes:?}");
    }
    assert_eq!(office.put(upload, b"", &[]), Err("EntityTooSmall"));
    let most = 10 * 1024 * 1024;
    assert_eq!(office.put(upload, &vec![b'a'; most + 1], &[]), Err("EntityTooLarge"));
    assert_eq!(office.put(upload, &vec![b'a'; most], &[]), Ok(()));
    let clock = office.house.world.cloud.clock();
    clock.advance(SignedDuration::from_mins(9));
    assert_eq!(office.put(upload, b"email\n", &[]), Ok(()));
    clock.advance(SignedDuration::from_mins(2));
    assert_eq!(office.put(upload, b"email\n", &[]), Err("AccessDenied"), "its time is over");
}

#[tokio::test]
async fn the_same_request_is_the_same_import_with_a_form_of_its_own() {
    let office = Office::open().await;
    let call = Call::post(&format!("{ACME}/imports"), &office.order()).by(&office.admin);
    let first = office.house.send(call.clone().key("one")).await;
    let again = office.house.send(call.key("one")).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let (first, again) = (first.json(), again.json());
    assert_eq!(first["import_id"], again["import_id"]);
    office.put(&again["upload"], b"email\na@example.fr\n", &[]).expect("a form that works");
    assert_eq!(office.get("").await.json()["items"].as_array().map(Vec::len), Some(1));
    let kept = office.house.world.cloud.dump();
    let secret = text(&first["upload"]["fields"]["policy"]);
    assert!(kept.iter().all(|item| !item.to_string().contains(&secret)), "no form is kept");

    let id = text(&first["import_id"]);
    office.tell("source.csv").await;
    let call = Call::post(&format!("{ACME}/imports/{id}/commit"), &json!({})).by(&office.admin);
    let first = office.house.send(call.clone().key("two")).await;
    let again = office.house.send(call.key("two")).await;
    assert_eq!((first.status, again.status, first.text == again.text), (202, 202, true));
}

#[tokio::test]
async fn what_an_order_says_wrongly_is_told_by_its_place() {
    let office = Office::open().await;
    let foreign = "con_00000000000000000000000000";
    let changed = |name: &str, value: Value| {
        let mut order = office.order();
        order[name] = value;
        order
    };
    for (order, fault) in [
        (changed("contract_id", json!(foreign)), "/contract_id unknown-contract"),
        (changed("sublicense_id", json!("sub_1")), "/sublicense_id unknown-sublicense"),
        (changed("filename", Value::Null), "/filename required"),
        (changed("mode", json!("destroy")), "/mode not-allowed"),
        (changed("color", json!("red")), "/color unknown-field"),
        (
            changed("defaults", json!({"group_ids": [foreign.replace("con", "grp")]})),
            "/defaults/group_ids unknown-group",
        ),
        (changed("defaults", json!({"first_name": "Ana"})), "/defaults/first_name unknown-field"),
        (changed("defaults", json!({"message": "Hello"})), "/defaults/message unknown-field"),
        (
            changed("defaults", json!({"language": "klingon"})),
            "/defaults/language unknown-language",
        ),
        (changed("defaults", json!({"end_on": "2020-01-01"})), "/defaults/end_on end-before-start"),
        (
            changed("defaults", json!({"end_on": "2099-01-01", "duration_days": 3})),
            "/defaults/end_on conflicting-end",
        ),
    ] {
        let refused = office.post("", order.clone()).await;
        assert_eq!(refused.status, 422, "{order}: {}", refused.text);
        assert_eq!(refused.faults(), [fault], "{order}");
    }
    let roles = changed("defaults", json!({"roles": ["client_admin"]}));
    let refused = office.post("", roles.clone()).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let vendor = office.house.post(&Person::vendor(), &format!("{ACME}/imports"), roles).await;
    assert_eq!(vendor.status, 201, "the vendor may give it");
    let own = Person::new("group_admin", "acme").of_groups(&[&office.group]);
    let refused = office.house.post(&own, &format!("{ACME}/imports"), office.order()).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let refused = office.post("/imp_00000000000000000000000000/undo", json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn a_file_is_judged_by_its_bytes_whatever_it_is_called() {
    let office = Office::open().await;
    let csv = b"email\nlea@example.fr\n".as_slice();
    for (name, ending, bytes, status) in [
        ("people.xlsm", "bin", csv, "checked"),
        ("people", "bin", csv, "checked"),
        ("list.XLSX", "xlsx", csv, "checked"),
        ("list.pdf", "bin", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".as_slice(), "rejected"),
    ] {
        let mut order = office.order();
        order["filename"] = json!(name);
        let made = office.post("", order).await;
        assert_eq!(made.status, 201, "{name}: {}", made.text);
        let import = made.json();
        let id = text(&import["import_id"]);
        assert_eq!(import["key"], format!("imports/acme/{id}/source.{ending}"));
        assert_eq!(import["filename"], name);
        office.put(&import["upload"], bytes, &[]).expect("stored");
        office.tell(&format!("{id}/source")).await;
        let found = office.get(&format!("/{id}")).await.json();
        assert_eq!(found["status"], status, "{name}: {found}");
        let code = if status == "rejected" { json!("unsupported-format") } else { Value::Null };
        assert_eq!(found["reject_code"], code, "{name}");
    }
}

#[tokio::test]
async fn rows_of_a_form_give_the_roles_its_caller_may_give() {
    let office = Office::open().await;
    for (by, outcome) in [(Person::admin("acme"), "invalid"), (Person::vendor(), "valid")] {
        let made = office.house.post(&by, &format!("{ACME}/imports"), office.order()).await.json();
        let file = "email;rôle\nchef@example.fr;group_admin\n".as_bytes();
        office.put(&made["upload"], file, &[]).expect("stored");
        let id = text(&made["import_id"]);
        office.tell(&format!("{id}/source")).await;
        let rows = office.get(&format!("/{id}/rows")).await.json();
        assert_eq!(rows["items"][0]["verdict"], outcome);
        let cancelled = office.post(&format!("/{id}/cancel"), json!({})).await;
        assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    }
}

#[tokio::test]
async fn a_commit_that_cannot_be_is_refused_and_can_be_tried_again() {
    let office = Office::open().await;
    let mut order = office.order();
    order["on_shortage"] = json!("none");
    let many = ["@example.fr\n"; 11].iter().enumerate();
    let many: Vec<_> = many.map(|(n, rest)| format!("p{n}{rest}")).collect();
    let many = many.concat();
    for (file, code) in [("a@example.fr\nb@\n".to_owned(), "rows-invalid"), (many, "no-seats-left")]
    {
        let made = office.post("", order.clone()).await.json();
        office.put(&made["upload"], format!("email\n{file}").as_bytes(), &[]).expect("stored");
        let id = text(&made["import_id"]);
        office.tell(&format!("{id}/source")).await;
        let refused = office.post(&format!("/{id}/commit"), json!({})).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, code));
        assert_eq!(office.get(&format!("/{id}")).await.json()["status"], "checked");
    }
    let add = json!({"add": 5, "order": "PO-1"});
    let path = format!("{ACME}/contracts/{}/seats", office.contract);
    office.house.post(&Person::vendor(), &path, add).await.json();
    let list = office.get("").await.json();
    let id = text(&list["items"][0]["import_id"]);
    let committed = office.post(&format!("/{id}/commit"), json!({})).await;
    assert_eq!(committed.status, 202, "{}", committed.text);
}
