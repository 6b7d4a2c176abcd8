//! `largesse policy history`.

use std::path::PathBuf;

use domain::Digest;
use ledger::{Kind, Reader};
use policies::cases;
use policies::registry::{Step, describe, percent};
use runtime::registry::Recorded;
use runtime::requests;
use serde::Serialize;

use super::status::Status;
use crate::exit::{Result, Verdict};
use crate::output::{self, Columns, Format};

/// Show what was handed in, approved, in force and stopped, by whom and when
#[derive(clap::Args)]
#[command(
    after_help = "The table ends with what holds now; `largesse policy status` says that alone, also as JSON. Who came into
people.toml, went or got other roles is said before the first step that was judged by it: whoever may write that file
decides who is in it, and nobody signs for that."
)]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

/// One step.
#[derive(Serialize)]
struct Line {
    row: u64,
    at: String,
    what: &'static str,
    bundle: Option<String>,
    by: String,
    detail: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["row", "at", "what", "bundle", "by", "detail"];

    fn cells(self) -> Vec<String> {
        let bundle = self.bundle.unwrap_or_default();
        vec![
            self.row.to_string(),
            self.at,
            self.what.to_owned(),
            bundle.chars().take(12).collect(),
            self.by,
            self.detail,
        ]
    }
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let mut lines = Vec::new();
    let (mut in_force, mut people) = (None, Vec::new());
    let mut rows = runtime::registry::rows(&reader).map_err(crate::node_errors)?;
    rows.extend(reader.of_kinds(&[Kind::People]).map_err(crate::ledger_errors)?);
    rows.sort_by_key(|row| row.seq);
    for row in rows {
        let (row_number, at) = (row.seq.0, row.recorded_at.to_string());
        let line = |what, bundle: Option<domain::Digest>, by: &str, detail: String| Line {
            row: row_number,
            at: at.clone(),
            what,
            bundle: bundle.map(|bundle| bundle.to_string()),
            by: by.to_owned(),
            detail,
        };
        if row.kind == Kind::People {
            let now = requests::recorded_people(&row);
            let changes = requests::changes(&people, &now).join("; ");
            people = now;
            lines.push(line("people", None, "people.toml", changes));
            continue;
        }
        match runtime::registry::read(&row).map_err(crate::node_errors)? {
            // Every run begins with such a row; only what it changes is news.
            Some(Recorded::Started(bundle)) if in_force == Some(bundle) => {}
            Some(Recorded::Started(bundle)) => {
                in_force = Some(bundle);
                lines.push(line("started", Some(bundle), "", "decides by it from here on".to_owned()));
            }
            Some(Recorded::Due(due)) => {
                lines.push(line("activate", Some(due.bundle), "schedule", due.scheduled_by));
            }
            Some(Recorded::Refused(refused)) => {
                let statement = &refused.signed["statement"];
                let step = statement["step"]["do"].as_str().unwrap_or_default();
                let by = statement["by"].as_str().unwrap_or_default();
                let named =
                    |field: &str| statement["step"][field].as_str().and_then(|text| text.parse().ok());
                let bundle = named("bundle").or_else(|| named("to"));
                lines.push(line("refused", bundle, by, format!("{step}: {}", refused.refused)));
            }
            // Answers about promises are about members, not about the policy.
            Some(Recorded::Step(signed)) if matches!(signed.statement.step, Step::Answer { .. }) => {}
            Some(Recorded::Step(signed)) => {
                let detail = detail(&reader, &signed.statement.step)?;
                lines.push(line(signed.statement.step.name(), row.bundle, &signed.statement.by, detail));
            }
            None => {}
        }
    }
    output::rows(args.output, lines.into_iter().map(Ok))?;
    if args.output == Format::Table {
        // The list stays a list; what it comes to is for people here, and for programs in `policy status`.
        output::line(&format!("\n{}", Status::of(&args.dir, &reader)?.text()))?;
    }
    Ok(Verdict::Ok)
}

fn detail(reader: &Reader, step: &Step) -> Result<String> {
    Ok(match step {
        Step::Submit { bundle, note, .. } => joined([tested(reader, *bundle)?, note.clone()]),
        Step::Approve { impact, unchecked: true, .. } => {
            format!("impact report {}, not computed again", impact.short())
        }
        Step::Assess { impact, .. } | Step::Approve { impact, .. } => {
            format!("impact report {}", impact.short())
        }
        Step::Schedule { at, .. } => format!("for {at}"),
        Step::Canary { share, .. } => format!("{} of the members", percent(*share)),
        Step::Shadow { .. } | Step::Activate { .. } | Step::Withdraw { .. } | Step::RollBack { .. } => {
            String::new()
        }
        Step::Stop { target, note } | Step::Resume { target, note } => {
            joined([describe(target), note.clone()])
        }
        Step::Answer { note, .. } => note.clone(),
    })
}

fn joined(texts: [String; 2]) -> String {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
}

/// How many tests a bundle passed when it was handed in; empty for one of an earlier build.
fn tested(reader: &Reader, bundle: Digest) -> Result<String> {
    let Some(texts) = runtime::registry::tests(reader, bundle).map_err(crate::node_errors)? else {
        return Ok(String::new());
    };
    let bundle = runtime::opening::recorded_bundle(reader, bundle).map_err(crate::node_errors)?;
    let cases = cases::of(&texts, &bundle).map_or(0, |cases| cases.len());
    Ok(format!("passed its {cases} tests"))
}
