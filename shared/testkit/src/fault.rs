//! Which attempt goes wrong, and how.

mod partial;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;

pub(crate) use partial::shorten;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::reply::Call;
use crate::site::{self, Site};

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
    /// The transaction is under way already, sent once before by the same token: it takes effect,
    /// and the answer says `TransactionInProgressException`. Fires at `TransactWriteItems` only.
    TransactionInProgress,
    /// The service refuses with this status and error code: no effect.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The service's name for the error, such as `MessageRejected`.
        code: &'static str,
    },
    /// Who made the request ends before it arrives: no effect, and the attempt never returns. Run
    /// the work under [`Cloud::until_killed`](crate::Cloud::until_killed), which drops it.
    KillBefore,
    /// Who made the request ends after the effect: the attempt never returns.
    KillAfter,
    /// The request is lost and the connection stays open: no effect, and the attempt never returns.
    /// Ends by the caller's own deadline.
    Hang,
    /// The connection breaks and the write arrives later: with
    /// [`Cloud::apply_late`](crate::Cloud::apply_late). Fires at writes only.
    Late,
    /// Who made the request ends, and the write arrives later. Fires at writes only.
    KillLate,
    /// The transaction reaches the service without its request token and the answer is lost: a
    /// retry is a transaction that the service has not seen. Fires at `TransactWriteItems` only.
    ForgetToken,
    /// The read is answered from a copy that lacks every write since the trace was restarted. Fires
    /// at DynamoDB's eventually consistent reads only, those of an index included.
    StaleRead,
    /// A batch is done in part, its rest unprocessed; a query or scan answers with one item and
    /// where to go on. Fires at batches of two or more, queries and scans.
    Partial,
    /// The answer's head arrives, and half of its body before the connection breaks. Fires at S3's
    /// `GetObject` only.
    CutBody,
    /// Nothing goes wrong with the attempt itself: somebody else acts before it. Put by
    /// [`Cloud::let_first`](crate::Cloud::let_first).
    OtherFirst,
}

impl Fault {
    /// Whether this fault can happen to such a request at all.
    fn befalls(&self, service: Service, operation: &str, call: &Call) -> bool {
        let dynamodb = service == Service::DynamoDb;
        match self {
            Self::TransactionConflict => {
                dynamodb
                    && matches!(
                        operation,
                        "TransactWriteItems"
                            | "TransactGetItems"
                            | "PutItem"
                            | "UpdateItem"
                            | "DeleteItem"
                    )
            }
            Self::Late | Self::KillLate => writes(operation),
            Self::ForgetToken | Self::TransactionInProgress => {
                dynamodb && operation == "TransactWriteItems"
            }
            Self::CutBody => service == Service::S3 && operation == "GetObject",
            Self::StaleRead => dynamodb && reads_eventually(operation, call),
            Self::Partial => dynamodb && partial::can_be_partial(operation, call),
            Self::OtherFirst => false,
            Self::FailBefore
            | Self::LoseReply
            | Self::ErrorAfter
            | Self::Throttle
            | Self::Refuse { .. }
            | Self::KillBefore
            | Self::KillAfter
            | Self::Hang => true,
        }
    }
}

/// Whether an operation of any of the services changes something.
fn writes(operation: &str) -> bool {
    ["Put", "Update", "Delete", "BatchWrite", "TransactWrite", "Send", "Create"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

fn reads_eventually(operation: &str, call: &Call) -> bool {
    let body = call.json();
    let consistent = |place: &serde_json::Value| place["ConsistentRead"] == true;
    match operation {
        "GetItem" | "Query" | "Scan" => !consistent(&body),
        "BatchGetItem" => !consistent(&body["RequestItems"][crate::Cloud::TABLE]),
        _ => false,
    }
}

/// The most turns that an attempt waits.
const TURNS_MAX: u32 = 6;

/// What somebody else does, once.
pub(crate) type Act = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Somebody else who acts before an attempt.
struct Other {
    when: When,
    act: Act,
}

impl fmt::Debug for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "somebody else before {:?}", self.when)
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
    /// Where in the adapters it comes from: after
    /// [`Cloud::locate_attempts`](crate::Cloud::locate_attempts), and for those that a fault befell
    /// after [`Cloud::locate_faults`](crate::Cloud::locate_faults).
    pub site: Option<Site>,
    /// The status the service itself answered; `None` when a fault kept the request from it.
    pub served: Option<u16>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, service, operation, call, fault, site: _, served } = self;
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

/// Of which attempts it is looked up where they come from.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) enum Located {
    #[default]
    None,
    /// Of those that a fault befalls.
    Faults,
    All,
}

/// The attempts made so far and the faults that await later ones.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    attempts: Vec<Attempt>,
    calls: HashMap<String, u64>,
    plan: Vec<(When, Fault)>,
    others: Vec<Other>,
    /// Writes that arrive later.
    late: Vec<(Service, String, Call)>,
    /// Whether who runs under this trace has been ended.
    killed: bool,
    /// Which attempts are located.
    locates: Located,
    /// Draws how many others go before each attempt.
    order: Option<Xoshiro256PlusPlus>,
    /// Counts the restarts, so that an answer to an attempt of before is not noted on a later one.
    era: u64,
}

/// Names an attempt in its trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptId {
    era: u64,
    index: usize,
}

/// What a new attempt meets.
pub(crate) struct Begun {
    pub(crate) id: AttemptId,
    pub(crate) fault: Option<Fault>,
    /// What somebody else does first.
    pub(crate) first: Option<Act>,
}

impl Trace {
    /// Numbers a new attempt and says what befalls it.
    pub(crate) fn begin(&mut self, service: Service, operation: &str, request: &Call) -> Begun {
        let call = self.calls.entry(operation.to_owned()).or_default();
        *call += 1;
        let index = self.attempts.len();
        let mut attempt = Attempt {
            number: index as u64 + 1,
            service,
            operation: operation.to_owned(),
            call: *call,
            fault: None,
            site: None,
            served: None,
        };
        let other = self.others.iter().position(|other| other.when.is(&attempt));
        let first = other.map(|place| self.others.remove(place).act);
        let due = |(when, fault): &(When, Fault)| {
            when.is(&attempt) && fault.befalls(service, operation, request)
        };
        let fault = self.plan.iter().find(|planned| due(planned)).map(|(_, fault)| fault.clone());
        attempt.fault = fault.clone().or(first.is_some().then_some(Fault::OtherFirst));
        let located = match self.locates {
            Located::None => false,
            Located::Faults => attempt.fault.is_some(),
            Located::All => true,
        };
        attempt.site = located.then(site::of_this_attempt).flatten();
        self.attempts.push(attempt);
        Begun { id: AttemptId { era: self.era, index }, fault, first }
    }

    pub(crate) fn locate(&mut self, located: Located) {
        self.locates = located;
    }

    pub(crate) fn interleave(&mut self, seed: u64) {
        self.order = Some(Xoshiro256PlusPlus::seed_from_u64(seed));
    }

    /// How often a new attempt lets others go first.
    pub(crate) fn turns(&mut self) -> u32 {
        self.order.as_mut().map_or(1, |order| order.random_range(1..=TURNS_MAX))
    }

    pub(crate) fn let_first(&mut self, when: When, act: Act) {
        self.others.push(Other { when, act });
    }

    pub(crate) fn hold_back(&mut self, service: Service, operation: &str, call: Call) {
        self.late.push((service, operation.to_owned(), call));
    }

    pub(crate) fn take_late(&mut self) -> Vec<(Service, String, Call)> {
        std::mem::take(&mut self.late)
    }

    /// Sets whether who runs has been ended; returns whether it was so.
    pub(crate) fn set_killed(&mut self, killed: bool) -> bool {
        std::mem::replace(&mut self.killed, killed)
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
        self.others.clear();
    }

    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(crate) fn restart(&mut self) {
        // What is still on its way is on its way.
        let late = self.take_late();
        *self = Self { era: self.era + 1, late, ..Self::default() };
    }
}

#[cfg(test)]
mod tests;
