//! Creating an account with a seat, today or on a later date.

use serde_json::{Value, json};

use crate::actions::ground::{GrantError, Ground, GroundError, check_grant, ground};
use crate::actions::release_seat::end_if_over;
use crate::actions::seating::{Seating, Take, TermError, TermRequest, give_seat, term};
use crate::actions::start_clocks::come_in;
use crate::actions::{Met, ROUNDS, erased_meanwhile, gave_up, met, overtaken};
use crate::audit::{Action, Actor};
use crate::change::{Change, Presence, StoreError};
use crate::dates::Opening;
use crate::email::EmailAddress;
use crate::idempotency::Op;
use crate::ids::{ClientId, ContractId, LearnerId, PoolId, SublicenseId};
use crate::learner::{Credential, Learner, Profile, Source, SourceKind};
use crate::outbox::Letter;
use crate::password::{Password, PasswordHash};
use crate::ports::{Arrivals, Catalog, Clock, IdSource, Ledger, People};
use crate::role::Caller;
use crate::secrets::Keys;
use crate::stock::Stock;

/// How a new account gets its password.
#[derive(Debug, Clone)]
pub enum PasswordChoice {
    /// The learner sets it, by a link.
    Link,
    /// It is generated, and has to be changed at the first sign-in.
    Generated,
    /// The administrator typed it; here is its hash.
    Typed(PasswordHash),
    /// It has none: the person comes through the client's identity provider.
    SingleSignOn,
}

/// The command.
#[derive(Debug, Clone)]
pub struct CreateLearner {
    /// Whose.
    pub client_id: ClientId,
    /// On which contract.
    pub contract_id: ContractId,
    /// From which sublicense, if one is named.
    pub sublicense_id: Option<SublicenseId>,
    /// Who.
    pub email: EmailAddress,
    /// What is known of the person.
    pub profile: Profile,
    /// How the account gets its password.
    pub password: PasswordChoice,
    /// When the seat opens and ends.
    pub term: TermRequest,
    /// Whether the learner is told by mail.
    pub notify: bool,
    /// Who asked for a copy of that mail.
    pub copy_to: Option<EmailAddress>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct CreatedLearner {
    /// The learner as they are now.
    pub learner: Learner,
    /// The pool of the seat.
    pub pool: PoolId,
    /// The pool's stock.
    pub stock: Stock,
    /// Whether the learner had the seat before; nothing moved then.
    pub already_seated: bool,
    /// A generated password that no mail carries.
    pub generated_password: Option<Password>,
    /// Whether the account was made by this call.
    pub new_account: bool,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum CreateLearnerError {
    /// There is nothing to stand on.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// Roles or groups cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The dates do not go with the contract.
    #[error(transparent)]
    Term(#[from] TermError),
    /// No seat is left.
    #[error("no seats left")]
    NoSeatsLeft,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What creating needs from outside.
pub trait CreatePorts: Ledger + Catalog + People + Arrivals {}
impl<P: Ledger + Catalog + People + Arrivals> CreatePorts for P {}

/// What an earlier or this attempt did, as its receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    learner: LearnerId,
    seated_before: bool,
    new_account: bool,
}

impl Done {
    fn receipt(self) -> Value {
        json!({"learner_id": self.learner, "new_account": self.new_account})
    }

    fn read(receipt: &Value) -> Option<Self> {
        let learner = receipt.get("learner_id")?.as_str()?.parse().ok()?;
        let new_account = receipt.get("new_account")?.as_bool()?;
        Some(Self { learner, seated_before: false, new_account })
    }
}

/// Creates the account, or gives the one that exists a seat, or answers with the seat there is.
pub async fn create_learner(
    ports: &impl CreatePorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &CreateLearner,
) -> Result<CreatedLearner, CreateLearnerError> {
    let client = &command.client_id;
    let now = clock.now();
    let ground = ground(ports, client, command.contract_id, command.sublicense_id, now).await?;
    let profile = &command.profile;
    check_grant(ports, &ground, caller, &profile.roles, &profile.group_ids).await?;
    let earlier = ports.receipts(&op).await?.first().and_then(Done::read);
    let done = match earlier {
        Some(done) => done,
        None => seat(ports, clock, ids, keys, caller, op, command, &ground).await?,
    };
    if matches!(command.password, PasswordChoice::SingleSignOn) {
        // Whoever comes this way has been let in by their own organization, the first time and later.
        come_in(ports, clock, ids, client, done.learner).await?;
    }
    answer(ports, keys, command, &ground, done).await
}

#[expect(clippy::too_many_arguments, reason = "the ports an action needs, each its own")]
async fn seat(
    ports: &impl CreatePorts,
    clock: &impl Clock,
    ids: &impl IdSource,
    keys: &Keys,
    caller: &Caller,
    op: Op,
    command: &CreateLearner,
    ground: &Ground,
) -> Result<Done, CreateLearnerError> {
    let client = &command.client_id;
    let learner_id = keys.learner_id(client, &command.email);
    let invitation_id = keys.invitation_id(client, ground.pool, &command.email);
    let actor = Actor::Caller(caller.subject.clone());
    for _ in 0..ROUNDS {
        let now = clock.now();
        let term = term(ground, &command.term, now)?;
        let learner = ports.learner(client, learner_id).await?;
        // Whoever comes by single sign-on has not been given anything anew.
        let given = !matches!(command.password, PasswordChoice::SingleSignOn);
        let place = (client, &ground.contract);
        if given && end_if_over(ports, clock, ids, place, learner.as_ref(), ground.pool).await? {
            continue;
        }
        let new_account = learner.is_none();
        let done = Done { learner: learner_id, seated_before: false, new_account };
        if let Some(seat) = learner.as_ref().and_then(|learner| learner.live_seat(ground.pool)) {
            if op.wrote(seat.op) {
                return Err(overtaken().into());
            }
            return Ok(Done { seated_before: true, ..done });
        }
        let invitation = ports.invitation(client, invitation_id).await?;
        // Also one whose time ran out: until the sweep has seen it, it holds a seat.
        let pending = invitation
            .filter(|invitation| invitation.status == crate::invitation::InvitationStatus::Pending);
        let has_password = learner.as_ref().is_some_and(|known| known.credential.is_some());
        let serial = learner.as_ref().map_or(0, |known| known.password_serial);
        let credential = match &command.password {
            _ if has_password => None,
            PasswordChoice::Link | PasswordChoice::SingleSignOn => None,
            PasswordChoice::Typed(hash) => {
                Some(Credential { hash: hash.clone(), must_change: false })
            }
            PasswordChoice::Generated => {
                let password = Password::generated(keys, client, learner_id, serial);
                Some(Credential { hash: password.hash(ids), must_change: true })
            }
        };
        let mut change = Change::new(client, op, actor.clone(), now);
        change.receipt = done.receipt();
        give_seat(
            &mut change,
            ground,
            Seating {
                learner_id,
                email: command.email.clone(),
                profile: command.profile.clone(),
                credential,
                presence: if new_account { Presence::New } else { Presence::Existing },
                term,
                source: Source { kind: source(&command.password), id: None },
                take: match &pending {
                    Some(invitation) => Take::Invitation(invitation),
                    None => Take::Available { no_invitation: invitation_id },
                },
                action: match term.opening {
                    Opening::Now => Action::SeatGiven,
                    Opening::Later { .. } => Action::SeatScheduled,
                },
                letter: command
                    .notify
                    .then(|| letter(&command.password, new_account, term.opening)),
                copy_to: command.copy_to.clone(),
            },
        );
        let Err(refused) = ports.apply(&change).await else {
            return Ok(done);
        };
        match met(&change, refused) {
            Met::NoSeats => return Err(CreateLearnerError::NoSeatsLeft),
            Met::Repeated => return Ok(done),
            Met::Raced(_) => {}
            Met::Failed(error) => return Err(error.into()),
        }
    }
    Err(gave_up().into())
}

fn source(password: &PasswordChoice) -> SourceKind {
    match password {
        PasswordChoice::SingleSignOn => SourceKind::Sso,
        PasswordChoice::Link | PasswordChoice::Generated | PasswordChoice::Typed(_) => {
            SourceKind::Create
        }
    }
}

fn letter(password: &PasswordChoice, new_account: bool, opening: Opening) -> Letter {
    match (opening, new_account, password) {
        (Opening::Later { .. }, _, _) => Letter::AccessOpened,
        (Opening::Now, false, _) => Letter::Added,
        (Opening::Now, true, PasswordChoice::Link) => Letter::AccountCreated,
        (Opening::Now, true, PasswordChoice::Generated) => Letter::AccountCreatedWithPassword,
        (Opening::Now, true, PasswordChoice::Typed(_) | PasswordChoice::SingleSignOn) => {
            Letter::AccountCreatedToldOtherwise
        }
    }
}

async fn answer(
    ports: &impl CreatePorts,
    keys: &Keys,
    command: &CreateLearner,
    ground: &Ground,
    done: Done,
) -> Result<CreatedLearner, CreateLearnerError> {
    let client = &command.client_id;
    let missing = || StoreError::Broken("a pool just used is not there".to_owned());
    let learner = ports.learner(client, done.learner).await?.ok_or_else(erased_meanwhile)?;
    let stock = ports.stock(client, ground.pool).await?.ok_or_else(missing)?;
    let tell = !command.notify
        && !done.seated_before
        && done.new_account
        && matches!(command.password, PasswordChoice::Generated);
    let generated_password = tell.then(|| Password::generated(keys, client, done.learner, 0));
    Ok(CreatedLearner {
        learner,
        pool: ground.pool,
        stock,
        already_seated: done.seated_before,
        generated_password,
        new_account: done.new_account,
    })
}
