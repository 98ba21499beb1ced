//! One-time schedules at EventBridge Scheduler.

use aws_sdk_scheduler::Client as Scheduler;
use aws_sdk_scheduler::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode,
    RetryPolicy, Target,
};
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ports::{Schedules, Wake};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How long the scheduler tries to reach its target, in seconds; after that the sweep does it.
const TRY_FOR: i32 = 3600;
/// How often it tries.
const TRIES: i32 = 30;

/// Where schedules are made and whom they wake.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    /// The group of this stack's schedules.
    pub group: String,
    /// What they may do.
    pub role_arn: String,
    /// Where a payload goes that reached nobody.
    pub dead_letter_arn: String,
    /// Opens cohorts.
    pub activate_arn: String,
    /// Goes on with imports; only the sweep needs it.
    pub import_arn: Option<String>,
}

/// [`Schedules`] at EventBridge Scheduler.
#[derive(Debug, Clone)]
pub struct EventScheduler {
    scheduler: Scheduler,
    settings: ScheduleSettings,
}

impl EventScheduler {
    /// Schedules made by this client.
    pub fn new(scheduler: Scheduler, settings: ScheduleSettings) -> Self {
        Self { scheduler, settings }
    }

    fn target(&self, wake: &Wake) -> Result<(&str, Value), StoreError> {
        match wake {
            Wake::Cohort(key) => {
                let payload = json!({
                    "kind": "activate",
                    "client": key.client_id,
                    "pool": key.pool,
                    "instant": key.instant,
                    "version": 1,
                });
                Ok((&self.settings.activate_arn, payload))
            }
            Wake::Import { client_id, import_id, .. } => {
                let arn = self.settings.import_arn.as_deref();
                let arn = arn.ok_or_else(|| broken("no function to wake for imports"))?;
                let payload = json!({
                    "kind": "resume_import",
                    "client": client_id,
                    "import": import_id,
                });
                Ok((arn, payload))
            }
        }
    }
}

impl Schedules for EventScheduler {
    async fn schedule(&self, wake: &Wake, at: Timestamp) -> Result<(), StoreError> {
        let (arn, payload) = self.target(wake)?;
        let target = Target::builder()
            .arn(arn)
            .role_arn(&self.settings.role_arn)
            .input(payload.to_string())
            .dead_letter_config(
                DeadLetterConfig::builder().arn(&self.settings.dead_letter_arn).build(),
            )
            .retry_policy(
                RetryPolicy::builder()
                    .maximum_event_age_in_seconds(TRY_FOR)
                    .maximum_retry_attempts(TRIES)
                    .build(),
            )
            .build()
            .map_err(|error| broken(&error.to_string()))?;
        let window = FlexibleTimeWindow::builder()
            .mode(FlexibleTimeWindowMode::Off)
            .build()
            .map_err(|error| broken(&error.to_string()))?;
        let made = self
            .scheduler
            .create_schedule()
            .name(name(wake))
            .group_name(&self.settings.group)
            .schedule_expression(expression(at))
            .schedule_expression_timezone("UTC")
            .flexible_time_window(window)
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(target)
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            Err(error) if is_made(&error) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }
}

/// The name says what it is for, so that a second one for the same cannot be made.
fn name(wake: &Wake) -> String {
    let (prefix, text) = match wake {
        Wake::Cohort(key) => ("activate", key.to_string()),
        Wake::Import { client_id, import_id, lapsed_at } => {
            ("resume", format!("{client_id}/{import_id}/{lapsed_at}"))
        }
    };
    let hash = Sha256::digest(text);
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    format!("{prefix}-{:032x}", u128::from_be_bytes(first))
}

/// The first full second not before `at`, in UTC: schedules know no fractions.
fn expression(at: Timestamp) -> String {
    let down = at.as_second();
    let whole = Timestamp::from_second(down).unwrap_or(at);
    // Behind the last second there is, there is none.
    let next = whole.checked_add(SignedDuration::from_secs(1)).unwrap_or(whole);
    let up = if whole < at { next } else { whole };
    format!("at({})", up.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn is_made(error: &SdkError<CreateScheduleError>) -> bool {
    error.as_service_error().is_some_and(CreateScheduleError::is_conflict_exception)
}

fn failure(error: SdkError<CreateScheduleError>) -> StoreError {
    let code = error.code().unwrap_or_default();
    let final_ones = ["ValidationException", "ResourceNotFoundException", "AccessDeniedException"];
    if final_ones.contains(&code) {
        return broken(&format!("a schedule: {code}"));
    }
    StoreError::Unavailable(Box::new(error))
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_never_fires_before_its_instant() {
        let at = |text: &str| expression(text.parse().unwrap());
        assert_eq!(at("2026-11-23T23:00:00Z"), "at(2026-11-23T23:00:00)");
        assert_eq!(at("2026-11-23T23:00:00.000001Z"), "at(2026-11-23T23:00:01)");
        assert_eq!(at("2026-12-31T23:59:59.5Z"), "at(2027-01-01T00:00:00)");
        assert_eq!(expression(Timestamp::MAX), "at(9999-12-30T22:00:00)");
    }

    #[test]
    fn names_differ_by_what_they_are_for_and_fit() {
        let wake = |second: i64| Wake::Import {
            client_id: "acme".parse().unwrap(),
            import_id: seatkeeper_domain::ids::ImportId::from_bits(1),
            lapsed_at: Timestamp::from_second(second).unwrap(),
        };
        assert_eq!(name(&wake(1)), name(&wake(1)));
        assert_ne!(name(&wake(1)), name(&wake(2)));
        assert!(name(&wake(1)).len() <= 64);
    }
}
