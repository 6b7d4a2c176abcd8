//! `largesse log rotate-key`.

use std::path::PathBuf;

use ledger::{Options, Reader, Writer};
use serde_json::json;

use crate::exit::{Result, Verdict};
use crate::output::{self, Document};

/// Replace the key that signs heads; no node may be running
#[derive(clap::Args)]
#[command(after_help = "\
A row signed by both keys names the new one; every head over that row and later ones is the new
key's, and the retired key is destroyed. Who holds the old verifier.txt can follow the change; hand
out the new one, so that nobody who stole the old key can pass for the log. The ledger keeps its
identity: the first key names it, whatever key signs.")]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let origin = Reader::open(&args.dir).and_then(|reader| reader.origin()).map_err(crate::ledger_errors)?;
    let now = runtime::clock::wall();
    let (mut writer, _) =
        Writer::open(&Options::new(&args.dir, &origin, now)).map_err(crate::ledger_errors)?;
    let rotated = writer.rotate_key(now).map_err(crate::ledger_errors)?;
    if args.output == Document::Table {
        output::line(&format!(
            "row {}: {} is retired, {} signs",
            rotated.seq,
            rotated.from,
            rotated.to.identity()
        ))?;
        output::line(&format!("hand out {} again", args.dir.join("verifier.txt").display()))?;
    } else {
        output::json(&json!({
            "row": rotated.seq.0, "from": rotated.from, "to": rotated.to.identity(), "key": rotated.to.to_text(),
            "identity": writer.identity(), "head": rotated.checkpoint.map(|checkpoint| checkpoint.note),
        }))?;
    }
    Ok(Verdict::Ok)
}
