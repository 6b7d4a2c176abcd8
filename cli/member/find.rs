//! `largesse member find`.

use std::path::PathBuf;

use ledger::Keys;
use serde_json::json;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};
use crate::reading::{self, Who, Whose};

/// The pseudonym of a member, which lists, facets and exports go by
#[derive(clap::Args)]
#[command(after_help = "\
Why did this member get nothing yesterday? `largesse member find`, then
`largesse log list --member PSEUDONYM --kind decision --since DAY`, then `largesse log explain SEQ`.
Who leads from a person to what was decided about them reads personal data: a row says who asked and why.
Exit codes: 2 nobody of that name, or erased, 4 it cannot be recorded.")]
pub struct Args {
    /// The program's own identifier of the member
    member: String,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Why, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    #[command(flatten)]
    reader: Who,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable)?;
    let member = keys.member(&args.member).map_err(Failure::unavailable)?.ok_or_else(|| {
        // The identifier is not repeated: it may be a person's name.
        Failure::usage("no member of this ledger has this identifier: never enrolled, or erased")
    })?;
    let whose = Whose { member: Some(member), row: None };
    reading::record(&args.dir, &args.reader, "member find", &args.purpose, whose)?;
    match args.output {
        Document::Table => output::line(&member.to_string())?,
        Document::Json => output::json(&json!({ "member": member }))?,
    }
    Ok(Verdict::Ok)
}
