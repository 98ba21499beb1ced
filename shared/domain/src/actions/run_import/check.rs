//! Checking a file: its rows against the rules, their verdicts, and the chunks they are written in.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::actions::ground::Ground;
use crate::actions::import_rows::{ImportRowsError, judged};
use crate::actions::seating::{Term, TermError, TermRequest, term};
use crate::contract::{ContractStatus, HoldOn};
use crate::dates::{Opening, local_date};
use crate::email::EmailAddress;
use crate::ids::{ClientId, InvitationId, LearnerId, PoolId};
use crate::import::{
    CheckedRow, Field, GroupDirectory, Judge, RawRow, RowError, RowRules, RowValues, Window,
    check_row,
};
use crate::import_run::{
    ImportRun, ImportSettings, Mode, OnExisting, Origin, Outlook, RowProblem, RowRecord, SeatNeed,
    Totals, Verdict,
};
use crate::invitation::Invitation;
use crate::language::Language;
use crate::learner::Learner;
use crate::ports::{Clock, Files, IdSource, Sheets, Unreadable, Upload, UploadRead};
use crate::role::{PrivilegedRoles, Role};
use crate::row_book::{Chunk, RowBook};

use super::settings::rejected;
use super::update::update_of;
use super::write::told;
use super::{ImportPorts, Importer, RowDefaults, Stop, Work};

/// Steps of a chunk that its rows share: block, trail, and the mail that goes out at once.
const SHARED_STEPS: usize = 3;
/// Steps that the rows of a chunk may take.
const ROW_STEPS: usize = crate::change::UNGUARDED_STEPS_MAX - SHARED_STEPS;
/// Most rows of a chunk.
const CHUNK_ROWS: usize = ROW_STEPS;
/// Most bytes of the cells of a chunk: a transaction holds 4 MB.
const CHUNK_BYTES: usize = 1_500_000;

/// Who is there already, by the ids that addresses have.
#[derive(Default)]
pub(super) struct Known {
    learners: HashMap<LearnerId, Learner>,
    invitations: HashMap<InvitationId, Invitation>,
}

/// Whom a worker reads before it writes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody.
    Nobody,
    /// Who is invited to the pool.
    Invited,
    /// Also who has an account.
    Everyone,
}

/// How one person of a row stands to the client and the pool.
pub(super) struct Standing<'a> {
    pub(super) learner_id: LearnerId,
    pub(super) invitation_id: InvitationId,
    pub(super) learner: Option<&'a Learner>,
    pub(super) invitation: Option<&'a Invitation>,
}

impl Standing<'_> {
    /// Whether the person has a seat or a live invitation in the pool.
    pub(super) fn exists(&self, ground: &Ground, now: Timestamp) -> bool {
        let seated = self.learner.is_some_and(|known| known.live_seat(ground.pool).is_some());
        seated || self.invitation.is_some_and(|invitation| invitation.is_live(now))
    }

    /// Whether a row of this person is seated; else it is invited.
    pub(super) fn is_seated(&self, mode: Mode) -> bool {
        mode == Mode::Create || self.learner.is_some()
    }

    /// Whether the row takes a seat out of the block.
    pub(super) fn takes_seat(&self, ground: &Ground, mode: Mode) -> bool {
        self.is_seated(mode)
            || (ground.contract.policies.hold_on == HoldOn::Invite && !self.holds())
    }

    /// The other pools of the client in which the person has a live seat.
    fn other_pools(&self, ground: &Ground) -> Vec<PoolId> {
        let seats = self.learner.iter().flat_map(|known| &known.seats);
        let live = seats.filter(|(pool, seat)| **pool != ground.pool && seat.is_live());
        live.map(|(pool, _)| *pool).collect()
    }

    /// The language in which the person is written to: an account's own comes first, since a seat
    /// fills only its blanks.
    fn language(&self, values: &RowValues, defaults: &RowDefaults, ground: &Ground) -> Language {
        let own = self.learner.and_then(|known| known.profile.language.as_ref());
        own.or(values.language.as_ref())
            .or(defaults.language.as_ref())
            .unwrap_or(&ground.client.default_language)
            .clone()
    }

    /// Whether an invitation whose time ran out holds a seat still.
    pub(super) fn holds(&self) -> bool {
        let pending = crate::invitation::InvitationStatus::Pending;
        self.invitation.is_some_and(|known| known.status == pending && known.holds_seat)
    }
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Reads the file, judges its rows and cuts them into chunks, which are written into a book.
    pub(super) async fn check(&self, work: &mut Work, upload: UploadRead) -> Result<(), Stop> {
        let upload = match upload {
            UploadRead::Read(upload) => upload,
            UploadRead::Gone => return Err(rejected("file-gone")),
            UploadRead::Replaced => return Err(rejected("file-replaced")),
            UploadRead::TooLarge => return Err(rejected("file-too-large")),
        };
        let now = self.clock.now();
        let zone = work.ground.client.time_zone.zone();
        if work.ground.contract.status(now, zone) == ContractStatus::Ended {
            return Err(rejected("contract-ended"));
        }
        let groups = self.groups(&work.ground).await?;
        match work.run.origin {
            Origin::Form => {}
            Origin::Drop => {
                let asked = self.settings(&work.ground, &upload.metadata, &groups).await?;
                work.run.settings = asked.settings;
                work.run.sublicense_id = asked.sublicense_id;
                work.ground.sublicense_id = asked.sublicense_id;
                work.ground.pool = work.run.pool();
                if let Some(language) = RowDefaults::of(&work.run.settings).language {
                    work.run.language = language;
                }
            }
        }
        self.read(work, &upload).map_err(Stop::Rejected)?;
        let rules = self.rules(&work.ground, &work.run, groups);
        work.run.looked_up = !may_go_unseen(&work.run.settings);
        self.judge(work, &rules).await
    }

    /// Judges the rows again, after a look at everyone in them.
    pub(super) async fn judge_again(&self, work: &mut Work) -> Result<(), Stop> {
        let rules = self.rules_now(work).await?;
        work.run.looked_up = true;
        self.judge(work, &rules).await
    }

    /// Reads the file of an import that is being committed; without it, the rows that are left
    /// fail.
    pub(super) async fn read_again(&self, work: &mut Work, upload: UploadRead) -> Result<(), Stop> {
        if let UploadRead::Read(upload) = upload {
            // The file was readable once; a version that reads it no longer finds no rows in it.
            let _ = self.read(work, &upload);
        }
        work.chunks = match judged(self.files, &work.run).await {
            Ok(chunks) => chunks,
            Err(ImportRowsError::Gone) => return Err(book_gone()),
            Err(ImportRowsError::Store(error)) => return Err(error.into()),
        };
        Ok(())
    }

    fn read(&self, work: &mut Work, upload: &Upload) -> Result<(), Unreadable> {
        let mut rows = Vec::new();
        let reading = self.sheets.read(&upload.bytes, self.max_rows, &mut |row| rows.push(row))?;
        work.rows = rows;
        work.run.rows_total = reading.rows;
        work.run.detected = serde_json::to_value(&reading.detected).unwrap_or_default();
        Ok(())
    }

    async fn judge(&self, work: &mut Work, rules: &RowRules) -> Result<(), Stop> {
        let now = self.clock.now();
        let settings = &work.run.settings;
        let defaults = RowDefaults::of(settings);
        let mut checked: Vec<CheckedRow> =
            work.rows.iter().map(|row| check_row(row, rules)).collect();
        let emails = checked.iter().filter_map(|row| row.email.as_ref());
        let look = if work.run.looked_up { Look::Everyone } else { Look::Nobody };
        let known = self.known(&work.ground, emails, look).await?;
        let mut judge = Judge::new(settings.on_existing);
        let mut totals = Totals::default();
        let mut needed = 0;
        let mut outlook = Outlook::default();
        let mut cut = Cut { mode: settings.mode, ..Cut::default() };
        for (raw, row) in work.rows.iter().zip(&mut checked) {
            let standing =
                row.email.as_ref().map(|email| self.standing(&work.ground, email, &known));
            let exists = standing.as_ref().is_some_and(|known| known.exists(&work.ground, now));
            let term = row_term(&work.ground, &row.values, &defaults, now);
            if row.errors.is_empty() {
                let learner = standing.as_ref().and_then(|known| known.learner);
                row.errors.extend(match learner.filter(|_| exists) {
                    Some(learner) => misfit(work, learner, &row.values, now),
                    None if exists => None,
                    None => term.err().map(of_row),
                });
            }
            let judgment = judge.judge(row, |_| exists);
            totals.count_verdict(judgment.verdict);
            let mut record = RowRecord {
                email: row.email.as_ref().map(ToString::to_string),
                errors: self.problems(&row.errors, &work.run.language),
                duplicate_of: judgment.duplicate_of,
                ..RowRecord::judged(row.line, judgment.verdict)
            };
            let (mut steps, mut opening) = (0, None);
            match (judgment.verdict, standing) {
                (Verdict::Valid, Some(standing)) => {
                    record.also_in = standing.other_pools(&work.ground);
                    record.has_account = standing.learner.is_some();
                    outlook.second_seats += u32::from(!record.also_in.is_empty());
                    if told(&row.values, &defaults) {
                        let language = standing.language(&row.values, &defaults, &work.ground);
                        *outlook.mails.entry(language).or_default() += 1;
                    }
                    needed += u64::from(standing.takes_seat(&work.ground, settings.mode));
                    steps = if settings.mode == Mode::Create { 1 } else { 2 };
                    opening = term.ok().map(|term| term.opening);
                }
                (Verdict::Existing, Some(standing)) => {
                    record.learner_id = standing.learner.map(|learner| learner.learner_id);
                    // The trail tells of each end that moves.
                    let ends = row.values.end_on.is_some() || row.values.duration_days.is_some();
                    steps = match settings.on_existing {
                        OnExisting::Skip => 0,
                        _ => 1 + usize::from(ends),
                    };
                }
                _ => {}
            }
            cut.add(record, steps, opening, bytes_of(raw));
        }
        work.chunks = cut.into_chunks();
        let count = u32::try_from(work.chunks.len()).unwrap_or(u32::MAX);
        work.run.chunks = count;
        work.run.totals = totals;
        work.run.outlook = outlook;
        work.run.seats = SeatNeed { needed, ..SeatNeed::default() };
        self.keep_book(work).await
    }

    /// Writes the rows down as they were judged, in this worker's own book.
    async fn keep_book(&self, work: &mut Work) -> Result<(), Stop> {
        let key = RowBook::key(&work.ground.client.client_id, work.run.import_id, work.run.epoch);
        let book = RowBook { chunks: std::mem::take(&mut work.chunks) };
        self.files.keep_book(&key, book.to_bytes()?).await?;
        work.chunks = book.chunks;
        work.run.book_key = Some(key);
        Ok(())
    }

    async fn groups(&self, ground: &Ground) -> Result<GroupDirectory, Stop> {
        let groups = self.ports.groups(&ground.client.client_id).await?;
        Ok(groups.iter().map(|group| (group.group_id, &group.name)).collect())
    }

    /// The rules as they stand now, for the rows of an import under way.
    pub(super) async fn rules_now(&self, work: &Work) -> Result<RowRules, Stop> {
        let groups = self.groups(&work.ground).await?;
        Ok(self.rules(&work.ground, &work.run, groups))
    }

    fn rules(&self, ground: &Ground, run: &ImportRun, groups: GroupDirectory) -> RowRules {
        let contract = &ground.contract;
        RowRules {
            today: local_date(self.clock.now(), ground.client.time_zone.zone()),
            window: Window { starts_on: contract.starts_on, ends_on: contract.ends_on },
            languages: self.languages.clone(),
            groups,
            create_groups: run.settings.create_groups,
            grantable: run.grantable.clone(),
            passwords: self.passwords,
            mode: run.settings.mode,
            date_order: run.settings.date_order,
            defaults: RowDefaults::of(&run.settings).term(),
        }
    }

    /// Looks up who has these addresses, and which of them are invited to the pool.
    pub(super) async fn known<'e>(
        &self,
        ground: &Ground,
        emails: impl Iterator<Item = &'e EmailAddress>,
        look: Look,
    ) -> Result<Known, Stop> {
        if look == Look::Nobody {
            return Ok(Known::default());
        }
        let client = &ground.client.client_id;
        // Each address once: a batch of reads refuses repeated keys.
        let (mut learners, mut invitations) = (BTreeSet::new(), BTreeSet::new());
        for email in emails {
            if look == Look::Everyone {
                learners.insert(self.keys.learner_id(client, email));
            }
            invitations.insert(self.keys.invitation_id(client, ground.pool, email));
        }
        let learners: Vec<_> = learners.into_iter().collect();
        let invitations: Vec<_> = invitations.into_iter().collect();
        let learners = self.ports.learners(client, &learners).await?;
        let invitations = self.ports.invitations(client, &invitations).await?;
        Ok(Known {
            learners: learners.into_iter().map(|known| (known.learner_id, known)).collect(),
            invitations: invitations.into_iter().map(|known| (known.place(), known)).collect(),
        })
    }

    pub(super) fn standing<'k>(
        &self,
        ground: &Ground,
        email: &EmailAddress,
        known: &'k Known,
    ) -> Standing<'k> {
        let client: &ClientId = &ground.client.client_id;
        let learner_id = self.keys.learner_id(client, email);
        let invitation_id = self.keys.invitation_id(client, ground.pool, email);
        Standing {
            learner_id,
            invitation_id,
            learner: known.learners.get(&learner_id),
            invitation: known.invitations.get(&invitation_id),
        }
    }

    pub(super) fn problems(&self, errors: &[RowError], language: &Language) -> Vec<RowProblem> {
        let problem = |error: &RowError| RowProblem {
            column: error.column.to_string(),
            code: error.code.as_str().to_owned(),
            detail: self.sheets.hint(error.code, language).to_owned(),
        };
        errors.iter().map(problem).collect()
    }
}

/// Whether an import can be checked without a look at the people in it: nobody is waiting to see the
/// preview, and whoever has a seat is left alone.
fn may_go_unseen(settings: &ImportSettings) -> bool {
    let left_alone = settings.on_existing == OnExisting::Skip;
    settings.auto_commit && left_alone && settings.mode == Mode::Create
}

/// A book is kept longer than any import takes.
fn book_gone() -> Stop {
    Stop::Store(crate::change::StoreError::Broken("an import without its book of rows".to_owned()))
}

/// What a dropped file may grant. Nobody is signed in to answer for it, so that it makes no
/// administrator of the whole client, whatever the contract lets the client's administrators do;
/// nor an instructor, who belongs to one session's group while a file names groups freely.
pub(super) fn grantable_by_a_drop(policy: PrivilegedRoles) -> BTreeSet<Role> {
    match policy {
        PrivilegedRoles::Vendor => BTreeSet::from([Role::Learner]),
        PrivilegedRoles::ClientAdmin => BTreeSet::from([Role::Learner, Role::GroupAdmin]),
    }
}

/// What of a row does not go with the seat that its person has, if the import changes it.
fn misfit(work: &Work, learner: &Learner, values: &RowValues, now: Timestamp) -> Option<RowError> {
    let over = work.run.settings.on_existing.over()?;
    update_of(&work.ground, over, learner, values, now).err()
}

/// What is wrong with the dates of a row, as its error.
pub(super) fn of_row(error: TermError) -> RowError {
    let named = |field: &&Field| field.as_str() == error.field;
    let column = Field::ALL.iter().find(named).copied().unwrap_or(Field::StartOn);
    RowError { column, code: error.error.into() }
}

/// When the seat of a row opens and ends.
pub(super) fn row_term(
    ground: &Ground,
    values: &RowValues,
    defaults: &RowDefaults,
    now: Timestamp,
) -> Result<Term, TermError> {
    let (end_on, duration_days) = defaults.end_of(values);
    let asked = TermRequest {
        start_on: values.start_on.or(defaults.start_on),
        end_on,
        duration_days,
        delete_on: values.delete_on.or(defaults.delete_on),
    };
    term(ground, &asked, now)
}

fn bytes_of(row: &RawRow) -> usize {
    let cells = Field::ALL.iter().filter_map(|field| row.cells[*field].as_text());
    cells.map(|text| text.len()).sum()
}

/// Steps that a date of its own takes: a cohort and the mail of who joins it; where there may be
/// invited people, their mail too.
fn date_steps(mode: Mode) -> usize {
    match mode {
        Mode::Create => 2,
        Mode::Invite => 3,
    }
}

/// Rows cut into chunks: each is one transaction, however its rows are spread over dates.
#[derive(Default)]
struct Cut {
    mode: Mode,
    done: Vec<Vec<RowRecord>>,
    rows: Vec<RowRecord>,
    openings: BTreeSet<Timestamp>,
    steps: usize,
    bytes: usize,
}

impl Cut {
    fn add(&mut self, record: RowRecord, steps: usize, opening: Option<Opening>, bytes: usize) {
        let later = match opening {
            Some(Opening::Later { instant, .. }) => Some(instant),
            _ => None,
        };
        let dated = |cut: &Self| match later {
            Some(instant) if !cut.openings.contains(&instant) => date_steps(cut.mode),
            _ => 0,
        };
        let full = self.rows.len() == CHUNK_ROWS
            || self.steps + steps + dated(self) > ROW_STEPS
            || self.bytes + bytes > CHUNK_BYTES;
        if full && !self.rows.is_empty() {
            self.done.push(std::mem::take(&mut self.rows));
            self.openings.clear();
            (self.steps, self.bytes) = (0, 0);
        }
        self.steps += steps + dated(self);
        self.bytes += bytes;
        self.openings.extend(later);
        self.rows.push(record);
    }

    fn into_chunks(mut self) -> Vec<Chunk> {
        if !self.rows.is_empty() {
            self.done.push(self.rows);
        }
        (0..).zip(self.done).map(|(number, rows)| Chunk { number, rows }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(line: u32) -> RowRecord {
        RowRecord::judged(line, Verdict::Valid)
    }

    fn later(day: i64) -> Opening {
        Opening::Later {
            start_on: jiff::civil::date(2027, 1, 1),
            instant: Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_chunk_in_order_and_every_chunk_fits_a_transaction(
            rows in proptest::collection::vec((0..3_usize, proptest::option::of(0..200_i64)), 0..400),
            invites in proptest::bool::ANY,
        ) {
            let mode = if invites { Mode::Invite } else { Mode::Create };
            let mut cut = Cut { mode, ..Cut::default() };
            for (line, (steps, day)) in (0..).zip(&rows) {
                cut.add(record(line), *steps, day.map(later), 10_000);
            }
            let chunks = cut.into_chunks();
            let lines: Vec<u32> =
                chunks.iter().flat_map(|chunk| &chunk.rows).map(|row| row.line).collect();
            prop_assert!(lines.iter().copied().eq(0..u32::try_from(rows.len()).unwrap()));
            for chunk in &chunks {
                let of = |row: &RowRecord| rows[row.line as usize];
                let steps: usize = chunk.rows.iter().map(|row| of(row).0).sum();
                let days: BTreeSet<_> = chunk.rows.iter().filter_map(|row| of(row).1).collect();
                prop_assert!(steps + date_steps(mode) * days.len() + SHARED_STEPS <= crate::change::UNGUARDED_STEPS_MAX);
                prop_assert!(chunk.rows.len() <= CHUNK_ROWS);
            }
        }
    }

    #[test]
    fn a_drop_never_makes_an_administrator_of_the_client() {
        for policy in [PrivilegedRoles::Vendor, PrivilegedRoles::ClientAdmin] {
            assert!(!grantable_by_a_drop(policy).contains(&Role::ClientAdmin));
        }
        assert_eq!(grantable_by_a_drop(PrivilegedRoles::Vendor), [Role::Learner].into());
    }
}
