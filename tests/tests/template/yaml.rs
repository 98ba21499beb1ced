//! The template, with `CloudFormation`'s short forms (`!Ref`) in their long ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// `template.yaml`.
pub(crate) struct Template(Value);

impl Template {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
        let text = std::fs::read_to_string(path).expect("the template is beside the workspace");
        Self(long_form(serde_norway::from_str(&text).expect("the template is YAML")))
    }

    pub(crate) fn resource(&self, name: &str) -> &Value {
        &self.0["Resources"][name]
    }

    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.resource(name)["Properties"]
    }

    pub(crate) fn parameters(&self) -> Value {
        self.0["Parameters"].clone()
    }

    pub(crate) fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// The properties of all resources of a type, by logical id.
    pub(crate) fn of_type(&self, kind: &str) -> BTreeMap<String, Value> {
        let resources = self.0["Resources"].as_object().expect("resources");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.clone(), resource["Properties"].clone()))
            .collect()
    }

    /// The properties of the functions, by the binary they run.
    pub(crate) fn functions(&self) -> BTreeMap<String, Value> {
        self.of_type("AWS::Serverless::Function")
            .into_iter()
            .map(|(id, properties)| {
                let binary = &self.resource(&id)["Metadata"]["BuildProperties"]["Binary"];
                (binary.as_str().expect("a function names its binary").to_owned(), properties)
            })
            .collect()
    }

    /// Every statement of every role, with the role's logical id.
    pub(crate) fn statements(&self) -> Vec<(String, Value)> {
        let mut statements = Vec::new();
        for (role, properties) in self.of_type("AWS::IAM::Role") {
            for policy in properties["Policies"].as_array().expect("policies") {
                for statement in
                    policy["PolicyDocument"]["Statement"].as_array().expect("statements")
                {
                    statements.push((role.clone(), statement.clone()));
                }
            }
        }
        statements
    }
}

fn long_form(value: serde_norway::Value) -> Value {
    use serde_norway::Value as Yaml;
    match value {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                plain @ ("Ref" | "Condition") => plain.to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: long_form(tagged.value) })
        }
        Yaml::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let key = key.as_str().expect("keys are text").to_owned();
                object.insert(key, long_form(value));
            }
            Value::Object(object)
        }
        Yaml::Sequence(items) => items.into_iter().map(long_form).collect(),
        scalar => serde_json::to_value(scalar).expect("a scalar is JSON"),
    }
}
