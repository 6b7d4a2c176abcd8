//! An export on its way to its folder.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest;
use crate::exit::{Failure, Result};

/// Says which file could not be written, and why.
pub fn disk(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::runtime(anyhow::anyhow!("cannot write {}: {error}", path.display()))
}

/// An export on its way: what it has written goes again unless it is published.
pub struct Unfinished {
    folder: PathBuf,
    /// Whether the folder was made for it.
    made: bool,
    /// Names to get, with the files as they are called meanwhile.
    files: Vec<(String, PathBuf)>,
    published: bool,
}

/// What a file is called until everything is written.
const PARTIAL: &str = "partial";

impl Unfinished {
    /// Makes the folder.
    pub fn begin(folder: &Path) -> Result<Unfinished> {
        let made = !folder.exists();
        std::fs::create_dir_all(folder).map_err(disk(folder))?;
        Ok(Unfinished { folder: folder.to_owned(), made, files: Vec::new(), published: false })
    }

    /// A new file that is to get this name.
    pub fn file(&mut self, name: &str) -> Result<(File, PathBuf)> {
        let path = self.folder.join(format!("{name}.{PARTIAL}"));
        let file = File::create_new(&path).map_err(disk(&path))?;
        self.files.push((name.to_owned(), path.clone()));
        Ok((file, path))
    }

    /// Gives the files their names, and the manifest its own last.
    pub fn publish(mut self, manifest: &[u8], proof: &str) -> Result<()> {
        for (name, bytes) in [(manifest::PROOF, proof.as_bytes()), (manifest::NAME, manifest)] {
            let (mut file, path) = self.file(name)?;
            file.write_all(bytes).map_err(disk(&path))?;
            file.sync_all().map_err(disk(&path))?;
        }
        let folder = File::open(&self.folder).map_err(disk(&self.folder))?;
        for (name, path) in &mut self.files {
            if name == manifest::NAME {
                folder.sync_all().map_err(disk(&self.folder))?;
            }
            let named = self.folder.join(&name);
            std::fs::rename(&path, &named).map_err(disk(&named))?;
            *path = named;
        }
        folder.sync_all().map_err(disk(&self.folder))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // What cannot be removed is still no export: it has no manifest.
        for (_, path) in self.files.iter().rev() {
            let _left = std::fs::remove_file(path);
        }
        if self.made {
            let _left = std::fs::remove_dir(&self.folder);
        }
    }
}
