//! The sweep: it does what was missed, proves the counters, and may run beside itself.

mod mailroom;

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use mailroom::{create, event, only, put_image, room, run_sweep, scheduler};
use seatkeeper_domain::actions::invite::{Invite, invite};
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::Change;
use seatkeeper_domain::invitation::Grant;
use seatkeeper_domain::ports::{Clock as _, Ledger as _};
use seatkeeper_domain::stock::Delta;
use seatkeeper_testkit::{Cloud, Fault, When};
use seatkeeper_tests::{World, address};
use serde_json::json;

/// Changes one counter of the pool behind the ledger's back.
async fn tamper(world: &World, counter: &str, by: i64) {
    let pk = format!("POOL#{}#{}", world.client, world.pool());
    let call = world.cloud.dynamodb().update_item().table_name(Cloud::TABLE);
    let call = call.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S("POOL".into()));
    let call = call.update_expression("ADD #c :by").expression_attribute_names("#c", counter);
    let by = AttributeValue::N(by.to_string());
    call.expression_attribute_values(":by", by).send().await.unwrap();
}

#[tokio::test]
async fn a_pool_whose_counters_agree_is_proven_and_then_left_alone_for_an_hour() {
    let world = World::with_seats(5).await;
    create(&world, 1, None).await;
    let swept = run_sweep(&world, 1).await;
    assert_eq!((swept.pools_proven, swept.mismatches.len()), (1, 0));
    assert_eq!(run_sweep(&world, 2).await.pools_proven, 0);
    world.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(run_sweep(&world, 3).await.pools_proven, 1);
}

#[tokio::test]
async fn what_was_added_up_is_not_read_again_and_still_counts() {
    let world = World::with_seats(9).await;
    // A long trail; that its records move nothing does not matter here.
    for _ in 0..12 {
        let mut change = Change::new(&world.client, world.op(), Actor::System, world.clock.now());
        for _ in 0..80 {
            change.audit(world.pool(), Delta::default(), Action::SeatGiven, &[], None);
        }
        world.store.apply(&change).await.unwrap();
    }
    let reads = |world: &World| {
        let attempts = world.cloud.attempts().into_iter();
        attempts.filter(|attempt| attempt.operation == "Query").count()
    };
    world.cloud.restart_trace();
    assert_eq!(run_sweep(&world, 1).await.pools_proven, 1);
    let first = reads(&world);
    for hours in 1..4 {
        world.clock.advance(SignedDuration::from_hours(2));
        create(&world, 1000 + hours, None).await;
        world.cloud.restart_trace();
        let swept = run_sweep(&world, 1 + hours as u64).await;
        assert_eq!((swept.pools_proven, swept.mismatches.len()), (1, 0));
    }
    assert!(reads(&world) < first, "{} against {first} queries", reads(&world));
    tamper(&world, "used", 1).await;
    tamper(&world, "available", -1).await;
    world.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(run_sweep(&world, 9).await.mismatches.len(), 1);
}

#[tokio::test]
async fn counters_that_were_changed_behind_the_ledger_are_found_every_time() {
    for moved in [vec![("used", 1)], vec![("used", 1), ("available", -1)]] {
        let world = World::with_seats(5).await;
        create(&world, 1, None).await;
        for (counter, by) in &moved {
            tamper(&world, counter, *by).await;
        }
        for number in 1..3 {
            let swept = run_sweep(&world, number).await;
            assert_eq!(swept.mismatches.len(), 1, "{moved:?}");
            assert_eq!(swept.mismatches[0].pool, world.pool());
            assert_eq!((swept.mismatches[0].shown.used, swept.mismatches[0].told.used), (2, 1));
            assert_eq!(swept.pools_proven, 0);
        }
    }
}

#[tokio::test]
async fn an_invitation_whose_time_ran_out_gives_its_seat_back() {
    let world = World::with_seats(3).await;
    let command = Invite {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        addresses: vec![address(1).to_string()],
        grant: Grant::default(),
        message: None,
        notify: false,
        copy_to: None,
    };
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    invite(store, clock, keys, &world.administrator(), world.op(), &command).await.unwrap();
    assert_eq!(run_sweep(&world, 1).await.invitations_expired, 0);
    assert_eq!(world.stock().await.held, 1);
    world.clock.advance(SignedDuration::from_hours(24 * 16));
    assert_eq!(run_sweep(&world, 2).await.invitations_expired, 1);
    assert_eq!(run_sweep(&world, 3).await.invitations_expired, 0);
    assert_eq!(world.stock().await.held, 0);
    world.assert_seats_are_conserved().await;
}

/// An import whose worker holds a lease until 09:10, as far as a sweep looks at it.
async fn leased_import(world: &World) {
    let pk = "IMPORT#acme#imp_01j4x9q8v6tprk2m0d5fzb7nhc";
    let image = json!({
        "pk": {"S": pk}, "sk": {"S": "IMPORT"}, "kind": {"S": "import"},
        "due_shard": {"S": "import"}, "due_at": {"S": "2026-11-23T09:10:00.000000Z"},
        "lease_until": {"S": "2026-11-23T09:10:00Z"},
    });
    put_image(world, &image).await;
}

#[tokio::test]
async fn a_lapsed_import_is_woken_once_however_many_sweeps_see_it() {
    let world = World::with_seats(3).await;
    leased_import(&world).await;
    assert_eq!(run_sweep(&world, 1).await.imports_woken, 0, "its lease holds");
    world.clock.advance(SignedDuration::from_mins(11));
    assert_eq!(run_sweep(&world, 2).await.imports_woken, 1);
    run_sweep(&world, 3).await;
    let schedules = world.cloud.schedules();
    assert_eq!(schedules.len(), 1);
    assert!(schedules[0].target_arn.ends_with(":import"));
    let import = "imp_01j4x9q8v6tprk2m0d5fzb7nhc";
    let input = json!({"kind": "resume_import", "client": "acme", "import": import});
    assert_eq!(schedules[0].input, input);
    assert!(schedules[0].at().unwrap() > world.clock.now());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sweeps_at_once_do_everything_once() {
    let world = Arc::new(World::with_seats(20).await);
    for number in 0..6 {
        create(&world, number, None).await;
        create(&world, 100 + number, Some(jiff::civil::date(2026, 11, 24))).await;
    }
    world.clock.advance(SignedDuration::from_hours(24));
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { run_sweep(&world, number).await })
        })
        .collect();
    let (mut sent, mut opened) = (0, 0);
    for task in tasks {
        let swept = task.await.unwrap();
        assert_eq!(swept.mismatches.len(), 0);
        sent += swept.mails_sent;
        opened += swept.cohorts_opened;
    }
    assert_eq!((sent, opened), (12, 1));
    assert_eq!(world.cloud.sent_mails().len(), 12);
    world.assert_seats_are_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_does_not_keep_the_others_from_running() {
    let world = World::with_seats(3).await;
    leased_import(&world).await;
    create(&world, 1, None).await;
    world.clock.advance(SignedDuration::from_mins(11));
    world.cloud.inject(When::every("CreateSchedule"), Fault::FailBefore);
    let swept = run_sweep(&world, 1).await;
    assert_eq!(swept.troubles.len(), 1);
    assert_eq!((swept.mails_sent, swept.pools_proven), (1, 1));
}

#[tokio::test]
async fn a_sweep_answers_with_its_counts_by_schedule_and_by_hand() {
    for name in ["reconcile/sweep", "reconcile/by_hand"] {
        let world = World::with_seats(3).await;
        create(&world, 1, None).await;
        // Whatever the event says, the sweep is the same; that it is there says it is JSON.
        assert!(event(name).is_object());
        let until = world.clock.now() + SignedDuration::from_mins(4);
        let (room, schedules) = (room(&world, 1), scheduler(&world));
        let answer = seatkeeper_reconcile::handle(&room, &schedules, &world.keys, until).await;
        let answer = answer.unwrap();
        assert_eq!(answer["mails"]["sent"], 1);
        assert_eq!(answer["pools"], json!({"proven": 1, "busy": 0, "mismatched": 0}));
        assert_eq!(only(&world, "mail")["next"], 1);
    }
}
