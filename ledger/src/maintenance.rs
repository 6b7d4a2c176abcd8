//! Moving the write-ahead log into the database, off the commit path.
//!
//! Inline checkpoints cost commits 30-50 ms at p99. A thread of its own copies pages while the writer goes on;
//! it asks the writer to wait only for the short rest, so that the WAL can start over, and only when the WAL has grown.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::error::Error;
use crate::files::Files;
use crate::schema::{self, Access};

/// How often the WAL is looked at. At 100 MB/s of WAL it grows by 10 MB between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// WAL pages worth copying: below this the fsync costs more than it brings.
const COPY_BYTES_MIN: u64 = 4 << 20;
/// From here on the writer is asked to wait for the rest, so that the WAL starts over instead of growing. A WAL of
/// this size is recovered in well under a second at start.
const RESTART_BYTES: u64 = 64 << 20;
/// An idle WAL larger than this is cut: something (a long reader) had kept it from starting over.
const TRUNCATE_BYTES: u64 = 256 << 20;
/// Longest the checkpointer waits for readers while it holds the writer up.
const WAIT: Duration = Duration::from_millis(50);

/// The checkpointer's thread; stops when dropped.
pub struct Maintenance {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts the checkpointer of the ledger in `folder`.
    ///
    /// # Errors
    /// When the ledger cannot be opened or the thread not be started.
    pub fn start(folder: &Path) -> Result<Maintenance, Error> {
        let files = Files::of(folder, None);
        let connection = schema::connect(&files.database, Access::Checkpoint)?;
        connection.busy_timeout(WAIT)?;
        let mut wal = files.database.into_os_string();
        wal.push("-wal");
        let work = Work { connection, wal: wal.into(), copied: 0 };
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger-checkpointer".to_owned())
            .spawn(move || work.run(&stopped))
            .map_err(|error| Error::io("start the checkpointer", folder, error))?;
        Ok(Maintenance { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread; nothing depends on it.
            let _ = thread.join();
        }
    }
}

struct Work {
    connection: Connection,
    wal: PathBuf,
    /// Bytes of WAL at the last look.
    copied: u64,
}

/// What SQLite says about a checkpoint.
struct Progress {
    busy: bool,
    wal_pages: i64,
    copied_pages: i64,
}

impl Work {
    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            self.look();
        }
        // A stopped ledger is one file: nothing is left in the WAL for a copy of the folder to miss.
        let _ = self.checkpoint("TRUNCATE");
    }

    /// Failures are not reported: the next look tries again, and a full disk stops the writer with its own error.
    fn look(&mut self) {
        let length = std::fs::metadata(&self.wal).map_or(0, |wal| wal.len());
        if length < COPY_BYTES_MIN {
            return;
        }
        let Some(progress) = self.checkpoint("PASSIVE") else { return };
        let pending = progress.wal_pages * schema::PAGE_BYTES;
        let idle = progress.wal_pages == progress.copied_pages && self.copied == length;
        self.copied = length;
        if idle && length >= TRUNCATE_BYTES {
            let _ = self.checkpoint("TRUNCATE");
        } else if pending.unsigned_abs() >= RESTART_BYTES && !progress.busy {
            let _ = self.checkpoint("RESTART");
        }
    }

    fn checkpoint(&self, mode: &str) -> Option<Progress> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Progress {
                busy: row.get::<_, i64>(0)? != 0,
                wal_pages: row.get(1)?,
                copied_pages: row.get(2)?,
            })
        };
        self.connection.query_row(&sql, [], read).ok()
    }
}
