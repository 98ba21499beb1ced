//! Imports a spreadsheet from the disk into a table of its own, and prints how long that took.
//!
//! `import-file <table> <file>`; where the table is, the environment says as for the functions.
#![expect(clippy::print_stdout, reason = "what it measured")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use seatkeeper_aws::{Store, runtime};
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::actions::run_import::{DroppedFile, Importer};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::{Branding, Client, ClientStatus, HttpsUrl, Zone};
use seatkeeper_domain::contract::{Contract, Policies, Warned};
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, ImportId};
use seatkeeper_domain::import_run::{ImportStatus, SourceObject};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{
    Clock as _, Files, IdSource as _, ImportLog as _, Upload, UploadRead,
};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_http::system::{SystemClock, SystemIds};
use seatkeeper_spreadsheet::Spreadsheets;
use serde_json::json;

/// Most rows of the file.
const MAX_ROWS: u32 = 100_000;

/// One file on the disk; what is kept beside it stays in memory.
struct Disk {
    bytes: Vec<u8>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Disk {
    fn keep(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let kept = self.kept.lock();
        kept.map_err(|_| StoreError::Broken("a lock".to_owned()))?.insert(key.to_owned(), bytes);
        Ok(())
    }
}

impl Files for Disk {
    async fn upload(&self, _: &SourceObject, _: u64) -> Result<UploadRead, StoreError> {
        let notify = ("notify".to_owned(), "no".to_owned());
        let metadata = BTreeMap::from([notify]);
        Ok(UploadRead::Read(Upload { bytes: self.bytes.clone(), metadata }))
    }

    async fn keep_book(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.keep(key, bytes)
    }

    async fn book(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept.lock().ok().and_then(|kept| kept.get(key).cloned()))
    }

    async fn keep_report(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.keep(key, bytes)
    }

    async fn wake_import(&self, _: &ClientId, _: ImportId, _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    async fn report_link(&self, key: &str, _: SignedDuration) -> Result<String, StoreError> {
        Ok(key.to_owned())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let table = arguments.next().context("the table's name")?;
    let path = arguments.next().context("the file")?;
    let disk = Disk { bytes: std::fs::read(path)?, kept: Mutex::default() };
    let sdk = runtime::sdk_config().await;
    let store = Store::new(runtime::dynamodb(&sdk), table);
    let (clock, ids) = (SystemClock, SystemIds);
    let client: ClientId = "acme".parse()?;
    let contract_id = ContractId::from_uuid(ids.uuid());
    contract(&store, &client, contract_id).await?;
    let keys = Keys::derive("a root secret for measurements, 32 characters").context("a key")?;
    let languages = Languages::from_list("en,fr,de,es,it,nl,pt");
    let importer = Importer {
        ports: &store,
        files: &disk,
        sheets: &Spreadsheets,
        clock: &clock,
        ids: &ids,
        keys: &keys,
        languages: &languages,
        passwords: PasswordPolicy::default(),
        max_rows: MAX_ROWS,
        deadline: clock.now() + SignedDuration::from_hours(1),
    };
    let key = format!("drop/{client}/{contract_id}/people.xlsx");
    let source = SourceObject { key, version_id: Some("1".to_owned()), etag: None };
    let file = DroppedFile {
        bucket: "uploads".to_owned(),
        source,
        client_id: client.clone(),
        contract_id,
    };
    let begun = Instant::now();
    Box::pin(importer.run(&file)).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let run = store.import(&client, file.import_id(&keys)).await?.context("an import")?;
    anyhow::ensure!(run.status == ImportStatus::Completed, "{}", run.status);
    println!("{}", json!({"rows": run.totals.created, "seconds": seconds}));
    Ok(())
}

/// A client with a contract of enough seats.
async fn contract(store: &Store, client: &ClientId, contract_id: ContractId) -> Result<()> {
    let now = SystemClock.now();
    let op = || Op { id: SystemIds.uuid(), guard: None };
    let record = Client {
        client_id: client.clone(),
        name: "Acme".to_owned(),
        default_language: Languages::from_list("en").parse("en")?,
        time_zone: Zone::parse("Europe/Paris")?,
        launch_url: HttpsUrl::parse("https://lms.example.com/launch")?,
        branding: Branding::default(),
        alerts_to: Vec::new(),
        status: ClientStatus::Active,
        created_at: now,
    };
    add_client(store, Actor::System, op(), record).await?;
    let contract = Contract {
        contract_id,
        client_id: client.clone(),
        reference: "2026-001".to_owned(),
        starts_on: None,
        ends_on: None,
        modules: BTreeSet::new(),
        policies: Policies::default(),
        warned: Warned::default(),
        renewed_by: None,
        version: 1,
        created_at: now,
    };
    open_contract(store, Actor::System, op(), &contract, u64::from(MAX_ROWS)).await?;
    Ok(())
}
