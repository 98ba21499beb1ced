//! What must be so in every state a model can reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use seatkeeper_domain::code::CodeKind;
use seatkeeper_domain::cohort::{CohortKey, CohortState};
use seatkeeper_domain::ids::{ClientId, PoolId};
use seatkeeper_domain::invitation::InvitationStatus;
use seatkeeper_domain::learner::SeatState;
use seatkeeper_domain::stock::Delta;

use super::rules::counts_as_used;
use super::{Model, Tenant};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name, such as `I1`.
    pub invariant: &'static str,
    /// What is there instead.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.found)
    }
}

fn demand(
    invariant: &'static str,
    holds: bool,
    found: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, found: found() }) }
}

impl Model {
    /// Checks what holds in every state:
    ///
    /// * I1: each pool adds up, nothing is below zero, and the counters are what learners,
    ///   invitations, cohorts and blocks say;
    /// * I2: a redemption code has at most one redemption, a registration code no more than its
    ///   maximum, and both are listed;
    /// * I3: nobody has two accounts, or both a seat and a pending invitation in one pool;
    /// * I4: a notification key has one mail, and no two mails say the same, and each belongs to
    ///   something that happened;
    /// * I8: the trail sums to the counters.
    pub fn check(&self) -> Result<(), Broken> {
        for (client, tenant) in &self.tenants {
            for (pool, counters) in &tenant.pools {
                check_pool(tenant, client, *pool, counters.value)?;
            }
            check_allocations(tenant)?;
            check_cohorts(tenant)?;
            check_codes(tenant)?;
            check_people(tenant)?;
            check_mails(tenant)?;
        }
        Ok(())
    }
}

fn check_pool(
    tenant: &Tenant,
    client: &ClientId,
    pool: PoolId,
    counters: Delta,
) -> Result<(), Broken> {
    demand("I1", counters.is_balanced(), || format!("{pool} does not add up: {counters:?}"))?;
    let whole = counters.parts().into_iter().all(|(_, seats)| seats >= 0);
    demand("I1", whole, || format!("{pool} has less than nothing: {counters:?}"))?;

    let (mut held, mut used, mut drawn) = (0_i64, 0_i64, 0_i64);
    for seat in tenant.learners.values().filter_map(|learner| learner.seats.get(&pool)) {
        match counts_as_used(tenant, client, pool, seat) {
            None => {}
            Some(true) => used += 1,
            Some(false) => held += 1,
        }
    }
    held += count(tenant.invitations.values().filter(|invitation| {
        invitation.status == InvitationStatus::Pending
            && invitation.holds_seat
            && invitation.pool() == pool
    }));
    for block in tenant.blocks_of(pool) {
        let adds_up = block.size == block.used + block.kept + block.rem;
        demand("I1", adds_up, || format!("a block of {pool} does not add up: {block:?}"))?;
        held += signed(block.rem);
        drawn += signed(block.used);
    }
    let shown = Delta::taken_up(drawn).and(counters);
    demand("I1", (shown.held, shown.used) == (held, used), || {
        format!("{pool} shows {shown:?}; its records say {held} held, {used} used")
    })?;

    let trail = tenant.audit.iter().filter(|((place, ..), _)| *place == pool);
    let told = trail.fold(Delta::default(), |sum, (_, record)| sum.and(record.delta));
    demand("I8", told == shown, || format!("{pool} shows {shown:?}; its trail says {told:?}"))
}

fn check_allocations(tenant: &Tenant) -> Result<(), Broken> {
    let mut given: BTreeMap<PoolId, i64> = BTreeMap::new();
    for sublicense in tenant.sublicenses.values().map(|known| &known.value) {
        let own = tenant.pools.get(&PoolId::Sublicense(sublicense.sublicense_id));
        let total = own.map_or(0, |own| own.value.total);
        *given.entry(PoolId::Contract(sublicense.contract_id)).or_default() += total;
    }
    for (pool, counters) in &tenant.pools {
        let (says, given) =
            (counters.value.allocated, given.get(pool).copied().unwrap_or_default());
        demand("I1", says == given, || format!("{pool} allocated {says}; there are {given}"))?;
    }
    Ok(())
}

fn check_cohorts(tenant: &Tenant) -> Result<(), Broken> {
    let mut waiting: BTreeMap<(PoolId, jiff::Timestamp), u64> = BTreeMap::new();
    for learner in tenant.learners.values() {
        for (pool, seat) in &learner.seats {
            if let SeatState::Scheduled { opens_at } = seat.state {
                *waiting.entry((*pool, opens_at)).or_default() += 1;
            }
        }
    }
    for (CohortKey { pool, instant, .. }, cohort) in &tenant.cohorts {
        let cohort = &cohort.value;
        let there = waiting.remove(&(*pool, *instant)).unwrap_or_default();
        let right = cohort.state == CohortState::Opened || cohort.count == there;
        demand("I9", right, || format!("{there} seats wait for {cohort:?}"))?;
    }
    demand("I9", waiting.is_empty(), || format!("seats wait for no cohort: {waiting:?}"))
}

fn check_codes(tenant: &Tenant) -> Result<(), Broken> {
    for batch in tenant.batches.values().map(|known| &known.value) {
        let id = batch.batch_id;
        let listed = count(tenant.redemptions.keys().filter(|(of, ..)| *of == id));
        match batch.kind {
            CodeKind::Redemption => {
                let own = tenant.codes.values().filter(|code| code.batch_id == id);
                let redeemed = count(own.filter(|code| code.redeemed_by.is_some()));
                demand("I2", listed == redeemed, || {
                    format!("{id} lists {listed} redemptions; {redeemed} codes are redeemed")
                })?;
            }
            CodeKind::Registration => {
                let own = tenant.blocks_of(batch.pool());
                let blocks: Vec<_> = own.cloned().collect();
                let counted = signed(batch.redeemed_with(&blocks));
                let most = batch.max_redemptions.map_or(i64::MAX, i64::from);
                demand("I2", listed == counted && counted <= most, || {
                    format!("{id} lists {listed} redemptions, counts {counted}, of at most {most}")
                })?;
            }
        }
    }
    Ok(())
}

fn check_people(tenant: &Tenant) -> Result<(), Broken> {
    let addresses: BTreeSet<_> = tenant.learners.values().map(|known| &known.email).collect();
    demand("I3", addresses.len() == tenant.learners.len(), || {
        "two accounts of one address".into()
    })?;
    let mut pending = BTreeSet::new();
    for invitation in tenant.invitations.values() {
        if invitation.status != InvitationStatus::Pending {
            continue;
        }
        let pool = invitation.pool();
        let once = pending.insert((pool, &invitation.email));
        demand("I3", once, || format!("two pending invitations to {pool}"))?;
        let both = tenant
            .learners
            .values()
            .any(|learner| learner.email == invitation.email && learner.live_seat(pool).is_some());
        demand("I3", !both, || format!("a seat and a pending invitation in {pool}"))?;
    }
    Ok(())
}

fn check_mails(tenant: &Tenant) -> Result<(), Broken> {
    use seatkeeper_domain::outbox::Subject;
    let mut said = BTreeSet::new();
    for (key, mails) in &tenant.mails {
        demand("I4", mails.len() == 1, || format!("{} mails under {key}", mails.len()))?;
        for subject in mails.iter().flat_map(|mail| &mail.subjects) {
            let copy = mails.iter().any(|mail| mail.copy_to.is_some());
            let text = format!("{copy} {subject:?}");
            let new = said.insert(text);
            demand("I4", new, || format!("told twice: {subject:?}"))?;
            let happened = match subject {
                Subject::Seat { op, .. } => tenant.audit.keys().any(|(_, _, by, ..)| by == op),
                Subject::Invitation { invitation, version }
                | Subject::Reminder { invitation, version, .. } => tenant
                    .invitations
                    .get(invitation)
                    .is_some_and(|known| known.version >= *version),
                Subject::Account { learner, .. } => tenant.learners.contains_key(learner),
                Subject::Import { import } => tenant.imports.contains_key(import),
                Subject::Code { batch, .. } => tenant.batches.contains_key(batch),
                Subject::Erasure { on, .. } => tenant.erasures.contains_key(on),
                Subject::StockLow { contract, .. } | Subject::ContractEnding { contract, .. } => {
                    tenant.contracts.contains_key(contract)
                }
            };
            demand("I4", happened, || format!("told of what did not happen: {subject:?}"))?;
        }
    }
    Ok(())
}

fn count(found: impl Iterator) -> i64 {
    i64::try_from(found.count()).unwrap_or(i64::MAX)
}

fn signed(seats: u64) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}
