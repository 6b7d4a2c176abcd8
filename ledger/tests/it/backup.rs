//! Backups: whole, equal by root, without keys, and put back only where they fit.

use std::path::Path;

use ledger::{
    Copied, Error, KeyError, KeysFrom, Reader, Seq, VerifyOptions, Writer, backup, backup_keys, restore,
    verify,
};

use crate::support::*;

fn copy(from: &Path, to: &Path) -> Result<Copied, Error> {
    backup(from, to, |_| ())
}

fn put_back(from: &Path, to: &Path) -> Result<Copied, Error> {
    restore(from, to, None, |_| ())
}

fn check(folder: &Path) {
    let report = verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
}

fn refused(copied: Result<Copied, Error>, says: &str) {
    let error = copied.unwrap_err();
    assert!(matches!(error, Error::CopyDiffers { .. }) && error.to_string().contains(says), "{error}");
}

/// Names of everything in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_taken_while_rows_are_written_is_whole_and_has_no_keys() {
    let (folder, mut writer) = ledger();
    let copies = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for batch in 0..60 {
                writer.append(NOW, &decisions(&writer, batch * 100..(batch + 1) * 100, 50)).unwrap();
            }
        });
        for number in 0..4 {
            let to = copies.path().join(number.to_string());
            let copied = copy(folder.path(), &to).unwrap();
            check(&to);
            assert_eq!(copied.files, ["checkpoints.txt", "ledger.db", "verifier.txt"]);
            let reader = Reader::open(folder.path()).unwrap();
            assert_eq!(reader.root_at(copied.rows).unwrap(), copied.root);
        }
        writing.join().unwrap();
    });
    assert_eq!(names(copies.path()), ["0", "1", "2", "3"], "nothing half is left");
    let over = copy(folder.path(), &copies.path().join("0"));
    assert!(matches!(over, Err(Error::Io { .. })), "another copy is not replaced: {over:?}");
}

#[test]
fn a_backup_and_its_keys_put_back_go_on_where_they_ended() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..2_500, 50)).unwrap();
    let (root, size) = (writer.root(), writer.size());
    let kept = tempfile::tempdir().unwrap();
    let (backup, keys, to) =
        (kept.path().join("backup"), kept.path().join("k.db"), kept.path().join("new/ledger"));
    copy(folder.path(), &backup).unwrap();
    backup_keys(folder.path(), &keys).unwrap();
    drop(writer);
    let from = KeysFrom { keys, master_key: folder.path().join("master.key") };
    let restored = restore(&backup, &to, Some(&from), |_| ()).unwrap();
    assert_eq!((restored.rows, restored.root), (size, root));
    let mut writer = open(&to);
    assert_eq!(writer.root(), root);
    writer.append(NOW, &decisions(&writer, 3_000..3_010, 50)).unwrap();
    drop(writer);
    check(&to);
}

#[test]
fn a_backup_without_keys_is_read_and_proven_but_opens_nothing() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..50, 50)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let (backup, to) = (kept.path().join("backup"), kept.path().join("restored"));
    copy(folder.path(), &backup).unwrap();
    put_back(&backup, &to).unwrap();
    check(&to);
    assert_eq!(Reader::open(&to).unwrap().size().unwrap(), 51);
    assert!(matches!(Writer::open(&options(&to)), Err(Error::Keys(_))), "a node needs keys");
}

#[test]
fn heads_filed_after_a_backup_are_taken_over_by_what_is_put_back() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..50, 50)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let backup = kept.path().join("backup");
    copy(folder.path(), &backup).unwrap();
    writer.sign_head(NOW).unwrap();
    drop(writer);
    std::fs::remove_file(folder.path().join("ledger.db")).unwrap();
    put_back(&backup, folder.path()).unwrap();
    check(folder.path());
    assert_eq!(Reader::open(folder.path()).unwrap().last_checkpoint().unwrap().unwrap().size, 51);
}

#[test]
fn a_backup_whose_end_was_changed_is_not_put_back_where_keys_tell() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..50, 50)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let (backup, keys) = (kept.path().join("backup"), kept.path().join("k.db"));
    copy(folder.path(), &backup).unwrap();
    backup_keys(folder.path(), &keys).unwrap();
    drop(writer);
    crate::tamper::tamper(&backup, "UPDATE tail SET mac = zeroblob(32)");
    put_back(&backup, &kept.path().join("without")).unwrap();
    let from = KeysFrom { keys, master_key: folder.path().join("master.key") };
    let to = kept.path().join("with");
    refused(restore(&backup, &to, Some(&from), |_| ()), "not those that were sealed");
    assert!(!to.join("keys.db").exists());
}

#[test]
fn an_erased_member_stays_erased_after_an_older_backup_is_put_back() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..100, 10)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let backup = kept.path().join("backup");
    copy(folder.path(), &backup).unwrap();
    let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
    writer.erase(NOW, member, "request").unwrap();
    writer.sign_head(NOW).unwrap();
    drop(writer);
    // The disk with ledger.db is lost, the one with the keys is not; the heads know of more rows.
    std::fs::remove_file(folder.path().join("ledger.db")).unwrap();
    let before = names(folder.path());
    refused(put_back(&backup, folder.path()), "older than checkpoints.txt");
    assert_eq!(names(folder.path()), before, "nothing is left of the attempt");
    std::fs::remove_file(folder.path().join("checkpoints.txt")).unwrap();
    put_back(&backup, folder.path()).unwrap();
    let writer = open(folder.path());
    let rows = writer.reader().unwrap().member_after(member, Seq::START, 1_000).unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.sealed.is_some()), "its rows are back");
    assert!(matches!(writer.keys().find(member), Err(KeyError::Erased(_))), "its key is not");
    assert_eq!(writer.keys().member(&raw_member(3)).unwrap(), None, "nor what leads to it");
}

#[test]
fn keys_of_before_an_erasure_beside_a_ledger_that_records_it_lose_the_member_again() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..100, 10)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let (backup, keys, to) =
        (kept.path().join("backup"), kept.path().join("k.db"), kept.path().join("restored"));
    backup_keys(folder.path(), &keys).unwrap();
    let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
    writer.erase(NOW, member, "request").unwrap();
    copy(folder.path(), &backup).unwrap();
    drop(writer);
    let from = KeysFrom { keys, master_key: folder.path().join("master.key") };
    restore(&backup, &to, Some(&from), |_| ()).unwrap();
    let writer = open(&to);
    assert!(matches!(writer.keys().find(member), Err(KeyError::Erased(_))));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_put_there() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..1_500, 50)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let (backup, keys, to) =
        (kept.path().join("backup"), kept.path().join("k.db"), kept.path().join("restored"));
    copy(folder.path(), &backup).unwrap();
    backup_keys(folder.path(), &keys).unwrap();
    assert!(matches!(put_back(&backup, folder.path()), Err(Error::Locked { .. })), "a ledger in use");
    drop(writer);
    refused(put_back(&backup, folder.path()), "a ledger is there already");
    std::fs::write(kept.path().join("ledger.db-wal"), "rows nobody copied").unwrap();
    refused(put_back(&backup, kept.path()), "ledger.db-wal of the lost ledger");
    let (stranger, writer) = ledger();
    drop(writer);
    let from = KeysFrom { keys, master_key: stranger.path().join("master.key") };
    let other = restore(&backup, &to, Some(&from), |_| ());
    assert!(
        matches!(other, Err(Error::Keys(KeyError::OtherLedger(_)))),
        "another ledger's master key: {other:?}"
    );
    std::fs::remove_file(stranger.path().join("ledger.db")).unwrap();
    refused(put_back(&backup, stranger.path()), "another ledger's");
    intruder(&backup)
        .execute_batch("DROP TRIGGER record_refuses_update; UPDATE record SET outcome = 3 WHERE seq = 7")
        .unwrap();
    refused(put_back(&backup, &to), "guards were changed");
    assert_eq!(names(&to), Vec::<String>::new());
}

#[test]
fn a_long_reader_does_not_hold_up_the_writer_and_the_log_starts_over_after_it() {
    let (folder, mut writer) = ledger();
    let wal = folder.path().join("ledger.db-wal");
    let length = || std::fs::metadata(&wal).unwrap().len();
    writer.append(NOW, &decisions(&writer, 0..500, 50)).unwrap();
    let reader = intruder(folder.path());
    let long = reader.unchecked_transaction().unwrap();
    let seen =
        |at: &rusqlite::Transaction<'_>| at.query_row("SELECT max(seq) FROM record", [], |row| row.get(0));
    assert_eq!(seen(&long), Ok(501i64));
    for from in (500..4_000).step_by(500) {
        writer.append(NOW, &decisions(&writer, from..from + 500, 50)).unwrap();
    }
    assert_eq!(writer.size(), 4_001, "rows are written while somebody reads");
    assert_eq!(seen(&long), Ok(501), "and who reads goes on seeing what was there");
    let held = length();
    let copied = copy(folder.path(), &folder.path().join("copy")).unwrap();
    assert_eq!(copied.wal_bytes, held, "a backup says how long the log has become");
    long.commit().unwrap();
    let other = intruder(folder.path());
    let busy: bool = other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0)).unwrap();
    assert!(!busy);
    for from in (4_000..6_000).step_by(500) {
        writer.append(NOW, &decisions(&writer, from..from + 500, 50)).unwrap();
    }
    assert_eq!(length(), held, "the same bytes are used again");
}
