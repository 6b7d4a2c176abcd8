//! The segment agent: it prices a member's candidates, takes the best one worth its price, and answers the
//! planner's quotes from what its members wanted lately.
//!
//! It never asks how a value came about (the member agent's business) and never spends what its node's
//! escrow does not hold. All state follows from the calls made to it, in order, so a replay that makes the
//! same calls with the recorded refusals gets the same choices.
//!
//! Start reading at [`pricing`] (one moment), then [`demand`] (one quote), [`escrow`], [`opportunity`].

pub mod choice;
pub mod demand;
pub mod escrow;
pub mod explore;
pub mod limits;
pub mod opportunity;
pub mod pricing;
pub mod rows;
pub mod verdict;

pub use choice::{Choice, Line, Offer};
pub use escrow::{Demand, Escrow, EscrowError, EscrowView, Refusal, Reserve};
pub use explore::Exploration;
pub use limits::{Counted, Limits};
pub use pricing::{Segment, SegmentCarry, SegmentOptions};
