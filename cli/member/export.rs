//! `largesse member export`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use domain::{Digest, MemberId};
use ledger::{Entry, Keys, Kind, Reader, Writer};
use runtime::registry::Followed;
use runtime::requests::Desk;
use serde_json::json;
use uuid::Uuid;

use super::{Who, alone, document, stated};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};
use crate::reading::{self, Whose};

/// Write down everything the ledger holds about a member, opened and explained
#[derive(clap::Args)]
#[command(after_help = "\
Every row about the member with its personal part, each decision with its reason in words, every
candidate and why it lost, and the rules of the policies it was decided by (GDPR Art. 15 and 20). With
--out the JSON goes to FILE and the text beside it, to FILE.txt; nobody else may read them.
The export is recorded before it is written, with who asked and why; so is that a pseudonym was
resolved, when --pseudonym was given. No node may be running. Exit codes: 2 nobody of that name, 3 erased,
4 a node is running.")]
pub struct Args {
    #[command(flatten)]
    who: Who,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Why, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    #[command(flatten)]
    reader: reading::Who,
    /// Where to write it, instead of stdout; a new file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What stdout gets: table (text for people) or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let purpose = stated("--purpose", &args.purpose)?;
    let mut writer = alone(&args.dir)?;
    let member = args.who.known(writer.keys())?;
    match writer.keys().find(member) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(super::nobody()),
        Err(error @ ledger::KeyError::Erased(_)) => return Err(Failure::found_bad(error)),
        Err(error) => return Err(Failure::unavailable(error)),
    }
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let whose = Whose { member: Some(member), row: None };
    let request = reading::request(&args.dir, &args.reader, "member export", purpose, whose)?;
    let identity = writer.identity();
    let mut registry = Followed::new(&identity);
    let mut desk = Desk {
        folder: &args.dir,
        reader: &reader,
        keys: writer.keys(),
        registry: &mut registry,
        identity: &identity,
    };
    let judged = desk.judge(&request, None, runtime::clock::wall());
    let judged = judged.map_err(|error| reading::refused(error.code(), &error.to_string()))?.judged();
    let reading =
        judged.ok_or_else(|| Failure::runtime(anyhow::anyhow!("a reading hands nothing in")))?.entries;
    let rows = reader.rows_of(member).map_err(crate::ledger_errors)?;
    reader.vouch(rows.iter().map(|row| row.seq)).map_err(crate::ledger_errors)?;
    drop(rows);
    let export = document::Export::of(&reader, writer.keys(), member)?;
    let json = serde_json::to_vec_pretty(&export.json).map_err(Failure::runtime)?;
    let row = record(&mut writer, args, member, reading, &json)?;
    let Some(out) = &args.out else {
        return match args.output {
            Document::Table => output::line(&export.text).map(|()| Verdict::Ok),
            Document::Json => output::json(&export.json).map(|()| Verdict::Ok),
        };
    };
    let mut beside = out.clone().into_os_string();
    beside.push(".txt");
    write_new(out, &json)?;
    write_new(Path::new(&beside), export.text.as_bytes())?;
    if args.output == Document::Json {
        output::json(&json!({ "row": row, "rows": export.rows, "json": out, "text": Path::new(&beside) }))?;
    } else {
        output::line(&format!(
            "row {row}: {} rows about member {member} in {} and {}",
            export.rows,
            out.display(),
            Path::new(&beside).display()
        ))?;
    }
    Ok(Verdict::Ok)
}

/// Records who reads, the export, and the unmasking where a pseudonym led to the person. Returns the row of the export.
fn record(
    writer: &mut Writer,
    args: &Args,
    member: MemberId,
    reading: Vec<Entry>,
    json: &[u8],
) -> Result<u64> {
    let purpose = args.purpose.trim();
    let row = |kind, body: serde_json::Value| {
        let mut entry = Entry::new(kind, Uuid::now_v7().into_bytes(), body.to_string());
        entry.member = Some(member);
        entry
    };
    let mut entries = reading;
    if args.who.pseudonym {
        entries.push(row(Kind::Unmasking, json!({ "v": 1, "purpose": purpose })));
    }
    let digest = Digest::of(json).to_string();
    entries
        .push(row(Kind::Export, json!({ "v": 1, "what": "member", "purpose": purpose, "sha256": digest })));
    let appended = writer.append_signed(runtime::clock::wall(), &entries).map_err(crate::ledger_errors)?;
    Ok(appended.seq(entries.len() - 1).0)
}

/// Writes a file that only its owner may read, and that was not there.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::runtime(anyhow::anyhow!("cannot write {}: {error}", path.display())))
}

/// The identifier of a member, for the export.
pub fn identifier(keys: &Keys, member: MemberId) -> Result<Option<String>> {
    keys.identity(member).map_err(Failure::unavailable)
}
