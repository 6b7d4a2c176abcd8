//! The signed steps of a case.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use domain::Digest;
use ledger::cases::{Attachment, CaseId, Closing, FILE_BYTES_MAX, Step};
use sha2::{Digest as _, Sha256};

use crate::exit::{Failure, Result};
use crate::policy::place::Found;
use crate::signing::{Keyed, ledger_of, put, signed};

/// Bytes of a file read at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Open a case about decisions
#[derive(clap::Args)]
#[command(after_help = "\
Prints the id of the case: eight hex digits, of which four suffice where no other case begins so. For
auditors. At most 200 decisions, and a title of 200 characters, kept for ever: name no person in it.")]
pub struct Open {
    /// What it is about, in a line
    #[arg(long, value_name = "TEXT")]
    title: String,
    /// Decisions, by decision id, event id or row; may be given several times
    #[arg(long, value_name = "DECISION", required = true, num_args = 1..)]
    about: Vec<String>,
    #[command(flatten)]
    keyed: Keyed,
}

/// Write something down in a case
#[derive(clap::Args)]
#[command(after_help = "At most 2,000 characters, kept for ever: name no person in them. For auditors.")]
pub struct Note {
    /// The case, by its id or the first digits
    case: String,
    /// What was seen, thought or agreed
    #[arg(long, value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Add a decision, or the digest of a file, to a case
#[derive(clap::Args)]
#[command(after_help = "\
Of a file its name, size and SHA-256 are recorded; the file stays with you, and `largesse case show CASE
--check FILE` says later whether it is the same. At most 1 GiB. For auditors.")]
pub struct Attach {
    /// The case, by its id or the first digits
    case: String,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    keyed: Keyed,
}

/// What is attached.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A decision, by decision id, event id or row
    #[arg(long, value_name = "DECISION")]
    decision: Option<String>,
    /// A file; never one whose name says who it is about
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Ask that a decision's promise be taken back
#[derive(clap::Args)]
#[command(after_help = "\
Nothing happens until an approver, another person, confirms it. Only a promise that is still open can be
taken back: none that was redeemed, expired or cancelled. The decision must be in the case. For auditors.")]
pub struct Reverse {
    /// The case, by its id or the first digits
    case: String,
    /// The decision, by decision id, event id or row
    decision: String,
    /// Why; at most 2,000 characters, kept for ever: name no person in them
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Confirm what somebody else asked for: the promise is cancelled
#[derive(clap::Args)]
#[command(after_help = "\
For approvers, and never for whoever asked. A running node takes the promise back at once, and its budget
is free again; without one, the next node that starts does. `largesse case show` says when it has.")]
pub struct Confirm {
    /// The case, by its id or the first digits
    case: String,
    /// The decision, by decision id, event id or row
    decision: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Take back a request that waits, or decline it
#[derive(clap::Args)]
#[command(after_help = "\
For auditors, and for approvers who will not confirm it. What was confirmed cannot be withdrawn.")]
pub struct Withdraw {
    /// The case, by its id or the first digits
    case: String,
    /// The decision, by decision id, event id or row
    decision: String,
    /// Why; at most 2,000 characters, kept for ever: name no person in them
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Close a case for good
#[derive(clap::Args)]
#[command(after_help = "\
Nothing happens in a closed case. It cannot be closed while a reversal waits for its second person.
For auditors.")]
pub struct Close {
    /// The case, by its id or the first digits
    case: String,
    /// What it came to
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    reason: Closing,
    #[command(flatten)]
    keyed: Keyed,
}

fn reasons() -> impl TypedValueParser<Value = Closing> {
    let values = Closing::ALL.iter().map(|reason| PossibleValue::new(reason.name()).help(reason.text()));
    PossibleValuesParser::new(values).try_map(|word| Closing::from_name(&word).ok_or("no such reason"))
}

pub fn open(args: &Open) -> Result {
    let found = args.keyed.place.find()?;
    let about = args.about.iter().map(|text| found.decision(text)).collect::<Result<Vec<_>>>()?;
    let step = Step::Open { title: args.title.clone(), about };
    let signed = signed(&args.keyed.person()?, ledger_of(&args.keyed, &found)?, step);
    let id = CaseId::of(&signed.statement.id).to_string();
    put(&args.keyed, &found, &signed.into(), &format!("case {id} is open"), Some(("case", id)))
}

/// Takes a step of a case.
fn take(keyed: &Keyed, found: &Found, step: Step, done: &str) -> Result {
    let case = step.case().map(|case| case.to_string()).unwrap_or_default();
    let signed = signed(&keyed.person()?, ledger_of(keyed, found)?, step);
    put(keyed, found, &signed.into(), &format!("case {case}: {done}"), Some(("case", case)))
}

pub fn note(args: &Note) -> Result {
    let found = args.keyed.place.find()?;
    let step = Step::Note { case: found.case(&args.case)?, text: args.text.clone() };
    take(&args.keyed, &found, step, "noted")
}

pub fn attach(args: &Attach) -> Result {
    let found = args.keyed.place.find()?;
    let what = match (&args.what.file, &args.what.decision) {
        (Some(path), _) => file(path)?,
        (None, Some(text)) => Attachment::Decision { decision: found.decision(text)? },
        (None, None) => return Err(Failure::usage("say with --decision or --file what to attach")),
    };
    take(&args.keyed, &found, Step::Attach { case: found.case(&args.case)?, what }, "attached")
}

pub fn reverse(args: &Reverse) -> Result {
    let found = args.keyed.place.find()?;
    let (case, decision) = (found.case(&args.case)?, found.decision(&args.decision)?);
    let done = format!("the reversal of decision {decision} waits for an approver who confirms it");
    take(&args.keyed, &found, Step::Reverse { case, decision, why: args.why.clone() }, &done)
}

pub fn confirm(args: &Confirm) -> Result {
    let found = args.keyed.place.find()?;
    let (case, decision) = (found.case(&args.case)?, found.decision(&args.decision)?);
    let done = format!(
        "the reversal of decision {decision} is confirmed; a running node takes the promise back now, otherwise the next"
    );
    take(&args.keyed, &found, Step::Confirm { case, decision }, &done)
}

pub fn withdraw(args: &Withdraw) -> Result {
    let found = args.keyed.place.find()?;
    let (case, decision) = (found.case(&args.case)?, found.decision(&args.decision)?);
    let done = format!("decision {decision} keeps its promise; the request is withdrawn");
    take(&args.keyed, &found, Step::Withdraw { case, decision, why: args.why.clone() }, &done)
}

pub fn close(args: &Close) -> Result {
    let found = args.keyed.place.find()?;
    let step = Step::Close { case: found.case(&args.case)?, reason: args.reason };
    take(&args.keyed, &found, step, &format!("closed as {}", args.reason.name()))
}

/// What is recorded of a file.
///
/// # Errors
/// Exit 2 when it cannot be read, or is larger than is read.
pub fn file(path: &Path) -> Result<Attachment> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("failed to read {}: {error}", path.display()));
    let about = std::fs::metadata(path).map_err(unreadable)?;
    let too_large =
        || Failure::usage(format!("{} is no file of at most {FILE_BYTES_MAX} bytes", path.display()));
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Err(too_large());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // It may grow while it is read.
    let mut file = File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1);
    let (mut sha256, mut buffer, mut bytes) = (Sha256::new(), vec![0; BUFFER_BYTES], 0);
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        sha256.update(&buffer[..read]);
        bytes += read as u64;
    }
    if bytes > FILE_BYTES_MAX {
        return Err(too_large());
    }
    Ok(Attachment::File { name, bytes, sha256: Digest(sha256.finalize().into()) })
}
