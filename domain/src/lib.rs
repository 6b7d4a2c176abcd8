//! The words of Largesse: ids, money, time, events, facts, decisions and reason codes.
//!
//! This floor holds plain values. It never does I/O, never reads a clock or a random source, never
//! iterates a hash map, and never holds money in a float. Everything above speaks these types.
//!
//! Start reading at [`event`] (what happens to a member), then [`facts`] (what is known at a moment),
//! [`decision`] (what was decided) and [`reason`] (why).

pub mod decision;
pub mod digest;
pub mod event;
pub mod facts;
pub mod id;
pub mod moment;
pub mod money;
pub mod outcome;
pub mod random;
pub mod ratio;
pub mod reason;
pub mod record;
pub mod statement;
pub mod time;

pub use decision::{Candidate, Cause, Decision, ScoreSource, Scores};
pub use digest::Digest;
pub use event::{Event, EventKind, Purpose, Settlement, Touchpoint};
pub use facts::Facts;
pub use id::{DecisionId, EventId, MemberId, RewardIndex, SegmentIndex};
pub use moment::Level;
pub use money::Micros;
pub use outcome::Outcome;
pub use ratio::{Milli, Ppm, PriceQ20};
pub use reason::Reason;
pub use time::Timestamp;

/// Version of the meaning of a decision: how facts fold, how conditions evaluate, how prices round.
///
/// Any change that could make a recorded decision replay to other bytes raises this number; replay under
/// another number is refused (invariant R-2).
pub const SEMANTICS_VERSION: u32 = 3;
