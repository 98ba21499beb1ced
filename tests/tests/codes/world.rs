//! The shared world, and what people do with codes in it.

use std::collections::BTreeSet;
use std::ops::Deref;

use jiff::Timestamp;
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::add_codes::{AddCodes, AddCodesError, AddedCodes, More, add_codes};
use seatkeeper_domain::actions::create_learner::{CreateLearner, PasswordChoice, create_learner};
use seatkeeper_domain::actions::issue_codes::{
    IssueCodes, IssueCodesError, IssuedCodes, Wanted, issue_codes, tend_batch,
};
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, Redeemed, redeem_code};
use seatkeeper_domain::actions::seating::TermRequest;
use seatkeeper_domain::actions::steer_batch::{BatchNow, SteerBatch, SteerBatchError, steer_batch};
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::Client;
use seatkeeper_domain::code::Code;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{BatchId, ContractId, LearnerId};
use seatkeeper_domain::learner::{Learner, Profile};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{
    Catalog as _, Clock as _, CodeBook as _, IdSource as _, People as _,
};
use seatkeeper_domain::stock::Stock;
use serde_json::Value;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// The shared world.
pub(crate) struct World(seatkeeper_tests::World);

impl Deref for World {
    type Target = seatkeeper_tests::World;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl World {
    pub(crate) async fn with_seats(seats: u64) -> Self {
        Self(seatkeeper_tests::World::with_seats(seats).await)
    }

    /// A world whose contract is not the usual one.
    pub(crate) async fn with_contract(seats: u64, change: impl FnOnce(&mut Contract)) -> Self {
        let mut world = seatkeeper_tests::World::with_seats(0).await;
        world.contract.contract_id = ContractId::from_uuid(world.ids.uuid());
        "2026-002".clone_into(&mut world.contract.reference);
        change(&mut world.contract);
        open_contract(&world.store, Actor::System, world.op(), &world.contract, seats)
            .await
            .expect("a new contract");
        Self(world)
    }

    /// Another client, like this one but for its name.
    pub(crate) async fn add_client(&self, id: &str) {
        let known = self.store.client(&self.client).await.expect("the store answers");
        let known = known.expect("the client");
        let client = Client { client_id: id.parse().expect("a slug"), ..known };
        add_client(&self.store, Actor::System, self.op(), client).await.expect("a new client");
    }

    /// An order for these codes, with nothing said beside.
    pub(crate) fn order(&self, wanted: Wanted) -> IssueCodes {
        IssueCodes {
            client_id: self.client.clone(),
            contract_id: self.contract.contract_id,
            sublicense_id: None,
            label: "Autumn".to_owned(),
            wanted,
            valid_from: None,
            valid_until: None,
            start_on: None,
            seat_duration_days: None,
            group_ids: BTreeSet::new(),
            labels: BTreeSet::new(),
            language: None,
            allowed_domains: BTreeSet::new(),
            require_email_proof: false,
        }
    }

    pub(crate) async fn issue(&self, order: &IssueCodes) -> Result<IssuedCodes, IssueCodesError> {
        self.issue_as(self.op(), order).await
    }

    pub(crate) async fn issue_as(
        &self,
        op: Op,
        order: &IssueCodes,
    ) -> Result<IssuedCodes, IssueCodesError> {
        let caller = self.administrator();
        issue_codes(&self.store, &self.clock, &self.ids, &self.keys, &caller, op, order).await
    }

    /// One registration code.
    pub(crate) async fn registration(&self, max: Option<u32>, guaranteed: bool) -> String {
        let wanted = Wanted::Registration { own: None, max_redemptions: max, guaranteed };
        let issued = self.issue(&self.order(wanted)).await.expect("a registration code");
        issued.codes[0].to_string()
    }

    /// So many redemption codes.
    pub(crate) async fn redemption_codes(&self, count: u32) -> Vec<String> {
        let issued = self.issue(&self.order(Wanted::Generated(count))).await;
        issued.expect("redemption codes").codes.iter().map(Code::to_string).collect()
    }

    pub(crate) fn visit(&self, code: &str, email: &str) -> RedeemCode {
        RedeemCode {
            client_id: self.client.clone(),
            code: code.to_owned(),
            email: email.parse().expect("an address"),
            first_name: "Lise".to_owned(),
            last_name: "Meitner".to_owned(),
            password: PasswordPolicy::default().check(PASSWORD).expect("a good password"),
            language: None,
            source: "203.0.113.24".to_owned(),
        }
    }

    pub(crate) async fn redeem(&self, visit: &RedeemCode) -> Result<Redeemed, RedeemCodeError> {
        redeem_code(&self.store, &self.clock, &self.ids, &self.keys, self.op(), visit).await
    }

    /// Steers a batch as an administrator.
    pub(crate) async fn steer(
        &self,
        batch: BatchId,
        change: impl FnOnce(&mut SteerBatch),
    ) -> Result<BatchNow, SteerBatchError> {
        let mut command = SteerBatch {
            client_id: self.client.clone(),
            batch_id: batch,
            state: None,
            valid_until: Amend::Keep,
            max_redemptions: Amend::Keep,
        };
        change(&mut command);
        let caller = self.administrator();
        steer_batch(&self.store, &self.clock, &caller, self.op(), &command).await
    }

    /// Adds codes to a batch as an administrator.
    pub(crate) async fn add(
        &self,
        op: Op,
        batch: BatchId,
        more: More,
    ) -> Result<AddedCodes, AddCodesError> {
        let command = AddCodes { client_id: self.client.clone(), batch_id: batch, more };
        let caller = self.administrator();
        add_codes(&self.store, &self.clock, &self.ids, &self.keys, &caller, op, &command).await
    }

    /// What the sweep does with a batch.
    pub(crate) async fn tend(&self, batch: BatchId) -> bool {
        let (store, clock, ids, keys) = (&self.store, &self.clock, &self.ids, &self.keys);
        tend_batch(store, clock, ids, keys, &self.client, batch).await.expect("tended")
    }

    /// The batches that the sweep would look at.
    pub(crate) async fn due(&self) -> Vec<BatchId> {
        let due = self.store.unfinished_batches(self.clock.now()).await;
        due.expect("the store answers").into_iter().map(|(_, batch)| batch).collect()
    }

    pub(crate) fn learner_id(&self, email: &str) -> LearnerId {
        let email: EmailAddress = email.parse().expect("an address");
        self.keys.learner_id(&self.client, &email)
    }

    pub(crate) async fn learner(&self, email: &str) -> Option<Learner> {
        self.store.learner(&self.client, self.learner_id(email)).await.expect("the store answers")
    }

    /// The stock, after proof that pools, trail and records agree.
    pub(crate) async fn proven_stock(&self) -> Stock {
        self.assert_seats_are_conserved().await;
        self.stock().await
    }

    /// The items of a kind, as they stand in the table.
    pub(crate) fn items(&self, kind: &str) -> Vec<Value> {
        self.cloud.dump().into_iter().filter(|item| item["kind"] == kind).collect()
    }

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }
}

/// Makes an account with a seat of the contract, by hand.
pub(crate) async fn create(world: &World, email: &str, password: PasswordChoice) {
    let command = CreateLearner {
        client_id: world.client.clone(),
        contract_id: world.contract.contract_id,
        sublicense_id: None,
        email: email.parse().expect("an address"),
        profile: Profile::default(),
        password,
        term: TermRequest::default(),
        notify: false,
        copy_to: None,
    };
    let seatkeeper_tests::World { store, clock, ids, keys, .. } = &**world;
    let (op, caller) = (world.op(), world.administrator());
    create_learner(store, clock, ids, keys, &caller, op, &command).await.expect("created");
}
