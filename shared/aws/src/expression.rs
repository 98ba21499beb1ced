//! Builds one write of a transaction: its key, its expression and its condition together.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};

use crate::keys::Key;

/// An item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text value.
#[expect(clippy::needless_pass_by_value, reason = "takes ids and texts, owned or borrowed")]
pub(crate) fn s(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

/// A number value.
#[expect(clippy::needless_pass_by_value, reason = "takes plain numbers and borrowed ones")]
pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A write under construction. Attribute names and values become placeholders, so that no name is
/// ever a reserved word.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<String>,
}

impl Expression {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The placeholder of an attribute; a dot descends into a map.
    pub(crate) fn name(&mut self, attribute: &str) -> String {
        let mut path = String::new();
        for part in attribute.split('.') {
            if !path.is_empty() {
                path.push('.');
            }
            let known = self.names.iter().find(|(_, name)| name.as_str() == part);
            let placeholder = known.map(|(placeholder, _)| placeholder.clone());
            let placeholder = placeholder.unwrap_or_else(|| {
                let fresh = format!("#n{}", self.names.len());
                self.names.insert(fresh.clone(), part.to_owned());
                fresh
            });
            path.push_str(&placeholder);
        }
        path
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(crate) fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.set.push(format!("{name} = {value}"));
        self
    }

    pub(crate) fn set_if_absent(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.set.push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    /// Appends to a list, which may not exist yet.
    pub(crate) fn append(mut self, attribute: &str, element: AttributeValue) -> Self {
        let name = self.name(attribute);
        let empty = self.value(AttributeValue::L(Vec::new()));
        let element = self.value(AttributeValue::L(vec![element]));
        self.set.push(format!("{name} = list_append(if_not_exists({name}, {empty}), {element})"));
        self
    }

    /// Adds a number to a number, or members to a set.
    pub(crate) fn add(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.add.push(format!("{name} {value}"));
        self
    }

    pub(crate) fn remove(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.remove.push(name);
        self
    }

    pub(crate) fn if_equal(self, attribute: &str, value: AttributeValue) -> Self {
        self.compare(attribute, "=", value)
    }

    pub(crate) fn if_at_least(self, attribute: &str, number: impl ToString) -> Self {
        self.compare(attribute, ">=", n(number))
    }

    pub(crate) fn compare(mut self, attribute: &str, sign: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.conditions.push(format!("{name} {sign} {value}"));
        self
    }

    pub(crate) fn if_absent(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_not_exists({name})"));
        self
    }

    pub(crate) fn if_present(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_exists({name})"));
        self
    }

    /// Holds if the attribute has one of these texts; `IN` takes at most 100.
    pub(crate) fn if_one_of(mut self, attribute: &str, texts: &[impl ToString]) -> Self {
        let name = self.name(attribute);
        let values: Vec<_> = texts.iter().map(|text| self.value(s(text.to_string()))).collect();
        self.conditions.push(format!("{name} IN ({})", values.join(", ")));
        self
    }

    /// Holds if the attribute has this value, or if there is none and it is absent.
    pub(crate) fn if_same(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.if_equal(attribute, value),
            None => self.if_absent(attribute),
        }
    }

    /// Holds if `order` is absent or less than this value; or if it is this very value, and the
    /// other attribute has one of these texts.
    pub(crate) fn if_newer_or_one_of(
        mut self,
        order: &str,
        value: AttributeValue,
        attribute: &str,
        texts: &[impl ToString],
    ) -> Self {
        let (order, value) = (self.name(order), self.value(value));
        let newer = format!("attribute_not_exists({order}) OR {order} < {value}");
        let name = self.name(attribute);
        let values: Vec<_> = texts.iter().map(|text| self.value(s(text.to_string()))).collect();
        let same = format!("{order} = {value} AND {name} IN ({})", values.join(", "));
        self.conditions.push(format!("({newer} OR ({same}))"));
        self
    }

    /// Sets the attribute, or removes it if there is no value.
    pub(crate) fn set_or_remove(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    /// Holds if the attribute is absent, or compares so.
    pub(crate) fn if_absent_or(
        mut self,
        absent: &str,
        attribute: &str,
        sign: &str,
        value: AttributeValue,
    ) -> Self {
        let (absent, name) = (self.name(absent), self.name(attribute));
        let value = self.value(value);
        self.conditions.push(format!("(attribute_not_exists({absent}) OR {name} {sign} {value})"));
        self
    }

    fn update_text(&self) -> String {
        let mut text = String::new();
        for (verb, parts) in [("SET", &self.set), ("ADD", &self.add), ("REMOVE", &self.remove)] {
            if !parts.is_empty() {
                text.push_str(verb);
                text.push(' ');
                text.push_str(&parts.join(", "));
                text.push(' ');
            }
        }
        text
    }

    fn condition_text(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    fn placeholders(self) -> (Option<HashMap<String, String>>, Option<Item>) {
        let some_names = (!self.names.is_empty()).then_some(self.names);
        let some_values = (!self.values.is_empty()).then_some(self.values);
        (some_names, some_values)
    }

    /// As an update inside a transaction.
    pub(crate) fn update(self, table: &str, key: &Key) -> Result<TransactWriteItem, BuildError> {
        let (text, condition) = (self.update_text(), self.condition_text());
        let (names, values) = self.placeholders();
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key.attributes()))
            .update_expression(text)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// As a put inside a transaction.
    pub(crate) fn put(
        self,
        table: &str,
        key: &Key,
        mut item: Item,
    ) -> Result<TransactWriteItem, BuildError> {
        item.extend(key.attributes());
        let condition = self.condition_text();
        let (names, values) = self.placeholders();
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// As a removal inside a transaction.
    pub(crate) fn delete(self, table: &str, key: &Key) -> Result<TransactWriteItem, BuildError> {
        let condition = self.condition_text();
        let (names, values) = self.placeholders();
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// As a check inside a transaction.
    pub(crate) fn check(self, table: &str, key: &Key) -> Result<TransactWriteItem, BuildError> {
        let condition = self.condition_text();
        let (names, values) = self.placeholders();
        let check = ConditionCheck::builder()
            .table_name(table)
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// As a single update, for what needs no transaction.
    pub(crate) fn send_to(
        self,
        client: &aws_sdk_dynamodb::Client,
        table: &str,
        key: &Key,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        let (text, condition) = (self.update_text(), self.condition_text());
        let (names, values) = self.placeholders();
        client
            .update_item()
            .table_name(table)
            .set_key(Some(key.attributes()))
            .update_expression(text)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}
