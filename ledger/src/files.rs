//! The files of a ledger folder.

use std::path::{Path, PathBuf};

/// The files of a ledger folder.
#[derive(Clone, Debug)]
pub struct Files {
    pub database: PathBuf,
    pub keys: PathBuf,
    pub master_key: PathBuf,
    pub lock: PathBuf,
    pub heads: PathBuf,
    pub verifier: PathBuf,
}

impl Files {
    /// The files of the ledger in `folder`.
    pub fn of(folder: &Path, master_key: Option<&Path>) -> Files {
        Files {
            database: folder.join("ledger.db"),
            keys: folder.join("keys.db"),
            master_key: master_key.map_or_else(|| folder.join("master.key"), Path::to_owned),
            lock: folder.join("lock"),
            heads: folder.join("checkpoints.txt"),
            verifier: folder.join("verifier.txt"),
        }
    }
}
