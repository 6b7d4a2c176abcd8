//! `largesse replay --under`: what would have been decided under another policy.

use std::ops::RangeInclusive;
use std::sync::Arc;

use domain::Digest;
use ledger::{Reader, Seq};
use sim::replay::{self, Answer, Other};

use super::Args;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};
use crate::reading::{self, Whose};

/// Decisions that are shown in a table; JSON has all of them.
const SHOWN_MAX: usize = 100;

/// So that nobody takes it for a forecast.
const BY_ITSELF: &str = "each moment by itself, with the facts, scores, prices and refusals of the time; `largesse policy impact` \
                         follows what one promise changes for the next";

/// Decides the asked moments again under the other policy and shows those that come out differently; one that was asked
/// for alone is always shown.
pub fn run(args: &Args, other: &str, rows: Option<RangeInclusive<u64>>) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let bundle = Arc::new(crate::policy::named(other, Some(&args.dir))?);
    read_through(args, &reader, bundle.digest(), rows.as_ref())?;
    let under = Some(Other { bundle, models: super::models(args)?, keep_same: args.id.is_some() });
    let report = super::with_progress(&args.dir, replay::Options { rows, reinfer: None, under })?;
    let answer = report
        .under
        .as_ref()
        .ok_or_else(|| Failure::runtime(std::io::Error::other("the replay gave no answer")))?;
    if args.id.is_some() && answer.compared == 0 {
        return Err(nothing_to_compare(answer.erased_or_pruned));
    }
    show(args, answer)?;
    if report.is_identical() {
        return Ok(Verdict::Ok);
    }
    output::say(&format!(
        "{} rows do not even recompute as they were recorded, so this answer does not stand: see `largesse replay`",
        output::grouped(report.mismatches)
    ));
    Ok(Verdict::FoundBad)
}

fn nothing_to_compare(gone: u64) -> Failure {
    Failure::usage(if gone > 0 {
        "the row was erased or pruned: nobody can say what another policy would have made of it"
    } else {
        "the row is about no event of a member; `--under` compares what became of those"
    })
}

fn show(args: &Args, answer: &Answer) -> Result<()> {
    if args.output == Document::Json {
        return output::json(answer);
    }
    let mut table = output::plain_table();
    table.set_header(["row", "event", "recorded", "under the other policy"]);
    for line in answer.different.iter().take(SHOWN_MAX) {
        table.add_row([
            &line.seq.to_string(),
            &line.event_id,
            &with_reason(&line.recorded, line.recorded_reason),
            &with_reason(&line.under, line.reason),
        ]);
    }
    output::line(&output::trimmed(&table))?;
    if answer.different.len() > SHOWN_MAX {
        output::line(&format!("the first {SHOWN_MAX} of them; --output json has all"))?;
    }
    output::line(BY_ITSELF)?;
    if args.id.is_some() {
        return Ok(());
    }
    let different = output::grouped(answer.compared - answer.same);
    output::line(&format!(
        "{different} come out differently under {}, {} the same",
        answer.under.short(),
        output::grouped(answer.same)
    ))?;
    match answer.erased_or_pruned {
        0 => Ok(()),
        gone => {
            output::line(&format!("{} were erased or pruned and are not compared", output::grouped(gone)))
        }
    }
}

/// Outcomes under rules that somebody made up answer questions about what members' facts are; so that is a reading.
/// A policy the ledger holds was signed for by a person, or was in force.
fn read_through(
    args: &Args,
    reader: &Reader,
    policy: Digest,
    rows: Option<&RangeInclusive<u64>>,
) -> Result<()> {
    if runtime::opening::recorded_bundle(reader, policy).is_ok() {
        return Ok(());
    }
    let Some(purpose) = &args.purpose else {
        return Err(Failure::usage(
            "a policy that the ledger does not hold shows by its outcomes what members' facts are: say why you ask \
             with --purpose, for the record",
        ));
    };
    let row = rows.filter(|rows| rows.start() == rows.end()).map(|rows| *rows.start());
    let member = match row {
        Some(row) => reader.row(Seq(row)).map_err(crate::ledger_errors)?.and_then(|row| row.member),
        None => None,
    };
    reading::record(&args.dir, &args.who, "replay --under", purpose, Whose { member, row })
}

fn with_reason(outcome: &str, reason: &str) -> String {
    if reason.is_empty() { outcome.to_owned() } else { format!("{outcome} ({reason})") }
}
