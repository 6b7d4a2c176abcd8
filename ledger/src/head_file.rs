//! The checkpoint file: signed heads beside the database, appended and never rewritten.
//!
//! It lies outside ledger.db, so that a restored or truncated database is noticed at the next start. Each note is
//! followed by one empty line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::history::KeyHistory;
use crate::note::{Head, NOTE_BYTES_MAX, NoteError};

/// Ends every note of the file; a note itself never holds two empty lines in a row.
const SEPARATOR: &[u8] = b"\n\n\n";

/// The open file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
}

impl HeadFile {
    /// Opens or creates the file of this log; cuts off a note that a crash left half-written. Returns whether it did.
    pub(crate) fn open(path: &Path, origin: &str) -> Result<(HeadFile, bool), Error> {
        let io = |error| Error::io("open the checkpoint file", path, error);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let mut heads = HeadFile { path: path.to_owned(), file };
        let length = heads.file.metadata().map_err(io)?.len();
        let tail = heads.tail(length)?;
        let whole = end_of_last(&tail).unwrap_or(0);
        let torn = (tail.len() - whole) as u64;
        if torn == tail.len() as u64 && length > torn {
            return Err(heads.distrust("its last 32 KiB hold no note".to_owned()));
        }
        let start = &tail[whole..];
        let cut_off = start.starts_with(origin.as_bytes()) || origin.as_bytes().starts_with(start);
        // A file system may have kept the length of a write and not its bytes.
        if !cut_off && start.iter().any(|byte| *byte != 0) {
            return Err(heads.distrust("it ends in something that is no head of this ledger".to_owned()));
        }
        if torn > 0 {
            heads.file.set_len(length - torn).map_err(io)?;
        }
        Ok((heads, torn > 0))
    }

    /// Opens the file to read it; a node may be appending. `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<HeadFile>, Error> {
        match File::open(path) {
            Ok(file) => Ok(Some(HeadFile { path: path.to_owned(), file })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open the checkpoint file", path, error)),
        }
    }

    fn distrust(&self, why: String) -> Error {
        Error::CheckpointFile { path: self.path.clone(), why }
    }

    /// The end of the file, at least one note and the start of another.
    fn tail(&mut self, length: u64) -> Result<Vec<u8>, Error> {
        let from = length.saturating_sub(2 * NOTE_BYTES_MAX as u64);
        let mut bytes = Vec::new();
        let io = |error| Error::io("read the checkpoint file", &self.path, error);
        self.file.seek(SeekFrom::Start(from)).map_err(io)?;
        self.file.read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// The last head in the file, if there is one.
    pub(crate) fn last(&mut self, keys: &KeyHistory) -> Result<Option<Head>, Error> {
        let length = self.file.metadata().map_err(|error| Error::io("read", &self.path, error))?.len();
        let tail = self.tail(length)?;
        // Behind the last whole note may stand what a crash, or somebody, left of another.
        let Some(end) = end_of_last(&tail) else { return Ok(None) };
        let whole = &tail[..end - SEPARATOR.len()];
        let note = String::from_utf8_lossy(&whole[end_of_last(whole).unwrap_or(0)..]).into_owned();
        let opened = keys.open(&format!("{note}\n"));
        opened.map(Some).map_err(|error| self.distrust(error.to_string()))
    }

    /// Appends a note.
    pub(crate) fn append(&mut self, note: &str) -> Result<(), Error> {
        let io = |error| Error::io("append to the checkpoint file", &self.path, error);
        self.file.write_all(format!("{note}\n\n").as_bytes()).map_err(io)
    }
}

/// Where the last whole note of `bytes` ends.
fn end_of_last(bytes: &[u8]) -> Option<usize> {
    let windows = bytes.windows(SEPARATOR.len());
    windows.enumerate().rev().find(|(_, window)| *window == SEPARATOR).map(|(at, _)| at + SEPARATOR.len())
}

/// Reads every note of a checkpoint file in order and hands each head, or what is wrong with it, to `each`, with its note.
pub(crate) fn read_all(
    path: &Path,
    keys: &KeyHistory,
    mut each: impl FnMut(Result<Head, NoteError>, &str),
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
            each(keys.open(&note), &note);
            note.clear();
            empty = 0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::Digest;

    use super::*;
    use crate::note::NoteSigner;

    #[test]
    fn a_note_torn_at_any_byte_leaves_the_notes_before_it() {
        let signer = NoteSigner::new("largesse/test/0", &[3; 32]);
        let keys = KeyHistory::new(signer.verifier().clone());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let mut heads = HeadFile::open(&path, "largesse/test/0").unwrap().0;
        heads.append(&signer.sign(1, Digest::of(b"1"))).unwrap();
        let one = std::fs::read(&path).unwrap();
        heads.append(&signer.sign(2, Digest::of(b"2"))).unwrap();
        let two = std::fs::read(&path).unwrap();
        for cut in one.len() + 1..two.len() {
            std::fs::write(&path, &two[..cut]).unwrap();
            let read = HeadFile::read(&path).unwrap().unwrap().last(&keys).unwrap();
            assert_eq!(read.unwrap().size, 1, "who only reads it, cut at {cut}");
            let (mut heads, torn) = HeadFile::open(&path, "largesse/test/0").unwrap();
            assert!(torn, "cut at {cut}");
            assert_eq!(heads.last(&keys).unwrap().unwrap().size, 1, "cut at {cut}");
            heads.append(&signer.sign(2, Digest::of(b"2"))).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), two, "cut at {cut}");
        }
        let (mut sizes, mut bad) = (Vec::new(), 0);
        read_all(&path, &keys, |head, _| head.map_or_else(|_| bad += 1, |head| sizes.push(head.size)))
            .unwrap();
        assert_eq!((sizes, bad), (vec![1, 2], 0));
    }

    #[test]
    fn an_empty_file_holds_no_head_and_a_long_text_is_not_trusted() {
        let signer = NoteSigner::new("largesse/test/0", &[3; 32]);
        let keys = KeyHistory::new(signer.verifier().clone());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let (mut heads, torn) = HeadFile::open(&path, "largesse/test/0").unwrap();
        assert!(!torn && heads.last(&keys).unwrap().is_none());
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        assert!(matches!(HeadFile::open(&path, "largesse/test/0"), Err(Error::CheckpointFile { .. })));
    }
}
