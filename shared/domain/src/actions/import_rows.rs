//! The rows of an import, as its book and the trail tell of them.

use jiff::SignedDuration;

use crate::audit::Action;
use crate::change::StoreError;
use crate::ids::ClientId;
use crate::import_run::{ImportRun, ImportStatus, RowRecord, Verdict};
use crate::ports::{Files, ImportLog, Page, PageRequest};
use crate::row_book::{Chunk, RowBook};

/// How far the clocks of two workers of one import may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// Why the rows of an import cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ImportRowsError {
    /// They are no longer kept.
    #[error("the rows of this import are no longer kept")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All rows of an import in file order; none before they were judged.
pub async fn import_rows(
    ports: &impl ImportLog,
    files: &impl Files,
    client: &ClientId,
    run: &ImportRun,
) -> Result<Vec<RowRecord>, ImportRowsError> {
    let mut chunks = judged(files, run).await?;
    recall(ports, client, run, &mut chunks).await?;
    let mut rows: Vec<RowRecord> = chunks.into_iter().flat_map(|chunk| chunk.rows).collect();
    if run.status == ImportStatus::Refused {
        for row in &mut rows {
            row.outcome = Some(row.verdict.when_refused());
        }
    }
    Ok(rows)
}

/// One page of rows, of one verdict if one is asked for. A cursor is a place among all rows.
pub fn page_of(
    rows: Vec<RowRecord>,
    verdict: Option<Verdict>,
    page: &PageRequest,
) -> Page<RowRecord> {
    let from = page.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let wanted = |row: &RowRecord| verdict.is_none_or(|wanted| wanted == row.verdict);
    let rows = rows.into_iter().enumerate().skip(from);
    let mut found = rows.filter(|(_, row)| wanted(row));
    let items = found.by_ref().take(usize::from(page.limit)).map(|(_, row)| row).collect();
    Page { items, next: found.next().map(|(place, _)| place.to_string()) }
}

/// The chunks of an import as they were judged.
pub(crate) async fn judged(
    files: &impl Files,
    run: &ImportRun,
) -> Result<Vec<Chunk>, ImportRowsError> {
    let Some(key) = &run.book_key else { return Ok(Vec::new()) };
    let bytes = files.book(key).await?.ok_or(ImportRowsError::Gone)?;
    Ok(RowBook::from_bytes(&bytes)?.chunks)
}

/// Writes into chunks what the trail says of their rows.
pub(crate) async fn recall(
    ports: &impl ImportLog,
    client: &ClientId,
    run: &ImportRun,
    chunks: &mut [Chunk],
) -> Result<(), StoreError> {
    let spans = [
        (Action::ImportChunk, run.committed_at, run.completed_at),
        (Action::ImportUndone, run.undoing.began_at, run.undoing.ended_at),
    ];
    for (action, from, until) in spans {
        let Some(from) = from else { continue };
        let (from, until) = (from - CLOCKS_APART, until.map(|until| until + CLOCKS_APART));
        let (pool, import) = (run.pool(), run.import_id);
        for record in ports.import_trail(client, pool, import, from, until).await? {
            let Some(marks) = record.marks.filter(|_| record.action == action) else { continue };
            // Behind the last chunk there is nothing that a record could be about.
            let Some(chunk) = chunks.get_mut(marks.chunk as usize) else { continue };
            if action == Action::ImportChunk {
                marks.write_into(&mut chunk.rows, &record.learner_ids)?;
            } else {
                marks.undo_into(&mut chunk.rows)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<RowRecord> {
        let verdict = |line| if line % 2 == 0 { Verdict::Valid } else { Verdict::Invalid };
        let row = |line| RowRecord::judged(line, verdict(line));
        (0..7).map(row).collect()
    }

    #[test]
    fn pages_hold_every_row_of_a_verdict_once() {
        let mut lines = Vec::new();
        let mut cursor = None;
        loop {
            let page = page_of(rows(), Some(Verdict::Invalid), &PageRequest { limit: 2, cursor });
            lines.extend(page.items.iter().map(|row| row.line));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(lines, [1, 3, 5]);
    }
}
