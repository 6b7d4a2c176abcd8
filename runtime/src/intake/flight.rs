//! Work in flight: what has been admitted and is not yet durable and published.

use std::collections::{BTreeMap, HashMap};

use domain::{Event, EventId, MemberId, Timestamp};

use crate::bus::{Delivery, Ticket};
use crate::work::WorkId;

/// One admitted unit of work.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// What to acknowledge once it is done; more than one when the bus delivered it again meanwhile.
    pub tickets: Vec<Ticket>,
    pub member: Option<MemberId>,
    /// The event; absent for dead letters and wake-ups, which cannot be handed out again.
    pub event: Option<Event>,
    pub now: Timestamp,
    /// Where a refused delivery is stored, so that its redelivery is recognised without an event id.
    pub refused_at: Option<u64>,
    /// How often handling it made its member agent panic.
    pub failures: u32,
}

impl InFlight {
    /// An accepted event.
    pub fn of(event: Event, delivery: Delivery, now: Timestamp) -> InFlight {
        let member = Some(event.member);
        let tickets = vec![delivery.ticket];
        InFlight { tickets, member, event: Some(event), now, refused_at: None, failures: 0 }
    }

    /// A refused delivery on its way to its dead-letter row.
    pub fn refused(delivery: Delivery) -> InFlight {
        let tickets = vec![delivery.ticket];
        let (now, refused_at) = (Timestamp(0), delivery.place);
        InFlight { tickets, member: None, event: None, now, refused_at, failures: 0 }
    }

    /// An event of the node's own, which nobody waits for.
    pub fn own(event: Event, now: Timestamp) -> InFlight {
        let (tickets, member) = (vec![Ticket::Internal], Some(event.member));
        InFlight { tickets, member, event: Some(event), now, refused_at: None, failures: 0 }
    }

    /// A member woken for its timers.
    pub fn timer(member: MemberId, now: Timestamp) -> InFlight {
        let (tickets, member) = (vec![Ticket::Internal], Some(member));
        InFlight { tickets, member, event: None, now, refused_at: None, failures: 0 }
    }
}

/// The table of work in flight; as long as the node's permits allow.
#[derive(Default)]
pub struct Flight {
    works: BTreeMap<WorkId, InFlight>,
    events: HashMap<EventId, WorkId>,
    refused: HashMap<u64, WorkId>,
    next: u64,
}

impl Flight {
    /// Units in flight.
    pub fn len(&self) -> usize {
        self.works.len()
    }

    /// Admits a unit.
    pub fn start(&mut self, entry: InFlight) -> WorkId {
        self.next += 1;
        let work = WorkId(self.next);
        if let Some(event) = &entry.event {
            self.events.insert(event.event_id.clone(), work);
        }
        if let Some(place) = entry.refused_at {
            self.refused.insert(place, work);
        }
        self.works.insert(work, entry);
        work
    }

    /// The unit handling this event id.
    pub fn work_of(&self, event_id: &EventId) -> Option<WorkId> {
        self.events.get(event_id).copied()
    }

    /// The unit that refuses the delivery stored at this place.
    pub fn refusal_at(&self, place: u64) -> Option<WorkId> {
        self.refused.get(&place).copied()
    }

    /// Adds a redelivery to the unit that handles the same event.
    pub fn join(&mut self, work: WorkId, ticket: Ticket) {
        if let Some(entry) = self.works.get_mut(&work) {
            entry.tickets.push(ticket);
        }
    }

    /// Takes out a finished unit; `None` when it was finished before.
    pub fn finish(&mut self, work: WorkId) -> Option<InFlight> {
        let entry = self.works.remove(&work)?;
        if let Some(event) = &entry.event {
            self.events.remove(&event.event_id);
        }
        if let Some(place) = entry.refused_at {
            self.refused.remove(&place);
        }
        Some(entry)
    }

    /// A member's units in order of admission.
    pub fn of_member(&self, member: MemberId) -> Vec<WorkId> {
        let ours = self.works.iter().filter(|(_, entry)| entry.member == Some(member));
        ours.map(|(work, _)| *work).collect()
    }

    /// A unit in flight.
    pub fn get(&self, work: WorkId) -> Option<&InFlight> {
        self.works.get(&work)
    }

    /// Counts a failure against a unit; returns how many there are now.
    pub fn blame(&mut self, work: WorkId) -> u32 {
        match self.works.get_mut(&work) {
            Some(entry) => {
                entry.failures += 1;
                entry.failures
            }
            None => 0,
        }
    }
}
