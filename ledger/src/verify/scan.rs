//! The rescan: every row in order, everything recomputed beside it.

use std::hash::RandomState;

use domain::Digest;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest as _, Sha256};

use super::columns::ColumnCheck;
use super::lookups::Lookups;
use super::{Heads, Report};
use crate::budget::Balances;
use crate::canon::Public;
use crate::counter::Recount;
use crate::cut::{self, Claim, Kept, is_shaped};
use crate::entry::Seq;
use crate::error::Error;
use crate::index::IndexCheck;
use crate::merkle::Frontier;
use crate::posting::Audit;
use crate::recovery::last_seq;
use crate::row::{self, COLUMNS};
use crate::tree::LEVEL_STEP;

/// Rows between two calls of the progress callback: about 20 ms.
const ROWS_BETWEEN_CALLS: u64 = 8_192;
/// Rows read under one snapshot, so that a check of a live ledger does not keep its WAL from being reused.
const ROWS_PER_SNAPSHOT: i64 = 65_536;

/// The running rescan.
pub(super) struct Scan<'c> {
    connection: &'c Connection,
    pub(super) report: Report,
    /// Rows there were at the start.
    pub(super) through: u64,
    /// Whether the balances and counts in the tables belong to exactly these rows.
    quiet: Option<(Balances, Recount)>,
    index: Option<IndexCheck>,
    /// Drawn anew for each check, so that nobody can prepare other rows with the same sums.
    pub(super) key: RandomState,
    pub(super) lookups: Lookups,
    columns: ColumnCheck,
    tree: Frontier,
    audit: Audit,
    counts: Recount,
    scratch: Vec<u8>,
    recorded_at: i64,
    /// What the newest row about a cut says, and what is found of it.
    claim: Option<Claim>,
    /// That row.
    claimed_at: Option<Seq>,
    kept: Kept,
    /// The first row after the last head that passed as cut, so that its stored leaf was taken for true.
    believed: Option<Seq>,
    /// The tree of the stored leaves, from the first one on that is not what its row hashes to.
    stored: Option<Frontier>,
}

impl<'c> Scan<'c> {
    pub(super) fn begin(connection: &'c Connection, report: Report) -> Result<Scan<'c>, Error> {
        let snapshot = connection.unchecked_transaction()?;
        let through = last_seq(connection)?.0;
        let quiet = Some((Balances::load(connection)?, Recount::load(connection)?));
        let index = Some(IndexCheck::begin(connection, through)?);
        let columns = ColumnCheck::begin(connection)?;
        let (claimed_at, claim) = cut::newest(connection)?.unzip();
        snapshot.commit()?;
        Ok(Scan {
            connection,
            report,
            through,
            quiet,
            index,
            key: RandomState::new(),
            lookups: Lookups::default(),
            columns,
            tree: Frontier::default(),
            audit: Audit::default(),
            counts: Recount::default(),
            scratch: Vec::new(),
            recorded_at: i64::MIN,
            claim,
            claimed_at,
            kept: Kept::default(),
            believed: None,
            stored: None,
        })
    }

    pub(super) fn rows(&mut self, heads: &Heads, progress: &mut impl FnMut(u64, u64)) -> Result<(), Error> {
        if let Some(seq) = self.claimed_at
            && heads.range(seq.0..).next().is_none()
        {
            self.report.find(Some(seq), "it says that rows were cut, and no signed head covers it");
            self.claim = None;
        }
        let mut last = 0i64;
        let through = self.through.cast_signed();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {COLUMNS} FROM record WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT {ROWS_PER_SNAPSHOT}"
        ))?;
        loop {
            let before = last;
            let mut rows = statement.query([last, through])?;
            loop {
                let stored = match rows.next() {
                    Ok(Some(stored)) => stored,
                    Ok(None) => break,
                    Err(error) => return self.unreadable(last, &error),
                };
                last = self.row(stored, last)?;
                self.compare_heads(heads, last);
                if self.report.rows.is_multiple_of(ROWS_BETWEEN_CALLS) {
                    progress(self.report.rows, self.through);
                }
            }
            if last == before {
                break;
            }
        }
        if last < through {
            let first = Seq(last.unsigned_abs() + 1);
            let what = format!("rows {first} to {through} are missing or cannot be read");
            self.report.find(Some(first), what);
        }
        progress(self.report.rows, self.through);
        self.finish(heads)
    }

    /// The file itself is broken after a row: nothing beyond can be said.
    fn unreadable(&mut self, last: i64, error: &rusqlite::Error) -> Result<(), Error> {
        self.report.root = self.tree.root();
        let first = Seq(last.unsigned_abs() + 1);
        let what = format!("rows {first} to {} cannot be read: {error}", self.through);
        self.report.find(Some(first), what);
        Ok(())
    }

    /// Checks one row and returns its position.
    fn row(&mut self, stored: &rusqlite::Row<'_>, last: i64) -> Result<i64, Error> {
        let public = match row::public(stored) {
            Ok(public) => public,
            Err(error) => {
                // Its number may be what is damaged; where it stands is where the next row belongs.
                self.report.find(Some(Seq(last.unsigned_abs() + 1)), format!("unreadable: {error}"));
                return Ok(stored.get::<_, i64>(0)?.max(last + 1));
            }
        };
        let seq = Seq(public.seq.unsigned_abs());
        if public.seq != last + 1 {
            let missing = Seq(last.unsigned_abs() + 1);
            self.report.find(Some(missing), format!("rows {missing} to {} are missing", seq.0 - 1));
        }
        self.report.rows += 1;
        if public.recorded_at < self.recorded_at {
            // One of the two is wrong; what was cut has no leaf of its own to speak for it.
            let before = Seq(seq.0.saturating_sub(1));
            match self.kept.last == Some(before) {
                true => self.report.find(Some(before), "recorded after the row after it"),
                false => self.report.find(Some(seq), "recorded before the row before it"),
            }
        }
        self.recorded_at = public.recorded_at;
        if let Some(index) = &mut self.index {
            index.fold(seq.0, public.event_id, public.member);
        }
        self.lookups.fold(&self.key, &public);
        self.columns.fold(self.connection, &public, &mut self.report)?;
        self.counts.add(public.kind, public.outcome, public.reason);
        let claimed = stored.get_ref(row::LEAF)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let leaf = self.leaf(stored, &public, claimed, seq)?;
        self.push_stored(claimed, &leaf);
        self.push(leaf, seq)?;
        if let Some(debits) = public.debits
            && let Err(why) = self.audit.fold(debits, seq)
        {
            self.report.find(Some(seq), why);
        }
        Ok(public.seq)
    }

    /// The leaf as recomputed; of a row that a recorded cut covers, the stored one.
    fn leaf(
        &mut self,
        stored: &rusqlite::Row<'_>,
        public: &Public<'_>,
        claimed: Option<&[u8]>,
        seq: Seq,
    ) -> Result<Digest, Error> {
        let blob = |at| stored.get_ref(at)?.as_blob_or_null().map_err(rusqlite::Error::from);
        let (digest, sealed) = (blob(row::SEALED_DIGEST)?, blob(row::SEALED)?);
        match (digest, sealed) {
            (Some(digest), Some(sealed)) if Sha256::digest(sealed).as_slice() != digest => {
                self.report.find(Some(seq), "its sealed part does not hash to its digest");
            }
            (None, Some(_)) => self.report.find(Some(seq), "it has a sealed part but no digest of one"),
            _ => {}
        }
        let leaf = public.leaf(digest, &mut self.scratch);
        if let Some(tree) = self.cut(public, claimed, &leaf, (digest.is_some(), sealed.is_some()), seq) {
            return Ok(tree);
        }
        if digest.is_some() && sealed.is_none() {
            self.report.find(Some(seq), "its sealed part is gone");
        }
        if public.body.is_none() {
            self.report.find(Some(seq), "its body is gone");
        }
        if claimed != Some(leaf.0.as_slice()) {
            self.report.find(Some(seq), "its columns do not hash to its leaf");
        }
        Ok(leaf)
    }

    /// The stored leaf of a row that was cut, which stands in for what is gone. That nobody changed it is told by the tree,
    /// and that nobody changed the rest of the row by the claim.
    fn cut(
        &mut self,
        public: &Public<'_>,
        claimed: Option<&[u8]>,
        leaf: &Digest,
        (has_digest, has_sealed): (bool, bool),
        seq: Seq,
    ) -> Option<Digest> {
        let covered = self.claim.as_ref().is_some_and(|claim| seq.0 <= claim.through);
        if !covered || !is_shaped(public, has_digest, has_sealed) {
            return None;
        }
        let claimed = Digest(claimed?.try_into().ok()?);
        let is_cut = self.kept.fold(seq, &claimed, leaf, has_digest && !has_sealed);
        self.report.pruned += u64::from(is_cut);
        if is_cut {
            self.believed.get_or_insert(seq);
        }
        is_cut.then_some(claimed)
    }

    fn push_stored(&mut self, stored: Option<&[u8]>, leaf: &Digest) {
        let stored = stored.and_then(|bytes| bytes.try_into().ok()).map_or(Digest([0; 32]), Digest);
        if self.stored.is_none() && stored != *leaf {
            self.stored = Some(self.tree.clone());
        }
        if let Some(tree) = &mut self.stored {
            tree.push(stored, |_, _, _| ());
        }
    }

    /// Extends the tree and compares the stored nodes that are now full.
    fn push(&mut self, leaf: Digest, seq: Seq) -> Result<(), Error> {
        let mut full = Vec::new();
        self.tree.push(leaf, |level, index, hash| {
            if level.is_multiple_of(LEVEL_STEP) {
                full.push((level, index, hash));
            }
        });
        for (level, index, hash) in full {
            let mut select =
                self.connection.prepare_cached("SELECT hash FROM log_node WHERE level = ?1 AND idx = ?2")?;
            let stored: Option<Vec<u8>> =
                select.query_row((level, index.cast_signed()), |row| row.get(0)).optional()?;
            if stored.as_deref() != Some(hash.0.as_slice()) {
                let first = Seq((index << level) + 1);
                let known = self.report.first_bad.is_some_and(|bad| bad >= first && bad <= seq);
                // With a bad row below it, the node only repeats the news.
                let seq = if known { None } else { Some(first) };
                self.report.find(
                    seq,
                    format!(
                        "tree node {level}/{index} over rows {first} to {} differs",
                        (index + 1) << level
                    ),
                );
            }
        }
        Ok(())
    }

    fn compare_heads(&mut self, heads: &Heads, last: i64) {
        let size = last.unsigned_abs();
        let Some(at) = heads.get(&size) else { return };
        let (root, believed) = (self.tree.root(), self.believed.take());
        let stored = self.stored.as_ref().map(|tree| (tree.size(), tree.root()));
        for (head, place) in at {
            if head.root != root || self.tree.size() != size {
                // The row after the last good head is the first that can differ. A bad row already names it, unless the stored
                // leaves are others, too, and a row before it only passed as cut.
                let first = Seq(self.good_head_before(heads, size) + 1);
                let named = match (self.report.first_bad, stored) {
                    (None, _) => Some(first),
                    (Some(_), Some((rows, root))) if rows == size && root != head.root => believed,
                    (Some(_), _) => None,
                };
                self.report.find(
                    named,
                    format!("rows {first} to {size} are not those of the head of {size} rows {place}"),
                );
            } else {
                self.report.covered = self.report.covered.max(size);
            }
        }
    }

    /// Heads are compared in order and the first bad one is reported, so every smaller one was good.
    fn good_head_before(&self, heads: &Heads, size: u64) -> u64 {
        heads.range(..size).next_back().map_or(0, |(size, _)| *size)
    }

    fn finish(&mut self, heads: &Heads) -> Result<(), Error> {
        self.report.root = self.tree.root();
        for (size, at) in heads.range(self.through + 1..) {
            for (_, place) in at {
                // A live ledger may have grown since the scan began.
                if last_seq(self.connection)?.0 < *size {
                    let missing = Seq(self.through + 1);
                    self.report.find(
                        Some(missing),
                        format!("rows {missing} to {size} are missing: a head over them exists {place}"),
                    );
                }
            }
        }
        self.stray_nodes()?;
        self.columns.finish(self.connection, &mut self.report)?;
        self.compare_kept()?;
        if let Some((balances, counts)) = self.quiet.take() {
            if let Some(budget) = self.audit.drift(&balances) {
                self.report
                    .find(None, format!("the table's balance of budget {budget:?} differs from the log"));
            }
            if counts != self.counts {
                self.report.find(None, "the table of row counts differs from the log");
            }
        }
        if let Some(index) = self.index.take() {
            let findings = index.finish(self.connection)?;
            if let Some(what) = findings.differs {
                self.report.find(None, what);
            }
            for (first, again) in findings.twice {
                self.report.find(Some(again), format!("the event of row {first} was taken a second time"));
            }
        }
        Ok(())
    }

    /// What is left of cut rows is what the newest row about a cut says.
    fn compare_kept(&mut self) -> Result<(), Error> {
        let (kept, claim) = (std::mem::take(&mut self.kept), self.claim.take());
        let (first, last) = (kept.first, kept.last);
        if kept.claim(Seq(self.through)).is_same_as(claim.as_ref()) {
            return Ok(());
        }
        if cut::newest(self.connection)?.map(|(seq, _)| seq) != self.claimed_at {
            self.report.find(None, "rows were erased or pruned while this check ran; run it again");
            return Ok(());
        }
        let between = match (first, last) {
            (Some(first), Some(last)) => format!("of rows {first} to {last} "),
            _ => String::new(),
        };
        // Which of them it is, nobody can say; a row the rescan met is a better answer than the first of them.
        self.report.find(
            first.filter(|_| self.report.first_bad.is_none()),
            format!("what is left {between}after erasing and pruning is not what was left then"),
        );
        Ok(())
    }

    /// Nodes no row accounts for.
    fn stray_nodes(&mut self) -> Result<(), Error> {
        let stray: Option<(u32, i64)> = self
            .connection
            .query_row(
                "SELECT level, idx FROM log_node WHERE ((idx + 1) << level) > (SELECT max(seq) FROM record) LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let Some((level, index)) = stray {
            self.report.find(None, format!("tree node {level}/{index} covers rows that do not exist"));
        }
        Ok(())
    }
}
