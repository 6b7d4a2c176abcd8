//! How many moments each segment still expects in the budget window.
//!
//! Flat: the expected rate times the time left, announced surges counted by their multiplier. The rate is
//! that of the plan, not of the last minutes: extrapolating an unannounced surge to the end of the window
//! would stop spending (measured: 82-85 % of the optimum). Only when the count so far leaves a wide band
//! around the plan does the plan give way, and only by what exceeds the band.

use domain::{Milli, Timestamp};

use crate::negotiation::integers::EVENT_BITS;
use crate::negotiation::{Phase, SegmentWeights};

use super::config::{CalendarWindow, PlanConfig, Window};

/// The plan is believed while the count is within 4/5..5/4 of it, a normal day's spread.
const BAND: (i128, i128) = (4, 5);
/// Baseline moments count as this many observed ones when shares of segments are estimated.
const SHARE_PRIOR: u64 = 20_000;
/// Observed moments before the plan is questioned at all.
const BAND_MIN: u64 = 2_000;

/// The forecaster of one budget window.
#[derive(Clone, Debug)]
pub struct Forecast {
    window: Window,
    expected: Option<u64>,
    baseline: Vec<u64>,
    calendar: Vec<CalendarWindow>,
    arrivals: Vec<u64>,
}

impl Forecast {
    /// A forecaster that has seen nothing of its window yet.
    pub fn new(config: &PlanConfig) -> Forecast {
        let segments = config.layout.segment_count();
        let mut baseline = config.baseline_arrivals.clone();
        baseline.resize(segments, 0);
        Forecast {
            window: config.window,
            expected: config.expected_events,
            baseline,
            calendar: config.calendar.clone(),
            arrivals: vec![0; segments],
        }
    }

    /// Notes how many moments a segment has seen since the window began.
    pub fn arrived(&mut self, segment: usize, total: u64) {
        if let Some(arrivals) = self.arrivals.get_mut(segment) {
            *arrivals = (*arrivals).max(total);
        }
    }

    /// The announced value multiplier at an instant.
    pub fn value_at(&self, now: Timestamp) -> Milli {
        let inside = |entry: &&CalendarWindow| entry.window.from <= now && now < entry.window.to;
        self.calendar.iter().find(inside).map_or(Milli::ONE, |entry| entry.value)
    }

    /// The next instant after `now` at which an announced window begins or ends.
    pub fn next_edge(&self, now: Timestamp) -> Option<Timestamp> {
        let edges = self.calendar.iter().flat_map(|entry| [entry.window.from, entry.window.to]);
        edges.filter(|edge| *edge > now).min()
    }

    /// Expected moments per segment from `now` to the end of the window, by announced value multiplier.
    pub fn remaining(&self, now: Timestamp) -> Vec<Vec<Phase>> {
        let phases = self.volume_by_value(now, self.window.to);
        let (rate_events, rate_volume) = self.rate(now);
        let shares = self.shares();
        let total: u64 = shares.iter().sum::<u64>().max(1);
        let for_segment = |share: &u64| {
            let phase = |(value, volume): &(Milli, i128)| {
                let events = (volume * rate_events) << EVENT_BITS;
                let events = events / rate_volume * i128::from(*share) / i128::from(total);
                Phase { events_q16: i64::try_from(events).unwrap_or(i64::MAX), value: *value }
            };
            phases.iter().map(phase).collect()
        };
        shares.iter().map(for_segment).collect()
    }

    /// Moments per volume as a fraction; volume is microseconds times thousandths.
    fn rate(&self, now: Timestamp) -> (i128, i128) {
        let elapsed = self.volume(self.window.from, now.min(self.window.to));
        let seen = self.arrivals.iter().sum::<u64>();
        let Some(expected) = self.expected else {
            return (i128::from(seen), elapsed.max(1));
        };
        let whole = self.volume(self.window.from, self.window.to).max(1);
        let plan = (i128::from(expected), whole);
        if seen < BAND_MIN {
            return plan;
        }
        // seen / planned-so-far against the band, as cross products.
        let seen_scaled = i128::from(seen) * whole;
        let planned = i128::from(expected) * elapsed;
        let (low, high) = BAND;
        if seen_scaled * high < planned * low {
            (i128::from(seen) * high / low, elapsed.max(1))
        } else if seen_scaled * low > planned * high {
            (i128::from(seen) * low / high, elapsed.max(1))
        } else {
            plan
        }
    }

    /// Relative weights of the segments.
    fn shares(&self) -> Vec<u64> {
        let total = self.baseline.iter().sum::<u64>();
        if total == 0 {
            // One moment each before anything is known, so that no segment starts with nothing.
            return self.arrivals.iter().map(|seen| seen + 1).collect();
        }
        let blend = |(baseline, seen): (&u64, &u64)| baseline * SHARE_PRIOR / total + seen;
        self.baseline.iter().zip(&self.arrivals).map(blend).collect()
    }

    /// Volume (microseconds times thousandths) between two instants, by value multiplier.
    fn volume_by_value(&self, from: Timestamp, to: Timestamp) -> Vec<(Milli, i128)> {
        let mut phases = vec![(Milli::ONE, i128::from(to.since(from).max(0)) * 1000)];
        for entry in &self.calendar {
            let inside = entry.window.to.min(to).since(entry.window.from.max(from)).max(0);
            if inside == 0 {
                continue;
            }
            phases[0].1 -= i128::from(inside) * 1000;
            let volume = i128::from(inside) * i128::from(entry.volume.0);
            // Beyond the bound of phases a surge keeps its volume at ordinary values.
            let full = phases.len() == SegmentWeights::PHASES_MAX;
            match phases.iter().position(|(value, _)| *value == entry.value) {
                Some(place) => phases[place].1 += volume,
                None if full => phases[0].1 += volume,
                None => phases.push((entry.value, volume)),
            }
        }
        phases.retain(|(_, volume)| *volume > 0);
        phases
    }

    fn volume(&self, from: Timestamp, to: Timestamp) -> i128 {
        self.volume_by_value(from, to).iter().map(|(_, volume)| volume).sum()
    }
}
