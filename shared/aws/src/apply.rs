//! A change becomes one `TransactWriteItems`: each step one item, its condition with it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, TransactWriteItem};
use jiff::Timestamp;
use jiff::civil::Date;
use seatkeeper_domain::actions::warn_client::LOOK_EVERY;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::change::{
    BlockCursor, BlockKey, Change, Over, Presence, Refused, SeatChange, SeatLearner, Step,
    StoreError,
};
use seatkeeper_domain::code::{Batch, Steering};
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::learner::{Profile, ProfileChange, SeatState};
use seatkeeper_domain::outbox::MailIntent;
use seatkeeper_domain::stock::Delta;
use uuid::Uuid;

use crate::bulk;
use crate::erasing::{ERASED_BY, erased_invitation, erased_learner};
use crate::expression::{Expression, Item, n, s};
use crate::keys::{self, Key};
use crate::records::{
    CHANGED_AT, CHANGED_BY, EMAIL, ENTERED_AT, LEAVES_ON, LEAVES_SINCE, SUSPENDED_AT, counters,
    number, profile_sets, profile_texts, seat_attribute, seat_in, text, to_item, to_value,
};
use crate::store::{Store, store_error};

/// Tries of one change: conflicts are not retried by the SDK.
const TRIES: u32 = 8;
/// First pause before a retry, in milliseconds; doubled each time.
const PAUSE_FIRST: u64 = 20;
/// Longest pause, in milliseconds.
const PAUSE_MAX: u64 = 800;

/// What a whole transaction came to.
enum Attempt {
    Applied,
    Refused(Refused),
    /// Another transaction held one of the items, or the table was throttled.
    Busy(StoreError),
}

impl Store {
    pub(crate) async fn apply_change(&self, change: &Change) -> Result<(), Refused> {
        let items = self.transaction(change)?;
        let token = request_token(change);
        let mut last = None;
        for try_number in 0..TRIES {
            if try_number > 0 {
                tokio::time::sleep(pause(change, try_number)).await;
            }
            match self.attempt(change, items.clone(), &token).await {
                Attempt::Applied => return Ok(()),
                Attempt::Refused(refused) => return Err(refused),
                Attempt::Busy(error) => last = Some(error),
            }
        }
        Err(last.map_or(Refused::Overtaken, Refused::Store))
    }

    async fn attempt(
        &self,
        change: &Change,
        items: Vec<TransactWriteItem>,
        token: &str,
    ) -> Attempt {
        let call = self
            .dynamodb
            .transact_write_items()
            .set_transact_items(Some(items))
            .client_request_token(token);
        let Err(error) = call.send().await else {
            return Attempt::Applied;
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                judge(change, cancelled.cancellation_reasons())
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Attempt::Busy(store_error(error))
            }
            _ => match store_error(error) {
                busy if busy.is_retryable() => Attempt::Busy(busy),
                broken => Attempt::Refused(Refused::Store(broken)),
            },
        }
    }

    fn transaction(&self, change: &Change) -> Result<Vec<TransactWriteItem>, Refused> {
        debug_assert!(change.conserves_seats(), "a change makes or loses seats");
        let built: Result<Vec<_>, StoreError> = change
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| self.write(change, place, step))
            .chain(self.guard(change))
            .collect();
        Ok(built?)
    }

    /// The idempotency record, written with the effect: only the attempt that holds the record,
    /// and only if this part was not applied yet. It comes last, so that a step's place is its
    /// place in the transaction.
    fn guard(&self, change: &Change) -> Option<Result<TransactWriteItem, StoreError>> {
        let guard = change.op.guard?;
        let receipt = change.receipt.to_string();
        let expression = Expression::new()
            .set("applied", n(change.part + 1))
            .append("receipts", s(receipt))
            .if_equal("held_since", s(keys::sortable(guard.held_since)))
            .if_absent_or("applied", "applied", "=", n(change.part));
        Some(expression.update(&self.table, &keys::idempotency(&guard.record)).map_err(unbuilt))
    }

    #[expect(clippy::too_many_lines, reason = "one arm a step, nothing shared between them")]
    fn write(
        &self,
        change: &Change,
        place: usize,
        step: &Step,
    ) -> Result<TransactWriteItem, StoreError> {
        let client = &change.client_id;
        let table = &self.table;
        let new = || Expression::new().if_absent(keys::PK);
        let op = change.op.id;
        let item = match step {
            Step::AddClient(record) => {
                new().put(table, &keys::client(client), with_op(to_item("client", record)?, op))
            }
            Step::ReplaceClient(record) => Expression::new().if_present(keys::PK).put(
                table,
                &keys::client(client),
                with_op(to_item("client", record)?, op),
            ),
            Step::AddContract(record) => {
                let mut item = with_op(to_item("contract", record)?, op);
                due(&mut item, "contract", change.at + LOOK_EVERY);
                new().put(table, &keys::contract(client, record.contract_id), item)
            }
            Step::NoteWarned { contract_id, seen, renewed_by, warned, again_at } => {
                let expression = due_or_not(Expression::new(), "contract", *again_at)
                    .set("warned", to_value(warned)?)
                    .if_equal("warned.version", n(seen));
                match renewed_by {
                    None => expression.if_absent("renewed_by"),
                    Some(by) => expression.if_equal("renewed_by", s(by)),
                }
                .update(table, &keys::contract(client, *contract_id))
            }
            Step::NoteRenewal { contract_id, by } => {
                // Due at once: where the successor runs, the sweep goes on for who does not come to the end.
                due_or_not(Expression::new(), "contract", Some(change.at))
                    .set("renewed_by", s(by))
                    .set("op", s(op))
                    .add("version", n(1))
                    .if_present(keys::PK)
                    .if_absent("renewed_by")
                    .update(table, &keys::contract(client, *contract_id))
            }
            Step::NoteErasure { on, told_at } => {
                let mut item = owned_by("erasure", on, op);
                item.insert("told_at".to_owned(), s(told_at));
                new().put(table, &keys::erasure(client, *on), item)
            }
            Step::TakeReference { reference, contract_id } => {
                let item = owned_by("reference", contract_id, op);
                new().put(table, &keys::reference(client, reference), item)
            }
            Step::AddModules { contract_id, modules, seen } => {
                let list = AttributeValue::L(modules.iter().map(s).collect());
                Expression::new()
                    .set("modules", list)
                    .set("version", n(seen + 1))
                    .set("op", s(op))
                    .if_equal("version", n(seen))
                    .update(table, &keys::contract(client, *contract_id))
            }
            Step::AddSublicense(record) => new().put(
                table,
                &keys::sublicense(client, record.sublicense_id),
                with_op(to_item("sublicense", record)?, op),
            ),
            Step::AddGroup(record) => new().put(
                table,
                &keys::group(client, record.group_id),
                with_op(to_item("group", record)?, op),
            ),
            Step::TakeGroupName { folded, group_id } => {
                let item = owned_by("group_name", group_id, op);
                new().put(table, &keys::group_name(client, folded), item)
            }
            Step::TakeOrder { contract_id, order, add } => {
                let mut item = owned_by("order", contract_id, op);
                item.insert("add".to_owned(), n(add));
                new().put(table, &keys::order(client, *contract_id, order), item)
            }
            Step::OpenPool { pool, stock } => {
                let mut item = owned_by("pool", pool, op);
                item.insert("client_id".to_owned(), s(client));
                let counters = counters(*stock).into_iter();
                item.extend(counters.map(|(name, value)| (name.to_owned(), value)));
                // Due for the sweep's proof of its counters.
                due(&mut item, "pool", change.at);
                new().put(table, &keys::pool(client, *pool), item)
            }
            // An update needs something to write.
            Step::MovePool { pool, delta } if delta.is_nothing() => {
                Expression::new().if_present(keys::PK).check(table, &keys::pool(client, *pool))
            }
            Step::MovePool { pool, delta } => {
                moved(*delta).update(table, &keys::pool(client, *pool))
            }
            Step::OpenBlock { key, size, epoch } => {
                new().put(table, &keys::block(client, key), block_item(change, key, *size, *epoch))
            }
            Step::DrawBlock { key, used, kept, cursor } => {
                drawn(*used, *kept, *cursor).update(table, &keys::block(client, key))
            }
            Step::TakeUpKept { key, used, epoch } => Expression::new()
                .add("used", n(used))
                .add("kept", n(-i128::from(*used)))
                .if_at_least("kept", used)
                .if_equal("epoch", n(epoch))
                .update(table, &keys::block(client, key)),
            Step::ReturnKept { key } => Expression::new()
                .add("kept", n(-1))
                .add("rem", n(1))
                .if_at_least("kept", 1)
                .update(table, &keys::block(client, key)),
            Step::FenceBlock { key, epoch } => Expression::new()
                .set("epoch", n(epoch))
                .compare("epoch", "<", n(epoch))
                .update(table, &keys::block(client, key)),
            Step::ResizeBlock { key, by } => Expression::new()
                .add("size", n(by))
                .add("rem", n(by))
                .if_at_least("rem", 0.max(-by))
                .update(table, &keys::block(client, key)),
            Step::SettleBlock { key, used } => Expression::new()
                .add("used", n(-i128::from(*used)))
                .add("size", n(-i128::from(*used)))
                .add("settled", n(used))
                .if_at_least("used", used)
                .update(table, &keys::block(client, key)),
            Step::CloseBlock(block) => Expression::new()
                .if_equal("size", n(block.size))
                .if_equal("used", n(block.used))
                .if_equal("kept", n(block.kept))
                .if_equal("epoch", n(block.epoch))
                .delete(table, &keys::block(client, &block.key)),
            Step::SeatLearner(seating) => {
                let key = keys::learner(client, seating.learner_id);
                match seating.presence {
                    Presence::Unseen => new().put(table, &key, first_account(change, seating)?),
                    Presence::New | Presence::Existing => {
                        seated(change, seating)?.update(table, &key)
                    }
                }
            }
            Step::ReleaseSeat { learner_id, pool, op: given_by, seat, untouched_since, beside } => {
                let attribute = seat_attribute(*pool);
                let expression = Expression::new().set(&attribute, to_value(seat)?);
                let expression = if_live(expression, Some((*pool, *given_by)));
                let expression = if_live(expression, *beside);
                let expression = match untouched_since {
                    None => expression,
                    Some(since) => if_untouched(expression, *since),
                };
                expression.update(table, &keys::learner(client, *learner_id))
            }
            Step::MarkUnused { learner_id, pool, op: given_by, seen, reclaim } => {
                let mark = format!("{}.reclaim", seat_attribute(*pool));
                let expression = Expression::new().set(&mark, to_value(reclaim)?);
                let expression = if_live(expression, Some((*pool, *given_by)));
                let expression = match seen {
                    None => expression.if_absent(&mark),
                    Some(at) => expression.if_equal(&format!("{mark}.warned_at"), to_value(at)?),
                };
                if_untouched(expression, change.at)
                    .update(table, &keys::learner(client, *learner_id))
            }
            Step::NoLiveSeat { learner_id, pool } => Expression::new()
                .if_absent_or(
                    &seat_attribute(*pool),
                    &format!("{}.state.is", seat_attribute(*pool)),
                    "=",
                    s("released"),
                )
                .check(table, &keys::learner(client, *learner_id)),
            Step::UpdateProfile { learner_id, profile, over, seats } => {
                reseated(profiled(Expression::new(), profile, *over), seats)?
                    .set(CHANGED_BY, s(op))
                    .set(CHANGED_AT, s(keys::sortable(change.at)))
                    .if_present(EMAIL)
                    .update(table, &keys::learner(client, *learner_id))
            }
            Step::ChangeLearner { learner_id, profile, seats } => {
                let mut expression = amended(Expression::new(), profile);
                expression = match profile.suspended {
                    None => expression,
                    Some(true) => expression.set_if_absent(SUSPENDED_AT, s(change.at)),
                    Some(false) => expression.remove(SUSPENDED_AT),
                };
                expression = reseated(expression, seats)?;
                // Another day for a seat says nothing of the person.
                if **profile != ProfileChange::default() {
                    expression = expression
                        .set(CHANGED_BY, s(op))
                        .set(CHANGED_AT, s(keys::sortable(change.at)));
                }
                expression.if_present(EMAIL).update(table, &keys::learner(client, *learner_id))
            }
            Step::StartClock { learner_id, pool, op: given_by, seen, ends_at } => {
                let attribute = seat_attribute(*pool);
                Expression::new()
                    .set(&format!("{attribute}.ends_at"), to_value(ends_at)?)
                    .if_equal(&format!("{attribute}.op"), s(given_by))
                    .if_equal(&format!("{attribute}.ends_at"), to_value(seen)?)
                    .compare(&format!("{attribute}.state.is"), "<>", s("released"))
                    .update(table, &keys::learner(client, *learner_id))
            }
            Step::EraseLearner { learner_id, given, serial, seats } => {
                let key = keys::learner(client, *learner_id);
                return erased_learner(change, *given, *serial, seats)?
                    .update(table, &key)
                    .map_err(unbuilt);
            }
            Step::SetPassword { learner_id, serial, credential } => Expression::new()
                .set("credential", to_value(credential)?)
                .set("password_serial", n(serial + 1))
                .set(ENTERED_AT, s(keys::sortable(change.at)))
                .if_equal("password_serial", n(serial))
                .update(table, &keys::learner(client, *learner_id)),
            Step::PutInvitation { invitation, replaces } => {
                let mut item = to_item("invitation", invitation)?;
                item.insert("client_id".to_owned(), s(client));
                // One whose mail came back for good may be given up before it expires.
                let due_at = invitation.gives_up_at.unwrap_or(invitation.expires_at);
                due(&mut item, "invitation", due_at);
                let expression = match replaces {
                    None => new(),
                    Some((version, status)) => Expression::new()
                        .if_equal("version", n(version))
                        .if_equal("status", to_value(status)?),
                };
                expression.put(table, &keys::invitation(client, invitation.place()), item)
            }
            Step::CloseInvitation { invitation_id, version, to } => Expression::new()
                .set("status", to_value(to)?)
                .set("op", s(op))
                .set("closed_at", s(change.at))
                .set("holds_seat", AttributeValue::Bool(false))
                .remove(keys::DUE_SHARD)
                .if_equal("version", n(version))
                .if_equal("status", s("pending"))
                .update(table, &keys::invitation(client, *invitation_id)),
            Step::NoLiveInvitation { invitation_id } => Expression::new()
                .if_absent_or(keys::PK, "status", "<>", s("pending"))
                .check(table, &keys::invitation(client, *invitation_id)),
            Step::MoveInvitation { from, version, status, left } => Expression::new()
                .set("status", to_value(&InvitationStatus::Moved)?)
                .set("op", s(op))
                .set("closed_at", s(change.at))
                .set("holds_seat", AttributeValue::Bool(false))
                .set("left", n(left))
                .remove(keys::DUE_SHARD)
                .if_equal("version", n(version))
                .if_equal("status", to_value(status)?)
                .update(table, &keys::invitation(client, *from)),
            Step::ReaddressInvitation { from, learner_id, version, status, left } => {
                erased_invitation(change, *learner_id, (*version, *status))?
                    .set("closed_at", s(change.at))
                    .set("holds_seat", AttributeValue::Bool(false))
                    .set("left", n(left))
                    .remove(keys::DUE_SHARD)
                    .update(table, &keys::invitation(client, *from))
            }
            Step::EraseInvitation { invitation_id, learner_id, version, status } => {
                erased_invitation(change, *learner_id, (*version, *status))?
                    .update(table, &keys::invitation(client, *invitation_id))
            }
            Step::PointInvitation { invitation_id, place } => {
                let mut item = owned_by("invitation_place", invitation_id, op);
                item.insert("place".to_owned(), s(place));
                Expression::new().put(table, &keys::invitation_place(client, *invitation_id), item)
            }
            Step::CountReminder { invitation_id, version, reminders } => Expression::new()
                .set("reminders", n(reminders + 1))
                .set("reminded_at", s(change.at))
                .set("op", s(op))
                .add("sent_count", n(1))
                .if_equal("version", n(version))
                .if_equal("status", s("pending"))
                .if_equal("reminders", n(reminders))
                .update(table, &keys::invitation(client, *invitation_id)),
            Step::StopReminders { invitation_id, version } => Expression::new()
                .set("reminders_unwanted", AttributeValue::Bool(true))
                .set("op", s(op))
                .if_equal("version", n(version))
                .if_equal("status", s("pending"))
                .update(table, &keys::invitation(client, *invitation_id)),
            Step::JoinCohort { key, start_on, count } => {
                let joined = joined(key, s(start_on), *count).set("changed_at", s(change.at));
                joined.update(table, &keys::cohort(key))
            }
            Step::LeaveCohort { key, count } => Expression::new()
                .add("count", n(-i128::from(*count)))
                .set("changed_at", s(change.at))
                .if_equal("state", s("waiting"))
                .if_at_least("count", count)
                .update(table, &keys::cohort(key)),
            Step::OpenCohort { key, count } => Expression::new()
                .set("state", s("opened"))
                .set("opened_at", s(change.at))
                .set("op", s(op))
                .remove(keys::DUE_SHARD)
                .if_equal("state", s("waiting"))
                .if_equal("count", n(count))
                .update(table, &keys::cohort(key)),
            Step::CohortHasOpened { key } => {
                Expression::new().if_equal("state", s("opened")).check(table, &keys::cohort(key))
            }
            Step::AddBatch(batch) => {
                let mut item = with_op(to_item("batch", batch)?, op);
                if let Some(at) = batch.due_at() {
                    due(&mut item, "batch", at);
                }
                new().put(table, &keys::batch(client, batch.batch_id), item)
            }
            Step::SteerBatch { batch, seen, settled } => steered(batch, *seen, *settled)?
                .set("op", s(op))
                .update(table, &keys::batch(client, batch.batch_id)),
            Step::AddCode { hash, record } => {
                new().put(table, &keys::code(client, *hash), to_item("code", record)?)
            }
            Step::RemoveCode { hash, batch_id, index } => Expression::new()
                .if_absent_or(keys::PK, "batch_id", "=", s(batch_id))
                .if_absent_or(keys::PK, "index", "=", n(index))
                .if_absent("redeemed_by")
                .delete(table, &keys::code(client, *hash)),
            Step::LotIsOpen { batch_id, lot, lane } => {
                new().check(table, &keys::barred_lot(client, *batch_id, *lot, *lane))
            }
            // It does not say by whom: what meets it was not applied, whoever barred the lot.
            Step::BarLot { batch_id, lot, lane } => {
                let item = Item::from([(keys::KIND.to_owned(), s("barred_lot"))]);
                let key = keys::barred_lot(client, *batch_id, *lot, *lane);
                Expression::new().put(table, &key, item)
            }
            Step::AddSealedCodes { batch_id, run, sealed } => {
                let mut item = owned_by("codes", batch_id, op);
                let sealed = aws_sdk_dynamodb::primitives::Blob::new(sealed.clone());
                item.insert("sealed".to_owned(), AttributeValue::B(sealed));
                new().put(table, &keys::sealed_codes(client, *batch_id, *run), item)
            }
            Step::ListMailed { batch_id, first, to } => {
                let mut item = owned_by("mailed_codes", batch_id, op);
                item.insert("to".to_owned(), to_value(to)?);
                new().put(table, &keys::mailed_codes(client, *batch_id, *first), item)
            }
            Step::RemoveSealedCodes { batch_id, run } => {
                Expression::new().delete(table, &keys::sealed_codes(client, *batch_id, *run))
            }
            Step::UseCode { hash, learner_id } => Expression::new()
                .set("redeemed_by", s(learner_id))
                .set("redeemed_at", s(change.at))
                .set("op", s(op))
                .if_present(keys::PK)
                .if_absent("redeemed_by")
                .update(table, &keys::code(client, *hash)),
            Step::FreeCode { hash, learner_id } => Expression::new()
                .remove("redeemed_by")
                .remove("redeemed_at")
                .set("op", s(op))
                .if_equal("redeemed_by", s(learner_id))
                .update(table, &keys::code(client, *hash)),
            Step::UncountRedemption { batch_id } => Expression::new()
                .add("redeemed", n(-1))
                .if_at_least("redeemed", 1)
                .update(table, &keys::batch(client, *batch_id)),
            Step::BatchIsActive { batch_id, version } => Expression::new()
                .if_equal("state", s("active"))
                .if_equal("version", n(version))
                .check(table, &keys::batch(client, *batch_id)),
            Step::CountRedemption { batch_id, version, max } => {
                let counted = Expression::new()
                    .add("redeemed", n(1))
                    .if_equal("state", s("active"))
                    .if_equal("version", n(version));
                let counted = match max {
                    Some(max) => counted.compare("redeemed", "<", n(max)),
                    None => counted,
                };
                counted.update(table, &keys::batch(client, *batch_id))
            }
            Step::ListRedemption { batch_id, redemption } => {
                let at = redemption.at;
                let key = keys::redemption(client, *batch_id, at, redemption.learner_id);
                new().put(table, &key, with_op(to_item("redemption", redemption)?, op))
            }
            Step::PutImport { run, expects } => {
                let mut item = to_item("import", run)?;
                item.insert("client_id".to_owned(), s(client));
                if let Some(lease) = run.lease_until {
                    due(&mut item, "import", lease);
                } else if let Some(until) = run.waits_until {
                    due(&mut item, "import_waiting", until);
                }
                let item = with_op(item, op);
                let expression = match expects {
                    None => new(),
                    Some(epoch) => {
                        let seen = n(run.revision.saturating_sub(1));
                        Expression::new()
                            .if_equal("epoch", n(epoch))
                            .if_absent_or("revision", "revision", "=", seen)
                    }
                };
                expression.put(table, &keys::import(client, run.import_id), item)
            }
            Step::ListImport { import_id, created_at } => {
                let item = owned_by("import_listing", import_id, op);
                new().put(table, &keys::import_listing(client, *created_at, *import_id), item)
            }
            Step::Mail(intent) => new().put(table, &keys::mail(intent), mail_item(change, intent)?),
            Step::Audit(record) => {
                let item = with_op(bulk::audit_item(record)?, op);
                let key = keys::audit(client, record.pool, record.at, op, change.part, place);
                new().put(table, &key, item)
            }
        };
        item.map_err(unbuilt)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err as it is")]
fn unbuilt(error: BuildError) -> StoreError {
    StoreError::Broken(error.to_string())
}

fn with_op(mut item: Item, op: uuid::Uuid) -> Item {
    item.insert("op".to_owned(), s(op));
    item
}

/// A small item that says what it is, whose, and which operation wrote it.
fn owned_by(kind: &str, owner: impl ToString, op: uuid::Uuid) -> Item {
    let mut item = with_op(Item::new(), op);
    item.insert(keys::KIND.to_owned(), s(kind));
    item.insert("owner".to_owned(), s(owner));
    item
}

/// Makes an item show in the index of what is due.
fn due(item: &mut Item, what: &str, at: jiff::Timestamp) {
    item.insert(keys::DUE_SHARD.to_owned(), s(what));
    item.insert(keys::DUE_AT.to_owned(), s(keys::sortable(at)));
}

/// The same in an update, or the end of it.
fn due_or_not(expression: Expression, what: &str, at: Option<jiff::Timestamp>) -> Expression {
    match at {
        Some(at) => {
            expression.set(keys::DUE_SHARD, s(what)).set(keys::DUE_AT, s(keys::sortable(at)))
        }
        None => expression.remove(keys::DUE_SHARD),
    }
}

/// The terms of a batch. What it counts itself goes on being counted meanwhile.
fn steered(batch: &Batch, seen: u32, settled: u64) -> Result<Expression, StoreError> {
    let Steering { version, epoch, shards, returned, lots, adding, mailed } = &batch.steering;
    let adding = adding.as_ref().map(to_value).transpose()?;
    let until = batch.valid_until.map(|until| to_value(&until)).transpose()?;
    let mut expression = due_or_not(Expression::new(), "batch", batch.due_at())
        .set("state", to_value(&batch.state)?)
        .set("count", n(batch.count))
        .set_or_remove("valid_until", until)
        .set_or_remove("max_redemptions", batch.max_redemptions.map(n))
        .set("version", n(version))
        .set("epoch", n(epoch))
        .set("shards", n(shards))
        .set("returned", AttributeValue::Bool(*returned))
        .set("lots", to_value(lots)?)
        .set_or_remove("adding", adding)
        .set("mailed", n(mailed))
        .if_equal("version", n(seen));
    if settled > 0 {
        expression = expression.add("redeemed", n(settled));
    }
    Ok(match batch.max_redemptions {
        Some(max) => expression.compare("redeemed", "<=", n(max)),
        None => expression,
    })
}

/// The law in one expression: what moves is added, and every counter that seats leave must have
/// them.
fn moved(delta: Delta) -> Expression {
    // Who reads a pool twice and finds `moves` unchanged knows that nothing moved in between.
    let mut expression = Expression::new().add("moves", n(1)).if_present(keys::PK);
    for (counter, seats) in delta.parts() {
        if seats != 0 {
            expression = expression.add(counter, n(seats));
        }
        if seats < 0 {
            expression = expression.if_at_least(counter, -seats);
        }
    }
    expression
}

fn block_item(change: &Change, key: &BlockKey, size: u64, epoch: u32) -> Item {
    let mut item = owned_by("block", &key.owner, change.op.id);
    let numbers = [
        ("shard", u64::from(key.shard)),
        ("size", size),
        ("used", 0),
        ("kept", 0),
        ("rem", size),
        ("cursor", 0),
        ("rows", 0),
        ("epoch", u64::from(epoch)),
    ];
    item.extend(numbers.map(|(name, value)| (name.to_owned(), n(value))));
    item
}

fn drawn(used: u64, kept: u64, cursor: Option<BlockCursor>) -> Expression {
    let total = used + kept;
    let expression = Expression::new()
        .add("used", n(used))
        .add("kept", n(kept))
        .add("rem", n(-i128::from(total)))
        .if_at_least("rem", total);
    match cursor {
        None => expression,
        Some(BlockCursor { lo, hi, rows, epoch }) => expression
            .set("cursor", n(hi))
            .add("rows", n(rows))
            .if_equal("cursor", n(lo))
            .if_equal("epoch", n(epoch)),
    }
}

fn joined(key: &CohortKey, start_on: AttributeValue, count: u64) -> Expression {
    Expression::new()
        .add("count", n(count))
        .set_if_absent("state", s("waiting"))
        .set_if_absent(keys::KIND, s("cohort"))
        .set_if_absent("client_id", s(&key.client_id))
        .set_if_absent("pool", s(key.pool))
        .set_if_absent("instant", s(key.instant))
        .set_if_absent("start_on", start_on)
        .set_if_absent(keys::DUE_SHARD, s("cohort"))
        .set_if_absent(keys::DUE_AT, s(keys::sortable(key.instant)))
        .if_absent_or("state", "state", "=", s("waiting"))
}

/// Writes the values given of a profile over those that are there.
fn profiled(mut expression: Expression, profile: &Profile, over: Over) -> Expression {
    for (name, value) in profile_texts(profile) {
        expression = match over {
            Over::Joining | Over::Keeping => expression.set_if_absent(name, value),
            Over::Replacing => expression.set(name, value),
        };
    }
    for (name, value) in profile_sets(profile) {
        expression = match over {
            Over::Joining => expression.add(name, value),
            // There are no empty sets: where nothing is in one, there is none.
            Over::Keeping => expression.set_if_absent(name, value),
            Over::Replacing => expression.set(name, value),
        };
    }
    expression
}

/// Writes live seats over those that were seen.
fn reseated(expression: Expression, seats: &[SeatChange]) -> Result<Expression, StoreError> {
    seats.iter().try_fold(expression, |expression, change| {
        let SeatChange { pool, op, seen_end, seat } = change;
        let attribute = seat_attribute(*pool);
        Ok(expression
            .set(&attribute, to_value(seat)?)
            .if_equal(&format!("{attribute}.op"), s(op))
            .if_equal(&format!("{attribute}.ends_at"), to_value(seen_end)?)
            .compare(&format!("{attribute}.state.is"), "<>", s("released")))
    })
}

/// Writes what changes in a profile, each value by itself.
fn amended(expression: Expression, change: &ProfileChange) -> Expression {
    let text = |value: &Amend<String>| amend(value, |text| s(text));
    let date = |value: &Amend<Date>| amend(value, |date| s(date));
    let values = [
        ("first_name", text(&change.first_name)),
        ("last_name", text(&change.last_name)),
        ("language", amend(&change.language, |language| s(language))),
        ("external_id", text(&change.external_id)),
        ("additional_info", text(&change.additional_info)),
        ("end_on", date(&change.end_on)),
        ("delete_on", date(&change.delete_on)),
        ("roles", members(change.roles.as_ref())),
        ("group_ids", members(change.group_ids.as_ref())),
        ("labels", members(change.labels.as_ref())),
    ];
    // A day that is given anew counts from anew, also one that was there before.
    let expression = match change.delete_on {
        Amend::Keep => expression,
        Amend::Clear | Amend::Set(_) => expression.remove(LEAVES_ON).remove(LEAVES_SINCE),
    };
    values.into_iter().fold(expression, |expression, (name, value)| match value {
        Amend::Keep => expression,
        Amend::Clear => expression.remove(name),
        Amend::Set(value) => expression.set(name, value),
    })
}

fn amend<T>(value: &Amend<T>, write: impl Fn(&T) -> AttributeValue) -> Amend<AttributeValue> {
    match value {
        Amend::Keep => Amend::Keep,
        Amend::Clear => Amend::Clear,
        Amend::Set(value) => Amend::Set(write(value)),
    }
}

/// A set that replaces the one there; DynamoDB has no empty sets.
fn members<T: ToString>(set: Option<&BTreeSet<T>>) -> Amend<AttributeValue> {
    match set {
        None => Amend::Keep,
        Some(set) if set.is_empty() => Amend::Clear,
        Some(set) => Amend::Set(AttributeValue::Ss(set.iter().map(T::to_string).collect())),
    }
}

/// A person's seat must be live, and the one that this operation gave.
fn if_live(expression: Expression, seat: Option<(PoolId, Uuid)>) -> Expression {
    let Some((pool, op)) = seat else { return expression };
    let attribute = seat_attribute(pool);
    expression.if_equal(&format!("{attribute}.op"), s(op)).compare(
        &format!("{attribute}.state.is"),
        "<>",
        s("released"),
    )
}

/// Nobody may have used or changed the account after this instant.
fn if_untouched(expression: Expression, since: Timestamp) -> Expression {
    [ENTERED_AT, CHANGED_AT].into_iter().fold(expression, |expression, name| {
        expression.if_absent_or(name, name, "<=", s(keys::sortable(since)))
    })
}

fn seated(change: &Change, seating: &SeatLearner) -> Result<Expression, StoreError> {
    let seat = seat_attribute(seating.pool);
    let mut expression = profiled(Expression::new(), &seating.profile, Over::Joining)
        .set(&seat, to_value(&seating.seat)?)
        .set(keys::KIND, s("learner"))
        .set_if_absent("client_id", s(&change.client_id))
        .set_if_absent("learner_id", s(seating.learner_id))
        .add("given", n(1))
        .set_if_absent(EMAIL, s(&seating.email))
        .set_if_absent("created_at", s(change.at))
        .set_if_absent("password_serial", n(0));
    if let Some(credential) = &seating.credential {
        expression = expression.set_if_absent("credential", to_value(credential)?);
    }
    let expression = match seating.presence {
        Presence::New | Presence::Unseen => expression.if_absent(EMAIL),
        Presence::Existing => expression.if_present(EMAIL),
    };
    let expression =
        expression.if_absent_or(&seat, &format!("{seat}.state.is"), "=", s("released"));
    Ok(if_live(expression, seating.beside))
}

/// The account that [`seated`] would make where there is nothing, as an item: written whole, it needs
/// no expression, which is half of what a row of an import takes.
fn first_account(change: &Change, seating: &SeatLearner) -> Result<Item, StoreError> {
    let own = |name: &str, value| (name.to_owned(), value);
    let mut item = Item::from([
        (seat_attribute(seating.pool), to_value(&seating.seat)?),
        own(keys::KIND, s("learner")),
        own("client_id", s(&change.client_id)),
        own("learner_id", s(seating.learner_id)),
        own("given", n(1)),
        own(EMAIL, s(&seating.email)),
        own("created_at", s(change.at)),
        own("password_serial", n(0)),
    ]);
    let profile = profile_texts(&seating.profile).into_iter().chain(profile_sets(&seating.profile));
    item.extend(profile.map(|(name, value)| own(name, value)));
    if let Some(credential) = &seating.credential {
        item.insert("credential".to_owned(), to_value(credential)?);
    }
    Ok(item)
}

fn mail_item(change: &Change, intent: &MailIntent) -> Result<Item, StoreError> {
    let mut item = to_item("mail", &MailIntent { subjects: Vec::new(), ..intent.clone() })?;
    item.remove("subjects");
    item.extend(bulk::mails(change, intent)?);
    item.insert("next".to_owned(), n(0));
    item.insert("in_flight".to_owned(), AttributeValue::Bool(false));
    item.insert("unknown".to_owned(), AttributeValue::L(Vec::new()));
    item.insert("attempts".to_owned(), n(0));
    due(&mut item, "mail", intent.due_at);
    Ok(item)
}

/// Reads the reasons by position: the guard's verdict first, then the first step that refused.
fn judge(change: &Change, reasons: &[CancellationReason]) -> Attempt {
    let failed = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    if let Some(reason) = reasons.get(change.steps.len()).filter(|reason| failed(reason)) {
        return Attempt::Refused(judge_guard(change, reason));
    }
    let first = change.steps.iter().zip(reasons).enumerate().find(|(_, (_, r))| failed(r));
    if let Some((place, _)) = first {
        let mine = change
            .steps
            .iter()
            .zip(reasons)
            .any(|(step, reason)| failed(reason) && written_by_this(change, step, reason));
        return Attempt::Refused(if mine { Refused::Repeated } else { Refused::Step(place) });
    }
    let codes: Vec<_> = reasons.iter().filter_map(CancellationReason::code).collect();
    let busy = codes.iter().any(|code| {
        matches!(*code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
    });
    if busy {
        return Attempt::Busy(StoreError::Unavailable("a transaction conflict".into()));
    }
    Attempt::Refused(Refused::Store(StoreError::Broken(format!("cancelled: {codes:?}"))))
}

fn judge_guard(change: &Change, reason: &CancellationReason) -> Refused {
    let applied = reason.item().and_then(|item| number::<u32>(item, "applied")).unwrap_or(0);
    let held_since = reason.item().and_then(|item| text(item, "held_since"));
    let mine = change.op.guard.map(|guard| keys::sortable(guard.held_since));
    if held_since.is_some() && held_since == mine && applied > change.part {
        Refused::Repeated
    } else {
        Refused::Overtaken
    }
}

/// Whether the item that stood in the way was written by this very operation: then the change was
/// applied, and only its answer was lost.
fn written_by_this(change: &Change, step: &Step, reason: &CancellationReason) -> bool {
    let Some(item) = reason.item() else {
        return false;
    };
    let op = change.op.id;
    match step {
        Step::SeatLearner(seating) => seat_in(item, seating.pool).is_some_and(|seat| seat.op == op),
        Step::ReleaseSeat { pool, .. } => seat_in(item, *pool)
            .is_some_and(|seat| seat.op == op && matches!(seat.state, SeatState::Released { .. })),
        Step::EraseLearner { .. } => text(item, ERASED_BY) == Some(op.to_string()),
        Step::ChangeLearner { seats, .. } => seats
            .iter()
            .any(|seat| seat_in(item, seat.pool).is_some_and(|standing| standing.op == op)),
        _ => text(item, "op") == Some(op.to_string()),
    }
}

/// The same for the same change, so that a repeated request within ten minutes answers as the
/// first did; another plan of the same operation has another.
fn request_token(change: &Change) -> String {
    let mut hasher = DefaultHasher::new();
    change.op.id.hash(&mut hasher);
    change.part.hash(&mut hasher);
    change.op.guard.map(|guard| guard.held_since).hash(&mut hasher);
    format!("{:?}", change.steps).hash(&mut hasher);
    let first = hasher.finish();
    "again".hash(&mut hasher);
    format!("{first:016x}{:016x}", hasher.finish())
}

/// Full jitter, drawn from the operation's own random bits.
fn pause(change: &Change, try_number: u32) -> Duration {
    let longest = PAUSE_MAX.min(PAUSE_FIRST << try_number.min(16));
    let mut hasher = DefaultHasher::new();
    (change.op.id, try_number).hash(&mut hasher);
    Duration::from_millis(hasher.finish() % (longest + 1))
}

/// The counters of a key are needed by adapters that read what is due.
pub(crate) fn due_key(item: &Item) -> Option<Key> {
    Some(Key { pk: text(item, keys::PK)?, sk: text(item, keys::SK)? })
}

/// Whether an SDK error says that the condition of a single write did not hold.
pub(crate) fn condition_failed<E>(error: &aws_sdk_dynamodb::error::SdkError<E>) -> bool
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    error.as_service_error().and_then(|error| error.code())
        == Some("ConditionalCheckFailedException")
}
