//! A segment agent's reply: what its members would use, and what that would be worth, at the quoted prices.

use domain::SegmentIndex;
use serde::{Deserialize, Serialize};

use super::Envelope;
use super::integers::{hex64, wide};

/// Demand for one reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardDemand {
    /// Weighted events that would choose it, Q16.
    pub events_q16: i64,
    /// Their value in micros, weighted, Q16.
    #[serde(with = "wide")]
    pub value_q16: i128,
}

/// Segment agent to leader: the answer to one quote (about 450 bytes for twelve rewards).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandAnswer {
    /// The quote's envelope, returned.
    pub envelope: Envelope,
    pub segment: SegmentIndex,
    /// One entry per reward.
    pub demand: Vec<RewardDemand>,
    /// Sum over rewards of value minus quoted price, micros, Q16.
    #[serde(with = "wide")]
    pub net_q16: i128,
    /// How many sampled rows the answer rests on.
    pub rows_used: u32,
    /// FNV-1a over the row set; equal in every round of one negotiation.
    #[serde(with = "hex64")]
    pub rows_digest: u64,
    /// Moments this segment has seen since its window began.
    pub arrivals: u64,
    /// Moments it had seen when its rows were frozen for this negotiation: the answer rests on those.
    pub frozen_at: u64,
}
