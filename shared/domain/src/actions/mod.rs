//! What people do with seats: one file a verb. Each reads through ports, decides, plans a
//! [`Change`](crate::change::Change), applies it, and starts over when it lost a race.

pub mod accept_invitation;
pub mod add_client;
pub mod add_codes;
pub mod add_group;
pub mod address_list;
pub mod allocate_seats;
pub mod cancel_import;
pub mod change_address;
pub mod change_cohort;
pub mod change_learner;
pub mod close_invitation;
pub mod commit_import;
pub mod create_learner;
mod deletion_day;
pub mod download_codes;
pub mod erase_learner;
pub mod ground;
pub mod hear_of_mail;
pub mod held_code;
pub mod import_rows;
pub mod invitations;
pub mod invite;
pub mod issue_codes;
pub mod open_cohort;
pub mod open_contract;
pub mod open_import;
mod outlook;
pub mod pick_contract;
pub mod prove_pool;
pub mod prove_records;
pub mod reclaim_seats;
pub mod redeem_code;
pub mod release_batch;
pub mod release_import;
mod release_many;
pub mod release_seat;
pub mod remind_invitations;
pub mod renew_contract;
pub mod request_password;
pub mod resend_invitation;
pub mod return_blocks;
pub mod run_import;
pub mod seating;
pub mod send_codes;
pub mod send_mail;
mod set_aside;
mod settle_blocks;
pub mod sign_in;
pub mod start_clocks;
pub mod steer_batch;
pub mod stop_reminders;
pub mod sweep;
pub mod tickets;
pub mod transfer_seat;
pub mod undo_import;
pub mod utilization;
pub mod warn_client;

use crate::change::{Change, Refused, Step, StoreError};

/// Times an action starts over after a lost race before it gives up.
pub const ROUNDS: u32 = 6;

/// What a refusal of a change means to the action that planned it.
#[derive(Debug)]
pub enum Met {
    /// A pool or block has too few seats.
    NoSeats,
    /// What was read is no longer so: read again and plan anew. The step tells what changed.
    Raced(usize),
    /// An earlier attempt at this very operation had applied it.
    Repeated,
    /// The store failed, or another attempt has taken over.
    Failed(StoreError),
}

/// Reads a refusal by the step that refused.
pub fn met(change: &Change, refused: Refused) -> Met {
    match refused {
        Refused::Step(place) => match change.steps.get(place) {
            Some(Step::MovePool { delta, .. }) if delta.available < 0 => Met::NoSeats,
            _ => Met::Raced(place),
        },
        Refused::Repeated => Met::Repeated,
        Refused::Overtaken => Met::Failed(overtaken()),
        Refused::Store(error) => Met::Failed(error),
    }
}

/// The error of an attempt that has been overtaken by another one under the same key, or that finds
/// the effect of its own operation without having had it: the other attempt knows the answer.
pub fn overtaken() -> StoreError {
    StoreError::Unavailable(Box::new(Refused::Overtaken))
}

/// The error of an action whose learner was erased before it could be read back: it had its effect, and
/// nothing of that is left to tell.
pub fn erased_meanwhile() -> StoreError {
    StoreError::Unavailable("the learner was erased meanwhile".into())
}

/// The error of an action that lost every round.
pub fn gave_up() -> StoreError {
    StoreError::Unavailable("too many others changed the same records".into())
}
