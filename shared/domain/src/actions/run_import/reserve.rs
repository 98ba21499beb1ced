//! Reserving the seats of an import: one block, or a refusal in which nothing happens.

use crate::actions::{Met, ROUNDS, met};
use crate::audit::Action;
use crate::change::{Change, Step, StoreError};
use crate::import_run::{ImportRun, ImportStatus, OnShortage, SeatNeed, Totals};
use crate::ports::{Clock, Files, IdSource, Sheets};
use crate::stock::Delta;

use super::{ImportPorts, Importer, LEASE, Stop, Work, lost_every_round};

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Takes the block in one change with the state that says so. `Some` if the import was refused
    /// instead.
    pub(super) async fn reserve(&self, work: &mut Work) -> Result<Option<ImportStatus>, Stop> {
        let client = work.ground.client.client_id.clone();
        let pool = work.ground.pool;
        for _ in 0..ROUNDS {
            let stock = self.ports.stock(&client, pool).await?;
            let missing = || StoreError::Broken("a contract without a pool".to_owned());
            let available = stock.ok_or_else(missing)?.available;
            let needed = work.run.seats.needed;
            work.run.seats = SeatNeed::of(needed, available);
            if work.run.seats.short > 0 && !work.run.looked_up {
                // Some of them may have a seat and need none.
                self.judge_again(work).await?;
                continue;
            }
            let size =
                match block_size(work.run.settings.on_shortage, &work.run.totals, work.run.seats) {
                    Ok(size) => size,
                    Err(code) => return self.refuse(work, code).await.map(Some),
                };
            let mut change = self.change(work, "reserve", 0);
            let committing =
                ImportRun { lease_until: Some(self.clock.now() + LEASE), ..work.run.clone() };
            let committing = plan_reservation(&mut change, committing, size, work.run.epoch);
            let Err(refused) = self.ports.apply(&change).await else {
                work.run = committing;
                return Ok(None);
            };
            match met(&change, refused) {
                Met::NoSeats => {}
                Met::Failed(error) => return Err(error.into()),
                Met::Raced(_) | Met::Repeated => {
                    // Either the answer to this very change was lost, or somebody took over.
                    self.reload(work).await?;
                    if work.run.status == ImportStatus::Committing {
                        return Ok(None);
                    }
                }
            }
        }
        Err(lost_every_round())
    }
}

/// Adds the steps that set seats aside for an import and have its rows written: the block, and the
/// import in its new state, which must be at the epoch `expects`.
pub(crate) fn plan_reservation(
    change: &mut Change,
    run: ImportRun,
    size: u64,
    expects: u32,
) -> ImportRun {
    let pool = run.pool();
    if size > 0 {
        let held = Delta::held(i64::try_from(size).unwrap_or(i64::MAX));
        let reason = Some(run.import_id.to_string());
        change.move_seats(pool, held, Action::SeatsReserved, &[], reason);
    }
    change.step(Step::OpenBlock { key: run.block_key(), size, epoch: run.epoch });
    let mut committing = ImportRun {
        status: ImportStatus::Committing,
        waits_until: None,
        committed_at: Some(change.at),
        ..run
    };
    change.put_import(&mut committing, expects);
    committing
}

/// How many seats the block holds, or the code of the refusal.
pub(crate) fn block_size(
    on_shortage: OnShortage,
    totals: &Totals,
    seats: SeatNeed,
) -> Result<u64, &'static str> {
    match on_shortage {
        OnShortage::None if totals.invalid > 0 => Err("rows-invalid"),
        OnShortage::None | OnShortage::ValidOnly if seats.short > 0 => Err("no-seats-left"),
        OnShortage::None | OnShortage::ValidOnly => Ok(seats.needed),
        OnShortage::Fill => Ok(seats.needed.min(seats.available)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(
        on_shortage: OnShortage,
        invalid: u32,
        needed: u64,
        available: u64,
    ) -> Result<u64, &'static str> {
        let totals = Totals { invalid, ..Totals::default() };
        let short = needed.saturating_sub(available);
        block_size(on_shortage, &totals, SeatNeed { needed, available, short })
    }

    #[test]
    fn each_way_with_shortage_takes_the_block_that_it_promises() {
        use OnShortage::{Fill, None, ValidOnly};
        assert_eq!(size(None, 0, 3, 3), Ok(3));
        assert_eq!(size(None, 1, 3, 3), Err("rows-invalid"));
        assert_eq!(size(None, 0, 3, 2), Err("no-seats-left"));
        assert_eq!(size(ValidOnly, 9, 3, 3), Ok(3));
        assert_eq!(size(ValidOnly, 0, 3, 2), Err("no-seats-left"));
        assert_eq!(size(Fill, 9, 3, 2), Ok(2));
        assert_eq!(size(Fill, 0, 3, 5), Ok(3));
        assert_eq!(size(Fill, 0, 3, 0), Ok(0));
    }
}
