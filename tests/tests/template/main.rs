//! What `template.yaml` deploys, checked against the code and against what must never be missing.

#![expect(clippy::expect_used, reason = "what cannot be read fails the test")]

mod source;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use seatkeeper_aws::keys::{DUE_AT, DUE_INDEX, DUE_SHARD, EXPIRES_AT, PK, SK};
use serde_json::{Value, json};
use yaml::Template;

/// Calls that AWS offers no resource for.
const WITHOUT_RESOURCE: [&str; 1] = ["ses:GetAccount"];

/// Everything else asks for a token.
const PUBLIC_ROUTES: [&str; 12] = [
    "GET /i/{token}",
    "GET /i/{token}/unsubscribe",
    "GET /p/{token}",
    "GET /{client}",
    "GET /{client}/{code}",
    "POST /i/{token}",
    "POST /i/{token}/decline",
    "POST /i/{token}/unsubscribe",
    "POST /p/{token}",
    "POST /v1/password-reset",
    "POST /v1/sign-in",
    "POST /{client}/redeem",
];

#[test]
fn every_function_folder_is_deployed_and_nothing_else() {
    let deployed: BTreeSet<String> = Template::read().functions().into_keys().collect();
    assert_eq!(deployed, source::functions());
}

#[test]
fn a_function_is_named_after_its_folder_and_has_a_role_and_a_log_of_its_own() {
    let template = Template::read();
    let mut roles = BTreeSet::new();
    for (name, function) in template.functions() {
        let named = json!({"Fn::Sub": format!("${{AWS::StackName}}-{name}")});
        assert_eq!(function["FunctionName"], named, "{name}");
        let role = function["Role"]["Fn::GetAtt"].as_str().expect("a role of the template");
        assert!(roles.insert(role.to_owned()), "{name} shares {role}");
        let log = function["LoggingConfig"]["LogGroup"]["Ref"].as_str().expect("a log group");
        let log = template.properties(log);
        let log_name = json!({"Fn::Sub": format!("/aws/lambda/${{AWS::StackName}}-{name}")});
        assert_eq!(log["LogGroupName"], log_name, "{name}");
    }
    for (name, group) in template.of_type("AWS::Logs::LogGroup") {
        assert!(!group["RetentionInDays"].is_null(), "{name} keeps logs for ever");
    }
    assert_eq!(template.globals()["LoggingConfig"]["LogFormat"], "JSON");
}

#[test]
fn a_function_is_given_exactly_the_variables_it_reads() {
    let template = Template::read();
    let global = names(&template.globals()["Environment"]["Variables"]);
    let mut wrong = BTreeMap::new();
    for (name, function) in template.functions() {
        let own = names(&function["Environment"]["Variables"]);
        let given: BTreeSet<String> = global.union(&own).cloned().collect();
        let read = source::variables_read_by(&name);
        let useless: Vec<_> = given.difference(&read).cloned().collect();
        let missing: Vec<_> = read.difference(&given).cloned().collect();
        if !useless.is_empty() || !missing.is_empty() {
            wrong.insert(name, json!({"useless": useless, "missing": missing}));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn roles_allow_named_actions_on_named_resources() {
    for (role, statement) in Template::read().statements() {
        assert_eq!(statement["Effect"], "Allow", "{role}");
        for action in strings(&statement["Action"]) {
            assert!(!action.contains('*'), "{role} may {action}");
            let open = list(&statement["Resource"]).iter().any(|resource| resource == "*");
            assert_eq!(
                open,
                WITHOUT_RESOURCE.contains(&action.as_str()),
                "{role}: {action} on {}",
                statement["Resource"]
            );
        }
    }
    for (role, properties) in Template::read().of_type("AWS::IAM::Role") {
        assert!(properties["ManagedPolicyArns"].is_null(), "{role}: managed policies are too wide");
    }
}

#[test]
fn roles_allow_what_the_code_calls_and_nothing_else() {
    let allowed: BTreeSet<String> = Template::read()
        .statements()
        .into_iter()
        .filter(|(role, _)| role != "ScheduleRole")
        .flat_map(|(_, statement)| strings(&statement["Action"]))
        .filter(|action| !is_done_by_lambda_itself(action))
        .collect();
    assert_eq!(allowed, source::actions_called(), "allowed, called");
}

#[test]
fn whatever_is_asynchronous_ends_in_a_queue() {
    let template = Template::read();
    let queues: BTreeSet<String> = template.of_type("AWS::SQS::Queue").into_keys().collect();
    let is_queue = |name: &Value| {
        let name = name["Fn::GetAtt"].as_str().unwrap_or_default();
        queues.contains(name.trim_end_matches(".Arn"))
    };
    let mut seen = BTreeSet::new();
    for (name, function) in template.functions() {
        for (event, definition) in entries(&function["Events"]) {
            let kind = definition["Type"].as_str().expect("an event has a type");
            let properties = &definition["Properties"];
            seen.insert(kind.to_owned());
            if kind == "DynamoDB" {
                assert!(
                    is_queue(&properties["DestinationConfig"]["OnFailure"]["Destination"]),
                    "{event}"
                );
                assert!(
                    properties["MaximumRetryAttempts"].as_u64().is_some_and(|n| n < 100),
                    "{event}"
                );
                assert_eq!(properties["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
                assert_eq!(properties["BisectBatchOnFunctionError"], true, "{event}");
                for filter in list(&properties["FilterCriteria"]["Filters"]) {
                    let pattern = filter["Pattern"].as_str().expect("a pattern is text");
                    let pattern: Value = serde_json::from_str(pattern).expect("a pattern is JSON");
                    assert!(pattern["dynamodb"]["NewImage"]["kind"]["S"].is_array(), "{pattern}");
                }
                continue;
            }
            let config = &function["EventInvokeConfig"];
            assert!(is_queue(&config["DestinationConfig"]["OnFailure"]["Destination"]), "{name}");
            if kind != "S3" {
                assert!(is_queue(&properties["DeadLetterConfig"]["Arn"]), "{event}");
            }
        }
    }
    let kinds = ["DynamoDB", "EventBridgeRule", "S3", "ScheduleV2"];
    assert_eq!(seen, kinds.map(str::to_owned).into());
    // Schedules made at run time call this one, beside those the events above name.
    let activate = &template.functions()["activate"]["EventInvokeConfig"];
    assert!(is_queue(&activate["DestinationConfig"]["OnFailure"]["Destination"]));
}

#[test]
fn every_queue_and_every_function_has_an_alarm() {
    let template = Template::read();
    let alarms = template.of_type("AWS::CloudWatch::Alarm");
    for (name, alarm) in &alarms {
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "Alarms"}]), "{name} tells nobody");
    }
    let watched: String = alarms.values().map(Value::to_string).collect();
    for queue in template.of_type("AWS::SQS::Queue").into_keys() {
        let dimension = json!({"Fn::GetAtt": format!("{queue}.QueueName")}).to_string();
        assert!(watched.contains(&dimension), "nothing watches {queue}");
    }
    for function in template.of_type("AWS::Serverless::Function").into_keys() {
        let dimension = json!({"Name": "FunctionName", "Value": {"Ref": function}}).to_string();
        assert!(watched.contains(&dimension), "nothing watches {function}");
    }
}

#[test]
fn tries_over_the_limits_raise_the_alarm_of_guesses_as_those_do_that_are_answered() {
    let template = Template::read();
    let alarm = template.properties("CodeGuessingAlarm");
    let metrics = alarm["Metrics"].as_array().expect("several metrics");
    let (stats, sums): (Vec<_>, Vec<_>) =
        metrics.iter().partition(|metric| metric["Expression"].is_null());
    assert_eq!(sums.len(), 1);
    assert_eq!(sums[0]["Expression"], "SUM(METRICS())");
    let mut outcomes = BTreeSet::new();
    for stat in stats {
        assert_eq!(stat["ReturnData"], json!(false), "only the sum is compared");
        let (of, metric) = (&stat["MetricStat"], &stat["MetricStat"]["Metric"]);
        assert_eq!((&of["Stat"], &of["Period"]), (&json!("Sum"), &json!(300)));
        assert_eq!(
            (&metric["Namespace"], &metric["MetricName"]),
            (&json!("Seatkeeper"), &json!("Codes"))
        );
        assert_eq!(metric["Dimensions"].as_array().map(Vec::len), Some(1));
        assert_eq!(metric["Dimensions"][0]["Name"], "Outcome");
        outcomes.insert(metric["Dimensions"][0]["Value"].as_str().expect("an outcome").to_owned());
    }
    assert_eq!(outcomes, ["limited", "refused"].map(str::to_owned).into());
    let emitted = source::file("functions/redeem/src/redeem.rs");
    for outcome in outcomes {
        assert!(emitted.contains(&format!("=> \"{outcome}\"")), "nobody tells of {outcome}");
    }
}

#[test]
fn only_the_pages_sign_in_and_password_reset_are_public() {
    let template = Template::read();
    let body = &template.properties("Api")["DefinitionBody"];
    let integrations = &body["components"]["x-amazon-apigateway-integrations"];
    let mut public = BTreeSet::new();
    for (path, methods) in entries(&body["paths"]) {
        for (method, operation) in entries(&methods) {
            let target =
                operation["x-amazon-apigateway-integration"]["$ref"].as_str().expect("a target");
            let function = target.rsplit('/').next().expect("a function");
            let uri = integrations[function]["uri"]["Fn::Sub"].as_str().expect("a function's URI");
            assert!(uri.ends_with(&format!("${{AWS::StackName}}-{function}/invocations")), "{uri}");
            let security = &operation["security"];
            if security.is_null() {
                public.insert(format!("{} {path}", method.to_uppercase()));
            } else {
                assert_eq!(*security, json!([{"Jwt": []}]), "{method} {path}");
            }
        }
    }
    assert_eq!(public, PUBLIC_ROUTES.map(str::to_owned).into());
    let callable: BTreeSet<String> = template
        .of_type("AWS::Lambda::Permission")
        .into_values()
        .filter_map(|permission| Some(permission["FunctionName"]["Ref"].as_str()?.to_owned()))
        .collect();
    let integrated: BTreeSet<String> = names(integrations)
        .iter()
        .map(|name| format!("{}{}Function", name[..1].to_uppercase(), &name[1..]))
        .collect();
    assert_eq!(callable, integrated, "the API may call them, the API calls them");
}

#[test]
fn buckets_are_private_encrypted_versioned_forgetful_and_reached_by_tls_only() {
    let template = Template::read();
    let policies = template.of_type("AWS::S3::BucketPolicy");
    for (name, bucket) in template.of_type("AWS::S3::Bucket") {
        let private = &bucket["PublicAccessBlockConfiguration"];
        for switch in
            ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
        {
            assert_eq!(private[switch], true, "{name}: {switch}");
        }
        assert!(bucket["BucketEncryption"].is_object(), "{name}");
        assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled", "{name}");
        assert!(
            !bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"].is_null(),
            "{name}"
        );
        let tls_only = policies.values().any(|policy| {
            policy["Bucket"]["Ref"] == name.as_str()
                && list(&policy["PolicyDocument"]["Statement"]).iter().any(|statement| {
                    statement["Effect"] == "Deny"
                        && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                })
        });
        assert!(tls_only, "{name} is reached without TLS");
    }
}

#[test]
fn the_table_can_be_restored_followed_and_cleaned() {
    let template = Template::read();
    let table = template.properties("Table");
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    let keys = |schema: &Value| -> Vec<String> {
        list(schema)
            .iter()
            .map(|key| key["AttributeName"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({"AttributeName": EXPIRES_AT, "Enabled": true})
    );
    assert_eq!(keys(&table["KeySchema"]), [PK, SK]);
    assert_eq!(table["GlobalSecondaryIndexes"][0]["IndexName"], DUE_INDEX);
    assert_eq!(keys(&table["GlobalSecondaryIndexes"][0]["KeySchema"]), [DUE_SHARD, DUE_AT]);
}

#[test]
fn what_cannot_be_made_again_outlives_the_stack() {
    let template = Template::read();
    for name in ["Table", "RootKey", "UploadBucket", "ReportBucket", "UserPool"] {
        assert_eq!(template.resource(name)["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(template.resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn every_parameter_has_a_default_and_says_what_it_is() {
    for (name, parameter) in entries(&Template::read().parameters()) {
        assert!(!parameter["Default"].is_null(), "{name} has no default");
        assert!(parameter["Description"].is_string(), "{name} does not say what it is");
    }
}

/// Writing logs, reading the stream and reporting failures are Lambda's own calls under the role;
/// passing a role is part of making a schedule.
fn is_done_by_lambda_itself(action: &str) -> bool {
    let stream = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    action.starts_with("logs:")
        || action == "sqs:SendMessage"
        || action == "iam:PassRole"
        || stream.iter().any(|call| action == format!("dynamodb:{call}"))
}

fn entries(value: &Value) -> BTreeMap<String, Value> {
    value.as_object().map(|map| map.clone().into_iter().collect()).unwrap_or_default()
}

fn names(value: &Value) -> BTreeSet<String> {
    entries(value).into_keys().collect()
}

/// A list, or the one value that may stand for it.
fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect()
}
