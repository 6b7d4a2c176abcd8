//! `largesse log retention` and `largesse log compact`.

use std::path::PathBuf;

use domain::Timestamp;
use domain::time::DAY;
use ledger::{Needed, Prunable, Reader, Retention};
use serde_json::{Value, json};

use crate::exit::{Failure, Result, Verdict};
use crate::member::alone;
use crate::output::{self, Document, grouped};

/// Prune the sealed parts, then the bodies, of old rows; no node may be running
#[derive(clap::Args)]
#[command(after_help = "\
Events, decisions and refused events lose their personal part after --sealed-days and their body after
--body-days; certificates of negotiations lose their body. Leaf, columns and debits stay: old proofs and
`log verify` hold, budgets add up, a redelivered event still finds its row. What was pruned is called so
by `log show`, `log explain` and `replay`.
Whatever its age, a row stays that is under a legal hold, is a promise that has not run out, may not be
published yet, belongs to a negotiation of the present run, or is newer than its member's stored state
(states are written first). Policies, budgets, runs and steps of people are never pruned.
The run is a row of the ledger. `largesse log compact` gives the space back to the disk.")]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["sealed_days", "body_days"])))]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Keep personal parts for this many days
    #[arg(long, value_name = "N")]
    sealed_days: Option<u32>,
    /// Keep bodies for this many days
    #[arg(long, value_name = "M")]
    body_days: Option<u32>,
    /// Only say what would be pruned; also beside a running node
    #[arg(long)]
    dry_run: bool,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// Give the space of what was pruned and erased back to the disk; no node may be running
#[derive(clap::Args)]
#[command(after_help = "\
Writes ledger.db anew without its free pages and cuts its write-ahead log. Rows, proofs and heads are
the same. Needs room for a second copy meanwhile.")]
pub struct Compact {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    if let (Some(sealed), Some(body)) = (args.sealed_days, args.body_days)
        && body < sealed
    {
        return Err(Failure::usage(
            "a body goes with its personal part: --body-days is at least --sealed-days",
        ));
    }
    let now = runtime::clock::wall();
    let before = |days: Option<u32>| days.map(|days| Timestamp(now.0.saturating_sub(i64::from(days) * DAY)));
    let retention =
        Retention { sealed_before: before(args.sealed_days), bodies_before: before(args.body_days) };
    if args.dry_run {
        let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
        let found = reader.prunable(retention, now).map_err(crate::ledger_errors)?;
        show(args, &report(&found, &[]), "would lose")?;
        return Ok(Verdict::Ok);
    }
    let mut writer = alone(&args.dir)?;
    let found = writer.reader().and_then(|reader| reader.prunable(retention, now)).map_err(errors)?;
    runtime::states::write(&mut writer, &found.behind).map_err(Failure::runtime)?;
    let days = json!({ "sealed_days": args.sealed_days, "body_days": args.body_days });
    let done = writer.prune(now, retention, &days).map_err(errors)?;
    let rows: Vec<u64> = done.seqs.iter().map(|seq| seq.0).collect();
    let needed = done.needed.iter().map(|(needed, rows)| (needed.name().to_owned(), json!(rows)));
    let needed: serde_json::Map<String, Value> = needed.collect();
    let said = json!({ "sealed": done.sealed, "bodies": done.bodies, "kept": needed, "rows": rows });
    show(args, &said, "lost")?;
    Ok(Verdict::Ok)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other errors mean what they mean everywhere")]
fn errors(error: ledger::Error) -> Failure {
    match error {
        ledger::Error::Held { .. } => Failure::found_bad(error),
        ledger::Error::ReadMeanwhile => Failure::unavailable(error),
        other => crate::ledger_errors(other),
    }
}

fn report(found: &Prunable, rows: &[u64]) -> Value {
    let needed = found.needed.iter().map(|(needed, rows)| (needed.name().to_owned(), json!(rows)));
    // States are written first, so rows that wait for one do not stay.
    let needed = needed.filter(|(name, _)| name != Needed::State.name() || found.behind.is_empty());
    let needed: serde_json::Map<String, Value> = needed.collect();
    json!({
        "sealed": found.sealed.len(), "bodies": found.bodies.len(), "kept": needed, "rows": rows,
        "states_to_write": found.behind.len(),
    })
}

fn show(args: &Args, said: &Value, verb: &str) -> Result<()> {
    if args.output == Document::Json {
        return output::json(said);
    }
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    output::line(&format!(
        "{} rows {verb} their personal part, {} their body",
        number(&said["sealed"]),
        number(&said["bodies"])
    ))?;
    for (why, rows) in said["kept"].as_object().into_iter().flatten() {
        output::line(&format!("{} old rows stay: {}", number(rows), why.replace('_', " ")))?;
    }
    if said["states_to_write"].as_u64().unwrap_or(0) > 0 {
        let members = number(&said["states_to_write"]);
        output::line(&format!("rows of {members} members more, once their states are written"))?;
    }
    if let Some(rows) = said["rows"].as_array().filter(|rows| !rows.is_empty()) {
        output::line(&format!(
            "recorded in row {}",
            rows.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
        ))?;
    }
    Ok(())
}

pub fn compact(args: &Compact) -> Result {
    let size = || std::fs::metadata(ledger::Files::of(&args.dir, None).database).map_or(0, |file| file.len());
    let mut writer = alone(&args.dir)?;
    let before = size();
    writer.compact().map_err(errors)?;
    if args.output == Document::Table {
        output::line(&format!("{} bytes before, {} bytes now", grouped(before), grouped(size())))?;
    } else {
        output::json(&json!({ "bytes_before": before, "bytes": size() }))?;
    }
    Ok(Verdict::Ok)
}
