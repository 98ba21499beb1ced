//! Downloading a batch's codes again: the list is opened, and the trail says who had it.

use crate::actions::issue_codes::batch_codes;
use crate::actions::{Met, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, StoreError};
use crate::code::{Batch, Code, CodeKind};
use crate::idempotency::Op;
use crate::ids::ClientId;
use crate::ports::{Clock, CodeBook, Ledger};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Delta;

/// A code, as its batch's list has it.
#[derive(Debug, Clone)]
pub struct ListedCode {
    /// The code.
    pub code: Code,
    /// Whether it was redeemed as often as it can be: a redemption code once, a registration code as
    /// many times as its maximum says.
    pub redeemed: bool,
}

/// Opens the list of a batch's codes. Who asked is written down before anything is shown.
pub async fn download_codes(
    ports: &(impl Ledger + CodeBook),
    clock: &impl Clock,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    client: &ClientId,
    batch: &Batch,
) -> Result<Vec<ListedCode>, StoreError> {
    let mut change = Change::new(client, op, Actor::Caller(caller.subject.clone()), clock.now());
    let (pool, reason) = (batch.pool(), Some(batch.batch_id.to_string()));
    change.audit(pool, Delta::default(), Action::CodesDownloaded, &[], reason);
    match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
        Ok(()) | Err(Met::Repeated) => {}
        Err(Met::Failed(error)) => return Err(error),
        Err(Met::Raced(_) | Met::NoSeats) => return Err(gave_up()),
    }
    let mut codes = batch_codes(ports, keys, client, batch.batch_id).await?;
    // Behind them may stand a lot that is not whole yet.
    codes.truncate(usize::try_from(batch.count).unwrap_or(usize::MAX));
    let hashes: Vec<_> = codes.iter().map(|code| code.hash(keys, client)).collect();
    let records = ports.codes(client, &hashes).await?;
    let spent = match (batch.kind, batch.max_redemptions) {
        (CodeKind::Registration, Some(most)) => {
            let blocks = ports.blocks(client, pool).await?;
            batch.redeemed_with(&blocks) >= u64::from(most)
        }
        (CodeKind::Registration, None) | (CodeKind::Redemption, _) => false,
    };
    let listed = |(code, record): (Code, Option<crate::code::CodeRecord>)| ListedCode {
        code,
        redeemed: spent || record.is_some_and(|record| record.redeemed_by.is_some()),
    };
    Ok(codes.into_iter().zip(records).map(listed).collect())
}
