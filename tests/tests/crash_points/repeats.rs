//! A run repeats: what broke once breaks again under the same name.

use seatkeeper_testkit::{Attempt, Fault, SentMail, When};
use seatkeeper_tests::runs;
use serde_json::Value;

use crate::point::{Driver, alone, drive, settle};
use crate::scene::{Scene, Workflow};
use seatkeeper_tests::runs::with_room;

/// All that a run leaves.
type Trace = (Vec<Attempt>, Vec<Value>, Vec<SentMail>);

/// Runs a workflow twice at a time, loses the answer of its first transaction, and lets everything settle.
fn trace(scene: &Scene, lost: Option<u64>) -> Trace {
    alone(async {
        let cloud = &scene.world().cloud;
        cloud.interleave(7);
        if let Some(lost) = lost {
            cloud.inject(When::attempt(lost), Fault::LoseReply);
        }
        drop(drive(scene, Driver::Twice).await);
        settle(scene).await;
        (cloud.attempts(), cloud.dump(), cloud.sent_mails())
    })
}

#[test]
fn a_run_leaves_the_same_trace_again_in_the_same_scene_and_in_one_of_its_own() {
    with_room(|| {
        // A quick run looks at some of them.
        let every = if runs::long() { 1 } else { 6 };
        Workflow::ALL.iter().step_by(every).for_each(|workflow| leaves_the_same_trace(*workflow));
    });
}

fn leaves_the_same_trace(workflow: Workflow) {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let scene = alone(Scene::ready(workflow));
        scene.rewind();
        let (attempts, ..) = trace(&scene, None);
        let lost = attempts.iter().find(|attempt| attempt.operation == "TransactWriteItems");
        let lost = lost.map(|attempt| attempt.number);
        for _ in 0..2 {
            scene.rewind();
            traces.push(trace(&scene, lost));
        }
    }
    let (first, others) = traces.split_first().expect("four");
    for other in others {
        assert_eq!(first.0, other.0, "{workflow}: attempts");
        assert_eq!(first.1, other.1, "{workflow}: items");
        assert_eq!(first.2, other.2, "{workflow}: mails");
    }
}
