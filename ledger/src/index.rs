//! Finding rows by event and by member without paying a random page per row.
//!
//! Event ids and pseudonyms are random, so an ordinary index would dirty one page per row and column: at 10M
//! rows ten times the bytes of the rows themselves. Instead the hashes of new rows stay in memory (the [`Tail`]) and
//! 256 slices of the key space take turns to be written: when a slice's turn comes, about a thousand neighbours go
//! into a few pages. Everything happens in the writer's own transactions, so rows, hashes and progress never
//! disagree:
//!
//! - `recent` holds the hashes of each batch, 16 bytes per row, so that a restart need not read rows;
//! - `index_slice` says up to which row each slice is in `event_index` and `member_index`.
//!
//! A row is found in the tail or in the tables. Hashes only propose rows: ids are always compared in full.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::{EventId, MemberId};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, Seq};
use crate::error::Error;

/// Parts of the key space that take turns; the first byte of a hash names its slice.
const SLICES: usize = 256;
/// Rows between two turns of one slice. Larger means fewer page writes and more memory: 262,144 rows are 8 MB in
/// memory, 4 MB in `recent`, and still write less than a page per four rows at 10M rows.
pub(crate) const ROTATION_ROWS: u64 = 262_144;
/// Rows after which the next slice is due.
pub(crate) const TURN_ROWS: u64 = ROTATION_ROWS / SLICES as u64;

/// No event, or no member.
const ABSENT: u64 = 0;

/// The hash of an event id. SHA-256 spreads serial ids evenly over the slices.
pub(crate) fn event_hash(event: &EventId) -> u64 {
    let digest = Sha256::digest(event.as_str().as_bytes());
    first_eight(&digest)
}

/// The hash of a pseudonym, which is random already.
pub(crate) fn member_hash(member: &MemberId) -> u64 {
    first_eight(&member.0)
}

fn first_eight(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)).max(ABSENT + 1)
}

fn slice_of(hash: u64) -> usize {
    usize::from(hash.to_be_bytes()[0])
}

/// The hashes of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashes {
    pub(crate) event: u64,
    pub(crate) member: u64,
}

impl Hashes {
    pub(crate) fn of(entry: &Entry) -> Hashes {
        Hashes {
            event: entry.event_id.as_ref().map_or(ABSENT, event_hash),
            member: entry.member.as_ref().map_or(ABSENT, member_hash),
        }
    }
}

/// Hashes of one slice, in row order. Two arrays, so that a search runs over hashes alone.
#[derive(Debug, Default)]
struct Slice {
    hashes: Vec<u64>,
    seqs: Vec<u64>,
}

impl Slice {
    fn push(&mut self, hash: u64, seq: u64) {
        self.hashes.push(hash);
        self.seqs.push(seq);
    }

    fn find(&self, hash: u64) -> impl Iterator<Item = Seq> {
        let hits = self.hashes.iter().zip(&self.seqs).filter(move |(other, _)| **other == hash);
        hits.map(|(_, seq)| Seq(*seq))
    }

    fn clear(&mut self) {
        self.hashes.clear();
        self.seqs.clear();
    }
}

/// Hashes of rows that are not in the tables yet.
#[derive(Debug)]
pub(crate) struct Tail {
    events: Vec<Slice>,
    members: Vec<Slice>,
    /// The last row whose hashes were added.
    through: u64,
    len: usize,
}

impl Default for Tail {
    fn default() -> Tail {
        let slices = || (0..SLICES).map(|_| Slice::default()).collect();
        Tail { events: slices(), members: slices(), through: 0, len: 0 }
    }
}

impl Tail {
    fn add(&mut self, seq: u64, hashes: Hashes) {
        if hashes.event != ABSENT {
            self.events[slice_of(hashes.event)].push(hashes.event, seq);
        }
        if hashes.member != ABSENT {
            self.members[slice_of(hashes.member)].push(hashes.member, seq);
        }
        self.through = self.through.max(seq);
        self.len += 1;
    }

    /// Rows that may be about an event.
    pub(crate) fn event(&self, hash: u64) -> impl Iterator<Item = Seq> {
        self.events[slice_of(hash)].find(hash)
    }

    /// Rows that may be about a member, in order.
    pub(crate) fn member(&self, hash: u64) -> impl Iterator<Item = Seq> {
        self.members[slice_of(hash)].find(hash)
    }
}

/// The tail as the writer and the readers of its process share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTail(Arc<RwLock<Tail>>);

impl SharedTail {
    /// A panic elsewhere leaves at worst hashes without rows, which readers skip.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tail> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tail> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's side: which slice is next, and what the running batch adds.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) tail: SharedTail,
    through: Vec<u64>,
    next: usize,
    waiting_rows: u64,
    turn_rows: u64,
    added: Vec<Hashes>,
    /// Slices the running batch has written.
    written: Vec<usize>,
}

impl Index {
    /// Reads the tail of a ledger with `size` rows.
    pub(crate) fn load(connection: &Connection, size: u64, turn_rows: u64) -> Result<Index, Error> {
        let through = load_through(connection)?;
        let mut tail = Tail::default();
        load_tail(connection, &mut tail, &through, size)?;
        let next = (0..SLICES).min_by_key(|slice| through[*slice]).unwrap_or(0);
        let tail = SharedTail(Arc::new(RwLock::new(tail)));
        let turn_rows = turn_rows.max(1);
        Ok(Index { tail, through, next, waiting_rows: 0, turn_rows, added: Vec::new(), written: Vec::new() })
    }

    /// Adds a row of the running batch.
    pub(crate) fn add(&mut self, hashes: Hashes) {
        self.added.push(hashes);
    }

    /// Writes the batch's hashes and the slices whose turn has come, inside the batch's transaction.
    pub(crate) fn write(&mut self, connection: &Connection, first: Seq) -> Result<(), Error> {
        if self.added.is_empty() {
            return Ok(());
        }
        let durable = first.0 - 1;
        let turns = (self.waiting_rows + self.added.len() as u64) / self.turn_rows;
        for turn in 0..turns.min(SLICES as u64) {
            self.write_slice(connection, (self.next + usize::try_from(turn).unwrap_or(0)) % SLICES, durable)?;
        }
        let last = durable + self.added.len() as u64;
        let bytes: Vec<u8> = self.added.iter().flat_map(|hashes| pair(*hashes)).collect();
        let mut insert = connection.prepare_cached("INSERT INTO recent (last, hashes) VALUES (?1, ?2)")?;
        insert.execute(params![last.cast_signed(), bytes])?;
        Ok(())
    }

    fn write_slice(&mut self, connection: &Connection, slice: usize, durable: u64) -> Result<(), Error> {
        let tail = self.tail.read();
        let insert = |sql: &str, slice: &Slice| -> Result<(), Error> {
            let mut statement = connection.prepare_cached(sql)?;
            let mut order: Vec<usize> = (0..slice.hashes.len()).collect();
            order.sort_unstable_by_key(|at| (slice.hashes[*at].cast_signed(), slice.seqs[*at]));
            for at in order {
                statement.execute(params![slice.hashes[at].cast_signed(), slice.seqs[at].cast_signed()])?;
            }
            Ok(())
        };
        insert("INSERT INTO event_index (hash, seq) VALUES (?1, ?2)", &tail.events[slice])?;
        insert("INSERT INTO member_index (hash, seq) VALUES (?1, ?2)", &tail.members[slice])?;
        drop(tail);
        self.written.push(slice);
        let mut progress = connection.prepare_cached(
            "INSERT INTO index_slice (slice, through) VALUES (?1, ?2) ON CONFLICT (slice) DO UPDATE SET through = excluded.through",
        )?;
        progress.execute(params![slice as i64, durable.cast_signed()])?;
        let others =
            (0..SLICES).filter(|other| !self.written.contains(other)).map(|other| self.through[other]);
        let all_through = others.min().unwrap_or(durable).min(durable);
        let mut forget = connection.prepare_cached("DELETE FROM recent WHERE last <= ?1")?;
        forget.execute([all_through.cast_signed()])?;
        Ok(())
    }

    /// The batch is durable.
    pub(crate) fn settle(&mut self, first: Seq) {
        let mut tail = self.tail.write();
        self.waiting_rows += self.added.len() as u64;
        for slice in self.written.drain(..) {
            tail.events[slice].clear();
            tail.members[slice].clear();
            self.through[slice] = first.0 - 1;
            self.next = (slice + 1) % SLICES;
            self.waiting_rows = self.waiting_rows.saturating_sub(self.turn_rows);
        }
        for (seq, hashes) in (first.0..).zip(self.added.drain(..)) {
            tail.add(seq, hashes);
        }
    }

    /// The batch was refused.
    pub(crate) fn forget(&mut self) {
        self.added.clear();
        self.written.clear();
    }
}

fn pair(hashes: Hashes) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&hashes.event.to_be_bytes());
    bytes[8..].copy_from_slice(&hashes.member.to_be_bytes());
    bytes
}

fn unpair(bytes: &[u8]) -> Hashes {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    Hashes { event: number(&bytes[..8]), member: number(&bytes[8..16]) }
}

/// Up to which row each slice is in the tables.
fn load_through(connection: &Connection) -> Result<Vec<u64>, Error> {
    let mut through = vec![0; SLICES];
    let mut statement = connection.prepare_cached("SELECT slice, through FROM index_slice")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let slice = usize::try_from(row.get::<_, i64>(0)?).ok();
        if let Some(place) = slice.and_then(|slice| through.get_mut(slice)) {
            *place = row.get::<_, i64>(1)?.unsigned_abs();
        }
    }
    Ok(through)
}

/// Adds to `tail` what the slices do not hold of the rows after `tail.through` and up to `size`.
fn load_tail(connection: &Connection, tail: &mut Tail, through: &[u64], size: u64) -> Result<(), Error> {
    let begin = through.iter().min().copied().unwrap_or(0).max(tail.through);
    let mut expected = begin + 1;
    let mut statement =
        connection.prepare_cached("SELECT last, hashes FROM recent WHERE last > ?1 ORDER BY last")?;
    let mut rows = statement.query([begin.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let last = row.get::<_, i64>(0)?.unsigned_abs();
        let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let first = (last + 1).saturating_sub(bytes.len() as u64 / 16);
        if first > expected {
            break;
        }
        for (seq, bytes) in
            (first..).zip(bytes.chunks_exact(16)).filter(|(seq, _)| *seq >= expected && *seq <= size)
        {
            add_missing(tail, through, seq, unpair(bytes));
        }
        expected = last + 1;
    }
    if expected <= size { load_from_rows(connection, tail, through, expected) } else { Ok(()) }
}

/// The slow way, for rows whose hashes are not in `recent`: the first row, and whatever another tool removed.
fn load_from_rows(connection: &Connection, tail: &mut Tail, through: &[u64], from: u64) -> Result<(), Error> {
    let mut statement =
        connection.prepare("SELECT seq, event_id, member FROM record WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = statement.query([from.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let hashes = stored_hashes(
            row.get_ref(1)?.as_str_or_null().ok().flatten(),
            row.get_ref(2)?.as_blob_or_null().ok().flatten(),
        );
        add_missing(tail, through, row.get::<_, i64>(0)?.unsigned_abs(), hashes);
    }
    Ok(())
}

fn stored_hashes(event: Option<&str>, member: Option<&[u8]>) -> Hashes {
    Hashes {
        event: event.map_or(ABSENT, |event| first_eight(&Sha256::digest(event.as_bytes()))),
        member: member.map_or(ABSENT, first_eight),
    }
}

fn add_missing(tail: &mut Tail, through: &[u64], seq: u64, hashes: Hashes) {
    let keep = |hash: u64| if hash != ABSENT && seq > through[slice_of(hash)] { hash } else { ABSENT };
    tail.add(seq, Hashes { event: keep(hashes.event), member: keep(hashes.member) });
}

/// A reader's own copy of the tail, for processes other than the writer's.
#[derive(Debug, Default)]
pub(crate) struct OwnTail(Tail);

impl OwnTail {
    /// Follows the ledger up to `size` rows.
    pub(crate) fn refresh(&mut self, connection: &Connection, size: u64) -> Result<&Tail, Error> {
        if self.0.through < size {
            if self.0.len as u64 > 2 * ROTATION_ROWS {
                self.0 = Tail::default();
            }
            let through = load_through(connection)?;
            load_tail(connection, &mut self.0, &through, size)?;
            self.0.through = size;
        }
        Ok(&self.0)
    }
}

/// Rows of `table` that may carry a hash, after `seq`, in order.
pub(crate) fn table_rows(
    connection: &Connection,
    table: Table,
    hash: u64,
    after: Seq,
    limit: u32,
) -> Result<Vec<Seq>, Error> {
    let mut statement = connection.prepare_cached(match table {
        Table::Event => "SELECT seq FROM event_index WHERE hash = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        Table::Member => "SELECT seq FROM member_index WHERE hash = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    })?;
    let mut rows = statement.query((hash.cast_signed(), after.0.cast_signed(), limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Seq(row.get::<_, i64>(0)?.unsigned_abs()));
    }
    Ok(found)
}

/// Which table to look in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Event,
    Member,
}

/// The row of an event, among candidates.
pub(crate) fn confirm_event(
    connection: &Connection,
    event: &EventId,
    candidates: impl IntoIterator<Item = Seq>,
) -> Result<Option<Seq>, Error> {
    for seq in candidates {
        let mut statement = connection.prepare_cached("SELECT event_id = ?2 FROM record WHERE seq = ?1")?;
        let mut rows = statement.query((seq.0.cast_signed(), event.as_str()))?;
        if let Some(row) = rows.next()?
            && row.get::<_, Option<bool>>(0)? == Some(true)
        {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// The row of an event, if there is one.
pub(crate) fn find_event(
    connection: &Connection,
    tail: &Tail,
    event: &EventId,
) -> Result<Option<Seq>, Error> {
    let hash = event_hash(event);
    // The tail first: a slice leaves it only after its rows are in the table.
    if let Some(seq) = confirm_event(connection, event, tail.event(hash))? {
        return Ok(Some(seq));
    }
    let stored = table_rows(connection, Table::Event, hash, Seq::START, u32::MAX)?;
    confirm_event(connection, event, stored)
}

/// A fingerprint of both tables and of the rows that belong into them, for `verify`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    events: (u64, u64),
    members: (u64, u64),
}

impl Fingerprint {
    fn fold(sum: &mut (u64, u64), hash: u64, seq: u64) {
        // A sum of well-mixed pairs is independent of order, and no accident keeps it.
        let mixed = (hash ^ seq.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        sum.0 = sum.0.wrapping_add(mixed ^ mixed >> 29);
        sum.1 += 1;
    }

    /// Folds what the tables hold.
    pub(crate) fn of_tables(connection: &Connection) -> Result<Fingerprint, Error> {
        let mut fingerprint = Fingerprint::default();
        let table = |sql: &str, sum: &mut (u64, u64)| -> Result<(), Error> {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                Fingerprint::fold(
                    sum,
                    row.get::<_, i64>(0)?.cast_unsigned(),
                    row.get::<_, i64>(1)?.unsigned_abs(),
                );
            }
            Ok(())
        };
        table("SELECT hash, seq FROM event_index", &mut fingerprint.events)?;
        table("SELECT hash, seq FROM member_index", &mut fingerprint.members)?;
        Ok(fingerprint)
    }
}

/// What the tables should hold, folded from the rows.
#[derive(Debug)]
pub(crate) struct Expected {
    through: Vec<u64>,
    pub(crate) fingerprint: Fingerprint,
}

impl Expected {
    pub(crate) fn begin(connection: &Connection) -> Result<Expected, Error> {
        Ok(Expected { through: load_through(connection)?, fingerprint: Fingerprint::default() })
    }

    pub(crate) fn fold(&mut self, seq: u64, event: Option<&str>, member: Option<&[u8]>) {
        let hashes = stored_hashes(event, member);
        let belongs = |hash: u64| hash != ABSENT && seq <= self.through[slice_of(hash)];
        let (event, member) = (belongs(hashes.event), belongs(hashes.member));
        if event {
            Fingerprint::fold(&mut self.fingerprint.events, hashes.event, seq);
        }
        if member {
            Fingerprint::fold(&mut self.fingerprint.members, hashes.member, seq);
        }
    }
}
