//! `largesse policy status`.

use std::path::{Path, PathBuf};

use domain::Digest;
use ledger::{Keys, Reader};
use policies::registry::{describe, percent};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Show what is in force now, and what is in canary, in shadow, scheduled, stopped or waiting
#[derive(clap::Args)]
#[command(after_help = "`largesse policy history` says how it came to this.")]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// What holds now; its JSON keys are a contract.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The bundle that decides; absent before the first run of a node.
    in_force: Option<Digest>,
    program: Option<String>,
    since: Option<String>,
    /// A person or a schedule put it in force; otherwise it is what the node was configured with.
    chosen: bool,
    canary: Option<Canary>,
    shadows: Vec<Shadow>,
    scheduled: Option<Scheduled>,
    /// As people say them: `reward voucher-10`.
    stopped: Vec<String>,
    /// Those of them that turn nothing off in what is in force: it has nothing of that name.
    stopped_in_vain: Vec<String>,
    /// Promises that wait for a person.
    waiting: usize,
}

#[derive(Debug, Serialize)]
struct Canary {
    bundle: Digest,
    share_ppm: u32,
    since: String,
}

#[derive(Debug, Serialize)]
struct Shadow {
    bundle: Digest,
    since: String,
}

#[derive(Debug, Serialize)]
struct Scheduled {
    bundle: Digest,
    at: String,
    /// Why it will not come into force, where its approval does not stand any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    fails: Option<String>,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let status = Status::of(&args.dir, &reader)?;
    match args.output {
        Document::Table => output::line(&status.text())?,
        Document::Json => output::json(&status)?,
    }
    Ok(Verdict::Ok)
}

impl Status {
    /// What the ledger's rows come to.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn of(dir: &Path, reader: &Reader) -> Result<Status> {
        let identity = ledger::identity_of(dir).map_err(crate::ledger_errors)?.unwrap_or_default();
        let registry = runtime::registry::load(reader, &identity).map_err(crate::node_errors)?;
        let keys = Keys::open_in(dir, None).map_err(Failure::unavailable)?;
        let waiting = runtime::registry::waiting(reader, &registry, &keys, runtime::clock::wall());
        let reign = registry.reigns().last();
        let bundle = reign.map(|reign| runtime::opening::recorded_bundle(reader, reign.bundle)).transpose();
        let bundle = bundle.map_err(crate::node_errors)?;
        let idle = |bundle| registry.idle_stops(bundle).map(describe).collect();
        let shadows = registry.shadows().iter();
        Ok(Status {
            in_force: registry.in_force(),
            program: bundle.as_ref().map(|bundle| bundle.program().name.clone()),
            stopped_in_vain: bundle.as_ref().map_or_else(Vec::new, idle),
            since: reign.map(|reign| reign.since.to_string()),
            chosen: registry.chosen().is_some(),
            canary: registry.canary().map(|canary| Canary {
                bundle: canary.of.bundle,
                share_ppm: canary.of.share.0,
                since: canary.since.to_string(),
            }),
            shadows: shadows
                .map(|(bundle, since)| Shadow { bundle: *bundle, since: since.to_string() })
                .collect(),
            scheduled: registry.scheduled().map(|scheduled| Scheduled {
                bundle: scheduled.bundle,
                at: scheduled.at.to_string(),
                fails: registry.scheduled_stands().err().map(|refusal| refusal.to_string()),
            }),
            stopped: registry.stopped().keys().map(describe).collect(),
            waiting: waiting.map_err(crate::node_errors)?.len(),
        })
    }

    /// The lines for people: what is in force, and below it only what there is.
    pub fn text(&self) -> String {
        let mut lines = vec![match (&self.in_force, &self.since) {
            (Some(bundle), Some(since)) => {
                let program = self.program.as_deref().unwrap_or_default();
                let by = if self.chosen { "" } else { ", as the node was configured" };
                format!("in force   {} ({program}) since {since}{by}", bundle.short())
            }
            _ => "in force   nothing: no node has run on this ledger yet".to_owned(),
        }];
        lines.extend(self.canary.iter().map(|canary| {
            let share = percent(domain::Ppm(canary.share_ppm));
            format!("canary     {} for {share} of the members since {}", canary.bundle.short(), canary.since)
        }));
        let shadow = |shadow: &Shadow| format!("shadow     {} since {}", shadow.bundle.short(), shadow.since);
        lines.extend(self.shadows.iter().map(shadow));
        if let Some(next) = &self.scheduled {
            lines.push(format!("scheduled  {} for {}", next.bundle.short(), next.at));
            lines.extend(
                next.fails.iter().map(|why| format!("           it will not come into force: {why}")),
            );
        }
        let vain = |target| {
            if self.stopped_in_vain.contains(target) {
                ": what is in force has none of that name"
            } else {
                ""
            }
        };
        lines.extend(self.stopped.iter().map(|target| format!("stopped    {target}{}", vain(target))));
        if self.waiting > 0 {
            let list = "`largesse pending list` shows them";
            lines.push(format!("waiting    {} promises wait for a person; {list}", self.waiting));
        }
        lines.join("\n")
    }
}
