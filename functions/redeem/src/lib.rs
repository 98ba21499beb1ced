//! The landing pages of clients, and `POST /{client}/redeem`.

mod landing;
mod redeem;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use seatkeeper_aws::Store;
use seatkeeper_http::config::EdgeConfig;
use seatkeeper_http::idempotency::Once;
use seatkeeper_http::system::{SystemClock, SystemIds};

/// What the handlers share. Nobody signs in here, so there are no claims.
#[derive(Debug)]
pub struct Redeeming {
    store: Store,
    edge: EdgeConfig,
    clock: SystemClock,
    ids: SystemIds,
}

impl Redeeming {
    /// The state around a store.
    pub fn new(store: Store, edge: EdgeConfig) -> Arc<Self> {
        Arc::new(Self { store, edge, clock: SystemClock, ids: SystemIds })
    }

    fn once(&self) -> Once<'_, Store, SystemClock, SystemIds> {
        Once { store: &self.store, keys: &self.edge.keys, clock: &self.clock, ids: &self.ids }
    }
}

/// The routes. `GET /{client}/redeem` is where a browser ends that reloads after a refusal; it
/// shows the landing page.
pub fn routes(state: Arc<Redeeming>) -> Router {
    Router::new()
        .route("/{client}", get(landing::page))
        .route("/{client}/redeem", get(landing::page).post(redeem::redeem))
        .route("/{client}/{code}", get(landing::page_with_code))
        .with_state(state)
}
