//! `largesse schema`: what may be written in a policy, for editors and as a page.

use crate::exit::{Result, Verdict};
use crate::output;

/// Print what may be written in a policy
#[derive(clap::Subcommand)]
pub enum Command {
    /// JSON Schema (draft-07) of the bundle's files, for completion in TOML editors
    Policy,
    /// Markdown page of every fact a condition may read
    Facts,
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Policy => output::json(&policies::schema())?,
        Command::Facts => output::line(policies::facts_page().trim_end())?,
    }
    Ok(Verdict::Ok)
}
