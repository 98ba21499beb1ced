//! Imports: the record of one file's way through.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::{BlockKey, Over};
use crate::ids::{ContractId, ImportId, LearnerId, PoolId, SublicenseId};
use crate::import::DateOrder;
use crate::language::Language;
use crate::role::Role;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Waiting for its file.
    Created,
    /// Its file is being read.
    Checking,
    /// It can be committed.
    Checked,
    /// The file cannot be read.
    Rejected,
    /// Its rows are being written.
    Committing,
    /// Every row has its outcome.
    Completed,
    /// It could be read, but not committed as asked.
    Refused,
    /// It was given up before its commit.
    Cancelled,
    /// What it did is being undone.
    Undoing,
    /// All of it was undone.
    Undone,
    /// Some of it could not be undone.
    PartlyUndone,
}

impl ImportStatus {
    /// Whether nothing happens to it any more by itself.
    pub fn is_at_rest(self) -> bool {
        !matches!(self, Self::Checking | Self::Committing | Self::Undoing)
    }

    /// Whether whoever uploaded the file is told of it by mail: it came about without anybody
    /// looking on, and is an end.
    pub fn is_news(self) -> bool {
        matches!(self, Self::Rejected | Self::Completed | Self::Refused)
    }
}

/// What becomes of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Accounts.
    #[default]
    Create,
    /// Invitations.
    Invite,
}

/// What becomes of people who have a seat already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExisting {
    /// They are left as they are.
    #[default]
    Skip,
    /// Their blanks are filled.
    FillBlank,
    /// Every value given is written.
    Update,
    /// Their row is invalid.
    Error,
}

impl OnExisting {
    /// Whether accounts that are there are written to.
    pub fn changes_accounts(self) -> bool {
        self.over().is_some()
    }

    /// How accounts that are there are written over; `None`: they are not.
    pub fn over(self) -> Option<Over> {
        match self {
            Self::FillBlank => Some(Over::Keeping),
            Self::Update => Some(Over::Replacing),
            Self::Skip | Self::Error => None,
        }
    }
}

/// What happens when rows are invalid or seats too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnShortage {
    /// Nothing at all, unless every row is valid and has a seat.
    None,
    /// Invalid rows are left out; every valid one must have a seat.
    ValidOnly,
    /// Rows in file order until the stock ends.
    Fill,
}

/// A text names no such choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {0}")]
pub struct UnknownChoice(&'static str);

impl FromStr for Mode {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "create" => Ok(Self::Create),
            "invite" => Ok(Self::Invite),
            _ => Err(UnknownChoice("create, invite")),
        }
    }
}

impl FromStr for OnExisting {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "skip" => Ok(Self::Skip),
            "fill_blank" => Ok(Self::FillBlank),
            "update" => Ok(Self::Update),
            "error" => Ok(Self::Error),
            _ => Err(UnknownChoice("skip, fill_blank, update, error")),
        }
    }
}

impl FromStr for OnShortage {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "none" => Ok(Self::None),
            "valid_only" => Ok(Self::ValidOnly),
            "fill" => Ok(Self::Fill),
            _ => Err(UnknownChoice("none, valid_only, fill")),
        }
    }
}

/// How an import came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file was dropped; its settings stand in its metadata.
    #[default]
    Drop,
    /// Somebody asked for a form to upload the file with, and said how.
    Form,
}

/// The object an import reads: bucket version and all, since that is its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// The decoded key.
    pub key: String,
    /// The version, if the bucket keeps versions.
    pub version_id: Option<String>,
    /// What the bytes are known by where it does not.
    #[serde(default)]
    pub etag: Option<String>,
}

/// How an import was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSettings {
    /// What becomes of the rows.
    pub mode: Mode,
    /// What becomes of people who have a seat already.
    pub on_existing: OnExisting,
    /// What happens when rows are invalid or seats too few.
    pub on_shortage: OnShortage,
    /// Whether it is committed as soon as it is checked.
    pub auto_commit: bool,
    /// Whether a group that a row names and nobody has is made.
    #[serde(default)]
    pub create_groups: bool,
    /// How `01/03/2027` is read.
    #[serde(default)]
    pub date_order: DateOrder,
    /// Batch defaults by column; a row's own value wins.
    pub defaults: Value,
}

/// Counts of rows by verdict and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Rows that can be done.
    pub valid: u32,
    /// Rows with errors.
    pub invalid: u32,
    /// Rows whose address an earlier row has.
    pub duplicate: u32,
    /// Rows of people who have a seat.
    pub existing: u32,
    /// Accounts given a seat that is open.
    pub created: u32,
    /// Invitations sent.
    pub invited: u32,
    /// Accounts given a seat that opens later.
    pub scheduled: u32,
    /// Accounts changed.
    pub updated: u32,
    /// Rows left as they were.
    pub skipped: u32,
    /// Rows for which no seat was left.
    pub not_seated: u32,
    /// Rows that could not be done.
    pub failed: u32,
}

/// Seats an import asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeatNeed {
    /// Valid rows.
    pub needed: u64,
    /// Available when it was looked at.
    pub available: u64,
    /// The difference, or 0.
    pub short: u64,
}

impl SeatNeed {
    /// What is needed, against what is available.
    pub fn of(needed: u64, available: u64) -> Self {
        Self { needed, available, short: needed.saturating_sub(available) }
    }
}

/// Most bytes of a file.
pub const FILE_MAX: u64 = 10 * 1024 * 1024;

/// How long an import waits for its file, and then for its commit.
pub const WAITS: SignedDuration = SignedDuration::from_hours(24);

/// One file's way through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRun {
    /// Its id.
    pub import_id: ImportId,
    /// The object it reads.
    pub source: SourceObject,
    /// The contract.
    pub contract_id: ContractId,
    /// The sublicense, if one was named.
    pub sublicense_id: Option<SublicenseId>,
    /// How it was asked for.
    pub settings: ImportSettings,
    /// Where it stands.
    pub status: ImportStatus,
    /// Why it was rejected or refused.
    pub reject_code: Option<String>,
    /// A sentence beside the code: which line, which column, what to do.
    pub reject_detail: Option<String>,
    /// What was detected about the file, as the API shows it; null before it was read.
    #[serde(default)]
    pub detected: Value,
    /// Rows that are not blank.
    pub rows_total: u32,
    /// Rows with an outcome.
    pub rows_done: u32,
    /// Chunks its rows are in.
    pub chunks: u32,
    /// The [book](crate::row_book) of its rows, once they are judged.
    #[serde(default)]
    pub book_key: Option<String>,
    /// When its rows began to be written, which the trail tells of from then on.
    #[serde(default)]
    pub committed_at: Option<Timestamp>,
    /// When all of them had been.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// Counts.
    pub totals: Totals,
    /// Seats.
    pub seats: SeatNeed,
    /// The worker that may write.
    pub epoch: u32,
    /// Grows with every write: nobody writes over what they have not seen, were it a former worker's
    /// that arrived late.
    #[serde(default)]
    pub revision: u32,
    /// Until when that worker is taken to be alive; `None` at rest.
    pub lease_until: Option<Timestamp>,
    /// The report workbook's key, once there is one.
    pub report_key: Option<String>,
    /// The uploader's language.
    pub language: Language,
    /// When it was made.
    pub created_at: Timestamp,
    /// How it came to be.
    #[serde(default)]
    pub origin: Origin,
    /// What the uploader calls the file.
    #[serde(default)]
    pub filename: Option<String>,
    /// The address of who asked for it, as invitations name it.
    #[serde(default)]
    pub inviter: Option<String>,
    /// The roles its rows may give, beside the learner's.
    #[serde(default)]
    pub grantable: BTreeSet<Role>,
    /// Until when it waits for its file or its commit; `None` if it waits for neither.
    #[serde(default)]
    pub waits_until: Option<Timestamp>,
    /// What a commit will bring with it, as known when it was checked.
    #[serde(default)]
    pub outlook: Outlook,
    /// Whether everyone in it was looked up when it was checked. Nobody needs to be where nobody
    /// looks at the preview: who has a seat already is found when the rows are written.
    #[serde(default)]
    pub looked_up: bool,
    /// How far it is undone.
    #[serde(default)]
    pub undoing: Undoing,
}

/// How far an import is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Undoing {
    /// When it was asked for; the trail tells of it from then on.
    #[serde(default)]
    pub began_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The first chunk that is not undone.
    pub cursor: u32,
    /// Rows of which nothing is left.
    pub undone: u32,
    /// Rows that were kept.
    pub kept: u32,
}

impl Undoing {
    /// Counts what became of a row.
    pub fn count(&mut self, undo: Undo) {
        match undo.reason() {
            None => self.undone += 1,
            Some(_) => self.kept += 1,
        }
    }
}

/// What a commit will bring with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outlook {
    /// Mails that will be sent, by language.
    pub mails: BTreeMap<Language, u32>,
    /// Rows of people who have a seat in another pool of the client: they will take a second one.
    pub second_seats: u32,
}

impl ImportRun {
    /// The pool it draws on.
    pub fn pool(&self) -> PoolId {
        self.sublicense_id.map_or(PoolId::Contract(self.contract_id), PoolId::Sublicense)
    }

    /// The block of its seats, while it is being committed.
    pub fn block_key(&self) -> BlockKey {
        BlockKey { pool: self.pool(), owner: self.import_id.to_string(), shard: 0 }
    }
}

/// A row as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRecord {
    /// The sheet's own line, from 1.
    pub line: u32,
    /// The normalized address, if there is one.
    pub email: Option<String>,
    /// What the preview says.
    pub verdict: Verdict,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Everything that is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RowProblem>,
    /// The line whose address it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<u32>,
    /// Who it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learner_id: Option<LearnerId>,
    /// The pools in which the person has a seat when it is checked, if this is a second one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_in: Vec<PoolId>,
    /// Whether the person had an account when it was checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_account: bool,
    /// What an undo made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

impl RowRecord {
    /// A row of this line, judged and nothing more.
    pub fn judged(line: u32, verdict: Verdict) -> Self {
        Self {
            line,
            email: None,
            verdict,
            outcome: None,
            errors: Vec::new(),
            duplicate_of: None,
            learner_id: None,
            also_in: Vec::new(),
            has_account: false,
            undo: None,
        }
    }
}

/// What an undo made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing of it is left.
    Undone,
    /// Kept: the learner has come in since.
    InUse,
    /// Kept: the account or its seat was changed since.
    Changed,
    /// Kept: the invitation was accepted.
    Accepted,
    /// Kept: the values of before are not known.
    Updated,
}

impl Undo {
    /// Why it was kept, as the API says it; `None` if it was not.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Undone => None,
            Self::InUse => Some("in-use"),
            Self::Changed => Some("changed"),
            Self::Accepted => Some("accepted"),
            Self::Updated => Some("updated"),
        }
    }
}

/// What the preview says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has errors.
    Invalid,
    /// An earlier row has its address.
    Duplicate,
    /// The person has a seat or a live invitation in this pool.
    Existing,
    /// It can be done.
    Valid,
}

impl Verdict {
    /// What comes of such a row in an import that was refused as a whole.
    pub fn when_refused(self) -> Outcome {
        match self {
            Self::Invalid => Outcome::Failed,
            Self::Duplicate | Self::Existing => Outcome::Skipped,
            Self::Valid => Outcome::NotSeated,
        }
    }
}

/// What came of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A seat, open.
    Created,
    /// An invitation.
    Invited,
    /// A seat that opens later.
    Scheduled,
    /// The account was changed.
    Updated,
    /// Left as it was.
    Skipped,
    /// No seat was left.
    NotSeated,
    /// It could not be done.
    Failed,
}

impl Totals {
    /// Counts a row's verdict.
    pub fn count_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Invalid => self.invalid += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::Existing => self.existing += 1,
        }
    }

    /// Counts what came of a row.
    pub fn count_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Invited => self.invited += 1,
            Outcome::Scheduled => self.scheduled += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::NotSeated => self.not_seated += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProblem {
    /// The column, by its field name.
    pub column: String,
    /// The stable code.
    pub code: String,
    /// What to do, in the uploader's language.
    pub detail: String,
}

impl fmt::Display for ImportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).ok();
        f.write_str(name.as_ref().and_then(Value::as_str).unwrap_or("unknown"))
    }
}
