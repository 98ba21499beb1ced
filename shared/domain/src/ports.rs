//! What the domain needs from outside, named by what it is for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::AuditRecord;
use crate::change::{Block, Change, Refused, StoreError, shown_stock};
use crate::client::{AlertRecipient, Client, Group};
use crate::code::{Batch, Code, CodeHash, CodeRecord, Redemption};
use crate::cohort::{Cohort, CohortKey};
use crate::contract::{Contract, Sublicense};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{
    BatchId, ClientId, ContractId, GroupId, ImportId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use crate::import::{Detected, RawRow, RowError, RowErrorCode};
use crate::import_run::{ImportRun, Outcome, SourceObject, Totals};
use crate::invitation::{Delivery, Invitation};
use crate::language::Language;
use crate::learner::{Learner, Seat};
use crate::outbox::{Letter, MailPlace, Owed};
use crate::pace::{Allowance, Pace};
use crate::records::{CohortStanding, KeptRound, Recorded, Round};
use crate::role::Scope;
use crate::stock::{Delta, Stock};

/// The present.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
    /// Waits until this instant, or not at all if it is past.
    async fn rest_until(&self, at: Timestamp);
}

/// Chance: ids and random bytes.
pub trait IdSource: Send + Sync {
    /// A new version 7 `UUID`.
    fn uuid(&self) -> Uuid;
    /// Fills `bytes` with unpredictable ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<String>,
}

/// Where a page begins, and how long it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items, 1 to 100.
    pub limit: u16,
    /// The `next` of the page before. One this stack did not make begins at the start.
    pub cursor: Option<String>,
}

/// The seat ledger: applies changes, and says how stocks stand.
pub trait Ledger {
    /// Applies a change whole or not at all. Conflicts with other changes are retried inside, with
    /// the same ids, for at most a few seconds.
    async fn apply(&self, change: &Change) -> Result<(), Refused>;
    /// What earlier attempts at this operation left, in the order of its parts. Empty for a fresh
    /// operation, without asking the store.
    async fn receipts(&self, op: &Op) -> Result<Vec<Value>, StoreError>;
    /// The stock a pool shows, strongly consistent.
    async fn stock(&self, client: &ClientId, pool: PoolId) -> Result<Option<Stock>, StoreError>;
    /// The open blocks of a pool, strongly consistent.
    async fn blocks(&self, client: &ClientId, pool: PoolId) -> Result<Vec<Block>, StoreError>;
    /// A cohort, strongly consistent.
    async fn cohort(&self, key: &CohortKey) -> Result<Option<Cohort>, StoreError>;
    /// The seats an order added before, if it is known.
    async fn order(
        &self,
        client: &ClientId,
        contract: ContractId,
        order: &str,
    ) -> Result<Option<i64>, StoreError>;
}

/// Clients and what belongs to them.
pub trait Catalog {
    /// A client.
    async fn client(&self, client: &ClientId) -> Result<Option<Client>, StoreError>;
    /// A contract of a client.
    async fn contract(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Option<Contract>, StoreError>;
    /// All contracts of a client.
    async fn all_contracts(&self, client: &ClientId) -> Result<Vec<Contract>, StoreError>;
    /// A sublicense of a client.
    async fn sublicense(
        &self,
        client: &ClientId,
        sublicense: SublicenseId,
    ) -> Result<Option<Sublicense>, StoreError>;
    /// The sublicenses of a contract.
    async fn sublicenses_of(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Vec<Sublicense>, StoreError>;
    /// All groups of a client.
    async fn groups(&self, client: &ClientId) -> Result<Vec<Group>, StoreError>;
    /// Those of these groups that exist.
    async fn groups_by_id(
        &self,
        client: &ClientId,
        ids: &BTreeSet<GroupId>,
    ) -> Result<Vec<Group>, StoreError>;
}

/// Learners and invitations of a client, all reads strongly consistent.
pub trait People {
    /// A learner.
    async fn learner(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<Learner>, StoreError>;
    /// Those of these learners that exist, in any order.
    async fn learners(
        &self,
        client: &ClientId,
        ids: &[LearnerId],
    ) -> Result<Vec<Learner>, StoreError>;
    /// The pools in which somebody had seats who was erased, if nobody has come after them.
    async fn erased(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<BTreeSet<PoolId>>, StoreError>;
    /// What stands at the place of an invitation.
    async fn invitation(
        &self,
        client: &ClientId,
        place: InvitationId,
    ) -> Result<Option<Invitation>, StoreError>;
    /// What stands at these places, in any order.
    async fn invitations(
        &self,
        client: &ClientId,
        places: &[InvitationId],
    ) -> Result<Vec<Invitation>, StoreError>;
    /// Where an invitation stands whose address was changed, by its id.
    async fn invitation_place(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<InvitationId>, StoreError>;
}

/// Invitations that wait for an answer.
pub trait PendingInvitations {
    /// Some of them, in the order of their places. A page may hold fewer than it could and still
    /// have a next one.
    async fn pending_invitations(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<Invitation>, StoreError>;
}

/// A ticket as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Keyed hash of its text.
    pub hash: [u8; 32],
    /// Whose learner.
    pub client_id: ClientId,
    /// Who crosses.
    pub learner_id: LearnerId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Who comes in, and when.
pub trait Arrivals {
    /// Writes down that a learner came in at `now`; of who has no account it does nothing.
    async fn note_arrival(
        &self,
        client: &ClientId,
        learner: LearnerId,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Tickets that can be exchanged once.
pub trait Tickets {
    /// Keeps a new ticket.
    async fn keep_ticket(&self, ticket: &Ticket) -> Result<(), StoreError>;
    /// Takes a ticket of a client in this scope away; only one caller ever gets it.
    async fn take_ticket(
        &self,
        hash: &[u8; 32],
        scope: &Scope,
    ) -> Result<Option<Ticket>, StoreError>;
}

/// Batches of codes and what became of them, all reads strongly consistent.
pub trait CodeBook {
    /// A code, by what stands for it.
    async fn code(
        &self,
        client: &ClientId,
        hash: CodeHash,
    ) -> Result<Option<CodeRecord>, StoreError>;
    /// These codes, in the same order.
    async fn codes(
        &self,
        client: &ClientId,
        hashes: &[CodeHash],
    ) -> Result<Vec<Option<CodeRecord>>, StoreError>;
    /// A batch.
    async fn batch(&self, client: &ClientId, batch: BatchId) -> Result<Option<Batch>, StoreError>;
    /// The batches of a client, newest first.
    async fn batches(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<Batch>, StoreError>;
    /// The sealed runs of a batch's codes, in order.
    async fn sealed_codes(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<Vec<Vec<u8>>, StoreError>;
    /// One sealed run of a batch's codes.
    async fn sealed_run(
        &self,
        client: &ClientId,
        batch: BatchId,
        run: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;
    /// Whom a batch's codes were mailed to.
    async fn mailed_to(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<BTreeSet<LearnerId>, StoreError>;
    /// The redemptions of a batch, newest first.
    async fn redemptions(
        &self,
        client: &ClientId,
        batch: BatchId,
        page: &PageRequest,
    ) -> Result<Page<Redemption>, StoreError>;
    /// Batches that are [due](Batch::due_at) by `now`, oldest first: begun and never finished, or
    /// with seats set aside that nobody can redeem any more. Eventually consistent.
    async fn unfinished_batches(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(ClientId, BatchId)>, StoreError>;
}

/// How many tries may be refused in a while. Several of them, the later ones over longer spans,
/// make whoever goes on wait longer and longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TryLimit {
    /// Most tries.
    pub most: usize,
    /// In any span of this length.
    pub within: SignedDuration,
}

/// What became of a try that wanted to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It was within the limit, and counts from now on.
    Within,
    /// It was over a limit and was not counted; the next one may come at this instant.
    Over {
        /// When enough of the tries that count are forgotten.
        free_at: Timestamp,
    },
}

impl TryLimit {
    /// When the next try may come after those at `counted`, oldest first; `None`: now.
    pub fn free_at(limits: &[Self], counted: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
        let free = |limit: &Self| {
            // The try that has to be forgotten before another one is within this limit.
            let last = counted.len().checked_sub(limit.most)?;
            counted.get(last).map(|at| *at + limit.within).filter(|free| *free > now)
        };
        limits.iter().filter_map(free).max()
    }

    /// The longest span of these limits: no try counts for longer.
    pub fn longest(limits: &[Self]) -> SignedDuration {
        limits.iter().map(|limit| limit.within).max().unwrap_or(SignedDuration::ZERO)
    }
}

/// Refused tries, counted by source so that guessing ends.
pub trait RefusedTries {
    /// Counts a try at `now`, unless one of the limits is reached. Exact however many try at once.
    async fn count_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        limits: &[TryLimit],
        now: Timestamp,
    ) -> Result<Counted, StoreError>;
    /// Forgets a try counted at `at`: it turned out to be right.
    async fn forget_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Mails that are owed.
pub trait Outbox {
    /// An intent, strongly consistent; `None` long after its last mail.
    async fn owed(&self, place: &MailPlace) -> Result<Option<Owed>, StoreError>;
    /// Replaces what is known of an intent, if it is still as seen; says whether it was. An intent
    /// that is done is not due any more.
    async fn advance(&self, place: &MailPlace, seen: &Owed, to: &Owed) -> Result<bool, StoreError>;
    /// Looks at an intent later, whatever stands there.
    async fn postpone(&self, place: &MailPlace, until: Timestamp) -> Result<(), StoreError>;
    /// The mails that wait for a cohort.
    async fn cohort_mails(
        &self,
        cohort: &CohortKey,
        page: &PageRequest,
    ) -> Result<Page<MailPlace>, StoreError>;
}

/// News of an invitation's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvitationNews {
    /// What is known now.
    pub delivery: Delivery,
    /// When the mail was sent.
    pub sent_at: Option<Timestamp>,
    /// When the invitation is given up, if the news is that its mail came back for good.
    pub gives_up_at: Option<Timestamp>,
}

/// What is known of the mails to invited people and learners.
pub trait Deliveries {
    /// Writes down news of the mail of the invitation at this place, if it is still at this version
    /// and the news tells more than what is known; says whether it was.
    async fn note_delivery(
        &self,
        client: &ClientId,
        invitation: InvitationId,
        version: u32,
        news: InvitationNews,
    ) -> Result<bool, StoreError>;
    /// Writes down news of a mail to a learner, if nothing is known of a later mail, and of this
    /// one not more. Mails are ordered by `mail`, which is the same in all news of one.
    async fn note_learner_delivery(
        &self,
        client: &ClientId,
        learner: LearnerId,
        mail: &str,
        news: Delivery,
    ) -> Result<(), StoreError>;
}

/// Addresses that called a mail spam and are not written to again, each by the id that a learner of
/// that address has.
pub trait Suppressions {
    /// When an address called a mail of the client spam, strongly consistent.
    async fn complained_at(
        &self,
        client: &ClientId,
        addressee: LearnerId,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// Keeps mails of the client from an address from now on. The first instant stays.
    async fn suppress(
        &self,
        client: &ClientId,
        addressee: LearnerId,
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

/// The book in which all senders of the stack book.
pub trait PaceBook {
    /// What is booked, strongly consistent.
    async fn pace(&self) -> Result<Pace, StoreError>;
    /// Writes a booking over what was seen; says whether it still stood there.
    async fn keep_pace(&self, seen: &Pace, to: &Pace) -> Result<bool, StoreError>;
}

/// One mail of an intent, as the mail service is told and tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTag {
    /// Whose.
    pub client_id: ClientId,
    /// The intent.
    pub place: MailPlace,
    /// Which of its mails, from 0.
    pub mail: u32,
    /// The invitation it is about, by its place, with its version.
    pub invitation: Option<(InvitationId, u32)>,
    /// The id that a learner of the address has.
    pub addressee: Option<LearnerId>,
    /// When it was claimed: all news of a mail tells the same.
    pub claimed_at: Option<Timestamp>,
}

/// The words of a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenMail {
    /// The sender's name: one line, no control character.
    pub from_name: String,
    /// One line.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Where such mails are stopped with one click (RFC 8058), if they can be.
    pub unsubscribe_url: Option<String>,
}

/// What a mail is about, as it is at the moment of writing.
#[derive(Clone, Copy)]
pub enum About<'a> {
    /// A seat that a learner was given.
    Seat {
        /// Who.
        learner: &'a Learner,
        /// The seat.
        seat: &'a Seat,
        /// What to say.
        letter: Letter,
    },
    /// An account, apart from any seat.
    Account {
        /// Whose.
        learner: &'a Learner,
        /// What to say.
        letter: Letter,
    },
    /// An invitation.
    Invitation(&'a Invitation),
    /// An invitation that was not answered yet, once more.
    Reminder(&'a Invitation),
    /// An import that ended.
    Import {
        /// The import.
        run: &'a ImportRun,
        /// Who uploaded its file.
        to: &'a EmailAddress,
    },
    /// A code to redeem.
    Code {
        /// Its batch.
        batch: &'a Batch,
        /// The code.
        code: &'a Code,
        /// Whom it goes to.
        to: &'a EmailAddress,
    },
    /// A contract's stock that runs low.
    StockLow {
        /// The contract.
        contract: &'a Contract,
        /// What is left of it.
        left: SeatsLeft,
        /// The day on which nothing is left at the present rate, if that is near.
        empty_on: Option<Date>,
        /// Who looks after it.
        to: &'a AlertRecipient,
    },
    /// A contract that comes to its end.
    ContractEnding {
        /// The contract.
        contract: &'a Contract,
        /// What is left of it.
        left: SeatsLeft,
        /// What still waits in it.
        open: StillOpen,
        /// Who looks after it.
        to: &'a AlertRecipient,
    },
    /// Accounts whose deletion date comes.
    Erasure {
        /// That day.
        on: Date,
        /// Who looks after the client's contracts.
        to: &'a AlertRecipient,
    },
}

/// What is left of a contract, its sublicenses included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatsLeft {
    /// Seats bought.
    pub total: u64,
    /// Seats that nobody holds.
    pub available: u64,
    /// Seats in use.
    pub used: u64,
}

/// What waits in a contract, its sublicenses included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StillOpen {
    /// Invitations without an answer.
    pub invitations: u64,
    /// Whether there may be more of them: not all were looked at.
    pub at_least: bool,
    /// Seats that open on a later date.
    pub scheduled: u64,
}

/// Who reads a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whom it is about.
    Learner,
    /// The administrator who asked for a copy: without a live link or password.
    Administrator,
}

/// A mail cannot be written: its template or its data are at fault.
#[derive(Debug, thiserror::Error)]
#[error("the mail could not be written")]
pub struct Unwritable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Puts a mail into words, in the reader's language and the client's name.
pub trait Writer {
    /// The words of a mail that is sent at `now`.
    fn write(
        &self,
        client: &Client,
        about: About<'_>,
        reader: Reader,
        now: Timestamp,
    ) -> Result<WrittenMail, Unwritable>;
}

/// What came of handing a mail over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// The mail service has it.
    Accepted,
    /// The mail service may have it: the answer was lost.
    Unknown,
    /// The mail service certainly does not have it.
    Refused(Refusal),
}

/// Why a mail was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too fast, or the service is out of reach.
    Busy,
    /// This stack may not send at present: not verified, paused, not permitted.
    Barred,
    /// Not this mail, at present: an unverified address, for instance.
    Unwelcome,
    /// Not this mail, ever: it is malformed.
    Malformed,
}

/// Hands mails to the mail service.
pub trait Mailer {
    /// What the account may send; `None` if the mail service does not tell.
    async fn allowance(&self) -> Option<Allowance>;
    /// Makes exactly one attempt.
    async fn send(&self, to: &EmailAddress, mail: &WrittenMail, tag: &MailTag) -> Handover;
}

/// Something to be done at a later instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// A cohort opens.
    Cohort(CohortKey),
    /// An import goes on, whose worker's lease lapsed at this instant.
    Import {
        /// Whose.
        client_id: ClientId,
        /// Which.
        import_id: ImportId,
        /// When the lease lapsed.
        lapsed_at: Timestamp,
    },
}

/// The alarm clock.
pub trait Schedules {
    /// Wakes this stack once, at the first full second not before `at`. Asked again for the same,
    /// it does nothing.
    async fn schedule(&self, wake: &Wake, at: Timestamp) -> Result<(), StoreError>;
}

/// What is due: oldest first, at most `limit`. The list may lag behind by a moment, so that
/// whoever acts on it looks again.
pub trait Due {
    /// Mails.
    async fn due_mails(&self, now: Timestamp, limit: u16) -> Result<Vec<MailPlace>, StoreError>;
    /// Cohorts that should have opened.
    async fn due_cohorts(&self, now: Timestamp, limit: u16) -> Result<Vec<CohortKey>, StoreError>;
    /// Invitations whose time ran out.
    async fn due_invitations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, InvitationId)>, StoreError>;
    /// Imports whose worker's lease lapsed.
    async fn due_imports(&self, now: Timestamp, limit: u16) -> Result<Vec<Wake>, StoreError>;
    /// Imports that have waited too long for their file or their commit.
    async fn waiting_imports(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, ImportId)>, StoreError>;
    /// Contracts that are to be looked at: whether their stock runs low, or they end soon.
    async fn due_contracts(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, ContractId)>, StoreError>;
    /// Pools whose counters are to be proved.
    async fn due_pools(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<(ClientId, PoolId)>, StoreError>;
}

/// How far a pool's trail has been added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Every record before this instant is in the sum.
    pub until: Option<Timestamp>,
    /// The sum.
    pub sum: Delta,
}

/// A pool as one reading finds it. Two that are equal, one after the other, say that nothing moved
/// in between: `moves` and what blocks have given away only grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStanding {
    /// The pool's own counters.
    pub counters: Stock,
    /// How often they moved.
    pub moves: u64,
    /// The open blocks.
    pub blocks: Vec<Block>,
}

impl PoolStanding {
    /// The stock the pool shows.
    pub fn shown(&self) -> Stock {
        shown_stock(self.counters, &self.blocks)
    }
}

/// The trails of pools, and how far they were added up.
pub trait Proofs {
    /// A pool as it stands, strongly consistent.
    async fn standing(
        &self,
        client: &ClientId,
        pool: PoolId,
    ) -> Result<Option<PoolStanding>, StoreError>;
    /// How far a pool's trail was added up; nothing at first.
    async fn proof(&self, client: &ClientId, pool: PoolId) -> Result<Proof, StoreError>;
    /// The records of a pool from this instant on, in order, strongly consistent.
    async fn trail(
        &self,
        client: &ClientId,
        pool: PoolId,
        from: Option<Timestamp>,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;
    /// The records of a pool, newest first, strongly consistent.
    async fn trail_back(
        &self,
        client: &ClientId,
        pool: PoolId,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;
    /// Keeps a proof, and when to look again.
    async fn keep_proof(
        &self,
        client: &ClientId,
        pool: PoolId,
        proof: &Proof,
        again_at: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Everything a client's seats are recorded in, read a little at a time.
pub trait Rounds {
    /// Makes the client's first round due at `at` if it never had one. Answers with the cut of the
    /// round that is under way.
    async fn begin_round(
        &self,
        client: &ClientId,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// Clients whose round is due.
    async fn due_rounds(&self, now: Timestamp, limit: u16) -> Result<Vec<ClientId>, StoreError>;
    /// A client's round, strongly consistent.
    async fn round(&self, client: &ClientId) -> Result<Option<KeptRound>, StoreError>;
    /// Replaces a round if it is still as seen, and says whether it was; looked at again at
    /// `again_at`.
    async fn keep_round(
        &self,
        client: &ClientId,
        seen: &KeptRound,
        round: &Round,
        again_at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Since when those who look after a client are told, or will be, that accounts are erased on
    /// this day.
    async fn erasure_told(
        &self,
        client: &ClientId,
        on: Date,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// Since when a round has known that a learner is erased on this day: since `now`, if none did, which
    /// is written down until the day changes. `None`: it is not that learner's day. Strongly consistent.
    async fn leaving_since(
        &self,
        client: &ClientId,
        learner: LearnerId,
        on: Date,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// A client's pools; a sublicense's with the contract it belongs to.
    async fn client_pools(
        &self,
        client: &ClientId,
    ) -> Result<Vec<(PoolId, Option<ContractId>)>, StoreError>;
    /// One reading of learners' seats and invitations. It may lag behind by some seconds.
    async fn recorded(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
    ) -> Result<Recorded, StoreError>;
    /// The cohorts of a pool, strongly consistent.
    async fn cohorts(
        &self,
        client: &ClientId,
        pool: PoolId,
    ) -> Result<Vec<CohortStanding>, StoreError>;
}

/// The record of imports, all reads strongly consistent.
pub trait ImportLog {
    /// An import.
    async fn import(
        &self,
        client: &ClientId,
        import: ImportId,
    ) -> Result<Option<ImportRun>, StoreError>;
    /// The imports of a client, newest first.
    async fn imports(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<ImportRun>, StoreError>;
    /// What the trail of a pool says of an import's rows between two instants; without an end, up
    /// to now.
    async fn import_trail(
        &self,
        client: &ClientId,
        pool: PoolId,
        import: ImportId,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<Vec<AuditRecord>, StoreError>;
    /// Ends the lease of a worker at `now`, if it has one still: whoever comes next may take over.
    async fn let_go_of_import(
        &self,
        client: &ClientId,
        import: ImportId,
        epoch: u32,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// An uploaded file.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the uploader said with it, by name in lower case.
    pub metadata: BTreeMap<String, String>,
}

/// What became of reading an uploaded file.
#[derive(Clone, PartialEq, Eq)]
pub enum UploadRead {
    /// Here it is.
    Read(Upload),
    /// It is not there, or no longer.
    Gone,
    /// Other bytes stand in its place.
    Replaced,
    /// It has more bytes than asked for; none were read.
    TooLarge,
}

/// Files of imports: uploads to read, reports to keep.
pub trait Files {
    /// Reads one version of an upload, of at most `max_bytes`.
    async fn upload(&self, source: &SourceObject, max_bytes: u64)
    -> Result<UploadRead, StoreError>;
    /// Keeps the book of an import's rows.
    async fn keep_book(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError>;
    /// The book of an import's rows; `None` if it is no longer kept.
    async fn book(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps a report workbook.
    async fn keep_report(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError>;
    /// Has an import go on that no worker is at: asked for once more by the same worker's `epoch`, it
    /// may happen twice.
    async fn wake_import(
        &self,
        client: &ClientId,
        import: ImportId,
        epoch: u32,
    ) -> Result<(), StoreError>;
    /// An address under which a report can be fetched for `lifetime`.
    async fn report_link(&self, key: &str, lifetime: SignedDuration) -> Result<String, StoreError>;
}

/// What a spreadsheet turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetReading {
    /// Its format, sheet and columns.
    pub detected: Detected,
    /// Its data rows.
    pub rows: u32,
}

/// Why a file is refused as a whole. It repeats nothing of the file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The stable code.
    pub code: &'static str,
    /// The line to blame.
    pub line: Option<u32>,
    /// The letters of the column to blame.
    pub column: Option<String>,
}

/// What a report says beside its rows.
#[derive(Debug, Clone, Copy)]
pub struct ReportAbout<'a> {
    /// What the file turned out to be.
    pub detected: &'a Detected,
    /// Its data rows.
    pub rows_total: u32,
    /// What became of them.
    pub totals: &'a Totals,
    /// The uploader's language.
    pub language: &'a Language,
    /// The day of the report.
    pub made_on: jiff::civil::Date,
}

/// A row that a report gives back.
#[derive(Debug, Clone)]
pub struct ReportedRow<'a> {
    /// The row as it was uploaded.
    pub row: &'a RawRow,
    /// What became of it.
    pub outcome: Outcome,
    /// Everything that is wrong with it.
    pub errors: Vec<RowError>,
}

/// Spreadsheets, read and written.
pub trait Sheets {
    /// Most bytes of a file.
    fn max_bytes(&self) -> u64;
    /// Reads a file and gives its data rows, in order, to `visit`. They count only if it can be
    /// read to its end.
    fn read(
        &self,
        bytes: &[u8],
        max_rows: u32,
        visit: &mut dyn FnMut(RawRow),
    ) -> Result<SheetReading, Unreadable>;
    /// What to do about a row's error.
    fn hint(&self, code: RowErrorCode, language: &Language) -> &'static str;
    /// What to do about a file that was not imported as a whole, in a sentence.
    fn whole_file_hint(&self, unreadable: &Unreadable, language: &Language) -> String;
    /// The report of a file whose rows could be read.
    fn report(
        &self,
        about: &ReportAbout<'_>,
        rows: &[ReportedRow<'_>],
    ) -> Result<Vec<u8>, StoreError>;
    /// The report of a file that was rejected as a whole: the code and what to do.
    fn rejection_report(
        &self,
        unreadable: &Unreadable,
        language: &Language,
        made_on: jiff::civil::Date,
    ) -> Result<Vec<u8>, StoreError>;
}
