//! Reminding everybody who has not answered an invitation yet: at most once a day each, a few times
//! in all, and nobody whose mail does not arrive or is not wanted.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::actions::ground::GroundError;
use crate::actions::invitations::may_see;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, InvitationId};
use crate::invitation::{Delivery, Invitation};
use crate::outbox::{MailIntent, Subject};
use crate::ports::{Catalog, Clock, Ledger, PageRequest, PendingInvitations, People};
use crate::role::Caller;

/// Most reminders of one link: whoever did not answer to three will not answer to a fourth.
pub const REMINDERS_MAX: u32 = 3;

/// How long after the last mail the next reminder may come.
pub const PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// Most reminders of one call, which has to answer within the gateway's patience.
pub const CALL_MAX: u32 = 1_000;

/// Reminders of one change: a step each and one that they share.
const CHUNK: u16 = 90;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reminded {
    /// Reminders that are owed now.
    pub reminded: u32,
    /// Whether the call ended before it had seen everybody: the next one goes on.
    pub more: bool,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum RemindError {
    /// There is no such client or contract.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a reminder of this invitation may go out at `now`.
pub fn may_remind(invitation: &Invitation, now: Timestamp) -> bool {
    // One that waits to be sent is no news yet; one that bounced or annoyed shall not come again.
    let arrives = match invitation.delivery {
        Delivery::Sent | Delivery::Delivered | Delivery::Unknown => invitation.sent_count > 0,
        Delivery::Queued | Delivery::Bounced | Delivery::Complained => false,
    };
    let told = invitation.last_sent_at.unwrap_or(invitation.created_at);
    let last = invitation.reminded_at.map_or(told, |reminded| reminded.max(told));
    invitation.is_live(now)
        && arrives
        && !invitation.reminders_unwanted
        && invitation.reminders < REMINDERS_MAX
        && last + PAUSE <= now
}

/// Owes a reminder to everybody who may get one and whose invitation the caller sees; of one
/// contract, if one is named.
pub async fn remind_invitations(
    ports: &(impl Ledger + Catalog + People + PendingInvitations),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    contract: Option<ContractId>,
) -> Result<Reminded, RemindError> {
    if ports.client(client).await?.is_none() {
        return Err(GroundError::UnknownClient.into());
    }
    if let Some(contract) = contract
        && ports.contract(client, contract).await?.is_none()
    {
        return Err(GroundError::UnknownContract.into());
    }
    let receipts = ports.receipts(&op).await?;
    let mut part = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    let mut reminded: u32 = receipts.iter().map(read_receipt).sum();
    let mut page = PageRequest { limit: CHUNK, cursor: None };
    loop {
        if reminded >= CALL_MAX {
            return Ok(Reminded { reminded, more: true });
        }
        let found = ports.pending_invitations(client, &page).await?;
        let now = clock.now();
        let wanted = |found: &&Invitation| {
            may_see(caller, found)
                && contract.is_none_or(|contract| contract == found.contract_id)
                && may_remind(found, now)
        };
        let places: Vec<_> = found.items.iter().filter(wanted).map(Invitation::place).collect();
        let done = remind(ports, clock, caller, op, client, part, &places).await?;
        if done > 0 {
            part += 1;
            reminded += done;
        }
        page.cursor = found.next;
        if page.cursor.is_none() {
            return Ok(Reminded { reminded, more: false });
        }
    }
}

/// Reminds of the invitations at these places, as many as still may be; says how many.
async fn remind(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    part: u32,
    places: &[InvitationId],
) -> Result<u32, StoreError> {
    for _ in 0..ROUNDS {
        if places.is_empty() {
            return Ok(0);
        }
        let now = clock.now();
        let mut found = ports.invitations(client, places).await?;
        found.retain(|found| may_remind(found, now));
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        if found.is_empty() {
            return Ok(0);
        }
        let change = plan(caller, op, client, part, now, &found);
        let Err(refused) = ports.apply(&change).await else { return Ok(count) };
        match met(&change, refused) {
            Met::Repeated => return Ok(count),
            Met::NoSeats | Met::Raced(_) => {}
            Met::Failed(error) => return Err(error),
        }
    }
    Err(gave_up())
}

fn plan(
    caller: &Caller,
    op: Op,
    client: &ClientId,
    part: u32,
    now: Timestamp,
    found: &[Invitation],
) -> Change {
    let change = Change::new(client, op, Actor::Caller(caller.subject.clone()), now);
    let mut change = Change { part, ..change };
    change.receipt = json!({"reminded": found.len()});
    let mut subjects = Vec::with_capacity(found.len());
    for one in found {
        let (invitation_id, version, reminders) = (one.place(), one.version, one.reminders);
        change.step(Step::CountReminder { invitation_id, version, reminders });
        let number = reminders + 1;
        subjects.push(Subject::Reminder { invitation: invitation_id, version, number });
    }
    change.step(Step::Mail(MailIntent {
        client_id: client.clone(),
        key: format!("remind#{}#{part}", op.id.simple()),
        cohort: None,
        due_at: now,
        subjects,
        copy_to: None,
    }));
    change
}

fn read_receipt(receipt: &Value) -> u32 {
    let reminded = receipt.get("reminded").and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(reminded).unwrap_or(u32::MAX)
}
