//! `largesse policy impact`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Digest, Timestamp};
use ledger::{Keys, Reader, Seq};
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use policies::Bundle;
use policies::registry::{Registry, Step};
use sim::impact::{self, Assessment, Change, Impact, Slice, Wanted};

use super::place::Place;
use super::{named, take};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped, money};
use crate::signing::Keyed;

/// How often new rows are looked for.
const FOLLOW_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// Kinds of changed decisions that are shown; JSON has all of them.
const FLIPS_SHOWN: usize = 12;

/// Compute what a draft would have decided on a recorded ledger
#[derive(clap::Args)]
#[command(after_help = "\
Recorded events run through negotiation, budgets, caps and timers twice: under the policy in force and
under the draft. What the models said is taken from the log where it holds the same models' scores for the
same features. The same policy on both sides differs in nothing. Values are the policies' own, by
declared assumptions; only the control group measures effects.
With --key the report's digest is recorded, so that somebody else can approve the draft with it.")]
pub struct Args {
    /// Folder of the draft, or the digest of a submitted bundle
    draft: String,
    /// Folder of the ledger whose events are used
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// What to compare with instead of the policy in force: a folder or a digest. Such a report is not recorded: an approval
    /// is about what changes
    #[arg(long, value_name = "BUNDLE", conflicts_with = "key")]
    against: Option<String>,
    /// Compare only what was recorded since the bundle went into shadow
    #[arg(long)]
    shadow: bool,
    /// Go on as a running node records more, until Ctrl-C; then the report
    #[arg(long)]
    follow: bool,
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
    let registry = registry(&args.log, &reader)?;
    let from = Arc::new(match &args.against {
        Some(against) => named(against, Some(&args.log))?,
        None => in_force(&registry, &reader)?,
    });
    let since = if args.shadow { Some(shadowed(&registry, draft.digest())?) } else { None };
    let asked = Asked { since, until: None, onnxruntime: args.onnxruntime.as_deref() };
    let (mut assessment, wanted) = assess(&reader, &keys, &from, &draft, &asked)?;
    if args.follow {
        crate::block_on(follow(&reader, &keys, wanted, &mut assessment))?;
    }
    let report = assessment.report();
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
            let place = Place { dir: Some(args.log.clone()), nats: None, prefix: None, ledger: None };
            let keyed = Keyed { place, key: key.clone(), write: None, output: Document::Table };
            let step = Step::Assess { bundle: draft.digest(), impact: digest };
            take(&keyed, step, Some(report.text()), "recorded")
        }
    }
}

/// Which of the recorded events are used, and what scores them.
pub struct Asked<'a> {
    pub since: Option<Timestamp>,
    pub until: Option<Seq>,
    pub onnxruntime: Option<&'a Path>,
}

/// Runs the recorded events under both policies; also says what comes after them.
///
/// # Errors
/// When the ledger cannot be read, or a bundle not be negotiated.
pub fn assess(
    reader: &Reader,
    keys: &Keys,
    from: &Arc<Bundle>,
    draft: &Arc<Bundle>,
    asked: &Asked,
) -> Result<(Assessment, Wanted)> {
    let choice = asked.onnxruntime.map_or(Choice::Embedded, |library| Choice::Library(library.to_owned()));
    let engine = Engine::start(&choice).map_err(Failure::unavailable)?;
    let load = || Models::load(&engine, &Source::Shipped).map_err(Failure::unavailable);
    let models = (load()?, load()?);
    let (since, until) = (asked.since, asked.until);
    let mut wanted = Wanted { after: Seq::START, until, since, models: models.0.digest() };
    let mut assessment = Assessment::new(from, draft, models, since).map_err(Failure::runtime)?;
    let bar = output::progress("reading");
    let recorded = impact::read(reader, keys, wanted, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let recorded = recorded.map_err(Failure::runtime)?;
    let bar = output::progress("deciding twice");
    bar.set_length(recorded.events.len() as u64);
    let taken = assessment.take(&recorded, |done| {
        if done.is_multiple_of(512) {
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    taken.map_err(Failure::runtime)?;
    wanted.after = recorded.last;
    Ok((assessment, wanted))
}

/// Takes what a running node goes on to record, and says what came of it, until a signal.
async fn follow(reader: &Reader, keys: &Keys, mut wanted: Wanted, assessment: &mut Assessment) -> Result<()> {
    let signal = crate::serve::signalled();
    tokio::pin!(signal);
    loop {
        tokio::select! {
            () = &mut signal => return Ok(()),
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
        let more = impact::read(reader, keys, wanted, |_, _| {}).map_err(Failure::runtime)?;
        wanted.after = more.last;
        if more.events.is_empty() {
            continue;
        }
        assessment.take(&more, |_| {}).map_err(Failure::runtime)?;
        let report = assessment.report();
        output::say(&format!(
            "row {}: {} events, {} of {} decisions differ, promises {}",
            more.last,
            grouped(report.events),
            grouped(report.flipped),
            number(report.decisions.from.max(report.decisions.to)),
            numbers(report.promises),
        ));
    }
}

fn registry(dir: &Path, reader: &Reader) -> Result<Registry> {
    let identity = ledger::identity_of(dir).map_err(crate::ledger_errors)?.unwrap_or_default();
    runtime::registry::load(reader, &identity).map_err(crate::node_errors)
}

/// Since when a bundle is in shadow.
fn shadowed(registry: &Registry, draft: Digest) -> Result<Timestamp> {
    registry.shadows().get(&draft).copied().ok_or_else(|| {
        Failure::usage(format!("{draft} is not in shadow here; `largesse policy shadow` puts it there"))
    })
}

fn in_force(registry: &Registry, reader: &Reader) -> Result<Bundle> {
    let digest = registry.in_force().ok_or_else(|| {
        Failure::usage("no node has ever run on this ledger; say with --against what to compare with")
    })?;
    runtime::opening::recorded_bundle(reader, digest).map_err(crate::node_errors)
}

/// The report as people read it.
pub fn text(report: &Impact) -> String {
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
            "{} recorded events{}, from {} to {}",
            grouped(report.events),
            report.since.map_or_else(String::new, |since| format!(" since {since}")),
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
            table.add_row([&grouped(flip.decisions), &flip.from, &flip.to, &flip.reason]);
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
        table.add_row([reason.clone(), numbers(*change)]);
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
