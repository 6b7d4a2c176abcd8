//! `largesse log`: read, verify and prove the decision log.

mod asked;
mod backup;
mod check_evidence;
mod check_export;
mod check_proof;
mod consistency;
mod evidence;
mod explain;
mod export;
mod facets;
mod given;
mod hold;
mod list;
mod losses;
mod prove;
mod readings;
mod retention;
mod rotate_key;
mod show;
mod verify;

use domain::{EventId, digest::unhex};
use ledger::{Reader, Row, Seq};

use crate::exit::{Failure, Result};

/// Read, verify and prove the decision log
#[derive(clap::Subcommand)]
pub enum Command {
    /// List rows, newest first, filtered
    List(list::Args),
    /// Count rows by outcome, reason, segment, reward, policy, models, day, member, ...
    Facets(facets::Args),
    /// Show one row; its personal part with --purpose, which is recorded
    Show(show::Args),
    /// Say why a decision was made, and why not each losing candidate; --purpose is recorded
    Explain(explain::Args),
    /// List who was about to read personal data, when and why
    Readings(readings::Args),
    /// Say what each rule, cap and budget kept back, in money
    Losses(losses::Args),
    /// Rescan everything: rows, tree, signed heads, budgets; exit 3 names the first bad row
    Verify(verify::Args),
    /// Write a proof that one row is in the log, to be checked without the ledger
    Prove(prove::Args),
    /// Check a proof file without the ledger it is about; exit 3 names what does not hold
    CheckProof(check_proof::Args),
    /// Write everything that decisions rest on into one file, each row with its proof
    Evidence(evidence::Args),
    /// Check an evidence file without the ledger it is about; exit 3 names what does not hold
    CheckEvidence(check_evidence::Args),
    /// Write rows for other tools: JSON lines, CSV or Parquet, with a manifest; no node may be running
    Export(export::Args),
    /// Check an export against its manifest, without the ledger; exit 3 names what differs
    CheckExport(check_export::Args),
    /// Prove that the log only grew since an older signed head; exit 3 names a restored copy or a fork
    Consistency(consistency::Args),
    /// Copy the ledger without its keys, also beside a running node, and prove the copy by its root
    Backup(backup::Backup),
    /// Put a backup back and prove it by its root
    Restore(backup::Restore),
    /// Replace the key that signs heads; no node may be running
    RotateKey(rotate_key::Args),
    /// Keep a member's rows, or all, from being erased and pruned
    #[command(subcommand)]
    Hold(hold::Command),
    /// Prune the sealed parts, then the bodies, of old rows; no node may be running
    Retention(retention::Args),
    /// Give the space of what was pruned and erased back to the disk; no node may be running
    Compact(retention::Compact),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::List(args) => list::run(args),
        Command::Facets(args) => facets::run(args),
        Command::Show(args) => show::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Readings(args) => readings::run(args),
        Command::Losses(args) => losses::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Prove(args) => prove::run(args),
        Command::CheckProof(args) => check_proof::run(args),
        Command::Evidence(args) => evidence::run(args),
        Command::CheckEvidence(args) => check_evidence::run(args),
        Command::Export(args) => export::run(args),
        Command::CheckExport(args) => check_export::run(args),
        Command::Consistency(args) => consistency::run(args),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => backup::restore(args),
        Command::RotateKey(args) => rotate_key::run(args),
        Command::Hold(command) => hold::run(command),
        Command::Retention(args) => retention::run(args),
        Command::Compact(args) => retention::compact(args),
    }
}

/// The row a person means: a decision id, an event id, or a sequence number.
///
/// # Errors
/// When no row has it, or it is not as it was written.
pub fn find(reader: &Reader, id: &str) -> Result<Row> {
    let row = meant(reader, id).map_err(crate::ledger_errors)?.ok_or_else(|| {
        Failure::usage(format!(
            "no row has decision id, event id or sequence number {id:?}; `largesse log list` shows them"
        ))
    })?;
    reader.vouch([row.seq]).map_err(crate::ledger_errors)?;
    Ok(row)
}

fn meant(reader: &Reader, id: &str) -> std::result::Result<Option<Row>, ledger::Error> {
    if let Some(record) = unhex::<16>(&id.replace('-', "").to_lowercase())
        && let Some(row) = reader.record(&record)?
    {
        return Ok(Some(row));
    }
    if let Ok(event) = id.parse::<EventId>()
        && let Some(row) = reader.event(&event)?
    {
        return Ok(Some(row));
    }
    id.parse().map_or(Ok(None), |seq| reader.row(Seq(seq)))
}

/// One row with everything recorded about it, opened where its key is there.
pub fn document(row: &Row, keys: &ledger::Keys) -> serde_json::Value {
    show::document(row, keys)
}

/// An explanation as people read it, without the list of facts.
pub fn explain_text(explanation: &sim::explain::Explanation) -> String {
    explain::text(explanation, false)
}

/// A time, or the day that begins at midnight UTC.
///
/// # Errors
/// When it is neither.
pub fn day_or_time(text: &str) -> std::result::Result<domain::Timestamp, domain::time::NotATime> {
    format!("{text}T00:00:00Z").parse().or_else(|_| text.parse())
}
