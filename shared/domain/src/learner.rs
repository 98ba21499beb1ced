//! Learners and their seats.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amend::Amend;
use crate::email::EmailAddress;
use crate::ids::{GroupId, LearnerId, PoolId};
use crate::invitation::Delivery;
use crate::language::Language;
use crate::password::PasswordHash;
use crate::role::Role;

/// A person of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Learner {
    /// Derived from client and address.
    pub learner_id: LearnerId,
    /// The normalized address.
    pub email: EmailAddress,
    /// What is known of the person.
    pub profile: Profile,
    /// The password, once there is one.
    pub credential: Option<Credential>,
    /// How often a set-password link was used up; a link of an earlier serial is dead. Whoever comes
    /// after somebody who was erased begins at the next multiple of [`SERIALS`].
    pub password_serial: u64,
    /// How many seats this account was given, those of erased people before it included: an erasure
    /// demands that no more were given since it looked.
    pub given: u32,
    /// What is known of the last mail to the person; `None` before the first.
    pub delivery: Option<Delivery>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the learner last came in: signed in, chose a password, or arrived by single sign-on.
    pub entered_at: Option<Timestamp>,
    /// When an administrator or an import last changed the profile.
    pub changed_at: Option<Timestamp>,
    /// Since when access is suspended, if it is.
    pub suspended_at: Option<Timestamp>,
    /// One seat a pool: the live one, or the last.
    pub seats: BTreeMap<PoolId, Seat>,
}

/// Password serials of one person. They fit a link's 32 bits, whoever came before.
pub const SERIALS: u64 = 1 << 20;

/// What is known of a person. A blank is `None`, never an empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The language of pages and mails.
    pub language: Option<Language>,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// The groups the person is in.
    pub group_ids: BTreeSet<GroupId>,
    /// Free labels.
    pub labels: BTreeSet<String>,
    /// The client's own id of the person.
    pub external_id: Option<String>,
    /// Kept and exported, shown nowhere.
    pub additional_info: Option<String>,
    /// Last day of access.
    pub end_on: Option<Date>,
    /// Day the account is erased.
    pub delete_on: Option<Date>,
}

/// What changes in a profile; a set is replaced whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// Given name.
    pub first_name: Amend<String>,
    /// Family name.
    pub last_name: Amend<String>,
    /// The language of pages and mails.
    pub language: Amend<Language>,
    /// What the person may do.
    pub roles: Option<BTreeSet<Role>>,
    /// The groups the person is in.
    pub group_ids: Option<BTreeSet<GroupId>>,
    /// Free labels.
    pub labels: Option<BTreeSet<String>>,
    /// The client's own id of the person.
    pub external_id: Amend<String>,
    /// Kept and exported, shown nowhere.
    pub additional_info: Amend<String>,
    /// Last day of access.
    pub end_on: Amend<Date>,
    /// Day the account is erased.
    pub delete_on: Amend<Date>,
    /// Whether access is suspended.
    pub suspended: Option<bool>,
}

impl ProfileChange {
    /// Changes a profile.
    pub fn apply(self, to: &mut Profile) {
        to.first_name = self.first_name.of(to.first_name.take());
        to.last_name = self.last_name.of(to.last_name.take());
        to.language = self.language.of(to.language.take());
        to.external_id = self.external_id.of(to.external_id.take());
        to.additional_info = self.additional_info.of(to.additional_info.take());
        to.end_on = self.end_on.of(to.end_on);
        to.delete_on = self.delete_on.of(to.delete_on);
        to.roles = self.roles.unwrap_or_else(|| std::mem::take(&mut to.roles));
        to.group_ids = self.group_ids.unwrap_or_else(|| std::mem::take(&mut to.group_ids));
        to.labels = self.labels.unwrap_or_else(|| std::mem::take(&mut to.labels));
    }
}

/// A stored password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its hash.
    pub hash: PasswordHash,
    /// Whether it was generated and has to be changed at the next sign-in.
    pub must_change: bool,
}

/// Where a seat came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The way.
    pub kind: SourceKind,
    /// The invitation, import or batch; `None` for a single creation.
    pub id: Option<String>,
}

/// The ways to a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// An accepted invitation.
    Invite,
    /// A created account.
    Create,
    /// A row of an import.
    Import,
    /// A redeemed code.
    Code,
    /// Single sign-on.
    Sso,
    /// Taken over from someone else.
    Transfer,
}

/// A seat of a learner in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Where it stands.
    pub state: SeatState,
    /// The local day it opens, if that was given.
    pub starts_on: Option<Date>,
    /// When it was promised.
    pub held_at: Option<Timestamp>,
    /// When access ends, if before the contract does.
    pub ends_at: Option<Timestamp>,
    /// Where it came from.
    pub source: Source,
    /// The operation that gave it; tells a repeated write from a second one.
    pub op: Uuid,
    /// That it goes back unless its learner comes in, if they were warned of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim: Option<Reclaim>,
    /// The operation that gave the seat of the contract before, if this one was carried over from it:
    /// mails of that one that are still to go out tell of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_from: Option<Uuid>,
}

/// A warning that a seat goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaim {
    /// When its learner was warned.
    pub warned_at: Timestamp,
    /// From when on it goes back.
    pub at: Timestamp,
}

/// Where a seat stands, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SeatState {
    /// Held; opens with its cohort at this instant. The record does not change when it does: a
    /// cohort of any size opens with one movement of the counters.
    Scheduled {
        /// The instant of the cohort.
        opens_at: Timestamp,
    },
    /// In use since this instant.
    Active {
        /// When it was taken.
        used_at: Timestamp,
    },
    /// Given back.
    Released {
        /// When it was in use, if it ever was.
        used_at: Option<Timestamp>,
        /// When it was given back.
        released_at: Timestamp,
    },
}

/// Where a seat stands, as it is shown at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    /// It opens later.
    Scheduled,
    /// It is in use.
    Active,
    /// It is in use, and its learner is kept out.
    Suspended,
    /// It is in use but its access is over.
    Ended,
    /// It was given back.
    Released,
}

/// Where a person stands with the client at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnerStatus {
    /// No seat has opened yet.
    Pending,
    /// At least one seat is open.
    Active,
    /// Kept out by an administrator; seats stay taken.
    Suspended,
    /// No seat is live any more.
    Ended,
}

impl Seat {
    /// Whether it counts: a learner has at most one live seat in a pool.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, SeatState::Released { .. })
    }

    /// Where it stands at `now`.
    pub fn status(&self, now: Timestamp) -> SeatStatus {
        match self.state {
            // Let go because its last day was over.
            SeatState::Released { released_at, .. }
                if self.ends_at.is_some_and(|end| end <= released_at) =>
            {
                SeatStatus::Ended
            }
            SeatState::Released { .. } => SeatStatus::Released,
            SeatState::Scheduled { opens_at } if opens_at > now => SeatStatus::Scheduled,
            _ if self.ends_at.is_some_and(|end| end <= now) => SeatStatus::Ended,
            SeatState::Scheduled { .. } | SeatState::Active { .. } => SeatStatus::Active,
        }
    }

    /// The instant it waits for, or waited for: what it was given for a later day keeps that.
    pub fn waits_for(&self) -> Option<Timestamp> {
        match self.state {
            SeatState::Scheduled { opens_at } => Some(opens_at),
            SeatState::Active { .. } | SeatState::Released { .. } => None,
        }
    }

    /// When it opens, or opened; `None`: it was given back before.
    pub fn opens_at(&self) -> Option<Timestamp> {
        match self.state {
            SeatState::Scheduled { opens_at } => Some(opens_at),
            SeatState::Active { used_at } => Some(used_at),
            SeatState::Released { used_at, .. } => used_at,
        }
    }

    /// When it was taken into use, as known at `now`.
    pub fn used_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            SeatState::Scheduled { opens_at } => (opens_at <= now).then_some(opens_at),
            SeatState::Active { used_at } => Some(used_at),
            SeatState::Released { used_at, .. } => used_at,
        }
    }
}

impl Learner {
    /// When a seat goes back that nobody uses; `None`: it does not, or its learner came in, or the
    /// account was changed, after the warning.
    pub fn reclaimed_at(&self, seat: &Seat) -> Option<Timestamp> {
        let Reclaim { warned_at, at } = seat.reclaim?;
        let touched = [self.entered_at, self.changed_at].into_iter().flatten();
        (touched.max().is_none_or(|touched| touched <= warned_at)).then_some(at)
    }

    /// The live seat in this pool.
    pub fn live_seat(&self, pool: PoolId) -> Option<&Seat> {
        self.seats.get(&pool).filter(|seat| seat.is_live())
    }

    /// The live seat that a mail is about: the one that `op` gave in this pool, or the one that it was
    /// carried over to.
    pub fn seat_told_of(&self, pool: PoolId, op: Uuid) -> Option<&Seat> {
        let given = self.live_seat(pool).filter(|seat| seat.op == op);
        let carried = |seat: &&Seat| seat.is_live() && seat.carried_from == Some(op);
        given.or_else(|| self.seats.values().find(carried))
    }

    /// The password serial of whoever comes after this person was erased: every link is dead then.
    pub const fn next_serials(&self) -> u64 {
        (self.password_serial / SERIALS + 1) * SERIALS
    }

    /// Where a seat of this person stands at `now`: an open one is of no use while access is
    /// suspended.
    pub fn seat_status(&self, seat: &Seat, now: Timestamp) -> SeatStatus {
        match seat.status(now) {
            SeatStatus::Active if self.suspended_at.is_some() => SeatStatus::Suspended,
            status => status,
        }
    }

    /// Where the person stands at `now`.
    pub fn status(&self, now: Timestamp) -> LearnerStatus {
        if self.suspended_at.is_some() {
            return LearnerStatus::Suspended;
        }
        let mut scheduled = false;
        for seat in self.seats.values() {
            match seat.status(now) {
                SeatStatus::Active => return LearnerStatus::Active,
                SeatStatus::Scheduled => scheduled = true,
                SeatStatus::Suspended | SeatStatus::Ended | SeatStatus::Released => {}
            }
        }
        if scheduled { LearnerStatus::Pending } else { LearnerStatus::Ended }
    }
}
