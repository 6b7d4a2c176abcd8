//! The two bounds of a certificate, exactly, in integers.
//!
//! Upper: for any prices, what the segments would gain plus what the capacities are worth bounds every plan
//! (weak duality). Lower: a convex mix of answers that keeps every capacity is a plan.

use crate::negotiation::integers::{EVENT_BITS, SUBSIDY_MAX, THETA_BITS, THETA_ONE};
use crate::negotiation::{Layout, RewardDemand, RoundRecord, SegmentWeights};

/// What every bound is computed against.
#[derive(Clone, Debug)]
pub struct Ground {
    pub layout: Layout,
    pub costs: Vec<i64>,
    /// Per priced resource.
    pub capacities: Vec<Option<i64>>,
    pub floors: Vec<i64>,
    pub weights: Vec<SegmentWeights>,
}

/// Fraction bits of an upper bound while it is summed: Q20 prices times Q16 counts.
const UPPER_BITS: u32 = 36;

impl Ground {
    /// What an answer uses of each priced resource, Q16.
    pub fn uses(&self, segment: usize, demand: &[RewardDemand]) -> Vec<i128> {
        let mut uses = vec![0; self.layout.priced()];
        for (reward, (demand, cost)) in demand.iter().zip(&self.costs).enumerate() {
            let events = i128::from(demand.events_q16);
            uses[Layout::GLOBAL] += events * i128::from(*cost);
            uses[self.layout.segment(segment)] += events * i128::from(*cost);
            uses[self.layout.reward(reward)] += events;
        }
        uses
    }

    /// No plan is worth more than this many micros, by the answers of one round; rounded up.
    ///
    /// Posted prices are rounded to a micro, so each promise may gain half a micro more than its answer says.
    pub fn upper(&self, round: &RoundRecord) -> i128 {
        let nets: i128 = round.answers.iter().map(|answer| answer.net_q16).sum();
        let prices = &round.prices;
        let money = |resource: usize, price: i64| {
            self.capacities[resource].map_or(0, |left| (i128::from(left) * i128::from(price)) << 16)
        };
        let mut worth = money(Layout::GLOBAL, prices.global.0);
        for (segment, price) in prices.segments.iter().enumerate() {
            worth += money(self.layout.segment(segment), price.0);
            worth -= (i128::from(self.floors[segment]) * i128::from(prices.subsidies[segment])) << UPPER_BITS;
        }
        for (reward, price) in prices.rewards.iter().enumerate() {
            worth += money(self.layout.reward(reward), *price) << 20;
        }
        let promises: i128 = (0..self.weights.len()).map(|segment| self.promises_q16(segment)).sum();
        let rounding = promises << (UPPER_BITS - EVENT_BITS - 1);
        let total = (nets << (UPPER_BITS - EVENT_BITS)) + worth + rounding;
        -((-total) >> UPPER_BITS)
    }

    /// Whether any reward can still be paid for anywhere.
    pub fn is_open(&self) -> bool {
        (0..self.weights.len()).any(|segment| self.promises_q16(segment) > 0)
    }

    /// The most promises a segment can expect: its moments, or what its money and the program's pays for.
    fn promises_q16(&self, segment: usize) -> i128 {
        let weights = &self.weights[segment];
        let moments: i128 = weights.phases.iter().map(|phase| i128::from(phase.events_q16)).sum();
        let open = self.costs.iter().enumerate().filter(|(reward, _)| weights.closed >> reward & 1 == 0);
        let Some(least) = open.map(|(_, cost)| *cost).min() else { return 0 };
        let money = [Layout::GLOBAL, self.layout.segment(segment)].map(|place| self.capacities[place]);
        let paid = money.into_iter().flatten().min().filter(|_| least > 0);
        paid.map_or(moments, |left| moments.min(i128::from(left / least.max(1)) << EVENT_BITS))
    }

    /// Expected moments, Q16.
    pub fn events_q16(&self) -> i128 {
        let phases = self.weights.iter().flat_map(|weights| &weights.phases);
        phases.map(|phase| i128::from(phase.events_q16)).sum()
    }

    /// Makes a plan of proposed weights: rounds them down to Q30 and shrinks them until every capacity holds.
    ///
    /// `proposed` has one list per round with one weight per segment, in 0..=1; whatever is no number is 0.
    /// `uses` holds what each answer uses ([`Ground::uses`]), in the order of rounds and segments.
    pub fn settle_weights(&self, rounds: &mut [RoundRecord], uses: &[Vec<i128>], proposed: &[Vec<f64>]) {
        let quantise = |weight: f64| (weight.clamp(0.0, 1.0) * THETA_ONE as f64) as i64;
        for (segment, _) in self.weights.iter().enumerate() {
            let mut left = THETA_ONE;
            for (round, proposed) in rounds.iter_mut().zip(proposed) {
                let weight = proposed.get(segment).copied().filter(|weight| weight.is_finite());
                let weight = quantise(weight.unwrap_or(0.0)).min(left);
                left -= weight;
                round.answers[segment].theta_q30 = weight;
            }
        }
        for (resource, capacity) in self.capacities.iter().enumerate() {
            if let Some(capacity) = capacity {
                shrink_to_fit(rounds, uses, resource, i128::from(*capacity) << (EVENT_BITS + THETA_BITS));
            }
        }
    }

    /// The value in micros of the plan the weights describe, rounded down; unmet floors count against it.
    pub fn lower(&self, rounds: &[RoundRecord]) -> i128 {
        let mut value = 0;
        let mut granted = vec![0; self.floors.len()];
        for answer in rounds.iter().flat_map(|round| &round.answers) {
            let theta = i128::from(answer.theta_q30);
            let events: i128 = answer.demand.iter().map(|demand| i128::from(demand.events_q16)).sum();
            value += theta * answer.demand.iter().map(|demand| demand.value_q16).sum::<i128>();
            granted[usize::from(answer.segment.0)] += theta * events;
        }
        for (floor, granted) in self.floors.iter().zip(granted) {
            let short = ((i128::from(*floor) << (EVENT_BITS + THETA_BITS)) - granted).max(0);
            value -= short * i128::from(SUBSIDY_MAX);
        }
        value >> (EVENT_BITS + THETA_BITS)
    }
}

/// Scales down the weights of whoever uses the resource if together they use more than the room, Q46.
fn shrink_to_fit(rounds: &mut [RoundRecord], uses: &[Vec<i128>], resource: usize, room: i128) {
    let answers = || uses.iter().map(|uses| uses[resource]);
    let weights = rounds.iter().flat_map(|round| &round.answers).map(|answer| i128::from(answer.theta_q30));
    let used: i128 = weights.zip(answers()).map(|(theta, uses)| theta * uses).sum();
    if used <= room {
        return;
    }
    // Rounding down each weight after scaling keeps the sum at or below the room. Very large rooms
    // lose 40 bits first, so that a ratio in Q40 stays within i128.
    let (room, used) = if room >> 86 > 0 { (room >> 40, (used >> 40) + 1) } else { (room, used) };
    let keep_q40 = (room << 40) / used;
    for (answer, uses) in rounds.iter_mut().flat_map(|round| &mut round.answers).zip(answers()) {
        if uses > 0 {
            let kept = (i128::from(answer.theta_q30) * keep_q40) >> 40;
            answer.theta_q30 = i64::try_from(kept).unwrap_or(0);
        }
    }
}

/// `(upper - lower) / upper` in ppm, rounded up; zero when nothing can be gained.
pub fn gap_ppm(upper: i128, lower: i128) -> u32 {
    if upper <= 0 {
        return 0;
    }
    let gap = ((upper - lower).max(0) * 1_000_000 + upper - 1) / upper;
    u32::try_from(gap).unwrap_or(u32::MAX)
}
