//! The objects of the API, as JSON. One place, so that every function shows them alike.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seatkeeper_domain::actions::address_list::AddressResult;
use seatkeeper_domain::actions::invite::Verdict;
use seatkeeper_domain::actions::send_codes::CodeVerdict;
use seatkeeper_domain::actions::steer_batch::BatchNow;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::code::{Batch, Redemption};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::import_run::{ImportRun, RowRecord};
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::ports::Page;
use seatkeeper_domain::role::Role;
use seatkeeper_domain::stock::Stock;
use serde_json::{Value, json};

use crate::body::next_cursor;

/// A list: `{items, next_cursor}`.
pub fn list<T>(page: &Page<T>, view: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = page.items.iter().map(view).collect();
    json!({"items": items, "next_cursor": next_cursor(page.next.as_deref())})
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
        "launch_url": client.launch_url, "branding": client.branding,
        "alerts_to": client.alerts_to, "status": client.status, "created_at": client.created_at,
    })
}

/// A contract with its stock.
pub fn contract(contract: &Contract, stock_now: Stock, owner: &Client, now: Timestamp) -> Value {
    json!({
        "contract_id": contract.contract_id, "client_id": contract.client_id,
        "reference": contract.reference, "starts_on": contract.starts_on,
        "ends_on": contract.ends_on, "modules": contract.modules, "policies": contract.policies,
        "status": contract.status(now, owner.time_zone.zone()), "stock": stock(stock_now),
        "renewed_by": contract.renewed_by, "version": contract.version,
        "created_at": contract.created_at,
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
        learner.seats.keys().filter_map(|pool| seat(learner, *pool, now)).collect();
    json!({
        "learner_id": learner.learner_id, "email": learner.email,
        "first_name": profile.first_name, "last_name": profile.last_name,
        "language": profile.language, "status": learner.status(now), "roles": roles(&profile.roles),
        "group_ids": profile.group_ids, "labels": profile.labels,
        "external_id": profile.external_id, "additional_info": profile.additional_info,
        "end_on": profile.end_on, "delete_on": profile.delete_on, "seats": seats,
        "delivery": learner.delivery, "created_at": learner.created_at,
    })
}

/// Roles; a person without any is a learner.
fn roles(roles: &BTreeSet<Role>) -> Vec<Role> {
    if roles.is_empty() { vec![Role::Learner] } else { roles.iter().copied().collect() }
}

/// A learner's seat in a pool, live or not.
pub fn seat(learner: &Learner, pool: PoolId, now: Timestamp) -> Option<Value> {
    let seat = learner.seats.get(&pool)?;
    let used_at = seat.used_at(now);
    let mut shown = json!({
        "pool": pool, "state": learner.seat_status(seat, now), "starts_on": seat.starts_on,
        "held_at": seat.held_at, "used_at": used_at, "billable_from": used_at,
        "ends_at": seat.ends_at, "source": seat.source,
    });
    if let Some(at) = learner.reclaimed_at(seat).filter(|_| seat.is_live()) {
        shown["reclaimed_at"] = json!(at);
    }
    Some(shown)
}

/// A record of the trail.
pub fn audit_record(record: &AuditRecord) -> Value {
    json!({
        "at": record.at, "actor": record.actor, "action": record.action, "pool": record.pool,
        "learner_ids": record.learner_ids, "delta": record.delta, "reason": record.reason,
        "before": record.before, "after": record.after(),
    })
}

/// An invitation.
pub fn invitation(invitation: &Invitation, now: Timestamp) -> Value {
    let grant = &invitation.grant;
    json!({
        "invitation_id": invitation.invitation_id, "email": invitation.email,
        "status": invitation.status_at(now), "delivery": invitation.delivery,
        "gives_up_at": invitation.gives_up_at, "contract_id": invitation.contract_id, "sublicense_id": invitation.sublicense_id,
        "roles": roles(&grant.roles), "group_ids": grant.group_ids, "labels": grant.labels,
        "language": grant.language, "message": invitation.message, "start_on": grant.start_on,
        "end_on": grant.end_on, "delete_on": grant.delete_on,
        "additional_info": grant.additional_info, "expires_at": invitation.expires_at,
        "sent_count": invitation.sent_count, "last_sent_at": invitation.last_sent_at,
        "reminders": invitation.reminders, "reminded_at": invitation.reminded_at,
        "reminders_unwanted": invitation.reminders_unwanted,
        "invited_by": invitation.invited_by, "created_at": invitation.created_at,
    })
}

/// What came of one address of an invitation call. `link` is shown where no mail carries it.
pub fn invited_address(result: &AddressResult<Verdict>, link: Option<String>) -> Value {
    let email = &result.email;
    let mut view = match result.verdict {
        Verdict::Invited { invitation_id, .. } => {
            json!({"email": email, "outcome": "invited", "invitation_id": invitation_id})
        }
        Verdict::AlreadyInvited { invitation_id } => {
            json!({"email": email, "outcome": "already_invited", "invitation_id": invitation_id})
        }
        Verdict::AlreadyActive { learner_id } => {
            json!({"email": email, "outcome": "already_active", "learner_id": learner_id})
        }
        Verdict::Added { learner_id } => {
            json!({"email": email, "outcome": "added", "learner_id": learner_id})
        }
        Verdict::Duplicate => json!({"email": email, "outcome": "duplicate"}),
        Verdict::Invalid(error) => json!({
            "email": email, "outcome": "rejected", "error": "invalid-email",
            "detail": crate::body::sentence(&error),
        }),
        Verdict::NoSeatsLeft => json!({
            "email": email, "outcome": "rejected", "error": "no-seats-left",
            "detail": "The seats had run out when this address came up.",
        }),
    };
    if let Some(link) = link {
        view["link"] = json!(link);
    }
    view
}

/// What came of mailing a code to one address.
pub fn mailed_code(result: &AddressResult<CodeVerdict>) -> Value {
    let email = &result.email;
    match result.verdict {
        CodeVerdict::Sent => json!({"email": email, "outcome": "sent"}),
        CodeVerdict::AlreadySent => json!({"email": email, "outcome": "already_sent"}),
        CodeVerdict::Duplicate => json!({"email": email, "outcome": "duplicate"}),
        CodeVerdict::ForeignDomain => json!({
            "email": email, "outcome": "rejected", "error": "domain-not-allowed",
            "detail": "The codes of this batch are for addresses of other domains.",
        }),
        CodeVerdict::Invalid(error) => json!({
            "email": email, "outcome": "rejected", "error": "invalid-email",
            "detail": crate::body::sentence(&error),
        }),
    }
}

/// A batch of codes; `redeemed` counts what its blocks gave, too.
pub fn batch(batch: &Batch, redeemed: u64) -> Value {
    json!({
        "batch_id": batch.batch_id, "kind": batch.kind, "label": batch.label,
        "state": batch.state, "contract_id": batch.contract_id,
        "sublicense_id": batch.sublicense_id, "count": batch.count, "redeemed": redeemed,
        "mailed": batch.steering.mailed,
        "max_redemptions": batch.max_redemptions, "valid_from": batch.valid_from,
        "valid_until": batch.valid_until, "allowed_domains": batch.allowed_domains,
        "guaranteed": batch.has_block(), "start_on": batch.start_on,
        "seat_duration_days": batch.seat_duration_days,
        "group_ids": batch.group_ids, "labels": batch.labels, "language": batch.language,
        "require_email_proof": batch.require_email_proof, "created_at": batch.created_at,
    })
}

/// A batch as a call that steers it answers: with the stock of its pool.
pub fn steered_batch(now: &BatchNow) -> Value {
    let mut view = batch(&now.batch, now.redeemed);
    view["stock"] = stock(now.stock);
    view
}

/// A redemption; the address is that of the learner, as far as there still is one.
pub fn redemption(redemption: &Redemption, learner: Option<&Learner>) -> Value {
    json!({
        "learner_id": redemption.learner_id, "email": learner.map(|learner| &learner.email),
        "code_last4": redemption.code_last4, "at": redemption.at,
    })
}

/// An import with the stock of its pool.
pub fn import(run: &ImportRun, stock_now: Option<Stock>) -> Value {
    let settings = &run.settings;
    json!({
        "import_id": run.import_id, "key": run.source.key, "contract_id": run.contract_id,
        "sublicense_id": run.sublicense_id, "mode": settings.mode,
        "on_existing": settings.on_existing, "on_shortage": settings.on_shortage,
        "auto_commit": settings.auto_commit, "defaults": settings.defaults,
        "status": run.status, "reject_code": run.reject_code, "reject_detail": run.reject_detail,
        "detected": run.detected,
        "progress": {"rows_total": run.rows_total, "rows_done": run.rows_done},
        "totals": run.totals, "seats": run.seats, "stock": stock_now.map(stock),
        "language": run.language, "has_report": run.report_key.is_some(),
        "filename": run.filename, "create_groups": settings.create_groups,
        "date_order": settings.date_order, "waits_until": run.waits_until,
        "outlook": {"mails": run.outlook.mails, "second_seats": run.outlook.second_seats},
        "undo": {"undone": run.undoing.undone, "kept": run.undoing.kept},
        "created_at": run.created_at,
    })
}

/// A row of an import.
pub fn import_row(row: &RowRecord) -> Value {
    json!({
        "line": row.line, "email": row.email, "verdict": row.verdict, "outcome": row.outcome,
        "errors": row.errors, "duplicate_of": row.duplicate_of, "learner_id": row.learner_id,
        "also_in": row.also_in, "undo": row.undo,
    })
}

/// A row that an undo kept, and why; `None` for any other.
pub fn kept_row(row: &RowRecord) -> Option<Value> {
    let reason = row.undo?.reason()?;
    Some(json!({"line": row.line, "email": row.email, "reason": reason}))
}
