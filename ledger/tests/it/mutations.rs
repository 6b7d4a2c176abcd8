//! Ten thousand changes to copies of a log, each found by the full check; and no alarm where nothing was changed.

mod changes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Timestamp;
use domain::time::DAY;
use ledger::note::Head;
use ledger::{
    Error, KeyHistory, Keys, Options, Report, Retention, Seq, Snapshot, VerifyOptions, Writer, verify,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::support::*;
use changes::{Change, Expect, mutate};

const MUTATIONS: u64 = 10_000;

/// Sizes of the logs: nothing but the first row, two rows, less than a tile, just more than one, and more than two.
const SIZES: [u64; 7] = [1, 2, 12, 30, 80, 257, 520];
/// Sizes of the logs in which a member was erased.
const ERASED: [u64; 3] = [30, 80, 300];

/// Small numbers from a seed, the same on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % end
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// A closed log in memory, and an older copy of it.
struct Log {
    size: u64,
    /// The first row that was erased. It rests on the row of its erasure: without that one, it is the first bad row.
    first_cut: Option<Seq>,
    files: BTreeMap<String, Vec<u8>>,
    old: Vec<u8>,
    old_heads: Vec<u8>,
    old_size: u64,
    heads: Vec<String>,
    keys: KeyHistory,
    contents: Contents,
    /// The ledger's own keys, and the folder they lie in.
    own: (Keys, TempDir),
}

fn small(folder: &Path) -> Options {
    Options { head_every_rows: 16, index_turn_rows: 64, ..options(folder) }
}

/// Writes up to `size` rows in batches of any length; a log of 30 rows or more gets a new signing key on the way.
fn grow(writer: &mut Writer, size: u64, random: &mut Random) {
    while writer.size() < size {
        let from = writer.size();
        if from == 21 {
            writer.rotate_key(NOW).unwrap();
            continue;
        }
        let until = if from < 21 { size.min(21) } else { size };
        let count = (1 + random.below(40)).min(until - from);
        writer.append(NOW, &decisions(writer, from..from + count, 20)).unwrap();
    }
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

impl Log {
    /// A log in which a member was erased.
    fn erased(size: u64) -> Log {
        Log::make(size, true)
    }

    fn of(size: u64) -> Log {
        Log::make(size, false)
    }

    fn make(size: u64, erased: bool) -> Log {
        let (folder, mut random) = (tempfile::tempdir().unwrap(), Random(size));
        let mut writer = Writer::open(&small(folder.path())).unwrap().0;
        grow(&mut writer, size.div_ceil(2), &mut random);
        let old_size = writer.size();
        writer.sign_head(NOW).unwrap();
        drop(writer);
        let mut files = read(folder.path());
        let (old, old_heads) = (files.remove("ledger.db").unwrap(), files.remove("checkpoints.txt").unwrap());
        let mut writer = Writer::open(&small(folder.path())).unwrap().0;
        grow(&mut writer, size, &mut random);
        let first_cut = erased.then(|| {
            let member = writer.keys().member(&raw_member(7)).unwrap().unwrap();
            let rows = writer.reader().unwrap().rows_of(member).unwrap();
            assert!(writer.erase(NOW, member, "asked for").unwrap().rows > 0);
            rows[0].seq
        });
        writer.sign_head(NOW).unwrap();
        let size = writer.size();
        drop(writer);
        let contents = contents(folder.path()).unwrap();
        let keys = ledger::keys_of(folder.path()).unwrap();
        let files = read(folder.path());
        let text = String::from_utf8(files["checkpoints.txt"].clone()).unwrap();
        let heads = text.split_terminator("\n\n\n").map(|note| format!("{note}\n")).collect();
        let own = (Keys::open_in(folder.path(), None).unwrap(), folder);
        Log { size, first_cut, files, old, old_heads, old_size, heads, keys, contents, own }
    }

    /// Puts the log into a folder as it was.
    fn lay(&self, folder: &Path) {
        for name in ["ledger.db-wal", "ledger.db-shm"] {
            let _absent = std::fs::remove_file(folder.join(name));
        }
        for name in ["ledger.db", "checkpoints.txt", "verifier.txt"] {
            std::fs::write(folder.join(name), &self.files[name]).unwrap();
        }
    }

    /// Where a member was erased, the stored leaf of what passes as a cut row is told by the tree alone: the row that is named is
    /// not before the last good head and not after the change. Without the row of the erasure it is the first it emptied.
    fn is_as_near_as_it_gets(&self, seq: u64, named: Option<Seq>) -> bool {
        let is_between = |named: Seq| named.0 > self.head_before(seq) && named.0 <= seq;
        self.first_cut.is_some() && (named == self.first_cut || named.is_some_and(is_between))
    }

    /// The last head over fewer than `seq` rows: up to there a log that was hashed anew still fits its heads.
    fn head_before(&self, seq: u64) -> u64 {
        let sizes = self.heads.iter().map(|note| Head::claimed(note).unwrap().size);
        sizes.filter(|size| *size < seq).max().unwrap_or(0)
    }
}

/// What the log consists of, table by table and row by row. SQLite's free space and its own indexes are not part of it.
type Contents = Vec<Vec<Vec<Value>>>;

const TABLES: [&str; 10] = [
    "record ORDER BY seq",
    "log_node ORDER BY level, idx",
    "checkpoint ORDER BY size",
    "budget ORDER BY id",
    "counter ORDER BY kind, outcome, reason",
    "event_index ORDER BY hash, seq",
    "member_index ORDER BY hash, seq",
    "recent ORDER BY last",
    "column_block ORDER BY place",
    "tail",
];

fn contents(folder: &Path) -> rusqlite::Result<Contents> {
    let connection = Connection::open(folder.join("ledger.db"))?;
    let table = |table: &&str| {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        statement.query_map([], row)?.collect()
    };
    TABLES.iter().map(table).collect()
}

/// What a changed file must lead to: as its contents differ, row by row.
fn expected_of_bytes(log: &Log, folder: &Path) -> Option<Expect> {
    let Ok(found) = contents(folder) else { return Some(Expect::Found) };
    if found == log.contents {
        return None;
    }
    let rows = found[0].iter().zip(&log.contents[0]);
    let first = rows.take_while(|(found, was)| found == was).count() as u64 + 1;
    Some(if found[0] == log.contents[0] { Expect::Found } else { Expect::Row(first) })
}

fn judge(
    log: &Log,
    change: &Change,
    expect: Option<Expect>,
    checked: Result<Report, Error>,
) -> Result<(), String> {
    let report = match (checked, expect) {
        (Err(_), _) if change.breaks => return Ok(()),
        (Err(error), _) => return Err(format!("not checked: {error}")),
        (Ok(report), _) => report,
    };
    match expect {
        None => Ok(()),
        Some(_) if report.is_verified() => Err("nothing was found".to_owned()),
        Some(Expect::Row(seq)) if log.is_as_near_as_it_gets(seq, report.first_bad) => Ok(()),
        Some(Expect::Row(seq)) if report.first_bad != Some(Seq(seq)) => {
            Err(format!("first bad row {:?}, not {seq}: {:?}", report.first_bad, report.findings))
        }
        Some(Expect::Row(_) | Expect::Found | Expect::Bytes) => Ok(()),
    }
}

/// A folder on a memory file system where there is one: the files are written anew for every change.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn ten_thousand_changes_are_found_and_the_first_bad_row_is_named() {
    let logs = SIZES.into_iter().map(Log::of).chain(ERASED.into_iter().map(Log::erased));
    let logs: Vec<Log> = logs.collect();
    let (next, in_vain) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let folder = in_memory();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= MUTATIONS {
                        return;
                    }
                    let mut random = Random(number);
                    let log = random.of(&logs);
                    log.lay(folder.path());
                    let change = mutate(log, folder.path(), &mut random);
                    let expect = match change.expect {
                        Expect::Bytes => expected_of_bytes(log, folder.path()),
                        known @ (Expect::Row(_) | Expect::Found) => Some(known),
                    };
                    in_vain.fetch_add(u64::from(expect.is_none()), Ordering::Relaxed);
                    let options = VerifyOptions { keys: Some(log.own.0.clone()), ..change.options.clone() };
                    let checked = verify(folder.path(), &options, |_, _| ());
                    if let Err(why) = judge(log, &change, expect, checked) {
                        panic!("change {number}, log of {} rows: {}: {why}", log.size, change.what);
                    }
                }
            });
        }
    });
    // Bits in SQLite's free space change nothing; if there were many of them, this test would say little.
    let in_vain = in_vain.into_inner();
    assert!(in_vain < MUTATIONS / 20, "{in_vain} changes changed nothing");
}

/// A log as it may have gone: rows in batches of any length, restarts, new keys, erased members, rows cut by age.
struct History {
    folder: TempDir,
    writer: Option<Writer>,
    random: Random,
    now: Timestamp,
    /// Rows that were erased or cut.
    cut: u64,
}

impl History {
    fn of(seed: u64) -> History {
        let folder = in_memory();
        let writer = Some(Writer::open(&small(folder.path())).unwrap().0);
        History { folder, writer, random: Random(seed), now: NOW, cut: 0 }
    }

    fn go_on(&mut self) {
        self.now = self.now.plus(DAY);
        let (now, action) = (self.now, self.random.below(40));
        if action == 0 {
            drop(self.writer.take());
            self.writer = Some(Writer::open(&Options { now, ..small(self.folder.path()) }).unwrap().0);
            return;
        }
        let writer = self.writer.as_mut().unwrap();
        let size = writer.size();
        match action {
            1 => {
                writer.rotate_key(now).unwrap();
            }
            2 => {
                if let Some(member) = writer.keys().member(&raw_member(self.random.below(20))).unwrap() {
                    self.cut += writer.erase(now, member, "asked for").unwrap().rows;
                }
            }
            3 => {
                let known = (0..20).filter_map(|number| writer.keys().member(&raw_member(number)).unwrap());
                let known: Vec<_> = known.collect();
                let state = |member| state(writer, member, "state", None);
                let states: Vec<_> = known
                    .into_iter()
                    .map(|member| Snapshot { member, as_of: Seq(size), state: state(member) })
                    .collect();
                writer.save(now, &states).unwrap();
                writer.relay(ledger::RELAYS[0]).unwrap().advance(Seq(size));
                let retention = Retention {
                    sealed_before: Some(now.plus(-20 * DAY)),
                    bodies_before: Some(now.plus(-40 * DAY)),
                };
                let done = writer.prune(now, retention, &serde_json::json!({})).unwrap();
                self.cut += done.sealed + done.bodies;
            }
            _ => {
                let count = 1 + self.random.below(4);
                writer.append(now, &decisions(writer, size..size + count, 20)).unwrap();
            }
        }
    }

    /// The full check raises no alarm.
    fn is_clean(&self) {
        let keys = self.writer.as_ref().map(|writer| writer.keys().clone());
        let options = VerifyOptions { keys, ..VerifyOptions::default() };
        let report = verify(self.folder.path(), &options, |_, _| ()).unwrap();
        assert_eq!((report.findings, report.first_bad, report.sealed), (Vec::new(), None, true));
        assert_eq!(report.rows, self.writer.as_ref().unwrap().size());
    }
}

#[test]
fn ten_thousand_clean_logs_of_many_sizes_raise_no_alarm() {
    const HISTORIES: u64 = 100;
    const LOOKS: u64 = 100;
    let (next, cut) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= HISTORIES {
                        return;
                    }
                    let mut history = History::of(seed);
                    for _ in 0..LOOKS {
                        history.go_on();
                        history.is_clean();
                    }
                    cut.fetch_add(history.cut, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(cut.into_inner() > 1_000, "too little was erased or cut");
}

#[test]
fn a_strangers_copy_fits_every_head_that_was_ever_signed() {
    for size in SIZES.into_iter().chain([3, 16, 21, 22, 23, 100, 255, 256, 511, 512, 513]) {
        let (log, folder) = (Log::of(size), tempfile::tempdir().unwrap());
        log.lay(folder.path());
        for keys in [None, Some(log.own.0.clone())] {
            let (trusted, published) = (Some(log.keys.clone()), log.heads.clone());
            let options = VerifyOptions { trusted, published, keys };
            let report = verify(folder.path(), &options, |_, _| ()).unwrap();
            assert_eq!((report.findings, report.rows), (Vec::new(), size));
        }
    }
}
