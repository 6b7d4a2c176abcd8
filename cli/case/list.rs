//! `largesse case list`.

use std::path::PathBuf;

use ledger::Reader;
use ledger::cases::{Case, Cases};
use serde::Serialize;

use crate::exit::{Result, Verdict};
use crate::output::{self, Columns, Format};

/// List cases, the newest first
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Only those that are open
    #[arg(long)]
    open: bool,
    /// Only those in which a reversal waits for its second person
    #[arg(long)]
    waiting: bool,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
struct Line {
    case: String,
    opened_at: String,
    by: String,
    /// `open`, or the reason it was closed for.
    state: &'static str,
    decisions: usize,
    /// Reversals that wait for a second person.
    waiting: usize,
    reversed: usize,
    title: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] =
        &["case", "opened_at", "by", "state", "decisions", "waiting", "reversed", "title"];

    fn cells(self) -> Vec<String> {
        vec![
            self.case,
            self.opened_at,
            self.by,
            self.state.to_owned(),
            self.decisions.to_string(),
            self.waiting.to_string(),
            self.reversed.to_string(),
            self.title,
        ]
    }
}

impl Line {
    fn of(case: &Case) -> Line {
        let opened = case.entries.first();
        Line {
            case: case.id.to_string(),
            opened_at: opened.map(|entry| entry.at.to_string()).unwrap_or_default(),
            by: opened.map(|entry| entry.by.clone()).unwrap_or_default(),
            state: case.closed.map_or("open", |reason| reason.name()),
            decisions: case.decisions.len(),
            waiting: case.waiting().count(),
            reversed: case.confirmed().count(),
            title: case.title.clone(),
        }
    }
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let cases = Cases::load(&reader).map_err(crate::ledger_errors)?;
    let wanted = |case: &&Case| {
        (!args.open || case.closed.is_none()) && (!args.waiting || case.waiting().next().is_some())
    };
    let mut listed: Vec<&Case> = cases.iter().filter(wanted).collect();
    listed.sort_by_key(|case| std::cmp::Reverse(case.entries.first().map(|entry| entry.row)));
    if listed.is_empty() {
        output::say("there is no such case; `largesse case open` opens one");
    }
    output::rows(args.output, listed.into_iter().map(|case| Ok(Line::of(case))))?;
    Ok(Verdict::Ok)
}
