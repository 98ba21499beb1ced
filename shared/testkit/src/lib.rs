//! What tests stand on: an AWS in the test's own process under the real SDK clients, a clock that
//! stands still and ids that repeat.
//!
//! [`Cloud`] answers the SDK's HTTP attempts itself, without a socket. DynamoDB is an embedded
//! database, S3, SES and EventBridge Scheduler are small simulators. Effects are recorded when they
//! happen, so a reply that is lost on its way back does not undo the mail that was sent. Attempts
//! are numbered, and a [`Fault`] can be put at any of them.
//!
//! ```
//! use seatkeeper_testkit::{Cloud, Fault, When};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let cloud = Cloud::new();
//! cloud.inject(When::call("PutItem", 1), Fault::LoseReply);
//!
//! use aws_sdk_dynamodb::types::AttributeValue::{N, S};
//! cloud.dynamodb().put_item().table_name(Cloud::TABLE)
//!     .item("pk", S("POOL#a".into())).item("sk", S("POOL".into())).item("available", N("3".into()))
//!     .send().await.unwrap(); // the SDK tried twice
//!
//! assert_eq!(cloud.fired().len(), 1);
//! assert_eq!(cloud.attempts().len(), 2);
//! assert_eq!(cloud.dump()[0]["available"], 3);
//! # });
//! ```
//!
//! **Which runtime.** Enumerating faults wants `#[tokio::test(start_paused = true)]`: one thread, so
//! one order, and the SDK's back-off costs nothing. Races want
//! `#[tokio::test(flavor = "multi_thread")]`. Every attempt yields once to the runtime before it
//! takes effect, so that tasks interleave between calls on one thread also.
#![expect(clippy::expect_used, reason = "a test stops at the first thing it did not expect")]

mod chance;
mod cloud;
mod connector;
mod defect;
mod dynamodb;
mod fault;
mod latency;
pub mod model;
mod post;
mod reply;
mod s3;
mod scheduler;
mod ses;
mod site;
mod time;

pub use chance::SeededIds;
pub use cloud::{Cloud, Moment};
pub use defect::{Outgoing, Write};
pub use fault::{Attempt, Fault, Service, When};
pub use latency::Latency;
pub use s3::StoredObject;
pub use scheduler::{Firing, Schedule};
pub use ses::SentMail;
pub use site::{Site, calls_of_adapters};
pub use time::VirtualClock;
