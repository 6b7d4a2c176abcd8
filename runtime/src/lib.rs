//! The live host: ractor actors, the bus, batched scoring, the ledger writer thread.
//!
//! The shell around the brains: it awaits, retries, counts and persists; it never decides which reward, never
//! changes a recorded row, and never lets a raw member identifier out of the intake. It never sees `sim`.
//!
//! Start reading at [`node`] (how a node starts and stops) and [`opening`] (what the ledger says then), then [`intake`],
//! [`actors`], [`writer`], [`relay`]; [`requests`] is what people
//! ask, [`registry`] how another policy comes into force, [`cases`] how a promise is taken back.

pub mod actors;
pub mod bus;
pub mod cases;
mod catch_up;
pub mod clock;
pub mod config;
pub mod intake;
pub mod metrics;
pub mod node;
pub mod opening;
pub mod readings;
pub mod registry;
pub mod relay;
pub mod requests;
pub mod reward;
pub mod rows;
pub mod shared;
pub mod sides;
pub mod states;
mod tree;
mod windows;
pub mod work;
pub mod writer;

pub use config::Options;
pub use node::{Node, NodeError};
