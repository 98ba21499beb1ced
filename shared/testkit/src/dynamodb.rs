//! DynamoDB: an embedded database, with the stream and the request tokens on the virtual clock.
//!
//! The database itself neither keeps the stream nor forgets request tokens by our clock, so both are
//! done here: a write is bracketed by reads of the items it names, and the difference is its stream
//! records. As on AWS, a write that changes nothing leaves none.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynoxide::{Database, DynoxideError};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::reply::{Call, Reply};
use crate::{Cloud, Service};

/// How long DynamoDB remembers a `ClientRequestToken`.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// The table with its stream.
pub(crate) struct DynamoDb {
    database: Database,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// Stream records that nobody has taken yet.
    records: Vec<Value>,
    /// Sequence number of the newest record.
    sequence: u64,
    /// When each request token was first used, and how often it has been forgotten since.
    tokens: HashMap<String, (Timestamp, u32)>,
    /// How often the table went back to a moment: what the database remembers of request tokens
    /// belongs to a time that has not been.
    returns: u32,
    /// What each write since the last mark replaced, in order.
    replaced: Vec<(Value, Option<Value>)>,
    /// Counts the marks.
    marks: u32,
}

/// The table at a moment, as far as it is not in the database.
#[derive(Debug, Clone)]
pub(crate) struct TableMoment {
    records: Vec<Value>,
    sequence: u64,
    marks: u32,
}

/// Who deletes an item whose time to live is over.
const TTL_IDENTITY: &str = "dynamodb.amazonaws.com";

/// The operation a request names.
pub(crate) fn operation(call: &Call) -> Option<String> {
    let (_, operation) = call.header("x-amz-target")?.split_once('.')?;
    Some(operation.to_owned())
}

/// The answer when another transaction is under way on an item of this request.
pub(crate) fn conflict(operation: &str, call: &Call) -> Reply {
    let message = "Transaction is ongoing for the item";
    if !operation.starts_with("Transact") {
        return Reply::error(Service::DynamoDb, 400, "TransactionConflictException", message);
    }
    let actions = call.json()["TransactItems"].as_array().map_or(1, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); actions];
    reasons[0] = json!({"Code": "TransactionConflict", "Message": message});
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
        "CancellationReasons": reasons,
    });
    Reply::new(400, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

/// The answer when the same transaction is under way already.
pub(crate) fn in_progress() -> Reply {
    let message = "The transaction with the given request token is already in progress.";
    Reply::error(Service::DynamoDb, 400, "TransactionInProgressException", message)
}

impl DynamoDb {
    /// An empty table as the template makes it.
    pub(crate) fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        let table = json!({
            "TableName": Cloud::TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": "due_shard", "AttributeType": "S"},
                {"AttributeName": "due_at", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_shard", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
        });
        ask(table, |request| database.create_table(request)).expect("a table like the template's");
        Self { database, log: Mutex::default() }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the request asks; `None` for an operation that is not simulated.
    pub(crate) fn answer(&self, operation: &str, call: &Call, now: Timestamp) -> Option<Reply> {
        let body = call.json();
        let database = &self.database;
        let result = match operation {
            "GetItem" => ask(body, |request| database.get_item(request)),
            "BatchGetItem" => ask(body, |request| database.batch_get_item(request)),
            "Query" => ask(body, |request| database.query(request)),
            "Scan" => ask(body, |request| database.scan(request)),
            "TransactGetItems" => ask(body, |request| database.transact_get_items(request)),
            "DescribeTable" => ask(body, |request| database.describe_table(request)),
            "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => {
                self.write(operation, body, now)
            }
            _ => return None,
        };
        let reply = match result {
            Ok(answer) => Reply::new(200, answer.to_string()),
            Err(error) => Reply::new(error.status_code(), error.to_json()),
        };
        Some(reply.with("content-type", "application/x-amz-json-1.0"))
    }

    /// Answers a read from a copy as the table was at the last mark.
    pub(crate) fn answer_stale(
        &self,
        operation: &str,
        call: &Call,
        now: Timestamp,
    ) -> Option<Reply> {
        let key = |item: &Value| (item["pk"].to_string(), item["sk"].to_string());
        let mut items: BTreeMap<_, _> =
            self.items().into_iter().map(|item| (key(&item), item)).collect();
        for (written, before) in self.log().replaced.iter().rev() {
            match before {
                Some(item) => items.insert(key(written), item.clone()),
                None => items.remove(&key(written)),
            };
        }
        let copy = Self::new();
        for item in items.into_values() {
            let put = json!({"TableName": Cloud::TABLE, "Item": item});
            ask(put, |request| copy.database.put_item(request)).expect("an item once written");
        }
        copy.answer(operation, call, now)
    }

    /// Makes the table as it is now what stale reads see.
    pub(crate) fn mark(&self) {
        let mut log = self.log();
        log.replaced.clear();
        log.marks += 1;
    }

    /// The moment of the last mark, which is now.
    pub(crate) fn moment(&self) -> TableMoment {
        self.mark();
        let log = self.log();
        let (records, sequence, marks) = (log.records.clone(), log.sequence, log.marks);
        TableMoment { records, sequence, marks }
    }

    /// Takes back every write since a moment.
    pub(crate) fn go_back(&self, moment: &TableMoment) {
        let mut log = self.log();
        assert_eq!(log.marks, moment.marks, "the trace was restarted after this moment");
        let mut first: BTreeMap<String, (Value, Option<Value>)> = BTreeMap::new();
        for (key, before) in std::mem::take(&mut log.replaced) {
            first.entry(key.to_string()).or_insert((key, before));
        }
        for (key, before) in first.into_values() {
            let table = Cloud::TABLE;
            let done = if let Some(item) = before {
                let put = json!({"TableName": table, "Item": item});
                ask(put, |request| self.database.put_item(request))
            } else {
                let delete = json!({"TableName": table, "Key": key});
                ask(delete, |request| self.database.delete_item(request))
            };
            done.expect("an item as it was");
        }
        log.records.clone_from(&moment.records);
        log.sequence = moment.sequence;
        log.tokens.clear();
        log.returns += 1;
    }

    fn write(&self, operation: &str, mut body: Value, now: Timestamp) -> Outcome {
        let keys = written_keys(operation, &body);
        let database = &self.database;
        // One writer at a time, so that nothing comes between the images and the write.
        let mut log = self.log();
        let before: Vec<Option<Value>> = keys.iter().map(|key| self.item(key)).collect();
        let answer = match operation {
            "PutItem" => ask(body, |request| database.put_item(request)),
            "UpdateItem" => ask(body, |request| database.update_item(request)),
            "DeleteItem" => ask(body, |request| database.delete_item(request)),
            "BatchWriteItem" => ask(body, |request| database.batch_write_item(request)),
            _ => {
                if let Some(token) = body["ClientRequestToken"].as_str() {
                    body["ClientRequestToken"] = log.remembered(token, now).into();
                }
                ask(body, |request| database.transact_write_items(request))
            }
        }?;
        for (key, before) in keys.iter().zip(before) {
            log.record(key, before, self.item(key), now);
        }
        Ok(answer)
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let request = json!({"TableName": Cloud::TABLE, "Key": key, "ConsistentRead": true});
        // A malformed key is the write's to refuse.
        let mut answer = ask(request, |request| self.database.get_item(request)).ok()?;
        answer.get_mut("Item").map(Value::take)
    }

    /// Every item, in DynamoDB's own JSON.
    fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request = json!({"TableName": Cloud::TABLE, "ConsistentRead": true});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let mut page = ask(request, |request| self.database.scan(request)).expect("a scan");
            if let Some(Value::Array(found)) = page.get_mut("Items").map(Value::take) {
                items.extend(found);
            }
            start = page.get_mut("LastEvaluatedKey").map(Value::take).unwrap_or_default();
            if start.is_null() {
                return items;
            }
        }
    }

    /// Every item as plain JSON, ordered by its key.
    pub(crate) fn dump(&self) -> Vec<Value> {
        let mut items: Vec<Value> = self.items().into_iter().map(plain_item).collect();
        items.sort_by(|a, b| {
            let key = |item: &Value| (item["pk"].to_string(), item["sk"].to_string());
            key(a).cmp(&key(b))
        });
        items
    }

    /// Takes the stream records nobody has taken.
    pub(crate) fn take_records(&self) -> Vec<Value> {
        std::mem::take(&mut self.log().records)
    }

    /// Deletes what has outlived its `expires_at`, as the service does in its own time.
    pub(crate) fn expire(&self, now: Timestamp) -> usize {
        let mut log = self.log();
        let mut deleted = 0;
        for item in self.items() {
            let expires_at = item["expires_at"]["N"].as_str().and_then(|n| n.parse::<i64>().ok());
            if expires_at.is_none_or(|at| at > now.as_second()) {
                continue;
            }
            let key = json!({"pk": item["pk"], "sk": item["sk"]});
            let request = json!({"TableName": Cloud::TABLE, "Key": key});
            ask(request, |request| self.database.delete_item(request)).expect("a deletion");
            log.record(&key, Some(item), None, now);
            if let Some(record) = log.records.last_mut() {
                record["userIdentity"] = json!({"type": "Service", "principalId": TTL_IDENTITY});
            }
            deleted += 1;
        }
        deleted
    }
}

impl Log {
    /// The token the database shall see for `token`: another one once it is forgotten.
    fn remembered(&mut self, token: &str, now: Timestamp) -> String {
        let (used_at, forgotten) = self.tokens.entry(token.to_owned()).or_insert((now, 0));
        if now.duration_since(*used_at) >= TOKEN_LIFE {
            (*used_at, *forgotten) = (now, *forgotten + 1);
        }
        if *forgotten == 0 && self.returns == 0 {
            return token.to_owned();
        }
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        format!("{:016x}-{forgotten}-{}", hasher.finish(), self.returns)
    }

    fn record(&mut self, key: &Value, old: Option<Value>, new: Option<Value>, now: Timestamp) {
        let name = match (&old, &new) {
            (None, Some(_)) => "INSERT",
            (Some(_), None) => "REMOVE",
            (Some(old), Some(new)) if old != new => "MODIFY",
            _ => return,
        };
        self.replaced.push((key.clone(), old.clone()));
        self.sequence += 1;
        let size: usize = [&old, &new].into_iter().flatten().map(|i| i.to_string().len()).sum();
        let mut change = json!({
            "ApproximateCreationDateTime": now.as_second(),
            "Keys": key,
            "SequenceNumber": format!("{:021}", self.sequence),
            "SizeBytes": size,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for (image, item) in [("OldImage", old), ("NewImage", new)] {
            if let Some(item) = item {
                change[image] = item;
            }
        }
        self.records.push(json!({
            "eventID": format!("{:032x}", self.sequence),
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": Cloud::REGION,
            "dynamodb": change,
            "eventSourceARN": format!(
                "arn:aws:dynamodb:{}:{}:table/{}/stream/2026-01-01T00:00:00.000",
                Cloud::REGION, Cloud::ACCOUNT, Cloud::TABLE
            ),
        }));
    }
}

type Outcome = Result<Value, DynoxideError>;

/// Reads the request, puts it to the database and writes the answer, all as JSON.
fn ask<Q: DeserializeOwned, A: Serialize>(
    request: Value,
    database: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Outcome {
    let request = serde_json::from_value(request)
        .map_err(|error| DynoxideError::ValidationException(error.to_string()))?;
    let answer = database(request)?;
    serde_json::to_value(answer)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The keys of the items a request writes, each once, in the order of the request.
fn written_keys(operation: &str, body: &Value) -> Vec<Value> {
    let of_item = |item: &Value| json!({"pk": item["pk"], "sk": item["sk"]});
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let found: Vec<Value> = match operation {
        "PutItem" => vec![of_item(&body["Item"])],
        "UpdateItem" | "DeleteItem" => vec![body["Key"].clone()],
        "BatchWriteItem" => list(&body["RequestItems"][Cloud::TABLE])
            .iter()
            .map(|request| match request.get("PutRequest") {
                Some(put) => of_item(&put["Item"]),
                None => request["DeleteRequest"]["Key"].clone(),
            })
            .collect(),
        _ => list(&body["TransactItems"])
            .iter()
            .filter_map(|action| {
                let put = action.get("Put").map(|put| of_item(&put["Item"]));
                let other = action.get("Update").or_else(|| action.get("Delete"));
                put.or_else(|| other.map(|other| other["Key"].clone()))
            })
            .collect(),
    };
    let mut keys = Vec::with_capacity(found.len());
    for key in found {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn plain_item(item: Value) -> Value {
    match item {
        Value::Object(attributes) => plain_map(attributes),
        other => other,
    }
}

fn plain_map(attributes: Map<String, Value>) -> Value {
    attributes.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

/// An attribute without its type: numbers become JSON numbers, sets become lists, binary stays
/// Base64 text.
fn plain(attribute: Value) -> Value {
    let Value::Object(typed) = attribute else {
        return attribute;
    };
    let Some((kind, value)) = typed.into_iter().next() else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(number)) => plain_number(number),
        ("NS", Value::Array(numbers)) => numbers
            .into_iter()
            .map(|number| match number {
                Value::String(number) => plain_number(number),
                other => other,
            })
            .collect(),
        ("L", Value::Array(list)) => list.into_iter().map(plain).collect(),
        ("M", Value::Object(map)) => plain_map(map),
        ("NULL", _) => Value::Null,
        (_, value) => value,
    }
}

fn plain_number(number: String) -> Value {
    let whole = number.parse::<i64>().map(Value::from);
    whole.or_else(|_| number.parse::<f64>().map(Value::from)).unwrap_or(Value::String(number))
}

#[cfg(test)]
mod tests;
