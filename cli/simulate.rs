//! `largesse simulate`: purchases through the brains alone, on a virtual clock.

use std::path::PathBuf;
use std::sync::Arc;

use domain::Micros;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use sim::host::{self, Report};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped, money, percent, plain_table, trimmed};
use crate::purchases::{Assumed, Purchases};

/// Events between two moves of the progress bar.
const PROGRESS_EVERY: u64 = 512;

/// Run purchases through the same brains on a virtual clock: same input, same decisions, bit for bit
#[derive(clap::Args)]
#[command(after_help = "\
Unlike `demo`, this starts no actors and no bus, and writes no ledger: one thread calls the agents one after
another and keeps everything in memory. Time is the time of the purchases and of the members' own timers;
no clock is read and nothing is drawn at random. The same file, policy and engine therefore give the same
digest over all decisions on every run; with another policy, compare the two reports. Single decisions
cannot be looked at afterwards; `demo` and `log explain` do that.

The events file has the columns of `demo`, plain or .gz; lines are taken in order of time. A line more than
40 years from the middle purchase is refused.

Exit code 3 when a promise went beyond a budget.")]
pub struct Args {
    /// Purchases, e.g. sim/data/completejourney/events.csv.gz
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Policy bundle instead of the starter grocery program
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// A run and what was assumed for it; absent when nothing was.
#[derive(serde::Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed: Option<&'a Assumed>,
}

pub fn run(args: &Args) -> Result {
    let mut purchases = Purchases::read(&args.events)?;
    let bundle = runtime::node::load_bundle(args.policy.as_ref()).map_err(crate::node_errors)?;
    let assumed = purchases.assume(&bundle);
    let choice = args.onnxruntime.clone().map_or(Choice::Embedded, Choice::Library);
    let engine = Engine::start(&choice).map_err(Failure::unavailable)?;
    let models = models::Models::load(&engine, &Source::Shipped).map_err(Failure::unavailable)?;
    let bar = output::progress("simulating");
    bar.set_length(purchases.events.len() as u64);
    let options = host::Options::around(purchases.middle);
    let progress = |done: u64| {
        if done.is_multiple_of(PROGRESS_EVERY) {
            bar.set_position(done);
        }
    };
    let report = host::run(Arc::new(bundle), models, &options, purchases.events, progress);
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        host::Error::Shape { .. } => Failure::found_bad(error),
        host::Error::Certificate(_)
        | host::Error::Imbalance(_)
        | host::Error::Escrow(_)
        | host::Error::Message(_) => Failure::runtime(error),
    })?;
    if args.output == Document::Table {
        output::line(&text(&report, assumed.as_ref()))?;
    } else {
        output::json(&Answer { report: &report, assumed: assumed.as_ref() })?;
    }
    Ok(if report.overspend == 0 { Verdict::Ok } else { Verdict::FoundBad })
}

/// The report as people read it.
fn text(report: &Report, assumed: Option<&Assumed>) -> String {
    let refused: u64 = report.dead_letters.values().sum();
    let mut lines = vec![
        format!(
            "{} purchases and {} timers: {} moments decided, {} rewards promised, {} ended unused",
            grouped(report.events - assumed.map_or(0, |assumed| assumed.events)),
            grouped(report.timers),
            grouped(report.moments),
            grouped(report.rewards_promised),
            grouped(report.rewards_ended_unused),
        ),
        format!("{} dead letters", grouped(refused)),
    ];
    lines.extend(counts(&report.dead_letters));
    lines.extend(assumed.map(Assumed::text));
    lines.extend([String::new(), "Decisions".to_owned()]);
    lines.extend(counts(&report.decisions));
    lines.extend([String::new(), "Budgets".to_owned(), budgets(report), String::new()]);
    lines.push(format!(
        "Negotiation: {} plans in {} periods, {} certified, largest gap of a certified or bounded plan {}; {} \
         certificates verified",
        grouped(report.negotiations),
        grouped(report.periods),
        grouped(report.certified),
        percent(report.max_gap_ppm.into()),
        grouped(report.certificates_verified),
    ));
    if report.overspend > 0 {
        lines.push(format!("OVERSPENT {} times", grouped(report.overspend)));
    }
    lines.push(format!("Digest of all decisions: {}", report.digest));
    lines.join("\n")
}

fn counts(counts: &std::collections::BTreeMap<&'static str, u64>) -> Option<String> {
    let mut table = plain_table();
    for (name, count) in counts {
        table.add_row([format!("  {name}"), format!("{:>9}", grouped(*count))]);
    }
    (!counts.is_empty()).then(|| trimmed(&table))
}

fn budgets(report: &Report) -> String {
    let mut table = plain_table();
    table.set_header(["  budget", "promised", "held", "limit"]);
    for budget in &report.budgets {
        let show = |amount: i64| {
            if budget.id.starts_with("inventory/") {
                grouped(amount.unsigned_abs())
            } else {
                money(Micros(amount), &report.currency)
            }
        };
        table.add_row([
            format!("  {}", budget.id),
            show(budget.committed_micros),
            show(budget.reserved_micros),
            show(budget.limit_micros),
        ]);
    }
    trimmed(&table)
}
