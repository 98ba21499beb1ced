//! A client with one contract in a model, and what people do there, as actors.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::actions::accept_invitation::{
    AcceptInvitation, AcceptInvitationError, accept_invitation,
};
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::allocate_seats::{AllocateError, add_sublicense, allocate_seats};
use seatkeeper_domain::actions::change_learner::{
    ChangeLearner, ChangeLearnerError, change_learner,
};
use seatkeeper_domain::actions::close_invitation::{
    CancelInvitationError, DeclineInvitationError, cancel_invitation, decline_invitation,
    expire_invitation,
};
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreateLearnerError, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::erase_learner::{EraseLearnerError, erase_learner};
use seatkeeper_domain::actions::invite::{Invite, InviteError, Verdict as InviteVerdict, invite};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, IssueCodesError, Wanted, issue_codes};
use seatkeeper_domain::actions::open_cohort::{OpenCohortError, Opened, open_cohort};
use seatkeeper_domain::actions::open_contract::{AddSeatsError, add_seats, open_contract};
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, redeem_code};
use seatkeeper_domain::actions::release_seat::{ReleaseSeatError, release_seat};
use seatkeeper_domain::actions::resend_invitation::{ResendInvitationError, resend_invitation};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::sign_in::set_password;
use seatkeeper_domain::actions::transfer_seat::{TransferSeat, TransferSeatError, transfer_seat};
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::{Branding, Client, ClientStatus, HttpsUrl, Zone};
use seatkeeper_domain::code::Code;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::{Contract, Policies, Sublicense, Warned};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore, Op};
use seatkeeper_domain::ids::{
    BatchId, ClientId, ContractId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::learner::{Profile, ProfileChange};
use seatkeeper_domain::password::{PasswordHash, PasswordPolicy};
use seatkeeper_domain::ports::{
    Arrivals, Catalog, Clock as _, CodeBook, IdSource as _, Ledger, People, RefusedTries,
};
use seatkeeper_domain::role::{Caller, CallerRole, Scope};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_testkit::model::{Model, Ports, Rule, Run};
use seatkeeper_testkit::{SeededIds, VirtualClock};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";
/// [`PASSWORD`], hashed with the least work there is: accounts are looked at many times here.
pub const HASHED: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$Ifvh/2yXZNM2YXLKEULqjsGR8AQJ/t7RaWEEn8uEiG4";

/// The idempotency key, and the body, of those who all ask the same.
const KEY: (u8, u8) = (1, 2);

/// What an actor came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It had its effect.
    Done,
    /// It was so before.
    Already,
    /// A definite refusal: nothing happened.
    Refused,
    /// Nobody knows.
    Failed,
}

/// What came of an actor.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub verdict: Verdict,
    /// The operation, if its trail tells whether it had its effect.
    pub op: Option<Uuid>,
    pub told: String,
}

/// A client with a contract, before anybody acts.
#[derive(Clone)]
pub struct Setting {
    pub model: Model,
    pub start: Timestamp,
    pub keys: Keys,
    pub client: ClientId,
    pub contract: Contract,
    pub sublicense: Sublicense,
}

/// The answer of work that waits for nothing.
pub fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a model never waits"),
    }
}

impl Setting {
    /// 2026-11-23 10:00 in Paris; the contract has so many seats, and a sublicense with four more.
    pub fn with_seats(seats: u64) -> Self {
        let start: Timestamp = "2026-11-23T09:00:00Z".parse().expect("an instant");
        let clock = VirtualClock::new(start);
        let ids = SeededIds::new(7, &clock);
        let client: ClientId = "acme".parse().expect("a slug");
        let ports = Ports::over(Model::new());
        let op = || Op { id: ids.uuid(), guard: None };
        let record = Client {
            client_id: client.clone(),
            name: "Acme".to_owned(),
            default_language: Languages::from_list("en,fr").parse("fr").expect("French"),
            time_zone: Zone::parse("Europe/Paris").expect("a zone"),
            launch_url: HttpsUrl::parse("https://lms.example.com/launch").expect("an address"),
            branding: Branding::default(),
            alerts_to: Vec::new(),
            status: ClientStatus::Active,
            created_at: start,
        };
        now(add_client(&ports, Actor::System, op(), record)).expect("a new client");
        let contract = Contract {
            contract_id: ContractId::from_uuid(ids.uuid()),
            client_id: client.clone(),
            reference: "2026-001".to_owned(),
            starts_on: Some(Date::constant(2026, 1, 1)),
            ends_on: Some(Date::constant(2028, 12, 31)),
            modules: BTreeSet::new(),
            policies: Policies::default(),
            warned: Warned::default(),
            renewed_by: None,
            version: 1,
            created_at: start,
        };
        now(open_contract(&ports, Actor::System, op(), &contract, seats + 4)).expect("a contract");
        let sublicense = Sublicense {
            sublicense_id: SublicenseId::from_uuid(ids.uuid()),
            contract_id: contract.contract_id,
            name: "Branch".to_owned(),
            created_at: start,
        };
        now(add_sublicense(&ports, Actor::System, op(), &client, &sublicense, 4)).expect("seats");
        let model = ports.model().clone();
        let keys = Keys::derive("a root secret for tests, 32 characters").expect("long enough");
        Self { model, start, keys, client, contract, sublicense }
    }

    /// The same, in a store that leaves out a rule.
    #[must_use]
    pub fn without(self, rule: Option<Rule>) -> Self {
        match rule {
            Some(rule) => Self { model: self.model.without(rule), ..self },
            None => self,
        }
    }

    /// The same, after something happened.
    pub fn after<T>(mut self, act: impl AsyncFnOnce(&Self, &Ports) -> T) -> (Self, T) {
        let ports = Ports::over(self.model.clone());
        let answer = now(act(&self, &ports));
        self.model = ports.model().clone();
        (self, answer)
    }

    pub fn begin(&self) -> Run<Outcome> {
        Run::begin(Ports::over(self.model.clone()))
    }

    pub fn clock(&self) -> VirtualClock {
        VirtualClock::new(self.start)
    }

    pub fn pool(&self) -> PoolId {
        PoolId::Contract(self.contract.contract_id)
    }

    /// The sublicense's pool.
    pub fn branch(&self) -> PoolId {
        PoolId::Sublicense(self.sublicense.sublicense_id)
    }

    pub fn email(number: u32) -> EmailAddress {
        EmailAddress::parse(&format!("learner.{number}@example.fr")).expect("an address")
    }

    pub fn learner(&self, number: u32) -> LearnerId {
        self.keys.learner_id(&self.client, &Self::email(number))
    }

    fn caller(&self) -> Caller {
        Caller {
            subject: "admin-1".to_owned(),
            email: Some("admin@acme.example".to_owned()),
            scope: Scope::Client(self.client.clone()),
            role: CallerRole::ClientAdmin,
            groups: BTreeSet::new(),
        }
    }

    /// An account with a password and a seat of the sublicense: none of the contract's.
    #[must_use]
    pub fn with_account(self, number: u32) -> Self {
        let (setting, outcome) = self.after(async |setting, ports| {
            let hash = serde_json::from_value::<PasswordHash>(HASHED.into()).expect("a hash");
            let command = CreateLearner {
                sublicense_id: Some(setting.sublicense.sublicense_id),
                password: PasswordChoice::Typed(hash),
                notify: false,
                ..setting.creation(number, None)
            };
            let who = Who::new(setting, 900 + u64::from(number));
            who.create(ports, who.op(), &command).await
        });
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        setting
    }

    /// So many accounts, numbered from 1, as [`with_account`](Self::with_account) makes them. The
    /// sublicense grows with them.
    #[must_use]
    pub fn with_accounts(self, count: u32) -> Self {
        let (setting, ()) = self.after(async |setting, ports| {
            let who = Who::new(setting, 950);
            let seats = i64::from(count);
            assert_eq!(who.order(ports, "ACCOUNTS", seats).await.verdict, Verdict::Done);
            let allocated = who.allocate_as(ports, who.op(), seats).await;
            assert_eq!(allocated.verdict, Verdict::Done, "{allocated:?}");
            for number in 1..=count {
                let hash = serde_json::from_value::<PasswordHash>(HASHED.into()).expect("a hash");
                let command = CreateLearner {
                    sublicense_id: Some(setting.sublicense.sublicense_id),
                    password: PasswordChoice::Typed(hash),
                    notify: false,
                    ..setting.creation(number, None)
                };
                let made = who.create(ports, who.op(), &command).await;
                assert_eq!(made.verdict, Verdict::Done, "{made:?}");
            }
        });
        setting
    }

    /// A pending invitation of an address.
    #[must_use]
    pub fn with_invitation(self, number: u32) -> Self {
        let (setting, outcome) = self.after(async |setting, ports| {
            Who::new(setting, 700 + u64::from(number)).invite(ports, number).await
        });
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        setting
    }

    /// A seat, from a day on.
    #[must_use]
    pub fn with_seat(self, number: u32, start_on: Option<Date>) -> Self {
        let (setting, outcome) = self.after(async |setting, ports| {
            let who = Who::new(setting, 800 + u64::from(number));
            who.create(ports, who.op(), &setting.creation(number, start_on)).await
        });
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        setting
    }

    /// Codes of a new batch.
    pub fn with_codes(self, wanted: Wanted) -> (Self, Vec<String>) {
        self.after(async |setting, ports| Who::new(setting, 600).issue_wanted(ports, wanted).await)
    }

    pub fn creation(&self, number: u32, start_on: Option<Date>) -> CreateLearner {
        CreateLearner {
            client_id: self.client.clone(),
            contract_id: self.contract.contract_id,
            sublicense_id: None,
            email: Self::email(number),
            profile: Profile {
                first_name: Some("Lise".to_owned()),
                last_name: Some("Meitner".to_owned()),
                ..Profile::default()
            },
            password: PasswordChoice::Link,
            term: TermRequest { start_on, ..TermRequest::default() },
            notify: true,
            copy_to: None,
        }
    }

    pub fn cohort(&self, instant: &str) -> CohortKey {
        let instant = instant.parse().expect("an instant");
        CohortKey { client_id: self.client.clone(), pool: self.pool(), instant }
    }
}

/// All that the actions here ask for.
pub trait Everything:
    Ledger + Catalog + People + Arrivals + CodeBook + RefusedTries + IdempotencyStore
{
}
impl<P> Everything for P where
    P: Ledger + Catalog + People + Arrivals + CodeBook + RefusedTries + IdempotencyStore
{
}

/// Somebody who acts, with ids of their own.
pub struct Who {
    setting: Setting,
    pub clock: VirtualClock,
    ids: SeededIds,
}

fn outcome(op: Op, verdict: Verdict, told: impl std::fmt::Debug) -> Outcome {
    Outcome { verdict, op: Some(op.id), told: format!("{told:?}") }
}

impl Who {
    pub fn new(setting: &Setting, seed: u64) -> Self {
        Self::by(setting, seed, &setting.clock())
    }

    pub fn by(setting: &Setting, seed: u64, clock: &VirtualClock) -> Self {
        let ids = SeededIds::new(seed, clock);
        Self { setting: setting.clone(), clock: clock.clone(), ids }
    }

    pub fn op(&self) -> Op {
        Op { id: self.ids.uuid(), guard: None }
    }

    pub async fn create(
        &self,
        ports: &impl Everything,
        op: Op,
        command: &CreateLearner,
    ) -> Outcome {
        let (keys, caller) = (&self.setting.keys, self.setting.caller());
        let created = create_learner(ports, &self.clock, &self.ids, keys, &caller, op, command);
        match created.await {
            Ok(created) if created.already_seated => outcome(op, Verdict::Already, "seated"),
            Ok(created) => {
                let told = (created.learner.learner_id, created.new_account);
                outcome(op, Verdict::Done, told)
            }
            Err(CreateLearnerError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn create_by_number(
        &self,
        ports: &impl Everything,
        number: u32,
        start_on: Option<Date>,
    ) -> Outcome {
        self.create(ports, self.op(), &self.setting.creation(number, start_on)).await
    }

    /// A seat of the sublicense.
    pub async fn create_in_branch(&self, ports: &impl Everything, number: u32) -> Outcome {
        let mut command = self.setting.creation(number, None);
        command.sublicense_id = Some(self.setting.sublicense.sublicense_id);
        self.create(ports, self.op(), &command).await
    }

    /// The cohort of this instant.
    pub fn cohort(&self, instant: &str) -> CohortKey {
        self.setting.cohort(instant)
    }

    /// Does nothing.
    pub fn nothing(&self) -> Outcome {
        Outcome { verdict: Verdict::Done, op: None, told: String::new() }
    }

    pub async fn invite(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let command = Invite {
            client_id: self.setting.client.clone(),
            contract_id: self.setting.contract.contract_id,
            sublicense_id: None,
            addresses: vec![Setting::email(number).to_string()],
            grant: Grant::default(),
            message: None,
            notify: true,
            copy_to: None,
        };
        let (keys, caller) = (&self.setting.keys, self.setting.caller());
        match invite(ports, &self.clock, keys, &caller, op, &command).await {
            Ok(invited) => {
                let verdict = invited.results[0].verdict;
                let short = match verdict {
                    InviteVerdict::Invited { .. } | InviteVerdict::Added { .. } => Verdict::Done,
                    InviteVerdict::NoSeatsLeft => Verdict::Refused,
                    _ => Verdict::Already,
                };
                outcome(op, short, verdict)
            }
            Err(InviteError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn accept(&self, ports: &impl Everything, number: u32) -> Outcome {
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let id = keys.invitation_id(client, self.setting.pool(), &Setting::email(number));
        self.accept_by(ports, id).await
    }

    /// Follows the link that proves an address.
    pub async fn prove(&self, ports: &impl Everything, number: u32) -> Outcome {
        self.accept_by(ports, self.proof(number)).await
    }

    /// Says on the page of that link that it was somebody else.
    pub async fn disown(&self, ports: &impl Everything, number: u32) -> Outcome {
        self.decline_by(ports, self.proof(number)).await
    }

    fn proof(&self, number: u32) -> InvitationId {
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        keys.proof_id(client, self.setting.pool(), &Setting::email(number))
    }

    async fn accept_by(&self, ports: &impl Everything, invitation_id: InvitationId) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let command = AcceptInvitation {
            client_id: client.clone(),
            invitation_id,
            version: 1,
            first_name: "Lise".to_owned(),
            last_name: "Meitner".to_owned(),
            password: PasswordPolicy::default().check(PASSWORD),
        };
        match accept_invitation(ports, &self.clock, &self.ids, keys, op, &command).await {
            Ok(accepted) => outcome(op, Verdict::Done, accepted),
            Err(AcceptInvitationError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn cancel(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let id = keys.invitation_id(client, self.setting.pool(), &Setting::email(number));
        let caller = self.setting.caller();
        match cancel_invitation(ports, &self.clock, keys, &caller, op, client, id).await {
            Ok(after) if after.invitation.op == op.id => outcome(op, Verdict::Done, "cancelled"),
            Ok(after) => outcome(op, Verdict::Already, after.invitation.status),
            Err(CancelInvitationError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn decline(&self, ports: &impl Everything, number: u32) -> Outcome {
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let id = keys.invitation_id(client, self.setting.pool(), &Setting::email(number));
        self.decline_by(ports, id).await
    }

    async fn decline_by(&self, ports: &impl Everything, id: InvitationId) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        match decline_invitation(ports, &self.clock, keys, op, client, id, 1).await {
            Ok(()) => outcome(op, Verdict::Done, "declined"),
            Err(DeclineInvitationError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn redeem(&self, ports: &impl Everything, number: u32, code: &str) -> Outcome {
        self.redeem_as(ports, self.op(), number, code).await
    }

    pub async fn redeem_keyed(&self, ports: &impl Everything, number: u32, code: &str) -> Outcome {
        self.keyed(ports, KEY, async |op| self.redeem_as(ports, op, number, code).await).await
    }

    async fn redeem_as(&self, ports: &impl Everything, op: Op, number: u32, code: &str) -> Outcome {
        let keys = &self.setting.keys;
        let command = RedeemCode {
            client_id: self.setting.client.clone(),
            code: code.to_owned(),
            email: Setting::email(number),
            first_name: "Lise".to_owned(),
            last_name: "Meitner".to_owned(),
            password: PasswordPolicy::default().check(PASSWORD).expect("a good password"),
            language: None,
            source: format!("203.0.113.{number}"),
        };
        match redeem_code(ports, &self.clock, &self.ids, keys, op, &command).await {
            Ok(redeemed) if redeemed.already => outcome(op, Verdict::Already, redeemed),
            Ok(redeemed) => outcome(op, Verdict::Done, redeemed),
            Err(RedeemCodeError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// So many redemption codes.
    pub async fn issue(&self, ports: &impl Everything, count: u32) -> Vec<String> {
        self.issue_wanted(ports, Wanted::Generated(count)).await
    }

    async fn issue_wanted(&self, ports: &impl Everything, wanted: Wanted) -> Vec<String> {
        let (outcome, codes) = self.issue_as(ports, self.op(), wanted).await;
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        codes
    }

    /// Issues a batch; gives the texts of its codes.
    pub async fn issue_as(
        &self,
        ports: &impl Everything,
        op: Op,
        wanted: Wanted,
    ) -> (Outcome, Vec<String>) {
        self.issue_asking(ports, op, wanted, false).await
    }

    /// The same; the batch may ask that addresses are proven.
    pub async fn issue_asking(
        &self,
        ports: &impl Everything,
        op: Op,
        wanted: Wanted,
        require_email_proof: bool,
    ) -> (Outcome, Vec<String>) {
        let command = IssueCodes {
            client_id: self.setting.client.clone(),
            contract_id: self.setting.contract.contract_id,
            sublicense_id: None,
            label: "Autumn".to_owned(),
            wanted,
            valid_from: None,
            valid_until: None,
            start_on: None,
            seat_duration_days: None,
            group_ids: BTreeSet::new(),
            labels: BTreeSet::new(),
            language: None,
            allowed_domains: BTreeSet::new(),
            require_email_proof,
        };
        let (keys, caller) = (&self.setting.keys, self.setting.caller());
        // Seats are set aside only where it moves some.
        let moves = !matches!(command.wanted, Wanted::Registration { guaranteed: false, .. });
        let ended = |verdict, told| Outcome { op: moves.then_some(op.id), verdict, told };
        let issued = issue_codes(ports, &self.clock, &self.ids, keys, &caller, op, &command).await;
        match issued {
            Ok(issued) => {
                let codes = issued.codes.iter().map(ToString::to_string).collect();
                (ended(Verdict::Done, issued.batch.batch_id.to_string()), codes)
            }
            Err(IssueCodesError::Store(error)) => {
                (ended(Verdict::Failed, error.to_string()), Vec::new())
            }
            Err(refused) => (ended(Verdict::Refused, refused.to_string()), Vec::new()),
        }
    }

    pub async fn release(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let whose = (&self.setting.client, &self.setting.contract);
        let (learner, pool) = (self.setting.learner(number), self.setting.pool());
        let caller = Actor::Caller("admin-1".to_owned());
        match release_seat(ports, &self.clock, &self.ids, caller, op, whose, learner, pool).await {
            Ok(_) | Err(ReleaseSeatError::Erased) => outcome(op, Verdict::Done, "released"),
            Err(ReleaseSeatError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// Nothing is left of somebody.
    pub async fn erase(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let (clock, ids, learner) = (&self.clock, &self.ids, self.setting.learner(number));
        let actor = Actor::Caller("admin-1".to_owned());
        match erase_learner(ports, clock, ids, keys, actor, op, client, learner).await {
            // Another one may have done the last of it.
            Ok(_) => Outcome { op: None, ..outcome(op, Verdict::Done, "erased") },
            Err(EraseLearnerError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// Somebody is called otherwise.
    pub async fn rename(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let name = Amend::Set("Marie".to_owned());
        let command = ChangeLearner {
            client_id: self.setting.client.clone(),
            learner_id: self.setting.learner(number),
            profile: ProfileChange { first_name: name, ..ProfileChange::default() },
            start_on: None,
            pool: None,
            notify: false,
        };
        let caller = self.setting.caller();
        match change_learner(ports, &self.clock, &self.ids, &caller, op, &command).await {
            Ok(_) => Outcome { op: None, ..outcome(op, Verdict::Done, "renamed") },
            Err(ChangeLearnerError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// The seat of one goes to the other.
    pub async fn transfer(&self, ports: &impl Everything, from: u32, to: u32) -> Outcome {
        let op = self.op();
        let command = TransferSeat {
            client_id: self.setting.client.clone(),
            from: self.setting.learner(from),
            pool: Some(self.setting.pool()),
            to: Setting::email(to),
            profile: Profile::default(),
            notify: true,
        };
        let (keys, caller) = (&self.setting.keys, self.setting.caller());
        let done = transfer_seat(ports, &self.clock, &self.ids, keys, &caller, op, &command);
        match done.await {
            Ok(_) => outcome(op, Verdict::Done, "transferred"),
            Err(TransferSeatError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// A scheduled seat opens on another day.
    pub async fn reschedule(&self, ports: &impl Everything, number: u32, day: Date) -> Outcome {
        let op = self.op();
        let command = ChangeLearner {
            client_id: self.setting.client.clone(),
            learner_id: self.setting.learner(number),
            profile: ProfileChange::default(),
            start_on: Some(day),
            pool: Some(self.setting.pool()),
            notify: true,
        };
        let caller = self.setting.caller();
        match change_learner(ports, &self.clock, &self.ids, &caller, op, &command).await {
            Ok(_) => outcome(op, Verdict::Done, "rescheduled"),
            Err(ChangeLearnerError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn order(&self, ports: &impl Everything, order: &str, add: i64) -> Outcome {
        let op = self.op();
        let contract = &self.setting.contract;
        match add_seats(ports, &self.clock, Actor::System, op, contract, order, add).await {
            Ok(()) => Outcome { op: None, ..outcome(op, Verdict::Done, add) },
            Err(AddSeatsError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn open(&self, ports: &impl Everything, key: &CohortKey) -> Outcome {
        let (verdict, told) = match open_cohort(ports, &self.clock, &self.ids, key).await {
            Ok(Opened::Now(count)) => (Verdict::Done, count.to_string()),
            Ok(Opened::Before) => (Verdict::Already, "opened".to_owned()),
            Err(OpenCohortError::Store(error)) => (Verdict::Failed, error.to_string()),
            Err(refused) => (Verdict::Refused, refused.to_string()),
        };
        Outcome { op: None, verdict, told }
    }

    /// One attempt at a request with this idempotency key and body, as the edge makes it.
    pub async fn keyed<W: Future<Output = Outcome>>(
        &self,
        ports: &impl Everything,
        (key, body): (u8, u8),
        work: impl FnOnce(Op) -> W,
    ) -> Outcome {
        let (record, body) = ([key; 32], [body; 32]);
        let attempt = Attempt { record, body, op: self.ids.uuid(), now: self.clock.now() };
        let begun = match ports.begin(&attempt).await {
            Ok(begun) => begun,
            Err(error) => {
                let told = error.to_string();
                return Outcome { verdict: Verdict::Failed, op: None, told };
            }
        };
        let op = match begun {
            Begin::Fresh { op } => op,
            Begin::Replay { sealed, .. } => {
                let told = String::from_utf8(sealed).expect("text");
                return Outcome { verdict: Verdict::Done, op: None, told };
            }
            Begin::InProgress | Begin::Mismatch => {
                let told = "in progress".to_owned();
                return Outcome { verdict: Verdict::Failed, op: None, told };
            }
        };
        let outcome = work(op).await;
        // Whether this succeeds does not change the answer.
        let _ = match outcome.verdict {
            Verdict::Done | Verdict::Already => {
                ports.complete(&op, 201, outcome.told.as_bytes()).await
            }
            Verdict::Refused => ports.abandon(&op).await,
            Verdict::Failed => ports.release(&op).await,
        };
        outcome
    }

    pub async fn create_keyed(&self, ports: &impl Everything, number: u32) -> Outcome {
        let command = self.setting.creation(number, None);
        self.keyed(ports, KEY, async |op| self.create(ports, op, &command).await).await
    }

    pub async fn invite_keyed(&self, ports: &impl Everything, number: u32) -> Outcome {
        self.keyed(ports, KEY, async |op| self.invite_two_as(ports, op, number).await).await
    }

    /// Invites this one and the next.
    pub async fn invite_two_as(&self, ports: &impl Everything, op: Op, number: u32) -> Outcome {
        let setting = &self.setting;
        let addresses = [number, number + 1].map(|number| Setting::email(number).to_string());
        let command = Invite {
            client_id: setting.client.clone(),
            contract_id: setting.contract.contract_id,
            sublicense_id: None,
            addresses: addresses.into(),
            grant: Grant::default(),
            message: None,
            notify: true,
            copy_to: None,
        };
        let (keys, caller) = (&setting.keys, setting.caller());
        match invite(ports, &self.clock, keys, &caller, op, &command).await {
            Ok(invited) => {
                let verdicts: Vec<_> =
                    invited.results.iter().map(|result| result.verdict).collect();
                outcome(op, Verdict::Done, verdicts)
            }
            Err(InviteError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn allocate_keyed(&self, ports: &impl Everything, add: i64) -> Outcome {
        self.keyed(ports, KEY, async |op| self.allocate_as(ports, op, add).await).await
    }

    /// Allocates seats to the sublicense: nothing but the idempotency record tells a repetition.
    pub async fn allocate_as(&self, ports: &impl Everything, op: Op, add: i64) -> Outcome {
        let Setting { client, sublicense, .. } = &self.setting;
        let system = Actor::System;
        match allocate_seats(ports, &self.clock, system, op, client, sublicense, add).await {
            Ok(()) => outcome(op, Verdict::Done, add),
            Err(AllocateError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// Makes the sublicense.
    pub async fn add_branch(&self, ports: &impl Everything, seats: u64) -> Outcome {
        let Setting { client, sublicense, .. } = &self.setting;
        let op = self.op();
        match add_sublicense(ports, Actor::System, op, client, sublicense, seats).await {
            Ok(()) => outcome(op, Verdict::Done, seats),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    pub async fn resend(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let id = keys.invitation_id(client, self.setting.pool(), &Setting::email(number));
        let caller = self.setting.caller();
        match resend_invitation(ports, &self.clock, keys, &caller, op, client, id).await {
            Ok(after) => outcome(op, Verdict::Done, after.invitation.version),
            Err(ResendInvitationError::Store(error)) => outcome(op, Verdict::Failed, error),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// Ends an invitation whose time ran out, as the sweep does.
    pub async fn expire(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let (client, keys) = (&self.setting.client, &self.setting.keys);
        let id = keys.invitation_id(client, self.setting.pool(), &Setting::email(number));
        match expire_invitation(ports, &self.clock, &self.ids, keys, op, client, id).await {
            Ok(true) => outcome(op, Verdict::Done, "expired"),
            Ok(false) => outcome(op, Verdict::Already, "nothing to do"),
            Err(error) => outcome(op, Verdict::Failed, error),
        }
    }

    /// Uses the password link of a learner as they are now.
    pub async fn set_password(&self, ports: &impl Everything, number: u32) -> Outcome {
        let op = self.op();
        let client = &self.setting.client;
        let known = ports.learner(client, self.setting.learner(number)).await;
        let learner = known.expect("readable").expect("an account");
        let password = PasswordPolicy::default().check(PASSWORD).expect("a good password");
        let set = set_password(ports, &self.clock, &self.ids, op, (client, &learner), &password);
        match set.await {
            Ok(true) => outcome(op, Verdict::Done, "set"),
            Ok(false) => outcome(op, Verdict::Refused, "the link is dead"),
            Err(error) => outcome(op, Verdict::Failed, error),
        }
    }

    /// Makes a client of the name that there is.
    pub async fn make_client(&self, ports: &impl Everything) -> Outcome {
        let op = self.op();
        let known = ports.client(&self.setting.client).await.expect("readable");
        let client = Client { name: "Another".to_owned(), ..known.expect("a client") };
        match add_client(ports, Actor::System, op, client).await {
            Ok(_) => outcome(op, Verdict::Done, "made"),
            Err(refused) => outcome(op, Verdict::Refused, refused),
        }
    }

    /// A registration code of the administrator's own, always the same.
    pub fn own_code(&self) -> Wanted {
        let (keys, client) = (&self.setting.keys, &self.setting.client);
        let own = Some(Code::generated(keys, client, BatchId::from_bits(77), 0));
        Wanted::Registration { own, max_redemptions: None, guaranteed: false }
    }

    /// Moves the clock on, in one step.
    pub async fn wait(&self, ports: &Ports, seconds: i64) -> Outcome {
        let _ = ports.learners(&self.setting.client, &[]).await;
        let time = self.clock.advance(SignedDuration::from_secs(seconds));
        Outcome { verdict: Verdict::Done, op: None, told: time.to_string() }
    }
}
