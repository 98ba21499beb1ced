//! Groups of a client.

use serde_json::json;

use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::client::Group;
use crate::idempotency::Op;
use crate::ids::ClientId;
use crate::ports::Ledger;

/// Why a group cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AddGroupError {
    /// There is one of this name.
    #[error("a group of this name exists")]
    NameTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a group, whose name must be free.
pub async fn add_group(
    ports: &impl Ledger,
    actor: Actor,
    op: Op,
    client: &ClientId,
    group: &Group,
) -> Result<(), AddGroupError> {
    let mut change = Change::new(client, op, actor, group.created_at);
    change.receipt = json!({"group_id": group.group_id});
    let folded = Group::folded(&group.name);
    change.step(Step::TakeGroupName { folded, group_id: group.group_id });
    change.step(Step::AddGroup(group.clone()));
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        Met::Repeated => Ok(()),
        Met::NoSeats | Met::Raced(_) => Err(AddGroupError::NameTaken),
        Met::Failed(error) => Err(error.into()),
    }
}
