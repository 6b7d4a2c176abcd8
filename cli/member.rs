//! `largesse member`: what the program holds about one member, and taking it away.

mod document;
mod erase;
mod export;
mod find;

use std::path::PathBuf;

use domain::MemberId;
use ledger::{Keys, Options, Reader, Writer};

use crate::exit::{Failure, Result};

/// Everything about one member: hand it out, or erase it
#[derive(clap::Subcommand)]
pub enum Command {
    /// Erase a member: destroy the key, empty the rows, keep every proof; no node may be running
    Erase(erase::Args),
    /// Write down everything the ledger holds about a member, opened and explained
    Export(export::Args),
    /// The pseudonym of a member, which lists, facets and exports go by
    Find(find::Args),
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Erase(args) => erase::run(args),
        Command::Export(args) => export::run(args),
        Command::Find(args) => find::run(args),
    }
}

/// Which member is meant.
#[derive(clap::Args)]
pub struct Who {
    /// The program's own identifier of the member, or with --pseudonym the ledger's
    pub member: String,
    /// MEMBER is a pseudonym: 32 hex digits
    #[arg(long)]
    pub pseudonym: bool,
}

impl Who {
    /// The pseudonym, `None` when the identifier names nobody in this ledger.
    ///
    /// # Errors
    /// Exit 2 when it is no pseudonym; 4 when the keys cannot be read.
    pub fn find(&self, keys: &Keys) -> Result<Option<MemberId>> {
        if self.pseudonym {
            return self.member.parse().map(Some).map_err(Failure::usage);
        }
        keys.member(&self.member).map_err(Failure::unavailable)
    }

    /// The pseudonym of somebody who must be there.
    ///
    /// # Errors
    /// Exit 2 when nobody is.
    pub fn known(&self, keys: &Keys) -> Result<MemberId> {
        self.find(keys)?.ok_or_else(nobody)
    }
}

/// The identifier names nobody. It is not repeated: it may be a person's name.
pub fn nobody() -> Failure {
    Failure::usage(
        "no member of this ledger has this identifier: never enrolled, or erased; --pseudonym takes the ledger's own",
    )
}

/// Opens the ledger to write a row in it.
///
/// # Errors
/// Exit 4 when a node has it, with what to do.
pub fn alone(dir: &PathBuf) -> Result<Writer> {
    let origin = Reader::open(dir).and_then(|reader| reader.origin()).map_err(crate::ledger_errors)?;
    let options = Options::new(dir, &origin, runtime::clock::wall());
    match Writer::open(&options) {
        Ok((writer, _)) => Ok(writer),
        Err(error @ ledger::Error::Locked { .. }) => Err(Failure::unavailable(anyhow::anyhow!(
            "{error}. This is done while no node runs: stop it with SIGTERM, run the command again, start the node"
        ))),
        Err(error) => Err(crate::ledger_errors(error)),
    }
}

/// Refuses a purpose or reason without words.
///
/// # Errors
/// Exit 2.
pub fn stated<'a>(option: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    if text.is_empty() {
        Err(Failure::usage(format!("{option} says nothing; it is recorded for ever")))
    } else {
        Ok(text)
    }
}
