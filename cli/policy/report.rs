//! `largesse policy report`.

use std::path::PathBuf;

use ledger::Reader;
use sim::impact::Impact;

use super::{impact, place};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Show the newest recorded impact report of a submitted bundle: what an approval is bound to
#[derive(clap::Args)]
pub struct Args {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let bundle = place::digest(&reader, &args.bundle)?;
    let row = runtime::registry::report(&reader, bundle).map_err(crate::node_errors)?.ok_or_else(|| {
        Failure::usage(format!(
            "no report of {bundle} is recorded; `largesse policy impact --key` records one"
        ))
    })?;
    let body = row.body.unwrap_or_default();
    let report: Impact = serde_json::from_str(&body).map_err(Failure::runtime)?;
    let digest = domain::Digest::of(body.as_bytes());
    if args.output == Document::Json {
        output::json(&serde_json::json!({ "row": row.seq.0, "digest": digest, "impact": report }))?;
    } else {
        output::line(&impact::text(&report))?;
        output::line(&format!("\nimpact report {digest} (row {})", row.seq))?;
    }
    Ok(Verdict::Ok)
}
