//! Adapters: the domain's ports on DynamoDB, S3, SES and EventBridge Scheduler.

mod apply;
mod codes;
mod expression;
mod idempotency;
mod invitations;
pub mod keys;
mod ledger;
mod people;
mod records;
pub mod runtime;
mod store;
mod tickets;
mod tries;

pub use store::Store;
