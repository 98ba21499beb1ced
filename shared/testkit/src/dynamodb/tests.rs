use std::collections::BTreeSet;

use aws_lambda_events::dynamodb::Event;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeValue::{self, Bool, N, S, Ss};
use aws_sdk_dynamodb::types::{
    ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::SignedDuration;
use seatkeeper_domain::ports::Clock;
use serde_json::json;

use crate::{Cloud, Fault, When};

fn s(text: &str) -> AttributeValue {
    S(text.to_owned())
}

async fn put_pool(cloud: &Cloud, available: u32) {
    let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
    let put = put.item("pk", s("POOL#acme")).item("sk", s("POOL"));
    put.item("available", N(available.to_string()))
        .item("used", N("0".into()))
        .send()
        .await
        .unwrap();
}

/// Takes a seat from the pool for a learner, if one is left and the learner has none.
fn take_seat(learner: &str) -> [TransactWriteItem; 2] {
    let pool = Update::builder()
        .table_name(Cloud::TABLE)
        .key("pk", s("POOL#acme"))
        .key("sk", s("POOL"))
        .update_expression("ADD available :minus, used :one")
        .condition_expression("available >= :one")
        .expression_attribute_values(":minus", N("-1".into()))
        .expression_attribute_values(":one", N("1".into()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let learner = Put::builder()
        .table_name(Cloud::TABLE)
        .item("pk", s("L#acme"))
        .item("sk", s(learner))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    [
        TransactWriteItem::builder().update(pool.build().unwrap()).build(),
        TransactWriteItem::builder().put(learner.build().unwrap()).build(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_tasks_racing_for_20_seats_exactly_20_get_one() {
    let cloud = Cloud::new();
    put_pool(&cloud, 20).await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let client = cloud.dynamodb();
            tokio::spawn(async move {
                let [pool, learner] = take_seat(&format!("lrn_{n}"));
                let write = client.transact_write_items();
                write.transact_items(pool).transact_items(learner).send().await.is_ok()
            })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        granted += u32::from(task.await.unwrap());
    }
    assert_eq!(granted, 20);
    let items = cloud.dump();
    assert_eq!(items.len(), 21);
    let pool = items.last().unwrap();
    assert_eq!(*pool, json!({"pk": "POOL#acme", "sk": "POOL", "available": 0, "used": 20}));
}

#[tokio::test]
async fn tasks_interleave_between_calls_on_a_single_thread_too() {
    let cloud = Cloud::new();
    put_pool(&cloud, 1).await;
    let read = |client: aws_sdk_dynamodb::Client| async move {
        let get = client.get_item().table_name(Cloud::TABLE);
        get.key("pk", s("POOL#acme")).key("sk", s("POOL")).send().await.unwrap();
        client.scan().table_name(Cloud::TABLE).send().await.unwrap();
    };
    tokio::join!(read(cloud.dynamodb()), read(cloud.dynamodb()));
    let operations: Vec<_> = cloud.attempts().into_iter().map(|a| a.operation).collect();
    assert_eq!(operations, ["PutItem", "GetItem", "GetItem", "Scan", "Scan"]);
}

#[tokio::test]
async fn a_cancelled_transaction_names_each_reason_with_the_item_it_found() {
    let cloud = Cloud::new();
    put_pool(&cloud, 0).await;
    let [pool, learner] = take_seat("lrn_1");
    let write = cloud.dynamodb().transact_write_items();
    let error = write.transact_items(learner).transact_items(pool).send().await.unwrap_err();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) =
        error.into_service_error()
    else {
        panic!("not a cancellation");
    };
    let reasons = cancelled.cancellation_reasons();
    assert_eq!(reasons[0].code(), Some("None"));
    assert_eq!(reasons[1].code(), Some("ConditionalCheckFailed"));
    assert_eq!(reasons[1].item().unwrap()["available"], N("0".into()));
    assert_eq!(cloud.dump().len(), 1);
}

#[tokio::test]
async fn a_failed_condition_gives_the_item_that_was_there() {
    let cloud = Cloud::new();
    put_pool(&cloud, 3).await;
    let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
    let put = put.item("pk", s("POOL#acme")).item("sk", s("POOL"));
    let put = put
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let Err(SdkError::ServiceError(error)) = put.send().await else { panic!("it was put") };
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
        failed,
    ) = error.err()
    else {
        panic!("another error: {error:?}");
    };
    assert_eq!(failed.item().unwrap()["available"], N("3".into()));
}

#[tokio::test]
async fn the_due_index_holds_the_keys_of_the_items_that_have_both_its_attributes() {
    let cloud = Cloud::new();
    put_pool(&cloud, 3).await;
    for (sk, due_at) in [("b", "2026-11-24T00:00:00Z"), ("a", "2026-11-25T00:00:00Z")] {
        let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
        let put = put.item("pk", s("I#acme")).item("sk", s(sk)).item("secret", s("not projected"));
        put.item("due_shard", s("3")).item("due_at", s(due_at)).send().await.unwrap();
    }
    let query = cloud.dynamodb().query().table_name(Cloud::TABLE).index_name("due");
    let query = query.key_condition_expression("due_shard = :s AND due_at <= :t");
    let query = query.expression_attribute_values(":s", s("3"));
    let query = query.expression_attribute_values(":t", s("2026-11-25T00:00:00Z"));
    let found = query.send().await.unwrap().items.unwrap();
    let keys: Vec<_> = found.iter().map(|item| item["sk"].as_s().unwrap().as_str()).collect();
    assert_eq!(keys, ["b", "a"]);
    let attributes: BTreeSet<_> = found[0].keys().map(String::as_str).collect();
    assert_eq!(attributes, BTreeSet::from(["pk", "sk", "due_shard", "due_at"]));
}

#[tokio::test]
async fn a_dump_is_plain_json_in_the_order_of_the_keys() {
    let cloud = Cloud::new();
    let list = AttributeValue::L(vec![N("1.5".into()), AttributeValue::Null(true)]);
    for pk in ["b", "a"] {
        let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
        let put = put.item("pk", s(pk)).item("sk", s("x")).item("open", Bool(true));
        let put = put.item("roles", Ss(vec!["r".into()])).item("list", list.clone());
        put.item("map", AttributeValue::M([("n".to_owned(), N("-2".into()))].into()))
            .send()
            .await
            .unwrap();
    }
    let items = cloud.dump();
    let expected = json!({
        "pk": "a", "sk": "x", "open": true, "roles": ["r"], "list": [1.5, null], "map": {"n": -2},
    });
    assert_eq!(items[0], expected);
    assert_eq!(items[1]["pk"], "b");
}

#[tokio::test]
async fn the_stream_tells_each_change_once_with_both_images() {
    let cloud = Cloud::new();
    put_pool(&cloud, 2).await;
    let [pool, learner] = take_seat("lrn_1");
    let write = cloud.dynamodb().transact_write_items();
    write.transact_items(pool).transact_items(learner).send().await.unwrap();
    let delete = cloud.dynamodb().delete_item().table_name(Cloud::TABLE);
    delete.key("pk", s("L#acme")).key("sk", s("lrn_1")).send().await.unwrap();

    let event = cloud.stream_records();
    let records = event["Records"].as_array().unwrap();
    let told: Vec<_> = records.iter().map(|r| r["eventName"].as_str().unwrap()).collect();
    assert_eq!(told, ["INSERT", "MODIFY", "INSERT", "REMOVE"]);
    assert_eq!(
        records[1]["dynamodb"]["Keys"],
        json!({"pk": {"S": "POOL#acme"}, "sk": {"S": "POOL"}})
    );
    assert_eq!(records[1]["dynamodb"]["OldImage"]["available"], json!({"N": "2"}));
    assert_eq!(records[1]["dynamodb"]["NewImage"]["available"], json!({"N": "1"}));
    assert!(records[0]["dynamodb"].get("OldImage").is_none());
    assert!(records[3]["dynamodb"].get("NewImage").is_none());
    assert!(records[0]["eventSourceARN"].as_str().unwrap().contains("table/seatkeeper/stream/"));
    let ids: BTreeSet<_> = records.iter().map(|r| r["eventID"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(cloud.stream_records(), json!({"Records": []}));
}

#[tokio::test]
async fn the_stream_is_an_event_that_functions_can_read() {
    let cloud = Cloud::new();
    put_pool(&cloud, 2).await;
    let event: Event = serde_json::from_value(cloud.stream_records()).unwrap();
    let change = &event.records[0].change;
    assert_eq!(event.records[0].event_name, "INSERT");
    assert_eq!(change.new_image.clone().into_inner().len(), 4);
    assert_eq!(change.approximate_creation_date_time.timestamp(), cloud.clock().now().as_second());
}

#[tokio::test]
async fn the_stream_is_silent_about_writes_that_changed_nothing_or_were_refused() {
    let cloud = Cloud::new();
    put_pool(&cloud, 0).await;
    cloud.stream_records();
    put_pool(&cloud, 0).await;
    let [pool, learner] = take_seat("lrn_1");
    let write = cloud.dynamodb().transact_write_items();
    write.transact_items(pool).transact_items(learner).send().await.unwrap_err();
    let check = ConditionCheck::builder().table_name(Cloud::TABLE).key("pk", s("POOL#acme"));
    let check = check.key("sk", s("POOL")).condition_expression("attribute_exists(pk)").build();
    let check = TransactWriteItem::builder().condition_check(check.unwrap()).build();
    cloud.dynamodb().transact_write_items().transact_items(check).send().await.unwrap();
    assert_eq!(cloud.stream_records(), json!({"Records": []}));
}

#[tokio::test]
async fn a_request_token_is_remembered_for_ten_minutes_of_the_virtual_clock() {
    let cloud = Cloud::new();
    put_pool(&cloud, 9).await;
    let add = || {
        let update = Update::builder().table_name(Cloud::TABLE).key("pk", s("POOL#acme"));
        let update = update.key("sk", s("POOL")).update_expression("ADD available :one");
        let update = update.expression_attribute_values(":one", N("1".into())).build().unwrap();
        let write = cloud.dynamodb().transact_write_items().client_request_token("operation-1");
        write.transact_items(TransactWriteItem::builder().update(update).build()).send()
    };
    add().await.unwrap();
    add().await.unwrap();
    assert_eq!(cloud.dump()[0]["available"], 10);
    cloud.clock().advance(SignedDuration::from_mins(11));
    add().await.unwrap();
    add().await.unwrap();
    assert_eq!(cloud.dump()[0]["available"], 11);
}

#[tokio::test]
async fn items_past_their_time_to_live_go_and_the_stream_says_who_did_it() {
    let cloud = Cloud::new();
    put_pool(&cloud, 1).await;
    let expires_at = cloud.clock().now().as_second() + 60;
    let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
    let put = put.item("pk", s("IDEM#1")).item("sk", s("IDEM"));
    put.item("expires_at", N(expires_at.to_string())).send().await.unwrap();
    cloud.stream_records();
    assert_eq!(cloud.expire_items(), 0);
    cloud.clock().advance(SignedDuration::from_mins(2));
    assert_eq!(cloud.expire_items(), 1);
    assert_eq!(cloud.dump().len(), 1);
    let record = &cloud.stream_records()["Records"][0];
    assert_eq!(record["eventName"], "REMOVE");
    assert_eq!(record["userIdentity"]["principalId"], "dynamodb.amazonaws.com");
}

#[tokio::test]
async fn an_operation_that_is_not_simulated_fails_loudly_and_at_once() {
    let cloud = Cloud::new();
    let error = cloud.dynamodb().list_tables().send().await.unwrap_err();
    let SdkError::DispatchFailure(failure) = error else { panic!("{error:?}") };
    assert!(failure.is_user());
    assert_eq!(cloud.attempts().len(), 1);
    assert_eq!(cloud.attempts()[0].served, None);
}

#[tokio::test]
async fn pages_hold_what_was_asked_and_go_on_where_they_stopped() {
    let cloud = Cloud::new();
    for n in 0..5 {
        let put = cloud.dynamodb().put_item().table_name(Cloud::TABLE);
        put.item("pk", s("A")).item("sk", s(&n.to_string())).send().await.unwrap();
    }
    let query = cloud.dynamodb().query().table_name(Cloud::TABLE).limit(2);
    let query = query.key_condition_expression("pk = :a").expression_attribute_values(":a", s("A"));
    let mut pages = query.into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().items().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(cloud.attempts().last().unwrap().call, 3);
}

#[tokio::test(start_paused = true)]
async fn a_retried_transaction_whose_answer_was_lost_is_applied_once() {
    let cloud = Cloud::new();
    put_pool(&cloud, 5).await;
    cloud.inject(When::call("TransactWriteItems", 1), Fault::LoseReply);
    let [pool, learner] = take_seat("lrn_1");
    let write = cloud.dynamodb().transact_write_items();
    write.transact_items(pool).transact_items(learner).send().await.unwrap();
    assert_eq!(cloud.dump().last().unwrap()["available"], 4);
}

#[tokio::test]
async fn an_account_goes_back_to_a_moment_any_number_of_times() {
    let cloud = Cloud::new();
    put_pool(&cloud, 3).await;
    let (before, moment) = (cloud.dump(), cloud.moment());
    for _ in 0..2 {
        let [take, seat] = take_seat("a");
        let write = cloud.dynamodb().transact_write_items().client_request_token("one");
        write.transact_items(take).transact_items(seat).send().await.unwrap();
        cloud.upload("uploads", "a", "x");
        cloud.clock().advance(SignedDuration::from_hours(1));
        assert_ne!(cloud.dump(), before, "the token of another time is not remembered");
        cloud.go_back(&moment);
        assert_eq!(cloud.dump(), before);
        assert!(cloud.objects().is_empty() && cloud.attempts().is_empty());
        assert_eq!(cloud.clock().now().to_string(), "2026-11-23T09:00:00Z");
        assert_eq!(cloud.stream_records()["Records"].as_array().unwrap().len(), 1, "the pool's");
    }
}
