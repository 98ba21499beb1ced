use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeValue::S;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::retry::RetryConfig;

use super::*;
use crate::Cloud;

/// One attempt to put an item, without the SDK's retries.
async fn put_once(cloud: &Cloud) -> Result<PutItemOutput, SdkError<PutItemError>> {
    let config = aws_sdk_dynamodb::config::Builder::from(&cloud.sdk_config());
    let config = config.retry_config(RetryConfig::disabled()).build();
    let put = aws_sdk_dynamodb::Client::from_conf(config).put_item().table_name(Cloud::TABLE);
    put.item("pk", S("a".into())).item("sk", S("b".into())).send().await
}

/// The outcome of a put that meets `fault`, whether it took effect, and the trace.
async fn put_with(fault: Fault) -> (SdkError<PutItemError>, bool, Attempt) {
    let cloud = Cloud::new();
    cloud.inject(When::attempt(1), fault.clone());
    let error = put_once(&cloud).await.unwrap_err();
    let attempt = cloud.attempts().remove(0);
    assert_eq!(cloud.fired(), std::slice::from_ref(&attempt));
    assert_eq!(attempt.fault, Some(fault));
    put_once(&cloud).await.expect("the fault is over");
    let effective = cloud.stream_records()["Records"].as_array().unwrap().len();
    // The second put changes nothing if the first one took effect: look at the first one's stream.
    assert_eq!(effective, 1);
    let took_effect = attempt.served == Some(200);
    (error, took_effect, attempt)
}

/// Whether a put that meets `fault` leaves the item behind.
async fn leaves_the_item(fault: Fault) -> bool {
    let cloud = Cloud::new();
    cloud.inject(When::call("PutItem", 1), fault);
    put_once(&cloud).await.unwrap_err();
    !cloud.dump().is_empty()
}

#[tokio::test]
async fn a_failure_before_the_effect_is_a_connection_error_and_leaves_nothing() {
    let (error, took_effect, attempt) = put_with(Fault::FailBefore).await;
    let SdkError::DispatchFailure(failure) = error else { panic!("{error:?}") };
    assert!(failure.is_io());
    assert!(!took_effect && !leaves_the_item(Fault::FailBefore).await);
    assert_eq!(attempt.to_string(), "#1 dynamodb PutItem/1 FailBefore -");
}

#[tokio::test]
async fn a_lost_reply_is_a_connection_error_after_the_effect() {
    let (error, took_effect, attempt) = put_with(Fault::LoseReply).await;
    let SdkError::DispatchFailure(failure) = error else { panic!("{error:?}") };
    assert!(failure.is_io());
    assert!(took_effect && leaves_the_item(Fault::LoseReply).await);
    assert_eq!(attempt.to_string(), "#1 dynamodb PutItem/1 LoseReply 200");
}

#[tokio::test]
async fn an_error_after_the_effect_is_the_services_own_500() {
    let (error, took_effect, _) = put_with(Fault::ErrorAfter).await;
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
    assert!(error.into_service_error().is_internal_server_error());
    assert!(took_effect && leaves_the_item(Fault::ErrorAfter).await);
}

#[tokio::test]
async fn a_throttled_request_has_no_effect() {
    let (error, took_effect, _) = put_with(Fault::Throttle).await;
    assert_eq!(error.code(), Some("ThrottlingException"));
    assert!(!took_effect && !leaves_the_item(Fault::Throttle).await);
}

#[tokio::test]
async fn a_single_write_in_conflict_is_refused_by_its_own_name() {
    let (error, took_effect, _) = put_with(Fault::TransactionConflict).await;
    assert_eq!(error.code(), Some("TransactionConflictException"));
    assert!(!took_effect && !leaves_the_item(Fault::TransactionConflict).await);
}

#[tokio::test]
async fn a_refusal_has_the_status_and_the_code_it_was_given() {
    let refusal = Fault::Refuse { status: 400, code: "AccessDeniedException" };
    let (error, took_effect, _) = put_with(refusal.clone()).await;
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert!(!took_effect && !leaves_the_item(refusal).await);
}

#[tokio::test]
async fn a_transaction_in_conflict_is_cancelled_with_a_reason_for_each_action_and_not_retried() {
    let cloud = Cloud::new();
    cloud.inject(When::call("TransactWriteItems", 1), Fault::TransactionConflict);
    let check = ConditionCheck::builder().table_name(Cloud::TABLE).key("pk", S("x".into()));
    let check = check.key("sk", S("y".into())).condition_expression("attribute_not_exists(pk)");
    let put = Put::builder().table_name(Cloud::TABLE).item("pk", S("a".into()));
    let put = put.item("sk", S("b".into())).build().unwrap();
    let write = || {
        let check = TransactWriteItem::builder().condition_check(check.clone().build().unwrap());
        let put = TransactWriteItem::builder().put(put.clone());
        let write = cloud.dynamodb().transact_write_items();
        write.transact_items(check.build()).transact_items(put.build()).send()
    };
    let error = write().await.unwrap_err().into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        panic!("{error:?}");
    };
    let codes: Vec<_> =
        cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap()).collect();
    assert_eq!(codes, ["TransactionConflict", "None"]);
    assert_eq!(cloud.attempts().len(), 1);
    assert!(cloud.dump().is_empty());
    write().await.unwrap();
}

#[tokio::test]
async fn a_conflict_does_not_befall_a_read() {
    let cloud = Cloud::new();
    cloud.inject(When::attempt(1), Fault::TransactionConflict);
    cloud.dynamodb().scan().table_name(Cloud::TABLE).send().await.unwrap();
    assert!(cloud.fired().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sdk_retries_what_passes_three_times_in_all() {
    for fault in [Fault::FailBefore, Fault::LoseReply, Fault::ErrorAfter, Fault::Throttle] {
        let cloud = Cloud::new();
        cloud.inject(When::every("PutItem"), fault.clone());
        let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
        put.item("pk", S("a".into())).item("sk", S("b".into())).send().await.unwrap_err();
        let calls: Vec<u64> = cloud.fired().iter().map(|attempt| attempt.call).collect();
        assert_eq!(calls, [1, 2, 3], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_service_throttles_and_fails_in_words_its_client_retries() {
    for fault in [Fault::Throttle, Fault::ErrorAfter, Fault::FailBefore, Fault::LoseReply] {
        let cloud = Cloud::new();
        cloud.inject(When::call("PutObject", 1), fault.clone());
        let put = cloud.s3().put_object().bucket("uploads").key("a");
        put.body(ByteStream::from_static(b"x")).send().await.unwrap();
        cloud.inject(When::call("DeleteSchedule", 1), fault.clone());
        let gone = cloud.scheduler().delete_schedule().name("none").send().await.unwrap_err();
        assert!(gone.into_service_error().is_resource_not_found_exception());
        let attempts = cloud.attempts();
        let services: Vec<_> = attempts.iter().map(|a| a.service.to_string()).collect();
        assert_eq!(services, ["s3", "s3", "scheduler", "scheduler"], "{fault:?}");
        assert_eq!(cloud.fired().len(), 2);
    }
}

#[tokio::test]
async fn mail_is_throttled_in_ses_words() {
    let cloud = Cloud::new();
    cloud.inject(When::call("GetAccount", 1), Fault::Throttle);
    let error = cloud.ses().get_account().send().await.unwrap_err().into_service_error();
    assert!(error.is_too_many_requests_exception());
}

#[tokio::test]
async fn a_restarted_trace_counts_from_one_and_has_no_faults() {
    let cloud = Cloud::new();
    put_once(&cloud).await.unwrap();
    cloud.inject(When::every("PutItem"), Fault::FailBefore);
    cloud.restart_trace();
    assert!(cloud.attempts().is_empty());
    put_once(&cloud).await.unwrap();
    let attempt = cloud.attempts().remove(0);
    assert_eq!((attempt.number, attempt.call, attempt.served), (1, 1, Some(200)));
}

#[tokio::test]
async fn faults_taken_back_do_not_fire() {
    let cloud = Cloud::new();
    cloud.inject(When::every("PutItem"), Fault::FailBefore);
    put_once(&cloud).await.unwrap_err();
    cloud.clear_faults();
    put_once(&cloud).await.unwrap();
    assert_eq!(cloud.fired().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_runs_with_the_same_faults_leave_the_same_trace() {
    let run = || async {
        let cloud = Cloud::new();
        cloud.inject(When::attempt(2), Fault::LoseReply);
        cloud.inject(When::call("PutItem", 4), Fault::Throttle);
        let put = |pk: &'static str| {
            let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
            put.item("pk", S(pk.into())).item("sk", S("b".into())).send()
        };
        let (a, b, c) = tokio::join!(put("a"), put("b"), put("c"));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        (cloud.attempts(), cloud.stream_records())
    };
    let first = Box::pin(run()).await;
    assert_eq!(first.0.len(), 5);
    assert_eq!(first, Box::pin(run()).await);
}

fn put(
    cloud: &Cloud,
    pk: &str,
    said: &str,
) -> aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder {
    let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
    put.item("pk", S(pk.into())).item("sk", S("b".into())).item("said", S(said.into()))
}

#[tokio::test(start_paused = true)]
async fn who_is_ended_before_an_attempt_leaves_nothing_and_after_it_the_effect() {
    for (fault, items) in [(Fault::KillBefore, 0), (Fault::KillAfter, 1)] {
        let cloud = Cloud::new();
        cloud.inject(When::attempt(1), fault.clone());
        let work = cloud.until_killed(async {
            put(&cloud, "a", "x").send().await.unwrap();
            unreachable!("nobody is there any more");
        });
        assert!(work.await.is_none(), "{fault:?}");
        assert_eq!(cloud.dump().len(), items, "{fault:?}");
        assert_eq!(cloud.attempts().len(), 1, "dropped at that attempt: no retry");
        let next = cloud.until_killed(async { put(&cloud, "c", "y").send().await.is_ok() });
        assert_eq!(next.await, Some(true), "the next one lives");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_has_no_effect_and_ends_by_its_callers_deadline() {
    let cloud = Cloud::new();
    cloud.inject(When::attempt(1), Fault::Hang);
    let deadline = std::time::Duration::from_secs(1);
    let call = cloud.until_killed(put(&cloud, "a", "x").send());
    assert!(tokio::time::timeout(deadline, call).await.is_err());
    assert_eq!((cloud.fired().len(), cloud.attempts().len()), (1, 1));
    assert!(cloud.dump().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_late_write_arrives_when_it_is_let_and_not_before() {
    let cloud = Cloud::new();
    cloud.inject(When::attempt(1), Fault::Late);
    let once = aws_sdk_dynamodb::config::Builder::default().retry_config(RetryConfig::disabled());
    let late = put(&cloud, "a", "late").customize().config_override(once).send().await;
    assert!(matches!(late, Err(SdkError::DispatchFailure(_))));
    assert!(cloud.dump().is_empty());
    put(&cloud, "a", "soon").send().await.unwrap();
    assert_eq!(cloud.dump()[0]["said"], "soon");
    assert_eq!(cloud.apply_late(), [200]);
    assert_eq!(cloud.dump()[0]["said"], "late");
    assert_eq!(cloud.apply_late(), [0; 0], "once");
}

#[tokio::test(start_paused = true)]
async fn a_write_can_outlive_who_made_it_and_a_read_is_never_late() {
    let cloud = Cloud::new();
    cloud.inject(When::attempt(1), Fault::KillLate);
    assert!(cloud.until_killed(put(&cloud, "a", "late").send()).await.is_none());
    assert!(cloud.dump().is_empty());
    assert_eq!(cloud.apply_late(), [200]);
    assert_eq!(cloud.dump().len(), 1);
    cloud.inject(When::every("Scan"), Fault::Late);
    cloud.dynamodb().scan().table_name(Cloud::TABLE).send().await.unwrap();
    assert_eq!(cloud.fired().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_request_token_makes_a_retry_another_transaction() {
    for (fault, refused) in [(Fault::LoseReply, false), (Fault::ForgetToken, true)] {
        let cloud = Cloud::new();
        cloud.inject(When::attempt(1), fault.clone());
        let put = Put::builder().table_name(Cloud::TABLE).item("pk", S("a".into()));
        let put = put.item("sk", S("b".into())).condition_expression("attribute_not_exists(pk)");
        let write = cloud.dynamodb().transact_write_items().client_request_token("one");
        let write =
            write.transact_items(TransactWriteItem::builder().put(put.build().unwrap()).build());
        assert_eq!(write.send().await.is_err(), refused, "{fault:?}");
        assert_eq!((cloud.attempts().len(), cloud.dump().len()), (2, 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_lacks_the_last_writes_and_a_consistent_one_does_not() {
    let cloud = Cloud::new();
    put(&cloud, "a", "old").send().await.unwrap();
    cloud.restart_trace();
    put(&cloud, "a", "new").send().await.unwrap();
    put(&cloud, "z", "new").send().await.unwrap();
    cloud.inject(When::every("GetItem"), Fault::StaleRead);
    cloud.inject(When::every("Query"), Fault::StaleRead);
    let get = |pk: &str, consistent| {
        let get = cloud.dynamodb().get_item().table_name(Cloud::TABLE).consistent_read(consistent);
        get.key("pk", S(pk.into())).key("sk", S("b".into())).send()
    };
    assert_eq!(get("a", false).await.unwrap().item.unwrap()["said"], S("old".into()));
    assert_eq!(get("z", false).await.unwrap().item, None);
    assert_eq!(get("a", true).await.unwrap().item.unwrap()["said"], S("new".into()));
    assert_eq!(cloud.fired().len(), 2);
    let due = cloud.dynamodb().query().table_name(Cloud::TABLE).index_name("due");
    let due = due.key_condition_expression("due_shard = :s");
    due.expression_attribute_values(":s", S("mail".into())).send().await.unwrap();
    assert_eq!(cloud.fired().len(), 3, "an index is never consistent");
    assert_eq!(cloud.dump()[0]["said"], "new");
}

#[tokio::test(start_paused = true)]
async fn a_partial_batch_names_its_rest_and_a_short_page_where_to_go_on() {
    use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
    let cloud = Cloud::new();
    cloud.inject(When::call("BatchWriteItem", 1), Fault::Partial);
    let write = |pk: &str| {
        let put = PutRequest::builder().item("pk", S(pk.into())).item("sk", S("b".into()));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let batch = cloud.dynamodb().batch_write_item();
    let batch = batch.request_items(Cloud::TABLE, vec![write("a"), write("b"), write("c")]);
    let answer = batch.send().await.unwrap();
    assert_eq!(answer.unprocessed_items.unwrap()[Cloud::TABLE], [write("c")]);
    assert_eq!(cloud.dump().len(), 2);

    cloud.inject(When::call("BatchGetItem", 1), Fault::Partial);
    let key = |pk: &str| [("pk".to_owned(), S(pk.into())), ("sk".to_owned(), S("b".into()))].into();
    let keys = KeysAndAttributes::builder().keys(key("a")).keys(key("b")).consistent_read(true);
    let batch =
        cloud.dynamodb().batch_get_item().request_items(Cloud::TABLE, keys.build().unwrap());
    let answer = batch.send().await.unwrap();
    assert_eq!(answer.responses.unwrap()[Cloud::TABLE], [key("a")]);
    let rest = &answer.unprocessed_keys.unwrap()[Cloud::TABLE];
    assert_eq!((rest.keys(), rest.consistent_read()), (&[key("b")][..], Some(true)));

    cloud.inject(When::call("Scan", 1), Fault::Partial);
    let page = cloud.dynamodb().scan().table_name(Cloud::TABLE).send().await.unwrap();
    assert_eq!(page.count, 1);
    assert!(page.last_evaluated_key.is_some());
}

#[tokio::test(start_paused = true)]
async fn somebody_else_can_act_just_before_an_attempt() {
    let cloud = Cloud::new();
    let other = cloud.clone();
    cloud.let_first(When::call("PutItem", 2), move || async move {
        put(&other, "a", "theirs").send().await.unwrap();
    });
    put(&cloud, "a", "mine").send().await.unwrap();
    let second = put(&cloud, "a", "mine again").condition_expression("said = :mine");
    let second = second.expression_attribute_values(":mine", S("mine".into())).send().await;
    assert!(second.is_err(), "they came first");
    assert_eq!(cloud.dump()[0]["said"], "theirs");
    let numbers: Vec<_> = cloud.fired().iter().map(|attempt| attempt.number).collect();
    assert_eq!((numbers, cloud.attempts().len()), (vec![2], 3));
    put(&cloud, "a", "once").send().await.unwrap();
    assert_eq!(cloud.dump()[0]["said"], "once");
}

#[tokio::test]
async fn a_transaction_in_progress_takes_effect_and_is_answered_well_under_the_same_token() {
    let cloud = Cloud::new();
    cloud.inject(When::call("TransactWriteItems", 1), Fault::TransactionInProgress);
    cloud.inject(When::every("PutItem"), Fault::TransactionInProgress);
    put(&cloud, "z", "no transaction").send().await.unwrap();
    let put = Put::builder().table_name(Cloud::TABLE).item("pk", S("a".into()));
    let put = put.item("sk", S("b".into())).condition_expression("attribute_not_exists(pk)");
    let put = TransactWriteItem::builder().put(put.build().unwrap()).build();
    let once = aws_sdk_dynamodb::config::Builder::default().retry_config(RetryConfig::disabled());
    let write = |token: &str| {
        let write = cloud.dynamodb().transact_write_items().client_request_token(token);
        write.transact_items(put.clone()).customize().config_override(once.clone()).send()
    };
    let error = write("one").await.unwrap_err().into_service_error();
    assert!(matches!(error, TransactWriteItemsError::TransactionInProgressException(_)));
    assert_eq!((cloud.fired().len(), cloud.dump().len()), (1, 2));
    write("one").await.unwrap();
    write("two").await.unwrap_err();
}

#[tokio::test]
async fn a_body_that_is_cut_off_arrives_by_half_and_ends_in_an_error() {
    let cloud = Cloud::new();
    cloud.upload("uploads", "a", "0123456789");
    cloud.inject(When::every("GetObject"), Fault::CutBody);
    let mut object = cloud.s3().get_object().bucket("uploads").key("a").send().await.unwrap();
    assert_eq!(object.content_length(), Some(10), "the head promises all of it");
    assert_eq!(object.body.next().await.unwrap().unwrap(), "01234");
    assert!(object.body.next().await.unwrap().is_err());
    assert_eq!(cloud.fired().len(), 1);
}

#[tokio::test]
async fn stirred_records_are_those_of_the_stream_in_another_order_and_some_twice() {
    let numbers = |seed: Option<u64>| async move {
        let cloud = Cloud::new();
        for number in 0..20 {
            put(&cloud, &number.to_string(), "x").send().await.unwrap();
        }
        let event = seed.map_or_else(|| cloud.stream_records(), |seed| cloud.stirred_records(seed));
        let records = event["Records"].as_array().unwrap().clone();
        let number = |record: &serde_json::Value| record["dynamodb"]["SequenceNumber"].to_string();
        records.iter().map(number).collect::<Vec<_>>()
    };
    let (calm, stirred) = (numbers(None).await, numbers(Some(7)).await);
    assert_eq!(stirred, numbers(Some(7)).await);
    assert_ne!(stirred, numbers(Some(8)).await);
    assert!(stirred.len() > calm.len() && !stirred.is_sorted());
    let mut each_once = stirred;
    each_once.sort();
    each_once.dedup();
    assert_eq!(each_once, calm);
}

#[tokio::test(start_paused = true)]
async fn each_seed_is_an_interleaving_of_its_own_and_always_the_same() {
    let order = |seed: u64| {
        Box::pin(async move {
            let cloud = Cloud::new();
            cloud.interleave(seed);
            let acts = ["a", "b", "c", "d"].map(|who| {
                let cloud = &cloud;
                async move {
                    for _ in 0..4 {
                        put(cloud, who, "x").send().await.unwrap();
                        put(cloud, who, "y").send().await.unwrap();
                    }
                }
            });
            let [a, b, c, d] = acts;
            tokio::join!(a, b, c, d);
            cloud.stream_records().to_string()
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..8 {
        assert_eq!(order(seed).await, order(seed).await);
        seen.insert(order(seed).await);
    }
    assert_eq!(seen.len(), 8);
}
