//! Signing in, and setting a password by a link.

use jiff::SignedDuration;

use crate::actions::{Met, met};
use crate::audit::Actor;
use crate::change::{Change, Step, StoreError};
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId};
use crate::learner::{Credential, Learner, LearnerStatus};
use crate::link::Link;
use crate::password::{Password, PasswordHash};
use crate::ports::{Clock, Counted, IdSource, Ledger, People, RefusedTries, TryLimit};
use crate::secrets::Keys;

/// Who a sign-in lets in.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// The learner.
    Welcome(Box<Learner>),
    /// The password was generated and has to be changed first: here is where.
    MustChange(Link),
    /// An administrator keeps this learner out.
    Suspended,
    /// No seat of this learner is open, and none will be.
    Over,
    /// Unknown address or wrong password: nobody says which.
    Refused,
    /// Too many tries with this address, or from this source, were refused: this one was not
    /// looked at.
    TooManyTries {
        /// How long until the next one may come.
        wait: SignedDuration,
    },
}

/// Refused tries with one address at one client. Whoever goes on waits longer and longer.
pub const OF_ADDRESS: [TryLimit; 3] = [
    TryLimit { most: 5, within: SignedDuration::from_mins(1) },
    TryLimit { most: 10, within: SignedDuration::from_mins(15) },
    TryLimit { most: 20, within: SignedDuration::from_hours(2) },
];

/// Refused tries from one source at one client, with whatever addresses. A whole office may sit
/// behind one.
pub const OF_SOURCE: [TryLimit; 2] = [
    TryLimit { most: 50, within: SignedDuration::from_mins(10) },
    TryLimit { most: 150, within: SignedDuration::from_hours(2) },
];

/// Checks an address and a password that came from a source.
///
/// A try counts before the password is looked at, so that many at once are not one; a right one is
/// forgotten again. An unknown address costs the same calls and the same work.
pub async fn sign_in(
    ports: &(impl People + RefusedTries),
    clock: &impl Clock,
    keys: &Keys,
    client: &ClientId,
    (email, password): (&EmailAddress, &str),
    source: &str,
) -> Result<SignIn, StoreError> {
    let now = clock.now();
    let learner_id = keys.learner_id(client, email);
    let source = keys.mac("tries", &[b"sign-in-source", source.as_bytes()]);
    let address = keys.mac("tries", &[b"sign-in", learner_id.to_string().as_bytes()]);
    let tries: [(&[u8; 32], &[TryLimit]); 2] = [(&source, &OF_SOURCE), (&address, &OF_ADDRESS)];
    for (of, limits) in tries {
        if let Counted::Over { free_at } = ports.count_try(client, of, limits, now).await? {
            return Ok(SignIn::TooManyTries { wait: free_at.duration_since(now) });
        }
    }
    let welcome = check(ports, clock, client, learner_id, password).await?;
    if !matches!(welcome, SignIn::Refused) {
        for (of, _) in tries {
            ports.forget_try(client, of, now).await?;
        }
    }
    Ok(welcome)
}

async fn check(
    ports: &impl People,
    clock: &impl Clock,
    client: &ClientId,
    learner_id: LearnerId,
    password: &str,
) -> Result<SignIn, StoreError> {
    let learner = ports.learner(client, learner_id).await?;
    let Some((learner, credential)) =
        learner.and_then(|learner| learner.credential.clone().map(|known| (learner, known)))
    else {
        PasswordHash::match_nothing(password);
        return Ok(SignIn::Refused);
    };
    if !credential.hash.matches(password) {
        return Ok(SignIn::Refused);
    }
    // Only whoever knows the password is told.
    match learner.status(clock.now()) {
        LearnerStatus::Suspended => return Ok(SignIn::Suspended),
        LearnerStatus::Ended => return Ok(SignIn::Over),
        LearnerStatus::Pending | LearnerStatus::Active => {}
    }
    if credential.must_change {
        return Ok(SignIn::MustChange(Link::password(client, &learner, clock.now())));
    }
    Ok(SignIn::Welcome(Box::new(learner)))
}

/// What a link to set a password leads to now.
#[derive(Debug, Clone)]
pub enum PasswordLink {
    /// It can be used.
    Live {
        /// Whose.
        client: ClientId,
        /// Who.
        learner: Box<Learner>,
    },
    /// It was used, replaced, or its time ran out.
    Gone {
        /// Whose it was.
        client: ClientId,
    },
    /// Nobody made it.
    Forged,
}

/// Looks where a link leads, changing nothing.
pub async fn follow_password_link(
    ports: &impl People,
    clock: &impl Clock,
    keys: &Keys,
    token: &str,
) -> Result<PasswordLink, StoreError> {
    let Some(Link::Password { client, learner, serial, expires_at }) = Link::read(token, keys)
    else {
        return Ok(PasswordLink::Forged);
    };
    let known = ports.learner(&client, learner).await?;
    let live = known
        .filter(|known| known.password_serial == u64::from(serial) && expires_at > clock.now());
    Ok(match live {
        Some(learner) => PasswordLink::Live { client, learner: Box::new(learner) },
        None => PasswordLink::Gone { client },
    })
}

/// Sets a password by a live link. `false`: the link died meanwhile.
pub async fn set_password(
    ports: &impl Ledger,
    clock: &impl Clock,
    ids: &impl IdSource,
    op: Op,
    (client, learner): (&ClientId, &Learner),
    password: &Password,
) -> Result<bool, StoreError> {
    let mut change = Change::new(client, op, Actor::Learner, clock.now());
    change.receipt = serde_json::json!({"learner_id": learner.learner_id});
    change.step(Step::SetPassword {
        learner_id: learner.learner_id,
        serial: learner.password_serial,
        credential: Credential { hash: password.hash(ids), must_change: false },
    });
    let Err(refused) = ports.apply(&change).await else { return Ok(true) };
    match met(&change, refused) {
        Met::Repeated => Ok(true),
        Met::NoSeats | Met::Raced(_) => Ok(false),
        Met::Failed(error) => Err(error),
    }
}

/// Whose password an earlier attempt at this very operation had set: its link is dead by that, and
/// the attempt's answer is still owed.
pub async fn set_before(ports: &impl Ledger, op: &Op) -> Result<Option<LearnerId>, StoreError> {
    let receipts = ports.receipts(op).await?;
    let learner = receipts.first().and_then(|receipt| receipt.get("learner_id")?.as_str());
    Ok(learner.and_then(|id| id.parse().ok()))
}
