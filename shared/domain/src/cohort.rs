//! Cohorts: everyone of a pool who starts at one instant.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, PoolId};

/// Which cohort: it has one item, one schedule, and opens with one movement of the counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CohortKey {
    /// Whose.
    pub client_id: ClientId,
    /// Where its seats are.
    pub pool: PoolId,
    /// When it opens.
    pub instant: Timestamp,
}

/// What is known of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// Which.
    #[serde(flatten)]
    pub key: CohortKey,
    /// The local day it opens.
    pub start_on: Date,
    /// How many seats wait.
    pub count: u64,
    /// Whether it has opened.
    pub state: CohortState,
}

/// Whether a cohort has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortState {
    /// Its seats wait.
    Waiting,
    /// Its seats are in use; nobody joins any more.
    Opened,
}

impl fmt::Display for CohortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.client_id, self.pool, self.instant)
    }
}
