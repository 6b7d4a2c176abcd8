//! `largesse log show`.

use std::path::PathBuf;

use ledger::{Keys, Reader, Row};
use serde_json::{Value, json};

use super::list::uuid_text;
use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Show one row with everything recorded about it, as JSON
#[derive(clap::Args)]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Decision id, event id or sequence number
    id: String,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable)?;
    let row = super::find(&reader, &args.id)?;
    output::json(&document(&row, &keys))?;
    Ok(Verdict::Ok)
}

/// The row as JSON.
pub fn document(row: &Row, keys: &Keys) -> Value {
    let debits: Vec<Value> = row
        .debits
        .iter()
        .map(|posting| {
            json!({
                "budget": posting.budget, "limit": posting.limit, "reserved": posting.reserved,
                "committed": posting.committed, "reserved_after": posting.reserved_after,
                "committed_after": posting.committed_after,
            })
        })
        .collect();
    json!({
        "seq": row.seq.0,
        "id": uuid_text(row.record_id),
        "kind": row.kind.name(),
        "recorded_at": row.recorded_at.to_string(),
        "event_time": row.event_time.map(|time| time.to_string()),
        "run": row.epoch,
        "member": row.member,
        "event_id": row.event_id,
        "outcome": row.outcome,
        "reason": row.reason,
        "segment": row.segment,
        "reward": row.reward,
        "touchpoint": row.touchpoint,
        "bundle": row.bundle,
        "models": row.models,
        "semantics": row.semantics,
        "debits": debits,
        "leaf": row.leaf,
        "sealed_digest": row.sealed_digest,
        "public": row.body.as_deref().map_or_else(|| json!("pruned"), parsed),
        "personal": personal(row, keys),
    })
}

/// The body as JSON where it is, otherwise (a policy bundle) as text.
fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}

fn personal(row: &Row, keys: &Keys) -> Value {
    if row.sealed_digest.is_none() {
        return Value::Null;
    }
    let key = match row.member {
        Some(member) => match keys.find(member) {
            Ok(Some(key)) => key,
            Ok(None) | Err(_) => return json!("erased"),
        },
        None => keys.program_key(),
    };
    let Some(sealed) = &row.sealed else {
        return json!(if row.member.is_some() { "pruned" } else { "erased or pruned" });
    };
    match key.open(&row.record_id, sealed) {
        Ok(plain) => parsed(&String::from_utf8_lossy(&plain)),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
