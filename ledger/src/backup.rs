//! Copies of a ledger that are proven to be the same, and putting them back.
//!
//! A copy is taken under one snapshot, also beside a running node: rows committed meanwhile are not in it, and nothing is half.
//! It is made in a folder of its own, rescanned in full, compared by root, and only then gets its name. Keys are never in
//! it: whoever holds an old keys.db can undo an erasure, so keys are copied and put back apart ([`backup_keys`],
//! [`KeysFrom`]).

mod restore;

use std::path::{Path, PathBuf};

use domain::Digest;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

pub use restore::{KeysFrom, restore};

use crate::error::Error;
use crate::files::Files;
use crate::reader::Reader;
use crate::recovery::last_seq;
use crate::schema;
use crate::verify::{VerifyOptions, verify};

/// Pages copied between two looks at the progress: 32 MB.
const STEP_PAGES: i32 = 4_096;
/// What a folder is called until its copy is proven.
const PARTIAL: &str = "partial";

/// A copy that was rescanned in full and has the root of what it was copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub rows: u64,
    pub root: Digest,
    /// Files written, by name.
    pub files: Vec<String>,
    /// The original's write-ahead log at the end: it cannot start over while a copy is read.
    pub wal_bytes: u64,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Pages copied, of how many.
    Copying(u64, u64),
    /// Rows of the copy rescanned, of how many.
    Checking(u64, u64),
}

/// Copies the ledger in `from` into the new or empty folder `to`, without its keys.
///
/// # Errors
/// [`Error::CopyDiffers`] when the copy does not verify or has another root. Nothing is left of a copy that failed.
pub fn backup(from: &Path, to: &Path, mut progress: impl FnMut(Progress)) -> Result<Copied, Error> {
    let (source, reader) = (Files::of(from, None), Reader::open(from)?);
    let staging = Staging::make(&beside(to))?;
    let staged = Files::of(&staging.0, None);
    copy_database(&source.database, &staged.database, |done, of| progress(Progress::Copying(done, of)))?;
    let wal_bytes = std::fs::metadata(with_ending(&source.database, "-wal")).map_or(0, |wal| wal.len());
    write_heads(&staged)?;
    copy_file(&source.verifier, &staged.verifier)?;
    copy_file(&from.join(PEOPLE), &staging.0.join(PEOPLE))?;
    let (rows, root) = prove(&reader, &staging.0, &VerifyOptions::default(), &mut progress)?;
    let files = staging.files()?;
    staging.become_folder(to)?;
    Ok(Copied { rows, root, files, wal_bytes })
}

/// Copies keys.db to a new file only its owner may read; without its master key nobody can.
///
/// # Errors
/// When it cannot be read or written.
pub fn backup_keys(from: &Path, to: &Path) -> Result<(), Error> {
    let file = std::fs::File::create_new(to).map_err(|error| Error::io("create", to, error))?;
    drop(file);
    let copied = restrict(to).and_then(|()| copy_database(&Files::of(from, None).keys, to, |_, _| ()));
    if copied.is_err() {
        let _left = std::fs::remove_file(to);
    }
    copied
}

/// Who may take which step; not the ledger's own, but of no use without it.
const PEOPLE: &str = "people.toml";

/// Rescans a copy and compares its root with that of the first rows of what it was copied from.
fn prove(
    original: &Reader,
    copy: &Path,
    options: &VerifyOptions,
    progress: &mut impl FnMut(Progress),
) -> Result<(u64, Digest), Error> {
    let differs = |why: String| Error::CopyDiffers { path: copy.to_owned(), why };
    let report = verify(copy, options, |done, of| progress(Progress::Checking(done, of)))?;
    if let Some(finding) = report.findings.first() {
        return Err(differs(finding.what.clone()));
    }
    let root = original.root_at(report.rows)?;
    if report.root != root {
        return Err(differs(format!("its root is {}, that of the original {root}", report.root)));
    }
    Ok((report.rows, root))
}

/// Copies a database under one snapshot, which the open transaction holds: without it every commit of a running node would
/// begin the copy anew.
fn copy_database(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
    let full = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::io("write", to, std::io::ErrorKind::StorageFull.into()),
        Some(_) | None => error.into(),
    };
    let source = schema::open_to_read(from)?;
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(to)?;
    // One flush at the end is enough: a copy that was cut short is made again.
    target.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&source, &mut target)?;
    loop {
        let step = backup.step(STEP_PAGES).map_err(full)?;
        let (of, left) = (backup.progress().pagecount, backup.progress().remaining);
        progress(u64::from((of - left).unsigned_abs()), u64::from(of.unsigned_abs()));
        if step == StepResult::Done {
            break;
        }
    }
    drop(backup);
    target.close().map_err(|(_, error)| full(error))?;
    snapshot.commit()?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| Error::io("sync", to, error))
}

/// The checkpoint file of a copy: every head its database knows.
fn write_heads(staged: &Files) -> Result<(), Error> {
    let connection = schema::open_to_read(&staged.database)?;
    let through = last_seq(&connection)?;
    let mut statement = connection.prepare("SELECT note FROM checkpoint WHERE size <= ?1 ORDER BY size")?;
    let notes = statement.query_map([through.0.cast_signed()], |row| row.get::<_, String>(0))?;
    let mut text = String::new();
    for note in notes {
        text.push_str(&note?);
        text.push_str("\n\n");
    }
    std::fs::write(&staged.heads, text).map_err(|error| Error::io("write", &staged.heads, error))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    if from.exists() {
        std::fs::copy(from, to).map_err(|error| Error::io("copy", from, error))?;
    }
    Ok(())
}

fn restrict(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let owner = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner).map_err(|error| Error::io("restrict", path, error))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

/// The folder in which a copy for `to` is made: beside it, so that it only has to be renamed.
fn beside(to: &Path) -> PathBuf {
    with_ending(to, &format!(".{PARTIAL}"))
}

/// A folder with a copy on its way; it goes with all it holds unless it becomes what it was made for.
struct Staging(PathBuf);

impl Staging {
    fn make(path: &Path) -> Result<Staging, Error> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|error| Error::io("create the folder", parent, error))?;
        }
        match std::fs::create_dir(path) {
            Ok(()) => Ok(Staging(path.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::CopyDiffers {
                path: path.to_owned(),
                why: "it is left over from a copy that was cut short, or one is being made; remove it if none is".to_owned(),
            }),
            Err(error) => Err(Error::io("create the folder", path, error)),
        }
    }

    /// Names of what it holds.
    fn files(&self) -> Result<Vec<String>, Error> {
        let io = |error| Error::io("list the folder", &self.0, error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(io)? {
            names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
        }
        // What reading it left beside the database.
        names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        names.sort();
        Ok(names)
    }

    fn become_folder(self, to: &Path) -> Result<(), Error> {
        std::fs::rename(&self.0, to).map_err(|error| Error::io("rename to", to, error))?;
        Ok(crate::keys::sync_folder(to)?)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Renamed away it is not there any more.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}
