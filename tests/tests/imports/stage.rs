//! The world with buckets, groups and a worker.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use seatkeeper_aws::S3Files;
use seatkeeper_domain::actions::add_group::add_group;
use seatkeeper_domain::actions::import_rows::import_rows;
use seatkeeper_domain::actions::run_import::{DroppedFile, ImportEnd, Importer, RunImportError};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::Group;
use seatkeeper_domain::contract::Policies;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::{GroupId, ImportId};
use seatkeeper_domain::import_run::{ImportRun, Outcome, RowRecord, SourceObject, Verdict};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, IdSource as _, ImportLog as _, People as _};
use seatkeeper_domain::role::PrivilegedRoles;
use seatkeeper_import::HandleError;
use seatkeeper_spreadsheet::Spreadsheets;
use seatkeeper_testkit::StoredObject;
use seatkeeper_tests::World;
use seatkeeper_tests::full::in_full;
use serde_json::{Value, json};

pub(crate) const UPLOADS: &str = "uploads";
pub(crate) const REPORTS: &str = "reports";
pub(crate) const GROUPS: [&str; 2] = ["Paris", "Région Nord"];

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) languages: Languages,
    pub(crate) groups: Vec<(GroupId, &'static str)>,
    pub(crate) files: S3Files,
}

impl Stage {
    pub(crate) async fn with_seats(seats: u64) -> Self {
        let policies =
            Policies { privileged_roles: PrivilegedRoles::ClientAdmin, ..Policies::default() };
        Self::with_policies(seats, policies).await
    }

    pub(crate) async fn with_policies(seats: u64, policies: Policies) -> Self {
        let world = World::with_policies(seats, policies).await;
        let mut groups = Vec::new();
        for name in GROUPS {
            let group_id = GroupId::from_uuid(world.ids.uuid());
            let created_at = world.clock.now();
            let group = Group { group_id, name: name.to_owned(), created_at };
            let added = add_group(&world.store, Actor::System, world.op(), &world.client, &group);
            added.await.expect("a new group");
            groups.push((group_id, name));
        }
        let files = S3Files::new(world.cloud.s3(), UPLOADS, REPORTS);
        let languages = Languages::from_list("en,fr,de,es,it,nl,pt");
        Self { world, languages, groups, files }
    }

    pub(crate) fn importer(
        &self,
        deadline: Timestamp,
    ) -> Importer<
        '_,
        seatkeeper_aws::Store,
        S3Files,
        Spreadsheets,
        seatkeeper_testkit::VirtualClock,
        seatkeeper_testkit::SeededIds,
    > {
        Importer {
            ports: &self.world.store,
            files: &self.files,
            sheets: &Spreadsheets,
            clock: &self.world.clock,
            ids: &self.world.ids,
            keys: &self.world.keys,
            languages: &self.languages,
            passwords: PasswordPolicy::default(),
            max_rows: 10_000,
            deadline,
        }
    }

    /// A worker with a quarter of an hour.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.world.clock.now() + SignedDuration::from_mins(15)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("drop/{}/{}/{name}", self.world.client, self.world.contract.contract_id)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) -> StoredObject {
        self.world.cloud.upload(UPLOADS, &self.key(name), bytes.into())
    }

    /// Puts a file with metadata, as `aws s3 cp --metadata` does.
    pub(crate) async fn put_with(
        &self,
        name: &str,
        text: &str,
        metadata: &[(&str, &str)],
    ) -> StoredObject {
        let key = self.key(name);
        let mut call = self.world.cloud.s3().put_object().bucket(UPLOADS).key(&key);
        for (name, value) in metadata {
            call = call.metadata(*name, *value);
        }
        let put = call.body(text.as_bytes().to_vec().into()).send().await.expect("stored");
        let objects = self.world.cloud.objects();
        let object = objects.into_iter().find(|object| object.key == key).expect("the object");
        assert_eq!(put.version_id(), Some(object.version_id.as_str()));
        object
    }

    pub(crate) fn dropped(&self, object: &StoredObject) -> DroppedFile {
        DroppedFile {
            bucket: object.bucket.clone(),
            source: SourceObject {
                key: object.key.clone(),
                version_id: Some(object.version_id.clone()),
                etag: Some(object.etag.clone()),
            },
            client_id: self.world.client.clone(),
            contract_id: self.world.contract.contract_id,
        }
    }

    pub(crate) fn import_id(&self, object: &StoredObject) -> ImportId {
        self.dropped(object).import_id(&self.world.keys)
    }

    /// The event that S3 sends for an object.
    #[expect(clippy::unused_self, reason = "reads as what happens on the stage")]
    pub(crate) fn event(&self, object: &StoredObject) -> Value {
        s3_event(object)
    }

    pub(crate) async fn handle(&self, event: &Value) -> Result<(), HandleError> {
        let importer = self.importer(self.deadline());
        Box::pin(seatkeeper_import::handle(&importer, UPLOADS, event)).await
    }

    pub(crate) async fn run(&self, object: &StoredObject) -> Result<ImportEnd, RunImportError> {
        let importer = self.importer(self.deadline());
        Box::pin(importer.run(&self.dropped(object))).await
    }

    pub(crate) async fn resume(&self, import: ImportId) -> Result<ImportEnd, RunImportError> {
        let importer = self.importer(self.deadline());
        Box::pin(importer.resume(&self.world.client, import)).await
    }

    /// Drops a file and delivers its event.
    pub(crate) async fn import(&self, name: &str, bytes: impl Into<Vec<u8>>) -> ImportRun {
        let object = self.put(name, bytes);
        self.handle(&self.event(&object)).await.expect("a run import");
        self.found(&object).await
    }

    /// The same with settings.
    pub(crate) async fn import_with(&self, text: &str, metadata: &[(&str, &str)]) -> ImportRun {
        let object = self.put_with("people.csv", text, metadata).await;
        self.handle(&self.event(&object)).await.expect("a run import");
        self.found(&object).await
    }

    pub(crate) async fn found(&self, object: &StoredObject) -> ImportRun {
        let import = self.import_id(object);
        let run = self.world.store.import(&self.world.client, import).await;
        run.expect("readable").expect("an import")
    }

    pub(crate) async fn rows(&self, run: &ImportRun) -> Vec<RowRecord> {
        let rows = import_rows(&self.world.store, &self.files, &self.world.client, run).await;
        rows.expect("readable")
    }

    pub(crate) async fn outcomes(&self, run: &ImportRun) -> Vec<Option<Outcome>> {
        self.rows(run).await.iter().map(|row| row.outcome).collect()
    }

    pub(crate) async fn learner(&self, email: &str) -> Option<Learner> {
        let email = EmailAddress::parse(email).expect("an address");
        let id = self.world.keys.learner_id(&self.world.client, &email);
        self.world.store.learner(&self.world.client, id).await.expect("readable")
    }

    pub(crate) fn report(&self, run: &ImportRun) -> Vec<u8> {
        let key = run.report_key.as_deref().expect("a report");
        assert_eq!(key, format!("reports/{}/{}.xlsx", self.world.client, run.import_id));
        let objects = self.world.cloud.objects();
        let report = objects.iter().find(|object| object.bucket == REPORTS && object.key == key);
        report.expect("the report in its bucket").body.to_vec()
    }

    /// The mails that are owed, one entry a person: when, and what they say.
    pub(crate) fn mails(&self) -> Vec<(String, String)> {
        let dump = in_full(self.world.cloud.dump());
        let intents = dump.iter().filter(|item| item["kind"] == "mail");
        let mut mails: Vec<(String, String)> = intents
            .flat_map(|intent| {
                let due = intent["due_at"].as_str().expect("an instant").to_owned();
                let subjects = intent["subjects"].as_array().expect("subjects").clone();
                subjects.into_iter().map(move |subject| {
                    let letter = subject["letter"].as_str().or(subject["about"].as_str());
                    (due.clone(), letter.expect("a letter or what it is about").to_owned())
                })
            })
            .collect();
        mails.sort();
        mails
    }

    /// Everything an import at rest promises: the seats add up and are told of, the totals are
    /// those of the rows, nothing is reserved any more, and there is a report.
    pub(crate) async fn assert_at_rest(&self, run: &ImportRun) {
        assert!(run.status.is_at_rest() && run.lease_until.is_none(), "{:?}", run.status);
        self.report(run);
        let dump = self.world.cloud.dump();
        assert!(dump.iter().all(|item| item["kind"] != "block"), "a block is left open");
        self.world.assert_seats_are_conserved().await;
        let rows = self.rows(run).await;
        let verdicts = |verdict| count(&rows, |row| row.verdict == verdict);
        let outcomes = |outcome| count(&rows, |row| row.outcome == Some(outcome));
        let totals = run.totals;
        assert_eq!(rows.len(), run.rows_done as usize);
        assert_eq!(totals.valid, verdicts(Verdict::Valid));
        assert_eq!(totals.invalid, verdicts(Verdict::Invalid));
        assert_eq!(totals.duplicate, verdicts(Verdict::Duplicate));
        assert_eq!(totals.existing, verdicts(Verdict::Existing));
        assert_eq!(totals.created, outcomes(Outcome::Created));
        assert_eq!(totals.scheduled, outcomes(Outcome::Scheduled));
        assert_eq!(totals.invited, outcomes(Outcome::Invited));
        assert_eq!(totals.updated, outcomes(Outcome::Updated));
        assert_eq!(totals.skipped, outcomes(Outcome::Skipped));
        assert_eq!(totals.not_seated, outcomes(Outcome::NotSeated));
        assert_eq!(totals.failed, outcomes(Outcome::Failed));
        assert!(rows.iter().all(|row| row.outcome.is_some()), "every row has an outcome");
    }
}

/// The event that S3 sends for an object.
pub(crate) fn s3_event(object: &StoredObject) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-3",
        "eventTime": "2026-11-23T09:00:00.000Z", "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:A"},
        "requestParameters": {"sourceIPAddress": "203.0.113.24"}, "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "Drop",
            "bucket": {"name": object.bucket, "ownerIdentity": {"principalId": "A"},
                       "arn": format!("arn:aws:s3:::{}", object.bucket)},
            "object": {"key": form_encoded(&object.key), "size": object.body.len(),
                       "eTag": object.etag.trim_matches('"'),
                       "versionId": object.version_id, "sequencer": "00"}
        }
    }]})
}

fn count(rows: &[RowRecord], what: impl Fn(&RowRecord) -> bool) -> u32 {
    u32::try_from(rows.iter().filter(|row| what(row)).count()).expect("few rows")
}

/// A key as S3 writes it into events.
fn form_encoded(key: &str) -> String {
    let mut text = String::new();
    for byte in key.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// A list of `count` people, numbered from 0; `start` says when a row begins.
pub(crate) fn people(count: usize, start: impl Fn(usize) -> &'static str) -> String {
    (0..count).fold("email;prénom;date de début\n".to_owned(), |mut text, number| {
        let _ = writeln!(text, "person.{number}@example.fr;P{number};{}", start(number));
        text
    })
}
