//! `largesse policy test`.

use std::path::{Path, PathBuf};

use policies::cases::{self, Case, Texts};
use policies::{Bundle, Problems};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Run a bundle's own tests; --mutate names rules no test would miss
#[derive(clap::Args)]
#[command(after_help = "\
Tests are tests/*.toml in the bundle's folder. A case imagines an event and a member, and says what the
policy must answer:
  [[case]]
  name = \"A regular who is slipping may get a voucher\"
  event = { type = \"purchase\", touchpoint = \"pos\", amount = \"45.00\" }
  member = { trips = 12, churn_60d = \"0.30\", ltv_91d = \"210.00\" }
  expect = { moment = \"purchase\", segment = \"lapsing\", may = [\"voucher-3\"] }
Exit 3 when a case fails, or, with --mutate, when a rule can be taken out unnoticed. Rules that are never taken
out, such as consent, are named with the reason: nothing is said about them.")]
pub struct Args {
    /// Folder of the bundle; or the digest of a submitted one, for the tests it was handed in with
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// Folder of the ledger that holds a bundle named by digest
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Take out each rule in turn, and name those whose absence no case notices
    #[arg(long)]
    mutate: bool,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let bundle = super::named(&args.bundle, args.dir.as_deref())?;
    let cases = match (Path::new(&args.bundle), &args.dir) {
        (folder, _) if folder.is_dir() => read(folder, &bundle)?.1,
        (_, Some(dir)) => recorded(dir, &bundle)?,
        (_, None) => Vec::new(),
    };
    let failed = cases::run(&bundle, &cases);
    let mutated = (args.mutate && failed.is_empty()).then(|| cases::mutate::survivors(&bundle, &cases));
    let survivors = mutated.as_ref().is_some_and(|report| !report.survivors.is_empty());
    if args.output == Document::Json {
        output::json(&serde_json::json!({ "cases": cases.len(), "failed": failed, "mutation": mutated }))?;
    } else {
        for failure in &failed {
            output::line(&format!("FAILED {}:{} {}", failure.file, failure.line, failure.name))?;
            for difference in &failure.differences {
                output::line(&format!("  {difference}"))?;
            }
        }
        output::line(&format!("{} cases, {} failed", cases.len(), failed.len()))?;
        if let Some(report) = &mutated {
            for survivor in &report.survivors {
                output::line(&format!("UNTESTED {}:{} {}", survivor.file, survivor.line, survivor.rule))?;
            }
            output::line(&format!("{} rules taken out, {} unnoticed", report.tried, report.survivors.len()))?;
            for line in not_taken_out(report) {
                output::line(&line)?;
            }
        }
    }
    Ok(if failed.is_empty() && !survivors { Verdict::Ok } else { Verdict::FoundBad })
}

/// Rules that nothing is said about, with why, one line for each why.
fn not_taken_out(report: &cases::mutate::Report) -> Vec<String> {
    let mut by_why: Vec<(&str, Vec<&str>)> = Vec::new();
    for left in &report.not_taken_out {
        match by_why.iter_mut().find(|(why, _)| *why == left.why) {
            Some((_, rules)) => rules.push(&left.rule),
            None => by_why.push((left.why, vec![&left.rule])),
        }
    }
    let line = |(why, rules): (&str, Vec<&str>)| format!("not taken out: {} ({why})", rules.join(", "));
    by_why.into_iter().map(line).collect()
}

fn bad(problems: Problems) -> Failure {
    Failure::found_bad(anyhow::anyhow!("{}", problems.render().trim_end()))
}

/// The tests in a bundle's folder.
fn read(folder: &Path, bundle: &Bundle) -> Result<(Texts, Vec<Case>)> {
    cases::read(folder, bundle).map_err(bad)
}

/// The cases a bundle was handed in with.
fn recorded(dir: &Path, bundle: &Bundle) -> Result<Vec<Case>> {
    let reader = ledger::Reader::open(dir).map_err(crate::ledger_errors)?;
    let texts = runtime::registry::tests(&reader, bundle.digest()).map_err(crate::node_errors)?;
    let texts = texts.ok_or_else(|| {
        Failure::usage(format!("no tests of {} are recorded: it was not handed in with any", bundle.digest()))
    })?;
    cases::of(&texts, bundle).map_err(bad)
}

/// Refuses a bundle whose own tests fail; gives the tests it passed, as they are handed in.
///
/// # Errors
/// Exit 3 with the first failure.
pub fn must_pass(folder: &Path, bundle: &Bundle) -> Result<Texts> {
    let (texts, cases) = read(folder, bundle)?;
    if cases.is_empty() {
        return Err(Failure::found_bad(anyhow::anyhow!(
            "{} has no tests; write what the policy must answer in tests/*.toml (`largesse policy test --help`)",
            folder.display()
        )));
    }
    let failed = cases::run(bundle, &cases);
    match failed.first() {
        None => Ok(texts),
        Some(first) => Err(Failure::found_bad(anyhow::anyhow!(
            "{} of {} tests of the bundle fail, first {}:{} {}: {}; `largesse policy test {}` shows all",
            failed.len(),
            cases.len(),
            first.file,
            first.line,
            first.name,
            first.differences.join("; "),
            folder.display()
        ))),
    }
}
