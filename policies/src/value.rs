//! What a promise is worth: the one formula, in integers.

use domain::{Micros, Milli, Ppm, RewardIndex, SegmentIndex};

use crate::bundle::Bundle;

/// The value of a reward for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Customer value times save probability, before the lever.
    pub raw: Micros,
    pub lever: Milli,
    /// After the lever: what competes with the price.
    pub levered: Micros,
}

/// Customer value at stake, `ltv x p x (1 - p)` rounded half up: largest for members who waver.
pub fn at_stake(ltv: Micros, churn: Ppm) -> Micros {
    let churn = Ppm(churn.0.min(1_000_000));
    ltv.scale(i64::from(churn.0) * i64::from(churn.complement().0), 1_000_000_000_000)
}

impl Bundle {
    /// `ltv x p x (1 - p) x response prior`, rounded half up, then times the segment's lever, rounded half up.
    pub fn value(&self, segment: SegmentIndex, reward: RewardIndex, ltv: Micros, churn: Ppm) -> Value {
        let churn = i64::from(churn.0.min(1_000_000));
        let prior = i64::from(self.segment(segment).priors[usize::from(reward.0)].0);
        let lever = self.lever(segment, reward);
        // p (1 - p) prior in units of 1e-18 is at most 2.5e17, within i64.
        let raw = ltv.scale(churn * (1_000_000 - churn) * prior, 1_000_000_000_000_000_000);
        Value { raw, lever, levered: raw.scale(i64::from(lever.0), 1000) }
    }
}
