//! Erasing a person: nothing that says who it was is left, and every number is.

use seatkeeper_domain::link::Link;
use seatkeeper_domain::ports::People as _;
use seatkeeper_tests::http::{Call, House, Person, Reply, now};
use serde_json::{Value, json};

use crate::{GLOBEX, admin, contract, globex, group, mailroom, stock, text};

const LEA: &str = "lea@globex.example";
const PASSWORD: &str = "correct horse battery";

async fn erase(house: &House, learner: &str) -> Reply {
    let path = format!("{GLOBEX}/learners/{learner}");
    house.send(Call::new("DELETE", &path).by(&admin())).await
}

/// Lea, with all there can be of a person; her id.
async fn lea(house: &House, contract: &str) -> String {
    let group = group(house, "Sales").await;
    let order = json!({
        "contract_id": contract, "email": LEA, "first_name": "Lea-Marie", "last_name": "Martin",
        "labels": ["night shift"], "group_ids": [group], "external_id": "E-4711", "language": "fr",
        "additional_info": "Building 4", "password": PASSWORD, "delete_on": "2027-12-31",
    });
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json()["learner"]["learner_id"])
}

/// What the table says of Lea.
fn traces(house: &House) -> Vec<Value> {
    let words = [LEA, "Lea-Marie", "Martin", "night shift", "E-4711", "Building 4", "argon2"];
    let told = |item: &Value| words.iter().any(|word| item.to_string().contains(word));
    house.world.cloud.dump().into_iter().filter(|item| told(item)).collect()
}

#[tokio::test]
async fn whoever_is_erased_leaves_their_seats_and_no_word_of_who_they_were() {
    let (house, pool) = globex(5).await;
    let other = contract(&house, json!({"reference": "2026-G2", "seats": 3})).await;
    let invited = json!({"contract_id": other, "emails": [LEA], "message": "Welcome Lea-Marie"});
    let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), invited).await;
    assert_eq!(invited.json()["stock"], stock([3, 0, 1, 0, 0, 2]));
    let invitation = text(&invited.json()["results"][0]["invitation_id"]);
    let learner = lea(&house, &pool).await;
    house.world.clock.set(now());
    mailroom::drain(&house.world).await;

    let erased = erase(&house, &learner).await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    let back = stock([5, 0, 0, 0, 0, 5]);
    let body = json!({
        "learner_id": learner, "stock": back, "stocks": [{"pool": pool, "stock": back}],
    });
    assert_eq!(erased.json(), body);
    let contract = house.get(&admin(), &format!("{GLOBEX}/contracts/{other}")).await;
    assert_eq!(
        contract.json()["stock"],
        stock([3, 0, 0, 0, 0, 3]),
        "the invitation's seat is free"
    );
    assert_eq!(traces(&house), [json!(null); 0]);

    for path in
        [format!("{GLOBEX}/learners/{learner}"), format!("{GLOBEX}/invitations/{invitation}")]
    {
        assert_eq!(house.get(&admin(), &path).await.status, 404, "{path}");
    }
    for list in ["learners", "invitations", &format!("learners?email={LEA}")] {
        let list = house.get(&admin(), &format!("{GLOBEX}/{list}")).await;
        assert_eq!(list.json()["items"], json!([]));
    }
    let known = json!({"client": "globex", "email": LEA, "password": PASSWORD});
    assert_eq!(house.send(Call::post("/v1/sign-in", &known)).await.status, 401);
    let trail = house.get(&admin(), &format!("{GLOBEX}/audit")).await.json();
    let told = trail["items"].as_array().expect("records");
    let of_her = |record: &&Value| record["learner_ids"] == json!([learner]);
    let actions: Vec<_> =
        told.iter().filter(of_her).map(|record| text(&record["action"])).collect();
    let all = ["invited", "seat_given", "seat_released", "invitation_cancelled", "learner_erased"];
    assert_eq!(actions, all);

    let again = erase(&house, &learner).await;
    assert_eq!((again.status, again.json()), (200, body), "to do it again changes nothing");
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_address_that_was_changed_leaves_no_word_of_it_wherever_the_invitation_went() {
    let (house, pool) = globex(5).await;
    let order =
        json!({"contract_id": pool, "emails": ["lae@globex.example"], "message": "Dear Lae"});
    let invited = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await.json();
    let path = format!("{GLOBEX}/invitations/{}", text(&invited["results"][0]["invitation_id"]));
    let says = |word: &str| {
        let items = house.world.cloud.dump().into_iter();
        items.filter(|item| item.to_string().contains(word)).count()
    };
    for address in ["lee@globex.example", LEA] {
        let to = json!({"email": address});
        let changed = house.send(Call::new("PATCH", &path).json(&to).by(&admin())).await;
        assert_eq!((changed.status, &changed.json()["email"]), (200, &json!(address)));
    }
    assert_eq!([says("lae@"), says("lee@"), says(LEA), says("Dear Lae")], [0, 0, 1, 1]);
    let learner = lea(&house, &pool).await;
    assert_eq!(house.get(&admin(), &path).await.json()["status"], "accepted");
    house.world.assert_seats_are_conserved().await;
    assert_eq!(erase(&house, &learner).await.status, 200);
    assert_eq!([says(LEA), says("Dear Lae")], [0, 0]);
    // Whoever has one of the addresses is somebody else.
    let order = json!({"contract_id": pool, "emails": ["lae@globex.example"]});
    let again = house.post(&admin(), &format!("{GLOBEX}/invitations"), order).await.json();
    assert_eq!(again["results"][0]["outcome"], "invited");
    assert_ne!(again["results"][0]["invitation_id"], invited["results"][0]["invitation_id"]);
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn the_address_of_an_erased_person_is_anybodys_and_no_link_of_before_works() {
    let (house, pool) = globex(5).await;
    let learner = lea(&house, &pool).await;
    let (store, client) = (&house.world.store, &house.world.client);
    let id = learner.parse().expect("an id");
    let known = store.learner(client, id).await.expect("readable").expect("a learner");
    let old = Link::password(client, &known, now()).path(&house.world.keys);
    let launch = json!({"client": "globex", "email": LEA, "password": PASSWORD});
    let launch = house.send(Call::post("/v1/sign-in", &launch)).await.json();
    let ticket = text(&launch["launch_url"]);
    let ticket = ticket.rsplit('=').next().expect("a ticket").to_owned();
    assert_eq!(erase(&house, &learner).await.status, 200);
    let exchange = Call::new("POST", &format!("/v1/tickets/{ticket}")).by(&Person::lms("globex"));
    assert_eq!(house.send(exchange).await.status, 404, "a ticket dies with its learner");
    assert_eq!(house.send(Call::get(&old)).await.status, 410);

    let order = json!({"contract_id": pool, "email": LEA, "generate_password": true});
    let made = house.post(&admin(), &format!("{GLOBEX}/learners"), order).await;
    assert_eq!(made.status, 201, "somebody new: {}", made.text);
    let made = made.json();
    assert_eq!(made["learner"]["first_name"], json!(null));
    assert_eq!(made["learner"]["labels"], json!([]));
    assert_eq!(made["learner"]["seats"].as_array().map(Vec::len), Some(1));
    assert_eq!(made["stock"], stock([5, 0, 0, 1, 0, 4]));
    assert_eq!(house.send(Call::get(&old)).await.status, 410, "nor with whoever comes next");
    house.world.clock.set(now());
    mailroom::drain(&house.world).await;
    let mail = house.world.cloud.sent_mails().pop().expect("a mail");
    let password = mail.text.split_whitespace().find(|word| word.split('-').count() == 4);
    let sign_in = json!({"client": "globex", "email": LEA, "password": password});
    let welcome = house.send(Call::post("/v1/sign-in", &sign_in)).await;
    assert_eq!(welcome.json()["must_change_password"], true, "{password:?}: {}", welcome.text);
    assert_eq!(erase(&house, &learner).await.json()["stock"], stock([5, 0, 0, 0, 0, 5]));
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_spent_seat_stays_spent_and_a_waiting_one_returns_when_its_person_is_erased() {
    let (house, reusable) = globex(5).await;
    let terms = json!({"stock_kind": "consumable"});
    let terms = json!({"reference": "2026-G2", "seats": 3, "policies": terms});
    let consumable = contract(&house, terms).await;
    let learner = lea(&house, &consumable).await;
    let later = json!({"contract_id": reusable, "email": LEA, "start_on": "2099-03-01"});
    let later = house.post(&admin(), &format!("{GLOBEX}/learners"), later).await;
    assert_eq!(later.json()["stock"], stock([5, 0, 1, 0, 0, 4]));
    let erased = erase(&house, &learner).await.json();
    let mut stocks: Vec<_> = [
        json!({"pool": reusable, "stock": stock([5, 0, 0, 0, 0, 5])}),
        json!({"pool": consumable, "stock": stock([3, 0, 0, 0, 1, 2])}),
    ]
    .into();
    stocks.sort_by_key(|one| text(&one["pool"]));
    assert_eq!(erased["stocks"], json!(stocks));
    assert_eq!(erased["stock"], stocks[0]["stock"]);
    house.world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn nobody_is_erased_by_an_id_that_never_was_or_by_whoever_may_not() {
    let (house, pool) = globex(5).await;
    let learner = lea(&house, &pool).await;
    let before = house.world.cloud.dump();
    for unknown in ["lrn_07h3k9m2q5w8r1t4v6x0z2b5d8", "nobody"] {
        assert_eq!(erase(&house, unknown).await.status, 404, "{unknown}");
    }
    let path = format!("{GLOBEX}/learners/{learner}");
    for (who, status) in [(Person::lms("globex"), 403), (Person::admin("initech"), 404)] {
        assert_eq!(house.send(Call::new("DELETE", &path).by(&who)).await.status, status);
    }
    assert_eq!(house.world.cloud.dump(), before);
}
