//! What lies ahead of a contract, for the mails that warn of it.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::actions::utilization::Origin;
use crate::change::StoreError;
use crate::client::Client;
use crate::cohort::CohortState;
use crate::contract::Contract;
use crate::dates::local_date;
use crate::ids::{ClientId, ContractId, PoolId};
use crate::ports::{
    Catalog, PageRequest, PendingInvitations, Proofs, Rounds, SeatsLeft, StillOpen,
};

/// The past that a rate is taken from.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(28 * 24);
/// The shortest past that says anything.
const LEAST: SignedDuration = SignedDuration::from_hours(24);
/// The most days ahead that are told: what is beyond is no warning.
const AHEAD: f64 = 365.0;
/// Records of a trail that are read at once.
const READ: u16 = 1_000;
/// Most readings of one pool. The rate of one that moved more often is taken from the newest records.
const READINGS: u32 = 20;
/// Most pages of a hundred open invitations that are counted: a few seconds' work.
const PAGES: u32 = 100;

/// The pools of a contract: its own, and those of its sublicenses.
async fn pools_of(
    ports: &impl Catalog,
    client: &ClientId,
    contract: ContractId,
) -> Result<Vec<PoolId>, StoreError> {
    let sublicenses = ports.sublicenses_of(client, contract).await?;
    let others = sublicenses.iter().map(|one| PoolId::Sublicense(one.sublicense_id));
    Ok([PoolId::Contract(contract)].into_iter().chain(others).collect())
}

/// The local day on which a contract's seats run out if they go on being taken as in the last four
/// weeks, releases set off; `None` if they do not, within its window and a year.
pub(super) async fn empty_on(
    ports: &(impl Catalog + Proofs),
    owner: &Client,
    contract: &Contract,
    left: SeatsLeft,
    now: Timestamp,
) -> Result<Option<Date>, StoreError> {
    let since = (now - LOOK_BACK).max(contract.created_at);
    if left.available == 0 || now.duration_since(since) < LEAST {
        return Ok(None);
    }
    let mut a_day = 0.0;
    for pool in pools_of(ports, &owner.client_id, contract.contract_id).await? {
        a_day += rate(ports, &owner.client_id, pool, (since, now)).await?;
    }
    if a_day <= 0.0 {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer seats than 2^52")]
    let days = left.available as f64 / a_day;
    if days > AHEAD {
        return Ok(None);
    }
    let empty = now + SignedDuration::from_secs_f64(days * 86_400.0);
    let day = local_date(empty, owner.time_zone.zone());
    Ok(Some(day).filter(|day| contract.ends_on.is_none_or(|last| *day <= last)))
}

/// Seats taken a day from a pool's available ones.
async fn rate(
    ports: &impl Proofs,
    client: &ClientId,
    pool: PoolId,
    (since, now): (Timestamp, Timestamp),
) -> Result<f64, StoreError> {
    let mut page = PageRequest { limit: READ, cursor: None };
    let (mut taken, mut begin) = (0, since);
    for turn in 1..=READINGS {
        let found = ports.trail_back(client, pool, &page).await?;
        // Who comes over from a contract before came at once, and no others will.
        let moved = found
            .items
            .iter()
            .take_while(|record| record.at >= since)
            .filter(|record| !matches!(Origin::of(record), Origin::Contract | Origin::Renewal));
        taken -= moved.map(|record| record.delta.available).sum::<i64>();
        let oldest = found.items.last().map(|record| record.at);
        page.cursor = found.next.filter(|_| oldest.is_some_and(|oldest| oldest >= since));
        if page.cursor.is_none() {
            break;
        }
        if turn == READINGS {
            begin = oldest.unwrap_or(since);
        }
    }
    let span = now.duration_since(begin).max(SignedDuration::from_hours(1));
    #[expect(clippy::cast_precision_loss, reason = "far fewer seats than 2^52")]
    let taken = taken as f64;
    Ok(taken * 86_400.0 / span.as_secs_f64())
}

/// What still waits in a contract that comes to its end. A client's invitations are counted within
/// bounds: a mail goes out.
pub(super) async fn still_open(
    ports: &(impl Catalog + PendingInvitations + Rounds),
    client: &ClientId,
    contract: ContractId,
) -> Result<StillOpen, StoreError> {
    let mut open = StillOpen::default();
    for pool in pools_of(ports, client, contract).await? {
        let cohorts = ports.cohorts(client, pool).await?;
        let waiting = cohorts.iter().filter(|cohort| cohort.state == CohortState::Waiting);
        open.scheduled += waiting.map(|cohort| cohort.count).sum::<u64>();
    }
    let mut page = PageRequest { limit: 100, cursor: None };
    for _ in 0..PAGES {
        let found = ports.pending_invitations(client, &page).await?;
        let ours = found.items.iter().filter(|invitation| {
            invitation.contract_id == contract && invitation.redeems.is_none()
        });
        open.invitations += ours.count() as u64;
        page.cursor = found.next;
        if page.cursor.is_none() {
            return Ok(open);
        }
    }
    Ok(StillOpen { at_least: true, ..open })
}
