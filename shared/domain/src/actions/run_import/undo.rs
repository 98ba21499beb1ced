//! Undoing an import: chunk by chunk, what it gave and nobody used or changed since.
//!
//! The import itself carries the cursor and the epoch, so that each chunk is undone by one change
//! that a worker of before cannot write again. What each seat and invitation was when the import
//! gave it is the condition under which it goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use crate::actions::ROUNDS;
use crate::actions::import_rows::{ImportRowsError, judged, recall};
use crate::actions::open_cohort::{Standing, stand};
use crate::actions::release_seat::released;
use crate::actions::seating::{close, cohort_key};
use crate::actions::settle_blocks::settle_blocks;
use crate::audit::{Action, Actor};
use crate::change::{Change, Refused, Step, StoreError};
use crate::email::EmailAddress;
use crate::ids::{InvitationId, LearnerId};
use crate::import_run::{ImportRun, ImportStatus, Outcome, RowRecord, Undo};
use crate::invitation::{Invitation, InvitationStatus};
use crate::learner::{Learner, Seat, SeatState};
use crate::ports::{Clock, Files, IdSource, Sheets};
use crate::row_book::{Chunk, Marks};
use crate::stock::Delta;

use super::{ImportPorts, Importer, LEASE, MARGIN, Stop, Work, lost_every_round, retryable};

/// A chunk while its rows are undone.
struct Draft {
    change: Change,
    rows: Vec<RowRecord>,
    run: ImportRun,
    delta: Delta,
    learners: Vec<LearnerId>,
    /// Seats that open later, by their instant.
    waiting: BTreeMap<Timestamp, u64>,
}

/// Everyone a chunk is about, as they are now.
struct Now {
    /// The operation that wrote the chunk.
    op: Uuid,
    learners: HashMap<LearnerId, Learner>,
    invitations: HashMap<InvitationId, Invitation>,
    /// Where the cohorts stand that their seats wait in.
    standing: Standing,
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Undoes every chunk from the cursor on, and ends the import.
    pub(super) async fn undo(&self, mut work: Work) -> Result<ImportStatus, Stop> {
        self.remember(&mut work).await?;
        let mut lost = 0;
        while work.run.undoing.cursor < work.run.chunks {
            if self.clock.now() + MARGIN > self.deadline {
                return Err(Stop::Deadline);
            }
            let draft = self.draft_undo(&work).await?;
            match self.ports.apply(&draft.change).await {
                Ok(()) => {
                    lost = 0;
                    work.run = draft.run;
                }
                Err(refused) => {
                    if let Refused::Step(place) = refused {
                        settle_blocks(self.ports, self.clock, self.ids, &draft.change, place)
                            .await?;
                    }
                    retryable(refused)?;
                    lost += 1;
                    if lost == ROUNDS {
                        return Err(lost_every_round());
                    }
                    let before = work.run.undoing.cursor;
                    self.reload(&mut work).await?;
                    if work.run.undoing.cursor > before {
                        // It had been applied, and its answer was lost.
                        lost = 0;
                    }
                }
            }
        }
        let all = work.run.undoing.kept == 0;
        let status = if all { ImportStatus::Undone } else { ImportStatus::PartlyUndone };
        let change = self.change(&work, "undone", 0);
        work.run.undoing.ended_at = Some(change.at);
        let report = work.run.report_key.clone();
        if self.rest(&mut work, change, status, report).await? {
            Ok(status)
        } else {
            Err(Stop::Overtaken)
        }
    }

    /// Reads what the import did.
    async fn remember(&self, work: &mut Work) -> Result<(), Stop> {
        match judged(self.files, &work.run).await {
            Ok(chunks) => work.chunks = chunks,
            Err(ImportRowsError::Store(error)) => return Err(error.into()),
            Err(ImportRowsError::Gone) => {
                // It went while the undoing waited: nobody can tell any more what is whose.
                let totals = &work.run.totals;
                work.run.undoing.kept = totals.created + totals.scheduled + totals.invited;
                work.run.undoing.cursor = work.run.chunks;
                return Ok(());
            }
        }
        let client = &work.ground.client.client_id;
        Ok(recall(self.ports, client, &work.run, &mut work.chunks).await?)
    }

    /// Plans the undoing of the chunk at the cursor, after a fresh look at everyone in it.
    async fn draft_undo(&self, work: &Work) -> Result<Draft, Stop> {
        let (import, number) = (work.run.import_id, work.run.undoing.cursor);
        let chunk = work.chunks.get(number as usize).cloned();
        let chunk = chunk
            .ok_or_else(|| StoreError::Broken("an import without one of its chunks".to_owned()))?;
        let now = self.look_at(work, &chunk).await?;
        let mut draft = Draft {
            change: self.change(work, "undo", number),
            rows: Vec::new(),
            run: work.run.clone(),
            delta: Delta::default(),
            learners: Vec::new(),
            waiting: BTreeMap::new(),
        };
        draft.change.at = now.standing.at;
        for mut row in chunk.rows {
            row.undo = self.undo_row(work, &mut draft, &now, &row);
            if let Some(undo) = row.undo {
                draft.run.undoing.count(undo);
            }
            draft.rows.push(row);
        }
        for (instant, count) in std::mem::take(&mut draft.waiting) {
            draft.change.step(now.standing.leave(cohort_key(&work.ground, instant), count));
        }
        let (pool, delta) = (work.ground.pool, draft.delta);
        if !delta.is_nothing() {
            draft.change.step(Step::MovePool { pool, delta });
        }
        let marks = Marks::undone(number, &draft.rows);
        let learners = std::mem::take(&mut draft.learners);
        let rows = (import, marks);
        draft.change.audit_rows(pool, delta, Action::ImportUndone, learners, rows);
        draft.run.undoing.cursor += 1;
        draft.run.lease_until = Some(draft.change.at + LEASE);
        draft.change.put_import(&mut draft.run, work.run.epoch);
        Ok(draft)
    }

    /// Reads everyone of a chunk, and opens the cohorts whose instant has come and that nobody has
    /// opened yet.
    async fn look_at(&self, work: &Work, chunk: &Chunk) -> Result<Now, Stop> {
        let client = &work.ground.client.client_id;
        let op = self.op(work.run.import_id, "chunk", chunk.number).id;
        let (mut learners, mut invitations) = (Vec::new(), Vec::new());
        for row in &chunk.rows {
            match row.outcome {
                Some(Outcome::Created | Outcome::Scheduled) => learners.extend(row.learner_id),
                Some(Outcome::Invited) => invitations.extend(self.invitation_of(work, row)),
                _ => {}
            }
        }
        let learners = self.ports.learners(client, &learners).await?;
        let invitations = self.ports.invitations(client, &invitations).await?;
        let pool = work.ground.pool;
        let seats = learners.iter().filter_map(|known| known.live_seat(pool));
        let instants: BTreeSet<Timestamp> =
            seats.filter(|seat| seat.op == op).filter_map(Seat::waits_for).collect();
        let place = (client, pool);
        let standing = stand(self.ports, self.clock, self.ids, place, &instants).await?;
        Ok(Now {
            op,
            learners: learners.into_iter().map(|known| (known.learner_id, known)).collect(),
            invitations: invitations.into_iter().map(|known| (known.place(), known)).collect(),
            standing,
        })
    }

    fn invitation_of(&self, work: &Work, row: &RowRecord) -> Option<InvitationId> {
        let email = EmailAddress::parse(row.email.as_deref()?).ok()?;
        let client = &work.ground.client.client_id;
        Some(self.keys.invitation_id(client, work.ground.pool, &email))
    }

    /// Decides what becomes of a row and adds its steps; `None` if nothing had come of it.
    fn undo_row(&self, work: &Work, draft: &mut Draft, now: &Now, row: &RowRecord) -> Option<Undo> {
        match row.outcome? {
            Outcome::Created | Outcome::Scheduled => {
                let learner = row.learner_id.and_then(|id| now.learners.get(&id));
                Some(learner.map_or(Undo::Undone, |known| undo_seat(work, draft, now, known)))
            }
            Outcome::Invited => {
                let id = self.invitation_of(work, row);
                let invitation = id.and_then(|id| now.invitations.get(&id));
                Some(
                    invitation
                        .map_or(Undo::Undone, |known| self.undo_invitation(work, draft, known)),
                )
            }
            Outcome::Updated => Some(Undo::Updated),
            Outcome::Skipped | Outcome::NotSeated | Outcome::Failed => None,
        }
    }

    fn undo_invitation(&self, work: &Work, draft: &mut Draft, known: &Invitation) -> Undo {
        let mine = Actor::Import(work.run.import_id).to_string();
        match known.status {
            _ if known.invited_by != mine => Undo::Undone,
            InvitationStatus::Accepted => Undo::Accepted,
            // An administrator gave it another address: it is theirs now.
            InvitationStatus::Moved => Undo::Changed,
            InvitationStatus::Pending => {
                close(&mut draft.change, known, InvitationStatus::Cancelled);
                if known.holds_seat {
                    draft.delta = draft.delta.and(Delta::let_go(1));
                }
                let client = &work.ground.client.client_id;
                draft.learners.push(self.keys.learner_id(client, &known.email));
                Undo::Undone
            }
            InvitationStatus::Declined
            | InvitationStatus::Cancelled
            | InvitationStatus::Expired => Undo::Undone,
        }
    }
}

/// Releases the seat that a row gave, if it is still that seat and nobody used or changed the
/// account since.
fn undo_seat(work: &Work, draft: &mut Draft, now: &Now, learner: &Learner) -> Undo {
    let pool = work.ground.pool;
    let Some(seat) = learner.live_seat(pool) else {
        return Undo::Undone;
    };
    let given_at = match seat.state {
        _ if seat.op != now.op => return Undo::Changed,
        SeatState::Active { used_at } => seat.held_at.unwrap_or(used_at),
        SeatState::Scheduled { .. } | SeatState::Released { .. } => {
            seat.held_at.unwrap_or(work.run.created_at)
        }
    };
    if learner.entered_at.is_some_and(|at| at > given_at) {
        return Undo::InUse;
    }
    if learner.changed_at.is_some_and(|at| at > given_at) {
        return Undo::Changed;
    }
    if let Some(opens_at) = seat.waits_for() {
        *draft.waiting.entry(opens_at).or_default() += 1;
    }
    let (delta, gone, given_by) = released(&draft.change, &work.ground.contract, seat);
    draft.delta = draft.delta.and(delta);
    draft.learners.push(learner.learner_id);
    draft.change.step(Step::ReleaseSeat {
        learner_id: learner.learner_id,
        pool,
        op: given_by,
        seat: gone,
        untouched_since: Some(given_at),
        beside: None,
    });
    Undo::Undone
}
