//! What the intake does on a live node: bytes become events, or are refused with a reason.
//!
//! There are no keys here, so a pseudonym is a plain digest of the member's identifier: good enough to tell
//! members apart, and never written anywhere. Whoever appears in the events counts as enrolled, also where the
//! program accepts known members only: the file says who they are.

use std::collections::BTreeSet;

use domain::event::wire::{self, Limits};
use domain::{Event, EventId, MemberId, Reason};

/// The gate.
pub struct Admission {
    limits: Limits,
    seen: BTreeSet<EventId>,
}

impl Admission {
    pub fn new(limits: Limits) -> Admission {
        Admission { limits, seen: BTreeSet::new() }
    }

    /// The event under its member's pseudonym, or the first reason against it. An id counts once.
    pub fn admit(&mut self, bytes: &[u8]) -> Result<Event, Reason> {
        let incoming = wire::parse(bytes, &self.limits)
            .map_err(|refusals| refusals.first().map_or(Reason::MalformedJson, |refusal| refusal.reason))?;
        if !self.seen.insert(incoming.event_id().clone()) {
            return Err(Reason::DuplicateEvent);
        }
        let member = MemberId(super::short(&format!("largesse/sim/member/{}", incoming.member)));
        Ok(incoming.under(member))
    }
}
