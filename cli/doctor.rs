//! `largesse doctor`: can this machine run a node, and what to do where it cannot.

use std::path::{Path, PathBuf};

use runtime::bus::nats::NatsServer;
use runtime::{NodeError, Options};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Free space below which a warning is due: about 2.5 million decisions.
const DISK_FREE_MIN: u64 = 5 << 30;

/// Check engine, policy, ledger, keys, disk and NATS; say what to do about each problem
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
    #[serde(skip_serializing_if = "String::is_empty")]
    next: String,
}

impl Check {
    /// Errors that say themselves what to do come without a next step.
    fn of(check: &'static str, found: std::result::Result<String, (String, String)>) -> Check {
        match found {
            Ok(found) => Check { check, health: Health::Ok, found, next: String::new() },
            Err((found, next)) => Check { check, health: Health::Failed, found, next },
        }
    }

    fn skipped(check: &'static str, found: &str) -> Check {
        Check { check, health: Health::Skipped, found: found.to_owned(), next: String::new() }
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
    let checks = [
        engine(&options),
        policy(&options),
        ledger(&options),
        keys(&options),
        disk(&options),
        nats(&options),
    ];
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
        |check: &Check| check.health == Health::Failed && ["engine", "keys", "nats"].contains(&check.check);
    match checks.iter().find(|check| unavailable(check)) {
        Some(check) => {
            Err(Failure::unavailable(anyhow::anyhow!("{} cannot be used, see above", check.check)))
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
        Err(error @ NodeError::Engine(_)) => {
            Err((error.to_string(), "name a libonnxruntime.so that loads, or leave models.onnxruntime and ORT_DYLIB_PATH unset: the embedded engine needs nothing".to_owned()))
        }
        Err(error) => {
            let folder = options.models_dir.as_ref().map(|folder| folder.display().to_string());
            let next = match folder {
                Some(folder) => format!("restore the models in {folder}, or leave models.dir out to use the shipped ones"),
                None => "the shipped models do not pass on this machine; report this with the text above".to_owned(),
            };
            Err((error.to_string(), next))
        }
    };
    Check::of("engine", found)
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
        Err(NodeError::Policy { place, problems }) => {
            let next = "mend the places named above; `largesse explain CODE` says more about each code";
            Err((format!("{place}\n{problems}"), next.to_owned()))
        }
        Err(error) => Err((error.to_string(), String::new())),
    };
    Check::of("policy", found)
}

/// Reads the ledger as an outsider; never opens it for writing, so a running node is not disturbed.
fn ledger(options: &Options) -> Check {
    let dir = options.dir.display();
    if !options.dir.join("ledger.db").exists() {
        return Check::skipped("ledger", &format!("none in {dir} yet; a node makes one"));
    }
    let findings = || {
        format!(
            "`largesse log verify --dir {dir}` lists every finding; restore the latest copy that passes it"
        )
    };
    let report = ledger::verify(&options.dir, &ledger::VerifyOptions::default(), |_, _| {});
    let found = match report {
        Ok(report) if report.is_verified() => {
            Ok(format!("{} rows verified, root {}", grouped(report.rows), report.root.short()))
        }
        Ok(report) => Err((
            report.findings.first().map_or_else(String::new, |finding| finding.what.clone()),
            findings(),
        )),
        Err(ledger::Error::NewerFormat { .. }) => Err((
            format!("{dir} was written by a newer largesse"),
            "install that version or a later one".to_owned(),
        )),
        Err(error) => Err((error.to_string(), findings())),
    };
    Check::of("ledger", found)
}

fn keys(options: &Options) -> Check {
    if !options.dir.join("ledger.db").exists() {
        return Check::skipped("keys", "made with the ledger");
    }
    let opened = ledger::Keys::open_in(&options.dir, None);
    let found = opened.map(|_| "keys.db opens with master.key".to_owned());
    Check::of("keys", found.map_err(|error| (error.to_string(), String::new())))
}

fn disk(options: &Options) -> Check {
    let existing = options.dir.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let place = existing.unwrap_or(Path::new("."));
    let probe = place.join(format!(".largesse-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    let shown = place.display();
    let found = match (written, fs4::available_space(place)) {
        (Err(error), _) => Err((
            format!("{shown} cannot be written: {error}"),
            "give this user the right to write there, or name another folder with --dir".to_owned(),
        )),
        (Ok(()), Err(error)) => {
            Err((format!("the free space of {shown} is unknown: {error}"), String::new()))
        }
        (Ok(()), Ok(free)) if free < DISK_FREE_MIN => Err((
            format!("{} MB free in {shown}", grouped(free >> 20)),
            "free some space or name another folder with --dir; 1 million decisions take about 2 GB"
                .to_owned(),
        )),
        (Ok(()), Ok(free)) => Ok(format!("{} MB free in {shown}", grouped(free >> 20))),
    };
    Check::of("disk", found)
}

fn nats(options: &Options) -> Check {
    let Some(nats) = &options.nats else {
        return Check::skipped("nats", "no server configured; the in-process bus is used");
    };
    let found = crate::block_on(async {
        let server = NatsServer::reach(nats.clone()).await.map_err(Failure::unavailable)?;
        let ledger = ledger::identity_of(&options.dir).map_err(crate::ledger_errors)?;
        server.check_free(ledger.as_deref()).await.map_err(Failure::unavailable)?;
        Ok(server.describe())
    });
    Check::of("nats", found.map_err(|failure| (failure.to_string(), String::new())))
}
