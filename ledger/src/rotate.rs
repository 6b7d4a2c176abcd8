//! Replacing the key that signs heads, and reading back which keys the log has had.
//!
//! A rotation is a row whose body holds the note both keys signed ([`crate::history`]). Order on disk: the new key into
//! keys.db, the row, a head signed by the new key, `verifier.txt`, and at last the retired key is destroyed. Which key signs is
//! told by the rows, so a crash between any two steps leaves a ledger that opens with the right one.

use std::path::Path;

use domain::{Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use crate::entry::{Entry, Seq};
use crate::error::Error;
use crate::files::Files;
use crate::history::{KeyHistory, Rotation};
use crate::keys::sync_folder;
use crate::kind::Kind;
use crate::note::Verifier;
use crate::verify::folder_keys;
use crate::writer::{Checkpoint, Writer};

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The row that records it.
    pub seq: Seq,
    /// The retired key, `name+hash`.
    pub from: String,
    /// The key that signs from here on.
    pub to: Verifier,
    /// The first head it signed. Publish it.
    pub checkpoint: Option<Checkpoint>,
}

impl Writer {
    /// Retires the signing key: the next row names its successor, which signs every head from that row on.
    ///
    /// # Errors
    /// As [`Writer::append`]; when the new key cannot be kept, nothing has changed. After an error in the middle, the next start
    /// finishes the rotation, or nothing of it was recorded.
    pub fn rotate_key(&mut self, now: Timestamp) -> Result<Rotated, Error> {
        let fresh = self.keys.new_signer(self.history.origin())?;
        let rotation = Rotation::sign(Seq(self.size() + 1), &self.signer, &fresh);
        let mut history = self.history.clone();
        history.extend(rotation.clone()).map_err(|error| distrusted(rotation.seq, error.to_string()))?;
        // From here on, so that a head that falls due with the row is the new key's.
        let retired = std::mem::replace(&mut self.signer, fresh);
        let appended = match self.append(now, &[entry(&rotation)]) {
            Ok(appended) => appended,
            Err(error) => {
                self.signer = retired;
                return Err(error);
            }
        };
        self.history = history;
        let checkpoint = match appended.checkpoint {
            Some(checkpoint) => Some(checkpoint),
            None => self.sign_head(now)?,
        };
        write_verifier(&Files::of(self.folder(), None).verifier, &self.history)?;
        self.keys.destroy_retired(self.signer.verifier())?;
        let (seq, from) = (rotation.seq, rotation.from.identity());
        Ok(Rotated { seq, from, to: rotation.to, checkpoint })
    }
}

fn entry(rotation: &Rotation) -> Entry {
    let body = json!({
        "v": 1,
        "from": rotation.from.identity(),
        "to": rotation.to.identity(),
        "note": rotation.note,
    });
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(rotation.note.as_bytes()).0[..16]);
    Entry::new(Kind::KeyRotation, id, body.to_string())
}

fn distrusted(seq: Seq, why: impl Into<String>) -> Error {
    Error::KeyHistory { seq, why: why.into() }
}

/// The keys of a log as its rows tell them: the key in the first row, then every rotation.
pub(crate) fn recorded(connection: &Connection) -> Result<KeyHistory, Error> {
    let genesis: Option<Option<String>> =
        connection.query_row("SELECT body FROM record WHERE seq = 1", [], |row| row.get(0)).optional()?;
    let unreadable = || distrusted(Seq(1), "it names no key");
    let genesis = read(genesis.flatten()).ok_or_else(unreadable)?;
    let first = genesis["verifier"].as_str().ok_or_else(unreadable)?;
    let first = Verifier::from_text(first).map_err(|error| distrusted(Seq(1), error.to_string()))?;
    let mut history = KeyHistory::new(first);
    // The kind stands in the text, so that the partial index over the rare kinds serves.
    let kind = Kind::KeyRotation.number();
    let mut statement = connection.prepare(&format!(
        "SELECT seq, body FROM record WHERE kind = {kind} AND kind NOT IN (10, 11) ORDER BY seq"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get::<_, i64>(0)?.unsigned_abs());
        let body = read(row.get(1)?);
        let note = body.as_ref().and_then(|body| body["note"].as_str());
        let note = note.ok_or_else(|| distrusted(seq, "it holds no rotation"))?;
        let rotation = Rotation::from_note(note).map_err(|error| distrusted(seq, error.to_string()))?;
        if rotation.seq != seq {
            return Err(distrusted(seq, format!("its rotation is that of row {}", rotation.seq)));
        }
        history.extend(rotation).map_err(|error| distrusted(seq, error.to_string()))?;
    }
    Ok(history)
}

fn read(body: Option<String>) -> Option<Value> {
    serde_json::from_str(&body?).ok()
}

/// The keys a start goes by. A crash may have kept the last rotation from `verifier.txt`; a file that says more than
/// the rows is newer than they are, and then its key tells that the published heads are genuine.
pub(crate) fn known(connection: &Connection, verifier: &Path) -> Result<KeyHistory, Error> {
    let recorded = recorded(connection)?;
    if !verifier.exists() {
        return Ok(recorded);
    }
    let filed = folder_keys(verifier)?;
    if recorded.contains(&filed) {
        if recorded != filed {
            write_verifier(verifier, &recorded)?;
        }
        return Ok(recorded);
    }
    if filed.contains(&recorded) {
        return Ok(filed);
    }
    let why = "its keys are not those the ledger records; restore the file that was made with this ledger";
    Err(Error::CheckpointFile { path: verifier.to_owned(), why: why.to_owned() })
}

fn write_verifier(path: &Path, history: &KeyHistory) -> Result<(), Error> {
    let building = path.with_extension("txt.new");
    let io = |error| Error::io("write the public keys", path, error);
    std::fs::write(&building, history.to_text()).map_err(io)?;
    std::fs::File::open(&building).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&building, path).map_err(io)?;
    Ok(sync_folder(path)?)
}
