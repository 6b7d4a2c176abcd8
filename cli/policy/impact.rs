//! `largesse policy impact`.

use std::path::PathBuf;
use std::sync::Arc;

use ledger::{Keys, Reader};
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use policies::Bundle;
use policies::registry::Step;
use sim::impact::{self, Change, Impact, Slice};

use super::{Keyed, Place, named, take};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped, money};

/// Kinds of changed decisions that are shown; JSON has all of them.
const FLIPS_SHOWN: usize = 12;

/// Compute what a draft would have decided on a recorded ledger
#[derive(clap::Args)]
#[command(after_help = "\
Recorded events run through negotiation, budgets, caps and timers twice: under the policy in force and
under the draft. The same policy on both sides differs in nothing. Values are the policies' own, by
declared assumptions; only the control group measures effects.
With --key the report's digest is recorded, so that somebody else can approve the draft with it.")]
pub struct Args {
    /// Folder of the draft, or the digest of a submitted bundle
    draft: String,
    /// Folder of the ledger whose events are used
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// What to compare with instead of the policy in force: a folder or a digest
    #[arg(long, value_name = "BUNDLE")]
    against: Option<String>,
    /// Your key file: record the report in the ledger
    #[arg(long, value_name = "FILE", env = "LARGESSE_KEY")]
    key: Option<PathBuf>,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.log).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(&args.log, None).map_err(Failure::unavailable)?;
    let draft = Arc::new(named(&args.draft, Some(&args.log))?);
    let from = Arc::new(match &args.against {
        Some(against) => named(against, Some(&args.log))?,
        None => in_force(&args.log, &reader)?,
    });
    let bar = output::progress("reading");
    let recorded = impact::read(&reader, &keys, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let recorded = recorded.map_err(Failure::runtime)?;
    let choice = args.onnxruntime.clone().map_or(Choice::Embedded, Choice::Library);
    let engine = Engine::start(&choice).map_err(Failure::unavailable)?;
    let load = || Models::load(&engine, &Source::Shipped).map_err(Failure::unavailable);
    let bar = output::progress("deciding twice");
    bar.set_length(recorded.events.len() as u64);
    let report = impact::assess(&recorded, &from, &draft, (load()?, load()?), |done| {
        if done.is_multiple_of(512) {
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    let report = report.map_err(Failure::runtime)?;
    let digest = report.digest();
    if args.output == Document::Json {
        output::json(&serde_json::json!({ "digest": digest, "impact": report }))?;
    } else {
        output::line(&text(&report))?;
        output::line(&format!("\nimpact report {digest}"))?;
    }
    match &args.key {
        None => Ok(Verdict::Ok),
        Some(key) => {
            let place = Place { dir: Some(args.log.clone()), nats: None, prefix: None };
            let keyed = Keyed { place, key: key.clone(), output: Document::Table };
            take(&keyed, Step::Assess { bundle: draft.digest(), impact: digest }, None, "recorded")
        }
    }
}

fn in_force(dir: &std::path::Path, reader: &Reader) -> Result<Bundle> {
    let identity = ledger::identity_of(dir).map_err(crate::ledger_errors)?.unwrap_or_default();
    let registry = runtime::registry::load(reader, &identity).map_err(crate::node_errors)?;
    let digest = registry.in_force().ok_or_else(|| {
        Failure::usage("no node has ever run on this ledger; say with --against what to compare with")
    })?;
    runtime::opening::recorded_bundle(reader, digest).map_err(crate::node_errors)
}

fn text(report: &Impact) -> String {
    let currency = report.currency.as_str();
    let amount = |change: Change| {
        format!(
            "{} -> {}",
            money(domain::Micros(change.from), currency),
            money(domain::Micros(change.to), currency)
        )
    };
    let mut lines = vec![
        format!(
            "{} recorded events, from {} to {}",
            grouped(report.events),
            report.from.short(),
            report.to.short()
        ),
        format!(
            "{} of {} decisions come out differently; promises {}, cost {}, net value {}",
            grouped(report.flipped),
            number(report.decisions.from.max(report.decisions.to)),
            numbers(report.promises),
            amount(report.cost_micros),
            amount(report.net_micros)
        ),
    ];
    if report.erased > 0 {
        lines.push(format!("{} rows belong to erased members and were left out", grouped(report.erased)));
    }
    if !report.flips.is_empty() {
        let mut table = output::plain_table();
        table.set_header(["decisions", "now", "under the draft", "its reason"]);
        for flip in report.flips.iter().take(FLIPS_SHOWN) {
            table.add_row([&grouped(flip.decisions), &flip.from, &flip.to, flip.reason]);
        }
        lines.extend([String::new(), output::trimmed(&table)]);
        if report.flips.len() > FLIPS_SHOWN {
            lines.push(format!(" and {} more kinds", report.flips.len() - FLIPS_SHOWN));
        }
    }
    lines.extend([String::new(), slices("segment", &report.segments, &amount)]);
    lines.extend([String::new(), slices("reward", &report.rewards, &amount)]);
    let mut table = output::plain_table();
    table.set_header(["budget", "limit", "promised"]);
    for burn in &report.budgets {
        let shown = |change: Change| {
            if burn.id.starts_with("inventory/") { numbers(change) } else { amount(change) }
        };
        table.add_row([burn.id.clone(), shown(burn.limit), shown(burn.promised)]);
    }
    lines.extend([String::new(), output::trimmed(&table)]);
    let mut table = output::plain_table();
    table.set_header(["no promise because of", "decisions"]);
    for (reason, change) in report.reasons.iter().filter(|(_, change)| change.from != change.to) {
        table.add_row([(*reason).to_owned(), numbers(*change)]);
    }
    lines.extend([String::new(), output::trimmed(&table)]);
    lines.join("\n")
}

fn slices(what: &str, slices: &[Slice], amount: &dyn Fn(Change) -> String) -> String {
    let mut table = output::plain_table();
    table.set_header([what, "promises", "members", "cost", "net value"]);
    for slice in slices {
        table.add_row([
            slice.id.clone(),
            numbers(slice.promises),
            numbers(slice.members),
            amount(slice.cost_micros),
            amount(slice.net_micros),
        ]);
    }
    output::trimmed(&table)
}

fn number(number: i64) -> String {
    grouped(u64::try_from(number).unwrap_or(0))
}

fn numbers(change: Change) -> String {
    format!("{} -> {}", number(change.from), number(change.to))
}
