//! The one map from what actions refuse to what the caller is told.

use seatkeeper_domain::actions::create_learner::CreateLearnerError;
use seatkeeper_domain::actions::ground::{GrantError, GroundError};
use seatkeeper_domain::actions::seating::TermError;
use seatkeeper_domain::contract::WindowError;

use crate::problem::{Problem, ProblemCode};

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
