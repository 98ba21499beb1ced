//! Short stories in which something can go wrong. Without a defect each of them ends well.

use std::sync::Arc;

use jiff::SignedDuration;
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::contract::{ClockStart, Policies};
use seatkeeper_testkit::{Fault, When};
use seatkeeper_tests::actors::Verdict::{Already, Done, Failed, Refused};
use seatkeeper_tests::invariants::{Broken, demand};

use crate::play::Deed::{
    Accept, Allocate, Cancel, Create, CreateInBranch, CreateLater, Decline, Disown, Erase, Invite,
    InviteTwo, IssueOwn, IssueThree, Open, Order, Prove, Redeem, Release, Rename, Resend,
    SetPassword,
};
use crate::play::{Play, TRANSACTION};

pub(crate) type End = Result<(), Broken>;

/// After a lease of one minute.
const LATER: SignedDuration = SignedDuration::from_secs(61);

pub(crate) fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

// Seats, accounts and invitations.

/// Two people want the only seat.
pub(crate) async fn last_seat(p: Arc<Play>) -> End {
    p.race(Create(1), &[Create(2)]).await?;
    p.settle().await
}

/// There are seats enough for everybody.
pub(crate) async fn two_created(p: Arc<Play>) -> End {
    let (first, others) = p.race(Create(1), &[Create(2)]).await?;
    let both = first.verdict == Done && others[0].verdict == Done;
    demand("I13", both, || format!("{first:?} and {others:?}"))?;
    p.settle().await?;
    p.sent(2)
}

/// An account without a seat in the contract is given one twice at once.
pub(crate) async fn same_account(p: Arc<Play>) -> End {
    p.all(&[CreateInBranch(1)]).await?;
    p.race(Create(1), &[Create(1)]).await?;
    p.settle().await
}

/// A new address is given a seat in two pools at once: one of them makes the account.
pub(crate) async fn two_pools(p: Arc<Play>) -> End {
    let (first, others) = p.race(Create(1), &[CreateInBranch(1)]).await?;
    let made = [&first, &others[0]].iter().filter(|end| end.told.ends_with("true)")).count();
    demand("I3", made == 1, || format!("an account was made {made} times"))?;
    p.settle().await
}

pub(crate) async fn created_while_invited(p: Arc<Play>) -> End {
    p.race(Create(1), &[Invite(1)]).await?;
    p.settle().await
}

pub(crate) async fn invited_while_created(p: Arc<Play>) -> End {
    p.race(Invite(1), &[Create(1)]).await?;
    p.settle().await
}

pub(crate) async fn invited_twice(p: Arc<Play>) -> End {
    p.race(Invite(1), &[Invite(1)]).await?;
    p.settle().await
}

/// An invitation that was cancelled is made anew twice at once.
pub(crate) async fn invited_anew_twice(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Cancel(1)]).await?;
    p.race(Invite(1), &[Invite(1)]).await?;
    p.settle().await
}

pub(crate) async fn resent_while_cancelled(p: Arc<Play>) -> End {
    p.all(&[Invite(1)]).await?;
    p.race(Resend(1), &[Cancel(1)]).await?;
    p.settle().await
}

pub(crate) async fn accepted_while_cancelled(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Invite(2)]).await?;
    p.race(Accept(1), &[Cancel(1)]).await?;
    p.settle().await
}

pub(crate) async fn cancelled_while_declined(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Invite(2)]).await?;
    p.race(Cancel(1), &[Decline(1)]).await?;
    p.settle().await
}

/// A link is followed while its invitation is sent again: whoever was told that the new mail is on
/// its way was told that the old link is dead.
pub(crate) async fn accepted_by_an_old_link(p: Arc<Play>) -> End {
    p.all(&[Invite(1)]).await?;
    p.one_of(Accept(1), &[Resend(1)]).await?;
    p.settle().await
}

pub(crate) async fn accepted(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Accept(1)]).await?;
    p.settle().await
}

pub(crate) async fn invited(p: Arc<Play>) -> End {
    p.all(&[Invite(1)]).await?;
    p.settle().await?;
    p.sent(1)?;
    p.links_lead_somewhere().await
}

pub(crate) async fn cancelled(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Cancel(1)]).await?;
    p.wait(minutes(60 * 24 * 16));
    p.settle().await
}

/// Nobody answers an invitation.
pub(crate) async fn expired(p: Arc<Play>) -> End {
    p.all(&[Invite(1)]).await?;
    p.wait(minutes(60 * 24 * 16));
    p.settle().await?;
    p.counter("available", 3)
}

pub(crate) async fn released(p: Arc<Play>) -> End {
    p.all(&[Create(1), Release(1)]).await?;
    p.settle().await
}

pub(crate) async fn released_twice(p: Arc<Play>) -> End {
    p.all(&[Create(1), Create(2)]).await?;
    p.race(Release(1), &[Release(1)]).await?;
    p.settle().await
}

/// A seat is released while it is released and given again, for later.
pub(crate) async fn released_a_seat_of_another_time(p: Arc<Play>) -> End {
    p.all(&[Create(1), Create(2)]).await?;
    p.race(Release(1), &[Release(1), CreateLater(1)]).await?;
    p.settle().await
}

/// Somebody who was invited, and came, is erased.
pub(crate) async fn erased(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Accept(1)]).await?;
    p.drain().await;
    p.all(&[Erase(1)]).await?;
    p.forgotten("learner.1@")?;
    p.counter("available", 3)?;
    p.settle().await
}

/// Somebody who has no seat any more is erased while they are given one.
pub(crate) async fn erased_while_seated(p: Arc<Play>) -> End {
    p.all(&[Create(1), Release(1)]).await?;
    p.race(Erase(1), &[CreateLater(1)]).await?;
    p.settle().await
}

/// Somebody is erased while they are given a seat: whoever comes then is somebody new.
pub(crate) async fn seated_while_erased(p: Arc<Play>) -> End {
    p.all(&[Create(1), Release(1)]).await?;
    let (first, _) = p.race(Create(1), &[Erase(1)]).await?;
    let told = &first.told;
    demand("I3", told.ends_with("true)"), || {
        format!("a seat for an account that was not there: {told}")
    })?;
    p.settle().await
}

/// Somebody is called otherwise while they are erased.
pub(crate) async fn renamed_while_erased(p: Arc<Play>) -> End {
    p.all(&[Create(1), Release(1)]).await?;
    p.race(Rename(1), &[Erase(1)]).await?;
    p.settle().await
}

/// Somebody is erased by two, and invited anew, while the slower one is about to make their old
/// invitation nameless.
pub(crate) async fn erased_while_invited(p: Arc<Play>) -> End {
    p.all(&[Invite(1), CreateInBranch(1)]).await?;
    // A seat is released and an invitation cancelled before.
    p.race_at(Erase(1), 3, &[Erase(1), Invite(1)]).await?;
    p.settle().await
}

/// Somebody is erased, comes again, and follows a link that had been sent before.
pub(crate) async fn password_set_by_a_link_of_before(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    let (first, _) = p.race(SetPassword(1), &[Erase(1), Create(1)]).await?;
    let set = first.verdict == Done;
    demand("I11", !set, || "a link set the password of whoever came next".to_owned())?;
    p.settle().await
}

pub(crate) async fn ordered_twice(p: Arc<Play>) -> End {
    p.race(Order("A-1", 5), &[Order("A-1", 5)]).await?;
    p.counter("total", 3 + 4 + 5)?;
    p.settle().await
}

pub(crate) async fn allocated(p: Arc<Play>) -> End {
    p.all(&[Allocate(1)]).await?;
    p.settle().await
}

/// A password link is used by two at once.
pub(crate) async fn password_set_twice(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.one_of(SetPassword(1), &[SetPassword(1)]).await?;
    p.settle().await
}

/// A client is made whose name is taken.
pub(crate) async fn client_made_again(p: Arc<Play>) -> End {
    let outcome = p.who().make_client(&p.world().store).await;
    demand("I11", outcome.verdict == Refused, || format!("made once more: {outcome:?}"))?;
    p.settle().await
}

/// The duration of a seat begins when its learner comes in, twice at once, around midnight.
pub(crate) async fn came_in_twice(p: Arc<Play>) -> End {
    let (world, who) = (p.world(), p.who());
    let policies = Policies {
        seat_duration_days: Some(30),
        clock_start: ClockStart::FirstLogin,
        ..Policies::default()
    };
    let contract = world.another_contract("2026-030", policies);
    let opened = open_contract(&world.store, Actor::System, world.op(), &contract, 3).await;
    demand("I11", opened.is_ok(), || format!("{opened:?}"))?;
    let mut command = p.setting.creation(1, None);
    command.contract_id = contract.contract_id;
    let made = who.create(&world.store, who.op(), &command).await;
    demand("I11", made.verdict == Done, || format!("{made:?}"))?;
    let other = Arc::clone(&p);
    world.cloud.restart_trace();
    world.cloud.let_first(When::call(TRANSACTION, 1), move || async move {
        other.wait(minutes(60 * 24));
        other.comes_in(1).await;
    });
    p.comes_in(1).await;
    let seen = p.seen();
    let begun = seen.kind("audit").filter(|record| record["action"] == "clock_started").count();
    demand("I11", begun == 1, || format!("a clock started {begun} times"))?;
    p.settle().await
}

// Later starts.

pub(crate) async fn opened(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), CreateLater(2)]).await?;
    p.drain().await;
    p.midnight();
    p.settle().await?;
    p.counter("used", 2)
}

/// Nobody hears of the cohort but the sweep.
pub(crate) async fn opened_without_a_schedule(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1)]).await?;
    p.lose_stream();
    p.midnight();
    p.settle().await
}

pub(crate) async fn joined_at_midnight(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), CreateLater(2)]).await?;
    p.race_with_midnight(CreateLater(3)).await?;
    p.settle().await
}

pub(crate) async fn left_at_midnight(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), CreateLater(2), Invite(9)]).await?;
    p.race_with_midnight(Release(1)).await?;
    p.settle().await
}

/// A seat joins its cohort by a write that is late, just as the cohort opens.
pub(crate) async fn joined_late(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), CreateLater(2)]).await?;
    p.faulty(CreateLater(3), TRANSACTION, 1, Fault::KillLate).await;
    p.midnight();
    p.race_with_late(Open).await?;
    p.settle().await
}

pub(crate) async fn opened_twice(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), Invite(8), Invite(9)]).await?;
    p.midnight();
    p.race(Open, &[Open]).await?;
    p.settle().await
}

pub(crate) async fn opened_early(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1)]).await?;
    p.wait(minutes(13 * 60 + 30));
    p.act(Open).await?;
    p.settle().await
}

pub(crate) async fn left(p: Arc<Play>) -> End {
    p.all(&[CreateLater(1), CreateLater(2), Release(1)]).await?;
    p.settle().await
}

// Codes.

pub(crate) async fn code_redeemed(p: Arc<Play>) -> End {
    p.with_codes(Wanted::Generated(3)).await?;
    p.all(&[Redeem(1)]).await?;
    p.wait(minutes(10));
    p.settle().await
}

pub(crate) async fn code_redeemed_twice(p: Arc<Play>) -> End {
    p.with_codes(Wanted::Generated(3)).await?;
    p.race(Redeem(1), &[Redeem(2)]).await?;
    p.settle().await
}

pub(crate) fn registration(guaranteed: bool) -> Wanted {
    Wanted::Registration { own: None, max_redemptions: Some(1), guaranteed }
}

/// An address is proven after its code was redeemed.
pub(crate) async fn address_proven(p: Arc<Play>) -> End {
    p.with_asking_codes(Wanted::Generated(3)).await?;
    p.all(&[Redeem(1), Prove(1)]).await?;
    p.settle().await
}

/// Nobody proves the address.
pub(crate) async fn address_not_proven(p: Arc<Play>) -> End {
    p.with_asking_codes(Wanted::Generated(3)).await?;
    p.all(&[Redeem(1)]).await?;
    p.wait(minutes(31));
    p.settle().await?;
    p.must(Redeem(2), Done).await
}

/// An address is proven while its owner says that it was somebody else.
pub(crate) async fn proven_while_disowned(p: Arc<Play>) -> End {
    let wanted = Wanted::Registration { own: None, max_redemptions: None, guaranteed: false };
    p.with_asking_codes(wanted).await?;
    p.all(&[Redeem(1), Redeem(2)]).await?;
    p.race(Prove(1), &[Disown(1)]).await?;
    p.settle().await
}

/// Two seats that an open block gave are released at once.
pub(crate) async fn released_out_of_a_block(p: Arc<Play>) -> End {
    let wanted = Wanted::Registration { own: None, max_redemptions: Some(6), guaranteed: true };
    p.with_codes(wanted).await?;
    p.all(&[Redeem(1), Redeem(2)]).await?;
    // The first change finds no used seat in the pool; the second one takes them over.
    p.race_at(Release(1), 2, &[Release(2)]).await?;
    p.settle().await
}

/// Two come with a code for one.
pub(crate) async fn last_redemption(p: Arc<Play>) -> End {
    p.with_codes(registration(false)).await?;
    p.race(Redeem(1), &[Redeem(2)]).await?;
    p.settle().await
}

/// Two come with a code for one, whose seat is set aside.
pub(crate) async fn last_guaranteed_redemption(p: Arc<Play>) -> End {
    p.with_codes(registration(true)).await?;
    p.race(Redeem(1), &[Redeem(2)]).await?;
    p.settle().await
}

/// Two administrators choose the same code, and both have looked whether it is free.
pub(crate) async fn own_code_issued_twice(p: Arc<Play>) -> End {
    p.race_at(IssueOwn, 1, &[IssueOwn]).await?;
    p.wait(minutes(10));
    p.settle().await
}

/// The same, and the one who loses has set everything up already.
pub(crate) async fn own_code_given_back(p: Arc<Play>) -> End {
    p.race_at(IssueOwn, 2, &[IssueOwn]).await?;
    p.wait(minutes(10));
    p.settle().await
}

/// Whoever issued codes is gone after the first of three steps.
pub(crate) async fn issue_cut_off(p: Arc<Play>) -> End {
    p.faulty(IssueThree, TRANSACTION, 1, Fault::KillAfter).await;
    p.wait(minutes(10));
    p.settle().await
}

/// The last step of an issue arrives after the sweep gave everything back.
pub(crate) async fn issue_ended_late(p: Arc<Play>) -> End {
    p.faulty(IssueThree, TRANSACTION, 3, Fault::KillLate).await;
    p.wait(minutes(10));
    p.settle().await?;
    p.arrive()?;
    p.settle().await
}

/// The codes of an issue arrive after the sweep gave everything back.
pub(crate) async fn codes_written_late(p: Arc<Play>) -> End {
    p.faulty(IssueThree, TRANSACTION, 2, Fault::KillLate).await;
    p.wait(minutes(10));
    p.settle().await?;
    p.arrive()?;
    p.settle().await
}

// Requests under an idempotency key.

/// A request is made, and the caller who got no answer makes it again.
pub(crate) async fn asked_again(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Allocate(1), TRANSACTION, 1, Fault::KillAfter).await;
    p.wait(LATER);
    p.keyed(1, 2, Allocate(1)).await?;
    p.counter("allocated", 5)?;
    p.settle().await
}

/// A dead attempt's write arrives after another attempt did it.
pub(crate) async fn written_late(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Allocate(1), TRANSACTION, 1, Fault::KillLate).await;
    p.wait(LATER);
    p.keyed(1, 2, Allocate(1)).await?;
    p.arrive()?;
    p.settle().await
}

/// A dead attempt's write arrives after another attempt was refused.
pub(crate) async fn written_after_a_refusal(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Allocate(1), TRANSACTION, 1, Fault::KillLate).await;
    p.wait(LATER);
    p.all(&[Create(1)]).await?;
    let refused = p.keyed(1, 2, Allocate(1)).await?;
    demand("I11", refused.verdict == Refused, || format!("{refused:?}"))?;
    p.all(&[Release(1)]).await?;
    p.arrive()?;
    p.settle().await
}

/// A request is answered, and made again: at once, and after the lease.
pub(crate) async fn answered_again(p: Arc<Play>) -> End {
    for pause in [SignedDuration::ZERO, SignedDuration::ZERO, LATER] {
        p.wait(pause);
        let told = p.keyed(1, 2, Create(1)).await?;
        demand("I6", told.verdict == Done, || format!("not answered again: {told:?}"))?;
    }
    p.settle().await
}

/// What a request gave is taken back, and the request is made again.
pub(crate) async fn answered_again_after_more(p: Arc<Play>) -> End {
    for pause in [SignedDuration::ZERO, LATER] {
        p.wait(pause);
        let told = p.keyed(1, 2, Create(1)).await?;
        demand("I6", told.verdict == Done, || format!("not answered again: {told:?}"))?;
        p.act(Release(1)).await?;
        p.act(Create(1)).await?;
        p.act(Release(1)).await?;
    }
    p.settle().await
}

/// Another request comes under the key of one that was never answered.
pub(crate) async fn key_used_for_something_else(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Allocate(1), TRANSACTION, 1, Fault::KillBefore).await;
    p.wait(LATER);
    let other = p.keyed(1, 3, Create(1)).await?;
    demand("I6", other.verdict == Failed, || format!("another body is answered: {other:?}"))?;
    p.settle().await
}

/// Two attempts at once.
pub(crate) async fn asked_twice_at_once(p: Arc<Play>) -> End {
    p.keyed_at_once(1, Allocate(1), false).await?;
    p.counter("allocated", 5)?;
    p.settle().await
}

/// A dead attempt's answer is written down a day later, when its key is somebody else's.
pub(crate) async fn answered_late(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Create(1), "UpdateItem", 2, Fault::KillLate).await;
    p.wait(minutes(60 * 25));
    p.drain().await;
    p.keyed(1, 3, Create(2)).await?;
    p.arrive()?;
    p.settle().await
}

/// A dead attempt, refused, takes its record away after another attempt was answered.
pub(crate) async fn abandoned_late(p: Arc<Play>) -> End {
    p.all(&[Create(9)]).await?;
    p.keyed_faulty((1, 2), Create(1), "DeleteItem", 1, Fault::KillLate).await;
    p.wait(LATER);
    p.all(&[Release(9)]).await?;
    p.keyed(1, 2, Create(1)).await?;
    p.arrive()?;
    p.settle().await
}

/// A dead attempt, unlucky, lets its record go while another attempt holds it.
pub(crate) async fn let_go_late(p: Arc<Play>) -> End {
    p.keyed_unlucky(1, Allocate(1)).await;
    p.wait(LATER);
    p.keyed_at_once(1, Allocate(1), true).await?;
    p.settle().await
}

/// Two are invited, and the caller who got no answer asks again.
pub(crate) async fn invited_again(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), InviteTwo(1), TRANSACTION, 1, Fault::KillAfter).await;
    p.wait(LATER);
    let told = p.keyed(1, 2, InviteTwo(1)).await?.told;
    demand("I6", told.matches("Invited").count() == 2, || format!("told {told}"))?;
    p.settle().await
}

// Mails.

pub(crate) async fn told_once(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.settle().await?;
    p.sent(1)
}

/// The stream brings one mail to two senders at once.
pub(crate) async fn two_senders(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.drain_twice().await;
    p.settle().await?;
    p.sent(1)
}

/// The mail service accepts a mail, and its answer is lost.
pub(crate) async fn accepted_unheard(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.drain_faulty("SendEmail", 1, Fault::LoseReply).await;
    p.settle().await?;
    p.sent(1)
}

/// The sender ends when it has handed the mail over.
pub(crate) async fn sender_gone(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.drain_faulty("SendEmail", 1, Fault::KillAfter).await;
    p.settle().await?;
    p.sent(1)
}

/// The caller who got no answer asks again, when everything was written.
pub(crate) async fn told_though_asked_again(p: Arc<Play>) -> End {
    p.keyed_faulty((1, 2), Create(1), TRANSACTION, 1, Fault::KillAfter).await;
    p.wait(LATER);
    p.keyed(1, 2, Create(1)).await?;
    p.settle().await?;
    p.sent(1)
}

/// The stream's records are lost, and the sweep is alone.
pub(crate) async fn told_by_the_sweep(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.lose_stream();
    p.settle().await?;
    p.sent(1)
}

/// Copies of the table are behind when the stream's records come.
pub(crate) async fn told_from_copies(p: Arc<Play>) -> End {
    p.world().cloud.restart_trace();
    p.all(&[Create(1)]).await?;
    p.drain_from_copies().await;
    p.settle().await?;
    p.sent(1)
}

// Imports.

pub(crate) async fn imported(p: Arc<Play>) -> End {
    let object = p.file();
    p.import(&object).await?;
    p.settle().await?;
    p.sent(6)?;
    p.counter("available", 3)
}

/// The worker is gone after it has claimed the file.
pub(crate) async fn worker_gone(p: Arc<Play>) -> End {
    let object = p.file();
    p.import_faulty(&object, 2, Fault::KillAfter).await;
    p.settle().await?;
    p.sent(6)
}

/// The worker is gone after its rows are written.
pub(crate) async fn worker_gone_after_its_rows(p: Arc<Play>) -> End {
    let object = p.file();
    p.import_faulty(&object, 3, Fault::KillAfter).await;
    p.settle().await?;
    p.sent(6)
}

/// The last write of a dead worker arrives after another one ended the import.
pub(crate) async fn closed_late(p: Arc<Play>) -> End {
    p.all(&[InviteTwo(1), InviteTwo(3), InviteTwo(5)]).await?;
    let object = p.file();
    p.import_faulty(&object, 4, Fault::KillLate).await;
    p.settle().await?;
    p.arrive()?;
    p.settle().await
}

/// The rows of a dead worker arrive just before another one writes them: six who have their seats.
pub(crate) async fn rows_written_late(p: Arc<Play>) -> End {
    let first = p.file();
    p.import(&first).await?;
    let again = p.file_of_the_same();
    p.import_faulty(&again, 3, Fault::KillLate).await;
    p.wait(minutes(16));
    p.resumed_late(&again, 2).await?;
    p.settle().await
}

pub(crate) async fn event_twice(p: Arc<Play>) -> End {
    let object = p.file();
    p.import_twice(&object).await?;
    p.settle().await?;
    p.sent(6)
}

/// A learner who has a seat comes again.
pub(crate) async fn created_again(p: Arc<Play>) -> End {
    p.must(Create(1), Done).await?;
    p.must(Create(1), Already).await?;
    p.settle().await
}
