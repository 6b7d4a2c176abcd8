//! Answering a quote: what the remembered rows would choose at the quoted prices.

use domain::Milli;

use crate::negotiation::{PriceQuote, RewardDemand, RowMix};

use super::rows::{INELIGIBLE, Row, Rows, VALUE_MAX};

/// Recent rows of a segment at which their share has its full weight; it grows evenly up to there.
///
/// A share of 30 % on 40 rows would make each worth 18 baseline rows, and prices would follow single members.
const RECENT_FULL: u64 = 256;

/// Weighted demand of the rows that stand for one segment's future.
pub struct Demanded {
    pub demand: Vec<RewardDemand>,
    pub net_q16: i128,
    pub rows_used: u32,
}

/// The demand of both keeps at the quoted prices for one segment (`weights`, `prices` are that segment's).
pub fn demand(
    baseline: &Rows,
    recent: &Rows,
    quote: &PriceQuote,
    segment: usize,
    prices: &[i64],
) -> Demanded {
    let mut total = vec![RewardDemand::default(); prices.len()];
    let recent_milli = recent_share(quote.mix, baseline, recent);
    let mut rows_used = 0;
    for phase in &quote.weights[segment].phases {
        for (rows, share) in [(baseline, 1000 - recent_milli), (recent, recent_milli)] {
            let Some(weight) = row_weight(phase.events_q16, share, rows.len()) else { continue };
            rows_used += rows.len() as u32;
            add(&mut total, rows, prices, phase.value, weight);
        }
    }
    let net = |(demand, price): (&RewardDemand, &i64)| {
        demand.value_q16 - i128::from(demand.events_q16) * i128::from(*price)
    };
    let net_q16 = total.iter().zip(prices).map(net).sum();
    Demanded { demand: total, net_q16, rows_used }
}

/// The share of recent rows in thousandths.
fn recent_share(mix: RowMix, baseline: &Rows, recent: &Rows) -> i64 {
    let wanted = match mix {
        RowMix::Baseline => 0,
        RowMix::Recent(share) => i64::from(share.0.min(1000)),
    };
    if recent.is_empty() {
        return 0;
    }
    if baseline.is_empty() {
        return 1000;
    }
    wanted * recent.seen().min(RECENT_FULL) as i64 / RECENT_FULL as i64
}

/// What each of so many rows weighs, Q16, rounded down.
fn row_weight(events_q16: i64, share_milli: i64, rows: usize) -> Option<i64> {
    let rows = i128::try_from(rows).ok().filter(|rows| *rows > 0)?;
    let weight = i128::from(events_q16.max(0)) * i128::from(share_milli) / (1000 * rows);
    i64::try_from(weight).ok().filter(|weight| *weight > 0)
}

/// Adds what every row would choose, each with the same weight.
fn add(total: &mut [RewardDemand], rows: &Rows, prices: &[i64], value: Milli, weight: i64) {
    let mut counts = [0i64; 64];
    let mut sums = [0i64; 64];
    let mut scaled = [0i64; 64];
    for row in rows.iter() {
        let values = if row.value_milli == value.0 { row.values } else { rescale(&row, value, &mut scaled) };
        if let Some(reward) = best(values, prices) {
            counts[reward] += 1;
            sums[reward] += values[reward];
        }
    }
    for ((demand, count), sum) in total.iter_mut().zip(counts).zip(sums) {
        demand.events_q16 += count * weight;
        demand.value_q16 += i128::from(sum) * i128::from(weight);
    }
}

/// The reward with the largest positive net value; the lowest index wins ties.
///
/// Net value and index share one word, so that the row's best is a chain of maxima without a branch: this
/// loop is most of a negotiation's time. Values, prices and [`INELIGIBLE`] are bounded so that nothing is lost.
fn best(values: &[i64], prices: &[i64]) -> Option<usize> {
    let nothing = 63;
    let key =
        |(reward, (value, price)): (i64, (&i64, &i64))| (value.wrapping_sub(*price) << 6) | (63 - reward);
    let best = (0..).zip(values.iter().zip(prices)).map(key).fold(nothing, i64::max);
    (best > nothing).then_some(63 - (best & 63) as usize)
}

/// The row's values as they would be under another announced multiplier, rounded down.
fn rescale<'a>(row: &Row<'_>, value: Milli, scaled: &'a mut [i64; 64]) -> &'a [i64] {
    // Values are below 2^44 and the ratio is clamped to 2^18 (a factor of 4), so products stay within i64.
    let ratio_q16 = ((i64::from(value.0) << 16) / i64::from(row.value_milli.max(1))).min(1 << 18);
    for (slot, net) in scaled.iter_mut().zip(row.values) {
        let gross = (net + row.opportunity).clamp(-VALUE_MAX, VALUE_MAX);
        let moved = ((gross * ratio_q16) >> 16) - row.opportunity;
        *slot = if *net == INELIGIBLE { *net } else { moved };
    }
    &scaled[..row.values.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::integers::CLOSED;
    use proptest::prelude::*;

    fn plain_best(values: &[i64], prices: &[i64]) -> Option<usize> {
        let nets = values.iter().zip(prices).map(|(value, price)| value - price).enumerate();
        let positive = nets.filter(|(_, net)| *net > 0);
        positive.max_by_key(|(reward, net)| (*net, std::cmp::Reverse(*reward))).map(|(reward, _)| reward)
    }

    proptest! {
        #[test]
        fn the_packed_maximum_is_the_plain_one(
            cells in prop::collection::vec(
                (
                    prop_oneof![Just(INELIGIBLE), Just(VALUE_MAX), Just(-VALUE_MAX), -3i64..3],
                    prop_oneof![Just(CLOSED), Just(-CLOSED), -3i64..3],
                ),
                1..=64,
            ),
        ) {
            let (values, prices): (Vec<i64>, Vec<i64>) = cells.into_iter().unzip();
            prop_assert_eq!(best(&values, &prices), plain_best(&values, &prices));
        }
    }
}
