//! `largesse pending list|approve|decline`: promises that wait for a person.

use std::path::PathBuf;

use domain::DecisionId;
use ledger::{Keys, Reader};
use policies::registry::Step;
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Columns, Format};
use crate::policy::take;
use crate::signing::Keyed;

pub const AFTER_HELP: &str = "\
A promise waits when its segment has autonomy = \"approve\", or when it costs as much as [approval] in program.toml
says. Its money is held meanwhile and the member hears nothing. Approved, it goes out like any other promise;
declined, or when its time runs out, the money goes back. Each answer is a signed row of the ledger.";

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the promises that wait for a person, oldest first
    List(List),
    /// Make a promise that waits (approvers)
    Approve(Answer),
    /// Decline a promise that waits (operators and approvers)
    Decline(Answer),
}

#[derive(clap::Args)]
pub struct List {
    /// Folder of the ledger; a node may run
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(clap::Args)]
pub struct Answer {
    /// Id of the decision; `largesse pending list` shows it
    #[arg(value_name = "DECISION")]
    decision: uuid::Uuid,
    /// Why, for the record; no personal data, for rows stay
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// A promise that waits.
#[derive(Serialize)]
struct Line {
    decision: String,
    row: u64,
    decided_at: String,
    runs_out: String,
    reward: String,
    segment: String,
    cost: String,
    member: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] =
        &["decision", "row", "decided at", "runs out", "reward", "segment", "cost", "member"];

    fn cells(self) -> Vec<String> {
        let Line { decision, row, decided_at, runs_out, reward, segment, cost, member } = self;
        vec![decision, row.to_string(), decided_at, runs_out, reward, segment, cost, member]
    }
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::List(args) => list(args),
        Command::Approve(args) => answer(args, true),
        Command::Decline(args) => answer(args, false),
    }
}

fn list(args: &List) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable)?;
    let identity = ledger::identity_of(&args.dir).map_err(crate::ledger_errors)?.unwrap_or_default();
    let registry = runtime::registry::load(&reader, &identity).map_err(crate::node_errors)?;
    let waiting = runtime::registry::waiting(&reader, &registry, &keys, runtime::clock::wall());
    let lines = waiting.map_err(crate::node_errors)?.into_iter().map(|waiting| {
        let (row, public) = (waiting.row, waiting.public);
        Line {
            decision: public.decision.to_string(),
            row: row.seq.0,
            decided_at: public.decided_at.to_string(),
            runs_out: public.valid_until.map(|until| until.to_string()).unwrap_or_default(),
            reward: row.reward.unwrap_or_default().to_string(),
            segment: row.segment.unwrap_or_default().to_string(),
            cost: public.cost.to_string(),
            member: row.member.map(|member| member.to_string()).unwrap_or_default(),
        }
    });
    output::rows(args.output, lines.map(Ok))?;
    Ok(Verdict::Ok)
}

fn answer(args: &Answer, approve: bool) -> Result {
    let decision = DecisionId(args.decision);
    let done = format!("{decision} {}", if approve { "is promised" } else { "is declined" });
    let found = args.keyed.place.find()?;
    take(&args.keyed, &found, Step::Answer { decision, approve, note: args.note.clone() }, &done)
}
