//! Writing the rows: one change a chunk, from the block's cursor on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::actions::ROUNDS;
use crate::actions::add_group::{AddGroupError, add_group};
use crate::actions::import_rows::recall;
use crate::actions::invitations::{expires_at, told_at};
use crate::actions::seating::{Term, cohort_key, new_seat};
use crate::audit::{Action, Actor};
use crate::change::{Block, BlockCursor, Change, Presence, Refused, SeatLearner, Step, StoreError};
use crate::client::Group;
use crate::contract::HoldOn;
use crate::dates::Opening;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{GroupId, LearnerId};
use crate::import::{
    Field, GroupChoice, RawRow, RowError, RowErrorCode, RowRules, RowValues, check_row,
};
use crate::import_run::{ImportRun, Mode, OnExisting, Outcome, RowProblem, RowRecord, Verdict};
use crate::invitation::{Delivery, Grant, Invitation, InvitationStatus, Succession};
use crate::learner::{Credential, Profile, Source, SourceKind};
use crate::outbox::{Letter, MailIntent, Subject};
use crate::password::Password;
use crate::ports::{Clock, Files, IdSource, Sheets};
use crate::row_book::{Chunk, Marks};
use crate::stock::Delta;

use super::check::{Known, Look, Standing, of_row, row_term};
use super::invited::nobody_is_invited;
use super::{
    ImportPorts, Importer, LEASE, MARGIN, RowDefaults, Stop, Work, bits, lost_every_round,
    retryable,
};

/// A chunk while its rows are gone through.
pub(super) struct Draft {
    pub(super) change: Change,
    rows: Vec<RowRecord>,
    /// Who was read before.
    look: Look,
    /// Seats left in the block.
    rem: u64,
    used: u64,
    kept: u64,
    learners: Vec<LearnerId>,
    /// Mails that go out at once.
    mails: Vec<Subject>,
    /// Invitations whose mails wait for the day, by its instant.
    invited_later: BTreeMap<Timestamp, Vec<Subject>>,
    /// Seats that open later, by their instant.
    later: BTreeMap<Timestamp, Cohort>,
}

/// The seats of a chunk that open at one instant.
struct Cohort {
    start_on: Date,
    count: u64,
    mails: Vec<Subject>,
}

/// A row that is to be done.
pub(super) struct ToDo<'a> {
    email: &'a EmailAddress,
    pub(super) values: &'a RowValues,
    /// What is wrong with it by now.
    errors: &'a [RowError],
    pub(super) standing: Standing<'a>,
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Writes every chunk from the cursor on, and gives the block as it then stands.
    pub(super) async fn write(&self, work: &mut Work) -> Result<Block, Stop> {
        let mut rules = self.rules_now(work).await?;
        let (mut block, nobody_invited) = self.outset(work).await?;
        let starts = first_rows(work);
        // A chunk whose rows met somebody whom nobody had looked up.
        let mut met = None;
        let mut lost = 0;
        while block.cursor < work.run.chunks {
            if self.clock.now() + MARGIN > self.deadline {
                return Err(Stop::Deadline);
            }
            self.renew_lease(work).await?;
            let number = block.cursor as usize;
            let (Some(chunk), Some(first)) = (work.chunks.get(number), starts.get(number)) else {
                return Err(missing_chunk());
            };
            let rows = work.rows.get(*first..).unwrap_or_default();
            if rules.create_groups && self.make_groups(work, chunk, rows, &rules).await? {
                rules = self.rules_now(work).await?;
            }
            let look = match met {
                Some(chunk) if chunk == block.cursor => Look::Everyone,
                _ => look(work, chunk, nobody_invited),
            };
            let draft = self.draft(work, &block, chunk, rows, &rules, look).await?;
            match self.ports.apply(&draft.change).await {
                Ok(()) => {
                    lost = 0;
                    block.cursor += 1;
                    (block.used, block.kept) = (block.used + draft.used, block.kept + draft.kept);
                    block.rem = draft.rem;
                    work.chunks[number].rows = draft.rows;
                }
                Err(refused) => {
                    lost += 1;
                    if lost == ROUNDS {
                        return Err(lost_every_round());
                    }
                    let step = match refused {
                        Refused::Step(place) => draft.change.steps.get(place),
                        _ => None,
                    };
                    if look != Look::Everyone && matches!(step, Some(Step::SeatLearner(_))) {
                        met = Some(block.cursor);
                        continue;
                    }
                    retryable(refused)?;
                    let before = block.cursor;
                    block = self.look_again(work).await?;
                    if block.cursor > before {
                        // It had been applied, and its answer was lost.
                        lost = 0;
                    }
                }
            }
        }
        Ok(block)
    }

    /// The block as the writing begins, and whether nobody can be invited to the pool. What was
    /// written before is read in the trail.
    async fn outset(&self, work: &mut Work) -> Result<(Block, bool), Stop> {
        let standing = self.pool_standing(work).await?;
        let nobody_invited = nobody_is_invited(work, &standing);
        let owner = work.run.import_id.to_string();
        let mine = |block: &Block| block.key.owner == owner && block.epoch == work.run.epoch;
        let block = standing.blocks.into_iter().find(mine).ok_or(Stop::Overtaken)?;
        if block.cursor > 0 {
            self.recall(work).await?;
        }
        Ok((block, nobody_invited))
    }

    async fn recall(&self, work: &mut Work) -> Result<(), Stop> {
        let client = &work.ground.client.client_id;
        Ok(recall(self.ports, client, &work.run, &mut work.chunks).await?)
    }

    /// Says that this worker is alive, when half of its lease is over.
    async fn renew_lease(&self, work: &mut Work) -> Result<(), Stop> {
        let now = self.clock.now();
        if work.run.lease_until.is_some_and(|until| until > now + LEASE / 2) {
            return Ok(());
        }
        let client = &work.ground.client.client_id;
        let op = Op { id: self.ids.uuid(), guard: None };
        let mut change = Change::new(client, op, Actor::Import(work.run.import_id), now);
        let mut run = ImportRun { lease_until: Some(now + LEASE), ..work.run.clone() };
        change.put_import(&mut run, work.run.epoch);
        match self.ports.apply(&change).await {
            Ok(()) => work.run = run,
            Err(refused) => {
                retryable(refused)?;
                self.reload(work).await?;
            }
        }
        Ok(())
    }

    /// Makes the groups that rows of a chunk name and nobody has; says whether there were any. A
    /// group is no part of the change that puts people into it: one too many does no harm.
    async fn make_groups(
        &self,
        work: &Work,
        chunk: &Chunk,
        rows: &[RawRow],
        rules: &RowRules,
    ) -> Result<bool, Stop> {
        let mut missing = BTreeMap::new();
        for (record, row) in chunk.rows.iter().zip(rows) {
            let is_written = match record.verdict {
                Verdict::Valid => true,
                Verdict::Existing => work.run.settings.on_existing.changes_accounts(),
                Verdict::Invalid | Verdict::Duplicate => false,
            };
            if !is_written {
                continue;
            }
            for choice in check_row(row, rules).values.groups {
                if let GroupChoice::New(name) = choice {
                    missing.entry(Group::folded(&name)).or_insert(name);
                }
            }
        }
        let (client, import) = (&work.ground.client.client_id, work.run.import_id);
        for (folded, name) in &missing {
            let bits = bits(self.keys, "import-group", &[&import.to_string(), folded]);
            let group = Group {
                group_id: GroupId::from_bits(bits),
                name: name.clone(),
                created_at: self.clock.now(),
            };
            let op = Op { id: Uuid::from_u128(bits), guard: None };
            match add_group(self.ports, Actor::Import(import), op, client, &group).await {
                // Somebody made it meanwhile: that one is meant.
                Ok(()) | Err(AddGroupError::NameTaken) => {}
                Err(AddGroupError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(!missing.is_empty())
    }

    /// Reads import and block again after a refusal, and what was written in the trail.
    async fn look_again(&self, work: &mut Work) -> Result<Block, Stop> {
        self.reload(work).await?;
        let block = self.block(work).await?;
        let block = block.filter(|block| block.epoch == work.run.epoch).ok_or(Stop::Overtaken)?;
        let written = work.chunks.iter().take(block.cursor as usize);
        if written.flat_map(|chunk| &chunk.rows).any(|row| row.outcome.is_none()) {
            self.recall(work).await?;
        }
        Ok(block)
    }

    /// Plans a chunk after a look at those in it who have to be looked at.
    async fn draft(
        &self,
        work: &Work,
        block: &Block,
        chunk: &Chunk,
        rows: &[RawRow],
        rules: &RowRules,
        look: Look,
    ) -> Result<Draft, Stop> {
        let number = chunk.number;
        // A row without its address is a row whose file is gone: it fails below.
        let checked: Vec<_> = chunk
            .rows
            .iter()
            .enumerate()
            .map(|(place, record)| {
                rows.get(place)
                    .filter(|raw| raw.line == record.line)
                    .map(|raw| check_row(raw, rules))
            })
            .collect();
        let emails = checked.iter().flatten().filter_map(|row| row.email.as_ref());
        let known: Known = self.known(&work.ground, emails, look).await?;
        let mut draft = Draft {
            change: self.change(work, "chunk", number),
            rows: Vec::new(),
            look,
            rem: block.rem,
            used: 0,
            kept: 0,
            learners: Vec::new(),
            mails: Vec::new(),
            invited_later: BTreeMap::new(),
            later: BTreeMap::new(),
        };
        for (record, row) in chunk.rows.iter().zip(&checked) {
            let mut record = record.clone();
            let to_do = row.as_ref().and_then(|row| {
                let email = row.email.as_ref()?;
                let standing = self.standing(&work.ground, email, &known);
                Some(ToDo { email, values: &row.values, errors: &row.errors, standing })
            });
            let outcome = self.draft_row(work, &mut draft, &mut record, to_do);
            record.outcome = Some(outcome);
            draft.rows.push(record);
        }
        draft_shared(work, block, chunk, &mut draft);
        Ok(draft)
    }

    /// Decides what comes of a row and adds its steps.
    fn draft_row(
        &self,
        work: &Work,
        draft: &mut Draft,
        record: &mut RowRecord,
        to_do: Option<ToDo<'_>>,
    ) -> Outcome {
        let settings = &work.run.settings;
        match record.verdict {
            Verdict::Invalid => return Outcome::Failed,
            Verdict::Duplicate => return Outcome::Skipped,
            Verdict::Valid | Verdict::Existing => {}
        }
        let Some(to_do) = to_do else {
            record.errors.push(self.file_gone(work));
            return Outcome::Failed;
        };
        if record.verdict == Verdict::Valid && to_do.standing.exists(&work.ground, draft.change.at)
        {
            // Somebody was faster, or had not been looked up.
            record.verdict = Verdict::Existing;
            if settings.on_existing == OnExisting::Error {
                record.verdict = Verdict::Invalid;
                let error = RowError { column: Field::Email, code: RowErrorCode::AlreadyExists };
                record.errors = self.problems(&[error], &work.run.language);
            }
        }
        let is_left_alone =
            record.verdict == Verdict::Existing && !settings.on_existing.changes_accounts();
        if !to_do.errors.is_empty() && !is_left_alone {
            // A day that was good when it was checked is over: nobody gets a seat without it.
            record.errors.extend(self.problems(to_do.errors, &work.run.language));
            return Outcome::Failed;
        }
        match record.verdict {
            Verdict::Invalid | Verdict::Duplicate => Outcome::Failed,
            Verdict::Existing => self.draft_update(work, draft, record, &to_do),
            Verdict::Valid
                if to_do.standing.takes_seat(&work.ground, settings.mode) && draft.rem == 0 =>
            {
                Outcome::NotSeated
            }
            Verdict::Valid => {
                let defaults = RowDefaults::of(settings);
                match row_term(&work.ground, to_do.values, &defaults, draft.change.at) {
                    Err(error) => {
                        record.errors.extend(self.problems(&[of_row(error)], &work.run.language));
                        Outcome::Failed
                    }
                    Ok(term) if to_do.standing.is_seated(settings.mode) => {
                        self.draft_seat(work, draft, record, &to_do, &term)
                    }
                    Ok(_) => draft_invitation(work, draft, &to_do),
                }
            }
        }
    }

    fn file_gone(&self, work: &Work) -> RowProblem {
        let gone = crate::ports::Unreadable { code: "file-gone", line: None, column: None };
        RowProblem {
            column: Field::Email.to_string(),
            code: gone.code.to_owned(),
            detail: self.sheets.whole_file_hint(&gone, &work.run.language),
        }
    }

    fn draft_seat(
        &self,
        work: &Work,
        draft: &mut Draft,
        record: &mut RowRecord,
        to_do: &ToDo<'_>,
        term: &Term,
    ) -> Outcome {
        let ToDo { email, values, standing, .. } = to_do;
        let ground = &work.ground;
        let defaults = RowDefaults::of(&work.run.settings);
        let learner_id = standing.learner_id;
        let source = Source { kind: SourceKind::Import, id: Some(work.run.import_id.to_string()) };
        let has_password = standing.learner.is_some_and(|known| known.credential.is_some());
        let is_new = standing.learner.is_none();
        let serial = standing.learner.map_or(0, |known| known.password_serial);
        let credential = match &values.password {
            _ if has_password => None,
            Some(typed) => Some(Credential { hash: typed.hash(self.ids), must_change: false }),
            None if defaults.generate_password => {
                let client = &ground.client.client_id;
                let password = Password::generated(self.keys, client, learner_id, serial);
                Some(Credential { hash: password.hash(self.ids), must_change: true })
            }
            None => None,
        };
        let letter = match (term.opening, is_new, &credential) {
            (Opening::Later { .. }, _, _) => Letter::AccessOpened,
            (Opening::Now, false, _) => Letter::Added,
            (Opening::Now, true, None) => Letter::AccountCreated,
            (Opening::Now, true, Some(known)) if known.must_change => {
                Letter::AccountCreatedWithPassword
            }
            (Opening::Now, true, Some(_)) => Letter::AccountCreatedToldOtherwise,
        };
        let seat = new_seat(&draft.change, term, source);
        let mail = Subject::Seat {
            learner: learner_id,
            pool: ground.pool,
            op: draft.change.op.id,
            letter,
        };
        draft.change.step(Step::SeatLearner(Box::new(SeatLearner {
            beside: None,
            learner_id,
            email: (*email).clone(),
            profile: profile(values, &defaults),
            credential,
            presence: match (is_new, draft.look) {
                (false, _) => Presence::Existing,
                (true, Look::Everyone) => Presence::New,
                (true, Look::Nobody | Look::Invited) => Presence::Unseen,
            },
            pool: ground.pool,
            seat,
        })));
        record.learner_id = Some(learner_id);
        draft.learners.push(learner_id);
        draft.rem -= 1;
        let told = told(values, &defaults).then_some(mail);
        match term.opening {
            Opening::Now => {
                draft.used += 1;
                draft.mails.extend(told);
                Outcome::Created
            }
            Opening::Later { start_on, instant } => {
                draft.kept += 1;
                let none = Cohort { start_on, count: 0, mails: Vec::new() };
                let cohort = draft.later.entry(instant).or_insert(none);
                cohort.count += 1;
                cohort.mails.extend(told);
                Outcome::Scheduled
            }
        }
    }
}

fn missing_chunk() -> Stop {
    Stop::Store(StoreError::Broken("an import without one of its chunks".to_owned()))
}

/// Whether the person of a row is told by mail.
pub(super) fn told(values: &RowValues, defaults: &RowDefaults) -> bool {
    values.notify.or(defaults.notify).unwrap_or(true)
}

fn groups(values: &RowValues, defaults: &RowDefaults) -> BTreeSet<GroupId> {
    if values.groups.is_empty() {
        return defaults.group_ids.clone();
    }
    let existing = |choice: &GroupChoice| match choice {
        GroupChoice::Existing(id) => Some(*id),
        GroupChoice::New(_) => None,
    };
    values.groups.iter().filter_map(existing).collect()
}

/// The row's own values, or else the import's.
fn own_or<T: Clone + Ord>(own: &[T], default: &BTreeSet<T>) -> BTreeSet<T> {
    if own.is_empty() { default.clone() } else { own.iter().cloned().collect() }
}

/// What a row says of the person; its own values win over the import's.
pub(super) fn profile(values: &RowValues, defaults: &RowDefaults) -> Profile {
    Profile {
        first_name: values.first_name.clone(),
        last_name: values.last_name.clone(),
        language: values.language.clone().or_else(|| defaults.language.clone()),
        roles: own_or(&values.roles, &defaults.roles),
        group_ids: groups(values, defaults),
        labels: own_or(&values.labels, &defaults.labels),
        external_id: values.external_id.clone(),
        additional_info: values
            .additional_info
            .clone()
            .or_else(|| defaults.additional_info.clone()),
        end_on: defaults.end_of(values).0,
        delete_on: values.delete_on.or(defaults.delete_on),
    }
}

/// What an invitation of this row gives. Names are the invited person's own to type. A duration
/// counts from the start that is known now.
fn grant(work: &Work, values: &RowValues, defaults: &RowDefaults, now: Timestamp) -> Grant {
    let start_on = values.start_on.or(defaults.start_on);
    let zone = work.ground.client.time_zone.zone();
    let first = start_on.unwrap_or_else(|| crate::dates::local_date(now, zone));
    let (end_on, duration_days) = defaults.end_of(values);
    let lasting = duration_days
        .and_then(|days| first.checked_add(jiff::Span::new().days(i64::from(days) - 1)).ok());
    let in_contract =
        |day: Date| work.ground.contract.ends_on.map_or(day, |contract_end| day.min(contract_end));
    Grant {
        roles: own_or(&values.roles, &defaults.roles),
        group_ids: groups(values, defaults),
        labels: own_or(&values.labels, &defaults.labels),
        language: values.language.clone().or_else(|| defaults.language.clone()),
        start_on,
        end_on: end_on.or(lasting.map(in_contract)),
        delete_on: values.delete_on.or(defaults.delete_on),
        additional_info: values
            .additional_info
            .clone()
            .or_else(|| defaults.additional_info.clone()),
    }
}

/// The place of each chunk's first row in the file.
fn first_rows(work: &Work) -> Vec<usize> {
    let mut next = 0;
    let place = |chunk: &Chunk| {
        let first = next;
        next += chunk.rows.len();
        first
    };
    work.chunks.iter().map(place).collect()
}

fn draft_invitation(work: &Work, draft: &mut Draft, to_do: &ToDo<'_>) -> Outcome {
    let ToDo { email, values, standing, .. } = to_do;
    let ground = &work.ground;
    let defaults = RowDefaults::of(&work.run.settings);
    let at = draft.change.at;
    let over = standing.invitation;
    let held = standing.holds();
    let told = told(values, &defaults);
    let place = standing.invitation_id;
    let Succession { invitation_id, moved_to, version, left } = Succession::at(place, over);
    let grant = grant(work, values, &defaults, at);
    let holds_seat = held || ground.contract.policies.hold_on == HoldOn::Invite;
    let told_at = told_at(ground, &grant, at);
    let invitation = Invitation {
        invitation_id,
        moved_to,
        left,
        email: (*email).clone(),
        status: InvitationStatus::Pending,
        version,
        holds_seat,
        held_since: over.filter(|_| held).map_or(holds_seat.then_some(at), |over| over.held_since),
        contract_id: ground.contract.contract_id,
        sublicense_id: ground.sublicense_id,
        expires_at: expires_at(ground, &grant, at),
        grant,
        redeems: None,
        message: defaults.message.clone(),
        sent_count: u32::from(told),
        last_sent_at: None,
        reminders: 0,
        reminded_at: None,
        reminders_unwanted: false,
        // Whoever hands the link on by other means knows what became of it; we do not.
        delivery: if told { Delivery::Queued } else { Delivery::Unknown },
        gives_up_at: None,
        invited_by: draft.change.actor.to_string(),
        inviter: work.run.inviter.clone(),
        created_at: at,
        op: draft.change.op.id,
    };
    if invitation.holds_seat && !held {
        draft.kept += 1;
        draft.rem -= 1;
    }
    if told {
        let mails = if told_at > at {
            draft.invited_later.entry(told_at).or_default()
        } else {
            &mut draft.mails
        };
        mails.push(Subject::Invitation { invitation: place, version });
    }
    draft.learners.push(standing.learner_id);
    draft.change.step(Step::PutInvitation {
        invitation: Box::new(invitation),
        replaces: over.map(|over| (over.version, over.status)),
    });
    let learner_id = standing.learner_id;
    draft.change.step(Step::NoLiveSeat { learner_id, pool: ground.pool });
    Outcome::Invited
}

/// Whom the rows of a chunk make it necessary to read.
fn look(work: &Work, chunk: &Chunk, nobody_invited: bool) -> Look {
    let settings = &work.run.settings;
    let has_to_be_known = |row: &RowRecord| match row.verdict {
        Verdict::Valid => row.has_account || settings.mode == Mode::Invite,
        Verdict::Existing => settings.on_existing.changes_accounts(),
        Verdict::Invalid | Verdict::Duplicate => false,
    };
    if chunk.rows.iter().any(has_to_be_known) {
        Look::Everyone
    } else if nobody_invited {
        Look::Nobody
    } else {
        Look::Invited
    }
}

/// The steps that all rows of a chunk share.
fn draft_shared(work: &Work, block: &Block, chunk: &Chunk, draft: &mut Draft) {
    let (pool, import) = (work.ground.pool, work.run.import_id);
    let (number, epoch) = (chunk.number, work.run.epoch);
    let rows = u32::try_from(chunk.rows.len()).unwrap_or(u32::MAX);
    let change = &mut draft.change;
    change.step(Step::DrawBlock {
        key: block.key.clone(),
        used: draft.used,
        kept: draft.kept,
        cursor: Some(BlockCursor { lo: number, hi: number + 1, rows, epoch }),
    });
    let delta = Delta::taken_up(i64::try_from(draft.used).unwrap_or(i64::MAX));
    let marks = Marks::written(chunk, &draft.rows);
    let learners = std::mem::take(&mut draft.learners);
    change.audit_rows(pool, delta, Action::ImportChunk, learners, (import, marks));
    let intent = |subjects: Vec<Subject>, cohort, due_at, when: &str| {
        Step::Mail(MailIntent {
            client_id: work.ground.client.client_id.clone(),
            key: format!("import#{import}#{number:05}#{when}"),
            cohort,
            due_at,
            subjects,
            copy_to: None,
        })
    };
    if !draft.mails.is_empty() {
        let mails = std::mem::take(&mut draft.mails);
        change.step(intent(mails, None, change.at, "now"));
    }
    for (instant, mails) in std::mem::take(&mut draft.invited_later) {
        change.step(intent(mails, None, instant, &format!("invited#{}", instant.as_second())));
    }
    for (instant, cohort) in std::mem::take(&mut draft.later) {
        let Cohort { start_on, count, mails } = cohort;
        let key = cohort_key(&work.ground, instant);
        change.step(Step::JoinCohort { key, start_on, count });
        if !mails.is_empty() {
            change.step(intent(mails, Some(pool), instant, "later"));
        }
    }
}
