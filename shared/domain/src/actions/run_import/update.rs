//! What a row changes of somebody who is there already: the profile, and when the seat in the
//! import's pool ends.

use jiff::Timestamp;

use crate::actions::change_learner::tell_of_ends;
use crate::actions::ground::Ground;
use crate::change::{Over, SeatChange, Step};
use crate::dates::local_date;
use crate::import::{Field, RowError, RowErrorCode, RowValues};
use crate::import_run::{Outcome, RowRecord};
use crate::learner::{Learner, Profile, Seat};
use crate::ports::{Clock, Files, IdSource, Sheets};

use super::write::{Draft, ToDo, profile};
use super::{ImportPorts, Importer, RowDefaults, Work};

/// What a row writes of an account.
pub(super) struct Update {
    profile: Profile,
    seats: Vec<SeatChange>,
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Adds the step that changes the account of a row, if the import changes any.
    pub(super) fn draft_update(
        &self,
        work: &Work,
        draft: &mut Draft,
        record: &mut RowRecord,
        to_do: &ToDo<'_>,
    ) -> Outcome {
        // Someone who is only invited has no account to change yet.
        let (Some(over), Some(learner)) =
            (work.run.settings.on_existing.over(), to_do.standing.learner)
        else {
            return Outcome::Skipped;
        };
        let learner_id = learner.learner_id;
        record.learner_id = Some(learner_id);
        match update_of(&work.ground, over, learner, to_do.values, draft.change.at) {
            Ok(Update { profile, seats }) => {
                let profile = Box::new(profile);
                tell_of_ends(&mut draft.change, learner_id, &seats);
                draft.change.step(Step::UpdateProfile { learner_id, profile, over, seats });
                Outcome::Updated
            }
            Err(error) => {
                // The seat was given another day since the preview.
                record.errors.extend(self.problems(&[error], &work.run.language));
                Outcome::Failed
            }
        }
    }
}

/// What a row writes of this account, or what is wrong with its end.
pub(super) fn update_of(
    ground: &Ground,
    over: Over,
    learner: &Learner,
    values: &RowValues,
    now: Timestamp,
) -> Result<Update, RowError> {
    // The import's defaults are for those whom it brings.
    let mut profile = profile(values, &RowDefaults::default());
    let mut seats = Vec::new();
    if let Some(seat) = learner.live_seat(ground.pool) {
        profile.end_on = None;
        if over == Over::Replacing || ends_as_contracted(ground, learner, seat, now) {
            let end = end_of(ground, seat, values, now)?;
            profile.end_on = end.map(|(last_day, _)| last_day);
            let ends_at = end.map(|(_, ends_at)| ends_at);
            if ends_at.is_some() && ends_at != seat.ends_at {
                let (pool, op, seen_end) = (ground.pool, seat.op, seat.ends_at);
                let seat = Seat { ends_at, ..seat.clone() };
                seats.push(SeatChange { pool, op, seen_end, seat });
            }
        }
    }
    Ok(Update { profile, seats })
}

/// Whether nobody has given the seat an end of its own, be it a last day or a duration.
fn ends_as_contracted(ground: &Ground, learner: &Learner, seat: &Seat, now: Timestamp) -> bool {
    let opens = seat.opens_at().unwrap_or(now);
    let contracted = ground.contract.ends_at(None, None, opens, ground.client.time_zone.zone());
    learner.profile.end_on.is_none() && seat.ends_at == contracted
}

/// The last day that a row gives a seat, and when that is over. A duration counts from the day on
/// which the seat opens or opened, and is kept as the last day that it comes to.
fn end_of(
    ground: &Ground,
    seat: &Seat,
    values: &RowValues,
    now: Timestamp,
) -> Result<Option<(jiff::civil::Date, Timestamp)>, RowError> {
    let (contract, zone) = (&ground.contract, ground.client.time_zone.zone());
    let today = local_date(now, zone);
    let opens = seat.opens_at().unwrap_or(now);
    let ends_at = contract.ends_at(values.end_on, values.duration_days, opens, zone);
    if let Some(end) = values.end_on {
        let checked = contract.check_end(end, seat.starts_on, today);
        checked.map_err(|error| RowError { column: Field::EndOn, code: error.into() })?;
        return Ok(ends_at.map(|ends_at| (end, ends_at)));
    }
    if values.duration_days.is_none() {
        return Ok(None);
    }
    let last_day = |at: Timestamp| local_date(at, zone).yesterday().ok();
    let end = ends_at.and_then(|ends_at| Some((last_day(ends_at)?, ends_at)));
    if end.is_some_and(|(last_day, _)| last_day < today) {
        let (column, code) = (Field::DurationDays, RowErrorCode::EndBeforeStart);
        return Err(RowError { column, code });
    }
    Ok(end)
}
