//! The edge: callers, request bodies, problem answers, idempotency, pages, telemetry.
//!
//! Each of the functions that answer requests is an [`axum::Router`] run by [`serve`]. A handler
//! translates: it reads what it is given, calls a use case and makes an [`Answer`] of the outcome,
//! or a [`Problem`] of the refusal.

pub mod answer;
pub mod app;
pub mod body;
pub mod caller;
pub mod config;
pub mod idempotency;
pub mod pages;
pub mod person;
pub mod problem;
pub mod refusals;
pub mod request;
mod serve;
pub mod system;
pub mod telemetry;
pub mod views;

pub use answer::Answer;
pub use app::{App, Shared};
pub use caller::SignedIn;
pub use problem::{Problem, ProblemCode};
pub use serve::{edge, serve};
