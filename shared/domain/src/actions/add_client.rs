//! Making a client, and changing one.

use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::client::Client;
use crate::idempotency::Op;
use crate::ports::{Catalog, Clock, Ledger};

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AddClientError {
    /// There is one of this id.
    #[error("a client of this id exists")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a client.
pub async fn add_client(
    ports: &(impl Ledger + Catalog),
    actor: Actor,
    op: Op,
    client: Client,
) -> Result<Client, AddClientError> {
    let id = client.client_id.clone();
    let mut change = Change::new(&id, op, actor, client.created_at);
    change.step(Step::AddClient(Box::new(client.clone())));
    let Err(refused) = ports.apply(&change).await else { return Ok(client) };
    match met(&change, refused) {
        // Made by an earlier attempt at this very call.
        Met::Repeated => Ok(ports.client(&id).await?.unwrap_or(client)),
        Met::NoSeats | Met::Raced(_) => Err(AddClientError::Exists),
        Met::Failed(error) => Err(error.into()),
    }
}

/// Writes a client over the one that is there.
pub async fn replace_client(
    ports: &impl Ledger,
    clock: &impl Clock,
    actor: Actor,
    op: Op,
    client: &Client,
) -> Result<(), StoreError> {
    let mut change = Change::new(&client.client_id, op, actor, clock.now());
    change.step(Step::ReplaceClient(Box::new(client.clone())));
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        Met::Repeated => Ok(()),
        Met::NoSeats | Met::Raced(_) => Err(StoreError::Broken("the client is gone".to_owned())),
        Met::Failed(error) => Err(error),
    }
}
