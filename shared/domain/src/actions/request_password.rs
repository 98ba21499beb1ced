//! Asking for a link to choose a new password.
//!
//! Nobody learns from it who has an account: the same is read and written for every address, and a
//! mail that is owed to nobody lapses when it comes to be sent.

use jiff::SignedDuration;

use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::ClientId;
use crate::outbox::{Letter, MailIntent, Subject};
use crate::ports::{Clock, Counted, Ledger, People, RefusedTries, TryLimit};
use crate::secrets::Keys;

/// Links that are mailed to one address: whoever asks for more has one in the mailbox.
pub const OF_ADDRESS: [TryLimit; 2] = [
    TryLimit { most: 3, within: SignedDuration::from_mins(15) },
    TryLimit { most: 6, within: SignedDuration::from_hours(24) },
];

/// Requests of one source at one client, for whatever addresses.
pub const OF_SOURCE: [TryLimit; 1] =
    [TryLimit { most: 100, within: SignedDuration::from_mins(10) }];

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestPasswordError {
    /// This source asks for too many.
    #[error("too many requests")]
    TooMany {
        /// How long until the next one may come.
        wait: SignedDuration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Owes the account of this address a mail with a link, if there is one, and not too many were
/// asked for: that is said to nobody.
pub async fn request_password(
    ports: &(impl Ledger + People + RefusedTries),
    clock: &impl Clock,
    keys: &Keys,
    op: Op,
    client: &ClientId,
    email: &EmailAddress,
    source: &str,
) -> Result<(), RequestPasswordError> {
    if !ports.receipts(&op).await?.is_empty() {
        return Ok(());
    }
    let now = clock.now();
    let source = keys.mac("tries", &[b"reset-source", source.as_bytes()]);
    if let Counted::Over { free_at } = ports.count_try(client, &source, &OF_SOURCE, now).await? {
        return Err(RequestPasswordError::TooMany { wait: free_at.duration_since(now) });
    }
    let learner_id = keys.learner_id(client, email);
    let account = keys.mac("tries", &[b"reset", learner_id.to_string().as_bytes()]);
    let counted = ports.count_try(client, &account, &OF_ADDRESS, now).await?;
    if matches!(counted, Counted::Over { .. }) {
        return Ok(());
    }
    let serial = ports.learner(client, learner_id).await?.map_or(0, |known| known.password_serial);
    let serial = u32::try_from(serial).unwrap_or(u32::MAX);
    let letter = Letter::PasswordReset;
    let mut change = Change::new(client, op, Actor::Learner, now);
    change.receipt = serde_json::json!({"asked": true});
    change.step(Step::Mail(MailIntent {
        client_id: client.clone(),
        key: format!("reset#{learner_id}#{}", op.id.simple()),
        cohort: None,
        due_at: now,
        subjects: vec![Subject::Account { learner: learner_id, letter, serial }],
        copy_to: None,
    }));
    let Err(refused) = ports.apply(&change).await else { return Ok(()) };
    match met(&change, refused) {
        // Its key holds the operation: what stands there is this very mail.
        Met::Repeated | Met::NoSeats | Met::Raced(_) => Ok(()),
        Met::Failed(error) => Err(error.into()),
    }
}
