//! Redeeming a code: a learner comes with it and leaves with a seat.
//!
//! To the outside a code is redeemable or it is not; why it is not is never said. The code is
//! looked up first, and only refused tries are counted, so that a good code works however many
//! bad ones came from the same place. A password is compared only after its try was counted, and
//! the count is taken back when it was right.
//!
//! A batch may ask that an address is proven before its seat is given: [`prove_address`].

mod prove_address;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::actions::ground::{Ground, GroundError, ground};
use crate::actions::held_code::Held;
use crate::actions::release_seat::end_if_over;
use crate::actions::seating::{Seating, Take, Term, TermRequest, give_seat, term};
use crate::actions::set_aside::blocks_of;
use crate::actions::steer_batch::bring_up;
use crate::actions::{Met, gave_up, met, overtaken};
use crate::audit::{Action, Actor};
use crate::change::{BlockKey, Change, Presence, Step, StoreError};
use crate::code::{Batch, Code, CodeHash, CodeKind, CodeRecord, InvalidCode, Redemption};
use crate::dates::Opening;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{BatchId, ClientId, LearnerId};
use crate::invitation::InvitationStatus;
use crate::language::Language;
use crate::learner::{Credential, Learner, Profile, Seat, SeatStatus, Source, SourceKind};
use crate::outbox::Letter;
use crate::password::Password;
use crate::ports::{
    Catalog, Clock, CodeBook, Counted, IdSource, Ledger, People, RefusedTries, TryLimit,
};
use crate::role::Role;
use crate::secrets::Keys;

use prove_address::Before;
pub use prove_address::{PROOFS_OF_ADDRESS, PROOFS_OF_SOURCE};

/// Refused tries of one source at one client: 20 in ten minutes.
pub const TRIES: TryLimit = TryLimit { most: 20, within: SignedDuration::from_mins(10) };

/// Refused tries of all sources together at one client: 200 in ten minutes. Whoever guesses from many
/// places meets this one; a code that can be redeemed meets neither.
pub const TRIES_FOR_ALL: TryLimit = TryLimit { most: 200, within: SignedDuration::from_mins(10) };

/// Times a redemption starts over after a lost race. Each lost round somebody else got a seat of
/// the same block, so this is about the last seats of a popular code.
const ROUNDS: u32 = 16;

/// The command.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// Whose landing page.
    pub client_id: ClientId,
    /// The code, as it was typed.
    pub code: String,
    /// Who.
    pub email: EmailAddress,
    /// Given name; empty if it was not given, which is enough for somebody who has an account.
    pub first_name: String,
    /// Family name, likewise.
    pub last_name: String,
    /// The account's password, or the one it shall have.
    pub password: Password,
    /// The language the learner chose.
    pub language: Option<Language>,
    /// Where the request came from, as tries are told apart.
    pub source: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redeemed {
    /// Who.
    pub learner_id: LearnerId,
    /// Whether the learner had a seat before; nothing moved then.
    pub already: bool,
    /// Whether a link was mailed that proves the address: until it is followed, seat and code are
    /// held, and nobody is told more.
    pub to_be_proven: bool,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum RedeemCodeError {
    /// The client does not exist.
    #[error("no such client")]
    UnknownClient,
    /// The text is no code: a slip of the pen. Nothing was looked up, and it counts as no try.
    #[error(transparent)]
    Mistyped(InvalidCode),
    /// The code cannot be redeemed by this learner now, or at all.
    #[error("the code cannot be redeemed")]
    NotRedeemable,
    /// The code is good, but for addresses of other domains. Told like any other refusal.
    #[error("the code is for other domains")]
    ForeignDomain,
    /// The code is good, but who comes with it has no account yet, and gave no name.
    #[error("a new account needs a name")]
    NamesMissing,
    /// The code is good, but its pool is empty.
    #[error("no seats left")]
    NoSeatsLeft,
    /// The code is good, but the account has another password.
    #[error("the account has another password")]
    WrongPassword,
    /// Too many tries from this source were refused.
    #[error("too many refused tries")]
    TooManyTries {
        /// How long until the next one may come.
        wait: SignedDuration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What redeeming needs from outside.
pub trait RedeemPorts: Ledger + Catalog + People + CodeBook + RefusedTries {}
impl<P: Ledger + Catalog + People + CodeBook + RefusedTries> RedeemPorts for P {}

/// What is the same in every round.
struct Redeem<'a, P, C, I> {
    ports: &'a P,
    clock: &'a C,
    ids: &'a I,
    keys: &'a Keys,
    op: Op,
    command: &'a RedeemCode,
    learner_id: LearnerId,
    hash: CodeHash,
}

/// A code with its batch.
struct Found {
    record: CodeRecord,
    batch: Batch,
}

/// What is known of the password typed, so that no round hashes again what another did.
#[derive(Default)]
struct Proof {
    matched: bool,
    /// Whether it was compared in vain; only where an address can be proven instead.
    refused: bool,
    hashed: Option<Credential>,
}

/// Redeems a code.
pub async fn redeem_code<P: RedeemPorts, C: Clock, I: IdSource>(
    ports: &P,
    clock: &C,
    ids: &I,
    keys: &Keys,
    op: Op,
    command: &RedeemCode,
) -> Result<Redeemed, RedeemCodeError> {
    let learner_id = keys.learner_id(&command.client_id, &command.email);
    let code = Code::parse(&command.code).map_err(RedeemCodeError::Mistyped)?;
    let hash = code.hash(keys, &command.client_id);
    let redeem = Redeem { ports, clock, ids, keys, op, command, learner_id, hash };
    if let Some(done) = ports.receipts(&op).await?.first().and_then(Redeemed::read) {
        return Ok(done);
    }
    let outcome = redeem.attempt().await;
    if matches!(
        outcome,
        Err(RedeemCodeError::NotRedeemable
            | RedeemCodeError::ForeignDomain
            | RedeemCodeError::WrongPassword)
    ) {
        redeem.count("code").await?;
        redeem.count_for_all().await?;
    }
    outcome
}

impl Redeemed {
    fn receipt(self) -> Value {
        json!({
            "learner_id": self.learner_id, "already": self.already,
            "to_be_proven": self.to_be_proven,
        })
    }

    fn read(receipt: &Value) -> Option<Self> {
        Some(Self {
            learner_id: receipt.get("learner_id")?.as_str()?.parse().ok()?,
            already: receipt.get("already")?.as_bool()?,
            to_be_proven: receipt.get("to_be_proven").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

impl<P: RedeemPorts, C: Clock, I: IdSource> Redeem<'_, P, C, I> {
    async fn attempt(&self) -> Result<Redeemed, RedeemCodeError> {
        let mut proof = Proof::default();
        let mut shard = None;
        for _ in 0..ROUNDS {
            let found = self.find().await?;
            let learner = self.ports.learner(&self.command.client_id, self.learner_id).await?;
            let found = found.ok_or(RedeemCodeError::NotRedeemable)?;
            let seat = learner.as_ref().and_then(|known| known.live_seat(found.batch.pool()));
            if seat.is_some_and(|seat| self.op.wrote(seat.op)) {
                return Err(overtaken().into());
            }
            let now = self.clock.now();
            let Some(before) = self.asked_before(&found, now).await? else { continue };
            let seated = self.check(&found, &before, learner.as_ref(), now)?;
            if seated && self.makes_room(&found, learner.as_ref()).await? {
                continue;
            }
            let asks_proof = found.batch.require_email_proof;
            if !asks_proof && learner.is_none() && self.command.first_name.is_empty() {
                return Err(RedeemCodeError::NamesMissing);
            }
            // Before the password: hashing is work, and nobody gets it for a code that is no good.
            let (ground, term) = self.ground(&found.batch, now).await?;
            let key = self.block(&found.batch, shard);
            let proven = !asks_proof || self.is_known(learner.as_ref(), &mut proof).await?;
            let (change, done) = if proven {
                let credential = self.prove(learner.as_ref(), &mut proof).await?;
                if let (true, Some(learner)) = (seated, &learner) {
                    if self.take_password(learner, credential, now).await? {
                        return Ok(self.done(true));
                    }
                    continue;
                }
                let whom = (learner.is_some(), credential);
                let held = before.held(self).await?;
                let change =
                    self.plan(&found, &ground, term, whom, held.as_ref(), key, now).await?;
                (change, self.done(false))
            } else {
                let done = Redeemed { to_be_proven: true, ..self.done(false) };
                // Who got a seat by this code is told so only with the password.
                self.check_code(&found, &before, now)?;
                let change = self.plan_proof(&found, &ground, &before, key, now);
                let Some(change) = change else { return Ok(done) };
                (change, done)
            };
            let Err(refused) = self.ports.apply(&change).await else {
                return Ok(done);
            };
            match met(&change, refused) {
                Met::NoSeats => return Err(RedeemCodeError::NoSeatsLeft),
                Met::Repeated => return Ok(done),
                Met::Raced(place) => {
                    if matches!(change.steps.get(place), Some(Step::DrawBlock { .. })) {
                        shard = self.another(&found.batch).await?;
                    }
                }
                Met::Failed(error) => return Err(error.into()),
            }
        }
        Err(gave_up().into())
    }

    /// Looks the code up. The batch is read in any case, so that an unknown code takes as long as
    /// a known one.
    async fn find(&self) -> Result<Option<Found>, RedeemCodeError> {
        let client = &self.command.client_id;
        let record = self.ports.code(client, self.hash).await?;
        let nowhere = BatchId::from_bits(0);
        let batch_id = record.as_ref().map_or(nowhere, |record| record.batch_id);
        let batch = self.ports.batch(client, batch_id).await?;
        Ok(record.zip(batch).map(|(record, batch)| Found { record, batch }))
    }

    /// Whether the learner has a seat in the pool already; an error if the code is not theirs to
    /// redeem. Who got their seat by this batch is recognized also when it has closed since.
    fn check(
        &self,
        found: &Found,
        before: &Before,
        learner: Option<&Learner>,
        now: Timestamp,
    ) -> Result<bool, RedeemCodeError> {
        let seat = learner.and_then(|learner| learner.live_seat(found.batch.pool()));
        if seat.is_some_and(|seat| self.let_in(found, seat)) {
            return Ok(true);
        }
        self.check_code(found, before, now)?;
        Ok(seat.is_some())
    }

    /// Whether this code, or the batch of this registration code, gave the learner's seat.
    fn let_in(&self, found: &Found, seat: &Seat) -> bool {
        let Found { record, batch } = found;
        let by_this = seat.source.id == Some(batch.batch_id.to_string());
        record.redeemed_by == Some(self.learner_id)
            || (batch.kind == CodeKind::Registration && by_this)
    }

    /// Lets go of a seat in the pool whose last day is over, if another code gave it: it does not stand in
    /// the way of a new one.
    async fn makes_room(
        &self,
        found: &Found,
        learner: Option<&Learner>,
    ) -> Result<bool, RedeemCodeError> {
        let (batch, client) = (&found.batch, &self.command.client_id);
        let seat = learner.and_then(|learner| learner.live_seat(batch.pool()));
        let over = |seat: &Seat| seat.status(self.clock.now()) == SeatStatus::Ended;
        if seat.is_none_or(|seat| self.let_in(found, seat) || !over(seat)) {
            return Ok(false);
        }
        let (ports, clock, ids) = (self.ports, self.clock, self.ids);
        let Some(contract) = ports.contract(client, batch.contract_id).await? else {
            return Ok(false);
        };
        Ok(end_if_over(ports, clock, ids, (client, &contract), learner, batch.pool()).await?)
    }

    /// Whether anybody with this address can redeem the code now.
    fn check_code(
        &self,
        found: &Found,
        before: &Before,
        now: Timestamp,
    ) -> Result<(), RedeemCodeError> {
        let Found { record, batch, .. } = found;
        let exhausted = batch.max_redemptions.is_some_and(|max| batch.redeemed >= max);
        let usable = batch.is_open(now) && batch.has_place(record.index);
        let free = before.holds_code || !(exhausted || record.redeemed_by.is_some());
        if !usable || !free {
            return Err(RedeemCodeError::NotRedeemable);
        }
        let domain = self.command.email.domain();
        if !batch.allowed_domains.is_empty() && !batch.allowed_domains.contains(domain) {
            return Err(RedeemCodeError::ForeignDomain);
        }
        Ok(())
    }

    /// Compares the password of an account that has one; gives the one typed to an account that
    /// has none.
    async fn prove(
        &self,
        learner: Option<&Learner>,
        proof: &mut Proof,
    ) -> Result<Option<Credential>, RedeemCodeError> {
        let known = learner.and_then(|learner| learner.credential.as_ref());
        let Some(known) = known else {
            let password = &self.command.password;
            let hashed = proof.hashed.get_or_insert_with(|| Credential {
                hash: password.hash(self.ids),
                must_change: false,
            });
            return Ok(Some(hashed.clone()));
        };
        if proof.matched {
            return Ok(None);
        }
        let at = self.count("password").await?;
        if !known.hash.matches(self.command.password.reveal()) {
            return Err(RedeemCodeError::WrongPassword);
        }
        let source = self.source("password");
        self.ports.forget_try(&self.command.client_id, &source, at).await?;
        proof.matched = true;
        Ok(None)
    }

    /// Gives an account that has a seat but no password the one typed; `false` if the account
    /// changed in between.
    async fn take_password(
        &self,
        learner: &Learner,
        credential: Option<Credential>,
        now: Timestamp,
    ) -> Result<bool, RedeemCodeError> {
        let Some(credential) = credential else { return Ok(true) };
        let client = &self.command.client_id;
        let mut change = Change::new(client, self.op, Actor::Learner, now);
        change.receipt = self.done(true).receipt();
        let (learner_id, serial) = (self.learner_id, learner.password_serial);
        change.step(Step::SetPassword { learner_id, serial, credential });
        match self.ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => Ok(true),
            Err(Met::Raced(_) | Met::NoSeats) => Ok(false),
            Err(Met::Failed(error)) => Err(error.into()),
        }
    }

    /// Counts a try of this source, or refuses it.
    async fn count(&self, what: &str) -> Result<Timestamp, RedeemCodeError> {
        let now = self.clock.now();
        let source = self.source(what);
        match self.ports.count_try(&self.command.client_id, &source, &[TRIES], now).await? {
            Counted::Within => Ok(now),
            Counted::Over { free_at } => {
                Err(RedeemCodeError::TooManyTries { wait: free_at.duration_since(now) })
            }
        }
    }

    /// Counts a try at the client, wherever it came from, or refuses it.
    async fn count_for_all(&self) -> Result<(), RedeemCodeError> {
        let now = self.clock.now();
        let client = &self.command.client_id;
        let all = self.keys.mac("tries of all", &[client.as_str().as_bytes()]);
        match self.ports.count_try(client, &all, &[TRIES_FOR_ALL], now).await? {
            Counted::Within => Ok(()),
            Counted::Over { free_at } => {
                Err(RedeemCodeError::TooManyTries { wait: free_at.duration_since(now) })
            }
        }
    }

    fn source(&self, what: &str) -> [u8; 32] {
        self.keys.mac("tries", &[what.as_bytes(), self.command.source.as_bytes()])
    }

    async fn ground(
        &self,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<(Ground, Term), RedeemCodeError> {
        let client = &self.command.client_id;
        let ground = ground(self.ports, client, batch.contract_id, batch.sublicense_id, now)
            .await
            .map_err(|error| match error {
                GroundError::UnknownClient => RedeemCodeError::UnknownClient,
                GroundError::Store(error) => error.into(),
                GroundError::UnknownContract
                | GroundError::UnknownSublicense
                | GroundError::ContractEnded => RedeemCodeError::NotRedeemable,
            })?;
        let asked = TermRequest::of_codes(batch);
        let term = term(&ground, &asked, now).map_err(|_| RedeemCodeError::NotRedeemable)?;
        Ok((ground, term))
    }

    /// The block to draw from: the learner's own shard, or the one found to have seats.
    fn block(&self, batch: &Batch, shard: Option<u16>) -> Option<BlockKey> {
        if !batch.has_block() {
            return None;
        }
        let count = u8::try_from(batch.steering.shards).unwrap_or(u8::MAX).max(1);
        let shard = shard.unwrap_or_else(|| u16::from(self.learner_id.bucket(count)));
        Some(BlockKey { pool: batch.pool(), owner: batch.batch_id.to_string(), shard })
    }

    /// A shard with seats left, the likelier the more it has: those who find theirs empty at once
    /// do not all meet at the fullest. It is brought up to the batch's epoch if it was left behind.
    /// None if the batch itself has to be looked at again.
    async fn another(&self, batch: &Batch) -> Result<Option<u16>, RedeemCodeError> {
        let client = &self.command.client_id;
        let blocks = blocks_of(self.ports, client, batch).await?;
        let seats: u64 = blocks.iter().map(|block| block.rem).sum();
        let mut bytes = [0; 8];
        self.ids.fill(&mut bytes);
        let Some(mut drawn) = u64::from_be_bytes(bytes).checked_rem(seats) else {
            // Used up; or closed, or about to get more: then the batch was steered meanwhile.
            let now = self.ports.batch(client, batch.batch_id).await?;
            let steered = now.is_none_or(|now| now.steering.version != batch.steering.version);
            return if steered { Ok(None) } else { Err(RedeemCodeError::NotRedeemable) };
        };
        for block in blocks {
            if drawn < block.rem {
                bring_up(self.ports, self.op, client, batch, &block).await?;
                return Ok(Some(block.key.shard));
            }
            drawn -= block.rem;
        }
        Err(RedeemCodeError::NotRedeemable)
    }

    #[expect(clippy::too_many_arguments, reason = "what one round has found out, each its own")]
    async fn plan(
        &self,
        found: &Found,
        ground: &Ground,
        term: Term,
        (exists, credential): (bool, Option<Credential>),
        held: Option<&Held>,
        block: Option<BlockKey>,
        now: Timestamp,
    ) -> Result<Change, RedeemCodeError> {
        let (client, email) = (&self.command.client_id, &self.command.email);
        let batch = &found.batch;
        let invitation_id = self.keys.invitation_id(client, ground.pool, email);
        let invitation = self.ports.invitation(client, invitation_id).await?;
        // Also one whose time ran out: until the sweep has seen it, it holds a seat.
        let pending =
            invitation.filter(|invitation| invitation.status == InvitationStatus::Pending);
        let mut change = Change::new(client, self.op, Actor::Learner, now);
        change.receipt = self.done(false).receipt();
        if held.is_none() {
            self.use_code(&mut change, batch, block.is_some());
        }
        let take = match (held, block, &pending) {
            (Some(held), ..) => Take::Held(held),
            (None, Some(key), pending) => {
                let epoch = batch.steering.epoch;
                Take::Block { key, epoch, invitation: pending.as_ref(), invitation_id }
            }
            (None, None, Some(invitation)) => Take::Invitation(invitation),
            (None, None, None) => Take::Available { no_invitation: invitation_id },
        };
        let action = if held.is_some() { Action::CodeProven } else { Action::CodeRedeemed };
        give_seat(
            &mut change,
            ground,
            Seating {
                learner_id: self.learner_id,
                email: email.clone(),
                profile: self.profile(batch, ground),
                credential,
                presence: if exists { Presence::Existing } else { Presence::New },
                term,
                source: Source { kind: SourceKind::Code, id: Some(batch.batch_id.to_string()) },
                take,
                action,
                copy_to: None,
                letter: Some(match term.opening {
                    Opening::Now => Letter::Redeemed,
                    Opening::Later { .. } => Letter::AccessOpened,
                }),
            },
        );
        list_redemption(&mut change, batch, &found.record.last4, self.learner_id);
        Ok(change)
    }

    /// Uses the code. It comes first: a used one on an empty pool is a used one.
    fn use_code(&self, change: &mut Change, batch: &Batch, has_block: bool) {
        match batch.kind {
            CodeKind::Redemption => {
                change.step(Step::UseCode { hash: self.hash, learner_id: self.learner_id });
            }
            CodeKind::Registration if !has_block => {
                let (batch_id, version) = (batch.batch_id, batch.steering.version);
                let max = batch.max_redemptions;
                change.step(Step::CountRedemption { batch_id, version, max });
            }
            // The block's size is the maximum.
            CodeKind::Registration => {}
        }
    }

    fn done(&self, already: bool) -> Redeemed {
        Redeemed { learner_id: self.learner_id, already, to_be_proven: false }
    }

    fn profile(&self, batch: &Batch, ground: &Ground) -> Profile {
        let chosen = self.command.language.clone().or_else(|| batch.language.clone());
        Profile {
            first_name: given(&self.command.first_name),
            last_name: given(&self.command.last_name),
            language: Some(chosen.unwrap_or_else(|| ground.client.default_language.clone())),
            roles: [Role::Learner].into(),
            group_ids: batch.group_ids.clone(),
            labels: batch.labels.clone(),
            ..Profile::default()
        }
    }
}

/// Lists a redemption under its batch.
pub(super) fn list_redemption(change: &mut Change, batch: &Batch, last4: &str, who: LearnerId) {
    let redemption = Redemption { learner_id: who, code_last4: last4.to_owned(), at: change.at };
    change.step(Step::ListRedemption { batch_id: batch.batch_id, redemption });
}

/// A blank is no name.
fn given(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}
