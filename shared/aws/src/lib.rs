//! Adapters: the domain's ports on DynamoDB, S3, SES and EventBridge Scheduler.

mod apply;
mod expression;
pub mod keys;
mod ledger;
mod people;
mod records;
mod store;

pub use store::Store;
