//! What a product with a defect would send: requests are changed on their way, so that a defect can
//! be tried without being written into the product.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::reply::{Call, Reply};
use crate::{Cloud, Service};

/// One request of the product, as JSON, and what is to be sent instead.
#[derive(Debug)]
pub struct Outgoing {
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// What the request says.
    pub body: Value,
    /// Requests that are sent before it, each by itself, whatever becomes of it.
    pub before: Vec<(&'static str, Value)>,
    /// Requests that are sent after it, if it was answered well and its sender lives.
    pub after: Vec<(&'static str, Value)>,
    /// Each write of the transaction is sent by itself, until one is refused.
    pub split: bool,
    /// It is sent once more when its answer is lost.
    pub repeat_when_lost: bool,
}

/// A defect.
pub(crate) type Defect = Arc<dyn Fn(&mut Outgoing) + Send + Sync>;

/// Where a cloud keeps its defect.
#[derive(Clone, Default)]
pub(crate) struct Seeded(pub(crate) Option<Defect>);

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a defect" } else { "no defect" })
    }
}

impl Outgoing {
    fn of(operation: &str, body: Value) -> Self {
        Self {
            operation: operation.to_owned(),
            body,
            before: Vec::new(),
            after: Vec::new(),
            split: false,
            repeat_when_lost: false,
        }
    }

    /// The writes of a transaction; none for another operation.
    pub fn writes(&mut self) -> impl Iterator<Item = Write<'_>> {
        let items = self.body.get_mut("TransactItems").and_then(Value::as_array_mut);
        items.into_iter().flatten().filter_map(Write::of)
    }

    /// The write of a request that is one; or those of a transaction.
    pub fn every_write(&mut self) -> Vec<Write<'_>> {
        match self.operation.as_str() {
            "TransactWriteItems" => self.writes().collect(),
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                self.body.as_object_mut().map(Write).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// One write: of a transaction, or a request of its own.
#[derive(Debug)]
pub struct Write<'a>(&'a mut Map<String, Value>);

impl<'a> Write<'a> {
    fn of(item: &'a mut Value) -> Option<Self> {
        let (_, write) = item.as_object_mut()?.iter_mut().next()?;
        write.as_object_mut().map(Write)
    }

    /// A part of the key: `pk` or `sk`.
    pub fn key(&self, part: &str) -> &str {
        let place = self.0.get("Key").or_else(|| self.0.get("Item"));
        place.and_then(|place| place[part]["S"].as_str()).unwrap_or_default()
    }

    /// Changes a part of the key.
    pub fn set_key(&mut self, part: &str, value: &str) {
        for place in ["Key", "Item"] {
            if let Some(place) = self.0.get_mut(place) {
                place[part] = json!({"S": value});
            }
        }
    }

    /// The item that a put writes.
    pub fn item(&mut self) -> Option<&mut Map<String, Value>> {
        self.0.get_mut("Item")?.as_object_mut()
    }

    /// The clauses of its condition that name an attribute, as they stand there.
    fn clauses(&self, attribute: &str) -> Vec<String> {
        let text = self.0.get("ConditionExpression").and_then(Value::as_str).unwrap_or_default();
        let clauses = text.split(" AND ").map(str::to_owned);
        clauses.filter(|clause| self.names(clause, attribute)).collect()
    }

    /// Whether a part of an expression names an attribute, as itself or inside a map.
    fn names(&self, part: &str, attribute: &str) -> bool {
        let is = |token: &str| {
            let name =
                self.0.get("ExpressionAttributeNames").and_then(|names| names[token].as_str());
            name.unwrap_or(token).starts_with(attribute)
        };
        tokens(part).any(is)
    }

    /// Whether its condition names an attribute.
    pub fn demands(&self, attribute: &str) -> bool {
        !self.clauses(attribute).is_empty()
    }

    /// Whether it would change an attribute.
    pub fn changes(&self, attribute: &str) -> bool {
        let text = self.0.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default();
        self.names(text, attribute)
    }

    /// Whether it would set an attribute, and not only add to it or remove it.
    pub fn sets(&self, attribute: &str) -> bool {
        let text = self.0.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default();
        let mut set = clauses_of_update(text).into_iter().filter(|(verb, _)| *verb == "SET");
        set.any(|(_, parts)| {
            let mut targets = parts.iter().filter_map(|part| part.split([' ', '=']).next());
            targets.any(|target| self.names(target, attribute))
        })
    }

    /// Leaves the condition out.
    pub fn unconditional(&mut self) {
        self.set_condition(&[]);
    }

    /// Leaves out what the condition says of an attribute whose name begins so.
    pub fn without_demand(&mut self, attribute: &str) {
        let dropped = self.clauses(attribute);
        let text = self.0.get("ConditionExpression").and_then(Value::as_str).unwrap_or_default();
        let rest = text.split(" AND ").filter(|clause| !dropped.iter().any(|one| one == clause));
        let rest: Vec<String> = rest.map(str::to_owned).collect();
        if !dropped.is_empty() {
            self.set_condition(&rest);
        }
    }

    fn set_condition(&mut self, clauses: &[String]) {
        // A check without a condition is no check: one that always holds is.
        let text = match clauses {
            [] if self.0.contains_key("ConditionExpression") => {
                "attribute_exists(pk) OR attribute_not_exists(pk)".to_owned()
            }
            clauses => clauses.join(" AND "),
        };
        if text.is_empty() {
            self.0.remove("ConditionExpression");
        } else {
            self.0.insert("ConditionExpression".to_owned(), text.into());
        }
        self.prune();
    }

    /// Leaves out what an update does to an attribute whose name begins so.
    pub fn without_change(&mut self, attribute: &str) {
        let Some(text) = self.0.get("UpdateExpression").and_then(Value::as_str) else { return };
        let mut kept: Vec<(&str, Vec<String>)> = Vec::new();
        for (verb, parts) in clauses_of_update(text) {
            let parts: Vec<String> = parts
                .into_iter()
                .filter(|part| {
                    !self.names(part.split([' ', '=']).next().unwrap_or(part), attribute)
                })
                .collect();
            if !parts.is_empty() {
                kept.push((verb, parts));
            }
        }
        let text: Vec<String> =
            kept.iter().map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        self.0.insert("UpdateExpression".to_owned(), text.join(" ").into());
        self.prune();
    }

    /// Replaces what an update does, its condition left as it is: `text` may use the values given.
    pub fn set_change(&mut self, text: &str, values: &[(&str, Value)]) {
        self.0.insert("UpdateExpression".to_owned(), text.into());
        let known = self.0.entry("ExpressionAttributeValues").or_insert_with(|| json!({}));
        for (name, value) in values {
            known[*name] = value.clone();
        }
        self.prune();
    }

    /// Replaces a value of its expressions by another, where one is like `is`.
    pub fn replace_value(&mut self, is: impl Fn(&Value) -> bool, by: &Value) {
        let values = self.0.get_mut("ExpressionAttributeValues").and_then(Value::as_object_mut);
        for value in values.into_iter().flat_map(Map::values_mut).filter(|value| is(value)) {
            *value = by.clone();
        }
    }

    /// Does nothing any more, and always holds: what a product that forgot it would write.
    pub fn forget(&mut self) {
        let place = self.0.get("Key").or_else(|| self.0.get("Item")).cloned().unwrap_or_default();
        let key = json!({"pk": place["pk"], "sk": place["sk"]});
        let table = self.0.get("TableName").cloned().unwrap_or_default();
        self.0.clear();
        self.0.insert("Forgotten".to_owned(), true.into());
        self.0.insert("TableName".to_owned(), table);
        self.0.insert("Key".to_owned(), key);
        let holds = "attribute_exists(pk) OR attribute_not_exists(pk)";
        self.0.insert("ConditionExpression".to_owned(), holds.into());
    }

    /// The write as a request of its own, without its condition: its operation and what it says.
    pub fn alone(&self) -> (&'static str, Value) {
        let mut body = self.0.clone();
        body.remove("ReturnValuesOnConditionCheckFailure");
        body.remove("ConditionExpression");
        let operation = if body.contains_key("Item") {
            "PutItem"
        } else if body.contains_key("UpdateExpression") {
            "UpdateItem"
        } else {
            "DeleteItem"
        };
        let mut body = Value::Object(body);
        if let Some(body) = body.as_object_mut() {
            Write(body).prune();
        }
        (operation, body)
    }

    /// Names and values that no expression uses are refused.
    fn prune(&mut self) {
        let texts = ["UpdateExpression", "ConditionExpression"];
        let texts: Vec<String> = texts
            .iter()
            .filter_map(|name| self.0.get(*name).and_then(Value::as_str).map(str::to_owned))
            .collect();
        let used: Vec<&str> = texts.iter().flat_map(|text| tokens(text)).collect();
        for list in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            let Some(known) = self.0.get_mut(list).and_then(Value::as_object_mut) else { continue };
            known.retain(|name, _| used.contains(&name.as_str()));
            if known.is_empty() {
                self.0.remove(list);
            }
        }
    }
}

/// The names and placeholders of an expression.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '#' | ':' | '_');
    text.split(move |c| !inside(c)).filter(|token| !token.is_empty())
}

/// The parts of an update: `SET a = :x, b = if_not_exists(b, :y)` has two.
fn clauses_of_update(text: &str) -> Vec<(&str, Vec<String>)> {
    let mut clauses: Vec<(&str, Vec<String>)> = Vec::new();
    let mut depth = 0;
    let mut part = String::new();
    for word in text.split_inclusive([' ', ',', '(', ')']) {
        let bare = word.trim();
        if depth == 0 && matches!(bare, "SET" | "ADD" | "REMOVE" | "DELETE") {
            end_part(&mut clauses, &mut part);
            clauses.push((bare, Vec::new()));
            continue;
        }
        depth += word.matches('(').count();
        depth -= word.matches(')').count().min(depth);
        if depth == 0 && bare.ends_with(',') {
            part.push_str(bare.trim_end_matches(','));
            end_part(&mut clauses, &mut part);
        } else {
            part.push_str(word);
        }
    }
    end_part(&mut clauses, &mut part);
    clauses
}

fn end_part(clauses: &mut [(&str, Vec<String>)], part: &mut String) {
    let text = std::mem::take(part);
    if let Some((_, parts)) = clauses.last_mut().filter(|_| !text.trim().is_empty()) {
        parts.push(text.trim().to_owned());
    }
}

impl Seeded {
    /// Changes a request; `None` if there is no defect or the request is none that it could change.
    pub(crate) fn change(
        &self,
        service: Service,
        operation: &str,
        call: &mut Call,
    ) -> Option<Outgoing> {
        let defect = self.0.as_ref()?;
        if !matches!(service, Service::DynamoDb | Service::Ses) {
            return None;
        }
        let mut outgoing = Outgoing::of(operation, call.json());
        defect(&mut outgoing);
        drop_forgotten(&mut outgoing.body);
        call.body = outgoing.body.to_string().into();
        Some(outgoing)
    }
}

/// What was forgotten becomes a check that always holds, so that the others keep their places.
fn drop_forgotten(body: &mut Value) {
    for item in body["TransactItems"].as_array_mut().into_iter().flatten() {
        let Some((_, write)) = item.as_object_mut().and_then(|item| item.iter_mut().next()) else {
            continue;
        };
        if write["Forgotten"] == true {
            let mut check = write.take();
            check.as_object_mut().and_then(|check| check.remove("Forgotten"));
            *item = json!({"ConditionCheck": check});
        }
    }
}

/// Sends the writes of a transaction one by one, until one is refused. `serve` answers a body.
pub(crate) fn one_by_one(body: &Value, serve: impl Fn(&Value) -> Option<Reply>) -> Option<Reply> {
    let items = body["TransactItems"].as_array().cloned().unwrap_or_default();
    let count = items.len();
    let mut last = None;
    for (place, item) in items.into_iter().enumerate() {
        let reply = serve(&json!({"TransactItems": [item]}))?;
        if reply.status != 200 {
            let mut told: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let reason = told["CancellationReasons"][0].take();
            let mut reasons = vec![json!({"Code": "None"}); count];
            reasons[place] = reason;
            told["CancellationReasons"] = reasons.into();
            return Some(Reply { body: told.to_string().into(), ..reply });
        }
        last = Some(reply);
    }
    last
}

impl Cloud {
    /// From now on, whatever is sent to DynamoDB and SES is changed like this first: a defect that
    /// the product does not have.
    pub fn seed(&self, defect: impl Fn(&mut Outgoing) + Send + Sync + 'static) {
        self.set_defect(Seeded(Some(Arc::new(defect))));
    }

    /// The product is sound again.
    pub fn unseed(&self) {
        self.set_defect(Seeded::default());
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue::{N, S};

    use super::*;

    fn update() -> Value {
        json!({
            "TableName": "t", "Key": {"pk": {"S": "POOL#a"}, "sk": {"S": "POOL"}},
            "UpdateExpression": "SET #n0 = if_not_exists(#n0, :v0), #n1 = :v1 ADD #n2 :v2 ",
            "ConditionExpression": "attribute_exists(#n3) AND #n2 >= :v3",
            "ExpressionAttributeNames": {"#n0": "op", "#n1": "state", "#n2": "held", "#n3": "pk"},
            "ExpressionAttributeValues": {
                ":v0": {"S": "x"}, ":v1": {"S": "y"}, ":v2": {"N": "1"}, ":v3": {"N": "1"}
            },
        })
    }

    #[test]
    fn a_demand_left_out_takes_what_only_it_used_along() {
        let mut body = update();
        let mut write = Write(body.as_object_mut().unwrap());
        assert!(write.demands("held") && write.changes("held"));
        write.without_demand("held");
        assert!(!write.demands("held") && write.demands("pk"));
        assert_eq!(body["ConditionExpression"], "attribute_exists(#n3)");
        assert_eq!(body["ExpressionAttributeValues"][":v3"], Value::Null);
        assert_eq!(body["ExpressionAttributeNames"]["#n2"], "held");
    }

    #[test]
    fn a_change_left_out_leaves_the_others() {
        let mut body = update();
        Write(body.as_object_mut().unwrap()).without_change("held");
        let text = body["UpdateExpression"].as_str().unwrap();
        assert_eq!(text, "SET #n0 = if_not_exists(#n0, :v0), #n1 = :v1");
        Write(body.as_object_mut().unwrap()).without_change("op");
        assert_eq!(body["UpdateExpression"], "SET #n1 = :v1");
    }

    #[tokio::test]
    async fn a_defect_changes_what_is_sent_until_it_is_taken_back() {
        let cloud = Cloud::new();
        cloud.seed(|sent| {
            if let Some(item) = sent.every_write().first_mut().and_then(Write::item) {
                item.insert("held".to_owned(), json!({"N": "7"}));
            }
        });
        for place in ["a", "b"] {
            let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
            let put = put.item("pk", S(place.into())).item("sk", S("POOL".into()));
            put.item("held", N("3".into())).send().await.unwrap();
            cloud.unseed();
        }
        let held: Vec<_> = cloud.dump().iter().map(|item| item["held"].as_i64().unwrap()).collect();
        assert_eq!(held, [7, 3]);
    }
}
