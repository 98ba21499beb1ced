//! The sweep: does what was due and did not happen, gives back what was forgotten, and proves the
//! counters by the trails. By the records they are proved [elsewhere](super::prove_records).
//!
//! Every part is bounded, reads only what is due, and may run beside another sweep: what it does
//! is decided by the same conditions as everywhere else.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::actions::cancel_import::forget_import;
use crate::actions::close_invitation::{expire_invitation, give_up_invitation};
use crate::actions::issue_codes::tend_batch;
use crate::actions::open_cohort::{OpenCohortError, Opened, open_cohort};
use crate::actions::prove_pool::{Mismatch, PROVEN_FOR, Proven, SETTLED_AFTER, prove};
use crate::actions::renew_contract::go_on_renewing;
use crate::actions::return_blocks::return_forgotten_blocks;
use crate::actions::send_mail::{MailRoom, Posted, SendPorts, Standing};
use crate::actions::warn_client::warn_client;
use crate::change::StoreError;
use crate::idempotency::Op;
use crate::ids::{ClientId, PoolId};
use crate::ports::{
    Clock, CodeBook, Due, IdSource, ImportLog, Ledger, Mailer, Proofs, Refusal, Rounds, Schedules,
    Writer,
};
use crate::secrets::Keys;

/// Most items of each kind that one sweep looks at.
const ITEMS: u16 = 500;
/// Times in a row that the mail service may be too busy before the sweep leaves it alone.
const BUSY_MAX: u32 = 5;
/// Most pools that one sweep proves.
const POOLS: u16 = 50;
/// When something that cannot be dealt with is looked at again.
const TROUBLE_AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// How soon a lapsed import is woken.
const WAKE_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Mails handed over.
    pub mails_sent: u32,
    /// Mails whose reason had lapsed.
    pub mails_lapsed: u32,
    /// Mails parked because nobody knows whether they went out.
    pub mails_unknown: u32,
    /// Mails set aside because they cannot be sent.
    pub mails_refused: u32,
    /// Mails not sent because their address had complained.
    pub mails_suppressed: u32,
    /// Intents that were put off.
    pub mails_put_off: u32,
    /// Cohorts opened that their schedule missed.
    pub cohorts_opened: u32,
    /// Invitations whose time had run out.
    pub invitations_expired: u32,
    /// Invitations whose mail had come back for good.
    pub invitations_given_up: u32,
    /// Batches of codes that had seats set aside which nobody can redeem: never finished, revoked, over.
    pub batches_given_back: u32,
    /// Imports whose worker was gone.
    pub imports_woken: u32,
    /// Imports and batches whose blocks had been forgotten.
    pub blocks_returned: u32,
    /// Imports that waited in vain for their file or their commit.
    pub imports_cancelled: u32,
    /// Mails owed to clients whose stock runs low or whose contract ends.
    pub warnings_owed: u32,
    /// Pools whose counters agree with their trail.
    pub pools_proven: u32,
    /// Pools that were too busy to be proved.
    pub pools_busy: u32,
    /// Pools whose counters do not agree.
    pub mismatches: Vec<Mismatch>,
    /// What could not be done.
    pub troubles: Vec<Trouble>,
}

/// Something a sweep could not do; the next one tries again.
#[derive(Debug)]
pub struct Trouble {
    /// What it was at.
    pub at: &'static str,
    /// With which record: ids only.
    pub record: String,
    /// Why.
    pub error: StoreError,
}

/// What a sweep needs of the store.
pub trait SweepPorts: SendPorts + Ledger + CodeBook + ImportLog + Due + Proofs + Rounds {}
impl<P> SweepPorts for P where P: SendPorts + Ledger + CodeBook + ImportLog + Due + Proofs + Rounds {}

impl Swept {
    fn trouble(&mut self, at: &'static str, record: impl fmt::Display, error: StoreError) {
        self.troubles.push(Trouble { at, record: record.to_string(), error });
    }

    fn count(&mut self, posted: Posted) {
        self.mails_sent += posted.sent;
        self.mails_lapsed += posted.lapsed;
        self.mails_unknown += posted.unknown;
        self.mails_refused += posted.refused;
        self.mails_suppressed += posted.suppressed;
        self.mails_put_off += u32::from(matches!(posted.standing, Standing::PutOff(..)));
    }
}

/// Runs every part, until `until` at most. A part that fails does not keep the others from running.
pub async fn sweep<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    schedules: &impl Schedules,
    keys: &Keys,
    until: Timestamp,
) -> Swept
where
    P: SweepPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    let mut swept = Swept::default();
    if let Err(error) = overdue_cohorts(room, until, &mut swept).await {
        swept.trouble("cohorts", "", error);
    }
    if let Err(error) = expired_invitations(room, keys, until, &mut swept).await {
        swept.trouble("invitations", "", error);
    }
    if let Err(error) = unfinished_batches(room, keys, until, &mut swept).await {
        swept.trouble("batches", "", error);
    }
    if let Err(error) = lapsed_imports(room, schedules, until, &mut swept).await {
        swept.trouble("imports", "", error);
    }
    if let Err(error) = forgotten_imports(room, until, &mut swept).await {
        swept.trouble("waiting imports", "", error);
    }
    if let Err(error) = contracts_to_look_at(room, keys, until, &mut swept).await {
        swept.trouble("contracts", "", error);
    }
    if let Err(error) = due_mails(room, until, &mut swept).await {
        swept.trouble("mails", "", error);
    }
    if let Err(error) = proofs(room, until, &mut swept).await {
        swept.trouble("pools", "", error);
    }
    swept
}

async fn overdue_cohorts<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    let mut seen = BTreeSet::new();
    loop {
        // However many opened at one hour, none waits for the next sweep; the index may still name those
        // that have.
        let found = room.store.due_cohorts(room.clock.now(), ITEMS).await?;
        let new: Vec<_> = found.into_iter().filter(|key| !seen.contains(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for key in new {
            if room.clock.now() >= until {
                return Ok(());
            }
            match open_cohort(&room.store, &room.clock, &room.ids, &key).await {
                Ok(Opened::Now(_)) => swept.cohorts_opened += 1,
                Ok(Opened::Before)
                | Err(OpenCohortError::TooEarly | OpenCohortError::UnknownCohort) => {}
                Err(OpenCohortError::Store(error)) => swept.trouble("cohort", &key, error),
            }
            seen.insert(key);
        }
    }
}

async fn expired_invitations<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    keys: &Keys,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    for (client, id) in room.store.due_invitations(room.clock.now(), ITEMS).await? {
        if room.clock.now() >= until {
            break;
        }
        let op = Op { id: room.ids.uuid(), guard: None };
        let (store, clock, ids) = (&room.store, &room.clock, &room.ids);
        match expire_invitation(store, clock, ids, keys, op, &client, id).await {
            Ok(true) => {
                swept.invitations_expired += 1;
                continue;
            }
            Ok(false) => {}
            Err(error) => {
                swept.trouble("invitation", id, error);
                continue;
            }
        }
        match give_up_invitation(&room.store, &room.clock, keys, op, &client, id).await {
            Ok(true) => swept.invitations_given_up += 1,
            Ok(false) => {}
            Err(error) => swept.trouble("invitation", id, error),
        }
    }
    Ok(())
}

async fn unfinished_batches<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    keys: &Keys,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    for (client, id) in room.store.unfinished_batches(room.clock.now()).await? {
        if room.clock.now() >= until {
            break;
        }
        match tend_batch(&room.store, &room.clock, &room.ids, keys, &client, id).await {
            Ok(true) => swept.batches_given_back += 1,
            Ok(false) => {}
            Err(error) => swept.trouble("batch", id, error),
        }
    }
    Ok(())
}

async fn lapsed_imports<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    schedules: &impl Schedules,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
{
    for wake in room.store.due_imports(room.clock.now(), ITEMS).await? {
        let now = room.clock.now();
        if now >= until {
            break;
        }
        match schedules.schedule(&wake, now + WAKE_AFTER).await {
            Ok(()) => swept.imports_woken += 1,
            Err(error) => swept.trouble("import", "", error),
        }
    }
    Ok(())
}

async fn forgotten_imports<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    for (client, id) in room.store.waiting_imports(room.clock.now(), ITEMS).await? {
        if room.clock.now() >= until {
            break;
        }
        let op = Op { id: room.ids.uuid(), guard: None };
        match forget_import(&room.store, &room.clock, op, &client, id).await {
            Ok(true) => swept.imports_cancelled += 1,
            Ok(false) => {}
            Err(error) => swept.trouble("import", id, error),
        }
    }
    Ok(())
}

async fn contracts_to_look_at<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    keys: &Keys,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    for (client, id) in room.store.due_contracts(room.clock.now(), ITEMS).await? {
        if room.clock.now() >= until {
            break;
        }
        let (store, clock, ids) = (&room.store, &room.clock, &room.ids);
        let renewal = match go_on_renewing(store, clock, ids, keys, &client, id, until).await {
            Ok(renewal) => renewal,
            Err(error) => {
                swept.trouble("renewal", id, error);
                None
            }
        };
        match warn_client(store, clock, ids, (&client, id), renewal).await {
            Ok(owed) => swept.warnings_owed += owed,
            Err(error) => swept.trouble("contract", id, error),
        }
    }
    Ok(())
}

async fn due_mails<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    M: Mailer,
    W: Writer,
    C: Clock,
    I: IdSource,
{
    let mut busy = 0;
    let mut seen = BTreeSet::new();
    let mut due = VecDeque::new();
    loop {
        if due.is_empty() {
            // What is put off has a later place in the index, what another sender is at has not.
            let found = room.store.due_mails(room.clock.now(), ITEMS).await?;
            due.extend(found.into_iter().filter(|place| !seen.contains(place)));
        }
        let Some(place) = due.pop_front() else { break };
        if room.clock.now() >= until {
            break;
        }
        seen.insert(place.clone());
        match room.send(&place, until).await {
            Ok(posted) => {
                swept.count(posted);
                let refusal = match posted.standing {
                    Standing::PutOff(refusal, _) => Some(refusal),
                    _ => None,
                };
                busy = if refusal == Some(Refusal::Busy) { busy + 1 } else { 0 };
                // What holds for one mail holds for all: the account may not send, the service is
                // not there, or its rate or quota is used up.
                let held = matches!(posted.standing, Standing::Held(_));
                if held || refusal == Some(Refusal::Barred) || busy == BUSY_MAX {
                    break;
                }
            }
            Err(error) => {
                if !error.is_retryable() {
                    // It would come first again in every sweep, before all that can be sent.
                    room.store.postpone(&place, room.clock.now() + TROUBLE_AGAIN).await?;
                }
                swept.trouble("mail", &place.key, error);
            }
        }
    }
    Ok(())
}

async fn proofs<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    until: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    for (client, pool) in room.store.due_pools(room.clock.now(), POOLS).await? {
        if room.clock.now() >= until {
            break;
        }
        match one_pool(room, &client, pool, swept).await {
            Ok(Proven::Yes) => swept.pools_proven += 1,
            Ok(Proven::Busy) => swept.pools_busy += 1,
            Ok(Proven::No(mismatch)) => swept.mismatches.push(mismatch),
            Err(error) => swept.trouble("pool", pool, error),
        }
    }
    Ok(())
}

async fn one_pool<P, M, W, C, I>(
    room: &MailRoom<P, M, W, C, I>,
    client: &ClientId,
    pool: PoolId,
    swept: &mut Swept,
) -> Result<Proven, StoreError>
where
    P: SweepPorts,
    C: Clock,
    I: IdSource,
{
    let (store, clock) = (&room.store, &room.clock);
    let now = clock.now();
    let cut = store.begin_round(client, now + SETTLED_AFTER).await?;
    let proven = prove(store, clock, client, pool, cut).await?;
    // Only of a pool whose counters are right, so that nothing covers what is wrong.
    if proven == Proven::Yes {
        let turn = usize::try_from(now.as_second() / PROVEN_FOR.as_secs()).unwrap_or(0);
        let returned = return_forgotten_blocks(store, clock, &room.ids, client, pool, turn).await?;
        swept.blocks_returned += u32::try_from(returned.len()).unwrap_or(u32::MAX);
    }
    Ok(proven)
}
