//! `largesse log list`.

use std::path::PathBuf;

use domain::{Outcome, Reason, Timestamp};
use ledger::{Filter, Kind, Reader, Row};

use serde::Serialize;

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
    /// Rows of one kind: decision, observed, dead_letter, certificate, budget, bundle, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    /// Decisions with one outcome: granted, none, suppressed, denied, control, pending, fallback
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Rows with one reason, e.g. QUIET_HOURS (`largesse explain` lists them)
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<Reason>,
    /// Decisions in one segment
    #[arg(long, value_name = "ID")]
    segment: Option<String>,
    /// Decisions that promised one reward
    #[arg(long, value_name = "ID")]
    reward: Option<String>,
    /// Rows about one member, by whole pseudonym; the table shows its first 8 digits, `--output json` all
    #[arg(long, value_name = "HEX")]
    member: Option<domain::MemberId>,
    /// Rows recorded at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Rows recorded before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

fn kind(text: &str) -> std::result::Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::from_name(text).ok_or_else(|| format!("one of {}", names()))
}

fn outcome(text: &str) -> std::result::Result<Outcome, String> {
    let names = || Outcome::ALL.iter().map(|outcome| outcome.name()).collect::<Vec<_>>().join(", ");
    Outcome::from_name(text).ok_or_else(|| format!("one of {}", names()))
}

fn reason(text: &str) -> std::result::Result<Reason, String> {
    Reason::from_name(&text.to_uppercase())
        .ok_or_else(|| "no such reason; `largesse explain` lists them".to_owned())
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
    let filter = Filter {
        kind: args.kind,
        outcome: args.outcome,
        reason: args.reason,
        segment: args.segment.clone(),
        reward: args.reward.clone(),
        member: args.member,
        since: args.since,
        until: args.until,
        newest_first: !args.oldest_first,
        ..Filter::default()
    };
    let mut pages = Pages { reader, filter, left: args.limit, page: Vec::new().into_iter() };
    // People get the start of a pseudonym, programs all of it: `--member` takes the whole.
    let shown = if args.output == Format::Table { 8 } else { usize::MAX };
    let mut found = false;
    let lines = std::iter::from_fn(|| pages.next().transpose()).map(|row| {
        found = true;
        Ok(Line::of(row?, shown))
    });
    output::rows(args.output, lines)?;
    if !found {
        output::say(&nothing(args));
    }
    Ok(Verdict::Ok)
}

/// An empty list may be an answer, or a misspelt id.
fn nothing(args: &Args) -> String {
    match (&args.segment, &args.reward) {
        (None, None) => "no row matches".to_owned(),
        (Some(_), _) | (_, Some(_)) => {
            "no row matches; the ids of segments and rewards are in the policy (`largesse log list --kind bundle` \
             finds the rows that hold it, `largesse log show` prints one)"
                .to_owned()
        }
    }
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
