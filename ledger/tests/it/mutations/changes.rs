//! The ways an intruder has to change a log, each with what the full check must then say.

use std::path::Path;

use ledger::VerifyOptions;
use ledger::note::{Head, NoteSigner};

use super::{Log, Random};
use crate::support::{ORIGIN, intruder};
use crate::tamper::{mend, tamper};

/// What a change must lead to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expect {
    /// A finding, with this first bad row.
    Row(u64),
    /// A finding that is not about a row.
    Found,
    /// The file's bytes were changed, so only its contents tell what must be found.
    Bytes,
}

/// One change: what was done, what must be found, and what the auditor brings along.
pub(super) struct Change {
    pub(super) what: String,
    pub(super) expect: Expect,
    pub(super) options: VerifyOptions,
    /// Whether the files may be broken so that there is nothing to report on.
    pub(super) breaks: bool,
}

fn change(what: impl Into<String>, expect: Expect) -> Change {
    Change { what: what.into(), expect, options: VerifyOptions::default(), breaks: false }
}

fn by_sql(folder: &Path, sql: String, expect: Expect) -> Change {
    tamper(folder, &sql);
    change(sql, expect)
}

const COLUMNS: &str = "leaf, sealed_digest, randomblob(16), kind, recorded_at, event_time, partition, epoch, member, event_id, outcome, \
     reason, segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed";

const EDITS: [&str; 25] = [
    "body = body || ' '",
    "body = '{}'",
    "body = NULL",
    "leaf = randomblob(32)",
    "record_id = randomblob(16)",
    "sealed = zeroblob(1 + ifnull(length(sealed), 0))",
    "sealed_digest = randomblob(32)",
    "member = randomblob(16)",
    "kind = 46 - (kind = 46)",
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
];

/// Changes a log in place, in one of the ways an intruder has.
pub(super) fn mutate(log: &Log, folder: &Path, random: &mut Random) -> Change {
    let (size, seq) = (log.size, 1 + random.below(log.size));
    match random.below(if size > 256 {
        15
    } else if size > 2 {
        14
    } else {
        8
    }) {
        0 | 1 => by_sql(
            folder,
            format!("UPDATE record SET {} WHERE seq = {seq}", random.of(&EDITS)),
            Expect::Row(seq),
        ),
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
        13 => hide(folder, size, random),
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
    Change { breaks: true, ..change(format!("bit {bit} of byte {at} of {name}"), expect) }
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
    let is_newer = |note: &&String| Head::claimed(note).unwrap().size > log.old_size;
    let newer: Vec<&String> = log.heads.iter().filter(is_newer).collect();
    let published = vec![random.of(&newer).to_string()];
    Change { options: VerifyOptions { published, ..VerifyOptions::default() }, ..restored }
}

/// The leaf and the nodes above it are mended, so only the signed heads contradict.
fn hash_anew(log: &Log, folder: &Path, seq: u64) -> Change {
    tamper(folder, &format!("UPDATE record SET segment = 'mended' WHERE seq = {seq}"));
    mend(folder, seq.cast_signed());
    change(format!("row {seq} edited and hashed anew"), Expect::Row(log.head_before(seq) + 1))
}

/// The index says something else than the rows, which stay as they are: what it leaves out is found by nobody who asks.
fn hide(folder: &Path, size: u64, random: &mut Random) -> Change {
    let sql = match random.below(6) {
        0 => format!("DELETE FROM recent; INSERT INTO recent VALUES ({size}, zeroblob(16 * {size}))"),
        1 => {
            "UPDATE recent SET hashes = zeroblob(length(hashes)) WHERE last = (SELECT max(last) FROM recent)"
                .to_owned()
        }
        2 => "DELETE FROM recent WHERE last = (SELECT max(last) FROM recent)".to_owned(),
        3 => "INSERT INTO member_index VALUES (random(), 2)".to_owned(),
        // Which slice reaches how far is no news where no row is in it.
        4 => return by_sql(folder, reach("slice", size), Expect::Found),
        _ => return by_sql(folder, reach("7", 1_000_000), Expect::Found),
    };
    by_sql(folder, sql, Expect::Bytes)
}

/// Says that slices reach to a row.
fn reach(slices: &str, row: u64) -> String {
    format!(
        "WITH RECURSIVE n (slice) AS (SELECT 0 UNION SELECT slice + 1 FROM n WHERE slice < 255)
         INSERT OR REPLACE INTO index_slice SELECT {slices}, {row} FROM n"
    )
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
