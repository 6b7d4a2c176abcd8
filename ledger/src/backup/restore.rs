//! Putting a copy back where its ledger was lost, or elsewhere.

use std::path::{Path, PathBuf};

use domain::digest::hex;
use rusqlite::params;

use super::{
    Copied, PARTIAL, PEOPLE, Progress, Staging, copy_database, copy_file, prove, restrict, with_ending,
    write_heads,
};
use crate::error::Error;
use crate::files::Files;
use crate::head_file;
use crate::keys::{KeyError, Keys};
use crate::lock::refuse_in_use;
use crate::reader::Reader;
use crate::recovery::{last_seq, meta_text};
use crate::schema::{self, Access};
use crate::verify::{VerifyOptions, folder_keys};

/// Where keys are put back from; a backup has none.
#[derive(Clone, Debug)]
pub struct KeysFrom {
    /// A copy of keys.db.
    pub keys: PathBuf,
    /// The master key it was wrapped with.
    pub master_key: PathBuf,
}

/// Puts a backup into a folder that has no ledger.db. Keys, heads, public keys and people.toml that lie there stay: they may know
/// of erasures and rows the backup does not.
///
/// # Errors
/// [`Error::CopyDiffers`] when the backup does not verify, is of another ledger, or is older than a head that lies there. Nothing
/// is put into the folder then.
pub fn restore(
    from: &Path,
    to: &Path,
    keys: Option<&KeysFrom>,
    mut progress: impl FnMut(Progress),
) -> Result<Copied, Error> {
    let (source, target, reader) = (Files::of(from, None), Files::of(to, None), Reader::open(from)?);
    refuse_other(&source, &target, to, keys)?;
    refuse_older(&reader, &target, to)?;
    std::fs::create_dir_all(to).map_err(|error| Error::io("create the folder", to, error))?;
    let staging = Staging::make(&to.join(format!("restore.{PARTIAL}")))?;
    let staged = Files::of(&staging.0, None);
    copy_database(&source.database, &staged.database, |done, of| progress(Progress::Copying(done, of)))?;
    if target.heads.exists() {
        copy_file(&target.heads, &staged.heads)?;
        take_heads(&staged)?
    } else {
        write_heads(&staged)?
    }
    copy_file(&source.verifier, &staged.verifier)?;
    copy_file(&from.join(PEOPLE), &staging.0.join(PEOPLE))?;
    let trusted = target.verifier.exists().then(|| folder_keys(&target.verifier)).transpose()?;
    let keys = match keys {
        Some(keys) => Some(put_keys(&staged, keys)?),
        None => keys_there(&target)?,
    };
    let options = VerifyOptions { trusted, keys, ..VerifyOptions::default() };
    let (rows, root) = prove(&reader, &staging.0, &options, &mut progress)?;
    let mut files = staging.files()?;
    for rest in ["-wal", "-shm"] {
        // Empty: what readers of the lost ledger left.
        let _none = std::fs::remove_file(with_ending(&target.database, rest));
    }
    // ledger.db last: without it nothing here is taken for a ledger.
    files.sort_by_key(|name| name == "ledger.db");
    files.retain(|name| !to.join(name).exists());
    for name in &files {
        let place = to.join(name);
        std::fs::rename(staging.0.join(name), &place)
            .map_err(|error| Error::io("rename to", &place, error))?;
    }
    crate::keys::sync_folder(&target.database)?;
    Ok(Copied { rows, root, files, wal_bytes: 0 })
}

/// Heads that were filed after the backup was made, over rows it has: the database is to know them, too.
fn take_heads(staged: &Files) -> Result<(), Error> {
    let connection = schema::connect(&staged.database, Access::Write)?;
    let (history, size) = (crate::rotate::recorded(&connection)?, last_seq(&connection)?);
    let sql = "INSERT INTO checkpoint (size, root, time, note) SELECT ?1, ?2, recorded_at, ?3 FROM record
               WHERE seq = ?1 AND ?1 > (SELECT ifnull(max(size), 0) FROM checkpoint)";
    let mut notes = Vec::new();
    head_file::read_all(&staged.heads, &history, |head, note| {
        // What cannot be opened, or is of other rows, is named by the check of the copy.
        notes.extend(head.ok().filter(|head| head.size <= size.0).map(|head| (head, note.to_owned())));
    })?;
    for (head, note) in notes {
        connection.execute(sql, params![head.size.cast_signed(), head.root.0, note])?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| Error::from(error))
}

/// Refuses a folder that holds a ledger, or parts of another one.
fn refuse_other(source: &Files, target: &Files, to: &Path, keys: Option<&KeysFrom>) -> Result<(), Error> {
    let differs = |why: &str| Err(Error::CopyDiffers { path: to.to_owned(), why: why.to_owned() });
    refuse_in_use(to)?;
    if target.database.exists() {
        return differs("a ledger is there already; move its ledger.db away first");
    }
    let wal = with_ending(&target.database, "-wal");
    if std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        return differs(
            "ledger.db-wal of the lost ledger is still there and would be taken for the restored one's; move it away first",
        );
    }
    if target.verifier.exists()
        && folder_keys(&target.verifier)?.identity() != folder_keys(&source.verifier)?.identity()
    {
        return differs("the public keys there are another ledger's");
    }
    if keys.is_some() && (target.keys.exists() || target.master_key.exists()) {
        return differs(
            "keys are there already, and they know of later erasures than a copy; leave --keys away, or move them",
        );
    }
    Ok(())
}

/// Refuses a backup of fewer rows than a head that lies there tells of: what to do is for people to decide.
fn refuse_older(reader: &Reader, target: &Files, to: &Path) -> Result<(), Error> {
    if !target.heads.exists() {
        return Ok(());
    }
    let (rows, mut published) = (reader.size()?, 0);
    head_file::read_all(&target.heads, &reader.key_history()?, |head, _| {
        // What cannot be opened here is named by the check of the copy.
        published = published.max(head.map_or(0, |head| head.size));
    })?;
    if published <= rows {
        return Ok(());
    }
    let why = format!(
        "the backup of {rows} rows is older than checkpoints.txt there, with a head of {published} rows. Restore a newer one; who \
         accepts that the later rows are lost moves checkpoints.txt away and keeps it"
    );
    Err(Error::CopyDiffers { path: to.to_owned(), why })
}

/// Puts keys beside the staged ledger and makes sure that they are its own.
fn put_keys(staged: &Files, from: &KeysFrom) -> Result<Keys, Error> {
    copy_database(&from.keys, &staged.keys, |_, _| ())?;
    copy_file(&from.master_key, &staged.master_key)?;
    restrict(&staged.keys)?;
    restrict(&staged.master_key)?;
    let keys = Keys::open(&staged.keys, &staged.master_key, false)?;
    if meta_text(&schema::open_to_read(&staged.database)?, "ledger")? != hex(&keys.ledger_id()) {
        return Err(KeyError::OtherLedger(from.keys.clone()).into());
    }
    Ok(keys)
}

/// Keys that lie there already: with them the end of the copy is held to its seal.
fn keys_there(target: &Files) -> Result<Option<Keys>, Error> {
    match Keys::open(&target.keys, &target.master_key, false) {
        Ok(keys) => Ok(Some(keys)),
        Err(KeyError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
