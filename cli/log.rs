//! `largesse log`: read and verify the decision log.

mod explain;
mod list;
mod show;
mod verify;

use domain::{EventId, digest::unhex};
use ledger::{Reader, Row, Seq};

use crate::exit::{Failure, Result};

/// Read and verify the decision log
#[derive(clap::Subcommand)]
pub enum Command {
    /// List rows, newest first, filtered
    List(list::Args),
    /// Show one row with everything recorded about it
    Show(show::Args),
    /// Say why a decision was made, and why not each losing candidate
    Explain(explain::Args),
    /// Rescan everything: rows, tree, signed heads, budgets; exit 3 names the first bad row
    Verify(verify::Args),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Verify(args) => verify::run(args),
    }
}

/// The row a person means: a decision id, an event id, or a
/// sequence number.
///
/// # Errors
/// When no row has it.
pub fn find(reader: &Reader, id: &str) -> Result<Row> {
    let errors = crate::ledger_errors;
    if let Some(record) = unhex::<16>(&id.replace('-', "").to_lowercase())
        && let Some(row) = reader.record(&record).map_err(errors)?
    {
        return Ok(row);
    }
    if let Ok(event) = id.parse::<EventId>()
        && let Some(row) = reader.event(&event).map_err(errors)?
    {
        return Ok(row);
    }
    if let Ok(seq) = id.parse::<u64>()
        && let Some(row) = reader.row(Seq(seq)).map_err(errors)?
    {
        return Ok(row);
    }
    Err(Failure::usage(format!(
        "no row has decision id, event id or sequence number {id:?}; `largesse log list` shows them"
    )))
}

/// An explanation as people read it, without the list of facts.
pub fn explain_text(explanation: &sim::explain::Explanation) -> String {
    explain::text(explanation, false)
}
