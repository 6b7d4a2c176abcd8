//! `largesse bench planner`.

use std::path::PathBuf;

use sim::planner_bench::{self, Instance, Options};

use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Run the negotiation over a synthetic day and compare with the best possible allocation
#[derive(clap::Args)]
#[command(after_help = "\
An instance is JSON: {\"kind\": \"stationary\", \"seed\": 5, \"world\": 1, \"cap\": 63, \"T\": 200000, \"M\": 60000},
optionally with calendar, budget_cut, baseline (\"day\" or \"none\") and member_price.
The shipped instances are in sim/bench/planner.")]
pub struct Args {
    /// Instance file
    #[arg(long, value_name = "FILE")]
    instance: PathBuf,
    /// Compute the hindsight optimum where it is not known (seconds to minutes)
    #[arg(long)]
    optimum: bool,
}

pub fn run(args: &Args) -> Result {
    let text = std::fs::read_to_string(&args.instance)
        .map_err(|error| Failure::usage(format!("failed to read {}: {error}", args.instance.display())))?;
    let instance = Instance::from_json(&text).map_err(Failure::usage)?;
    let options = Options { compute_optimum: args.optimum, ..Options::default() };
    output::json(&planner_bench::run(&instance, &options))?;
    Ok(Verdict::Ok)
}
