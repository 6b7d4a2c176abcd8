//! `largesse log show`.

use std::path::PathBuf;

use ledger::{Keys, Reader, Row};
use serde_json::{Value, json};

use super::list::uuid_text;
use crate::exit::{Failure, Result, Verdict};
use crate::output;
use crate::reading::{self, Who, Whose};

/// Show one row with everything recorded about it, as JSON
#[derive(clap::Args)]
#[command(after_help = "\
Without --purpose the public part only; a personal part is called sealed, erased or pruned. With it
the personal part is opened, once a row of the ledger says who asked and why (`largesse log readings`
lists them); a running node records it. On a copy that cannot be written nothing is opened (exit 4).")]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Decision id, event id or sequence number
    id: String,
    /// Open the personal part: why, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    who: Who,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let row = super::find(&reader, &args.id)?;
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable);
    let Some(purpose) = &args.purpose else {
        let personal = unopened(&row, keys.ok().as_ref());
        if personal == Some(SEALED) {
            output::say("the personal part is sealed; --purpose TEXT opens it, and is recorded");
        }
        output::json(&with(&row, personal.into()))?;
        return Ok(Verdict::Ok);
    };
    let keys = keys?;
    if unopened(&row, Some(&keys)) == Some(SEALED) {
        let whose = Whose { member: row.member, row: Some(row.seq.0) };
        reading::record(&args.dir, &args.who, "log show", purpose, whose)?;
    }
    output::json(&document(&row, &keys))?;
    Ok(Verdict::Ok)
}

/// What a personal part is called that could be opened.
const SEALED: &str = "sealed";

/// What is said of a personal part that is not opened.
fn unopened(row: &Row, keys: Option<&Keys>) -> Option<&'static str> {
    row.sealed_digest?;
    match (row.member, keys) {
        (Some(member), Some(keys)) if !matches!(keys.find(member), Ok(Some(_))) => return Some("erased"),
        (Some(_) | None, _) => {}
    }
    Some(match (&row.sealed, row.member.is_some() && keys.is_some()) {
        (Some(_), _) => SEALED,
        (None, true) => "pruned",
        (None, false) => "erased or pruned",
    })
}

/// The row as JSON, with its personal part opened.
pub fn document(row: &Row, keys: &Keys) -> Value {
    with(row, personal(row, keys))
}

/// The row as JSON, with this said of its personal part.
fn with(row: &Row, personal: Value) -> Value {
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
        "personal": personal,
    })
}

/// The body as JSON where it is, otherwise (a policy bundle) as text.
fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}

fn personal(row: &Row, keys: &Keys) -> Value {
    let (Some(said), Some(sealed)) = (unopened(row, Some(keys)), &row.sealed) else {
        return json!(unopened(row, Some(keys)));
    };
    let key = match row.member {
        Some(member) => match keys.find(member) {
            Ok(Some(key)) => key,
            Ok(None) | Err(_) => return json!(said),
        },
        None => keys.program_key(),
    };
    match key.open(&row.record_id, sealed) {
        Ok(plain) => parsed(&String::from_utf8_lossy(&plain)),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
