//! Items and the domain's types, both ways.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use seatkeeper_domain::change::{Block, BlockKey, StoreError};
use seatkeeper_domain::ids::{LearnerId, PoolId};
use seatkeeper_domain::learner::{Learner, Profile, Seat};
use seatkeeper_domain::stock::Stock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::expression::{Item, n, s};

/// Prefix of the attributes that hold a learner's seats, one a pool: a condition can then name
/// exactly one seat.
pub(crate) const SEAT: &str = "seat_";

/// Prefix of what is left of an erased person's seats.
const GONE: &str = "gone_";

/// The address of an account or an invitation: once its person was erased, there is none, and for
/// everybody but the proofs of counters the account is not there.
pub(crate) const EMAIL: &str = "email";
/// When a learner last came in, in [sortable](crate::keys::sortable) form.
pub(crate) const ENTERED_AT: &str = "entered_at";
/// When a learner's profile was last changed, in the same form.
pub(crate) const CHANGED_AT: &str = "changed_at";
/// Since when a learner is kept out.
pub(crate) const SUSPENDED_AT: &str = "suspended_at";
/// The deletion date of an account that a round has seen.
pub(crate) const LEAVES_ON: &str = "leaves_on";
/// When one first saw it.
pub(crate) const LEAVES_SINCE: &str = "leaves_since";
/// The operation that last changed an account.
pub(crate) const CHANGED_BY: &str = "changed_by";

/// A value that the SDK's own types cannot be made from is a defect of ours.
fn broken(what: &str, source: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(format!("{what}: {source}"))
}

/// A serializable record as an item of this kind.
pub(crate) fn to_item(kind: &str, record: &impl Serialize) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(record).map_err(|error| broken(kind, error))?;
    // A blank is an absent attribute: conditions and if_not_exists rely on it.
    item.retain(|_, value| !matches!(value, AttributeValue::Null(_)));
    item.insert(crate::keys::KIND.to_owned(), s(kind));
    Ok(item)
}

/// A record from its item.
pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| broken("item", error))
}

/// A value inside an item.
pub(crate) fn to_value(record: &impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(record).map_err(|error| broken("value", error))
}

fn from_value<T: DeserializeOwned>(value: AttributeValue) -> Result<T, StoreError> {
    serde_dynamo::from_attribute_value(value).map_err(|error| broken("value", error))
}

/// A text attribute.
pub(crate) fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

/// An instant attribute.
fn instant(item: &Item, name: &str) -> Option<Timestamp> {
    text(item, name).and_then(|instant| instant.parse().ok())
}

/// A number attribute.
pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok())
}

/// The counters of a pool's item.
pub(crate) fn stock(item: &Item) -> Result<Stock, StoreError> {
    let counter = |name| {
        number(item, name).ok_or_else(|| StoreError::Broken(format!("a pool without {name}")))
    };
    Ok(Stock {
        total: counter("total")?,
        allocated: counter("allocated")?,
        held: counter("held")?,
        used: counter("used")?,
        spent: counter("spent")?,
        available: counter("available")?,
    })
}

/// A block's item.
pub(crate) fn block(pool: PoolId, item: &Item) -> Result<Block, StoreError> {
    let count = |name| {
        number(item, name).ok_or_else(|| StoreError::Broken(format!("a block without {name}")))
    };
    Ok(Block {
        key: BlockKey {
            pool,
            owner: text(item, "owner").unwrap_or_default(),
            shard: number(item, "shard").unwrap_or(0),
        },
        size: count("size")?,
        used: count("used")?,
        kept: count("kept")?,
        settled: number(item, "settled").unwrap_or(0),
        rem: count("rem")?,
        cursor: number(item, "cursor").unwrap_or(0),
        rows: number(item, "rows").unwrap_or(0),
        epoch: number(item, "epoch").unwrap_or(0),
    })
}

/// A set of texts; `None` for an empty one, which DynamoDB does not know.
pub(crate) fn set_of<T: ToString>(members: &BTreeSet<T>) -> Option<AttributeValue> {
    (!members.is_empty())
        .then(|| AttributeValue::Ss(members.iter().map(ToString::to_string).collect()))
}

fn members<T: std::str::FromStr + Ord>(item: &Item, name: &str) -> BTreeSet<T> {
    let texts = item.get(name).and_then(|value| value.as_ss().ok());
    texts.into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
}

/// The texts of a profile, by attribute; blanks are left out.
pub(crate) fn profile_texts(profile: &Profile) -> Vec<(&'static str, AttributeValue)> {
    let mut texts = Vec::new();
    let mut keep = |name, value: Option<String>| texts.extend(value.map(|value| (name, s(value))));
    keep("first_name", profile.first_name.clone());
    keep("last_name", profile.last_name.clone());
    keep("language", profile.language.as_ref().map(ToString::to_string));
    keep("external_id", profile.external_id.clone());
    keep("additional_info", profile.additional_info.clone());
    keep("end_on", profile.end_on.map(|date| date.to_string()));
    keep("delete_on", profile.delete_on.map(|date| date.to_string()));
    texts
}

/// The sets of a profile, by attribute; empty ones are left out.
pub(crate) fn profile_sets(profile: &Profile) -> Vec<(&'static str, AttributeValue)> {
    let mut sets = Vec::new();
    sets.extend(set_of(&profile.roles).map(|set| ("roles", set)));
    sets.extend(set_of(&profile.group_ids).map(|set| ("group_ids", set)));
    sets.extend(set_of(&profile.labels).map(|set| ("labels", set)));
    sets
}

/// The attribute of a learner's seat in this pool.
pub(crate) fn seat_attribute(pool: PoolId) -> String {
    format!("{SEAT}{pool}")
}

/// The attribute of what is left of an erased person's seat in this pool.
pub(crate) fn gone_attribute(pool: PoolId) -> String {
    format!("{GONE}{pool}")
}

/// What is left of the seats of erased people in a learner's item.
pub(crate) fn gone_seats(item: &Item) -> Result<BTreeMap<PoolId, Seat>, StoreError> {
    seats_at(item, GONE)
}

fn seats_at(item: &Item, prefix: &str) -> Result<BTreeMap<PoolId, Seat>, StoreError> {
    let mut seats = BTreeMap::new();
    for (name, value) in item {
        let pool = name.strip_prefix(prefix).and_then(|pool| pool.parse::<PoolId>().ok());
        if let Some(pool) = pool {
            seats.insert(pool, from_value::<Seat>(value.clone())?);
        }
    }
    Ok(seats)
}

/// The seat of this pool in a learner's item.
pub(crate) fn seat_in(item: &Item, pool: PoolId) -> Option<Seat> {
    item.get(&seat_attribute(pool)).cloned().and_then(|value| from_value(value).ok())
}

/// A learner's item; `None` if nobody is left of it.
pub(crate) fn learner(mut item: Item) -> Result<Option<Learner>, StoreError> {
    if !item.contains_key(EMAIL) {
        return Ok(None);
    }
    let seats = seats_at(&item, SEAT)?;
    let missing = |name: &str| StoreError::Broken(format!("a learner without {name}"));
    let id: Option<LearnerId> = text(&item, "learner_id").and_then(|id| id.parse().ok());
    let date = |name| text(&item, name).and_then(|date| date.parse().ok());
    let language = item.get("language").cloned().map(from_value).transpose()?;
    let profile = Profile {
        first_name: text(&item, "first_name"),
        last_name: text(&item, "last_name"),
        language,
        roles: members(&item, "roles"),
        group_ids: members(&item, "group_ids"),
        labels: members(&item, "labels"),
        external_id: text(&item, "external_id"),
        additional_info: text(&item, "additional_info"),
        end_on: date("end_on"),
        delete_on: date("delete_on"),
    };
    let email = text(&item, EMAIL).and_then(|email| email.parse().ok());
    let created_at: Option<Timestamp> =
        text(&item, "created_at").and_then(|instant| instant.parse().ok());
    Ok(Some(Learner {
        learner_id: id.ok_or_else(|| missing("learner_id"))?,
        email: email.ok_or_else(|| missing("email"))?,
        profile,
        password_serial: number(&item, "password_serial").unwrap_or(0),
        created_at: created_at.ok_or_else(|| missing("created_at"))?,
        entered_at: instant(&item, ENTERED_AT),
        changed_at: instant(&item, CHANGED_AT),
        delivery: item.get("delivery").cloned().map(from_value).transpose()?,
        credential: item.remove("credential").map(from_value).transpose()?,
        given: number(&item, "given").unwrap_or(0),
        suspended_at: instant(&item, SUSPENDED_AT),
        seats,
    }))
}

/// The counters of a stock as attributes.
pub(crate) fn counters(stock: Stock) -> Vec<(&'static str, AttributeValue)> {
    vec![
        ("total", n(stock.total)),
        ("allocated", n(stock.allocated)),
        ("held", n(stock.held)),
        ("used", n(stock.used)),
        ("spent", n(stock.spent)),
        ("available", n(stock.available)),
    ]
}
