//! The objects of the API, as JSON. One place, so that every function shows them alike.

use jiff::Timestamp;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::learner::{Learner, Seat};
use seatkeeper_domain::ports::Page;
use seatkeeper_domain::role::Role;
use seatkeeper_domain::stock::Stock;
use serde_json::{Value, json};

/// A list: `{items, next_cursor}`.
pub fn list<T>(page: &Page<T>, view: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = page.items.iter().map(view).collect();
    json!({"items": items, "next_cursor": page.next})
}

/// A stock.
pub fn stock(stock: Stock) -> Value {
    json!({
        "total": stock.total, "allocated": stock.allocated, "held": stock.held,
        "used": stock.used, "spent": stock.spent, "available": stock.available,
    })
}

/// A client.
pub fn client(client: &Client) -> Value {
    json!({
        "client_id": client.client_id, "name": client.name,
        "default_language": client.default_language, "time_zone": client.time_zone,
        "launch_url": client.launch_url, "branding": client.branding, "status": client.status,
        "created_at": client.created_at,
    })
}

/// A contract with its stock.
pub fn contract(contract: &Contract, stock_now: Stock, owner: &Client, now: Timestamp) -> Value {
    json!({
        "contract_id": contract.contract_id, "client_id": contract.client_id,
        "reference": contract.reference, "starts_on": contract.starts_on,
        "ends_on": contract.ends_on, "modules": contract.modules, "policies": contract.policies,
        "status": contract.status(now, owner.time_zone.zone()), "stock": stock(stock_now),
        "version": contract.version, "created_at": contract.created_at,
    })
}

/// A sublicense with its stock.
pub fn sublicense(sublicense: &Sublicense, stock_now: Stock) -> Value {
    json!({
        "sublicense_id": sublicense.sublicense_id, "contract_id": sublicense.contract_id,
        "name": sublicense.name, "stock": stock(stock_now), "created_at": sublicense.created_at,
    })
}

/// A group.
pub fn group(group: &Group) -> Value {
    json!({"group_id": group.group_id, "name": group.name, "created_at": group.created_at})
}

/// A learner with their seats.
pub fn learner(learner: &Learner, now: Timestamp) -> Value {
    let profile = &learner.profile;
    let seats: Vec<Value> =
        learner.seats.iter().map(|(pool, held)| seat(*pool, held, now)).collect();
    let roles: Vec<Role> = if profile.roles.is_empty() {
        vec![Role::Learner]
    } else {
        profile.roles.iter().copied().collect()
    };
    json!({
        "learner_id": learner.learner_id, "email": learner.email,
        "first_name": profile.first_name, "last_name": profile.last_name,
        "language": profile.language, "status": learner.status(now), "roles": roles,
        "group_ids": profile.group_ids, "labels": profile.labels,
        "external_id": profile.external_id, "additional_info": profile.additional_info,
        "end_on": profile.end_on, "delete_on": profile.delete_on, "seats": seats,
        "created_at": learner.created_at,
    })
}

/// A seat in a pool.
pub fn seat(pool: PoolId, seat: &Seat, now: Timestamp) -> Value {
    let used_at = seat.used_at(now);
    json!({
        "pool": pool, "state": seat.status(now), "starts_on": seat.starts_on,
        "held_at": seat.held_at, "used_at": used_at, "billable_from": used_at,
        "ends_at": seat.ends_at, "source": seat.source,
    })
}

/// A record of the trail.
pub fn audit_record(record: &AuditRecord) -> Value {
    json!({
        "at": record.at, "actor": record.actor, "action": record.action, "pool": record.pool,
        "learner_ids": record.learner_ids, "delta": record.delta, "reason": record.reason,
    })
}
