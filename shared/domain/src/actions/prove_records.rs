//! Proving the counters by the records: every seat of a learner, every invitation that holds one,
//! every open block, every cohort, every sublicense.
//!
//! A *round* reads all records of a client, a bounded number of readings a run, and then compares
//! each pool with its trail as both were at the round's cut (see [`crate::records`]). What a round
//! finds has to be found again by the next one, at another cut, before it is told.
//!
//! Rounds begin when a day begins for their client. Since everything that ends does so at that instant, and a
//! round comes by every seat, it also ends those whose last day is over, takes back those that nobody uses, and
//! erases people whose deletion date has come.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::actions::deletion_day::{NOTICE, Stands, deletion_day};
use crate::actions::erase_learner::{EraseLearnerError, erase_learner};
use crate::actions::ground::contract_of;
use crate::actions::prove_pool::{AddedUp, Look, SETTLED_AFTER, look};
use crate::actions::release_seat::{end_seat, take_back_unused};
use crate::audit::Actor;
use crate::change::StoreError;
use crate::client::Client;
use crate::cohort::CohortState;
use crate::contract::Contract;
use crate::dates::{end_of, local_date};
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, ContractId, LearnerId, PoolId};
use crate::learner::{Seat, SeatStatus};
use crate::ports::{
    Catalog, Clock, CodeBook, IdSource, Ledger, People, PoolStanding, Proofs, Rounds,
};
use crate::records::{
    CohortStanding, Differs, Invitee, KeptRound, Recorded, RecordedSeat, Round, Stage, Tally,
    UnderWay,
};
use crate::secrets::Keys;

/// Most clients whose round one run goes on with.
const CLIENTS: u16 = 50;
/// Most readings of one run, each of at most a megabyte. A client without anybody takes 128.
const READINGS: u32 = 128 * CLIENTS as u32;
/// Most pools that one run compares.
const POOLS: u32 = 500;
/// When a round begins that is to find again what the one before found.
const CONFIRM_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// How long a seat that ended with its contract is left to a renewal that comes late: until the next round, since
/// no day is shorter. Nobody else could be given it.
const LATE_RENEWAL: SignedDuration = SignedDuration::from_hours(23);
/// When a pool that is busy, or wrong, is looked at again, and whoever could not be dealt with.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Looks at a pool before it counts as too busy.
const LOOKS: u32 = 3;

/// What a run did.
#[derive(Debug, Default)]
pub struct RecordsProven {
    /// Clients whose round came to its end.
    pub rounds: u32,
    /// Readings of records.
    pub readings: u32,
    /// Looks at pools, to compare them.
    pub comparisons: u32,
    /// Pools whose records agree with their trail.
    pub pools_proven: u32,
    /// Pools that were too busy to be compared.
    pub pools_busy: u32,
    /// Seats let go because their last day was over.
    pub seats_ended: u32,
    /// Seats taken back because nobody used them.
    pub seats_reclaimed: u32,
    /// People erased because their deletion date had come.
    pub learners_erased: u32,
    /// Mails owed of deletion dates that come.
    pub notices_owed: u32,
    /// Pools that did not agree for the first time.
    pub pools_suspected: u32,
    /// Pools that do not agree.
    pub mismatches: Vec<RecordMismatch>,
    /// What could not be done; the next run tries again.
    pub troubles: Vec<(Option<ClientId>, StoreError)>,
}

/// A pool whose records say something else than its trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMismatch {
    /// Whose.
    pub client_id: ClientId,
    /// Which.
    pub pool: PoolId,
    /// The instant at which both were compared.
    pub cut: Timestamp,
    /// What differs.
    pub differs: Vec<Differs>,
}

/// What it needs of the store.
pub trait RecordPorts: Proofs + Rounds + CodeBook + Ledger + Catalog + People {}
impl<P: Proofs + Rounds + CodeBook + Ledger + Catalog + People> RecordPorts for P {}

/// What a pool's comparison came to.
enum Compared {
    /// It agrees.
    Agrees,
    /// It did not hold still, or too much is uncertain.
    Busy,
    /// It does not agree.
    Differs(Vec<Differs>),
}

impl fmt::Display for RecordMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, one) in self.differs.iter().enumerate() {
            let join = if place == 0 { "" } else { ", " };
            write!(f, "{join}{} {} against {}", one.what, one.told, one.recorded)?;
        }
        Ok(())
    }
}

/// Goes on with the rounds that are due, until `until` at most. Two runs at once do no harm: what
/// the slower one has read is thrown away.
pub async fn prove_records(
    ports: &impl RecordPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    until: Timestamp,
) -> RecordsProven {
    let mut proven = RecordsProven::default();
    let due = match ports.due_rounds(clock.now(), CLIENTS).await {
        Ok(due) => due,
        Err(error) => {
            proven.troubles.push((None, error));
            return proven;
        }
    };
    for client in due {
        let is_spent = proven.readings >= READINGS || proven.comparisons >= POOLS;
        if is_spent || clock.now() >= until {
            break;
        }
        let went_on = match ports.client(&client).await {
            Ok(owner) => {
                let run = Run { ports, clock, ids, keys, client: &client, owner, until };
                run.go_on(&mut proven).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = went_on {
            proven.troubles.push((Some(client), error));
        }
    }
    proven
}

/// One client's round in this run.
struct Run<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    keys: &'a Keys,
    client: &'a ClientId,
    owner: Option<Client>,
    until: Timestamp,
}

impl<P: RecordPorts, C: Clock, I: IdSource> Run<'_, P, C, I> {
    async fn go_on(&self, proven: &mut RecordsProven) -> Result<(), StoreError> {
        let Some(kept) = self.ports.round(self.client).await? else { return Ok(()) };
        let mut round = kept.round.under_way.clone().unwrap_or_else(|| UnderWay {
            cut: self.clock.now() - SETTLED_AFTER,
            stage: Stage::Reading(None),
            tallies: BTreeMap::new(),
            told: BTreeMap::new(),
            found: BTreeMap::new(),
            met_trouble: false,
        });
        let done = self.take_further(proven, &mut round).await;
        if let Ok(Some(pools)) = done {
            return self.finish(proven, &kept, round, &pools).await;
        }
        // What was read and compared stays, also if the next step failed.
        let round = Round { under_way: Some(round), suspected: kept.round.suspected.clone() };
        self.ports.keep_round(self.client, &kept, &round, self.clock.now()).await?;
        done.map(drop)
    }

    /// Takes a round as far as it gets in this run; the client's pools once they all are compared.
    async fn take_further(
        &self,
        proven: &mut RecordsProven,
        round: &mut UnderWay,
    ) -> Result<Option<Vec<(PoolId, Option<ContractId>)>>, StoreError> {
        if !self.read_all(proven, round).await? {
            return Ok(None);
        }
        let mut pools = self.ports.client_pools(self.client).await?;
        pools.sort_unstable();
        let all = self.compare_all(proven, round, &pools).await?;
        Ok(all.then_some(pools))
    }

    /// Goes on reading; whether all is read.
    async fn read_all(
        &self,
        proven: &mut RecordsProven,
        round: &mut UnderWay,
    ) -> Result<bool, StoreError> {
        while let Stage::Reading(cursor) = &round.stage {
            if proven.readings >= READINGS {
                return Ok(false);
            }
            let troubles = proven.troubles.len();
            let found = self.read(proven, cursor.as_deref()).await?;
            round.met_trouble |= proven.troubles.len() > troubles;
            let Some(found) = found else { return Ok(false) };
            proven.readings += 1;
            let next = self.count(&mut round.tallies, round.cut, found);
            round.stage = next.map_or_else(Stage::comparing, |next| Stage::Reading(Some(next)));
        }
        Ok(true)
    }

    /// One reading, of which every seat that is over, or that nobody uses, was let go; `None` if there was no time for that.
    async fn read(
        &self,
        proven: &mut RecordsProven,
        cursor: Option<&str>,
    ) -> Result<Option<Recorded>, StoreError> {
        if self.clock.now() >= self.until {
            return Ok(None);
        }
        let found = self.ports.recorded(self.client, cursor).await?;
        let now = self.clock.now();
        let is_over =
            |one: &&RecordedSeat| one.seat.is_live() && (ends(one, now) || is_unused(one, now));
        let mut contracts: BTreeMap<PoolId, Option<Contract>> = BTreeMap::new();
        for over in found.seats.iter().filter(is_over) {
            if self.clock.now() >= self.until {
                return Ok(None);
            }
            let contract = match contracts.entry(over.pool) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(contract_of(self.ports, self.client, over.pool).await?)
                }
            };
            let Some(contract) = contract else { continue };
            if self.is_left_to_a_renewal(&over.seat, contract, now) {
                continue;
            }
            let place = (self.client, &*contract);
            let (ports, clock, ids) = (self.ports, self.clock, self.ids);
            let (who, pool) = (over.learner_id, over.pool);
            let gone = if ends(over, now) {
                let ended = end_seat(ports, clock, ids, place, who, pool).await;
                ended.map(|ended| proven.seats_ended += u32::from(ended))
            } else {
                let back = take_back_unused(ports, clock, ids, place, who, pool).await;
                back.map(|back| proven.seats_reclaimed += u32::from(back))
            };
            if let Err(error) = gone {
                proven.troubles.push((Some(self.client.clone()), error));
            }
        }
        if self.leave(proven, &found.leaving).await? { Ok(Some(found)) } else { Ok(None) }
    }

    /// Tells of deletion dates that come, and erases those whose date is there; whether there was time
    /// for all of them.
    async fn leave(
        &self,
        proven: &mut RecordsProven,
        leaving: &[(LearnerId, Date)],
    ) -> Result<bool, StoreError> {
        if leaving.is_empty() {
            return Ok(true);
        }
        let Some(owner) = &self.owner else { return Ok(true) };
        let mut days: BTreeMap<Date, Stands> = BTreeMap::new();
        for (learner, on) in leaving {
            if self.clock.now() >= self.until {
                return Ok(false);
            }
            let (ports, clock, ids) = (self.ports, self.clock, self.ids);
            let stands = match days.entry(*on) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    let day = deletion_day(ports, clock, ids, owner, *on).await?;
                    proven.notices_owed += day.notices_owed;
                    *place.insert(day.stands)
                }
            };
            if stands == Stands::Far || !self.may_leave(*learner, *on, stands).await? {
                continue;
            }
            let (actor, op) = (Actor::System, Op { id: ids.uuid(), guard: None });
            let (keys, client) = (self.keys, self.client);
            match erase_learner(ports, clock, ids, keys, actor, op, client, *learner).await {
                Ok(_) => proven.learners_erased += 1,
                Err(EraseLearnerError::Unknown) => {}
                Err(EraseLearnerError::Store(error)) => {
                    proven.troubles.push((Some(self.client.clone()), error));
                }
            }
        }
        Ok(true)
    }

    /// Whether a learner whose date is near is to be erased now. What the notice says of a day, it says of
    /// whoever has it then: who is given that day later stays as long from then on.
    async fn may_leave(
        &self,
        learner: LearnerId,
        on: Date,
        stands: Stands,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        // What was read may be old: somebody may have been kept by another date.
        let since = self.ports.leaving_since(self.client, learner, on, now).await?;
        Ok(match stands {
            Stands::Far | Stands::Near => false,
            Stands::Come => since.is_some_and(|since| since + NOTICE <= now),
            Stands::ComeUntold => since.is_some(),
        })
    }

    /// Counts what a reading found; where the next one begins.
    fn count(
        &self,
        tallies: &mut BTreeMap<PoolId, Tally>,
        cut: Timestamp,
        found: Recorded,
    ) -> Option<String> {
        for seat in &found.seats {
            tallies.entry(seat.pool).or_default().count_seat(seat, cut);
        }
        for hold in &found.holds {
            let learner = match &hold.invitee {
                Invitee::Address(email) => self.keys.learner_id(self.client, email),
                Invitee::Erased(learner) => *learner,
            };
            tallies.entry(hold.pool).or_default().count_hold(hold, learner, cut);
        }
        found.next
    }

    /// Goes on comparing; whether every pool is compared.
    async fn compare_all(
        &self,
        proven: &mut RecordsProven,
        round: &mut UnderWay,
        pools: &[(PoolId, Option<ContractId>)],
    ) -> Result<bool, StoreError> {
        for (pool, _) in pools {
            if round.is_behind(*pool) {
                continue;
            }
            if self.clock.now() >= self.until || proven.comparisons >= POOLS {
                return Ok(false);
            }
            proven.comparisons += 1;
            let tally = round.tallies.get(pool).cloned().unwrap_or_default();
            let compared = self.compare(*pool, &tally, round).await?;
            round.note_compared(*pool, matches!(compared, Compared::Busy));
            if let Compared::Differs(differs) = compared {
                round.found.insert(*pool, differs);
            }
        }
        // What is left belongs to no pool.
        for (pool, tally) in &round.tallies {
            let recorded = tally.held + tally.used + tally.scheduled.values().sum::<u64>();
            if recorded > 0 {
                let what = "a pool that is not there".to_owned();
                round
                    .found
                    .insert(*pool, vec![Differs { what, told: 0, recorded: signed(recorded) }]);
            }
        }
        for (contract, allocated) in allocations(round, pools) {
            let told = round.told.get(&contract).map_or(0, |told| told.allocated);
            if let Some(recorded) = allocated.filter(|recorded| *recorded != told) {
                let differs = Differs { what: "allocated".to_owned(), told, recorded };
                round.found.entry(contract).or_default().push(differs);
            }
        }
        Ok(true)
    }

    async fn compare(
        &self,
        pool: PoolId,
        tally: &Tally,
        round: &mut UnderWay,
    ) -> Result<Compared, StoreError> {
        let known = self.ports.proof(self.client, pool).await?;
        let cut = round.cut;
        let mut still = None;
        for _ in 0..LOOKS {
            match look(self.ports, self.client, pool, known, (cut, Some(cut))).await? {
                Look::Still(standing, read) => {
                    still = Some((standing, read));
                    break;
                }
                Look::Moved => {}
                Look::Gone | Look::Long(_) => return Ok(Compared::Busy),
            }
        }
        let Some((standing, read)) = still else { return Ok(Compared::Busy) };
        let Some(told) = read.at_cut else { return Ok(Compared::Busy) };
        round.told.insert(pool, told);
        if tally.is_crowded() || read.since.imports {
            return Ok(Compared::Busy);
        }
        let in_blocks = self.in_blocks(&standing, &read).await?;
        let cohorts = self.ports.cohorts(self.client, pool).await?;
        let (waiting, opened) = split(tally, &cohorts, cut);
        let held = Differs {
            what: "held".to_owned(),
            told: told.held,
            recorded: signed(tally.held + waiting) + in_blocks,
        };
        let used = Differs {
            what: "used".to_owned(),
            told: told.used,
            recorded: signed(tally.used + opened),
        };
        let mut differs = wrong_cohorts(tally, &cohorts, cut);
        let doubts = doubts(tally, &read);
        let off = |one: &Differs| one.told.abs_diff(one.recorded);
        let uncertain = doubts > 0 && off(&held) + off(&used) <= 2 * doubts;
        if uncertain && differs.is_empty() {
            return Ok(Compared::Busy);
        }
        differs.extend([held, used].into_iter().filter(|one| off(one) > 0));
        Ok(if differs.is_empty() { Compared::Agrees } else { Compared::Differs(differs) })
    }

    /// Seats that stood in open blocks at the cut: those that do now, and those that left since.
    async fn in_blocks(&self, standing: &PoolStanding, read: &AddedUp) -> Result<i64, StoreError> {
        let mut seats = signed(standing.blocks.iter().map(|block| block.rem).sum());
        seats += read.since.left_blocks.values().sum::<i64>();
        for (owner, redeemed) in &read.since.redeemed {
            let Ok(batch) = owner.parse::<BatchId>() else { continue };
            let batch = self.ports.batch(self.client, batch).await?;
            if batch.is_some_and(|batch| batch.has_block()) {
                seats += redeemed;
            }
        }
        Ok(seats)
    }

    async fn finish(
        &self,
        proven: &mut RecordsProven,
        kept: &KeptRound,
        round: UnderWay,
        pools: &[(PoolId, Option<ContractId>)],
    ) -> Result<(), StoreError> {
        let mut confirmed = Vec::new();
        for (pool, differs) in &round.found {
            let before = kept.round.suspected.get(pool).map(Vec::as_slice).unwrap_or_default();
            let again: Vec<_> = differs
                .iter()
                .filter(|one| before.iter().any(|other| one.is_like(other)))
                .cloned()
                .collect();
            if !again.is_empty() {
                let (client_id, cut) = (self.client.clone(), round.cut);
                confirmed.push(RecordMismatch { client_id, pool: *pool, cut, differs: again });
            }
        }
        let wrong = u32::try_from(round.found.len()).unwrap_or(u32::MAX);
        let suspected = wrong - u32::try_from(confirmed.len()).unwrap_or(0);
        let (busy, now) = (round.busy(), self.clock.now());
        // What ends with this day was not over for a round that had begun before.
        let zone = self.zone();
        let next_day = end_of(local_date(round.cut + SETTLED_AFTER, &zone), &zone);
        let again_at = match (suspected, busy, confirmed.len()) {
            (1.., ..) => now + CONFIRM_AFTER,
            (0, 0, 0) if !round.met_trouble => next_day,
            _ => next_day.min(now + AGAIN_AFTER),
        };
        let next = Round { under_way: None, suspected: round.found };
        if self.ports.keep_round(self.client, kept, &next, again_at).await? {
            let all = u32::try_from(pools.len()).unwrap_or(u32::MAX);
            proven.rounds += 1;
            proven.pools_busy += busy;
            proven.pools_suspected += suspected;
            proven.pools_proven += all.saturating_sub(busy + wrong);
            proven.mismatches.extend(confirmed);
        }
        Ok(())
    }

    /// Where the client's days begin and end.
    fn zone(&self) -> TimeZone {
        self.owner.as_ref().map_or(TimeZone::UTC, |owner| owner.time_zone.zone().clone())
    }

    /// Whether a seat ended with its contract, and so lately that a renewal may still take it over.
    fn is_left_to_a_renewal(&self, seat: &Seat, contract: &Contract, now: Timestamp) -> bool {
        let with_contract = seat.ends_at == contract.access_ends_at(&self.zone());
        let lately = |end: Timestamp| end <= now && now < end + LATE_RENEWAL;
        with_contract && seat.ends_at.is_some_and(lately)
    }
}

/// Whether a seat's last day is over.
fn ends(one: &RecordedSeat, now: Timestamp) -> bool {
    one.seat.status(now) == SeatStatus::Ended
}

/// Whether a seat goes back because nobody uses it.
fn is_unused(one: &RecordedSeat, now: Timestamp) -> bool {
    one.reclaimed_at.is_some_and(|at| at <= now)
}

/// Of the seats that were given with a date: how many waited at the cut, and how many were open.
fn split(tally: &Tally, cohorts: &[CohortStanding], cut: Timestamp) -> (u64, u64) {
    let opened = |instant: &Timestamp| {
        let cohort = cohorts.iter().find(|cohort| cohort.instant == *instant);
        cohort.and_then(|cohort| cohort.opened_at).is_some_and(|at| at <= cut)
    };
    let (mut waiting, mut open) = (0, 0);
    for (instant, seats) in &tally.scheduled {
        if opened(instant) { open += seats } else { waiting += seats }
    }
    (waiting, open)
}

/// Cohorts that count others than those who wait for them. One that changed since the cut is left
/// for another time.
fn wrong_cohorts(tally: &Tally, cohorts: &[CohortStanding], cut: Timestamp) -> Vec<Differs> {
    let mut wrong = Vec::new();
    for cohort in cohorts.iter().filter(|cohort| cohort.state == CohortState::Waiting) {
        let recorded = tally.scheduled.get(&cohort.instant).copied().unwrap_or(0);
        if cohort.changed_at.is_some_and(|at| at <= cut) && recorded != cohort.count {
            let (told, recorded) = (signed(cohort.count), signed(recorded));
            wrong.push(Differs { what: format!("cohort {}", cohort.instant), told, recorded });
        }
    }
    for (instant, seats) in &tally.scheduled {
        if *seats > 0 && !cohorts.iter().any(|cohort| cohort.instant == *instant) {
            let what = format!("cohort {instant}");
            wrong.push(Differs { what, told: 0, recorded: signed(*seats) });
        }
    }
    wrong
}

/// How many people may have had another seat or invitation at the cut than their record tells.
fn doubts(tally: &Tally, read: &AddedUp) -> u64 {
    let seats = tally.seat_doubts.intersection(&read.since.seats).count();
    let holds = if read.since.readdressed {
        tally.hold_doubts.len()
    } else {
        tally.hold_doubts.intersection(&read.since.invitations).count()
    };
    (seats + holds) as u64
}

/// What the sublicenses of each contract have in total; `None` if one of them, or the contract
/// itself, is not known.
fn allocations(
    round: &UnderWay,
    pools: &[(PoolId, Option<ContractId>)],
) -> BTreeMap<PoolId, Option<i64>> {
    let mut sums: BTreeMap<PoolId, Option<i64>> = BTreeMap::new();
    for (pool, contract) in pools {
        let Some(contract) = contract.map(PoolId::Contract) else {
            let known = round.told.contains_key(pool);
            sums.entry(*pool)
                .and_modify(|sum| *sum = sum.filter(|_| known))
                .or_insert(known.then_some(0));
            continue;
        };
        let total = round.told.get(pool).map(|told| told.total);
        let sum = sums.entry(contract).or_insert(Some(0));
        *sum = sum.zip(total).map(|(sum, total)| sum + total);
    }
    sums
}

fn signed(seats: u64) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}
