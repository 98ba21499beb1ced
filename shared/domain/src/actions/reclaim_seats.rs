//! Taking back seats that nobody uses: those who have them are warned first, and keep them by coming in.
//!
//! Warning and taking back are far apart. What joins them is a mark on the seat: when its learner was
//! warned, and from when on it goes back. The mark is worth nothing once the learner came in or the
//! account was changed after the warning, which the step that takes the seat back demands too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::client::Client;
use crate::contract::Contract;
use crate::dates::{end_of, local_date};
use crate::idempotency::Op;
use crate::ids::{GroupId, LearnerId, PoolId};
use crate::learner::{Learner, Reclaim, Seat, SeatStatus};
use crate::outbox::{Letter, MailIntent, Subject};
use crate::ports::{Catalog, Clock, IdSource, Ledger, People, Rounds};
use crate::role::Role;
use crate::stock::Delta;

/// Learners of one change, each with a mail.
const CHUNK: usize = 45;

/// Most learners that a preview names.
pub const NAMED_MAX: usize = 1_000;

/// Whose seats are to be taken back.
#[derive(Debug, Clone)]
pub struct ReclaimSeats {
    /// Nobody came in for so many days; who never did, since their seat opened.
    pub unused_days: u32,
    /// How many days whoever has such a seat has to come in.
    pub notice_days: u32,
    /// Learners who are left alone.
    pub except: BTreeSet<LearnerId>,
    /// Labels whose learners are left alone.
    pub except_labels: BTreeSet<String>,
    /// Groups whose learners are left alone.
    pub except_groups: BTreeSet<GroupId>,
    /// Whether it is only asked who that would be.
    pub preview: bool,
}

/// A seat that nobody uses.
#[derive(Debug, Clone)]
pub struct UnusedSeat {
    /// Whose.
    pub learner: Learner,
    /// Where.
    pub pool: PoolId,
    /// When the learner last came in; `None`: never.
    pub entered_at: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Reclaimed {
    /// Seats whose learners are warned by now, and have not come in since.
    pub warned: u64,
    /// Of a preview: whose, [`NAMED_MAX`] at most.
    pub unused: Vec<UnusedSeat>,
    /// Whether everybody was looked at; else time ran out, and the next call goes on.
    pub complete: bool,
}

/// What reclaiming needs of the store.
pub trait ReclaimPorts: Ledger + Catalog + People + Rounds {}
impl<P: Ledger + Catalog + People + Rounds> ReclaimPorts for P {}

/// Warns those whose seats of a contract, or of one of its sublicenses, nobody uses, until `until` at
/// most; a seat that is warned of already stays as it is. Only learners are asked: whoever has another
/// role keeps the seat.
pub async fn reclaim_seats(
    ports: &impl ReclaimPorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    actor: Actor,
    (owner, contract): (&Client, &Contract),
    command: &ReclaimSeats,
    until: Timestamp,
) -> Result<Reclaimed, StoreError> {
    let client = &owner.client_id;
    let sublicenses = ports.sublicenses_of(client, contract.contract_id).await?;
    let own = PoolId::Contract(contract.contract_id);
    let pools = sublicenses.iter().map(|one| PoolId::Sublicense(one.sublicense_id));
    let pools: BTreeSet<PoolId> = pools.chain([own]).collect();
    let reclaim = Reclaiming { ports, clock, ids, actor, owner, command };
    let mut done = Reclaimed::default();
    let mut cursor = None;
    loop {
        let found = ports.recorded(client, cursor.as_deref()).await?;
        let mut people: BTreeMap<PoolId, Vec<LearnerId>> = BTreeMap::new();
        for one in found.seats.iter().filter(|one| pools.contains(&one.pool)) {
            if one.seat.status(clock.now()) == SeatStatus::Active {
                people.entry(one.pool).or_default().push(one.learner_id);
            }
        }
        for (pool, people) in &people {
            for chunk in people.chunks(CHUNK) {
                if clock.now() >= until {
                    return Ok(done);
                }
                reclaim.chunk(*pool, chunk, &mut done).await?;
            }
        }
        match found.next {
            None => return Ok(Reclaimed { complete: true, ..done }),
            next => cursor = next,
        }
    }
}

/// One call: what is the same throughout.
struct Reclaiming<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    actor: Actor,
    owner: &'a Client,
    command: &'a ReclaimSeats,
}

impl<P: ReclaimPorts, C: Clock, I: IdSource> Reclaiming<'_, P, C, I> {
    async fn chunk(
        &self,
        pool: PoolId,
        people: &[LearnerId],
        done: &mut Reclaimed,
    ) -> Result<(), StoreError> {
        let client = &self.owner.client_id;
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let mut learners = self.ports.learners(client, people).await?;
            learners.sort_by_key(|learner| learner.learner_id);
            let waits = |learner: &&Learner| {
                learner.live_seat(pool).is_some_and(|seat| learner.reclaimed_at(seat).is_some())
            };
            let warned = learners.iter().filter(waits).count() as u64;
            let unused: Vec<(&Learner, &Seat)> = learners
                .iter()
                .filter(|learner| !waits(learner))
                .filter_map(|learner| Some((learner, learner.live_seat(pool)?)))
                .filter(|(learner, seat)| self.is_unused(learner, seat, now))
                .collect();
            if self.command.preview {
                done.warned += warned;
                let room = NAMED_MAX.saturating_sub(done.unused.len());
                done.unused.extend(unused.into_iter().take(room).map(|(learner, _)| UnusedSeat {
                    learner: learner.clone(),
                    pool,
                    entered_at: learner.entered_at,
                }));
                return Ok(());
            }
            let all = warned + unused.len() as u64;
            if unused.is_empty() {
                done.warned += all;
                return Ok(());
            }
            let change = self.plan(pool, &unused, now);
            match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
                Ok(()) | Err(Met::Repeated) => {
                    done.warned += all;
                    return Ok(());
                }
                // Somebody came in, was changed, or lost the seat meanwhile.
                Err(Met::Raced(_) | Met::NoSeats) => {}
                Err(Met::Failed(error)) => return Err(error),
            }
        }
        Err(gave_up())
    }

    fn is_unused(&self, learner: &Learner, seat: &Seat, now: Timestamp) -> bool {
        let ReclaimSeats { unused_days, except, except_labels, except_groups, .. } = self.command;
        let profile = &learner.profile;
        let asked = profile.roles.iter().all(|role| *role == Role::Learner)
            && !except.contains(&learner.learner_id)
            && except_labels.is_disjoint(&profile.labels)
            && except_groups.is_disjoint(&profile.group_ids);
        let since = learner.entered_at.max(seat.used_at(now));
        let span = SignedDuration::from_hours(24 * i64::from(*unused_days));
        // Whoever is kept out cannot come in.
        let open = learner.seat_status(seat, now) == SeatStatus::Active;
        asked && open && since.is_some_and(|since| since + span <= now)
    }

    /// The marks, and the mails that tell of them.
    fn plan(&self, pool: PoolId, unused: &[(&Learner, &Seat)], now: Timestamp) -> Change {
        let op = Op { id: self.ids.uuid(), guard: None };
        let client = &self.owner.client_id;
        let mut change = Change::new(client, op, self.actor.clone(), now);
        let zone = self.owner.time_zone.zone();
        let days = jiff::Span::new().days(i64::from(self.command.notice_days));
        // They have the whole of the last day.
        let at = end_of(local_date(now, zone).saturating_add(days), zone);
        for (learner, seat) in unused {
            let learner_id = learner.learner_id;
            let seen = seat.reclaim.map(|reclaim| reclaim.warned_at);
            let reclaim = Reclaim { warned_at: now, at };
            change.step(Step::MarkUnused { learner_id, pool, op: seat.op, seen, reclaim });
            let before = seen.map_or_else(|| "-".to_owned(), |seen| seen.to_string());
            change.step(Step::Mail(MailIntent {
                client_id: client.clone(),
                // By what was seen: of two who warn at once, one does.
                key: format!("unused#{learner_id}#{pool}#{}#{before}", seat.op.simple()),
                cohort: None,
                due_at: now,
                subjects: vec![Subject::Seat {
                    learner: learner_id,
                    pool,
                    op: seat.op,
                    letter: Letter::SeatUnused,
                }],
                copy_to: None,
            }));
        }
        let who: Vec<LearnerId> = unused.iter().map(|(learner, _)| learner.learner_id).collect();
        change.audit(pool, Delta::default(), Action::SeatUnused, &who, Some(at.to_string()));
        change
    }
}
