//! What the planner and the segment agents say to each other, and the integers they say it in.
//!
//! Every message carries an [`Envelope`] with its schema number, so a build knows what it reads. Money is
//! micros, prices of money are Q20, weighted counts are Q16, sums are `i128` and travel as decimal text.
//! Nothing here decides anything.
//!
//! Start reading at [`layout`] (which resources exist), then [`quote`], [`answer`], [`certificate`].

pub mod answer;
pub mod certificate;
pub mod grant;
pub mod integers;
pub mod layout;
pub mod plan;
pub mod quote;
pub mod table;

pub use answer::{DemandAnswer, RewardDemand};
pub use certificate::{Certificate, Corridor, FallbackReason, Purpose, RoundRecord, SegmentRecord, Status};
pub use grant::{Draw, EscrowGrant, EscrowReturn};
pub use layout::{Layout, Resource};
pub use plan::{PLAN_VERSION, Period, Plan};
pub use quote::{Phase, PriceQuote, Prices, RowMix, SegmentWeights};
pub use table::PriceTable;

use std::sync::Arc;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of every message in this module; a reader refuses any other.
pub const SCHEMA: u16 = 1;

/// What every negotiation message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Version of the message form, [`SCHEMA`].
    pub schema: u16,
    /// The loyalty program.
    pub program: Arc<str>,
    /// Term of the leader: raised whenever a leader starts, so that an old leader's messages are recognised.
    pub epoch: u64,
    /// Number of the negotiation within the epoch.
    pub batch: u64,
    /// Number of the round within the negotiation, from 0.
    pub round: u8,
    /// Version of the price table in force when the message was made.
    pub price_version: u64,
    /// When the leader stops waiting for replies.
    pub deadline: Timestamp,
}

impl Envelope {
    /// Which negotiation the message belongs to; later negotiations of a program are greater.
    pub fn negotiation(&self) -> (u64, u64) {
        (self.epoch, self.batch)
    }

    /// Whether `other` belongs to the same round of the same negotiation of the same leader.
    pub fn same_round(&self, other: &Envelope) -> bool {
        (self.schema, &self.program, self.epoch, self.batch, self.round)
            == (other.schema, &other.program, other.epoch, other.batch, other.round)
    }
}
