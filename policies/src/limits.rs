//! Limits beside the budgets of a period: what may be promised at a time, within a window of time, or wait for a
//! person.
//!
//! A budget is shared out by negotiation and carries over; a limit only says stop. What it counts is kept by the host
//! (`agents::segment::limits`), and by the ledger, so that it holds over restarts.

use std::sync::Arc;

use domain::time::HOUR;
use domain::{Reason, RewardIndex, SegmentIndex, Timestamp};

use crate::bundle::Bundle;
use crate::rules::RuleIndex;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Money promised and not yet used, run out or cancelled: the exposure.
    Open,
    /// Money promised within a window of time.
    Window,
    /// Promises that wait for a person.
    Waiting,
}

impl Measure {
    /// The reason code of a candidate refused so.
    pub fn reason(self) -> Reason {
        match self {
            Measure::Open => Reason::ExposureLimit,
            Measure::Window => Reason::WindowBudget,
            Measure::Waiting => Reason::EscalationLimit,
        }
    }
}

/// A limit on some promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub measure: Measure,
    pub rule: RuleIndex,
    /// Name of what is counted, unique among the limits: `segment/newcomers`, `day`, `partner/Harbor Fuel`.
    pub name: Arc<str>,
    /// Bit per segment and per reward whose promises count.
    pub segments: u64,
    pub rewards: u64,
    /// Micros; promises where it counts those that wait.
    pub amount: i64,
    /// Length of the window; 0 where it has none.
    pub hours: u16,
}

impl Limit {
    /// Whether a promise counts.
    pub fn covers(&self, segment: SegmentIndex, reward: RewardIndex) -> bool {
        self.segments >> segment.0 & 1 == 1 && self.rewards >> reward.0 & 1 == 1
    }
}

impl Bundle {
    /// The limits beside the budgets.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Which window of so many hours a time falls into, counted from a midnight of the program's time zone. An hour that a
    /// clock is turned back by belongs to the window it repeats.
    pub fn window_at(&self, hours: u16, at: Timestamp) -> i64 {
        at.0.saturating_add(self.ahead(at)).div_euclid(i64::from(hours.max(1)) * HOUR)
    }

    /// When the window a time falls into began; where a clock was changed within it, the earlier of both readings.
    pub fn window_began(&self, hours: u16, at: Timestamp) -> Timestamp {
        let local = self.window_at(hours, at).saturating_mul(i64::from(hours.max(1)) * HOUR);
        let by_now = Timestamp(local.saturating_sub(self.ahead(at)));
        by_now.min(Timestamp(local.saturating_sub(self.ahead(by_now))))
    }

    /// How far local time is ahead of UTC, in microseconds.
    fn ahead(&self, at: Timestamp) -> i64 {
        let instant = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        i64::from(self.program.zone.to_offset(instant).seconds()) * 1_000_000
    }
}
