//! `largesse model`: look at models, compute features, measure predictions.

use std::path::PathBuf;

use jiff::civil::Date;
use models::drift::{self, Level};
use models::evaluate;
use runtime::Options;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Look at models, compute features, measure predictions
#[derive(clap::Subcommand)]
pub enum Command {
    /// Load and verify the active models and say what they are
    Inspect(Inspect),
    /// Write the training table of a purchase file with the serving code
    Features(Features),
    /// Score a purchase file at a date and compare with what came after
    Evaluate(Evaluate),
    /// Compare a purchase file's members with those the models were trained on; exit 3 on an alarm
    Drift(Drift),
}

#[derive(clap::Args)]
pub struct Engine {
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Folder with models and manifests instead of the shipped ones
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Inspect {
    #[command(flatten)]
    engine: Engine,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

#[derive(clap::Args)]
pub struct Features {
    /// Purchases, in the columns of the shipped file (plain or .gz)
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// The day whose end is "now", in the program's time zone
    #[arg(long, value_name = "DATE")]
    as_of: Date,
    /// Where to write the CSV; stdout when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Evaluate {
    #[command(flatten)]
    engine: Engine,
    /// Purchases, in the columns of the shipped file (plain or .gz)
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// The day whose end is "now"; at least 91 days of the file must follow
    #[arg(long, value_name = "DATE")]
    as_of: Date,
    /// Judge only households the shipped models never saw
    #[arg(long)]
    held_out: bool,
    /// Resampled sets of households behind each 95 % interval; 0 leaves intervals out
    #[arg(long, value_name = "N", default_value_t = 500)]
    bootstraps: u32,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

#[derive(clap::Args)]
pub struct Drift {
    #[command(flatten)]
    engine: Engine,
    /// Purchases, in the columns of the shipped file (plain or .gz)
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// The day whose end is "now"
    #[arg(long, value_name = "DATE")]
    as_of: Date,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Inspect(args) => inspect(args),
        Command::Features(args) => features(args),
        Command::Evaluate(args) => evaluate(args),
        Command::Drift(args) => measure_drift(args),
    }
}

fn load(engine: &Engine) -> Result<models::Models> {
    let options = Options {
        onnxruntime: engine.onnxruntime.clone(),
        models_dir: engine.models.clone(),
        ..Options::in_dir(std::path::Path::new("."))
    };
    runtime::node::load_models(&options).map_err(crate::node_errors)
}

fn inspect(args: &Inspect) -> Result {
    let models = load(&args.engine)?;
    let inspection = models::inspect::inspect(&models);
    if args.output != Document::Table {
        output::json(&inspection)?;
        return Ok(Verdict::Ok);
    }
    output::line(&format!(
        "models {}, engine {} {}",
        inspection.digest, inspection.engine.name, inspection.engine.version
    ))?;
    for card in &inspection.models {
        output::line(&format!(
            "\n{} {} ({:?}, {} days)\n  sha256 {}\n  {} features, schema {}; operators {}; {} golden rows verified",
            card.name,
            card.version,
            card.kind,
            card.horizon_days,
            card.sha256,
            card.features.len(),
            card.feature_schema,
            card.operators.join(", "),
            card.golden_rows
        ))?;
    }
    Ok(Verdict::Ok)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all but a failing output is about what was typed")]
fn features(args: &Features) -> Result {
    let place = args.out.as_ref().map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let unwritable = |error| Failure::runtime(anyhow::anyhow!("cannot write the table to {place}: {error}"));
    let wrong = |error: models::table::Error| match error {
        models::table::Error::Write(error) => unwritable(error),
        other => Failure::usage(other),
    };
    let table = match &args.out {
        Some(path) => {
            let file = std::io::BufWriter::new(std::fs::File::create(path).map_err(unwritable)?);
            models::table::write(&args.events, args.as_of, file).map_err(wrong)?
        }
        None => {
            let mut text = Vec::new();
            let table = models::table::write(&args.events, args.as_of, &mut text).map_err(wrong)?;
            output::bytes(&text)?;
            table
        }
    };
    output::say(&format!(
        "{} households from {} purchases; {} lines are no purchase",
        output::grouped(table.examples.len() as u64),
        output::grouped(table.purchases),
        output::grouped(table.refused)
    ));
    Ok(Verdict::Ok)
}

fn evaluate(args: &Evaluate) -> Result {
    let mut models = load(&args.engine)?;
    let options =
        evaluate::Options { as_of: args.as_of, held_out_only: args.held_out, bootstraps: args.bootstraps };
    let report = evaluate::evaluate(&mut models, &args.events, &options).map_err(Failure::usage)?;
    if args.output != Document::Table {
        output::json(&report)?;
        return Ok(Verdict::Ok);
    }
    show(&report)?;
    Ok(Verdict::Ok)
}

fn show(report: &evaluate::Report) -> Result<()> {
    output::line(&format!(
        "{} households as of {}, {} of them without a purchase in the next 60 days",
        output::grouped(report.households as u64),
        report.as_of,
        output::grouped(report.churned as u64)
    ))?;
    let mut ltv = output::plain_table();
    ltv.set_header(["spend in 91 days", "MAE", "RMSE", "bias", "Spearman", "Gini", "top decile"]);
    for (name, measures) in [
        ("model", &report.ltv),
        ("last 91 days", &report.baselines.persistence),
        ("fallback", &report.baselines.fallback.ltv),
    ] {
        ltv.add_row(
            std::iter::once(name.to_owned()).chain(measures.values().map(|value| format!("{value:.3}"))),
        );
    }
    output::line(&format!("\n{}", output::trimmed(&ltv)))?;
    let mut churn = output::plain_table();
    churn.set_header(["no purchase in 60 days", "AUC", "PR-AUC", "Brier", "ECE"]);
    for (name, measures) in [
        ("model", &report.churn),
        ("recency", &report.baselines.recency),
        ("MBG/NBD", &report.baselines.mbg_nbd),
        ("fallback", &report.baselines.fallback.churn),
    ] {
        churn.add_row(
            std::iter::once(name.to_owned()).chain(measures.values().map(|value| format!("{value:.4}"))),
        );
    }
    output::line(&format!("\n{}", output::trimmed(&churn)))?;
    if let Some(intervals) = &report.intervals {
        output::line("\n95 % intervals over resampled households")?;
        output::line(&interval_table(&intervals.ltv, "spend in 91 days", "last 91 days"))?;
        output::line(&format!(
            "\n{}",
            interval_table(&intervals.churn, "no purchase in 60 days", "MBG/NBD")
        ))?;
    }
    Ok(())
}

/// Each measure's interval, and that of the model minus the naive line on the same households.
fn interval_table(intervals: &[evaluate::Interval], what: &str, line: &str) -> String {
    let mut table = output::plain_table();
    table.set_header([what, "model", &format!("model minus {line}")]);
    for interval in intervals {
        let range = |low: f64, high: f64| format!("{low:.4} to {high:.4}");
        table.add_row([
            interval.name.to_owned(),
            range(interval.low, interval.high),
            range(interval.gain_low, interval.gain_high),
        ]);
    }
    output::trimmed(&table)
}

fn measure_drift(args: &Drift) -> Result {
    let mut models = load(&args.engine)?;
    let (members, readings) =
        drift::measure(&mut models, &args.events, args.as_of).map_err(Failure::usage)?;
    if readings.is_empty() {
        return Err(Failure::usage(format!(
            "{members} members as of {}; drift is not told from chance below {}",
            args.as_of,
            drift::MEMBERS_MIN
        )));
    }
    if args.output == Document::Table {
        output::line(&format!("{} members as of {}", output::grouped(members as u64), args.as_of))?;
        let mut table = output::plain_table();
        table.set_header(["model", "input", "PSI", "reading"]);
        for reading in &readings {
            let says = match reading.level {
                Level::Steady => "as in training",
                Level::Notice => "worth a look",
                Level::Alarm => "ALARM: trained on other members",
            };
            table.add_row([&reading.model, &reading.name, &format!("{:.3}", reading.psi), says]);
        }
        output::line(&output::trimmed(&table))?;
    } else {
        output::json(&serde_json::json!({ "as_of": args.as_of, "members": members, "readings": readings }))?;
    }
    let alarmed = readings.iter().any(|reading| reading.level == Level::Alarm);
    Ok(if alarmed { Verdict::FoundBad } else { Verdict::Ok })
}
