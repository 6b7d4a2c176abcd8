//! The full check: every row, node, head, balance and count, recomputed from the rows alone.
//!
//! It trusts nothing but the public key it is given (or, without one, the key beside the database, which
//! detects everything but an intruder who also replaced the keys and every published head). Start at [`verify`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::Digest;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest as _, Sha256};

use crate::budget::{Audit, Balances};
use crate::counter::Recount;
use crate::entry::Seq;
use crate::error::Error;
use crate::head_file;
use crate::index::{Expected, Fingerprint};
use crate::merkle::Frontier;
use crate::note::{Head, NoteError, Verifier};
use crate::recovery::{Files, meta_text};
use crate::row::{self, COLUMNS};
use crate::schema::{self, Access};
use crate::tree::LEVEL_STEP;

/// Most findings that are kept in a report; all are counted.
pub const FINDINGS_MAX: usize = 100;
/// Rows between two calls of the progress callback: about 20 ms.
const ROWS_BETWEEN_CALLS: u64 = 8_192;
/// Rows read under one snapshot, so that a check of a live ledger does not keep its WAL from being reused.
const ROWS_PER_SNAPSHOT: i64 = 65_536;

/// What to check against.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The public key an auditor was given when the ledger was made. Without it the one in the folder is used.
    pub trusted: Option<Verifier>,
    /// Signed heads that were published elsewhere (NATS, log output, a write-once place).
    pub published: Vec<String>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first row it touches, when it touches one.
    pub seq: Option<Seq>,
    pub what: String,
}

/// The result of a full check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub rows: u64,
    /// The recomputed root over all rows.
    pub root: Digest,
    /// Signed heads that were checked: in the database, in the checkpoint file, given by the caller.
    pub heads: u64,
    /// Rows whose personal part or body was pruned; their leaves still prove them.
    pub pruned: u64,
    /// The first row that is not as it was written.
    pub first_bad: Option<Seq>,
    /// At most [`FINDINGS_MAX`], in the order found.
    pub findings: Vec<Finding>,
    pub findings_count: u64,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_verified(&self) -> bool {
        self.findings_count == 0
    }

    fn find(&mut self, seq: Option<Seq>, what: impl Into<String>) {
        self.findings_count += 1;
        if let Some(seq) = seq {
            self.first_bad = Some(self.first_bad.map_or(seq, |first| first.min(seq)));
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { seq, what: what.into() });
        }
    }
}

/// Rescans the ledger in `folder`. `progress(done, of)` is called every few thousand rows.
///
/// A live ledger may be checked: rows written after the start are not looked at.
///
/// # Errors
/// When the ledger cannot be read at all; what is merely wrong is in the report.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, Error> {
    let files = Files::of(folder, None);
    if !files.database.exists() {
        return Err(Error::NoLedger(folder.to_owned()));
    }
    schema::check_file(&files.database)?;
    let connection = schema::connect(&files.database, Access::Read)?;
    let empty = Report {
        rows: 0,
        root: crate::merkle::empty_root(),
        heads: 0,
        pruned: 0,
        first_bad: None,
        findings: Vec::new(),
        findings_count: 0,
    };
    let mut scan = Scan::begin(&connection, empty)?;
    for difference in schema::differences(&connection)? {
        scan.report.find(None, format!("the guards were changed: {difference}"));
    }
    let heads = collect_heads(&connection, &files, options, scan.through, &mut scan.report)?;
    scan.rows(&heads, &mut progress)?;
    Ok(scan.report)
}

/// Signed heads by size, each with where it was found.
type Heads = BTreeMap<u64, Vec<(Head, &'static str)>>;

fn collect_heads(
    connection: &Connection,
    files: &Files,
    options: &VerifyOptions,
    through: u64,
    report: &mut Report,
) -> Result<Heads, Error> {
    let verifier = match &options.trusted {
        Some(trusted) => trusted.clone(),
        None => folder_verifier(&files.verifier)?,
    };
    if meta_text(connection, "origin").ok().as_deref() != Some(verifier.name()) {
        report
            .find(None, format!("the ledger is not log {:?} of the key it is checked with", verifier.name()));
    }
    let mut heads = Heads::new();
    let mut add = |opened: Result<Head, NoteError>, place: &'static str, report: &mut Report| match opened {
        Ok(head) => {
            report.heads += 1;
            heads.entry(head.size).or_default().push((head, place));
        }
        Err(error) => report.find(None, format!("a head {place} is not acceptable: {error}")),
    };
    let mut statement =
        connection.prepare("SELECT size, root, note FROM checkpoint WHERE size <= ?1 ORDER BY size")?;
    let mut rows = statement.query([through.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let (size, root, note): (i64, [u8; 32], String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let opened = verifier.open(&note);
        if opened.as_ref().is_ok_and(|head| head.size.cast_signed() != size || head.root.0 != root) {
            report.find(Some(Seq(size.unsigned_abs())), "a stored head differs from its own signed note");
        }
        add(opened, "in the database", report);
    }
    if files.heads.exists() {
        head_file::read_all(&files.heads, &verifier, |opened| add(opened, "in the checkpoint file", report))?;
    } else {
        report.find(None, "the checkpoint file is missing");
    }
    for note in &options.published {
        add(verifier.open(note), "that was published", report);
    }
    Ok(heads)
}

fn folder_verifier(path: &PathBuf) -> Result<Verifier, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::io("read the verifier key", path, error))?;
    let untrusted = |error: NoteError| Error::CheckpointFile { path: path.clone(), why: error.to_string() };
    Verifier::from_text(&text).map_err(untrusted)
}

/// The running rescan.
struct Scan<'c> {
    connection: &'c Connection,
    report: Report,
    /// Rows there were at the start.
    through: u64,
    /// Whether the balances and counts in the tables belong to exactly these rows.
    quiet: Option<(Balances, Recount, Fingerprint)>,
    indexed: Expected,
    tree: Frontier,
    audit: Audit,
    counts: Recount,
    scratch: Vec<u8>,
    recorded_at: i64,
}

impl<'c> Scan<'c> {
    fn begin(connection: &'c Connection, report: Report) -> Result<Scan<'c>, Error> {
        let snapshot = connection.unchecked_transaction()?;
        let through = crate::recovery::last_seq(connection)?.0;
        let tables = Fingerprint::of_tables(connection)?;
        let quiet = Some((Balances::load(connection)?, Recount::load(connection)?, tables));
        let indexed = Expected::begin(connection)?;
        snapshot.commit()?;
        Ok(Scan {
            connection,
            report,
            through,
            quiet,
            indexed,
            tree: Frontier::default(),
            audit: Audit::default(),
            counts: Recount::default(),
            scratch: Vec::new(),
            recorded_at: i64::MIN,
        })
    }

    fn rows(&mut self, heads: &Heads, progress: &mut impl FnMut(u64, u64)) -> Result<(), Error> {
        let mut last = 0i64;
        let through = self.through.cast_signed();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {COLUMNS} FROM record WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT {ROWS_PER_SNAPSHOT}"
        ))?;
        loop {
            let before = last;
            let mut rows = statement.query([last, through])?;
            while let Some(stored) = rows.next()? {
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
        progress(self.report.rows, self.through);
        self.finish(heads)
    }

    /// Checks one row and returns its position.
    fn row(&mut self, stored: &rusqlite::Row<'_>, last: i64) -> Result<i64, Error> {
        let public = match row::public(stored) {
            Ok(public) => public,
            Err(error) => {
                let seq: i64 = stored.get(0)?;
                self.report.find(Some(Seq(seq.unsigned_abs())), format!("unreadable: {error}"));
                return Ok(seq);
            }
        };
        let seq = Seq(public.seq.unsigned_abs());
        if public.seq != last + 1 {
            let missing = Seq(last.unsigned_abs() + 1);
            self.report.find(Some(missing), format!("rows {missing} to {} are missing", seq.0 - 1));
        }
        self.report.rows += 1;
        if public.recorded_at < self.recorded_at {
            self.report.find(Some(seq), "recorded before the row before it");
        }
        self.recorded_at = public.recorded_at;
        self.indexed.fold(seq.0, public.event_id, public.member);
        self.counts.add(public.kind, public.outcome, public.reason);
        let leaf = self.leaf(stored, &public, seq)?;
        self.push(leaf, seq)?;
        if let Some(debits) = public.debits
            && let Err(why) = self.audit.fold(debits, seq)
        {
            self.report.find(Some(seq), why);
        }
        Ok(public.seq)
    }

    /// The leaf as recomputed; the stored one only stands in for a pruned body.
    fn leaf(
        &mut self,
        stored: &rusqlite::Row<'_>,
        public: &crate::canon::Public<'_>,
        seq: Seq,
    ) -> Result<Digest, Error> {
        let blob = |at| stored.get_ref(at)?.as_blob_or_null().map_err(rusqlite::Error::from);
        let (digest, sealed, claimed) = (blob(row::SEALED_DIGEST)?, blob(row::SEALED)?, blob(row::LEAF)?);
        match (digest, sealed) {
            (Some(digest), Some(sealed)) if Sha256::digest(sealed).as_slice() != digest => {
                self.report.find(Some(seq), "its sealed part does not hash to its digest");
            }
            (None, Some(_)) => self.report.find(Some(seq), "it has a sealed part but no digest of one"),
            (Some(_), None) => {
                self.report.pruned += 1;
                self.report.find(Some(seq), "its sealed part is gone");
            }
            _ => {}
        }
        if public.body.is_none() {
            self.report.pruned += 1;
            self.report.find(Some(seq), "its body is gone");
        }
        let leaf = public.leaf(digest, &mut self.scratch);
        if claimed != Some(leaf.0.as_slice()) {
            self.report.find(Some(seq), "its columns do not hash to its leaf");
        }
        Ok(leaf)
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
        let root = self.tree.root();
        for (head, place) in at {
            if head.root != root || self.tree.size() != size {
                // The row before the last good head is the first that can differ; a bad row already names it.
                let first = Seq(self.good_head_before(heads, size) + 1);
                self.report.find(
                    self.report.first_bad.is_none().then_some(first),
                    format!("rows {first} to {size} are not those of the head of {size} rows {place}"),
                );
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
                if crate::recovery::last_seq(self.connection)?.0 < *size {
                    let missing = Seq(self.through + 1);
                    self.report.find(
                        Some(missing),
                        format!("rows {missing} to {size} are missing: a head over them exists {place}"),
                    );
                }
            }
        }
        self.stray_nodes()?;
        if let Some((balances, counts, tables)) = self.quiet.take() {
            if let Some(budget) = self.audit.drift(&balances) {
                self.report
                    .find(None, format!("the table's balance of budget {budget:?} differs from the log"));
            }
            if tables != self.indexed.fingerprint {
                self.report.find(None, "the index of events and members differs from the log");
            }
            if counts != self.counts {
                self.report.find(None, "the table of row counts differs from the log");
            }
        }
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
