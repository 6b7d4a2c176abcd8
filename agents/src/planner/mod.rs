//! The planner: the leader that negotiates prices with the segment agents and proves how good they are.
//!
//! It is Dantzig-Wolfe column generation with a tiny master program: quote prices, collect what every segment
//! would use, combine the answers, quote again, until the certificate shows a gap of at most 0.5 %. It is a
//! state machine over messages; whoever hosts it delivers quotes, answers and deadlines. It never sees a
//! member, never decides a moment, and its linear program is an untrusted oracle: only the integers it led to
//! are published, with the proof that they are good.
//!
//! Start reading at [`config`], then [`negotiation`] (the rounds), [`master`], [`treasury`], [`forecast`].

pub mod bounds;
pub mod config;
pub mod corridor;
pub mod forecast;
pub mod master;
pub mod negotiation;
mod posting;
pub mod rounds;
pub mod rprop;
pub mod scaling;
pub mod simplex;
pub mod treasury;

pub use config::{CalendarWindow, Effect, Escalation, PlanConfig, PlannerOptions, Taken, Window};
pub use master::{MasterProblem, MasterSolution, MasterSolver, SolverError};
pub use negotiation::Planner;
pub use simplex::Simplex;
pub use treasury::{Imbalance, Treasury};
