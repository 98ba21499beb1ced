//! The store as a pure state machine: what every [`Step`] means, without a database.
//!
//! [`Model::apply`] evaluates the conditions as they are written beside the steps, against records
//! in maps, and writes all of a change or nothing. It shares no code with the adapter, so that the
//! two can be held against each other; and because nothing in it waits, [every order](explore) in
//! which a few actions' calls can take effect can be tried.
//!
//! [`Ports`] answers the domain's ports from a model. A model can be told to [leave out a
//! rule](Model::without), which an [invariant](Model::check) must then notice.

mod invariants;
mod ports;
mod rules;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use jiff::civil::Date;
use seatkeeper_domain::audit::AuditRecord;
use seatkeeper_domain::change::{Block, BlockKey, Change, Refused, Step, StoreError, shown_stock};
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::code::{Batch, CodeRecord, Redemption};
use seatkeeper_domain::cohort::{Cohort, CohortKey};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::{
    BatchId, ClientId, ContractId, GroupId, ImportId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use seatkeeper_domain::import_run::ImportRun;
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::outbox::MailIntent;
use seatkeeper_domain::stock::{Delta, Stock};
use serde_json::Value;
use uuid::Uuid;

pub use invariants::Broken;
pub use ports::Ports;
pub use schedule::{Actor, Choice, Explored, Failure, Fate, Run, explore, replay, wander};

/// A rule that a model can be told to leave out, to prove that an invariant notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No counter of a pool falls below zero.
    Quantity,
    /// A learner has one live seat in a pool.
    LiveSeat,
    /// An account is made once.
    NewAccount,
    /// Whoever takes an available seat has no pending invitation.
    NoLiveInvitation,
    /// Whoever is invited has no seat.
    NoLiveSeat,
    /// An invitation is written over, or ended, as it was seen.
    InvitationAsSeen,
    /// A seat is released as it was seen.
    SeatAsSeen,
    /// Nobody is erased who was given a seat since.
    GivenAsSeen,
    /// Nobody joins or leaves a cohort that has opened.
    CohortWaiting,
    /// A cohort opens with the seats that wait.
    CohortCount,
    /// A redemption code is used once.
    CodeUnused,
    /// A block gives no more than it has.
    BlockRemainder,
    /// A block hands over no more used seats than it has.
    BlockUsed,
    /// A registration code is redeemed no more often than its maximum.
    RedemptionMaximum,
    /// An order adds its seats once.
    OrderOnce,
    /// The holder of an idempotency record has its effect, once.
    IdempotencyGuard,
    /// A change is written whole: here, its mails are left out of it and written all the same.
    MailInside,
}

/// A record, with the operation that last wrote it.
#[derive(Debug, Clone, PartialEq)]
struct Marked<T> {
    value: T,
    op: Option<Uuid>,
}

impl<T> Marked<T> {
    fn by(change: &Change, value: T) -> Self {
        Self { value, op: Some(change.op.id) }
    }
}

/// What is left of somebody who was erased.
#[derive(Debug, Clone, Default)]
struct Gone {
    given: u32,
    password_serial: u64,
    pools: BTreeSet<PoolId>,
}

/// Where an audit record stands: pool, time, operation, part, place in the change.
type AuditPlace = (PoolId, Timestamp, Uuid, u32, usize);

/// What belongs to one client.
#[derive(Debug, Clone, Default)]
struct Tenant {
    contracts: BTreeMap<ContractId, Marked<Contract>>,
    references: BTreeMap<String, Marked<ContractId>>,
    sublicenses: BTreeMap<SublicenseId, Marked<Sublicense>>,
    groups: BTreeMap<GroupId, Marked<Group>>,
    group_names: BTreeMap<String, Marked<GroupId>>,
    orders: BTreeMap<(ContractId, String), Marked<i64>>,
    /// Signed, so that a model without a rule can show what would come of it.
    pools: BTreeMap<PoolId, Marked<Delta>>,
    blocks: BTreeMap<BlockKey, Marked<Block>>,
    learners: BTreeMap<LearnerId, Learner>,
    /// What is left of people who were erased.
    erased: BTreeMap<LearnerId, Marked<Gone>>,
    /// Of which days those who look after the client are told.
    erasures: BTreeMap<Date, Marked<Timestamp>>,
    /// By place.
    invitations: BTreeMap<InvitationId, Invitation>,
    /// Where invitations stand whose address was changed.
    pointers: BTreeMap<InvitationId, Marked<InvitationId>>,
    cohorts: BTreeMap<CohortKey, Marked<Cohort>>,
    batches: BTreeMap<BatchId, Marked<Batch>>,
    codes: BTreeMap<String, CodeRecord>,
    sealed_codes: BTreeMap<(BatchId, u32), Marked<Vec<u8>>>,
    mailed_codes: BTreeMap<(BatchId, u32), Marked<Vec<LearnerId>>>,
    barred_lots: BTreeSet<(BatchId, u32, u8)>,
    redemptions: BTreeMap<(BatchId, Timestamp, LearnerId), Marked<Redemption>>,
    imports: BTreeMap<ImportId, Marked<ImportRun>>,
    import_list: BTreeMap<(Timestamp, ImportId), Uuid>,
    /// By notification key; more than one under a key is what must not be.
    mails: BTreeMap<String, Vec<MailIntent>>,
    audit: BTreeMap<AuditPlace, AuditRecord>,
}

/// A record under an idempotency key.
#[derive(Debug, Clone)]
struct Kept {
    op: Uuid,
    body: [u8; 32],
    held_since: Timestamp,
    held_until: Timestamp,
    forgotten_at: Timestamp,
    tries: u32,
    applied: u32,
    receipts: Vec<Value>,
    answer: Option<(u16, Vec<u8>)>,
}

/// Everything the store holds. A clone is a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Model {
    omitted: Option<Rule>,
    /// Apart from the rest: no action that moves seats writes them.
    clients: BTreeMap<ClientId, Marked<Client>>,
    tenants: BTreeMap<ClientId, Tenant>,
    idempotency: BTreeMap<[u8; 32], Kept>,
    tries: BTreeMap<(ClientId, [u8; 32]), Vec<Timestamp>>,
    fingerprint: Option<u64>,
}

impl Model {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, but this rule does not hold any more.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.omitted = Some(rule);
        self
    }

    /// Applies a change whole, or says which condition does not hold.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refused> {
        let nobody = Tenant::default();
        let tenant = self.tenants.get(&change.client_id).unwrap_or(&nobody);
        let judged = self.judge(tenant, change);
        if judged.is_err() && self.omitted != Some(Rule::MailInside) {
            return judged;
        }
        self.fingerprint = None;
        let tenant = self.tenants.entry(change.client_id.clone()).or_default();
        for (place, step) in change.steps.iter().enumerate() {
            match step {
                Step::AddClient(client) | Step::ReplaceClient(client) if judged.is_ok() => {
                    let client = Marked::by(change, (**client).clone());
                    self.clients.insert(change.client_id.clone(), client);
                }
                // Only a model without `MailInside` gets here with a refused change.
                step if judged.is_ok() || matches!(step, Step::Mail(_)) => {
                    tenant.perform(change, place, step);
                }
                _ => {}
            }
        }
        judged?;
        if let Some(guard) = change.op.guard
            && let Some(kept) = self.idempotency.get_mut(&guard.record)
        {
            kept.applied = change.part + 1;
            kept.receipts.push(change.receipt.clone());
        }
        Ok(())
    }

    fn judge(&self, tenant: &Tenant, change: &Change) -> Result<(), Refused> {
        rules::check_targets(change)?;
        self.judge_guard(change)?;
        let held: Vec<bool> = change
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| self.holds(tenant, change, at, step))
            .collect();
        let Some(place) = held.iter().position(|held| !held) else { return Ok(()) };
        let refused = change.steps.iter().zip(&held).filter(|(_, held)| !**held);
        let mut marks = refused.filter_map(|(step, _)| self.mark(tenant, change, step));
        if marks.any(|op| op == change.op.id) {
            return Err(Refused::Repeated);
        }
        Err(Refused::Step(place))
    }

    /// The guard: this attempt holds the record, and this part is the next.
    fn judge_guard(&self, change: &Change) -> Result<(), Refused> {
        let Some(guard) = change.op.guard.filter(|_| self.omitted != Some(Rule::IdempotencyGuard))
        else {
            return Ok(());
        };
        let kept = self.idempotency.get(&guard.record);
        let Some(kept) = kept.filter(|kept| kept.held_since == guard.held_since) else {
            return Err(Refused::Overtaken);
        };
        match kept.applied.cmp(&change.part) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(Refused::Repeated),
            std::cmp::Ordering::Less if kept.applied == 0 => Ok(()),
            std::cmp::Ordering::Less => Err(Refused::Overtaken),
        }
    }

    /// The stock a pool shows; counters below zero show as zero.
    pub fn stock(&self, client: &ClientId, pool: PoolId) -> Option<Stock> {
        let tenant = self.tenants.get(client)?;
        let counters = tenant.pools.get(&pool)?.value;
        let stock = counters.applied_to(Stock::default());
        let stock = stock.unwrap_or_else(|| clamped(counters));
        let blocks: Vec<Block> = tenant.blocks_of(pool).cloned().collect();
        Some(shown_stock(stock, &blocks))
    }

    /// How many records of the trail an operation left.
    pub fn audited(&self, client: &ClientId, op: Uuid) -> usize {
        let trail = self.tenants.get(client).into_iter().flat_map(|tenant| tenant.audit.keys());
        trail.filter(|(_, _, by, _, _)| *by == op).count()
    }

    /// Learners with a live seat in a pool.
    pub fn seated(&self, client: &ClientId, pool: PoolId) -> Vec<LearnerId> {
        let learners =
            self.tenants.get(client).into_iter().flat_map(|tenant| tenant.learners.values());
        learners
            .filter(|learner| learner.live_seat(pool).is_some())
            .map(|learner| learner.learner_id)
            .collect()
    }

    /// How many mails are owed for a client, one a subject.
    pub fn mails(&self, client: &ClientId) -> usize {
        let mails = self.tenants.get(client).into_iter().flat_map(|tenant| tenant.mails.values());
        mails.flatten().map(|intent| intent.subjects.len()).sum()
    }

    /// A hash of everything an action could come to see.
    fn fingerprint(&mut self) -> u64 {
        if let Some(known) = self.fingerprint {
            return known;
        }
        let mut text = Hashing(DefaultHasher::new());
        let written = write!(text, "{:?}{:?}{:?}", self.tenants, self.idempotency, self.tries);
        debug_assert!(written.is_ok());
        // Passwords do not show in debug texts.
        for learner in self.tenants.values().flat_map(|tenant| tenant.learners.values()) {
            secret(learner).hash(&mut text.0);
        }
        let hash = text.0.finish();
        self.fingerprint = Some(hash);
        hash
    }
}

/// What a learner's debug text leaves out.
fn secret(learner: &Learner) -> String {
    serde_json::to_string(&learner.credential).unwrap_or_default()
}

/// A hasher that texts are written to.
struct Hashing(DefaultHasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn clamped(counters: Delta) -> Stock {
    let seats = |count: i64| u64::try_from(count).unwrap_or(0);
    Stock {
        total: seats(counters.total),
        allocated: seats(counters.allocated),
        held: seats(counters.held),
        used: seats(counters.used),
        spent: seats(counters.spent),
        available: seats(counters.available),
    }
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}
