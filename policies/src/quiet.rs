//! Quiet hours, and when a member's quiet timer may fire.

use domain::facts::Field;
use domain::{Facts, Timestamp, Touchpoint, time};

use crate::bundle::{Bundle, QuietHours, at_touchpoint};

impl QuietHours {
    /// Whether an hour of the day is quiet; the span may pass midnight, `from` is quiet, `to` is not.
    pub fn contains(&self, hour: i64) -> bool {
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from <= to { (from..to).contains(&hour) } else { hour >= from || hour < to }
    }

    /// Whether these facts fall into the quiet hours at a touchpoint that keeps them.
    pub fn covers(&self, facts: &Facts) -> bool {
        at_touchpoint(self.touchpoints, facts) && self.contains(facts.get(Field::NowHour))
    }
}

impl Bundle {
    /// Whether members' timers fire at the same times under another bundle.
    pub fn has_timers_of(&self, other: &Bundle) -> bool {
        self.timers == other.timers
            && self.guardrails.quiet_hours == other.guardrails.quiet_hours
            && self.program.zone == other.program.zone
    }

    /// When the timer for `days` without a purchase fires: that many days after the last one, moved out of the
    /// quiet hours so that members who shop at night are not missed.
    pub fn timer_due(&self, last_purchase: Timestamp, days: u16) -> Timestamp {
        let mut due = last_purchase.plus(i64::from(days) * time::DAY);
        let batch = 1u16 << (Touchpoint::Batch as u16);
        let Some(quiet) = self.guardrails.quiet_hours.filter(|quiet| quiet.touchpoints & batch != 0) else {
            return due;
        };
        // A day has at most 25 hours; quiet hours that never end were refused by the checker.
        for _ in 0..25 {
            if !quiet.contains(i64::from(due.civil(&self.program.zone).hour)) {
                break;
            }
            due = due.plus(time::HOUR);
        }
        due
    }
}
