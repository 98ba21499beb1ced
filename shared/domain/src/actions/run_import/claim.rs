//! Who works on an import: one worker at a time, known by its epoch.

use crate::actions::ground::Ground;
use crate::audit::Actor;
use crate::change::{Change, Refused, Step};
use crate::client::Client;
use crate::contract::Contract;
use crate::idempotency::Op;
use crate::ids::{ClientId, ImportId, SublicenseId};
use crate::import_run::{
    ImportRun, ImportStatus, Origin, Outlook, SeatNeed, SourceObject, Totals, Undoing,
};
use crate::ports::{Clock, Files, IdSource, Sheets};

use super::check::grantable_by_a_drop;
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
            book_key: None,
            committed_at: None,
            completed_at: None,
            totals: Totals::default(),
            seats: SeatNeed::default(),
            epoch: 1,
            lease_until: Some(now + LEASE),
            report_key: None,
            language: client.default_language.clone(),
            created_at: now,
            origin: Origin::Drop,
            filename: name_of(&file.source.key),
            inviter: None,
            grantable: grantable_by_a_drop(contract.policies.privileged_roles),
            waits_until: None,
            outlook: Outlook::default(),
            looked_up: false,
            undoing: Undoing::default(),
            revision: 0,
        };
        let mut change = self.claiming(&file.client_id, import);
        change.step(Step::PutImport { run: Box::new(run.clone()), expects: None });
        change.step(Step::ListImport { import_id: import, created_at: now });
        match self.ports.apply(&change).await {
            // The answer to this very claim was lost.
            Ok(()) | Err(Refused::Repeated) => self.work(ground(client, contract, None), run).await,
            Err(Refused::Store(error)) => Err(error.into()),
            Err(_) => Ok(ImportEnd::InOtherHands),
        }
    }

    /// Begins with the file of an import that was asked for, unless it has one. A second file of the
    /// same form is left alone: an import reads one version of one object.
    pub(super) async fn receive(
        &self,
        client: &ClientId,
        run: ImportRun,
        source: &SourceObject,
    ) -> Result<ImportEnd, RunImportError> {
        if run.source.key != source.key {
            return Err(RunImportError::UnknownTarget);
        }
        if run.status != ImportStatus::Created {
            return self.take_over(client, run).await;
        }
        let received = ImportRun {
            source: source.clone(),
            status: ImportStatus::Checking,
            waits_until: None,
            ..run
        };
        self.claim(client, received).await
    }

    /// Goes on with an import, if nobody is at it.
    pub(super) async fn take_over(
        &self,
        client: &ClientId,
        run: ImportRun,
    ) -> Result<ImportEnd, RunImportError> {
        match run.lease_until {
            None => Ok(ImportEnd::WasAtRest(run.status)),
            Some(until) if until > self.clock.now() => Ok(ImportEnd::InOtherHands),
            Some(_) => self.claim(client, run).await,
        }
    }

    /// Takes an import and works on it: the epoch grows, and with it every later write of the worker
    /// before is refused.
    async fn claim(
        &self,
        client: &ClientId,
        mut run: ImportRun,
    ) -> Result<ImportEnd, RunImportError> {
        let known = self.ports.client(client).await?;
        let known = known.ok_or(RunImportError::UnknownTarget)?;
        let contract = self.ports.contract(client, run.contract_id).await?;
        let contract = contract.ok_or(RunImportError::UnknownTarget)?;
        let before = run.epoch;
        run.epoch += 1;
        run.lease_until = Some(self.clock.now() + LEASE);
        let mut change = self.claiming(client, run.import_id);
        change.put_import(&mut run, before);
        if run.status == ImportStatus::Committing {
            change.step(Step::FenceBlock { key: run.block_key(), epoch: run.epoch });
        }
        match self.ports.apply(&change).await {
            // The answer to this very claim was lost.
            Ok(()) | Err(Refused::Repeated) => {
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

/// A dropped file's name: the last part of its key.
fn name_of(key: &str) -> Option<String> {
    key.rsplit('/').next().map(str::to_owned)
}

/// What the import stands on; whether the contract still runs is for the check to say, since what
/// was reserved before its end is finished after it.
fn ground(client: Client, contract: Contract, sublicense_id: Option<SublicenseId>) -> Ground {
    let pool = contract.pool(sublicense_id);
    Ground { client, contract, sublicense_id, pool }
}
