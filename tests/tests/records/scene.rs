//! A client with seats of every kind, and what may be wrong with their records.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use jiff::civil::Date;
use seatkeeper_domain::actions::accept_invitation::{AcceptInvitation, accept_invitation};
use seatkeeper_domain::actions::allocate_seats::add_sublicense;
use seatkeeper_domain::actions::change_learner::{ChangeLearner, change_learner};
use seatkeeper_domain::actions::close_invitation::cancel_invitation;
use seatkeeper_domain::actions::erase_learner::erase_learner;
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, Wanted, issue_codes};
use seatkeeper_domain::actions::prove_records::{RecordsProven, prove_records};
use seatkeeper_domain::actions::redeem_code::{RedeemCode, redeem_code};
use seatkeeper_domain::actions::release_seat::release_seat;
use seatkeeper_domain::actions::transfer_seat::{TransferSeat, transfer_seat};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::ids::{PoolId, SublicenseId};
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::learner::{Profile, ProfileChange};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, IdSource as _};
use seatkeeper_testkit::Cloud;
use seatkeeper_tests::{World, address};
use serde_json::Value;

use crate::mailroom::{create, run_sweep};

/// The day that scheduled seats open.
pub(crate) const DAY: Date = Date::constant(2026, 12, 1);

/// A contract of a hundred seats, ten of them in a sublicense, and somebody of every kind.
pub(crate) async fn with_everybody() -> World {
    let world = World::with_seats(100).await;
    let sublicense = Sublicense {
        sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
        contract_id: world.contract.contract_id,
        name: "North".to_owned(),
        created_at: world.clock.now(),
    };
    let added =
        add_sublicense(&world.store, Actor::System, world.op(), &world.client, &sublicense, 10);
    added.await.expect("a sublicense");
    everybody(&world, 0).await;
    world
}

/// One more of every kind: addresses from `from` on.
pub(crate) async fn everybody(world: &World, from: usize) -> Vec<String> {
    create(world, from, None).await;
    create(world, from + 1, Some(DAY)).await;
    create(world, from + 2, Some(DAY)).await;
    create(world, from + 3, None).await;
    release(world, from + 3).await;
    create(world, from + 4, Some(DAY)).await;
    release(world, from + 4).await;
    invited(world, from + 5).await;
    invited(world, from + 6).await;
    cancel(world, from + 6).await;
    let codes = issue(world, 3).await;
    redeem(world, &codes[0], from + 7).await;
    codes
}

pub(crate) async fn release(world: &World, number: usize) {
    let learner = world.keys.learner_id(&world.client, &address(number));
    let place = (&world.client, &world.contract);
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    let actor = Actor::Caller("admin-1".to_owned());
    release_seat(store, clock, ids, actor, world.op(), place, learner, world.pool())
        .await
        .expect("a seat to release");
}

/// Nothing is left of who somebody was.
pub(crate) async fn erase(world: &World, number: usize) {
    let learner = world.keys.learner_id(&world.client, &address(number));
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let (client, actor) = (&world.client, Actor::Caller("admin-1".to_owned()));
    erase_learner(store, clock, ids, keys, actor, world.op(), client, learner)
        .await
        .expect("somebody to erase");
}

/// A seat that waits opens on another day.
pub(crate) async fn reschedule(world: &World, number: usize, day: Date) {
    let command = ChangeLearner {
        client_id: world.client.clone(),
        learner_id: world.keys.learner_id(&world.client, &address(number)),
        profile: ProfileChange::default(),
        start_on: Some(day),
        pool: None,
        notify: true,
    };
    let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
    change_learner(store, clock, ids, &world.administrator(), world.op(), &command)
        .await
        .expect("a seat that waits");
}

/// A seat goes to somebody else.
pub(crate) async fn transfer(world: &World, from: usize, to: usize) {
    let command = TransferSeat {
        client_id: world.client.clone(),
        from: world.keys.learner_id(&world.client, &address(from)),
        pool: None,
        to: address(to),
        profile: Profile::default(),
        notify: true,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    transfer_seat(store, clock, ids, keys, &world.administrator(), world.op(), &command)
        .await
        .expect("a seat to hand over");
}

pub(crate) async fn invited(world: &World, number: usize) {
    let command = Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: vec![address(number).to_string()],
        grant: Grant::default(),
        message: None,
        notify: true,
        copy_to: None,
    };
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    invite(store, clock, keys, &world.administrator(), world.op(), &command)
        .await
        .expect("an invitation");
}

pub(crate) async fn cancel(world: &World, number: usize) {
    let id = world.keys.invitation_id(&world.client, world.pool(), &address(number));
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let caller = world.administrator();
    cancel_invitation(store, clock, keys, &caller, world.op(), &world.client, id)
        .await
        .expect("a cancelled invitation");
}

pub(crate) async fn issue(world: &World, count: u32) -> Vec<String> {
    issue_some(world, Wanted::Generated(count), false).await
}

/// Codes whose addresses have to be proven.
pub(crate) async fn issue_asking(world: &World, wanted: Wanted) -> Vec<String> {
    issue_some(world, wanted, true).await
}

async fn issue_some(world: &World, wanted: Wanted, require_email_proof: bool) -> Vec<String> {
    let order = IssueCodes {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        label: "Autumn".to_owned(),
        wanted,
        valid_from: None,
        valid_until: None,
        start_on: None,
        seat_duration_days: None,
        group_ids: [].into(),
        labels: [].into(),
        language: None,
        allowed_domains: [].into(),
        require_email_proof,
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    let caller = world.administrator();
    let issued = issue_codes(store, clock, ids, keys, &caller, world.op(), &order).await;
    issued.expect("codes").codes.iter().map(ToString::to_string).collect()
}

pub(crate) async fn redeem(world: &World, code: &str, number: usize) {
    let command = RedeemCode {
        client_id: world.client.clone(),
        code: code.to_owned(),
        email: address(number),
        first_name: "Lise".to_owned(),
        last_name: "Meitner".to_owned(),
        password: PasswordPolicy::default().check("correct horse battery").expect("good"),
        language: None,
        source: "203.0.113.24".to_owned(),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    redeem_code(store, clock, ids, keys, world.op(), &command).await.expect("redeemed");
}

/// Somebody follows the link that proves their address.
pub(crate) async fn prove_address(world: &World, number: usize) {
    let command = AcceptInvitation {
        client_id: world.client.clone(),
        invitation_id: world.keys.proof_id(&world.client, world.pool(), &address(number)),
        version: 1,
        first_name: "Lise".to_owned(),
        last_name: "Meitner".to_owned(),
        password: PasswordPolicy::default().check("correct horse battery"),
    };
    let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
    accept_invitation(store, clock, ids, keys, world.op(), &command).await.expect("proven");
}

/// Goes on with the rounds that are due.
pub(crate) async fn prove(world: &World) -> RecordsProven {
    let until = world.clock.now() + SignedDuration::from_mins(4);
    let proven = prove_records(&world.store, &world.clock, &world.ids, &world.keys, until).await;
    assert!(proven.troubles.is_empty(), "{:?}", proven.troubles);
    proven
}

/// Has a sweep begin rounds, and waits until what happened so far is settled.
pub(crate) async fn settle(world: &World) {
    run_sweep(world, 1).await;
    world.clock.advance(SignedDuration::from_hours(3));
}

/// Adds to numbers of an item behind the ledger's back; a dot descends.
pub(crate) async fn add(world: &World, item: &Value, paths: &[&str], by: i64) {
    let mut call = world.cloud.dynamodb().update_item().table_name(Cloud::TABLE);
    let mut sums = Vec::new();
    for path in paths {
        let mut names = Vec::new();
        for part in path.split('.') {
            call = call.expression_attribute_names(format!("#{part}"), part);
            names.push(format!("#{part}"));
        }
        sums.push(format!("{} :by", names.join(".")));
    }
    call = call.set_key(Some(key(item))).update_expression(format!("ADD {}", sums.join(", ")));
    let by = AttributeValue::N(by.to_string());
    call.expression_attribute_values(":by", by).send().await.expect("a changed item");
}

pub(crate) async fn remove_item(world: &World, item: &Value) {
    let call = world.cloud.dynamodb().delete_item().table_name(Cloud::TABLE);
    call.set_key(Some(key(item))).send().await.expect("a removed item");
}

fn key(item: &Value) -> HashMap<String, AttributeValue> {
    let text = |name: &str| AttributeValue::S(item[name].as_str().expect("a key").to_owned());
    HashMap::from([("pk".to_owned(), text("pk")), ("sk".to_owned(), text("sk"))])
}

/// The first item of a kind that is like this.
pub(crate) fn find(world: &World, kind: &str, like: impl Fn(&Value) -> bool) -> Value {
    let dump = world.cloud.dump();
    let found = dump.into_iter().find(|item| item["kind"] == kind && like(item));
    found.unwrap_or_else(|| panic!("no {kind} like that"))
}

/// The sublicense's pool.
pub(crate) fn sublicense_pool(world: &World) -> PoolId {
    let item = find(world, "sublicense", |_| true);
    item["sublicense_id"].as_str().expect("an id").parse().expect("a pool")
}
