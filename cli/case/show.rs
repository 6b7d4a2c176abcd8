//! `largesse case show`.

use std::path::{Path, PathBuf};

use domain::DecisionId;
use ledger::cases::{Attachment, Case, Cases, Confirmed, Entry, Reversal, Step};
use ledger::{Kind, Reader};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Show a case with every step, and what became of its reversals
#[derive(clap::Args)]
#[command(after_help = "\
Nothing personal is shown; `largesse log explain DECISION --purpose TEXT --case CASE` opens a decision.
Exit code 3: with --check, the file is none of those that were attached.")]
pub struct Args {
    /// The case, by its id or the first digits
    case: String,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Say instead whether this file is one that was attached
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// A case as programs get it.
#[derive(Serialize)]
struct Shown<'a> {
    case: String,
    title: &'a str,
    /// `open`, or the reason it was closed for.
    state: &'static str,
    decisions: Vec<Decision<'a>>,
    steps: Vec<Line<'a>>,
}

/// A decision in a case.
#[derive(Serialize)]
struct Decision<'a> {
    decision: DecisionId,
    row: Option<u64>,
    outcome: Option<&'static str>,
    reward: Option<String>,
    reversal: Option<Taken<'a>>,
}

/// How far a reversal has come.
#[derive(Serialize)]
struct Taken<'a> {
    asked_by: &'a str,
    confirmed_by: Option<&'a str>,
    /// `waits` for a second person, is `confirmed` and not yet taken by a node, `taken_back`, or `too_late`: the promise
    /// ended before a node came to it.
    state: &'static str,
    /// The row in which the node took it, or found it too late.
    row: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    row: u64,
    at: String,
    by: &'a str,
    #[serde(flatten)]
    step: &'a Step,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let cases = Cases::load(&reader).map_err(crate::ledger_errors)?;
    let id = super::named::among(&cases, &args.case)?;
    let case = cases.get(id).ok_or_else(|| Failure::usage(format!("there is no case {id}")))?;
    if let Some(path) = &args.check {
        return check(case, path);
    }
    let shown = Shown {
        case: case.id.to_string(),
        title: &case.title,
        state: case.closed.map_or("open", |reason| reason.name()),
        decisions: case.decisions.iter().map(|id| decision(&reader, case, *id)).collect::<Result<_>>()?,
        steps: case.entries.iter().map(line).collect(),
    };
    match args.output {
        Document::Json => output::json(&shown)?,
        Document::Table => output::line(&text(&shown))?,
    }
    Ok(Verdict::Ok)
}

fn line(entry: &Entry) -> Line<'_> {
    Line { row: entry.row.0, at: entry.at.to_string(), by: &entry.by, step: &entry.step }
}

fn decision<'a>(reader: &Reader, case: &'a Case, id: DecisionId) -> Result<Decision<'a>> {
    let row = reader.record(id.0.as_bytes()).map_err(crate::ledger_errors)?;
    let reversal = case.reversals.get(&id).map(|reversal| taken(reader, reversal)).transpose()?;
    Ok(Decision {
        decision: id,
        row: row.as_ref().map(|row| row.seq.0),
        outcome: row.as_ref().and_then(|row| row.outcome).map(domain::Outcome::name),
        reward: row.and_then(|row| row.reward),
        reversal,
    })
}

fn taken<'a>(reader: &Reader, reversal: &'a Reversal) -> Result<Taken<'a>> {
    let (asked_by, confirmed) = (reversal.asked_by.as_str(), reversal.confirmed.as_ref());
    let Some(confirmed) = confirmed else {
        return Ok(Taken { asked_by, confirmed_by: None, state: "waits", row: None });
    };
    let (state, row) = effect(reader, confirmed)?;
    Ok(Taken { asked_by, confirmed_by: Some(&confirmed.by), state, row })
}

/// What the node made of a confirmed reversal.
fn effect(reader: &Reader, confirmed: &Confirmed) -> Result<(&'static str, Option<u64>)> {
    let event = confirmed.event_id().parse().map_err(Failure::runtime)?;
    let row = reader.event(&event).map_err(crate::ledger_errors)?;
    Ok(match row {
        None => ("confirmed", None),
        Some(row) if row.kind == Kind::DeadLetter => ("too_late", Some(row.seq.0)),
        Some(row) => ("taken_back", Some(row.seq.0)),
    })
}

fn text(shown: &Shown) -> String {
    let mut lines = vec![format!("case {} ({}): {}", shown.case, shown.state, shown.title), String::new()];
    for decision in &shown.decisions {
        let row = decision.row.map(|row| format!("row {row}")).unwrap_or_default();
        let outcome = [decision.outcome, decision.reward.as_deref()].into_iter().flatten();
        let outcome = outcome.collect::<Vec<_>>().join(" ");
        lines.push(format!("  decision {}, {row}: {outcome}", decision.decision));
        lines.extend(decision.reversal.as_ref().map(reversal));
    }
    lines.push(String::new());
    let mut table = output::plain_table();
    table.set_header(["row", "at", "by", "step", ""]);
    for line in &shown.steps {
        let said = [line.row.to_string(), line.at.clone(), line.by.to_owned(), line.step.name().to_owned()];
        table.add_row(said.into_iter().chain([detail(line.step)]));
    }
    lines.push(output::trimmed(&table));
    lines.join("\n")
}

fn reversal(taken: &Taken) -> String {
    let row = taken.row.map(|row| format!(" (row {row})")).unwrap_or_default();
    let confirmed = taken.confirmed_by.map(|by| format!(", {by} confirmed")).unwrap_or_default();
    let state = match taken.state {
        "waits" => "waits for an approver who confirms it",
        "confirmed" => "the next node that runs takes the promise back",
        "too_late" => "too late: the promise had ended",
        _ => "the promise was taken back",
    };
    format!("    reversal: {} asked{confirmed}; {state}{row}", taken.asked_by)
}

fn detail(step: &Step) -> String {
    match step {
        Step::Open { about, .. } => format!("decisions: {}", about.len()),
        Step::Note { text, .. } => text.clone(),
        Step::Attach { what: Attachment::Decision { decision }, .. } | Step::Confirm { decision, .. } => {
            format!("decision {decision}")
        }
        Step::Attach { what: Attachment::File { name, bytes, sha256 }, .. } => {
            format!("{name}, {bytes} bytes, SHA-256 {sha256}")
        }
        Step::Reverse { decision, why, .. } | Step::Withdraw { decision, why, .. } => {
            format!("decision {decision}: {why}")
        }
        Step::Close { reason, .. } => format!("{}: {}", reason.name(), reason.text()),
    }
}

/// Whether a file is one of those that were attached, by its content.
fn check(case: &Case, path: &Path) -> Result {
    let Attachment::File { bytes, sha256, .. } = super::steps::file(path)? else {
        return Ok(Verdict::FoundBad);
    };
    let attached = case.entries.iter().find_map(|entry| match &entry.step {
        Step::Attach { what: Attachment::File { name, sha256: attached, .. }, .. } if *attached == sha256 => {
            Some((name, entry))
        }
        Step::Attach { .. }
        | Step::Open { .. }
        | Step::Note { .. }
        | Step::Reverse { .. }
        | Step::Confirm { .. }
        | Step::Withdraw { .. }
        | Step::Close { .. } => None,
    });
    match attached {
        Some((name, entry)) => {
            let said = format!("{} is {name}, attached by {} in row {}", path.display(), entry.by, entry.row);
            output::line(&said)?;
            Ok(Verdict::Ok)
        }
        None => {
            output::line(&format!(
                "no file of {bytes} bytes with SHA-256 {sha256} was attached to the case"
            ))?;
            Ok(Verdict::FoundBad)
        }
    }
}
