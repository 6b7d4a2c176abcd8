//! `largesse log hold`: legal holds.

use std::path::PathBuf;

use domain::MemberId;
use ledger::{Keys, Reader};
use serde::Serialize;
use serde_json::json;

use crate::exit::{Failure, Result, Verdict};
use crate::member::{alone, nobody, stated};
use crate::output::{self, Columns, Document, Format};

/// Keep a member's rows, or all, from being erased and pruned
#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a hold; no node may be running
    Add(Step),
    /// Release a hold; no node may be running
    Release(Step),
    /// List the holds in force
    List(List),
}

/// A hold over whom, and why
#[derive(clap::Args)]
#[command(after_help = "\
While a hold lasts, `member erase` refuses the member, and `log retention` keeps the member's rows and
every refused event; a hold over everything stops both. Holds are rows of the ledger. Holds over members
and the one over everything are released one by one. Exit codes: 2 there is one already, or none.")]
pub struct Step {
    /// The program's own identifier of the member, or with --pseudonym the ledger's
    #[arg(required_unless_present = "everything", conflicts_with = "everything")]
    member: Option<String>,
    /// MEMBER is a pseudonym: 32 hex digits
    #[arg(long)]
    pseudonym: bool,
    /// Everything in the ledger
    #[arg(long)]
    everything: bool,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Why, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// List the holds in force
#[derive(clap::Args)]
pub struct List {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Add(args) => step(args, true),
        Command::Release(args) => step(args, false),
        Command::List(args) => list(args),
    }
}

fn step(args: &Step, add: bool) -> Result {
    let reason = stated("--reason", &args.reason)?;
    let mut writer = alone(&args.dir)?;
    let member = whom(args, writer.keys())?;
    let holds =
        Reader::open(&args.dir).and_then(|reader| reader.legal_holds()).map_err(crate::ledger_errors)?;
    let whom = member.map_or_else(|| "everything".to_owned(), |member| format!("member {member}"));
    let known = holds.iter().find(|hold| hold.member == member);
    match known {
        Some(hold) if add => {
            return Err(Failure::usage(format!("{whom} is under a hold already (row {})", hold.seq)));
        }
        None if !add => return Err(Failure::usage(format!("there is no hold over {whom}"))),
        Some(_) | None => {}
    }
    let now = runtime::clock::wall();
    let appended =
        if add { writer.add_hold(now, member, reason) } else { writer.release_hold(now, member, reason) };
    let row = appended.map_err(crate::ledger_errors)?.first.0;
    let done = if add { "is under a legal hold" } else { "is under no hold of its own any more" };
    if args.output == Document::Table {
        output::line(&format!("row {row}: {whom} {done}"))?;
    } else {
        output::json(&json!({ "row": row, "member": member, "held": add }))?;
    }
    Ok(Verdict::Ok)
}

fn whom(args: &Step, keys: &Keys) -> Result<Option<MemberId>> {
    let Some(text) = &args.member else { return Ok(None) };
    let found = if args.pseudonym {
        Some(text.parse().map_err(Failure::usage)?)
    } else {
        keys.member(text).map_err(Failure::unavailable)?
    };
    let member = found.ok_or_else(nobody)?;
    match keys.find(member) {
        Ok(Some(_)) => Ok(Some(member)),
        Ok(None) => Err(nobody()),
        Err(error @ ledger::KeyError::Erased(_)) => Err(Failure::found_bad(error)),
        Err(error) => Err(Failure::unavailable(error)),
    }
}

#[derive(Serialize)]
struct Line {
    row: u64,
    since: String,
    member: Option<MemberId>,
    reason: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["row", "since", "member", "reason"];

    fn cells(self) -> Vec<String> {
        let member = self.member.map_or_else(|| "everything".to_owned(), |member| member.to_string());
        vec![self.row.to_string(), self.since, member, self.reason]
    }
}

fn list(args: &List) -> Result {
    let holds =
        Reader::open(&args.dir).and_then(|reader| reader.legal_holds()).map_err(crate::ledger_errors)?;
    if holds.is_empty() {
        output::say("no hold is in force");
    }
    let lines = holds.into_iter().map(|hold| {
        Ok(Line { row: hold.seq.0, since: hold.since.to_string(), member: hold.member, reason: hold.reason })
    });
    output::rows(args.output, lines)?;
    Ok(Verdict::Ok)
}
