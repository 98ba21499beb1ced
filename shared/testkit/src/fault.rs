//! Which attempt goes wrong, and how.

use std::collections::HashMap;
use std::fmt;

/// One of the services a [`Cloud`](crate::Cloud) simulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon S3.
    S3,
    /// Amazon SES, its second API.
    Ses,
    /// Amazon EventBridge Scheduler.
    Scheduler,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamoDb => "dynamodb",
            Self::S3 => "s3",
            Self::Ses => "ses",
            Self::Scheduler => "scheduler",
        })
    }
}

/// What goes wrong with an attempt.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection fails before the request arrives: no effect.
    FailBefore,
    /// The effect happens and the connection breaks before the answer arrives.
    LoseReply,
    /// The effect happens and the service answers 500.
    ErrorAfter,
    /// The service throttles the request in its own words: no effect.
    Throttle,
    /// A concurrent transaction holds an item: no effect. Fires at DynamoDB's writes and
    /// transactions only: `TransactionCanceledException` whose first reason is
    /// `TransactionConflict`, or `TransactionConflictException` for a single write.
    TransactionConflict,
    /// The service refuses with this status and error code: no effect.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The service's name for the error, such as `MessageRejected`.
        code: &'static str,
    },
}

impl Fault {
    /// Whether this fault can happen to such a request at all.
    fn befalls(&self, service: Service, operation: &str) -> bool {
        match self {
            Self::TransactionConflict => {
                service == Service::DynamoDb
                    && matches!(
                        operation,
                        "TransactWriteItems"
                            | "TransactGetItems"
                            | "PutItem"
                            | "UpdateItem"
                            | "DeleteItem"
                    )
            }
            Self::FailBefore
            | Self::LoseReply
            | Self::ErrorAfter
            | Self::Throttle
            | Self::Refuse { .. } => true,
        }
    }
}

/// The attempt a fault is put at. Numbers begin at 1 and count every HTTP attempt, retries by the
/// SDK included.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The attempt of this number, whatever it is.
    Attempt(u64),
    /// The n-th attempt of an operation.
    Call {
        /// The operation, such as `TransactWriteItems`.
        operation: &'static str,
        /// Which of its attempts.
        nth: u64,
    },
    /// Every attempt of an operation, until the faults are cleared.
    Every {
        /// The operation, such as `SendEmail`.
        operation: &'static str,
    },
}

impl When {
    /// The attempt number `number`.
    pub fn attempt(number: u64) -> Self {
        Self::Attempt(number)
    }

    /// The `nth` attempt of `operation`.
    pub fn call(operation: &'static str, nth: u64) -> Self {
        Self::Call { operation, nth }
    }

    /// Every attempt of `operation`.
    pub fn every(operation: &'static str) -> Self {
        Self::Every { operation }
    }

    fn is(&self, attempt: &Attempt) -> bool {
        match *self {
            Self::Attempt(number) => attempt.number == number,
            Self::Call { operation, nth } => attempt.operation == operation && attempt.call == nth,
            Self::Every { operation } => attempt.operation == operation,
        }
    }
}

/// One HTTP attempt of an SDK client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number among all attempts, from 1.
    pub number: u64,
    /// The service it was for.
    pub service: Service,
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// Its number among the attempts of this operation, from 1.
    pub call: u64,
    /// The fault that befell it.
    pub fault: Option<Fault>,
    /// The status the service itself answered; `None` when a fault kept the request from it.
    pub served: Option<u16>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, service, operation, call, fault, served } = self;
        write!(f, "#{number} {service} {operation}/{call}")?;
        if let Some(fault) = fault {
            write!(f, " {fault:?}")?;
        }
        match served {
            Some(status) => write!(f, " {status}"),
            None => f.write_str(" -"),
        }
    }
}

/// The attempts made so far and the faults that await later ones.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    attempts: Vec<Attempt>,
    calls: HashMap<String, u64>,
    plan: Vec<(When, Fault)>,
    /// Counts the restarts, so that an answer to an attempt of before is not noted on a later one.
    era: u64,
}

/// Names an attempt in its trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptId {
    era: u64,
    index: usize,
}

impl Trace {
    /// Numbers a new attempt and returns the fault that befalls it.
    pub(crate) fn begin(
        &mut self,
        service: Service,
        operation: &str,
    ) -> (AttemptId, Option<Fault>) {
        let call = self.calls.entry(operation.to_owned()).or_default();
        *call += 1;
        let index = self.attempts.len();
        let mut attempt = Attempt {
            number: index as u64 + 1,
            service,
            operation: operation.to_owned(),
            call: *call,
            fault: None,
            served: None,
        };
        let due =
            |(when, fault): &(When, Fault)| when.is(&attempt) && fault.befalls(service, operation);
        attempt.fault =
            self.plan.iter().find(|planned| due(planned)).map(|(_, fault)| fault.clone());
        let fault = attempt.fault.clone();
        self.attempts.push(attempt);
        (AttemptId { era: self.era, index }, fault)
    }

    /// Notes what the service answered.
    pub(crate) fn served(&mut self, id: AttemptId, status: u16) {
        if id.era == self.era {
            self.attempts[id.index].served = Some(status);
        }
    }

    pub(crate) fn inject(&mut self, when: When, fault: Fault) {
        self.plan.push((when, fault));
    }

    pub(crate) fn clear_plan(&mut self) {
        self.plan.clear();
    }

    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(crate) fn restart(&mut self) {
        *self = Self { era: self.era + 1, ..Self::default() };
    }
}

#[cfg(test)]
mod tests;
