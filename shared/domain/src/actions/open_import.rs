//! Asking for an import: how a file that is still to be uploaded shall be treated.

use std::collections::BTreeSet;

use serde_json::json;

use crate::actions::ground::{GrantError, GroundError, check_grant, ground};
use crate::actions::run_import::RowDefaults;
use crate::actions::seating::{TermError, TermRequest, term};
use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, ImportId, SublicenseId};
use crate::import_run::{
    ImportRun, ImportSettings, ImportStatus, Origin, Outlook, SeatNeed, SourceObject, Totals,
    Undoing, WAITS,
};
use crate::ports::{Catalog, Clock, ImportLog, Ledger};
use crate::role::{Caller, Role};

/// The command.
#[derive(Debug, Clone)]
pub struct OpenImport {
    /// Whose.
    pub client_id: ClientId,
    /// On which contract.
    pub contract_id: ContractId,
    /// From which sublicense, if one is named.
    pub sublicense_id: Option<SublicenseId>,
    /// What the uploader calls the file.
    pub filename: String,
    /// The ending of the object's name.
    pub extension: &'static str,
    /// How it is treated; its `defaults` are made of these.
    pub settings: ImportSettings,
    /// What rows get that say nothing themselves.
    pub defaults: RowDefaults,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenImportError {
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The defaults' roles or groups cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The defaults' dates do not go with the contract.
    #[error(transparent)]
    Term(#[from] TermError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an import that waits for its file. The operation's id is the import's, so that the same
/// request is the same import.
pub async fn open_import(
    ports: &(impl Ledger + Catalog + ImportLog),
    clock: &impl Clock,
    caller: &Caller,
    op: Op,
    command: &OpenImport,
) -> Result<ImportRun, OpenImportError> {
    let client = &command.client_id;
    let now = clock.now();
    let ground = ground(ports, client, command.contract_id, command.sublicense_id, now).await?;
    let defaults = &command.defaults;
    check_grant(ports, &ground, caller, &defaults.roles, &defaults.group_ids).await?;
    let asked = TermRequest {
        start_on: defaults.start_on,
        end_on: defaults.end_on,
        duration_days: defaults.duration_days,
        delete_on: defaults.delete_on,
    };
    let term = term(&ground, &asked, now)?;
    let import = ImportId::from_uuid(op.id);
    if let Some(made) = ports.import(client, import).await? {
        return Ok(made);
    }
    let defaults = RowDefaults { start_on: term.starts_on, ..defaults.clone() };
    let language = defaults.language.as_ref().unwrap_or(&ground.client.default_language).clone();
    let key = format!("imports/{client}/{import}/source.{}", command.extension);
    let run = ImportRun {
        import_id: import,
        source: SourceObject { key, version_id: None, etag: None },
        contract_id: command.contract_id,
        sublicense_id: command.sublicense_id,
        settings: ImportSettings {
            defaults: serde_json::to_value(&defaults).unwrap_or_default(),
            ..command.settings.clone()
        },
        status: ImportStatus::Created,
        reject_code: None,
        reject_detail: None,
        detected: serde_json::Value::Null,
        rows_total: 0,
        rows_done: 0,
        chunks: 0,
        book_key: None,
        committed_at: None,
        completed_at: None,
        looked_up: false,
        totals: Totals::default(),
        seats: SeatNeed::default(),
        epoch: 0,
        revision: 0,
        lease_until: None,
        report_key: None,
        language,
        created_at: now,
        origin: Origin::Form,
        filename: Some(command.filename.clone()),
        inviter: caller.email.clone(),
        grantable: grantable(caller, &ground.contract.policies),
        waits_until: Some(now + WAITS),
        outlook: Outlook::default(),
        undoing: Undoing::default(),
    };
    let actor = Actor::Caller(caller.subject.clone());
    let mut change = Change::new(client, op, actor, now);
    change.receipt = json!({"import_id": import});
    change.step(Step::PutImport { run: Box::new(run.clone()), expects: None });
    change.step(Step::ListImport { import_id: import, created_at: now });
    let Err(refused) = ports.apply(&change).await else { return Ok(run) };
    match met(&change, refused) {
        // Only this operation makes an import of this id.
        Met::Repeated | Met::NoSeats | Met::Raced(_) => {
            let missing = || StoreError::Broken("an import just made is not there".to_owned());
            Ok(ports.import(client, import).await?.ok_or_else(missing)?)
        }
        Met::Failed(error) => Err(error.into()),
    }
}

/// The roles that the caller may give on a contract with these terms, and so may the rows of a file.
fn grantable(caller: &Caller, policies: &crate::contract::Policies) -> BTreeSet<Role> {
    let roles = [Role::Learner, Role::Instructor, Role::GroupAdmin, Role::ClientAdmin];
    roles.into_iter().filter(|role| caller.may_grant(*role, policies.privileged_roles)).collect()
}
