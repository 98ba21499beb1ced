//! Stopping the reminders of an invitation, by whoever was invited: with one click in a mail
//! program, which must be enough (RFC 8058).

use crate::actions::invitations::invitation_of;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, InvitationId};
use crate::invitation::InvitationStatus;
use crate::ports::{Clock, Ledger, People};

/// Stops them, also those of a later link. Nothing is left to stop once it is closed.
pub async fn stop_reminders(
    ports: &(impl Ledger + People),
    clock: &impl Clock,
    op: Op,
    client: &ClientId,
    id: InvitationId,
) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        let found = invitation_of(ports, client, id).await?;
        let open = found
            .filter(|found| found.status == InvitationStatus::Pending && !found.reminders_unwanted);
        let Some(open) = open else { return Ok(()) };
        let mut change = Change::new(client, op, Actor::Learner, clock.now());
        change.receipt = serde_json::json!({"invitation_id": id});
        change.step(Step::StopReminders { invitation_id: open.place(), version: open.version });
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(()),
            Err(Met::NoSeats | Met::Raced(_)) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}
