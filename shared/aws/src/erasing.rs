//! What is left of a person who was erased: nothing that says who it was.

use std::collections::BTreeMap;

use seatkeeper_domain::change::{Change, StoreError};
use seatkeeper_domain::ids::{LearnerId, PoolId};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::learner::Seat;

use crate::expression::{Expression, n, s};
use crate::keys;
use crate::records::{
    CHANGED_AT, CHANGED_BY, EMAIL, ENTERED_AT, LEAVES_ON, LEAVES_SINCE, SUSPENDED_AT,
    gone_attribute, seat_attribute, to_value,
};

/// The operation that erased whoever had an account before.
pub(crate) const ERASED_BY: &str = "erased_by";
/// What an account says of a person, its seats apart.
const PERSONAL: [&str; 21] = [
    EMAIL,
    "first_name",
    "last_name",
    "language",
    "roles",
    "group_ids",
    "labels",
    "external_id",
    "additional_info",
    "end_on",
    "delete_on",
    "credential",
    "created_at",
    "delivery",
    "last_mail",
    ENTERED_AT,
    CHANGED_AT,
    CHANGED_BY,
    SUSPENDED_AT,
    LEAVES_ON,
    LEAVES_SINCE,
];
/// What an invitation says of whoever was invited.
const INVITED: [&str; 11] = [
    EMAIL,
    // With the names that were typed with a code.
    "redeems",
    "message",
    "language",
    "roles",
    "group_ids",
    "labels",
    "start_on",
    "end_on",
    "delete_on",
    "additional_info",
];
/// What is left of a person: the numbers of seats that were given back, and the count of given ones.
pub(crate) fn erased_learner(
    change: &Change,
    given: u32,
    serial: u64,
    seats: &BTreeMap<PoolId, Seat>,
) -> Result<Expression, StoreError> {
    let mut expression = PERSONAL.into_iter().fold(Expression::new(), Expression::remove);
    for (pool, seat) in seats {
        let seat = to_value(seat)?;
        expression = expression.set(&gone_attribute(*pool), seat).remove(&seat_attribute(*pool));
    }
    Ok(expression
        .set(keys::KIND, s("erased"))
        .set("password_serial", n(serial))
        .set("erased_at", s(change.at))
        .set(ERASED_BY, s(change.op.id))
        .if_present(EMAIL)
        .if_same("given", (given > 0).then(|| n(given))))
}

/// What is left of an invitation: that it was there, and which of its links are dead.
pub(crate) fn erased_invitation(
    change: &Change,
    learner: LearnerId,
    (version, status): (u32, InvitationStatus),
) -> Result<Expression, StoreError> {
    Ok(INVITED
        .into_iter()
        .fold(Expression::new(), Expression::remove)
        .set("status", to_value(&InvitationStatus::Moved)?)
        .set("learner_id", s(learner))
        .set("op", s(change.op.id))
        .if_equal("version", n(version))
        .if_equal("status", to_value(&status)?))
}
