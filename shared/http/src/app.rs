//! What the handlers of a function share.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::caller::ClaimNames;
use crate::config::EdgeConfig;
use crate::idempotency::Once;
use crate::system::{SystemClock, SystemIds};

/// The state of a function that answers requests: its ports, its configuration, clock and chance.
#[derive(Debug)]
pub struct App<S> {
    /// The store, as every port it implements.
    pub store: S,
    /// What the stack is configured to.
    pub edge: EdgeConfig,
    /// The claims callers are known by.
    pub claims: ClaimNames,
    /// The present.
    pub clock: SystemClock,
    /// Chance.
    pub ids: SystemIds,
}

impl<S> App<S> {
    /// The state around a store.
    pub fn new(store: S, edge: EdgeConfig, claims: ClaimNames) -> Arc<Self> {
        Arc::new(Self { store, edge, claims, clock: SystemClock, ids: SystemIds })
    }

    /// Answers a request once, however often it is made under one idempotency key.
    pub fn once(&self) -> Once<'_, S, SystemClock, SystemIds> {
        Once { store: &self.store, keys: &self.edge.keys, clock: &self.clock, ids: &self.ids }
    }
}

/// How handlers are given the state.
pub type Shared<S> = Arc<App<S>>;

impl<S> FromRef<Arc<App<S>>> for ClaimNames {
    fn from_ref(app: &Arc<App<S>>) -> Self {
        app.claims.clone()
    }
}
