//! `largesse log prove`.

use std::path::PathBuf;

use ledger::Reader;
use serde_json::json;

use super::given;
use crate::exit::{Result, Verdict};
use crate::output::{Document, grouped};

/// Write a proof that one row is in the log: a small file that can be checked without the ledger
#[derive(clap::Args)]
#[command(after_help = "\
The file follows c2sp.org/tlog-proof. It holds the row's public columns, the digest of its sealed
part, the path to the root and the signed head: no personal value. Check it with `largesse log
check-proof`, with docs/verify/verify.py, or with any tool that knows the format.")]
pub struct Args {
    /// Decision id, event id or sequence number
    id: String,
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Prove it under this signed head, e.g. the one an auditor holds, instead of the newest
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Write the proof to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to say what was proven: for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let row = super::find(&reader, &args.id)?;
    let keys = given::keys(&reader, &args.dir, None)?;
    let (head, note) = match &args.head {
        Some(path) => given::head(&reader, &keys, path)?,
        None => given::newest(&reader, &keys)?,
    };
    let proof = reader.prove(row.seq, &head, &note).map_err(crate::ledger_errors)?;
    let said = format!(
        "row {} ({}) is under the head of {} rows: {} hashes, root {}",
        row.seq,
        row.kind.name(),
        grouped(head.size),
        proof.path.len(),
        head.root
    );
    let facts = json!({
        "row": row.seq.0, "kind": row.kind.name(), "id": super::list::uuid_text(row.record_id), "origin": head.origin,
        "rows": head.size, "root": head.root, "hashes": proof.path.len(),
    });
    given::hand_out(&proof.to_text(), args.out.as_deref(), args.output, &said, facts)?;
    Ok(Verdict::Ok)
}
