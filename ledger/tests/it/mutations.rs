//! Ten thousand changes to copies of a log, each found by the full check; and no alarm where nothing was changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::note::{Head, NoteSigner};
use ledger::{Error, KeyHistory, Options, Report, Seq, VerifyOptions, Writer, verify};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::support::*;
use crate::tamper::{mend, tamper};

const MUTATIONS: u64 = 10_000;

/// Sizes of the logs: nothing but the first row, two rows, less than a tile, just more than one, and more than two.
const SIZES: [u64; 5] = [1, 2, 30, 257, 600];

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
    files: BTreeMap<String, Vec<u8>>,
    old: Vec<u8>,
    old_heads: Vec<u8>,
    old_size: u64,
    heads: Vec<String>,
    keys: KeyHistory,
    contents: Contents,
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
    fn of(size: u64) -> Log {
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
        writer.sign_head(NOW).unwrap();
        drop(writer);
        let contents = contents(folder.path()).unwrap();
        let keys = ledger::keys_of(folder.path()).unwrap();
        let files = read(folder.path());
        let text = String::from_utf8(files["checkpoints.txt"].clone()).unwrap();
        let heads = text.split_terminator("\n\n\n").map(|note| format!("{note}\n")).collect();
        Log { size, files, old, old_heads, old_size, heads, keys, contents }
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

    /// The last head over fewer than `seq` rows: up to there a log that was hashed anew still fits its heads.
    fn head_before(&self, seq: u64) -> u64 {
        let sizes = self.heads.iter().map(|note| Head::claimed(note).unwrap().size);
        sizes.filter(|size| *size < seq).max().unwrap_or(0)
    }
}

/// What the log consists of, table by table and row by row. SQLite's free space and its own indexes are not part of it.
type Contents = Vec<Vec<Vec<Value>>>;

const TABLES: [&str; 7] = [
    "record ORDER BY seq",
    "log_node ORDER BY level, idx",
    "checkpoint ORDER BY size",
    "budget ORDER BY id",
    "counter ORDER BY kind, outcome, reason",
    "event_index ORDER BY hash, seq",
    "member_index ORDER BY hash, seq",
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

/// What a change must lead to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// A finding, with this first bad row.
    Row(u64),
    /// A finding that is not about a row.
    Found,
    /// The file's bytes were changed, so only its contents tell what must be found.
    Bytes,
}

/// One change: what was done, what must be found, and what the auditor brings along.
struct Change {
    what: String,
    expect: Expect,
    options: VerifyOptions,
}

fn change(what: impl Into<String>, expect: Expect) -> Change {
    Change { what: what.into(), expect, options: VerifyOptions::default() }
}

fn by_sql(folder: &Path, sql: String, expect: Expect) -> Change {
    tamper(folder, &sql);
    change(sql, expect)
}

const COLUMNS: &str = "leaf, sealed_digest, randomblob(16), kind, recorded_at, event_time, partition, epoch, member, event_id, outcome, \
     reason, segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed";

fn edit(random: &mut Random) -> &'static str {
    random.of(&[
        "body = body || ' '",
        "body = '{}'",
        "body = NULL",
        "leaf = randomblob(32)",
        "record_id = randomblob(16)",
        "sealed = ifnull(sealed, x'') || x'00'",
        "sealed_digest = randomblob(32)",
        "member = randomblob(16)",
        "kind = 46",
        "kind = 10 + (kind = 10)",
        "recorded_at = recorded_at + 1",
        "recorded_at = recorded_at - 1",
        "event_time = ifnull(event_time, 0) + 1",
        "epoch = epoch + 1",
        "partition = 1 - partition",
        "outcome = ifnull(outcome, 0) + 1",
        "reason = ifnull(reason, 0) + 1",
        "segment = ifnull(segment, '') || 'x'",
        "reward = ifnull(reward, '') || 'x'",
        "event_id = ifnull(event_id, '') || 'x'",
        "touchpoint = ifnull(touchpoint, 0) + 1",
        "bundle = randomblob(32)",
        "models = randomblob(32)",
        "semantics = semantics + 1",
        "debits = '[]'",
    ])
}

/// Changes a log in place, in one of the ways an intruder has.
fn mutate(log: &Log, folder: &Path, random: &mut Random) -> Change {
    let (size, seq) = (log.size, 1 + random.below(log.size));
    match random.below(if size > 256 {
        14
    } else if size > 2 {
        13
    } else {
        8
    }) {
        0 | 1 => {
            by_sql(folder, format!("UPDATE record SET {} WHERE seq = {seq}", edit(random)), Expect::Row(seq))
        }
        2 => by_sql(folder, format!("DELETE FROM record WHERE seq = {seq}"), Expect::Row(seq)),
        3 => append(folder, size),
        4 => unguard(folder, seq, random),
        5 => sign_anew(log, folder),
        6 => flip(log, folder, random),
        7 => replace(folder, seq),
        8 => swap(folder, seq, size, random),
        9 => insert(folder, seq.min(size - 1)),
        10 => truncate(folder, seq.min(size - 1)),
        11 => restore(log, folder, random),
        12 => hash_anew(log, folder, seq),
        _ => edit_node(folder, size, random),
    }
}

fn append(folder: &Path, size: u64) -> Change {
    let sql = format!("INSERT INTO record SELECT seq + 1, {COLUMNS} FROM record WHERE seq = {size}");
    by_sql(folder, sql, Expect::Row(size + 1))
}

/// Guards that are gone are found, and so is what was done without them.
fn unguard(folder: &Path, seq: u64, random: &mut Random) -> Change {
    let trigger = random.of(&["record_refuses_update", "record_refuses_delete", "log_node_refuses_update"]);
    let edits = trigger.ends_with("record_refuses_update") && random.below(2) == 0;
    let also = format!("UPDATE record SET body = 'x' WHERE seq = {seq}");
    let sql = format!("DROP TRIGGER {trigger}; {}", if edits { also.as_str() } else { "" });
    intruder(folder).execute_batch(&sql).unwrap();
    change(sql, if edits { Expect::Row(seq) } else { Expect::Found })
}

/// Every head signed with another key, which lies beside the log as if it had always been there.
fn sign_anew(log: &Log, folder: &Path) -> Change {
    let signer = NoteSigner::new(ORIGIN, &[9; 32]);
    let mut file = String::new();
    let mut sql = String::new();
    for note in &log.heads {
        let head = Head::claimed(note).unwrap();
        let note = signer.sign(head.size, head.root);
        sql.push_str(&format!("UPDATE checkpoint SET note = '{note}' WHERE size = {};", head.size));
        file.push_str(&format!("{note}\n\n"));
    }
    tamper(folder, &sql);
    std::fs::write(folder.join("checkpoints.txt"), file).unwrap();
    std::fs::write(folder.join("verifier.txt"), signer.verifier().to_text()).unwrap();
    let options = VerifyOptions { trusted: Some(log.keys.clone()), ..VerifyOptions::default() };
    Change { options, ..change("signed with another key", Expect::Found) }
}

/// One bit of the database, of the filed heads (but for what ends the last, as in a crash) or of the public key.
fn flip(log: &Log, folder: &Path, random: &mut Random) -> Change {
    let (name, spared) =
        *random.of(&[("ledger.db", 0), ("ledger.db", 0), ("checkpoints.txt", 3), ("verifier.txt", 1)]);
    let mut bytes = log.files[name].clone();
    let (at, bit) = (random.below(bytes.len() as u64 - spared), random.below(8));
    bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
    std::fs::write(folder.join(name), bytes).unwrap();
    let expect = if name == "ledger.db" { Expect::Bytes } else { Expect::Found };
    change(format!("bit {bit} of byte {at} of {name}"), expect)
}

/// REPLACE walks past the guards on UPDATE and DELETE, but not past the one on INSERT; without that one it is found.
fn replace(folder: &Path, seq: u64) -> Change {
    let columns = COLUMNS.replace(", body,", ", 'x',");
    let sql = format!("REPLACE INTO record SELECT seq, {columns} FROM record WHERE seq = {seq}");
    let guarded = intruder(folder).execute_batch(&sql).unwrap_err().to_string();
    assert!(guarded.contains("append-only"), "{guarded}");
    by_sql(folder, sql, Expect::Row(seq))
}

fn swap(folder: &Path, seq: u64, size: u64, random: &mut Random) -> Change {
    let other = 1 + (seq + random.below(size - 1)) % size;
    let sql = format!(
        "UPDATE record SET seq = -1 WHERE seq = {seq}; UPDATE record SET seq = {seq} WHERE seq = {other};
         UPDATE record SET seq = {other} WHERE seq = -1"
    );
    by_sql(folder, sql, Expect::Row(seq.min(other)))
}

fn insert(folder: &Path, after: u64) -> Change {
    let sql = format!(
        "UPDATE record SET seq = -1 - seq WHERE seq > {after}; UPDATE record SET seq = -seq WHERE seq < 0;
         INSERT INTO record SELECT seq + 1, {COLUMNS} FROM record WHERE seq = {after}"
    );
    by_sql(folder, sql, Expect::Row(after + 1))
}

fn truncate(folder: &Path, keep: u64) -> Change {
    let sql = format!(
        "DELETE FROM record WHERE seq > {keep}; DELETE FROM log_node WHERE ((idx + 1) << level) > {keep};
         DELETE FROM checkpoint WHERE size > {keep}"
    );
    by_sql(folder, sql, Expect::Row(keep + 1))
}

/// An older copy of the database, beside the newer heads, or of everything, against the head an auditor holds.
fn restore(log: &Log, folder: &Path, random: &mut Random) -> Change {
    std::fs::write(folder.join("ledger.db"), &log.old).unwrap();
    let restored = change("an older copy", Expect::Row(log.old_size + 1));
    if random.below(2) == 0 {
        return restored;
    }
    std::fs::write(folder.join("checkpoints.txt"), &log.old_heads).unwrap();
    let published = vec![random.of(&log.heads[log.heads.len() / 2 + 1..]).clone()];
    let size = Head::claimed(&published[0]).unwrap().size;
    assert!(size > log.old_size, "the head an auditor holds is newer");
    Change { options: VerifyOptions { published, ..VerifyOptions::default() }, ..restored }
}

/// The leaf and the nodes above it are mended, so only the signed heads contradict.
fn hash_anew(log: &Log, folder: &Path, seq: u64) -> Change {
    tamper(folder, &format!("UPDATE record SET segment = 'mended' WHERE seq = {seq}"));
    mend(folder, seq.cast_signed());
    change(format!("row {seq} edited and hashed anew"), Expect::Row(log.head_before(seq) + 1))
}

fn edit_node(folder: &Path, size: u64, random: &mut Random) -> Change {
    let index = random.below(size / 256);
    let node = format!("WHERE level = 8 AND idx = {index}");
    let sql = if random.below(2) == 0 {
        format!("UPDATE log_node SET hash = randomblob(32) {node}")
    } else {
        format!("DELETE FROM log_node {node}")
    };
    by_sql(folder, sql, Expect::Row(index * 256 + 1))
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

fn judge(change: &Change, expect: Option<Expect>, checked: Result<Report, Error>) -> Result<(), String> {
    let report = match (checked, expect) {
        // A file that cannot be read as a ledger at all.
        (Err(_), Some(_)) if change.expect != Expect::Row(0) => return Ok(()),
        (Err(error), _) => return Err(format!("not checked: {error}")),
        (Ok(report), _) => report,
    };
    match expect {
        None => Ok(()),
        Some(_) if report.is_verified() => Err("nothing was found".to_owned()),
        Some(Expect::Row(seq)) if report.first_bad != Some(Seq(seq)) => {
            Err(format!("first bad row {:?}, not {seq}: {:?}", report.first_bad, report.findings))
        }
        Some(Expect::Row(_) | Expect::Found | Expect::Bytes) => Ok(()),
    }
}

#[test]
fn ten_thousand_changes_are_found_and_the_first_bad_row_is_named() {
    let logs: Vec<Log> = SIZES.into_iter().map(Log::of).collect();
    let (next, in_vain) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let folder: TempDir = tempfile::tempdir().unwrap();
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
                        known => Some(known),
                    };
                    in_vain.fetch_add(u64::from(expect.is_none()), Ordering::Relaxed);
                    let checked = verify(folder.path(), &change.options, |_, _| ());
                    if let Err(why) = judge(&change, expect, checked) {
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

#[test]
fn clean_logs_of_every_small_size_raise_no_alarm() {
    let (folder, mut random) = (tempfile::tempdir().unwrap(), Random(1));
    let mut writer = Writer::open(&small(folder.path())).unwrap().0;
    let clean = |folder: &Path| {
        let report = verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap();
        assert_eq!((report.findings, report.first_bad), (Vec::new(), None));
        report.rows
    };
    // While it is written, at every size, and after each restart.
    for size in 1..=560 {
        grow(&mut writer, size, &mut random);
        assert_eq!(clean(folder.path()), size);
        if random.below(40) == 0 {
            drop(writer);
            assert_eq!(clean(folder.path()), size);
            writer = Writer::open(&small(folder.path())).unwrap().0;
            assert_eq!(clean(folder.path()), size);
        }
    }
    // And as a stranger's copy, against every head that was ever signed.
    for size in SIZES.into_iter().chain([3, 16, 21, 22, 23, 100, 255, 256, 511, 512, 513]) {
        let (log, folder) = (Log::of(size), tempfile::tempdir().unwrap());
        log.lay(folder.path());
        let options = VerifyOptions { trusted: Some(log.keys.clone()), published: log.heads.clone() };
        let report = verify(folder.path(), &options, |_, _| ()).unwrap();
        assert_eq!((report.findings, report.rows), (Vec::new(), size));
    }
}
