//! `largesse log backup` and `largesse log restore`.

use std::path::{Path, PathBuf};

use ledger::{Copied, Files, KeysFrom, Progress};
use serde_json::json;

use crate::exit::{Failure, Result, Verdict};
use crate::folder::refuse_used;
use crate::output::{self, Document, grouped};

/// Copy the ledger, also beside a running node, and prove that the copy is the same
#[derive(clap::Args)]
#[command(after_help = "\
The copy holds every row committed when it was begun, its signed heads, the public keys and people.toml.
It is rescanned, and its root compared with that of the ledger, before it gets its name. Rows a node
writes meanwhile stay in the ledger's write-ahead log until the copy is made: keep room for them.
Keys are never in a backup: whoever has an old keys.db can undo an erasure. --keys-to copies them apart,
for a place of its own and not for long; without the master key, which is not copied, they open nothing.
Without keys a backup proves what was decided and opens nobody's rows.
Exit codes: 2 the folder is used, 3 the copy differs, 4 there is no ledger.")]
pub struct Backup {
    /// An empty or new folder for the copy
    #[arg(value_name = "COPY")]
    to: PathBuf,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Also copy keys.db, to this new file outside the copy
    #[arg(long, value_name = "FILE")]
    keys_to: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// Put a backup back, and prove that it is the same
#[derive(clap::Args)]
#[command(after_help = "\
DIR is a new folder, or that of the lost ledger without its ledger.db. Keys, heads, public keys and
people.toml that lie there stay: the keys know of erasures, the heads of rows. A backup older than those
heads is refused; who accepts that the later rows are lost moves checkpoints.txt away.
A backup holds no keys. Where they are lost, too, --keys and --master-key put copies back: members who
were enrolled after that copy cannot be opened, and whoever was erased between the copies is erased again
at the next start, if the ledger that is put back records it; else erase them again.
Exit codes: 2 the folder holds a ledger, 3 the backup does not fit or verify, 4 there is none.")]
pub struct Restore {
    /// What `largesse log backup` wrote
    #[arg(value_name = "COPY")]
    from: PathBuf,
    /// Folder for the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A copy of keys.db to put there
    #[arg(long, value_name = "FILE", requires = "master_key")]
    keys: Option<PathBuf>,
    /// The master key that the copy of keys.db was made under
    #[arg(long, value_name = "FILE", requires = "keys")]
    master_key: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn backup(args: &Backup) -> Result {
    refuse_used(&args.to)?;
    if let Some(keys) = args.keys_to.as_deref().filter(|keys| keys.starts_with(&args.to)) {
        let keys = keys.display();
        return Err(Failure::usage(format!(
            "{keys} is in the backup, where keys never are; name another place"
        )));
    }
    let copied = watched(|progress| ledger::backup(&args.dir, &args.to, progress))?;
    if let Some(keys) = &args.keys_to {
        ledger::backup_keys(&args.dir, keys).map_err(errors)?;
    }
    show(args.output, &copied, &args.to, args.keys_to.as_deref())?;
    Ok(Verdict::Ok)
}

pub fn restore(args: &Restore) -> Result {
    let target = Files::of(&args.dir, None);
    if target.database.exists() {
        return Err(Failure::usage(format!(
            "{} already holds a ledger; name another folder, or move its ledger.db away",
            args.dir.display()
        )));
    }
    let keys = args.keys.clone().zip(args.master_key.clone());
    let keys = keys.map(|(keys, master_key)| KeysFrom { keys, master_key });
    let copied = watched(|progress| ledger::restore(&args.from, &args.dir, keys.as_ref(), progress))?;
    show(args.output, &copied, &args.dir, None)?;
    if !target.keys.exists() {
        output::say(
            "there are no keys beside it: it can be read and verified, but no node starts on it and nobody's rows open; put \
             back keys.db and master.key (--keys, --master-key)",
        );
    }
    Ok(Verdict::Ok)
}

/// Shows how far it is.
fn watched(
    copy: impl FnOnce(&mut dyn FnMut(Progress)) -> std::result::Result<Copied, ledger::Error>,
) -> Result<Copied> {
    let bar = output::progress("copying");
    let copied = copy(&mut |progress| {
        let (doing, done, of) = match progress {
            Progress::Copying(done, of) => ("copying", done, of),
            Progress::Checking(done, of) => ("checking", done, of),
        };
        bar.set_message(doing);
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    copied.map_err(errors)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other errors mean what they mean everywhere")]
fn errors(error: ledger::Error) -> Failure {
    match error {
        ledger::Error::CopyDiffers { .. } => Failure::found_bad(error),
        other => crate::ledger_errors(other),
    }
}

fn show(output: Document, copied: &Copied, to: &Path, keys: Option<&Path>) -> Result<()> {
    if output == Document::Json {
        return output::json(&json!({
            "rows": copied.rows, "root": copied.root, "folder": to, "files": copied.files, "keys": keys,
            "wal_bytes": copied.wal_bytes,
        }));
    }
    output::line(&format!(
        "{} rows in {}, root {}: the same as the original",
        grouped(copied.rows),
        to.display(),
        copied.root
    ))?;
    if let Some(keys) = keys {
        output::line(&format!("keys, without their master key, in {}", keys.display()))?;
    }
    Ok(())
}
