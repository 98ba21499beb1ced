//! Listing the rows of an import.

use crate::change::StoreError;
use crate::ids::ClientId;
use crate::import_run::{ImportRun, RowRecord, Verdict};
use crate::ports::{ImportLog, Page, PageRequest};

/// Where a page of rows begins: a chunk and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    chunk: u32,
    row: usize,
}

impl Place {
    fn read(cursor: &str) -> Option<Self> {
        let (chunk, row) = cursor.split_once('-')?;
        Some(Self { chunk: chunk.parse().ok()?, row: row.parse().ok()? })
    }

    fn cursor(self) -> String {
        format!("{}-{}", self.chunk, self.row)
    }
}

/// One page of an import's rows in file order, of one verdict if one is asked for.
pub async fn import_rows(
    ports: &impl ImportLog,
    client: &ClientId,
    run: &ImportRun,
    verdict: Option<Verdict>,
    page: &PageRequest,
) -> Result<Page<RowRecord>, StoreError> {
    let mut place = page.cursor.as_deref().and_then(Place::read).unwrap_or_default();
    let mut items = Vec::new();
    while place.chunk < run.chunks {
        let Some(chunk) = ports.chunk(client, run.import_id, place.chunk).await? else {
            break;
        };
        for (number, row) in chunk.rows.into_iter().enumerate().skip(place.row) {
            if verdict.is_some_and(|wanted| wanted != row.verdict) {
                continue;
            }
            if items.len() == usize::from(page.limit) {
                place.row = number;
                return Ok(Page { items, next: Some(place.cursor()) });
            }
            items.push(row);
        }
        place = Place { chunk: place.chunk + 1, row: 0 };
    }
    Ok(Page { items, next: None })
}

/// The rows that an undo kept, at most `limit` of them.
pub async fn kept_rows(
    ports: &impl ImportLog,
    client: &ClientId,
    run: &ImportRun,
    limit: usize,
) -> Result<Vec<RowRecord>, StoreError> {
    let mut kept = Vec::new();
    for number in 0..run.undoing.cursor {
        let chunk = ports.chunk(client, run.import_id, number).await?;
        let rows = chunk.into_iter().flat_map(|chunk| chunk.rows);
        kept.extend(rows.filter(|row| row.undo.is_some_and(|undo| undo.reason().is_some())));
        if kept.len() >= limit {
            kept.truncate(limit);
            break;
        }
    }
    Ok(kept)
}
