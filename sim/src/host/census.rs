//! Every member agent of the program, and when each next needs attention without an event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agents::member::{Member, Promise};
use domain::{Event, MemberId, Timestamp};
use policies::Bundle;

/// A member agent with the time it is in the queue for.
struct Resident {
    member: Member,
    due: Option<Timestamp>,
}

/// The members, and the queue of their timers in order of time and pseudonym.
#[derive(Default)]
pub struct Census {
    residents: BTreeMap<MemberId, Resident>,
    queue: BTreeSet<(Timestamp, MemberId)>,
}

impl Census {
    /// The member's agent, enrolled when it is seen for the first time.
    pub fn member(&mut self, id: MemberId, bundle: &Bundle) -> &mut Member {
        let enrol = || Resident { member: Member::enrol(id, bundle), due: None };
        &mut self.residents.entry(id).or_insert_with(enrol).member
    }

    /// Tells a member's agent what its member was promised.
    pub fn promise(&mut self, id: MemberId, promise: Promise, bundle: &Bundle) {
        Arc::make_mut(&mut self.member(id, bundle).state).promise(promise);
    }

    /// Queues the member for its next timer.
    pub fn remember_due(&mut self, id: MemberId, bundle: &Bundle) {
        let Some(resident) = self.residents.get_mut(&id) else { return };
        let due = resident.member.state.next_due(bundle);
        if due == resident.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut resident.due, due) {
            self.queue.remove(&(old, id));
        }
        self.queue.extend(due.map(|due| (due, id)));
    }

    /// Takes the first member due by `until` off the queue.
    pub fn take_due(&mut self, until: Timestamp) -> Option<(Timestamp, MemberId)> {
        let first = *self.queue.first()?;
        if first.0 > until {
            return None;
        }
        self.queue.remove(&first);
        if let Some(resident) = self.residents.get_mut(&first.1) {
            resident.due = None;
        }
        Some(first)
    }

    /// The member's own events whose time has come.
    pub fn due_events(&self, id: MemberId, now: Timestamp, bundle: &Bundle) -> Vec<Event> {
        self.residents
            .get(&id)
            .map_or_else(Vec::new, |resident| resident.member.state.due_events(now, bundle))
    }
}
