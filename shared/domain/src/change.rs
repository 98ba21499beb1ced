//! A change: one atomic movement of seats, as a value.
//!
//! Use cases read, decide and *plan* a change; the store applies it in one transaction or refuses
//! it whole, naming the step whose condition did not hold. The conditions are part of what each
//! step means, so the rules are here and not in an adapter: a step that takes seats names the
//! counter they leave, and no counter goes below zero.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{Action, Actor, AuditRecord};
use crate::client::{Client, Group};
use crate::code::{Batch, CodeHash, CodeRecord, Redemption};
use crate::cohort::CohortKey;
use crate::contract::{Contract, Sublicense, Warned};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{
    BatchId, ClientId, ContractId, GroupId, ImportId, InvitationId, LearnerId, PoolId,
};
use crate::import_run::ImportRun;
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Credential, Profile, ProfileChange, Reclaim, Seat};
use crate::outbox::MailIntent;
use crate::row_book::Marks;
use crate::stock::{Delta, Stock};

/// Most steps of one change: what a `TransactWriteItems` takes, less the idempotency guard.
pub const STEPS_MAX: usize = 99;

/// Most steps of a change without a guard.
pub const UNGUARDED_STEPS_MAX: usize = 100;

/// One atomic movement.
#[derive(Debug, Clone)]
pub struct Change {
    /// Whose seats.
    pub client_id: ClientId,
    /// The operation; the same for every attempt at it.
    pub op: Op,
    /// Who asked.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What is written, in order.
    pub steps: Vec<Step>,
    /// What the idempotency record keeps of the effect: ids and outcomes, never an address.
    pub receipt: Value,
    /// Which of the operation's changes this is, from 0: an operation of several changes resumes
    /// behind the last receipt.
    pub part: u32,
}

/// A block: seats set aside for an import or a batch of codes, so that taking them does not touch
/// the pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockKey {
    /// The pool the seats were taken from.
    pub pool: PoolId,
    /// The import or batch they are for.
    pub owner: String,
    /// The shard, from 0.
    pub shard: u16,
}

/// A block as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub key: BlockKey,
    /// Seats set aside; they stand in the pool's `held`.
    pub size: u64,
    /// Seats taken into use since.
    pub used: u64,
    /// Seats given to someone who holds them still: a later start, an invitation.
    pub kept: u64,
    /// Seats taken into use that the pool's own counters show by now; not among `used`.
    pub settled: u64,
    /// Seats left.
    pub rem: u64,
    /// For an import: the first chunk without an outcome.
    pub cursor: u32,
    /// For an import: rows with an outcome.
    pub rows: u32,
    /// For an import: the worker that may write.
    pub epoch: u32,
}

/// Which accounts a step may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// There must be none: the account is made.
    New,
    /// There must be nothing at all, nor anything that is left of somebody erased: the account is made
    /// without a look at its place.
    Unseen,
    /// There must be one.
    Existing,
}

/// What becomes of the values that an account has when it is given others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// They stay, and sets are added to: what goes with another seat comes on top.
    Joining,
    /// They stay, sets included: only what is blank is filled.
    Keeping,
    /// They are replaced by the values given, sets whole.
    Replacing,
}

/// A learner is given a seat.
#[derive(Debug, Clone)]
pub struct SeatLearner {
    /// Who.
    pub learner_id: LearnerId,
    /// The address, written once.
    pub email: EmailAddress,
    /// Fills blanks; groups, labels and roles are added.
    pub profile: Profile,
    /// Set if the account has none.
    pub credential: Option<Credential>,
    /// Whether the account is made.
    pub presence: Presence,
    /// Where.
    pub pool: PoolId,
    /// The seat. Refused if there is a live one in this pool.
    pub seat: Seat,
    /// A seat of the same person that must be live, and the one that this operation gave.
    pub beside: Option<(PoolId, Uuid)>,
}

/// What becomes of a live seat.
#[derive(Debug, Clone)]
pub struct SeatChange {
    /// Where.
    pub pool: PoolId,
    /// The operation that gave the seat that was seen.
    pub op: Uuid,
    /// When the seat that was seen ends.
    pub seen_end: Option<Timestamp>,
    /// The seat as it shall be.
    pub seat: Seat,
}

/// One write or check of a change. Everything said under a step holds, or nothing is written.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client that does not exist yet.
    AddClient(Box<Client>),
    /// Writes a client over the one that is there.
    ReplaceClient(Box<Client>),
    /// A contract that does not exist yet, whose reference is not taken.
    AddContract(Box<Contract>),
    /// Takes a reference: it must be free.
    TakeReference {
        /// The reference.
        reference: String,
        /// Who takes it.
        contract_id: ContractId,
    },
    /// Notes what a client was warned of, if it is as seen.
    NoteWarned {
        /// The contract.
        contract_id: ContractId,
        /// The version seen.
        seen: u32,
        /// The contract that succeeds it, as seen.
        renewed_by: Option<ContractId>,
        /// What it was warned of.
        warned: Warned,
        /// When the contract is looked at again; `None`: it has ended.
        again_at: Option<Timestamp>,
    },
    /// Notes which contract succeeds one that none did yet.
    NoteRenewal {
        /// The contract.
        contract_id: ContractId,
        /// Its successor.
        by: ContractId,
    },
    /// Notes that those who look after a client are told of accounts that are erased on a day: it must
    /// be new.
    NoteErasure {
        /// That day.
        on: Date,
        /// When they are told.
        told_at: Timestamp,
    },
    /// Adds modules to a contract, which must be at the version that was seen.
    AddModules {
        /// Which.
        contract_id: ContractId,
        /// All that it has then.
        modules: Vec<String>,
        /// At which version.
        seen: u64,
    },
    /// A sublicense that does not exist yet.
    AddSublicense(Sublicense),
    /// A group that does not exist yet.
    AddGroup(Group),
    /// Takes a group's name in its folded form: it must be free.
    TakeGroupName {
        /// The folded name.
        folded: String,
        /// Who takes it.
        group_id: GroupId,
    },
    /// Remembers an order: it must be new.
    TakeOrder {
        /// For which contract.
        contract_id: ContractId,
        /// The order's number.
        order: String,
        /// Seats it added.
        add: i64,
    },
    /// A pool that does not exist yet.
    OpenPool {
        /// Which.
        pool: PoolId,
        /// Its first stock.
        stock: Stock,
    },
    /// Moves seats between a pool's counters; none may fall below zero.
    MovePool {
        /// Which.
        pool: PoolId,
        /// How.
        delta: Delta,
    },
    /// Sets seats aside that a [`Step::MovePool`] holds. The block must be new.
    OpenBlock {
        /// Which.
        key: BlockKey,
        /// How many seats.
        size: u64,
        /// The worker that may write.
        epoch: u32,
    },
    /// Takes seats out of a block; it must have enough left, and be open.
    DrawBlock {
        /// Which.
        key: BlockKey,
        /// Seats taken into use.
        used: u64,
        /// Seats given to someone who holds them still.
        kept: u64,
        /// For an import: chunk `lo` becomes `hi`, by the worker of this epoch only. For codes, whose
        /// cursor stands at 0: only while the block is of the batch's epoch.
        cursor: Option<BlockCursor>,
    },
    /// Takes seats into use that a block keeps for somebody: it must keep as many, and be of its
    /// batch's epoch. None, if they open later: then only the epoch is asked for.
    TakeUpKept {
        /// Which.
        key: BlockKey,
        /// How many seats.
        used: u64,
        /// The epoch its batch was read at.
        epoch: u32,
    },
    /// Puts a seat back into a block that keeps it for somebody: it must keep one.
    ReturnKept {
        /// Which.
        key: BlockKey,
    },
    /// Hands a block to the worker of a newer epoch: it must be at an earlier one.
    FenceBlock {
        /// Which.
        key: BlockKey,
        /// The new epoch.
        epoch: u32,
    },
    /// Puts seats into a block that a [`Step::MovePool`] holds, or takes some out; it must be open
    /// and have those left.
    ResizeBlock {
        /// Which.
        key: BlockKey,
        /// How many seats more, or fewer.
        by: i64,
    },
    /// Leaves seats that a block gave away to the pool's own counters, which take them up in the same
    /// change: it must have taken as many into use.
    SettleBlock {
        /// Which.
        key: BlockKey,
        /// How many seats.
        used: u64,
    },
    /// Removes a block, whose counters must be as seen.
    CloseBlock(Block),
    /// Gives a learner a seat.
    SeatLearner(Box<SeatLearner>),
    /// Replaces a live seat by its released form; it must be the one that `op` gave, and the account
    /// must not have been used or changed after `untouched_since`, if that is given.
    ReleaseSeat {
        /// Whose.
        learner_id: LearnerId,
        /// Where.
        pool: PoolId,
        /// The operation that gave it.
        op: Uuid,
        /// The released seat.
        seat: Seat,
        /// Nobody may have used or changed the account after this instant.
        untouched_since: Option<Timestamp>,
        /// Another seat of the same person that must be live, and the one that this operation gave.
        beside: Option<(PoolId, Uuid)>,
    },
    /// Marks a live seat as one that goes back unless its learner comes in: it must be the one that `op`
    /// gave, with the mark that was seen, and nobody may have used or changed the account meanwhile.
    MarkUnused {
        /// Whose.
        learner_id: LearnerId,
        /// Where.
        pool: PoolId,
        /// The operation that gave it.
        op: Uuid,
        /// When its learner was warned before, as seen.
        seen: Option<Timestamp>,
        /// The mark.
        reclaim: Reclaim,
    },
    /// The learner must have no live seat in this pool (or not exist).
    NoLiveSeat {
        /// Who.
        learner_id: LearnerId,
        /// Where.
        pool: PoolId,
    },
    /// Changes a profile, and live seats that have to be the ones seen. The account must exist.
    UpdateProfile {
        /// Whose.
        learner_id: LearnerId,
        /// The new values; blanks change nothing.
        profile: Box<Profile>,
        /// What becomes of what the account has.
        over: Over,
        /// What becomes of seats.
        seats: Vec<SeatChange>,
    },
    /// Changes an account: its profile, and live seats of it that have to be the ones seen.
    ChangeLearner {
        /// Whose.
        learner_id: LearnerId,
        /// What changes in the profile.
        profile: Box<ProfileChange>,
        /// What becomes of seats.
        seats: Vec<SeatChange>,
    },
    /// Starts the clock of a live seat: it must be the one that `op` gave, and end as seen.
    StartClock {
        /// Whose.
        learner_id: LearnerId,
        /// Where.
        pool: PoolId,
        /// The operation that gave it.
        op: Uuid,
        /// When it was to end.
        seen: Option<Timestamp>,
        /// When it ends.
        ends_at: Timestamp,
    },
    /// Erases a person: everything that says who it was. Seats that were given back stay for the proofs
    /// of counters, apart from those of whoever has this address next. The account must be there, and
    /// must not have been given a seat since it was seen, when none was live.
    EraseLearner {
        /// Who.
        learner_id: LearnerId,
        /// How many seats it had been given when it was seen.
        given: u32,
        /// The password serial of whoever comes next.
        serial: u64,
        /// Its seats, all of them released.
        seats: BTreeMap<PoolId, Seat>,
    },
    /// Sets a password and kills every earlier link: the serial must be as seen.
    SetPassword {
        /// Whose.
        learner_id: LearnerId,
        /// The serial the link was made for.
        serial: u64,
        /// The new password.
        credential: Credential,
    },
    /// An invitation, at the place of its address. There must be none, or the one at `replaces`, in
    /// the state seen.
    PutInvitation {
        /// The invitation.
        invitation: Box<Invitation>,
        /// Version and status of the one it replaces.
        replaces: Option<(u32, InvitationStatus)>,
    },
    /// Ends a pending invitation, which must be at this version.
    CloseInvitation {
        /// Which, by its place.
        invitation_id: InvitationId,
        /// At which version.
        version: u32,
        /// How it ends.
        to: InvitationStatus,
    },
    /// There must be no pending invitation at this place.
    NoLiveInvitation {
        /// Which place.
        invitation_id: InvitationId,
    },
    /// Marks an invitation as gone to another place of the same address. It must be at this version, in
    /// the state seen.
    MoveInvitation {
        /// The place it leaves.
        from: InvitationId,
        /// At which version.
        version: u32,
        /// The state seen.
        status: InvitationStatus,
        /// How many have left this place then.
        left: u16,
    },
    /// Marks an invitation as gone to the place of another address, and removes everything that says who
    /// was invited at this one: nothing leads back here. It must be at this version, in the state seen.
    ReaddressInvitation {
        /// The place it leaves.
        from: InvitationId,
        /// Whose address it was made for.
        learner_id: LearnerId,
        /// At which version.
        version: u32,
        /// The state seen.
        status: InvitationStatus,
        /// How many have left this place then.
        left: u16,
    },
    /// Removes from a closed invitation everything that says who was invited. It must be at this version,
    /// in the state seen.
    EraseInvitation {
        /// Which, by its place.
        invitation_id: InvitationId,
        /// Whose address it was made for.
        learner_id: LearnerId,
        /// At which version.
        version: u32,
        /// The state seen.
        status: InvitationStatus,
    },
    /// Remembers where an invitation stands whose address was changed, whatever was remembered.
    PointInvitation {
        /// Which, by its id.
        invitation_id: InvitationId,
        /// Where it stands.
        place: InvitationId,
    },
    /// Counts a reminder of a pending invitation, which must be at this version and have had this
    /// many.
    CountReminder {
        /// Which, by its place.
        invitation_id: InvitationId,
        /// At which version.
        version: u32,
        /// Reminders seen.
        reminders: u32,
    },
    /// Ends the reminders of a pending invitation, which must be at this version.
    StopReminders {
        /// Which, by its place.
        invitation_id: InvitationId,
        /// At which version.
        version: u32,
    },
    /// Adds seats to a cohort, which must not have opened.
    JoinCohort {
        /// Which.
        key: CohortKey,
        /// The local day it opens.
        start_on: Date,
        /// How many seats.
        count: u64,
    },
    /// Takes seats out of a cohort, which must not have opened and have as many.
    LeaveCohort {
        /// Which.
        key: CohortKey,
        /// How many seats.
        count: u64,
    },
    /// Opens a cohort, which must have exactly this many seats waiting.
    OpenCohort {
        /// Which.
        key: CohortKey,
        /// Seats seen waiting.
        count: u64,
    },
    /// The cohort must have opened.
    CohortHasOpened {
        /// Which.
        key: CohortKey,
    },
    /// A batch that does not exist yet.
    AddBatch(Box<Batch>),
    /// Writes the terms of a batch over those of the version seen: state, window, maximum, count
    /// and how it was steered. No more may have been redeemed by its own count than its maximum says.
    SteerBatch {
        /// The batch as it shall be.
        batch: Box<Batch>,
        /// The version that must stand.
        seen: u32,
        /// Redemptions that blocks counted, which close with this change.
        settled: u64,
    },
    /// A code that does not exist yet.
    AddCode {
        /// What stands for it.
        hash: CodeHash,
        /// What is kept of it.
        record: CodeRecord,
    },
    /// Lists whom a batch's codes were mailed to, so that nobody is sent two.
    ListMailed {
        /// The batch.
        batch_id: BatchId,
        /// How many of its codes had been mailed or passed over before.
        first: u32,
        /// Whom to, by the ids that learners of their addresses have.
        to: Vec<LearnerId>,
    },
    /// Removes a code that nobody redeemed from this place of this batch; one that is not there is
    /// fine.
    RemoveCode {
        /// What stands for it.
        hash: CodeHash,
        /// Its batch.
        batch_id: BatchId,
        /// Its place there.
        index: u32,
    },
    /// The lot is not barred: its codes may still be written. Nothing is written; codes written at
    /// once each look at another lane, so that they do not meet.
    LotIsOpen {
        /// The batch.
        batch_id: BatchId,
        /// The lot, 0 for the codes it was issued with.
        lot: u32,
        /// Which of the lot's lanes, below [`LANES`](crate::code::LANES).
        lane: u8,
    },
    /// Bars a lane of a lot, for ever: a write of its codes that is still on its way is refused.
    BarLot {
        /// The batch.
        batch_id: BatchId,
        /// The lot.
        lot: u32,
        /// Which lane.
        lane: u8,
    },
    /// The sealed texts of a run of a batch's codes, for its download.
    AddSealedCodes {
        /// The batch.
        batch_id: BatchId,
        /// The run, from 0.
        run: u32,
        /// The sealed texts.
        sealed: Vec<u8>,
    },
    /// Removes a run of sealed texts; one that is not there is fine.
    RemoveSealedCodes {
        /// The batch.
        batch_id: BatchId,
        /// The run.
        run: u32,
    },
    /// Uses a redemption code, which must be unused.
    UseCode {
        /// Which.
        hash: CodeHash,
        /// By whom.
        learner_id: LearnerId,
    },
    /// Frees a redemption code, which this learner must have used.
    FreeCode {
        /// Which.
        hash: CodeHash,
        /// By whom.
        learner_id: LearnerId,
    },
    /// Takes back one of the redemptions that a batch counted at its own item; there must be one.
    UncountRedemption {
        /// The batch.
        batch_id: BatchId,
    },
    /// The batch is active, and steered as seen. Nothing is written.
    BatchIsActive {
        /// The batch.
        batch_id: BatchId,
        /// The version seen.
        version: u32,
    },
    /// Counts a redemption of a registration code: its batch must be active, steered as seen, and
    /// below its maximum.
    CountRedemption {
        /// The batch.
        batch_id: BatchId,
        /// The version seen.
        version: u32,
        /// Its maximum, if it has one.
        max: Option<u32>,
    },
    /// Lists a redemption under its batch.
    ListRedemption {
        /// The batch.
        batch_id: BatchId,
        /// The redemption.
        redemption: Redemption,
    },
    /// An import's state, written by the worker of `expects` only, over the revision before its own;
    /// `None`: it must be new.
    PutImport {
        /// The import.
        run: Box<ImportRun>,
        /// The epoch that must stand.
        expects: Option<u32>,
    },
    /// Puts an import on its client's list.
    ListImport {
        /// Which.
        import_id: ImportId,
        /// When it was made.
        created_at: Timestamp,
    },
    /// Mails that are owed because of this change.
    Mail(MailIntent),
    /// What the trail says of it.
    Audit(AuditRecord),
}

/// The part of an import that a draw covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockCursor {
    /// The chunk written; the block's cursor must stand here.
    pub lo: u32,
    /// Where the cursor stands afterwards.
    pub hi: u32,
    /// Rows that get their outcome.
    pub rows: u32,
    /// The worker's epoch.
    pub epoch: u32,
}

/// Why a change was not applied. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The condition of this step did not hold. Which rule that is, the step says.
    #[error("the condition of step {0} did not hold")]
    Step(usize),
    /// It had been applied before, by an earlier attempt at the same operation.
    #[error("the operation had been applied before")]
    Repeated,
    /// Another attempt at the operation has taken over.
    #[error("another attempt at the operation has taken over")]
    Overtaken,
    /// The store did not answer, or was too busy; whether anything was written is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too busy, or out of reach: the same call may go through later.
    #[error("the store is too busy or out of reach")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A call or a record is not what was expected: a defect, or a missing permission.
    #[error("the store and the program do not agree: {0}")]
    Broken(String),
}

impl StoreError {
    /// Whether the same call may go through later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Broken(_) => false,
        }
    }
}

/// What a record of the trail says beside who, where and how many.
#[derive(Default)]
struct Told {
    reason: Option<String>,
    before: Option<String>,
    marks: Option<Marks>,
}

impl Change {
    /// A change without steps, as the only one of its operation.
    pub fn new(client_id: &ClientId, op: Op, actor: Actor, at: Timestamp) -> Self {
        Self {
            client_id: client_id.clone(),
            op,
            actor,
            at,
            steps: Vec::new(),
            receipt: Value::Null,
            part: 0,
        }
    }

    /// Writes an import over what was seen of it, whose epoch was `seen`.
    pub fn put_import(&mut self, run: &mut ImportRun, seen: u32) {
        run.revision += 1;
        self.step(Step::PutImport { run: Box::new(run.clone()), expects: Some(seen) });
    }

    /// Adds a step and says where it stands.
    pub fn step(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Moves seats and leaves the trail: the only way seats move.
    ///
    /// `delta` is what the pool's item changes by; the trail says the same. Returns the place of
    /// the movement, whose refusal means that a counter would have fallen below zero.
    pub fn move_seats(
        &mut self,
        pool: PoolId,
        delta: Delta,
        action: Action,
        learners: &[LearnerId],
        reason: Option<String>,
    ) -> usize {
        let place = self.step(Step::MovePool { pool, delta });
        self.audit(pool, delta, action, learners, reason);
        place
    }

    /// Leaves a trail without moving a pool's own counters: a block's seats move inside `held`.
    pub fn audit(
        &mut self,
        pool: PoolId,
        delta: Delta,
        action: Action,
        learners: &[LearnerId],
        reason: Option<String>,
    ) {
        self.trail(pool, delta, action, learners.to_vec(), Told { reason, ..Told::default() });
    }

    /// Leaves the trail of a day or an end that seats had `before`, and of what it is now.
    pub fn audit_shift(
        &mut self,
        pool: PoolId,
        delta: Delta,
        action: Action,
        learners: &[LearnerId],
        (before, after): (Option<String>, Option<String>),
    ) {
        let told = Told { reason: after, before, marks: None };
        self.trail(pool, delta, action, learners.to_vec(), told);
    }

    /// Leaves the trail of a chunk of an import: the seats that it moved, and what came of its rows.
    pub fn audit_rows(
        &mut self,
        pool: PoolId,
        delta: Delta,
        action: Action,
        learners: Vec<LearnerId>,
        rows: (ImportId, Marks),
    ) {
        let (import, marks) = rows;
        let reason = Some(import.to_string());
        let told = Told { reason, marks: Some(marks), before: None };
        self.trail(pool, delta, action, learners, told);
    }

    fn trail(
        &mut self,
        pool: PoolId,
        delta: Delta,
        action: Action,
        learner_ids: Vec<LearnerId>,
        Told { reason, before, marks }: Told,
    ) {
        let (at, actor) = (self.at, self.actor.clone());
        self.step(Step::Audit(AuditRecord {
            at,
            actor,
            action,
            pool,
            learner_ids,
            delta,
            reason,
            before,
            marks,
        }));
    }

    /// Whether the steps conserve seats: every movement balances, and the trail tells of each
    /// pool exactly what its shown stock changes by.
    pub fn conserves_seats(&self) -> bool {
        let mut shown: BTreeMap<PoolId, Delta> = BTreeMap::new();
        let mut told: BTreeMap<PoolId, Delta> = BTreeMap::new();
        let add = |map: &mut BTreeMap<PoolId, Delta>, pool: PoolId, delta: Delta| {
            let sum = map.entry(pool).or_default();
            *sum = sum.and(delta);
        };
        for step in &self.steps {
            match step {
                Step::MovePool { pool, delta } => {
                    if !delta.is_balanced() {
                        return false;
                    }
                    add(&mut shown, *pool, *delta);
                }
                Step::OpenPool { pool, stock } => {
                    add(&mut shown, *pool, Delta::bought(signed(stock.total)));
                }
                Step::DrawBlock { key, used, .. } | Step::TakeUpKept { key, used, .. } => {
                    add(&mut shown, key.pool, Delta::taken_up(signed(*used)));
                }
                Step::SettleBlock { key, used } => {
                    add(&mut shown, key.pool, Delta::taken_up(-signed(*used)));
                }
                // The seats a block used are shown as used already; its item moves them for good.
                Step::CloseBlock(block) => {
                    add(&mut shown, block.key.pool, Delta::taken_up(-signed(block.used)));
                }
                Step::Audit(record) => add(&mut told, record.pool, record.delta),
                _ => {}
            }
        }
        shown.retain(|_, delta| !delta.is_nothing());
        told.retain(|_, delta| !delta.is_nothing());
        shown == told
    }
}

fn signed(seats: u64) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}

impl BlockCursor {
    /// The cursor of a block for codes, at its batch's epoch.
    pub fn at_epoch(epoch: u32) -> Self {
        Self { lo: 0, hi: 0, rows: 0, epoch }
    }
}

impl Block {
    /// How the pool's counters change when the block closes: what was used leaves `held`, what
    /// was not goes back; what is kept stays held.
    pub fn closing(&self) -> Delta {
        Delta::taken_up(signed(self.used)).and(Delta::let_go(signed(self.rem)))
    }

    /// Seats it gave away: taken into use, or held for somebody.
    pub const fn gave(&self) -> u64 {
        self.used + self.kept + self.settled
    }

    /// What the trail says of the closing: only what goes back is news.
    pub fn returned(&self) -> Delta {
        Delta::let_go(signed(self.rem))
    }
}

/// The stock a pool shows: what open blocks used counts as used, not as held.
pub fn shown_stock(pool: Stock, blocks: &[Block]) -> Stock {
    let used: u64 = blocks.iter().map(|block| block.used).sum();
    Stock { held: pool.held.saturating_sub(used), used: pool.used + used, ..pool }
}
