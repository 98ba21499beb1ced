//! The day on which people are erased who have it as their deletion date: those who look after the
//! client hear of it 36 hours before.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};

use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::client::Client;
use crate::dates::instant_of;
use crate::idempotency::Op;
use crate::outbox::{MailIntent, Subject};
use crate::ports::{Clock, IdSource, Ledger, Rounds};

/// How long before those who look after a client are told.
pub(super) const NOTICE: SignedDuration = SignedDuration::from_hours(36);

/// When the next round comes: no day is longer, not even where clocks go back.
const NEXT_ROUND: SignedDuration = SignedDuration::from_hours(25);

/// How a deletion date stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is too far away for this round.
    Far,
    /// Those who look after the client are told, or have been.
    Near,
    /// It has come, and 36 hours have gone by since they were told.
    Come,
    /// It has come, and there is nobody to tell.
    ComeUntold,
}

/// How a deletion date was found.
pub(super) struct DeletionDay {
    /// How it stands.
    pub(super) stands: Stands,
    /// Mails owed because of it by this call.
    pub(super) notices_owed: u32,
}

/// Looks at a deletion date; owes the notice of it when it is near. Nobody is erased within 36 hours
/// of the notice, if there is somebody to tell.
pub(super) async fn deletion_day(
    ports: &(impl Ledger + Rounds),
    clock: &impl Clock,
    ids: &impl IdSource,
    owner: &Client,
    on: Date,
) -> Result<DeletionDay, StoreError> {
    let begins = instant_of(on, Time::midnight(), owner.time_zone.zone());
    let op = Op { id: ids.uuid(), guard: None };
    let mut notices_owed = 0;
    for _ in 0..ROUNDS {
        let now = clock.now();
        if owner.alerts_to.is_empty() {
            let stands = if begins <= now { Stands::ComeUntold } else { Stands::Far };
            return Ok(DeletionDay { stands, notices_owed });
        }
        // The next round may come too late to tell of it.
        if begins > now + NOTICE + NEXT_ROUND {
            return Ok(DeletionDay { stands: Stands::Far, notices_owed });
        }
        if let Some(told_at) = ports.erasure_told(&owner.client_id, on).await? {
            let has_come = begins <= now && told_at + NOTICE <= now;
            let stands = if has_come { Stands::Come } else { Stands::Near };
            return Ok(DeletionDay { stands, notices_owed });
        }
        let change = notice(op, owner, on, (begins, now));
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) => notices_owed = u32::try_from(owner.alerts_to.len()).unwrap_or(u32::MAX),
            // Another run has told of it.
            Err(Met::Repeated | Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}

/// That they are told, and the mails.
fn notice(op: Op, owner: &Client, on: Date, (begins, now): (Timestamp, Timestamp)) -> Change {
    let due_at = now.max(begins - NOTICE);
    let mut change = Change::new(&owner.client_id, op, Actor::System, now);
    change.step(Step::NoteErasure { on, told_at: due_at });
    for (place, to) in owner.alerts_to.iter().cloned().enumerate() {
        change.step(Step::Mail(MailIntent {
            client_id: owner.client_id.clone(),
            key: format!("erasure#{on}#{place}"),
            cohort: None,
            due_at,
            subjects: vec![Subject::Erasure { on, to }],
            copy_to: None,
        }));
    }
    change
}
