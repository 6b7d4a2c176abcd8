//! One unit of admitted work, and what comes back about it.

use domain::{Event, MemberId, Timestamp};

use crate::metrics::Stamps;

/// Names one admitted unit of work inside a node; the intake holds what has to be acknowledged for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// An event on its way to its member agent.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Absent for the second and further timers of one wake-up: nobody waits for those.
    pub work: Option<WorkId>,
    pub event: Event,
    /// The host's time when the event was admitted; all that is decided about it happens at this time.
    pub now: Timestamp,
    pub stamps: Stamps,
}

/// What the intake hears back.
#[derive(Debug)]
pub enum Feedback {
    /// These units are committed and, where they promise something, published.
    Done(Vec<WorkId>),
    /// These units are committed, but the bus did not come back before the node had to stop.
    Unpublished(Vec<WorkId>),
    /// A member agent panicked.
    MemberFailed { actor: ractor::ActorId, why: String },
    /// Everything a failed member had under way before its panic is now committed or lost for good.
    Drained(MemberId),
    /// A passivated member's snapshot is durable; it may be activated again.
    Left(MemberId),
    /// A member has timers to be woken for but nothing was due: its unit of work is over.
    NothingDue(WorkId),
    /// A part without which the node cannot go on has failed.
    Fatal(String),
}
