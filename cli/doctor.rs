//! `largesse doctor`: can this machine run a node, and what to do where it cannot.

use std::path::{Path, PathBuf};

use runtime::bus::nats::NatsBus;
use runtime::bus::subject::Subjects;
use runtime::{NodeError, Options};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Free space below which a warning is due: about 3 million decisions.
const DISK_FREE_MIN: u64 = 5 << 30;

/// Check engine, ledger, NATS, policy and disk; say what to do about each problem
#[derive(clap::Args)]
pub struct Args {
    /// The configuration to check; defaults without one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ledger folder, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Policy bundle, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// NATS server, instead of the configuration's
    #[arg(long, value_name = "URL", env = "LARGESSE_NATS_URL")]
    nats: Option<String>,
    /// libonnxruntime.so, instead of the configuration's
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Skipped,
    Failed,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    health: Health,
    found: String,
    /// What to do next; empty when all is well.
    #[serde(skip_serializing_if = "str::is_empty")]
    next: &'static str,
}

impl Check {
    fn of(check: &'static str, found: std::result::Result<String, String>, next: &'static str) -> Check {
        match found {
            Ok(found) => Check { check, health: Health::Ok, found, next: "" },
            Err(found) => Check { check, health: Health::Failed, found, next },
        }
    }

    fn skipped(check: &'static str, found: &str) -> Check {
        Check { check, health: Health::Skipped, found: found.to_owned(), next: "" }
    }
}

pub fn run(args: &Args) -> Result {
    let mut options = match &args.config {
        Some(config) => Options::load(config).map_err(Failure::usage)?,
        None => Options::in_dir(Path::new("largesse-data")),
    };
    options.dir = args.dir.clone().unwrap_or(options.dir);
    options.policy = args.policy.clone().or(options.policy);
    options.onnxruntime = args.onnxruntime.clone().or(options.onnxruntime);
    if let Some(url) = &args.nats {
        options.use_nats(url);
    }
    let checks = [engine(&options), policy(&options), ledger(&options), disk(&options), nats(&options)];
    let healthy = checks.iter().all(|check| check.health != Health::Failed);
    if args.output == Document::Table {
        for check in &checks {
            let mark = match check.health {
                Health::Ok => "ok     ",
                Health::Skipped => "skipped",
                Health::Failed => "FAILED ",
            };
            output::line(&format!("{mark} {:<7} {}", check.check, check.found))?;
            if !check.next.is_empty() {
                output::line(&format!("                next: {}", check.next))?;
            }
        }
    } else {
        output::json(&checks)?;
    }
    let unavailable =
        |check: &Check| check.health == Health::Failed && ["engine", "nats"].contains(&check.check);
    match checks.iter().find(|check| unavailable(check)) {
        Some(check) => {
            Err(Failure::unavailable(anyhow::anyhow!("{} is unavailable, see above", check.check)))
        }
        None => Ok(if healthy { Verdict::Ok } else { Verdict::FoundBad }),
    }
}

fn engine(options: &Options) -> Check {
    let found = match runtime::node::load_models(options) {
        Ok(models) => {
            let engine = models.engine();
            let names: Vec<&str> = models.manifests().iter().map(|manifest| manifest.name.as_str()).collect();
            Ok(format!("{} {}, models {} verified", engine.name, engine.version, names.join(" and ")))
        }
        Err(error) => Err(error.to_string()),
    };
    Check::of(
        "engine",
        found,
        "leave ORT_DYLIB_PATH and [models] unset to use the embedded engine and shipped models",
    )
}

fn policy(options: &Options) -> Check {
    let found = match runtime::node::load_bundle(options.policy.as_ref()) {
        Ok(bundle) => Ok(format!(
            "{}: {} segments, {} rewards, {} moments, digest {}",
            bundle.program().name,
            bundle.segments().len(),
            bundle.rewards().len(),
            bundle.moments().len(),
            bundle.digest().short()
        )),
        Err(NodeError::Policy { place, problems }) => Err(format!("{place}\n{problems}")),
        Err(error) => Err(error.to_string()),
    };
    Check::of(
        "policy",
        found,
        "mend the places named above; `largesse explain POL....` says more about each code",
    )
}

/// Reads the ledger as an outsider; never opens it for writing, so a running node is not disturbed.
fn ledger(options: &Options) -> Check {
    if !options.dir.join("ledger.db").exists() {
        let found = format!("none in {} yet; a node makes one", options.dir.display());
        return Check::skipped("ledger", &found);
    }
    let report = ledger::verify(&options.dir, &ledger::VerifyOptions::default(), |_, _| {});
    let found = match report {
        Ok(report) if report.is_verified() => {
            Ok(format!("{} rows verified, root {}", grouped(report.rows), report.root.short()))
        }
        Ok(report) => Err(report.findings.first().map_or_else(String::new, |finding| finding.what.clone())),
        Err(error) => Err(error.to_string()),
    };
    Check::of(
        "ledger",
        found,
        "run `largesse log verify --dir DIR` for every finding; restore the latest copy that passes it",
    )
}

fn disk(options: &Options) -> Check {
    let existing = options.dir.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let place = existing.unwrap_or(Path::new("."));
    let probe = place.join(format!(".largesse-doctor-{}", std::process::id()));
    let found = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    let found = match (found, fs4::available_space(place)) {
        (Err(error), _) => Err(format!("{} cannot be written: {error}", place.display())),
        (Ok(()), Err(error)) => Err(format!("the free space of {} is unknown: {error}", place.display())),
        (Ok(()), Ok(free)) if free < DISK_FREE_MIN => {
            Err(format!("{} MB free in {}", grouped(free >> 20), place.display()))
        }
        (Ok(()), Ok(free)) => Ok(format!("{} MB free in {}", grouped(free >> 20), place.display())),
    };
    Check::of(
        "disk",
        found,
        "free space or name another folder with --dir; 1 million decisions take about 1.5 GB",
    )
}

fn nats(options: &Options) -> Check {
    let Some(nats) = &options.nats else {
        return Check::skipped("nats", "no server configured; the in-process bus is used");
    };
    let bus = runtime::bus::nats::Options {
        url: nats.url.clone(),
        allow_plaintext: nats.allow_plaintext,
        subjects: Subjects::clone(&nats.subjects),
        stream_prefix: nats.stream_prefix.clone(),
        ledger: "doctor".to_owned(),
    };
    let found = crate::block_on(async { Ok(NatsBus::probe(&bus).await) });
    let found = match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no runtime to ask with".to_owned()),
    };
    Check::of("nats", found, "start it with `nats-server -js`, or leave [nats] out to use the in-process bus")
}
