//! Codes: issued all or none, redeemed once, guessed in vain.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]

mod cost;
mod guessing;
mod http;
mod issuing;
mod mailing;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod proving;
mod redeeming;
mod steering;
mod world;
