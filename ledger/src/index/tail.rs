//! Hashes of rows that are not in the tables yet, and how a restart or another process reads them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;

use super::filter::Filter;
use super::{ABSENT, Hashes, ROTATION_ROWS, SLICES, slice_of, stored_hashes, unpair};
use crate::entry::Seq;
use crate::error::Error;

/// Hashes of one slice, in row order. Two arrays, so that a search runs over hashes alone.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) hashes: Vec<u64>,
    pub(super) seqs: Vec<u64>,
}

impl Slice {
    fn push(&mut self, hash: u64, seq: u64) {
        self.hashes.push(hash);
        self.seqs.push(seq);
    }

    fn find(&self, hash: u64) -> impl Iterator<Item = Seq> {
        // `contains` compares many at once; nearly every search ends here.
        let hashes = if self.hashes.contains(&hash) { self.hashes.as_slice() } else { &[] };
        let hits = hashes.iter().zip(&self.seqs).filter(move |(other, _)| **other == hash);
        hits.map(|(_, seq)| Seq(*seq))
    }

    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.seqs.clear();
    }
}

/// Hashes of rows that are not in the tables yet.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(super) events: Vec<Slice>,
    pub(super) members: Vec<Slice>,
    /// Per slice, what its part of the event table may hold; `None` while that is not known.
    pub(super) stored: Vec<Option<Filter>>,
    /// The last row whose hashes were added.
    through: u64,
    len: usize,
}

impl Default for Tail {
    fn default() -> Tail {
        let slices = || (0..SLICES).map(|_| Slice::default()).collect();
        let stored = (0..SLICES).map(|_| None).collect();
        Tail { events: slices(), members: slices(), stored, through: 0, len: 0 }
    }
}

impl Tail {
    pub(super) fn add(&mut self, seq: u64, hashes: Hashes) {
        if hashes.event != ABSENT {
            self.events[slice_of(hashes.event)].push(hashes.event, seq);
        }
        if hashes.member != ABSENT {
            self.members[slice_of(hashes.member)].push(hashes.member, seq);
        }
        self.through = self.through.max(seq);
        self.len += 1;
    }

    /// Whether the table may hold an event that is not in the tail.
    pub(crate) fn table_may_hold(&self, hash: u64) -> bool {
        self.stored[slice_of(hash)].as_ref().is_none_or(|filter| filter.may_hold(hash))
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
    pub(super) fn new(tail: Tail) -> SharedTail {
        SharedTail(Arc::new(RwLock::new(tail)))
    }

    /// A panic elsewhere leaves at worst hashes without rows, which readers skip.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tail> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Tail> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to which row each slice is in the tables.
///
/// # Errors
/// [`Error::Damaged`] for a slice there is not, or one beyond the last row: later rows would never be found.
pub(super) fn load_through(connection: &Connection, size: u64) -> Result<Vec<u64>, Error> {
    let mut through = vec![0; SLICES];
    let mut statement = connection.prepare_cached("SELECT slice, through FROM index_slice")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (slice, reached) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs());
        let place = usize::try_from(slice).ok().and_then(|slice| through.get_mut(slice));
        match place.filter(|_| reached <= size) {
            Some(place) => *place = reached,
            None => {
                let what = format!("the index says that slice {slice} reaches to row {reached} of {size}");
                return Err(Error::Damaged(what));
            }
        }
    }
    Ok(through)
}

/// Adds to `tail` what the slices do not hold of the rows after `tail.through` and up to `size`.
pub(super) fn load_tail(
    connection: &Connection,
    tail: &mut Tail,
    through: &[u64],
    size: u64,
) -> Result<(), Error> {
    let begin = through.iter().min().copied().unwrap_or(0).max(tail.through);
    // The first row is about no event and no member.
    let mut expected = (begin + 1).max(2);
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

/// The slow way, for rows whose hashes are not in `recent`: whatever another tool removed.
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
            let through = load_through(connection, size)?;
            load_tail(connection, &mut self.0, &through, size)?;
            self.0.through = size;
        }
        Ok(&self.0)
    }
}
