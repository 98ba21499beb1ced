//! The SDK clients of a running function.
//!
//! One HTTP client serves them all: rustls on ring, which needs no entropy-hungry start-up, as
//! the SDK's default stack does.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// What the SDK clients of a function share.
pub async fn sdk_config() -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(6))
        .operation_timeout(Duration::from_secs(20))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        .load()
        .await
}

/// The table's client.
pub fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
}

/// The mail service's client: exactly one attempt, because a second one may be a second mail.
pub fn ses(config: &SdkConfig) -> aws_sdk_sesv2::Client {
    let once =
        aws_sdk_sesv2::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
    aws_sdk_sesv2::Client::from_conf(once)
}

/// The object store's client. Path-style addresses where an endpoint is given, because a local
/// stack has no bucket hosts.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let local = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(local)
        // Reports are read in one go; a large download may take longer than a table call.
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_timeout(Duration::from_mins(1))
                .build(),
        )
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The scheduler's client.
pub fn scheduler(config: &SdkConfig) -> aws_sdk_scheduler::Client {
    aws_sdk_scheduler::Client::new(config)
}
