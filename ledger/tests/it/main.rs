//! The ledger seen from outside: what it keeps, what it refuses, and what it notices.

mod append;
mod support;
