//! Renewing a contract: another one succeeds it, and everybody goes over without a gap.
//!
//! Whoever has a live seat is promised one of the successor from its first day on, or given it at once
//! if it runs already; the old seat is let go when the new one is open, never before. Open invitations
//! go over when the successor runs: same id, same link. A sublicense's seats go to the successor's
//! sublicense of the same name, or else to the successor itself.
//!
//! What to do is read off the records each time and every step is conditional, so that it may be asked
//! for again, twice at once, or by the sweep, which goes on for those who come to the old contract later.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::actions::ground::{Ground, GroundError, ground};
use crate::actions::invitations::{expires_at, invitation_of};
use crate::actions::open_cohort::{OpenCohortError, open_cohort};
use crate::actions::release_seat::{ReleaseSeatError, release_seat, released};
use crate::actions::seating::{Term, TermRequest, cohort_key, new_seat, term};
use crate::actions::settle_blocks::settle_blocks;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Presence, SeatLearner, Step, StoreError};
use crate::cohort::CohortKey;
use crate::contract::{Contract, ContractStatus};
use crate::dates::{Opening, end_of, instant_of, local_date, opening};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, LearnerId, PoolId, SublicenseId};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Learner, Profile, Seat, SeatState, SeatStatus};
use crate::ports::{Catalog, Clock, IdSource, Ledger, People, Rounds};
use crate::secrets::Keys;
use crate::stock::Delta;

/// Learners of one change: each has a seat, and may have a cohort and a mail of their own.
const CHUNK: usize = 30;

/// How long before a successor's first day the sweep begins to look for those who came to the old
/// contract since it was renewed.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// How a renewal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Renewal {
    /// Live seats of the old contract whose learner has none of the successor's yet.
    pub seats_left: u64,
    /// Of those, the ones that the successor has no seat for.
    pub missing: u64,
    /// Live seats of the old contract whose learner waits for the successor's to open.
    pub waiting: u64,
    /// Open invitations to the old contract.
    pub invitations_left: u64,
    /// Whether everything was looked at; else time ran out, and the next call goes on.
    pub complete: bool,
}

/// Why a contract cannot be renewed by another.
#[derive(Debug, thiserror::Error)]
pub enum RenewContractError {
    /// The client has no such successor, or it is the contract itself.
    #[error("no such successor")]
    UnknownSuccessor,
    /// The contract is renewed by another one, or renews this successor itself.
    #[error("renewed otherwise")]
    RenewedOtherwise,
    /// The successor has ended, or there is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What renewing needs of the store.
pub trait RenewPorts: Ledger + Catalog + People + Rounds {}
impl<P: Ledger + Catalog + People + Rounds> RenewPorts for P {}

/// Has a contract be renewed by `to`, and carries over whom it can, until `until` at most.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn renew_contract(
    ports: &impl RenewPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    actor: Actor,
    op: Op,
    (client, from, to): (&ClientId, ContractId, ContractId),
    until: Timestamp,
) -> Result<Renewal, RenewContractError> {
    if from == to {
        return Err(RenewContractError::UnknownSuccessor);
    }
    let place =
        ground(ports, client, to, None, clock.now()).await.map_err(|error| match error {
            GroundError::UnknownContract => RenewContractError::UnknownSuccessor,
            error => error.into(),
        })?;
    for _ in 0..ROUNDS {
        let old = ports.contract(client, from).await?.ok_or(GroundError::UnknownContract)?;
        let otherwise = old.renewed_by.is_some_and(|by| by != to);
        if otherwise || leads_to(ports, client, place.contract.renewed_by, from).await? {
            return Err(RenewContractError::RenewedOtherwise);
        }
        if old.renewed_by.is_some() {
            let carry = Carry { ports, clock, ids, keys, actor, old, new: place, until };
            return Ok(carry.all().await?);
        }
        let mut change = Change::new(client, op, actor.clone(), clock.now());
        change.receipt = serde_json::json!({"renewed_by": to});
        change.step(Step::NoteRenewal { contract_id: from, by: to });
        let (pool, reason) = (PoolId::Contract(from), Some(to.to_string()));
        change.audit(pool, Delta::default(), Action::ContractRenewed, &[], reason);
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            // The next round finds it renewed, by this call or by another.
            Ok(()) | Err(Met::Repeated | Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

impl Renewal {
    /// Whether everybody has gone over.
    pub fn is_done(&self) -> bool {
        self.complete && self.seats_left + self.waiting + self.invitations_left == 0
    }
}

/// Goes on with a renewal whose successor runs, or will within a day. For the sweep. `None`: the contract
/// is not renewed.
pub async fn go_on_renewing(
    ports: &impl RenewPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    client: &ClientId,
    contract: ContractId,
    until: Timestamp,
) -> Result<Option<Renewal>, StoreError> {
    let done = Renewal { complete: true, ..Renewal::default() };
    let Some(old) = ports.contract(client, contract).await? else { return Ok(None) };
    let Some(by) = old.renewed_by else { return Ok(None) };
    let new = match ground(ports, client, by, None, clock.now()).await {
        Ok(new) => new,
        Err(GroundError::Store(error)) => return Err(error),
        // The successor has ended itself: nothing goes there any more.
        Err(_) => return Ok(Some(done)),
    };
    if begins(&new).is_some_and(|begins| begins > clock.now() + AHEAD) {
        return Ok(Some(Renewal::default()));
    }
    let carry = Carry { ports, clock, ids, keys, actor: Actor::System, old, new, until };
    carry.all().await.map(Some)
}

/// Carries an open invitation to the contract that renews its own; whether it did. For one whose time
/// runs out with the old contract.
pub async fn carry_invitation(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    client: &ClientId,
    invitation: &Invitation,
) -> Result<bool, StoreError> {
    let Some(old) = ports.contract(client, invitation.contract_id).await? else {
        return Ok(false);
    };
    let Some(by) = old.renewed_by else { return Ok(false) };
    let now = clock.now();
    let new = match ground(ports, client, by, None, now).await {
        Ok(new) => new,
        Err(GroundError::Store(error)) => return Err(error),
        Err(_) => return Ok(false),
    };
    let zone = new.client.time_zone.zone();
    let with_contract = old.ends_on.map(|last| end_of(last, zone)) == Some(invitation.expires_at);
    if !with_contract || new.contract.status(now, zone) != ContractStatus::Active {
        return Ok(false);
    }
    let target = target(ports, &new, invitation.sublicense_id).await?;
    carry_one(ports, clock, ids, keys, &Actor::System, &target, invitation).await
}

/// Whether contracts that succeed one another come to this one.
async fn leads_to(
    ports: &impl Catalog,
    client: &ClientId,
    mut by: Option<ContractId>,
    to: ContractId,
) -> Result<bool, StoreError> {
    let mut seen = BTreeSet::new();
    while let Some(next) = by.filter(|next| seen.insert(*next)) {
        if next == to {
            return Ok(true);
        }
        by = ports.contract(client, next).await?.and_then(|known| known.renewed_by);
    }
    Ok(false)
}

/// When a contract's first day begins; `None`: it has none.
fn begins(ground: &Ground) -> Option<Timestamp> {
    let zone = ground.client.time_zone.zone();
    ground
        .contract
        .starts_on
        .map(|first| instant_of(first, ground.contract.policies.opens_at, zone))
}

/// Where seats of the old contract, or of one of its sublicenses, go.
async fn target(
    ports: &impl Catalog,
    new: &Ground,
    from: Option<SublicenseId>,
) -> Result<Ground, StoreError> {
    let client = &new.client.client_id;
    let Some(from) = from else { return Ok(new.clone()) };
    let Some(known) = ports.sublicense(client, from).await? else { return Ok(new.clone()) };
    let others = ports.sublicenses_of(client, new.contract.contract_id).await?;
    let same = others.into_iter().find(|other| other.name == known.name);
    let sublicense_id = same.map(|same| same.sublicense_id);
    let pool = new.contract.pool(sublicense_id);
    Ok(Ground { sublicense_id, pool, ..new.clone() })
}

/// One renewal under way.
struct Carry<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    keys: &'a Keys,
    actor: Actor,
    old: Contract,
    new: Ground,
    until: Timestamp,
}

/// A seat to be given.
struct Given<'a> {
    learner: &'a Learner,
    term: Term,
    source: &'a Seat,
}

impl<P: RenewPorts, C: Clock, I: IdSource> Carry<'_, P, C, I> {
    async fn all(&self) -> Result<Renewal, StoreError> {
        let client = &self.old.client_id;
        let mut renewal = Renewal { complete: true, ..Renewal::default() };
        let mut targets = BTreeMap::new();
        let own = PoolId::Contract(self.old.contract_id);
        targets.insert(own, self.new.clone());
        for sublicense in self.ports.sublicenses_of(client, self.old.contract_id).await? {
            let id = sublicense.sublicense_id;
            targets.insert(PoolId::Sublicense(id), target(self.ports, &self.new, Some(id)).await?);
        }
        let mut cursor = None;
        loop {
            let found = self.ports.recorded(client, cursor.as_deref()).await?;
            let mut people: BTreeMap<PoolId, Vec<LearnerId>> = BTreeMap::new();
            for one in found.seats.iter().filter(|one| one.seat.is_live()) {
                if targets.contains_key(&one.pool) {
                    people.entry(one.pool).or_default().push(one.learner_id);
                }
            }
            for (pool, people) in &people {
                let Some(target) = targets.get(pool) else { continue };
                for chunk in people.chunks(CHUNK) {
                    if self.clock.now() >= self.until {
                        return Ok(Renewal { complete: false, ..renewal });
                    }
                    let (left, missing) = self.give(*pool, target, chunk).await?;
                    renewal.seats_left += left;
                    renewal.missing += missing;
                    renewal.waiting += self.let_go(*pool, target, chunk).await?;
                }
            }
            for invitation in &found.open {
                let ours = invitation.contract_id == self.old.contract_id;
                // A code that is held belongs to its batch.
                let Some(target) = targets.get(&invitation.pool()).filter(|_| ours) else {
                    continue;
                };
                if invitation.redeems.is_some() {
                    continue;
                }
                if self.clock.now() >= self.until {
                    return Ok(Renewal { complete: false, ..renewal });
                }
                renewal.invitations_left += u64::from(!self.carry(target, invitation).await?);
            }
            match found.next {
                None => return Ok(renewal),
                next => cursor = next,
            }
        }
    }

    /// Carries an open invitation over, if the successor runs; whether it went.
    async fn carry(&self, target: &Ground, invitation: &Invitation) -> Result<bool, StoreError> {
        let zone = target.client.time_zone.zone();
        if target.contract.status(self.clock.now(), zone) != ContractStatus::Active {
            return Ok(false);
        }
        let (ports, clock, ids, keys) = (self.ports, self.clock, self.ids, self.keys);
        carry_one(ports, clock, ids, keys, &self.actor, target, invitation).await
    }

    /// Gives some learners seats of the successor; how many are left without, and for how many of them
    /// there is none.
    async fn give(
        &self,
        from: PoolId,
        target: &Ground,
        people: &[LearnerId],
    ) -> Result<(u64, u64), StoreError> {
        let client = &self.old.client_id;
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let mut learners = self.ports.learners(client, people).await?;
            learners.sort_by_key(|learner| learner.learner_id);
            let mut given = Vec::new();
            let mut left = 0;
            for learner in &learners {
                let Some(seat) = learner.live_seat(from) else { continue };
                // Who is at their own last day has had what they were given. One that ended with the old
                // contract goes over as long as it stands.
                let over = seat.status(now) == SeatStatus::Ended
                    && self.own_end(seat, target.client.time_zone.zone()).is_some();
                if learner.live_seat(target.pool).is_some() || over {
                    continue;
                }
                let Some(term) = self.term(target, seat, now) else {
                    left += 1;
                    continue;
                };
                given.push(Given { learner, term, source: seat });
            }
            let stock = self.ports.stock(client, target.pool).await?;
            let available = stock.map_or(0, |stock| stock.available);
            let most = usize::try_from(available).unwrap_or(usize::MAX).min(given.len());
            let missing = (given.len() - most) as u64;
            given.truncate(most);
            if given.is_empty() {
                return Ok((left + missing, missing));
            }
            let change = self.plan(from, target, &given, now);
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => return Ok((left + missing, missing)),
                // Somebody took seats, or a learner was carried, released or erased meanwhile.
                Err(Met::NoSeats) => {}
                Err(Met::Raced(place)) => {
                    settle_blocks(self.ports, self.clock, self.ids, &change, place).await?;
                }
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    /// The end that a seat has of its own: it goes over. One that came with the old contract does not.
    fn own_end(&self, seat: &Seat, zone: &TimeZone) -> Option<Timestamp> {
        let with_contract = self.old.access_ends_on().or(self.old.ends_on);
        let with_contract = with_contract.map(|last| end_of(last, zone));
        seat.ends_at.filter(|end| with_contract.is_none_or(|last| *end < last))
    }

    /// When the seat of the successor opens and ends; `None` if its dates do not allow one, or what the
    /// old one gives is over by then.
    fn term(&self, target: &Ground, seat: &Seat, now: Timestamp) -> Option<Term> {
        let zone = target.client.time_zone.zone();
        let contract = &target.contract;
        let wanted = match seat.state {
            SeatState::Scheduled { opens_at } if opens_at > now => {
                Some(seat.starts_on.unwrap_or_else(|| local_date(opens_at, zone)))
            }
            _ => None,
        };
        let start = contract.start(wanted, local_date(now, zone)).ok()?;
        let opening = opening(start, contract.policies.opens_at, now, zone);
        let opens = match opening {
            Opening::Now => now,
            Opening::Later { instant, .. } => instant,
        };
        let own = self.own_end(seat, zone);
        if own.is_some_and(|end| end <= opens) {
            return None;
        }
        let by_contract = contract.ends_at(None, None, opens, zone);
        let ends_at = own.into_iter().chain(by_contract).min();
        if ends_at.is_some_and(|end| end <= opens) {
            return None;
        }
        let starts_on = matches!(opening, Opening::Later { .. }).then_some(start).flatten();
        Some(Term { starts_on, opening, ends_at })
    }

    fn plan(&self, from: PoolId, target: &Ground, given: &[Given<'_>], now: Timestamp) -> Change {
        let op = Op { id: self.ids.uuid(), guard: None };
        let mut change = Change::new(&self.old.client_id, op, self.actor.clone(), now);
        let (mut open, mut waiting) = (Vec::new(), Vec::new());
        let mut cohorts: BTreeMap<Timestamp, (jiff::civil::Date, u64)> = BTreeMap::new();
        for Given { learner, term, source } in given {
            let learner_id = learner.learner_id;
            match term.opening {
                Opening::Now => open.push(learner_id),
                Opening::Later { start_on, instant } => {
                    waiting.push(learner_id);
                    cohorts.entry(instant).or_insert((start_on, 0)).1 += 1;
                }
            }
            // What is not yet sent of the old seat tells of this one.
            let carried_from = Some(source.carried_from.unwrap_or(source.op));
            let seat = new_seat(&change, term, source.source.clone());
            let seat = Seat { carried_from, reclaim: source.reclaim, ..seat };
            change.step(Step::SeatLearner(Box::new(SeatLearner {
                learner_id,
                email: learner.email.clone(),
                profile: Profile::default(),
                credential: None,
                presence: Presence::Existing,
                pool: target.pool,
                seat,
                beside: Some((from, source.op)),
            })));
        }
        for (instant, (start_on, count)) in cohorts {
            let key = cohort_key(target, instant);
            change.step(Step::JoinCohort { key, start_on, count });
        }
        let (used, held) = (Delta::used(signed(open.len())), Delta::held(signed(waiting.len())));
        let reason = Some(self.old.contract_id.to_string());
        change.step(Step::MovePool { pool: target.pool, delta: used.and(held) });
        for (delta, people) in [(used, open), (held, waiting)] {
            if !people.is_empty() {
                change.audit(target.pool, delta, Action::SeatCarried, &people, reason.clone());
            }
        }
        change
    }

    /// Lets the old seats go of those whose new one is open, or will be no later; how many old ones wait
    /// until it is.
    async fn let_go(
        &self,
        from: PoolId,
        target: &Ground,
        people: &[LearnerId],
    ) -> Result<u64, StoreError> {
        let client = &self.old.client_id;
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let mut learners = self.ports.learners(client, people).await?;
            learners.sort_by_key(|learner| learner.learner_id);
            let both = learners.iter().filter_map(|learner| {
                let seats = (learner.live_seat(from)?, learner.live_seat(target.pool)?);
                Some((learner.learner_id, seats))
            });
            let ends = |seat: &Seat| seat.status(now) == SeatStatus::Ended;
            let both: Vec<_> = both.filter(|(_, (old, _))| !ends(old)).collect();
            let (done, waits): (Vec<_>, Vec<_>) =
                both.into_iter().partition(|(_, (old, new))| is_carried(old, new, now));
            let (open, alone): (Vec<_>, Vec<_>) =
                done.into_iter().partition(|(_, (old, _))| old.used_at(now).is_some());
            // A seat that waits for its day leaves its cohort: each by itself.
            for (who, _) in alone {
                let op = Op { id: self.ids.uuid(), guard: None };
                let (ports, clock, ids) = (self.ports, self.clock, self.ids);
                let (place, actor) = ((client, &self.old), self.actor.clone());
                match release_seat(ports, clock, ids, actor, op, place, who, from).await {
                    Ok(_) | Err(ReleaseSeatError::NoSeat | ReleaseSeatError::Erased) => {}
                    Err(ReleaseSeatError::Store(error)) => return Err(error),
                }
            }
            let waiting = waits.len() as u64;
            if open.is_empty() {
                return Ok(waiting);
            }
            let change = self.plan_release((from, target.pool), &open, now).await?;
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => return Ok(waiting),
                Err(Met::NoSeats) => {}
                Err(Met::Raced(place)) => {
                    settle_blocks(self.ports, self.clock, self.ids, &change, place).await?;
                }
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    async fn plan_release(
        &self,
        (from, to): (PoolId, PoolId),
        people: &[(LearnerId, (&Seat, &Seat))],
        now: Timestamp,
    ) -> Result<Change, StoreError> {
        let op = Op { id: self.ids.uuid(), guard: None };
        let mut change = Change::new(&self.old.client_id, op, self.actor.clone(), now);
        let mut delta = Delta::default();
        let mut opened = BTreeSet::new();
        for (learner_id, (old, new)) in people {
            if let SeatState::Scheduled { opens_at } = old.state {
                opened.insert(opens_at);
            }
            let (moved, seat, given_by) = released(&change, &self.old, old);
            delta = delta.and(moved);
            change.step(Step::ReleaseSeat {
                learner_id: *learner_id,
                pool: from,
                op: given_by,
                seat,
                untouched_since: None,
                beside: Some((to, new.op)),
            });
        }
        for instant in opened {
            let client_id = self.old.client_id.clone();
            let key = CohortKey { client_id, pool: from, instant };
            match open_cohort(self.ports, self.clock, self.ids, &key).await {
                Ok(_) | Err(OpenCohortError::TooEarly | OpenCohortError::UnknownCohort) => {}
                Err(OpenCohortError::Store(error)) => return Err(error),
            }
            change.step(Step::CohortHasOpened { key });
        }
        let who: Vec<LearnerId> = people.iter().map(|(learner_id, _)| *learner_id).collect();
        let reason = Some(self.new.contract.contract_id.to_string());
        change.move_seats(from, delta, Action::SeatReleased, &who, reason);
        Ok(change)
    }
}

/// Whether an old seat can be let go because the new one is open, or opens no later.
fn is_carried(old: &Seat, new: &Seat, now: Timestamp) -> bool {
    match (old.state, new.state) {
        (_, SeatState::Active { .. }) => true,
        (_, SeatState::Scheduled { opens_at: new }) if new <= now => true,
        (SeatState::Scheduled { opens_at: old }, SeatState::Scheduled { opens_at: new }) => {
            old > now && new <= old
        }
        _ => false,
    }
}

/// Moves an open invitation to another contract's pool: same id, same link, and the seat it holds is
/// held there. Whether it went; it stays if there is no seat for it, or if its address is invited or
/// seated there already.
async fn carry_one(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    actor: &Actor,
    target: &Ground,
    invitation: &Invitation,
) -> Result<bool, StoreError> {
    let client = &target.client.client_id;
    let op = Op { id: ids.uuid(), guard: None };
    for _ in 0..ROUNDS {
        let now = clock.now();
        let Some(old) = invitation_of(ports, client, invitation.invitation_id).await? else {
            return Ok(false);
        };
        // By this call, or by another.
        if old.pool() == target.pool {
            return Ok(true);
        }
        if old.status != InvitationStatus::Pending || old.version != invitation.version {
            return Ok(false);
        }
        let asked = TermRequest {
            start_on: old.grant.start_on,
            end_on: old.grant.end_on,
            delete_on: old.grant.delete_on,
            ..TermRequest::default()
        };
        let asked_at = old.last_sent_at.unwrap_or(old.created_at);
        let lasts = expires_at(target, &old.grant, asked_at).max(old.expires_at);
        // There must be something to accept.
        if lasts <= now || term(target, &asked, now).is_err() {
            return Ok(false);
        }
        let place = keys.invitation_id(client, target.pool, &old.email);
        let over = ports.invitation(client, place).await?;
        // A link is told by id and version; the mails of a place by its version, which only grows.
        let in_the_way = |over: &Invitation| {
            over.status == InvitationStatus::Pending || over.version >= old.version
        };
        if over.as_ref().is_some_and(in_the_way) {
            return Ok(false);
        }
        let who = keys.learner_id(client, &old.email);
        let mut change = Change::new(client, op, actor.clone(), now);
        let new = Invitation {
            moved_to: Some(place),
            left: over.as_ref().map_or(0, |over| over.left),
            held_since: old.holds_seat.then_some(now),
            contract_id: target.contract.contract_id,
            sublicense_id: target.sublicense_id,
            expires_at: lasts,
            op: op.id,
            ..old.clone()
        };
        for (pool, delta) in [(old.pool(), Delta::let_go(1)), (target.pool, Delta::held(1))] {
            let delta = if old.holds_seat { delta } else { Delta::default() };
            let (action, reason) = (Action::InvitationCarried, Some(new.invitation_id.to_string()));
            if old.holds_seat {
                change.move_seats(pool, delta, action, &[who], reason);
            } else {
                change.audit(pool, delta, action, &[who], reason);
            }
        }
        let from_home = u16::from(old.place() == old.invitation_id.home());
        change.step(Step::MoveInvitation {
            from: old.place(),
            version: old.version,
            status: old.status,
            left: old.left.saturating_add(from_home),
        });
        change.step(Step::PointInvitation { invitation_id: new.invitation_id, place });
        change.step(Step::NoLiveSeat { learner_id: who, pool: target.pool });
        change.step(Step::PutInvitation {
            invitation: Box::new(new),
            replaces: over.map(|over| (over.version, over.status)),
        });
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(true),
            Err(Met::NoSeats) => return Ok(false),
            Err(Met::Raced(place)) => {
                // Whoever has a seat of the successor needs no invitation to it.
                if matches!(change.steps.get(place), Some(Step::NoLiveSeat { .. })) {
                    return Ok(false);
                }
            }
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}

fn signed(seats: usize) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}
