//! `largesse log check-evidence`.

use std::path::PathBuf;

use serde_json::json;
use sim::evidence::Evidence;

use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Check an evidence file without the ledger it is about
#[derive(clap::Args)]
#[command(after_help = "\
Give the log's public key, a signed head you received earlier, or both. Checked are every row's proof,
the policy's digest, what people signed about it, and the certificate of the prices, by the independent
checker. A decision without its run, models or policy is refused. Whether a step or a certificate was left
out of the file only the log can tell: the file then says that it holds none. Exit 3 names what does not hold.")]
pub struct Args {
    /// What `largesse log evidence` wrote
    file: PathBuf,
    /// The log's public key: a verifier.txt, or the key itself
    #[arg(long, value_name = "KEY", required_unless_present = "head")]
    key: Option<String>,
    /// A signed head you received earlier
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let trust = given::trust(args.key.as_deref(), args.head.as_deref())?;
    let text = given::file(&args.file)?;
    let (head, holds) = match Evidence::from_text(&text).and_then(|evidence| evidence.check(&trust)) {
        Ok(checked) => checked,
        Err(error) if args.output == Document::Json => {
            output::json(&json!({ "proven": false, "why": error.to_string() }))?;
            return Ok(Verdict::FoundBad);
        }
        Err(error) => {
            return Err(Failure::found_bad(anyhow::anyhow!("{}: {error}", args.file.display())));
        }
    };
    if args.output == Document::Json {
        output::json(&json!({
            "proven": true, "origin": head.origin, "rows": head.size, "root": head.root, "decisions": holds,
        }))?;
        return Ok(Verdict::Ok);
    }
    output::line(&format!("proven: the rows are in log {} of {} rows", head.origin, grouped(head.size)))?;
    for decision in &holds {
        let prices = decision.prices.as_ref().map_or_else(
            || "no certificate of its prices is in this file".to_owned(),
            |prices| {
                let gap = output::percent(u64::from(prices.gap_ppm));
                format!(
                    "its prices are {}, at most {gap} from the best possible plan (row {}, verified again)",
                    prices.status, prices.row
                )
            },
        );
        output::line(&format!(
            "  row {}: decision {} was {} ({}) under policy {}; {prices}",
            decision.row,
            decision.decision,
            decision.outcome,
            decision.reason,
            decision.policy.short()
        ))?;
        for (step, by, row) in &decision.steps {
            output::line(&format!("    {step} signed by {by} (row {row})"))?;
        }
        if decision.steps.is_empty() {
            output::line(
                "    nothing that people signed about this policy, and no kill switch, is in this file",
            )?;
        }
    }
    Ok(Verdict::Ok)
}
