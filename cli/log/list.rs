//! `largesse log list`.

use std::path::PathBuf;

use domain::{Outcome, Reason, Timestamp};
use ledger::{Filter, Kind, Reader, Row};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Format};

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
    /// Rows about one member, by pseudonym
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

const HEADER: [&str; 9] =
    ["seq", "kind", "event_time", "outcome", "reason", "segment", "reward", "member", "id"];

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let mut filter = Filter {
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
    let mut left = args.limit;
    let mut rows = Vec::new();
    while left > 0 {
        filter.limit = left.min(ledger::PAGE_ROWS_MAX);
        let page = reader.list(&filter).map_err(crate::ledger_errors)?;
        let Some(last) = page.last().map(|row| row.seq) else { break };
        if args.oldest_first {
            filter.after = Some(last);
        } else {
            filter.before = Some(last);
        }
        left -= u32::try_from(page.len()).unwrap_or(left).min(left);
        rows.extend(page);
    }
    // People get the start of a pseudonym, programs all of it: `--member` takes the whole.
    let shown = if args.output == Format::Table { 8 } else { usize::MAX };
    let cells = rows.iter().map(|row| Ok(cells(row, shown)));
    output::rows(args.output, &HEADER, cells).map_err(|failure: Failure| failure)?;
    Ok(Verdict::Ok)
}

fn cells(row: &Row, member_digits: usize) -> Vec<String> {
    let id = uuid_text(row.record_id);
    vec![
        row.seq.to_string(),
        row.kind.name().to_owned(),
        row.event_time.unwrap_or(row.recorded_at).to_string(),
        row.outcome.map_or("", Outcome::name).to_owned(),
        row.reason.map_or("", Reason::name).to_owned(),
        row.segment.clone().unwrap_or_default(),
        row.reward.clone().unwrap_or_default(),
        row.member.map(|member| member.to_string().chars().take(member_digits).collect()).unwrap_or_default(),
        id,
    ]
}

/// A record id as a UUID.
pub fn uuid_text(id: [u8; 16]) -> String {
    let hex = domain::digest::hex(&id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
