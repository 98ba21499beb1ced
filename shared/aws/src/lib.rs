//! Adapters: the domain's ports on DynamoDB, S3, SES and EventBridge Scheduler.

mod apply;
mod bulk;
mod codes;
mod due;
mod erasing;
mod expression;
mod files;
mod idempotency;
mod imports;
mod invitations;
pub mod keys;
mod ledger;
pub mod mailer;
mod metadata;
mod outbox;
mod people;
mod records;
mod rounds;
pub mod runtime;
pub mod schedules;
mod store;
pub mod stream;
mod tickets;
mod tries;
pub mod upload_form;

pub use files::S3Files;
pub use store::Store;
