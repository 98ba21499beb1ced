//! Every place in the adapters that sends a request is known, and meets a fault.

use std::path::Path;

use jiff::SignedDuration;
use seatkeeper_domain::actions::prove_records::prove_records;
use seatkeeper_domain::actions::tickets::{exchange_ticket, issue_ticket};
use seatkeeper_domain::idempotency::{Attempt as Record, Begin, IdempotencyStore as _};
use seatkeeper_domain::ports::{Clock as _, IdSource as _, RefusedTries as _, TryLimit};
use seatkeeper_domain::role::Scope;
use seatkeeper_testkit::{Attempt, Fault, When, calls_of_adapters};
use seatkeeper_tests::address;
use seatkeeper_tests::runs::with_room;
use seatkeeper_tests::tally::Tally;

use crate::point::{Driver, alone, drive};
use crate::scene::{Scene, Workflow};
use crate::{Breaks, conclude};

/// What a scene does to reach the calls: its workflow, and what no workflow comes to.
async fn acts(scene: &Scene) {
    let world = scene.world();
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    match scene.workflow {
        Workflow::Import => drop(scene.begin_import().await),
        Workflow::CreateToday => drop(drive(scene, Driver::After25Hours).await),
        Workflow::Accept => {
            // A request that is refused leaves no record.
            let record =
                Record { record: [9; 32], body: [9; 32], op: world.ids.uuid(), now: clock.now() };
            if let Ok(Begin::Fresh { op }) = store.begin(&record).await {
                let _ = store.abandon(&op).await;
            }
        }
        Workflow::Release => {
            // A learner crosses to the LMS; somebody guesses.
            let learner = keys.learner_id(&world.client, &address(2));
            let ticket = issue_ticket(store, clock, &world.ids, keys, &world.client, learner).await;
            if let Ok(ticket) = ticket {
                let _ = exchange_ticket(store, clock, keys, &Scope::Vendor, &ticket).await;
            }
            let limit = TryLimit { most: 3, within: SignedDuration::from_mins(10) };
            let _ = store.count_try(&world.client, &[7; 32], &[limit], clock.now()).await;
        }
        Workflow::Sweep => {
            // A sweep begins the round of a client that is read a day later.
            drop(drive(scene, Driver::Returns).await);
            clock.advance(SignedDuration::from_hours(25));
            let until = clock.now() + SignedDuration::from_mins(4);
            prove_records(store, clock, &world.ids, keys, until).await;
        }
        _ => {}
    }
    drop(drive(scene, Driver::Returns).await);
}

fn attempts(scene: &Scene, fails: Option<u64>) -> Vec<Attempt> {
    scene.rewind();
    let cloud = &scene.world().cloud;
    cloud.locate_attempts();
    if let Some(k) = fails {
        cloud.inject(When::attempt(k), Fault::FailBefore);
    }
    alone(acts(scene));
    cloud.attempts()
}

#[test]
fn every_call_of_the_adapters_meets_a_fault() {
    with_room(meet_every_call);
}

fn meet_every_call() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/aws/src");
    let mut left = calls_of_adapters(&folder);
    assert!(left.len() > 10, "the adapters are not read: {left:?}");
    let mut tally = Tally::of("crash points, every call");
    for workflow in Workflow::ALL {
        let scene = alone(Scene::ready(*workflow));
        for attempt in attempts(&scene, None) {
            let site = attempt.site.as_ref();
            let through = |call: &String| site.is_some_and(|site| site.is_through(call));
            if !left.iter().any(through) {
                continue;
            }
            let met = attempts(&scene, Some(attempt.number));
            let met = met.iter().find(|attempt| attempt.fault.is_some()).expect("a fault");
            tally.runs += 1;
            tally.fault("fail-before", met);
            left.retain(|call| !met.site.as_ref().is_some_and(|site| site.is_through(call)));
        }
    }
    assert!(left.is_empty(), "no workflow of the crash points comes through {left:?}");
    conclude(tally, "", &Breaks::default());
}
