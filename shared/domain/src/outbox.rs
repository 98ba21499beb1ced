//! Mails that are owed: written in the transaction that causes them, sent afterwards.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::AlertRecipient;
use crate::email::EmailAddress;
use crate::ids::{BatchId, ClientId, ContractId, ImportId, InvitationId, LearnerId, PoolId};
use crate::import_run::ImportRun;

/// What a mail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letter {
    /// You are invited.
    Invitation,
    /// Your account is there; set a password.
    AccountCreated,
    /// Your account is there; this is your password, change it when you sign in.
    AccountCreatedWithPassword,
    /// Your account is there; you will be told how to sign in.
    AccountCreatedToldOtherwise,
    /// Your account was given access to more.
    Added,
    /// Your access opened today.
    AccessOpened,
    /// You redeemed a code.
    Redeemed,
    /// You do not use your seat: it goes back.
    SeatUnused,
    /// Set a new password.
    PasswordReset,
}

/// Whom or what one mail of an intent is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Subject {
    /// A learner, because of the seat that the operation `op` gave; the mail lapses when that
    /// seat is gone, unless it was carried over to the contract that succeeds its own.
    Seat {
        /// Who.
        learner: LearnerId,
        /// Where.
        pool: PoolId,
        /// The operation that gave the seat.
        op: Uuid,
        /// What to say; entries of one intent may differ.
        letter: Letter,
    },
    /// An invitation at this version; the mail lapses when a newer one exists or it was closed.
    Invitation {
        /// Which, by its place.
        invitation: InvitationId,
        /// At which version.
        version: u32,
    },
    /// A reminder of an invitation at this version; it lapses like the invitation's mail, and when
    /// the invited asked for no more of them.
    Reminder {
        /// Which, by its place.
        invitation: InvitationId,
        /// At which version.
        version: u32,
        /// Which reminder of this version it is, from 1.
        number: u32,
    },
    /// An import that ended; it goes to the address that the intent names.
    Import {
        /// Which.
        import: ImportId,
    },
    /// A code to redeem; the mail lapses when it was redeemed or its batch has ended.
    Code {
        /// Its batch.
        batch: BatchId,
        /// The sealed run it stands in, from 0.
        run: u32,
        /// Its place there, from 0.
        place: u32,
        /// Whom it goes to.
        to: EmailAddress,
    },
    /// A contract's stock that runs low; the mail lapses when there are more seats again.
    StockLow {
        /// The contract.
        contract: ContractId,
        /// The number of available seats that was reached.
        at: u64,
        /// Who looks after it.
        to: AlertRecipient,
    },
    /// A contract that comes to its end; the mail lapses when it has ended.
    ContractEnding {
        /// The contract.
        contract: ContractId,
        /// How many days before.
        days: u16,
        /// Who looks after it.
        to: AlertRecipient,
    },
    /// Accounts whose deletion date comes, or has come too soon for this to be told before; the mail does
    /// not lapse.
    Erasure {
        /// That day.
        on: Date,
        /// Who looks after the client's contracts.
        to: AlertRecipient,
    },
    /// A learner's account, apart from any seat.
    Account {
        /// Who.
        learner: LearnerId,
        /// What to say.
        letter: Letter,
        /// The password serial the link is for.
        serial: u32,
    },
}

/// Mails that one transaction owes: one for a single creation, up to a chunk's worth for an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailIntent {
    /// Whose.
    pub client_id: ClientId,
    /// What makes it one notification: kind, subject and version. The same key is the same mail.
    pub key: String,
    /// The cohort it waits for, if it does.
    pub cohort: Option<PoolId>,
    /// Not before this instant.
    pub due_at: Timestamp,
    /// The mails.
    pub subjects: Vec<Subject>,
    /// Set for a copy: the same words go to this address instead, without a live link or password.
    /// For an import: to whom it is told.
    #[serde(default)]
    pub copy_to: Option<EmailAddress>,
}

/// The mail that tells the uploader of a file what became of it; one for each way it can end.
pub fn import_mail(
    client: &ClientId,
    run: &ImportRun,
    to: EmailAddress,
    now: Timestamp,
) -> MailIntent {
    MailIntent {
        client_id: client.clone(),
        key: format!("import#{}#{}", run.import_id, run.epoch),
        cohort: None,
        due_at: now,
        subjects: vec![Subject::Import { import: run.import_id }],
        copy_to: Some(to),
    }
}

/// Most mails of one intent.
pub const SUBJECTS_MAX: usize = 97;

/// How long a claim holds: well longer than one call of the mail service may take.
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How long an intent is kept after its last mail, so that news of a mail finds it.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Times a mail that the mail service does not take is tried before it is set aside.
pub const TRIES: u32 = 8;
/// The first pause after a refusal; doubled each time.
const PAUSE_FIRST: i64 = 2;
/// The longest pause, in seconds.
const PAUSE_MAX: i64 = 3600;

/// Where an intent stands in the outbox, as its store writes it: not for reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailPlace {
    /// The part of the outbox.
    pub partition: String,
    /// The place in it.
    pub key: String,
}

/// An intent as the sender finds it: the mails before `next` are dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The intent. Its `due_at` moves when sending is put off.
    #[serde(flatten)]
    pub intent: MailIntent,
    /// The mail to claim next.
    pub next: u32,
    /// Whether mail `next - 1` is being sent: claimed, and its outcome not yet written.
    pub in_flight: bool,
    /// The claim: its holder knows it by this, also after a lost answer.
    #[serde(default)]
    pub claimed_by: Option<Uuid>,
    /// Until when the claim holds. A claim that ran out is ambiguous, not free.
    pub claimed_until: Option<Timestamp>,
    /// Mails of which nobody knows whether they went out.
    pub unknown: Vec<u32>,
    /// Mails that the mail service did not take, again and again.
    #[serde(default)]
    pub refused: Vec<u32>,
    /// Mails that were not sent because their address had called an earlier one spam.
    #[serde(default)]
    pub suppressed: Vec<u32>,
    /// How often sending mail `next` was put off.
    pub attempts: u32,
    /// When the last mail was dealt with.
    #[serde(default)]
    pub done_at: Option<Timestamp>,
}

/// What is known of a mail after it was handed to the mail service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It was accepted.
    Sent,
    /// It may have been accepted: the answer was lost.
    Unknown,
    /// It was not accepted, and trying again is pointless.
    Refused,
}

impl Owed {
    /// Whether every mail was dealt with.
    pub fn is_done(&self) -> bool {
        !self.in_flight && self.next as usize >= self.intent.subjects.len()
    }

    /// The mail to claim next, if one is left.
    pub fn subject(&self) -> Option<&Subject> {
        self.intent.subjects.get(self.next as usize)
    }

    /// Claims the next mail. `None` while another mail is in flight, or if none is left.
    #[must_use]
    pub fn claim(&self, by: Uuid, now: Timestamp) -> Option<Self> {
        if self.in_flight || self.subject().is_none() {
            return None;
        }
        Some(Self {
            next: self.next + 1,
            in_flight: true,
            claimed_by: Some(by),
            claimed_until: Some(now + LEASE),
            ..self.clone()
        })
    }

    /// Passes over the next mail: its reason has lapsed, or nobody can write it.
    #[must_use]
    pub fn skip(&self, now: Timestamp) -> Option<Self> {
        if self.in_flight || self.subject().is_none() {
            return None;
        }
        let skipped = Self { next: self.next + 1, attempts: 0, ..self.clone() };
        Some(skipped.ended(now))
    }

    /// Passes over the next mail: its address had called an earlier one spam.
    #[must_use]
    pub fn suppress(&self, now: Timestamp) -> Option<Self> {
        let mut suppressed = self.skip(now)?;
        suppressed.suppressed.push(self.next);
        Some(suppressed)
    }

    /// Writes down the outcome of the mail in flight. `None` if none is.
    #[must_use]
    pub fn settle(&self, how: Settlement, now: Timestamp) -> Option<Self> {
        if !self.in_flight {
            return None;
        }
        let mail = self.next.saturating_sub(1);
        let mut settled = self.landed();
        settled.attempts = 0;
        match how {
            Settlement::Sent => {}
            Settlement::Unknown => settled.unknown.push(mail),
            Settlement::Refused => settled.refused.push(mail),
        }
        Some(settled.ended(now))
    }

    /// Gives the mail in flight back: it was certainly not accepted, and may be later. `None` if
    /// none is in flight.
    #[must_use]
    pub fn put_off(&self, now: Timestamp) -> Option<Self> {
        if !self.in_flight {
            return None;
        }
        let mut back = self.landed();
        back.next = back.next.saturating_sub(1);
        let pause = PAUSE_MAX.min(PAUSE_FIRST << back.attempts.min(16));
        back.attempts += 1;
        back.intent.due_at = now + SignedDuration::from_secs(pause);
        Some(back)
    }

    /// Parks a mail whose claim ran out: whether it went out, nobody knows. `None` if no claim
    /// has run out.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Option<Self> {
        let over = self.claimed_until.is_none_or(|until| until <= now);
        if self.in_flight && over { self.settle(Settlement::Unknown, now) } else { None }
    }

    /// Learns that this mail was accepted after all. `None` if that was known or is nothing new.
    #[must_use]
    pub fn resolve(&self, mail: u32, now: Timestamp) -> Option<Self> {
        if self.in_flight && self.next == mail + 1 {
            return self.settle(Settlement::Sent, now);
        }
        if !self.unknown.contains(&mail) {
            return None;
        }
        let mut resolved = self.clone();
        resolved.unknown.retain(|parked| *parked != mail);
        Some(resolved)
    }

    fn landed(&self) -> Self {
        Self { in_flight: false, claimed_by: None, claimed_until: None, ..self.clone() }
    }

    fn ended(mut self, now: Timestamp) -> Self {
        if self.is_done() && self.done_at.is_none() {
            self.done_at = Some(now);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAILS: u32 = 3;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn owed() -> Owed {
        let subject = Subject::Invitation { invitation: InvitationId::from_bits(1), version: 1 };
        Owed {
            intent: MailIntent {
                client_id: "acme".parse().unwrap(),
                key: "invitation".to_owned(),
                cohort: None,
                due_at: at(0),
                copy_to: None,
                subjects: vec![subject; MAILS as usize],
            },
            next: 0,
            in_flight: false,
            claimed_by: None,
            claimed_until: None,
            unknown: Vec::new(),
            refused: Vec::new(),
            suppressed: Vec::new(),
            attempts: 0,
            done_at: None,
        }
    }

    proptest! {
        #[test]
        fn no_mail_is_claimed_again_once_it_may_have_gone_out(
            moves in proptest::collection::vec(0..6_u8, 0..60)
        ) {
            let mut owed = owed();
            let mut gone = std::collections::BTreeSet::new();
            for (second, which) in moves.iter().enumerate() {
                let now = at(i64::try_from(second).unwrap() * 40);
                let moved = match which {
                    0 | 1 => owed.claim(Uuid::from_u128(1), now),
                    2 => owed.settle(Settlement::Sent, now),
                    3 => owed.expire(now),
                    4 => owed.put_off(now),
                    _ => owed.skip(now),
                };
                let Some(moved) = moved else { continue };
                if moved.in_flight {
                    prop_assert!(gone.insert(owed.next), "mail {} twice", owed.next);
                } else if *which == 4 {
                    // Certainly not accepted: this one is free again.
                    prop_assert!(gone.remove(&moved.next));
                }
                owed = moved;
            }
            prop_assert!(owed.next <= MAILS);
            prop_assert_eq!(owed.is_done(), owed.done_at.is_some());
        }
    }

    #[test]
    fn a_claim_that_ran_out_is_parked_and_one_that_holds_is_not() {
        let claimed = owed().claim(Uuid::nil(), at(0)).unwrap();
        assert_eq!(claimed.expire(at(59)), None);
        let parked = claimed.expire(at(60)).unwrap();
        assert_eq!(parked.unknown, [0]);
        assert_eq!(parked.next, 1);
        assert_eq!(parked.resolve(0, at(61)).unwrap().unknown, [0; 0]);
        assert_eq!(parked.resolve(1, at(61)), None);
    }

    #[test]
    fn news_of_a_mail_in_flight_settles_it() {
        let claimed = owed().claim(Uuid::nil(), at(0)).unwrap();
        let settled = claimed.resolve(0, at(1)).unwrap();
        assert!(!settled.in_flight);
        assert_eq!(settled.expire(at(100)), None);
        assert_eq!(settled.unknown, [0; 0]);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_begin_anew_with_the_next_mail() {
        let mut owed = owed();
        let mut pauses = Vec::new();
        for _ in 0..13 {
            owed = owed.claim(Uuid::nil(), at(0)).unwrap();
            owed = owed.put_off(at(0)).unwrap();
            pauses.push(owed.intent.due_at.as_second() - at(0).as_second());
        }
        assert_eq!(pauses[..4], [2, 4, 8, 16]);
        assert_eq!(pauses.last(), Some(&3600));
        let sent = owed.claim(Uuid::nil(), at(0)).unwrap();
        assert_eq!(sent.settle(Settlement::Sent, at(0)).unwrap().attempts, 0);
    }
}
