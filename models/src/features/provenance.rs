//! Which events a feature came from.

use domain::Timestamp;
use domain::time::DAY;

use super::held::Held;
use super::history::History;
use super::summary::WINDOW_DAYS;
use super::vector::NAMES;

/// The events behind one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The feature's name.
    pub feature: &'static str,
    /// Hashes of the event ids that are still held one by one, oldest first.
    pub events: Vec<u64>,
    /// Older events that were folded into totals and entered the feature as such.
    pub folded: u64,
}

/// Which part of the history a feature reads.
#[derive(Clone, Copy)]
enum Reach {
    /// Every purchase, old totals included.
    Life,
    /// Every purchase held one by one.
    Held,
    /// The last purchase.
    Last,
    /// The purchases of the last days.
    Days(i64),
}

fn reach(feature: usize) -> Reach {
    match feature {
        0 | 7 => Reach::Last,
        9 | 10 => Reach::Held,
        11..=15 => Reach::Days(WINDOW_DAYS[feature - 11]),
        16..=20 => Reach::Days(WINDOW_DAYS[feature - 16]),
        _ => Reach::Life,
    }
}

impl History {
    /// The events behind the feature at this position of [`NAMES`], or `None` beyond the last feature.
    pub fn sources(&self, feature: usize, as_of: Timestamp) -> Option<Sources> {
        let name = NAMES.get(feature)?;
        let all = self.held.as_slice();
        let (held, folded): (&[Held], u64) = match reach(feature) {
            Reach::Life => (all, self.old.trips),
            Reach::Held => (all, 0),
            Reach::Last => {
                (&all[all.len().saturating_sub(1)..], u64::from(all.is_empty() && self.old.trips > 0))
            }
            Reach::Days(days) => {
                let start = as_of.0.saturating_sub(days * DAY);
                (&all[all.partition_point(|held| held.time < start)..], 0)
            }
        };
        Some(Sources { feature: name, events: held.iter().map(|held| held.id).collect(), folded })
    }
}
