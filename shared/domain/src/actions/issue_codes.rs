//! Issuing a batch of codes: the seats first, then the codes, then they can be redeemed.
//!
//! The opening change sets the seats aside and keeps the sealed list of codes; then the codes are
//! written in chunks; the closing change makes the batch active. Codes and batch id derive from
//! the operation, so an attempt that is made again writes the same and finds what is there. If it
//! cannot end, closing goes the other way: the lot of codes is barred, so that none is written from
//! then on, whatever is still on its way; the codes are removed; and the seats go back.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::actions::add_codes::give_back_unfinished_lot;
use crate::actions::ground::{GrantError, Ground, GroundError, check_grant, ground};
use crate::actions::seating::{TermError, TermRequest, term};
use crate::actions::set_aside;
use crate::actions::steer_batch::settle;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Refused, Step, StoreError};
use crate::code::{Adding, Batch, BatchState, Code, CodeKind, CodeRecord, LANES, Steering, shards};
use crate::dates::{end_of, instant_of};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, ContractId, GroupId, PoolId, SublicenseId};
use crate::language::Language;
use crate::ports::{Catalog, Clock, CodeBook, IdSource, Ledger};
use crate::role::{Caller, Role};
use crate::secrets::Keys;
use crate::stock::Stock;

/// Codes of one sealed run: 1,000 of 40 characters are a tenth of what an item holds.
pub(super) const RUN: usize = 1_000;
/// Codes of one chunk.
const CHUNK: usize = 99;

/// Which codes are wanted.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// One code for many learners.
    Registration {
        /// The administrator's own; else it is generated.
        own: Option<Code>,
        /// How many learners may redeem it.
        max_redemptions: Option<u32>,
        /// Whether their seats are set aside now. Needs a maximum.
        guaranteed: bool,
    },
    /// So many generated codes for one learner each.
    Generated(u32),
    /// The administrator's own codes for one learner each, all different.
    Own(Vec<Code>),
}

impl Wanted {
    /// Whether the administrator chose the codes; generated ones meet no others.
    fn names_codes(&self) -> bool {
        matches!(self, Self::Own(_) | Self::Registration { own: Some(_), .. })
    }
}

/// An end of the window in which codes can be redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day of the client: its beginning, or as an end the whole of it.
    On(Date),
    /// An instant.
    At(Timestamp),
}

impl Moment {
    pub(super) fn begins(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::On(date) => instant_of(date, Time::midnight(), zone),
            Self::At(instant) => instant,
        }
    }

    pub(super) fn ends(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::On(date) => end_of(date, zone),
            Self::At(instant) => instant,
        }
    }
}

/// The command.
#[derive(Debug, Clone)]
pub struct IssueCodes {
    /// Whose.
    pub client_id: ClientId,
    /// On which contract.
    pub contract_id: ContractId,
    /// From which sublicense, if one is named.
    pub sublicense_id: Option<SublicenseId>,
    /// The administrator's name for the batch.
    pub label: String,
    /// Which codes.
    pub wanted: Wanted,
    /// From when they can be redeemed.
    pub valid_from: Option<Moment>,
    /// Until when.
    pub valid_until: Option<Moment>,
    /// The local day the seats open; those that are redeemed later open at once.
    pub start_on: Option<Date>,
    /// How long the seats last, in days.
    pub seat_duration_days: Option<u32>,
    /// Groups the redeemers join.
    pub group_ids: BTreeSet<GroupId>,
    /// Labels they get.
    pub labels: BTreeSet<String>,
    /// The language of their mails, where they choose none.
    pub language: Option<Language>,
    /// Domains their addresses must have; empty: any.
    pub allowed_domains: BTreeSet<String>,
    /// Whether an address has to be proven before its seat is given.
    pub require_email_proof: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct IssuedCodes {
    /// The batch as it is now.
    pub batch: Batch,
    /// How many of its codes were redeemed.
    pub redeemed: u64,
    /// Its codes.
    pub codes: Vec<Code>,
    /// The pool's stock.
    pub stock: Stock,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum IssueCodesError {
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// Groups cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The window ends before it begins, or is over.
    #[error("the window is empty or over")]
    EmptyWindow,
    /// The contract does not allow the day the seats would open.
    #[error(transparent)]
    Term(#[from] TermError),
    /// Some of the administrator's codes exist already, at these places of the list.
    #[error("{} of the codes exist already", .0.len())]
    CodesExist(Vec<usize>),
    /// Too few seats are left for all of them.
    #[error("no seats left")]
    NoSeatsLeft,
    /// An earlier attempt did not end in time, and what it had begun was given back.
    #[error("an earlier attempt was given up")]
    GivenUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What issuing needs from outside.
pub trait IssuePorts: Ledger + Catalog + CodeBook {}
impl<P: Ledger + Catalog + CodeBook> IssuePorts for P {}

/// One attempt at issuing: what is the same throughout.
pub(super) struct Issue<'a, P> {
    pub(super) ports: &'a P,
    pub(super) keys: &'a Keys,
    pub(super) client: &'a ClientId,
    pub(super) op: Op,
    pub(super) actor: Actor,
    pub(super) now: Timestamp,
}

/// Issues a batch of codes, all of them or none.
pub async fn issue_codes(
    ports: &impl IssuePorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &IssueCodes,
) -> Result<IssuedCodes, IssueCodesError> {
    let client = &command.client_id;
    let now = clock.now();
    let ground = ground(ports, client, command.contract_id, command.sublicense_id, now).await?;
    let roles = BTreeSet::from([Role::Learner]);
    check_grant(ports, &ground, caller, &roles, &command.group_ids).await?;
    let batch = batch(command, &ground, BatchId::from_uuid(op.id), now)?;
    let codes = codes(keys, command, &batch);
    let actor = Actor::Caller(caller.subject.clone());
    let issue = Issue { ports, keys, client, op, actor, now };
    let applied = ports.receipts(&op).await?.len();
    if applied == 0 {
        if command.wanted.names_codes() {
            issue.check_new(&codes).await?;
        }
        issue.open(ids, &batch, &codes).await?;
    }
    if applied < 2 {
        if let Written::Refused = issue.write(&batch, 0, &codes).await? {
            let taken = issue.taken(&codes).await?;
            issue.give_back(batch.batch_id, &codes).await?;
            return Err(not_written(taken));
        }
        issue.activate(&batch).await?;
    }
    issue.answer(&batch, codes, ground.pool).await
}

fn batch(
    command: &IssueCodes,
    ground: &Ground,
    batch_id: BatchId,
    now: Timestamp,
) -> Result<Batch, IssueCodesError> {
    let zone = ground.client.time_zone.zone();
    let valid_from = command.valid_from.map(|moment| moment.begins(zone));
    let valid_until = command.valid_until.map(|moment| moment.ends(zone));
    if valid_until.is_some_and(|until| until <= valid_from.unwrap_or(now).max(now)) {
        return Err(IssueCodesError::EmptyWindow);
    }
    let (kind, count, max_redemptions, guaranteed) = match &command.wanted {
        Wanted::Registration { max_redemptions, guaranteed, .. } => {
            (CodeKind::Registration, 1, *max_redemptions, *guaranteed)
        }
        Wanted::Generated(count) => (CodeKind::Redemption, *count, None, true),
        Wanted::Own(codes) => {
            let count = u32::try_from(codes.len()).unwrap_or(u32::MAX);
            (CodeKind::Redemption, count, None, true)
        }
    };
    let batch = Batch {
        batch_id,
        kind,
        label: command.label.clone(),
        state: BatchState::Issuing,
        contract_id: command.contract_id,
        sublicense_id: command.sublicense_id,
        count,
        max_redemptions,
        redeemed: 0,
        guaranteed,
        valid_from,
        valid_until,
        start_on: command.start_on,
        seat_duration_days: command.seat_duration_days,
        group_ids: command.group_ids.clone(),
        labels: command.labels.clone(),
        language: command.language.clone(),
        allowed_domains: command.allowed_domains.clone(),
        require_email_proof: command.require_email_proof,
        created_at: now,
        steering: Steering::default(),
    };
    // What no redemption could be given is told before it is printed.
    term(ground, &TermRequest::of_codes(&batch), now)?;
    let shards = if batch.has_block() { shards(batch.block_size()) } else { 0 };
    Ok(Batch { steering: Steering { shards, ..Steering::default() }, ..batch })
}

fn codes(keys: &Keys, command: &IssueCodes, batch: &Batch) -> Vec<Code> {
    match &command.wanted {
        Wanted::Registration { own: Some(code), .. } => vec![code.clone()],
        Wanted::Own(codes) => codes.clone(),
        Wanted::Registration { own: None, .. } | Wanted::Generated(_) => (0..batch.count)
            .map(|index| Code::generated(keys, &command.client_id, batch.batch_id, index))
            .collect(),
    }
}

/// The texts of a batch's codes, as they are printed.
pub async fn batch_codes(
    ports: &impl CodeBook,
    keys: &Keys,
    client: &ClientId,
    batch: BatchId,
) -> Result<Vec<Code>, StoreError> {
    Ok(batch_runs(ports, keys, client, batch).await?.concat())
}

/// The same, run by run.
pub(super) async fn batch_runs(
    ports: &impl CodeBook,
    keys: &Keys,
    client: &ClientId,
    batch: BatchId,
) -> Result<Vec<Vec<Code>>, StoreError> {
    let sealed = ports.sealed_codes(client, batch).await?;
    let runs = sealed.iter().enumerate();
    runs.map(|(run, sealed)| unsealed(keys, client, batch, run, sealed)).collect()
}

/// The codes of one sealed run.
pub(super) fn unsealed(
    keys: &Keys,
    client: &ClientId,
    batch: BatchId,
    run: usize,
    sealed: &[u8],
) -> Result<Vec<Code>, StoreError> {
    let broken = || StoreError::Broken("a sealed run of codes cannot be opened".to_owned());
    let plain = keys.open(&sealing_context(client, batch, run), sealed).ok_or_else(broken)?;
    let text = String::from_utf8(plain).map_err(|_| broken())?;
    text.lines().map(|line| Code::parse(line).map_err(|_| broken())).collect()
}

/// Adds the steps that keep codes under seal, in runs from `first_run` on.
pub(super) fn seal(
    change: &mut Change,
    ids: &impl IdSource,
    keys: &Keys,
    batch_id: BatchId,
    first_run: u32,
    codes: &[Code],
) {
    for (run, codes) in (first_run..).zip(codes.chunks(RUN)) {
        let text: Vec<String> = codes.iter().map(ToString::to_string).collect();
        let place = usize::try_from(run).unwrap_or(usize::MAX);
        let context = sealing_context(&change.client_id, batch_id, place);
        let sealed = keys.seal(ids, &context, text.join("\n").as_bytes());
        change.step(Step::AddSealedCodes { batch_id, run, sealed });
    }
}

/// What came of writing codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// They are all there.
    All,
    /// They are not: another batch took one of them in between, or the lot is barred.
    Refused,
}

/// What a sealed run belongs to, so that it cannot be moved to another batch or place.
fn sealing_context(client: &ClientId, batch: BatchId, run: usize) -> String {
    format!("codes {client}/{batch}/{run}")
}

impl<P: Ledger + CodeBook> Issue<'_, P> {
    /// Refuses codes that exist, before anything is set aside.
    pub(super) async fn check_new(&self, codes: &[Code]) -> Result<(), IssueCodesError> {
        let taken = self.taken(codes).await?;
        if taken.is_empty() { Ok(()) } else { Err(IssueCodesError::CodesExist(taken)) }
    }

    /// The places of codes that belong to another batch.
    pub(super) async fn taken(&self, codes: &[Code]) -> Result<Vec<usize>, StoreError> {
        let hashes: Vec<_> = codes.iter().map(|code| code.hash(self.keys, self.client)).collect();
        let found = self.ports.codes(self.client, &hashes).await?;
        let foreign = |record: &Option<CodeRecord>| {
            record.as_ref().is_some_and(|record| record.op != self.op.id)
        };
        let places = found.iter().enumerate().filter(|(_, record)| foreign(record));
        Ok(places.map(|(place, _)| place).collect())
    }

    /// Sets the seats aside and keeps the list.
    async fn open(
        &self,
        ids: &impl IdSource,
        batch: &Batch,
        codes: &[Code],
    ) -> Result<(), IssueCodesError> {
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
        change.receipt = json!({"batch_id": batch.batch_id});
        change.step(Step::AddBatch(Box::new(batch.clone())));
        if batch.has_block() {
            set_aside::hold(&mut change, batch);
        }
        seal(&mut change, ids, self.keys, batch.batch_id, 0, codes);
        let Err(refused) = self.ports.apply(&change).await else {
            return Ok(());
        };
        match met(&change, refused) {
            Met::NoSeats => Err(IssueCodesError::NoSeatsLeft),
            Met::Repeated => Ok(()),
            Met::Raced(_) => Err(gave_up().into()),
            Met::Failed(error) => Err(error.into()),
        }
    }

    /// Writes the codes of a lot, several chunks at once. None can be redeemed before the batch is
    /// active, or its lot is whole.
    pub(super) async fn write(
        &self,
        batch: &Batch,
        lot: u32,
        codes: &[Code],
    ) -> Result<Written, StoreError> {
        let batch_id = batch.batch_id;
        let mut changes = self.chunks(codes, |offset, code| Step::AddCode {
            hash: code.hash(self.keys, self.client),
            record: CodeRecord {
                batch_id,
                index: Adding::place_in(lot, offset),
                last4: code.last4(),
                redeemed_by: None,
                op: self.op.id,
            },
        });
        for (change, lane) in changes.iter_mut().zip((0..LANES).cycle()) {
            change.step(Step::LotIsOpen { batch_id, lot, lane });
        }
        for wave in changes.chunks(usize::from(LANES)) {
            let outcomes = join_all(wave.iter().map(|change| self.ports.apply(change))).await;
            for outcome in outcomes {
                match outcome {
                    Ok(()) | Err(Refused::Repeated) => {}
                    Err(Refused::Step(_)) => return Ok(Written::Refused),
                    Err(Refused::Overtaken) => return Err(gave_up()),
                    Err(Refused::Store(error)) => return Err(error),
                }
            }
        }
        Ok(Written::All)
    }

    /// Changes of one step a code. They carry no guard: they run at once, and each step's own
    /// condition tells a repeated one.
    fn chunks(&self, codes: &[Code], step: impl Fn(u32, &Code) -> Step) -> Vec<Change> {
        let op = Op { id: self.op.id, guard: None };
        let mut place = 0;
        let mut changes = Vec::new();
        for chunk in codes.chunks(CHUNK) {
            let mut change = Change::new(self.client, op, self.actor.clone(), self.now);
            for code in chunk {
                change.step(step(place, code));
                place += 1;
            }
            changes.push(change);
        }
        changes
    }

    async fn activate(&self, batch: &Batch) -> Result<(), IssueCodesError> {
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
        change.part = 1;
        change.receipt = json!({"batch_id": batch.batch_id});
        let active = Batch { state: BatchState::Active, ..batch.clone() };
        change.step(steered(active, 0));
        let Err(refused) = self.ports.apply(&change).await else {
            return Ok(());
        };
        match met(&change, refused) {
            // The batch itself tells which way it was closed.
            Met::Repeated | Met::Raced(_) | Met::NoSeats => Ok(()),
            Met::Failed(error) => Err(error.into()),
        }
    }

    /// Closes the batch the other way: its codes are removed, its seats go back.
    async fn give_back(&self, batch_id: BatchId, codes: &[Code]) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let batch = self.ports.batch(self.client, batch_id).await?;
            let Some(batch) = batch.filter(|batch| batch.state == BatchState::Issuing) else {
                return Ok(());
            };
            let Some(batch) = self.take_out(batch, 0, codes).await? else { continue };
            let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
            change.part = 1;
            change.receipt = json!({"batch_id": batch_id});
            let mut revoked = Batch { state: BatchState::Revoked, ..batch.clone() };
            revoked.steering.returned = true;
            change.step(steered(revoked, 0));
            let blocks = set_aside::blocks_of(self.ports, self.client, &batch).await?;
            set_aside::close(&mut change, &batch, blocks);
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => return Ok(()),
                Err(Met::Raced(_) | Met::NoSeats) => {}
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    /// Bars a lot that cannot become whole, so that none of its codes is written from here on, and
    /// removes those that were. Returns the batch as it is then, or nothing if it was steered
    /// meanwhile.
    pub(super) async fn take_out(
        &self,
        mut batch: Batch,
        lot: u32,
        codes: &[Code],
    ) -> Result<Option<Batch>, StoreError> {
        let op = Op { id: self.op.id, guard: None };
        let mut change = Change::new(self.client, op, self.actor.clone(), self.now);
        let batch_id = batch.batch_id;
        change.step(steered(batch.clone(), 0));
        batch.steering.version += 1;
        for lane in 0..LANES {
            change.step(Step::BarLot { batch_id, lot, lane });
        }
        match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) => {}
            Err(Met::Repeated | Met::Raced(_) | Met::NoSeats) => return Ok(None),
            Err(Met::Failed(error)) => return Err(error),
        }
        self.remove(&batch, lot, codes).await?;
        Ok(Some(batch))
    }

    async fn remove(&self, batch: &Batch, lot: u32, codes: &[Code]) -> Result<(), StoreError> {
        let removals = self.chunks(codes, |offset, code| Step::RemoveCode {
            hash: code.hash(self.keys, self.client),
            batch_id: batch.batch_id,
            index: Adding::place_in(lot, offset),
        });
        for mut removal in removals {
            match self.ports.apply(&removal).await {
                Ok(()) | Err(Refused::Repeated) => continue,
                Err(Refused::Step(_)) => {}
                Err(Refused::Overtaken) => return Err(gave_up()),
                Err(Refused::Store(error)) => return Err(error),
            }
            // One by one: among them is a code that stays, for it is another batch's or lot's.
            for step in std::mem::take(&mut removal.steps) {
                let mut single = removal.clone();
                single.step(step);
                if let Err(Refused::Store(error)) = self.ports.apply(&single).await {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        begun: &Batch,
        codes: Vec<Code>,
        pool: PoolId,
    ) -> Result<IssuedCodes, IssueCodesError> {
        let missing = || StoreError::Broken("a batch just written is not there".to_owned());
        let batch = self.ports.batch(self.client, begun.batch_id).await?.ok_or_else(missing)?;
        if matches!(batch.state, BatchState::Issuing | BatchState::Revoked) {
            return Err(IssueCodesError::GivenUp);
        }
        let stock = self.ports.stock(self.client, pool).await?.ok_or_else(missing)?;
        let blocks = self.ports.blocks(self.client, pool).await?;
        Ok(IssuedCodes { redeemed: batch.redeemed_with(&blocks), batch, codes, stock })
    }
}

/// The refusal of codes that were not written: others have some of them, or the lot is barred.
fn not_written(taken: Vec<usize>) -> IssueCodesError {
    if taken.is_empty() { IssueCodesError::GivenUp } else { IssueCodesError::CodesExist(taken) }
}

/// The step that steers a batch to these terms, with what its closing blocks had given.
pub(super) fn steered(mut batch: Batch, settled: u64) -> Step {
    let seen = batch.steering.version;
    batch.steering.version += 1;
    Step::SteerBatch { batch: Box::new(batch), seen, settled }
}

/// Does what is due of a batch: one that was begun and never became active is given back, for whoever
/// issued it is gone; so is a lot that was never whole; what a batch has set aside that nobody can
/// redeem any more returns. For the sweep. Says whether there was anything to do.
pub async fn tend_batch(
    ports: &(impl Ledger + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    client: &ClientId,
    batch: BatchId,
) -> Result<bool, StoreError> {
    let Some(batch) = ports.batch(client, batch).await? else { return Ok(false) };
    let op = Op { id: ids.uuid(), guard: None };
    let now = clock.now();
    if batch.due_at().is_none_or(|due| due > now) {
        return Ok(false);
    }
    if batch.state == BatchState::Issuing {
        let codes = batch_codes(ports, keys, client, batch.batch_id).await?;
        let issue = Issue { ports, keys, client, op, actor: Actor::System, now };
        issue.give_back(batch.batch_id, &codes).await?;
        return Ok(true);
    }
    if give_back_unfinished_lot(ports, keys, op, client, &batch, now).await? {
        return Ok(true);
    }
    settle(ports, Actor::System, op, client, batch.batch_id, now).await
}
