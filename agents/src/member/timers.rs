//! The member's own timers: quiet members and promises that run out.

use domain::{Event, EventId, EventKind, Settlement, Timestamp, Touchpoint};
use policies::Bundle;

use super::state::State;

impl State {
    /// When this member next needs attention without an event: the first quiet timer not yet fired, or the
    /// end of the first open promise.
    pub fn next_due(&self, bundle: &Bundle) -> Option<Timestamp> {
        let expiry = self.open_promises().map(|promise| promise.valid_until).min();
        let quiet = self.next_quiet(bundle).map(|(due, _)| due);
        expiry.into_iter().chain(quiet).min()
    }

    /// The events whose time has come, oldest first. Their ids are functions of what they stand for, so that
    /// a timer fires once over any number of restarts (invariant D-2).
    pub fn due_events(&self, now: Timestamp, bundle: &Bundle) -> Vec<Event> {
        let mut events: Vec<Event> = self.expired(now).collect();
        if let Some((due, days)) = self.next_quiet(bundle).filter(|(due, _)| *due <= now) {
            let last = self.history.last_purchase().unwrap_or_default();
            let id = format!("quiet-{}-{}-{days}", self.member, last.0.div_euclid(1_000_000));
            events.extend(self.timer(&id, due, EventKind::Quiet { days }));
        }
        events.sort_by(|a, b| (a.event_time, &a.event_id).cmp(&(b.event_time, &b.event_id)));
        events
    }

    fn next_quiet(&self, bundle: &Bundle) -> Option<(Timestamp, u16)> {
        let last = self.history.last_purchase()?;
        let days = bundle.timers().iter().copied().find(|days| *days > self.quiet_fired_days)?;
        Some((bundle.timer_due(last, days), days))
    }

    fn expired(&self, now: Timestamp) -> impl Iterator<Item = Event> {
        self.open_promises().filter(move |promise| promise.valid_until <= now).filter_map(|promise| {
            let decision = promise.decision;
            let id = format!("expired-{decision}");
            self.timer(&id, promise.valid_until, EventKind::Expired { decision })
        })
    }

    fn timer(&self, id: &str, due: Timestamp, kind: EventKind) -> Option<Event> {
        // Built from hex and digits, so always a legal id.
        let event_id: EventId = id.parse().ok()?;
        Some(Event {
            event_id,
            member: self.member,
            event_time: due,
            source: domain::event::TIMER_SOURCE.into(),
            touchpoint: Touchpoint::Batch,
            settlement: Settlement::Settled,
            risk: None,
            kind,
        })
    }
}
