//! `largesse log verify`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Rescan everything
#[derive(clap::Args)]
#[command(after_help = "\
Checked are every row, its order and its leaf, the tree, every signed head, the guards, the indexes, the names of
codes, budgets and counts. Of rows that were erased or pruned it says how many there are: what is left of them
rests on the row that recorded the cut. Rows after the newest head are said, too: nobody has signed for them yet.
Whether members' stored states are those of their rows is for `largesse replay --all` to say.")]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The public key you were given (a verifier.txt, or the key itself), instead of the one in the folder
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A signed head you received earlier; may be given several times
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// What an auditor brings along.
fn brought(args: &Args) -> Result<ledger::VerifyOptions> {
    let trusted = args.key.as_deref().map(given::key).transpose()?;
    let published = args.head.iter().map(|path| given::file(path)).collect::<Result<_>>()?;
    Ok(ledger::VerifyOptions { trusted, published, keys: None })
}

/// The ledger's own keys, or why they cannot be used. An auditor's copy has none, and then the end is as good as its newest
/// head.
fn own_keys(dir: &Path) -> std::result::Result<Option<ledger::Keys>, String> {
    match ledger::Keys::open_in(dir, None) {
        Ok(keys) => Ok(Some(keys)),
        Err(_) if !dir.join("keys.db").exists() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

pub fn run(args: &Args) -> Result {
    let mut options = brought(args)?;
    let (keys, unusable) = match own_keys(&args.dir) {
        Ok(keys) => (keys, None),
        Err(why) => (None, Some(why)),
    };
    options.keys = keys;
    let bar = output::progress("verifying");
    let started = Instant::now();
    let report = ledger::verify(&args.dir, &options, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.map_err(unverifiable)?;
    if args.output == Document::Table {
        output::say(&pace(report.rows, started.elapsed()));
        let verdict = if report.is_verified() { "verified" } else { "NOT VERIFIED" };
        output::line(&format!(
            "{} rows, {} signed heads, root {}: {verdict}",
            grouped(report.rows),
            grouped(report.heads),
            report.root
        ))?;
        if report.pruned > 0 {
            let pruned = grouped(report.pruned);
            let as_left =
                if report.is_verified() { "; what is left of them is what was left then" } else { "" };
            output::line(&format!("{pruned} rows were erased or pruned{as_left}"))?;
        }
        let open = report.rows.saturating_sub(report.covered);
        if open > 0 && report.is_verified() {
            let word = if report.sealed {
                "they are those the ledger's program sealed with its own key"
            } else {
                "until the next is signed, whoever can write the file could have changed them"
            };
            output::line(&format!(
                "rows at the end without a signed head over them: {}; {word}",
                grouped(open)
            ))?;
        }
        if let Some(why) = &unusable {
            output::line(&format!("the seal over the end of the log was not checked: {why}"))?;
        }
        for finding in &report.findings {
            let place = finding.seq.map_or_else(|| "ledger".to_owned(), |seq| format!("row {seq}"));
            output::line(&format!("{place}: {}", finding.what))?;
        }
        if let Some(seq) = report.first_bad {
            output::line(&format!("first bad row: {seq}"))?;
        }
    } else {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|finding| json!({ "seq": finding.seq.map(|seq| seq.0), "what": finding.what }))
            .collect();
        output::json(&json!({
            "verified": report.is_verified(), "rows": report.rows, "heads": report.heads, "root": report.root,
            "pruned": report.pruned, "covered": report.covered, "sealed": report.sealed,
            "seal_not_checked": unusable,
            "first_bad": report.first_bad.map(|seq| seq.0), "findings": findings,
        }))?;
    }
    Ok(if report.is_verified() { Verdict::Ok } else { Verdict::FoundBad })
}

/// How fast rows were read: beside the answer, because no two runs say the same.
fn pace(rows: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = rows.saturating_mul(1_000) / millis;
    format!(
        "{} rows in {}.{:03} s: {} rows/s",
        grouped(rows),
        millis / 1_000,
        millis % 1_000,
        grouped(per_second)
    )
}

/// A proof file that is not there, or holds something else, is a finding; one that may not be read is none.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other errors mean what they mean everywhere")]
fn unverifiable(error: ledger::Error) -> Failure {
    use std::io::ErrorKind::{InvalidData, NotFound};
    match error {
        ledger::Error::Io { ref source, .. } if [InvalidData, NotFound].contains(&source.kind()) => {
            Failure::found_bad(anyhow::anyhow!(
                "{error}; without it nothing can be verified: restore it from the latest copy of the ledger"
            ))
        }
        other => crate::ledger_errors(other),
    }
}
