//! The one map from what actions refuse to what the caller is told.

use seatkeeper_domain::actions::accept_invitation::AcceptInvitationError;
use seatkeeper_domain::actions::change_address::ChangeAddressError;
use seatkeeper_domain::actions::close_invitation::{CancelInvitationError, DeclineInvitationError};
use seatkeeper_domain::actions::create_learner::CreateLearnerError;
use seatkeeper_domain::actions::ground::{GrantError, GroundError};
use seatkeeper_domain::actions::invitations::LinkClosed;
use seatkeeper_domain::actions::invite::InviteError;
use seatkeeper_domain::actions::issue_codes::IssueCodesError;
use seatkeeper_domain::actions::redeem_code::RedeemCodeError;
use seatkeeper_domain::actions::remind_invitations::RemindError;
use seatkeeper_domain::actions::resend_invitation::ResendInvitationError;
use seatkeeper_domain::actions::seating::TermError;
use seatkeeper_domain::contract::WindowError;

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
        let pointer = format!("/{}", error.field);
        match error.error {
            WindowError::OutsideContract => Self::invalid_field(
                pointer,
                "outside-contract",
                "This date lies outside the contract; choose one inside it.",
            ),
            WindowError::EndBeforeStart => Self::invalid_field(
                pointer,
                "end-before-start",
                "This date lies before the start or in the past; choose a later one.",
            ),
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
            InviteError::NoSeatsLeft => no_seats_left(),
            InviteError::Store(error) => error.into(),
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
            IssueCodesError::EmptyWindow => Self::invalid_field(
                "/valid_until",
                "end-before-start",
                "The codes would end before they begin, or in the past; choose a later end.",
            ),
            IssueCodesError::CodesExist(places) => {
                let named = places.iter().take(NAMED_MAX).map(|place| FieldError {
                    pointer: format!("/codes/{place}"),
                    code: "code-exists".into(),
                    detail: "This code exists already; choose another.".to_owned(),
                });
                Self::invalid(named.collect())
            }
            IssueCodesError::NoSeatsLeft => Self::new(
                ProblemCode::NoSeatsLeft,
                "Too few seats are left to set one aside for each of them, so none was. Issue \
                 fewer, or ask the vendor for more seats.",
            ),
            IssueCodesError::GivenUp => Self::new(
                ProblemCode::Conflict,
                "An earlier attempt under this Idempotency-Key did not end and was given back. \
                 Send the request with a new key.",
            ),
            IssueCodesError::Store(error) => error.into(),
        }
    }
}

impl From<RedeemCodeError> for Problem {
    fn from(error: RedeemCodeError) -> Self {
        match error {
            RedeemCodeError::UnknownClient => Self::not_found(),
            RedeemCodeError::NotRedeemable => Self::new(
                ProblemCode::CodeNotRedeemable,
                "This code cannot be redeemed. Check how it is written, or ask who gave it to you.",
            ),
            RedeemCodeError::NoSeatsLeft => Self::new(
                ProblemCode::NoSeatsLeft,
                "The code is good, but no seat is left at the moment. Tell who gave it to you, \
                 and try again later.",
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
