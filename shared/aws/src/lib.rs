//! Adapters: the domain's ports on DynamoDB, S3, SES and EventBridge Scheduler.
