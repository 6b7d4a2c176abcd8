//! `largesse policy report`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Digest;
use ledger::{Keys, Reader, Seq};
use policies::registry::IMPACT_VERSION;
use sim::impact::Impact;

use super::impact::{self, Asked, assess};
use super::place;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};

/// Show the newest recorded impact report of a submitted bundle: what an approval is bound to
#[derive(clap::Args)]
pub struct Args {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Compute it again from the same recorded events, and compare (exit 3 when it comes out otherwise)
    #[arg(long)]
    recheck: bool,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let bundle = place::digest(&reader, &args.bundle)?;
    let row = runtime::registry::report(&reader, bundle).map_err(crate::node_errors)?.ok_or_else(|| {
        Failure::usage(format!(
            "no report of {bundle} is recorded; `largesse policy impact --key` records one"
        ))
    })?;
    let body = row.body.unwrap_or_default();
    let report: Impact = serde_json::from_str(&body).map_err(Failure::runtime)?;
    let digest = domain::Digest::of(body.as_bytes());
    let library = args.onnxruntime.as_deref();
    let again = if args.recheck { Some(recheck(&args.dir, &reader, &report, library)?) } else { None };
    let same = again.is_none_or(|again| again == digest);
    if args.output == Document::Json {
        let mut document = impact::document(&report, None);
        document["row"] = row.seq.0.into();
        document["digest"] = serde_json::json!(digest);
        if let Some(again) = again {
            document["rechecked"] = serde_json::json!({ "same": same, "digest": again });
        }
        output::json(&document)?;
    } else {
        output::line(&impact::text(&report))?;
        match again {
            Some(_) if same => output::line("\ncomputed again from the same events: the same report")?,
            Some(again) => output::say(&otherwise(again)),
            None => {}
        }
        output::line(&format!("\nimpact report {digest} (row {})", row.seq))?;
    }
    Ok(if same { Verdict::Ok } else { Verdict::FoundBad })
}

/// What may be behind a report that comes out otherwise.
pub fn otherwise(again: Digest) -> String {
    format!(
        "computed again from the same events it is {again}: the recorded numbers are not this ledger's, members were \
         erased since, or other models score"
    )
}

/// The digest of the report as this ledger gives it.
///
/// # Errors
/// When it cannot be computed: the ledger, its keys or the models cannot be read, or an earlier build made the report.
pub fn recheck(dir: &Path, reader: &Reader, report: &Impact, onnxruntime: Option<&Path>) -> Result<Digest> {
    if report.v != IMPACT_VERSION {
        return Err(Failure::usage(format!(
            "an earlier build made this report, in form {}; this one makes form {IMPACT_VERSION}: `largesse policy impact --key` \
             records a new one",
            report.v
        )));
    }
    let keys = Keys::open_in(dir, None).map_err(Failure::unavailable)?;
    let bundle =
        |digest| runtime::opening::recorded_bundle(reader, digest).map(Arc::new).map_err(crate::node_errors);
    let (from, to) = (bundle(report.from)?, bundle(report.to)?);
    let asked = Asked { since: report.since, until: report.until.map(Seq), onnxruntime };
    Ok(assess(reader, &keys, &from, &to, &asked)?.0.report().digest())
}
