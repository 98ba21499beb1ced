//! The edge: callers, request bodies, problem answers, idempotency, pages, telemetry.
//!
//! Each of the functions that answer requests is an [`axum::Router`] run by [`serve`]. A handler
//! translates: it reads what it is given, calls a use case and makes an [`Answer`] of the outcome,
//! or a [`Problem`] of the refusal.

pub mod answer;
pub mod body;
pub mod caller;
pub mod config;
pub mod idempotency;
pub mod problem;
pub mod request;
mod serve;
pub mod telemetry;

pub use answer::Answer;
pub use caller::SignedIn;
pub use problem::{Problem, ProblemCode};
pub use serve::{edge, serve};
