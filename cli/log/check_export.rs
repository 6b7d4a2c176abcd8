//! `largesse log check-export`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use domain::Digest;
use ledger::note::Head;
use ledger::proof::{InclusionProof, Trust};
use ledger::{KeyHistory, Kind};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::export::Form;
use super::export::manifest::{self, Manifest, Sheet};
use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Longest manifest that is read: four files and a thousand key rotations fit into it many times.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Bytes hashed at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Check an export against its manifest, without the ledger
#[derive(clap::Args)]
#[command(after_help = "\
Each file is hashed and its rows are counted; the signed head must state the manifest's tree. With --key
the head must be signed by that log, and manifest.tlog-proof must prove the row in which the log recorded the
manifest's digest: then nobody changed it. Without, files and manifest could have been changed together. Exit
3 names what differs.")]
pub struct Args {
    /// What `largesse log export` wrote
    folder: PathBuf,
    /// The log's public key: a verifier.txt, or the key itself
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let path = args.folder.join(manifest::NAME);
    let text = read(&path)?;
    let bad = |why: String| Failure::found_bad(anyhow::anyhow!("{}: {why}", path.display()));
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    if manifest.schema != manifest::SCHEMA {
        return Err(bad(format!("schema {}, this build reads {}", manifest.schema, manifest::SCHEMA)));
    }
    let keys = args.key.as_deref().map(given::key).transpose()?;
    let mut findings: Vec<String> = head(&manifest, keys.clone()).into_iter().collect();
    if let Some(keys) = keys {
        findings.extend(unrecorded(&args.folder, Digest::of(&text), keys));
    }
    for sheet in &manifest.files {
        findings.extend(differs(&args.folder, manifest.form, sheet));
    }
    say(args, &manifest, Digest::of(&text), &findings)?;
    Ok(if findings.is_empty() { Verdict::Ok } else { Verdict::FoundBad })
}

/// A folder without a manifest is no export.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::found_bad(anyhow::anyhow!(
                "there is no {}: this is no whole export; run `largesse log export` again",
                path.display()
            )))
        }
        Err(error) => Err(Failure::unavailable(anyhow::anyhow!("{}: {error}", path.display()))),
    }
}

/// What is wrong with the signed head.
fn head(manifest: &Manifest, keys: Option<KeyHistory>) -> Option<String> {
    let opened = match keys {
        None => Head::claimed(&manifest.head),
        Some(mut keys) => keys.follow(&manifest.rotations).and_then(|()| keys.open(&manifest.head)),
    };
    match opened {
        Err(error) => Some(format!("the signed head: {error}")),
        Ok(head) if (head.size, head.root) != (manifest.tree.size, manifest.tree.root) => Some(format!(
            "the signed head is of {} rows with root {}, not the manifest's tree",
            head.size, head.root
        )),
        Ok(_) => None,
    }
}

/// Why nothing shows that the log recorded this manifest.
fn unrecorded(folder: &Path, manifest: Digest, keys: KeyHistory) -> Option<String> {
    let name = manifest::PROOF;
    let text = match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => text,
        Err(error) => {
            return Some(format!("{name}, which shows that the log recorded the manifest: {error}"));
        }
    };
    let trust = Trust { key: Some(keys), head: None };
    let recorded = InclusionProof::from_text(&text).and_then(|proof| {
        proof.check(&trust)?;
        let row = proof.columns()?;
        let body: Value = serde_json::from_str(row.body.unwrap_or_default()).unwrap_or_default();
        Ok(row.kind == i64::from(Kind::Export.number()) && body["sha256"] == manifest.to_string())
    });
    match recorded {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: the log recorded another manifest in that row")),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// What is wrong with a file.
fn differs(folder: &Path, form: Form, sheet: &Sheet) -> Option<String> {
    let name = &sheet.name;
    // A manifest may come from anywhere: it names files of its own folder only.
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Some(format!("{name:?} is no plain file name"));
    }
    let path = folder.join(name);
    let (bytes, digest) = match hash(&path) {
        Ok(hashed) => hashed,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    if (bytes, digest) != (sheet.bytes, sheet.sha256) {
        return Some(format!(
            "{name}: {bytes} bytes with SHA-256 {digest}, the manifest says {} bytes, {}",
            sheet.bytes, sheet.sha256
        ));
    }
    match count(&path, form) {
        Ok(rows) if rows == sheet.rows => None,
        Ok(rows) => Some(format!("{name}: {rows} rows, the manifest says {}", sheet.rows)),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

fn hash(path: &Path) -> std::io::Result<(u64, Digest)> {
    let (mut file, mut buffer, mut sha256, mut bytes) =
        (File::open(path)?, vec![0; BUFFER_BYTES], Sha256::new(), 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, Digest(sha256.finalize().into())));
        }
        sha256.update(&buffer[..read]);
        bytes += read as u64;
    }
}

fn count(path: &Path, form: Form) -> anyhow::Result<u64> {
    let file = File::open(path)?;
    match form {
        Form::Jsonl => {
            let (mut reader, mut rows) = (BufReader::with_capacity(BUFFER_BYTES, file), 0);
            loop {
                let bytes = reader.fill_buf()?;
                let read = bytes.len();
                if read == 0 {
                    return Ok(rows);
                }
                rows += bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
                reader.consume(read);
            }
        }
        Form::Csv => {
            let (mut reader, mut record) = (csv::Reader::from_reader(file), csv::ByteRecord::new());
            let mut rows = 0;
            while reader.read_byte_record(&mut record)? {
                rows += 1;
            }
            Ok(rows)
        }
        Form::Parquet => {
            let reader = SerializedFileReader::new(file)?;
            Ok(reader.metadata().file_metadata().num_rows().unsigned_abs())
        }
    }
}

fn say(args: &Args, manifest: &Manifest, digest: Digest, findings: &[String]) -> Result<()> {
    let same = findings.is_empty();
    if args.output == Document::Json {
        return output::json(&json!({
            "same": same, "ledger": manifest.ledger, "tree": manifest.tree, "manifest_sha256": digest,
            "head_checked": args.key.is_some(), "files": manifest.files, "findings": findings,
        }));
    }
    output::line(&format!(
        "export of {}, {} rows then: {}; manifest {digest}",
        manifest.ledger,
        grouped(manifest.tree.size),
        match (same, args.key.is_some()) {
            (false, _) => "NOT AS IT WAS WRITTEN",
            (true, true) => "as it was written, and recorded in the log",
            (true, false) => "its files are those of its manifest",
        }
    ))?;
    for finding in findings {
        output::line(&format!("  {finding}"))?;
    }
    if args.key.is_none() {
        output::say(
            "not proven: whoever changes a file can change the manifest with it. Give the log's public key with --key",
        );
    }
    Ok(())
}
