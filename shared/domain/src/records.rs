//! What the records of a client's seats say of an instant that is past.
//!
//! Counters move while records are read, so the two are never compared as they are now, but as they
//! were at a *cut*: an instant long enough ago that every change planned before it is written. A
//! record carries the instants of its last changes, and so tells what it was then, whenever it is
//! read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::audit::Action;
use crate::cohort::CohortState;
use crate::email::EmailAddress;
use crate::ids::{LearnerId, PoolId};
use crate::invitation::Invitation;
use crate::learner::{Seat, SeatState};
use crate::stock::Delta;

/// Most people of a pool whose record may have been another at the cut, before a round gives up.
const DOUBTS_MAX: usize = 1_000;

/// One reading of records.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Seats, live and released.
    pub seats: Vec<RecordedSeat>,
    /// Who has a deletion date.
    pub leaving: Vec<(LearnerId, Date)>,
    /// Invitations that hold a seat, or did.
    pub holds: Vec<RecordedHold>,
    /// Invitations that wait for an answer.
    pub open: Vec<Invitation>,
    /// Where the next reading begins; `None` at the end.
    pub next: Option<String>,
}

/// A seat as it was read.
#[derive(Debug, Clone)]
pub struct RecordedSeat {
    /// Whose.
    pub learner_id: LearnerId,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Where.
    pub pool: PoolId,
    /// The seat.
    pub seat: Seat,
    /// When it goes back because nobody uses it.
    pub reclaimed_at: Option<Timestamp>,
}

/// Whom an invitation was made for.
#[derive(Debug, Clone)]
pub enum Invitee {
    /// Whoever has this address.
    Address(EmailAddress),
    /// Somebody who was erased.
    Erased(LearnerId),
}

/// What an invitation holds, as it was read.
#[derive(Debug, Clone)]
pub struct RecordedHold {
    /// Who is or was invited.
    pub invitee: Invitee,
    /// Where.
    pub pool: PoolId,
    /// Since when a seat is or was held.
    pub since: Timestamp,
    /// When it was let go or taken up; `None`: it is held still.
    pub until: Option<Timestamp>,
    /// Whether there was never an earlier one of this address in this pool.
    pub first: bool,
}

/// A cohort as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortStanding {
    /// When it opens.
    pub instant: Timestamp,
    /// How many seats wait, or waited.
    pub count: u64,
    /// Whether it has opened.
    pub state: CohortState,
    /// When it did.
    pub opened_at: Option<Timestamp>,
    /// When a seat last joined or left.
    pub changed_at: Option<Timestamp>,
}

/// What a seat was at a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatThen {
    /// Not there, or released.
    None,
    /// In use.
    Used,
    /// Held until this instant.
    Scheduled(Timestamp),
    /// Held until an instant that is forgotten.
    Held,
    /// Not there, unless it had been given and released before.
    Fresh,
}

impl SeatThen {
    /// What a seat was at `cut`, by what it is now.
    pub fn of(seat: &Seat, cut: Timestamp) -> Self {
        let given_after = |at: Option<Timestamp>| at.is_some_and(|at| at > cut);
        match seat.state {
            SeatState::Active { used_at } if used_at > cut => {
                // Its date was brought forward since, or it was given since.
                if seat.held_at.is_some_and(|at| at <= cut) { Self::Held } else { Self::Fresh }
            }
            SeatState::Active { .. } => Self::Used,
            SeatState::Scheduled { .. } if given_after(seat.held_at) => Self::Fresh,
            SeatState::Scheduled { opens_at } => Self::Scheduled(opens_at),
            SeatState::Released { released_at, .. } if released_at <= cut => Self::None,
            SeatState::Released { used_at, .. } => match (seat.held_at, used_at) {
                (Some(held_at), _) if held_at > cut => Self::Fresh,
                // It was given with its date, and its cohort has opened or was about to.
                (Some(_), Some(opened_at)) => Self::Scheduled(opened_at),
                (Some(_), None) => Self::Held,
                (None, used_at) if given_after(used_at) => Self::Fresh,
                (None, _) => Self::Used,
            },
        }
    }
}

/// What the records of one pool come to at the cut.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Seats in use.
    pub used: u64,
    /// Seats held by invitations, and by seats whose instant is forgotten.
    pub held: u64,
    /// Seats given with a date, by its instant.
    pub scheduled: BTreeMap<Timestamp, u64>,
    /// Who was given a seat after the cut and may have had another at the cut.
    pub seat_doubts: BTreeSet<LearnerId>,
    /// Who was invited after the cut and may have been invited at the cut.
    pub hold_doubts: BTreeSet<LearnerId>,
}

impl Tally {
    /// Counts a seat.
    pub fn count_seat(&mut self, found: &RecordedSeat, cut: Timestamp) {
        match SeatThen::of(&found.seat, cut) {
            SeatThen::None => {}
            SeatThen::Used => self.used += 1,
            SeatThen::Scheduled(instant) => *self.scheduled.entry(instant).or_default() += 1,
            SeatThen::Held => self.held += 1,
            // An account that was not there then had no seat.
            SeatThen::Fresh if found.created_at > cut => {}
            SeatThen::Fresh => {
                self.seat_doubts.insert(found.learner_id);
            }
        }
    }

    /// Counts what an invitation of `learner` holds.
    pub fn count_hold(&mut self, found: &RecordedHold, learner: LearnerId, cut: Timestamp) {
        if found.since > cut {
            if !found.first {
                self.hold_doubts.insert(learner);
            }
        } else if found.until.is_none_or(|until| until > cut) {
            self.held += 1;
        }
    }

    /// Whether too much happened since the cut to be sure of anything.
    pub fn is_crowded(&self) -> bool {
        self.seat_doubts.len() > DOUBTS_MAX || self.hold_doubts.len() > DOUBTS_MAX
    }
}

/// Two numbers that had to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// What: `held`, `used`, `allocated`, or a cohort's instant.
    pub what: String,
    /// What the trail and the counters say, or the cohort.
    pub told: i64,
    /// What the records come to.
    pub recorded: i64,
}

impl Differs {
    /// Whether it is the same difference, also if both numbers have moved since.
    pub fn is_like(&self, other: &Self) -> bool {
        self.what == other.what && self.told - self.recorded == other.told - other.recorded
    }
}

/// One reading of all of a client's records, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Round {
    /// What it is about, if it is under way.
    pub under_way: Option<UnderWay>,
    /// What the round before found. Only what two rounds find, of different cuts, is true: a clock
    /// that is wrong by seconds can make a change stand on both sides of one cut.
    pub suspected: BTreeMap<PoolId, Vec<Differs>>,
}

/// A round that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The instant it is about.
    pub cut: Timestamp,
    /// What is left to do.
    pub stage: Stage,
    /// What was read.
    pub tallies: BTreeMap<PoolId, Tally>,
    /// What the trails of pools that were compared come to at the cut.
    pub told: BTreeMap<PoolId, Delta>,
    /// What was found of them.
    pub found: BTreeMap<PoolId, Vec<Differs>>,
    /// Whether a seat or a person that it came by could not be dealt with.
    #[serde(default)]
    pub met_trouble: bool,
}

/// How far a round is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Records are being read; the cursor of the next reading.
    Reading(Option<String>),
    /// All were read; pools are compared, one after the other.
    Comparing {
        /// The last one that was, in the order of their ids.
        after: Option<PoolId>,
        /// How many of them could not be.
        busy: u32,
    },
}

impl Stage {
    /// All were read, and none is compared yet.
    pub fn comparing() -> Self {
        Self::Comparing { after: None, busy: 0 }
    }
}

impl UnderWay {
    /// Whether it is behind this pool: it was compared, or did not exist when its turn came.
    pub fn is_behind(&self, pool: PoolId) -> bool {
        matches!(self.stage, Stage::Comparing { after: Some(after), .. } if pool <= after)
    }

    /// Notes that a pool was compared, or, if it was busy, could not be. What was read of it is not kept.
    pub fn note_compared(&mut self, pool: PoolId, is_busy: bool) {
        self.tallies.remove(&pool);
        if let Stage::Comparing { after, busy } = &mut self.stage {
            *after = Some(pool);
            *busy += u32::from(is_busy);
        }
    }

    /// How many pools could not be compared.
    pub fn busy(&self) -> u32 {
        if let Stage::Comparing { busy, .. } = self.stage { busy } else { 0 }
    }
}

/// A round as its store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRound {
    /// Grows with every change.
    pub version: u64,
    /// The round.
    pub round: Round,
}

/// What an action does to a seat or an invitation that was there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetsGo {
    /// Nothing.
    Nothing,
    /// A learner's seat ends.
    Seat,
    /// An invitation ends, if there was one.
    Invitation,
    /// A learner's seat or an invitation ends.
    Either,
}

impl LetsGo {
    /// What this action does.
    pub fn by(action: Action) -> Self {
        match action {
            Action::SeatReleased
            | Action::SeatEnded
            | Action::SeatReclaimed
            | Action::SeatRescheduled => Self::Seat,
            Action::ImportUndone | Action::SeatTransferred => Self::Either,
            Action::InvitationAccepted
            | Action::InvitationDeclined
            | Action::InvitationCancelled
            | Action::InvitationExpired
            | Action::InvitationCarried
            | Action::SeatGiven
            | Action::SeatScheduled
            | Action::CodeRedeemed
            | Action::CodeProven
            | Action::CodeReturned
            | Action::ImportChunk => Self::Invitation,
            Action::ContractCreated
            | Action::ContractRenewed
            | Action::SeatCarried
            | Action::SeatsAdded
            | Action::SeatsAllocated
            | Action::Invited
            | Action::Reinvited
            | Action::InvitationReaddressed
            | Action::SeatsOpened
            | Action::SeatUnused
            | Action::SeatEndMoved
            | Action::ClockStarted
            | Action::LearnerSuspended
            | Action::LearnerResumed
            | Action::LearnerErased
            | Action::SeatsReserved
            | Action::ReserveReturned
            | Action::CodeHeld
            | Action::CodesSteered
            | Action::CodesDownloaded => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::learner::{Source, SourceKind};

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn seat(state: SeatState, held_at: Option<i64>) -> Seat {
        Seat {
            state,
            starts_on: None,
            held_at: held_at.map(at),
            ends_at: None,
            reclaim: None,
            carried_from: None,
            source: Source { kind: SourceKind::Create, id: None },
            op: Uuid::nil(),
        }
    }

    /// A seat's life: given, perhaps with a date, and perhaps released.
    fn any_life() -> impl Strategy<Value = (i64, Option<i64>, Option<i64>)> {
        (0_i64..50, proptest::option::of(1_i64..60), proptest::option::of(1_i64..60)).prop_map(
            |(given, opens_in, released_in)| {
                (given, opens_in.map(|span| given + span), released_in.map(|span| given + span))
            },
        )
    }

    fn read(given: i64, opens: Option<i64>, released: Option<i64>) -> Seat {
        let held_at = opens.map(|_| given);
        let state = match (opens, released) {
            (None, None) => SeatState::Active { used_at: at(given) },
            (Some(opens), None) => SeatState::Scheduled { opens_at: at(opens) },
            (None, Some(released)) => {
                SeatState::Released { used_at: Some(at(given)), released_at: at(released) }
            }
            (Some(opens), Some(released)) => SeatState::Released {
                used_at: (opens <= released).then(|| at(opens)),
                released_at: at(released),
            },
        };
        seat(state, held_at)
    }

    proptest! {
        #[test]
        fn a_seat_tells_what_it_was_at_every_instant_before(
            (given, opens, released) in any_life(), cut in 0_i64..120
        ) {
            let then = SeatThen::of(&read(given, opens, released), at(cut));
            let there = given <= cut && released.is_none_or(|released| released > cut);
            let expected = match (there, opens) {
                (false, _) if given > cut => SeatThen::Fresh,
                (false, _) => SeatThen::None,
                (true, None) => SeatThen::Used,
                // Released before its day: the day is no longer known, only that it had not come.
                (true, Some(opens)) if released.is_some_and(|released| released < opens) => {
                    SeatThen::Held
                }
                (true, Some(opens)) => SeatThen::Scheduled(at(opens)),
            };
            let released_before = released.is_some_and(|released| released <= cut);
            prop_assert_eq!(then, if released_before { SeatThen::None } else { expected });
        }
    }

    #[test]
    fn an_invitation_counts_from_its_hold_to_its_end() {
        let learner = LearnerId::from_bits(1);
        let held = |since: i64, until: Option<i64>, cut: i64| {
            let found = RecordedHold {
                invitee: Invitee::Address("a@example.fr".parse().expect("an address")),
                pool: "con_01j4x9q8v6tprk2m0d5fzb7nhc".parse().expect("a pool"),
                since: at(since),
                until: until.map(at),
                first: false,
            };
            let mut tally = Tally::default();
            tally.count_hold(&found, learner, at(cut));
            (tally.held, tally.hold_doubts.len())
        };
        assert_eq!(held(5, None, 5), (1, 0));
        assert_eq!(held(5, Some(9), 8), (1, 0));
        assert_eq!(held(5, Some(9), 9), (0, 0));
        assert_eq!(held(5, None, 4), (0, 1), "it may have been held before");
    }
}
