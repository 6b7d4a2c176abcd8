//! `largesse case`: what a risk team or an auditor keeps about decisions.

mod list;
mod named;
mod show;
mod steps;

use crate::exit::Result;

/// Keep cases about decisions, and take promises back with four eyes
#[derive(clap::Subcommand)]
#[command(after_help = "\
Every step is signed by somebody in people.toml and is a row of the ledger, for ever: name no person
in it, members have pseudonyms. Auditors keep cases. A promise is taken back when an auditor asks for
it (reverse) and an approver, another person, confirms it: by a running node at once, otherwise by the
next that starts. Refusals have codes: `largesse explain CAS0012`.")]
pub enum Command {
    /// Open a case about decisions
    Open(steps::Open),
    /// Write something down in a case
    Note(steps::Note),
    /// Add a decision, or the digest of a file, to a case
    Attach(steps::Attach),
    /// Ask that a decision's promise be taken back
    Reverse(steps::Reverse),
    /// Confirm what somebody else asked for: the promise is cancelled
    Confirm(steps::Confirm),
    /// Take back a request that waits, or decline it
    Withdraw(steps::Withdraw),
    /// Close a case for good
    Close(steps::Close),
    /// List cases
    List(list::Args),
    /// Show a case with every step, and what became of its reversals
    Show(show::Args),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Open(args) => steps::open(args),
        Command::Note(args) => steps::note(args),
        Command::Attach(args) => steps::attach(args),
        Command::Reverse(args) => steps::reverse(args),
        Command::Confirm(args) => steps::confirm(args),
        Command::Withdraw(args) => steps::withdraw(args),
        Command::Close(args) => steps::close(args),
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
    }
}

/// The case people mean in a ledger, by its id or the id's first digits.
///
/// # Errors
/// Exit 2 when none, or more than one, fits.
pub fn named(reader: &ledger::Reader, text: &str) -> Result<ledger::cases::CaseId> {
    let cases = ledger::cases::Cases::load(reader).map_err(crate::ledger_errors)?;
    named::among(&cases, text)
}
