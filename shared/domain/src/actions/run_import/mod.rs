//! Running an import: one file, dropped or uploaded through a form, from its event to its report.
//!
//! A worker *claims* the import, *checks* the file, *reserves* a block of seats, *writes* its rows
//! chunk by chunk, *takes up* invitations that came between, and *closes*. An import that somebody
//! wants to look at first rests between check and reservation, which the commit makes then. An
//! *undo* goes through the chunks once more. Every stage can be cut off anywhere: the bytes of an
//! object's version and the order of its rows never change, what was written says how far it went,
//! and the block's cursor and epoch keep a worker who comes back too late from writing again.

mod check;
mod claim;
mod close;
mod invited;
pub(super) mod reserve;
mod settings;
mod undo;
mod update;
mod write;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::actions::gave_up;
use crate::actions::ground::Ground;
use crate::audit::Actor;
use crate::change::{Block, Change, Refused, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, ImportId};
use crate::import::RawRow;
use crate::import_run::{ImportRun, ImportStatus, SourceObject};
use crate::language::Languages;
use crate::password::PasswordPolicy;
use crate::ports::{
    Catalog, Clock, CodeBook, Files, IdSource, ImportLog, Ledger, People, PoolStanding, Proofs,
    Sheets,
};
use crate::row_book::Chunk;
use crate::secrets::Keys;

pub use settings::RowDefaults;

/// How long a worker is taken to be alive after its last sign of life. A chunk takes a few seconds
/// at most.
pub const LEASE: SignedDuration = SignedDuration::from_mins(2);

/// How long before its deadline a worker stops: longer than the longest chunk takes, with every
/// retry of its transaction.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// A file that was dropped into the bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct DroppedFile {
    /// The bucket's name.
    pub bucket: String,
    /// Key and version.
    pub source: SourceObject,
    /// The client that the key names.
    pub client_id: ClientId,
    /// The contract that the key names.
    pub contract_id: ContractId,
}

impl DroppedFile {
    /// The import of this object's version: the same event again is the same import.
    pub fn import_id(&self, keys: &Keys) -> ImportId {
        let version = self.source.version_id.as_deref().or(self.source.etag.as_deref());
        let parts = [&*self.bucket, &*self.source.key, version.unwrap_or_default()];
        ImportId::from_bits(bits(keys, "import", &parts))
    }
}

/// A file that came through the form of an import.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// The bucket's name.
    pub bucket: String,
    /// Key and version.
    pub source: SourceObject,
    /// The client that the key names.
    pub client_id: ClientId,
    /// The import that the key names.
    pub import_id: ImportId,
}

/// How a worker's turn at an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportEnd {
    /// This worker brought it to rest.
    Ended(ImportStatus),
    /// It was at rest before.
    WasAtRest(ImportStatus),
    /// Another worker is at it.
    InOtherHands,
    /// The deadline came near: another worker goes on.
    HandedOn,
}

/// Why an import could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunImportError {
    /// The key names a client or a contract that does not exist.
    #[error("the key names a client or a contract that does not exist")]
    UnknownTarget,
    /// There is no such import.
    #[error("there is no such import")]
    UnknownImport,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a stage may come to instead of its result.
enum Stop {
    /// The file cannot be imported: it ends `rejected`.
    Rejected(crate::ports::Unreadable),
    /// Another worker has taken over.
    Overtaken,
    /// The deadline is near.
    Deadline,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What running imports needs from the record of everything.
pub trait ImportPorts: Ledger + Catalog + People + CodeBook + ImportLog + Proofs {}
impl<P: Ledger + Catalog + People + CodeBook + ImportLog + Proofs> ImportPorts for P {}

/// A worker: the ports and the stack's settings.
#[derive(Debug)]
pub struct Importer<'a, P, F, S, C, I> {
    /// The record of everything.
    pub ports: &'a P,
    /// Uploads and reports.
    pub files: &'a F,
    /// Spreadsheets.
    pub sheets: &'a S,
    /// The present.
    pub clock: &'a C,
    /// Chance.
    pub ids: &'a I,
    /// The stack's keys.
    pub keys: &'a Keys,
    /// The stack's languages.
    pub languages: &'a Languages,
    /// What a password must be.
    pub passwords: PasswordPolicy,
    /// Most data rows of a file.
    pub max_rows: u32,
    /// When this worker is ended from outside.
    pub deadline: Timestamp,
}

/// An import in this worker's hands.
struct Work {
    ground: Ground,
    run: ImportRun,
    rows: Vec<RawRow>,
    chunks: Vec<Chunk>,
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Runs the import of a dropped file, unless it was run before or is being run.
    pub async fn run(&self, file: &DroppedFile) -> Result<ImportEnd, RunImportError> {
        let client = &file.client_id;
        let import = file.import_id(self.keys);
        match self.ports.import(client, import).await? {
            Some(run) => self.take_over(client, run).await,
            None => self.begin(file, import).await,
        }
    }

    /// Runs the import that a file was uploaded for, unless it has its file.
    pub async fn receive_upload(&self, file: &UploadedFile) -> Result<ImportEnd, RunImportError> {
        let client = &file.client_id;
        let run = self.ports.import(client, file.import_id).await?;
        let run = run.ok_or(RunImportError::UnknownImport)?;
        self.receive(client, run, &file.source).await
    }

    /// Goes on with an import whose worker is gone, or that somebody wants to go on.
    pub async fn resume(
        &self,
        client: &ClientId,
        import: ImportId,
    ) -> Result<ImportEnd, RunImportError> {
        let run = self.ports.import(client, import).await?;
        self.take_over(client, run.ok_or(RunImportError::UnknownImport)?).await
    }

    /// Does the work of a claimed import. On an error the lease ends at once, so that the retry of
    /// the event can go on and need not wait for the sweep.
    async fn work(&self, ground: Ground, run: ImportRun) -> Result<ImportEnd, RunImportError> {
        let client = ground.client.client_id.clone();
        let (import, epoch) = (run.import_id, run.epoch);
        let error = match self.stages(ground, run).await {
            Ok(status) => return Ok(ImportEnd::Ended(status)),
            Err(Stop::Overtaken) => return Ok(ImportEnd::InOtherHands),
            Err(Stop::Deadline) => None,
            Err(Stop::Store(error)) => Some(error),
            Err(Stop::Rejected(_)) => {
                Some(StoreError::Broken("a rejection went astray".to_owned()))
            }
        };
        let now = self.clock.now();
        let let_go = self.ports.let_go_of_import(&client, import, epoch, now).await;
        match (error, let_go) {
            (Some(error), _) => Err(error.into()),
            (None, Ok(())) => {
                // If this is lost, the sweep finds the lease that ended.
                let _ = self.files.wake_import(&client, import, epoch).await;
                Ok(ImportEnd::HandedOn)
            }
            // Nobody waits for it: the lease lapses by itself.
            (None, Err(_)) => Ok(ImportEnd::HandedOn),
        }
    }

    async fn stages(&self, ground: Ground, run: ImportRun) -> Result<ImportStatus, Stop> {
        let mut work = Work { ground, run, rows: Vec::new(), chunks: Vec::new() };
        if work.run.status == ImportStatus::Undoing {
            return self.undo(work).await;
        }
        let upload = self.files.upload(&work.run.source, self.sheets.max_bytes()).await?;
        if work.run.status == ImportStatus::Checking {
            match self.check(&mut work, upload).await {
                Ok(()) => {}
                Err(Stop::Rejected(why)) => return self.reject(work, &why).await,
                Err(stop) => return Err(stop),
            }
            if !work.run.settings.auto_commit {
                return self.present(work).await;
            }
            if let Some(refused) = self.reserve(&mut work).await? {
                return Ok(refused);
            }
        } else {
            self.read_again(&mut work, upload).await?;
        }
        let block = self.write(&mut work).await?;
        self.take_up_invitations(&work).await?;
        self.close(work, block).await
    }

    /// An operation of an import: the same for every worker, so that a lost answer is told from
    /// somebody else's write.
    fn op(&self, import: ImportId, what: &str, number: u32) -> Op {
        let (import, number) = (import.to_string(), number.to_string());
        let bits = bits(self.keys, "import-operation", &[&import, what, &number]);
        Op { id: Uuid::from_u128(bits), guard: None }
    }

    fn change(&self, work: &Work, what: &str, number: u32) -> Change {
        let import = work.run.import_id;
        let client = &work.ground.client.client_id;
        let op = self.op(import, what, number);
        Change::new(client, op, Actor::Import(import), self.clock.now())
    }

    /// Reads the import again after a change was refused; gives up if it is no longer this
    /// worker's.
    async fn reload(&self, work: &mut Work) -> Result<(), Stop> {
        let client = &work.ground.client.client_id;
        let stored = self.ports.import(client, work.run.import_id).await?;
        let mine =
            |stored: &ImportRun| stored.epoch == work.run.epoch && stored.lease_until.is_some();
        work.run = stored.filter(mine).ok_or(Stop::Overtaken)?;
        Ok(())
    }

    /// The pool and its blocks, as one reading finds them.
    async fn pool_standing(&self, work: &Work) -> Result<PoolStanding, StoreError> {
        let standing = self.ports.standing(&work.ground.client.client_id, work.ground.pool).await?;
        standing.ok_or_else(|| StoreError::Broken("a contract without a pool".to_owned()))
    }

    async fn block(&self, work: &Work) -> Result<Option<Block>, StoreError> {
        let client = &work.ground.client.client_id;
        let owner = work.run.import_id.to_string();
        let blocks = self.ports.blocks(client, work.ground.pool).await?;
        Ok(blocks.into_iter().find(|block| block.key.owner == owner))
    }
}

/// Sorts a refusal: what a fresh look can answer, and what it cannot.
fn retryable(refused: Refused) -> Result<(), Stop> {
    match refused {
        Refused::Step(_) | Refused::Repeated => Ok(()),
        Refused::Overtaken => Err(Stop::Overtaken),
        Refused::Store(error) => Err(error.into()),
    }
}

fn lost_every_round() -> Stop {
    Stop::Store(gave_up())
}

fn bits(keys: &Keys, purpose: &str, parts: &[&str]) -> u128 {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let mut first = [0; 16];
    first.copy_from_slice(&keys.mac(purpose, &parts)[..16]);
    u128::from_be_bytes(first)
}
