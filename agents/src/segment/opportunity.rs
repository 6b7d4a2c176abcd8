//! What one of a member's scarce contacts is worth: the member's own price for being promised anything now.
//!
//! With a frequency cap, a promise today may rule out a better one next week. The value of keeping the contact
//! follows from optimal stopping: with `c` contacts left and `v` visits still expected, the worth W satisfies
//! `dW_c/dv = E[(X - (W_c - W_{c-1}))+]`, where X is the best net value a visit brings (Karlin 1962; visits as
//! a Poisson stream). The price of a contact is `W_c - W_{c-1}`. Without it a cap of two cost 13.5 % of the
//! optimum; with it 8 %, and no policy that does not see the future loses less than 4.7 %.
//!
//! The table is computed by each segment agent from its own rows and prices, in integers, for a few member
//! sizes ("scale": LTV times churn times retention); lookups interpolate.

use crate::negotiation::integers::CLOSED;

use super::rows::{INELIGIBLE, Row, Rows};

/// Contacts beyond this many are not scarce: no window of a real policy expects so many promises.
pub const CAPS_MAX: usize = 8;
/// Member sizes in the table, each twice the one before, the middle one at the segment's median.
const KNOTS: usize = 9;
/// Rows that stand for a visit: 128 give the mean gain to about 5 %, far finer than visits are known.
const SAMPLE_MAX: usize = 128;
/// Fewer rows say nothing about a segment, and its contacts are not priced yet.
const SAMPLE_MIN: usize = 16;
/// Expected visits at which the table is kept, Q8.
const VISITS_Q8: [i64; 20] =
    [0, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384];
/// Integration steps between two kept points: the points are at most a factor 2 apart, so a step is under
/// one eighth of the visits so far and the error stays below a percent.
const STEPS: i64 = 8;

/// Prices of contacts for one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpportunityTable {
    /// Member sizes, micros, rising; empty when nothing is known.
    knots: Vec<i64>,
    /// Price in micros by (knot, caps - 1, visits).
    prices: Vec<i64>,
    caps: usize,
}

impl OpportunityTable {
    /// The table for members with up to `caps_max` contacts, or an empty one when there are too few rows.
    ///
    /// `prices` are the segment's posted prices, one per reward, in micros.
    pub fn compute(baseline: &Rows, recent: &Rows, prices: &[i64], caps_max: u8) -> OpportunityTable {
        let caps = usize::from(caps_max).min(CAPS_MAX);
        let sample = sample(baseline, recent);
        let Some(median) = median_scale(&sample) else { return OpportunityTable::default() };
        if sample.len() < SAMPLE_MIN || caps == 0 {
            return OpportunityTable::default();
        }
        let half = KNOTS as i64 / 2;
        let knots: Vec<i64> = (0..KNOTS as i64)
            .map(|knot| if knot >= half { median << (knot - half) } else { median >> (half - knot) }.max(1))
            .collect();
        let mut table = OpportunityTable { knots, prices: Vec::new(), caps };
        for knot in 0..KNOTS {
            let gains = Gains::new(sample.iter().map(|row| best_net(row, table.knots[knot], prices)));
            table.prices.extend(stopping(&gains, caps));
        }
        table
    }

    /// The price in micros of one contact for a member of this size, with `caps_left` contacts (this one
    /// included) and so many visits still expected after this one, Q16.
    pub fn price(&self, scale: i64, caps_left: u8, visits_q16: u32) -> i64 {
        let caps_left = usize::from(caps_left);
        if self.knots.is_empty() || caps_left == 0 || caps_left > self.caps {
            return 0;
        }
        let at = |knot: usize| self.between_visits(knot, caps_left - 1, i64::from(visits_q16 >> 8));
        let (first, last) = (self.knots[0], self.knots[KNOTS - 1]);
        if scale <= first {
            return proportion(at(0), scale.max(0), first);
        }
        if scale >= last {
            return proportion(at(KNOTS - 1), scale, last);
        }
        let upper = self.knots.partition_point(|knot| *knot <= scale);
        let (low, high) = (self.knots[upper - 1], self.knots[upper]);
        let (from, to) = (at(upper - 1), at(upper));
        from + proportion(to - from, scale - low, high - low)
    }

    fn between_visits(&self, knot: usize, cap: usize, visits_q8: i64) -> i64 {
        let start = (knot * self.caps + cap) * VISITS_Q8.len();
        let row = &self.prices[start..start + VISITS_Q8.len()];
        let upper = VISITS_Q8.partition_point(|visits| *visits <= visits_q8);
        if upper >= VISITS_Q8.len() {
            return row[VISITS_Q8.len() - 1];
        }
        let (low, high) = (VISITS_Q8[upper - 1], VISITS_Q8[upper]);
        row[upper - 1] + proportion(row[upper] - row[upper - 1], visits_q8 - low, high - low)
    }
}

/// `value * part / whole`, rounded down, through `i128`.
fn proportion(value: i64, part: i64, whole: i64) -> i64 {
    let exact = (i128::from(value) * i128::from(part)).div_euclid(i128::from(whole.max(1)));
    i64::try_from(exact).unwrap_or(CLOSED)
}

/// Rows at even distances from both keeps, at most two thirds of them from the baseline.
fn sample<'a>(baseline: &'a Rows, recent: &'a Rows) -> Vec<Row<'a>> {
    let from_recent = if baseline.is_empty() { SAMPLE_MAX } else { SAMPLE_MAX / 3 };
    let from_baseline = SAMPLE_MAX - from_recent.min(recent.len());
    let spread = |rows: &'a Rows, want: usize| {
        let stride = (rows.len() / want.max(1)).max(1);
        rows.iter().step_by(stride).take(want)
    };
    let told = |row: &Row<'_>| row.scale > 0 && row.values.iter().any(|value| *value != INELIGIBLE);
    spread(baseline, from_baseline).chain(spread(recent, from_recent)).filter(told).collect()
}

fn median_scale(sample: &[Row<'_>]) -> Option<i64> {
    let mut scales: Vec<i64> = sample.iter().map(|row| row.scale).collect();
    scales.sort_unstable();
    scales.get(scales.len() / 2).copied()
}

/// The best net value the row's visit would bring a member of this size.
fn best_net(row: &Row<'_>, knot: i64, prices: &[i64]) -> i64 {
    let ratio_q20 = (i128::from(knot) << 20) / i128::from(row.scale);
    let net = |(value, price): (&i64, &i64)| {
        if *value == INELIGIBLE {
            return 0;
        }
        let scaled = (i128::from(value + row.opportunity) * ratio_q20) >> 20;
        i64::try_from(scaled - i128::from(*price)).unwrap_or(0)
    };
    row.values.iter().zip(prices).map(net).max().unwrap_or(0).max(0)
}

/// Expected gain over a threshold, from sorted samples.
struct Gains {
    /// Rising.
    nets: Vec<i64>,
    /// Sum of `nets[i..]`.
    tails: Vec<i64>,
}

impl Gains {
    fn new(nets: impl Iterator<Item = i64>) -> Gains {
        let mut nets: Vec<i64> = nets.map(|net| net.min(CLOSED >> 8)).collect();
        nets.sort_unstable();
        let mut tails = vec![0; nets.len() + 1];
        for place in (0..nets.len()).rev() {
            tails[place] = tails[place + 1] + nets[place];
        }
        Gains { nets, tails }
    }

    /// E[(X - threshold)+] in micros.
    fn over(&self, threshold: i64) -> i64 {
        let place = self.nets.partition_point(|net| *net <= threshold);
        let count = (self.nets.len() - place) as i64;
        (self.tails[place] - count * threshold) / self.nets.len() as i64
    }
}

/// Prices of contacts 1..=caps at every kept point, by forward integration.
fn stopping(gains: &Gains, caps: usize) -> Vec<i64> {
    let mut prices = vec![0; caps * VISITS_Q8.len()];
    // Worth in micros Q8 of 0..=caps contacts at the present number of visits.
    let mut worth = vec![0i64; caps + 1];
    for point in 1..VISITS_Q8.len() {
        let step_q8 = (VISITS_Q8[point] - VISITS_Q8[point - 1]) / STEPS;
        for _ in 0..STEPS {
            for cap in (1..=caps).rev() {
                worth[cap] += step_q8 * gains.over((worth[cap] - worth[cap - 1]) >> 8);
            }
        }
        for cap in 1..=caps {
            prices[(cap - 1) * VISITS_Q8.len() + point] = (worth[cap] - worth[cap - 1]) >> 8;
        }
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: impl IntoIterator<Item = i64>) -> Rows {
        let mut rows = Rows::new(1);
        for value in values {
            rows.push_ring(Row { values: &[value], opportunity: 0, scale: 1_000_000, value_milli: 1000 });
        }
        rows
    }

    #[test]
    fn a_contact_is_worth_more_with_more_visits_and_less_with_more_contacts() {
        let table = OpportunityTable::compute(&rows((0..100).map(|i| i * 10_000)), &rows([]), &[0], 3);
        let price = |caps, visits: u32| table.price(1_000_000, caps, visits << 16);
        assert_eq!(price(1, 0), 0);
        assert!(price(1, 1) < price(1, 4) && price(1, 4) < price(1, 16));
        assert!(price(2, 4) < price(1, 4) && price(3, 4) < price(2, 4));
    }

    #[test]
    fn one_contact_follows_the_closed_form_for_uniform_values() {
        // X uniform on 0..1: W' = (1 - W)^2 / 2, so W(v) = v / (v + 2).
        let table =
            OpportunityTable::compute(&rows((0..100).map(|i| 5_000 + i * 10_000)), &rows([]), &[0], 1);
        for visits in [1u32, 2, 4, 8] {
            let want = 1_000_000 * i64::from(visits) / i64::from(visits + 2);
            let got = table.price(1_000_000, 1, visits << 16);
            assert!((got - want).abs() < 20_000, "{visits} visits: {got} against {want}");
        }
    }

    #[test]
    fn without_a_cap_or_without_rows_contacts_are_free() {
        let full = OpportunityTable::compute(&rows((0..100).map(|i| i * 10_000)), &rows([]), &[0], 2);
        assert_eq!(full.price(1_000_000, u8::MAX, 5 << 16), 0);
        let empty = OpportunityTable::compute(&rows([5, 6]), &rows([]), &[0], 2);
        assert_eq!(empty.price(1_000_000, 1, 5 << 16), 0);
    }
}
