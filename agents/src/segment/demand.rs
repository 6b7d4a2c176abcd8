//! Answering a quote: what the remembered rows would choose at the quoted prices.

use domain::Milli;

use crate::negotiation::{PriceQuote, RewardDemand, RowMix};

use super::rows::{Row, Rows};

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
    for (reward, demand) in total.iter_mut().enumerate() {
        demand.events_q16 += counts[reward] * weight;
        demand.value_q16 += i128::from(sums[reward]) * i128::from(weight);
    }
}

/// The reward with the largest positive net value; the lowest index wins ties.
fn best(values: &[i64], prices: &[i64]) -> Option<usize> {
    let (mut best, mut chosen) = (0, usize::MAX);
    for (reward, (value, price)) in values.iter().zip(prices).enumerate() {
        let net = value - price;
        if net > best {
            (best, chosen) = (net, reward);
        }
    }
    (chosen != usize::MAX).then_some(chosen)
}

/// The row's values as they would be under another announced multiplier.
fn rescale<'a>(row: &Row<'_>, value: Milli, scaled: &'a mut [i64; 64]) -> &'a [i64] {
    let (to, from) = (i128::from(value.0), i128::from(row.value_milli.max(1)));
    for (slot, net) in scaled.iter_mut().zip(row.values) {
        let gross = i128::from(net + row.opportunity);
        let moved = (gross * to).div_euclid(from) - i128::from(row.opportunity);
        *slot = if *net <= super::rows::INELIGIBLE / 2 { *net } else { i64::try_from(moved).unwrap_or(*net) };
    }
    &scaled[..row.values.len()]
}
