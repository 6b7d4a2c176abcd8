//! Requests and answers as files in the ledger folder: `inbox/ID.json` and `inbox/ID.answer`.
//!
//! A request appears whole by a rename, and so does its answer. One that was copied there instead is seen while it
//! is being written, and left alone until it is whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Answer, JudgeError, Request};

/// Largest request that is read: six files of a bundle at most.
pub const REQUEST_BYTES_MAX: u64 = 8 << 20;
/// Files looked at in one look, so that a full folder does not hold up the node; requests are answered much faster
/// than they come.
const FILES_MAX: usize = 256;
/// How long nothing may have been written to a file that is no request before it is refused: a copy of eight
/// megabytes over a slow network pauses for less.
const WHOLE_WITHIN: Duration = Duration::from_secs(3);

/// What a file in the inbox is.
pub(super) enum Found {
    Whole(Box<Request>),
    /// No request yet, and somebody is still writing it.
    BeingWritten,
    Unusable(JudgeError),
}

/// Reads one request.
pub(super) fn read(path: &Path, now: SystemTime) -> Found {
    let unusable = |why: String| Found::Unusable(JudgeError::Malformed { path: path.to_owned(), why });
    let about = match std::fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) => return unusable(error.to_string()),
    };
    if !about.is_file() || about.len() > REQUEST_BYTES_MAX {
        return unusable(format!("not a file of at most {REQUEST_BYTES_MAX} bytes"));
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return unusable(error.to_string()),
    };
    match serde_json::from_slice(&bytes) {
        Ok(request) => Found::Whole(Box::new(request)),
        Err(_) if is_fresh(&about, now) => Found::BeingWritten,
        Err(error) => unusable(error.to_string()),
    }
}

/// Whether a file was written to a moment ago. A time that lies ahead of the clock says nothing.
fn is_fresh(about: &std::fs::Metadata, now: SystemTime) -> bool {
    let age = about.modified().ok().and_then(|written| now.duration_since(written).ok());
    age.is_some_and(|age| age < WHOLE_WITHIN)
}

/// The size of a file; none when it is gone.
pub(super) fn size(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |about| about.len())
}

/// Where requests lie.
pub(super) fn inbox(folder: &Path) -> PathBuf {
    folder.join("inbox")
}

/// The requests that wait, at most [`FILES_MAX`]: those that wait longest first, so that one that is written again and again
/// stands behind those that are whole. Of more, half are the newest: a kill switch is not held up by a heap of old files.
pub(super) fn waiting(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(inbox(folder)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut waiting: Vec<(SystemTime, PathBuf)> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .filter_map(|path| Some((written(&path)?, path)))
        .collect();
    waiting.sort();
    if waiting.len() > FILES_MAX {
        waiting.drain(FILES_MAX / 2..waiting.len() - FILES_MAX / 2);
    }
    waiting.into_iter().map(|(_, path)| path).collect()
}

/// When a plain file was written; nothing else is a request, and nothing else may hold up the requests behind it.
fn written(path: &Path) -> Option<SystemTime> {
    let about = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(about.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Puts a file in its place, whole: by way of `building`, which is made anew, so that nothing is written through a link that
/// somebody laid there.
///
/// # Errors
/// When it cannot be written.
pub(super) fn put(building: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(building) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::File::create_new(building)?.write_all(bytes)?;
    std::fs::rename(building, path)
}

/// Writes the answer and takes the request away.
///
/// # Errors
/// When either cannot be done.
pub(super) fn reply(path: &Path, answer: &Answer) -> std::io::Result<()> {
    let text = serde_json::to_vec(answer).unwrap_or_default();
    put(&path.with_extension("new"), &path.with_extension("answer"), &text)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(inbox(folder.path())).unwrap();
        folder
    }

    #[test]
    fn folders_in_the_inbox_hold_up_no_request() {
        let folder = folder();
        for number in 0..2 * FILES_MAX {
            std::fs::create_dir(inbox(folder.path()).join(format!("{number:03}.json"))).unwrap();
        }
        let request = inbox(folder.path()).join("request.json");
        std::fs::write(&request, "{}").unwrap();
        assert_eq!(waiting(folder.path()), [request]);
    }

    #[test]
    fn files_that_are_written_again_and_again_hold_up_no_request() {
        let folder = folder();
        let request = inbox(folder.path()).join("zz.json");
        std::fs::write(&request, "{}").unwrap();
        for number in 0..2 * FILES_MAX {
            let path = inbox(folder.path()).join(format!("{number:03}.json"));
            let file = std::fs::File::create(path).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        }
        assert_eq!(waiting(folder.path()).first(), Some(&request));
    }

    #[test]
    fn a_heap_of_old_files_does_not_hold_up_the_newest_request() {
        let folder = folder();
        for number in 0..4 * FILES_MAX {
            let path = inbox(folder.path()).join(format!("{number:04}.json"));
            std::fs::File::create(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let request = inbox(folder.path()).join("a.json");
        std::fs::write(&request, "{}").unwrap();
        let waiting = waiting(folder.path());
        assert_eq!((waiting.len(), waiting.last()), (FILES_MAX, Some(&request)));
    }

    #[test]
    fn an_answer_that_cannot_be_written_is_said() {
        let folder = folder();
        let request = inbox(folder.path()).join("a.json");
        std::fs::write(&request, "{}").unwrap();
        std::fs::create_dir_all(request.with_extension("new").join("full")).unwrap();
        let answer = Answer::Refused { code: "REG0023".to_owned(), why: "no request".to_owned() };
        assert!(reply(&request, &answer).is_err());
    }

    #[test]
    fn an_answer_is_not_written_through_a_link() {
        let folder = folder();
        let (request, victim) = (inbox(folder.path()).join("a.json"), folder.path().join("people.toml"));
        std::fs::write(&victim, "theirs").unwrap();
        for ending in ["new", "answer"] {
            std::fs::write(&request, "{}").unwrap();
            std::os::unix::fs::symlink(&victim, request.with_extension(ending)).unwrap();
            let answer = Answer::Refused { code: "REG0023".to_owned(), why: "no request".to_owned() };
            reply(&request, &answer).unwrap();
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "theirs");
            let answer = request.with_extension("answer");
            assert!(std::fs::symlink_metadata(&answer).unwrap().is_file() && !request.exists());
            std::fs::remove_file(answer).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_being_written_is_left_until_it_is_whole_or_old() {
        let folder = folder();
        let path = inbox(folder.path()).join("copied.json");
        std::fs::write(&path, r#"{"signed":{"statement":{"v":1,"#).unwrap();
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert!(matches!(read(&path, written), Found::BeingWritten));
        assert!(matches!(read(&path, written + WHOLE_WITHIN / 2), Found::BeingWritten));
        // Nobody goes on with it.
        assert!(matches!(read(&path, written + WHOLE_WITHIN), Found::Unusable(_)));
        // A time ahead of the clock must not keep it for ever.
        assert!(matches!(read(&path, written - Duration::from_secs(60)), Found::Unusable(_)));
    }
}
