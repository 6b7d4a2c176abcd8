//! What a run takes over from the run before it: prices, and how many moments there were.
//!
//! Both are read from the last plan in the ledger, so it makes no difference how that run ended. Segments and rewards are
//! followed by their names; what is new costs as much for its money as the dearest that is known.

use std::sync::Arc;

use domain::{Ppm, Timestamp};
use policies::Bundle;

use crate::negotiation::integers::CLOSED;
use crate::negotiation::{Certificate, Period, Plan};
use crate::planner::{Taken, Window};
use crate::segment::rows::ROWS_MAX;

use super::Opening;

/// More moments than a window can have; keeps sums over runs and segments within `u64`.
const MOMENTS_MAX: i128 = 1 << 40;

/// What the bundle in force knew when a run ended.
#[derive(Clone, Debug)]
pub struct Past {
    bundle: Arc<Bundle>,
    at: Timestamp,
    window: Window,
    /// Posted prices per segment and reward.
    prices: Vec<Vec<i64>>,
    /// Moments per segment of the window until then, and in the whole of it, of all members.
    seen: Vec<u64>,
    whole: Vec<u64>,
}

impl Past {
    /// The past as the last plan with prices says, made by `bundle` for this share of the members in this period;
    /// `None` when it is not about these segments and rewards.
    pub fn new(bundle: Arc<Bundle>, share: Ppm, period: &Period, plan: &Plan) -> Option<Past> {
        let (certificate, prices) = (&plan.certificate, &plan.table.as_ref()?.rows);
        let (segments, rewards) = (bundle.segments().len(), bundle.rewards().len());
        let fits = prices.len() == segments
            && prices.iter().all(|row| row.len() == rewards)
            && certificate.weights.len() == segments;
        if !fits || share.0 == 0 {
            return None;
        }
        let window = Window { from: period.from, to: period.to };
        let (seen, whole) = moments(certificate, share, window).into_iter().unzip();
        Some(Past { bundle, at: certificate.concluded_at, window, prices: prices.clone(), seen, whole })
    }

    /// Moments per segment of `bundle` in the whole window of the past: the plan of a period that begins after it, and
    /// empty while that window lasts.
    pub fn last_period(&self, bundle: &Bundle, share: Ppm, opening: &Opening) -> Vec<u64> {
        if self.is_under_way(opening) { Vec::new() } else { self.of(&self.whole, bundle, share) }
    }

    /// What the leader of a side that decides by `bundle`, for this share of the members, starts from.
    pub fn taken(&self, bundle: &Bundle, share: Ppm, opening: &Opening) -> Taken {
        let places: Vec<Option<usize>> =
            bundle.segments().iter().map(|segment| self.place(&segment.id)).collect();
        let most = self.seen.iter().copied().max().unwrap_or(0);
        // An agent remembers a ring of moments: more than that the run before did not know either.
        let enough = |place: &Option<usize>| -> u64 {
            place.map_or(most, |place| self.seen[place]).min(ROWS_MAX as u64)
        };
        let row = |place: &Option<usize>| -> Vec<i64> {
            (0..bundle.rewards().len()).map(|reward| self.price(*place, bundle, reward)).collect()
        };
        let under_way = self.is_under_way(opening);
        Taken {
            at: self.at,
            prices: places.iter().map(row).collect(),
            enough: places.iter().map(enough).collect(),
            arrivals: if under_way { self.of(&self.seen, bundle, share) } else { Vec::new() },
            // The first period is lived through without a plan.
            expected_events: (under_way && opening.period > 1)
                .then(|| self.of(&self.whole, bundle, share).iter().sum::<u64>())
                .filter(|moments| *moments > 0),
        }
    }

    fn is_under_way(&self, opening: &Opening) -> bool {
        opening.window == self.window
    }

    fn place(&self, segment: &str) -> Option<usize> {
        self.bundle.segment_named(segment).map(|index| usize::from(index.0))
    }

    /// A share of moments per segment, for the segments of another bundle.
    fn of(&self, moments: &[u64], bundle: &Bundle, share: Ppm) -> Vec<u64> {
        let part = |moments: u64| u64::try_from(u128::from(moments) * u128::from(share.0) / 1_000_000);
        let known = |id: &str| self.place(id).and_then(|place| part(moments[place]).ok()).unwrap_or(0);
        bundle.segments().iter().map(|segment| known(&segment.id)).collect()
    }

    /// What a reward of another bundle cost in a segment, or, in a new one, where it was dearest.
    fn price(&self, segment: Option<usize>, bundle: &Bundle, reward: usize) -> i64 {
        let (before, cost) = (&self.bundle.plan().costs, bundle.plan().costs[reward].0);
        let same = self.bundle.reward_named(&bundle.rewards()[reward].id).map(|index| usize::from(index.0));
        let for_money = |(place, price): (usize, &i64)| match before[place].0 {
            0 => *price,
            paid => i64::try_from(i128::from(*price) * i128::from(cost) / i128::from(paid)).unwrap_or(CLOSED),
        };
        let in_row = |row: &Vec<i64>| {
            let open = || row.iter().enumerate().filter(|(_, price)| **price < CLOSED);
            let own = open().find(|(place, _)| same == Some(*place));
            own.map(for_money).or_else(|| open().map(for_money).max())
        };
        let price = match segment {
            Some(place) => in_row(&self.prices[place]),
            None => self.prices.iter().filter_map(in_row).max(),
        };
        price.unwrap_or(0).clamp(0, CLOSED - 1)
    }
}

/// Moments of all members per segment, until the certificate and in the whole window, by the pace it expected.
fn moments(certificate: &Certificate, share: Ppm, window: Window) -> Vec<(u64, u64)> {
    let gone = i128::from(certificate.concluded_at.since(window.from).max(0));
    let left = i128::from(window.to.since(certificate.concluded_at).max(1));
    let count = |moments: i128| u64::try_from(moments.min(MOMENTS_MAX)).unwrap_or(0);
    let of_segment = |weights: &crate::negotiation::SegmentWeights| {
        let q16: i128 = weights.phases.iter().map(|phase| i128::from(phase.events_q16)).sum();
        let expected = q16 * 1_000_000 / i128::from(share.0);
        let seen = (expected.min(MOMENTS_MAX << 16) * gone / left) >> 16;
        (count(seen), count(seen + (expected >> 16)))
    };
    certificate.weights.iter().map(of_segment).collect()
}
