//! Folders that the program makes and uses again: marked, so that nobody else's files are replaced or added to.

use std::path::{Path, PathBuf};

use ledger::Files;

use crate::exit::{Failure, Result};

/// Every file a ledger can leave in its folder.
fn ledger_files(dir: &Path) -> Vec<PathBuf> {
    let files = Files::of(dir, None);
    let databases = [files.database, files.keys].into_iter().flat_map(|database| {
        ["", "-wal", "-shm"].map(|suffix| {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        })
    });
    databases.chain([files.master_key, files.heads, files.verifier, files.lock]).collect()
}

/// Whether a ledger, or a part of one, lies in the folder.
pub fn holds_ledger(dir: &Path) -> bool {
    ledger_files(dir).iter().any(|file| file.exists())
}

/// Refuses a folder with anything in it.
///
/// # Errors
/// Exit 2 with what to do instead.
pub fn refuse_used(dir: &Path) -> Result<()> {
    refuse_ledger(dir)?;
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::usage(format!("{} is not empty; name an empty or a new folder", dir.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::usage(format!("{} cannot be used as a folder: {error}", dir.display()))),
    }
}

/// Refuses a folder with a ledger in it.
///
/// # Errors
/// Exit 2 with what to do instead.
pub fn refuse_ledger(dir: &Path) -> Result<()> {
    if holds_ledger(dir) {
        return Err(Failure::usage(format!(
            "{} already holds a ledger; name an empty folder with --dir, or read this one with \
             `largesse log list --dir {0}`",
            dir.display()
        )));
    }
    Ok(())
}

/// Removes the ledger's own files, whatever else lies beside them.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_ledger(dir: &Path) -> Result<()> {
    for file in ledger_files(dir).iter().filter(|file| file.exists()) {
        std::fs::remove_file(file).map_err(|error| {
            Failure::runtime(anyhow::anyhow!("cannot remove {}: {error}", file.display()))
        })?;
    }
    Ok(())
}

/// Makes the folder and says in a file of this name who made it.
///
/// # Errors
/// When it cannot be written to.
pub fn make(dir: &Path, marker: &str, says: &str) -> Result<()> {
    let made = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(dir.join(marker), says));
    made.map_err(|error| Failure::runtime(anyhow::anyhow!("cannot write to {}: {error}", dir.display())))
}
