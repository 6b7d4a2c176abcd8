//! `largesse policy diff`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{Keys, Reader};
use policies::Bundle;
use policies::diff::Difference;
use serde::Serialize;
use sim::impact::Impact;

use super::impact::{Asked, affected, assess, is_nothing_recorded};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Columns, Format};

/// Say in words and numbers what differs between two bundles, and who is affected
#[derive(clap::Args)]
#[command(after_help = "\
With --log the recorded events of a ledger are decided under both, and it is counted for each segment how many
members are decided otherwise, are promised something only by the new one, or only by the old one. JSON then is one
document. `largesse policy impact` says what it costs and which decisions change.")]
pub struct Args {
    /// A folder, or a digest that the ledger in --dir or --log holds
    before: String,
    /// A folder, or a digest that the ledger in --dir or --log holds
    after: String,
    /// Folder of the ledger that holds bundles named by digest
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder of the ledger whose events say who is affected
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    log: Option<PathBuf>,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(Difference);

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["place", "before", "after"];

    fn cells(self) -> Vec<String> {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        vec![self.0.place, shown(self.0.before), shown(self.0.after)]
    }
}

pub fn run(args: &Args) -> Result {
    let ledger = args.log.as_deref().or(args.dir.as_deref());
    let before = super::named(&args.before, ledger)?;
    let after = super::named(&args.after, ledger)?;
    let differences = policies::diff::diff(&before, &after);
    let Some(log) = &args.log else {
        show(args.output, differences)?;
        return Ok(Verdict::Ok);
    };
    if !matches!(args.output, Format::Table | Format::Json) {
        return Err(Failure::usage(
            "who is affected is said as a table or as JSON; leave --log out for a list of differences",
        ));
    }
    let report = decided(log, before, after, args.onnxruntime.as_deref())?;
    if args.output == Format::Json {
        output::json(&serde_json::json!({
            "differences": differences,
            "affected": report.affected,
            "events": report.events,
            "decisions": report.decisions,
            "flipped": report.flipped,
        }))?;
        return Ok(Verdict::Ok);
    }
    show(args.output, differences)?;
    output::line(&format!("\n{}", concerned(&report)))?;
    Ok(Verdict::Ok)
}

fn show(format: Format, differences: Vec<Difference>) -> Result<()> {
    if differences.is_empty() && format == Format::Table {
        return output::line("nothing differs that decisions, or what is said of them, depend on");
    }
    output::rows(format, differences.into_iter().map(|difference| Ok(Line(difference))))
}

/// What a ledger's events come to under both.
fn decided(log: &Path, before: Bundle, after: Bundle, onnxruntime: Option<&Path>) -> Result<Impact> {
    let reader = Reader::open(log).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(log, None).map_err(Failure::unavailable)?;
    let asked = Asked { since: None, until: None, onnxruntime };
    let (assessment, _) = assess(&reader, &keys, &Arc::new(before), &Arc::new(after), &asked)?;
    Ok(assessment.report())
}

/// Who is affected, as people read it.
fn concerned(report: &Impact) -> String {
    if is_nothing_recorded(report) {
        return "nobody can be said to be affected: this ledger holds no events that could be decided again"
            .to_owned();
    }
    let total = |of: fn(&sim::impact::Affected) -> u64| report.affected.iter().map(of).sum::<u64>();
    let head = format!(
        "{} of {} members are decided otherwise at one of {} recorded events; {} are promised something only by the \
         new one, {} only by the old one",
        output::grouped(total(|of| of.decided_otherwise)),
        output::grouped(total(|of| of.members)),
        output::grouped(report.events),
        output::grouped(total(|of| of.gain)),
        output::grouped(total(|of| of.lose)),
    );
    std::iter::once(head).chain(affected(&report.affected)).collect::<Vec<_>>().join("\n")
}
