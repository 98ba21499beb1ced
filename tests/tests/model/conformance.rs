//! The model and the real store are given the same: they answer the same and hold the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::allocate_seats::add_sublicense;
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::{Action, Actor};
use seatkeeper_domain::change::{
    Block, BlockCursor, BlockKey, Change, Over, Presence, Refused, SeatChange, SeatLearner, Step,
};
use seatkeeper_domain::client::Group;
use seatkeeper_domain::code::{
    Batch, BatchState, Code, CodeHash, CodeKind, CodeRecord, Redemption, Steering,
};
use seatkeeper_domain::contract::Sublicense;
use seatkeeper_domain::contract::Warned;
use seatkeeper_domain::idempotency::{Attempt, Begin, IdempotencyStore as _, Op};
use seatkeeper_domain::ids::{BatchId, ContractId, GroupId, ImportId, LearnerId, SublicenseId};
use seatkeeper_domain::invitation::{Delivery, Grant, Invitation, InvitationStatus};
use seatkeeper_domain::learner::{
    Credential, Learner, Profile, ProfileChange, Reclaim, Seat, SeatState, Source, SourceKind,
};
use seatkeeper_domain::outbox::{Letter, MailIntent, Subject};
use seatkeeper_domain::password::PasswordHash;
use seatkeeper_domain::ports::{
    Catalog as _, Clock as _, IdSource as _, Ledger as _, PageRequest, People as _,
};
use seatkeeper_domain::stock::Delta;
use seatkeeper_testkit::model::{Model, Ports};
use seatkeeper_tests::World;
use uuid::Uuid;

use crate::interleavings::full;
use seatkeeper_tests::actors::{Everything, HASHED, Setting, Verdict, Who};

/// One step, of a small world: most meet what others left.
#[derive(Debug, Clone)]
enum Bit {
    Move(u8, i64),
    OpenBlock(u16, u64),
    Draw(u16, u64, u64, Option<(u32, u32)>),
    Fence(u16, u32),
    Resize(u16, i64),
    CloseBlock(u16, bool),
    SettleBlock(u16, u64),
    Seat(u32, bool, Option<u8>),
    Release(u32, bool, Option<i64>),
    NoLiveSeat(u32),
    Profile(u32, Over, Option<bool>),
    Change(u32, bool, bool),
    Password(u32, u64),
    Erase(u32, bool),
    StartClock(u32, bool),
    MarkUnused(u32, bool),
    EraseInvitation(u32, u32, u8),
    Invite(u32, u32, Option<(u32, u8)>),
    CloseInvitation(u32, u32, u8),
    NoLiveInvitation(u32),
    Join(u8, u64),
    Leave(u8, u64),
    OpenCohort(u8, Option<u64>),
    HasOpened(u8),
    Batch(u8, u8),
    Steer(u8, u8, u8),
    MoveInvitation(u32, u32, u8),
    Readdress(u32, u32, u8),
    PointInvitation(u32, u32),
    Reminder(u32, u32, u32),
    NoReminders(u32, u32),
    Code(u32, u8),
    RemoveCode(u32, u8, u32),
    LotIsOpen(u8, u8),
    BarLot(u8, u8),
    Mailed(u8, u32),
    Warned(u8, Option<u8>),
    UseCode(u32, u32),
    FreeCode(u32, u32),
    TakeUpKept(u16, u64, u32),
    ReturnKept(u16),
    Uncount(u8),
    IsActive(u8, u32),
    CountRedemption(u8, u32, Option<u32>),
    ListRedemption(u8, u32),
    Sealed(u8, u32),
    RemoveSealed(u8, u32),
    Order(u8, i64),
    Group(u8),
    GroupName(u8),
    Modules(u8, u8),
    Renewal(u8),
    Reference(u8),
    Listing(u8),
    Mail(u8),
}

/// What is done to both stores.
#[derive(Debug, Clone)]
enum Act {
    /// A change by one of a few operations; or by one that began under a key, and as which part.
    Change { bits: Vec<Bit>, op: u8, keyed: Option<u8>, part: u32 },
    /// A request under one of two keys begins, with one of two bodies.
    Begin { key: u8, body: u8 },
    /// A request that began ends.
    Settle { began: u8, how: u8 },
    /// Time goes by.
    Wait(i64),
}

fn any_over() -> impl Strategy<Value = Over> {
    prop_oneof![Just(Over::Joining), Just(Over::Keeping), Just(Over::Replacing)]
}

fn any_bit() -> impl Strategy<Value = Bit> {
    let learner = 0..3_u32;
    let option = |upto: u32| proptest::option::of(0..upto);
    let first = prop_oneof![
        4 => (0..8_u8, 0..5_i64).prop_map(|(which, seats)| Bit::Move(which, seats)),
        1 => (0..2_u16, 1..4_u64).prop_map(|(block, size)| Bit::OpenBlock(block, size)),
        2 => (0..2_u16, 0..3_u64, 0..2_u64, proptest::option::of((0..2_u32, 0..3_u32)))
            .prop_map(|(block, used, kept, cut)| Bit::Draw(block, used, kept, cut)),
        1 => (0..2_u16, 0..3_u32).prop_map(|(block, epoch)| Bit::Fence(block, epoch)),
        1 => (0..2_u16, -2..3_i64).prop_map(|(block, by)| Bit::Resize(block, by)),
        1 => (0..2_u16, any::<bool>()).prop_map(|(block, seen)| Bit::CloseBlock(block, seen)),
        1 => (0..2_u16, 0..3_u64).prop_map(|(block, used)| Bit::SettleBlock(block, used)),
        3 => (learner.clone(), any::<bool>(), proptest::option::of(0..2_u8))
            .prop_map(|(learner, new, cohort)| Bit::Seat(learner, new, cohort)),
        2 => (learner.clone(), proptest::bool::weighted(0.8), proptest::option::of(0..60_i64))
            .prop_map(|(learner, seen, since)| Bit::Release(learner, seen, since)),
        1 => learner.clone().prop_map(Bit::NoLiveSeat),
        2 => (learner.clone(), any_over(), proptest::option::of(proptest::bool::weighted(0.7)))
            .prop_map(|(learner, over, seat)| Bit::Profile(learner, over, seat)),
        1 => (learner.clone(), any::<bool>(), proptest::bool::weighted(0.8))
            .prop_map(|(learner, seat, seen)| Bit::Change(learner, seat, seen)),
        1 => (learner.clone(), 0..3_u64).prop_map(|(learner, serial)| Bit::Password(learner, serial)),
        1 => (learner.clone(), proptest::bool::weighted(0.8))
            .prop_map(|(learner, seen)| Bit::Erase(learner, seen)),
        1 => (learner.clone(), proptest::bool::weighted(0.7))
            .prop_map(|(learner, seen)| Bit::StartClock(learner, seen)),
        1 => (learner.clone(), proptest::bool::weighted(0.7))
            .prop_map(|(learner, seen)| Bit::MarkUnused(learner, seen)),
    ];
    let second = prop_oneof![
        2 => (learner.clone(), 1..3_u32, proptest::option::of((1..3_u32, 0..6_u8)))
            .prop_map(|(who, version, replaces)| Bit::Invite(who, version, replaces)),
        2 => (learner.clone(), 1..3_u32, 1..5_u8)
            .prop_map(|(who, version, to)| Bit::CloseInvitation(who, version, to)),
        1 => learner.clone().prop_map(Bit::NoLiveInvitation),
        1 => (learner.clone(), 1..3_u32, 0..6_u8)
            .prop_map(|(who, version, status)| Bit::MoveInvitation(who, version, status)),
        1 => (learner.clone(), 1..3_u32, 0..6_u8)
            .prop_map(|(who, version, status)| Bit::EraseInvitation(who, version, status)),
        1 => (learner.clone(), 1..3_u32, 0..6_u8)
            .prop_map(|(who, version, status)| Bit::Readdress(who, version, status)),
        1 => (learner.clone(), learner.clone())
            .prop_map(|(who, whose)| Bit::PointInvitation(who, whose)),
        1 => (learner.clone(), 1..3_u32, 0..2_u32)
            .prop_map(|(who, version, seen)| Bit::Reminder(who, version, seen)),
        1 => (learner.clone(), 1..3_u32)
            .prop_map(|(who, version)| Bit::NoReminders(who, version)),
        2 => (0..2_u8, 1..3_u64).prop_map(|(cohort, count)| Bit::Join(cohort, count)),
        1 => (0..2_u8, 1..3_u64).prop_map(|(cohort, count)| Bit::Leave(cohort, count)),
        1 => (0..2_u8, proptest::option::of(0..3_u64))
            .prop_map(|(cohort, count)| Bit::OpenCohort(cohort, count)),
        1 => (0..2_u8).prop_map(Bit::HasOpened),
        1 => (0..2_u8).prop_map(Bit::Group),
        1 => (0..2_u8).prop_map(Bit::GroupName),
        1 => (0..2_u8, 0..3_u8).prop_map(|(number, seen)| Bit::Modules(number, seen)),
        1 => (0..2_u8).prop_map(Bit::Renewal),
        1 => (0..2_u8).prop_map(Bit::Reference),
    ];
    let third = prop_oneof![
        2 => (0..2_u8, 0..4_u8).prop_map(|(batch, state)| Bit::Batch(batch, state)),
        2 => (0..2_u8, 0..3_u8, 0..4_u8).prop_map(|(batch, seen, to)| Bit::Steer(batch, seen, to)),
        2 => (0..2_u32, 0..2_u8).prop_map(|(code, batch)| Bit::Code(code, batch)),
        1 => (0..2_u32, 0..2_u8, 0..2_u32)
            .prop_map(|(code, batch, index)| Bit::RemoveCode(code, batch, index)),
        1 => (0..2_u8, 0..2_u8).prop_map(|(batch, lane)| Bit::LotIsOpen(batch, lane)),
        1 => (0..2_u8, 0..2_u8).prop_map(|(batch, lane)| Bit::BarLot(batch, lane)),
        1 => (0..2_u8, 0..2_u32).prop_map(|(batch, first)| Bit::Mailed(batch, first)),
        1 => (0..3_u8, proptest::option::of(0..2_u8))
            .prop_map(|(seen, low)| Bit::Warned(seen, low)),
        2 => (0..2_u32, learner.clone()).prop_map(|(code, who)| Bit::UseCode(code, who)),
        1 => (0..2_u32, learner.clone()).prop_map(|(code, who)| Bit::FreeCode(code, who)),
        1 => (0..2_u16, 0..3_u64, 0..2_u32)
            .prop_map(|(block, used, epoch)| Bit::TakeUpKept(block, used, epoch)),
        1 => (0..2_u16).prop_map(Bit::ReturnKept),
        1 => (0..2_u8).prop_map(Bit::Uncount),
        1 => (0..2_u8, 0..2_u32).prop_map(|(batch, seen)| Bit::IsActive(batch, seen)),
        2 => (0..2_u8, 0..2_u32, option(3))
            .prop_map(|(batch, seen, max)| Bit::CountRedemption(batch, seen, max)),
        1 => (0..2_u8, learner).prop_map(|(batch, who)| Bit::ListRedemption(batch, who)),
        2 => (0..2_u8, 0..2_u32, any::<bool>()).prop_map(|(batch, run, there)| {
            if there { Bit::Sealed(batch, run) } else { Bit::RemoveSealed(batch, run) }
        }),
        1 => (0..2_u8, 0..3_i64).prop_map(|(order, add)| Bit::Order(order, add)),
        1 => (0..2_u8).prop_map(Bit::Listing),
        1 => (0..3_u8).prop_map(Bit::Mail),
    ];
    prop_oneof![first, second, third]
}

fn any_act() -> impl Strategy<Value = Act> {
    let bits = || proptest::collection::vec(any_bit(), 1..4);
    prop_oneof![
        8 => (bits(), 0..4_u8).prop_map(|(bits, op)| Act::Change { bits, op, keyed: None, part: 0 }),
        4 => (bits(), 0..4_u8, 0..3_u32)
            .prop_map(|(bits, began, part)| Act::Change { bits, op: 0, keyed: Some(began), part }),
        2 => (0..2_u8, prop_oneof![4 => Just(0_u8), 1 => Just(1)])
            .prop_map(|(key, body)| Act::Begin { key, body }),
        1 => (0..4_u8, 0..3_u8).prop_map(|(began, how)| Act::Settle { began, how }),
        1 => prop_oneof![3 => 1..50_i64, 2 => Just(61_i64), 1 => Just(90_000_i64)].prop_map(Act::Wait),
    ]
}

/// Both stores, after the same beginning.
pub(crate) struct Both {
    pub(crate) world: World,
    pub(crate) model: Ports,
}

impl Both {
    async fn with_seats(seats: u64) -> Self {
        let world = World::with_seats(seats).await;
        let model = Ports::over(Model::new());
        let client = world.store.client(&world.client).await.expect("readable");
        let op = world.op();
        add_client(&model, Actor::System, op, client.expect("acme")).await.expect("a client");
        let opened = open_contract(&model, Actor::System, world.op(), &world.contract, seats).await;
        opened.expect("a contract");
        let sublicense = Sublicense {
            sublicense_id: SublicenseId::from_uuid(world.ids.uuid()),
            contract_id: world.contract.contract_id,
            name: "Branch".to_owned(),
            created_at: world.clock.now(),
        };
        let (op, client) = (world.op(), &world.client);
        for ports in [true, false] {
            let system = Actor::System;
            let made = if ports {
                add_sublicense(&model, system, op, client, &sublicense, 2).await
            } else {
                add_sublicense(&world.store, system, op, client, &sublicense, 2).await
            };
            made.expect("a sublicense");
        }
        Self { world, model }
    }

    /// The same for a setting whose contract has nine seats, four of them in its sublicense.
    pub(crate) async fn like(setting: &Setting) -> Self {
        let world = World::with_seats(9).await;
        assert_eq!(world.contract, setting.contract);
        let opened = Who::by(setting, 7, &world.clock).add_branch(&world.store, 4).await;
        assert_eq!(opened.verdict, Verdict::Done, "{opened:?}");
        Self { world, model: Ports::over(Model::new()) }
    }

    fn learner(&self, number: u32) -> LearnerId {
        self.world.keys.learner_id(&self.world.client, &Setting::email(number))
    }

    fn invitation(&self, number: u32) -> seatkeeper_domain::ids::InvitationId {
        let email = Setting::email(number);
        self.world.keys.invitation_id(&self.world.client, self.world.pool(), &email)
    }

    fn block(&self, shard: u16) -> BlockKey {
        BlockKey { pool: self.world.pool(), owner: "imp_1".to_owned(), shard }
    }

    fn cohort(&self, number: u8) -> seatkeeper_domain::cohort::CohortKey {
        let instant = Timestamp::constant(1_800_000_000 + i64::from(number), 0);
        let client_id = self.world.client.clone();
        seatkeeper_domain::cohort::CohortKey { client_id, pool: self.world.pool(), instant }
    }

    fn code(&self, number: u32) -> CodeHash {
        let batch = BatchId::from_bits(77);
        let code = Code::generated(&self.world.keys, &self.world.client, batch, number);
        code.hash(&self.world.keys, &self.world.client)
    }

    fn batch(&self, number: u8, state: u8) -> Batch {
        Batch {
            batch_id: batch_id(number),
            kind: CodeKind::Registration,
            label: "Autumn".to_owned(),
            state: batch_state(state),
            contract_id: self.world.contract.contract_id,
            sublicense_id: None,
            count: 1,
            max_redemptions: Some(2),
            redeemed: 0,
            guaranteed: false,
            valid_from: None,
            valid_until: None,
            start_on: None,
            seat_duration_days: None,
            group_ids: BTreeSet::new(),
            labels: BTreeSet::new(),
            language: None,
            allowed_domains: BTreeSet::new(),
            require_email_proof: false,
            created_at: self.world.clock.now(),
            steering: Steering::default(),
        }
    }

    /// Adds a step to a change, and to the trail what it moves.
    #[expect(clippy::too_many_lines, reason = "one arm a step, nothing shared between them")]
    async fn add(&self, change: &mut Change, bit: &Bit) {
        let (world, op) = (&self.world, change.op.id);
        let pool = world.pool();
        let told =
            |change: &mut Change, delta| change.audit(pool, delta, Action::SeatGiven, &[], None);
        let step = match bit.clone() {
            Bit::Move(which, seats) => {
                let makers: [fn(i64) -> Delta; 8] = [
                    Delta::bought,
                    Delta::held,
                    Delta::used,
                    Delta::taken_up,
                    Delta::let_go,
                    Delta::returned,
                    Delta::spent,
                    |seats| Delta::bought(-seats),
                ];
                let delta = makers[usize::from(which)](seats);
                change.move_seats(pool, delta, Action::SeatGiven, &[], None);
                return;
            }
            Bit::OpenBlock(shard, size) => {
                Step::OpenBlock { key: self.block(shard), size, epoch: 0 }
            }
            Bit::Draw(shard, used, kept, cut) => {
                told(change, Delta::taken_up(i64::try_from(used).expect("few")));
                let cursor = cut.map(|(lo, epoch)| BlockCursor { lo, hi: lo + 1, rows: 1, epoch });
                Step::DrawBlock { key: self.block(shard), used, kept, cursor }
            }
            Bit::Fence(shard, epoch) => Step::FenceBlock { key: self.block(shard), epoch },
            Bit::Resize(shard, by) => Step::ResizeBlock { key: self.block(shard), by },
            Bit::SettleBlock(shard, used) => {
                let delta = Delta::taken_up(i64::try_from(used).expect("few"));
                change.step(Step::MovePool { pool, delta });
                Step::SettleBlock { key: self.block(shard), used }
            }
            Bit::CloseBlock(shard, seen) => {
                let key = self.block(shard);
                let blocks = self.model.blocks(&world.client, pool).await.expect("readable");
                let known = blocks.into_iter().find(|block| block.key == key && seen);
                let other = Block {
                    key,
                    size: 2,
                    used: 1,
                    kept: 0,
                    settled: 0,
                    rem: 1,
                    cursor: 0,
                    rows: 0,
                    epoch: 0,
                };
                let block = known.unwrap_or(other);
                told(change, Delta::taken_up(-i64::try_from(block.used).expect("few")));
                Step::CloseBlock(block)
            }
            Bit::Seat(number, new, cohort) => {
                let state = match cohort {
                    None => SeatState::Active { used_at: change.at },
                    Some(cohort) => SeatState::Scheduled { opens_at: self.cohort(cohort).instant },
                };
                Step::SeatLearner(Box::new(SeatLearner {
                    beside: None,
                    learner_id: self.learner(number),
                    email: Setting::email(number),
                    profile: profile(number, op),
                    credential: (number == 1).then(credential),
                    presence: match (new, number) {
                        (true, 0) => Presence::Unseen,
                        (true, _) => Presence::New,
                        (false, _) => Presence::Existing,
                    },
                    pool,
                    seat: seat(state, op),
                }))
            }
            Bit::Release(number, seen, since) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let given = known.and_then(|known| known.seats.get(&pool).map(|seat| seat.op));
                let state = SeatState::Released { used_at: None, released_at: change.at };
                let by = given.filter(|_| seen).unwrap_or(Uuid::from_u128(99));
                let seat = seat(state, op);
                let untouched_since =
                    since.map(|seconds| change.at - jiff::SignedDuration::from_secs(seconds));
                Step::ReleaseSeat { learner_id, pool, op: by, seat, untouched_since, beside: None }
            }
            Bit::NoLiveSeat(number) => Step::NoLiveSeat { learner_id: self.learner(number), pool },
            Bit::Profile(number, over, seat) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let known = known.and_then(|known| known.seats.get(&pool).cloned());
                let later = change.at + SignedDuration::from_hours(48);
                let seats = known.zip(seat).map(|(known, seen)| SeatChange {
                    pool,
                    op: known.op,
                    seen_end: if seen { known.ends_at } else { Some(later) },
                    seat: Seat { ends_at: Some(later), ..known },
                });
                let (profile, seats) = (profile(number + 1, op), seats.into_iter().collect());
                Step::UpdateProfile { learner_id, profile: Box::new(profile), over, seats }
            }
            Bit::Change(number, with_seat, seen) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let given = known.and_then(|known| known.seats.get(&pool).cloned());
                let seen_end = given.as_ref().and_then(|seat| seat.ends_at);
                let by = given.filter(|_| seen).map_or(Uuid::from_u128(99), |seat| seat.op);
                let seat = seat(SeatState::Active { used_at: change.at }, op);
                let wanted = profile(number + 2, op);
                let new = ProfileChange {
                    first_name: wanted.first_name.map_or(Amend::Clear, Amend::Set),
                    last_name: Amend::Clear,
                    labels: Some(wanted.labels),
                    roles: seen.then(BTreeSet::new),
                    end_on: wanted.end_on.map_or(Amend::Keep, Amend::Set),
                    suspended: seen.then_some(with_seat),
                    ..ProfileChange::default()
                };
                let seats = with_seat.then_some(SeatChange { pool, op: by, seen_end, seat });
                Step::ChangeLearner {
                    learner_id,
                    profile: Box::new(new),
                    seats: seats.into_iter().collect(),
                }
            }
            Bit::Password(number, serial) => {
                let learner_id = self.learner(number);
                Step::SetPassword { learner_id, serial, credential: credential() }
            }
            Bit::Erase(number, seen) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let given = known.as_ref().map_or(7, |known| known.given + u32::from(!seen));
                let serial = known.as_ref().map_or(0, Learner::next_serials);
                let seats = known.map(|known| known.seats).unwrap_or_default();
                Step::EraseLearner { learner_id, given, serial, seats }
            }
            Bit::MarkUnused(number, seen) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let seat = known.and_then(|known| known.seats.get(&pool).cloned());
                let by = seat.as_ref().map(|seat| seat.op).filter(|_| seen);
                let mark = seat.and_then(|seat| seat.reclaim).map(|mark| mark.warned_at);
                Step::MarkUnused {
                    learner_id,
                    pool,
                    op: by.unwrap_or(Uuid::from_u128(99)),
                    seen: mark,
                    reclaim: Reclaim { warned_at: change.at, at: change.at },
                }
            }
            Bit::StartClock(number, seen) => {
                let learner_id = self.learner(number);
                let known = self.model.learner(&world.client, learner_id).await.expect("readable");
                let known = known.and_then(|known| known.seats.get(&pool).cloned());
                let by = known.as_ref().map_or(Uuid::from_u128(99), |seat| seat.op);
                let ended = known.and_then(|seat| seat.ends_at).filter(|_| seen);
                let ends_at = change.at + SignedDuration::from_hours(24);
                Step::StartClock { learner_id, pool, op: by, seen: ended, ends_at }
            }
            Bit::EraseInvitation(number, version, status) => Step::EraseInvitation {
                invitation_id: self.invitation(number),
                learner_id: self.learner(number),
                version,
                status: invitation_status(status),
            },
            Bit::Invite(number, version, replaces) => Step::PutInvitation {
                invitation: Box::new(self.invite(number, version, change)),
                replaces: replaces.map(|(version, status)| (version, invitation_status(status))),
            },
            Bit::CloseInvitation(number, version, to) => Step::CloseInvitation {
                invitation_id: self.invitation(number),
                version,
                to: invitation_status(to),
            },
            Bit::NoLiveInvitation(number) => {
                Step::NoLiveInvitation { invitation_id: self.invitation(number) }
            }
            Bit::MoveInvitation(number, version, status) => Step::MoveInvitation {
                from: self.invitation(number),
                version,
                status: invitation_status(status),
                left: 1,
            },
            Bit::Readdress(number, version, status) => Step::ReaddressInvitation {
                from: self.invitation(number),
                learner_id: self.learner(number),
                version,
                status: invitation_status(status),
                left: 1,
            },
            Bit::PointInvitation(number, at) => Step::PointInvitation {
                invitation_id: self.invitation(number),
                place: self.invitation(at),
            },
            Bit::Reminder(number, version, reminders) => {
                Step::CountReminder { invitation_id: self.invitation(number), version, reminders }
            }
            Bit::NoReminders(number, version) => {
                Step::StopReminders { invitation_id: self.invitation(number), version }
            }
            Bit::Join(cohort, count) => {
                let start_on = Date::constant(2027, 1, 15);
                Step::JoinCohort { key: self.cohort(cohort), start_on, count }
            }
            Bit::Leave(cohort, count) => Step::LeaveCohort { key: self.cohort(cohort), count },
            Bit::OpenCohort(cohort, count) => {
                let key = self.cohort(cohort);
                let known = self.model.cohort(&key).await.expect("readable");
                let seen = known.map_or(0, |known| known.count);
                Step::OpenCohort { key, count: count.unwrap_or(seen) }
            }
            Bit::HasOpened(cohort) => Step::CohortHasOpened { key: self.cohort(cohort) },
            Bit::Batch(number, state) => Step::AddBatch(Box::new(self.batch(number, state))),
            Bit::Steer(number, seen, to) => {
                let mut batch = self.batch(number, to);
                batch.steering.version = u32::from(seen) + 1;
                batch.max_redemptions = (to < 2).then_some(u32::from(to) + 1);
                Step::SteerBatch {
                    batch: Box::new(batch),
                    seen: u32::from(seen),
                    settled: u64::from(to == 3),
                }
            }
            Bit::Code(number, batch) => Step::AddCode {
                hash: self.code(number),
                record: CodeRecord {
                    batch_id: batch_id(batch),
                    index: number,
                    last4: "ABCD".to_owned(),
                    redeemed_by: None,
                    op,
                },
            },
            Bit::RemoveCode(number, batch, index) => {
                Step::RemoveCode { hash: self.code(number), batch_id: batch_id(batch), index }
            }
            Bit::LotIsOpen(batch, lane) => {
                Step::LotIsOpen { batch_id: batch_id(batch), lot: 0, lane }
            }
            Bit::Mailed(batch, first) => {
                Step::ListMailed { batch_id: batch_id(batch), first, to: vec![self.learner(first)] }
            }
            Bit::Warned(seen, low) => Step::NoteWarned {
                contract_id: world.contract.contract_id,
                seen: u32::from(seen),
                renewed_by: None,
                warned: Warned {
                    version: u32::from(seen) + 1,
                    low: low.map(u64::from),
                    ending: None,
                },
                again_at: low.map(|_| change.at),
            },
            Bit::BarLot(batch, lane) => Step::BarLot { batch_id: batch_id(batch), lot: 0, lane },
            Bit::UseCode(number, who) => {
                Step::UseCode { hash: self.code(number), learner_id: self.learner(who) }
            }
            Bit::FreeCode(number, who) => {
                Step::FreeCode { hash: self.code(number), learner_id: self.learner(who) }
            }
            Bit::TakeUpKept(shard, used, epoch) => {
                told(change, Delta::taken_up(i64::try_from(used).expect("few")));
                Step::TakeUpKept { key: self.block(shard), used, epoch }
            }
            Bit::ReturnKept(shard) => Step::ReturnKept { key: self.block(shard) },
            Bit::Uncount(number) => Step::UncountRedemption { batch_id: batch_id(number) },
            Bit::IsActive(number, version) => {
                Step::BatchIsActive { batch_id: batch_id(number), version }
            }
            Bit::CountRedemption(number, version, max) => {
                Step::CountRedemption { batch_id: batch_id(number), version, max }
            }
            Bit::ListRedemption(number, who) => Step::ListRedemption {
                batch_id: batch_id(number),
                redemption: Redemption {
                    learner_id: self.learner(who),
                    code_last4: "ABCD".to_owned(),
                    // A later one may meet it.
                    at: Timestamp::constant(1_800_000_000, 0),
                },
            },
            Bit::Sealed(number, run) => {
                Step::AddSealedCodes { batch_id: batch_id(number), run, sealed: vec![1, 2, 3] }
            }
            Bit::RemoveSealed(number, run) => {
                Step::RemoveSealedCodes { batch_id: batch_id(number), run }
            }
            Bit::Order(number, add) => Step::TakeOrder {
                contract_id: world.contract.contract_id,
                order: format!("A-{number}"),
                add,
            },
            Bit::Group(number) => Step::AddGroup(Group {
                group_id: GroupId::from_bits(u128::from(number) + 1),
                name: format!("Group {number}"),
                created_at: change.at,
            }),
            Bit::GroupName(number) => Step::TakeGroupName {
                folded: format!("group {number}"),
                group_id: GroupId::from_bits(1),
            },
            Bit::Modules(number, seen) => Step::AddModules {
                contract_id: world.contract.contract_id,
                modules: (0..=number).map(|module| format!("m{module}")).collect(),
                seen: 1 + u64::from(seen),
            },
            Bit::Renewal(number) => Step::NoteRenewal {
                contract_id: world.contract.contract_id,
                by: ContractId::from_bits(u128::from(number)),
            },
            Bit::Reference(number) => Step::TakeReference {
                reference: format!("2026-00{number}"),
                contract_id: world.contract.contract_id,
            },
            Bit::Listing(number) => Step::ListImport {
                import_id: ImportId::from_bits(u128::from(number)),
                created_at: Timestamp::constant(1_800_000_000, 0),
            },
            Bit::Mail(number) => Step::Mail(MailIntent {
                client_id: world.client.clone(),
                key: format!("seat#{number}"),
                cohort: None,
                due_at: change.at,
                subjects: vec![Subject::Seat {
                    learner: self.learner(u32::from(number)),
                    pool,
                    op,
                    letter: Letter::Added,
                }],
                copy_to: None,
            }),
        };
        change.step(step);
    }

    fn invite(&self, number: u32, version: u32, change: &Change) -> Invitation {
        Invitation {
            invitation_id: self.invitation(number),
            moved_to: None,
            left: 0,
            email: Setting::email(number),
            status: InvitationStatus::Pending,
            version,
            holds_seat: true,
            held_since: Some(change.at),
            contract_id: self.world.contract.contract_id,
            sublicense_id: None,
            grant: Grant::default(),
            redeems: None,
            message: None,
            expires_at: change.at,
            sent_count: 1,
            last_sent_at: None,
            reminders: 0,
            reminded_at: None,
            reminders_unwanted: false,
            delivery: Delivery::Queued,
            gives_up_at: None,
            invited_by: "admin-1".to_owned(),
            inviter: None,
            created_at: change.at,
            op: change.op.id,
        }
    }

    /// What a store holds, as its ports tell it.
    pub(crate) async fn told(&self, ports: &impl Everything) -> BTreeMap<String, String> {
        let (client, pool) = (&self.world.client, self.world.pool());
        let mut told = BTreeMap::new();
        let mut tell = |what: String, is: String| told.insert(what, is);
        tell("stock".into(), format!("{:?}", ports.stock(client, pool).await.expect("readable")));
        let mut blocks = ports.blocks(client, pool).await.expect("readable");
        blocks.sort_by(|one, other| one.key.cmp(&other.key));
        tell("blocks".into(), format!("{blocks:?}"));
        for number in 0..3 {
            let learner = ports.learner(client, self.learner(number)).await.expect("readable");
            let credential = learner
                .as_ref()
                .map(|learner| serde_json::to_string(&learner.credential).expect("a credential"));
            tell(format!("learner {number}"), format!("{learner:?} {credential:?}"));
            let erased = ports.erased(client, self.learner(number)).await.expect("readable");
            tell(format!("erased {number}"), format!("{erased:?}"));
            let invitation = ports.invitation(client, self.invitation(number)).await;
            tell(format!("invitation {number}"), format!("{:?}", invitation.expect("readable")));
            let place = ports.invitation_place(client, self.invitation(number)).await;
            tell(format!("place {number}"), format!("{:?}", place.expect("readable")));
        }
        let contract = ports.contract(client, self.world.contract.contract_id).await;
        let warned = contract.expect("readable").map(|contract| contract.warned);
        tell("warned".into(), format!("{warned:?}"));
        let page = PageRequest { limit: 50, cursor: None };
        for number in 0..2_u8 {
            let cohort = ports.cohort(&self.cohort(number)).await.expect("readable");
            tell(format!("cohort {number}"), format!("{cohort:?}"));
            let batch = ports.batch(client, batch_id(number)).await.expect("readable");
            tell(format!("batch {number}"), format!("{batch:?}"));
            let sealed = ports.sealed_codes(client, batch_id(number)).await.expect("readable");
            tell(format!("sealed {number}"), format!("{sealed:?}"));
            let mailed = ports.mailed_to(client, batch_id(number)).await.expect("readable");
            tell(format!("mailed {number}"), format!("{mailed:?}"));
            let run = ports.sealed_run(client, batch_id(number), 0).await.expect("readable");
            tell(format!("first run {number}"), format!("{run:?}"));
            let list = ports.redemptions(client, batch_id(number), &page).await.expect("readable");
            tell(format!("redemptions {number}"), format!("{:?}", list.items));
            let code = ports.code(client, self.code(u32::from(number))).await.expect("readable");
            tell(format!("code {number}"), format!("{code:?}"));
            let contract = self.world.contract.contract_id;
            let order = ports.order(client, contract, &format!("A-{number}")).await;
            tell(format!("order {number}"), format!("{:?}", order.expect("readable")));
        }
        let mut groups = ports.groups(client).await.expect("readable");
        groups.sort_by_key(|group| group.group_id);
        tell("groups".into(), format!("{groups:?}"));
        let contract = ports.contract(client, self.world.contract.contract_id).await;
        tell("contract".into(), format!("{:?}", contract.expect("readable")));
        told
    }
}

fn batch_id(number: u8) -> BatchId {
    BatchId::from_bits(u128::from(number) + 1)
}

fn batch_state(number: u8) -> BatchState {
    [BatchState::Active, BatchState::Issuing, BatchState::Paused, BatchState::Revoked]
        [usize::from(number)]
}

fn invitation_status(number: u8) -> InvitationStatus {
    [
        InvitationStatus::Pending,
        InvitationStatus::Accepted,
        InvitationStatus::Declined,
        InvitationStatus::Cancelled,
        InvitationStatus::Expired,
        InvitationStatus::Moved,
    ][usize::from(number)]
}

fn credential() -> Credential {
    let hash = serde_json::from_value::<PasswordHash>(HASHED.into()).expect("a hash");
    Credential { hash, must_change: false }
}

fn profile(number: u32, op: Uuid) -> Profile {
    Profile {
        first_name: (number != 1).then(|| format!("Name {op}")),
        external_id: (number == 2).then(|| op.to_string()),
        labels: [format!("label {number}")].into(),
        delete_on: Some(Date::constant(2027, 1, 15)),
        ..Profile::default()
    }
}

fn seat(state: SeatState, op: Uuid) -> Seat {
    let source = Source { kind: SourceKind::Create, id: None };
    Seat {
        state,
        starts_on: None,
        held_at: None,
        ends_at: None,
        source,
        op,
        reclaim: None,
        carried_from: None,
    }
}

/// A result without what is told about a broken store.
fn short(result: Result<(), Refused>) -> String {
    match result {
        Err(Refused::Store(error)) => format!("retryable: {}", error.is_retryable()),
        other => format!("{other:?}"),
    }
}

/// Does all of it to both; says how many changes were applied and refused.
async fn compare(acts: &[Act]) -> (u32, u32) {
    let both = Both::with_seats(6).await;
    let (world, model) = (&both.world, &both.model);
    let mut began: Vec<Op> = Vec::new();
    let (mut applied, mut refused) = (0, 0);
    for act in acts {
        world.clock.advance(SignedDuration::from_secs(1));
        match act {
            Act::Wait(seconds) => {
                world.clock.advance(SignedDuration::from_secs(*seconds));
            }
            Act::Begin { key, body } => {
                let (record, body) = ([*key; 32], [*body; 32]);
                let attempt =
                    Attempt { record, body, op: world.ids.uuid(), now: world.clock.now() };
                let expected = model.begin(&attempt).await.expect("a model answers");
                let is = world.store.begin(&attempt).await.expect("the store answers");
                assert_eq!(is, expected, "{act:?}");
                if let Begin::Fresh { op } = is {
                    began.push(op);
                    let is = world.store.receipts(&op).await.expect("readable");
                    assert_eq!(is, model.receipts(&op).await.expect("readable"), "{act:?}");
                }
            }
            Act::Settle { began: which, how } => {
                let Some(op) = began.get(usize::from(*which)) else { continue };
                let sealed = [4, 5, 6];
                let (is, expected) = match how {
                    0 => (
                        world.store.complete(op, 201, &sealed).await,
                        model.complete(op, 201, &sealed).await,
                    ),
                    1 => (world.store.abandon(op).await, model.abandon(op).await),
                    _ => (world.store.release(op).await, model.release(op).await),
                };
                assert!(is.is_ok() && expected.is_ok(), "{act:?}");
            }
            Act::Change { bits, op, keyed, part } => {
                let fresh = Op { id: Uuid::from_u128(u128::from(*op) + 1), guard: None };
                let keyed = keyed.and_then(|which| began.get(usize::from(which)).copied());
                let op = keyed.unwrap_or(fresh);
                let now = world.clock.now();
                let mut change = Change::new(&world.client, op, Actor::System, now);
                change.part = *part;
                change.receipt = serde_json::json!({ "part": part });
                for bit in bits {
                    both.add(&mut change, bit).await;
                }
                change.audit(world.pool(), Delta::default(), Action::SeatGiven, &[], None);
                let expected = short(model.apply(&change).await);
                let is = short(world.store.apply(&change).await);
                assert_eq!(is, expected, "{:?}", change.steps);
                let count = if is == "Ok(())" { &mut applied } else { &mut refused };
                *count += 1;
                let stock = world.store.stock(&world.client, world.pool()).await;
                let expected = model.stock(&world.client, world.pool()).await;
                assert_eq!(stock.expect("readable"), expected.expect("readable"), "{act:?}");
            }
        }
    }
    assert_eq!(both.told(&world.store).await, both.told(model).await);
    (applied, refused)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime")
}

fn runner(cases: u32) -> TestRunner {
    let cases = if full() { cases * 20 } else { cases };
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn the_model_and_the_store_judge_the_same_changes_alike() {
    let runtime = runtime();
    let total = std::cell::Cell::new((0, 0));
    let acts = proptest::collection::vec(any_act(), 1..40);
    let ran = runner(24).run(&acts, |acts| {
        let (applied, refused) = runtime.block_on(compare(&acts));
        total.set((total.get().0 + applied, total.get().1 + refused));
        Ok(())
    });
    let (applied, refused) = total.get();
    println!("{applied} changes applied, {refused} refused, alike");
    ran.expect("both stores alike");
    assert!(applied > 50 && refused > 50, "{applied} applied, {refused} refused");
}
