//! A member's history read at an instant, in integers: what policies see, and what the features divide.

use domain::time::DAY;
use domain::{Micros, Timestamp};

use super::held::{Held, square};
use super::history::History;

/// The windows of the contract, in days of 24 hours, shortest first.
pub const WINDOW_DAYS: [i64; 5] = [7, 14, 28, 56, 91];

/// The usual gap is never taken as shorter than this: two baskets of one shopping trip are no rhythm.
const USUAL_GAP_MIN: i64 = DAY;

/// Largest overdue ratio, in ppm: with "never" it reads [`domain::facts::NEVER`] times the usual gap.
const OVERDUE_MAX_PPM: i64 = domain::facts::NEVER * 1_000_000;

/// A history at an instant. Amounts in micros, times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Purchases so far.
    pub trips: u64,
    /// Money spent so far.
    pub spend: Micros,
    /// The largest purchase.
    pub spend_max: Micros,
    /// The last purchase.
    pub spend_last: Micros,
    /// Sum of squared amounts.
    pub spend_squares: u128,
    /// From the last purchase to now; zero without purchases.
    pub recency: i64,
    /// From the first purchase to now; zero without purchases.
    pub tenure: i64,
    /// From the first purchase to the last.
    pub span: i64,
    /// Gaps between purchases that are held one by one.
    pub gaps: u64,
    /// Sum, largest and sum of squares of those gaps.
    pub gap_sum: i64,
    pub gap_max: i64,
    pub gap_squares: u128,
    /// Purchases in each of [`WINDOW_DAYS`].
    pub window_trips: [u32; 5],
    /// Money spent in each of [`WINDOW_DAYS`].
    pub window_spend: [Micros; 5],
    /// Purchases that may still be taken back.
    pub provisional: u32,
    /// When the last purchase was made.
    pub last_purchase: Option<Timestamp>,
    /// When the first purchase was made.
    pub first_purchase: Option<Timestamp>,
}

impl Summary {
    pub(super) fn of(history: &History, as_of: Timestamp) -> Summary {
        let old = &history.old;
        let mut summary = Summary {
            trips: old.trips,
            spend: Micros(old.spend),
            spend_max: Micros(old.max),
            spend_squares: old.squares,
            last_purchase: history.last_purchase(),
            first_purchase: history.first_purchase(),
            ..Summary::default()
        };
        summary.add_held(&history.held, as_of);
        if let (Some(first), Some(last)) = (summary.first_purchase, history.last()) {
            summary.spend_last = Micros(last.amount());
            summary.recency = as_of.0.saturating_sub(last.time).max(0);
            summary.tenure = as_of.since(first).max(0);
            summary.span = last.time.saturating_sub(first.0);
        }
        summary
    }

    /// One pass over the held purchases, newest first so that the windows fill from the shortest.
    fn add_held(&mut self, held: &[Held], as_of: Timestamp) {
        let starts = WINDOW_DAYS.map(|days| as_of.0.saturating_sub(days * DAY));
        let mut window = 0;
        let (mut trips, mut spend) = (0, 0_i64);
        let (mut later, mut max) = (None, i64::MIN);
        for purchase in held.iter().rev() {
            while window < starts.len() && purchase.time < starts[window] {
                (self.window_trips[window], self.window_spend[window]) = (trips, Micros(spend));
                window += 1;
            }
            let amount = purchase.amount();
            trips += 1;
            spend = spend.saturating_add(amount);
            max = max.max(amount);
            self.spend_squares = self.spend_squares.saturating_add(square(amount));
            self.provisional += u32::from(purchase.provisional());
            if let Some(later) = later.replace(purchase.time) {
                self.add_gap(later - purchase.time);
            }
        }
        self.window_trips[window..].fill(trips);
        self.window_spend[window..].fill(Micros(spend));
        if trips > 0 {
            let seen = if self.trips > 0 { self.spend_max.0 } else { max };
            self.spend_max = Micros(max.max(seen));
            self.trips = self.trips.saturating_add(u64::from(trips));
            self.spend = self.spend.saturating_add(Micros(spend));
        }
    }

    fn add_gap(&mut self, gap: i64) {
        self.gaps += 1;
        self.gap_sum += gap;
        self.gap_max = self.gap_max.max(gap);
        self.gap_squares += square(gap);
    }

    /// Whole days since the last purchase; [`domain::facts::NEVER`] without one.
    pub fn recency_days(&self) -> i64 {
        self.last_purchase.map_or(domain::facts::NEVER, |_| self.recency / DAY)
    }

    /// Whole days since the first purchase.
    pub fn tenure_days(&self) -> i64 {
        self.tenure / DAY
    }

    /// Purchases in the last 28 days.
    pub fn trips_28d(&self) -> u32 {
        self.window_trips[2]
    }

    /// Purchases in the last 91 days.
    pub fn trips_91d(&self) -> u32 {
        self.window_trips[4]
    }

    /// Money spent in the last 28 days.
    pub fn spend_28d(&self) -> Micros {
        self.window_spend[2]
    }

    /// Money spent in the last 91 days.
    pub fn spend_91d(&self) -> Micros {
        self.window_spend[4]
    }

    /// Mean amount of a purchase, rounded down; zero without one.
    pub fn basket_mean(&self) -> Micros {
        let trips = i64::try_from(self.trips).unwrap_or(i64::MAX);
        Micros(self.spend.0.checked_div(trips).unwrap_or(0))
    }

    /// The usual gap: the mean over the whole history, at least a day; `None` before the second purchase.
    pub fn usual_gap(&self) -> Option<i64> {
        let gaps = i64::try_from(self.trips).ok()?.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some((self.span / gaps).max(USUAL_GAP_MIN))
    }

    /// Time since the last purchase over the usual gap, in ppm; zero before there is a usual gap.
    pub fn overdue_ppm(&self) -> i64 {
        let Some(gap) = self.usual_gap() else { return 0 };
        let ratio = i128::from(self.recency) * 1_000_000 / i128::from(gap);
        i64::try_from(ratio).unwrap_or(i64::MAX).min(OVERDUE_MAX_PPM)
    }
}
