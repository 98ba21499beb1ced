//! The one map from what actions refuse to what the caller is told.

use seatkeeper_domain::actions::accept_invitation::AcceptInvitationError;
use seatkeeper_domain::actions::add_codes::{AddCodesError, BATCH_MAX};
use seatkeeper_domain::actions::change_address::ChangeAddressError;
use seatkeeper_domain::actions::change_cohort::ChangeCohortError;
use seatkeeper_domain::actions::change_learner::ChangeLearnerError;
use seatkeeper_domain::actions::close_invitation::{CancelInvitationError, DeclineInvitationError};
use seatkeeper_domain::actions::commit_import::SteerImportError;
use seatkeeper_domain::actions::create_learner::CreateLearnerError;
use seatkeeper_domain::actions::ground::{GrantError, GroundError};
use seatkeeper_domain::actions::import_rows::ImportRowsError;
use seatkeeper_domain::actions::invitations::LinkClosed;
use seatkeeper_domain::actions::invite::InviteError;
use seatkeeper_domain::actions::issue_codes::IssueCodesError;
use seatkeeper_domain::actions::open_import::OpenImportError;
use seatkeeper_domain::actions::pick_contract::PickContractError;
use seatkeeper_domain::actions::redeem_code::RedeemCodeError;
use seatkeeper_domain::actions::remind_invitations::RemindError;
use seatkeeper_domain::actions::renew_contract::RenewContractError;
use seatkeeper_domain::actions::resend_invitation::ResendInvitationError;
use seatkeeper_domain::actions::seating::TermError;
use seatkeeper_domain::actions::send_codes::SendCodesError;
use seatkeeper_domain::actions::steer_batch::SteerBatchError;
use seatkeeper_domain::actions::transfer_seat::TransferSeatError;
use seatkeeper_domain::contract::WindowError;
use seatkeeper_domain::import_run::SeatNeed;

use crate::problem::{FieldError, Problem, ProblemCode};

/// No seat is left in the pool.
pub fn no_seats_left() -> Problem {
    let detail = "No seat is left here. Release one, or ask the vendor for more seats.";
    Problem::new(ProblemCode::NoSeatsLeft, detail)
}

impl From<GroundError> for Problem {
    fn from(error: GroundError) -> Self {
        match error {
            GroundError::UnknownClient => Self::not_found(),
            GroundError::UnknownContract => Self::invalid_field(
                "/contract_id",
                "unknown-contract",
                "This client has no such contract; list them to find its id.",
            ),
            GroundError::UnknownSublicense => Self::invalid_field(
                "/sublicense_id",
                "unknown-sublicense",
                "This contract has no such sublicense; list them to find its id.",
            ),
            GroundError::ContractEnded => Self::new(
                ProblemCode::ContractEnded,
                "The contract has ended; choose one that runs, or ask the vendor to renew it.",
            ),
            GroundError::Store(error) => error.into(),
        }
    }
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::RoleNotAllowed(_) => Self::new(
                ProblemCode::Forbidden,
                "One of these roles is not yours to give on this contract; ask the vendor.",
            ),
            GrantError::UnknownGroup(_) => Self::invalid_field(
                "/group_ids",
                "unknown-group",
                "One of these groups does not exist here; list the groups to find its id.",
            ),
            GrantError::GroupMissing => {
                Self::new(ProblemCode::Forbidden, "Name at least one of your own groups.")
            }
            GrantError::Store(error) => error.into(),
        }
    }
}

impl From<TermError> for Problem {
    fn from(error: TermError) -> Self {
        window(format!("/{}", error.field), error.error)
    }
}

/// A date that the contract does not allow.
fn window(pointer: String, error: WindowError) -> Problem {
    let detail = match error {
        WindowError::EndBeforeStart if pointer == "/start_on" => {
            "The seat would end before this day; choose an earlier one, or give it a later end first."
        }
        WindowError::OutsideContract => {
            "This date lies outside the contract; choose one inside it."
        }
        WindowError::EndBeforeStart => {
            "This date lies before the start or in the past; choose a later one."
        }
    };
    Problem::invalid_field(pointer, window_code(error), detail)
}

/// The code of a date that the contract does not allow.
pub fn window_code(error: WindowError) -> &'static str {
    match error {
        WindowError::OutsideContract => "outside-contract",
        WindowError::EndBeforeStart => "end-before-start",
    }
}

impl From<ChangeCohortError> for Problem {
    fn from(error: ChangeCohortError) -> Self {
        match error {
            ChangeCohortError::Unknown => Self::invalid_field(
                "/opens_at",
                "unknown-opening",
                "No seats of this pool wait for this instant; take `pool` and `opens_at` from the \
                 list of openings.",
            ),
            ChangeCohortError::SameInstant => Self::invalid_field(
                "/start_on",
                "same-opening",
                "These seats open on that day already; choose another one.",
            ),
            ChangeCohortError::Opened => Self::new(
                ProblemCode::Conflict,
                "These seats have opened; release them one by one.",
            ),
            ChangeCohortError::Ground(error) => error.into(),
            ChangeCohortError::Term(error) => error.into(),
            ChangeCohortError::Store(error) => error.into(),
        }
    }
}

impl From<PickContractError> for Problem {
    fn from(error: PickContractError) -> Self {
        match error {
            PickContractError::Ground(error) => error.into(),
            PickContractError::None => Self::invalid_field(
                "/contract_id",
                "contract-missing",
                "No contract that runs at present has seats for these dates. Name one, release \
                 seats, or ask the vendor for more.",
            ),
            PickContractError::Store(error) => error.into(),
        }
    }
}

impl From<CreateLearnerError> for Problem {
    fn from(error: CreateLearnerError) -> Self {
        match error {
            CreateLearnerError::Ground(error) => error.into(),
            CreateLearnerError::Grant(error) => error.into(),
            CreateLearnerError::Term(error) => error.into(),
            CreateLearnerError::NoSeatsLeft => no_seats_left(),
            CreateLearnerError::Store(error) => error.into(),
        }
    }
}

/// Of several seats one has to be named.
fn name_the_pool() -> Problem {
    Problem::invalid_field(
        "/pool",
        "pool-missing",
        "This learner has several such seats; name the contract or sublicense of the one you mean.",
    )
}

fn unknown_pool() -> Problem {
    Problem::invalid_field(
        "/pool",
        "unknown-pool",
        "This client has no such contract or sublicense.",
    )
}

impl From<ChangeLearnerError> for Problem {
    fn from(error: ChangeLearnerError) -> Self {
        match error {
            ChangeLearnerError::Unknown => Self::not_found(),
            ChangeLearnerError::Ground(error) => error.into(),
            ChangeLearnerError::Grant(error) => error.into(),
            ChangeLearnerError::Term(error) => error.into(),
            ChangeLearnerError::RolesNeedSeat => Self::new(
                ProblemCode::Conflict,
                "Roles go with a seat, and this learner has none; give a seat first.",
            ),
            ChangeLearnerError::NotScheduled => Self::new(
                ProblemCode::Conflict,
                "No such seat of this learner waits for its day: it has opened, or there is none.",
            ),
            ChangeLearnerError::UnknownPool => unknown_pool(),
            ChangeLearnerError::PoolMissing => name_the_pool(),
            ChangeLearnerError::Store(error) => error.into(),
        }
    }
}

impl From<TransferSeatError> for Problem {
    fn from(error: TransferSeatError) -> Self {
        match error {
            TransferSeatError::Unknown => Self::not_found(),
            TransferSeatError::Ground(error) => error.into(),
            TransferSeatError::NoSeat => Self::new(
                ProblemCode::Conflict,
                "This learner has no such seat that could go to somebody else.",
            ),
            TransferSeatError::UnknownPool => unknown_pool(),
            TransferSeatError::PoolMissing => name_the_pool(),
            TransferSeatError::SamePerson => Self::invalid_field(
                "/to_email",
                "same-person",
                "This is the learner's own address; name somebody else.",
            ),
            TransferSeatError::AlreadySeated => Self::new(
                ProblemCode::Conflict,
                "That person has a seat here already; release this one instead.",
            ),
            TransferSeatError::NoSeatsLeft => no_seats_left(),
            TransferSeatError::Store(error) => error.into(),
        }
    }
}

impl From<OpenImportError> for Problem {
    fn from(error: OpenImportError) -> Self {
        match error {
            OpenImportError::Ground(error) => error.into(),
            OpenImportError::Grant(GrantError::UnknownGroup(_)) => Self::invalid_field(
                "/defaults/group_ids",
                "unknown-group",
                "One of these groups does not exist here; list the groups to find its id.",
            ),
            OpenImportError::Grant(error) => error.into(),
            OpenImportError::Term(error) => {
                window(format!("/defaults/{}", error.field), error.error)
            }
            OpenImportError::Store(error) => error.into(),
        }
    }
}

impl From<ImportRowsError> for Problem {
    fn from(refusal: ImportRowsError) -> Self {
        match refusal {
            ImportRowsError::Gone => rows_gone(),
            ImportRowsError::Store(error) => error.into(),
        }
    }
}

fn rows_gone() -> Problem {
    let detail = "The rows of this import are no longer kept: they go with its report. Its seats are \
                  released one by one.";
    Problem::new(ProblemCode::ImportNotReady, detail)
}

impl From<SteerImportError> for Problem {
    fn from(error: SteerImportError) -> Self {
        match error {
            SteerImportError::NotFound => Self::not_found(),
            SteerImportError::NotReady(status) => Self::new(
                ProblemCode::ImportNotReady,
                format!(
                    "The import is {status}. Look at it again, and ask for what its state allows."
                ),
            ),
            SteerImportError::RowsInvalid => Self::new(
                ProblemCode::RowsInvalid,
                "Rows are invalid. Mend them and upload the file as a new import, or choose \
                 another on_shortage.",
            ),
            SteerImportError::NoSeatsLeft(SeatNeed { needed, available, short }) => Self::new(
                ProblemCode::NoSeatsLeft,
                format!(
                    "The file needs {needed} seats and {available} are available: {short} are \
                     missing. Release some, ask the vendor for more, or import the file anew \
                     with on_shortage `fill`."
                ),
            ),
            SteerImportError::ContractEnded => GroundError::ContractEnded.into(),
            SteerImportError::RowsGone => rows_gone(),
            SteerImportError::Store(error) => error.into(),
        }
    }
}

/// The invitation was taken up before.
fn already_accepted() -> Problem {
    let detail = "This invitation was accepted; the learner signs in with the account it made.";
    Problem::new(ProblemCode::AlreadyAccepted, detail)
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Ground(error) => error.into(),
            InviteError::Grant(error) => error.into(),
            InviteError::OneGroupOnly => {
                Self::new(ProblemCode::Forbidden, "An instructor invites into exactly one group.")
            }
            InviteError::DeletionNotAllowed => Self::new(
                ProblemCode::Forbidden,
                "With this role, leave out `delete_on`; an administrator of the client may set it.",
            ),
            InviteError::Term(error) => error.into(),
            InviteError::NoSeatsLeft(missing) => Self::new(
                ProblemCode::NoSeatsLeft,
                format!(
                    "No seat is left here; seats missing: {missing}. Release some, or ask the vendor for more."
                ),
            ),
            InviteError::Store(error) => error.into(),
        }
    }
}

impl From<RenewContractError> for Problem {
    fn from(error: RenewContractError) -> Self {
        match error {
            RenewContractError::UnknownSuccessor => Self::invalid_field(
                "/to_contract_id",
                "unknown-contract",
                "Name another contract of this client; list them to find its id.",
            ),
            RenewContractError::RenewedOtherwise => Self::new(
                ProblemCode::Conflict,
                "Another contract renews this one already, or this one renews the contract named.",
            ),
            RenewContractError::Ground(error) => error.into(),
            RenewContractError::Store(error) => error.into(),
        }
    }
}

impl From<ResendInvitationError> for Problem {
    fn from(error: ResendInvitationError) -> Self {
        let conflict = |detail| Self::new(ProblemCode::Conflict, detail);
        match error {
            ResendInvitationError::NotFound => Self::not_found(),
            ResendInvitationError::AlreadyAccepted => already_accepted(),
            ResendInvitationError::Closed => {
                conflict("This invitation was cancelled or declined; invite the address anew.")
            }
            ResendInvitationError::AlreadySeated => {
                conflict("This person has a seat here already; there is nothing to accept.")
            }
            ResendInvitationError::AccessOver => {
                conflict("The last day of this invitation is over; invite the address anew.")
            }
            ResendInvitationError::NoSeatsLeft => no_seats_left(),
            ResendInvitationError::Ground(error) => error.into(),
            ResendInvitationError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeAddressError> for Problem {
    fn from(error: ChangeAddressError) -> Self {
        let conflict = |detail| Self::new(ProblemCode::Conflict, detail);
        match error {
            ChangeAddressError::NotFound => Self::not_found(),
            ChangeAddressError::AlreadyAccepted => already_accepted(),
            ChangeAddressError::Closed => {
                conflict("This invitation was cancelled or declined; invite the address anew.")
            }
            ChangeAddressError::AlreadyInvited => {
                conflict("This address is invited here already; cancel one of the two invitations.")
            }
            ChangeAddressError::AlreadySeated => conflict(
                "Whoever has this address has a seat here already; cancel the invitation instead.",
            ),
            ChangeAddressError::AccessOver => {
                conflict("The last day of this invitation is over; invite the address anew.")
            }
            ChangeAddressError::NoSeatsLeft => no_seats_left(),
            ChangeAddressError::Ground(error) => error.into(),
            ChangeAddressError::Store(error) => error.into(),
        }
    }
}

impl From<RemindError> for Problem {
    fn from(error: RemindError) -> Self {
        match error {
            RemindError::Ground(error) => error.into(),
            RemindError::Store(error) => error.into(),
        }
    }
}

impl From<CancelInvitationError> for Problem {
    fn from(error: CancelInvitationError) -> Self {
        match error {
            CancelInvitationError::NotFound => Self::not_found(),
            CancelInvitationError::AlreadyAccepted => Self::new(
                ProblemCode::AlreadyAccepted,
                "This invitation was accepted; release the learner's seat instead.",
            ),
            CancelInvitationError::Store(error) => error.into(),
        }
    }
}

impl From<LinkClosed> for Problem {
    fn from(closed: LinkClosed) -> Self {
        let gone = |detail| Self::new(ProblemCode::Gone, detail);
        match closed {
            LinkClosed::Accepted => already_accepted(),
            LinkClosed::Replaced => gone("A newer link was sent; use the one in the latest mail."),
            LinkClosed::Cancelled => gone("This invitation was cancelled; ask who invited you."),
            LinkClosed::Declined => gone("This invitation was declined; ask for a new one."),
            LinkClosed::Expired => gone("This invitation has expired; ask for a new one."),
            LinkClosed::CodeStopped => {
                gone("This code cannot be redeemed any more; ask whoever gave it to you.")
            }
        }
    }
}

impl From<DeclineInvitationError> for Problem {
    fn from(error: DeclineInvitationError) -> Self {
        match error {
            DeclineInvitationError::NotFound => Self::not_found(),
            DeclineInvitationError::Closed(closed) => closed.into(),
            DeclineInvitationError::Store(error) => error.into(),
        }
    }
}

impl From<AcceptInvitationError> for Problem {
    fn from(error: AcceptInvitationError) -> Self {
        match error {
            AcceptInvitationError::NotFound => Self::not_found(),
            AcceptInvitationError::Closed(closed) => closed.into(),
            AcceptInvitationError::ContractEnded => GroundError::ContractEnded.into(),
            AcceptInvitationError::WeakPassword(weak) => {
                Self::invalid_field("/password", "weak-password", crate::body::sentence(&weak))
            }
            AcceptInvitationError::NoSeatsLeft => Self::new(
                ProblemCode::NoSeatsLeft,
                "No seat is left at the moment; ask who invited you.",
            ),
            AcceptInvitationError::Store(error) => error.into(),
        }
    }
}

/// Most codes named in one answer.
const NAMED_MAX: usize = 100;

impl From<IssueCodesError> for Problem {
    fn from(error: IssueCodesError) -> Self {
        match error {
            IssueCodesError::Ground(error) => error.into(),
            IssueCodesError::Grant(error) => error.into(),
            IssueCodesError::Term(error) => error.into(),
            IssueCodesError::EmptyWindow => empty_window(),
            IssueCodesError::CodesExist(places) => codes_exist(&places),
            IssueCodesError::NoSeatsLeft => too_few_for_codes(),
            IssueCodesError::GivenUp => given_up(),
            IssueCodesError::Store(error) => error.into(),
        }
    }
}

/// Codes of the administrator's list that exist already.
fn codes_exist(places: &[usize]) -> Problem {
    let named = places.iter().take(NAMED_MAX).map(|place| FieldError {
        pointer: format!("/codes/{place}"),
        code: "code-exists".into(),
        detail: "This code exists already; choose another.".to_owned(),
    });
    Problem::invalid(named.collect())
}

/// Seats cannot be set aside for all codes.
fn too_few_for_codes() -> Problem {
    let detail = "Too few seats are left to set one aside for each of them, so none was. Ask for \
                  fewer, or ask the vendor for more seats.";
    Problem::new(ProblemCode::NoSeatsLeft, detail)
}

/// What an earlier attempt had begun was given back.
fn given_up() -> Problem {
    let detail = "An earlier attempt under this Idempotency-Key did not end and was given back. \
                  Send the request with a new key.";
    Problem::new(ProblemCode::Conflict, detail)
}

/// The batch's window is empty.
fn empty_window() -> Problem {
    Problem::invalid_field(
        "/valid_until",
        "end-before-start",
        "The codes would end before they begin, or in the past; choose a later end.",
    )
}

impl From<AddCodesError> for Problem {
    fn from(error: AddCodesError) -> Self {
        let conflict = |detail| Self::new(ProblemCode::Conflict, detail);
        match error {
            AddCodesError::NotFound => Self::not_found(),
            AddCodesError::OneCodeOnly => {
                conflict("A registration code is one code for many learners; raise its maximum.")
            }
            AddCodesError::Ended => {
                conflict("The batch was revoked or is over; extend it, or issue a new one.")
            }
            AddCodesError::TooMany => Self::invalid_field(
                "/count",
                "out-of-range",
                format!("A batch has at most {BATCH_MAX} codes; issue a new one."),
            ),
            AddCodesError::Busy => {
                conflict("Other codes are being added to this batch; try again in a moment.")
            }
            AddCodesError::CodesExist(places) => codes_exist(&places),
            AddCodesError::NoSeatsLeft => too_few_for_codes(),
            AddCodesError::GivenUp => given_up(),
            AddCodesError::Store(error) => error.into(),
        }
    }
}

impl From<SendCodesError> for Problem {
    fn from(error: SendCodesError) -> Self {
        match error {
            SendCodesError::NotFound => Self::not_found(),
            SendCodesError::Ended => Self::new(
                ProblemCode::Conflict,
                "The batch was revoked or is over; extend it, or issue a new one.",
            ),
            SendCodesError::Paused => Self::new(
                ProblemCode::Conflict,
                "The batch is paused, so that its codes are refused; resume it, then send them.",
            ),
            SendCodesError::TooFew { left, needed } => Self::new(
                ProblemCode::Conflict,
                format!(
                    "{needed} codes are needed, but only {left} can still be sent; nothing was \
                     sent. Add codes to the batch, or send to fewer addresses."
                ),
            ),
            SendCodesError::Store(error) => error.into(),
        }
    }
}

impl From<SteerBatchError> for Problem {
    fn from(error: SteerBatchError) -> Self {
        let maximum = |code, detail| Self::invalid_field("/max_redemptions", code, detail);
        match error {
            SteerBatchError::NotFound => Self::not_found(),
            SteerBatchError::Revoked => Self::new(
                ProblemCode::Conflict,
                "The batch was revoked, which is for good; issue a new one.",
            ),
            SteerBatchError::EmptyWindow => empty_window(),
            SteerBatchError::NoMaximum => maximum(
                "not-allowed",
                "Each redemption code is for one learner; add codes to the batch instead.",
            ),
            SteerBatchError::MaximumNeeded => {
                maximum("required", "The seats of this batch are guaranteed: say how many.")
            }
            SteerBatchError::BelowRedeemed => Self::new(
                ProblemCode::SeatsInUse,
                "More learners have redeemed this code already; choose a higher maximum.",
            ),
            SteerBatchError::NoSeatsLeft => Self::new(
                ProblemCode::NoSeatsLeft,
                "Too few seats are left to set aside, so nothing was changed. Ask for fewer, or \
                 ask the vendor for more seats.",
            ),
            SteerBatchError::Store(error) => error.into(),
        }
    }
}

impl From<RedeemCodeError> for Problem {
    fn from(error: RedeemCodeError) -> Self {
        match error {
            RedeemCodeError::UnknownClient => Self::not_found(),
            RedeemCodeError::Mistyped(_) => Self {
                errors: vec![FieldError {
                    pointer: "/code".to_owned(),
                    code: "mistyped-code".into(),
                    detail: "There is a slip in this code; compare it with what you were given."
                        .to_owned(),
                }],
                ..Self::new(
                    ProblemCode::CodeNotRedeemable,
                    "This is no code as it is written. Compare it, letter by letter, with what you \
                     were given.",
                )
            },
            // To the outside one as the other.
            RedeemCodeError::NotRedeemable | RedeemCodeError::ForeignDomain => Self::new(
                ProblemCode::CodeNotRedeemable,
                "This code cannot be redeemed. Check how it is written, or ask who gave it to you.",
            ),
            RedeemCodeError::NoSeatsLeft => Self::new(
                ProblemCode::NoSeatsLeft,
                "The code is good, but no seat is left at the moment. Tell who gave it to you, \
                 and try again later.",
            ),
            RedeemCodeError::NamesMissing => Self::invalid(
                ["/first_name", "/last_name"]
                    .map(|pointer| FieldError {
                        pointer: pointer.to_owned(),
                        code: "required".into(),
                        detail: "This address has no account yet; give a name.".to_owned(),
                    })
                    .into(),
            ),
            RedeemCodeError::WrongPassword => Self::invalid_field(
                "/password",
                "wrong-password",
                "This address has an account already; give the account's password.",
            ),
            RedeemCodeError::TooManyTries { wait } => {
                let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(1);
                let detail = "Too many tries from here were refused. Wait, then try again.";
                Self::new(ProblemCode::TooManyRequests, detail).retry_after(seconds)
            }
            RedeemCodeError::Store(error) => error.into(),
        }
    }
}
