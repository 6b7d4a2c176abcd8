//! What the ledger holds of a negotiation and of a budget period, so that a replay can drive the same agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Certificate, EscrowGrant, PriceTable};

/// Version of both rows.
pub const PLAN_VERSION: u32 = 1;

/// The row of a negotiation: its proof and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub v: u32,
    pub certificate: Certificate,
    /// Prices in force from here on; absent when only an anchor was set.
    pub table: Option<PriceTable>,
    pub grant: Option<EscrowGrant>,
}

/// The row that opens a budget period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    pub v: u32,
    /// Periods opened so far, this one included.
    pub period: u64,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Prices until the first negotiation of the period ends.
    pub table: PriceTable,
    /// By how much limits lie above what the policies so far allow, by budget.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owed: BTreeMap<Arc<str>, i64>,
}
