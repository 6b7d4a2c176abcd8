//! The deterministic host: replay, scenarios, planner benchmark.
//!
//! The same brains as the live node, on time and facts that come from a file. No tokio, no NATS, no clock, no
//! randomness of its own. It never sees `runtime`.
//!
//! Start reading at [`replay`] (a ledger's decisions recomputed) or [`planner_bench`] (allocation against the
//! exact optimum).

pub mod explain;
pub mod planner_bench;
pub mod replay;
