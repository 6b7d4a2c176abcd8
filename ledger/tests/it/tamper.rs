//! Whoever changes the record is found out, and the first changed row is named.

use std::path::Path;
use std::sync::LazyLock;

use ledger::{Error, KeyHistory, Report, Seq, VerifyOptions, Writer, verify};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::*;

const ROWS: u64 = 2_600;

/// A closed ledger of [`ROWS`] rows with heads at 1,002, 2,002 and 2,600 rows; made once, then copied.
fn filled() -> TempDir {
    static MADE: LazyLock<TempDir> = LazyLock::new(fill);
    copy_of(MADE.path())
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn fill() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = ledger::Options { index_turn_rows: 2, ..options(folder.path()) };
    let mut writer = Writer::open(&options).unwrap().0;
    writer.append(NOW, &[open_budget("global", 1_000)]).unwrap();
    for from in (0..ROWS - 2).step_by(100) {
        let mut batch = decisions(&writer, from..(from + 100).min(ROWS - 2), 60);
        batch[0].debits = vec![ledger::Debit::commit("global".into(), domain::Micros(1))];
        writer.append(NOW, &batch).unwrap();
    }
    drop(writer);
    drop(open(folder.path()));
    folder
}

fn check(folder: &Path) -> Report {
    verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap()
}

/// Runs `sql` with all guards lifted and put back afterwards, as a careful intruder would.
pub fn tamper(folder: &Path, sql: &str) {
    let intruder = intruder(folder);
    let mut triggers =
        intruder.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let drops: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
    let puts: String = triggers.iter().map(|(_, sql)| format!("{sql};")).collect();
    intruder.execute_batch(&format!("BEGIN; {drops} {sql}; {puts} COMMIT")).unwrap();
}

#[track_caller]
fn finds(sql: &str, first_bad: Option<u64>) -> TempDir {
    let folder = filled();
    assert_eq!(check(folder.path()).findings, []);
    tamper(folder.path(), sql);
    let report = check(folder.path());
    assert!(!report.is_verified(), "nothing was found");
    assert_eq!(report.first_bad, first_bad.map(Seq), "{:?}", report.findings);
    folder
}

#[test]
fn a_trigger_named_like_statistics_is_found() {
    let ignore = "BEFORE INSERT ON record WHEN NEW.kind = 50 BEGIN SELECT raise(ignore); END";
    let folder = finds(&format!("CREATE TRIGGER sqlite0stat9 {ignore}"), None);
    assert!(Writer::open(&options(folder.path())).is_err(), "and nobody writes into it");
}

#[test]
fn a_code_that_rows_have_and_nothing_names_is_found() {
    finds("DELETE FROM code WHERE name = 'granted'", None);
}

#[test]
fn an_untouched_ledger_verifies() {
    let folder = filled();
    let mut last = (0, 0);
    let report = verify(folder.path(), &VerifyOptions::default(), |done, of| last = (done, of)).unwrap();
    assert_eq!((report.rows, report.first_bad, report.findings_count, last), (ROWS, None, 0, (ROWS, ROWS)));
    assert!(report.heads >= 6, "heads in the database and in the file");
    assert_eq!(report.root, open(folder.path()).root());
}

#[test]
fn an_edited_body_is_named() {
    finds("UPDATE record SET body = replace(body, '1', '2') WHERE seq = 300", Some(300));
}

#[test]
fn every_edited_column_is_named() {
    for column in [
        "recorded_at",
        "event_time",
        "kind",
        "epoch",
        "partition",
        "outcome",
        "reason",
        "touchpoint",
        "semantics",
    ] {
        finds(&format!("UPDATE record SET {column} = {column} + 1 WHERE seq = 300"), Some(300));
    }
    for column in ["member", "bundle", "models", "sealed_digest", "leaf"] {
        let length = if column == "member" { 16 } else { 32 };
        finds(&format!("UPDATE record SET {column} = zeroblob({length}) WHERE seq = 300"), Some(300));
    }
    for column in ["event_id", "segment", "reward", "debits"] {
        finds(&format!("UPDATE record SET {column} = 'x' WHERE seq = 300"), Some(300));
    }
}

#[test]
fn an_edited_sealed_part_is_named() {
    finds("UPDATE record SET sealed = zeroblob(length(sealed)) WHERE seq = 300", Some(300));
    finds("UPDATE record SET sealed = NULL WHERE seq = 300", Some(300));
}

#[test]
fn a_deleted_row_is_named() {
    finds("DELETE FROM record WHERE seq = 300", Some(300));
}

#[test]
fn swapped_rows_are_named() {
    finds(
        "UPDATE record SET seq = -1 WHERE seq = 300; UPDATE record SET seq = 300 WHERE seq = 401;
         UPDATE record SET seq = 401 WHERE seq = -1",
        Some(300),
    );
}

#[test]
fn an_appended_row_is_named() {
    let folder = finds(
        "INSERT INTO record SELECT seq + 1, leaf, sealed_digest, randomblob(16), kind, recorded_at, event_time, partition, epoch, member,
             'extra', outcome, reason, segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed
         FROM record WHERE seq = 2600",
        Some(2_601),
    );
    assert!(
        matches!(Writer::open(&options(folder.path())), Err(Error::Altered { .. })),
        "also a start notices"
    );
}

#[test]
fn an_edited_tree_node_is_located() {
    finds("UPDATE log_node SET hash = zeroblob(32) WHERE level = 8 AND idx = 1", Some(257));
    finds("DELETE FROM log_node WHERE level = 8 AND idx = 1", Some(257));
}

#[test]
fn an_edited_head_is_noticed() {
    finds("UPDATE checkpoint SET root = zeroblob(32) WHERE size = 2002", Some(2_002));
    finds("UPDATE checkpoint SET note = replace(note, '2002', '2003') WHERE size = 2002", None);
}

#[test]
fn rehashed_rows_contradict_the_signed_heads() {
    let folder = filled();
    tamper(folder.path(), "UPDATE record SET body = replace(body, '1', '2') WHERE seq = 1500");
    let report = check(folder.path());
    // The intruder mends the leaf and every node above it, too.
    mend(folder.path(), 1_500);
    let mended = check(folder.path());
    assert_eq!(report.first_bad, Some(Seq(1_500)));
    assert!(!mended.is_verified());
    assert_eq!(mended.first_bad, Some(Seq(1_003)), "the rows between two heads: {:?}", mended.findings);
    assert!(
        matches!(Writer::open(&options(folder.path())), Err(Error::Forked { size: 2_600 })),
        "also a start notices"
    );
}

/// The leaf of a row as its columns are now.
pub fn leaf_of(folder: &Path, seq: i64) -> [u8; 32] {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute("ATTACH ?1 AS l", [folder.join("ledger.db").to_str().unwrap()]).unwrap();
    connection
        .query_row(
            "SELECT seq, record_id, kind, recorded_at, event_time, partition, epoch, member, event_id, outcome, reason, segment,
                    reward, touchpoint, bundle, models, semantics, debits, body, sealed_digest FROM l.record WHERE seq = ?1",
            [seq],
            |row| {
                let blob = |at: usize| row.get_ref(at).unwrap().as_blob_or_null().unwrap();
                let text = |at: usize| row.get_ref(at).unwrap().as_str_or_null().unwrap();
                let public = ledger::Public {
                    seq: row.get(0)?, record_id: blob(1).unwrap(), kind: row.get(2)?, recorded_at: row.get(3)?,
                    event_time: row.get(4)?, partition: row.get(5)?, epoch: row.get(6)?, member: blob(7), event_id: text(8),
                    outcome: row.get(9)?, reason: row.get(10)?, segment: text(11), reward: text(12), touchpoint: row.get(13)?,
                    bundle: blob(14), models: blob(15), semantics: row.get(16)?, debits: text(17), body: text(18),
                };
                Ok(public.leaf(blob(19), &mut Vec::new()).0)
            },
        )
        .unwrap()
}

/// Recomputes leaf `seq` and the stored nodes above it from the changed columns.
pub fn mend(folder: &Path, seq: i64) {
    let leaf = leaf_of(folder, seq);
    tamper(folder, &format!("UPDATE record SET leaf = x'{}' WHERE seq = {seq}", domain::digest::hex(&leaf)));
    let tile = (seq - 1) / 256;
    let connection = intruder(folder);
    let mut select = connection
        .prepare("SELECT leaf FROM record WHERE seq > ?1 AND seq <= ?1 + 256 ORDER BY seq")
        .unwrap();
    let leaves: Vec<[u8; 32]> =
        select.query_map([tile * 256], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut frontier = ledger::merkle::Frontier::default();
    for leaf in leaves {
        frontier.push(domain::Digest(leaf), |_, _, _| ());
    }
    tamper(
        folder,
        &format!("UPDATE log_node SET hash = x'{}' WHERE level = 8 AND idx = {tile}", frontier.root()),
    );
}

#[test]
fn dropped_guards_are_noticed_by_check_and_start() {
    let folder = filled();
    intruder(folder.path())
        .execute_batch("DROP TRIGGER record_refuses_update; UPDATE record SET body = '{}' WHERE seq = 3")
        .unwrap();
    let report = check(folder.path());
    assert!(report.findings[0].what.contains("record_refuses_update is missing"));
    assert_eq!(report.first_bad, Some(Seq(3)));
    let refused = Writer::open(&options(folder.path()));
    assert!(matches!(refused, Err(Error::GuardsChanged(what)) if what.contains("record_refuses_update")));
}

#[test]
fn a_truncated_log_is_noticed() {
    let folder = finds(
        "DELETE FROM record WHERE seq > 2100; DELETE FROM log_node WHERE ((idx + 1) << level) > 2100;
         DELETE FROM checkpoint WHERE size > 2100; DELETE FROM recent WHERE last > 2100",
        Some(2_101),
    );
    let refused = Writer::open(&options(folder.path()));
    assert!(matches!(refused, Err(Error::Truncated { found: 2_100, published: 2_600 })));
}

#[test]
fn a_restored_older_copy_is_noticed() {
    let folder = filled();
    let copy = folder.path().join("copy");
    std::fs::copy(folder.path().join("ledger.db"), &copy).unwrap();
    let mut writer = open(folder.path());
    writer.append(NOW, &decisions(&writer, 5_000..6_500, 60)).unwrap();
    drop(writer);
    std::fs::rename(&copy, folder.path().join("ledger.db")).unwrap();
    assert_eq!(check(folder.path()).first_bad, Some(Seq(2_601)));
    let refused = Writer::open(&options(folder.path()));
    assert!(matches!(refused, Err(Error::Truncated { found: 2_600, published: 4_100 })));
}

#[test]
fn a_ledger_signed_anew_with_another_key_is_noticed() {
    let (folder, other) = (filled(), fill());
    let trusted = ledger::note::Verifier::from_text(
        &std::fs::read_to_string(folder.path().join("verifier.txt")).unwrap(),
    )
    .unwrap();
    let published = std::fs::read_to_string(folder.path().join("checkpoints.txt")).unwrap();
    let published: Vec<String> =
        published.split_terminator("\n\n\n").map(|note| format!("{note}\n")).collect();
    for name in ["ledger.db", "keys.db", "master.key", "checkpoints.txt", "verifier.txt"] {
        std::fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
    }
    assert!(check(folder.path()).is_verified(), "the folder alone is consistent");
    let options = VerifyOptions { trusted: Some(KeyHistory::new(trusted)), ..VerifyOptions::default() };
    let report = verify(folder.path(), &options, |_, _| ()).unwrap();
    let strange = |finding: &ledger::Finding| finding.what.contains("no signature of key largesse/test/0");
    assert!(report.findings[0].what.contains("signing keys"), "{:?}", report.findings);
    assert!(report.findings[1..].iter().all(strange), "{:?}", report.findings);
    let options = VerifyOptions { published, ..VerifyOptions::default() };
    assert!(!verify(folder.path(), &options, |_, _| ()).unwrap().is_verified());
}

#[test]
fn edited_caches_are_noticed() {
    let folder = finds("UPDATE budget SET committed = committed - 1", None);
    assert!(matches!(Writer::open(&options(folder.path())), Err(Error::BudgetDrift { .. })));
    finds("DELETE FROM event_index WHERE seq = (SELECT min(seq) FROM event_index)", None);
    finds("DELETE FROM member_index WHERE seq = (SELECT max(seq) FROM member_index)", None);
    finds("UPDATE counter SET rows = rows + 1", None);
}

/// What a row holds, from `seq` on, to be put in front of other rows or behind them.
const COPIED: &str = "leaf, sealed_digest, randomblob(16), kind, recorded_at, event_time, partition, epoch, member, 'extra', outcome,
    reason, segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed FROM record";

#[test]
fn a_row_before_the_first_is_noticed_by_everybody() {
    for number in [-1, 0] {
        let folder = finds(&format!("INSERT INTO record SELECT {number}, {COPIED} WHERE seq = 2600"), None);
        assert!(matches!(Writer::open(&options(folder.path())), Err(Error::Damaged(_))));
        assert!(matches!(ledger::Reader::open(folder.path()), Err(Error::Damaged(_))));
    }
}

#[test]
fn an_index_that_hides_rows_is_noticed() {
    let hidden = |index: &str, made: &str| {
        format!(
            "CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = '{index}'; DROP INDEX {index}; {made};
             PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = (SELECT sql FROM kept) WHERE name = '{index}';
             PRAGMA writable_schema = RESET; DROP TABLE kept"
        )
    };
    finds(
        &hidden("record_by_id", "CREATE UNIQUE INDEX record_by_id ON record (record_id) WHERE seq <> 300"),
        None,
    );
    let rare = "CREATE INDEX record_by_kind ON record (kind) WHERE kind NOT IN (10, 11) AND seq > 2";
    let folder = finds(&hidden("record_by_kind", rare), None);
    assert!(matches!(Writer::open(&options(folder.path())), Err(Error::Damaged(_))), "also a start notices");
}

#[test]
fn renamed_codes_are_noticed_and_mended_by_a_start() {
    let swapped = "UPDATE code SET name = CASE number WHEN 0 THEN 'none' ELSE 'granted' END
                   WHERE field = 'outcome' AND number IN (0, 1)";
    for sql in [swapped, "DELETE FROM code"] {
        let folder = finds(sql, None);
        drop(open(folder.path()));
        assert_eq!(check(folder.path()).findings, []);
    }
}

#[test]
fn a_claim_that_rows_were_cut_is_believed_under_a_signed_head_only() {
    let folder = filled();
    let folder = folder.path();
    tamper(folder, "UPDATE record SET body = NULL, reward = 'voucher' WHERE seq = 300");
    let stored: [u8; 32] =
        intruder(folder).query_row("SELECT leaf FROM record WHERE seq = 300", [], |row| row.get(0)).unwrap();
    let cut = [&300u64.to_be_bytes()[..], &stored, &leaf_of(folder, 300), &[0]].concat();
    let body =
        format!(r#"{{"v":1,"kept":{{"through":2600,"rows":1,"digest":"{}"}}}}"#, domain::Digest::of(&cut));
    let kind = ledger::Kind::Retention.number();
    tamper(
        folder,
        &format!(
            "INSERT INTO record (seq, leaf, record_id, kind, recorded_at, partition, epoch, semantics, body)
                 SELECT 2601, leaf, randomblob(16), {kind}, recorded_at, partition, epoch, semantics, '{body}'
                 FROM record WHERE seq = 2600;
             INSERT INTO counter VALUES ({kind}, -1, -1, 1)"
        ),
    );
    mend(folder, 2_601);
    let report = check(folder);
    assert_eq!(report.first_bad, Some(Seq(300)), "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.seq == Some(Seq(2_601))), "{:?}", report.findings);
    let refused = Writer::open(&options(folder)).map(|_| ());
    assert!(matches!(&refused, Err(Error::Damaged(what)) if what.contains("2601")), "{refused:?}");
}

#[test]
fn an_edited_or_missing_checkpoint_file_is_noticed() {
    let folder = filled();
    let path = folder.path().join("checkpoints.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\n1002\n", "\n1003\n")).unwrap();
    assert!(check(folder.path()).findings[0].what.contains("in the checkpoint file"));
    std::fs::write(&path, text.replace("\n2600\n", "\n2601\n")).unwrap();
    assert!(matches!(Writer::open(&options(folder.path())), Err(Error::CheckpointFile { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(!check(folder.path()).is_verified());
}

#[test]
fn a_lost_checkpoint_file_is_not_made_anew_in_silence() {
    let folder = filled();
    let path = folder.path().join("checkpoints.txt");
    for left in ["", "neither a head nor the start of one"] {
        std::fs::write(&path, left).unwrap();
        let refused = Writer::open(&options(folder.path())).map(|_| ());
        assert!(matches!(refused, Err(Error::CheckpointFile { .. })), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left, "the evidence was changed");
    }
    std::fs::remove_file(&path).unwrap();
    let accepted = ledger::Options { heads_lost: true, ..options(folder.path()) };
    drop(Writer::open(&accepted).unwrap());
    drop(open(folder.path()));
    assert!(check(folder.path()).is_verified());
}

#[test]
fn an_unreadable_page_is_located() {
    let folder = filled();
    drop(Writer::open(&options(folder.path())).unwrap());
    let path = folder.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // A page in the middle of the rows: the first that holds this row's text.
    let text = format!("\"decision\":\"{:032}\"", 1_300);
    let middle = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let page = middle / 8192 * 8192;
    bytes[page..page + 8192].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    match verify(folder.path(), &VerifyOptions::default(), |_, _| ()) {
        Ok(report) => assert!(report.first_bad.is_some_and(|seq| seq.0 < 1_400), "{report:?}"),
        Err(error) => panic!("not located: {error}"),
    }
}
