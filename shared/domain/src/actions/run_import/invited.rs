//! People of a file who were invited while it was written.
//!
//! Whoever invites looks whether the person has a seat, and the write of a row does not look whether
//! somebody invited them a moment before: the two can meet. Once every row is written nobody in it
//! can be invited any more, so that a look at the end finds all of them.

use crate::actions::ROUNDS;
use crate::actions::close_invitation::end;
use crate::audit::Actor;
use crate::change::Block;
use crate::contract::HoldOn;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::import_run::{Mode, Outcome};
use crate::invitation::{Invitation, InvitationStatus};
use crate::ports::{Clock, Files, IdSource, PoolStanding, Sheets};

use super::check::Look;
use super::{ImportPorts, Importer, MARGIN, Stop, Work, lost_every_round};

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Closes the invitations of those whom this import seated, as accepted; what they held returns.
    pub(super) async fn take_up_invitations(&self, work: &Work) -> Result<(), Stop> {
        if nobody_is_invited(work, &self.pool_standing(work).await?) {
            return Ok(());
        }
        for chunk in &work.chunks {
            if self.clock.now() + MARGIN > self.deadline {
                return Err(Stop::Deadline);
            }
            let seated = chunk
                .rows
                .iter()
                .filter(|row| matches!(row.outcome, Some(Outcome::Created | Outcome::Scheduled)));
            let emails: Vec<EmailAddress> =
                seated.filter_map(|row| EmailAddress::parse(row.email.as_deref()?).ok()).collect();
            let known = self.known(&work.ground, emails.iter(), Look::Invited).await?;
            for email in &emails {
                if let Some(invitation) = self.standing(&work.ground, email, &known).invitation {
                    self.take_up(work, invitation.clone()).await?;
                }
            }
        }
        Ok(())
    }

    async fn take_up(&self, work: &Work, mut invitation: Invitation) -> Result<(), Stop> {
        let client = &work.ground.client.client_id;
        for _ in 0..ROUNDS {
            if invitation.status != InvitationStatus::Pending {
                return Ok(());
            }
            let op = Op { id: self.ids.uuid(), guard: None };
            let (clock, keys) = (self.clock, self.keys);
            let (actor, to) = (Actor::Import(work.run.import_id), InvitationStatus::Accepted);
            if end(self.ports, clock, keys, actor, op, client, &invitation, to).await? {
                return Ok(());
            }
            let again = self.ports.invitations(client, &[invitation.place()]).await?;
            let Some(again) = again.into_iter().next() else { return Ok(()) };
            invitation = again;
        }
        Err(lost_every_round())
    }
}

/// Whether the pool's counters alone say that nobody is invited to it: all that it holds stands in
/// blocks, and an invitation would hold a seat beside them.
pub(super) fn nobody_is_invited(work: &Work, standing: &PoolStanding) -> bool {
    let own = work.run.block_key().owner;
    let creates = work.run.settings.mode == Mode::Create;
    let of_block = |block: &Block| {
        // What rows of another import keep, or of one that invites, may be invitations.
        let kept = if creates && block.key.owner == own { block.kept } else { 0 };
        block.used + block.rem + kept
    };
    let in_blocks: u64 = standing.blocks.iter().map(of_block).sum();
    let holds = work.ground.contract.policies.hold_on == HoldOn::Invite;
    holds && standing.counters.held == in_blocks
}
