//! Sending the mails of an intent: each is claimed, handed over once, and its outcome written.
//!
//! A claim is one conditional write, so that of several senders one hands a mail over. An outcome
//! that is not known is never tried again: a mail may be late or parked, but it is not sent twice.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::actions::hear_of_mail::{tell_invitation, tell_learner, told_learner};
use crate::actions::invitations::invitation_of;
use crate::actions::outlook::{empty_on, still_open};
use crate::actions::send_codes::mailed_code;
use crate::actions::warn_client::looked_at;
use crate::actions::{Met, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::client::{AlertRecipient, Client};
use crate::code::{Batch, Code};
use crate::cohort::CohortKey;
use crate::contract::{Contract, ContractStatus};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId};
use crate::import_run::ImportRun;
use crate::invitation::{Delivery, Invitation, InvitationStatus};
use crate::learner::{Learner, Seat, SeatState};
use crate::outbox::{LEASE, Letter, MailIntent, MailPlace, Owed, Settlement, Subject, TRIES};
use crate::pace::Turns;
use crate::ports::{
    About, Catalog, Clock, CodeBook, Deliveries, Handover, IdSource, ImportLog, Ledger, MailTag,
    Mailer, Outbox, PaceBook, PendingInvitations, People, Proofs, Reader, Refusal, Rounds,
    SeatsLeft, StillOpen, Suppressions, Writer, WrittenMail,
};
use crate::secrets::Keys;

/// Times a lost race is run again before the sender leaves the intent to others.
const ROUNDS: u32 = 12;

/// What sending needs of the store.
pub trait SendPorts:
    Outbox
    + Deliveries
    + Suppressions
    + PaceBook
    + Catalog
    + People
    + PendingInvitations
    + ImportLog
    + CodeBook
    + Ledger
    + Proofs
    + Rounds
{
}
impl<P> SendPorts for P where
    P: Outbox
        + Deliveries
        + Suppressions
        + PaceBook
        + Catalog
        + People
        + PendingInvitations
        + ImportLog
        + CodeBook
        + Ledger
        + Proofs
        + Rounds
{
}

/// Everything that sending needs.
#[derive(Debug, Clone)]
pub struct MailRoom<P, M, W, C, I> {
    /// The store.
    pub store: P,
    /// The mail service.
    pub mailer: M,
    /// Puts mails into words.
    pub writer: W,
    /// The present.
    pub clock: C,
    /// Names claims.
    pub ids: I,
    /// Makes the ids of addresses.
    pub keys: Keys,
    /// The slots it has booked.
    pub turns: Turns,
}

/// What was done about an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// Mails handed over.
    pub sent: u32,
    /// Mails whose reason had lapsed.
    pub lapsed: u32,
    /// Mails of which nobody knows whether they went out.
    pub unknown: u32,
    /// Mails that cannot be sent.
    pub refused: u32,
    /// Mails not sent because their address had complained.
    pub suppressed: u32,
    /// Where the intent stands now.
    pub standing: Standing,
}

/// Where an intent stands after an attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Every mail was dealt with.
    Done,
    /// Its instant has not come.
    NotDue(Timestamp),
    /// A mail was not accepted; it is due again at this instant.
    PutOff(Refusal, Timestamp),
    /// The account's rate or quota is used up until this instant. The intent is as it was.
    Held(Timestamp),
    /// Someone else is at it.
    Elsewhere,
    /// The sender's own time ran out.
    Interrupted,
}

/// A mail ready to be handed over.
struct Draft {
    to: EmailAddress,
    written: WrittenMail,
    tag: MailTag,
}

/// What a subject has become by now.
enum Found {
    Seat(Box<(Learner, Seat)>, Letter),
    Account(Box<Learner>, Letter),
    Invitation(Box<Invitation>),
    Reminder(Box<Invitation>),
    Import(Box<ImportRun>),
    Code(Box<(Batch, Code, EmailAddress)>),
    StockLow(Box<(Contract, SeatsLeft, Option<Date>, AlertRecipient)>),
    ContractEnding(Box<(Contract, SeatsLeft, StillOpen, AlertRecipient)>),
    Erasure(Date, Box<AlertRecipient>),
}

/// What became of one mail.
enum Outcome {
    Settled(Owed, Settlement),
    PutOff(Refusal, Timestamp),
    /// The claim was lost: look at the intent again.
    Lost(Option<Owed>),
}

impl<P: SendPorts, M: Mailer, W: Writer, C: Clock, I: IdSource> MailRoom<P, M, W, C, I> {
    /// Sends what is due of an intent. No mail is begun after `until`.
    pub async fn send(&self, place: &MailPlace, until: Timestamp) -> Result<Posted, StoreError> {
        let mut posted = Posted {
            sent: 0,
            lapsed: 0,
            unknown: 0,
            refused: 0,
            suppressed: 0,
            standing: Standing::Done,
        };
        let Some(mut owed) = self.store.owed(place).await? else {
            return Ok(posted);
        };
        let mut client: Option<Client> = None;
        let mut rounds = ROUNDS;
        while rounds > 0 {
            let now = self.clock.now();
            if owed.is_done() {
                return Ok(posted);
            }
            if owed.in_flight {
                let Some(parked) = owed.expire(now) else {
                    return Ok(posted.standing(Standing::Elsewhere));
                };
                if self.store.advance(place, &owed, &parked).await? {
                    posted.unknown += 1;
                    self.note(&parked, Settlement::Unknown, now).await?;
                    owed = parked;
                } else {
                    rounds -= 1;
                    owed = self.again(place).await?;
                }
                continue;
            }
            if owed.intent.due_at > now {
                return Ok(posted.standing(Standing::NotDue(owed.intent.due_at)));
            }
            if now >= until {
                return Ok(posted.standing(Standing::Interrupted));
            }
            if client.is_none() {
                client = self.store.client(&owed.intent.client_id).await?;
            }
            let known = client.as_ref().ok_or_else(|| broken("an owed mail without a client"))?;
            let found = match self.wanted(&owed, now).await? {
                Wanted::Yes(found) => found,
                passed => {
                    if let Wanted::Later(cohort) = &passed {
                        self.owe_later(&owed, cohort).await?;
                    }
                    let to = match passed {
                        Wanted::Suppressed => owed.suppress(now),
                        _ => owed.skip(now),
                    };
                    let to = to.ok_or_else(|| broken("a mail that is not there"))?;
                    if !self.store.advance(place, &owed, &to).await? {
                        rounds -= 1;
                        owed = self.again(place).await?;
                        continue;
                    }
                    match passed {
                        Wanted::Suppressed => {
                            posted.suppressed += 1;
                            self.note_suppressed(&owed).await?;
                        }
                        Wanted::Lapsed => posted.lapsed += 1,
                        Wanted::Later(_) | Wanted::Yes(_) => {}
                    }
                    owed = to;
                    continue;
                }
            };
            let (ports, mailer) = (&self.store, &self.mailer);
            if let Some(at) = self.turns.wait(ports, mailer, &self.clock, until).await? {
                return Ok(posted.standing(Standing::Held(at)));
            }
            let draft = self.draft(place, &owed, known, &found, self.clock.now());
            match self.hand_over(place, &owed, draft).await? {
                Outcome::Settled(settled, how) => {
                    match how {
                        Settlement::Sent => posted.sent += 1,
                        Settlement::Unknown => posted.unknown += 1,
                        Settlement::Refused => posted.refused += 1,
                    }
                    rounds = ROUNDS;
                    owed = settled;
                }
                Outcome::PutOff(refusal, at) => {
                    return Ok(posted.standing(Standing::PutOff(refusal, at)));
                }
                Outcome::Lost(seen) => {
                    rounds -= 1;
                    owed = match seen {
                        Some(seen) => seen,
                        None => self.again(place).await?,
                    };
                }
            }
        }
        Ok(posted.standing(Standing::Elsewhere))
    }

    async fn again(&self, place: &MailPlace) -> Result<Owed, StoreError> {
        let owed = self.store.owed(place).await?;
        owed.ok_or_else(|| broken("an owed mail that is gone"))
    }

    /// What the next mail is about, read afresh; `None` if its reason has lapsed.
    async fn find(&self, owed: &Owed, now: Timestamp) -> Result<Option<Found>, StoreError> {
        let client = &owed.intent.client_id;
        Ok(match owed.subject() {
            None => None,
            Some(Subject::Seat { learner, pool, op, letter }) => {
                let learner = self.store.learner(client, *learner).await?;
                learner.and_then(|learner| {
                    let seat = learner.seat_told_of(*pool, *op)?.clone();
                    // Nobody is told that access has opened who is kept out.
                    let kept_out =
                        learner.suspended_at.is_some() && *letter == Letter::AccessOpened;
                    // Who came in since keeps the seat.
                    let used =
                        *letter == Letter::SeatUnused && learner.reclaimed_at(&seat).is_none();
                    if kept_out || used {
                        return None;
                    }
                    Some(Found::Seat(Box::new((learner, seat)), *letter))
                })
            }
            Some(Subject::Account { learner, letter, serial }) => {
                let learner = self.store.learner(client, *learner).await?;
                learner
                    .filter(|learner| learner.password_serial == u64::from(*serial))
                    .map(|learner| Found::Account(Box::new(learner), *letter))
            }
            Some(Subject::Invitation { invitation, version }) => {
                let found = self.live(client, *invitation, *version, now).await?;
                found.map(|found| Found::Invitation(Box::new(found)))
            }
            Some(Subject::Reminder { invitation, version, .. }) => {
                let found = self.live(client, *invitation, *version, now).await?;
                let wanted = found.filter(|found| !found.reminders_unwanted);
                wanted.map(|found| Found::Reminder(Box::new(found)))
            }
            Some(Subject::Import { import }) => {
                let run = self.store.import(client, *import).await?;
                let told = run.filter(|run| run.status.is_news());
                told.map(|run| Found::Import(Box::new(run)))
            }
            Some(Subject::Code { batch, run, place, to }) => {
                let found =
                    mailed_code(&self.store, &self.keys, client, (*batch, *run, *place), now);
                let found = found.await?;
                found.map(|(batch, code)| Found::Code(Box::new((batch, code, to.clone()))))
            }
            Some(Subject::StockLow { contract, at, to }) => {
                let found = looked_at(&self.store, client, *contract).await?;
                let low = found.filter(|(_, left)| left.available <= *at);
                let owner = self.store.client(client).await?;
                let Some(((contract, left), owner)) = low.zip(owner) else { return Ok(None) };
                let day = empty_on(&self.store, &owner, &contract, left, now).await?;
                Some(Found::StockLow(Box::new((contract, left, day, to.clone()))))
            }
            Some(Subject::Erasure { on, to }) => Some(Found::Erasure(*on, Box::new(to.clone()))),
            Some(Subject::ContractEnding { contract, to, .. }) => {
                let found = looked_at(&self.store, client, *contract).await?;
                let owner = self.store.client(client).await?;
                let ends = |contract: &Contract| {
                    let zone = owner.as_ref().map(|owner| owner.time_zone.zone());
                    zone.is_some_and(|zone| contract.status(now, zone) != ContractStatus::Ended)
                };
                let ending = found.filter(|(contract, _)| ends(contract));
                let Some((contract, left)) = ending else { return Ok(None) };
                let open = still_open(&self.store, client, contract.contract_id).await?;
                Some(Found::ContractEnding(Box::new((contract, left, open, to.clone()))))
            }
        })
    }

    /// The invitation at a place, or where it went from there with its link: a renewed contract's go to
    /// the successor.
    async fn live(
        &self,
        client: &ClientId,
        invitation: InvitationId,
        version: u32,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let mut found = self.store.invitation(client, invitation).await?;
        if let Some(moved) = found.as_ref().filter(|found| found.status == InvitationStatus::Moved)
        {
            found = invitation_of(&self.store, client, moved.invitation_id).await?;
        }
        Ok(found.filter(|found| found.version == version && found.is_live(now)))
    }

    /// What the next mail is about, unless its reason has lapsed or its address wants none.
    async fn wanted(&self, owed: &Owed, now: Timestamp) -> Result<Wanted, StoreError> {
        let Some(found) = self.find(owed, now).await? else { return Ok(Wanted::Lapsed) };
        if let Some(cohort) = awaited(owed, &found, now) {
            return Ok(Wanted::Later(cohort));
        }
        let Some(to) = addressee(owed, &found) else { return Ok(Wanted::Lapsed) };
        let client = &owed.intent.client_id;
        let addressee = self.keys.learner_id(client, to);
        let complained_at = self.store.complained_at(client, addressee).await?;
        Ok(if complained_at.is_some() { Wanted::Suppressed } else { Wanted::Yes(found) })
    }

    /// Owes the next mail once more, for the day on which its seat opens. Under the operation that gave the
    /// seat, so that whoever is interrupted and does it again does the same.
    async fn owe_later(&self, owed: &Owed, cohort: &CohortKey) -> Result<(), StoreError> {
        let Some(subject @ Subject::Seat { learner, op, .. }) = owed.subject() else {
            return Ok(());
        };
        let CohortKey { client_id, pool, instant } = cohort;
        let op = Op { id: *op, guard: None };
        let mut change = Change::new(client_id, op, Actor::System, self.clock.now());
        change.step(Step::Mail(MailIntent {
            client_id: client_id.clone(),
            key: format!("seat#{learner}#{pool}#{}#{instant}", op.id.simple()),
            cohort: Some(*pool),
            due_at: *instant,
            subjects: vec![subject.clone()],
            copy_to: None,
        }));
        match self.store.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => Ok(()),
            Err(Met::Raced(_) | Met::NoSeats) => Err(gave_up()),
            Err(Met::Failed(error)) => Err(error),
        }
    }

    /// The next mail in words; `None` if it cannot be put into any.
    fn draft(
        &self,
        place: &MailPlace,
        owed: &Owed,
        client: &Client,
        found: &Found,
        now: Timestamp,
    ) -> Option<Draft> {
        let to = addressee(owed, found)?;
        let version = |invitation: &Invitation| (invitation.place(), invitation.version);
        let (about, invitation) = match found {
            Found::Seat(both, letter) => {
                let (learner, seat) = both.as_ref();
                (About::Seat { learner, seat, letter: *letter }, None)
            }
            Found::Account(learner, letter) => (About::Account { learner, letter: *letter }, None),
            Found::Invitation(invitation) => {
                (About::Invitation(invitation), Some(version(invitation)))
            }
            Found::Reminder(invitation) => (About::Reminder(invitation), Some(version(invitation))),
            Found::Import(run) => (About::Import { run, to }, None),
            Found::Code(code) => {
                let (batch, code, to) = code.as_ref();
                (About::Code { batch, code, to }, None)
            }
            Found::StockLow(low) => {
                let (contract, left, day, to) = low.as_ref();
                (About::StockLow { contract, left: *left, empty_on: *day, to }, None)
            }
            Found::ContractEnding(ending) => {
                let (contract, left, open, to) = ending.as_ref();
                (About::ContractEnding { contract, left: *left, open: *open, to }, None)
            }
            Found::Erasure(on, to) => (About::Erasure { on: *on, to }, None),
        };
        let copied = owed.intent.copy_to.is_some() && !matches!(found, Found::Import(_));
        let reader = if copied { Reader::Administrator } else { Reader::Learner };
        Some(Draft {
            to: to.clone(),
            written: self.writer.write(client, about, reader, now).ok()?,
            tag: MailTag {
                client_id: owed.intent.client_id.clone(),
                place: place.clone(),
                mail: owed.next,
                // News of a copy says nothing about the invitation.
                invitation: invitation.filter(|_| reader == Reader::Learner),
                addressee: Some(self.keys.learner_id(&owed.intent.client_id, to)),
                claimed_at: None,
            },
        })
    }

    /// Claims the next mail, hands it over and writes the outcome.
    async fn hand_over(
        &self,
        place: &MailPlace,
        owed: &Owed,
        draft: Option<Draft>,
    ) -> Result<Outcome, StoreError> {
        let token = self.ids.uuid();
        let mail = owed.next;
        let claimed_at = self.clock.now();
        let claimed = owed.claim(token, claimed_at);
        let mut held = claimed.ok_or_else(|| broken("a mail that cannot be claimed"))?;
        if !self.store.advance(place, owed, &held).await? {
            // Either someone was faster, or the answer to our own claim was lost.
            let seen = self.again(place).await?;
            if seen.claimed_by != Some(token) {
                return Ok(Outcome::Lost(Some(seen)));
            }
            held = seen;
        }
        let mut tag = None;
        let handover = match draft {
            None => Handover::Refused(Refusal::Malformed),
            Some(_) if !self.may_begin().await? => Handover::Refused(Refusal::Busy),
            Some(Draft { to, written, tag: said }) => {
                let said = tag.insert(MailTag { claimed_at: Some(claimed_at), ..said });
                self.mailer.send(&to, &written, said).await
            }
        };
        let how = match handover {
            Handover::Accepted => Ok(Settlement::Sent),
            Handover::Unknown => Ok(Settlement::Unknown),
            Handover::Refused(Refusal::Malformed) => Ok(Settlement::Refused),
            Handover::Refused(Refusal::Unwelcome) if held.attempts + 1 >= TRIES => {
                Ok(Settlement::Refused)
            }
            Handover::Refused(refusal) => Err(refusal),
        };
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let to = match how {
                Ok(how) => held.settle(how, now),
                Err(_) => held.put_off(now),
            };
            let to = to.ok_or_else(|| broken("a claim that is not held"))?;
            if self.store.advance(place, &held, &to).await? {
                return match how {
                    Ok(how) => {
                        self.note(&to, how, now).await?;
                        if let Some(tag) = tag {
                            self.note_learner(&to, how, &tag).await?;
                        }
                        Ok(Outcome::Settled(to, how))
                    }
                    Err(refusal) => Ok(Outcome::PutOff(refusal, to.intent.due_at)),
                };
            }
            held = self.again(place).await?;
            if held.claimed_by != Some(token) {
                // Settled by news of it, by a lost answer's own write, or parked as overdue.
                if how == Ok(Settlement::Sent)
                    && let Some(resolved) = held.resolve(mail, now)
                    && !self.store.advance(place, &held, &resolved).await?
                {
                    continue;
                }
                return Ok(Outcome::Lost(None));
            }
        }
        Ok(Outcome::Lost(None))
    }

    /// Whether the mail may begin now: its turn has come, or another one comes soon.
    async fn may_begin(&self) -> Result<bool, StoreError> {
        for _ in 0..ROUNDS {
            if self.turns.begin(&self.clock) {
                return Ok(true);
            }
            // The claim took longer than the turn lasts.
            let until = self.clock.now() + LEASE / 2;
            if self.turns.wait(&self.store, &self.mailer, &self.clock, until).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Writes the outcome of the mail before `next` to its learner, if it went to one.
    async fn note_learner(
        &self,
        settled: &Owed,
        how: Settlement,
        tag: &MailTag,
    ) -> Result<(), StoreError> {
        let about = settled.intent.subjects.get(tag.mail as usize);
        let copied = settled.intent.copy_to.is_some();
        match about.filter(|_| !copied).and_then(told_learner) {
            Some(learner) => tell_learner(&self.store, tag, learner, shown(how)).await,
            None => Ok(()),
        }
    }

    /// Shows whoever asked for the mail why it was not sent.
    async fn note_suppressed(&self, owed: &Owed) -> Result<(), StoreError> {
        let client = &owed.intent.client_id;
        let Some(Subject::Invitation { invitation, version }) = owed.subject() else {
            return Ok(());
        };
        if owed.intent.copy_to.is_some() {
            return Ok(());
        }
        let told = (Delivery::Complained, None);
        tell_invitation(&self.store, &self.clock, client, (*invitation, *version), told).await
    }

    /// Writes the outcome of the mail before `next` into its invitation, if it has one.
    async fn note(
        &self,
        settled: &Owed,
        how: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if settled.intent.copy_to.is_some() {
            return Ok(());
        }
        let mail = settled.next.saturating_sub(1) as usize;
        let Some(
            Subject::Invitation { invitation, version }
            | Subject::Reminder { invitation, version, .. },
        ) = settled.intent.subjects.get(mail)
        else {
            return Ok(());
        };
        let told = (shown(how), Some(now).filter(|_| how != Settlement::Refused));
        let client = &settled.intent.client_id;
        tell_invitation(&self.store, &self.clock, client, (*invitation, *version), told).await
    }
}

/// Whether the next mail is to be sent.
enum Wanted {
    Yes(Found),
    Lapsed,
    Suppressed,
    /// With this cohort: what it tells of was carried over to a seat that waits.
    Later(CohortKey),
}

/// The cohort whose opening the next mail has to wait for. A copy waits for nothing.
fn awaited(owed: &Owed, found: &Found, now: Timestamp) -> Option<CohortKey> {
    let (Found::Seat(both, letter), None) = (found, &owed.intent.copy_to) else { return None };
    if *letter == Letter::SeatUnused {
        return None;
    }
    let (learner, seat) = both.as_ref();
    let SeatState::Scheduled { opens_at: instant } = seat.state else { return None };
    let (pool, _) = learner.seats.iter().find(|(_, other)| other.op == seat.op)?;
    let client_id = owed.intent.client_id.clone();
    (instant > now).then_some(CohortKey { client_id, pool: *pool, instant })
}

/// To whom the next mail goes.
fn addressee<'a>(owed: &'a Owed, found: &'a Found) -> Option<&'a EmailAddress> {
    owed.intent.copy_to.as_ref().or(match found {
        Found::Seat(both, _) => Some(&both.0.email),
        Found::Account(learner, _) => Some(&learner.email),
        Found::Invitation(invitation) | Found::Reminder(invitation) => Some(&invitation.email),
        Found::Code(code) => Some(&code.2),
        Found::StockLow(warning) => Some(&warning.3.email),
        Found::ContractEnding(warning) => Some(&warning.3.email),
        Found::Erasure(_, to) => Some(&to.email),
        Found::Import(_) => None,
    })
}

/// What is shown of a mail that was handed over.
fn shown(how: Settlement) -> Delivery {
    match how {
        Settlement::Sent => Delivery::Sent,
        Settlement::Unknown => Delivery::Unknown,
        Settlement::Refused => Delivery::Bounced,
    }
}

impl Posted {
    fn standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}
