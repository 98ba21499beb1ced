//! An address is proven over HTTP: the answers, the mail's page, and what nobody learns.

use jiff::SignedDuration;
use seatkeeper_domain::link::Link;
use seatkeeper_domain::password::times_hashed;
use seatkeeper_domain::ports::Clock as _;
use seatkeeper_http::system::SystemClock;

use super::*;
use crate::mailroom;

const LISE: &str = "lise@example.org";

fn links(world: &World) -> Router {
    let claims = ClaimNames {
        client: "seatkeeper:client".to_owned(),
        role: "seatkeeper:role".to_owned(),
        groups: "seatkeeper:groups".to_owned(),
    };
    let app = App::new(world.store.clone(), config(world), claims);
    edge("invite", seatkeeper_invite::routes(app))
}

/// Sends the mails that are owed, at the time the functions go by.
async fn mail(world: &World) {
    world.clock.set(SystemClock.now());
    mailroom::drain(world).await;
}

/// A batch of codes that asks for proof.
async fn issued(world: &World, count: u32) -> Vec<String> {
    let order = json!({
        "contract_id": world.contract.contract_id, "kind": "redemption", "label": "Open day",
        "count": count, "require_email_proof": true,
    });
    let issued = call(world, "POST", CODES, Some(&order)).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let issued = issued.json();
    assert_eq!(issued["batch"]["require_email_proof"], true);
    let codes = issued["codes"].as_array().expect("a list").iter();
    codes.map(|code| code.as_str().expect("a code").to_owned()).collect()
}

/// The path of the link that was mailed to an address.
fn link(world: &World, email: &str, version: u32) -> String {
    let email = email.parse().expect("an address");
    let invitation = world.keys.proof_id(&world.client, world.pool(), &email);
    Link::Invitation { client: world.client.clone(), invitation, version }.path(&world.keys)
}

async fn follow(world: &World, event: &str, path: &str) -> Reply {
    play(links(world), event, |event| put_path(event, path)).await
}

#[tokio::test]
async fn everybody_is_answered_the_same_after_the_same_work() {
    let world = World::with_seats(10).await;
    let codes = issued(&world, 3).await;
    let plain = world.redemption_codes(1).await.remove(0);
    // She has an account and a seat, and he has neither.
    assert_eq!(redeem(&world, &person(&plain, LISE)).await.status, 200);
    let mut answers = Vec::new();
    for (code, email) in [(&codes[0], LISE), (&codes[1], "otto@example.org")] {
        let mut body = person(code, email);
        body["password"] = json!("not the right password");
        let before = times_hashed();
        let answer = redeem(&world, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(times_hashed() - before, 1);
        answers.push(answer.text);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], json!({"outcome": "proof_sent"}).to_string());
    // Nor does a name tell that is missing.
    let bare = json!({"code": codes[2], "email": "ida@example.org", "password": PASSWORD});
    assert_eq!(redeem(&world, &bare).await.text, answers[0]);
    mail(&world).await;
    assert_eq!(world.cloud.sent_mails().len(), 4, "one to each, and one welcome");
    // A code that is good for nothing is refused as ever.
    let gone = redeem(&world, &person(&codes[1], "ida@example.org")).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["code"]), (404, &json!("code-not-redeemable")));
}

#[tokio::test]
async fn the_same_request_is_answered_the_same_and_a_form_says_to_look_for_a_mail() {
    let world = World::with_seats(10).await;
    let codes = issued(&world, 2).await;
    let keyed = |event: &mut Value| {
        event["body"] = json!(person(&codes[0], LISE).to_string());
        event["headers"]["idempotency-key"] = json!("redeem-1");
    };
    let first = play(public(&world), "redeem/program.json", keyed).await;
    let again = play(public(&world), "redeem/program.json", keyed).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    let body = format!(
        "code={}&email=otto%40example.org&first_name=Otto&last_name=Hahn&password=correct+horse+battery",
        codes[1]
    );
    let page = play(public(&world), "redeem/form.json", |event| {
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(false);
        event["rawQueryString"] = json!("lang=fr");
    })
    .await;
    assert_eq!(page.status, 202);
    assert!(page.text.contains("Consultez votre messagerie"), "{}", page.text);
    assert_eq!(page.header("location"), "");
    assert_eq!(world.items("ticket").len(), 0, "nobody comes in");
    assert_eq!(world.items("invitation").len(), 2);
}

#[tokio::test]
async fn the_link_shows_a_page_that_changes_nothing_and_its_form_leads_in() {
    let world = World::with_seats(10).await;
    let code = issued(&world, 1).await.remove(0);
    redeem(&world, &person(&code, LISE)).await;
    mail(&world).await;
    let mail = world.cloud.sent_mails().remove(0);
    let path = link(&world, LISE, 1);
    assert!(mail.text.contains(&path), "{}", mail.text);
    assert!(!mail.text.contains("Meitner"), "nothing that was typed stands in the mail");
    let before = world.cloud.dump();
    let page = follow(&world, "invite/show.json", &path).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Confirmer votre adresse e-mail"), "{}", page.text);
    assert!(page.text.contains("value=\"Meitner\"") && page.text.contains(LISE));
    assert_eq!(world.cloud.dump(), before);
    let done = follow(&world, "invite/accept_form.json", &path).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(done.header("location").contains("ticket="));
    assert!(world.learner(LISE).await.is_some());
    let again = follow(&world, "invite/show.json", &path).await;
    assert_eq!(again.status, 409);
    assert!(again.text.contains("Votre adresse est déjà confirmée"), "{}", again.text);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn a_program_confirms_and_a_late_or_unwanted_link_says_what_became_of_it() {
    let world = World::with_seats(10).await;
    let codes = issued(&world, 3).await;
    redeem(&world, &person(&codes[0], LISE)).await;
    let done = follow(&world, "invite/accept_program.json", &link(&world, LISE, 1)).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(done.json()["launch_url"].as_str().expect("a link").contains("ticket="));

    redeem(&world, &person(&codes[1], "otto@example.org")).await;
    let path = link(&world, "otto@example.org", 1);
    let unwanted = follow(&world, "invite/decline_form.json", &format!("{path}/decline")).await;
    assert_eq!(unwanted.status, 200);
    assert!(unwanted.text.contains("La place a été rendue"), "{}", unwanted.text);

    world.clock.set(SystemClock.now() - SignedDuration::from_mins(31));
    world.redeem(&world.visit(&codes[2], "ida@example.org")).await.expect("held");
    let late = follow(&world, "invite/show.json", &link(&world, "ida@example.org", 1)).await;
    assert_eq!(late.status, 410);
    assert!(late.text.contains("Le délai de confirmation est passé"), "{}", late.text);
    world.clock.set(SystemClock.now());
    mailroom::run_sweep(&world, 1).await;
    assert_eq!(world.proven_stock().await.used, 1);
}

#[tokio::test]
async fn administrators_see_no_invitation_that_a_code_made() {
    let world = World::with_seats(10).await;
    let code = issued(&world, 1).await.remove(0);
    redeem(&world, &person(&code, LISE)).await;
    let list = "/v1/clients/acme/invitations";
    let listed = call(&world, "GET", list, None).await;
    assert_eq!((listed.status.as_u16(), &listed.json()["items"]), (200, &json!([])));
    let email = LISE.parse().expect("an address");
    let id = world.keys.proof_id(&world.client, world.pool(), &email);
    assert_eq!(call(&world, "GET", &format!("{list}/{id}"), None).await.status, 404);
}
