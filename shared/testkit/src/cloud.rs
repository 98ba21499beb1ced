//! The simulated account: its services, its clients and what a test asks of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use seatkeeper_domain::ports::Clock;
use serde_json::{Value, json};

use crate::connector::Connector;
use crate::defect::Seeded;
use crate::dynamodb::{DynamoDb, TableMoment};
use crate::fault::{Located, Trace};
use crate::latency::Locks;
use crate::post;
use crate::reply::Call;
use crate::s3::S3;
use crate::scheduler::Scheduler;
use crate::ses::Ses;
use crate::{
    Attempt, Fault, Firing, Schedule, SentMail, Service, StoredObject, VirtualClock, When,
};

/// The most the SDK waits before it tries again. Below the runtime timer's millisecond, so that the
/// SDK's jitter cannot change the order of events.
const BACK_OFF: Duration = Duration::from_micros(100);

/// An AWS account in this process, with its DynamoDB table, S3, SES and EventBridge Scheduler.
///
/// Clones share everything. Clients made from it may be used from many tasks and threads.
/// What a test reads through [`dump`](Self::dump), [`stream_records`](Self::stream_records) and the
/// like is no attempt: it is neither numbered nor met by a fault.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

/// The services and the record of the attempts made of them.
pub(crate) struct Inner {
    clock: VirtualClock,
    pub(crate) dynamodb: DynamoDb,
    s3: Mutex<S3>,
    ses: Mutex<Ses>,
    scheduler: Mutex<Scheduler>,
    trace: Mutex<Trace>,
    defect: Mutex<Seeded>,
    pub(crate) locks: Locks,
    /// The quota of the SDK's retries: without an end, so that what one test wastes is not wanting
    /// in another.
    retries: RetryPartition,
}

/// An account at a moment, to go back to.
#[derive(Debug, Clone)]
pub struct Moment {
    instant: Timestamp,
    table: TableMoment,
    s3: S3,
    ses: Ses,
    scheduler: Scheduler,
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn s3(&self) -> MutexGuard<'_, S3> {
        self.s3.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ses(&self) -> MutexGuard<'_, Ses> {
        self.ses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The defect of the product, if it has one.
    pub(crate) fn defect(&self) -> Seeded {
        self.defect.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl Cloud {
    /// The name of the table.
    pub const TABLE: &str = "seatkeeper";
    /// The region of everything.
    pub const REGION: &str = "eu-west-3";
    /// The account of everything.
    pub const ACCOUNT: &str = "000000000000";

    /// An empty account whose clock stands at 2026-11-23T09:00:00Z.
    pub fn new() -> Self {
        Self::with_clock(VirtualClock::at("2026-11-23T09:00:00Z"))
    }

    /// An empty account on `clock`.
    pub fn with_clock(clock: VirtualClock) -> Self {
        Self(Arc::new(Inner {
            clock,
            dynamodb: DynamoDb::new(),
            s3: Mutex::default(),
            ses: Mutex::default(),
            scheduler: Mutex::default(),
            trace: Mutex::default(),
            defect: Mutex::default(),
            locks: Locks::default(),
            retries: RetryPartition::custom("testkit")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        }))
    }

    /// The clock the services go by.
    pub fn clock(&self) -> &VirtualClock {
        &self.0.clock
    }

    /// What production constructors take: this account's connector, credentials and region, and the
    /// SDK's standard retries (three attempts) with next to no back-off.
    ///
    /// A constructor that needs another number of attempts should change that number in the retry
    /// configuration it finds here and leave the back-off.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(post::KEY_ID, post::SECRET, None, None, "testkit");
        let retries =
            RetryConfig::standard().with_initial_backoff(BACK_OFF).with_max_backoff(BACK_OFF);
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(Self::REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Connector(Arc::clone(&self.0)))
            .retry_config(retries)
            .build()
    }

    /// A DynamoDB client.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk_config());
        let config = config.retry_partition(self.0.retries.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An S3 client.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.sdk_config());
        aws_sdk_s3::Client::from_conf(config.retry_partition(self.0.retries.clone()).build())
    }

    /// An SES client which, as in production, makes exactly one attempt: the SDK's own retry of a
    /// mail whose answer was lost would send it twice.
    pub fn ses(&self) -> aws_sdk_sesv2::Client {
        let config = aws_sdk_sesv2::config::Builder::from(&self.sdk_config());
        aws_sdk_sesv2::Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
    }

    /// An EventBridge Scheduler client.
    pub fn scheduler(&self) -> aws_sdk_scheduler::Client {
        let config = aws_sdk_scheduler::config::Builder::from(&self.sdk_config());
        let config = config.retry_partition(self.0.retries.clone());
        aws_sdk_scheduler::Client::from_conf(config.build())
    }

    pub(crate) fn locks(&self) -> &Locks {
        &self.0.locks
    }

    pub(crate) fn set_defect(&self, seeded: Seeded) {
        *self.0.defect.lock().unwrap_or_else(PoisonError::into_inner) = seeded;
    }

    /// Puts `fault` at the attempt that `when` names, one that is still to come. Where several
    /// name the same attempt, the first that can happen to it does.
    pub fn inject(&self, when: When, fault: Fault) {
        self.0.trace().inject(when, fault);
    }

    /// Takes back every fault still to come. What has happened stays in the trace.
    pub fn clear_faults(&self) {
        self.0.trace().clear_plan();
    }

    /// Forgets the attempts and the faults, and numbers attempts from 1 again: what a test
    /// prepares does not shift the numbers of what it examines.
    pub fn restart_trace(&self) {
        self.0.trace().restart();
        self.0.dynamodb.mark();
    }

    /// Restarts the trace and keeps the account as it is now, to go back to any number of times.
    pub fn moment(&self) -> Moment {
        self.restart_trace();
        Moment {
            instant: self.0.now(),
            table: self.0.dynamodb.moment(),
            s3: self.0.s3().clone(),
            ses: self.0.ses().clone(),
            scheduler: self.0.scheduler().clone(),
        }
    }

    /// Makes everything as it was at a moment, the clock and the trace included. That is much
    /// cheaper than to prepare it anew.
    ///
    /// # Panics
    /// If the trace was restarted after it.
    pub fn go_back(&self, moment: &Moment) {
        self.0.trace().restart();
        self.0.clock.set(moment.instant);
        self.0.dynamodb.go_back(&moment.table);
        self.0.s3().clone_from(&moment.s3);
        self.0.ses().clone_from(&moment.ses);
        self.0.scheduler().clone_from(&moment.scheduler);
    }

    /// Lets somebody else act before the attempt that `when` names. Their own attempts are numbered
    /// behind it.
    pub fn let_first<F>(&self, when: When, act: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.trace().let_first(when, Box::new(|| Box::pin(act())));
    }

    /// Runs `work` until it ends or a fault ends who runs it; `None` then, and `work` is dropped at
    /// the very attempt.
    pub async fn until_killed<F: Future>(&self, work: F) -> Option<F::Output> {
        self.0.trace().set_killed(false);
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The attempt that ended it was polled just now.
            Poll::Pending if self.0.trace().set_killed(false) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Lets the writes that were held back arrive, in order, and returns the status that each was
    /// answered to nobody.
    pub fn apply_late(&self) -> Vec<u16> {
        let late = self.0.trace().take_late();
        let arrives = |(service, operation, call): &(Service, String, Call)| {
            self.0.serve(*service, operation, call).map_or(400, |reply| reply.status)
        };
        late.iter().map(arrives).collect()
    }

    /// Every attempt so far, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.trace().attempts().to_vec()
    }

    /// The attempts that a fault befell, in order.
    pub fn fired(&self) -> Vec<Attempt> {
        let trace = self.0.trace();
        trace.attempts().iter().filter(|attempt| attempt.fault.is_some()).cloned().collect()
    }

    /// Every item of the table as plain JSON, ordered by key: numbers are numbers, sets are lists,
    /// binary is Base64.
    pub fn dump(&self) -> Vec<Value> {
        self.0.dynamodb.dump()
    }

    /// The table's stream since the last call, as the event a function receives. `Records` is empty
    /// when nothing happened; a write that changed nothing has no record.
    pub fn stream_records(&self) -> Value {
        json!({"Records": self.0.dynamodb.take_records()})
    }

    /// The same in the order of this seed, some of the records twice: more disorder than a stream
    /// with many shards and redelivered batches can make.
    pub fn stirred_records(&self, seed: u64) -> Value {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut records = self.0.dynamodb.take_records();
        let again: Vec<_> =
            records.iter().filter(|_| chance.random_bool(1.0 / 3.0)).cloned().collect();
        records.extend(again);
        records.shuffle(&mut chance);
        json!({"Records": records})
    }

    /// From now on looks up where in the adapters each attempt comes from. The first look takes a
    /// thread half a second.
    pub fn locate_attempts(&self) {
        self.0.trace().locate(Located::All);
    }

    /// From now on looks up where those attempts come from that a fault befalls.
    pub fn locate_faults(&self) {
        self.0.trace().locate(Located::Faults);
    }

    /// From now on lets a number of other tasks go before each attempt, drawn by this seed: on one
    /// thread, each seed is another interleaving.
    pub fn interleave(&self, seed: u64) {
        self.0.trace().interleave(seed);
    }

    /// Deletes the items whose `expires_at` has passed, as the service would within some days, and
    /// returns how many. Their stream records name the service as the one who did it.
    pub fn expire_items(&self) -> usize {
        self.0.dynamodb.expire(self.0.now())
    }

    /// Every mail SES accepted, in order.
    pub fn sent_mails(&self) -> Vec<SentMail> {
        self.0.ses().sent.clone()
    }

    /// Has SES refuse what is above the account's rate or quota, as the service does.
    pub fn hold_to_quota(&self) {
        self.0.ses().holds = true;
    }

    /// How many mails SES refused because of the account's rate or quota.
    pub fn throttled_mails(&self) -> usize {
        self.0.ses().throttled
    }

    /// Sets what SES tells of the account: mails per second and per 24 hours. Senders are held to
    /// them [on demand](Self::hold_to_quota).
    pub fn set_send_quota(&self, max_send_rate: f64, max_24_hour_send: f64) {
        let mut ses = self.0.ses();
        (ses.max_send_rate, ses.max_24_hour_send) = (max_send_rate, max_24_hour_send);
    }

    /// Every schedule, by group and name.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.0.scheduler().all()
    }

    /// Fires the one-time schedules whose instant has come and returns the calls they make,
    /// earliest first.
    pub fn fire_due(&self) -> Vec<Firing> {
        self.0.scheduler().fire_due(self.0.now())
    }

    /// Stores an object as a client's upload would.
    pub fn upload(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> StoredObject {
        self.0.s3().store(bucket, key, body.into(), Vec::new(), self.0.now())
    }

    /// Posts a form with a file to a bucket, as a browser would. The error is S3's code.
    pub fn post_form(
        &self,
        url: &str,
        fields: &BTreeMap<String, String>,
        file: impl Into<Bytes>,
    ) -> Result<StoredObject, &'static str> {
        let (host, path) =
            url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).ok_or("InvalidURI")?;
        let bucket = host.split_once(".s3.").map_or(path.trim_matches('/'), |(bucket, _)| bucket);
        let (file, now) = (file.into(), self.0.now());
        post::check(bucket, Self::REGION, fields, file.len(), now)?;
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone())
        };
        let key = field("key").ok_or("InvalidArgument")?;
        let media_type = field("content-type").map(|value| ("content-type".to_owned(), value));
        let headers = media_type.into_iter().collect();
        Ok(self.0.s3().store(bucket, &key, file, headers, now))
    }

    /// The newest version of every object, by bucket and key; deleted ones are not there.
    pub fn objects(&self) -> Vec<StoredObject> {
        self.0.s3().current()
    }
}
