//! Releasing everyone an import let in: the wrong file, or people whose course is over.
//!
//! An [undo](crate::actions::undo_import) leaves who has come in since where they are; this does not.
//! People are found by the rows of the import, and when these are no longer kept, by where the seats
//! of the client's learners came from. Whoever was invited is let in by the invitation.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::actions::commit_import::SteerImportError;
use crate::actions::import_rows::{ImportRowsError, import_rows};
use crate::actions::release_many::{CHUNK, LetIn, Progress, ReleaseMany, Waiting, Went};
use crate::actions::{ROUNDS, gave_up};
use crate::audit::Actor;
use crate::change::StoreError;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId, InvitationId, LearnerId, PoolId};
use crate::import_run::{ImportRun, ImportStatus, Outcome, RowRecord};
use crate::invitation::InvitationStatus;
use crate::learner::SourceKind;
use crate::ports::{Catalog, Clock, Files, IdSource, ImportLog, Ledger, People, Rounds};
use crate::records::Recorded;
use crate::secrets::Keys;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedImport {
    /// Where the seats were.
    pub pool: PoolId,
    /// Seats released by this call.
    pub released: u64,
    /// Invitations cancelled by this call.
    pub cancelled: u64,
    /// Whether that was everyone; else time ran out, and the next call goes on.
    pub complete: bool,
}

/// What releasing an import needs of the store.
pub trait ReleasePorts: Ledger + Catalog + People + ImportLog + Rounds {}
impl<P: Ledger + Catalog + People + ImportLog + Rounds> ReleasePorts for P {}

/// Somebody whom the import may have let in.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// By a seat.
    Seated(LearnerId),
    /// By what stands at the place of an invitation.
    Invited(InvitationId),
}

/// Releases the seats of everyone an import let in, and cancels its open invitations, until `until`
/// at most.
#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
pub async fn release_import(
    ports: &impl ReleasePorts,
    files: &impl Files,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    actor: Actor,
    op: Op,
    client: &ClientId,
    import: ImportId,
    until: Timestamp,
) -> Result<ReleasedImport, SteerImportError> {
    let run = &ports.import(client, import).await?.ok_or(SteerImportError::NotFound)?;
    match run.status {
        ImportStatus::Completed | ImportStatus::Undone | ImportStatus::PartlyUndone => {}
        status => return Err(SteerImportError::NotReady(status)),
    }
    let contract = ports.contract(client, run.contract_id).await?;
    let contract = &contract.ok_or(SteerImportError::NotFound)?;
    let (pool, of) = (run.pool(), import.to_string());
    let many = ReleaseMany { ports, clock, ids, actor, op, client, contract, pool, of };
    let mut progress = many.before().await?;
    let releasing = Releasing { many, keys, run, until };
    let complete = match import_rows(ports, files, client, run).await {
        Ok(rows) => releasing.all(&releasing.in_rows(&rows), &mut progress).await?,
        Err(ImportRowsError::Gone) => releasing.recorded(&mut progress).await?,
        Err(ImportRowsError::Store(error)) => return Err(error.into()),
    };
    let Progress { released, cancelled, .. } = progress;
    Ok(ReleasedImport { pool, released, cancelled, complete })
}

/// One call: what is the same throughout.
struct Releasing<'a, P, C, I> {
    many: ReleaseMany<'a, P, C, I>,
    keys: &'a Keys,
    run: &'a ImportRun,
    until: Timestamp,
}

impl<P: ReleasePorts, C: Clock, I: IdSource> Releasing<'_, P, C, I> {
    /// Whom the rows let in, or were to.
    fn in_rows(&self, rows: &[RowRecord]) -> Vec<Found> {
        let found = |row: &RowRecord| match row.outcome? {
            Outcome::Created | Outcome::Scheduled => row.learner_id.map(Found::Seated),
            Outcome::Invited => {
                let email = EmailAddress::parse(row.email.as_deref()?).ok()?;
                let (client, pool) = (self.many.client, self.many.pool);
                Some(Found::Invited(self.keys.invitation_id(client, pool, &email)))
            }
            Outcome::Updated | Outcome::Skipped | Outcome::NotSeated | Outcome::Failed => None,
        };
        rows.iter().filter_map(found).collect()
    }

    /// Goes through everyone who is recorded; says whether that was to the end. The reading may lag
    /// behind by some seconds, and what it looks for is months old.
    async fn recorded(&self, progress: &mut Progress) -> Result<bool, StoreError> {
        let mut cursor = None;
        loop {
            let page = self.many.ports.recorded(self.many.client, cursor.as_deref()).await?;
            if !self.all(&self.in_records(&page), progress).await? {
                return Ok(false);
            }
            match page.next {
                None => return Ok(true),
                Some(_) if self.many.clock.now() >= self.until => return Ok(false),
                next => cursor = next,
            }
        }
    }

    fn in_records(&self, page: &Recorded) -> Vec<Found> {
        let import = &self.many.of;
        let seats =
            page.seats.iter().filter(|one| one.pool == self.many.pool && one.seat.is_live());
        let seated = seats.filter_map(|one| {
            let source = &one.seat.source;
            match source.kind {
                SourceKind::Invite => {
                    let id: InvitationId = source.id.as_deref()?.parse().ok()?;
                    Some(Found::Invited(id.home()))
                }
                _ => (source.id.as_ref() == Some(import)).then_some(Found::Seated(one.learner_id)),
            }
        });
        let mine = page.open.iter().filter(|open| open.invited_by == self.inviter());
        seated.chain(mine.map(|open| Found::Invited(open.place()))).collect()
    }

    fn inviter(&self) -> String {
        Actor::Import(self.run.import_id).to_string()
    }

    /// Sees to all of these; says whether time sufficed.
    async fn all(&self, found: &[Found], progress: &mut Progress) -> Result<bool, StoreError> {
        for (place, chunk) in found.chunks(CHUNK).enumerate() {
            let before = *progress;
            self.chunk(chunk, progress).await?;
            let is_last = (place + 1) * CHUNK >= found.len();
            // A call that finds only what calls before have done goes on to where they stopped.
            if !is_last && *progress != before && self.many.clock.now() >= self.until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn chunk(&self, chunk: &[Found], progress: &mut Progress) -> Result<(), StoreError> {
        let mut raced = 0;
        while raced < ROUNDS {
            let (people, waiting) = self.who(chunk).await?;
            match self.many.attempt(&people, &waiting, progress).await? {
                Went::Through => return Ok(()),
                Went::On => raced = 0,
                Went::Raced => raced += 1,
            }
        }
        Err(gave_up())
    }

    /// Whom a chunk has let in, and which of the import's invitations wait still. One that an
    /// administrator gave another address is theirs.
    async fn who(&self, chunk: &[Found]) -> Result<(Vec<LetIn>, Vec<Waiting>), StoreError> {
        let (mut people, mut waiting) = (Vec::new(), Vec::new());
        // Each of them once: a batch of reads refuses repeated keys.
        let mut places = BTreeSet::new();
        for found in chunk {
            match found {
                Found::Seated(learner_id) => people.push((*learner_id, self.many.of.clone())),
                Found::Invited(place) => drop(places.insert(*place)),
            }
        }
        let places: Vec<InvitationId> = places.into_iter().collect();
        let (client, inviter) = (self.many.client, self.inviter());
        for invitation in self.many.ports.invitations(client, &places).await? {
            if invitation.invited_by != inviter || invitation.moved_to.is_some() {
                continue;
            }
            let learner_id = self.keys.learner_id(client, &invitation.email);
            match invitation.status {
                InvitationStatus::Accepted => {
                    people.push((learner_id, invitation.invitation_id.to_string()));
                }
                InvitationStatus::Pending => waiting.push((invitation, learner_id)),
                InvitationStatus::Declined
                | InvitationStatus::Cancelled
                | InvitationStatus::Expired
                | InvitationStatus::Moved => {}
            }
        }
        Ok((people, waiting))
    }
}
