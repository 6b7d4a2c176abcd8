//! One process per ledger folder: an exclusive lock the operating system drops when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::Error;

/// Held for as long as the ledger is open for writing.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Takes the lock and writes this process's id into the file.
    pub(crate) fn take(path: &Path) -> Result<Lock, Error> {
        let io = |error| Error::io("take the lock file", path, error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
        Ok(Lock(file))
    }
}

/// Refuses a folder whose ledger a process has open for writing, e.g. before it is replaced.
///
/// # Errors
/// [`Error::Locked`] with the holder's process id.
pub fn refuse_in_use(folder: &Path) -> Result<(), Error> {
    let path = crate::files::Files::of(folder, None).lock;
    if path.exists() { Lock::take(&path).map(drop) } else { Ok(()) }
}

fn held(path: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // The holder's id is a courtesy; the lock itself has already answered.
    let read = file.take(32).read_to_string(&mut text);
    let pid = read.ok().and_then(|_| text.trim().parse().ok());
    Error::Locked { path: path.to_owned(), pid }
}
