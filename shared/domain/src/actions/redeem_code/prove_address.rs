//! An address that has to be proven before its seat is given.
//!
//! The code makes an invitation of the address: seat and code are held for half an hour, and the link
//! of its mail leads to the page where name and password are chosen. What was typed as a password on
//! the landing page is kept nowhere. If it were, somebody who knows a code could open an account for
//! another person's address with a password of their own, and needed only that this person follows
//! the link.
//!
//! Whoever knows the password of an account has proven its address by that. Everybody else is
//! answered the same, whether there is an account or not, after the same counting and the same work.

use jiff::{SignedDuration, Timestamp};

use super::{Found, Proof, Redeem, RedeemCodeError, RedeemPorts, given};
use crate::actions::close_invitation::expire_invitation;
use crate::actions::ground::Ground;
use crate::actions::held_code::{HELD_FOR, Held};
use crate::actions::invitations::invitation_mail;
use crate::audit::{Action, Actor};
use crate::change::{BlockCursor, BlockKey, Change, Step, StoreError};
use crate::idempotency::Op;
use crate::invitation::{Delivery, Grant, HeldCode, Invitation, InvitationStatus, Succession};
use crate::learner::Learner;
use crate::outbox::{MailIntent, Subject};
use crate::password::PasswordHash;
use crate::ports::{Clock, Counted, IdSource, TryLimit};
use crate::role::Role;
use crate::stock::Delta;

/// Tries with one address that did not name its password, at one client. As many mails may go to it
/// at most.
pub const PROOFS_OF_ADDRESS: [TryLimit; 2] = [
    TryLimit { most: 6, within: SignedDuration::from_mins(30) },
    TryLimit { most: 12, within: SignedDuration::from_hours(24) },
];

/// The same from one source, with whatever addresses. A whole school may sit behind one.
pub const PROOFS_OF_SOURCE: [TryLimit; 1] =
    [TryLimit { most: 100, within: SignedDuration::from_mins(10) }];

/// How long after a mail another one with the same link may go out.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What an address was asked to prove in this pool before.
#[derive(Default)]
pub(super) struct Before {
    /// The last such invitation.
    last: Option<Invitation>,
    /// Whether its link still works.
    is_open: bool,
    /// Whether it holds the very code that is redeemed now.
    pub(super) holds_code: bool,
}

impl Before {
    /// What is held by it, if that is the code that is redeemed now.
    pub(super) async fn held<P: RedeemPorts, C: Clock, I: IdSource>(
        &self,
        redeem: &Redeem<'_, P, C, I>,
    ) -> Result<Option<Held>, StoreError> {
        let Some(last) = self.last.as_ref().filter(|_| self.holds_code) else { return Ok(None) };
        let (ports, client) = (redeem.ports, &redeem.command.client_id);
        let held = Held::by(ports, redeem.keys, client, last).await?;
        if let Some(held) = &held {
            held.bring_up(ports, redeem.op, client).await?;
        }
        Ok(held)
    }
}

impl<P: RedeemPorts, C: Clock, I: IdSource> Redeem<'_, P, C, I> {
    /// What the address was asked to prove before. `None`: its time had run out, and what it held has
    /// been given back just now; everything has to be looked at again.
    pub(super) async fn asked_before(
        &self,
        found: &Found,
        now: Timestamp,
    ) -> Result<Option<Before>, StoreError> {
        // A code that nobody can redeem now is refused with the same work, whatever its batch asks for.
        let usable = found.batch.is_open(now) && found.batch.has_place(found.record.index);
        if !found.batch.require_email_proof || !usable {
            return Ok(Some(Before::default()));
        }
        let (client, email) = (&self.command.client_id, &self.command.email);
        let place = self.keys.proof_id(client, found.batch.pool(), email);
        let last = self.ports.invitation(client, place).await?;
        let is_open = last.as_ref().is_some_and(|last| last.is_live(now));
        if !is_open && last.as_ref().is_some_and(|last| last.status == InvitationStatus::Pending) {
            let op = Op { id: self.ids.uuid(), guard: None };
            expire_invitation(self.ports, self.clock, self.ids, self.keys, op, client, place)
                .await?;
            return Ok(None);
        }
        let code = last.as_ref().filter(|_| is_open);
        let code = code.and_then(|last| last.redeems.as_ref());
        let holds_code = code.is_some_and(|code| code.hash == self.hash);
        Ok(Some(Before { last, is_open, holds_code }))
    }

    /// Whether whoever comes knows the password of the account. It is compared behind limits that are
    /// the same for addresses without an account, and so is the work.
    pub(super) async fn is_known(
        &self,
        learner: Option<&Learner>,
        proof: &mut Proof,
    ) -> Result<bool, RedeemCodeError> {
        if proof.matched || proof.refused {
            return Ok(proof.matched);
        }
        let (client, now) = (&self.command.client_id, self.clock.now());
        let learner_id = self.learner_id.to_string();
        let source = self.source("proof");
        let address = self.keys.mac("tries", &[b"proof-address", learner_id.as_bytes()]);
        let tries: [(&[u8; 32], &[TryLimit]); 2] =
            [(&source, &PROOFS_OF_SOURCE), (&address, &PROOFS_OF_ADDRESS)];
        for (of, limits) in tries {
            if let Counted::Over { free_at } = self.ports.count_try(client, of, limits, now).await?
            {
                let wait = free_at.duration_since(now);
                return Err(RedeemCodeError::TooManyTries { wait });
            }
        }
        let typed = self.command.password.reveal();
        match learner.and_then(|learner| learner.credential.as_ref()) {
            Some(known) => proof.matched = known.hash.matches(typed),
            None => PasswordHash::match_nothing(typed),
        }
        proof.refused = !proof.matched;
        if proof.matched {
            for (of, _) in tries {
                self.ports.forget_try(client, of, now).await?;
            }
        }
        Ok(proof.matched)
    }

    /// The change that has the address proven: the code and a seat are held and a link is mailed, or
    /// it is mailed once more. `None` if that was done only just now.
    pub(super) fn plan_proof(
        &self,
        found: &Found,
        ground: &Ground,
        before: &Before,
        block: Option<BlockKey>,
        now: Timestamp,
    ) -> Option<Change> {
        let mut change = Change::new(&self.command.client_id, self.op, Actor::Learner, now);
        change.receipt = super::Redeemed { to_be_proven: true, ..self.done(false) }.receipt();
        match before.last.as_ref().filter(|_| before.is_open) {
            Some(open) => {
                let mailed_at = open.reminded_at.unwrap_or(open.created_at);
                if mailed_at + AGAIN_AFTER > now {
                    return None;
                }
                mail_again(&mut change, open);
            }
            None => self.hold(&mut change, found, ground, before.last.as_ref(), block),
        }
        Some(change)
    }

    /// Holds seat and code for the address, also if its learner has a seat: what becomes of the code
    /// must not tell. The link then only leads in, and both go back.
    fn hold(
        &self,
        change: &mut Change,
        found: &Found,
        ground: &Ground,
        last: Option<&Invitation>,
        block: Option<BlockKey>,
    ) {
        let (batch, pool, learner_id) = (&found.batch, ground.pool, self.learner_id);
        let shard = block.as_ref().map(|key| key.shard);
        self.use_code(change, batch, block.is_some());
        let (action, learners) = (Action::CodeHeld, [learner_id]);
        let reason = Some(batch.batch_id.to_string());
        if let Some(key) = block {
            let cursor = Some(BlockCursor::at_epoch(batch.steering.epoch));
            change.step(Step::DrawBlock { key, used: 0, kept: 1, cursor });
            change.audit(pool, Delta::default(), action, &learners, reason);
        } else {
            change.move_seats(pool, Delta::held(1), action, &learners, reason);
        }
        let invitation = self.proof(change, found, ground, last, shard);
        let mail = invitation_mail(change, &invitation, change.at);
        let replaces = last.map(|last| (last.version, last.status));
        change.step(Step::PutInvitation { invitation: Box::new(invitation), replaces });
        change.step(Step::Mail(mail));
    }

    fn proof(
        &self,
        change: &Change,
        found: &Found,
        ground: &Ground,
        last: Option<&Invitation>,
        shard: Option<u16>,
    ) -> Invitation {
        let (batch, command, now) = (&found.batch, self.command, change.at);
        let place = self.keys.proof_id(&command.client_id, ground.pool, &command.email);
        let Succession { invitation_id, moved_to, version, left } = Succession::at(place, last);
        let profile = self.profile(batch, ground);
        Invitation {
            invitation_id,
            moved_to,
            left,
            email: command.email.clone(),
            status: InvitationStatus::Pending,
            version,
            holds_seat: true,
            held_since: Some(now),
            contract_id: batch.contract_id,
            sublicense_id: batch.sublicense_id,
            grant: Grant {
                roles: [Role::Learner].into(),
                group_ids: profile.group_ids,
                labels: profile.labels,
                language: profile.language,
                start_on: batch.start_on,
                ..Grant::default()
            },
            redeems: Some(HeldCode {
                batch_id: batch.batch_id,
                kind: batch.kind,
                hash: self.hash,
                last4: found.record.last4.clone(),
                shard,
                first_name: given(&command.first_name),
                last_name: given(&command.last_name),
            }),
            message: None,
            expires_at: now + HELD_FOR,
            sent_count: 1,
            last_sent_at: None,
            reminders: 0,
            reminded_at: None,
            reminders_unwanted: false,
            delivery: Delivery::Queued,
            gives_up_at: None,
            invited_by: change.actor.to_string(),
            inviter: None,
            created_at: now,
            op: change.op.id,
        }
    }
}

/// Owes another mail with the link of an invitation that is open.
fn mail_again(change: &mut Change, open: &Invitation) {
    let (invitation, version, reminders) = (open.place(), open.version, open.reminders);
    change.step(Step::CountReminder { invitation_id: invitation, version, reminders });
    let number = reminders + 1;
    change.step(Step::Mail(MailIntent {
        client_id: change.client_id.clone(),
        key: format!("invitation#{invitation}#{version}#{number}"),
        cohort: None,
        due_at: change.at,
        subjects: vec![Subject::Reminder { invitation, version, number }],
        copy_to: None,
    }));
}
