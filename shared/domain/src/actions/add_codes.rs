//! Adding codes to a batch of redemption codes: a lot of its own, all of it or nothing.
//!
//! The opening change sets the seats aside, keeps the sealed list and notes the lot; then the codes
//! are written; the closing change makes the lot one of the batch's. A code of a lot that is not the
//! batch's cannot be redeemed. A lot that cannot become whole is barred before its codes are removed,
//! so that whatever a dead attempt still writes is refused.

use jiff::Timestamp;
use serde_json::json;

use crate::actions::issue_codes::{Issue, IssuedCodes, RUN, Written, batch_codes, seal, steered};
use crate::actions::steer_batch::{BatchNow, batch_now};
use crate::actions::{Met, ROUNDS, gave_up, met, set_aside};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::code::{Adding, Batch, BatchState, Code, CodeKind};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId};
use crate::ports::{Clock, CodeBook, IdSource, Ledger};
use crate::role::Caller;
use crate::secrets::Keys;

/// Most codes of one batch, those added included.
pub const BATCH_MAX: u32 = 20_000;

/// Which codes are wanted.
#[derive(Debug, Clone)]
pub enum More {
    /// So many generated ones.
    Generated(u32),
    /// The administrator's own, all different.
    Own(Vec<Code>),
}

/// The command.
#[derive(Debug, Clone)]
pub struct AddCodes {
    /// Whose.
    pub client_id: ClientId,
    /// To which batch.
    pub batch_id: BatchId,
    /// Which codes.
    pub more: More,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct AddedCodes {
    /// The lot of the added codes.
    pub lot: u32,
    /// The batch as it is now, and the added codes.
    pub issued: IssuedCodes,
}

/// Why no codes were added.
#[derive(Debug, thiserror::Error)]
pub enum AddCodesError {
    /// There is no such batch.
    #[error("no such batch")]
    NotFound,
    /// It has one code, for many learners.
    #[error("a registration code is one code")]
    OneCodeOnly,
    /// It was revoked, or its time is over.
    #[error("the batch has ended")]
    Ended,
    /// It would have too many codes.
    #[error("the batch would have more than {BATCH_MAX} codes")]
    TooMany,
    /// Others are being added.
    #[error("other codes are being added")]
    Busy,
    /// Some of the administrator's codes exist already, at these places of the list.
    #[error("{} of the codes exist already", .0.len())]
    CodesExist(Vec<usize>),
    /// Too few seats are left for all of them.
    #[error("no seats left")]
    NoSeatsLeft,
    /// An earlier attempt did not end in time, and what it had begun was given back.
    #[error("an earlier attempt was given back")]
    GivenUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds codes to a batch, all of them or none.
pub async fn add_codes(
    ports: &(impl Ledger + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &AddCodes,
) -> Result<AddedCodes, AddCodesError> {
    let client = &command.client_id;
    let actor = Actor::Caller(caller.subject.clone());
    let issue = Issue { ports, keys, client, op, actor, now: clock.now() };
    let receipts = ports.receipts(&op).await?;
    let lot = match receipts.first().and_then(|receipt| receipt.get("lot")?.as_u64()) {
        Some(lot) => u32::try_from(lot).unwrap_or(u32::MAX),
        None => issue.open_lot(ids, command).await?,
    };
    let codes = lot_codes(keys, command, lot);
    if receipts.len() < 2 {
        let batch = known(ports, client, command.batch_id).await?;
        if batch.steering.adding.as_ref().is_some_and(|adding| adding.lot == lot) {
            let mut written = issue.write(&batch, lot, &codes).await?;
            if written == Written::All {
                written = issue.close_lot(command.batch_id, lot).await?;
            }
            if written == Written::Refused {
                let taken = issue.taken(&codes).await?;
                issue.give_back_lot(command.batch_id, lot, &codes).await?;
                return Err(not_written(taken));
            }
        }
    }
    let now = batch_now(ports, client, command.batch_id).await?;
    if !now.batch.steering.lots.contains(&lot) {
        return Err(AddCodesError::GivenUp);
    }
    let BatchNow { batch, redeemed, stock } = now;
    Ok(AddedCodes { lot, issued: IssuedCodes { batch, redeemed, codes, stock } })
}

/// The codes of a lot: the same in every attempt.
pub fn lot_codes(keys: &Keys, command: &AddCodes, lot: u32) -> Vec<Code> {
    match &command.more {
        More::Own(codes) => codes.clone(),
        More::Generated(count) => {
            let place = |offset| Adding::place_in(lot, offset);
            let made =
                |offset| Code::generated(keys, &command.client_id, command.batch_id, place(offset));
            (0..*count).map(made).collect()
        }
    }
}

async fn known(
    ports: &impl CodeBook,
    client: &ClientId,
    batch: BatchId,
) -> Result<Batch, AddCodesError> {
    let batch = ports.batch(client, batch).await?;
    batch.filter(|batch| batch.state != BatchState::Issuing).ok_or(AddCodesError::NotFound)
}

impl<P: Ledger + CodeBook> Issue<'_, P> {
    /// Sets seats aside for a new lot and keeps its list. Returns the lot.
    async fn open_lot(
        &self,
        ids: &impl IdSource,
        command: &AddCodes,
    ) -> Result<u32, AddCodesError> {
        if let More::Own(codes) = &command.more {
            let taken = self.taken(codes).await?;
            if !taken.is_empty() {
                return Err(AddCodesError::CodesExist(taken));
            }
        }
        for _ in 0..ROUNDS {
            let batch = known(self.ports, self.client, command.batch_id).await?;
            let wanted = match &command.more {
                More::Generated(count) => *count,
                More::Own(codes) => u32::try_from(codes.len()).unwrap_or(u32::MAX),
            };
            check(&batch, wanted, self.now)?;
            let lot = batch.steering.version + 1;
            let codes = lot_codes(self.keys, command, lot);
            let change = self.opening(ids, &batch, lot, &codes).await?;
            let Err(refused) = self.ports.apply(&change).await else { return Ok(lot) };
            match met(&change, refused) {
                Met::Repeated => return Ok(lot),
                Met::NoSeats => return Err(AddCodesError::NoSeatsLeft),
                Met::Raced(_) => {}
                Met::Failed(error) => return Err(error.into()),
            }
        }
        Err(gave_up().into())
    }

    async fn opening(
        &self,
        ids: &impl IdSource,
        batch: &Batch,
        lot: u32,
        codes: &[Code],
    ) -> Result<Change, StoreError> {
        let sealed = self.ports.sealed_codes(self.client, batch.batch_id).await?.len();
        let first_run = u32::try_from(sealed).unwrap_or(u32::MAX);
        let count = u32::try_from(codes.len()).unwrap_or(u32::MAX);
        let blocks = set_aside::blocks_of(self.ports, self.client, batch).await?;
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
        change.receipt = json!({"batch_id": batch.batch_id, "lot": lot});
        let mut to = batch.clone();
        to.steering.adding = Some(Adding {
            op: self.op.id,
            lot,
            count,
            first_run,
            runs: u32::try_from(codes.chunks(RUN).len()).unwrap_or(u32::MAX),
            began_at: self.now,
        });
        let place = change.step(steered(to.clone(), 0));
        set_aside::grow(&mut change, &mut to, &blocks, u64::from(count));
        if let Some(step) = change.steps.get_mut(place) {
            *step = steered(to, 0);
        }
        seal(&mut change, ids, self.keys, batch.batch_id, first_run, codes);
        Ok(change)
    }

    /// Makes a lot one of the batch's, unless it is barred.
    async fn close_lot(&self, batch: BatchId, lot: u32) -> Result<Written, AddCodesError> {
        for _ in 0..ROUNDS {
            let mut to = known(self.ports, self.client, batch).await?;
            let Some(adding) = to.steering.adding.take_if(|adding| adding.lot == lot) else {
                return Ok(Written::All);
            };
            to.count += adding.count;
            to.steering.lots.insert(lot);
            let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
            change.part = 1;
            change.receipt = json!({"batch_id": batch, "lot": lot});
            change.step(steered(to, 0));
            let gate = change.step(Step::LotIsOpen { batch_id: batch, lot, lane: 0 });
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => return Ok(Written::All),
                Err(Met::Raced(place)) if place == gate => return Ok(Written::Refused),
                Err(Met::Raced(_) | Met::NoSeats) => {}
                Err(Met::Failed(error)) => return Err(error.into()),
            }
        }
        Err(gave_up().into())
    }

    /// Takes back a lot that cannot become whole: its codes are removed, its seats return.
    async fn give_back_lot(
        &self,
        batch_id: BatchId,
        lot: u32,
        codes: &[Code],
    ) -> Result<bool, StoreError> {
        for _ in 0..ROUNDS {
            let batch = self.ports.batch(self.client, batch_id).await?;
            let adding = |batch: &Batch| batch.steering.adding.clone().filter(|of| of.lot == lot);
            let Some((adding, batch)) = batch.and_then(|batch| Some((adding(&batch)?, batch)))
            else {
                return Ok(false);
            };
            let Some(batch) = self.take_out(batch, lot, codes).await? else { continue };
            let mut to = batch.clone();
            to.steering.adding = None;
            let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
            change.part = 1;
            change.receipt = json!({"batch_id": batch_id, "lot": lot});
            change.step(steered(to.clone(), 0));
            for run in adding.first_run..adding.first_run + adding.runs {
                change.step(Step::RemoveSealedCodes { batch_id, run });
            }
            if !batch.steering.returned {
                let blocks = set_aside::blocks_of(self.ports, self.client, &batch).await?;
                if !set_aside::shrink(&mut change, &to, &blocks, u64::from(adding.count)) {
                    let why = "a lot whose seats were given before it was whole";
                    return Err(StoreError::Broken(why.to_owned()));
                }
            }
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => return Ok(true),
                Err(Met::Raced(_) | Met::NoSeats) => {}
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }
}

/// The refusal of codes that were not written: others have some of them, or the lot is barred.
fn not_written(taken: Vec<usize>) -> AddCodesError {
    if taken.is_empty() { AddCodesError::GivenUp } else { AddCodesError::CodesExist(taken) }
}

fn check(batch: &Batch, wanted: u32, now: Timestamp) -> Result<(), AddCodesError> {
    if batch.kind == CodeKind::Registration {
        return Err(AddCodesError::OneCodeOnly);
    }
    if batch.state == BatchState::Revoked || batch.steering.returned || batch.is_over(now) {
        return Err(AddCodesError::Ended);
    }
    if batch.steering.adding.is_some() {
        return Err(AddCodesError::Busy);
    }
    if batch.count.saturating_add(wanted) > BATCH_MAX {
        return Err(AddCodesError::TooMany);
    }
    Ok(())
}

/// Takes back a lot whose adding never ended: whoever added it is gone. For the sweep. Says whether
/// there was anything to do.
pub(super) async fn give_back_unfinished_lot(
    ports: &(impl Ledger + CodeBook),
    keys: &Keys,
    op: Op,
    client: &ClientId,
    batch: &Batch,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(adding) = &batch.steering.adding else { return Ok(false) };
    let all = batch_codes(ports, keys, client, batch.batch_id).await?;
    let known = usize::try_from(batch.count).unwrap_or(usize::MAX);
    let codes = all.get(known..).unwrap_or_default();
    let issue = Issue { ports, keys, client, op, actor: Actor::System, now };
    issue.give_back_lot(batch.batch_id, adding.lot, codes).await
}
