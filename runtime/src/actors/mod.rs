//! The shells: ractor actors around the brains of `agents`.
//!
//! Each mailbox is one closed enum, each arm calls one method, and everything that decides is in the brain.
//! Start at [`member`] and [`segment`]; [`planner`] negotiates,
//! [`policy`] opens budgets; [`root`] is the supervision tree.

pub mod loader;
pub mod member;
pub mod planner;
pub mod policy;
pub mod root;
pub mod segment;
