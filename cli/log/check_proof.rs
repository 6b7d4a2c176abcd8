//! `largesse log check-proof`.

use std::path::PathBuf;

use domain::Timestamp;
use ledger::note::Head;
use ledger::proof::{ConsistencyProof, InclusionProof, ProofError, Trust};
use ledger::{Kind, Public};
use serde_json::{Value, json};

use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Check a proof file without the ledger it is about
#[derive(clap::Args)]
#[command(after_help = "\
Give the log's public key, a signed head you received earlier, or both. With a head only, the
proof has to be under exactly that head. A consistency proof needs both: the head it starts from
is yours. Exit 3 names what does not hold.")]
pub struct Args {
    /// What `largesse log prove` or `largesse log consistency` wrote
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
    let text = given::file(&args.file)?;
    let trust = given::trust(args.key.as_deref(), args.head.as_deref())?;
    let checked = if text.starts_with("old ") {
        if trust.key.is_none() || trust.head.is_none() {
            return Err(Failure::usage(
                "this is a consistency proof: give --key, and the head it starts from with --head",
            ));
        }
        consistency(&text, &trust)
    } else {
        inclusion(&text, &trust)
    };
    match (checked, args.output) {
        (Ok((said, _)), Document::Table) => output::line(&said)?,
        (Ok((_, facts)), Document::Json) => output::json(&facts)?,
        (Err(error), Document::Table) => {
            return Err(Failure::found_bad(anyhow::anyhow!("{}: {error}", args.file.display())));
        }
        (Err(error), Document::Json) => {
            output::json(&json!({ "proven": false, "why": error.to_string() }))?;
            return Ok(Verdict::FoundBad);
        }
    }
    Ok(Verdict::Ok)
}

/// What a proof proves, for people and for programs.
type Proven = std::result::Result<(String, Value), ProofError>;

fn consistency(text: &str, trust: &Trust) -> Proven {
    let (old, head) = ConsistencyProof::from_text(text)?.check(trust)?;
    let said = format!(
        "proven: log {} of {} rows begins with the {} rows of your head",
        head.origin,
        grouped(head.size),
        grouped(old.size)
    );
    let facts = json!({
        "proven": true, "origin": head.origin, "old_rows": old.size, "old_root": old.root, "rows": head.size, "root": head.root,
    });
    Ok((said, facts))
}

fn inclusion(text: &str, trust: &Trust) -> Proven {
    let proof = InclusionProof::from_text(text)?;
    let head = proof.check(trust)?;
    let columns = proof.columns()?;
    Ok((said(&columns, &head, trust), facts(&columns, &head)))
}

fn kind(columns: &Public<'_>) -> String {
    let known = u8::try_from(columns.kind).ok().and_then(Kind::from_number);
    known.map_or_else(|| format!("kind {}", columns.kind), |kind| kind.name().to_owned())
}

fn id(columns: &Public<'_>) -> String {
    let whole: Option<[u8; 16]> = columns.record_id.try_into().ok();
    whole.map_or_else(|| domain::digest::hex(columns.record_id), super::list::uuid_text)
}

fn said(columns: &Public<'_>, head: &Head, trust: &Trust) -> String {
    let by = if trust.key.is_some() { "signed by the log's key" } else { "the one you gave" };
    let about = [("event", columns.event_id), ("segment", columns.segment), ("reward", columns.reward)];
    let about = about.iter().filter_map(|(name, value)| value.map(|value| format!(", {name} {value}")));
    format!(
        "proven: row {} is in log {} of {} rows; its head is {by}\n  {} {}, recorded {}{}\n  {}",
        columns.seq,
        head.origin,
        grouped(head.size),
        kind(columns),
        id(columns),
        Timestamp(columns.recorded_at),
        about.collect::<String>(),
        columns.body.unwrap_or("(its public part was pruned)")
    )
}

fn facts(columns: &Public<'_>, head: &Head) -> Value {
    let body = columns.body.map(|body| serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)));
    json!({
        "proven": true,
        "origin": head.origin,
        "rows": head.size,
        "root": head.root,
        "row": columns.seq,
        "kind": kind(columns),
        "id": id(columns),
        "recorded_at": Timestamp(columns.recorded_at).to_string(),
        "event_time": columns.event_time.map(|time| Timestamp(time).to_string()),
        "member": columns.member.map(domain::digest::hex),
        "event_id": columns.event_id,
        "segment": columns.segment,
        "reward": columns.reward,
        "bundle": columns.bundle.map(domain::digest::hex),
        "models": columns.models.map(domain::digest::hex),
        "semantics": columns.semantics,
        "public": body,
    })
}
