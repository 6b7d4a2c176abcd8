//! `largesse log losses`.

use std::path::PathBuf;

use domain::{Micros, Timestamp};
use ledger::{Filter, Reader};
use serde::Serialize;
use sim::losses::{self, Loss};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Columns, Format};

/// Say what each rule, cap and budget kept back, in money
#[derive(clap::Args)]
#[command(after_help = "\
Per decision: what its best candidate would have been worth, less what was chosen, by the policy's own
estimates. The control group alone measures effects. No key is needed.")]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Decisions in one segment
    #[arg(long, value_name = "ID")]
    segment: Option<String>,
    /// Decisions about events of this time or later (RFC 3339, or a day, which begins at midnight UTC)
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    since: Option<Timestamp>,
    /// Decisions about events before this time
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    until: Option<Timestamp>,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(Loss);

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["forgone", "decisions", "cause", "reason", "rule", "segment"];

    fn cells(self) -> Vec<String> {
        let Loss { cause, reason, rule, segment, decisions, forgone_micros } = self.0;
        // The word the record has.
        let cause = serde_json::to_value(cause).ok();
        let cause = cause.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned();
        vec![
            Micros(forgone_micros).to_string(),
            decisions.to_string(),
            cause,
            reason.to_owned(),
            rule.unwrap_or_default(),
            segment.unwrap_or_default(),
        ]
    }
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let filter =
        Filter { segment: args.segment.clone(), since: args.since, until: args.until, ..Filter::default() };
    let bar = output::progress("adding up");
    bar.set_length(reader.size().map_err(crate::ledger_errors)?);
    let losses = losses::losses(&reader, &filter, |row| bar.set_position(row));
    bar.finish_and_clear();
    let losses = losses.map_err(|error| match error {
        losses::Error::Ledger(error) => crate::ledger_errors(error),
        losses::Error::Explain(_) | losses::Error::Row { .. } => Failure::runtime(error),
    })?;
    output::rows(args.output, losses.into_iter().map(|loss| Ok(Line(loss))))?;
    Ok(Verdict::Ok)
}
