//! EventBridge Scheduler: one-time schedules on the virtual clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::reply::{Call, Reply, percent_decoded};
use crate::{Cloud, Service};

/// A schedule that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The group it is in.
    pub group: String,
    /// Its name, unique in the group.
    pub name: String,
    /// When, such as `at(2026-12-01T08:00:00)`.
    pub expression: String,
    /// The zone the expression is read in.
    pub timezone: String,
    /// What is called.
    pub target_arn: String,
    /// The role it is called with.
    pub role_arn: String,
    /// Where an event goes that cannot be delivered.
    pub dead_letter_arn: Option<String>,
    /// What the target receives.
    pub input: Value,
    /// Whether it disappears after its last firing.
    pub deleted_after: bool,
    client_token: Option<String>,
    request: Value,
    fired: bool,
}

impl Schedule {
    /// The instant of a one-time schedule; `None` for any other.
    pub fn at(&self) -> Option<Timestamp> {
        let local = self.expression.strip_prefix("at(")?.strip_suffix(')')?;
        let local: DateTime = local.parse().ok()?;
        let zone = TimeZone::get(&self.timezone).ok()?;
        zone.to_timestamp(local).ok()
    }
}

/// A call the scheduler makes of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The name of the schedule.
    pub name: String,
    /// What is called.
    pub target_arn: String,
    /// What it receives.
    pub input: Value,
}

/// All schedules.
#[derive(Debug, Default, Clone)]
pub(crate) struct Scheduler {
    schedules: BTreeMap<(String, String), Schedule>,
}

/// The operation a request names.
pub(crate) fn operation(call: &Call) -> String {
    match (call.method.as_str(), call.path.strip_prefix("/schedules/")) {
        ("POST", Some(_)) => "CreateSchedule".to_owned(),
        ("GET", Some(_)) => "GetSchedule".to_owned(),
        ("DELETE", Some(_)) => "DeleteSchedule".to_owned(),
        (method, _) => format!("{method} {}", call.path),
    }
}

fn arn(group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:{}:{}:schedule/{group}/{name}", Cloud::REGION, Cloud::ACCOUNT)
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::error(Service::Scheduler, status, code, message)
}

impl Scheduler {
    /// Does what the request asks; `None` for an operation that is not simulated.
    pub(crate) fn answer(&mut self, operation: &str, call: &Call, now: Timestamp) -> Option<Reply> {
        let name = percent_decoded(call.path.strip_prefix("/schedules/")?);
        let group = call.query("groupName").unwrap_or("default").to_owned();
        match operation {
            "CreateSchedule" => Some(self.create(name, call.json(), now)),
            "GetSchedule" => Some(self.get(&(group, name))),
            "DeleteSchedule" => Some(self.delete(&(group, name))),
            _ => None,
        }
    }

    /// Every schedule, by group and name.
    pub(crate) fn all(&self) -> Vec<Schedule> {
        self.schedules.values().cloned().collect()
    }

    /// Fires what is due, earliest first.
    pub(crate) fn fire_due(&mut self, now: Timestamp) -> Vec<Firing> {
        let mut firings = Vec::new();
        for schedule in self.schedules.values_mut() {
            if let Some(at) = schedule.at().filter(|at| *at <= now && !schedule.fired) {
                schedule.fired = true;
                firings.push((
                    at,
                    Firing {
                        name: schedule.name.clone(),
                        target_arn: schedule.target_arn.clone(),
                        input: schedule.input.clone(),
                    },
                ));
            }
        }
        self.schedules.retain(|_, schedule| !(schedule.fired && schedule.deleted_after));
        firings.sort_by_key(|(at, _)| *at);
        firings.into_iter().map(|(_, firing)| firing).collect()
    }

    fn create(&mut self, name: String, request: Value, now: Timestamp) -> Reply {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let group = text(&request["GroupName"]).unwrap_or_else(|| "default".to_owned());
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return error(400, "ValidationException", "the name is not 1 to 64 of 0-9a-zA-Z-_.");
        }
        let target = &request["Target"];
        let input = text(&target["Input"]).unwrap_or_default();
        let schedule = Schedule {
            group: group.clone(),
            name: name.clone(),
            expression: text(&request["ScheduleExpression"]).unwrap_or_default(),
            timezone: text(&request["ScheduleExpressionTimezone"]).unwrap_or("UTC".to_owned()),
            target_arn: text(&target["Arn"]).unwrap_or_default(),
            role_arn: text(&target["RoleArn"]).unwrap_or_default(),
            dead_letter_arn: text(&target["DeadLetterConfig"]["Arn"]),
            input: serde_json::from_str(&input).unwrap_or(Value::String(input)),
            deleted_after: request["ActionAfterCompletion"] == "DELETE",
            client_token: text(&request["ClientToken"]),
            request: with_creation(request, now),
            fired: false,
        };
        if schedule.expression.starts_with("at(") && schedule.at().is_none() {
            return error(400, "ValidationException", "Invalid Schedule Expression");
        }
        let created = Reply::json(&json!({"ScheduleArn": arn(&group, &name)}));
        match self.schedules.get(&(group.clone(), name.clone())) {
            // The same request again, by its token.
            Some(old)
                if old.client_token.is_some() && old.client_token == schedule.client_token =>
            {
                created
            }
            Some(_) => error(409, "ConflictException", "the schedule exists already"),
            None => {
                self.schedules.insert((group, name), schedule);
                created
            }
        }
    }

    fn get(&self, key: &(String, String)) -> Reply {
        let Some(schedule) = self.schedules.get(key) else {
            return error(404, "ResourceNotFoundException", "the schedule does not exist");
        };
        let mut answer = schedule.request.clone();
        answer["Arn"] = arn(&schedule.group, &schedule.name).into();
        answer["GroupName"] = schedule.group.as_str().into();
        answer["Name"] = schedule.name.as_str().into();
        Reply::json(&answer)
    }

    fn delete(&mut self, key: &(String, String)) -> Reply {
        match self.schedules.remove(key) {
            Some(_) => Reply::json(&json!({})),
            None => error(404, "ResourceNotFoundException", "the schedule does not exist"),
        }
    }
}

fn with_creation(mut request: Value, now: Timestamp) -> Value {
    if let Value::Object(members) = &mut request {
        members.remove("ClientToken");
        members.insert("CreationDate".to_owned(), now.as_second().into());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, When};
    use aws_sdk_scheduler::operation::create_schedule::builders::CreateScheduleFluentBuilder;
    use aws_sdk_scheduler::types::{
        ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
    };
    use jiff::SignedDuration;

    fn schedule(cloud: &Cloud, name: &str, at: &str) -> CreateScheduleFluentBuilder {
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let target = Target::builder()
            .arn("arn:aws:lambda:eu-west-3:000000000000:function:activate")
            .role_arn("arn:aws:iam::000000000000:role/scheduler")
            .input(r#"{"kind":"activate"}"#);
        cloud
            .scheduler()
            .create_schedule()
            .name(name)
            .group_name("seatkeeper")
            .schedule_expression(format!("at({at})"))
            .flexible_time_window(window.unwrap())
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(target.build().unwrap())
    }

    #[tokio::test]
    async fn a_name_can_be_taken_once_and_again_after_deletion() {
        let cloud = Cloud::new();
        schedule(&cloud, "cohort-1", "2026-12-01T08:00:00").send().await.unwrap();
        let again = schedule(&cloud, "cohort-1", "2026-12-01T08:00:00").send().await;
        assert!(again.unwrap_err().into_service_error().is_conflict_exception());

        let get = cloud.scheduler().get_schedule().name("cohort-1").group_name("seatkeeper").send();
        assert_eq!(get.await.unwrap().schedule_expression(), Some("at(2026-12-01T08:00:00)"));

        let delete =
            || cloud.scheduler().delete_schedule().name("cohort-1").group_name("seatkeeper").send();
        delete().await.unwrap();
        let gone = delete().await.unwrap_err().into_service_error();
        assert!(gone.is_resource_not_found_exception());
        schedule(&cloud, "cohort-1", "2026-12-02T08:00:00").send().await.unwrap();
        assert_eq!(cloud.schedules().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_retry_of_a_creation_whose_answer_was_lost_is_no_conflict() {
        let cloud = Cloud::new();
        cloud.inject(When::call("CreateSchedule", 1), Fault::LoseReply);
        schedule(&cloud, "cohort-1", "2026-12-01T08:00:00").send().await.unwrap();
        assert_eq!(cloud.attempts().len(), 2);
        assert_eq!(cloud.schedules().len(), 1);
    }

    #[tokio::test]
    async fn what_is_due_fires_once_in_order_and_disappears() {
        let cloud = Cloud::new();
        schedule(&cloud, "later", "2026-11-23T10:30:00").send().await.unwrap();
        let paris = schedule(&cloud, "sooner", "2026-11-23T11:00:00");
        paris.schedule_expression_timezone("Europe/Paris").send().await.unwrap();
        assert_eq!(cloud.fire_due(), []);
        cloud.clock().advance(SignedDuration::from_mins(61));
        let names = |firings: Vec<Firing>| firings.into_iter().map(|f| f.name).collect::<Vec<_>>();
        assert_eq!(names(cloud.fire_due()), ["sooner"]);
        cloud.clock().advance(SignedDuration::from_hours(1));
        let firings = cloud.fire_due();
        assert_eq!(firings[0].input, json!({"kind": "activate"}));
        assert_eq!(names(firings), ["later"]);
        assert_eq!(names(cloud.fire_due()), Vec::<String>::new());
        assert_eq!(cloud.schedules(), []);
    }

    #[tokio::test]
    async fn a_name_scheduler_would_not_take_is_refused() {
        let cloud = Cloud::new();
        let long = "x".repeat(65);
        for name in ["a#b", long.as_str()] {
            let error = schedule(&cloud, name, "2026-12-01T08:00:00").send().await.unwrap_err();
            assert!(error.into_service_error().is_validation_exception());
        }
    }
}
