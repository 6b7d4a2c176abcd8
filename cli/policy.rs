//! `largesse policy`: write, check, assess, approve and activate policies.

mod check;
mod diff;
mod history;
mod impact;
mod init;
pub mod place;
mod report;
mod status;
mod steps;
mod test;

use std::path::{Path, PathBuf};

use policies::Bundle;

use crate::exit::{Failure, Result};

pub use steps::take;

/// Write, check, assess, approve and activate policies
#[derive(clap::Subcommand)]
pub enum Command {
    /// Start a policy from one of the shipped programs
    Init(init::Args),
    /// Report every mistake of a bundle, with its place and how to mend it; exit 3 when there is one
    Check(check::Args),
    /// Run a bundle's own tests; --mutate names rules no test would miss
    Test(test::Args),
    /// Say in words and numbers what differs between two bundles
    Diff(diff::Args),
    /// Compute what a draft would have decided on a recorded ledger
    Impact(impact::Args),
    /// Show the newest recorded impact report of a submitted bundle
    Report(report::Args),
    /// Hand in a checked and tested bundle
    Submit(steps::Submit),
    /// Approve a submitted bundle with the impact report you looked at
    Approve(steps::Approve),
    /// Have it computed beside what is in force what a submitted bundle would decide
    Shadow(steps::Shadow),
    /// Let an approved bundle decide for a share of the members
    Canary(steps::Canary),
    /// Put an approved bundle in force, now or at a time
    Activate(steps::Activate),
    /// Take back a shadow, a canary or a schedule
    Withdraw(steps::Withdraw),
    /// Put back in force what was in force before
    Rollback(steps::Rollback),
    /// Show what was handed in, approved, in force and stopped, by whom and when
    History(history::Args),
    /// Show what is in force now, and what is in canary, in shadow, scheduled, stopped or waiting
    Status(status::Args),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Impact(args) => impact::run(args),
        Command::Report(args) => report::run(args),
        Command::Submit(args) => steps::submit(args),
        Command::Approve(args) => steps::approve(args),
        Command::Shadow(args) => steps::shadow(args),
        Command::Canary(args) => steps::canary(args),
        Command::Activate(args) => steps::activate(args),
        Command::Withdraw(args) => steps::withdraw(args),
        Command::Rollback(args) => steps::rollback(args),
        Command::History(args) => history::run(args),
        Command::Status(args) => status::run(args),
    }
}

/// The bundle in a folder.
///
/// # Errors
/// Exit 3 with every mistake.
fn load(folder: &Path) -> Result<Bundle> {
    let folder: PathBuf = folder.to_owned();
    runtime::node::load_bundle(Some(&folder)).map_err(crate::node_errors)
}

/// The bundle people mean: a folder, or a digest (or its first digits) that the ledger in `dir` holds.
///
/// # Errors
/// When there is none, or more than one.
pub fn named(what: &str, dir: Option<&Path>) -> Result<Bundle> {
    let folder = Path::new(what);
    if folder.is_dir() {
        return load(folder);
    }
    let Some(dir) = dir else {
        return Err(Failure::usage(format!(
            "{what:?} is no folder; to name a bundle by its digest, say with --dir which ledger holds it"
        )));
    };
    let reader = ledger::Reader::open(dir).map_err(crate::ledger_errors)?;
    let digest = place::digest(&reader, what)?;
    runtime::opening::recorded_bundle(&reader, digest).map_err(crate::node_errors)
}
