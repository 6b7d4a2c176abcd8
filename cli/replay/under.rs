//! `largesse replay --under`: what would have been decided under another policy.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use domain::{Digest, Outcome};
use ledger::{Keys, Reader, Row, Seq};
use serde::Serialize;
use sim::impact::{self, Assessment, Wanted};

use super::Args;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};
use crate::reading::{self, Whose};

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;
/// What an event came to that started no moment.
const NO_MOMENT: &str = "no moment";
/// Decisions that are shown in a table; JSON has all of them.
const SHOWN_MAX: usize = 100;

/// So that nobody takes the difference for the other policy's doing alone.
const COMPUTED: &str = "what is recorded was negotiated live, as messages arrived; the other side is computed from the events, and \
                        even the policy that decided does not give every row again: `largesse policy impact` compares two \
                        policies on equal terms";

/// Per event, outcome with reward, and the reason.
type Said = BTreeMap<String, (String, &'static str)>;

/// One decision as it was and as it would have been.
#[derive(Serialize)]
struct Line {
    seq: u64,
    event_id: String,
    recorded: String,
    under: String,
    reason: &'static str,
}

/// Runs the recorded events up to the last asked row under the other policy, with negotiation, budgets, caps and
/// timers coupled, and shows the asked decisions that come out differently; one that was asked for alone is always
/// shown.
pub fn run(args: &Args, other: &str, rows: Option<RangeInclusive<u64>>) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable)?;
    let bundle = Arc::new(crate::policy::named(other, Some(&args.dir))?);
    read_through(args, &reader, bundle.digest(), rows.as_ref())?;
    let models = super::models(args)?;
    let wanted = Wanted { after: Seq::START, until: None, since: None, models: models.digest() };
    let mut recorded = impact::read(&reader, &keys, wanted, |_, _| {}).map_err(Failure::runtime)?;
    let last = rows.as_ref().map_or(u64::MAX, |rows| *rows.end());
    // One event more than was asked for: timers fire when time goes on.
    let asked = recorded.events.iter().rposition(|taken| taken.seq.0 <= last).map_or(0, |at| at + 1);
    recorded.events.truncate(asked + 1);
    let bar = output::progress("deciding again");
    bar.set_length(recorded.events.len() as u64);
    let said = Assessment::alone(&bundle, models, &recorded, |done| bar.set_position(done));
    bar.finish_and_clear();
    let said = said.map_err(Failure::runtime)?;
    let (mut lines, mut same) = (Vec::new(), 0u64);
    let mut after = Seq(rows.as_ref().map_or(0, |rows| rows.start().saturating_sub(1)));
    loop {
        let page = reader.after(after, PAGE_ROWS).map_err(crate::ledger_errors)?;
        for row in page.iter().filter(|row| row.seq.0 <= last && row.member.is_some()) {
            let Some(event) = &row.event_id else { continue };
            let line = compared(row, event.to_string(), &said);
            if line.recorded == line.under && args.id.is_none() {
                same += 1;
            } else {
                lines.push(line);
            }
        }
        match page.last() {
            Some(newest) if newest.seq.0 < last => after = newest.seq,
            Some(_) | None => break,
        }
    }
    if args.output == Document::Json {
        output::json(&serde_json::json!({ "under": bundle.digest(), "same": same, "different": lines }))?;
        return Ok(Verdict::Ok);
    }
    let mut table = output::plain_table();
    table.set_header(["row", "event", "recorded", "under the other policy", "its reason"]);
    for line in lines.iter().take(SHOWN_MAX) {
        table.add_row([&line.seq.to_string(), &line.event_id, &line.recorded, &line.under, line.reason]);
    }
    output::line(&output::trimmed(&table))?;
    if lines.len() > SHOWN_MAX {
        output::line(&format!("the first {SHOWN_MAX} of them; --output json has all"))?;
    }
    output::line(COMPUTED)?;
    if args.id.is_none() {
        output::line(&format!(
            "{} come out differently under {}, {} the same",
            output::grouped(lines.len() as u64),
            bundle.digest().short(),
            output::grouped(same)
        ))?;
    }
    Ok(Verdict::Ok)
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

fn compared(row: &Row, event_id: String, said: &Said) -> Line {
    let under = said.get(&event_id);
    let text = |outcome: Outcome| match &row.reward {
        Some(reward) => format!("{outcome} {reward}"),
        None => outcome.to_string(),
    };
    Line {
        seq: row.seq.0,
        recorded: row.outcome.map_or_else(|| NO_MOMENT.to_owned(), text),
        under: under.map_or_else(|| NO_MOMENT.to_owned(), |said| said.0.clone()),
        reason: under.map_or("", |said| said.1),
        event_id,
    }
}
