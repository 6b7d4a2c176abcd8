//! What recording the explanation of decisions costs: the loop without actors, with it and without it, by turns.
//!
//! The switch is the loop's own: the live node has none. What is left out is the losing candidates, their values, and the facts;
//! finding the candidates' reasons is left in, because no choice can be made without it.

use runtime::Options;
use serde::Serialize;

use super::bare::Recording;
use super::decide::{Args, bare_loop};
use crate::exit::Result;

/// CPU seconds of the process per 1,000 events, run by run.
#[derive(Serialize)]
pub struct Explanation {
    with: Vec<f64>,
    without: Vec<f64>,
    /// The least of both, and what share of the former the difference is.
    with_least: f64,
    without_least: f64,
    share_percent: f64,
}

/// Runs the loop in pairs; which comes first takes turns, so that a machine that slows down favours neither.
pub async fn measure(args: &Args, options: &Options, runs: u32) -> Result<Explanation> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let mut pair = [Recording::Whole, Recording::WithoutExplanation];
        if run % 2 == 1 {
            pair.reverse();
        }
        for recording in pair {
            let took = bare_loop(args, options, recording).await?.cpu_s_per_1k;
            let took = (took * 1e5).round() / 1e5;
            if recording == Recording::Whole { with.push(took) } else { without.push(took) }
        }
    }
    // The least is the run that others disturbed least.
    let least = |runs: &[f64]| runs.iter().copied().fold(f64::INFINITY, f64::min);
    let (with_least, without_least) = (least(&with), least(&without));
    let share_percent = ((with_least - without_least) / with_least * 1e4).round() / 1e2;
    Ok(Explanation { with, without, with_least, without_least, share_percent })
}
