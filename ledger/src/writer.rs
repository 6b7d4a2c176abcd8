//! The one writer: a batch of entries becomes rows, tree nodes, balances and member states in one transaction.
//!
//! Owned by one plain thread. It never publishes, never decides and never reads a clock: time arrives with each
//! call. Start reading at [`Writer::append`]; opening and its checks are in [`crate::recovery`].

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::digest::hex;
use domain::{Digest, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use crate::budget::{Balance, Balances};
use crate::canon::Public;
use crate::codes;
use crate::counter::Added;
use crate::entry::{BODY_BYTES_MAX, Entry, NAME_BYTES_MAX, SEALED_BYTES_MAX, Seq, Snapshot, State};
use crate::error::Error;
use crate::head_file::HeadFile;
use crate::index::{self, Hashes, Index};
use crate::keys::Keys;
use crate::lock::Lock;
use crate::merkle::Frontier;
use crate::note::{NoteSigner, Verifier};
use crate::reader::Reader;
use crate::tree::LEVEL_STEP;

/// Most entries in one batch: keeps a transaction in the page cache and a commit below a few tens of milliseconds.
pub const BATCH_MAX: usize = 8192;

/// How a ledger is opened for writing.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made when it is not there.
    pub folder: PathBuf,
    /// Name of the log in its signed heads, e.g. `largesse/acme/0`. No spaces, no `+`. Used at creation; later it must
    /// be the same.
    pub origin: String,
    /// Which share of the members this node decides for.
    pub partition: u16,
    /// Where the master key file lies; in the folder when absent.
    pub master_key: Option<PathBuf>,
    /// A signed head is due after this many rows ...
    pub head_every_rows: u64,
    /// ... or after this time, whichever comes first.
    pub head_every_micros: i64,
    /// Rows after which the next 256th of the event and member index is written.
    pub index_turn_rows: u64,
    /// Largest database file in bytes, if it shall be bounded below the size of its disk.
    pub database_bytes_max: Option<u64>,
    /// The time now.
    pub now: Timestamp,
}

impl Options {
    /// The defaults: a signed head every 1,000 rows or every second.
    pub fn new(folder: impl Into<PathBuf>, origin: &str, now: Timestamp) -> Options {
        Options {
            folder: folder.into(),
            origin: origin.to_owned(),
            partition: 0,
            master_key: None,
            head_every_rows: 1_000,
            head_every_micros: domain::time::SECOND,
            index_turn_rows: index::TURN_ROWS,
            database_bytes_max: None,
            now,
        }
    }
}

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

/// How far the relay has published. Clones share one position; the writer makes it durable with its next batch,
/// so moving it costs no write of its own. After a crash it may stand a little too early, never too late.
#[derive(Clone, Debug)]
pub struct RelayPosition(pub(crate) Arc<AtomicU64>);

impl RelayPosition {
    /// Everything up to and including `seq` is published.
    pub fn advance(&self, seq: Seq) {
        self.0.fetch_max(seq.0, Ordering::Release);
    }

    /// The last published row.
    pub fn get(&self) -> Seq {
        Seq(self.0.load(Ordering::Acquire))
    }
}

/// The open ledger.
pub struct Writer {
    pub(crate) connection: Connection,
    pub(crate) state: Head,
    pub(crate) balances: Balances,
    pub(crate) index: Index,
    pub(crate) keys: Keys,
    pub(crate) signer: NoteSigner,
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

pub(crate) struct Relay {
    pub(crate) name: String,
    pub(crate) position: RelayPosition,
    /// What the database holds, and what the running transaction writes.
    pub(crate) durable: u64,
    pub(crate) writing: u64,
}

/// What a batch advances; replaced as a whole when its transaction is durable.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) tree: Frontier,
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
        self.transact(now, batch, &[])
    }

    /// Writes member states on their own, e.g. of members that were passivated.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn save(&mut self, now: Timestamp, snapshots: &[Snapshot]) -> Result<(), Error> {
        self.transact(now, &[], snapshots).map(|_| ())
    }

    /// To be called about every second when no batch arrives: signs a head when one is due and makes relay positions durable.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn tick(&mut self, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        let moved = self.relays.iter().any(|relay| relay.position.get().0 != relay.durable);
        let due = self.head_due(&self.state, now);
        if !moved && !due && self.unfiled.is_empty() {
            return Ok(None);
        }
        self.transact(now, &[], &[]).map(|appended| appended.checkpoint)
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

    /// The key that checks this ledger's heads, to be handed to auditors.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// The ledger's folder.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    fn head_due(&self, state: &Head, now: Timestamp) -> bool {
        let rows = state.tree.size() - state.head_size;
        rows >= self.options.head_every_rows
            || rows > 0 && now.since(state.head_time) >= self.options.head_every_micros
    }

    fn transact(
        &mut self,
        now: Timestamp,
        batch: &[Entry],
        snapshots: &[Snapshot],
    ) -> Result<Appended, Error> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        self.file_heads()?;
        self.keys.flush()?;
        for relay in &mut self.relays {
            relay.writing = relay.position.get().0;
        }
        match self.write(now, batch, snapshots) {
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
    ) -> Result<(Head, Appended), Error> {
        let mut state = self.state.clone();
        state.recorded_at = state.recorded_at.max(now);
        let first = Seq(state.tree.size() + 1);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Inside the transaction, where reads take no locks of their own.
        check_events(&transaction, &self.index, first, batch)?;
        let mut rows = Rows {
            connection: &transaction,
            balances: &mut self.balances,
            scratch: &mut self.scratch,
            counts: Added::default(),
            index: &mut self.index,
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
        let rows = state.tree.size() - state.head_size;
        let due = rows >= self.options.head_every_rows
            || rows > 0 && now.since(state.head_time) >= self.options.head_every_micros;
        let checkpoint = due.then(|| sign(&self.signer, &mut state, now));
        if let Some(checkpoint) = &checkpoint {
            write_checkpoint(&transaction, checkpoint)?;
        }
        transaction.commit()?;
        Ok((state, Appended { first, count: batch.len() as u64, checkpoint }))
    }

    /// Appends signed heads to the checkpoint file. They are durable in the database already, so a failure
    /// here is reported before the next batch, not as a failure of the one they belong to.
    pub(crate) fn file_heads(&mut self) -> Result<(), Error> {
        while let Some(note) = self.unfiled.first() {
            self.heads.append(note)?;
            self.unfiled.remove(0);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What is not filed now is filed at the next start.
        let _ = self.file_heads();
    }
}

pub(crate) fn check_sizes(batch: &[Entry]) -> Result<(), Error> {
    let check =
        |what, found, max| if found > max { Err(Error::TooLarge { what, found, max }) } else { Ok(()) };
    check("a batch", batch.len(), BATCH_MAX)?;
    for entry in batch {
        check("a body", entry.body.len(), BODY_BYTES_MAX)?;
        check(
            "a sealed part",
            entry.sealed.as_ref().map_or(0, |sealed| sealed.ciphertext.len()),
            SEALED_BYTES_MAX,
        )?;
        for name in [&entry.segment, &entry.reward].into_iter().flatten() {
            check("a segment or reward name", name.len(), NAME_BYTES_MAX)?;
        }
        if let Some(State { sealed, .. }) = &entry.snapshot {
            check("a member state", sealed.ciphertext.len(), SEALED_BYTES_MAX)?;
        }
    }
    Ok(())
}

/// Refuses events that already have a row, here or in the ledger (invariant D-2).
fn check_events(connection: &Connection, index: &Index, first: Seq, batch: &[Entry]) -> Result<(), Error> {
    let tail = index.tail.read();
    let mut fresh = HashMap::new();
    for (seq, entry) in (first.0..).zip(batch) {
        let Some(event_id) = &entry.event_id else { continue };
        let known = match fresh.insert(event_id, Seq(seq)) {
            Some(seq) => Some(seq),
            None => index::find_event(connection, &tail, event_id)?,
        };
        if let Some(seq) = known {
            return Err(Error::DuplicateEvent { event_id: event_id.clone(), seq });
        }
    }
    Ok(())
}

pub(crate) fn sign(signer: &NoteSigner, state: &mut Head, now: Timestamp) -> Checkpoint {
    let (size, root) = (state.tree.size(), state.tree.root());
    (state.head_size, state.head_time) = (size, now);
    Checkpoint { size, root, time: now, note: signer.sign(size, root) }
}

pub(crate) fn write_checkpoint(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), Error> {
    let Checkpoint { size, root, time, note } = checkpoint;
    let mut insert = connection
        .prepare_cached("INSERT INTO checkpoint (size, root, time, note) VALUES (?1, ?2, ?3, ?4)")?;
    insert.execute(params![size.cast_signed(), root.0, time.0, note])?;
    Ok(())
}

fn write_relays(connection: &Connection, relays: &[Relay]) -> Result<(), Error> {
    for relay in relays {
        if relay.writing != relay.durable {
            let mut upsert = connection.prepare_cached(
                "INSERT INTO relay_position (name, seq) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq",
            )?;
            upsert.execute(params![relay.name, relay.writing.cast_signed()])?;
        }
    }
    Ok(())
}

fn write_state(
    connection: &Connection,
    member: domain::MemberId,
    as_of: Seq,
    state: &State,
) -> Result<(), Error> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO member_state (member, as_of, next_due, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (member) DO UPDATE SET as_of = excluded.as_of, next_due = excluded.next_due, state = excluded.state
             WHERE excluded.as_of >= member_state.as_of",
    )?;
    let due = state.next_due.map(|due| due.0);
    upsert.execute(params![member.0, as_of.0.cast_signed(), due, state.sealed.ciphertext])?;
    Ok(())
}

/// Inserts rows, one after the other.
pub(crate) struct Rows<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) balances: &'a mut Balances,
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) counts: Added,
    pub(crate) index: &'a mut Index,
    pub(crate) partition: u16,
    pub(crate) epoch: u32,
}

impl Rows<'_> {
    pub(crate) fn insert(&mut self, state: &mut Head, at: usize, entry: &Entry) -> Result<(), Error> {
        let seq = Seq(state.tree.size() + 1);
        let debits = self.balances.stage(entry, at, seq)?;
        let public = self.public(seq, state.recorded_at, entry, debits.as_deref());
        let digest = entry.sealed.as_ref().map(|sealed| sealed.digest.0);
        let leaf = public.leaf(digest.as_ref().map(<[u8; 32]>::as_slice), self.scratch);
        self.insert_row(&public, leaf, digest, entry)?;
        self.insert_nodes(state, leaf)?;
        self.counts.add(entry);
        self.index.add(Hashes::of(entry));
        debug_assert!(entry.snapshot.is_none() || entry.member.is_some(), "a state belongs to a member");
        if let (Some(member), Some(snapshot)) = (entry.member, &entry.snapshot) {
            write_state(self.connection, member, seq, snapshot)?;
        }
        Ok(())
    }

    fn public<'e>(
        &self,
        seq: Seq,
        recorded_at: Timestamp,
        entry: &'e Entry,
        debits: Option<&'e str>,
    ) -> Public<'e> {
        Public {
            seq: seq.0.cast_signed(),
            record_id: &entry.record_id,
            kind: i64::from(entry.kind.number()),
            recorded_at: recorded_at.0,
            event_time: entry.event_time.map(|time| time.0),
            partition: i64::from(self.partition),
            epoch: i64::from(self.epoch),
            member: entry.member.as_ref().map(|member| member.0.as_slice()),
            event_id: entry.event_id.as_ref().map(domain::EventId::as_str),
            outcome: entry.outcome.map(codes::outcome),
            reason: entry.reason.map(|reason| i64::from(reason.number())),
            segment: entry.segment.as_deref(),
            reward: entry.reward.as_deref(),
            touchpoint: entry.touchpoint.map(codes::touchpoint),
            bundle: entry.bundle.as_ref().map(|digest| digest.0.as_slice()),
            models: entry.models.as_ref().map(|digest| digest.0.as_slice()),
            semantics: i64::from(domain::SEMANTICS_VERSION),
            debits,
            body: Some(&entry.body),
        }
    }

    fn insert_row(
        &self,
        row: &Public<'_>,
        leaf: Digest,
        sealed_digest: Option<[u8; 32]>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO record (seq, record_id, kind, recorded_at, event_time, partition, epoch, member, event_id, outcome, reason,
                 segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed_digest, leaf, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?;
        insert.execute(params![
            row.seq,
            row.record_id,
            row.kind,
            row.recorded_at,
            row.event_time,
            row.partition,
            row.epoch,
            row.member,
            row.event_id,
            row.outcome,
            row.reason,
            row.segment,
            row.reward,
            row.touchpoint,
            row.bundle,
            row.models,
            row.semantics,
            row.debits,
            row.body,
            sealed_digest,
            leaf.0,
            entry.sealed.as_ref().map(|sealed| sealed.ciphertext.as_slice()),
        ])?;
        Ok(())
    }

    fn insert_nodes(&self, state: &mut Head, leaf: Digest) -> Result<(), Error> {
        let mut result = Ok(());
        state.tree.push(leaf, |level, index, hash| {
            if level.is_multiple_of(LEVEL_STEP) && result.is_ok() {
                result = insert_node(self.connection, level, index, hash);
            }
        });
        result
    }
}

fn insert_node(connection: &Connection, level: u32, index: u64, hash: Digest) -> Result<(), Error> {
    let mut insert =
        connection.prepare_cached("INSERT INTO log_node (level, idx, hash) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![level, index.cast_signed(), hash.0])?;
    Ok(())
}
