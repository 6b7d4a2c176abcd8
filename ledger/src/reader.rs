//! Reading: short, read-only statements with a time limit, from any thread (one [`Reader`] each).
//!
//! A reader never holds a snapshot between calls: an open one would keep the WAL from being reused (it once grew
//! to 525 MB). Long listings are read page by page.

mod ask;
mod facets;
mod promised;
mod prove;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{Digest, EventId, MemberId, Micros, Outcome, Reason, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params};

use crate::budget::Balance;
use crate::codes;
use crate::entry::Seq;
use crate::error::Error;
use crate::files::Files;
pub use facets::{Facet, Facets};
pub use promised::Promises;

use crate::filter::Filter;
use crate::index::{self, OwnTail, SharedTail};
use crate::kind::Kind;
use crate::merkle;
use crate::recovery::{last_seq, meta_text};
use crate::row::{COLUMNS, Row};
use crate::schema::{self, Access};
use crate::tree::StoredNodes;

/// Rows of one kind read at a time.
const PAGE_ROWS: u32 = 1_000;
use crate::writer::Checkpoint;

/// Longest run of one statement. Every statement here is bounded by a limit and an index; two seconds is a filter
/// that scans a few million rows, and little enough for the WAL to be reused soon after.
pub const STATEMENT_TIME_MAX_MS: u64 = 2_000;

/// The same for readers of other processes: people who look something up on a machine whose disk is busy with the
/// node. They rather wait than ask again.
pub const OUTSIDE_TIME_MAX_MS: u64 = 60_000;

/// Virtual-machine steps between two looks at the clock: about 50 us.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// Most rows one call returns; more are read page by page.
pub const PAGE_ROWS_MAX: u32 = 10_000;

/// Most rows of one member a listing looks through; at one event an hour that is eleven years.
const MEMBER_ROWS_MAX: u32 = 100_000;

/// A read-only view of a ledger.
pub struct Reader {
    connection: Connection,
    started: Instant,
    /// Microseconds after `started` at which the running statement is stopped.
    deadline: Arc<AtomicU64>,
    limit: Duration,
    tail: TailSource,
    /// Whether rows are stored by column: not in a ledger of an older build.
    has_columns: bool,
    /// Whether rows that are not as they were written are refused.
    is_wary: bool,
    /// The checkpoint file.
    heads: PathBuf,
}

/// Where rows that are not in the index tables are looked up.
enum TailSource {
    /// The writer of this process keeps it.
    Shared(SharedTail),
    /// Another process writes: this reader follows.
    Own(RefCell<OwnTail>),
}

/// A member's stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The last row folded into it; later rows of the member are still to be folded.
    pub as_of: Seq,
    pub next_due: Option<Timestamp>,
    /// To be opened with [`crate::DataKey::open_state`].
    pub ciphertext: Vec<u8>,
}

/// How many rows of one kind, outcome and reason there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub kind: Kind,
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    pub rows: u64,
}

impl Reader {
    /// Opens the ledger in a folder for reading; other processes may be writing it.
    ///
    /// # Errors
    /// When there is no ledger, or its file is foreign or newer.
    pub fn open(folder: &Path) -> Result<Reader, Error> {
        Reader::with(folder, TailSource::Own(RefCell::default()), OUTSIDE_TIME_MAX_MS)
    }

    pub(crate) fn beside(folder: &Path, tail: SharedTail) -> Result<Reader, Error> {
        Reader::with(folder, TailSource::Shared(tail), STATEMENT_TIME_MAX_MS)
    }

    fn with(folder: &Path, tail: TailSource, limit_ms: u64) -> Result<Reader, Error> {
        let files = Files::of(folder, None);
        if !files.database.exists() {
            return Err(Error::NoLedger(folder.to_owned()));
        }
        schema::check_file(&files.database)?;
        let mut connection = schema::connect(&files.database, Access::Read)?;
        schema::check_beginning(&connection)?;
        let (started, deadline) = (Instant::now(), Arc::new(AtomicU64::new(u64::MAX)));
        set_time_limit(&mut connection, started, deadline.clone())?;
        let has_columns = schema::format(&connection)? >= 2;
        let limit = Duration::from_millis(limit_ms);
        let heads = files.heads;
        Ok(Reader { connection, started, deadline, limit, tail, has_columns, is_wary: true, heads })
    }

    /// Reads rows from now on as they are found, for who compares them with something else than their leaves. Otherwise one that is
    /// not as it was written is [`Error::Altered`].
    #[must_use]
    pub fn as_found(self) -> Reader {
        Reader { is_wary: false, ..self }
    }

    /// Changes the time limit of each following call.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    pub(crate) fn start(&self) -> &Connection {
        let deadline = self.started.elapsed() + self.limit;
        let micros = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX);
        self.deadline.store(micros, Ordering::Relaxed);
        &self.connection
    }

    /// The connection without a time limit, for what looks at every row.
    pub(crate) fn connection(&self) -> &Connection {
        self.deadline.store(u64::MAX, Ordering::Relaxed);
        &self.connection
    }

    fn fail(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        if !matches!(error, Error::Timeout(_)) {
            return error;
        }
        Error::Timeout(u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let connection = self.start();
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row(params, read).optional().map_err(|error| self.fail(error))
    }

    fn rows(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, Error> {
        self.all(sql, params, if self.is_wary { Row::read } else { Row::read_as_found })
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let connection = self.start();
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.fail(error))? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// Number of rows.
    ///
    /// # Errors
    /// When the file cannot be read; so for all methods below.
    pub fn size(&self) -> Result<u64, Error> {
        last_seq(self.start()).map(|seq| seq.0)
    }

    /// The row that answers an event, if there is one. The fast path of intake.
    pub fn event_seq(&self, event_id: &EventId) -> Result<Option<Seq>, Error> {
        let connection = self.start();
        match &self.tail {
            TailSource::Shared(tail) => index::find_event(connection, &tail.read(), event_id),
            TailSource::Own(tail) => {
                let size = last_seq(connection)?.0;
                index::find_event(connection, tail.borrow_mut().refresh(connection, size)?, event_id)
            }
        }
        .map_err(|error| self.fail(error))
    }

    /// Whether an event already has its row.
    pub fn contains_event(&self, event_id: &EventId) -> Result<bool, Error> {
        self.event_seq(event_id).map(|seq| seq.is_some())
    }

    /// [`Reader::event_seq`] for many events under one snapshot.
    pub fn event_seqs<'e>(
        &self,
        events: impl IntoIterator<Item = &'e EventId>,
    ) -> Result<Vec<Option<Seq>>, Error> {
        let transaction = self.start().unchecked_transaction()?;
        let found = events.into_iter().map(|event| self.event_seq(event)).collect();
        transaction.commit()?;
        found
    }

    /// The row that answers an event.
    pub fn event(&self, event_id: &EventId) -> Result<Option<Row>, Error> {
        self.event_seq(event_id)?.map_or(Ok(None), |seq| self.row(seq))
    }

    /// The row with a record id (a decision id).
    pub fn record(&self, record_id: &[u8; 16]) -> Result<Option<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE record_id = ?1");
        Ok(self.rows(&sql, [record_id])?.pop())
    }

    /// The row at a position.
    pub fn row(&self, seq: Seq) -> Result<Option<Row>, Error> {
        Ok(self.after(Seq(seq.0.saturating_sub(1)), 1)?.pop().filter(|row| row.seq == seq))
    }

    /// Rows after `seq`, oldest first, at most `limit` (and [`PAGE_ROWS_MAX`]).
    pub fn after(&self, seq: Seq, limit: u32) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        self.rows(&sql, (seq.0.cast_signed(), limit.min(PAGE_ROWS_MAX)))
    }

    /// Rows of a member after `seq`, oldest first.
    pub fn member_after(&self, member: MemberId, seq: Seq, limit: u32) -> Result<Vec<Row>, Error> {
        let limit = limit.min(PAGE_ROWS_MAX);
        let mut rows = Vec::new();
        for seq in self.member_seqs(member, seq, limit)? {
            rows.extend(self.row_of(member, seq)?);
        }
        Ok(rows)
    }

    /// The row at a position that the index has as a member's; `None` where only the hash is the same.
    fn row_of(&self, member: MemberId, seq: Seq) -> Result<Option<Row>, Error> {
        let Some(row) = self.row(seq)? else { return Ok(None) };
        let hash = |member: &MemberId| index::member_hash(member);
        if self.is_wary && row.member.as_ref().map(hash) != Some(hash(&member)) {
            return Err(Error::Altered { seq, why: "the index has it as another member's" });
        }
        Ok(Some(row).filter(|row| row.member == Some(member)))
    }

    /// Every row of a member, oldest first, by the rows themselves: an index that somebody changed hides nothing. It reads the
    /// whole ledger.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn rows_of(&self, member: MemberId) -> Result<Vec<Row>, Error> {
        self.rows(&format!("SELECT {COLUMNS} FROM record WHERE member = ?1 ORDER BY seq"), [member.0])
    }

    /// The newest row about what a member did or was decided about them, up to `until`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn last_of_member(&self, member: MemberId, until: Seq) -> Result<Option<Row>, Error> {
        let seqs = self.member_seqs(member, Seq::START, u32::MAX)?;
        for seq in seqs.into_iter().rev().filter(|seq| *seq <= until) {
            let row = self.row_of(member, seq)?;
            if let Some(row) = row.filter(|row| matches!(row.kind, Kind::Decision | Kind::Observed)) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Positions of at most `limit` rows that may be a member's.
    fn member_seqs(&self, member: MemberId, after: Seq, limit: u32) -> Result<Vec<Seq>, Error> {
        let (connection, hash) = (self.start(), index::member_hash(&member));
        // The tail first: a slice leaves it only after its rows are in the table.
        let recent: Vec<Seq> = match &self.tail {
            TailSource::Shared(tail) => tail.read().member(hash).collect(),
            TailSource::Own(tail) => {
                let size = last_seq(connection)?.0;
                tail.borrow_mut().refresh(connection, size)?.member(hash).collect()
            }
        };
        let mut seqs = index::table_rows(connection, index::Table::Member, hash, after, limit)
            .map_err(|error| self.fail(error))?;
        for seq in recent {
            if seq > after && seqs.last().is_none_or(|last| seq > *last) {
                seqs.push(seq);
            }
        }
        seqs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(seqs)
    }

    /// Every row of some kinds, in order: for kinds of which a ledger holds few.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn of_kinds(&self, kinds: &[Kind]) -> Result<Vec<Row>, Error> {
        self.of_kinds_after(Seq(0), kinds)
    }

    /// The same of the rows after one.
    pub fn of_kinds_after(&self, seq: Seq, kinds: &[Kind]) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for kind in kinds {
            let mut after = Some(seq);
            loop {
                let filter = Filter { kind: Some(*kind), after, limit: PAGE_ROWS, ..Filter::default() };
                let page = self.list(&filter)?;
                after = page.last().map(|row| row.seq);
                let full = page.len() == PAGE_ROWS as usize;
                rows.extend(page);
                if !full {
                    break;
                }
            }
        }
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// The first row recorded at `time` or later (one past the last row when there is none), by bisection:
    /// `recorded_at` never decreases.
    pub fn first_at(&self, time: Timestamp) -> Result<Seq, Error> {
        let (mut low, mut high) = (1, self.size()? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT recorded_at FROM record WHERE seq = ?1";
            let at: Option<i64> = self.one(sql, [middle.cast_signed()], |row| row.get(0))?;
            if at.is_some_and(|at| at < time.0) { low = middle + 1 } else { high = middle }
        }
        Ok(Seq(low))
    }

    /// A member's stored state.
    pub fn state(&self, member: MemberId) -> Result<Option<StoredState>, Error> {
        self.one("SELECT as_of, next_due, state FROM member_state WHERE member = ?1", [member.0], |row| {
            Ok(StoredState {
                as_of: Seq(row.get::<_, i64>(0)?.unsigned_abs()),
                next_due: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                ciphertext: row.get(2)?,
            })
        })
    }

    /// Members whose stored timer is due at or before `time`, earliest first.
    pub fn due(&self, time: Timestamp, limit: u32) -> Result<Vec<(MemberId, Timestamp)>, Error> {
        let sql = "SELECT member, next_due FROM member_state WHERE next_due <= ?1 ORDER BY next_due LIMIT ?2";
        self.all(sql, (time.0, limit.min(PAGE_ROWS_MAX)), |row| {
            Ok((MemberId(row.get(0)?), Timestamp(row.get(1)?)))
        })
    }

    /// The time of the earliest stored timer.
    pub fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT next_due FROM member_state WHERE next_due IS NOT NULL ORDER BY next_due LIMIT 1";
        self.one(sql, [], |row| row.get(0).map(Timestamp))
    }

    /// All budgets, by name.
    pub fn budgets(&self) -> Result<Vec<(String, Balance)>, Error> {
        let sql = "SELECT id, limit_micros, reserved, committed, as_of FROM budget ORDER BY id";
        self.all(sql, [], |row| {
            let balance = Balance {
                limit: Micros(row.get(1)?),
                reserved: Micros(row.get(2)?),
                committed: Micros(row.get(3)?),
                as_of: Seq(row.get::<_, i64>(4)?.unsigned_abs()),
            };
            Ok((row.get(0)?, balance))
        })
    }

    /// How many rows of each kind, outcome and reason there are; kept with every batch, so it costs no scan.
    pub fn counts(&self) -> Result<Vec<Count>, Error> {
        self.all("SELECT kind, outcome, reason, rows FROM counter ORDER BY 1, 2, 3", [], |row| {
            let (kind, outcome, reason): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let unknown = || Error::Damaged(format!("counter of kind {kind}"));
            Ok(Count {
                kind: u8::try_from(kind).ok().and_then(Kind::from_number).ok_or_else(unknown)?,
                outcome: codes::outcome_of(outcome),
                reason: u8::try_from(reason).ok().and_then(Reason::from_number),
                rows: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })
    }

    /// The last signed head.
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let sql = "SELECT size, root, time, note FROM checkpoint ORDER BY size DESC LIMIT 1";
        self.one(sql, [], read_checkpoint)
    }

    /// Signed heads over more than `size` rows, oldest first.
    pub fn checkpoints_after(&self, size: u64, limit: u32) -> Result<Vec<Checkpoint>, Error> {
        let sql = "SELECT size, root, time, note FROM checkpoint WHERE size > ?1 ORDER BY size LIMIT ?2";
        self.all(sql, (size.cast_signed(), limit.min(PAGE_ROWS_MAX)), |row| Ok(read_checkpoint(row)?))
    }

    /// How far a relay has published, as of the last batch.
    pub fn relay_position(&self, name: &str) -> Result<Seq, Error> {
        let seq: Option<i64> =
            self.one("SELECT seq FROM relay_position WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(Seq(seq.unwrap_or(0).unsigned_abs()))
    }

    /// The log's name in its signed heads.
    pub fn origin(&self) -> Result<String, Error> {
        meta_text(self.start(), "origin")
    }

    /// Audit path of a row in the tree of the first `size` rows.
    pub fn inclusion(&self, seq: Seq, size: u64) -> Result<Vec<Digest>, Error> {
        merkle::inclusion(&StoredNodes(self.start()), seq.0.saturating_sub(1), size)
    }

    /// Proof that the first `old` rows are a prefix of the first `size` rows.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Digest>, Error> {
        merkle::consistency(&StoredNodes(self.start()), old, size)
    }
}

fn read_checkpoint(row: &rusqlite::Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        size: row.get::<_, i64>(0)?.unsigned_abs(),
        root: Digest(row.get(1)?),
        time: Timestamp(row.get(2)?),
        note: row.get(3)?,
    })
}

fn set_time_limit(
    connection: &mut Connection,
    started: Instant,
    deadline: Arc<AtomicU64>,
) -> Result<(), Error> {
    let expired = move || started.elapsed().as_micros() > u128::from(deadline.load(Ordering::Relaxed));
    Ok(connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(expired))?)
}
