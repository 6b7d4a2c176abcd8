//! The ledger seen from outside: what it keeps, what it refuses, and what it notices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod append;
mod crash;
mod erase;
mod guards;
mod index;
mod mutations;
mod opening;
mod prune;
mod rotate;
mod support;
mod tamper;
mod views;
