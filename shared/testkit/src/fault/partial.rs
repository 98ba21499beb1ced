//! Batches done in part and pages cut short.

use serde_json::{Map, Value, json};

use crate::Cloud;
use crate::reply::{Call, Reply};

/// Whether less than the whole of a request can be done.
pub(super) fn can_be_partial(operation: &str, call: &Call) -> bool {
    let mut body = call.json();
    match operation {
        "Query" | "Scan" => true,
        _ => entries(operation, &mut body).is_some_and(|entries| entries.len() > 1),
    }
}

/// What of a batch was left undone, in the words of its answer.
pub(crate) struct Rest {
    name: &'static str,
    entries: Value,
}

impl Rest {
    /// The answer with the rest in it.
    pub(crate) fn told_in(self, mut reply: Reply) -> Reply {
        let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        body[self.name] = json!({Cloud::TABLE: self.entries});
        reply.body = body.to_string().into();
        reply
    }
}

/// Leaves the first half of a batch in its request, or asks a query for one item; returns the rest
/// of a batch.
pub(crate) fn shorten(operation: &str, body: &mut Value) -> Option<Rest> {
    let Some(whole) = entries(operation, body) else {
        body["Limit"] = json!(1);
        return None;
    };
    let rest = whole.split_off(whole.len().div_ceil(2));
    if operation == "BatchWriteItem" {
        return Some(Rest { name: "UnprocessedItems", entries: rest.into() });
    }
    let mut left: Map<String, Value> =
        body["RequestItems"][Cloud::TABLE].as_object().cloned().unwrap_or_default();
    left.insert("Keys".to_owned(), rest.into());
    Some(Rest { name: "UnprocessedKeys", entries: left.into() })
}

fn entries<'a>(operation: &str, body: &'a mut Value) -> Option<&'a mut Vec<Value>> {
    let table = body.get_mut("RequestItems")?.get_mut(Cloud::TABLE)?;
    match operation {
        "BatchGetItem" => table.get_mut("Keys")?.as_array_mut(),
        "BatchWriteItem" => table.as_array_mut(),
        _ => None,
    }
}
