//! What the tests share: a world with one client and one contract, on the real adapters over the
//! in-process cloud. The tests themselves stand in `tests/tests`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test stops at the first thing it did not expect"
)]

pub mod actors;
pub mod documented;
pub mod full;
pub mod http;
pub mod invariants;
pub mod runs;
pub mod tally;

use std::collections::BTreeSet;

use jiff::civil::Date;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::add_client::add_client;
use seatkeeper_domain::actions::open_contract::open_contract;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::client::{Branding, Client, ClientStatus, HttpsUrl, Zone};
use seatkeeper_domain::contract::{Contract, Policies, Warned};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ContractId, PoolId};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::ports::{Clock as _, IdSource as _, Ledger as _};
use seatkeeper_domain::role::{Caller, CallerRole, Scope};
use seatkeeper_domain::secrets::Keys;
use seatkeeper_domain::stock::Stock;
use seatkeeper_testkit::{Cloud, SeededIds, VirtualClock};

use crate::invariants::Seen;

/// A seventh of what the tests compute was spent on allocating.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A client `acme` (French, Europe/Paris) with one contract, and everything an action needs.
pub struct World {
    /// The in-process cloud.
    pub cloud: Cloud,
    /// The real adapters over it.
    pub store: Store,
    /// The virtual clock, 2026-11-23 10:00 in Paris at first.
    pub clock: VirtualClock,
    /// Seeded chance.
    pub ids: SeededIds,
    /// Keys of a fixed root secret.
    pub keys: Keys,
    /// `acme`.
    pub client: ClientId,
    /// Its contract.
    pub contract: Contract,
}

impl World {
    /// A world whose contract has this many seats, on default terms.
    pub async fn with_seats(seats: u64) -> Self {
        Self::with_policies(seats, Policies::default()).await
    }

    /// A world whose contract has this many seats, on these terms, from 2026-01-01 to 2028-12-31.
    pub async fn with_policies(seats: u64, policies: Policies) -> Self {
        let cloud = Cloud::new();
        let store = Store::new(cloud.dynamodb(), Cloud::TABLE);
        let clock = cloud.clock();
        let ids = SeededIds::new(7, cloud.clock());
        let client: ClientId = "acme".parse().expect("a slug");
        let keys = Keys::derive("a root secret for tests, 32 characters").expect("long enough");
        let op = || Op { id: ids.uuid(), guard: None };
        let record = Client {
            client_id: client.clone(),
            name: "Acme".to_owned(),
            default_language: Languages::from_list("en,fr").parse("fr").expect("French"),
            time_zone: Zone::parse("Europe/Paris").expect("a zone"),
            launch_url: HttpsUrl::parse("https://lms.example.com/launch").expect("an address"),
            branding: Branding::default(),
            alerts_to: Vec::new(),
            status: ClientStatus::Active,
            created_at: clock.now(),
        };
        let made = add_client(&store, Actor::System, op(), record).await;
        made.expect("a new client");
        let contract = Contract {
            contract_id: ContractId::from_uuid(ids.uuid()),
            client_id: client.clone(),
            reference: "2026-001".to_owned(),
            starts_on: Some(Date::constant(2026, 1, 1)),
            ends_on: Some(Date::constant(2028, 12, 31)),
            modules: BTreeSet::new(),
            policies,
            warned: Warned::default(),
            renewed_by: None,
            version: 1,
            created_at: clock.now(),
        };
        let opened = open_contract(&store, Actor::System, op(), &contract, seats).await;
        opened.expect("a new contract");
        Self { clock: clock.clone(), cloud: cloud.clone(), store, ids, keys, client, contract }
    }

    /// Another contract of the client on these terms, not opened yet.
    pub fn another_contract(&self, reference: &str, policies: Policies) -> Contract {
        Contract {
            contract_id: ContractId::from_uuid(self.ids.uuid()),
            reference: reference.to_owned(),
            policies,
            ..self.contract.clone()
        }
    }

    /// The contract's pool.
    pub fn pool(&self) -> PoolId {
        PoolId::Contract(self.contract.contract_id)
    }

    /// An operation without an idempotency key.
    pub fn op(&self) -> Op {
        Op { id: self.ids.uuid(), guard: None }
    }

    /// A client administrator of `acme`.
    pub fn administrator(&self) -> Caller {
        Caller {
            subject: "admin-1".to_owned(),
            email: Some("admin@acme.example".to_owned()),
            scope: Scope::Client(self.client.clone()),
            role: CallerRole::ClientAdmin,
            groups: BTreeSet::new(),
        }
    }

    /// The stock the contract's pool shows.
    pub async fn stock(&self) -> Stock {
        let stock = self.store.stock(&self.client, self.pool()).await;
        stock.expect("a readable pool").expect("a pool")
    }

    /// Asserts that every pool adds up, that its trail sums to the stock it shows, and that the
    /// counters are what the learners, invitations, cohorts and blocks say (I1, I8).
    #[expect(clippy::unused_async, reason = "asked like everything else of a world")]
    pub async fn assert_seats_are_conserved(&self) {
        if let Err(broken) = Seen::of(&self.cloud).check_seats() {
            panic!("{broken}");
        }
    }
}

/// An address by number.
pub fn address(number: usize) -> EmailAddress {
    EmailAddress::parse(&format!("learner.{number}@example.fr")).expect("an address")
}
