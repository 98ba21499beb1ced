//! Issuing a batch of codes: the seats first, then the codes, then they can be redeemed.
//!
//! The opening change sets the seats aside and keeps the sealed list of codes; then the codes are
//! written in chunks; the closing change makes the batch active. Codes and batch id derive from
//! the operation, so an attempt that is made again writes the same and finds what is there. If it
//! cannot end, closing goes the other way: the seats go back and the codes are removed.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::actions::ground::{GrantError, Ground, GroundError, check_grant, ground};
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{BlockKey, Change, Refused, Step, StoreError};
use crate::code::{Batch, BatchState, Code, CodeKind, CodeRecord, shards};
use crate::dates::{end_of, instant_of};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, ContractId, GroupId, PoolId, SublicenseId};
use crate::language::Language;
use crate::ports::{Catalog, Clock, CodeBook, IdSource, Ledger};
use crate::role::{Caller, Role};
use crate::secrets::Keys;
use crate::stock::{Delta, Stock};

/// Most codes of one batch.
pub const CODES_MAX: usize = 10_000;

/// Codes of one sealed run: 1,000 of 40 characters are a tenth of what an item holds.
const RUN: usize = 1_000;
/// Codes of one chunk.
const CHUNK: usize = 99;
/// Chunks written at once: some 1,600 write units, well below what a new table takes a second.
const AT_ONCE: usize = 8;

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
    fn begins(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::On(date) => instant_of(date, Time::midnight(), zone),
            Self::At(instant) => instant,
        }
    }

    fn ends(self, zone: &TimeZone) -> Timestamp {
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
struct Issue<'a, P> {
    ports: &'a P,
    keys: &'a Keys,
    client: &'a ClientId,
    op: Op,
    actor: Actor,
    now: Timestamp,
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
        issue.open(ids, &ground, &batch, &codes).await?;
    }
    if applied < 2 {
        issue.write(&batch, &codes).await?;
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
    Ok(Batch {
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
        seat_duration_days: command.seat_duration_days,
        group_ids: command.group_ids.clone(),
        labels: command.labels.clone(),
        language: command.language.clone(),
        allowed_domains: command.allowed_domains.clone(),
        created_at: now,
    })
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
    let broken = || StoreError::Broken("a sealed run of codes cannot be opened".to_owned());
    let mut codes = Vec::new();
    for (run, sealed) in ports.sealed_codes(client, batch).await?.iter().enumerate() {
        let plain = keys.open(&sealing_context(client, batch, run), sealed).ok_or_else(broken)?;
        let text = String::from_utf8(plain).map_err(|_| broken())?;
        for line in text.lines() {
            codes.push(Code::parse(line).map_err(|_| broken())?);
        }
    }
    Ok(codes)
}

/// What a sealed run belongs to, so that it cannot be moved to another batch or place.
fn sealing_context(client: &ClientId, batch: BatchId, run: usize) -> String {
    format!("codes {client}/{batch}/{run}")
}

impl<P: Ledger + CodeBook> Issue<'_, P> {
    /// Refuses codes that exist, before anything is set aside.
    async fn check_new(&self, codes: &[Code]) -> Result<(), IssueCodesError> {
        let taken = self.taken(codes).await?;
        if taken.is_empty() { Ok(()) } else { Err(IssueCodesError::CodesExist(taken)) }
    }

    /// The places of codes that belong to another batch.
    async fn taken(&self, codes: &[Code]) -> Result<Vec<usize>, StoreError> {
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
        ground: &Ground,
        batch: &Batch,
        codes: &[Code],
    ) -> Result<(), IssueCodesError> {
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
        change.receipt = json!({"batch_id": batch.batch_id});
        change.step(Step::AddBatch(Box::new(batch.clone())));
        if batch.has_block() {
            hold(&mut change, ground.pool, batch);
        }
        for (run, codes) in codes.chunks(RUN).enumerate() {
            let text: Vec<String> = codes.iter().map(ToString::to_string).collect();
            let context = sealing_context(self.client, batch.batch_id, run);
            change.step(Step::AddSealedCodes {
                batch_id: batch.batch_id,
                run: u32::try_from(run).unwrap_or(u32::MAX),
                sealed: self.keys.seal(ids, &context, text.join("\n").as_bytes()),
            });
        }
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

    /// Writes the codes, several chunks at once. None can be redeemed before the batch is active.
    async fn write(&self, batch: &Batch, codes: &[Code]) -> Result<(), IssueCodesError> {
        let changes: Vec<Change> = self.chunks(codes, |place, code| Step::AddCode {
            hash: code.hash(self.keys, self.client),
            record: CodeRecord {
                batch_id: batch.batch_id,
                index: place,
                last4: code.last4(),
                redeemed_by: None,
                op: self.op.id,
            },
        });
        for wave in changes.chunks(AT_ONCE) {
            let outcomes = join_all(wave.iter().map(|change| self.ports.apply(change))).await;
            for outcome in outcomes {
                match outcome {
                    Ok(()) | Err(Refused::Repeated) => {}
                    Err(Refused::Step(_)) => return Err(self.collided(batch, codes).await?),
                    Err(Refused::Overtaken) => return Err(gave_up().into()),
                    Err(Refused::Store(error)) => return Err(error.into()),
                }
            }
        }
        Ok(())
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

    /// Another batch took one of the codes since they were checked: nothing of this one remains.
    async fn collided(
        &self,
        batch: &Batch,
        codes: &[Code],
    ) -> Result<IssueCodesError, IssueCodesError> {
        let taken = self.taken(codes).await?;
        self.give_back(batch, codes).await?;
        Ok(IssueCodesError::CodesExist(taken))
    }

    async fn activate(&self, batch: &Batch) -> Result<(), IssueCodesError> {
        let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
        change.part = 1;
        change.receipt = json!({"batch_id": batch.batch_id});
        change.step(Step::SetBatchState { batch: issuing(batch), to: BatchState::Active });
        let Err(refused) = self.ports.apply(&change).await else {
            return Ok(());
        };
        match met(&change, refused) {
            // The batch itself tells which way it was closed.
            Met::Repeated | Met::Raced(_) | Met::NoSeats => Ok(()),
            Met::Failed(error) => Err(error.into()),
        }
    }

    /// Closes the batch the other way: its seats go back, its codes are removed.
    async fn give_back(&self, batch: &Batch, codes: &[Code]) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let mut change = Change::new(self.client, self.op, self.actor.clone(), self.now);
            change.part = 1;
            change.receipt = json!({"batch_id": batch.batch_id});
            change.step(Step::SetBatchState { batch: issuing(batch), to: BatchState::Revoked });
            close_blocks(self.ports, &mut change, batch).await?;
            let Err(refused) = self.ports.apply(&change).await else {
                return self.remove(batch, codes).await;
            };
            match met(&change, refused) {
                Met::Repeated => return self.remove(batch, codes).await,
                Met::Raced(0) => return Ok(()),
                Met::Raced(_) | Met::NoSeats => {}
                Met::Failed(error) => return Err(error),
            }
        }
        Err(gave_up())
    }

    async fn remove(&self, batch: &Batch, codes: &[Code]) -> Result<(), StoreError> {
        // One by one where a chunk is refused: it holds a code of another batch, which stays.
        let removal = |_, code: &Code| Step::RemoveCode {
            hash: code.hash(self.keys, self.client),
            batch_id: batch.batch_id,
        };
        for (chunk, codes) in self.chunks(codes, removal).iter().zip(codes.chunks(CHUNK)) {
            match self.ports.apply(chunk).await {
                Ok(()) | Err(Refused::Repeated) => continue,
                Err(Refused::Step(_)) => {}
                Err(Refused::Overtaken) => return Err(gave_up()),
                Err(Refused::Store(error)) => return Err(error),
            }
            for code in codes {
                let single = self.chunks(std::slice::from_ref(code), removal);
                let Some(change) = single.first() else { continue };
                if let Err(Refused::Store(error)) = self.ports.apply(change).await {
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

fn issuing(batch: &Batch) -> Box<Batch> {
    Box::new(Batch { state: BatchState::Issuing, ..batch.clone() })
}

/// Takes the batch's seats out of the pool into blocks of about the same size.
fn hold(change: &mut Change, pool: PoolId, batch: &Batch) {
    let size = batch.block_size();
    let owner = batch.batch_id.to_string();
    let seats = i64::try_from(size).unwrap_or(i64::MAX);
    let action = Action::SeatsReserved;
    change.move_seats(pool, Delta::held(seats), action, &[], Some(owner.clone()));
    let count = shards(size);
    let (each, rest) = (size / u64::from(count), size % u64::from(count));
    for shard in 0..count {
        let key = BlockKey { pool, owner: owner.clone(), shard };
        let size = each + u64::from(u64::from(shard) < rest);
        change.step(Step::OpenBlock { key, size, epoch: 0 });
    }
}

/// Adds the steps that close the batch's blocks as they stand.
async fn close_blocks(
    ports: &impl Ledger,
    change: &mut Change,
    batch: &Batch,
) -> Result<(), StoreError> {
    let owner = batch.batch_id.to_string();
    let mut delta = Delta::default();
    let mut told = Delta::default();
    for block in ports.blocks(&change.client_id, batch.pool()).await? {
        if block.key.owner == owner {
            delta = delta.and(block.closing());
            told = told.and(block.returned());
            change.step(Step::CloseBlock(block));
        }
    }
    if !delta.is_nothing() {
        let pool = batch.pool();
        change.step(Step::MovePool { pool, delta });
        change.audit(pool, told, Action::ReserveReturned, &[], Some(owner));
    }
    Ok(())
}

/// Gives back what a batch had set aside that was begun and never became active: whoever issued
/// it is gone. For the sweep. Says whether there was anything to do.
pub async fn give_back_unfinished(
    ports: &(impl Ledger + CodeBook),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    client: &ClientId,
    batch: BatchId,
) -> Result<bool, StoreError> {
    let known = ports.batch(client, batch).await?;
    let Some(batch) = known.filter(|batch| batch.state == BatchState::Issuing) else {
        return Ok(false);
    };
    let codes = batch_codes(ports, keys, client, batch.batch_id).await?;
    let op = Op { id: ids.uuid(), guard: None };
    let issue = Issue { ports, keys, client, op, actor: Actor::System, now: clock.now() };
    issue.give_back(&batch, &codes).await?;
    Ok(true)
}
