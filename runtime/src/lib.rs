//! The live host: ractor actors, the bus, batched scoring, the ledger writer thread.
//!
//! The shell around the brains: it awaits, retries, counts and persists; it never decides which reward, never
//! changes a recorded row, and never lets a raw member identifier out of the intake. It never sees `sim`.
//!
//! Start reading at [`node`] (how a node starts and stops) and [`opening`] (what the ledger says then), then [`intake`],
//! [`actors`], [`writer`], [`relay`]; [`registry`] is how another policy comes into force.

pub mod actors;
pub mod bus;
mod catch_up;
pub mod clock;
pub mod config;
pub mod intake;
pub mod metrics;
pub mod node;
pub mod opening;
pub mod registry;
pub mod relay;
pub mod reward;
pub mod rows;
pub mod shared;
pub mod sides;
pub mod states;
mod tree;
pub mod work;
pub mod writer;

pub use config::Options;
pub use node::{Node, NodeError};
