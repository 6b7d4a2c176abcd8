//! The ledger seen from outside: what it keeps, what it refuses, and what it notices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod append;
mod backup;
mod crash;
mod erase;
mod formats;
mod guards;
mod index;
mod mutations;
mod opening;
mod prune;
mod questions;
mod rotate;
mod support;
mod tail;
mod tamper;
mod views;
