//! The deterministic host: replay, scenarios, planner benchmark.
