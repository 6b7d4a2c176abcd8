//! Events: immutable facts about a member.
//!
//! [`Event`] is what the brains fold. Its wire form, the limits on it and the field-level refusals live in
//! [`wire`].

pub mod wire;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{DecisionId, EventId, MemberId};
use crate::money::Micros;
use crate::time::Timestamp;

/// An immutable fact about a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The producer's id; at most one decision per (program, event id) (invariant D-2).
    pub event_id: EventId,
    /// Whom it is about.
    pub member: MemberId,
    /// When it happened (not when it arrived).
    pub event_time: Timestamp,
    /// Which system says so: lower-case letters, digits, `-` and `_`.
    pub source: Arc<str>,
    /// Where it happened.
    pub touchpoint: Touchpoint,
    /// Whether it may still be taken back.
    pub settlement: Settlement,
    /// How likely the producer's own fraud system thinks it is false, 0 to [`RISK_MAX`]; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<u8>,
    /// What happened.
    pub kind: EventKind,
}

/// The highest risk score of an event.
pub const RISK_MAX: u8 = 100;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The member bought something. `amount` is what was paid, `discount` what was taken off.
    Purchase { amount: Micros, items: u32, discount: Micros },
    /// An earlier purchase was taken back in full.
    Reversal { of: EventId },
    /// An earlier provisional event is now final.
    Settled { of: EventId },
    /// The member opened the app or site, or was seen in a shop, without buying.
    Visit,
    /// The member complained.
    Complaint,
    /// The complaint was resolved.
    ComplaintResolved,
    /// The member looked at something sensitive (health, religion, bereavement); nothing more is kept.
    SensitiveContext,
    /// The member gave or took back consent for a purpose.
    Consent { purpose: Purpose, granted: bool },
    /// The member objected to profiling (GDPR Art. 21), or took the objection back.
    Objection { active: bool },
    /// The member is (or no longer is) a minor.
    Minor { active: bool },
    /// A promised reward was used.
    Redeemed { decision: DecisionId },
    /// A promised reward was cancelled before use.
    Cancelled { decision: DecisionId },
    /// A timer of the member's own agent: the member has been quiet for `days`. Never accepted from outside.
    Quiet { days: u16 },
    /// A timer of the member's own agent: a promise ran out. Never accepted from outside.
    Expired { decision: DecisionId },
    /// The member joined the program. Where a program accepts known members only, this makes one known.
    Enrolled,
    /// A person approved a promise that waited. Made by the node from a signed row, never accepted from outside.
    Approved { decision: DecisionId },
    /// A person declined a promise that waited. Made by the node from a signed row, never accepted from outside.
    Declined { decision: DecisionId },
}

impl EventKind {
    /// The word used on the wire and in policies.
    pub fn name(&self) -> &'static str {
        EVENT_KIND_NAMES[self.number()]
    }

    /// The promise it is about.
    pub fn promise_mut(&mut self) -> Option<&mut DecisionId> {
        match self {
            EventKind::Redeemed { decision }
            | EventKind::Cancelled { decision }
            | EventKind::Expired { decision }
            | EventKind::Approved { decision }
            | EventKind::Declined { decision } => Some(decision),
            EventKind::Purchase { .. }
            | EventKind::Reversal { .. }
            | EventKind::Settled { .. }
            | EventKind::Visit
            | EventKind::Complaint
            | EventKind::ComplaintResolved
            | EventKind::SensitiveContext
            | EventKind::Consent { .. }
            | EventKind::Objection { .. }
            | EventKind::Minor { .. }
            | EventKind::Quiet { .. }
            | EventKind::Enrolled => None,
        }
    }

    /// Position in [`EVENT_KIND_NAMES`], the number conditions compare.
    pub fn number(&self) -> usize {
        match self {
            EventKind::Purchase { .. } => 0,
            EventKind::Reversal { .. } => 1,
            EventKind::Settled { .. } => 2,
            EventKind::Visit => 3,
            EventKind::Complaint => 4,
            EventKind::ComplaintResolved => 5,
            EventKind::SensitiveContext => 6,
            EventKind::Consent { .. } => 7,
            EventKind::Objection { .. } => 8,
            EventKind::Minor { .. } => 9,
            EventKind::Redeemed { .. } => 10,
            EventKind::Cancelled { .. } => 11,
            EventKind::Quiet { .. } => 12,
            EventKind::Expired { .. } => 13,
            EventKind::Enrolled => 14,
            EventKind::Approved { .. } => 15,
            EventKind::Declined { .. } => 16,
        }
    }
}

/// The words of [`EventKind`], in the order of [`EventKind::number`].
pub const EVENT_KIND_NAMES: [&str; 17] = [
    "purchase",
    "reversal",
    "settled",
    "visit",
    "complaint",
    "complaint_resolved",
    "sensitive_context",
    "consent",
    "objection",
    "minor",
    "redeemed",
    "cancelled",
    "quiet",
    "expired",
    "enrolled",
    "approved",
    "declined",
];

/// Whether producers may send events of this kind; the others are the node's own: timers, and what people answered.
pub fn is_accepted(kind: &str) -> bool {
    !["quiet", "expired", "approved", "declined"].contains(&kind)
}

/// The source of events a member agent makes itself.
pub const TIMER_SOURCE: &str = "timer";

/// The source of events the node makes from what people signed.
pub const PERSON_SOURCE: &str = "person";

/// The source of events by which a node takes promises back that people reversed.
pub const REVERSAL_SOURCE: &str = "case";

/// How the ids of such events begin.
pub const REVERSAL_ID_START: &str = "case-reversal-";

/// How the ids of the node's own events begin. They are functions of what they stand for, so they could be guessed: a
/// producer that used one would take the place of a timer, of a person's answer, or of what two people reversed.
pub const OWN_ID_STARTS: [&str; 4] = ["quiet-", "expired-", crate::id::ANSWER_ID_START, REVERSAL_ID_START];

/// Whether an id is one of the node's own.
pub fn is_own_id(id: &str) -> bool {
    OWN_ID_STARTS.iter().any(|start| id.starts_with(start))
}

/// The sources of the node's own events.
pub const OWN_SOURCES: [&str; 3] = [TIMER_SOURCE, PERSON_SOURCE, REVERSAL_SOURCE];

impl Event {
    /// What a person answered about a promise that waited. Its id is a function of the decision, so that a promise is
    /// answered once.
    pub fn answered(decision: DecisionId, approved: bool, member: MemberId, at: Timestamp) -> Event {
        let kind = if approved { EventKind::Approved { decision } } else { EventKind::Declined { decision } };
        Event {
            event_id: EventId::of_answer(decision),
            member,
            event_time: at,
            source: PERSON_SOURCE.into(),
            touchpoint: Touchpoint::Batch,
            settlement: Settlement::Settled,
            risk: None,
            kind,
        }
    }
}

/// Where a decision is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Touchpoint {
    Checkout,
    Service,
    App,
    Web,
    Email,
    Pos,
    Partner,
    Batch,
}

/// The words of [`Touchpoint`], in declaration order.
pub const TOUCHPOINT_NAMES: [&str; 8] =
    ["checkout", "service", "app", "web", "email", "pos", "partner", "batch"];

impl Touchpoint {
    /// The word used on the wire and in policies.
    pub fn name(self) -> &'static str {
        TOUCHPOINT_NAMES[self as usize]
    }

    /// The touchpoint with this word.
    pub fn from_name(name: &str) -> Option<Touchpoint> {
        use Touchpoint::*;
        [Checkout, Service, App, Web, Email, Pos, Partner, Batch]
            .into_iter()
            .find(|touchpoint| touchpoint.name() == name)
    }
}

/// Whether a fact may still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    Provisional,
    Settled,
    Reversed,
}

/// The words of [`Settlement`], in declaration order.
pub const SETTLEMENT_NAMES: [&str; 3] = ["provisional", "settled", "reversed"];

impl Settlement {
    /// The word used on the wire and in policies.
    pub fn name(self) -> &'static str {
        SETTLEMENT_NAMES[self as usize]
    }

    /// The total transition table: provisional may settle or reverse, settled may reverse, reversed is final.
    pub fn may_become(self, next: Settlement) -> bool {
        use Settlement::*;
        matches!((self, next), (Provisional, Settled | Reversed) | (Settled, Reversed))
    }
}

/// What a member may consent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Receiving rewards and messages chosen for the member.
    PersonalisedMarketing,
    /// Being scored by models.
    Profiling,
}

/// The words of [`Purpose`], in declaration order.
pub const PURPOSE_NAMES: [&str; 2] = ["personalised_marketing", "profiling"];

impl Purpose {
    /// The word used on the wire and in policies.
    pub fn name(self) -> &'static str {
        PURPOSE_NAMES[self as usize]
    }
}
