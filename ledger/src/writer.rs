//! The one writer: a batch of entries becomes rows, tree nodes, balances and member states in one transaction.
//!
//! Owned by one plain thread. It never publishes, never decides and never reads a clock: time arrives with each
//! call. Start reading at [`Writer::append`]; opening and its checks are in [`crate::recovery`].

mod heads;

use std::collections::HashSet;
use std::path::Path;

use domain::digest::hex;
use domain::{Digest, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};

use crate::budget::{Balance, Balances};
use crate::columns::Columns;
use crate::counter::Added;
use crate::cut::Cut;
use crate::entry::{Entry, Seq, Snapshot};
use crate::error::Error;
use crate::head_file::HeadFile;
use crate::history::KeyHistory;
use crate::index::Index;
use crate::keys::Keys;
use crate::lasting::Lasting;
use crate::lock::Lock;
use crate::merkle::Frontier;
use crate::note::{NoteSigner, Verifier};
use crate::options::Options;
use crate::reader::Reader;
use crate::relay::{Relay, RelayPosition, write_relays};
use crate::rows::{Rows, check_events, check_sizes, write_checkpoint, write_state};
use crate::tail;

/// Most entries in one batch: keeps a transaction in the page cache and a commit below a few tens of milliseconds.
pub const BATCH_MAX: usize = 8192;

/// A signed head of the log, to be published outside the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub size: u64,
    pub root: Digest,
    pub time: Timestamp,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: String,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first row written; entry `n` of the batch is row `first + n`.
    pub first: Seq,
    pub count: u64,
    /// A head that became due with this batch.
    pub checkpoint: Option<Checkpoint>,
}

impl Appended {
    /// The row of entry `at` of the batch.
    pub fn seq(&self, at: usize) -> Seq {
        Seq(self.first.0 + at as u64)
    }
}

/// The open ledger.
pub struct Writer {
    pub(crate) connection: Connection,
    pub(crate) state: Head,
    pub(crate) balances: Balances,
    pub(crate) index: Index,
    pub(crate) columns: Columns,
    pub(crate) keys: Keys,
    pub(crate) signer: NoteSigner,
    pub(crate) history: KeyHistory,
    pub(crate) heads: HeadFile,
    /// Signed heads that are in the database but not yet in the file.
    pub(crate) unfiled: Vec<String>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) options: Options,
    pub(crate) epoch: u32,
    /// Why no more rows are accepted, after a failure that leaves the file's state unknown.
    pub(crate) stopped: Option<String>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) _lock: Lock,
}

/// What a batch advances; replaced as a whole when its transaction is durable.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) tree: Frontier,
    /// The rows that are obeyed for good, which the seal commits to.
    pub(crate) lasting: Lasting,
    pub(crate) recorded_at: Timestamp,
    pub(crate) head_size: u64,
    pub(crate) head_time: Timestamp,
}

impl Writer {
    /// Writes a batch: all of it or nothing, durable when this returns.
    ///
    /// `now` becomes each row's `recorded_at`, or the previous row's when the clock went back.
    ///
    /// # Errors
    /// [`Error::DuplicateEvent`], [`Error::DuplicateRecord`], [`Error::Overspent`] and [`Error::UnknownBudget`] name
    /// what the batch may not contain; [`Error::DiskFull`] may be retried; others stop the writer. After any
    /// error nothing of the batch is in the ledger, except after [`Error::Stopped`], when only a new start can tell.
    pub fn append(&mut self, now: Timestamp, batch: &[Entry]) -> Result<Appended, Error> {
        check_sizes(batch)?;
        self.transact(now, batch, &[], None)
    }

    /// Writes a batch and signs a head over it, for who writes once and is done: a copy of the ledger from before would pass for
    /// the newest otherwise, and what was asked for would be gone.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_signed(&mut self, now: Timestamp, batch: &[Entry]) -> Result<Appended, Error> {
        let appended = self.append(now, batch)?;
        let checkpoint = self.sign_head(now)?.or(appended.checkpoint);
        Ok(Appended { checkpoint, ..appended })
    }

    /// Writes member states on their own, e.g. of members that were passivated.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn save(&mut self, now: Timestamp, snapshots: &[Snapshot]) -> Result<(), Error> {
        self.transact(now, &[], snapshots, None).map(|_| ())
    }

    /// Has every member looked at as if a timer of theirs were due, because other timers hold from now on: who reads only due times
    /// would miss one that is earlier now. A member without a stored state gets one that nobody can read, and is rebuilt from
    /// their rows. About 3 us for each of them.
    ///
    /// # Errors
    /// When keys or database cannot be read or written.
    pub fn wake_everyone(&mut self) -> Result<u64, Error> {
        self.keys.flush()?;
        let members = self.keys.members()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE member_state SET next_due = 0", [])?;
        {
            let mut insert = transaction.prepare(
                "INSERT OR IGNORE INTO member_state (member, as_of, next_due, state) VALUES (?1, 0, 0, x'')",
            )?;
            for member in &members {
                insert.execute([member.0])?;
            }
        }
        transaction.commit()?;
        Ok(members.len() as u64)
    }

    /// To be called about every second when no batch arrives: signs a head when one is due and makes relay positions durable.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn tick(&mut self, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        let moved = self.relays.iter().any(|relay| relay.position.get().0 != relay.durable);
        let due = heads::is_due(&self.state, &self.options, now);
        if !moved && !due && self.unfiled.is_empty() {
            return Ok(None);
        }
        self.transact(now, &[], &[], None).map(|appended| appended.checkpoint)
    }

    /// The position of relay `name`, kept in the ledger.
    pub fn relay(&self, name: &str) -> Option<RelayPosition> {
        self.relays.iter().find(|relay| relay.name == name).map(|relay| relay.position.clone())
    }

    /// A reader in this process, which shares what the writer holds in memory.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::beside(&self.options.folder, self.index.tail.clone())
    }

    /// Number of rows.
    pub fn size(&self) -> u64 {
        self.state.tree.size()
    }

    /// The current root, signed or not.
    pub fn root(&self) -> Digest {
        self.state.tree.root()
    }

    /// The run of the node, counted from 1.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A budget's balance.
    pub fn balance(&self, budget: &str) -> Option<Balance> {
        self.balances.get(budget)
    }

    /// The keys of this ledger, for worker threads that seal.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The key that checks the heads this ledger signs now.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// Which ledger this is, whatever key signs now ([`KeyHistory::identity`]).
    pub fn identity(&self) -> String {
        self.history.identity()
    }

    /// The ledger's folder.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// Takes parts out of rows and appends the row that says so, all of it or nothing.
    pub(crate) fn cut(&mut self, now: Timestamp, cut: &Cut) -> Result<Appended, Error> {
        // What is cut is overwritten with zeros, not only unlinked.
        self.connection.pragma_update(None, "secure_delete", "ON")?;
        let appended = self.transact(now, &[], &[], Some(cut))?;
        self.index = Index::load(&self.connection, self.size(), self.options.index_turn_rows)?;
        Ok(appended)
    }

    fn transact(
        &mut self,
        now: Timestamp,
        batch: &[Entry],
        snapshots: &[Snapshot],
        cut: Option<&Cut>,
    ) -> Result<Appended, Error> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        self.file_heads()?;
        self.keys.flush()?;
        for relay in &mut self.relays {
            relay.writing = relay.position.get().0;
        }
        match self.write(now, batch, snapshots, cut) {
            Ok((state, appended)) => {
                self.state = state;
                self.balances.settle();
                self.index.settle(appended.first);
                for relay in &mut self.relays {
                    relay.durable = relay.writing;
                }
                self.unfiled.extend(appended.checkpoint.iter().map(|checkpoint| checkpoint.note.clone()));
                Ok(appended)
            }
            Err(error) => {
                self.balances.forget();
                self.index.forget();
                self.columns.forget();
                Err(self.after_failure(error, batch))
            }
        }
    }

    /// Names the id behind a refused row, and stops after failures that leave the file's state unknown.
    fn after_failure(&mut self, error: Error, batch: &[Entry]) -> Error {
        if let Error::Sqlite(cause) = &error {
            return match cause.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => self.known_record(batch).unwrap_or(error),
                Some(ErrorCode::DatabaseBusy) => error,
                Some(_) | None => self.stop(error),
            };
        }
        if matches!(error, Error::Damaged(_)) { self.stop(error) } else { error }
    }

    fn stop(&mut self, error: Error) -> Error {
        self.stopped = Some(error.to_string());
        error
    }

    /// The record id behind a refused row.
    fn known_record(&self, batch: &[Entry]) -> Option<Error> {
        let mut fresh = HashSet::new();
        let mut known = |entry: &Entry| {
            let sql = "SELECT 1 FROM record WHERE record_id = ?1";
            let stored = self.connection.query_row(sql, [entry.record_id], |_| Ok(())).optional();
            !fresh.insert(entry.record_id) || stored.is_ok_and(|stored| stored.is_some())
        };
        let entry = batch.iter().find(|entry| known(entry))?;
        Some(Error::DuplicateRecord(hex(&entry.record_id)))
    }

    /// Everything inside the transaction.
    fn write(
        &mut self,
        now: Timestamp,
        batch: &[Entry],
        snapshots: &[Snapshot],
        cut: Option<&Cut>,
    ) -> Result<(Head, Appended), Error> {
        let mut state = self.state.clone();
        state.recorded_at = state.recorded_at.max(now);
        let first = Seq(state.tree.size() + 1);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let recorded;
        let batch = match cut {
            Some(cut) => {
                recorded = [cut.apply(&transaction)?];
                &recorded[..]
            }
            None => batch,
        };
        // Inside the transaction, where reads take no locks of their own.
        check_events(&transaction, &self.index, first, batch)?;
        let mut rows = Rows {
            connection: &transaction,
            balances: &mut self.balances,
            scratch: &mut self.scratch,
            counts: Added::default(),
            index: &mut self.index,
            columns: &mut self.columns,
            partition: self.options.partition,
            epoch: self.epoch,
        };
        for (at, entry) in batch.iter().enumerate() {
            rows.insert(&mut state, at, entry)?;
        }
        rows.counts.write(&transaction)?;
        self.index.write(&transaction, first)?;
        for snapshot in snapshots {
            write_state(&transaction, snapshot.member, snapshot.as_of, &snapshot.state)?;
        }
        self.balances.write(&transaction)?;
        write_relays(&transaction, &self.relays)?;
        if !batch.is_empty() {
            tail::write(&transaction, &self.keys, &state)?;
        }
        // What was cut no longer hashes to its leaf, so the row that says what is left is believed under a signed head only.
        let due = cut.is_some() || heads::is_due(&state, &self.options, now);
        let checkpoint = due.then(|| heads::sign(&self.signer, &mut state, now));
        if let Some(checkpoint) = &checkpoint {
            write_checkpoint(&transaction, checkpoint)?;
        }
        transaction.commit()?;
        Ok((state, Appended { first, count: batch.len() as u64, checkpoint }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What is not filed now is filed at the next start.
        let _ = self.file_heads();
    }
}
