//! Whether the index holds exactly what the rows say, without sorting the rows or keeping them.
//!
//! Slices that were written are compared by a sum over their pairs; its key is drawn anew for each check, so nobody can
//! prepare other pairs with the same sum. What is not written yet is in `recent` and compared row by row.

use std::hash::{BuildHasher as _, Hash, RandomState};

use rusqlite::Connection;

use super::tail::load_through;
use super::{ABSENT, Hashes, SLICES, slice_of, stored_hashes, unpair};
use crate::entry::Seq;
use crate::error::Error;

/// A sum over what is folded in, in any order, and how many there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64, u64);

impl Sum {
    pub(crate) fn fold(&mut self, key: &RandomState, pair: impl Hash) {
        self.0 = self.0.wrapping_add(key.hash_one(pair));
        self.1 += 1;
    }
}

/// What is wrong with an index, or with the rows it leads to.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Where it differs from the rows.
    pub(crate) differs: Option<String>,
    /// Rows that were written about one event, the earlier one first.
    pub(crate) twice: Vec<(Seq, Seq)>,
}

/// The index as it was at the start of a check, and what the rows say that it should be.
#[derive(Debug)]
pub(crate) struct IndexCheck {
    key: RandomState,
    through: Vec<u64>,
    found: [Sum; 2],
    expected: [Sum; 2],
    recent: Recent,
    /// Rows of one event, as the index has it.
    twice: Vec<(Seq, Seq)>,
    wrong: Option<String>,
}

impl IndexCheck {
    /// Reads the index of a ledger with `size` rows, inside a snapshot.
    pub(crate) fn begin(connection: &Connection, size: u64) -> Result<IndexCheck, Error> {
        let (through, wrong) = match load_through(connection, size) {
            Ok(through) => (through, None),
            Err(Error::Damaged(what)) => (vec![0; SLICES], Some(what)),
            Err(error) => return Err(error),
        };
        let recent = Recent::load(connection, &through, size)?;
        let mut check = IndexCheck {
            key: RandomState::new(),
            through,
            found: Default::default(),
            expected: Default::default(),
            recent,
            twice: Vec::new(),
            wrong,
        };
        check.read_tables(connection)?;
        Ok(check)
    }

    fn read_tables(&mut self, connection: &Connection) -> Result<(), Error> {
        // The table is in the order of signed hashes, so what waits is merged in one pass.
        let mut waiting = self.recent.events(&self.through).into_iter().peekable();
        let mut before: Option<(i64, u64)> = None;
        let (found, key, twice) = (&mut self.found, &self.key, &mut self.twice);
        let mut next = |hash: i64, seq: u64| {
            let same = before.replace((hash, seq)).filter(|(other, _)| *other == hash);
            twice.extend(same.map(|(_, other)| (Seq(other), Seq(seq))));
        };
        let mut statement = connection.prepare("SELECT hash, seq FROM event_index ORDER BY hash, seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (hash, seq) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs());
            found[0].fold(key, (hash.cast_unsigned(), seq));
            while let Some((hash, seq)) = waiting.next_if(|(waits, _)| *waits < hash) {
                next(hash, seq);
            }
            next(hash, seq);
        }
        waiting.for_each(|(hash, seq)| next(hash, seq));
        let mut statement = connection.prepare("SELECT hash, seq FROM member_index")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found[1].fold(key, (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.unsigned_abs()));
        }
        Ok(())
    }

    /// Takes the next row in.
    pub(crate) fn fold(&mut self, seq: u64, event: Option<&str>, member: Option<&[u8]>) {
        let hashes = stored_hashes(event, member);
        for (sum, hash) in self.expected.iter_mut().zip([hashes.event, hashes.member]) {
            if hash != ABSENT && seq <= self.through[slice_of(hash)] {
                sum.fold(&self.key, (hash, seq));
            }
        }
        self.recent.compare(seq, hashes);
    }

    /// What was found; to be asked after the last row.
    pub(crate) fn finish(self, connection: &Connection) -> Result<Findings, Error> {
        let mut twice = Vec::new();
        let sql = "SELECT a.event_id = b.event_id FROM record a, record b WHERE a.seq = ?1 AND b.seq = ?2";
        let mut is_same = connection.prepare(sql)?;
        for (one, other) in self.twice.into_iter().filter(|(one, other)| one != other) {
            let mut rows = is_same.query([one.0.cast_signed(), other.0.cast_signed()])?;
            if let Some(row) = rows.next()?
                && row.get::<_, Option<bool>>(0)? == Some(true)
            {
                twice.push((one.min(other), one.max(other)));
            }
        }
        let differs = || "the index of events and members differs from the log".to_owned();
        let wrong = self.wrong.or(self.recent.wrong);
        Ok(Findings { differs: wrong.or_else(|| (self.found != self.expected).then(differs)), twice })
    }
}

/// Hashes of rows that not all slices hold yet, in order from the row after `begin`.
#[derive(Debug)]
struct Recent {
    begin: u64,
    hashes: Vec<Hashes>,
    wrong: Option<String>,
}

impl Recent {
    fn load(connection: &Connection, through: &[u64], size: u64) -> Result<Recent, Error> {
        // The first row is about nobody, and has no hashes.
        let begin = through.iter().min().copied().unwrap_or(0).max(1);
        let mut recent = Recent { begin, hashes: Vec::new(), wrong: None };
        let mut statement =
            connection.prepare("SELECT last, hashes FROM recent WHERE last > ?1 ORDER BY last")?;
        let mut rows = statement.query([begin.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let (last, bytes) = (row.get::<_, i64>(0)?.unsigned_abs(), row.get_ref(1)?);
            let bytes = bytes.as_blob().map_err(rusqlite::Error::from)?;
            let next = begin + 1 + recent.hashes.len() as u64;
            let first = (last + 1).checked_sub(bytes.len() as u64 / 16);
            // Only the first batch may reach back to rows that every slice holds.
            let skip = match first {
                Some(first) if first == next => 0,
                Some(first) if first < next && recent.hashes.is_empty() => next - first,
                _ => return Ok(recent.broken(next)),
            };
            if last > size || bytes.len() % 16 != 0 {
                return Ok(recent.broken(next));
            }
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            recent.hashes.extend(bytes.chunks_exact(16).skip(skip).map(unpair));
        }
        let end = begin + recent.hashes.len() as u64;
        if end < size { Ok(recent.broken(end + 1)) } else { Ok(recent) }
    }

    fn broken(self, seq: u64) -> Recent {
        let wrong =
            Some(format!("the index of the newest rows has a gap before row {seq}, or one row twice"));
        Recent { wrong, ..self }
    }

    /// Hashes of events that are not in the tables, with their rows, in the order of the table.
    fn events(&self, through: &[u64]) -> Vec<(i64, u64)> {
        let rows = (self.begin + 1..).zip(&self.hashes).map(|(seq, hashes)| (hashes.event, seq));
        let waits = |(hash, seq): &(u64, u64)| *hash != ABSENT && *seq > through[slice_of(*hash)];
        let mut events: Vec<(i64, u64)> =
            rows.filter(waits).map(|(hash, seq)| (hash.cast_signed(), seq)).collect();
        events.sort_unstable();
        events
    }

    fn compare(&mut self, seq: u64, found: Hashes) {
        let at = seq.checked_sub(self.begin + 1).and_then(|at| usize::try_from(at).ok());
        let Some(stored) = at.and_then(|at| self.hashes.get(at)) else { return };
        if self.wrong.is_none() && (stored.event, stored.member) != (found.event, found.member) {
            self.wrong = Some(format!("the index of the newest rows differs from the log at row {seq}"));
        }
    }
}
