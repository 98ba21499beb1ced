//! Who works on an import: one worker at a time, known by its epoch.

use crate::actions::ground::Ground;
use crate::audit::Actor;
use crate::change::{BlockKey, Change, Refused, Step};
use crate::client::Client;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId, SublicenseId};
use crate::import_run::{ImportRun, ImportStatus, SeatNeed, Totals};
use crate::ports::{Clock, Files, IdSource, Sheets};

use super::settings;
use super::{DroppedFile, ImportEnd, ImportPorts, Importer, LEASE, RunImportError};

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Makes the import of a file and works on it, unless someone was faster.
    pub(super) async fn begin(
        &self,
        file: &DroppedFile,
        import: ImportId,
    ) -> Result<ImportEnd, RunImportError> {
        let client = self.ports.client(&file.client_id).await?;
        let client = client.ok_or(RunImportError::UnknownTarget)?;
        let contract = self.ports.contract(&file.client_id, file.contract_id).await?;
        let contract = contract.ok_or(RunImportError::UnknownTarget)?;
        let now = self.clock.now();
        let run = ImportRun {
            import_id: import,
            source: file.source.clone(),
            contract_id: file.contract_id,
            sublicense_id: None,
            settings: settings::of_a_drop(),
            status: ImportStatus::Checking,
            reject_code: None,
            reject_detail: None,
            detected: serde_json::Value::Null,
            rows_total: 0,
            rows_done: 0,
            chunks: 0,
            totals: Totals::default(),
            seats: SeatNeed::default(),
            epoch: 1,
            lease_until: Some(now + LEASE),
            report_key: None,
            language: client.default_language.clone(),
            created_at: now,
        };
        let mut change = self.claiming(&file.client_id, import);
        change.step(Step::PutImport { run: Box::new(run.clone()), expects: None });
        change.step(Step::ListImport { import_id: import, created_at: now });
        match self.ports.apply(&change).await {
            Ok(()) => self.work(ground(client, contract, None), run).await,
            Err(Refused::Store(error)) => Err(error.into()),
            Err(_) => Ok(ImportEnd::InOtherHands),
        }
    }

    /// Goes on with an import, if nobody is at it: the epoch grows, and with it every later write
    /// of the worker before is refused.
    pub(super) async fn take_over(
        &self,
        client: &ClientId,
        mut run: ImportRun,
    ) -> Result<ImportEnd, RunImportError> {
        let now = self.clock.now();
        match run.lease_until {
            None => return Ok(ImportEnd::WasAtRest(run.status)),
            Some(until) if until > now => return Ok(ImportEnd::InOtherHands),
            Some(_) => {}
        }
        let known = self.ports.client(client).await?;
        let known = known.ok_or(RunImportError::UnknownTarget)?;
        let contract = self.ports.contract(client, run.contract_id).await?;
        let contract = contract.ok_or(RunImportError::UnknownTarget)?;
        let before = run.epoch;
        run.epoch += 1;
        run.lease_until = Some(now + LEASE);
        let mut change = self.claiming(client, run.import_id);
        change.step(Step::PutImport { run: Box::new(run.clone()), expects: Some(before) });
        if run.status == ImportStatus::Committing {
            let owner = run.import_id.to_string();
            let key = BlockKey { pool: run.pool(), owner, shard: 0 };
            change.step(Step::FenceBlock { key, epoch: run.epoch });
        }
        match self.ports.apply(&change).await {
            Ok(()) => {
                let sublicense = run.sublicense_id;
                self.work(ground(known, contract, sublicense), run).await
            }
            Err(Refused::Store(error)) => Err(error.into()),
            Err(_) => Ok(ImportEnd::InOtherHands),
        }
    }

    /// A claim is its worker's own: two workers never take one for the other's.
    fn claiming(&self, client: &ClientId, import: ImportId) -> Change {
        let op = Op { id: self.ids.uuid(), guard: None };
        Change::new(client, op, Actor::Import(import), self.clock.now())
    }
}

/// What the import stands on; whether the contract still runs is for the check to say, since what
/// was reserved before its end is finished after it.
fn ground(client: Client, contract: Contract, sublicense_id: Option<SublicenseId>) -> Ground {
    let pool = contract.pool(sublicense_id);
    Ground { client, contract, sublicense_id, pool }
}
