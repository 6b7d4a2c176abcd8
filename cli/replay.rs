//! `largesse replay`: decisions recomputed from their recorded inputs.

mod under;

use std::path::{Path, PathBuf};

use ledger::Reader;
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use sim::replay::{self, Difference, Report};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};
use crate::reading::{self, Who, Whose};

/// Recompute decisions from their recorded inputs and compare them byte for byte
#[derive(clap::Args)]
#[command(
    group(clap::ArgGroup::new("scope").required(true).args(["all", "range", "id"])),
    after_help = "\
What differs is named by row and field. Values of personal fields are shown with --purpose only, once a
row of the ledger says who asked and why. So is what a policy would have decided that the ledger does not hold:
its rules could be questions about a member."
)]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Every decision of the ledger
    #[arg(long)]
    all: bool,
    /// Rows A to B by sequence number, e.g. 100..200
    #[arg(long, value_name = "A..B")]
    range: Option<String>,
    /// One decision: its id, event id or sequence number
    id: Option<String>,
    /// Also run the models again on the rebuilt features and compare their scores, within a small tolerance
    #[arg(long, conflicts_with = "under")]
    reinfer: bool,
    /// Answer instead what would have been decided under another policy: a folder, or a digest the ledger holds
    #[arg(long, value_name = "BUNDLE")]
    under: Option<String>,
    /// libonnxruntime.so to run the models with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Folder of the models, instead of the shipped ones
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Show the values of personal fields that differ, or ask under a policy the ledger does not hold: why, for the
    /// record; never name a person here
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    who: Who,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// The models the arguments name.
fn models(args: &Args) -> Result<Models> {
    let choice = args.onnxruntime.clone().map_or(Choice::Embedded, Choice::Library);
    let engine = Engine::start(&choice).map_err(Failure::unavailable)?;
    let source = args.models.clone().map_or(Source::Shipped, Source::Folder);
    Models::load(&engine, &source).map_err(Failure::unavailable)
}

pub fn run(args: &Args) -> Result {
    let scope = match (&args.range, &args.id) {
        (Some(range), _) => {
            let (range, reader) =
                (parse_range(range)?, Reader::open(&args.dir).map_err(crate::ledger_errors)?);
            let size = reader.size().map_err(crate::ledger_errors)?;
            if *range.start() > size {
                return Err(Failure::usage(format!("the ledger ends at row {size}")));
            }
            Some(range)
        }
        (None, Some(id)) => {
            let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?.as_found();
            let row = crate::log::find(&reader, id)?;
            if !matches!(
                row.kind,
                ledger::Kind::Decision | ledger::Kind::Observed | ledger::Kind::Certificate
            ) {
                return Err(Failure::usage(format!(
                    "row {} ({}) is nothing that can be recomputed; decisions, observed events and certificates are",
                    row.seq,
                    row.kind.name()
                )));
            }
            Some(row.seq.0..=row.seq.0)
        }
        (None, None) => None,
    };
    if let Some(other) = &args.under {
        return under::run(args, other, scope);
    }
    let reinfer = if args.reinfer { Some(models(args)?) } else { None };
    let mut report = with_progress(&args.dir, replay::Options { rows: scope, reinfer, under: None })?;
    match &args.purpose {
        Some(purpose) => read_differences(args, purpose, &report)?,
        None => report.differences.iter_mut().for_each(seal),
    }
    if args.output == Document::Table {
        show(&report, args.all)?;
    } else {
        output::json(&report)?;
    }
    Ok(if report.is_identical() { Verdict::Ok } else { Verdict::FoundBad })
}

/// Whether the values of a difference say something about a member.
fn is_personal(difference: &Difference) -> bool {
    ["personal", "scores"].iter().any(|form| difference.field.starts_with(form))
}

/// Takes the values out that nobody gave a purpose for; the field is enough to find the place.
fn seal(difference: &mut Difference) {
    if is_personal(difference) {
        let sealed = "sealed (--purpose TEXT shows it)";
        (difference.recorded, difference.recomputed) = (sealed.to_owned(), sealed.to_owned());
    }
}

/// Records that the personal values of some rows are about to be shown.
fn read_differences(args: &Args, purpose: &str, report: &Report) -> Result<()> {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?.as_found();
    for difference in report.differences.iter().filter(|difference| is_personal(difference)) {
        let row = reader.row(ledger::Seq(difference.seq)).map_err(crate::ledger_errors)?;
        let whose = Whose { member: row.and_then(|row| row.member), row: Some(difference.seq) };
        reading::record(&args.dir, &args.who, "replay", purpose, whose)?;
    }
    Ok(())
}

fn parse_range(text: &str) -> Result<std::ops::RangeInclusive<u64>> {
    let wrong = || Failure::usage(format!("{text:?} is not a range of sequence numbers such as 100..200"));
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.trim_start_matches('=').trim().parse::<u64>().map_err(|_| wrong());
    let (from, to) = (number(from)?, number(to)?);
    if from > to { Err(wrong()) } else { Ok(from..=to) }
}

/// Replays with a progress bar on a terminal.
pub fn with_progress(dir: &Path, options: replay::Options) -> Result<Report> {
    let bar = output::progress("replaying");
    let report = replay::replay(dir, options, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    report.map_err(|error| match error {
        replay::Error::OtherSemantics { .. } => Failure::found_bad(error),
        replay::Error::Ledger(error) => crate::ledger_errors(error),
        replay::Error::Keys(_) => Failure::unavailable(error),
        replay::Error::Row { .. } => Failure::found_bad(error),
        replay::Error::TooLarge => Failure::usage(error.to_string()),
    })
}

fn show(report: &Report, all: bool) -> Result<()> {
    let verdict = if report.is_identical() {
        "identical".to_owned()
    } else {
        format!("{} DIFFER", grouped(report.mismatches))
    };
    let (decisions, others) = (grouped(report.decisions), grouped(report.observed));
    let (answers, certificates) = (grouped(report.answers), grouped(report.certificates));
    output::line(&if all {
        format!(
            "{decisions} decisions, {others} other member rows, {answers} demand answers and {certificates} certificates \
             recomputed: {verdict}"
        )
    } else {
        // An answer speaks for many rows at once.
        format!(
            "{decisions} decisions, {others} other member rows and {certificates} certificates recomputed: {verdict}; \
             demand answers are checked with --all only"
        )
    })?;
    if let Some(reinferred) = &report.reinferred {
        output::line(&format!(
            "{} decisions scored again, {} of them exactly as recorded; at most {} and {} ppm off; {} scored by other models or none",
            grouped(reinferred.decisions),
            grouped(reinferred.identical),
            domain::Micros(i64::try_from(reinferred.spend_off_max).unwrap_or(i64::MAX)),
            reinferred.churn_off_max,
            grouped(reinferred.other_models),
        ))?;
    }
    if report.erased > 0 {
        output::line(&format!(
            "{} rows cannot be replayed: their member was erased",
            grouped(report.erased)
        ))?;
    }
    if report.pruned > 0 {
        output::line(&format!(
            "{} rows cannot be replayed: they, rows they rest on, or the prices of their run were pruned",
            grouped(report.pruned)
        ))?;
    }
    if report.unknown_answers > 0 {
        output::line(&format!(
            "{} demand answers are not compared: they rest on rows that were erased or pruned",
            grouped(report.unknown_answers)
        ))?;
    }
    for difference in &report.differences {
        output::line(&format!(
            "row {}: {} was recorded as {} and recomputes to {}",
            difference.seq, difference.field, difference.recorded, difference.recomputed
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_personal_fields_are_not_shown_without_a_purpose() {
        let sealed = |field: &str| {
            let mut difference = Difference::of(ledger::Seq(7), field, "81", "82");
            seal(&mut difference);
            !difference.recorded.contains("81") && !difference.recomputed.contains("82")
        };
        assert!(sealed("personal.facts[3]") && sealed("personal") && sealed("scores"));
        assert!(!sealed("public.outcome") && !sealed("answer"));
    }
}
