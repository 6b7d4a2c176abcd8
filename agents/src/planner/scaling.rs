//! Between the planner's integers and the oracle's floating point: amounts scaled to one, prices back to Q20.
//!
//! Floating point enters here and leaves as questions only; no bound is computed from it.

use domain::PriceQ20;

use crate::negotiation::integers::SUBSIDY_MAX;
use crate::negotiation::{Layout, Prices, RoundRecord, SegmentRecord};

use super::bounds::Ground;
use super::master::{Column, MasterProblem, MasterSolution};

/// Highest price of one unit of inventory a quote may carry, micros.
const UNIT_PRICE_MAX: f64 = 1e12;

/// How amounts are scaled for the oracle.
pub struct Scale {
    /// Master row of each priced resource that has one.
    rows: Vec<Option<usize>>,
    count: usize,
    unit: f64,
}

impl Scale {
    /// A row for each resource with something left; the largest answer is one value unit.
    pub fn of(ground: &Ground, rounds: &[RoundRecord]) -> Scale {
        let mut count = 0;
        let row = |capacity: &Option<i64>| {
            capacity.filter(|left| *left > 0).map(|_| {
                count += 1;
                count - 1
            })
        };
        let rows = ground.capacities.iter().map(row).collect();
        let answers = rounds.iter().flat_map(|round| &round.answers);
        let largest = answers.map(value_micros).fold(1.0, f64::max);
        Scale { rows, count, unit: largest }
    }

    /// The master program of these rounds; `uses` holds [`Ground::uses`] in order of rounds and segments.
    pub fn problem(&self, ground: &Ground, rounds: &[RoundRecord], uses: &[Vec<i128>]) -> MasterProblem {
        let mut problem = MasterProblem { rows: self.count, unit: self.unit, ..MasterProblem::default() };
        let floor = |floor: &i64| (*floor > 0).then(|| *floor as f64 * SUBSIDY_MAX as f64 / self.unit);
        problem.penalties = ground.floors.iter().map(floor).collect();
        for (answer, uses) in rounds.iter().flat_map(|round| &round.answers).zip(uses) {
            let segment = usize::from(answer.segment.0);
            let share = |(resource, used): (usize, &i128)| {
                let (row, left) = (self.rows[resource]?, ground.capacities[resource]?);
                (*used > 0).then(|| (row, events(*used) / left as f64))
            };
            let granted: i64 = answer.demand.iter().map(|demand| demand.events_q16).sum();
            problem.columns.push(Column {
                segment,
                value: value_micros(answer) / self.unit,
                uses: uses.iter().enumerate().filter_map(share).collect(),
                grants: match ground.floors[segment] {
                    0 => 0.0,
                    floor => events(i128::from(granted)) / floor as f64,
                },
            });
        }
        problem
    }

    /// The oracle's prices as the integers they may be quoted in.
    pub fn prices(&self, ground: &Ground, solution: &MasterSolution) -> Prices {
        let layout = ground.layout;
        let per_unit = |resource: usize| match (self.rows[resource], ground.capacities[resource]) {
            (Some(row), Some(left)) => solution.prices[row] * self.unit / left as f64,
            (Some(_) | None, _) => 0.0,
        };
        let money = |resource| {
            let scaled = per_unit(resource) * PriceQ20::ONE.0 as f64;
            PriceQ20(scaled.clamp(0.0, PriceQ20::MAX.0 as f64) as i64)
        };
        let subsidy = |(subsidy, floor): (&f64, &i64)| match floor {
            0 => 0,
            floor => (subsidy * self.unit / *floor as f64).clamp(0.0, SUBSIDY_MAX as f64) as i64,
        };
        Prices {
            global: money(Layout::GLOBAL),
            segments: (0..layout.segment_count()).map(|segment| money(layout.segment(segment))).collect(),
            rewards: (0..layout.reward_count())
                .map(|reward| per_unit(layout.reward(reward)).clamp(0.0, UNIT_PRICE_MAX) as i64)
                .collect(),
            subsidies: solution.subsidies.iter().zip(&ground.floors).map(subsidy).collect(),
        }
    }
}

fn events(q16: i128) -> f64 {
    q16 as f64 / 65_536.0
}

fn value_micros(answer: &SegmentRecord) -> f64 {
    events(answer.demand.iter().map(|demand| demand.value_q16).sum())
}

/// The oracle's column weights by round and segment.
pub fn proposed(solution: &MasterSolution, rounds: &[RoundRecord]) -> Vec<Vec<f64>> {
    let mut weights = solution.weights.iter().copied();
    rounds.iter().map(|round| weights.by_ref().take(round.answers.len()).collect()).collect()
}

/// Without an oracle: the later half of the rounds, evenly.
pub fn even_weights(rounds: &[RoundRecord]) -> Vec<Vec<f64>> {
    let from = rounds.len() / 2;
    let each = 1.0 / (rounds.len() - from).max(1) as f64;
    let weight = |place: usize| if place >= from { each } else { 0.0 };
    rounds.iter().enumerate().map(|(place, round)| vec![weight(place); round.answers.len()]).collect()
}
