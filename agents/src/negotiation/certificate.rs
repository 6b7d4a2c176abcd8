//! The proof of one negotiation: everything needed to recompute how close its prices come to the optimum.
//!
//! Checked in integers by `check`, which never trusts the linear program that helped to find it.

use domain::{Digest, Milli, SegmentIndex, Timestamp};
use serde::{Deserialize, Serialize};

use super::integers::{hex64, wide};
use super::{Envelope, Layout, Prices, RewardDemand, RowMix, SegmentWeights};

/// What the negotiation was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// New prices for the next moments.
    Regular,
    /// A new centre for the corridor: start, or any change of budget, catalog, policy or calendar.
    Anchor,
}

/// A gap up to this is [`Status::Certified`], in ppm. Model error costs a hundred times more.
pub const CERTIFIED_PPM: u32 = 5_000;
/// A gap up to this is [`Status::Bounded`], in ppm: still far better than keeping old prices.
pub const BOUNDED_PPM: u32 = 20_000;
/// Most rounds with the oracle: 3-4 are usual, 11 were needed cold, and a late table is worth little.
pub const ROUNDS_MAX: u8 = 12;
/// Further rounds when the oracle has failed: by then 95-99 % of negotiations by sign steps had converged.
pub const SIGN_ROUNDS_MAX: u8 = 20;

/// How the negotiation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The gap to the best possible plan is at most 0.5 %.
    Certified,
    /// The gap is at most 2 %; the best prices found are in force.
    Bounded,
    /// Neither; what was done instead is named.
    Fallback(FallbackReason),
}

/// Why a negotiation ended without a bound, and what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackReason {
    /// Rounds or time ran out above 2 %: the previous prices stay, the limiter is tightened.
    GapTooWide,
    /// The linear program failed: prices come from sign steps (Rprop) in integers.
    SolverFailed,
    /// A segment agent did not answer: its last answer was scaled to the present forecast.
    StaleSegment,
    /// No segment agent has ever answered: the previous prices stay.
    NoAnswers,
    /// Nothing is expected to happen any more, or nothing is left to spend: the previous prices stay.
    NothingToPlan,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Certified => "certified",
            Status::Bounded => "bounded",
            Status::Fallback(FallbackReason::GapTooWide) => "a fallback, for the gap stayed too wide",
            Status::Fallback(FallbackReason::SolverFailed) => "a fallback, for the solver failed",
            Status::Fallback(FallbackReason::StaleSegment) => "a fallback, for a segment did not answer",
            Status::Fallback(FallbackReason::NoAnswers) => "a fallback, for no segment had answered yet",
            Status::Fallback(FallbackReason::NothingToPlan) => "a fallback, for there was nothing to plan",
        })
    }
}

/// One segment's part in a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRecord {
    pub segment: SegmentIndex,
    /// One entry per reward, as answered.
    pub demand: Vec<RewardDemand>,
    /// As answered.
    #[serde(with = "wide")]
    pub net_q16: i128,
    pub rows_used: u32,
    #[serde(with = "hex64")]
    pub rows_digest: u64,
    /// Moments the segment had seen when its rows were frozen.
    pub frozen_at: u64,
    /// How often this answer has been reused for want of a new one; 0 for an answer of this round.
    pub stale: u8,
    /// Weight of this answer in the certified plan, Q30; a segment's weights sum to at most one.
    pub theta_q30: i64,
}

/// One round: the prices that were quoted and what the segments answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundRecord {
    pub prices: Prices,
    /// One record per segment, in segment order.
    pub answers: Vec<SegmentRecord>,
    /// The bound these prices and answers give: no plan is worth more, micros.
    #[serde(with = "wide")]
    pub upper: i128,
}

/// The limits within which published prices may move away from the anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corridor {
    /// The prices of the last anchor.
    pub anchor: Prices,
    /// Published prices stay within anchor / kappa ..= anchor * kappa.
    pub kappa: Milli,
}

/// Leader to ledger and to subject `plan.certificate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub envelope: Envelope,
    pub purpose: Purpose,
    pub concluded_at: Timestamp,
    pub layout: Layout,
    /// Face cost per reward, micros.
    pub costs: Vec<i64>,
    /// What is left of each priced resource; `None` has no limit.
    pub capacities: Vec<Option<i64>>,
    /// Rewarded events still owed to each segment by exposure floors.
    pub floors: Vec<i64>,
    /// The forecast the segments answered for.
    pub weights: Vec<SegmentWeights>,
    pub mix: RowMix,
    pub rounds: Vec<RoundRecord>,
    /// The round with the smallest upper bound, whose prices are the best found.
    pub best_round: u8,
    /// No plan for this forecast within these capacities can be worth more, micros.
    #[serde(with = "wide")]
    pub upper: i128,
    /// The weighted mix of answers is a plan within the capacities worth this much, micros.
    #[serde(with = "wide")]
    pub lower: i128,
    /// `(upper - lower) / upper` in parts per million, rounded up.
    pub gap_ppm: u32,
    pub status: Status,
    /// The prices put in force before the corridor is applied.
    pub published: Prices,
    pub corridor: Option<Corridor>,
    /// Whether the corridor changed any published price.
    pub clipped: bool,
    /// What no posted price is below, per segment and reward: prices of the run before, while this one has not
    /// seen as much as it had. Zero holds nothing; empty when nothing is held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Vec<i64>>,
    /// Version of the price table that follows from this.
    pub table_version: u64,
    /// SHA-256 over the canonical JSON of this certificate with this field all zero.
    pub digest: Digest,
}

impl Certificate {
    /// The digest of everything but the digest.
    pub fn content_digest(&self) -> Digest {
        let unsealed = Certificate { digest: Digest::default(), ..self.clone() };
        // A certificate has only integers, texts and lists of them: writing it as JSON cannot fail.
        Digest::of(&serde_json::to_vec(&unsealed).unwrap_or_default())
    }

    /// Moments a segment had seen when its rows were frozen; `None` when it gave no answer of its own.
    pub fn frozen_at(&self, segment: SegmentIndex) -> Option<u64> {
        let answers = self.rounds.iter().flat_map(|round| &round.answers);
        let mut own = answers.filter(|answer| answer.segment == segment && answer.stale == 0);
        own.next().map(|answer| answer.frozen_at)
    }

    /// The certificate with its digest filled in.
    pub fn sealed(mut self) -> Certificate {
        self.digest = self.content_digest();
        self
    }
}
