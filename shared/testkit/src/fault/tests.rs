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
