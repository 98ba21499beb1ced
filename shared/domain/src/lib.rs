//! What Seatkeeper is about: seats, the rules by which they move, and the use cases.
//!
//! Nothing here knows AWS, HTTP, the environment or the clock; those arrive as [`ports`].

pub mod color;
pub mod email;
pub mod idempotency;
pub mod ids;
pub mod import;
pub mod language;
pub mod password;
pub mod ports;
pub mod role;
pub mod secrets;
