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
//! A row is found in the tail or in the tables; a [`Filter`] per slice says when the table need not be asked.
//! Hashes only propose rows: ids are always compared in full.

mod filter;
mod find;
mod fingerprint;
mod forget;
mod tail;

use domain::{EventId, MemberId};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

pub(crate) use find::{Table, find_event, table_rows};
pub(crate) use fingerprint::{IndexCheck, Sum};
pub(crate) use forget::forget_event;
pub(crate) use tail::{OwnTail, SharedTail};

use crate::entry::{Entry, Seq};
use crate::error::Error;
use filter::Filter;
use tail::{Slice, Tail, load_tail, load_through};

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

/// The writer's side: which slice is next, and what the running batch adds.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) tail: SharedTail,
    through: Vec<u64>,
    next: usize,
    waiting_rows: u64,
    turn_rows: u64,
    added: Vec<Hashes>,
    /// Slices the running batch has written, each with its filter where it needs a new one.
    written: Vec<(usize, Option<Filter>)>,
}

impl Index {
    /// Reads the tail of a ledger with `size` rows.
    pub(crate) fn load(connection: &Connection, size: u64, turn_rows: u64) -> Result<Index, Error> {
        let through = load_through(connection, size)?;
        let mut tail = Tail::default();
        load_tail(connection, &mut tail, &through, size)?;
        for (filter, through) in tail.stored.iter_mut().zip(&through) {
            *filter = (*through == 0).then(Filter::empty);
        }
        let next = (0..SLICES).min_by_key(|slice| through[*slice]).unwrap_or(0);
        let tail = SharedTail::new(tail);
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
        let sharp = tail.stored[slice].as_ref();
        let sharp = sharp.is_some_and(|filter| filter.has_room_for(tail.events[slice].hashes.len()));
        drop(tail);
        let fresh = if sharp { None } else { Some(Filter::of_table(connection, slice)?) };
        self.written.push((slice, fresh));
        let mut progress = connection.prepare_cached(
            "INSERT INTO index_slice (slice, through) VALUES (?1, ?2) ON CONFLICT (slice) DO UPDATE SET through = excluded.through",
        )?;
        progress.execute(params![slice as i64, durable.cast_signed()])?;
        let others = (0..SLICES).filter(|other| !self.written.iter().any(|(written, _)| written == other));
        let others = others.map(|other| self.through[other]);
        let all_through = others.min().unwrap_or(durable).min(durable);
        let mut forget = connection.prepare_cached("DELETE FROM recent WHERE last <= ?1")?;
        forget.execute([all_through.cast_signed()])?;
        Ok(())
    }

    /// The batch is durable.
    pub(crate) fn settle(&mut self, first: Seq) {
        let mut shared = self.tail.write();
        let tail = &mut *shared;
        self.waiting_rows += self.added.len() as u64;
        for (slice, fresh) in self.written.drain(..) {
            match (fresh, &mut tail.stored[slice]) {
                (Some(fresh), stored) => *stored = Some(fresh),
                (None, Some(stored)) => {
                    tail.events[slice].hashes.iter().for_each(|hash| stored.insert(*hash))
                }
                (None, None) => {}
            }
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

/// The hash of a member as it is stored, zero for none.
pub(crate) fn stored_member_hash(member: Option<&[u8]>) -> u64 {
    member.map_or(ABSENT, first_eight)
}

/// The hashes of a row as it is stored.
fn stored_hashes(event: Option<&str>, member: Option<&[u8]>) -> Hashes {
    Hashes {
        event: event.map_or(ABSENT, |event| first_eight(&Sha256::digest(event.as_bytes()))),
        member: stored_member_hash(member),
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
