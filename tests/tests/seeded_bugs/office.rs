//! What is done at the office, by administrators and by the sweep for those who look after a client, and
//! short stories in which it can go wrong.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::date;
use seatkeeper_domain::actions::add_client::replace_client;
use seatkeeper_domain::actions::add_group::add_group;
use seatkeeper_domain::actions::change_address::change_address;
use seatkeeper_domain::actions::change_learner::{ChangeLearner, change_learner};
use seatkeeper_domain::actions::open_contract::{add_modules, open_contract};
use seatkeeper_domain::actions::prove_records::prove_records;
use seatkeeper_domain::actions::reclaim_seats::{ReclaimSeats, reclaim_seats};
use seatkeeper_domain::actions::release_seat::take_back_unused;
use seatkeeper_domain::actions::remind_invitations::remind_invitations;
use seatkeeper_domain::actions::renew_contract::renew_contract;
use seatkeeper_domain::actions::steer_batch::{SteerBatch, Target, steer_batch};
use seatkeeper_domain::actions::warn_client::warn_client;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::{AlertRecipient, Group};
use seatkeeper_domain::contract::{Contract, Policies};
use seatkeeper_domain::ids::{BatchId, ContractId, GroupId};
use seatkeeper_domain::learner::ProfileChange;
use seatkeeper_domain::ports::{
    Catalog as _, Clock as _, CodeBook as _, IdSource as _, PageRequest,
};
use seatkeeper_testkit::SeededIds;
use seatkeeper_tests::actors::Verdict::{Done, Refused};
use seatkeeper_tests::actors::{Outcome, Setting, Who};
use seatkeeper_tests::invariants::demand;

use crate::play::Deed::{Accept, Create, Invite, Office, Redeem, Release};
use crate::play::Play;
use crate::stories::{End, minutes, registration};

/// Something that is done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// The invitation of a person goes to person 7.
    Readdress(u32),
    /// Everybody who may be reminded is.
    Remind,
    /// The client is warned of what its contract comes to.
    WarnClient,
    /// Whoever has not come in for 90 days is told that the seat goes back.
    WarnUnused,
    /// That seat goes back.
    TakeBack(u32),
    /// The contract is renewed by the one of this id.
    Renew(u128),
    AddModule(&'static str),
    /// A contract of the same reference as another time.
    OpenContract,
    /// A group of the same name as another time.
    AddGroup,
    /// The batch redeems no more codes.
    Pause,
    /// A learner comes in.
    ComeIn(u32),
    /// A learner is to be erased on the first of December.
    Leave(u32),
    /// A nightly round.
    Round,
    /// The stream brings what was owed.
    Drain,
}

/// Done, refused or unknown, told in words.
fn ended<T: Debug, E: Debug>(end: Result<T, E>) -> Outcome {
    match end {
        Ok(told) => Outcome { verdict: Done, op: None, told: format!("{told:?}") },
        Err(error) => Outcome { verdict: Refused, op: None, told: format!("{error:?}") },
    }
}

impl Play {
    pub(crate) async fn at_the_office(&self, who: &Who, task: Task) -> Outcome {
        let world = self.world();
        let (store, clock, keys, client) = (&world.store, &world.clock, &world.keys, &world.client);
        let (op, caller, contract) = (who.op(), world.administrator(), &world.contract);
        let ids = &SeededIds::new(5000 + self.turn(), clock);
        let soon = clock.now() + SignedDuration::from_mins(1);
        match task {
            Task::Readdress(number) => {
                let id = keys.invitation_id(client, world.pool(), &Setting::email(number));
                let to = Setting::email(7);
                ended(change_address(store, clock, keys, &caller, op, client, id, &to).await)
            }
            Task::Remind => {
                ended(remind_invitations(store, clock, &caller, op, client, None).await)
            }
            Task::WarnClient => {
                let place = (client, contract.contract_id);
                ended(warn_client(store, clock, ids, place, None).await)
            }
            Task::WarnUnused => {
                let command = ReclaimSeats {
                    unused_days: 90,
                    notice_days: 14,
                    except: BTreeSet::new(),
                    except_labels: BTreeSet::new(),
                    except_groups: BTreeSet::new(),
                    preview: false,
                };
                let owner = store.client(client).await.expect("readable").expect("a client");
                let place = (&owner, contract);
                ended(reclaim_seats(store, clock, ids, Actor::System, place, &command, soon).await)
            }
            Task::TakeBack(number) => {
                let (learner, place) = (self.setting.learner(number), (client, contract));
                ended(take_back_unused(store, clock, ids, place, learner, world.pool()).await)
            }
            Task::Renew(by) => {
                let place = (client, contract.contract_id, ContractId::from_bits(by));
                let actor = Actor::System;
                ended(renew_contract(store, clock, ids, keys, actor, op, place, soon).await)
            }
            Task::AddModule(module) => {
                let (place, add) = ((client, contract.contract_id), [module.to_owned()].into());
                ended(add_modules(store, clock, Actor::System, op, place, &add).await)
            }
            Task::OpenContract => {
                let another = world.another_contract("2027-777", Policies::default());
                ended(open_contract(store, Actor::System, op, &another, 1).await)
            }
            Task::AddGroup => {
                let group_id = GroupId::from_uuid(ids.uuid());
                let name = "Lyon".to_owned();
                let group = Group { group_id, name, created_at: clock.now() };
                ended(add_group(store, Actor::System, op, client, &group).await)
            }
            Task::Pause => {
                let command = SteerBatch {
                    client_id: client.clone(),
                    batch_id: self.newest_batch().await,
                    state: Some(Target::Paused),
                    valid_until: Amend::Keep,
                    max_redemptions: Amend::Keep,
                };
                ended(steer_batch(store, clock, &caller, op, &command).await)
            }
            Task::ComeIn(number) => {
                self.comes_in(number).await;
                ended(Ok::<_, ()>("came in"))
            }
            Task::Leave(number) => {
                let delete_on = Amend::Set(date(2026, 12, 1));
                let command = ChangeLearner {
                    client_id: client.clone(),
                    learner_id: self.setting.learner(number),
                    profile: ProfileChange { delete_on, ..ProfileChange::default() },
                    start_on: None,
                    pool: None,
                    notify: false,
                };
                ended(change_learner(store, clock, ids, &caller, op, &command).await)
            }
            Task::Round => {
                let proven = prove_records(store, clock, ids, keys, soon).await;
                ended(if proven.troubles.is_empty() { Ok(()) } else { Err(proven.troubles) })
            }
            Task::Drain => {
                self.drain().await;
                ended(Ok::<_, ()>("drained"))
            }
        }
    }

    async fn newest_batch(&self) -> BatchId {
        let (world, page) = (self.world(), PageRequest { limit: 1, cursor: None });
        let batches = world.store.batches(&world.client, &page).await.expect("a page");
        batches.items.first().expect("a batch").batch_id
    }

    /// A contract that can renew the other one, of this id, with three seats.
    pub(crate) async fn with_successor(&self, id: u128) {
        let world = self.world();
        let another = world.another_contract(&format!("2027-{id:03}"), Policies::default());
        let successor = Contract { contract_id: ContractId::from_bits(id), ..another };
        let opened = open_contract(&world.store, Actor::System, world.op(), &successor, 3).await;
        opened.expect("a new contract");
    }

    /// Somebody looks after the client.
    pub(crate) async fn looked_after(&self) {
        let world = self.world();
        let known = world.store.client(&world.client).await.expect("readable");
        let mut client = known.expect("a client");
        client.alerts_to = vec![AlertRecipient { email: Setting::email(90), language: None }];
        let (store, clock, op) = (&world.store, &world.clock, world.op());
        replace_client(store, clock, Actor::System, op, &client).await.expect("named");
    }
}

// Stories.

/// An invitation goes to another address while it is accepted.
pub(crate) async fn readdressed_while_accepted(p: Arc<Play>) -> End {
    p.all(&[Invite(1), Invite(2)]).await?;
    p.race(Office(Task::Readdress(1)), &[Accept(1)]).await?;
    p.settle().await
}

/// A renewal carries an invitation over while it is accepted.
pub(crate) async fn carried_while_accepted(p: Arc<Play>) -> End {
    p.with_successor(77).await;
    p.all(&[Invite(1), Invite(2)]).await?;
    // Its first change says that the contract is renewed.
    p.race_at(Office(Task::Renew(77)), 2, &[Accept(1)]).await?;
    p.settle().await
}

/// A renewal carries a seat over while it is released.
pub(crate) async fn carried_while_released(p: Arc<Play>) -> End {
    p.with_successor(77).await;
    p.all(&[Create(1), Create(2)]).await?;
    p.race_at(Office(Task::Renew(77)), 2, &[Release(1)]).await?;
    let seen = p.seen();
    let email = Setting::email(1);
    let whose = seen.kind("learner").find(|one| one["email"] == email.as_str());
    let given = whose.map(|one| one["given"].clone());
    demand("I11", given == Some(1.into()), || {
        format!("whose seat was released is given another one: {whose:?}")
    })?;
    p.settle().await
}

/// Two renew a contract at once, each by another.
pub(crate) async fn renewed_twice(p: Arc<Play>) -> End {
    p.with_successor(77).await;
    p.with_successor(78).await;
    p.all(&[Create(1)]).await?;
    p.one_of(Office(Task::Renew(77)), &[Office(Task::Renew(78))]).await?;
    p.settle().await
}

/// Two send reminders at once.
pub(crate) async fn reminded_twice(p: Arc<Play>) -> End {
    p.all(&[Invite(1)]).await?;
    p.drain().await;
    p.wait(minutes(60 * 25));
    p.race(Office(Task::Remind), &[Office(Task::Remind)]).await?;
    p.settle().await?;
    p.sent(2)
}

/// Two warn a client at once; the faster one's mail is sent before the other one writes.
pub(crate) async fn client_warned_twice(p: Arc<Play>) -> End {
    p.looked_after().await;
    // The contract ends on 2028-12-31.
    p.wait(minutes(60 * 24 * 728));
    let warn = Office(Task::WarnClient);
    p.race(warn, &[Office(Task::WarnClient), Office(Task::Drain)]).await?;
    p.settle().await?;
    p.sent(1)
}

/// Two warn somebody who never came in, as above.
pub(crate) async fn unused_seat_warned_of_twice(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.drain().await;
    p.wait(minutes(60 * 24 * 91));
    let warn = Office(Task::WarnUnused);
    p.race(warn, &[Office(Task::WarnUnused), Office(Task::Drain)]).await?;
    p.settle().await?;
    p.sent(2)
}

/// Two rounds come upon a deletion date at once, as above.
pub(crate) async fn erasure_told_of_twice(p: Arc<Play>) -> End {
    p.looked_after().await;
    p.all(&[Create(1), Office(Task::Leave(1))]).await?;
    p.drain().await;
    p.sweep().await?;
    p.wait(minutes(60 * 24 * 7));
    p.race(Office(Task::Round), &[Office(Task::Round), Office(Task::Drain)]).await?;
    p.settle().await?;
    p.sent(2)
}

/// Somebody comes in just before their seat is taken back.
pub(crate) async fn taken_back_while_used(p: Arc<Play>) -> End {
    p.all(&[Create(1)]).await?;
    p.wait(minutes(60 * 24 * 91));
    p.all(&[Office(Task::WarnUnused)]).await?;
    p.wait(minutes(60 * 24 * 15));
    p.race(Office(Task::TakeBack(1)), &[Office(Task::ComeIn(1))]).await?;
    let seen = p.seen();
    let gone = seen.kind("audit").any(|record| record["action"] == "seat_reclaimed");
    demand("I11", !gone, || "a seat went back whose learner had come in".to_owned())?;
    p.settle().await
}

/// Two add a module each.
pub(crate) async fn modules_added_at_once(p: Arc<Play>) -> End {
    p.race(Office(Task::AddModule("fire")), &[Office(Task::AddModule("water"))]).await?;
    let seen = p.seen();
    let there = ["fire", "water"].iter().all(|module| {
        seen.kind("contract").any(|contract| contract["modules"].to_string().contains(module))
    });
    demand("I11", there, || "a module that was added is not there".to_owned())?;
    p.settle().await
}

pub(crate) async fn reference_taken_twice(p: Arc<Play>) -> End {
    p.one_of(Office(Task::OpenContract), &[Office(Task::OpenContract)]).await?;
    p.settle().await
}

pub(crate) async fn group_name_taken_twice(p: Arc<Play>) -> End {
    p.one_of(Office(Task::AddGroup), &[Office(Task::AddGroup)]).await?;
    p.settle().await
}

/// Somebody comes with a code while it is paused: whoever was told that it is paused was told that
/// nobody redeems it any more.
pub(crate) async fn redeemed_while_paused(p: Arc<Play>) -> End {
    p.with_codes(registration(false)).await?;
    p.one_of(Redeem(1), &[Office(Task::Pause)]).await?;
    p.settle().await
}
