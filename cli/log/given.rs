//! What people bring along or take away: keys, signed heads, proof files.

use std::path::Path;

use ledger::note::Head;
use ledger::proof::Trust;
use ledger::{Checkpoint, Error, KeyHistory, Reader};
use serde_json::Value;

use crate::exit::{Failure, Result};
use crate::output::{self, Document};

/// A file somebody named.
///
/// # Errors
/// When it cannot be read, and, as something that was checked and is bad, when it is no text.
pub fn file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidData {
            Failure::found_bad(anyhow::anyhow!("{} is no text: {error}", path.display()))
        } else {
            Failure::usage(format!("failed to read {}: {error}", path.display()))
        }
    })
}

/// Public keys: a `verifier.txt`, or the text of one key.
///
/// # Errors
/// When it is neither.
pub fn key(key: &str) -> Result<KeyHistory> {
    let text =
        if key.contains('+') && !Path::new(key).exists() { key.to_owned() } else { file(Path::new(key))? };
    KeyHistory::from_text(&text).map_err(|error| Failure::usage(format!("{key}: {error}")))
}

/// What a proof is held against: the key, the head, or both, as somebody named them.
///
/// # Errors
/// When one cannot be read.
pub fn trust(key: Option<&str>, head: Option<&Path>) -> Result<Trust> {
    Ok(Trust { key: key.map(self::key).transpose()?, head: head.map(file).transpose()? })
}

/// The keys to check a ledger's heads with: those given, or those of the folder, followed to the present one.
///
/// # Errors
/// When they cannot be read, or the ledger's own keys are damaged.
pub fn keys(reader: &Reader, dir: &Path, brought: Option<&str>) -> Result<KeyHistory> {
    let mut keys = match brought {
        Some(brought) => key(brought)?,
        None => ledger::keys_of(dir).map_err(crate::ledger_errors)?,
    };
    let recorded = reader.key_history().map_err(crate::ledger_errors)?;
    let notes = recorded.rotations().iter().map(|rotation| &rotation.note);
    keys.follow(notes).map_err(Failure::found_bad)?;
    Ok(keys)
}

/// The signed head in a file.
///
/// # Errors
/// When it is not one of these keys', or of more rows than there are.
pub fn head(reader: &Reader, keys: &KeyHistory, path: &Path) -> Result<(Head, String)> {
    let note = file(path)?;
    let bad = |error| Failure::found_bad(anyhow::anyhow!("{}: {error}", path.display()));
    // First, because a copy from before a key rotation does not know the key of a later head.
    let (claimed, found) =
        (Head::claimed(&note).map_err(bad)?.size, reader.size().map_err(crate::ledger_errors)?);
    if claimed > found {
        return Err(crate::ledger_errors(Error::Truncated { found, published: claimed }));
    }
    Ok((keys.open(&note).map_err(bad)?, note))
}

/// The newest signed head of a ledger.
///
/// # Errors
/// When there is none, or it is not one of these keys'.
pub fn newest(reader: &Reader, keys: &KeyHistory) -> Result<(Head, String)> {
    let newest = reader.last_checkpoint().map_err(crate::ledger_errors)?;
    stored(newest.ok_or_else(|| Failure::found_bad(anyhow::anyhow!("the ledger has no signed head")))?, keys)
}

/// A signed head of the database.
///
/// # Errors
/// When it is not one of these keys'.
pub fn stored(checkpoint: Checkpoint, keys: &KeyHistory) -> Result<(Head, String)> {
    let opened = keys.open(&checkpoint.note);
    let head = opened.map_err(|error| {
        let size = checkpoint.size;
        Failure::found_bad(anyhow::anyhow!("the ledger's head of {size} rows is not acceptable: {error}"))
    })?;
    Ok((head, checkpoint.note))
}

/// Writes a proof to its file or to stdout, and says what it proves.
///
/// # Errors
/// When it cannot be written.
pub fn hand_out(
    proof: &str,
    out: Option<&Path>,
    output: Document,
    said: &str,
    mut facts: Value,
) -> Result<()> {
    if let Some(path) = out {
        std::fs::write(path, proof).map_err(|error| {
            Failure::runtime(anyhow::anyhow!("failed to write {}: {error}", path.display()))
        })?;
    }
    match (output, out) {
        (Document::Json, Some(path)) => facts["file"] = path.display().to_string().into(),
        (Document::Json, None) => facts["proof"] = proof.into(),
        (Document::Table, Some(path)) => {
            return output::line(&format!("{said}; written to {}", path.display()));
        }
        (Document::Table, None) => {
            output::say(said);
            return output::bytes(proof.as_bytes());
        }
    }
    output::json(&facts)
}
