//! Putting a copy back where its ledger was lost, or elsewhere.

use std::path::{Path, PathBuf};

use domain::digest::hex;

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
use crate::recovery::meta_text;
use crate::schema;
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
        copy_file(&target.heads, &staged.heads)?
    } else {
        write_heads(&staged)?
    }
    copy_file(&source.verifier, &staged.verifier)?;
    copy_file(&from.join(PEOPLE), &staging.0.join(PEOPLE))?;
    let trusted = target.verifier.exists().then(|| folder_keys(&target.verifier)).transpose()?;
    let options = VerifyOptions { trusted, ..VerifyOptions::default() };
    let (rows, root) = prove(&reader, &staging.0, &options, &mut progress)?;
    if let Some(keys) = keys {
        put_keys(&staged, keys)?;
    }
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
    head_file::read_all(&target.heads, &reader.key_history()?, |head| {
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
fn put_keys(staged: &Files, from: &KeysFrom) -> Result<(), Error> {
    copy_database(&from.keys, &staged.keys, |_, _| ())?;
    copy_file(&from.master_key, &staged.master_key)?;
    restrict(&staged.keys)?;
    restrict(&staged.master_key)?;
    let keys = Keys::open(&staged.keys, &staged.master_key, false)?;
    if meta_text(&schema::open_to_read(&staged.database)?, "ledger")? != hex(&keys.ledger_id()) {
        return Err(KeyError::OtherLedger(from.keys.clone()).into());
    }
    Ok(())
}
