//! Mailing codes: to each address one code of a batch, and never a second one.
//!
//! One change moves the batch on, lists whom its codes went to, and owes the mails. Of redemption
//! codes, the next ones of the list are taken that nobody redeemed; a registration code goes to
//! everybody.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::actions::address_list::{AddressList, AddressResult};
use crate::actions::issue_codes::{batch_runs, steered, unsealed};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::code::{Batch, BatchState, Code, CodeKind};
use crate::email::{EmailAddress, InvalidEmail};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, LearnerId};
use crate::outbox::{MailIntent, SUBJECTS_MAX, Subject};
use crate::ports::{Clock, CodeBook, Ledger};
use crate::role::Caller;
use crate::secrets::Keys;

/// Codes looked up at once.
const LOOKED_UP: usize = 100;

/// The command.
#[derive(Clone)]
pub struct SendCodes {
    /// Whose.
    pub client_id: ClientId,
    /// Of which batch.
    pub batch_id: BatchId,
    /// To which addresses, as they were given.
    pub addresses: Vec<String>,
}

/// What came of it.
#[derive(Clone)]
pub struct SentCodes {
    /// A verdict per address, in the order given; the later copies of an address are one.
    pub results: Vec<AddressResult<CodeVerdict>>,
    /// Codes of the list that can still be mailed, those redeemed meanwhile included; none for a
    /// registration code, which can be mailed to any number of people.
    pub left: Option<u32>,
}

/// What came of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    /// A code is on its way.
    Sent,
    /// It was sent a code of this batch before; nothing is sent again.
    AlreadySent,
    /// Its domain is not one the codes are for.
    ForeignDomain,
    /// It stands earlier in the list.
    Duplicate,
    /// It is no address.
    Invalid(InvalidEmail),
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendCodesError {
    /// There is no such batch.
    #[error("no such batch")]
    NotFound,
    /// Its codes cannot be redeemed any more.
    #[error("the batch has ended")]
    Ended,
    /// Its codes cannot be redeemed for the moment.
    #[error("the batch is paused")]
    Paused,
    /// It has fewer codes that were not mailed or redeemed than addresses.
    #[error("too few codes are left")]
    TooFew {
        /// Codes left.
        left: usize,
        /// Codes needed.
        needed: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a code stands under seal.
#[derive(Clone, Copy)]
struct Next {
    run: u32,
    place: u32,
}

/// Mails a code to each address that was sent none of this batch, to all of them or to none.
pub async fn send_codes(
    ports: &(impl Ledger + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &SendCodes,
) -> Result<SentCodes, SendCodesError> {
    let (client, list) = (&command.client_id, AddressList::of(&command.addresses));
    let applied = ports.receipts(&op).await?.first().map(read_receipt);
    for _ in 0..ROUNDS {
        let now = clock.now();
        let batch = ports.batch(client, command.batch_id).await?;
        let batch = batch.filter(|batch| batch.state != BatchState::Issuing);
        let batch = batch.ok_or(SendCodesError::NotFound)?;
        if let Some(sent) = &applied {
            let outcomes: Vec<_> = list
                .unique
                .iter()
                .map(|email| {
                    let id = keys.learner_id(client, email);
                    if sent.contains(&id) { CodeVerdict::Sent } else { refused(&batch, email) }
                })
                .collect();
            return Ok(answer(&list, &outcomes, &batch));
        }
        if batch.state == BatchState::Revoked || batch.is_over(now) {
            return Err(SendCodesError::Ended);
        }
        if batch.state == BatchState::Paused {
            return Err(SendCodesError::Paused);
        }
        let before = ports.mailed_to(client, batch.batch_id).await?;
        let (mut outcomes, mut to) = (Vec::new(), Vec::new());
        for email in &list.unique {
            let id = keys.learner_id(client, email);
            let verdict = match refused(&batch, email) {
                CodeVerdict::AlreadySent if !before.contains(&id) => CodeVerdict::Sent,
                verdict => verdict,
            };
            if verdict == CodeVerdict::Sent {
                to.push((id, email.clone()));
            }
            outcomes.push(verdict);
        }
        if to.is_empty() {
            return Ok(answer(&list, &outcomes, &batch));
        }
        let (next, mailed) = next_codes(ports, keys, client, &batch, to.len()).await?;
        let mut moved = batch.clone();
        moved.steering.mailed = mailed;
        let change = plan(caller, op, client, &moved, (batch.steering.mailed, now), &to, &next);
        moved.steering.version += 1;
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(answer(&list, &outcomes, &moved)),
            // Somebody else mails codes of this batch, or steers it.
            Err(Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

/// What an address is told that is sent nothing now.
fn refused(batch: &Batch, email: &EmailAddress) -> CodeVerdict {
    let domains = &batch.allowed_domains;
    if domains.is_empty() || domains.contains(email.domain()) {
        CodeVerdict::AlreadySent
    } else {
        CodeVerdict::ForeignDomain
    }
}

fn answer(list: &AddressList, outcomes: &[CodeVerdict], batch: &Batch) -> SentCodes {
    let results =
        list.results(outcomes, |_, outcome| outcome, CodeVerdict::Duplicate, CodeVerdict::Invalid);
    let left = batch.count.saturating_sub(batch.steering.mailed);
    SentCodes { results, left: (batch.kind == CodeKind::Redemption).then_some(left) }
}

/// So many codes to mail, and where the batch stands then.
async fn next_codes(
    ports: &impl CodeBook,
    keys: &Keys,
    client: &ClientId,
    batch: &Batch,
    needed: usize,
) -> Result<(Vec<Next>, u32), SendCodesError> {
    let mailed = batch.steering.mailed;
    if batch.kind == CodeKind::Registration {
        let next = (0..needed).map(|_| Next { run: 0, place: 0 }).collect();
        return Ok((next, mailed.saturating_add(u32::try_from(needed).unwrap_or(u32::MAX))));
    }
    let runs = batch_runs(ports, keys, client, batch.batch_id).await?;
    let codes = to_mail(runs, batch);
    let (mut next, mut passed) = (Vec::new(), 0_u32);
    for some in codes.chunks(LOOKED_UP) {
        let hashes: Vec<_> = some.iter().map(|(_, code)| code.hash(keys, client)).collect();
        for ((place, _), record) in some.iter().zip(ports.codes(client, &hashes).await?) {
            if next.len() == needed {
                break;
            }
            passed += 1;
            if record.is_some_and(|record| record.redeemed_by.is_none()) {
                next.push(*place);
            }
        }
        if next.len() == needed {
            break;
        }
    }
    if next.len() < needed {
        return Err(SendCodesError::TooFew { left: next.len(), needed });
    }
    Ok((next, mailed + passed))
}

/// The codes of a batch behind those that were mailed, each with its place.
fn to_mail(runs: Vec<Vec<Code>>, batch: &Batch) -> Vec<(Next, Code)> {
    let mut codes = Vec::new();
    for (run, of_run) in (0..).zip(runs) {
        codes.extend((0..).zip(of_run).map(|(place, code)| (Next { run, place }, code)));
    }
    // Behind the batch's own stand those that are being added.
    codes.truncate(usize::try_from(batch.count).unwrap_or(usize::MAX));
    codes.drain(..codes.len().min(usize::try_from(batch.steering.mailed).unwrap_or(usize::MAX)));
    codes
}

fn plan(
    caller: &Caller,
    op: Op,
    client: &ClientId,
    moved: &Batch,
    (first, now): (u32, Timestamp),
    to: &[(LearnerId, EmailAddress)],
    next: &[Next],
) -> Change {
    let batch_id = moved.batch_id;
    let mut change = Change::new(client, op, Actor::Caller(caller.subject.clone()), now);
    let ids: Vec<LearnerId> = to.iter().map(|(id, _)| *id).collect();
    change.receipt = json!({"batch_id": batch_id, "to": ids});
    change.step(steered(moved.clone(), 0));
    change.step(Step::ListMailed { batch_id, first, to: ids });
    let subjects: Vec<Subject> = to
        .iter()
        .zip(next)
        .map(|((_, email), next)| Subject::Code {
            batch: batch_id,
            run: next.run,
            place: next.place,
            to: email.clone(),
        })
        .collect();
    for (number, subjects) in subjects.chunks(SUBJECTS_MAX).enumerate() {
        change.step(Step::Mail(MailIntent {
            client_id: client.clone(),
            key: format!("code#{batch_id}#{first}#{number}"),
            cohort: None,
            // Nobody is sent what cannot be redeemed yet.
            due_at: moved.valid_from.map_or(now, |from| from.max(now)),
            subjects: subjects.to_vec(),
            copy_to: None,
        }));
    }
    change
}

fn read_receipt(receipt: &Value) -> BTreeSet<LearnerId> {
    let to = receipt.get("to").and_then(Value::as_array);
    to.into_iter().flatten().filter_map(|id| id.as_str()?.parse().ok()).collect()
}

/// The code of a mail and its batch; `None` if it cannot be redeemed any more.
pub(super) async fn mailed_code(
    ports: &impl CodeBook,
    keys: &Keys,
    client: &ClientId,
    (batch, run, place): (BatchId, u32, u32),
    now: Timestamp,
) -> Result<Option<(Batch, Code)>, StoreError> {
    let known = ports.batch(client, batch).await?;
    let Some(known) = known.filter(|batch| {
        !matches!(batch.state, BatchState::Issuing | BatchState::Revoked) && !batch.is_over(now)
    }) else {
        return Ok(None);
    };
    let Some(sealed) = ports.sealed_run(client, batch, run).await? else { return Ok(None) };
    let as_place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let codes = unsealed(keys, client, batch, as_place(run), &sealed)?;
    let Some(code) = codes.get(as_place(place)).cloned() else { return Ok(None) };
    let record = ports.code(client, code.hash(keys, client)).await?;
    let open = record.is_some_and(|record| record.redeemed_by.is_none());
    Ok(open.then_some((known, code)))
}
