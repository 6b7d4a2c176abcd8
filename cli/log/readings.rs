//! `largesse log readings`.

use std::path::PathBuf;

use domain::{MemberId, Timestamp};
use ledger::reading::Recorded;
use ledger::{Filter, Kind, Reader, Row};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Columns, Format};

/// List who was about to read personal data, when and why, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
A row is written before anything personal is shown. A signed one was signed by that person of
people.toml; an unsigned one has the name the operating system gives. Whoever holds keys.db and the
master key can read by other means, and that leaves no row.")]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// About one member, by whole pseudonym
    #[arg(long, value_name = "HEX")]
    member: Option<MemberId>,
    /// For one case, by its id or the first digits
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Recorded at this time or later (RFC 3339, or a day, which begins at midnight UTC)
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    since: Option<Timestamp>,
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
struct Line {
    seq: u64,
    at: String,
    by: String,
    signed: bool,
    command: String,
    member: Option<String>,
    /// The row that was shown; every row about the member when absent.
    row: Option<u64>,
    case: Option<String>,
    purpose: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] =
        &["seq", "at", "by", "signed", "command", "member", "row", "case", "purpose"];

    fn cells(self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.at,
            self.by,
            if self.signed { "signed" } else { "unsigned" }.to_owned(),
            self.command,
            self.member.unwrap_or_default(),
            self.row.map_or_else(|| "all".to_owned(), |row| row.to_string()),
            self.case.unwrap_or_default(),
            self.purpose,
        ]
    }
}

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let case = args.case.as_deref().map(|text| crate::case::named(&reader, text)).transpose()?;
    let mut filter = Filter {
        kind: Some(Kind::Reading),
        member: args.member,
        recorded_since: args.since,
        newest_first: true,
        limit: PAGE_ROWS,
        ..Filter::default()
    };
    let mut lines = Vec::new();
    while lines.len() < args.limit {
        let page = reader.list(&filter).map_err(crate::ledger_errors)?;
        for row in &page {
            let recorded = read(row)?;
            if case.is_none_or(|case| recorded.reading().case == Some(case)) {
                lines.push(line(row, &recorded));
            }
        }
        match page.last() {
            Some(last) => filter.before = Some(last.seq),
            None => break,
        }
    }
    lines.truncate(args.limit);
    if lines.is_empty() {
        output::say("no such reading is recorded");
    }
    output::rows(args.output, lines.into_iter().map(Ok))?;
    Ok(Verdict::Ok)
}

fn read(row: &Row) -> Result<Recorded> {
    serde_json::from_str(row.body.as_deref().unwrap_or_default())
        .map_err(|error| Failure::found_bad(anyhow::anyhow!("row {} cannot be read: {error}", row.seq)))
}

fn line(row: &Row, recorded: &Recorded) -> Line {
    let (by, signed) = match recorded {
        Recorded::Signed(signed) => (signed.statement.by.clone(), true),
        Recorded::Unsigned(unsigned) => (unsigned.user.clone(), false),
    };
    let reading = recorded.reading();
    Line {
        seq: row.seq.0,
        at: row.recorded_at.to_string(),
        by,
        signed,
        command: reading.command.clone(),
        member: reading.member.map(|member| member.to_string()),
        row: reading.row,
        case: reading.case.map(|case| case.to_string()),
        purpose: reading.purpose.clone(),
    }
}
