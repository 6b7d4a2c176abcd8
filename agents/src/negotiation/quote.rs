//! The leader's question to the segment agents: what would you use at these prices?

use domain::{Milli, PriceQ20, SegmentIndex};
use serde::{Deserialize, Serialize};

use super::integers::{CLOSED, unit_price};
use super::{Envelope, Layout};

/// One set of prices, one entry per resource that has a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Price of the program's money.
    pub global: PriceQ20,
    /// Additional price of each segment's money.
    pub segments: Vec<PriceQ20>,
    /// Price of one unit of each reward's inventory, in micros.
    pub rewards: Vec<i64>,
    /// Subsidy per rewarded event of each segment, in micros, 0..=2,000,000 (exposure floors).
    pub subsidies: Vec<i64>,
}

impl Prices {
    /// Prices where money costs `global` and everything else is free.
    pub fn flat(layout: Layout, global: PriceQ20) -> Prices {
        Prices {
            global,
            segments: vec![PriceQ20(0); layout.segment_count()],
            rewards: vec![0; layout.reward_count()],
            subsidies: vec![0; layout.segment_count()],
        }
    }

    /// The price of every reward for one segment, in micros; `closed` rewards cost [`CLOSED`].
    pub fn row(&self, segment: usize, costs: &[i64], closed: u64) -> Vec<i64> {
        let price = |(reward, (cost, unit)): (usize, (&i64, &i64))| {
            if closed >> reward & 1 == 1 {
                return CLOSED;
            }
            unit_price(self.global, self.segments[segment], *cost, *unit, self.subsidies[segment])
        };
        costs.iter().zip(&self.rewards).enumerate().map(price).collect()
    }
}

/// A stretch of the remaining window in which members are expected to behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Expected events, Q16.
    pub events_q16: i64,
    /// Announced multiplier of values against an ordinary day.
    pub value: Milli,
}

/// Which rows stand for a segment's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowMix {
    /// Baseline rows and, in this many thousandths, recent rows.
    Recent(Milli),
    /// Baseline rows only: a fresh anchor for the corridor.
    Baseline,
}

/// How much of the future each segment should answer for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentWeights {
    /// Expected remaining events by phase, at most [`SegmentWeights::PHASES_MAX`].
    pub phases: Vec<Phase>,
    /// Rewards (bit mask) that no remaining capacity can pay for in this segment.
    pub closed: u64,
}

impl SegmentWeights {
    /// Most distinct value multipliers in one calendar: each costs one more pass over the rows.
    pub const PHASES_MAX: usize = 4;
}

/// Leader to every segment agent: prices to answer for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceQuote {
    pub envelope: Envelope,
    pub prices: Prices,
    /// One entry per segment.
    pub weights: Vec<SegmentWeights>,
    /// The rows to answer from.
    pub mix: RowMix,
}

impl PriceQuote {
    /// What the quote means for one segment: its weights, or `None` when the quote is for fewer segments.
    pub fn weights_of(&self, segment: SegmentIndex) -> Option<&SegmentWeights> {
        self.weights.get(usize::from(segment.0))
    }
}
