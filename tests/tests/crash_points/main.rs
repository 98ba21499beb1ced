//! Every fault at every attempt of every workflow: whatever goes wrong, in the end a workflow has
//! happened once or not at all, and nothing else has changed.
//!
//! `CRASH_POINTS=all` runs every mode with every driver instead of the short selection;
//! `CRASH_POINTS=create-today/returns/kill-after/7` runs that one, as a broken run says it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]
#![expect(clippy::large_futures, reason = "one of them runs at a time")]

#[path = "../imports/desk.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod desk;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod point;
mod scene;
#[path = "../imports/stage.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod stage;
mod state;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use point::{Case, Driver, Mode, Reference, run};
use scene::Workflow;

/// The environment variable that says which points are run.
const CHOICE: &str = "CRASH_POINTS";

/// Which points are run.
enum Choice {
    /// A selection that is quick.
    Some,
    All,
    /// The one of this name, `workflow/driver/mode/k`, or those whose name begins so.
    Named(String),
}

impl Choice {
    #[expect(clippy::disallowed_methods, reason = "tells a test how far to go")]
    fn made() -> Self {
        match std::env::var(CHOICE) {
            Err(_) => Self::Some,
            Ok(text) if text == "all" => Self::All,
            Ok(text) => Self::Named(text),
        }
    }

    fn takes(&self, case: Case) -> bool {
        let possible = case.driver.suits(case.workflow) && case.mode.suits(case.workflow);
        possible
            && match self {
                Self::All => true,
                Self::Named(name) => {
                    let case = case.to_string();
                    name.starts_with(&case) || case.starts_with(name.as_str())
                }
                Self::Some => {
                    let kills = matches!(case.mode, Mode::KillAfter | Mode::KillLate);
                    kills && case.driver == Driver::Returns
                }
            }
    }

    fn takes_point(&self, case: Case, k: u64) -> bool {
        let Self::Named(name) = self else { return true };
        let point = format!("{case}/{k}");
        point == *name || case.to_string().starts_with(name.as_str())
    }
}

/// Runs the chosen points of a workflow; prints how many faults fired, by driver and mode, and
/// fails with a line for each break.
fn enumerate(workflow: Workflow) {
    let choice = Choice::made();
    let cases = Driver::ALL.iter().flat_map(|driver| {
        Mode::ALL.iter().map(move |mode| Case { workflow, driver: *driver, mode: *mode })
    });
    let cases: Vec<Case> = cases.filter(|case| choice.takes(*case)).collect();
    if cases.is_empty() {
        return;
    }
    let began = Instant::now();
    let reference = Reference::of(workflow);
    let mut fired: BTreeMap<(Driver, Mode), u32> = BTreeMap::new();
    let mut breaks = Vec::new();
    for case in cases {
        let points = reference.points(case, matches!(choice, Choice::Some));
        let count = fired.entry((case.driver, case.mode)).or_default();
        for k in &points {
            if !choice.takes_point(case, *k) {
                continue;
            }
            match run(case, *k, &reference) {
                Ok(true) if Some(k) == points.last() => {
                    breaks.push(format!("{case}/{k}: an attempt that the first run had not"));
                }
                Ok(true) => *count += 1,
                Ok(false) => {}
                Err(why) => {
                    *count += 1;
                    breaks.push(format!("{CHOICE}={case}/{k}: {why}"));
                }
            }
        }
    }
    print_table(workflow, &fired, began);
    assert!(breaks.is_empty(), "{} breaks\n{}", breaks.len(), breaks.join("\n"));
    if !matches!(choice, Choice::Named(_)) {
        let none = fired.iter().filter(|((_, mode), count)| **count == 0 && mode.always_fires());
        assert_eq!(none.count(), 0, "a mode that never fired: {fired:?}");
    }
}

#[expect(clippy::print_stdout, reason = "the table is what a long run is for")]
fn print_table(workflow: Workflow, fired: &BTreeMap<(Driver, Mode), u32>, began: Instant) {
    let mut table = String::new();
    for driver in Driver::ALL {
        let counts = fired.iter().filter(|((by, _), _)| by == driver);
        let counts: Vec<_> = counts.map(|((_, mode), count)| format!("{mode} {count}")).collect();
        if !counts.is_empty() {
            let _ = writeln!(table, "{workflow:20} {driver:8} {}", counts.join(" · "));
        }
    }
    let sum: u32 = fired.values().sum();
    let seconds = began.elapsed().as_secs_f32();
    println!("{table}{workflow:20} {sum} points in {seconds:.1} s");
}

macro_rules! tests {
    ($($name:ident: $workflow:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                enumerate(Workflow::$workflow);
            }
        )+

        #[test]
        fn every_workflow_is_enumerated() {
            assert_eq!([$(Workflow::$workflow),+], Workflow::ALL);
        }
    };
}

tests! {
    a_learner_created_today_is_created_once: CreateToday,
    a_learner_created_for_later_is_created_once: CreateLater,
    several_are_invited_once_each: InviteSeveral,
    an_invitation_is_sent_again_once: Resend,
    an_invitation_is_cancelled_once: Cancel,
    an_invitation_is_accepted_once: Accept,
    an_invitation_is_declined_once: Decline,
    codes_are_issued_once: IssueCodes,
    a_code_is_redeemed_once: RedeemCode,
    a_registration_code_is_redeemed_once: RedeemRegistration,
    codes_are_paused_once: PauseCodes,
    a_maximum_is_raised_once: RaiseMaximum,
    codes_are_revoked_once: RevokeCodes,
    codes_are_added_once: AddCodes,
    whom_codes_let_in_is_released_once: ReleaseCodes,
    a_seat_is_released_once: Release,
    seats_are_added_once: TopUp,
    seats_are_allocated_once: Allocate,
    a_cohort_is_opened_once: OpenCohort,
    mails_are_sent_once: SendMail,
    a_file_is_imported_once: Import,
    a_sweep_does_what_is_due_once: Sweep,
    an_uploaded_file_is_checked_once: CheckUpload,
    an_import_is_committed_once: CommitImport,
    an_import_is_cancelled_once: CancelImport,
    an_import_is_undone_once: UndoImport,
    what_an_undo_owes_is_done_once: RunUndo,
}
