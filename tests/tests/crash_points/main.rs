//! Faults at every attempt of every workflow: whatever goes wrong, in the end a workflow has
//! happened once or not at all, and nothing else has changed.
//!
//! Without more, a selection runs that is quick. `CRASH_POINTS=all`, or `SEATKEEPER_VERIFY` with a
//! folder for the numbers, runs everything: one fault of each mode at each attempt, under every
//! driver; ordered pairs of the core modes; and schedules drawn by chance. A run that breaks
//! says its name: `CRASH_POINTS=create-today/returns/kill-after/7` runs that one again.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing it did not expect"
)]
#![expect(clippy::large_futures, reason = "one of them runs at a time")]

mod calls;
#[path = "../imports/desk.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod desk;
#[path = "../mailroom/mod.rs"]
mod mailroom;
mod point;
mod random;
mod repeats;
mod scene;
#[path = "../imports/stage.rs"]
#[allow(dead_code, reason = "the tests of imports use the rest")]
mod stage;
mod state;

use point::{Case, Depth, Driver, Mode, Point, References, run};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use scene::Workflow;
use seatkeeper_tests::runs;
use seatkeeper_tests::tally::Tally;

/// The environment variable that says what is run.
const CHOICE: &str = "CRASH_POINTS";
/// The command that runs what it names.
const COMMAND: &str = "cargo nextest run -p seatkeeper-tests --test crash_points";

/// What is run.
#[derive(PartialEq)]
enum Choice {
    /// A selection that is quick.
    Some,
    All,
    /// What has this name, or a name that begins with these parts.
    Named(String),
}

impl Choice {
    #[expect(clippy::disallowed_methods, reason = "tells a test how far to go")]
    fn made() -> Self {
        match std::env::var(CHOICE) {
            Err(_) if runs::long() => Self::All,
            Err(_) => Self::Some,
            Ok(text) if text == "all" => Self::All,
            Ok(text) => Self::Named(text),
        }
    }

    /// Whether something under this name may be run.
    fn leads_to(&self, name: &str) -> bool {
        let Self::Named(chosen) = self else { return true };
        is_under(name, chosen) || is_under(chosen, name)
    }

    /// Whether it is one run with one fault.
    fn is_one_fault(&self) -> bool {
        matches!(self, Self::Named(name) if name.split('/').count() == 4)
    }

    /// Whether this is run.
    fn takes(&self, name: &str) -> bool {
        let Self::Named(chosen) = self else { return true };
        is_under(name, chosen)
    }
}

/// Whether a name begins with all parts of another.
fn is_under(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What broke, each with the line that runs it again.
#[derive(Default)]
struct Breaks(Vec<String>);

impl Breaks {
    fn add(&mut self, name: &str, why: &str) {
        self.0.push(format!("{CHOICE}={name} {COMMAND}\n    {why}"));
    }
}

/// Ends a test: keeps its numbers, and fails if anything broke.
fn conclude(mut tally: Tally, part: &str, breaks: &Breaks) {
    let Breaks(breaks) = breaks;
    tally.breaks = breaks.len() as u64;
    tally.keep(part);
    assert!(breaks.is_empty(), "{} breaks\n{}", breaks.len(), breaks.join("\n"));
}

/// Whether something that is not worth its time in a quick run is drawn for it: each seed is a
/// workflow's own, so that all of them together come upon everything.
struct Draw {
    chance: Xoshiro256PlusPlus,
    quick: bool,
}

impl Draw {
    fn of(workflow: Workflow, choice: &Choice) -> Self {
        let chance = Xoshiro256PlusPlus::seed_from_u64(workflow as u64);
        Self { chance, quick: *choice == Choice::Some }
    }

    /// Whether to take something that a quick run takes with this likelihood.
    fn takes(&mut self, likelihood: f64) -> bool {
        !self.quick || self.chance.random_bool(likelihood)
    }

    /// So many of these in a quick run.
    fn some<T>(&mut self, of: Vec<T>, most: usize) -> Vec<T> {
        if self.quick { of.into_iter().sample(&mut self.chance, most) } else { of }
    }
}

/// One fault: each mode at each attempt under each driver, and at the first attempt that there is
/// not. A quick run ends the worker at each write, and draws one point of some of the other modes.
fn one_fault(workflow: Workflow) {
    let choice = Choice::made();
    if !choice.leads_to(&workflow.to_string()) {
        return;
    }
    let mut tally = Tally::of("crash points, one fault");
    let mut breaks = Breaks::default();
    let mut draw = Draw::of(workflow, &choice);
    let references = References::of(workflow);
    let [likely, seldom] = if workflow.is_long() { [0.1, 0.0] } else { [0.35, 0.05] };
    for case in Case::all(workflow) {
        let returns = case.driver == Driver::Returns;
        for mode in Mode::ALL.iter().filter(|mode| mode.suits(workflow)) {
            let all = choice != Choice::Some || (returns && *mode == Mode::KillLate);
            if !all && !draw.takes(if returns { likely } else { seldom }) {
                continue;
            }
            let mut fired = 0;
            let depth = if choice == Choice::Some { Depth::Writes } else { Depth::Each };
            let mut points = references.points(case.driver, *mode, depth);
            if !all {
                points = draw.some(points, 1);
            }
            let end = (choice != Choice::Some).then(|| references.end(case.driver));
            points.extend(end);
            for k in points {
                let point = Point { case, faults: &[(*mode, k)] };
                if !choice.takes(&point.to_string()) {
                    continue;
                }
                tally.runs += 1;
                match run(point, &references) {
                    Ok(ran) if ran.fired.is_empty() => {}
                    Ok(_) if Some(k) == end => {
                        breaks.add(&point.to_string(), "an attempt that the first run had not");
                    }
                    Ok(ran) => {
                        fired += 1;
                        ran.count_into(&mut tally, point);
                    }
                    Err(why) => breaks.add(&point.to_string(), &why),
                }
            }
            let never = fired == 0 && mode.always_fires() && choice == Choice::All;
            if never && breaks.0.is_empty() {
                breaks.add(&format!("{case}/{mode}"), "a mode that never fired");
            }
        }
    }
    conclude(tally, &workflow.to_string(), &breaks);
}

/// The most pairs of faults of a case that are all run. Of more, each n-th is: a sweep has tens of
/// thousands. `CRASH_PAIRS=k/n` runs the k-th of n parts of all of them instead, `0/1` all.
const PAIRS: usize = 1_000;

/// The part of all pairs that is asked for: which, of how many.
#[expect(clippy::disallowed_methods, reason = "tells a test how far to go")]
fn part_of_pairs() -> Option<(usize, usize)> {
    let part = std::env::var("CRASH_PAIRS").ok()?;
    let (which, of) = part.split_once('/').expect("CRASH_PAIRS=k/n");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    Some((number(which), number(of)))
}

/// Two faults: each ordered pair of the core modes, the second at each attempt behind the first,
/// those that only a recovery makes included, and of reads with nothing written between them the last;
/// of a case with more than [`PAIRS`] each n-th, and
/// those that are left out are counted. A quick run draws some.
fn two_faults(workflow: Workflow) {
    let choice = Choice::made();
    let quick = choice == Choice::Some;
    let depth = match &choice {
        Choice::Some => Depth::Writes,
        Choice::All => Depth::Pairs,
        // What is named may be any of them.
        Choice::Named(_) => Depth::Each,
    };
    let led = choice.leads_to(&workflow.to_string()) && !choice.is_one_fault();
    if !led || (quick && workflow.is_long()) {
        return;
    }
    let mut tally = Tally::of("crash points, two faults");
    let mut breaks = Breaks::default();
    let mut draw = Draw::of(workflow, &choice);
    let references = References::of(workflow);
    for case in Case::all(workflow).filter(|case| case.driver.meets_two()) {
        if quick && case.driver != Driver::Returns {
            continue;
        }
        let firsts = Mode::CORE.into_iter().flat_map(|mode| {
            let points = references.points(case.driver, mode, depth);
            points.into_iter().map(move |k| (mode, k))
        });
        let firsts = draw.some(firsts.collect(), 2);
        // A run has about as many points behind its fault as before anything went wrong.
        let (which, every) = match (&choice, part_of_pairs()) {
            (Choice::All, None) => (0, firsts.len().pow(2).div_ceil(PAIRS)),
            (Choice::All, Some(part)) => part,
            _ => (0, 1),
        };
        let mut pairs = 0;
        for (mode, k) in firsts {
            let first = Point { case, faults: &[(mode, k)] };
            if !choice.leads_to(&first.to_string()) {
                continue;
            }
            // What one fault breaks is told by the test of one fault.
            let Ok(alone) = run(first, &references) else { continue };
            let seconds = Mode::CORE.into_iter().flat_map(|mode| {
                let points = alone.points_behind(k, mode, depth);
                points.into_iter().map(move |k| (mode, k))
            });
            for second in draw.some(seconds.collect(), 2) {
                let point = Point { case, faults: &[(mode, k), second] };
                if !choice.takes(&point.to_string()) {
                    continue;
                }
                pairs += 1;
                if pairs % every != which {
                    tally.left_out += 1;
                    continue;
                }
                tally.runs += 1;
                match run(point, &references) {
                    Ok(ran) => ran.count_into(&mut tally, point),
                    Err(why) => breaks.add(&point.to_string(), &why),
                }
            }
        }
    }
    conclude(tally, &workflow.to_string(), &breaks);
}

macro_rules! tests {
    ($($name:ident: $workflow:ident),+ $(,)?) => {
        mod one_fault {
            $(
                #[test]
                fn $name() {
                    super::runs::with_room(|| super::one_fault(super::Workflow::$workflow));
                }
            )+
        }

        mod two_faults {
            $(
                #[test]
                fn $name() {
                    super::runs::with_room(|| super::two_faults(super::Workflow::$workflow));
                }
            )+
        }

        #[test]
        fn every_workflow_is_enumerated() {
            assert_eq!([$(Workflow::$workflow),+], Workflow::ALL);
        }
    };
}

tests! {
    a_learner_created_today_is_created_once: CreateToday,
    a_learner_created_for_later_is_created_once: CreateLater,
    who_is_invited_and_then_created_has_one_seat: CreateInvited,
    several_are_invited_once_each: InviteSeveral,
    an_invitation_is_sent_again_once: Resend,
    an_invitation_is_cancelled_once: Cancel,
    an_invitation_is_accepted_once: Accept,
    an_invitation_is_declined_once: Decline,
    an_invitation_expires_once: Expire,
    codes_are_issued_once: IssueCodes,
    a_guaranteed_code_is_issued_once: IssueGuaranteed,
    a_code_is_redeemed_once: RedeemCode,
    a_registration_code_is_redeemed_once: RedeemRegistration,
    codes_are_paused_once: PauseCodes,
    a_maximum_is_raised_once: RaiseMaximum,
    codes_are_revoked_once: RevokeCodes,
    codes_are_added_once: AddCodes,
    whom_codes_let_in_is_released_once: ReleaseCodes,
    codes_are_mailed_once: SendCodes,
    a_guaranteed_code_is_redeemed_once: RedeemGuaranteed,
    a_code_of_a_later_start_is_redeemed_once: RedeemLater,
    a_seat_that_waits_is_released_once: Release,
    a_seat_in_use_is_released_once: ReleaseUsed,
    a_seat_out_of_an_open_block_is_released_once: ReleaseGuaranteed,
    a_seat_that_is_over_ends_once: EndSeat,
    who_uses_no_seat_is_warned_once: WarnUnused,
    a_seat_that_nobody_uses_is_taken_back_once: TakeBackUnused,
    a_person_is_erased_once: Erase,
    somebody_is_suspended_once: Suspend,
    somebody_is_let_in_again_once: Resume,
    a_last_day_is_given_once: MoveEnd,
    who_arrives_by_single_sign_on_is_seated_once: ArriveBySso,
    those_who_look_after_a_client_are_told_of_an_erasure_once: TellOfErasure,
    a_clock_starts_once: ComeIn,
    a_seat_is_handed_over_once: Transfer,
    a_seat_that_waits_is_handed_over_once: TransferWaiting,
    a_seat_is_given_another_day_once: Reschedule,
    a_cohort_is_given_another_day_once: RescheduleCohort,
    a_cohort_is_cancelled_once: CancelCohort,
    a_contract_is_opened_once: OpenContract,
    a_contract_is_renewed_once: RenewContract,
    a_contract_is_renewed_once_by_a_later_one: RenewLater,
    seats_are_added_once: TopUp,
    modules_are_added_once: AddModules,
    a_sublicense_is_made_once: AddSublicense,
    seats_are_allocated_once: Allocate,
    seats_are_given_back_by_a_sublicense_once: GiveBack,
    a_cohort_is_announced_once: Announce,
    a_cohort_is_opened_once: OpenCohort,
    mails_are_sent_once: SendMail,
    news_of_a_mail_is_noted_once: Feedback,
    a_file_is_imported_once: Import,
    a_file_of_several_chunks_is_imported_once: ImportChunks,
    a_sweep_does_what_is_due_once: Sweep,
    a_lot_of_codes_is_taken_back_once: TakeBackLot,
    a_client_is_warned_once: Warn,
    an_uploaded_file_is_checked_once: CheckUpload,
    an_import_is_committed_once: CommitImport,
    an_import_is_cancelled_once: CancelImport,
    an_import_is_undone_once: UndoImport,
    what_an_undo_owes_is_done_once: RunUndo,
    whom_an_import_let_in_is_released_once: ReleaseImport,
    an_address_is_changed_once: ChangeAddress,
    everybody_is_reminded_once: Remind,
    reminders_are_stopped_once: StopReminders,
    a_new_password_is_asked_for_once: RequestPassword,
    a_code_is_held_once: HoldCode,
    a_registration_code_is_held_once: HoldRegistration,
    an_address_is_proven_once: ProveAddress,
    an_address_with_a_registration_code_is_proven_once: ProveRegistration,
    an_address_is_proven_once_for_a_later_start: ProveLater,
    what_is_held_for_an_address_returns_once: ReturnHeldCode,
}
