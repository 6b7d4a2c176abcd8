//! `largesse log evidence`.

use std::path::PathBuf;

use ledger::Reader;
use serde_json::json;
use sim::evidence::{self, DECISIONS_MAX, Evidence};

use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{Document, grouped};

/// Write everything that decisions rest on into one file, each row with its proof
#[derive(clap::Args)]
#[command(after_help = "\
For each decision: its row, the run, the models and the policy, what people signed about the policy with
their impact reports, and the certificate of the prices. Public parts only; nothing personal. Check it
with `largesse log check-evidence`, or row by row with docs/verify/verify.py.")]
pub struct Args {
    /// Decision ids, event ids or sequence numbers
    #[arg(required = true)]
    ids: Vec<String>,
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Prove it under this signed head, e.g. the one an auditor holds, instead of the newest
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to say what was collected: for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    if args.ids.len() > DECISIONS_MAX {
        return Err(Failure::usage(format!("at most {DECISIONS_MAX} decisions fit into one file")));
    }
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let rows = args.ids.iter().map(|id| super::find(&reader, id)).collect::<Result<Vec<_>>>()?;
    let keys = given::keys(&reader, &args.dir, None)?;
    let (head, note) = match &args.head {
        Some(path) => given::head(&reader, &keys, path)?,
        None => given::newest(&reader, &keys)?,
    };
    let evidence = Evidence::gather(&reader, &rows, &head, &note).map_err(|error| match error {
        evidence::Error::Ledger(error) => crate::ledger_errors(error),
        error @ evidence::Error::NotADecision(_) => Failure::usage(error),
        error @ (evidence::Error::Explain(_)
        | evidence::Error::Missing(_)
        | evidence::Error::Malformed(_)
        | evidence::Error::Unproven { .. }
        | evidence::Error::Contradiction { .. }) => Failure::found_bad(error),
    })?;
    let said = format!(
        "evidence about {} decisions: {} rows under the head of {} rows, root {}",
        evidence.about.len(),
        evidence.items.len(),
        grouped(head.size),
        head.root
    );
    let facts = json!({
        "about": evidence.about, "items": evidence.items.len(), "origin": head.origin, "rows": head.size, "root": head.root,
    });
    let text = serde_json::to_string_pretty(&evidence).map_err(Failure::runtime)?;
    given::hand_out(&text, args.out.as_deref(), args.output, &said, facts)?;
    Ok(Verdict::Ok)
}
