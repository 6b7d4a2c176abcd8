//! Destroying a member's key, and the way from the program's own identifier to the pseudonym.

use std::time::Duration;

use domain::{MemberId, Timestamp};
use rusqlite::params;

use super::{KeyError, Keys, lock};

/// How long somebody who reads keys.db is waited for.
const WAIT: Duration = Duration::from_secs(5);

impl Keys {
    /// Destroys a member's key and name. What they sealed cannot be opened any more; the pseudonym stays known as
    /// one that was erased.
    ///
    /// Durable when this returns, and the bytes are in no file of the store: deleted cells are overwritten, the file
    /// is written anew without its free pages, and the write-ahead log is cut. File systems and disks that keep
    /// old blocks, and copies of the file, are beyond its reach. Repeating it is harmless.
    ///
    /// # Errors
    /// [`KeyError::Busy`] when another process reads the file: the key is destroyed then, but the write-ahead log still
    /// holds it.
    pub(crate) fn destroy(&self, member: MemberId, now: Timestamp) -> Result<(), KeyError> {
        self.flush()?;
        lock(&self.0.met).clear();
        let mut writing = self.writing()?;
        let transaction = writing.transaction()?;
        transaction.execute("DELETE FROM member_name WHERE member = ?1", [member.0])?;
        transaction.execute(
            "UPDATE member_key SET wrapped = NULL, identity = NULL, erased_at = ?2 WHERE member = ?1 AND wrapped IS NOT NULL",
            params![member.0, now.0],
        )?;
        transaction.commit()?;
        // Pages that were split or merged earlier may still hold copies of cells.
        writing.execute_batch("VACUUM")?;
        writing.busy_timeout(WAIT)?;
        let busy: bool = writing.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy { Err(KeyError::Busy) } else { Ok(()) }
    }
}
