//! The deterministic host: the brains on virtual time, replay, explanations, planner benchmark.
//!
//! The same brains as the live node, on time and facts that come from a file. No tokio, no NATS, no clock, no
//! randomness of its own. It never sees `runtime`.
//!
//! Start reading at [`host`] (events driven through the brains on a virtual clock), [`replay`] (a ledger's
//! decisions recomputed), [`impact`] (recorded events under another policy) or [`planner_bench`] (allocation against the exact optimum);
//! [`explain`] and [`losses`] answer questions about a ledger, [`evidence`] collects what outsiders can check.

pub mod evidence;
pub mod explain;
pub mod host;
pub mod impact;
pub mod losses;
pub mod planner_bench;
pub mod replay;
