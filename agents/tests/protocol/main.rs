//! The negotiation as a whole: planner, segment agents, escrow and checker over a small made-up program.

mod certificates;
mod escrow;
mod messages;
mod pricing;
mod program;
mod rounds;
