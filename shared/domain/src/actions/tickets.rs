//! Tickets: a learner crosses from our pages to the client's LMS.

use data_encoding::BASE64URL_NOPAD;
use jiff::SignedDuration;

use crate::actions::start_clocks::come_in;
use crate::change::StoreError;
use crate::ids::{ClientId, LearnerId};
use crate::ports::{Arrivals, Catalog, Clock, IdSource, Ledger, People, Ticket, Tickets};
use crate::role::Scope;
use crate::secrets::Keys;

/// How long a ticket can be exchanged.
pub const LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// Issues a ticket for a learner who comes in: 256 random bits, of which only a keyed hash is kept.
/// Seats whose duration begins with the learner's first coming begin.
pub async fn issue_ticket(
    ports: &(impl Tickets + Arrivals + Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    client: &ClientId,
    learner: LearnerId,
) -> Result<String, StoreError> {
    come_in(ports, clock, ids, client, learner).await?;
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    let text = BASE64URL_NOPAD.encode(&secret);
    let ticket = Ticket {
        hash: hash(keys, &text),
        client_id: client.clone(),
        learner_id: learner,
        expires_at: clock.now() + LIFETIME,
    };
    ports.keep_ticket(&ticket).await?;
    Ok(text)
}

/// Exchanges a ticket, once: of several that try, one gets the learner. For a caller who may not
/// see its client it does not exist, and stays what it is.
pub async fn exchange_ticket(
    ports: &impl Tickets,
    clock: &impl Clock,
    keys: &Keys,
    scope: &Scope,
    text: &str,
) -> Result<Option<Ticket>, StoreError> {
    let taken = ports.take_ticket(&hash(keys, text), scope).await?;
    Ok(taken.filter(|ticket| ticket.expires_at > clock.now()))
}

fn hash(keys: &Keys, text: &str) -> [u8; 32] {
    keys.mac("ticket", &[text.as_bytes()])
}
