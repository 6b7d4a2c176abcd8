//! `largesse bench`: the planner against the exact optimum, and the whole decision path under load.

mod bare;
mod decide;
mod explanation;
mod planner;

use crate::exit::Result;

/// Measure the planner or the whole decision path
#[derive(clap::Subcommand)]
pub enum Command {
    /// Run the negotiation over a synthetic day and compare with the best possible allocation
    Planner(planner::Args),
    /// Drive events through the real path: JSON in, features, models, policy, prices, durable row, reward out
    Decide(decide::Args),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Planner(args) => planner::run(args),
        Command::Decide(args) => decide::run(args),
    }
}
