//! Proving a pool: its counters add up, and its trail adds up to them.
//!
//! The trail is read between two readings of the pool; only if both are the same do they have to
//! agree with it. What was added up an hour ago and earlier is not read again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::audit::{Action, AuditRecord};
use crate::change::StoreError;
use crate::ids::{ClientId, ImportId, LearnerId, PoolId};
use crate::ports::{Clock, PageRequest, PoolStanding, Proof, Proofs};
use crate::records::LetsGo;
use crate::stock::{Delta, Stock};

/// Most records of one trail that are read at once.
const RECORDS: usize = 5_000;
/// How long a proven pool is left alone.
pub(super) const PROVEN_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long a record may be on its way: its instant is when its change was planned.
pub(super) const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Looks at a pool before it counts as too busy.
const LOOKS: u32 = 3;

/// A pool whose counters are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Whose.
    pub client_id: ClientId,
    /// Which.
    pub pool: PoolId,
    /// What the counters say.
    pub shown: Stock,
    /// What the trail adds up to.
    pub told: Delta,
}

/// What a pool's proof came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proven {
    /// Counters and trail agree.
    Yes,
    /// They did not hold still, or the trail is long: go on another time.
    Busy,
    /// They do not agree.
    No(Mismatch),
}

/// A look at a pool and its trail.
pub(super) enum Look {
    /// There is no such pool.
    Gone,
    /// Seats moved meanwhile.
    Moved,
    /// The trail is longer than what is read at once; this much of it was added up.
    Long(Proof),
    /// Nothing moved meanwhile.
    Still(PoolStanding, Box<AddedUp>),
}

/// A trail added up.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct AddedUp {
    /// All of it.
    pub(super) sum: Delta,
    /// What was written before the cut, and at it; `None` if that is no longer known.
    pub(super) at_cut: Option<Delta>,
    /// What happened after the cut.
    pub(super) since: Since,
    keep: Proof,
}

/// What happened after a cut.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Since {
    /// Whose seats ended.
    pub(super) seats: BTreeSet<LearnerId>,
    /// Whose invitations ended.
    pub(super) invitations: BTreeSet<LearnerId>,
    /// Whether an invitation went to another address: from which, the trail does not tell.
    pub(super) readdressed: bool,
    /// Whether an import moved seats in or out of a block: how many, its trail does not tell.
    pub(super) imports: bool,
    /// Seats that left the blocks of batches, less those that were set aside in them.
    pub(super) left_blocks: BTreeMap<String, i64>,
    /// Seats given or held by batch, less those that came back; they left a block if the batch has one.
    pub(super) redeemed: BTreeMap<String, i64>,
}

/// Proves a pool. What it keeps of the trail reaches no further than `cut`, if there is one.
///
/// A change that is being written may show in the trail and not yet in the pool, or the other way
/// round. So only what two looks find, one after the other, is wrong.
pub async fn prove(
    ports: &impl Proofs,
    clock: &impl Clock,
    client: &ClientId,
    pool: PoolId,
    cut: Option<Timestamp>,
) -> Result<Proven, StoreError> {
    let known = ports.proof(client, pool).await?;
    let now = clock.now();
    let settled = now - SETTLED_AFTER;
    let keep_to = cut.map_or(settled, |cut| cut.min(settled));
    let mut wrong = None;
    for _ in 0..LOOKS {
        match look(ports, client, pool, known, (keep_to, cut)).await? {
            Look::Gone => return Ok(Proven::Busy),
            Look::Moved => wrong = None,
            Look::Long(keep) => {
                ports.keep_proof(client, pool, &keep, now).await?;
                return Ok(Proven::Busy);
            }
            Look::Still(standing, read) => {
                let shown = standing.shown();
                if shown.adds_up() && agree(shown, read.sum) {
                    ports.keep_proof(client, pool, &read.keep, now + PROVEN_FOR).await?;
                    return Ok(Proven::Yes);
                }
                let told = read.sum;
                let found = (standing, told);
                if wrong.as_ref() == Some(&found) {
                    let client_id = client.clone();
                    return Ok(Proven::No(Mismatch { client_id, pool, shown, told }));
                }
                wrong = Some(found);
            }
        }
    }
    Ok(Proven::Busy)
}

/// Reads a pool, its trail, and the pool again.
pub(super) async fn look(
    ports: &impl Proofs,
    client: &ClientId,
    pool: PoolId,
    known: Proof,
    (keep_to, cut): (Timestamp, Option<Timestamp>),
) -> Result<Look, StoreError> {
    let Some(before) = ports.standing(client, pool).await? else { return Ok(Look::Gone) };
    let mut read = AddedUp { sum: known.sum, keep: known, ..AddedUp::default() };
    let cut = cut.unwrap_or(keep_to);
    read.at_cut = known.until.is_none_or(|until| until <= cut).then_some(known.sum);
    let mut count = 0;
    let mut page = PageRequest { limit: 100, cursor: None };
    loop {
        let found = ports.trail(client, pool, known.until, &page).await?;
        for record in found.items {
            read.add(&record, keep_to, cut);
            count += 1;
        }
        let Some(next) = found.next else { break };
        if count >= RECORDS {
            return Ok(Look::Long(read.keep));
        }
        page.cursor = Some(next);
    }
    let after = ports.standing(client, pool).await?;
    Ok(if after.as_ref() == Some(&before) {
        Look::Still(before, Box::new(read))
    } else {
        Look::Moved
    })
}

impl AddedUp {
    fn add(&mut self, record: &AuditRecord, keep_to: Timestamp, cut: Timestamp) {
        // Records of one instant are kept together: the sum before it is what is kept.
        if record.at <= keep_to && self.keep.until != Some(record.at) {
            self.keep = Proof { until: Some(record.at), sum: self.sum };
        }
        self.sum = self.sum.and(record.delta);
        if record.at <= cut {
            self.at_cut = self.at_cut.map(|sum| sum.and(record.delta));
        } else {
            self.since.add(record);
        }
    }
}

impl Since {
    fn add(&mut self, record: &AuditRecord) {
        match LetsGo::by(record.action) {
            LetsGo::Nothing => {}
            LetsGo::Seat => self.seats.extend(&record.learner_ids),
            LetsGo::Invitation => self.invitations.extend(&record.learner_ids),
            LetsGo::Either => {
                self.seats.extend(&record.learner_ids);
                self.invitations.extend(&record.learner_ids);
            }
        }
        let owner = record.reason.clone().unwrap_or_default();
        let of_import = owner.parse::<ImportId>().is_ok();
        match record.action {
            Action::InvitationReaddressed => self.readdressed = true,
            Action::ImportChunk | Action::ImportUndone => self.imports = true,
            Action::SeatsReserved | Action::ReserveReturned if of_import => self.imports = true,
            Action::SeatsReserved | Action::ReserveReturned => {
                *self.left_blocks.entry(owner).or_default() -= record.delta.held;
            }
            Action::CodeRedeemed | Action::CodeHeld => {
                *self.redeemed.entry(owner).or_default() += 1;
            }
            // What went back to the pool had left the block for good.
            Action::CodeReturned if record.delta.is_nothing() => {
                *self.redeemed.entry(owner).or_default() -= 1;
            }
            _ => {}
        }
    }
}

fn agree(shown: Stock, told: Delta) -> bool {
    told.applied_to(Stock::default()) == Some(shown)
}
