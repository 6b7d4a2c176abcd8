//! The brains: member, segment, planner, global policy; negotiation protocol.
//!
//! Everything here is synchronous and pure: facts, time and draws arrive as values, decisions and effects
//! leave as values, and two hosts (the live one and the simulator) run the very same code. Nothing here does
//! I/O, reads a clock, or iterates a hash map. Start reading at
//! [`member`] (what one event leads to), then [`segment`] and [`negotiation`].

pub mod check;
pub mod member;
pub mod negotiation;
pub mod planner;
pub mod policy;
pub mod segment;
