//! `largesse policy impact`.

mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Digest, Timestamp};
use ledger::{Keys, Kind, Reader, Seq};
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use policies::Bundle;
use policies::registry::{Registry, Step};
use runtime::registry::Request;
use runtime::requests::Answer;
use sim::impact::{self, Assessment, Impact, Wanted};
pub use text::{affected, covered, is_nothing_recorded, text};
use text::{number, numbers};

use super::named;
use super::place::Place;
use super::steps::{Along, take_with};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};
use crate::signing::{Keyed, ledger_of, signed, unjudged};

/// How often new rows are looked for.
const FOLLOW_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Compute what a draft would have decided on a recorded ledger
#[derive(clap::Args)]
#[command(after_help = "\
Recorded events run through negotiation, budgets, caps and timers twice: under the policy in force and
under the draft. What the models said is taken from the log where it holds the same models' scores for the
same features. The same policy on both sides differs in nothing. Values are the policies' own, by
declared assumptions; only the control group measures effects.
With --key the report's digest is recorded, so that somebody else can approve the draft with it; JSON then says
in \"recorded\" what became of that. A ledger without events has nothing to compare: the report then says so.")]
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
    if args.output == Document::Table {
        output::line(&text(&report))?;
        output::line(&format!("\nimpact report {digest}"))?;
    }
    let step = Step::Assess { bundle: draft.digest(), impact: digest };
    match (&args.key, args.output) {
        (None, Document::Table) => Ok(Verdict::Ok),
        (Some(key), Document::Table) => {
            let keyed = keyed(args, key);
            let along = Along { attachment: Some(report.text()), tests: None };
            take_with(&keyed, &keyed.place.find()?, step, along, "recorded")
        }
        (key, Document::Json) => {
            let answer =
                key.as_ref().map(|key| put_on_record(&keyed(args, key), step, report.text())).transpose()?;
            output::json(&document(&report, answer.as_ref()))?;
            Ok(if matches!(answer, Some(Answer::Refused { .. })) { Verdict::FoundBad } else { Verdict::Ok })
        }
    }
}

fn keyed(args: &Args, key: &Path) -> Keyed {
    let place = Place { dir: Some(args.log.clone()), nats: None, prefix: None, ledger: None };
    Keyed { place, key: key.to_owned(), write: None, output: args.output }
}

/// Has the report recorded and says nothing, so that the one JSON document can.
fn put_on_record(keyed: &Keyed, step: Step, report: String) -> Result<Answer> {
    let found = keyed.place.find()?;
    let signed = signed(&keyed.person()?, ledger_of(keyed, &found)?, step);
    let request = Request { signed, attachment: Some(report), tests: None }.into();
    crate::block_on(async { found.ask(&request).await.map_err(unjudged) })
}

/// What is said about the report stands beside it: an approval is bound to the report's own bytes.
pub fn document(report: &Impact, recorded: Option<&Answer>) -> serde_json::Value {
    let mut document = serde_json::json!({ "digest": report.digest(), "impact": report });
    if is_nothing_recorded(report) {
        document["nothing_recorded"] = true.into();
    }
    if let Some(answer) = recorded {
        document["recorded"] = serde_json::json!(answer);
    }
    document
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
/// When the ledger cannot be read, a bundle not be negotiated, or one counts in another currency than the ledger.
pub fn assess(
    reader: &Reader,
    keys: &Keys,
    from: &Arc<Bundle>,
    draft: &Arc<Bundle>,
    asked: &Asked,
) -> Result<(Assessment, Wanted)> {
    for bundle in [from, draft] {
        counts_in_its_currency(reader, bundle)?;
    }
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

/// Recorded amounts are those of the ledger's currency: in another one they would be other money.
fn counts_in_its_currency(reader: &Reader, bundle: &Bundle) -> Result<()> {
    let starts = reader.of_kinds(&[Kind::Start]).map_err(crate::ledger_errors)?;
    let Some(started) = starts.last().and_then(|row| row.bundle) else { return Ok(()) };
    let started = runtime::opening::recorded_bundle(reader, started).map_err(crate::node_errors)?;
    let (found, here) = (&bundle.program().currency, &started.program().currency);
    if found == here {
        return Ok(());
    }
    Err(Failure::found_bad(anyhow::anyhow!(
        "{} counts in {found}, the events of this ledger in {here}: they cannot be compared",
        bundle.digest()
    )))
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
