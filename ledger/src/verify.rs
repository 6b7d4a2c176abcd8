//! The full check: every row, node, head, balance and count, recomputed from the rows alone.
//!
//! It trusts nothing but the public key it is given (or, without one, the key beside the database, which
//! detects everything but an intruder who also replaced the keys and every published head). Start at [`verify`].

mod columns;
mod lookups;
mod scan;

use std::collections::BTreeMap;
use std::path::Path;

use domain::Digest;
use rusqlite::Connection;

use crate::entry::Seq;
use crate::error::Error;
use crate::files::Files;
use crate::head_file;
use crate::history::KeyHistory;
use crate::keys::Keys;
use crate::note::{Head, NoteError};
use crate::recovery::meta_text;
use crate::schema::{self, Access};
use crate::tail;
use lookups::Lookups;
use scan::Scan;

/// Most findings that are kept in a report; all are counted.
pub const FINDINGS_MAX: usize = 100;

/// What to check against.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The public key an auditor was given when the ledger was made. Without it the one in the folder is used.
    pub trusted: Option<KeyHistory>,
    /// Signed heads that were published elsewhere (NATS, log output, a write-once place).
    pub published: Vec<String>,
    /// The ledger's own keys, where they are at hand: with them the end of the log is checked too.
    pub keys: Option<Keys>,
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
    /// The size of the newest of them: later rows are not signed for yet.
    pub covered: u64,
    /// Whether the end of the log was held to the seal of its writer.
    pub sealed: bool,
    /// Rows that lost something to a recorded erasure or retention; their leaves still prove what they were.
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
        covered: 0,
        sealed: false,
        first_bad: None,
        findings: Vec::new(),
        findings_count: 0,
    };
    let mut scan = Scan::begin(&connection, empty)?;
    for difference in schema::differences(&connection)? {
        scan.report.find(None, format!("the guards were changed: {difference}"));
    }
    if let Err(Error::Damaged(what)) = schema::check_beginning(&connection) {
        scan.report.find(None, what);
    }
    for misnamed in schema::misnamed_codes(&connection)? {
        scan.report
            .find(None, format!("the names of codes, which views and exports show, differ: {misnamed}"));
    }
    let heads = collect_heads(&connection, &files, options, scan.through, &mut scan.report)?;
    // Beside the rescan, which reads rows in order and would not miss those that an index hides from questions.
    let indexes = std::thread::scope(|scope| {
        let (database, key, through) = (&files.database, scan.key.clone(), scan.through);
        let indexes = scope.spawn(move || Lookups::read(database, &key, through));
        let rescan = scan.rows(&heads, &mut progress);
        // A panic of the other thread is this one's, too.
        let indexes = indexes.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rescan.and(indexes)
    })?;
    let (indexes, broken) = indexes;
    for damage in broken.into_iter().chain(indexes.differing(&scan.lookups)) {
        scan.report.find(None, format!("an index does not hold what the rows do: {damage}"));
    }
    if let Some(keys) = &options.keys {
        check_tail(&connection, keys, &mut scan.report)?;
    }
    Ok(scan.report)
}

/// Holds the end of the log to its seal, as it is now.
fn check_tail(connection: &Connection, keys: &Keys, report: &mut Report) -> Result<(), Error> {
    let snapshot = connection.unchecked_transaction()?;
    match tail::check(&snapshot, keys, report.covered) {
        Ok(sealed) => report.sealed = sealed,
        // Where the rescan met the same change, it knows the row better.
        Err(Error::Tail { seq, why }) => report.find(report.first_bad.is_none().then_some(seq), why),
        // The rescan has met it, too.
        Err(Error::Altered { .. }) => report.find(None, "the seal over the end of the log is of other rows"),
        Err(error @ (Error::Damaged(_) | Error::Sqlite(_))) => {
            report.find(None, format!("the seal over the end of the log cannot be checked: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(snapshot.commit()?)
}

const IN_DATABASE: &str = "in the database";
const IN_FILE: &str = "in the checkpoint file";

/// Signed heads by size, each with where it was found.
type Heads = BTreeMap<u64, Vec<(Head, &'static str)>>;

fn collect_heads(
    connection: &Connection,
    files: &Files,
    options: &VerifyOptions,
    through: u64,
    report: &mut Report,
) -> Result<Heads, Error> {
    let keys = keys_to_check_with(connection, files, options, report)?;
    if meta_text(connection, "origin").ok().as_deref() != Some(keys.origin()) {
        report.find(None, format!("the ledger is not log {:?} of the key it is checked with", keys.origin()));
    }
    // First the file: what a node files meanwhile was in the database before.
    let mut filed = filed_heads(files, &keys)?;
    let mut stored = Vec::new();
    let mut statement =
        connection.prepare("SELECT size, root, note FROM checkpoint WHERE size <= ?1 ORDER BY size")?;
    let mut rows = statement.query([through.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let (size, root, note): (i64, [u8; 32], String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let opened = keys.open(&note);
        if opened.as_ref().is_ok_and(|head| head.size.cast_signed() != size || head.root.0 != root) {
            report.find(Some(Seq(size.unsigned_abs())), "a stored head differs from its own signed note");
        }
        stored.push(opened);
    }
    let newest = |heads: &[Result<Head, NoteError>]| heads.iter().flatten().map(|head| head.size).max();
    if filed.as_ref().is_some_and(|filed| newest(filed) < newest(&stored)) {
        // And what the database had more may have been filed meanwhile.
        let again = filed_heads(files, &keys)?.unwrap_or_default();
        let known = filed.as_deref().and_then(newest);
        let later = again.into_iter().filter(|head| head.as_ref().is_ok_and(|head| Some(head.size) > known));
        filed
            .get_or_insert_default()
            .extend(later.filter(|head| head.as_ref().is_ok_and(|head| Some(head.size) <= newest(&stored))));
    }
    let mut heads = Heads::new();
    let mut add = |opened: Result<Head, NoteError>, place: &'static str, report: &mut Report| match opened {
        Ok(head) => {
            report.heads += 1;
            heads.entry(head.size).or_default().push((head, place));
        }
        Err(error) => report.find(None, format!("a head {place} is not acceptable: {error}")),
    };
    stored.into_iter().for_each(|opened| add(opened, IN_DATABASE, report));
    match filed {
        Some(filed) => filed.into_iter().for_each(|opened| add(opened, IN_FILE, report)),
        None => report.find(None, "the checkpoint file is missing"),
    }
    for note in &options.published {
        add(keys.open(note), "that was published", report);
    }
    heads_are_filed(&heads, through, report);
    Ok(heads)
}

/// Every head in the checkpoint file; `None` when there is none.
fn filed_heads(files: &Files, keys: &KeyHistory) -> Result<Option<Vec<Result<Head, NoteError>>>, Error> {
    let mut filed = Vec::new();
    if !files.heads.exists() {
        return Ok(None);
    }
    head_file::read_all(&files.heads, keys, |opened, _| filed.push(opened))?;
    Ok(Some(filed))
}

/// The keys the log itself tells of, where they are those that are trusted; otherwise only the latter.
fn keys_to_check_with(
    connection: &Connection,
    files: &Files,
    options: &VerifyOptions,
    report: &mut Report,
) -> Result<KeyHistory, Error> {
    let trusted = match &options.trusted {
        Some(trusted) => trusted.clone(),
        None => folder_keys(&files.verifier)?,
    };
    match crate::rotate::recorded(connection) {
        Ok(recorded) if recorded.contains(&trusted) => return Ok(recorded),
        Ok(recorded) => {
            let (own, given) = (recorded.current().identity(), trusted.current().identity());
            report.find(
                None,
                format!(
                    "the log's signing keys, up to {own}, do not lead to {given}, which it is checked with"
                ),
            );
        }
        Err(Error::KeyHistory { seq, why }) => report.find(Some(seq), format!("its signing key: {why}")),
        // The scan meets the same damage and says where it is.
        Err(Error::Damaged(_) | Error::Sqlite(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(trusted)
}

/// Every head of the database is in the file, too; only the newest may still be on its way there. And one in the file was in
/// the database first.
fn heads_are_filed(heads: &Heads, through: u64, report: &mut Report) {
    let is = |place: &str, at: &[(Head, &'static str)]| at.iter().any(|(_, found)| *found == place);
    let missing = |from: &str, skip: usize, to: &str| -> Vec<u64> {
        let there = heads.range(..=through).rev().filter(|(_, at)| is(from, at)).skip(skip);
        there.filter(|(_, at)| !is(to, at)).map(|(size, _)| *size).collect()
    };
    let unfiled = (missing(IN_DATABASE, 1, IN_FILE), "missing from the checkpoint file");
    let unknown = (missing(IN_FILE, 0, IN_DATABASE), "in the checkpoint file and missing from the database");
    for (sizes, what) in [unfiled, unknown] {
        if let (Some(last), Some(first)) = (sizes.first(), sizes.last()) {
            let count = sizes.len();
            report.find(None, format!("heads, {count} of them, of {first} to {last} rows, are {what}"));
        }
    }
}

/// Which ledger a folder holds ([`KeyHistory::identity`]); `None` when it holds none.
///
/// # Errors
/// When its public keys cannot be read.
pub fn identity_of(folder: &Path) -> Result<Option<String>, Error> {
    let files = Files::of(folder, None);
    if !files.database.exists() {
        return Ok(None);
    }
    Ok(Some(folder_keys(&files.verifier)?.identity()))
}

/// The public keys beside the ledger in a folder.
///
/// # Errors
/// When they cannot be read.
pub fn keys_of(folder: &Path) -> Result<KeyHistory, Error> {
    folder_keys(&Files::of(folder, None).verifier)
}

pub(crate) fn folder_keys(path: &Path) -> Result<KeyHistory, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::io("read the verifier key", path, error))?;
    let untrusted =
        |error: NoteError| Error::CheckpointFile { path: path.to_owned(), why: error.to_string() };
    KeyHistory::from_text(&text).map_err(untrusted)
}
