//! `largesse log consistency`.

use std::path::{Path, PathBuf};

use ledger::note::Head;
use ledger::{KeyHistory, Reader};
use serde_json::json;

use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{Document, grouped};

/// Prove that the log only grew since an older signed head
#[derive(clap::Args)]
#[command(after_help = "\
Exit 3 says that the log is shorter than a head (an older copy was restored, or rows were cut
off), or that its first rows are not those of a head (a fork). The file is the body of an
add-checkpoint request of c2sp.org/tlog-witness; whoever holds OLD checks it with `largesse log
check-proof FILE --head OLD --key KEY` or with docs/verify/verify.py.")]
pub struct Args {
    /// The older head: a file with a signed head, or a number of rows
    #[arg(value_name = "OLD")]
    old: String,
    /// The newer one: a file, or the number of rows of a signed head; the newest signed head when left out
    #[arg(value_name = "NEW")]
    new: Option<String>,
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The public key you were given (a verifier.txt, or the key itself), instead of the one in the folder
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Write the proof to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to say what was proven: for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = given::keys(&reader, &args.dir, args.key.as_deref())?;
    let old = match args.old.parse() {
        Ok(size) => {
            reader.root_at(size).map_err(crate::ledger_errors)?;
            size
        }
        Err(_) => {
            let (head, _) = given::head(&reader, &keys, Path::new(&args.old))?;
            reader.holds(&head).map_err(crate::ledger_errors)?;
            head.size
        }
    };
    let (head, note) = newer(args.new.as_deref(), &reader, &keys)?;
    if old == 0 || old > head.size {
        let what = format!(
            "the older head is of {old} rows, the newer of {}: nothing leads from one to the other",
            head.size
        );
        return Err(Failure::usage(what));
    }
    let proof = reader.prove_consistency(old, &head, &note).map_err(crate::ledger_errors)?;
    let said = format!(
        "the log of {} rows begins with the {} rows of the older head: {} hashes",
        grouped(head.size),
        grouped(old),
        proof.path.len()
    );
    let facts = json!({
        "old_rows": old, "origin": head.origin, "rows": head.size, "root": head.root, "hashes": proof.path.len(),
    });
    given::hand_out(&proof.to_text(), args.out.as_deref(), args.output, &said, facts)?;
    Ok(Verdict::Ok)
}

fn newer(new: Option<&str>, reader: &Reader, keys: &KeyHistory) -> Result<(Head, String)> {
    let Some(new) = new else { return given::newest(reader, keys) };
    let Ok(size) = new.parse() else { return given::head(reader, keys, Path::new(new)) };
    let stored = reader.checkpoint(size).map_err(crate::ledger_errors)?;
    let no_head = || {
        Failure::usage(format!("no head was signed over exactly {size} rows; leave NEW out for the newest"))
    };
    given::stored(stored.ok_or_else(no_head)?, keys)
}
