//! The planner benchmark: the product's own planner and segment brains over synthetic days.
//!
//! It measures how much of the best possible value (in hindsight) the negotiation realises, whether its
//! certificates hold, and what a decision costs. The instances are made by a generator that knows nothing of
//! the protocol; the protocol is given only what a program would know: limits, costs, an expected volume, the
//! previous day, and announced events.
//!
//! Start reading at [`instance`] (what can be run), then [`generator`], [`market`] (the host), [`run`].

pub mod generator;
pub mod hindsight;
pub mod instance;
pub mod market;
pub mod members;
pub mod report;
mod run;
#[cfg(test)]
mod tests;
pub mod world;

pub use instance::{Announced, Baseline, BudgetCut, Instance, InstanceError, Kind};
pub use report::Report;
pub use run::{Options, run};
