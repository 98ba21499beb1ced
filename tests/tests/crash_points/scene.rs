//! The workflows: what each needs, and what it does.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use jiff::civil::{date, time};
use seatkeeper_domain::actions::accept_invitation::{
    AcceptInvitation, AcceptInvitationError, accept_invitation,
};
use seatkeeper_domain::actions::add_client::replace_client;
use seatkeeper_domain::actions::add_codes::{AddCodes, AddCodesError, More, add_codes};
use seatkeeper_domain::actions::allocate_seats::{AllocateError, add_sublicense, allocate_seats};
use seatkeeper_domain::actions::cancel_import::cancel_import;
use seatkeeper_domain::actions::change_address::{ChangeAddressError, change_address};
use seatkeeper_domain::actions::change_cohort::{ChangeCohortError, CohortChange, change_cohort};
use seatkeeper_domain::actions::change_learner::{
    ChangeLearner, ChangeLearnerError, change_learner,
};
use seatkeeper_domain::actions::close_invitation::{
    CancelInvitationError, DeclineInvitationError, cancel_invitation, decline_invitation,
};
use seatkeeper_domain::actions::commit_import::{SteerImportError, commit_import};
use seatkeeper_domain::actions::create_learner::{
    CreateLearner, CreateLearnerError, PasswordChoice, create_learner,
};
use seatkeeper_domain::actions::erase_learner::{EraseLearnerError, erase_learner};
use seatkeeper_domain::actions::ground::{GrantError, GroundError};
use seatkeeper_domain::actions::invite::{Invite, InviteError, invite};
use seatkeeper_domain::actions::issue_codes::{IssueCodes, IssueCodesError, Wanted, issue_codes};
use seatkeeper_domain::actions::open_contract::{
    AddSeatsError, OpenContractError, add_modules, add_seats, open_contract,
};
use seatkeeper_domain::actions::prove_records::prove_records;
use seatkeeper_domain::actions::reclaim_seats::{ReclaimSeats, reclaim_seats};
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, redeem_code};
use seatkeeper_domain::actions::release_batch::release_batch;
use seatkeeper_domain::actions::release_seat::{
    ReleaseSeatError, end_seat, release_seat, take_back_unused,
};
use seatkeeper_domain::actions::remind_invitations::{RemindError, remind_invitations};
use seatkeeper_domain::actions::renew_contract::{RenewContractError, Renewal, renew_contract};
use seatkeeper_domain::actions::request_password::{RequestPasswordError, request_password};
use seatkeeper_domain::actions::resend_invitation::{ResendInvitationError, resend_invitation};
use seatkeeper_domain::actions::run_import::{ImportEnd, RowDefaults, RunImportError};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::send_codes::{SendCodes, SendCodesError, send_codes};
use seatkeeper_domain::actions::steer_batch::{SteerBatch, SteerBatchError, Target, steer_batch};
use seatkeeper_domain::actions::stop_reminders::stop_reminders;
use seatkeeper_domain::actions::tickets::issue_ticket;
use seatkeeper_domain::actions::transfer_seat::{TransferSeat, TransferSeatError, transfer_seat};
use seatkeeper_domain::actions::undo_import::undo_import;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::AlertRecipient;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::contract::{ClockStart, Contract, Policies, Sublicense};
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{BatchId, ContractId, ImportId, InvitationId, SublicenseId};
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::learner::{Profile, ProfileChange};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{
    Catalog as _, Clock as _, CodeBook as _, IdSource as _, ImportLog as _, PageRequest,
};
use seatkeeper_testkit::{Fault, Moment, SeededIds, SentMail, StoredObject, When};
use seatkeeper_tests::{World, address};
use serde_json::{Value, json};

use crate::desk::plainly;
use crate::mailroom;
use crate::stage::{Stage, people};

/// The seats of the contract: enough for everyone.
const SEATS: u64 = 200;

/// Workflows, each with its name.
macro_rules! workflows {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// Something people or events make happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Workflow { $($name),+ }

        impl Workflow {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl fmt::Display for Workflow {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$name => $text),+ })
            }
        }
    };
}

workflows! {
    CreateToday = "create-today",
    CreateLater = "create-later",
    CreateInvited = "create-invited",
    InviteSeveral = "invite-several",
    Resend = "resend",
    Cancel = "cancel",
    Accept = "accept",
    Decline = "decline",
    Expire = "expire",
    IssueCodes = "issue-codes",
    IssueGuaranteed = "issue-guaranteed",
    RedeemCode = "redeem-code",
    RedeemRegistration = "redeem-registration",
    PauseCodes = "pause-codes",
    RaiseMaximum = "raise-maximum",
    RevokeCodes = "revoke-codes",
    AddCodes = "add-codes",
    ReleaseCodes = "release-codes",
    SendCodes = "send-codes",
    RedeemGuaranteed = "redeem-guaranteed",
    RedeemLater = "redeem-later",
    Release = "release",
    ReleaseUsed = "release-used",
    ReleaseGuaranteed = "release-guaranteed",
    EndSeat = "end-seat",
    WarnUnused = "warn-unused",
    TakeBackUnused = "take-back-unused",
    Erase = "erase",
    Suspend = "suspend",
    Resume = "resume",
    MoveEnd = "move-end",
    ArriveBySso = "arrive-by-sso",
    TellOfErasure = "tell-of-erasure",
    ComeIn = "come-in",
    Transfer = "transfer",
    TransferWaiting = "transfer-waiting",
    Reschedule = "reschedule",
    RescheduleCohort = "reschedule-cohort",
    CancelCohort = "cancel-cohort",
    OpenContract = "open-contract",
    RenewContract = "renew-contract",
    RenewLater = "renew-later",
    TopUp = "top-up",
    AddModules = "add-modules",
    AddSublicense = "add-sublicense",
    Allocate = "allocate",
    GiveBack = "give-back",
    Announce = "announce",
    OpenCohort = "open-cohort",
    SendMail = "send-mail",
    Feedback = "feedback",
    Import = "import",
    ImportChunks = "import-chunks",
    Sweep = "sweep",
    TakeBackLot = "take-back-lot",
    Warn = "warn",
    CheckUpload = "check-upload",
    CommitImport = "commit-import",
    CancelImport = "cancel-import",
    UndoImport = "undo-import",
    RunUndo = "run-undo",
    ReleaseImport = "release-import",
    ChangeAddress = "change-address",
    Remind = "remind",
    StopReminders = "stop-reminders",
    RequestPassword = "request-password",
    HoldCode = "hold-code",
    HoldRegistration = "hold-registration",
    ProveAddress = "prove-address",
    ProveRegistration = "prove-registration",
    ProveLater = "prove-later",
    ReturnHeldCode = "return-held-code",
}

/// Six people, two of whom start later.
fn six_people() -> String {
    people(6, |number| if number % 3 == 1 { "01/03/2027" } else { "" })
}

/// How a worker's turn at an import ended, in words.
fn import_end(end: Result<ImportEnd, RunImportError>) -> Result<String, Failure> {
    match end {
        // A worker that may be dead holds it: the sweep sees to that.
        Ok(ImportEnd::InOtherHands) => Err(Failure::Again("in other hands".to_owned())),
        Ok(end) => Ok(format!("{end:?}")),
        Err(error) => Err(Failure::Again(error.to_string())),
    }
}

/// Who starts a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A caller with an idempotency key.
    Request,
    /// An event that comes again until it was handled.
    Event,
}

impl Workflow {
    pub(crate) fn trigger(self) -> Trigger {
        match self {
            Self::Announce
            | Self::OpenCohort
            | Self::SendMail
            | Self::Feedback
            | Self::Import
            | Self::ImportChunks
            | Self::Expire
            | Self::CheckUpload
            | Self::RunUndo
            | Self::Sweep
            | Self::TakeBackLot
            | Self::Warn
            | Self::ReturnHeldCode
            | Self::TellOfErasure
            | Self::ComeIn
            | Self::TakeBackUnused
            | Self::EndSeat => Trigger::Event,
            _ => Trigger::Request,
        }
    }

    /// Whether doing it twice is doing it once, also for callers without a key.
    pub(crate) fn is_natural(self) -> bool {
        !matches!(
            self,
            Self::Resend
                | Self::IssueCodes
                | Self::IssueGuaranteed
                | Self::AddCodes
                | Self::Allocate
                | Self::GiveBack
                | Self::Remind
                | Self::RequestPassword
                | Self::HoldCode
                | Self::HoldRegistration
        )
    }

    /// Whether its codes ask for the proof of an address.
    pub(crate) fn asks_proof(self) -> bool {
        matches!(
            self,
            Self::HoldCode
                | Self::HoldRegistration
                | Self::ProveAddress
                | Self::ProveRegistration
                | Self::ProveLater
                | Self::ReturnHeldCode
        )
    }

    /// The day on which the seats of its codes open, if it is a later one.
    fn codes_start_on(self) -> Option<jiff::civil::Date> {
        matches!(self, Self::RedeemLater | Self::ProveLater).then(|| date(2027, 3, 1))
    }

    /// Whether one run of it takes long.
    pub(crate) fn is_long(self) -> bool {
        matches!(
            self,
            Self::InviteSeveral
                | Self::ImportChunks
                | Self::IssueCodes
                | Self::RenewContract
                | Self::RenewLater
                | Self::WarnUnused
                | Self::TellOfErasure
        )
    }

    /// Whether it is one change: it happens whole or not at all.
    pub(crate) fn is_one_change(self) -> bool {
        !matches!(
            self,
            Self::InviteSeveral
                | Self::IssueCodes
                | Self::PauseCodes
                | Self::RevokeCodes
                | Self::AddCodes
                | Self::ReleaseCodes
                | Self::RescheduleCohort
                | Self::CancelCohort
                | Self::Erase
                | Self::TellOfErasure
                | Self::RenewLater
        )
    }

    /// Whether it is owed before it begins, so that it has to happen whoever goes missing.
    pub(crate) fn is_owed(self) -> bool {
        matches!(
            self,
            Self::Announce
                | Self::OpenCohort
                | Self::SendMail
                | Self::Expire
                | Self::Sweep
                | Self::TakeBackLot
                | Self::Warn
                | Self::ReturnHeldCode
                | Self::RunUndo
        )
    }
}

/// Why a workflow did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may be tried again.
    Again(String),
    /// It is refused for a reason that is not the machinery's.
    Refused(String),
}

/// A world made ready for one workflow.
pub(crate) struct Scene {
    pub(crate) workflow: Workflow,
    pub(crate) stage: Stage,
    code: Option<String>,
    batch: Option<BatchId>,
    event: Option<Value>,
    object: Option<StoredObject>,
    import: Option<ImportId>,
    sublicense: Option<Sublicense>,
    successor: Option<ContractId>,
    moment: Option<Moment>,
    turns: AtomicU64,
}

impl Scene {
    /// A world in which the workflow can begin and nothing else waits.
    #[expect(clippy::too_many_lines, reason = "one arm a workflow, nothing shared between them")]
    pub(crate) async fn ready(workflow: Workflow) -> Arc<Self> {
        let stage = Stage::with_seats(SEATS).await;
        let mut scene = Self {
            workflow,
            stage,
            code: None,
            batch: None,
            event: None,
            object: None,
            import: None,
            sublicense: None,
            successor: None,
            moment: None,
            turns: AtomicU64::new(0),
        };
        let world = scene.world();
        match workflow {
            Workflow::CreateToday
            | Workflow::CreateLater
            | Workflow::InviteSeveral
            | Workflow::Expire
            | Workflow::Announce
            | Workflow::IssueCodes
            | Workflow::IssueGuaranteed
            | Workflow::OpenContract
            | Workflow::TopUp
            | Workflow::SendMail
            | Workflow::Sweep
            | Workflow::ArriveBySso
            | Workflow::AddModules
            | Workflow::Warn => {}
            Workflow::CreateInvited
            | Workflow::Resend
            | Workflow::Cancel
            | Workflow::Accept
            | Workflow::Decline
            | Workflow::Feedback
            | Workflow::ChangeAddress
            | Workflow::Remind
            | Workflow::StopReminders => {
                scene.invite(world.op(), 1..3).await.expect("free seats");
            }
            Workflow::RedeemCode
            | Workflow::RedeemRegistration
            | Workflow::RedeemGuaranteed
            | Workflow::RedeemLater
            | Workflow::ReleaseGuaranteed
            | Workflow::PauseCodes
            | Workflow::RaiseMaximum
            | Workflow::RevokeCodes
            | Workflow::ReleaseCodes
            | Workflow::AddCodes
            | Workflow::SendCodes
            | Workflow::HoldCode
            | Workflow::HoldRegistration
            | Workflow::ProveAddress
            | Workflow::ProveRegistration
            | Workflow::ProveLater
            | Workflow::ReturnHeldCode
            | Workflow::TakeBackLot => scene.begin_batch().await,
            Workflow::Release
            | Workflow::OpenCohort
            | Workflow::TransferWaiting
            | Workflow::Reschedule
            | Workflow::CancelCohort => {
                mailroom::create(world, 1, Some(date(2027, 3, 1))).await;
                mailroom::create(world, 2, Some(date(2027, 3, 1))).await;
            }
            Workflow::ReleaseUsed
            | Workflow::Suspend
            | Workflow::MoveEnd
            | Workflow::TellOfErasure
            | Workflow::Transfer
            | Workflow::RequestPassword => {
                mailroom::create(world, 1, None).await;
            }
            Workflow::EndSeat
            | Workflow::Erase
            | Workflow::ComeIn
            | Workflow::WarnUnused
            | Workflow::TakeBackUnused => scene.begin_life().await,
            Workflow::RescheduleCohort => {
                // Each of them stands elsewhere, which makes three changes.
                scene.stage.completed(plainly(), &quiet_starters(3)).await;
            }
            Workflow::Resume => {
                mailroom::create(world, 1, None).await;
                scene.keep_out(world.op(), true).await.expect("somebody to keep out");
            }
            Workflow::RenewContract | Workflow::RenewLater => scene.begin_renewal().await,
            Workflow::AddSublicense => scene.sublicense = Some(scene.lyon()),
            Workflow::Allocate | Workflow::GiveBack => {
                scene.sublicense = Some(scene.open_lyon().await);
            }
            Workflow::Import => {
                let list = six_people() + "nobody;;\nperson.2@example.fr;;\n";
                let object = scene.stage.put("a.csv", list);
                scene.import = Some(scene.stage.import_id(&object));
                scene.object = Some(object);
            }
            Workflow::CheckUpload => {
                let run = scene.stage.open(plainly(), RowDefaults::default()).await;
                scene.object = Some(scene.stage.upload(&run, &six_people()));
                scene.import = Some(run.import_id);
            }
            Workflow::CommitImport | Workflow::CancelImport => {
                let run = scene.stage.checked(plainly(), &six_people()).await;
                scene.import = Some(run.import_id);
            }
            Workflow::UndoImport | Workflow::RunUndo | Workflow::ReleaseImport => {
                let run = scene.stage.completed(plainly(), &six_people()).await;
                scene.import = Some(run.import_id);
            }
            Workflow::ImportChunks => {
                // Rows on dates of their own take more steps: fewer of them fit a chunk.
                let object = scene.stage.put("a.csv", quiet_people(50));
                scene.import = Some(scene.stage.import_id(&object));
                scene.object = Some(object);
            }
        }
        mailroom::drain(scene.world()).await;
        scene.event = scene.awaken().await;
        scene.moment = Some(scene.world().cloud.moment());
        Arc::new(scene)
    }

    /// A world of few seats in which several people can begin: two are invited, one is to start
    /// later, a sublicense has two seats, a code can be redeemed, and a file lies in its bucket.
    pub(crate) async fn crowded(seats: u64) -> Self {
        let mut scene = Self {
            workflow: Workflow::RedeemGuaranteed,
            stage: Stage::with_seats(seats).await,
            code: None,
            batch: None,
            event: None,
            object: None,
            import: None,
            sublicense: None,
            successor: None,
            moment: None,
            turns: AtomicU64::new(0),
        };
        let wanted = Wanted::Registration { own: None, max_redemptions: Some(2), guaranteed: true };
        scene.code = Some(scene.issue_some(wanted).await);
        scene.batch = Some(scene.only_batch().await);
        scene.invite(scene.world().op(), 1..3).await.expect("free seats");
        mailroom::create(scene.world(), 4, Some(date(2027, 3, 1))).await;
        let sublicense = scene.lyon();
        let world = scene.world();
        let (store, client, op) = (&world.store, &world.client, world.op());
        let made = add_sublicense(store, Actor::System, op, client, &sublicense, 2).await;
        made.expect("free seats");
        scene.sublicense = Some(sublicense);
        let object = scene.stage.put("a.csv", people(2, |_| ""));
        scene.import = Some(scene.stage.import_id(&object));
        scene.object = Some(object);
        mailroom::drain(scene.world()).await;
        scene.moment = Some(scene.world().cloud.moment());
        scene
    }

    /// Runs the import of the file, as its event asks.
    pub(crate) async fn import(&self) -> Result<String, Failure> {
        import_end(self.stage.run(self.object.as_ref().expect("a file")).await)
    }

    /// Issues the codes that the workflow is about, and redeems one if that has been done before.
    async fn begin_batch(&mut self) {
        let up_to = |most, guaranteed| Wanted::Registration {
            own: None,
            max_redemptions: Some(most),
            guaranteed,
        };
        let (wanted, redeemed) = match self.workflow {
            Workflow::RedeemCode
            | Workflow::RedeemLater
            | Workflow::SendCodes
            | Workflow::HoldCode => (Wanted::Generated(3), false),
            Workflow::AddCodes | Workflow::TakeBackLot => (Wanted::Generated(20), false),
            Workflow::ProveAddress | Workflow::ReturnHeldCode => (Wanted::Generated(3), true),
            Workflow::ProveRegistration | Workflow::ProveLater => (up_to(9, false), true),
            Workflow::RedeemRegistration | Workflow::HoldRegistration => (up_to(9, false), false),
            Workflow::RedeemGuaranteed => (up_to(9, true), false),
            Workflow::ReleaseGuaranteed => (up_to(9, true), true),
            Workflow::ReleaseCodes => (up_to(20, false), true),
            _ => (up_to(20, true), true),
        };
        self.code = Some(self.issue_some(wanted).await);
        self.batch = Some(self.only_batch().await);
        if redeemed {
            self.redeem(self.world().op()).await.expect("a seat");
        }
    }

    /// Somebody with everything there is of a person: an invitation that was accepted, its seat, one
    /// of a sublicense that waits for its day, and an invitation that was cancelled.
    async fn begin_to_erase(&mut self) {
        self.invite(self.world().op(), 1..3).await.expect("free seats");
        mailroom::drain(self.world()).await;
        self.accept(self.world().op()).await.expect("a seat");
        let sublicense = self.open_lyon().await;
        let world = self.world();
        let (store, client) = (&world.store, &world.client);
        let command = CreateLearner {
            client_id: client.clone(),
            contract_id: world.contract.contract_id,
            sublicense_id: Some(sublicense.sublicense_id),
            email: address(1),
            profile: Profile::default(),
            password: PasswordChoice::Link,
            term: TermRequest { start_on: Some(date(2027, 3, 1)), ..TermRequest::default() },
            notify: false,
            copy_to: None,
        };
        let (clock, ids, keys) = (&world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
        made.expect("a free seat");
    }

    /// Somebody with a seat whose duration begins when they come in.
    async fn begin_to_come_in(&self) {
        let world = self.world();
        let policies = Policies {
            seat_duration_days: Some(30),
            clock_start: ClockStart::FirstLogin,
            ..Policies::default()
        };
        let contract = world.another_contract("2026-030", policies);
        let opened = open_contract(&world.store, Actor::System, world.op(), &contract, 3).await;
        opened.expect("a contract");
        let command = CreateLearner {
            client_id: world.client.clone(),
            contract_id: contract.contract_id,
            sublicense_id: None,
            email: address(1),
            profile: Profile::default(),
            password: PasswordChoice::Link,
            term: TermRequest::default(),
            notify: false,
            copy_to: None,
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        let made = create_learner(store, clock, ids, keys, &caller, world.op(), &command).await;
        made.expect("a free seat");
    }

    async fn come_in(&self) -> Result<String, Failure> {
        let world = self.world();
        let learner = world.keys.learner_id(&world.client, &address(1));
        let ids = SeededIds::new(600 + self.turn(), &world.clock);
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let ticket = issue_ticket(store, clock, &ids, keys, &world.client, learner).await;
        ticket.map(|_| "a ticket".to_owned()).map_err(|error| failure(true, error))
    }

    /// Somebody whose seat has an end, or who has one.
    async fn begin_life(&mut self) {
        match self.workflow {
            Workflow::Erase => self.begin_to_erase().await,
            Workflow::ComeIn => self.begin_to_come_in().await,
            Workflow::WarnUnused | Workflow::TakeBackUnused => self.begin_to_idle().await,
            _ => self.begin_to_end().await,
        }
    }

    /// Two who never came in, of whom one is left alone; and the warning, if it was given before.
    async fn begin_to_idle(&self) {
        let world = self.world();
        mailroom::create(world, 1, None).await;
        mailroom::create(world, 2, None).await;
        mailroom::drain(world).await;
        world.clock.advance(SignedDuration::from_hours(24 * 91));
        if self.workflow == Workflow::TakeBackUnused {
            self.warn_unused().await.expect("somebody to warn");
            mailroom::drain(world).await;
            world.clock.advance(SignedDuration::from_hours(24 * 15));
        }
    }

    /// The first person, who has not come in for three months, is warned.
    async fn warn_unused(&self) -> Result<String, Failure> {
        let world = self.world();
        let command = ReclaimSeats {
            unused_days: 90,
            notice_days: 14,
            except: [world.keys.learner_id(&world.client, &address(2))].into(),
            except_labels: BTreeSet::new(),
            except_groups: BTreeSet::new(),
            preview: false,
        };
        let owner = world.store.client(&world.client).await;
        let owner = owner.map_err(|error| failure(true, error))?.expect("a client");
        let ids = SeededIds::new(800 + self.turn(), &world.clock);
        let (store, clock, actor) = (&world.store, &world.clock, Actor::System);
        let until = clock.now() + SignedDuration::from_mins(1);
        let place = (&owner, &world.contract);
        let done = reclaim_seats(store, clock, &ids, actor, place, &command, until).await;
        done.map(|done| format!("{} warned, complete {}", done.warned, done.complete))
            .map_err(|error| failure(true, error))
    }

    /// The seat of the first person goes back.
    async fn take_back_unused(&self) -> Result<String, Failure> {
        let world = self.world();
        let learner = world.keys.learner_id(&world.client, &address(1));
        let place = (&world.client, &world.contract);
        let ids = SeededIds::new(900 + self.turn(), &world.clock);
        let (store, clock) = (&world.store, &world.clock);
        let gone = take_back_unused(store, clock, &ids, place, learner, world.pool()).await;
        gone.map(|_| "back".to_owned()).map_err(|error| failure(true, error))
    }

    /// Gives a seat whose last day comes.
    async fn begin_to_end(&self) {
        let end_on = Some(date(2026, 11, 30));
        let term = TermRequest { end_on, ..TermRequest::default() };
        self.create_for(self.world().op(), 1, term).await.expect("a free seat");
        mailroom::drain(self.world()).await;
    }

    /// Makes everything as it was when the scene was ready.
    pub(crate) fn rewind(&self) {
        let world = self.world();
        world.cloud.go_back(self.moment.as_ref().expect("a scene that is ready"));
        world.ids.reseed(self.workflow as u64);
        self.turns.store(0, Ordering::Relaxed);
    }

    fn lyon(&self) -> Sublicense {
        let world = self.world();
        Sublicense {
            sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
            contract_id: world.contract.contract_id,
            name: "Lyon".to_owned(),
            created_at: world.clock.now(),
        }
    }

    /// A sublicense of five seats.
    async fn open_lyon(&self) -> Sublicense {
        let (world, sublicense) = (self.world(), self.lyon());
        let (store, client, op) = (&world.store, &world.client, world.op());
        let made = add_sublicense(store, Actor::System, op, client, &sublicense, 5).await;
        made.expect("free seats");
        sublicense
    }

    /// What is owed when an event comes, and the event.
    async fn awaken(&self) -> Option<Value> {
        let world = self.world();
        match self.workflow {
            Workflow::Announce => {
                mailroom::create(world, 1, Some(date(2027, 3, 1))).await;
                Some(world.cloud.stream_records())
            }
            Workflow::OpenCohort => {
                world.clock.set("2027-02-28T23:00:00Z".parse().expect("an instant"));
                world.cloud.fire_due().into_iter().next().map(|firing| firing.input)
            }
            Workflow::Remind => {
                world.clock.advance(SignedDuration::from_hours(25));
                None
            }
            Workflow::SendMail => {
                mailroom::create(world, 1, None).await;
                self.invite(world.op(), 2..4).await.expect("free seats");
                Some(world.cloud.stream_records())
            }
            Workflow::Expire => {
                self.invite(world.op(), 1..3).await.expect("free seats");
                mailroom::drain(world).await;
                world.clock.advance(SignedDuration::from_hours(24 * 16));
                None
            }
            Workflow::Feedback => {
                let sent = world.cloud.sent_mails();
                Some(bounce(sent.first().expect("a mail that was sent")))
            }
            Workflow::Sweep => {
                self.invite(world.op(), 1..2).await.expect("free seats");
                mailroom::create(world, 2, Some(date(2026, 12, 1))).await;
                // Somebody began to issue codes and is gone.
                self.cut_off(2, self.issue(world.op(), Wanted::Generated(3))).await;
                mailroom::drain(world).await;
                mailroom::create(world, 3, None).await;
                // The stream brings nothing of all this: the sweep is alone.
                world.cloud.stream_records();
                world.clock.advance(SignedDuration::from_hours(24 * 16));
                None
            }
            Workflow::TakeBackLot => {
                // Somebody began to add codes and is gone, with one of their chunks written.
                self.cut_off(2, self.add_codes(world.op())).await;
                world.cloud.stream_records();
                world.clock.advance(SignedDuration::from_mins(10));
                None
            }
            Workflow::Warn => {
                self.look_after().await;
                // The contract ends on 2028-12-31.
                world.clock.set("2028-11-20T12:00:00Z".parse().expect("an instant"));
                world.cloud.stream_records();
                None
            }
            Workflow::ReturnHeldCode => {
                world.clock.advance(SignedDuration::from_mins(31));
                None
            }
            Workflow::EndSeat => {
                world.clock.set("2026-12-02T08:00:00Z".parse().expect("an instant"));
                None
            }
            Workflow::TellOfErasure => {
                self.look_after().await;
                let delete_on = Amend::Set(date(2026, 12, 1));
                let change = ProfileChange { delete_on, ..ProfileChange::default() };
                self.change(world.op(), change, None).await.expect("changed");
                mailroom::run_sweep(world, 499).await;
                world.clock.set("2026-11-30T08:00:00Z".parse().expect("an instant"));
                None
            }
            Workflow::RunUndo => {
                self.stage.undo(self.import.expect("an import")).await.expect("undoing");
                None
            }
            _ => None,
        }
    }

    /// Two people look after the client.
    async fn look_after(&self) {
        let world = self.world();
        let known = world.store.client(&world.client).await.expect("readable");
        let mut client = known.expect("a client");
        let to = |number| AlertRecipient { email: address(number), language: None };
        client.alerts_to = vec![to(1), to(2)];
        let (store, clock, op) = (&world.store, &world.clock, world.op());
        replace_client(store, clock, Actor::System, op, &client).await.expect("named");
    }

    /// Somebody does it and goes missing after their `nth` transaction.
    async fn cut_off<T>(&self, nth: u64, work: impl Future<Output = T>) {
        let cloud = &self.world().cloud;
        cloud.restart_trace();
        cloud.inject(When::call("TransactWriteItems", nth), Fault::KillAfter);
        assert!(cloud.until_killed(work).await.is_none(), "the work is cut off");
    }

    pub(crate) fn world(&self) -> &World {
        &self.stage.world
    }

    /// A number that nobody had before.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn invitation(&self) -> InvitationId {
        let world = self.world();
        let (client, pool, email) = (&world.client, world.pool(), address(1));
        if self.workflow.asks_proof() {
            return world.keys.proof_id(client, pool, &email);
        }
        world.keys.invitation_id(client, pool, &email)
    }

    /// Does the workflow, as this operation; answers in a few words.
    #[expect(clippy::too_many_lines, reason = "one arm a workflow, nothing shared between them")]
    pub(crate) async fn act(&self, op: Op) -> Result<String, Failure> {
        match self.workflow {
            Workflow::CreateToday | Workflow::CreateInvited => self.create(op, 1, None).await,
            Workflow::CreateLater => self.create(op, 1, Some(date(2027, 3, 1))).await,
            // One change takes 44.
            Workflow::InviteSeveral => self.invite(op, 1..46).await,
            Workflow::Resend => self.resend(op).await,
            Workflow::Cancel => self.cancel(op).await,
            Workflow::Accept
            | Workflow::ProveAddress
            | Workflow::ProveRegistration
            | Workflow::ProveLater => self.accept(op).await,
            Workflow::Decline => self.decline(op).await,
            Workflow::IssueCodes => {
                let codes = self.issue(op, Wanted::Generated(120)).await?;
                Ok(format!("{} codes", codes.len()))
            }
            Workflow::IssueGuaranteed => {
                let codes = self.issue(op, guaranteed()).await?;
                Ok(format!("{} codes", codes.len()))
            }
            Workflow::RedeemCode
            | Workflow::RedeemRegistration
            | Workflow::RedeemGuaranteed
            | Workflow::RedeemLater
            | Workflow::HoldCode
            | Workflow::HoldRegistration => self.redeem(op).await,
            Workflow::Release | Workflow::ReleaseUsed | Workflow::ReleaseGuaranteed => {
                self.release(op).await
            }
            Workflow::EndSeat => self.end_seat().await,
            Workflow::WarnUnused => self.warn_unused().await,
            Workflow::TakeBackUnused => self.take_back_unused().await,
            Workflow::Erase => self.erase().await,
            Workflow::TellOfErasure => self.prove().await,
            Workflow::ComeIn => self.come_in().await,
            Workflow::Suspend | Workflow::Resume => {
                self.keep_out(op, self.workflow == Workflow::Suspend).await
            }
            Workflow::MoveEnd => {
                let end_on = Amend::Set(date(2026, 12, 31));
                self.change(op, ProfileChange { end_on, ..ProfileChange::default() }, None).await
            }
            Workflow::ArriveBySso => {
                let today = TermRequest::default();
                self.create_with(op, 1, PasswordChoice::SingleSignOn, today).await
            }
            Workflow::Transfer | Workflow::TransferWaiting => self.transfer(op).await,
            Workflow::Reschedule => self.reschedule(op).await,
            Workflow::RescheduleCohort => {
                let start_on = date(2027, 3, 8);
                self.change_cohort(op, CohortChange::Reschedule { start_on, notify: false }).await
            }
            Workflow::CancelCohort => self.change_cohort(op, CohortChange::Cancel).await,
            Workflow::OpenContract => self.open_contract(op).await,
            Workflow::RenewContract | Workflow::RenewLater => self.renew_contract(op).await,
            Workflow::PauseCodes => self.steer(op, |c| c.state = Some(Target::Paused)).await,
            Workflow::RaiseMaximum => self.steer(op, |c| c.max_redemptions = Amend::Set(40)).await,
            Workflow::RevokeCodes => self.steer(op, |c| c.state = Some(Target::Revoked)).await,
            Workflow::AddCodes => self.add_codes(op).await,
            Workflow::SendCodes => self.send_codes(op).await,
            Workflow::ReleaseCodes => self.release_codes(op).await,
            Workflow::TopUp => self.top_up(op).await,
            Workflow::AddModules => self.add_modules(op).await,
            Workflow::AddSublicense => self.add_sublicense(op).await,
            Workflow::Allocate => self.allocate(op, 3).await,
            Workflow::GiveBack => self.allocate(op, -3).await,
            Workflow::Announce => {
                let event = self.event.clone().expect("records");
                match mailroom::activate(self.world(), event).await {
                    Ok(met) if met["batchItemFailures"] == json!([]) => Ok("announced".to_owned()),
                    Ok(met) => Err(Failure::Again(met.to_string())),
                    Err(error) => Err(Failure::Again(error.to_string())),
                }
            }
            Workflow::OpenCohort => {
                let fired = self.event.clone().expect("a schedule");
                let opened = mailroom::activate(self.world(), fired).await;
                opened.map(|_| "opened".to_owned()).map_err(|e| Failure::Again(e.to_string()))
            }
            Workflow::SendMail => {
                let event = self.event.as_ref().expect("records");
                match mailroom::notify(self.world(), 500 + self.turn(), event).await {
                    0 => Ok("handled".to_owned()),
                    left => Err(Failure::Again(format!("{left} records"))),
                }
            }
            Workflow::Import | Workflow::ImportChunks => {
                let object = self.object.as_ref().expect("a file");
                import_end(self.stage.run(object).await)
            }
            Workflow::CheckUpload => {
                let object = self.object.as_ref().expect("a file");
                import_end(self.stage.receive(self.import.expect("an import"), object).await)
            }
            Workflow::RunUndo => {
                import_end(self.stage.resume(self.import.expect("an import")).await)
            }
            Workflow::CommitImport | Workflow::CancelImport | Workflow::UndoImport => {
                self.steer_import(op).await
            }
            Workflow::ReleaseImport => self.release_import(op).await,
            Workflow::Feedback => {
                let world = self.world();
                let event = self.event.as_ref().expect("news");
                let heard = seatkeeper_feedback::handle(&world.store, &world.clock, event).await;
                let heard = heard.map_err(|error| Failure::Again(error.to_string()))?;
                Ok(format!("{heard:?}"))
            }
            Workflow::ChangeAddress => self.change_address(op).await,
            Workflow::Remind => self.remind(op).await,
            Workflow::StopReminders => self.stop_reminders(op).await,
            Workflow::RequestPassword => self.request_password(op).await,
            Workflow::Expire
            | Workflow::ReturnHeldCode
            | Workflow::Sweep
            | Workflow::TakeBackLot
            | Workflow::Warn => {
                let swept = mailroom::run_sweep(self.world(), 500 + self.turn()).await;
                if swept.troubles.is_empty() {
                    Ok("swept".to_owned())
                } else {
                    Err(Failure::Again(format!("{:?}", swept.troubles)))
                }
            }
        }
    }

    /// What somebody else does meanwhile: they take another seat of the pool.
    pub(crate) async fn rival(&self) {
        if self.workflow == Workflow::RenewLater {
            // Others would go over in the call or a day before the first day, as it comes. This one is gone by then.
            let term = TermRequest { end_on: Some(date(2026, 12, 31)), ..TermRequest::default() };
            self.create_for(self.world().op(), 99, term).await.expect("free seats");
        } else {
            mailroom::create(self.world(), 99, None).await;
        }
    }

    pub(crate) async fn create(
        &self,
        op: Op,
        number: usize,
        start_on: Option<jiff::civil::Date>,
    ) -> Result<String, Failure> {
        self.create_for(op, number, TermRequest { start_on, ..TermRequest::default() }).await
    }

    async fn create_for(
        &self,
        op: Op,
        number: usize,
        term: TermRequest,
    ) -> Result<String, Failure> {
        self.create_with(op, number, PasswordChoice::Link, term).await
    }

    async fn create_with(
        &self,
        op: Op,
        number: usize,
        password: PasswordChoice,
        term: TermRequest,
    ) -> Result<String, Failure> {
        let world = self.world();
        let command = CreateLearner {
            client_id: world.client.clone(),
            contract_id: world.contract.contract_id,
            sublicense_id: None,
            email: address(number),
            profile: Profile::default(),
            password,
            term,
            notify: true,
            copy_to: None,
        };
        let (clock, ids, keys) = (&world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        let made = create_learner(&world.store, clock, ids, keys, &caller, op, &command).await;
        let made = made.map_err(|error| {
            let again = matches!(
                error,
                CreateLearnerError::Store(_)
                    | CreateLearnerError::Ground(GroundError::Store(_))
                    | CreateLearnerError::Grant(GrantError::Store(_))
            );
            failure(again, error)
        })?;
        Ok(format!("new account {}, seated before {}", made.new_account, made.already_seated))
    }

    pub(crate) async fn invite(
        &self,
        op: Op,
        numbers: std::ops::Range<usize>,
    ) -> Result<String, Failure> {
        let world = self.world();
        let command = Invite {
            client_id: world.client.clone(),
            contract_id: world.contract.contract_id,
            sublicense_id: None,
            addresses: numbers.map(|number| address(number).to_string()).collect(),
            grant: Grant::default(),
            message: None,
            notify: true,
            copy_to: None,
        };
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let done = invite(store, clock, keys, &world.administrator(), op, &command).await;
        let done = done.map_err(|error| {
            let again = matches!(
                error,
                InviteError::Store(_)
                    | InviteError::Ground(GroundError::Store(_))
                    | InviteError::Grant(GrantError::Store(_))
            );
            failure(again, error)
        })?;
        let verdicts: Vec<_> = done.results.iter().map(|result| result.verdict).collect();
        Ok(format!("{verdicts:?}"))
    }

    pub(crate) async fn resend(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let (caller, client, id) = (world.administrator(), &world.client, self.invitation());
        let sent = resend_invitation(store, clock, keys, &caller, op, client, id).await;
        let sent = sent.map_err(|error| {
            let again = matches!(
                error,
                ResendInvitationError::Store(_)
                    | ResendInvitationError::Ground(GroundError::Store(_))
            );
            failure(again, error)
        })?;
        Ok(format!("version {}", sent.invitation.version))
    }

    pub(crate) async fn change_address(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let (caller, client, id) = (world.administrator(), &world.client, self.invitation());
        let to = address(7);
        let moved = change_address(store, clock, keys, &caller, op, client, id, &to).await;
        let moved = moved.map_err(|error| {
            let again = matches!(
                error,
                ChangeAddressError::Store(_) | ChangeAddressError::Ground(GroundError::Store(_))
            );
            failure(again, error)
        })?;
        Ok(format!("version {}", moved.invitation.version))
    }

    pub(crate) async fn remind(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, caller) = (&world.store, &world.clock, world.administrator());
        let done = remind_invitations(store, clock, &caller, op, &world.client, None).await;
        let done = done.map_err(|error| failure(matches!(error, RemindError::Store(_)), error))?;
        Ok(format!("reminded {}", done.reminded))
    }

    pub(crate) async fn stop_reminders(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, id) = (&world.store, &world.clock, self.invitation());
        let stopped = stop_reminders(store, clock, op, &world.client, id).await;
        stopped.map(|()| "stopped".to_owned()).map_err(|error| failure(true, error))
    }

    pub(crate) async fn request_password(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let (client, email) = (&world.client, address(1));
        let asked = request_password(store, clock, keys, op, client, &email, "an office").await;
        asked
            .map(|()| "asked".to_owned())
            .map_err(|error| failure(matches!(error, RequestPasswordError::Store(_)), error))
    }

    pub(crate) async fn cancel(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let (caller, client, id) = (world.administrator(), &world.client, self.invitation());
        let ended = cancel_invitation(store, clock, keys, &caller, op, client, id).await;
        let ended = ended
            .map_err(|error| failure(matches!(error, CancelInvitationError::Store(_)), error))?;
        Ok(format!("{:?}", ended.invitation.status))
    }

    pub(crate) async fn decline(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let ended =
            decline_invitation(store, clock, keys, op, &world.client, self.invitation(), 1).await;
        ended
            .map(|()| "declined".to_owned())
            .map_err(|error| failure(matches!(error, DeclineInvitationError::Store(_)), error))
    }

    pub(crate) async fn accept(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let command = AcceptInvitation {
            client_id: world.client.clone(),
            invitation_id: self.invitation(),
            version: 1,
            first_name: "Zoé".to_owned(),
            last_name: "Durand".to_owned(),
            password: PasswordPolicy::default().check("correct horse battery"),
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let accepted = accept_invitation(store, clock, ids, keys, op, &command).await;
        accepted
            .map(|accepted| format!("password kept {}", accepted.password_kept))
            .map_err(|error| failure(matches!(error, AcceptInvitationError::Store(_)), error))
    }

    pub(crate) async fn issue(&self, op: Op, wanted: Wanted) -> Result<Vec<String>, Failure> {
        let world = self.world();
        let order = IssueCodes {
            client_id: world.client.clone(),
            contract_id: world.contract.contract_id,
            sublicense_id: None,
            label: "Autumn".to_owned(),
            wanted,
            valid_from: None,
            valid_until: None,
            start_on: self.workflow.codes_start_on(),
            seat_duration_days: None,
            group_ids: [].into(),
            labels: [].into(),
            language: None,
            allowed_domains: [].into(),
            require_email_proof: self.workflow.asks_proof(),
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        let issued = issue_codes(store, clock, ids, keys, &caller, op, &order).await;
        let issued = issued.map_err(|error| {
            let again = matches!(
                error,
                IssueCodesError::Store(_)
                    | IssueCodesError::Ground(GroundError::Store(_))
                    | IssueCodesError::Grant(GrantError::Store(_))
            );
            failure(again, error)
        })?;
        Ok(issued.codes.iter().map(ToString::to_string).collect())
    }

    async fn issue_some(&self, wanted: Wanted) -> String {
        let codes = self.issue(self.world().op(), wanted).await.expect("free seats");
        codes[0].clone()
    }

    pub(crate) async fn redeem(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let command = RedeemCode {
            client_id: world.client.clone(),
            code: self.code.clone().expect("a code"),
            email: address(1),
            first_name: "Lise".to_owned(),
            last_name: "Meitner".to_owned(),
            password: PasswordPolicy::default().check("correct horse battery").expect("good"),
            language: None,
            source: "203.0.113.24".to_owned(),
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let redeemed = redeem_code(store, clock, ids, keys, op, &command).await;
        redeemed
            .map(|redeemed| format!("seated before {}", redeemed.already))
            .map_err(|error| failure(matches!(error, RedeemCodeError::Store(_)), error))
    }

    async fn only_batch(&self) -> BatchId {
        let (world, page) = (self.world(), PageRequest { limit: 1, cursor: None });
        let batches = world.store.batches(&world.client, &page).await.expect("a page");
        batches.items.first().expect("a batch").batch_id
    }

    pub(crate) async fn steer(
        &self,
        op: Op,
        change: impl FnOnce(&mut SteerBatch),
    ) -> Result<String, Failure> {
        let world = self.world();
        let mut command = SteerBatch {
            client_id: world.client.clone(),
            batch_id: self.batch.expect("a batch"),
            state: None,
            valid_until: Amend::Keep,
            max_redemptions: Amend::Keep,
        };
        change(&mut command);
        let (store, clock, caller) = (&world.store, &world.clock, world.administrator());
        let steered = steer_batch(store, clock, &caller, op, &command).await;
        steered
            .map(|now| format!("{:?}, {:?}", now.batch.state, now.batch.max_redemptions))
            .map_err(|error| failure(matches!(error, SteerBatchError::Store(_)), error))
    }

    async fn add_codes(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let batch_id = self.batch.expect("a batch");
        let more = More::Generated(120);
        let command = AddCodes { client_id: world.client.clone(), batch_id, more };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        let added = add_codes(store, clock, ids, keys, &caller, op, &command).await;
        // Another attempt's lot may be on its way still: whoever is told so comes again.
        added.map(|added| format!("{} codes", added.issued.codes.len())).map_err(|error| {
            failure(matches!(error, AddCodesError::Store(_) | AddCodesError::Busy), error)
        })
    }

    async fn send_codes(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let command = SendCodes {
            client_id: world.client.clone(),
            batch_id: self.batch.expect("a batch"),
            addresses: vec![address(1).to_string(), address(2).to_string()],
        };
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let sent = send_codes(store, clock, keys, &world.administrator(), op, &command).await;
        sent.map(|sent| format!("{} verdicts", sent.results.len()))
            .map_err(|error| failure(matches!(error, SendCodesError::Store(_)), error))
    }

    async fn release_codes(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
        let batch = store.batch(&world.client, self.batch.expect("a batch")).await;
        let batch = batch.map_err(|error| failure(true, error))?.expect("the batch");
        let actor = Actor::Caller("admin-1".to_owned());
        let until = clock.now() + SignedDuration::from_mins(1);
        let place = (&world.client, &world.contract);
        let done = release_batch(store, clock, ids, actor, op, place, &batch, until).await;
        done.map(|done| format!("complete {}", done.complete)).map_err(|error| failure(true, error))
    }

    /// The first learner's seat goes to somebody new.
    async fn transfer(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let command = TransferSeat {
            client_id: world.client.clone(),
            from: world.keys.learner_id(&world.client, &address(1)),
            pool: None,
            to: address(7),
            profile: Profile::default(),
            notify: true,
        };
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let caller = world.administrator();
        match transfer_seat(store, clock, ids, keys, &caller, op, &command).await {
            Ok(moved) => Ok(format!("{} has it", moved.to.learner_id)),
            Err(TransferSeatError::Store(error)) => Err(Failure::Again(error.to_string())),
            Err(refused) => Err(Failure::Refused(refused.to_string())),
        }
    }

    /// The first learner's seat opens a week later.
    async fn reschedule(&self, op: Op) -> Result<String, Failure> {
        self.change(op, ProfileChange::default(), Some(date(2027, 3, 8))).await
    }

    /// Everyone who starts on the first of March.
    async fn change_cohort(&self, op: Op, what: CohortChange) -> Result<String, Failure> {
        let world = self.world();
        let instant = "2027-02-28T23:00:00Z".parse().expect("an instant");
        let key = CohortKey { client_id: world.client.clone(), pool: world.pool(), instant };
        let (store, clock, ids, actor) = (&world.store, &world.clock, &world.ids, Actor::System);
        let until = clock.now() + SignedDuration::from_mins(1);
        match change_cohort(store, clock, ids, actor, op, &key, what, until).await {
            Ok(done) => Ok(format!("{} changed, complete {}", done.changed, done.complete)),
            Err(error) => Err(failure(matches!(error, ChangeCohortError::Store(_)), error)),
        }
    }

    async fn keep_out(&self, op: Op, suspended: bool) -> Result<String, Failure> {
        let suspended = Some(suspended);
        self.change(op, ProfileChange { suspended, ..ProfileChange::default() }, None).await
    }

    async fn change(
        &self,
        op: Op,
        profile: ProfileChange,
        start_on: Option<jiff::civil::Date>,
    ) -> Result<String, Failure> {
        let world = self.world();
        let command = ChangeLearner {
            client_id: world.client.clone(),
            learner_id: world.keys.learner_id(&world.client, &address(1)),
            profile,
            start_on,
            pool: None,
            notify: true,
        };
        let (store, clock, ids) = (&world.store, &world.clock, &world.ids);
        match change_learner(store, clock, ids, &world.administrator(), op, &command).await {
            Ok(_) => Ok("changed".to_owned()),
            Err(ChangeLearnerError::Store(error)) => Err(Failure::Again(error.to_string())),
            Err(refused) => Err(Failure::Refused(refused.to_string())),
        }
    }

    pub(crate) async fn release(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let learner = world.keys.learner_id(&world.client, &address(1));
        let place = (&world.client, &world.contract);
        let (clock, ids) = (&world.clock, &world.ids);
        let actor = Actor::Caller("admin-1".to_owned());
        let pool = world.pool();
        let released =
            release_seat(&world.store, clock, ids, actor, op, place, learner, pool).await;
        released
            .map(|_| "released".to_owned())
            .map_err(|error| failure(matches!(error, ReleaseSeatError::Store(_)), error))
    }

    /// The call takes no key: each attempt is an operation of its own.
    async fn erase(&self) -> Result<String, Failure> {
        let world = self.world();
        let learner = world.keys.learner_id(&world.client, &address(1));
        let ids = SeededIds::new(900 + self.turn(), &world.clock);
        let op = Op { id: ids.uuid(), guard: None };
        let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
        let actor = Actor::Caller("admin-1".to_owned());
        let client = &world.client;
        let erased = erase_learner(store, clock, &ids, keys, actor, op, client, learner).await;
        erased
            .map(|erased| format!("out of {} pools", erased.pools.len()))
            .map_err(|error| failure(matches!(error, EraseLearnerError::Store(_)), error))
    }

    /// A daily round.
    async fn prove(&self) -> Result<String, Failure> {
        let world = self.world();
        let ids = SeededIds::new(800 + self.turn(), &world.clock);
        let until = world.clock.now() + SignedDuration::from_mins(4);
        let proven = prove_records(&world.store, &world.clock, &ids, &world.keys, until).await;
        match proven.troubles.first() {
            None => Ok("proven".to_owned()),
            Some((_, error)) => Err(failure(true, error)),
        }
    }

    async fn end_seat(&self) -> Result<String, Failure> {
        let world = self.world();
        let learner = world.keys.learner_id(&world.client, &address(1));
        let place = (&world.client, &world.contract);
        let ids = SeededIds::new(700 + self.turn(), &world.clock);
        let ended = end_seat(&world.store, &world.clock, &ids, place, learner, world.pool()).await;
        ended.map(|_| "over".to_owned()).map_err(|error| failure(true, error))
    }

    pub(crate) async fn top_up(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, contract) = (&world.store, &world.clock, &world.contract);
        let added = add_seats(store, clock, Actor::System, op, contract, "PO-7", 5).await;
        added
            .map(|()| "added".to_owned())
            .map_err(|error| failure(matches!(error, AddSeatsError::Store(_)), error))
    }

    async fn open_contract(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let contract = Contract {
            contract_id: ContractId::from_uuid(op.id),
            reference: "2026-002".to_owned(),
            ..world.contract.clone()
        };
        let opened = open_contract(&world.store, Actor::System, op, &contract, 30).await;
        opened
            .map(|()| "opened".to_owned())
            .map_err(|error| failure(matches!(error, OpenContractError::Store(_)), error))
    }

    /// Somebody with a seat, somebody whose seat waits and somebody invited; and a contract that runs
    /// already, whose seats open at another hour.
    async fn begin_renewal(&mut self) {
        self.invite(self.world().op(), 3..4).await.expect("free seats");
        let world = self.world();
        mailroom::create(world, 1, None).await;
        mailroom::create(world, 2, Some(date(2027, 3, 1))).await;
        let policies = Policies { opens_at: time(8, 0, 0, 0), ..Policies::default() };
        // Later than anybody comes again.
        let starts_on = (self.workflow == Workflow::RenewLater).then(|| date(2027, 1, 15));
        let known = world.another_contract("2027-001", policies);
        let successor = Contract { starts_on: starts_on.or(known.starts_on), ..known };
        let opened = open_contract(&world.store, Actor::System, world.op(), &successor, 9).await;
        opened.expect("a new contract");
        self.successor = Some(successor.contract_id);
    }

    async fn add_modules(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let place = (&world.client, world.contract.contract_id);
        let (store, clock, add) = (&world.store, &world.clock, ["fire".to_owned()].into());
        let added = add_modules(store, clock, Actor::System, op, place, &add).await;
        added.map(|()| "added".to_owned()).map_err(|error| failure(true, error))
    }

    async fn renew_contract(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, ids, keys) = (&world.store, &world.clock, &world.ids, &world.keys);
        let until = clock.now() + SignedDuration::from_mins(1);
        let to = self.successor.expect("a successor");
        let place = (&world.client, world.contract.contract_id, to);
        let renewed = renew_contract(store, clock, ids, keys, Actor::System, op, place, until);
        match renewed.await {
            // A rival who is gone by the first day may have come before those who are left were counted.
            Ok(renewal) if self.workflow == Workflow::RenewLater => {
                Ok(format!("{:?}", Renewal { seats_left: 0, ..renewal }))
            }
            Ok(renewal) => Ok(format!("{renewal:?}")),
            Err(error) => Err(failure(matches!(error, RenewContractError::Store(_)), error)),
        }
    }

    async fn add_sublicense(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let sublicense = self.sublicense.as_ref().expect("a sublicense");
        let (store, client) = (&world.store, &world.client);
        let made = add_sublicense(store, Actor::System, op, client, sublicense, 4).await;
        made.map(|()| "made".to_owned())
            .map_err(|error| failure(matches!(error, AllocateError::Store(_)), error))
    }

    pub(crate) async fn allocate(&self, op: Op, add: i64) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, client) = (&world.store, &world.clock, &world.client);
        let sublicense = self.sublicense.as_ref().expect("a sublicense");
        let moved = allocate_seats(store, clock, Actor::System, op, client, sublicense, add).await;
        moved
            .map(|()| "allocated".to_owned())
            .map_err(|error| failure(matches!(error, AllocateError::Store(_)), error))
    }

    async fn release_import(&self, op: Op) -> Result<String, Failure> {
        let import = self.import.expect("an import");
        let until = self.world().clock.now() + SignedDuration::from_mins(1);
        let done = self.stage.release(op, import, until).await;
        done.map(|done| format!("complete {}", done.complete))
            .map_err(|error| failure(matches!(error, SteerImportError::Store(_)), error))
    }

    /// Steers the import, as this operation.
    async fn steer_import(&self, op: Op) -> Result<String, Failure> {
        let world = self.world();
        let (store, clock, client) = (&world.store, &world.clock, &world.client);
        let (caller, import) = (world.administrator(), self.import.expect("an import"));
        let steered = match self.workflow {
            Workflow::CommitImport => {
                commit_import(store, clock, &caller, op, client, import).await
            }
            Workflow::CancelImport => {
                cancel_import(store, clock, &caller, op, client, import).await
            }
            _ => {
                let files = &self.stage.files;
                undo_import(store, files, clock, &caller, op, client, import).await
            }
        };
        steered
            .map(|run| run.import_id.to_string())
            .map_err(|error| failure(matches!(error, SteerImportError::Store(_)), error))
    }

    /// Begins the import with too little time to end it.
    pub(crate) async fn begin_import(&self) -> Option<ImportEnd> {
        let object = self.object.as_ref()?;
        let importer = self.stage.importer(self.world().clock.now());
        importer.run(&self.stage.dropped(object)).await.ok()
    }

    /// Goes on with the import, as the sweep's schedule asks.
    pub(crate) async fn resume(&self) -> Result<(), String> {
        let resumed = self.stage.resume(self.import.expect("an import")).await;
        resumed.map(drop).map_err(|error| error.to_string())
    }

    /// Status and totals of the import, if it was begun.
    pub(crate) async fn import_state(&self) -> Result<Option<Value>, StoreError> {
        let Some(import) = self.import else { return Ok(None) };
        let world = self.world();
        let Some(run) = world.store.import(&world.client, import).await? else { return Ok(None) };
        assert!(run.status.is_at_rest(), "I5: an import at {:?}", run.status);
        let rows = self.stage.rows(&run).await;
        let rows: Vec<_> = rows.iter().map(|row| (row.verdict, row.outcome, row.undo)).collect();
        let undone = (run.undoing.undone, run.undoing.kept);
        Ok(Some(json!({"status": run.status, "totals": run.totals, "undo": undone, "rows": rows})))
    }
}

fn failure(again: bool, error: impl fmt::Display) -> Failure {
    let text = error.to_string();
    if again { Failure::Again(text) } else { Failure::Refused(text) }
}

/// A registration code whose seats are set aside.
fn guaranteed() -> Wanted {
    Wanted::Registration { own: None, max_redemptions: Some(9), guaranteed: true }
}

/// So many people who are told nothing, from the first of March.
fn quiet_starters(count: usize) -> String {
    (0..count).fold("email;notify;start date\n".to_owned(), |mut text, number| {
        let _ = writeln!(text, "person.{number}@example.fr;no;2027-03-01");
        text
    })
}

/// So many people who are told nothing, each from a day of their own.
fn quiet_people(count: usize) -> String {
    (0..count).fold("email;notify;start date\n".to_owned(), |mut text, number| {
        let (month, day) = (1 + number / 28, 1 + number % 28);
        let _ = writeln!(text, "person.{number}@example.fr;no;2027-{month:02}-{day:02}");
        text
    })
}

/// What SES tells when this mail came back for good.
fn bounce(mail: &SentMail) -> Value {
    let tags = mail.tags.iter().map(|(name, value)| (name.clone(), json!([value])));
    let tags: serde_json::Map<String, Value> = tags.collect();
    let mut event = mailroom::event("feedback/bounce");
    event["detail"]["mail"]["tags"] = tags.into();
    event
}
