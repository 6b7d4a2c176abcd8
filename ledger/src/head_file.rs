//! The checkpoint file: signed heads beside the database, appended and never rewritten.
//!
//! It lies outside ledger.db, so that a restored or truncated database is noticed at the next start. Each note is
//! followed by one empty line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::note::{Head, NOTE_BYTES_MAX, NoteError, Verifier};

/// Ends every note of the file; a note itself never holds two empty lines in a row.
const SEPARATOR: &str = "\n\n\n";

/// The open file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
}

impl HeadFile {
    /// Opens or creates the file; cuts off a note that a crash left half-written. Returns whether it did.
    pub(crate) fn open(path: &Path) -> Result<(HeadFile, bool), Error> {
        let io = |error| Error::io("open the checkpoint file", path, error);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let mut heads = HeadFile { path: path.to_owned(), file };
        let length = heads.file.metadata().map_err(io)?.len();
        let tail = heads.tail(length)?;
        let whole = tail.rfind(SEPARATOR).map_or(0, |at| at + SEPARATOR.len());
        let torn = (tail.len() - whole) as u64;
        if torn == tail.len() as u64 && length > torn {
            return Err(heads.distrust("its last 32 KiB hold no note".to_owned()));
        }
        if torn > 0 {
            heads.file.set_len(length - torn).map_err(io)?;
        }
        Ok((heads, torn > 0))
    }

    fn distrust(&self, why: String) -> Error {
        Error::CheckpointFile { path: self.path.clone(), why }
    }

    /// The end of the file, at least one note and the start of another.
    fn tail(&mut self, length: u64) -> Result<String, Error> {
        let from = length.saturating_sub(2 * NOTE_BYTES_MAX as u64);
        let mut bytes = Vec::new();
        let io = |error| Error::io("read the checkpoint file", &self.path, error);
        self.file.seek(SeekFrom::Start(from)).map_err(io)?;
        self.file.read_to_end(&mut bytes).map_err(io)?;
        // A cut may fall inside the dash of a signature line; only whole notes after it are used.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last head in the file, if there is one.
    pub(crate) fn last(&mut self, verifier: &Verifier) -> Result<Option<Head>, Error> {
        let length = self.file.metadata().map_err(|error| Error::io("read", &self.path, error))?.len();
        let tail = self.tail(length)?;
        let Some(whole) = tail.strip_suffix(SEPARATOR) else { return Ok(None) };
        let note = whole.rfind(SEPARATOR).map_or(whole, |at| &whole[at + SEPARATOR.len()..]);
        let opened = verifier.open(&format!("{note}\n"));
        opened.map(Some).map_err(|error| self.distrust(error.to_string()))
    }

    /// Appends a note.
    pub(crate) fn append(&mut self, note: &str) -> Result<(), Error> {
        let io = |error| Error::io("append to the checkpoint file", &self.path, error);
        self.file.write_all(format!("{note}\n\n").as_bytes()).map_err(io)
    }
}

/// Reads every note of a checkpoint file in order and hands each head, or what is wrong with it, to `each`.
pub(crate) fn read_all(
    path: &Path,
    verifier: &Verifier,
    mut each: impl FnMut(Result<Head, NoteError>),
) -> Result<(), Error> {
    let io = |error| Error::io("read the checkpoint file", path, error);
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let (mut note, mut empty) = (String::new(), 0);
    loop {
        let before = note.len();
        if (&mut reader).take(NOTE_BYTES_MAX as u64).read_line(&mut note).map_err(io)? == 0 {
            break;
        }
        empty = if note.len() - before == 1 { empty + 1 } else { 0 };
        if empty == 2 || note.len() > NOTE_BYTES_MAX {
            note.truncate(note.trim_end_matches('\n').len() + 1);
            each(verifier.open(&note));
            note.clear();
            empty = 0;
        }
    }
    Ok(())
}
