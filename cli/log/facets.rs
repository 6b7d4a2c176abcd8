//! `largesse log facets`.

use std::path::PathBuf;

use ledger::{Facet, Reader};
use serde::Serialize;
use serde_json::json;

use super::asked::Asked;
use crate::exit::{Result, Verdict};
use crate::output::{self, Columns, Format};

/// Count rows by what they have
#[derive(clap::Args)]
#[command(after_help = "\
With several --by each is counted on its own, over the same rows. Days are those of the events, in UTC,
oldest first; everything else comes with the most rows first. Beside a running node the counts are as of
the moment the question began.")]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// By what to count; may be given several times
    #[arg(long, value_enum, value_name = "WHAT", required = true)]
    by: Vec<By>,
    #[command(flatten)]
    asked: Asked,
    /// Values of each at most; days are all shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

/// By what to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Kind,
    Outcome,
    Reason,
    Segment,
    Reward,
    Touchpoint,
    Policy,
    Models,
    Day,
    Member,
}

impl By {
    fn facet(self) -> Facet {
        match self {
            By::Kind => Facet::Kind,
            By::Outcome => Facet::Outcome,
            By::Reason => Facet::Reason,
            By::Segment => Facet::Segment,
            By::Reward => Facet::Reward,
            By::Touchpoint => Facet::Touchpoint,
            By::Policy => Facet::Policy,
            By::Models => Facet::Models,
            By::Day => Facet::Day,
            By::Member => Facet::Member,
        }
    }

    fn name(self) -> &'static str {
        match self {
            By::Kind => "kind",
            By::Outcome => "outcome",
            By::Reason => "reason",
            By::Segment => "segment",
            By::Reward => "reward",
            By::Touchpoint => "touchpoint",
            By::Policy => "policy",
            By::Models => "models",
            By::Day => "day",
            By::Member => "member",
        }
    }
}

/// One value with its rows.
#[derive(Serialize)]
struct Line {
    by: &'static str,
    value: Option<String>,
    rows: u64,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["by", "value", "rows"];

    fn cells(self) -> Vec<String> {
        vec![self.by.to_owned(), self.value.unwrap_or_else(|| "-".to_owned()), self.rows.to_string()]
    }
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let facets: Vec<Facet> = args.by.iter().map(|by| by.facet()).collect();
    let counted = reader.facets(&args.asked.filter(), &facets, args.limit).map_err(crate::ledger_errors)?;
    let lines = args.by.iter().zip(counted.by).flat_map(|(by, values)| {
        let shown = if *by == By::Day { values.len() } else { args.limit };
        values.into_iter().take(shown).map(|(value, rows)| Line { by: by.name(), value, rows })
    });
    if args.output == Format::Json {
        let lines: Vec<Line> = lines.collect();
        output::json(&json!({ "rows": counted.rows, "facets": lines }))?;
        return Ok(Verdict::Ok);
    }
    output::rows(args.output, lines.map(Ok))?;
    if counted.rows == 0 {
        output::say(args.asked.nothing());
    } else {
        output::say(&format!("{} rows in all", output::grouped(counted.rows)));
    }
    Ok(Verdict::Ok)
}
