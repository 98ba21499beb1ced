//! A client with a contract, and what a test asks of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::issue_codes::{
    IssueCodes, IssueCodesError, IssuedCodes, Wanted, issue_codes,
};
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::actions::redeem_code::{RedeemCode, RedeemCodeError, Redeemed, redeem_code};
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::{Branding, Client, ClientStatus, HttpsUrl, Zone};
use seatkeeper_domain::code::Code;
use seatkeeper_domain::contract::{Contract, Policies};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, LearnerId, PoolId};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::ports::{Clock as _, IdSource as _, Ledger as _, People as _};
use seatkeeper_domain::role::{Caller, CallerRole, Scope};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_domain::stock::{Delta, Stock};
use seatkeeper_testkit::{Cloud, SeededIds, VirtualClock};
use serde_json::Value;

pub(crate) const ROOT: &str = "a root key of the tests, long enough";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A client `acme` of Paris with one contract.
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) store: Store,
    pub(crate) clock: VirtualClock,
    pub(crate) ids: SeededIds,
    pub(crate) keys: Keys,
    pub(crate) client: ClientId,
    pub(crate) contract: ContractId,
}

impl World {
    pub(crate) async fn with_seats(seats: u64) -> Self {
        Self::with_contract(seats, |_| {}).await
    }

    pub(crate) async fn with_contract(seats: u64, change: impl FnOnce(&mut Contract)) -> Self {
        let cloud = Cloud::new();
        let clock = cloud.clock().clone();
        let store = Store::new(cloud.dynamodb(), Cloud::TABLE);
        let ids = SeededIds::new(7, &clock);
        let keys = Keys::derive(ROOT).expect("a long key");
        let client: ClientId = "acme".parse().expect("a slug");
        let contract = ContractId::from_uuid(ids.uuid());
        let world = Self { cloud, store, clock, ids, keys, client, contract };
        world.add_client("acme").await;
        let mut terms = Contract {
            contract_id: contract,
            client_id: world.client.clone(),
            reference: "2026-001".to_owned(),
            starts_on: None,
            ends_on: None,
            modules: BTreeSet::new(),
            policies: Policies::default(),
            version: 1,
            created_at: world.clock.now(),
        };
        change(&mut terms);
        open_contract(&world.store, Actor::System, world.op(), &terms, seats)
            .await
            .expect("a new contract");
        world
    }

    pub(crate) async fn add_client(&self, id: &str) {
        let client = Client {
            client_id: id.parse().expect("a slug"),
            name: "Acmé SA".to_owned(),
            default_language: Languages::from_list("fr").parse("fr").expect("French"),
            time_zone: Zone::parse("Europe/Paris").expect("a zone"),
            launch_url: HttpsUrl::parse("https://lms.example/start").expect("an address"),
            branding: Branding::default(),
            status: ClientStatus::Active,
            created_at: self.clock.now(),
        };
        add_client(&self.store, Actor::System, self.op(), client).await.expect("a new client");
    }

    /// A fresh operation without an idempotency key.
    pub(crate) fn op(&self) -> Op {
        Op { id: self.ids.uuid(), guard: None }
    }

    pub(crate) fn pool(&self) -> PoolId {
        PoolId::Contract(self.contract)
    }

    /// An order for these codes, with nothing said beside.
    pub(crate) fn order(&self, wanted: Wanted) -> IssueCodes {
        IssueCodes {
            client_id: self.client.clone(),
            contract_id: self.contract,
            sublicense_id: None,
            label: "Autumn".to_owned(),
            wanted,
            valid_from: None,
            valid_until: None,
            seat_duration_days: None,
            group_ids: BTreeSet::new(),
            labels: BTreeSet::new(),
            language: None,
            allowed_domains: BTreeSet::new(),
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
        let caller = Caller {
            subject: "ana".to_owned(),
            email: None,
            scope: Scope::Vendor,
            role: CallerRole::VendorAdmin,
            groups: BTreeSet::new(),
        };
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

    pub(crate) fn learner_id(&self, email: &str) -> LearnerId {
        let email: EmailAddress = email.parse().expect("an address");
        self.keys.learner_id(&self.client, &email)
    }

    pub(crate) async fn learner(&self, email: &str) -> Option<Learner> {
        self.store.learner(&self.client, self.learner_id(email)).await.expect("the store answers")
    }

    pub(crate) async fn stock(&self) -> Stock {
        let stock = self.store.stock(&self.client, self.pool()).await;
        stock.expect("the store answers").expect("a pool")
    }

    /// The stock, after proof that it adds up and that the trail replays to it.
    pub(crate) async fn proven_stock(&self) -> Stock {
        let stock = self.stock().await;
        assert!(stock.adds_up(), "{stock:?}");
        let mut told = Delta::default();
        for record in self.items("audit") {
            let delta = serde_json::from_value(record["delta"].clone()).expect("a delta");
            told = told.and(delta);
        }
        assert_eq!(told.applied_to(Stock::default()), Some(stock), "the trail");
        stock
    }

    /// The items of a kind, as they stand in the table.
    pub(crate) fn items(&self, kind: &str) -> Vec<Value> {
        self.cloud.dump().into_iter().filter(|item| item["kind"] == kind).collect()
    }

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }
}
