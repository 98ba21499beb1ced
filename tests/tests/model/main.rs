//! The pure model of the store: every order of the calls of a few actions, rules left out that
//! must be missed, and the model held against the real store.
//!
//! `SEATKEEPER_MODEL=full` explores more actors and holds the two against each other for longer.
#![expect(
    clippy::expect_used,
    reason = "a test stops at the first thing it did not expect, and tells how much it tried"
)]

mod conformance;
mod interleavings;
mod machine;
mod wandering;
