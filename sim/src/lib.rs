//! The deterministic host: replay, scenarios, planner benchmark.

pub mod planner_bench;
