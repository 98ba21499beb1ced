//! The rows of an import, and what came of them.
//!
//! Rows are judged once. Their verdicts are written to a *book*, a file beside the report, and never
//! change there. What came of a chunk of rows is one [mark](Marks) a row in the record that the
//! chunk's own change leaves in the trail: seats and outcomes are written together or not at all,
//! and nothing is written twice. A book and the trail make the list of rows that the API shows.

use serde::{Deserialize, Serialize};

use crate::change::StoreError;
use crate::ids::{ClientId, ImportId, LearnerId};
use crate::import_run::{Outcome, RowProblem, RowRecord, Undo, Verdict};

/// Consecutive rows that are written together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its place, from 0.
    pub number: u32,
    /// Its rows.
    pub rows: Vec<RowRecord>,
}

/// The rows of an import in chunks, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowBook {
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

impl RowBook {
    /// The key under which a worker of this epoch keeps it: a worker of before, who may be late,
    /// writes another.
    pub fn key(client: &ClientId, import: ImportId, epoch: u32) -> String {
        format!("rows/{client}/{import}/{epoch}.json")
    }

    /// Its bytes, as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| broken(&error.to_string()))
    }

    /// The book that these bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))
    }
}

/// What a record of the trail says of the rows of a chunk: one mark a row, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The chunk.
    pub chunk: u32,
    /// The marks; `12c` is twelve times `c`.
    pub rows: String,
    /// What was found wrong with rows when they were written, by their place in the chunk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<(u32, RowProblem)>,
}

/// Marks of written rows: what became of the verdict, and of the row.
const WRITTEN: [(char, Option<Verdict>, Outcome); 10] = [
    ('c', None, Outcome::Created),
    ('s', None, Outcome::Scheduled),
    ('i', None, Outcome::Invited),
    ('u', None, Outcome::Updated),
    ('k', None, Outcome::Skipped),
    ('n', None, Outcome::NotSeated),
    ('f', None, Outcome::Failed),
    // The person turned out to have a seat, or an invitation, when the row was written.
    ('K', Some(Verdict::Existing), Outcome::Skipped),
    ('U', Some(Verdict::Existing), Outcome::Updated),
    ('F', Some(Verdict::Invalid), Outcome::Failed),
];

/// Marks of rows that were undone.
const UNDONE: [(char, Option<Undo>); 6] = [
    ('-', None),
    ('u', Some(Undo::Undone)),
    ('i', Some(Undo::InUse)),
    ('c', Some(Undo::Changed)),
    ('a', Some(Undo::Accepted)),
    ('p', Some(Undo::Updated)),
];

impl Marks {
    /// The marks of a chunk whose rows were judged as `before` and became `after`.
    pub fn written(before: &Chunk, after: &[RowRecord]) -> Self {
        let mut problems = Vec::new();
        let marks = before.rows.iter().zip(after).zip(0..).map(|((before, after), place)| {
            let turned = Some(after.verdict).filter(|verdict| *verdict != before.verdict);
            problems.extend(
                after.errors.iter().skip(before.errors.len()).map(|error| (place, error.clone())),
            );
            let like = |mark: &&(char, Option<Verdict>, Outcome)| {
                mark.1 == turned && Some(mark.2) == after.outcome
            };
            WRITTEN.iter().find(like).map_or('f', |mark| mark.0)
        });
        let rows = shortened(marks);
        Self { chunk: before.number, rows, problems }
    }

    /// The marks of a chunk whose rows were undone.
    pub fn undone(chunk: u32, rows: &[RowRecord]) -> Self {
        let mark = |row: &RowRecord| UNDONE.iter().find(|mark| mark.1 == row.undo);
        let rows = shortened(rows.iter().map(|row| mark(row).map_or('-', |mark| mark.0)));
        Self { chunk, rows, problems: Vec::new() }
    }

    /// Writes what came of the rows into them; `learners` are those of the record, in order.
    pub fn write_into(
        &self,
        rows: &mut [RowRecord],
        learners: &[LearnerId],
    ) -> Result<(), StoreError> {
        let mut learners = learners.iter();
        let marks = self.one_by_one(rows.len())?;
        for (row, mark) in rows.iter_mut().zip(marks) {
            let (_, verdict, outcome) = WRITTEN
                .into_iter()
                .find(|known| known.0 == mark)
                .ok_or_else(|| broken("a mark that means nothing"))?;
            row.verdict = verdict.unwrap_or(row.verdict);
            row.outcome = Some(outcome);
            match outcome {
                Outcome::Created | Outcome::Scheduled => row.learner_id = learners.next().copied(),
                // An invitation is of an address, not of a learner.
                Outcome::Invited => drop(learners.next()),
                _ => {}
            }
        }
        for (place, problem) in &self.problems {
            // Whoever reads the trail again has some of it already.
            if let Some(row) = rows.get_mut(*place as usize)
                && !row.errors.contains(problem)
            {
                row.errors.push(problem.clone());
            }
        }
        Ok(())
    }

    /// Writes what an undo made of the rows into them.
    pub fn undo_into(&self, rows: &mut [RowRecord]) -> Result<(), StoreError> {
        let marks = self.one_by_one(rows.len())?;
        for (row, mark) in rows.iter_mut().zip(marks) {
            let known = UNDONE.into_iter().find(|known| known.0 == mark);
            row.undo = known.ok_or_else(|| broken("a mark that means nothing"))?.1;
        }
        Ok(())
    }

    /// The marks, each by itself; there must be `count`.
    fn one_by_one(&self, count: usize) -> Result<Vec<char>, StoreError> {
        let marks = lengthened(&self.rows, count).filter(|marks| marks.len() == count);
        marks.ok_or_else(|| broken("marks for other rows"))
    }
}

/// Equal neighbors as a number and one of them.
pub fn shortened(marks: impl Iterator<Item = char>) -> String {
    let mut runs: Vec<(char, usize)> = Vec::new();
    for mark in marks {
        match runs.last_mut() {
            Some((last, count)) if *last == mark => *count += 1,
            _ => runs.push((mark, 1)),
        }
    }
    let run = |(mark, count): (char, usize)| match count {
        1 => mark.to_string(),
        _ => format!("{count}{mark}"),
    };
    runs.into_iter().map(run).collect()
}

/// The marks that were [shortened]; `None` for anything else, and for more than `most`.
pub fn lengthened(text: &str, most: usize) -> Option<Vec<char>> {
    let mut marks = Vec::new();
    let mut count: Option<usize> = None;
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            let digits = count.unwrap_or(0).checked_mul(10)?.checked_add(digit as usize)?;
            count = Some(digits);
        } else {
            let times = count.take().unwrap_or(1);
            if times > most.checked_sub(marks.len())? {
                return None;
            }
            marks.extend(std::iter::repeat_n(character, times));
        }
    }
    count.is_none().then_some(marks)
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(format!("the rows of an import: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(verdict: Verdict) -> RowRecord {
        RowRecord::judged(2, verdict)
    }

    fn learner(number: u128) -> LearnerId {
        LearnerId::from_bits(number)
    }

    proptest! {
        #[test]
        fn what_is_marked_is_read_again(places in proptest::collection::vec(0..WRITTEN.len(), 0..120)) {
            let before = Chunk { number: 3, rows: vec![row(Verdict::Valid); places.len()] };
            let mut learners = Vec::new();
            let mut after = before.rows.clone();
            for (row, place) in after.iter_mut().zip(&places) {
                let (_, verdict, outcome) = WRITTEN[*place];
                row.verdict = verdict.unwrap_or(row.verdict);
                row.outcome = Some(outcome);
                if matches!(outcome, Outcome::Created | Outcome::Scheduled) {
                    let new = learner(learners.len() as u128);
                    row.learner_id = Some(new);
                    learners.push(new);
                }
                if outcome == Outcome::Invited {
                    learners.push(learner(u128::MAX));
                }
                if outcome == Outcome::Failed {
                    let (column, code) = ("email".to_owned(), "file-gone".to_owned());
                    row.errors.push(RowProblem { column, code, detail: String::new() });
                }
            }
            let marks = Marks::written(&before, &after);
            let mut read = before.rows;
            marks.write_into(&mut read, &learners).unwrap();
            prop_assert_eq!(&read, &after);
            marks.write_into(&mut read, &learners).unwrap();
            prop_assert_eq!(&read, &after, "read twice");
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-zA-Z-]{0,40}", most in 0..200_usize) {
            if let Some(marks) = lengthened(&text, most) {
                prop_assert!(marks.len() <= most);
            }
        }
    }

    #[test]
    fn what_an_undo_made_of_rows_is_read_again() {
        let mut rows = vec![row(Verdict::Valid); UNDONE.len()];
        for (row, (_, undo)) in rows.iter_mut().zip(UNDONE) {
            row.undo = undo;
        }
        let marks = Marks::undone(0, &rows);
        let mut read = vec![row(Verdict::Valid); UNDONE.len()];
        marks.undo_into(&mut read).unwrap();
        assert_eq!(read, rows);
    }

    #[test]
    fn marks_of_other_rows_are_refused() {
        let marks = Marks { chunk: 0, rows: "3c".to_owned(), problems: Vec::new() };
        assert!(marks.write_into(&mut [row(Verdict::Valid)], &[]).is_err());
    }
}
