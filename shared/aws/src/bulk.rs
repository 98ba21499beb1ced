//! How items that name many learners are kept small.
//!
//! A record of the trail holds the ids it names as bytes, 16 each. The mails that one change owes to
//! them say which record that is, and one mark for each of its learners: they do not name them again.
//! An item costs by the kilobyte each time it is written, and a mail item is written twice a mail.
//! See [ADR 0025](../../../docs/adr/0025-rows-are-not-items.md).

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::change::{Change, Step, StoreError};
use seatkeeper_domain::ids::{LearnerId, PoolId};
use seatkeeper_domain::outbox::{Letter, MailIntent, SUBJECTS_MAX, Subject};
use seatkeeper_domain::row_book::{lengthened, shortened};
use uuid::Uuid;

use crate::expression::{Item, s};
use crate::keys::{self, Key};
use crate::records::{from_item, text, to_item, to_value};

/// The ids that a record names.
const LEARNERS: &str = "learners";
/// The same in a record that the domain reads.
const LEARNER_IDS: &str = "learner_ids";
/// The record whose learners the mails are for, by its sort key.
const OF_RECORD: &str = "of_record";
/// Which mail each of them gets.
const LETTERS: &str = "letters";
/// The mails in full.
const SUBJECTS: &str = "subjects";
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// The mark of a learner who gets no mail.
const NO_MAIL: char = '-';

/// The marks of letters that seats are announced by.
const MARKS: [(char, Letter); 7] = [
    ('n', Letter::AccountCreated),
    ('p', Letter::AccountCreatedWithPassword),
    ('o', Letter::AccountCreatedToldOtherwise),
    ('a', Letter::Added),
    ('d', Letter::AccessOpened),
    ('r', Letter::Redeemed),
    ('u', Letter::SeatUnused),
];

/// A record of the trail as its item.
pub(crate) fn audit_item(record: &AuditRecord) -> Result<Item, StoreError> {
    let mut item = to_item("audit", record)?;
    item.remove(LEARNER_IDS);
    if !record.learner_ids.is_empty() {
        let bytes = record.learner_ids.iter().flat_map(|id| id.bits().to_be_bytes());
        let bytes: Vec<u8> = bytes.collect();
        item.insert(LEARNERS.to_owned(), AttributeValue::B(Blob::new(bytes)));
    }
    Ok(item)
}

/// A record of the trail from its item.
pub(crate) fn audit_record(mut item: Item) -> Result<AuditRecord, StoreError> {
    let learners = item.remove(LEARNERS).map(|value| learners(&value)).unwrap_or_default();
    item.insert(LEARNER_IDS.to_owned(), to_value(&learners)?);
    from_item(item)
}

fn learners(value: &AttributeValue) -> Vec<LearnerId> {
    let bytes = value.as_b().map(Blob::as_ref).unwrap_or_default();
    let (ids, _) = bytes.as_chunks::<ID_BYTES>();
    ids.iter().map(|id| LearnerId::from_bits(u128::from_be_bytes(*id))).collect()
}

/// The mails of an intent as attributes: several about seats of one record of the same change by
/// that record, all others in full.
pub(crate) fn mails(change: &Change, intent: &MailIntent) -> Result<Item, StoreError> {
    if let Some((place, record, letters)) = by_record(change, intent) {
        let key = keys::audit(
            &change.client_id,
            record.pool,
            record.at,
            change.op.id,
            change.part,
            place,
        );
        let attributes =
            [(OF_RECORD, key.sk), (LETTERS, letters), ("pool", record.pool.to_string())];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), s(value)));
        return Ok(Item::from(attributes));
    }
    Ok(Item::from([(SUBJECTS.to_owned(), to_value(&intent.subjects)?)]))
}

/// The record that names everybody whom an intent tells of a seat of this change, and the marks of
/// its learners.
fn by_record<'c>(
    change: &'c Change,
    intent: &MailIntent,
) -> Option<(usize, &'c AuditRecord, String)> {
    let told: Vec<(LearnerId, PoolId, char)> =
        intent.subjects.iter().map(|subject| told(change.op.id, subject)).collect::<Option<_>>()?;
    let (_, pool, _) = *told.first().filter(|_| told.len() > 1)?;
    let (place, record) = change.steps.iter().enumerate().find_map(|(place, step)| match step {
        Step::Audit(record) if record.pool == pool => Some((place, record)),
        _ => None,
    })?;
    let mut rest = told.iter().peekable();
    let mut mark = |id: &LearnerId| {
        rest.next_if(|(learner, of, _)| learner == id && *of == pool).map_or(NO_MAIL, |told| told.2)
    };
    let marks: Vec<char> = record.learner_ids.iter().map(&mut mark).collect();
    // The learners of a record and the mails of a change are in the same order.
    rest.peek().is_none().then(|| (place, record, shortened(marks.into_iter())))
}

fn told(op: Uuid, subject: &Subject) -> Option<(LearnerId, PoolId, char)> {
    match subject {
        Subject::Seat { learner, pool, op: given_by, letter } if *given_by == op => {
            let mark = MARKS.iter().find(|mark| mark.1 == *letter)?.0;
            Some((*learner, *pool, mark))
        }
        _ => None,
    }
}

/// The record that has to be read to know the mails of this item; `None` if it names them itself.
pub(crate) fn record_of_mails(item: &Item) -> Option<Key> {
    let sk = text(item, OF_RECORD)?;
    let (client, pool) =
        (text(item, "client_id")?.parse().ok()?, text(item, "pool")?.parse().ok()?);
    Some(Key { pk: keys::audit_partition(&client, pool), sk })
}

/// Writes the mails into an item that names a record, which is this one.
pub(crate) fn name_mails(item: &mut Item, record: &Item) -> Result<(), StoreError> {
    let broken = || StoreError::Broken("mails that do not fit the record they name".to_owned());
    let op: Uuid = text(record, "op").and_then(|op| op.parse().ok()).ok_or_else(broken)?;
    let pool: PoolId = text(item, "pool").and_then(|id| id.parse().ok()).ok_or_else(broken)?;
    let learners = record.get(LEARNERS).map(learners).unwrap_or_default();
    let marks = text(item, LETTERS).and_then(|marks| lengthened(&marks, learners.len()));
    let marks = marks.filter(|marks| marks.len() == learners.len()).ok_or_else(broken)?;
    let mut subjects = Vec::with_capacity(SUBJECTS_MAX);
    for (learner, mark) in learners.into_iter().zip(marks) {
        if mark != NO_MAIL {
            let known = MARKS.iter().find(|known| known.0 == mark);
            let letter = known.ok_or_else(broken)?.1;
            subjects.push(Subject::Seat { learner, pool, op, letter });
        }
    }
    item.insert(SUBJECTS.to_owned(), to_value(&subjects)?);
    Ok(())
}
