//! From a member's state to the flat row of facts a policy reads.

use domain::facts::{Field, LISTS, NEVER, RECENT_MAX};
use domain::time::{DAY, HOUR};
use domain::{Event, EventKind, Facts, Micros, Purpose, Scores, Timestamp};
use models::features::Summary;
use policies::{Bundle, Grant};

use super::state::{Promise, PromiseState, State};

/// Whole `unit`s from `earlier` to `now`, 0..=9999; 9999 when it never happened.
fn units_since(now: Timestamp, earlier: Option<Timestamp>, unit: i64) -> i64 {
    earlier.map_or(NEVER, |earlier| now.since(earlier).div_euclid(unit).clamp(0, NEVER))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(NEVER).min(NEVER)
}

/// Sets `now.*` from an instant.
pub fn put_now(facts: &mut Facts, now: Timestamp, bundle: &Bundle) {
    let civil = now.civil(&bundle.program().zone);
    facts.set(Field::NowHour, i64::from(civil.hour));
    facts.set(Field::NowWeekday, i64::from(civil.weekday));
    facts.set(Field::NowDay, i64::from(civil.day));
    facts.set(Field::NowMonth, i64::from(civil.month));
}

/// Sets `event.*`.
pub fn put_event(facts: &mut Facts, event: &Event, now: Timestamp) {
    facts.set(Field::EventType, count(event.kind.number()));
    facts.set(Field::EventTouchpoint, event.touchpoint as i64);
    facts.set(Field::EventSettlement, event.settlement as i64);
    facts.set(Field::EventRisk, i64::from(event.risk.unwrap_or(0)));
    facts.set(Field::EventAgeHours, units_since(now, Some(event.event_time), HOUR));
    match &event.kind {
        EventKind::Purchase { amount, items, .. } => {
            facts.set(Field::EventAmount, amount.0);
            facts.set(Field::EventItems, i64::from(*items));
        }
        EventKind::Quiet { days } => facts.set(Field::EventQuietDays, i64::from(*days)),
        EventKind::Reversal { .. }
        | EventKind::Settled { .. }
        | EventKind::Visit
        | EventKind::Enrolled
        | EventKind::Complaint
        | EventKind::ComplaintResolved
        | EventKind::SensitiveContext
        | EventKind::Consent { .. }
        | EventKind::Objection { .. }
        | EventKind::Minor { .. }
        | EventKind::Redeemed { .. }
        | EventKind::Cancelled { .. }
        | EventKind::Expired { .. }
        | EventKind::Approved { .. }
        | EventKind::Declined { .. } => {}
    }
}

impl State {
    /// The facts that may be read without any consent.
    pub(super) fn put_open(&self, facts: &mut Facts, now: Timestamp) {
        facts.set(Field::MemberConsentMarketing, i64::from(self.consent_marketing.on));
        facts.set(Field::MemberConsentProfiling, i64::from(self.consent_profiling.on));
        facts.set(Field::MemberObjected, i64::from(self.objected.on));
        facts.set(Field::MemberMinor, i64::from(self.minor.on));
        facts.set(Field::MemberComplaintOpen, i64::from(self.complaint_open.on));
        facts.set(Field::MemberDaysSinceComplaint, units_since(now, self.complaint_at, DAY));
        facts.set(Field::MemberDaysSinceRefund, units_since(now, self.refund_at, DAY));
        facts.set(Field::MemberDaysSinceSensitive, units_since(now, self.sensitive_at, DAY));
        let offers = || self.promises.iter().filter(|promise| promise.state != PromiseState::Cancelled);
        let within =
            |days: i64| offers().filter(|promise| now.since(promise.granted_at) < days * DAY).count();
        let last = offers().map(|promise| promise.granted_at).max();
        facts.set(Field::MemberHoursSinceOffer, units_since(now, last, HOUR));
        facts.set(Field::MemberOffers7d, count(within(7)));
        facts.set(Field::MemberOffers28d, count(within(28)));
        facts.set(Field::MemberOpenPromises, count(self.open_promises().count()));
        facts.set(Field::MemberProvisional, count(self.history.provisional()));
    }

    /// The facts about purchases; nothing without consent to personalised marketing (invariant E-3).
    pub(super) fn put_personal(&self, facts: &mut Facts, summary: &Summary, now: Timestamp) {
        if !self.allows(Purpose::PersonalisedMarketing) {
            return;
        }
        let money = |amount: Micros| amount.0;
        facts.set(Field::MemberTenureDays, summary.tenure_days());
        facts.set(Field::MemberRecencyDays, summary.recency_days());
        facts.set(Field::MemberTrips, i64::try_from(summary.trips).unwrap_or(i64::MAX));
        facts.set(Field::MemberTrips28d, i64::from(summary.trips_28d()));
        facts.set(Field::MemberTrips91d, i64::from(summary.trips_91d()));
        facts.set(Field::MemberSpend, money(summary.spend));
        facts.set(Field::MemberSpend28d, money(summary.spend_28d()));
        facts.set(Field::MemberSpend91d, money(summary.spend_91d()));
        facts.set(Field::MemberBasketMean, money(summary.basket_mean()));
        facts.set(Field::MemberOverdue, summary.overdue_ppm());
        self.put_recent(facts, now);
    }

    /// The lists of the newest purchases.
    fn put_recent(&self, facts: &mut Facts, now: Timestamp) {
        let [amounts, days] = LISTS.each_ref().map(|list| list.slots);
        let mut held = 0;
        for ((time, amount), (money, age)) in self.history.newest(RECENT_MAX).zip(amounts.iter().zip(days)) {
            facts.set(*money, amount.0);
            facts.set(*age, units_since(now, Some(time), DAY));
            held += 1;
        }
        facts.set(Field::MemberRecentPurchases, held);
    }

    /// The member's promises as caps count them: those that were not cancelled, also of rewards that left the catalog.
    pub fn grants(&self, bundle: &Bundle, now: Timestamp) -> Vec<Grant> {
        let window = bundle.longest_window();
        let counted = self.promises.iter().filter(|promise| {
            promise.state != PromiseState::Cancelled && now.since(promise.granted_at) < window
        });
        let grant = |promise: &Promise| Grant {
            at: promise.granted_at,
            reward: bundle.reward_named(&promise.reward),
        };
        counted.map(grant).collect()
    }
}

/// Sets what the models said.
pub(super) fn put_scores(facts: &mut Facts, scores: &Scores) {
    facts.set(Field::MemberScored, 1);
    facts.set(Field::MemberLtv91d, scores.ltv_91d.0);
    facts.set(Field::MemberChurn60d, i64::from(scores.churn_60d.0));
}
