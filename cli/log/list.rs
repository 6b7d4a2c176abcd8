//! `largesse log list`.

use std::path::PathBuf;

use domain::{Outcome, Reason};
use ledger::{Filter, Reader, Row, Seq};
use serde::Serialize;

use super::asked::Asked;
use crate::exit::{Result, Verdict};
use crate::output::{self, Columns, Format};

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

/// List rows, newest first, filtered
#[derive(clap::Args)]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Go on after the last row of an earlier list, by its sequence number
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

/// One row of the listing.
#[derive(Serialize)]
struct Line {
    seq: u64,
    kind: &'static str,
    recorded_at: String,
    event_time: Option<String>,
    outcome: Option<&'static str>,
    reason: Option<&'static str>,
    segment: Option<String>,
    reward: Option<String>,
    member: Option<String>,
    id: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] = &[
        "seq",
        "kind",
        "recorded_at",
        "event_time",
        "outcome",
        "reason",
        "segment",
        "reward",
        "member",
        "id",
    ];

    fn cells(self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.kind.to_owned(),
            self.recorded_at,
            self.event_time.unwrap_or_default(),
            self.outcome.unwrap_or_default().to_owned(),
            self.reason.unwrap_or_default().to_owned(),
            self.segment.unwrap_or_default(),
            self.reward.unwrap_or_default(),
            self.member.unwrap_or_default(),
            self.id,
        ]
    }
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let filter = begun(args);
    let mut pages = Pages { reader, filter, left: args.limit, page: Vec::new().into_iter() };
    // People get the start of a pseudonym, programs all of it: `--member` takes the whole.
    let shown = if args.output == Format::Table { 8 } else { usize::MAX };
    let (mut listed, mut last) = (0, None);
    let lines = std::iter::from_fn(|| pages.next().transpose()).map(|row| {
        let row = row?;
        (listed, last) = (listed + 1, Some(row.seq));
        Ok(Line::of(row, shown))
    });
    output::rows(args.output, lines)?;
    match last {
        None => output::say(args.asked.nothing()),
        // People only: a program that wants more asks with the last number it got.
        Some(last) if listed == args.limit && args.output == Format::Table => {
            output::say(&format!("{listed} rows, there may be more: --from {last} goes on"));
        }
        Some(_) => {}
    }
    Ok(Verdict::Ok)
}

/// What is asked for, from where an earlier list ended.
fn begun(args: &Args) -> Filter {
    let from = args.from.map(Seq);
    let (after, before) = if args.oldest_first { (from, None) } else { (None, from) };
    Filter { newest_first: !args.oldest_first, after, before, ..args.asked.filter() }
}

/// Rows of a filter, read page by page as they are asked for.
struct Pages {
    reader: Reader,
    filter: Filter,
    left: u32,
    page: std::vec::IntoIter<Row>,
}

impl Pages {
    fn next(&mut self) -> Result<Option<Row>> {
        if let Some(row) = self.page.next() {
            return Ok(Some(row));
        }
        self.filter.limit = self.left.min(PAGE_ROWS);
        if self.left == 0 {
            return Ok(None);
        }
        let page = self.reader.list(&self.filter).map_err(crate::ledger_errors)?;
        self.reader.vouch_as(&self.filter, page.iter().map(|row| row.seq)).map_err(crate::ledger_errors)?;
        let last = page.last().map(|row| row.seq);
        if self.filter.newest_first {
            self.filter.before = last;
        } else {
            self.filter.after = last;
        }
        let full = page.len() == self.filter.limit as usize;
        self.left = if full { self.left - self.filter.limit } else { 0 };
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

impl Line {
    fn of(row: Row, member_digits: usize) -> Line {
        let pseudonym = |member: domain::MemberId| member.to_string().chars().take(member_digits).collect();
        Line {
            seq: row.seq.0,
            kind: row.kind.name(),
            recorded_at: row.recorded_at.to_string(),
            event_time: row.event_time.map(|time| time.to_string()),
            outcome: row.outcome.map(Outcome::name),
            reason: row.reason.map(Reason::name),
            segment: row.segment,
            reward: row.reward,
            member: row.member.map(pseudonym),
            id: uuid_text(row.record_id),
        }
    }
}

/// A record id as a UUID.
pub fn uuid_text(id: [u8; 16]) -> String {
    let hex = domain::digest::hex(&id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
