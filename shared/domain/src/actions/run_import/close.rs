//! How an import ends: completed, refused or rejected, and always with a report.
//!
//! The report is written before the import says that it is at rest, so that whoever finds it at
//! rest finds the report. Coming to rest ends the worker's epoch too: whatever it wrote that
//! arrives later is refused.

use crate::actions::ROUNDS;
use crate::audit::Action;
use crate::change::{Block, Change, Step, StoreError};
use crate::dates::local_date;
use crate::email::EmailAddress;
use crate::import::{Detected, Field, RowError};
use crate::import_run::{
    ImportRun, ImportStatus, Outcome, RowProblem, SeatNeed, Totals, Verdict, WAITS,
};
use crate::outbox::import_mail;
use crate::ports::{Clock, Files, IdSource, ReportAbout, ReportedRow, Sheets, Unreadable};

use super::{ImportPorts, Importer, Stop, Work, lost_every_round, retryable};

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Gives the seats back that no row took, and ends the import.
    pub(super) async fn close(&self, mut work: Work, block: Block) -> Result<ImportStatus, Stop> {
        let mut block = Some(block);
        for _ in 0..ROUNDS {
            let Some(open) = block else { return Err(Stop::Overtaken) };
            sum_up(&mut work)?;
            let key = self.report(&work).await?;
            let pool = work.ground.pool;
            let mut change = self.change(&work, "close", 0);
            if !open.closing().is_nothing() {
                change.step(Step::MovePool { pool, delta: open.closing() });
            }
            if open.rem > 0 {
                let reason = Some(work.run.import_id.to_string());
                change.audit(pool, open.returned(), Action::ReserveReturned, &[], reason);
            }
            change.step(Step::CloseBlock(open));
            let status = ImportStatus::Completed;
            work.run.completed_at = Some(change.at);
            if self.rest(&mut work, change, status, Some(key)).await? {
                return Ok(status);
            }
            block = self.block(&work).await?;
        }
        Err(lost_every_round())
    }

    /// Leaves a checked import to whoever asked for it, with the report of its invalid rows.
    pub(super) async fn present(&self, mut work: Work) -> Result<ImportStatus, Stop> {
        let client = &work.ground.client.client_id;
        let stock = self.ports.stock(client, work.ground.pool).await?;
        let missing = || StoreError::Broken("a contract without a pool".to_owned());
        let available = stock.ok_or_else(missing)?.available;
        work.run.seats = SeatNeed::of(work.run.seats.needed, available);
        let key = self.report(&work).await?;
        work.run.waits_until = Some(self.clock.now() + WAITS);
        self.end(&mut work, ImportStatus::Checked, key).await
    }

    /// Ends an import in which nothing happened, because it could not happen as asked.
    pub(super) async fn refuse(
        &self,
        work: &mut Work,
        code: &'static str,
    ) -> Result<ImportStatus, Stop> {
        for row in work.chunks.iter_mut().flat_map(|chunk| &mut chunk.rows) {
            let outcome = row.verdict.when_refused();
            row.outcome = Some(outcome);
            work.run.totals.count_outcome(outcome);
        }
        work.run.rows_done = work.run.rows_total;
        let why = Unreadable { code, line: None, column: None };
        work.run.reject_code = Some(code.to_owned());
        work.run.reject_detail = Some(self.sheets.whole_file_hint(&why, &work.run.language));
        let key = self.report(work).await?;
        self.end(work, ImportStatus::Refused, key).await
    }

    /// Ends an import whose file cannot be imported at all.
    pub(super) async fn reject(
        &self,
        mut work: Work,
        why: &Unreadable,
    ) -> Result<ImportStatus, Stop> {
        let run = &mut work.run;
        run.reject_code = Some(why.code.to_owned());
        run.reject_detail = Some(self.sheets.whole_file_hint(why, &run.language));
        let made_on = local_date(self.clock.now(), work.ground.client.time_zone.zone());
        let bytes = self.sheets.rejection_report(why, &work.run.language, made_on)?;
        let key = report_key(&work);
        self.files.keep_report(&key, bytes).await?;
        self.end(&mut work, ImportStatus::Rejected, key).await
    }

    async fn end(
        &self,
        work: &mut Work,
        status: ImportStatus,
        key: String,
    ) -> Result<ImportStatus, Stop> {
        let change = self.change(work, "end", 0);
        if self.rest(work, change, status, Some(key)).await? {
            Ok(status)
        } else {
            Err(Stop::Overtaken)
        }
    }

    /// Applies `change` together with the import's end. `false` if it was refused and the import is
    /// this worker's still.
    pub(super) async fn rest(
        &self,
        work: &mut Work,
        mut change: Change,
        status: ImportStatus,
        report_key: Option<String>,
    ) -> Result<bool, Stop> {
        let epoch = work.run.epoch;
        let mut run = ImportRun {
            status,
            report_key,
            lease_until: None,
            epoch: epoch + 1,
            ..work.run.clone()
        };
        // A dropped file has no author whom anybody knows.
        let uploader: Option<EmailAddress> = run.inviter.as_deref().and_then(|to| to.parse().ok());
        if let Some(uploader) = uploader.filter(|_| run.status.is_news()) {
            let client = &work.ground.client.client_id;
            change.step(Step::Mail(import_mail(client, &run, uploader, change.at)));
        }
        change.put_import(&mut run, epoch);
        let Err(refused) = self.ports.apply(&change).await else {
            return Ok(true);
        };
        retryable(refused)?;
        let client = &work.ground.client.client_id;
        let stored = self.ports.import(client, work.run.import_id).await?;
        match stored {
            // Its own end, whose answer was lost.
            Some(stored) if stored.epoch == epoch + 1 && stored.lease_until.is_none() => Ok(true),
            Some(stored) if stored.epoch == epoch => {
                work.run = stored;
                Ok(false)
            }
            _ => Err(Stop::Overtaken),
        }
    }

    /// Writes the report: the rows that failed or found no seat, as they were uploaded.
    async fn report(&self, work: &Work) -> Result<String, Stop> {
        let detected: Detected = serde_json::from_value(work.run.detected.clone())
            .map_err(|error| StoreError::Broken(format!("what was detected: {error}")))?;
        let rows_invalid = work.run.reject_code.as_deref() == Some("rows-invalid");
        let records = work.chunks.iter().flat_map(|chunk| &chunk.rows);
        let mut reported = Vec::new();
        for (row, record) in work.rows.iter().zip(records) {
            let outcome = match record.outcome {
                // Nothing is wrong with it: it comes along so that the mended report is complete.
                Some(Outcome::NotSeated) if rows_invalid => Outcome::Failed,
                Some(outcome @ (Outcome::Failed | Outcome::NotSeated)) => outcome,
                // Nothing was written yet: this is what will fail.
                None if record.verdict == Verdict::Invalid => Outcome::Failed,
                _ => continue,
            };
            let errors = record.errors.iter().filter_map(row_error).collect();
            reported.push(ReportedRow { row, outcome, errors });
        }
        let zone = work.ground.client.time_zone.zone();
        let about = ReportAbout {
            detected: &detected,
            rows_total: work.run.rows_total,
            totals: &work.run.totals,
            language: &work.run.language,
            made_on: local_date(self.clock.now(), zone),
        };
        let bytes = self.sheets.report(&about, &reported)?;
        let key = report_key(work);
        self.files.keep_report(&key, bytes).await?;
        Ok(key)
    }
}

/// Counts what became of every row: whoever closes an import has written its rows, or read in the
/// trail what came of them.
fn sum_up(work: &mut Work) -> Result<(), Stop> {
    let mut totals = Totals::default();
    for row in work.chunks.iter().flat_map(|chunk| &chunk.rows) {
        let missing = || StoreError::Broken("a written row without an outcome".to_owned());
        totals.count_verdict(row.verdict);
        totals.count_outcome(row.outcome.ok_or_else(missing)?);
    }
    if !work.run.looked_up {
        // Nobody had been looked up: these are the seats that were needed in the end.
        work.run.seats.needed = u64::from(totals.valid);
    }
    work.run.totals = totals;
    work.run.rows_done = work.run.rows_total;
    Ok(())
}

fn report_key(work: &Work) -> String {
    format!("reports/{}/{}.xlsx", work.ground.client.client_id, work.run.import_id)
}

/// The error that a row's record tells of.
fn row_error(problem: &RowProblem) -> Option<RowError> {
    let column = Field::ALL.into_iter().find(|field| field.as_str() == problem.column)?;
    let code = serde_json::from_value(problem.code.clone().into()).ok()?;
    Some(RowError { column, code })
}
