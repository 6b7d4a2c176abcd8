//! How many moments each segment still expects in the budget window.
//!
//! Flat: a rate times the time left, announced surges counted by their multiplier. The rate begins as the
//! plan's and moves to the ordinary pace of the window as it passes: early on the plan knows about surges
//! nobody announced, in the end the plan's leftover would stay unspent (measured: 0.2 % of value). It is never
//! the pace of the last minutes: extrapolating a surge to the end of the window would stop spending (82-85 %
//! of the optimum). A count far off the plan replaces the plan, but only by what exceeds a wide band.

use domain::{Milli, Timestamp};

use crate::negotiation::integers::EVENT_BITS;
use crate::negotiation::{Phase, SegmentWeights};

use super::config::{CalendarWindow, PlanConfig, Taken, Window};

/// The plan is believed while the count is within 4/5..5/4 of it, a normal day's spread.
const BAND: (i128, i128) = (4, 5);
/// Observed moments before the plan is questioned at all.
const BAND_MIN: u64 = 2_000;
/// Baseline moments count as this many observed ones when shares of segments are estimated.
const SHARE_PRIOR: u64 = 20_000;
/// The ordinary pace forgets over an eighth of the window.
const PACE_MEMORY_PARTS: i128 = 8;
/// Fraction bits of a pace, in moments per volume: a hundred moments a month are still told to 1e-6.
const PACE_BITS: u32 = 64;

/// The forecaster of one budget window.
#[derive(Clone, Debug)]
pub struct Forecast {
    window: Window,
    expected: Option<u64>,
    baseline: Vec<u64>,
    calendar: Vec<CalendarWindow>,
    arrivals: Vec<u64>,
    /// Those of them that earlier runs saw.
    before: Vec<u64>,
    /// Until when they did.
    known_at: Timestamp,
    /// The last tick, and all arrivals until then.
    ticked_at: Timestamp,
    ticked: u64,
    /// Pace of ordinary times, Q64 moments per volume; surges move it by a quarter at most.
    ordinary: i128,
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
            before: vec![0; segments],
            known_at: config.window.from,
            ticked_at: config.window.from,
            ticked: 0,
            ordinary: 0,
        }
    }

    /// Goes on from what earlier runs saw of the window.
    pub fn take_over(&mut self, taken: &Taken) {
        self.before.clone_from(&taken.arrivals);
        self.before.resize(self.arrivals.len(), 0);
        self.arrivals.clone_from(&self.before);
        self.known_at = taken.at.max(self.window.from);
        self.expected = self.expected.or(taken.expected_events);
    }

    /// Notes how many moments a segment has seen since the window or, later, the run began.
    pub fn arrived(&mut self, segment: usize, total: u64) {
        if let (Some(arrivals), Some(before)) = (self.arrivals.get_mut(segment), self.before.get(segment)) {
            *arrivals = (*arrivals).max(before + total);
        }
    }

    /// Moments a segment has seen in this run, as far as heard.
    pub fn own(&self, segment: usize) -> u64 {
        self.arrivals[segment] - self.before[segment]
    }

    /// Moments per segment since the window began, as far as heard.
    pub fn arrivals(&self) -> &[u64] {
        &self.arrivals
    }

    /// Takes stock at the beginning of a negotiation: the ordinary pace follows what was seen since the last.
    pub fn tick(&mut self, now: Timestamp) {
        let volume = self.volume(self.ticked_at, now);
        let seen = self.arrivals.iter().sum::<u64>();
        let news = i128::from(seen - self.ticked);
        if volume <= 0 || news == 0 {
            return;
        }
        let pace = (news << PACE_BITS) / volume;
        if self.ordinary == 0 {
            self.ordinary = pace;
        }
        let (low, high) = BAND;
        let near = pace.clamp(self.ordinary * low / high, self.ordinary * high / low);
        let whole = self.volume(self.window.from, self.window.to);
        let memory = self.volume(self.window.from, now).min(whole / PACE_MEMORY_PARTS).max(volume);
        // Both volumes lose ten bits so that the product stays within i128.
        self.ordinary += (near - self.ordinary) * (volume >> 10) / (memory >> 10).max(1);
        (self.ticked_at, self.ticked) = (now, seen);
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
        // A clock that events drive may stand before what earlier runs saw.
        let now = now.max(self.known_at);
        let phases = self.volume_by_value(now, self.window.to);
        let rate = self.rate(now);
        let shares = self.shares();
        let total = i128::from(shares.iter().sum::<u64>().max(1));
        let for_segment = |share: &u64| {
            let phase = |(value, volume): &(Milli, i128)| {
                let events_q16 = volume.saturating_mul(rate) >> (PACE_BITS - EVENT_BITS);
                let events_q16 = events_q16.saturating_mul(i128::from(*share)) / total;
                Phase { events_q16: i64::try_from(events_q16).unwrap_or(EVENTS_Q16_MAX), value: *value }
            };
            phases.iter().map(phase).collect()
        };
        shares.iter().map(for_segment).collect()
    }

    /// Moments per volume from now on, Q64; volume is microseconds times thousandths.
    fn rate(&self, now: Timestamp) -> i128 {
        let elapsed = self.volume(self.window.from, now.min(self.window.to));
        let seen = i128::from(self.arrivals.iter().sum::<u64>());
        let pace = |events: i128, volume: i128| (events << PACE_BITS) / volume.max(1);
        let Some(expected) = self.expected else { return pace(seen, elapsed) };
        let whole = self.volume(self.window.from, self.window.to);
        let plan = pace(i128::from(expected), whole);
        if seen < i128::from(BAND_MIN) {
            return plan;
        }
        let (low, high) = BAND;
        let so_far = pace(seen, elapsed);
        let bounded = plan.clamp(so_far * low / high, so_far * high / low);
        // By the square of the part that has passed: half-way through, the plan still counts three quarters.
        let passed_q10 = (elapsed << 10) / whole.max(1);
        let weight_q20 = passed_q10 * passed_q10;
        (bounded * ((1 << 20) - weight_q20) + self.ordinary * weight_q20) >> 20
    }

    /// Relative weights of the segments; one moment each before anything is known, so that none has nothing.
    fn shares(&self) -> Vec<u64> {
        let total = self.baseline.iter().sum::<u64>().max(1);
        let blend = |(baseline, seen): (&u64, &u64)| {
            let prior = u128::from(*baseline) * u128::from(SHARE_PRIOR) / u128::from(total);
            seen + u64::try_from(prior).unwrap_or(SHARE_PRIOR) + 1
        };
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

/// A forecast beyond a thousand billion moments is none; it must still fit the certificate's sums.
const EVENTS_Q16_MAX: i64 = 1 << 56;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::Layout;
    use domain::time::HOUR;

    fn day(expected: Option<u64>, calendar: Vec<CalendarWindow>) -> Forecast {
        Forecast::new(&PlanConfig {
            program: "shop".into(),
            layout: Layout { segments: 2, rewards: 1 },
            costs: vec![1],
            limits: vec![None; 5],
            floors: vec![0; 2],
            window: Window { from: Timestamp(0), to: Timestamp(24 * HOUR) },
            expected_events: expected,
            baseline_arrivals: vec![30, 10],
            calendar,
        })
    }

    fn total(forecast: &Forecast, hour: i64) -> i64 {
        let remaining = forecast.remaining(Timestamp(hour * HOUR));
        remaining.iter().flatten().map(|phase| phase.events_q16 >> EVENT_BITS).sum()
    }

    /// Lets `per_hour[h]` moments arrive in hour `h`, all in the first segment, and takes stock each hour.
    fn live(forecast: &mut Forecast, per_hour: &[u64]) {
        let mut seen = 0;
        for (hour, count) in per_hour.iter().enumerate() {
            seen += count;
            forecast.arrived(0, seen);
            forecast.tick(Timestamp((hour as i64 + 1) * HOUR));
        }
    }

    fn close(left: i64, right: i64) -> bool {
        (left - right).abs() <= 2 + right / 50
    }

    #[test]
    fn the_plan_is_spread_over_the_time_left_by_the_baselines_shares() {
        let forecast = day(Some(24_000), vec![]);
        assert!(close(total(&forecast, 0), 24_000) && close(total(&forecast, 18), 6_000));
        let remaining = forecast.remaining(Timestamp(0));
        assert!(close(remaining[0][0].events_q16 >> EVENT_BITS, 18_000));
        assert_eq!(total(&forecast, 24), 0);
    }

    #[test]
    fn an_announced_surge_keeps_its_part_of_the_plan_for_its_time() {
        let window = Window { from: Timestamp(12 * HOUR), to: Timestamp(13 * HOUR) };
        let surge = CalendarWindow { window, volume: Milli(25_000), value: Milli(1_700) };
        let forecast = day(Some(48_000), vec![surge]);
        assert!(close(total(&forecast, 12), 36_000) && close(total(&forecast, 13), 11_000));
        let values: Vec<u16> =
            forecast.remaining(Timestamp(0))[0].iter().map(|phase| phase.value.0).collect();
        assert_eq!(values, [1_000, 1_700]);
        assert_eq!(forecast.next_edge(Timestamp(0)), Some(Timestamp(12 * HOUR)));
    }

    #[test]
    fn an_unannounced_surge_is_not_extrapolated() {
        let mut forecast = day(Some(24_000), vec![]);
        live(&mut forecast, &[1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 5_000]);
        assert!(total(&forecast, 9) < 15_000 * 5 / 4, "{}", total(&forecast, 9));
    }

    #[test]
    fn late_in_the_window_the_pace_counts_and_not_the_plan() {
        let mut forecast = day(Some(27_000), vec![]);
        live(&mut forecast, &[1_000; 23]);
        assert!((1_000..1_030).contains(&total(&forecast, 23)), "{}", total(&forecast, 23));
    }

    #[test]
    fn a_plan_that_was_far_off_gives_way() {
        let mut forecast = day(Some(240_000), vec![]);
        live(&mut forecast, &[1_000; 12]);
        assert!(total(&forecast, 12) < 12_000 * 5 / 4);
    }

    #[test]
    fn what_earlier_runs_of_the_window_saw_counts() {
        let mut forecast = day(None, vec![]);
        forecast.take_over(&Taken { arrivals: vec![6_000, 0], ..Taken::default() });
        assert!(close(total(&forecast, 6), 18_000));
        forecast.arrived(0, 1_000);
        assert_eq!((forecast.arrivals(), forecast.own(0)), (&[7_000, 0][..], 1_000));
    }

    #[test]
    fn a_clock_before_what_earlier_runs_saw_expects_what_they_did() {
        let mut forecast = day(None, vec![]);
        let at = forecast.window.from.plus(6 * HOUR);
        forecast.take_over(&Taken { at, arrivals: vec![6_000, 0], ..Taken::default() });
        for hour in [-24, 0, 6] {
            assert!(close(total(&forecast, hour), 18_000), "at hour {hour}");
        }
    }

    #[test]
    fn without_a_plan_the_pace_so_far_is_all_there_is() {
        let mut forecast = day(None, vec![]);
        assert_eq!(total(&forecast, 0), 0);
        live(&mut forecast, &[1_000; 6]);
        assert!(close(total(&forecast, 6), 18_000));
    }
}
