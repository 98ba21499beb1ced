//! What Seatkeeper is about: seats, the rules by which they move, and the use cases.
//!
//! Nothing here knows AWS, HTTP, the environment or the clock; those arrive as [`ports`].

pub mod actions;
pub mod amend;
pub mod audit;
pub mod change;
pub mod client;
pub mod code;
pub mod cohort;
pub mod color;
pub mod contract;
pub mod dates;
pub mod email;
pub mod idempotency;
pub mod ids;
pub mod import;
pub mod import_run;
pub mod invitation;
pub mod language;
pub mod learner;
pub mod link;
pub mod outbox;
pub mod pace;
pub mod password;
pub mod ports;
pub mod records;
pub mod role;
pub mod row_book;
pub mod secrets;
pub mod stock;
