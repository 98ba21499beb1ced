//! The sweep: does what was due and did not happen, and proves the counters.
//!
//! Every part is bounded, reads only what is due, and may run beside another sweep: what it does
//! is decided by the same conditions as everywhere else.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::actions::close_invitation::expire_invitation;
use crate::actions::issue_codes::give_back_unfinished;
use crate::actions::open_cohort::{OpenCohortError, Opened, open_cohort};
use crate::actions::send_mail::{MailRoom, Posted, SendPorts, Standing};
use crate::change::StoreError;
use crate::idempotency::Op;
use crate::ids::{ClientId, PoolId};
use crate::ports::{
    Clock, CodeBook, Due, IdSource, Ledger, Mailer, PageRequest, Proof, Proofs, Refusal, Schedules,
    Writer,
};
use crate::secrets::Keys;
use crate::stock::{Delta, Stock};

/// Most items of each kind that one sweep looks at.
const ITEMS: u16 = 500;
/// Times in a row that the mail service may be too busy before the sweep leaves it alone.
const BUSY_MAX: u32 = 5;
/// Most pools that one sweep proves.
const POOLS: u16 = 50;
/// Most records of one trail that one sweep reads.
const RECORDS: usize = 5_000;
/// How long a proven pool is left alone.
const PROVEN_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long a record may be on its way: its instant is when its change was planned.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);
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
    /// Intents that were put off.
    pub mails_put_off: u32,
    /// Cohorts opened that their schedule missed.
    pub cohorts_opened: u32,
    /// Invitations whose time had run out.
    pub invitations_expired: u32,
    /// Batches of codes whose issue never ended.
    pub batches_given_back: u32,
    /// Imports whose worker was gone.
    pub imports_woken: u32,
    /// Pools whose counters agree with their trail.
    pub pools_proven: u32,
    /// Pools that were too busy to be proved.
    pub pools_busy: u32,
    /// Pools whose counters do not agree.
    pub mismatches: Vec<Mismatch>,
    /// What could not be done.
    pub troubles: Vec<Trouble>,
}

/// A pool whose counters are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Whose.
    pub client_id: ClientId,
    /// Which.
    pub pool: PoolId,
    /// What the counters say.
    pub shown: Stock,
    /// What the trail adds up to.
    pub told: Delta,
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

/// What a pool's proof came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proven {
    /// Counters and trail agree.
    Yes,
    /// They did not hold still, or the trail is long: go on another time.
    Busy,
    /// They do not agree.
    No(Mismatch),
}

/// What a sweep needs of the store.
pub trait SweepPorts: SendPorts + Ledger + CodeBook + Due + Proofs {}
impl<P: SendPorts + Ledger + CodeBook + Due + Proofs> SweepPorts for P {}

impl Swept {
    fn trouble(&mut self, at: &'static str, record: impl fmt::Display, error: StoreError) {
        self.troubles.push(Trouble { at, record: record.to_string(), error });
    }

    fn count(&mut self, posted: Posted) {
        self.mails_sent += posted.sent;
        self.mails_lapsed += posted.lapsed;
        self.mails_unknown += posted.unknown;
        self.mails_refused += posted.refused;
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
    for key in room.store.due_cohorts(room.clock.now(), ITEMS).await? {
        if room.clock.now() >= until {
            break;
        }
        match open_cohort(&room.store, &room.clock, &room.ids, &key).await {
            Ok(Opened::Now(_)) => swept.cohorts_opened += 1,
            Ok(Opened::Before)
            | Err(OpenCohortError::TooEarly | OpenCohortError::UnknownCohort) => {}
            Err(OpenCohortError::Store(error)) => swept.trouble("cohort", &key, error),
        }
    }
    Ok(())
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
        match expire_invitation(&room.store, &room.clock, keys, op, &client, id).await {
            Ok(true) => swept.invitations_expired += 1,
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
        match give_back_unfinished(&room.store, &room.clock, &room.ids, keys, &client, id).await {
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
    for place in room.store.due_mails(room.clock.now(), ITEMS).await? {
        if room.clock.now() >= until {
            break;
        }
        match room.send(&place, until).await {
            Ok(posted) => {
                swept.count(posted);
                let refusal = match posted.standing {
                    Standing::PutOff(refusal, _) => Some(refusal),
                    _ => None,
                };
                busy = if refusal == Some(Refusal::Busy) { busy + 1 } else { 0 };
                // What holds for one mail holds for all: the account may not send, or the service
                // is not there.
                if refusal == Some(Refusal::Barred) || busy == BUSY_MAX {
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
{
    for (client, pool) in room.store.due_pools(room.clock.now(), POOLS).await? {
        if room.clock.now() >= until {
            break;
        }
        match prove(&room.store, &room.clock, &client, pool).await {
            Ok(Proven::Yes) => swept.pools_proven += 1,
            Ok(Proven::Busy) => swept.pools_busy += 1,
            Ok(Proven::No(mismatch)) => swept.mismatches.push(mismatch),
            Err(error) => swept.trouble("pool", pool, error),
        }
    }
    Ok(())
}

/// Proves a pool: its counters add up, and its trail adds up to them.
///
/// The trail is read between two readings of the counters; only if both are the same do they have
/// to agree with it. What was added up an hour ago and earlier is not read again.
pub async fn prove(
    ports: &(impl Ledger + Proofs),
    clock: &impl Clock,
    client: &ClientId,
    pool: PoolId,
) -> Result<Proven, StoreError> {
    let known = ports.proof(client, pool).await?;
    let now = clock.now();
    let settled = now - SETTLED_AFTER;
    let mut result = Proven::Busy;
    for _ in 0..3 {
        let Some(shown) = ports.stock(client, pool).await? else { return Ok(Proven::Busy) };
        let read = add_up(ports, client, pool, known, settled).await?;
        if !read.whole {
            ports.keep_proof(client, pool, &read.keep, now).await?;
            return Ok(Proven::Busy);
        }
        if ports.stock(client, pool).await? != Some(shown) {
            continue;
        }
        if shown.adds_up() && agree(shown, read.sum) {
            ports.keep_proof(client, pool, &read.keep, now + PROVEN_FOR).await?;
            return Ok(Proven::Yes);
        }
        result = Proven::No(Mismatch { client_id: client.clone(), pool, shown, told: read.sum });
    }
    Ok(result)
}

/// A trail added up.
struct AddedUp {
    sum: Delta,
    keep: Proof,
    whole: bool,
}

async fn add_up(
    ports: &impl Proofs,
    client: &ClientId,
    pool: PoolId,
    known: Proof,
    settled: Timestamp,
) -> Result<AddedUp, StoreError> {
    let mut sum = known.sum;
    let mut keep = known;
    let mut read = 0;
    let mut page = PageRequest { limit: 100, cursor: None };
    loop {
        let found = ports.trail(client, pool, known.until, &page).await?;
        for record in found.items {
            // Records of one instant are kept together: the sum before it is what is kept.
            if record.at <= settled && keep.until != Some(record.at) {
                keep = Proof { until: Some(record.at), sum };
            }
            sum = sum.and(record.delta);
            read += 1;
        }
        let Some(next) = found.next else {
            return Ok(AddedUp { sum, keep, whole: true });
        };
        if read >= RECORDS {
            return Ok(AddedUp { sum, keep, whole: false });
        }
        page.cursor = Some(next);
    }
}

fn agree(shown: Stock, told: Delta) -> bool {
    told.applied_to(Stock::default()) == Some(shown)
}
