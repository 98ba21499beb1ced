//! The defects: one line each. What it is, which invariant must notice, in which story, and how it
//! is seeded.
//!
//! None of them is in the product: what the product sends is changed on its way, or what is around
//! it behaves as it should not.

use seatkeeper_testkit::{Outgoing, Write};
use serde_json::{Value, json};

use crate::play::{Habit, Place, Play, Story, TRANSACTION};

/// All stories.
mod s {
    pub(crate) use crate::office::*;
    pub(crate) use crate::stories::*;
}

/// A defect.
pub(crate) struct Bug {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// The invariant that must notice.
    pub(crate) caught_by: &'static str,
    /// Seats of the contract.
    pub(crate) seats: u64,
    /// Where it matters.
    pub(crate) story_name: &'static str,
    pub(crate) story: Story,
    pub(crate) place: Place,
}

// Kinds of items, by the beginnings of their keys.
type Kind = (&'static str, &'static str);
const POOL: Kind = ("POOL#", "POOL");
/// The sublicense's pool.
const BRANCH: Kind = ("POOL#acme#sub", "POOL");
const BLOCK: Kind = ("POOL#", "BLOCK#");
const LEARNER: Kind = ("L#", "");
const INVITATION: Kind = ("I#", "");
const COHORT: Kind = ("COHORT#", "");
const MAIL: Kind = ("MAIL#", "");
const AUDIT: Kind = ("AUDIT#", "");
const CODE: Kind = ("CODE#", "");
const BATCH: Kind = ("BATCHES#", "");
const BAR: Kind = ("BATCH#", "BARRED#");
const REDEMPTION: Kind = ("BATCH#", "REDEEMED#");
const IMPORT: Kind = ("IMPORT#", "IMPORT");
const ORDER: Kind = ("ORDER#", "");
const CLIENT: Kind = ("CLIENT#", "CLIENT");
const CONTRACT: Kind = ("CLIENT#", "CONTRACT#");
const REFERENCE: Kind = ("CLIENT#", "REFERENCE#");
const ERASURE: Kind = ("ERASURE#", "");
const GROUP_NAME: Kind = ("CLIENT#", "GROUPNAME#");
const RECORD: Kind = ("IDEM#", "");

/// Does it to every write of a kind of item.
fn each(sent: &mut Outgoing, kind: Kind, mut act: impl FnMut(&mut Write<'_>)) {
    for mut write in sent.every_write() {
        if write.key("pk").starts_with(kind.0) && write.key("sk").starts_with(kind.1) {
            act(&mut write);
        }
    }
}

fn free(sent: &mut Outgoing, kind: Kind) {
    each(sent, kind, |write| {
        write.unconditional();
    });
}

fn relax(sent: &mut Outgoing, kind: Kind, attribute: &str) {
    each(sent, kind, |write| write.without_demand(attribute));
}

/// The same, of several attributes.
fn relax_all(sent: &mut Outgoing, kind: Kind, attributes: &[&str]) {
    for attribute in attributes {
        relax(sent, kind, attribute);
    }
}

/// Neither what was told is asked for, nor whether the mail that tells it is there.
fn tell_again(sent: &mut Outgoing, kind: Kind, told: &str) {
    if sent.operation == TRANSACTION {
        relax(sent, kind, told);
        free(sent, MAIL);
    }
}

fn forget(sent: &mut Outgoing, kind: Kind) {
    if sent.operation == TRANSACTION {
        each(sent, kind, |write| {
            write.forget();
        });
    }
}

/// Forgets the writes of a kind that change an attribute.
fn forget_change(sent: &mut Outgoing, kind: Kind, attribute: &str) {
    each(sent, kind, |write| {
        if write.changes(attribute) {
            write.without_change(attribute);
        }
    });
}

fn unset(sent: &mut Outgoing, kind: Kind, attribute: &str) {
    each(sent, kind, |write| {
        if let Some(item) = write.item() {
            item.remove(attribute);
        }
        forget_attribute(write, attribute);
    });
}

fn forget_attribute(write: &mut Write<'_>, attribute: &str) {
    if write.changes(attribute) {
        write.without_change(attribute);
    }
}

/// The client is left out of a kind of key, wherever it is read or written.
fn without_client(sent: &mut Outgoing, with: &str, without: &str) {
    let text = sent.body.to_string().replace(with, without);
    sent.body = serde_json::from_str(&text).unwrap_or_default();
}

/// What a condition of the idempotency record says, in its own words.
fn begin_without(sent: &mut Outgoing, clause: &str) {
    if sent.operation == "UpdateItem"
        && let Some(text) = sent.body["ConditionExpression"].as_str().map(str::to_owned)
        && text.contains(clause)
    {
        // Names and values stay in use.
        let always = format!("{clause} OR held_since <= :now");
        let text = text.replace(clause, &format!("({always} OR held_since > :now)"));
        sent.body["ConditionExpression"] = text.into();
    }
}

/// Writes the counters as they were read, changed.
fn read_modify_write(sent: &mut Outgoing, items: &[Value]) {
    each(sent, POOL, |write| {
        let here = |item: &&Value| item["pk"] == write.key("pk") && item["sk"] == "POOL";
        let Some(known) = items.iter().find(here) else { return };
        let (available, used) = (known["available"].as_i64(), known["used"].as_i64());
        let number = |value: i64| json!({"N": value.to_string()});
        if let (Some(available), Some(used), true) = (available, used, write.changes("used")) {
            let values = [(":a", number(available - 1)), (":u", number(used + 1))];
            write.set_change("SET available = :a, used = :u", &values);
        }
    });
}

/// Takes the mails out of the transaction and says what to send for them.
fn mails_apart(sent: &mut Outgoing) -> Vec<(&'static str, Value)> {
    let mut apart = Vec::new();
    if sent.operation == TRANSACTION {
        each(sent, MAIL, |write| {
            apart.push(write.alone());
            write.forget();
        });
    }
    apart
}

fn tell_twice(sent: &mut Outgoing) {
    let mut more = Vec::new();
    each(sent, AUDIT, |write| {
        let (operation, mut body) = write.alone();
        let sk = format!("{}#again", write.key("sk"));
        body["Item"]["sk"] = json!({"S": sk});
        more.push((operation, body));
    });
    sent.after = more;
}

fn consistent_no_more(sent: &mut Outgoing) {
    let learners = sent.body.to_string().contains("\"L#");
    if learners && sent.operation == "GetItem" {
        sent.body["ConsistentRead"] = false.into();
    }
    if learners && sent.operation == "BatchGetItem" {
        for (_, table) in sent.body["RequestItems"].as_object_mut().into_iter().flatten() {
            table["ConsistentRead"] = false.into();
        }
    }
}

/// Says who it was about, where ids suffice.
fn talkative(write: &mut Write<'_>) {
    let receipt = |value: &Value| value["L"][0]["S"].is_string();
    write.replace_value(receipt, &json!({"L": [{"S": "learner.1@example.fr"}]}));
}

fn claim_unwritten(sent: &mut Outgoing) {
    if sent.operation == "UpdateItem" {
        each(sent, MAIL, |write| {
            if write.sets("claimed_until") {
                write.unconditional();
                write.set_change("REMOVE nothing", &[]);
            }
        });
    }
}

fn answer_unwritten(sent: &mut Outgoing) {
    if sent.operation == "UpdateItem" {
        each(sent, RECORD, |write| {
            if write.changes("sealed") {
                write.without_change("sealed");
                write.without_change("status");
            }
        });
    }
}

fn lease_unwritten(sent: &mut Outgoing) {
    let begins = sent.body["ExpressionAttributeValues"][":until"].is_object();
    if begins {
        sent.body["ExpressionAttributeValues"][":until"] = json!({"S": "2000-01-01T00:00:00Z"});
    }
}

fn same_token(sent: &mut Outgoing) {
    if sent.operation == TRANSACTION {
        sent.body["ClientRequestToken"] = "the-same-for-all".into();
    }
}

macro_rules! bugs {
    ($($caught:literal $seats:literal $story:ident $name:literal: $place:expr;)+) => {
        /// All of them.
        pub(crate) const BUGS: &[Bug] = &[$(Bug {
            name: $name,
            caught_by: $caught,
            seats: $seats,
            story_name: stringify!($story),
            story: |play: std::sync::Arc<Play>| Box::pin(s::$story(play)),
            place: $place,
        }),+];
    };
}

use Place::{Habit as Odd, Stale, Wire};

bugs! {
    // Conditions left out.
    "I1" 1 last_seat "a pool gives seats it has not": Wire(|o| relax(o, POOL, "available"));
    "I1" 3 same_account "a learner gets a second seat in a pool": Wire(|o| relax(o, LEARNER, "seat_"));
    "I3" 3 two_pools "an account is made over another": Wire(|o| relax(o, LEARNER, "email"));
    "I3" 3 created_while_invited "a seat beside a pending invitation": Wire(|o| relax(o, INVITATION, "status"));
    "I3" 3 invited_while_created "an invitation of somebody who has a seat": Wire(|o| relax(o, LEARNER, "seat_"));
    "I1" 3 invited_twice "an invitation written over another": Wire(|o| free(o, INVITATION));
    "I1" 3 invited_anew_twice "an invitation replaced whatever it has become": Wire(|o| free(o, INVITATION));
    "I1" 3 resent_while_cancelled "an invitation sent again though cancelled": Wire(|o| relax(o, INVITATION, "status"));
    "I1" 3 accepted_while_cancelled "an invitation accepted though cancelled": Wire(|o| relax(o, INVITATION, "status"));
    "I1" 3 cancelled_while_declined "an invitation cancelled though declined": Wire(|o| relax(o, INVITATION, "status"));
    "I11" 3 accepted_by_an_old_link "an invitation accepted at another version": Wire(|o| relax(o, INVITATION, "version"));
    "I1" 3 released_twice "a seat released though released": Wire(|o| relax(o, LEARNER, "seat_"));
    "I1" 3 released_a_seat_of_another_time "a seat released that another operation gave": Wire(|o| relax(o, LEARNER, "seat_"));
    "I1" 3 erased_while_seated "a person erased who was given a seat meanwhile": Wire(|o| relax(o, LEARNER, "given"));
    "I3" 3 seated_while_erased "a seat for somebody who was erased": Wire(|o| relax(o, LEARNER, "email"));
    "I12" 3 renamed_while_erased "somebody who was erased gets a name": Wire(|o| relax(o, LEARNER, "email"));
    "I1" 3 erased_while_invited "an invitation made nameless though made anew": Wire(|o| free(o, INVITATION));
    "I11" 3 password_set_by_a_link_of_before "password links outlive their person": Wire(|o| each(o, LEARNER, |w| if w.changes("erased_at") { w.without_change("password_serial") }));
    "I11" 3 came_in_twice "a clock started though it runs": Wire(|o| relax(o, LEARNER, "seat_"));
    "I1" 4 joined_at_midnight "a cohort joined though it opened": Wire(|o| relax(o, COHORT, "state"));
    "I1" 4 left_at_midnight "a cohort left though it opened": Wire(|o| relax(o, COHORT, "state"));
    "I1" 4 joined_late "a cohort opened with fewer than wait": Wire(|o| relax(o, COHORT, "count"));
    "I1" 4 opened_twice "a cohort opened twice": Wire(|o| relax(o, COHORT, "state"));
    "I1" 3 proven_while_disowned "a seat taken up though it was given back": Wire(|o| relax(o, INVITATION, "status"));
    "I2" 3 code_redeemed_twice "a redemption code used twice": Wire(|o| relax(o, CODE, "redeemed_by"));
    "I2" 3 last_redemption "a registration code redeemed beyond its maximum": Wire(|o| relax(o, BATCH, "redeemed"));
    "I1" 3 last_guaranteed_redemption "a block gives seats it has not": Wire(|o| relax(o, BLOCK, "rem"));
    "I1" 6 released_out_of_a_block "a block hands over used seats it has not": Wire(|o| relax(o, BLOCK, "used"));
    "I6" 3 ordered_twice "an order adds its seats again": Wire(|o| free(o, ORDER));
    "I2" 3 own_code_issued_twice "a code written over another": Wire(|o| free(o, CODE));
    "I2" 3 own_code_given_back "a code of another batch removed": Wire(|o| relax(o, CODE, "batch_id"));
    "I14" 3 issue_ended_late "a batch made active though given back": Wire(|o| free(o, BATCH));
    "I14" 3 codes_written_late "codes are written though their lot is barred": Wire(|o| free(o, BAR));
    "I14" 3 codes_written_late "a lot is not barred before its codes are removed": Wire(|o| forget(o, BAR));
    "I11" 3 password_set_twice "a password link works twice": Wire(|o| relax(o, LEARNER, "password_serial"));
    "I11" 3 client_made_again "a client made over another": Wire(|o| free(o, CLIENT));
    "I14" 16 closed_late "an import closed by a worker that was replaced": Wire(|o| {
        free(o, IMPORT);
        free(o, BLOCK);
    });
    "I10" 9 event_twice "a file claimed though claimed": Wire(|o| free(o, IMPORT));
    "I10" 9 rows_written_late "a chunk of rows written whatever is written": Wire(|o| relax_all(o, BLOCK, &["cursor", "epoch"]));
    "I1" 3 readdressed_while_accepted "an invitation sent elsewhere though accepted": Wire(|o| each(o, INVITATION, |w| if w.changes("left") { w.unconditional() }));
    "I1" 3 carried_while_accepted "an invitation carried over though accepted": Wire(|o| each(o, INVITATION, |w| if w.changes("left") { w.unconditional() }));
    "I11" 3 carried_while_released "a seat carried over though released": Wire(|o| relax_all(o, LEARNER, &["op", "state"]));
    "I11" 3 renewed_twice "a contract renewed though renewed": Wire(|o| relax(o, CONTRACT, "renewed_by"));
    "I4" 3 reminded_twice "a reminder counted though counted": Wire(|o| relax(o, INVITATION, "reminders"));
    "I4" 3 client_warned_twice "a client warned though warned": Wire(|o| tell_again(o, CONTRACT, "warned"));
    "I4" 3 unused_seat_warned_of_twice "somebody warned of an unused seat though warned": Wire(|o| tell_again(o, LEARNER, "reclaim"));
    "I4" 3 erasure_told_of_twice "a deletion date told of though told of": Wire(|o| tell_again(o, ERASURE, "pk"));
    "I11" 3 taken_back_while_used "an unused seat taken back though its learner came in": Wire(|o| relax(o, LEARNER, "entered_at"));
    "I11" 3 modules_added_at_once "modules written over others": Wire(|o| relax(o, CONTRACT, "version"));
    "I11" 3 reference_taken_twice "a reference taken though taken": Wire(|o| free(o, REFERENCE));
    "I11" 3 group_name_taken_twice "a group's name taken though taken": Wire(|o| free(o, GROUP_NAME));
    "I11" 3 redeemed_while_paused "a code redeemed though paused": Wire(|o| relax_all(o, BATCH, &["state", "version"]));

    // Idempotency.
    "I6" 3 asked_again "the receipt does not ask whether it is there": Wire(|o| relax(o, RECORD, "applied"));
    "I14" 1 written_after_a_refusal "the receipt does not ask who holds the record": Wire(|o| relax(o, RECORD, "held_since"));
    "I14" 3 written_late "no receipt is written with the effect": Wire(|o| forget(o, RECORD));
    "I6" 3 asked_again "the receipt is left out of the transaction": Wire(|o| forget(o, RECORD));
    "I6" 3 key_used_for_something_else "a record does not know its body": Wire(|o| begin_without(o, "body = :body"));
    "I6" 3 answered_again_after_more "a record is taken though answered": Wire(|o| begin_without(o, "attribute_not_exists(sealed)"));
    "I6" 3 asked_twice_at_once "a record is taken though held": Wire(|o| begin_without(o, "held_until < :now"));
    "I6" 3 asked_twice_at_once "a record is held for no time": Wire(lease_unwritten);
    "I6" 3 answered_again "the answer is not kept": Wire(answer_unwritten);
    "I14" 3 answered_late "an answer is kept whoever holds the record": Wire(|o| if o.operation == "UpdateItem" { relax(o, RECORD, "held_since") });
    "I14" 1 abandoned_late "a record is removed whoever holds it": Wire(|o| if o.operation == "DeleteItem" { free(o, RECORD) });
    "I6" 3 let_go_late "a record is let go by who does not hold it": Wire(|o| if o.operation == "UpdateItem" { relax(o, RECORD, "held_since") });

    "I6" 4 invited_again "a receipt does not say what it is for": Wire(|o| forget_change(o, RECORD, "receipts"));

    // What belongs together comes apart.
    "I1" 3 same_account "a transaction is sent write by write": Wire(|o| o.split = o.operation == TRANSACTION);
    "I1" 5 two_created "counters are read, changed and written": Stale(read_modify_write);
    "I13" 5 two_created "all transactions have one token": Wire(same_token);
    "I4" 1 last_seat "the mail is owed before the change": Wire(|o| o.before = mails_apart(o));
    "I4" 3 told_though_asked_again "the mail is owed after the change": Wire(|o| o.after = mails_apart(o));
    "I4" 3 told_once "no mail is owed": Wire(|o| forget(o, MAIL));
    "I8" 3 told_once "no audit record is written": Wire(|o| forget(o, AUDIT));
    "I8" 3 told_once "an audit record is written twice": Wire(tell_twice);
    "I1" 3 told_once "a seat is given and not counted": Wire(|o| forget(o, POOL));
    "I1" 3 told_once "a seat leaves and does not arrive": Wire(|o| forget_change(o, POOL, "used"));
    "I1" 3 told_once "a seat arrives and does not leave": Wire(|o| forget_change(o, POOL, "available"));
    "I1" 3 told_once "a seat is counted and not given": Wire(|o| forget(o, LEARNER));
    "I1" 3 two_pools "a sublicense's seat is not taken from it": Wire(|o| each(o, BRANCH, |w| if w.changes("used") { w.forget() }));
    "I1" 3 allocated "an allocation leaves and does not arrive": Wire(|o| each(o, BRANCH, |w| if w.changes("total") { w.forget() }));
    "I1" 3 invited "an invitation holds no seat that is counted": Wire(|o| forget(o, POOL));
    "I1" 3 accepted "an invitation stays open when accepted": Wire(|o| each(o, INVITATION, |w| if w.changes("closed_at") { w.forget() }));
    "I1" 3 expired "an expired invitation keeps its seat": Wire(|o| forget_change(o, POOL, "held"));
    "I1" 3 released "a seat is given back and kept": Wire(|o| each(o, LEARNER, |w| if !w.changes("email") { w.forget() }));
    "I12" 3 erased "an erased person's invitation keeps its address": Wire(|o| each(o, INVITATION, |w| if w.changes("learner_id") { w.forget() }));
    "I12" 3 erased "an erased person's account stays": Wire(|o| each(o, LEARNER, |w| if w.changes("erased_at") { w.forget() }));
    "I9" 3 opened "a seat joins no cohort": Wire(|o| forget(o, COHORT));
    "I9" 3 left "a seat leaves and its cohort waits for it": Wire(|o| each(o, COHORT, |w| if !w.changes("start_on") { w.forget() }));
    "I2" 3 code_redeemed "a redeemed code is not used up": Wire(|o| each(o, CODE, |w| if w.changes("redeemed_by") { w.forget() }));
    "I2" 3 code_redeemed "a redemption is not listed": Wire(|o| forget(o, REDEMPTION));
    "I2" 3 last_redemption "a redemption is not counted": Wire(|o| each(o, BATCH, |w| if w.changes("redeemed") { w.forget() }));
    "I1" 3 code_redeemed "a redemption draws on no block": Wire(|o| each(o, BLOCK, |w| if w.changes("rem") { w.forget() }));
    "I1" 3 code_redeemed "seats are set aside for nobody": Wire(|o| each(o, BLOCK, |w| if w.item().is_some() { w.forget() }));
    "I1" 3 address_proven "what is held for an address stays held": Wire(|o| each(o, INVITATION, |w| if w.changes("closed_at") { w.forget() }));
    "I1" 3 address_proven "a block gives what it keeps once more": Wire(|o| forget_change(o, BLOCK, "kept"));
    "I1" 3 address_not_proven "what is held for an address does not return": Wire(|o| each(o, BLOCK, |w| if w.changes("rem") && !w.changes("cursor") { w.forget() }));
    "I2" 3 address_not_proven "a code that nobody proved stays used": Wire(|o| each(o, CODE, |w| if w.changes("redeemed_by") && !w.sets("redeemed_by") { w.forget() }));
    "I1" 6 released_out_of_a_block "a block keeps the used seats it hands over": Wire(|o| each(o, BLOCK, |w| if w.changes("settled") { w.forget() }));
    "I2" 6 released_out_of_a_block "a block forgets what it handed over": Wire(|o| forget_change(o, BLOCK, "settled"));
    "I1" 9 imported "a block is removed and its seats are not given back": Wire(|o| each(o, POOL, |w| if w.changes("used") { w.forget() }));
    "I10" 9 imported "what came of the rows is not written": Wire(|o| unset(o, AUDIT, "marks"));
    "I13" 9 worker_gone_after_its_rows "what came of the rows is looked for elsewhere": Wire(|o| if o.operation == "Query" && o.body["FilterExpression"].is_string() {
        o.body["ExpressionAttributeValues"][":import"]["S"] = "elsewhere".into();
    });

    // Mails.
    "I4" 3 two_senders "a mail is claimed though claimed": Wire(|o| if o.operation == "UpdateItem" { free(o, MAIL) });
    "I4" 3 sender_gone "a mail is handed over before it is claimed": Wire(claim_unwritten);
    "I4" 3 accepted_unheard "the mail client tries again by itself": Wire(|o| o.repeat_when_lost = o.operation == "SendEmail");
    "I4" 3 accepted_unheard "an unknown end is taken for none": Odd(Habit::Hopeful);
    "I4" 3 accepted_unheard "an unknown end is tried again at once": Odd(Habit::Insistent);
    "I4" 3 told_from_copies "the sender reads copies that are behind": Wire(consistent_no_more);
    "I4" 3 invited "links are made with another key than they are read with": Odd(Habit::OwnLinks);

    // What is due.
    "I5" 3 told_by_the_sweep "a mail is not in the index of what is due": Wire(|o| unset(o, MAIL, "due_shard"));
    "I5" 3 told_once "a mail that was sent stays due": Wire(|o| forget_change(o, MAIL, "due_shard"));
    "I5" 3 expired "an invitation is not in the index of what is due": Wire(|o| unset(o, INVITATION, "due_shard"));
    "I5" 3 cancelled "an invitation that was closed stays due": Wire(|o| forget_change(o, INVITATION, "due_shard"));
    "I9" 3 opened_without_a_schedule "a cohort is not in the index of what is due": Wire(|o| each(o, COHORT, |w| if w.changes("start_on") { w.without_change("due_shard") }));
    "I5" 3 opened "a cohort that opened stays due": Wire(|o| each(o, COHORT, |w| if !w.changes("start_on") { w.without_change("due_shard") }));
    "I5" 3 issue_cut_off "a batch is not in the index of what is due": Wire(|o| unset(o, BATCH, "due_shard"));
    "I5" 3 code_redeemed "a batch that was issued stays due": Wire(|o| forget_change(o, BATCH, "due_shard"));
    "I5" 9 worker_gone "an import is not in the index of what is due": Wire(|o| unset(o, IMPORT, "due_shard"));

    // Clients, secrets, and what the product does not make itself.
    "I7" 3 told_once "a client is left out of its pools' keys": Wire(|o| without_client(o, "POOL#acme#sub", "POOL##sub"));
    "I7" 3 told_once "a client is left out of its learners' keys": Wire(|o| without_client(o, "\"L#acme#", "\"L##"));
    "I7" 3 invited "a client is left out of its invitations' keys": Wire(|o| without_client(o, "\"I#acme#", "\"I##"));
    "I12" 3 asked_again "a receipt tells who it was about": Wire(|o| each(o, RECORD, talkative));
    "I12" 3 told_once "an audit record stands under an address": Wire(|o| each(o, AUDIT, |w| {
        let sk = format!("{}#learner.1@example.fr", w.key("sk"));
        w.set_key("sk", &sk);
    }));
    "I9" 3 opened_early "the clock of who opens cohorts is fast": Odd(Habit::FastClock);
    "I13" 5 two_created "two operations have one id": Odd(Habit::SameIds);
    "I3" 5 created_again "two functions derive ids from two secrets": Odd(Habit::OtherRoot);
}
