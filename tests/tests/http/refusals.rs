//! What is refused, in which order, and what the refusal says.

use seatkeeper_tests::http::{Call, House, PAGES, Person};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, client, globex, group, text};

/// Just over the largest body that is read.
fn oversized() -> String {
    format!("{{\"name\": \"{}\"}}", "x".repeat(1024 * 1024))
}

#[tokio::test]
async fn refusals_come_in_one_order() {
    let (house, contract) = globex(0).await;
    let before = house.world.cloud.dump();
    let path = format!("{GLOBEX}/learners");
    let teacher = Person::new("instructor", "globex").of_groups(&[]);
    let good = json!({"contract_id": contract, "email": "lea@globex.example"}).to_string();
    let nowhere = "con_00000000000000000000000000";
    let unknown = json!({"contract_id": nowhere, "email": "nobody"}).to_string();
    let foreign = json!({"contract_id": nowhere, "email": "lea@globex.example"}).to_string();
    // Each caller and body is also at fault in everything that stands further down.
    let steps: [(Option<Person>, &str, u16, &str); 7] = [
        (None, &oversized(), 401, "unauthorized"),
        (Some(Person::new("instructor", "acme")), &oversized(), 404, "not-found"),
        (Some(teacher), &oversized(), 403, "forbidden"),
        (Some(admin()), &oversized(), 413, "payload-too-large"),
        (Some(admin()), "{\"contract_id\": ", 400, "invalid-json"),
        (Some(admin()), &unknown, 422, "invalid-request"),
        (Some(admin()), &good, 409, "no-seats-left"),
    ];
    for (by, body, status, code) in steps {
        let call = Call::new("POST", &path).text("application/json", body);
        let call = by.iter().fold(call, Call::by);
        let refused = house.send(call).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code));
    }
    let refused =
        house.send(Call::new("POST", &path).text("application/json", &foreign).by(&admin()));
    assert_eq!(refused.await.faults(), ["/contract_id unknown-contract"]);

    // The object of a path: after its body, before what speaks against the change.
    let seats = |contract: &str| format!("{GLOBEX}/contracts/{contract}/seats");
    let vendor = Person::vendor();
    let wrong = house.post(&vendor, &seats(nowhere), json!({"add": 1})).await;
    assert_eq!((wrong.status, wrong.faults()), (422, vec!["/order required".to_owned()]));
    let order = json!({"add": -1, "order": "CN-1"});
    let missing = house.post(&vendor, &seats(nowhere), order.clone()).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "not-found"));
    let taken = house.post(&vendor, &seats(&contract), order).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "seats-in-use"));
    assert_eq!(house.world.cloud.dump(), before, "a refusal leaves nothing behind");
}

#[tokio::test]
async fn a_body_of_exactly_one_mebibyte_is_read() {
    let (house, _) = globex(0).await;
    let frame = json!({"name": ""}).to_string().len();
    let body = json!({"name": "x".repeat(1024 * 1024 - frame)});
    let read = house.post(&admin(), &format!("{GLOBEX}/groups"), body).await;
    assert_eq!(read.faults(), ["/name too-long"]);
    let body = json!({"name": "x".repeat(1024 * 1024 - frame + 1)});
    let refused = house.post(&admin(), &format!("{GLOBEX}/groups"), body).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "payload-too-large"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of bodies and what is wrong with them")]
async fn every_field_at_fault_is_named_with_its_pointer() {
    let (house, contract) = globex(5).await;
    let before = house.world.cloud.dump();
    let one = format!("{GLOBEX}/contracts/{contract}");
    let mut odd_client = client("A");
    odd_client["branding"] = json!({"color": "red", "size": 3});
    odd_client["time_zone"] = json!("Mars/Olympus");
    odd_client["launch_url"] = json!("http://lms.example");
    odd_client["default_language"] = json!("tlh");
    let cases: Vec<(&str, String, Value, Vec<&str>)> = vec![
        (
            "POST",
            "/v1/clients".into(),
            odd_client,
            vec![
                "/client_id invalid-client-id",
                "/default_language unknown-language",
                "/time_zone unknown-time-zone",
                "/launch_url invalid-url",
                "/branding/color invalid-color",
                "/branding/size unknown-field",
            ],
        ),
        (
            "POST",
            "/v1/clients".into(),
            json!({"client_id": "docs"}),
            vec![
                "/client_id invalid-client-id",
                "/name required",
                "/default_language required",
                "/time_zone required",
                "/launch_url required",
            ],
        ),
        (
            "PATCH",
            GLOBEX.into(),
            json!({"client_id": "other", "name": ""}),
            vec!["/name too-short", "/client_id unknown-field"],
        ),
        (
            "POST",
            format!("{GLOBEX}/contracts"),
            json!({
                "reference": 7, "seats": "100", "starts_on": "2026-13-01", "ends_on": "20270101",
                "modules": ["a", 2], "policies": {"hold_on": "never", "holdon": "invite"},
                "color": "red",
            }),
            vec![
                "/reference wrong-type",
                "/seats wrong-type",
                "/starts_on invalid-date",
                "/ends_on invalid-date",
                "/modules/1 wrong-type",
                "/policies/hold_on not-allowed",
                "/policies/holdon unknown-field",
                "/color unknown-field",
            ],
        ),
        (
            "POST",
            format!("{GLOBEX}/contracts"),
            json!({
                "reference": "x", "seats": -1, "starts_on": "2027-02-01", "ends_on": "2027-01-31",
            }),
            vec!["/seats out-of-range", "/ends_on end-before-start"],
        ),
        (
            "POST",
            format!("{one}/seats"),
            json!({"add": 1.5, "order": ""}),
            vec!["/add wrong-type", "/order too-short"],
        ),
        ("POST", format!("{one}/modules"), json!({"add": []}), vec!["/add too-few"]),
        (
            "POST",
            format!("{one}/sublicenses"),
            json!({"seats": -1, "x/y~z": 1}),
            vec!["/name required", "/seats out-of-range", "/x~1y~0z unknown-field"],
        ),
        (
            "POST",
            format!("{GLOBEX}/groups"),
            json!({"name": "a\u{7}b"}),
            vec!["/name invalid-characters"],
        ),
        (
            "POST",
            format!("{GLOBEX}/learners"),
            json!({
                "contract_id": contract, "email": "nobody", "password": "short", "language": "tlh",
                "roles": ["learner", "king"], "group_ids": ["grp_1"], "notify": "yes",
                "duration_days": 0, "start_on": "tomorrow", "is_admin": true,
            }),
            vec![
                "/email invalid-email",
                "/language unknown-language",
                "/roles/1 unknown-role",
                "/group_ids/0 unknown-group",
                "/password weak-password",
                "/start_on invalid-date",
                "/duration_days out-of-range",
                "/notify wrong-type",
                "/is_admin unknown-field",
            ],
        ),
        (
            "POST",
            format!("{GLOBEX}/learners"),
            json!({
                "contract_id": contract, "email": "a@b.example", "end_on": "2099-01-01",
                "duration_days": 3, "password": "correct horse battery", "generate_password": true,
            }),
            vec!["/generate_password conflicting-password", "/duration_days conflicting-end"],
        ),
        (
            "POST",
            format!("{GLOBEX}/learners"),
            json!({
                "contract_id": contract, "email": "a@b.example", "start_on": "2099-02-01",
                "end_on": "2099-01-01",
            }),
            vec!["/end_on end-before-start"],
        ),
        (
            "POST",
            format!("{GLOBEX}/invitations"),
            json!({"contract_id": contract, "emails": []}),
            vec!["/emails too-few"],
        ),
        (
            "POST",
            format!("{GLOBEX}/invitations"),
            json!({"contract_id": contract, "emails": 7}),
            vec!["/emails wrong-type"],
        ),
        (
            "POST",
            format!("{GLOBEX}/invitations"),
            json!({
                "contract_id": contract, "emails": vec!["a@b.example"; 1001],
            }),
            vec!["/emails too-many"],
        ),
        (
            "POST",
            format!("{GLOBEX}/codes"),
            json!({"contract_id": contract, "kind": "voucher"}),
            vec!["/label required", "/kind not-allowed"],
        ),
    ];
    for (method, path, body, mut expected) in cases {
        let refused = house.send(Call::new(method, &path).json(&body).by(&Person::vendor())).await;
        assert_eq!(refused.status, 422, "{method} {path} {body}: {}", refused.text);
        let mut faults = refused.faults();
        faults.sort();
        expected.sort_unstable();
        assert_eq!(faults, expected, "{method} {path} {body}");
    }
    assert_eq!(house.world.cloud.dump(), before, "a refusal leaves nothing behind");
}

#[tokio::test]
async fn who_declines_says_nothing_else_and_a_form_may_bring_what_it_likes() {
    let (house, contract) = globex(5).await;
    let order = json!({
        "contract_id": contract, "emails": ["a@x.example", "b@x.example"], "notify": false,
    });
    let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await.json();
    let [first, second] = [0, 1].map(|place| {
        let link = text(&invited["results"][place]["link"]);
        link.strip_prefix(PAGES).expect("a page of ours").to_owned()
    });
    let odd = json!({"x": 1});
    for link in [first.as_str(), "/i/nobodys"] {
        let refused = house.send(Call::post(&format!("{link}/decline"), &odd)).await;
        assert_eq!((refused.status, refused.faults()), (422, vec!["/x unknown-field".to_owned()]));
    }
    assert_eq!(house.send(Call::get(&first)).await.json()["status"], "pending");
    for (link, call) in [
        (&first, Call::post(&format!("{first}/decline"), &json!({}))),
        (&second, Call::new("POST", &format!("{second}/decline")).form("x=1")),
    ] {
        let declined = house.send(call).await;
        assert_eq!(declined.status, 200, "{}", declined.text);
        assert_eq!(house.send(Call::get(link)).await.status, 410);
    }
}

#[tokio::test]
async fn what_is_no_object_is_told_apart_from_what_is_no_json() {
    let (house, _) = globex(0).await;
    for (body, status, code) in [
        ("", 400, "invalid-json"),
        ("{", 400, "invalid-json"),
        ("{\"name\": \"a\"} x", 400, "invalid-json"),
        ("\u{feff}{}", 400, "invalid-json"),
        ("[]", 422, "invalid-request"),
        ("null", 422, "invalid-request"),
        ("\"text\"", 422, "invalid-request"),
    ] {
        let call = Call::new("POST", &format!("{GLOBEX}/groups"));
        let refused = house.send(call.text("application/json", body).by(&admin())).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{body:?}");
        assert!(!refused.text.contains("text\\\""), "the body is not quoted: {}", refused.text);
    }
}

#[tokio::test]
async fn lists_refuse_odd_limits_cursors_and_filters_and_never_break() {
    let (house, contract) = globex(5).await;
    for number in 0..3 {
        group(&house, &format!("Group {number}")).await;
    }
    let of_groups = house.get(&admin(), &format!("{GLOBEX}/groups?limit=1")).await.json();
    let of_groups = text(&of_groups["next_cursor"]);
    let long = "z".repeat(1500);
    let lists = [
        "contracts".to_owned(),
        format!("contracts/{contract}/sublicenses"),
        "groups".to_owned(),
        "invitations".to_owned(),
        "learners".to_owned(),
        "codes".to_owned(),
        "audit".to_owned(),
        "imports".to_owned(),
    ];
    for list in lists {
        let path = format!("{GLOBEX}/{list}");
        for (query, fault) in [
            ("limit=0", "/limit out-of-range"),
            ("limit=101", "/limit out-of-range"),
            ("limit=-1", "/limit out-of-range"),
            ("limit=ten", "/limit wrong-type"),
            ("limit=1&limit=2", "/limit wrong-type"),
            ("limits=1", "/limits unknown-field"),
            (&format!("cursor={long}"), "/cursor too-long"),
            ("cursor=a&cursor=b", "/cursor wrong-type"),
        ] {
            let refused = house.get(&admin(), &format!("{path}?{query}")).await;
            assert_eq!(refused.status, 422, "{list}?{query}: {}", refused.text);
            assert_eq!(refused.faults(), [fault], "{list}?{query}");
        }
        // A cursor of another list, or of nowhere, leads nowhere else and breaks nothing.
        for cursor in [of_groups.as_str(), "x", "%00", "99.x", "00.", "-1.", "%F0%9F%98%80", "#"] {
            let path = format!("{path}?cursor={cursor}");
            let listed = house.get(&admin(), &path).await;
            assert_eq!(listed.status, 200, "{path}: {}", listed.text);
            assert!(listed.json()["items"].is_array());
        }
        for limit in [1, 100] {
            assert_eq!(house.get(&admin(), &format!("{path}?limit={limit}")).await.status, 200);
        }
    }
    let nobody = "grp_00000000000000000000000000";
    for (query, fault) in [
        ("learners?status=happy".to_owned(), "/status not-allowed"),
        ("learners?email=nobody".to_owned(), "/email invalid-email"),
        ("learners?group_id=paris".to_owned(), "/group_id unknown-group"),
        (format!("learners?group_id={nobody}"), "/group_id unknown-group"),
        ("invitations?status=happy".to_owned(), "/status not-allowed"),
        ("audit?since=yesterday".to_owned(), "/since invalid-time"),
    ] {
        let refused = house.get(&admin(), &format!("{GLOBEX}/{query}")).await;
        assert_eq!((refused.status, refused.faults()), (422, vec![fault.to_owned()]), "{query}");
    }
}

#[tokio::test]
async fn roles_that_open_doors_are_not_everybodys_to_give() {
    let (house, contract) = globex(5).await;
    let open = json!({
        "reference": "2026-G2", "seats": 5, "policies": {"privileged_roles": "client_admin"},
    });
    let open = crate::contract(&house, open).await;
    let order = |contract: &str| json!({"contract_id": contract, "email": "lea@globex.example", "roles": ["instructor"]});
    let path = format!("{GLOBEX}/learners");
    let refused = house.post(&admin(), &path, order(&contract)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let given = house.post(&Person::vendor(), &path, order(&contract)).await;
    assert_eq!(given.status, 201, "{}", given.text);
    let mut other = order(&open);
    other["email"] = json!("max@globex.example");
    let given = house.post(&admin(), &path, other).await;
    assert_eq!(given.status, 201, "{}", given.text);
    assert_eq!(given.json()["learner"]["roles"], json!(["instructor"]));
}

#[tokio::test]
async fn a_contract_that_is_over_gives_nothing_more() {
    let (house, _) = globex(5).await;
    let ended = json!({
        "reference": "2020", "seats": 5, "starts_on": "2020-01-01", "ends_on": "2020-12-31",
    });
    let ended = crate::contract(&house, ended).await;
    let shown = house.get(&admin(), &format!("{GLOBEX}/contracts/{ended}")).await.json();
    assert_eq!(shown["status"], "ended");
    let learner = json!({"contract_id": ended, "email": "lea@globex.example"});
    let invitation = json!({"contract_id": ended, "emails": ["lea@globex.example"]});
    let codes = json!({
        "contract_id": ended, "kind": "redemption", "label": "Autumn", "count": 1,
    });
    for (path, body) in [("learners", learner), ("invitations", invitation), ("codes", codes)] {
        let refused = house.post(&admin(), &format!("{GLOBEX}/{path}"), body).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, "contract-ended"), "{path}");
    }
    let window = json!({
        "reference": "2099", "seats": 5, "starts_on": "2099-01-01", "ends_on": "2099-12-31",
    });
    let window = crate::contract(&house, window).await;
    for (field, date) in [("start_on", "2100-01-01"), ("end_on", "2100-01-01")] {
        let mut order = json!({"contract_id": window, "email": "lea@globex.example"});
        order[field] = json!(date);
        let refused = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
        assert_eq!(refused.faults(), [format!("/{field} outside-contract")]);
    }
}

#[tokio::test]
async fn what_is_not_served_yet_says_so_and_changes_nothing() {
    let (house, _) = globex(5).await;
    let before = house.world.cloud.dump();
    for (method, path) in [
        ("POST", format!("{GLOBEX}/webhooks")),
        ("GET", format!("{GLOBEX}/webhooks")),
        ("DELETE", format!("{GLOBEX}/webhooks")),
    ] {
        let call = Call::new(method, &path).by(&admin());
        let call = if method == "GET" { call } else { call.json(&json!({})) };
        let later = house.send(call).await;
        assert_eq!((later.status, later.code().as_str()), (501, "not-implemented"), "{path}");
    }
    assert_eq!(house.world.cloud.dump(), before);
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems_too() {
    let (house, _) = globex(0).await;
    for (method, path, status, code) in [
        ("GET", "/v1/nothing".to_owned(), 404, "not-found"),
        ("GET", "/v1/clients/globex/nothing/at/all".to_owned(), 404, "not-found"),
        ("PUT", format!("{GLOBEX}/contracts"), 405, "method-not-allowed"),
        ("DELETE", GLOBEX.to_owned(), 405, "method-not-allowed"),
        ("GET", format!("{GLOBEX}/contracts/con_1"), 404, "not-found"),
        ("GET", "/v1/clients/No%20Slug".to_owned(), 404, "not-found"),
    ] {
        let refused = house.send(Call::new(method, &path).by(&Person::vendor())).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{method} {path}");
        assert!(!refused.text.contains("nothing/at"), "the address is not repeated");
    }
}

#[tokio::test]
async fn an_idempotency_key_has_its_length_and_its_quotes() {
    let (house, _) = globex(0).await;
    let send = async |house: &House, key: &str, name: &str| {
        let call = Call::post(&format!("{GLOBEX}/groups"), &json!({"name": name}));
        house.send(call.by(&admin()).key(key)).await
    };
    for key in ["", "\"\"", &"k".repeat(256), "\"open", "\"a\"b"] {
        let refused = send(&house, key, "Paris").await;
        assert_eq!(refused.status, 422, "{key}: {}", refused.text);
        assert_eq!(refused.code(), "invalid-request");
    }
    assert_eq!(send(&house, &"k".repeat(255), "Paris").await.status, 201);
    assert_eq!(send(&house, &format!("\"{}\"", "k".repeat(255)), "Paris").await.status, 201);
    // It is told with the fields at fault, and before what the path names is looked for.
    let nowhere = format!("{GLOBEX}/contracts/con_{}/sublicenses", "0".repeat(26));
    let (both, only) = (json!({}), json!({"name": "Lyon", "seats": 1}));
    for (body, mut expected) in [(both, vec!["/name required", "/seats required"]), (only, vec![])]
    {
        let call = Call::post(&nowhere, &body).by(&admin()).key(&"k".repeat(256));
        expected.insert(0, " invalid-idempotency-key");
        assert_eq!(house.send(call).await.faults(), expected);
    }
    let link = Call::post("/p/nobodys", &json!({"password": "correct horse battery"}));
    let refused = house.send(link.key(&"k".repeat(256))).await;
    assert_eq!(refused.faults(), [" invalid-idempotency-key"]);
    // Who may not call is told that, whatever the key.
    let call = Call::post(&format!("{GLOBEX}/groups"), &json!({"name": "Nice"}));
    let refused = house.send(call.by(&Person::admin("acme")).key(&"k".repeat(256))).await;
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn a_token_that_says_too_little_or_too_much_opens_nothing() {
    let (house, _) = globex(0).await;
    for person in [
        Person::new("", "globex"),
        Person::new("king", "globex"),
        Person::new("client_admin", ""),
        Person::new("client_admin", "*"),
        Person::new("vendor_admin", "globex"),
        Person::new("client_admin vendor_admin", "globex"),
        Person::new("client_admin", "acme globex"),
    ] {
        let refused = house.get(&person, GLOBEX).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{person:?}");
    }
    let nobody = house.get(&admin().claiming("sub", ""), GLOBEX).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthorized"));
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
}
