//! What the events of this function say.
//!
//! Keys come form-encoded in S3's events: `+` is a space and `%XX` a byte, which nobody else
//! decodes.

use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use seatkeeper_domain::actions::run_import::{DroppedFile, UploadedFile};
use seatkeeper_domain::ids::{ClientId, ContractId, ImportId};
use seatkeeper_domain::import_run::SourceObject;
use serde::Deserialize;
use serde_json::Value;

/// One thing to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Import a dropped file.
    Drop(DroppedFile),
    /// Go on with an import whose worker is gone.
    Resume {
        /// Whose.
        client_id: ClientId,
        /// Which.
        import_id: ImportId,
    },
    /// Import a file that came through the form of an import.
    Upload(UploadedFile),
}

/// Why an event cannot be understood. It names no key: that is a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// It is neither of S3 nor a wish to go on.
    #[error("the event is neither of the bucket nor a wish to go on with an import")]
    Unknown,
    /// It tells of something else than a new object.
    #[error("the event tells of something else than a new object")]
    NotCreated,
    /// A record lacks its bucket or key, or the key cannot be decoded.
    #[error("a record without a readable bucket and key")]
    NoObject,
    /// A key is neither of the form `drop/<client>/<contract>/<name>` nor an import's.
    #[error("a key that is neither of the form drop/<client>/<contract>/<name> nor an import's")]
    ForeignKey,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Wish {
    ResumeImport { client: ClientId, import: ImportId },
}

/// Reads an event. Nothing is to be done about the one that S3 sends when a bucket is connected.
pub fn triggers(event: &Value) -> Result<Vec<Trigger>, UnreadableEvent> {
    if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if event.get("kind").is_some() {
        let wish = Wish::deserialize(event).map_err(|_| UnreadableEvent::Unknown)?;
        let Wish::ResumeImport { client, import } = wish;
        return Ok(vec![Trigger::Resume { client_id: client, import_id: import }]);
    }
    if event.get("Records").is_none() {
        return Err(UnreadableEvent::Unknown);
    }
    let event = S3Event::deserialize(event).map_err(|_| UnreadableEvent::Unknown)?;
    event.records.iter().filter_map(|record| trigger(record).transpose()).collect()
}

/// What a record asks for; `None` for the marker of a folder, which the console makes as an empty
/// object.
fn trigger(record: &S3EventRecord) -> Result<Option<Trigger>, UnreadableEvent> {
    let name = record.event_name.as_deref().unwrap_or_default();
    let name = name.strip_prefix("s3:").unwrap_or(name);
    if !name.starts_with("ObjectCreated:") {
        return Err(UnreadableEvent::NotCreated);
    }
    let object = &record.s3.object;
    let bucket = record.s3.bucket.name.clone().ok_or(UnreadableEvent::NoObject)?;
    let key = object.key.as_deref().and_then(decoded).ok_or(UnreadableEvent::NoObject)?;
    if key.ends_with('/') && object.size.unwrap_or(0) == 0 {
        return Ok(None);
    }
    let version_id = object.version_id.clone().filter(|id| !id.is_empty() && id != "null");
    let etag = object.e_tag.as_deref().map(quoted);
    if let Some(rest) = key.strip_prefix("imports/") {
        let (client_id, import_id, name) = of_import(rest).ok_or(UnreadableEvent::ForeignKey)?;
        if name.starts_with("go-on-") {
            return Ok(Some(Trigger::Resume { client_id, import_id }));
        }
        let source = SourceObject { version_id, etag, key };
        return Ok(Some(Trigger::Upload(UploadedFile { bucket, source, client_id, import_id })));
    }
    let mut parts = key.splitn(4, '/');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (Some("drop"), Some(client), Some(contract), Some(_)) = (part(), part(), part(), part())
    else {
        return Err(UnreadableEvent::ForeignKey);
    };
    let client_id: ClientId = client.parse().map_err(|_| UnreadableEvent::ForeignKey)?;
    let contract_id: ContractId = contract.parse().map_err(|_| UnreadableEvent::ForeignKey)?;
    let source = SourceObject { version_id, etag, key };
    Ok(Some(Trigger::Drop(DroppedFile { bucket, source, client_id, contract_id })))
}

/// Client, import and name of an object below `imports/`.
fn of_import(rest: &str) -> Option<(ClientId, ImportId, &str)> {
    let (client, rest) = rest.split_once('/')?;
    let (import, name) = rest.split_once('/')?;
    let known = name.starts_with("source.") || name.starts_with("go-on-");
    known.then_some((client.parse().ok()?, import.parse().ok()?, name))
}

/// An entity tag as conditions want it: the event leaves the quotes out.
fn quoted(etag: &str) -> String {
    format!("\"{}\"", etag.trim_matches('"'))
}

/// The key that this form-encoded text stands for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_decoded_once_and_a_broken_one_is_none() {
        assert_eq!(decoded("a+b%2Bc%20d").as_deref(), Some("a b+c d"));
        assert_eq!(decoded("R%C3%A9gion%25.xlsx").as_deref(), Some("Région%.xlsx"));
        for broken in ["%", "%4", "%zz", "%+1", "%C3"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    fn record(name: &str, key: &str) -> Value {
        json!({"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-3",
            "eventTime": "2026-11-23T09:00:00.000Z", "eventName": name,
            "userIdentity": {}, "requestParameters": {}, "responseElements": {},
            "s3": {
                "bucket": {"name": "uploads", "ownerIdentity": {}},
                "object": {"key": key, "size": 1, "eTag": "0a1b", "versionId": "v1"}
            }
        }]})
    }

    fn failure(event: &Value) -> Option<UnreadableEvent> {
        triggers(event).err()
    }

    #[test]
    fn the_marker_of_a_folder_asks_for_nothing() {
        let mut marker = record("ObjectCreated:Put", &format!("drop/acme/con_{}/", "0".repeat(26)));
        marker["Records"][0]["s3"]["object"]["size"] = json!(0);
        assert!(triggers(&marker).is_ok_and(|triggers| triggers.is_empty()));
    }

    #[test]
    fn an_object_of_an_import_is_its_file_or_has_it_go_on() {
        let import = format!("imp_{}", "0".repeat(26));
        let read = |name: &str| {
            let event = record("ObjectCreated:Post", &format!("imports/acme/{import}/{name}"));
            triggers(&event).ok().and_then(|mut found| found.pop())
        };
        assert!(matches!(read("source.csv"), Some(Trigger::Upload(file))
            if file.import_id.to_string() == import && file.bucket == "uploads"));
        assert!(matches!(read("go-on-3"), Some(Trigger::Resume { import_id, .. })
            if import_id.to_string() == import));
    }

    #[test]
    fn what_is_no_new_file_in_its_place_is_an_error() {
        let contract = format!("con_{}", "0".repeat(26));
        let good = format!("drop/acme/{contract}/a.xlsx");
        assert_eq!(failure(&record("ObjectCreated:Put", &good)), None);
        let not_created = Some(UnreadableEvent::NotCreated);
        assert_eq!(failure(&record("ObjectRemoved:Delete", &good)), not_created);
        let nested = format!("drop/acme/{contract}/2026/a.xlsx");
        assert_eq!(failure(&record("ObjectCreated:Copy", &nested)), None);
        for key in [
            format!("drop/acme/{contract}/"),
            format!("drop/acme/{contract}"),
            format!("drop/Acme/{contract}/a.xlsx"),
            format!("elsewhere/acme/{contract}/a.xlsx"),
            "drop/acme/con_1/a.xlsx".to_owned(),
        ] {
            let found = failure(&record("ObjectCreated:Put", &key));
            assert_eq!(found, Some(UnreadableEvent::ForeignKey), "{key}");
        }
        let import = format!("imp_{}", "0".repeat(26));
        for key in [
            format!("imports/acme/{import}"),
            format!("imports/acme/{import}/other.xlsx"),
            format!("imports/Acme/{import}/source.xlsx"),
            "imports/acme/imp_1/source.xlsx".to_owned(),
        ] {
            let found = failure(&record("ObjectCreated:Post", &key));
            assert_eq!(found, Some(UnreadableEvent::ForeignKey), "{key}");
        }
        for event in [json!({}), json!([]), json!({"kind": "activate"}), json!({"Records": 1})] {
            assert_eq!(failure(&event), Some(UnreadableEvent::Unknown), "{event}");
        }
    }
}
