//! `largesse replay --under`: what would have been decided under another policy.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;
use std::sync::Arc;

use domain::{Digest, Outcome};
use ledger::{Keys, Kind, Reader, Row, Seq};
use models::Models;
use policies::Bundle;
use serde::Serialize;
use sim::impact::{self, Assessment, Recorded, Wanted};

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

/// So that nobody takes what was negotiated live for what is compared.
const COMPUTED: &str = "what is recorded was negotiated live, as messages arrived; so both policies are computed from the events, and \
                        those two are compared";

/// Per event, outcome with reward, and the reason.
type Said = BTreeMap<String, (String, &'static str)>;

/// One decision as it was, and as both policies give it.
#[derive(Serialize)]
struct Line {
    seq: u64,
    event_id: String,
    recorded: String,
    recorded_reason: &'static str,
    /// As the policy that decided gives it, computed from the events like the other.
    computed: String,
    computed_reason: &'static str,
    under: String,
    reason: &'static str,
}

/// Runs the recorded events up to the last asked row under the policies that decided and under the other one, with
/// negotiation, budgets, caps and timers coupled, and shows the asked decisions that come out differently; one that
/// was asked for alone is always shown.
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
    let count = recorded.events.iter().rposition(|taken| taken.seq.0 <= last).map_or(0, |at| at + 1);
    recorded.events.truncate(count + 1);
    let Asked { rows: asked, gone } = asked(&reader, rows.as_ref())?;
    if args.id.is_some() && asked.is_empty() {
        return Err(nothing_to_compare(gone));
    }
    let starts = reader.of_kinds(&[Kind::Start]).map_err(crate::ledger_errors)?;
    // What only updated facts names no policy: it is that of the run.
    let own = |row: &Row| {
        let run = || starts.iter().rfind(|start| start.seq < row.seq).and_then(|start| start.bundle);
        row.bundle.or_else(run).unwrap_or(bundle.digest())
    };
    let mut said = BTreeMap::from([(bundle.digest(), said(models, &recorded, &bundle)?)]);
    for digest in asked.iter().map(&own) {
        if let Entry::Vacant(place) = said.entry(digest) {
            let policy = runtime::opening::recorded_bundle(&reader, digest).map_err(crate::node_errors)?;
            place.insert(self::said(super::models(args)?, &recorded, &Arc::new(policy))?);
        }
    }
    let (mut lines, mut counts) = (Vec::new(), Counts { gone, ..Counts::default() });
    for row in asked {
        let decided_by = own(&row);
        let Some(line) = compared(row, &said[&decided_by], &said[&bundle.digest()]) else { continue };
        counts.compared += 1;
        counts.as_recorded +=
            u64::from(line.computed == line.recorded && line.computed_reason == line.recorded_reason);
        if line.computed == line.under && args.id.is_none() {
            counts.same += 1;
        } else {
            lines.push(line);
        }
    }
    show(args, bundle.digest(), &lines, &counts)?;
    Ok(Verdict::Ok)
}

/// How the asked rows came out.
#[derive(Default)]
struct Counts {
    compared: u64,
    same: u64,
    /// What the own policy gives for so many is what was recorded, with the same reason.
    as_recorded: u64,
    gone: u64,
}

/// The asked rows about events of members.
#[derive(Default)]
struct Asked {
    rows: Vec<Row>,
    /// Those of them that were erased or pruned: nobody can decide them again.
    gone: u64,
}

fn asked(reader: &Reader, rows: Option<&RangeInclusive<u64>>) -> Result<Asked> {
    let (first, last) = rows.map_or((1, u64::MAX), |rows| (*rows.start(), *rows.end()));
    let (mut asked, mut after) = (Asked::default(), Seq(first.saturating_sub(1)));
    loop {
        let page = reader.after(after, PAGE_ROWS).map_err(crate::ledger_errors)?;
        let newest = page.last().map(|row| row.seq);
        let is_event = |row: &Row| row.seq.0 <= last && matches!(row.kind, Kind::Decision | Kind::Observed);
        for row in page.into_iter().filter(is_event) {
            if row.is_pruned() || row.event_id.is_none() {
                asked.gone += 1;
            } else {
                asked.rows.push(Row { body: None, sealed: None, ..row });
            }
        }
        match newest {
            Some(newest) if newest.0 < last => after = newest,
            Some(_) | None => return Ok(asked),
        }
    }
}

fn nothing_to_compare(gone: u64) -> Failure {
    Failure::usage(if gone > 0 {
        "the row was erased or pruned: nobody can say what another policy would have made of it"
    } else {
        "the row is about no event of a member; `--under` compares what became of those"
    })
}

/// What a policy says to the recorded events.
fn said(models: Models, recorded: &Recorded, bundle: &Arc<Bundle>) -> Result<Said> {
    let bar = output::progress("deciding again");
    bar.set_length(recorded.events.len() as u64);
    let said = Assessment::alone(bundle, models, recorded, |done| bar.set_position(done));
    bar.finish_and_clear();
    said.map_err(Failure::runtime)
}

fn show(args: &Args, under: Digest, lines: &[Line], counts: &Counts) -> Result<()> {
    if args.output == Document::Json {
        return output::json(&serde_json::json!({
            "under": under, "compared": counts.compared, "same": counts.same, "as_recorded": counts.as_recorded,
            "erased_or_pruned": counts.gone, "different": lines,
        }));
    }
    let mut table = output::plain_table();
    table.set_header(["row", "event", "recorded", "computed", "under the other policy"]);
    for line in lines.iter().take(SHOWN_MAX) {
        table.add_row([
            &line.seq.to_string(),
            &line.event_id,
            &with_reason(&line.recorded, line.recorded_reason),
            &with_reason(&line.computed, line.computed_reason),
            &with_reason(&line.under, line.reason),
        ]);
    }
    output::line(&output::trimmed(&table))?;
    if lines.len() > SHOWN_MAX {
        output::line(&format!("the first {SHOWN_MAX} of them; --output json has all"))?;
    }
    output::line(COMPUTED)?;
    if args.id.is_some() {
        return Ok(());
    }
    let (different, same) = (output::grouped(lines.len() as u64), output::grouped(counts.same));
    output::line(&format!("{different} come out differently under {}, {same} the same", under.short()))?;
    output::line(&format!(
        "of {} compared, {} come out computed as they were recorded, with the same reason",
        output::grouped(counts.compared),
        output::grouped(counts.as_recorded)
    ))?;
    match counts.gone {
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

fn compared(row: Row, own: &Said, other: &Said) -> Option<Line> {
    let event_id = row.event_id?.to_string();
    let text = |outcome: Outcome| match &row.reward {
        Some(reward) => format!("{outcome} {reward}"),
        None => outcome.to_string(),
    };
    let of = |said: &Said| said.get(&event_id).cloned().unwrap_or_else(|| (NO_MOMENT.to_owned(), ""));
    let ((computed, computed_reason), (under, reason)) = (of(own), of(other));
    Some(Line {
        seq: row.seq.0,
        recorded: row.outcome.map_or_else(|| NO_MOMENT.to_owned(), text),
        recorded_reason: row.reason.filter(|_| row.outcome.is_some()).map_or("", domain::Reason::name),
        computed,
        computed_reason,
        under,
        reason,
        event_id,
    })
}

fn with_reason(outcome: &str, reason: &str) -> String {
    if reason.is_empty() { outcome.to_owned() } else { format!("{outcome} ({reason})") }
}
