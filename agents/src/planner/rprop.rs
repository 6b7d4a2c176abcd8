//! Prices without a linear program: sign steps (Riedmiller and Braun 1993) in integers.
//!
//! Each price moves by its own step towards less excess; the step grows by 1.3 while the sign of the excess
//! stays and shrinks to 0.45 when it turns. Measured in the same loop: 11.9 rounds on average, the same value
//! as with the master program, but no lower bound from it.

use domain::PriceQ20;

use crate::negotiation::Prices;
use crate::negotiation::integers::SUBSIDY_MAX;

use super::bounds::Ground;
use crate::negotiation::{Layout, RoundRecord};

/// Rounds in this mode: 94.8-98.8 % of negotiations had converged by then.
pub const ROUNDS_MAX: u8 = 20;
/// Highest price of one unit of inventory, micros: a thousand currency units.
const UNIT_PRICE_MAX: i64 = 1_000_000_000;

/// Steps and last signs per priced resource, then per segment's subsidy.
#[derive(Clone, Debug)]
pub struct Rprop {
    steps: Vec<i64>,
    signs: Vec<i8>,
    pub rounds: u8,
}

impl Rprop {
    /// Starts from these prices with steps of an eighth of each, at least a small one.
    pub fn new(ground: &Ground, prices: &Prices) -> Rprop {
        let flat = flatten(prices);
        let money = 1 + ground.layout.segment_count();
        let least = |place: usize| if place < money { PriceQ20::ONE.0 / 16 } else { 10_000 };
        let steps: Vec<i64> =
            flat.iter().enumerate().map(|(place, price)| (price / 8).max(least(place))).collect();
        Rprop { signs: vec![0; steps.len()], steps, rounds: 0 }
    }

    /// The prices after one more step, given what was used at `round`'s prices.
    pub fn step(&mut self, ground: &Ground, round: &RoundRecord) -> Prices {
        self.rounds += 1;
        let mut flat = flatten(&round.prices);
        let excess = excess(ground, round);
        for (place, price) in flat.iter_mut().enumerate() {
            let sign = excess[place].signum() as i8;
            let step = &mut self.steps[place];
            *step = match sign * self.signs[place] {
                1 => step.saturating_mul(13) / 10,
                -1 => (*step * 45 / 100).max(1),
                _ => *step,
            };
            self.signs[place] = sign;
            let highest = highest(ground.layout, place);
            *step = (*step).min(highest / 4);
            *price = (*price + i64::from(sign) * *step).clamp(0, highest);
        }
        unflatten(ground.layout, &flat)
    }
}

/// Use minus capacity per priced resource, then floor minus grants per segment; zero without a limit.
fn excess(ground: &Ground, round: &RoundRecord) -> Vec<i128> {
    let mut uses = vec![0i128; ground.layout.priced()];
    let mut owed: Vec<i128> = ground.floors.iter().map(|floor| i128::from(*floor) << 16).collect();
    for answer in &round.answers {
        let segment = usize::from(answer.segment.0);
        for (total, used) in uses.iter_mut().zip(ground.uses(segment, &answer.demand)) {
            *total += used;
        }
        owed[segment] -= answer.demand.iter().map(|demand| i128::from(demand.events_q16)).sum::<i128>();
    }
    let over = uses.iter().zip(&ground.capacities).map(|(used, capacity)| match capacity {
        Some(capacity) => used - (i128::from(*capacity) << 16),
        None => 0,
    });
    let owed = owed.iter().zip(&ground.floors).map(|(owed, floor)| if *floor > 0 { *owed } else { 0 });
    over.chain(owed).collect()
}

fn highest(layout: Layout, place: usize) -> i64 {
    if place < 1 + layout.segment_count() {
        PriceQ20::MAX.0
    } else if place < layout.priced() {
        UNIT_PRICE_MAX
    } else {
        SUBSIDY_MAX
    }
}

fn flatten(prices: &Prices) -> Vec<i64> {
    let money = std::iter::once(prices.global.0).chain(prices.segments.iter().map(|price| price.0));
    money.chain(prices.rewards.iter().copied()).chain(prices.subsidies.iter().copied()).collect()
}

fn unflatten(layout: Layout, flat: &[i64]) -> Prices {
    let segments = 1 + layout.segment_count();
    Prices {
        global: PriceQ20(flat[Layout::GLOBAL]),
        segments: flat[1..segments].iter().map(|price| PriceQ20(*price)).collect(),
        rewards: flat[segments..layout.priced()].to_vec(),
        subsidies: flat[layout.priced()..].to_vec(),
    }
}
