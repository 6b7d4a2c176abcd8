//! The host's clock: wall time for a live node, event time when a file of past events is replayed live.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use domain::event::wire::Limits;
use domain::time::DAY;

/// How old a replayed event may be: forty years hold every purchase file we know of.
const REPLAYED_AGE_MAX: i64 = 40 * 366 * DAY;

/// Where a node takes "now" from. Brains never see it; they get the value.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    Wall,
    /// The highest event time seen so far, so that a year of purchases replays in seconds.
    Event(Arc<AtomicI64>),
}

impl Clock {
    /// A clock driven by events, not yet started.
    pub fn event() -> Clock {
        Clock::Event(Arc::new(AtomicI64::new(0)))
    }

    /// The time decisions are made at.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Wall => wall(),
            Clock::Event(watermark) => Timestamp(watermark.load(Ordering::Relaxed)),
        }
    }

    /// Tells the clock of an event's time; moves only an event clock, and only forwards.
    pub fn witness(&self, event_time: Timestamp) {
        match self {
            Clock::Wall => {}
            Clock::Event(watermark) => {
                watermark.fetch_max(event_time.0, Ordering::Relaxed);
            }
        }
    }

    /// What an event may claim about its own time. A replayed file is history by nature, so only its distance
    /// from any living memory is refused; the future is the machine's future in both cases.
    pub fn limits(&self) -> Limits {
        let limits = Limits::at(wall());
        match self {
            Clock::Wall => limits,
            Clock::Event(_) => Limits { age_max_micros: REPLAYED_AGE_MAX, ..limits },
        }
    }
}

/// The machine's clock.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
