//! Imports that somebody asked for: the stage with a form, a commit, a cancel and an undo.

use jiff::Timestamp;
use seatkeeper_domain::actions::cancel_import::cancel_import;
use seatkeeper_domain::actions::commit_import::{SteerImportError, commit_import};
use seatkeeper_domain::actions::open_import::{OpenImport, open_import};
use seatkeeper_domain::actions::release_import::{ReleasedImport, release_import};
use seatkeeper_domain::actions::run_import::{
    ImportEnd, RowDefaults, RunImportError, UploadedFile,
};
use seatkeeper_domain::actions::undo_import::undo_import;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::ImportId;
use seatkeeper_domain::import::DateOrder;
use seatkeeper_domain::import_run::{ImportRun, ImportSettings, Mode, OnExisting, OnShortage};
use seatkeeper_domain::ports::ImportLog as _;
use seatkeeper_testkit::StoredObject;
use seatkeeper_tests::World;
use serde_json::Value;

use crate::stage::{Stage, UPLOADS};

/// Nothing but what has to be said.
pub(crate) fn plainly() -> ImportSettings {
    ImportSettings {
        mode: Mode::Create,
        on_existing: OnExisting::Skip,
        on_shortage: OnShortage::ValidOnly,
        auto_commit: false,
        create_groups: false,
        date_order: DateOrder::Dmy,
        defaults: Value::Null,
    }
}

impl Stage {
    /// Asks for an import.
    pub(crate) async fn open(&self, settings: ImportSettings, defaults: RowDefaults) -> ImportRun {
        let world = &self.world;
        let wanted = OpenImport {
            client_id: world.client.clone(),
            contract_id: world.contract.contract_id,
            sublicense_id: None,
            filename: "équipe.csv".to_owned(),
            extension: "csv",
            settings,
            defaults,
        };
        let caller = world.administrator();
        let opened = open_import(&world.store, &world.clock, &caller, world.op(), &wanted).await;
        opened.expect("an import")
    }

    /// Puts the file where its form would.
    pub(crate) fn upload(&self, run: &ImportRun, text: &str) -> StoredObject {
        self.world.cloud.upload(UPLOADS, &run.source.key, text.to_owned())
    }

    /// Delivers the news of an uploaded file.
    pub(crate) async fn receive(
        &self,
        import: ImportId,
        object: &StoredObject,
    ) -> Result<ImportEnd, RunImportError> {
        let file = UploadedFile {
            bucket: object.bucket.clone(),
            source: self.dropped(object).source,
            client_id: self.world.client.clone(),
            import_id: import,
        };
        let importer = self.importer(self.deadline());
        Box::pin(importer.receive_upload(&file)).await
    }

    /// Asks for an import, uploads its file and delivers the event.
    pub(crate) async fn checked(&self, settings: ImportSettings, text: &str) -> ImportRun {
        let run = self.open(settings, RowDefaults::default()).await;
        let object = self.upload(&run, text);
        self.receive(run.import_id, &object).await.expect("a checked import");
        self.now(run.import_id).await
    }

    pub(crate) async fn now(&self, import: ImportId) -> ImportRun {
        let run = self.world.store.import(&self.world.client, import).await;
        run.expect("readable").expect("an import")
    }

    pub(crate) async fn commit(&self, import: ImportId) -> Result<ImportRun, SteerImportError> {
        let world = &self.world;
        let (caller, client) = (world.administrator(), &world.client);
        commit_import(&world.store, &world.clock, &caller, world.op(), client, import).await
    }

    pub(crate) async fn cancel(&self, import: ImportId) -> Result<ImportRun, SteerImportError> {
        let world = &self.world;
        let (caller, client) = (world.administrator(), &world.client);
        cancel_import(&world.store, &world.clock, &caller, world.op(), client, import).await
    }

    pub(crate) async fn undo(&self, import: ImportId) -> Result<ImportRun, SteerImportError> {
        let world = &self.world;
        let (caller, client) = (world.administrator(), &world.client);
        undo_import(&world.store, &self.files, &world.clock, &caller, world.op(), client, import)
            .await
    }

    /// From the file to the completed import.
    pub(crate) async fn completed(&self, settings: ImportSettings, text: &str) -> ImportRun {
        let run = self.checked(settings, text).await;
        self.commit(run.import_id).await.expect("committed");
        self.resume(run.import_id).await.expect("completed");
        self.now(run.import_id).await
    }

    /// Undoes an import to its end.
    pub(crate) async fn undone(&self, import: ImportId) -> ImportRun {
        self.undo(import).await.expect("undoing");
        self.resume(import).await.expect("undone");
        self.now(import).await
    }

    /// Releases everyone an import let in, until then at most.
    pub(crate) async fn release(
        &self,
        op: Op,
        import: ImportId,
        until: Timestamp,
    ) -> Result<ReleasedImport, SteerImportError> {
        let World { store, clock, ids, keys, client, .. } = &self.world;
        let (files, actor) = (&self.files, Actor::Caller("admin-1".to_owned()));
        release_import(store, files, clock, ids, keys, actor, op, client, import, until).await
    }

    /// Line and reason of every row that an undo kept.
    pub(crate) async fn kept(&self, run: &ImportRun) -> Vec<(u32, &'static str)> {
        let rows = self.rows(run).await;
        rows.iter().filter_map(|row| Some((row.line, row.undo?.reason()?))).collect()
    }
}
