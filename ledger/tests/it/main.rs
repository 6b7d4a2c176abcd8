//! The ledger seen from outside: what it keeps, what it refuses, and what it notices.

mod append;
mod crash;
mod guards;
mod index;
mod opening;
mod support;
mod tamper;
